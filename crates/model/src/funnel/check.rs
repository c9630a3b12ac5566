//! What a definition of a funnel may say, checked without data.

use super::{
    Alternative, ExclusionDefinition, FunnelDefinition, MAX_ALTERNATIVES, MAX_EXCLUSIONS, MAX_HELD,
    MAX_IGNORED, MAX_OUTCOMES, MAX_STEPS, OnExclude, Order, Predicate, Scope, StepDefinition, Ties,
};
use crate::condition::{FieldRef, Mistake, check_predicates, limit};
use crate::fields::{Field, nearest};
use crate::vocab::EventName;

impl FunnelDefinition {
    /// Checks everything that can be checked without data. `at`: JSON pointer of the definition.
    ///
    /// # Errors
    /// The first [`Mistake`], with a pointer below `at`.
    pub fn check(&self, at: &str) -> Result<(), Mistake> {
        if self.steps.len() < 2 {
            let detail = "a funnel has two steps at least";
            return Err(Mistake::new("too_few_steps", format!("{at}/steps"), detail));
        }
        limit(self.steps.len(), MAX_STEPS, "steps", &format!("{at}/steps"))?;
        for (i, step) in self.steps.iter().enumerate() {
            self.check_step(i, step, &format!("{at}/steps/{i}"))?;
        }
        self.check_outcomes(&format!("{at}/outcomes"))?;
        self.check_order(at)?;
        self.check_held(&format!("{at}/hold_constant"))?;
        let exclude = format!("{at}/exclude");
        limit(self.exclude.len(), MAX_EXCLUSIONS, "exclusions", &exclude)?;
        for (i, exclusion) in self.exclude.iter().enumerate() {
            self.check_exclusion(exclusion, &format!("{exclude}/{i}"))?;
        }
        if self.exclude.is_empty() && self.on_exclude != OnExclude::Block {
            let detail = "on_exclude needs something in exclude";
            return Err(Mistake::new("not_used", format!("{at}/on_exclude"), detail));
        }
        Ok(())
    }

    fn check_step(&self, i: usize, step: &StepDefinition, at: &str) -> Result<(), Mistake> {
        check_name(&step.name, at)?;
        check_taken(step.event.as_deref(), &step.any_of, &step.conditions, at)?;
        if step.optional && (i == 0 || i + 1 == self.steps.len()) {
            let detail = "the first and the last step cannot be optional";
            return Err(Mistake::new(
                "optional_end",
                format!("{at}/optional"),
                detail,
            ));
        }
        if (i == 0 || step.optional) && (step.max_gap.is_some() || step.min_gap.is_some()) {
            let detail = "gaps are measured from the previous required step to a required one";
            return Err(Mistake::new("gap_without_steps", at, detail));
        }
        if let (Some(min), Some(max)) = (step.min_gap, step.max_gap)
            && min > max
        {
            let detail = "min_gap is over max_gap";
            return Err(Mistake::new("empty_gap", format!("{at}/min_gap"), detail));
        }
        if self.steps[..i].iter().any(|other| other.name == step.name) {
            let detail = format!("two steps are called {:?}", step.name);
            return Err(Mistake::new("duplicate_name", format!("{at}/name"), detail));
        }
        Ok(())
    }

    fn check_outcomes(&self, at: &str) -> Result<(), Mistake> {
        limit(self.outcomes.len(), MAX_OUTCOMES, "outcomes", at)?;
        for (i, outcome) in self.outcomes.iter().enumerate() {
            let at = format!("{at}/{i}");
            check_name(&outcome.name, &at)?;
            let (event, any_of) = (outcome.event.as_deref(), &outcome.any_of);
            check_taken(event, any_of, &outcome.conditions, &at)?;
            if self.outcomes[..i].iter().any(|o| o.name == outcome.name) {
                let detail = format!("two outcomes are called {:?}", outcome.name);
                return Err(Mistake::new("duplicate_name", format!("{at}/name"), detail));
            }
        }
        Ok(())
    }

