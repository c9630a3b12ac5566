//! What subjects did after a step instead of going on: the ways of those that dropped there, most frequent first.

mod walk;

use std::sync::Arc;

use linkfunnel_model::{Condition, FunnelDefinition, FunnelQuestion, FunnelRef, Range};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Meta, Rate, null};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::funnel::count;
use crate::named::Asked;
use crate::plan::OTHER;
use crate::question::{step_index, within};
use crate::report::rate;
use crate::study::Study;

pub use walk::MAX_PATHS;
pub(crate) use walk::{PathCount, PathLimit, Paths, PathsPlan};

/// Most events of a way that are told.
pub const MAX_PATH_LENGTH: usize = 8;
/// Most ways of an answer before `(other)`.
pub const MAX_PATHS_SHOWN: usize = 1_000;
/// The way of those who did nothing more.
pub const NOTHING: &str = "(nothing)";

/// Asks what the dropped of a step did after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PathsQuestion {
    /// As in the funnel question.
    pub funnel: FunnelRef,
    /// As in the funnel question.
    pub range: Range,
    /// As in the funnel question.
    #[serde(default)]
    pub filters: Vec<Condition>,
    /// Number of the step (from 1) that was the furthest of those asked about. Not the last, not an optional one: nobody
    /// drops there.
    pub step: usize,
    /// Most events of a way: 3 when absent, at most 8. Equal ones in a row count once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// Most ways shown: 20 when absent, at most 1 000; the rest is `(other)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// As in the funnel question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// One event of a way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PathEvent {
    /// Its name.
    pub event: String,
    /// Of the way's subjects, those who did it two times or more in a row.
    pub repeated: u64,
}

/// Subjects that did the same after the step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Path {
    /// The events' names joined by arrows; `(nothing)` for those who did nothing more inside the window, `(other)` for the
    /// ways beyond the limit.
    pub label: String,
    /// The events in order, equal ones in a row once; empty for `(nothing)` and `(other)`.
    pub events: Vec<PathEvent>,
    /// Subjects.
    pub count: u64,
    /// Of the dropped (Wilson 95 %).
    pub share: Rate,
    /// Subjects that did something else after the last event told here.
    pub went_on: u64,
}

/// What the dropped of a step did after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PathsAnswer {
    /// Number of the step, from 1.
    pub step: usize,
    /// Its name.
    pub step_name: String,
    /// Subjects whose window is over and whose furthest step it was: the `dropped` of the funnel's answer. The counts of all
    /// `paths` add up to it.
    pub dropped: u64,
    /// How many different ways there were, those in `(other)` included, `(nothing)` not.
    pub distinct: usize,
    /// Most frequent first, then by name; `(nothing)` and `(other)` last.
    pub paths: Vec<Path>,
    /// Where this comes from.
    pub meta: Meta,
}

impl Engine {
    /// What the dropped of a step did after it, up to the window's end.
    ///
    /// # Errors
    /// As [`Engine::funnel`]; 422 `too_many_paths` past [`MAX_PATHS`] different ways.
    pub async fn paths(&self, tenant: &str, question: PathsQuestion) -> Result<PathsAnswer> {
        let length = within(question.length, 3, MAX_PATH_LENGTH, "/length")?;
        let limit = within(question.limit, 20, MAX_PATHS_SHOWN, "/limit")?;
        let Asked {
            question: asked,
            run,
        } = self.ask(tenant, question.funnel_question()).await?;
        let checked = asked.check()?;
        let step = step(&checked.funnel, question.step)?;
        self.within(self.options().timeout_ms, async {
            let mut prepared = self.prepare(&run, tenant, asked, checked)?;
            let event = prepared.plan.keep_events();
            prepared.plan.study = Some(Study::Paths(PathsPlan {
                step,
                length,
                event,
            }));
            let (plan, mut outcome) = self.run_plan(&run, tenant, prepared.plan).await?;
            let mut meta = self.meta(&run, plan.span.to_us)?;
            count(&mut meta, &mut outcome);
            let dropped = outcome.total.tally.steps[step].dropped;
            let (distinct, paths) = report(outcome.found.paths, limit, dropped);
            Ok(PathsAnswer {
                step: question.step,
                step_name: prepared.checked.funnel.steps[step].name.clone(),
                dropped,
                distinct,
                paths,
                meta,
            })
        })
        .await
    }
}

impl PathsQuestion {
    fn funnel_question(&self) -> FunnelQuestion {
        FunnelQuestion {
            filters: self.filters.clone(),
            as_of: self.as_of.clone(),
            ..FunnelQuestion::of(self.funnel.clone(), self.range.clone())
        }
    }
}

/// The index of a step at which somebody can drop.
fn step(definition: &FunnelDefinition, number: usize) -> Result<usize> {
    let step = step_index(definition, number, "/step")?;
    let refuse = |detail| Err(Error::refused("nobody_drops_there", "/step", detail));
    if number == definition.steps.len() {
        refuse("who reached the last step has converted")
    } else if definition.steps[step].optional {
        refuse("nobody drops at an optional step; ask about the required one before it")
    } else {
        Ok(step)
    }
}

fn report(paths: Paths<Arc<str>>, limit: usize, dropped: u64) -> (usize, Vec<Path>) {
    let share = |count| rate(count, dropped, null::NOBODY_ENTERED);
    let apart = |label: &str, count| Path {
        label: label.to_owned(),
        events: Vec::new(),
        count,
        share: share(count),
        went_on: 0,
    };
    let mut ways: Vec<(Box<[Arc<str>]>, PathCount)> = paths.counts.into_iter().collect();
    ways.sort_by(|(a, x), (b, y)| y.subjects.cmp(&x.subjects).then_with(|| a.cmp(b)));
    let nothing = ways.iter().position(|(stops, _)| stops.is_empty());
    let nothing = nothing.map(|at| ways.remove(at).1.subjects);
    let distinct = ways.len();
    let beyond: u64 = ways.iter().skip(limit).map(|(_, n)| n.subjects).sum();
    let in_words = |(stops, count): &(Box<[Arc<str>]>, PathCount)| Path {
        label: stops.join(" → "),
        events: stops
            .iter()
            .zip(&count.repeated)
            .map(|(event, repeated)| PathEvent {
                event: event.to_string(),
                repeated: *repeated,
            })
            .collect(),
        count: count.subjects,
        share: share(count.subjects),
        went_on: count.went_on,
    };
    let mut shown: Vec<Path> = ways.iter().take(limit).map(in_words).collect();
    shown.extend(nothing.map(|count| apart(NOTHING, count)));
    shown.extend((beyond > 0).then(|| apart(OTHER, beyond)));
    (distinct, shown)
}
