//! One subject shown instead of counted: all its events, and how each of its entries went (semantics rule 21).
//!
//! The events come to the judge as those of any question do, so whose they are is decided in one place.

use std::sync::Arc;

use datafusion::error::Result;
use linkfunnel_funnel::{Clock, Events, Explanation, explain_by};
use linkfunnel_model::Field;

use crate::judge::{Hit, Judge, Labels, Subject, choice_range, too_many};
use crate::plan::Plan;

/// What is shown of an event, besides its time and what it does in the funnel.
pub(crate) const SHOWN: [Field; 16] = [
    Field::EventId,
    Field::Event,
    Field::CompanyId,
    Field::Category,
    Field::Provider,
    Field::IntegrationKey,
    Field::IntegrationName,
    Field::Surface,
    Field::Medium,
    Field::AuthMethod,
    Field::ReasonClass,
    Field::ReasonCode,
    Field::ReasonVendorCode,
    Field::ReasonAttribution,
    Field::Environment,
    Field::Traffic,
];

/// Which subject is shown.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Key of its id.
    pub(crate) key: i64,
    /// The roots that hold it, no other row is read; `None` while they are not known.
    pub(crate) roots: Option<Vec<i64>>,
    /// By field of [`SHOWN`], its index into the plan's sources; empty while only its roots are looked for.
    pub(crate) sources: Vec<usize>,
}

impl Wanted {
    /// The roots to read; `None`: all.
    pub(crate) fn roots(&self) -> Option<&[i64]> {
        self.roots.as_deref()
    }
}

/// One event of the subject.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) at_us: i64,
    pub(crate) steps: u64,
    pub(crate) outcomes: u32,
    /// Whether it is live and human, so that the funnel sees it.
    pub(crate) is_counted: bool,
    values: Vec<Option<Arc<str>>>,
}

impl Shown {
    /// The value of one of the fields [`SHOWN`].
    pub(crate) fn value(&self, field: Field) -> Option<&str> {
        let place = SHOWN.iter().position(|shown| *shown == field)?;
        self.values[place].as_deref()
    }

    pub(crate) fn text(&self, field: Field) -> Option<String> {
        self.value(field).map(str::to_owned)
    }
}

/// The subject under one root.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) root: i64,
    /// In order of (time, seq, event key).
    pub(crate) events: Vec<Shown>,
    /// Names the events by their place in `events`.
    pub(crate) explanation: Explanation,
}

impl Judge {
    /// Shows the subject if it is the one wanted.
    pub(crate) fn gather(
        &mut self,
        plan: &Plan,
        wanted: &Wanted,
        subject: &Subject<'_>,
        labels: &Labels<'_>,
    ) -> Result<()> {
        if subject.hits[0].subject != wanted.key {
            return Ok(());
        }
        let hits: Vec<Hit> = subject.hits.iter().map(as_counted).collect();
        let subject = &Subject {
            hits: &hits,
            ..*subject
        };
        let (rows, held) = self.load(plan, subject);
        let events = Events {
            rows: &rows,
            held: &held,
        };
        let observer = &mut self.observer;
        let mut rules_of = |clock: &Clock| {
            let range = choice_range(plan, subject, &plan.span, clock);
            observer.rules(labels, subject, range)
        };
        let scratch = &mut self.scratch;
        let explanation = explain_by(&plan.rules, &mut rules_of, events, &plan.span, scratch)
            .map_err(too_many)?;
        let shown = (0..subject.hits.len()).map(|at| {
            let hit = &subject.hits[at];
            let text = |source: &usize| labels.shared(subject.value(at, *source));
            Shown {
                at_us: hit.at_us,
                steps: hit.steps,
                outcomes: hit.outcomes,
                is_counted: hit.is_counted,
                values: wanted.sources.iter().map(text).collect(),
            }
        });
        self.gathered.push(Gathered {
            root: subject.root,
            events: shown.collect(),
            explanation,
        });
        Ok(())
    }
}

/// What the funnel sees of an event: nothing of one that is not live or not human.
fn as_counted(hit: &Hit) -> Hit {
    match hit.is_counted {
        true => *hit,
        false => Hit {
            steps: 0,
            outcomes: 0,
            exclusions: 0,
            in_scope: false,
            is_reason: false,
            is_choice: false,
            ..*hit
        },
    }
}