    /// What only some orders can have (semantics rule 10).
    fn check_order(&self, at: &str) -> Result<(), Mistake> {
        let gap = |step: &StepDefinition| step.min_gap.or(step.max_gap).is_some();
        let is_unordered = self.order == Order::Unordered;
        let is_strict = self.order == Order::Strict;
        let steps = &self.steps;
        let refused = [
            (
                is_unordered && steps.iter().any(gap),
                "steps",
                "an unordered funnel cannot have gaps",
            ),
            (
                is_unordered && steps.iter().any(|s| s.optional),
                "steps",
                "an unordered funnel cannot have optional steps",
            ),
            (
                is_unordered && !self.exclude.is_empty(),
                "exclude",
                "an unordered funnel cannot have exclusions",
            ),
            (
                is_unordered && self.ties != Ties::AnyOrder,
                "ties",
                "an unordered funnel cannot demand rising times",
            ),
            (
                is_unordered && !self.hold_constant.is_empty(),
                "hold_constant",
                "an unordered funnel cannot hold fields constant",
            ),
            (
                !is_unordered && self.first_pinned,
                "first_pinned",
                "only an unordered funnel can pin its first step",
            ),
            (
                !is_strict && self.scope != Scope::Matched,
                "scope",
                "only a strict funnel has a scope",
            ),
            (
                self.scope == Scope::Matched && !self.ignore.is_empty(),
                "ignore",
                "only a strict funnel of scope all ignores events",
            ),
        ];
        if let Some((_, field, detail)) = refused.into_iter().find(|(is_refused, ..)| *is_refused) {
            let pointer = format!("{at}/{field}");
            return Err(Mistake::new("not_with_order", pointer, detail));
        }
        limit(
            self.ignore.len(),
            MAX_IGNORED,
            "ignored events",
            &format!("{at}/ignore"),
        )?;
        for (i, event) in self.ignore.iter().enumerate() {
            check_event(event, &format!("{at}/ignore/{i}"))?;
        }
        Ok(())
    }

    fn check_held(&self, at: &str) -> Result<(), Mistake> {
        limit(
            self.hold_constant.len(),
            MAX_HELD,
            "fields held constant",
            at,
        )?;
        let mut fields: Vec<FieldRef> = Vec::new();
        for (i, name) in self.hold_constant.iter().enumerate() {
            let pointer = format!("{at}/{i}");
            let field = FieldRef::parse(name, &pointer)?;
            if matches!(
                field,
                FieldRef::Field(
                    Field::EventId
                        | Field::Event
                        | Field::OccurredAt
                        | Field::ReceivedAt
                        | Field::Seq
                )
            ) {
                let detail =
                    format!("{name} differs from event to event; it cannot be held constant");
                return Err(Mistake::new("not_held", pointer, detail));
            }
            if fields.contains(&field) {
                return Err(Mistake::new(
                    "duplicate_field",
                    pointer,
                    format!("{name} stands twice"),
                ));
            }
            fields.push(field);
        }
        Ok(())
    }

    fn check_exclusion(&self, exclusion: &ExclusionDefinition, at: &str) -> Result<(), Mistake> {
        let (event, any_of) = (exclusion.event.as_deref(), &exclusion.any_of);
        check_taken(event, any_of, &exclusion.conditions, at)?;
        let (after, before) = (exclusion.after, exclusion.before);
        let steps = self.steps.len();
        for (step, field) in [(after, "after"), (before, "before")] {
            if step < 1 || step > steps {
                let detail =
                    format!("there is no step {step}; steps are numbered from 1 to {steps}");
                return Err(Mistake::new(
                    "unknown_step",
                    format!("{at}/{field}"),
                    detail,
                ));
            }
        }
        let required = (after..=before)
            .filter(|&step| !self.steps[step - 1].optional)
            .count();
        if required < 2 {
            let detail =
                "an exclusion lies between two required steps, the first before the second";
            return Err(Mistake::new(
                "empty_exclusion",
                format!("{at}/before"),
                detail,
            ));
        }
        Ok(())
    }
}

fn check_name(name: &str, at: &str) -> Result<(), Mistake> {
    if name.trim().is_empty() || name.len() > 100 {
        let detail = "a name has 1 to 100 characters";
        return Err(Mistake::new("bad_name", format!("{at}/name"), detail));
    }
    Ok(())
}

fn check_taken(
    event: Option<&str>,
    any_of: &[Alternative],
    conditions: &[Predicate],
    at: &str,
) -> Result<(), Mistake> {
    match (event, any_of.is_empty()) {
        (None, true) => {
            return Err(Mistake::new(
                "missing_event",
                at,
                "name the event, or several in any_of",
            ));
        }
        (Some(_), false) => {
            return Err(Mistake::new(
                "two_events",
                at,
                "give either event or any_of, not both",
            ));
        }
        _ => {}
    }
    if let Some(event) = event {
        check_event(event, &format!("{at}/event"))?;
    }
    limit(
        any_of.len(),
        MAX_ALTERNATIVES,
        "alternatives",
        &format!("{at}/any_of"),
    )?;
    for (i, alternative) in any_of.iter().enumerate() {
        check_event(&alternative.event, &format!("{at}/any_of/{i}/event"))?;
        check_predicates(&alternative.conditions, &format!("{at}/any_of/{i}/where"))?;
    }
    check_predicates(conditions, &format!("{at}/where"))
}

/// Checks that an event may be called so. `at`: its JSON pointer.
pub(crate) fn check_event(name: &str, at: &str) -> Result<(), Mistake> {
    if EventName::parse(name).is_some() || name.starts_with("custom.") {
        return Ok(());
    }
    let hint = nearest(name, EventName::WORDS.iter().copied())
        .map_or(String::new(), |near| format!("; did you mean {near}?"));
    Err(Mistake::new(
        "unknown_event",
        at,
        format!("no event is called {name:?}{hint}"),
    ))
}
