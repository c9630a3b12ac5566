//! What a definition of an experiment may say, checked without data.

use chrono_tz::Tz;

use super::{
    ExperimentContent, ExperimentDefinition, GuardrailDefinition, LookMethod, MetricDefinition,
    RatioDefinition, ValueDefinition,
};
use crate::condition::{FieldRef, Mistake, check_predicates, limit};
use crate::fields::{Field, FieldKind};
use crate::funnel::{Entries, FunnelDefinition, MAX_STEPS, Order, Subject, check_event};
use crate::question::{FunnelRef, check_dimensions, moment_us};
use crate::saved::{MAX_FUNNEL_NAME, check_title};

/// Longest id of an experiment in events, in bytes.
const MAX_TOLD_BYTES: usize = 128;
/// Most variants of an experiment.
pub const MAX_VARIANTS: usize = 16;
/// Most primary metrics.
pub const MAX_PRIMARY: usize = 8;
/// Most guardrails.
pub const MAX_GUARDRAILS: usize = 8;
/// Most fields by which the effect is shown apart.
pub const MAX_EXPERIMENT_SEGMENTS: usize = 4;
/// Most planned looks.
pub const MAX_LOOKS: usize = 20;
/// By how much the weights may miss 1, so that three thirds can be written.
pub const WEIGHTS_WITHIN: f64 = 0.001;

/// What a definition says, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedExperiment {
    /// First µs in which an exposure counts.
    pub start_us: i64,
    /// First µs in which none does any more.
    pub end_us: Option<i64>,
    /// Zone of days.
    pub timezone: Tz,
    /// Fields by which the effect is shown apart.
    pub segments: Vec<FieldRef>,
}

