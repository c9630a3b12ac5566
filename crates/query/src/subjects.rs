//! The subjects behind a number.

use std::sync::Arc;

use linkfunnel_funnel::Entries;
use linkfunnel_model::Mistake;

use crate::answer::{SubjectItem, SubjectsAnswer};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::funnel::{Prepared, count};
use crate::list::{ListPlan, Listed, Place, Segment};
use crate::named::Asked;
use crate::plan::OTHER;
use crate::question::{Show, SubjectsQuestion, step_index};
use crate::report::{Reporter, rank, shown_labels};
use crate::trend;

/// Most subjects on one page.
pub const MAX_SUBJECTS: usize = 1_000;

impl Engine {
    /// Lists the subjects behind one number of a funnel's answer, page by page. Asked with the
    /// answer's `meta.snapshot` as `as_of`, the list is as long as the number.
    ///
    /// # Errors
    /// As [`Engine::funnel`]; 400 for a bad cursor.
    pub async fn subjects(
        &self,
        tenant: &str,
        question: SubjectsQuestion,
    ) -> Result<SubjectsAnswer> {
        let limit = question.limit.unwrap_or(100);
        if limit == 0 || limit > MAX_SUBJECTS {
            let detail = format!("a page has 1 to {MAX_SUBJECTS} subjects");
            return Err(Error::refused("bad_limit", "/limit", detail));
        }
        let asked = self.ask(tenant, question.funnel_question()).await?;
        let Asked {
            question: asked,
            run,
        } = asked;
        let checked = asked.check().map_err(at_segment)?;
        self.within(self.options().timeout_ms, async {
            let mut prepared = self.prepare(&run, tenant, asked.clone(), checked.clone())?;
            let mut list = list_plan(&question, &prepared, limit)?;
            if question.segment.values().any(|label| label == OTHER) {
                let counted = self.prepare(&run, tenant, asked, checked)?;
                let segments = counted.checked.segments;
                let (plan, outcome) = self.run_plan(&run, tenant, counted.plan).await?;
                list.segment =
                    Segment::NoneOf(shown_labels(&rank(&plan, outcome.groups, segments)));
            }
            // Under `best` an interval of the trend is a question of its own about the entries begun in it.
            if let (Some((from_us, to_us)), Entries::Best) =
                (list.entered_us, prepared.plan.rules.entries())
            {
                let span = &mut prepared.plan.span;
                (span.from_us, span.to_us) = (span.from_us.max(from_us), span.to_us.min(to_us));
            }
            prepared.plan.list = Some(list);
            let (plan, mut outcome) = self.run_plan(&run, tenant, prepared.plan).await?;
            let mut meta = self.meta(&run, plan.span.to_us)?;
            count(&mut meta, &mut outcome);
            let mut page = outcome.listing.page;
            page.sort_unstable_by_key(|item| item.place);
            let more = page.len() > limit;
            page.truncate(limit);
            let kind = plan.id_kind();
            self.fill_names(&run, tenant, kind, &mut page).await?;
            let next_cursor = page.last().filter(|_| more).map(|item| item.place.text());
            let reporter = Reporter {
                plan: &plan,
                definition: &prepared.checked.funnel,
                zone: prepared.checked.span.timezone,
                times: false,
            };
            let subjects = page.iter().map(|item| in_words(&reporter, item)).collect();
            Ok(SubjectsAnswer {
                count: outcome.listing.count,
                subjects,
                next_cursor,
                meta,
            })
        })
        .await
    }
}

/// The segment's keys are checked as the breakdown they stand for.
fn at_segment(mistake: Mistake) -> Error {
    Error::from(mistake).at(|pointer| match pointer {
        "/breakdown/limit" => "/segment_limit".to_owned(),
        other if other.starts_with("/breakdown") => "/segment".to_owned(),
        other => other.to_owned(),
    })
}

fn list_plan(question: &SubjectsQuestion, prepared: &Prepared, limit: usize) -> Result<ListPlan> {
    let definition = &prepared.checked.funnel;
    let step = question.step;
    let step = step.map(|number| step_index(definition, number, "/step"));
    let step = step.transpose()?;
    match (question.show, step) {
        (Show::Reached | Show::Bypassed, None) => {
            let detail = "say which step they reached or got past";
            return Err(Error::refused("missing_step", "/step", detail));
        }
        (Show::Entered | Show::Converted, Some(_)) => {
            let detail = "a step goes with reached, bypassed, dropped or open";
            return Err(Error::refused("step_not_wanted", "/step", detail));
        }
        _ => {}
    }
    let outcome = question.outcome.as_ref().map(|name| {
        definition
            .outcomes
            .iter()
            .position(|o| o.name == *name)
            .ok_or_else(|| {
                let detail = format!("the funnel has no outcome called {name:?}");
                Error::refused("unknown_outcome", "/outcome", detail)
            })
    });
    let entered = question
        .entered
        .as_ref()
        .map(|range| range.check("/entered"))
        .transpose()?;
    Ok(ListPlan {
        show: question.show,
        step,
        outcome: outcome.transpose()?,
        matured: question.matured,
        entered_us: entered.map(|span| (span.from_us, span.to_us)),
        segment: segment(question, prepared),
        after: question.cursor.as_deref().map(Place::parse).transpose()?,
        limit,
    })
}

fn segment(question: &SubjectsQuestion, prepared: &Prepared) -> Segment {
    if question.segment.is_empty() {
        return Segment::Total;
    }
    let dimensions = &prepared.plan.dimensions[..prepared.plan.breakdown];
    Segment::Labels(
        dimensions
            .iter()
            .map(|d| Arc::from(question.segment[&d.name].as_str()))
            .collect(),
    )
}

fn in_words(reporter: &Reporter<'_>, item: &Listed) -> SubjectItem {
    let text = |us| trend::text(us, reporter.zone);
    let definition = reporter.definition;
    SubjectItem {
        id: item.id.clone(),
        kind: reporter.plan.subject.as_str().to_owned(),
        company_id: item.company.clone(),
        entered_at: text(item.clock_us),
        state: item.state_word().to_owned(),
        step: item.furthest + 1,
        step_name: definition.steps[item.furthest].name.clone(),
        step_times: item.times_us.iter().map(|at| at.map(text)).collect(),
        clock_ends_at: text(
            item.clock_us
                .saturating_add(reporter.plan.rules.window_us()),
        ),
        outcome: item.outcome.map(|o| definition.outcomes[o].name.clone()),
        segment: reporter.key(&item.labels),
    }
}

#[cfg(test)]
mod tests {
    use linkfunnel_model::FieldRef;

    use super::*;

    #[test]
    fn mistakes_in_the_segment_point_at_the_segment() {
        let mistake = FieldRef::parse("categry", "/breakdown/by/0").unwrap_err();
        assert_eq!(at_segment(mistake).pointer(), "/segment");
    }
}
