//! What is asked of judged entries beside the numbers of a funnel, and what was found. Findings are integers and merge in
//! any order.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use linkfunnel_funnel::{Entry, Rules};

use crate::columns::Source;
use crate::drivers::{CodedDrivers, Drivers, DriversPlan};
use crate::effort::{EffortPlan, Facts, Kinds};
use crate::judge::{Labels, Subject};
use crate::paths::{Paths, PathsPlan};

/// What is looked at in every entry.
#[derive(Debug)]
pub(crate) enum Study {
    /// What the dropped did after their furthest step.
    Paths(PathsPlan),
    /// What goes with success.
    Drivers(DriversPlan),
    /// What the way took; counted by segment.
    Effort(EffortPlan),
}

/// An entry that counts in the total, and all there is to see of it.
pub(crate) struct Looked<'l> {
    /// The rules it was found by.
    pub(crate) rules: &'l Rules,
    pub(crate) subject: &'l Subject<'l>,
    /// The value of each of the plan's dimensions that the subject stands under.
    pub(crate) known: &'l [u32],
    pub(crate) entry: &'l Entry<'l>,
}

/// What one partition found, names as codes.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    paths: Paths<u32>,
    drivers: CodedDrivers,
    kinds: Kinds,
}

/// What was found, in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) paths: Paths<Arc<str>>,
    pub(crate) drivers: Drivers,
}

impl Study {
    /// Whether every event of a subject is looked at, also those that no rule of the funnel can use.
    pub(crate) fn reads_every_event(&self) -> bool {
        match self {
            Study::Paths(_) => true,
            Study::Drivers(plan) => plan.events.is_some(),
            Study::Effort(_) => true,
        }
    }

    /// Memory one more segment takes beside its numbers, roughly, in bytes.
    pub(crate) fn group_bytes(&self) -> usize {
        match self {
            Study::Effort(_) => 8 << 10,
            Study::Paths(_) | Study::Drivers(_) => 0,
        }
    }
}

impl Findings {
    /// Looks at an entry.
    pub(crate) fn update(&mut self, study: &Study, of: &Looked<'_>) -> Result<()> {
        match study {
            Study::Paths(plan) => plan
                .update(&mut self.paths, of.subject, of.entry)
                .map_err(limit),
            Study::Drivers(plan) => {
                plan.update(&mut self.drivers, of);
                Ok(())
            }
            Study::Effort(_) => Ok(()),
        }
    }

    /// What the way of a matured entry took, where that is asked.
    pub(crate) fn effort(
        &mut self,
        labels: &Labels<'_>,
        subject: &Subject<'_>,
        entry: &Entry<'_>,
    ) -> Option<Facts> {
        match &labels.plan.study {
            Some(Study::Effort(plan)) => plan.facts(&mut self.kinds, labels, subject, entry),
            _ => None,
        }
    }

    /// Memory held, roughly, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.paths.bytes() + self.drivers.bytes()
    }

    /// The same in words.
    pub(crate) fn in_words(self, labels: &Labels<'_>) -> Result<Found> {
        let every_experiment = |place: usize| match &labels.plan.study {
            Some(Study::Drivers(drivers)) => {
                let source = labels.plan.dimensions[drivers.dimensions[place]].source;
                labels.plan.sources[source] == Source::Experiments
            }
            _ => false,
        };
        Ok(Found {
            paths: self.paths.in_words(labels),
            drivers: self
                .drivers
                .in_words(labels, every_experiment)
                .map_err(limit)?,
        })
    }
}

impl Found {
    /// Adds what another partition found.
    pub(crate) fn merge(&mut self, other: Found) -> Result<()> {
        self.paths.merge(other.paths).map_err(limit)?;
        self.drivers.merge(other.drivers).map_err(limit)
    }
}

fn limit(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