/// What a metric measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure<'d> {
    /// The share that reaches a step (a number, from 1; none: the last).
    Step(Option<usize>),
    /// The time to a step.
    TimeToStep(usize),
    /// The mean of a value per unit.
    Mean(&'d ValueDefinition),
    /// The sum of one value over that of another.
    Ratio(&'d RatioDefinition),
    /// What is paid for one more unit that reaches the last step.
    CostPerExtra(&'d ValueDefinition),
}

impl ExperimentContent {
    /// Checks everything that can be checked without data.
    ///
    /// # Errors
    /// The first [`Mistake`], with its JSON pointer.
    pub fn check(&self) -> Result<CheckedExperiment, Mistake> {
        check_title(&self.name, &self.description)?;
        self.definition.check("/definition")
    }
}

impl ExperimentDefinition {
    /// Checks everything that can be checked without data; of funnels named by an id see
    /// [`check_experiment_funnel`]. `at`: JSON pointer of the definition.
    ///
    /// # Errors
    /// The first [`Mistake`], with a pointer below `at`.
    pub fn check(&self, at: &str) -> Result<CheckedExperiment, Mistake> {
        if let Some(told_as) = &self.told_as
            && !(1..=MAX_TOLD_BYTES).contains(&told_as.len())
        {
            let detail = format!("an experiment's id in events has 1 to {MAX_TOLD_BYTES} bytes");
            return Err(Mistake::new("bad_id", format!("{at}/told_as"), detail));
        }
        self.check_variants(at)?;
        let checked = self.check_times(at)?;
        self.check_funnel(&self.funnel, &format!("{at}/funnel"))?;
        self.check_primary(&format!("{at}/primary"))?;
        self.check_guardrails(&format!("{at}/guardrails"))?;
        self.check_method(at)?;
        Ok(checked)
    }

    fn check_variants(&self, at: &str) -> Result<(), Mistake> {
        let pointer = format!("{at}/variants");
        if self.variants.len() < 2 {
            let detail = "an experiment has two variants at least";
            return Err(Mistake::new("too_few_variants", pointer, detail));
        }
        limit(self.variants.len(), MAX_VARIANTS, "variants", &pointer)?;
        for (i, variant) in self.variants.iter().enumerate() {
            check_name(&variant.name, &format!("{pointer}/{i}/name"))?;
            let before = &self.variants[..i];
            if before.iter().any(|other| other.name == variant.name) {
                let detail = format!("two variants are called {:?}", variant.name);
                return Err(Mistake::new(
                    "duplicate_name",
                    format!("{pointer}/{i}/name"),
                    detail,
                ));
            }
            if !(0.0..=1.0).contains(&variant.weight) {
                let detail = format!("{} is no share between 0 and 1", variant.weight);
                return Err(Mistake::new(
                    "out_of_range",
                    format!("{pointer}/{i}/weight"),
                    detail,
                ));
            }
        }
        let sum: f64 = self.variants.iter().map(|variant| variant.weight).sum();
        if (sum - 1.0).abs() > WEIGHTS_WITHIN {
            let detail =
                format!("the weights sum to {sum}; they are shares of the units and sum to 1");
            return Err(Mistake::new("weights_do_not_sum", pointer, detail));
        }
        match &self.control {
            Some(name) if !self.variants.iter().any(|variant| variant.name == *name) => {
                let names: Vec<&str> = self.variants.iter().map(|v| v.name.as_str()).collect();
                let detail = format!(
                    "no variant is called {name:?}; there are {}",
                    names.join(", ")
                );
                Err(Mistake::new(
                    "unknown_variant",
                    format!("{at}/control"),
                    detail,
                ))
            }
            _ => Ok(()),
        }
    }

    fn check_times(&self, at: &str) -> Result<CheckedExperiment, Mistake> {
        let timezone: Tz = self.timezone.parse().map_err(|_| {
            let detail = format!("{:?} is no IANA zone such as Europe/Paris", self.timezone);
            Mistake::new("unknown_timezone", format!("{at}/timezone"), detail)
        })?;
        let start_us = moment_us(&self.start, timezone, &format!("{at}/start"))?;
        let end = self.end.as_ref();
        let end_us = end
            .map(|end| moment_us(end, timezone, &format!("{at}/end")))
            .transpose()?;
        if end_us.is_some_and(|end_us| end_us <= start_us) {
            let detail = "the experiment ends before it starts";
            return Err(Mistake::new("empty_range", format!("{at}/end"), detail));
        }
        if self.planned_units == Some(0) {
            let detail = "an experiment is planned for one unit at least";
            return Err(Mistake::new(
                "out_of_range",
                format!("{at}/planned_units"),
                detail,
            ));
        }
        let pointer = format!("{at}/segments");
        limit(
            self.segments.len(),
            MAX_EXPERIMENT_SEGMENTS,
            "segments",
            &pointer,
        )?;
        let segments = check_dimensions(&self.segments, &pointer)?;
        Ok(CheckedExperiment {
            start_us,
            end_us,
            timezone,
            segments: segments.into_iter().map(|(field, _)| field).collect(),
        })
    }

    fn check_funnel(&self, funnel: &FunnelRef, at: &str) -> Result<(), Mistake> {
        match funnel {
            FunnelRef::Id(_) => Ok(()),
            FunnelRef::Definition(definition) => {
                definition.check(at)?;
                check_experiment_funnel(self.unit_subject(), definition, at)
            }
        }
    }

    fn check_primary(&self, at: &str) -> Result<(), Mistake> {
        if self.primary.is_empty() {
            let detail = "say what decides: one primary metric at least";
            return Err(Mistake::new("no_primary", at, detail));
        }
        limit(self.primary.len(), MAX_PRIMARY, "primary metrics", at)?;
        for (i, metric) in self.primary.iter().enumerate() {
            let at = format!("{at}/{i}");
            check_name(&metric.name, &format!("{at}/name"))?;
            self.check_unique(&metric.name, &self.primary[..i], &at)?;
            if let Some(funnel) = &metric.funnel {
                self.check_funnel(funnel, &format!("{at}/funnel"))?;
            }
            metric.check_measure(&at)?;
        }
        Ok(())
    }

    fn check_unique(
        &self,
        name: &str,
        before: &[MetricDefinition],
        at: &str,
    ) -> Result<(), Mistake> {
        if before.iter().any(|other| other.name == name) {
            let detail = format!("two metrics are called {name:?}");
            return Err(Mistake::new("duplicate_name", format!("{at}/name"), detail));
        }
        Ok(())
    }

    fn check_guardrails(&self, at: &str) -> Result<(), Mistake> {
        limit(self.guardrails.len(), MAX_GUARDRAILS, "guardrails", at)?;
        for (i, guardrail) in self.guardrails.iter().enumerate() {
            let at = format!("{at}/{i}");
            check_name(&guardrail.name, &format!("{at}/name"))?;
            self.check_unique(&guardrail.name, &self.primary, &at)?;
            if self.guardrails[..i]
                .iter()
                .any(|other| other.name == guardrail.name)
            {
                let detail = format!("two guardrails are called {:?}", guardrail.name);
                return Err(Mistake::new("duplicate_name", format!("{at}/name"), detail));
            }
            if let Some(funnel) = &guardrail.funnel {
                self.check_funnel(funnel, &format!("{at}/funnel"))?;
            }
            check_margin(guardrail, &at)?;
        }
        Ok(())
    }

    fn check_method(&self, at: &str) -> Result<(), Mistake> {
        if !(1e-9..=0.4).contains(&self.alpha) {
            let detail = "alpha is the share of false alarms that is accepted, at most 0.4";
            return Err(Mistake::new("out_of_range", format!("{at}/alpha"), detail));
        }
        let pointer = format!("{at}/method");
        match (self.primary[0].measure(), &self.method) {
            (Measure::CostPerExtra(_), _) => {
                let detail = "a cost has no test, so it cannot decide: name another metric first";
                let pointer = format!("{at}/primary/0/cost_per_extra");
                return Err(Mistake::new("not_first", pointer, detail));
            }
            (Measure::TimeToStep(_), LookMethod::Continuous { .. }) => {
                let detail = "there is no way to look at a time whenever one likes: take fixed or planned looks, or name another metric first";
                return Err(Mistake::new("not_first", pointer, detail));
            }
            _ => {}
        }
        match self.method {
            LookMethod::Fixed | LookMethod::Continuous { tuned_for: None } => Ok(()),
            LookMethod::Continuous {
                tuned_for: Some(units),
            } if units > 0 => Ok(()),
            LookMethod::Continuous { .. } => {
                let detail = "the interval is narrowest at one unit at least";
                Err(Mistake::new("out_of_range", pointer, detail))
            }
            LookMethod::Sequential { looks } if !(2..=MAX_LOOKS).contains(&looks) => {
                let detail = format!("planned looks are 2 to {MAX_LOOKS}");
                Err(Mistake::new("out_of_range", pointer, detail))
            }
            LookMethod::Sequential { .. } if self.planned_units.is_none() => {
                let detail = "planned looks need planned_units: a look is at a share of them";
                Err(Mistake::new("missing_planned_units", pointer, detail))
            }
            LookMethod::Sequential { .. } => Ok(()),
        }
    }
}

impl MetricDefinition {
    /// What it measures; the last step of its funnel where it does not say.
    pub fn measure(&self) -> Measure<'_> {
        if let Some(step) = self.time_to_step {
            Measure::TimeToStep(step)
        } else if let Some(value) = &self.mean {
            Measure::Mean(value)
        } else if let Some(ratio) = &self.ratio {
            Measure::Ratio(ratio)
        } else if let Some(value) = &self.cost_per_extra {
            Measure::CostPerExtra(value)
        } else {
            Measure::Step(self.step)
        }
    }

    fn check_measure(&self, at: &str) -> Result<(), Mistake> {
        let given = [
            self.step.is_some(),
            self.time_to_step.is_some(),
            self.mean.is_some(),
            self.ratio.is_some(),
            self.cost_per_extra.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() > 1 {
            let detail =
                "a metric measures one thing: step, time_to_step, mean, ratio or cost_per_extra";
            return Err(Mistake::new("two_measures", at, detail));
        }
        match self.measure() {
            Measure::Step(_) | Measure::TimeToStep(_) => Ok(()),
            Measure::Mean(value) => check_value(value, &format!("{at}/mean")),
            Measure::CostPerExtra(value) => check_value(value, &format!("{at}/cost_per_extra")),
            Measure::Ratio(ratio) => {
                check_value(&ratio.numerator, &format!("{at}/ratio/numerator"))?;
                check_value(&ratio.denominator, &format!("{at}/ratio/denominator"))
            }
        }
    }
}

fn check_value(value: &ValueDefinition, at: &str) -> Result<(), Mistake> {
    check_event(&value.event, &format!("{at}/event"))?;
    check_predicates(&value.conditions, &format!("{at}/where"))?;
    let Some(sum) = &value.sum else {
        return Ok(());
    };
    let pointer = format!("{at}/sum");
    match FieldRef::parse(sum, &pointer)? {
        FieldRef::Attr(_) => Ok(()),
        FieldRef::Field(field) if is_whole(field) => Ok(()),
        _ => {
            let detail = format!("{sum} is no number that can be added up");
            Err(Mistake::new("wrong_type", pointer, detail))
        }
    }
}

fn is_whole(field: Field) -> bool {
    matches!(field.kind(), FieldKind::Int { .. })
}

fn check_margin(guardrail: &GuardrailDefinition, at: &str) -> Result<(), Mistake> {
    let (margin, pointer) = match (guardrail.margin, guardrail.relative_margin) {
        (Some(margin), None) => (margin, "margin"),
        (None, Some(margin)) => (margin, "relative_margin"),
        _ => {
            let detail = "a guardrail has a margin or a relative_margin";
            return Err(Mistake::new("no_margin", at, detail));
        }
    };
    if margin > 0.0 && margin < 1.0 {
        return Ok(());
    }
    let detail = format!("{margin} is no margin between 0 and 1");
    Err(Mistake::new(
        "out_of_range",
        format!("{at}/{pointer}"),
        detail,
    ))
}

fn check_name(name: &str, at: &str) -> Result<(), Mistake> {
    if name.trim().is_empty() || name.chars().count() > MAX_FUNNEL_NAME {
        let detail = format!("a name has 1 to {MAX_FUNNEL_NAME} characters");
        return Err(Mistake::new("bad_name", at, detail));
    }
    Ok(())
}

/// How fine a subject is: a metric is never coarser than the unit of its experiment.
fn fineness(subject: Subject) -> u8 {
    match subject {
        Subject::Company => 0,
        Subject::User | Subject::Anonymous => 1,
        Subject::Session => 2,
        Subject::Journey => 3,
        Subject::Attempt
        | Subject::Connection
        | Subject::Invite
        | Subject::PaymentLink
        | Subject::Application => 4,
    }
}

/// Checks that a (checked) funnel can be measured from exposure on. `unit`: the experiment's, as a subject; `at`: JSON pointer
/// of the funnel.
///
/// # Errors
/// `coarser_subject`, `not_in_experiments`, `limit_exceeded`.
pub fn check_experiment_funnel(
    unit: Subject,
    funnel: &FunnelDefinition,
    at: &str,
) -> Result<(), Mistake> {
    if funnel.subject != unit && fineness(funnel.subject) <= fineness(unit) {
        let detail = format!(
            "the funnel counts each {}, but what is assigned is a {}: a metric is of the unit or of something finer",
            funnel.subject.as_str(),
            unit.as_str()
        );
        return Err(Mistake::new(
            "coarser_subject",
            format!("{at}/subject"),
            detail,
        ));
    }
    let refused = [
        (
            funnel.entries != Entries::Cohort,
            "entries",
            "the clock of an experiment starts at exposure: only cohort entries",
        ),
        (
            funnel.order == Order::Strict,
            "order",
            "exposure is no step, so nothing is strictly next to it: ordered or unordered",
        ),
        (
            funnel.first_pinned,
            "first_pinned",
            "the clock starts at exposure, not at the first step",
        ),
    ];
    if let Some((_, field, detail)) = refused.into_iter().find(|(refused, _, _)| *refused) {
        return Err(Mistake::new(
            "not_in_experiments",
            format!("{at}/{field}"),
            detail,
        ));
    }
    // exposure takes the place of a step
    limit(
        funnel.steps.len(),
        MAX_STEPS - 1,
        "steps",
        &format!("{at}/steps"),
    )
}
