//! An experiment as one scan sees it: what exposes a unit, what is measured of it.

use crate::trend::Bucket;

/// How the unit of an event is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitOf {
    /// The funnel counts the very thing that is assigned: its subject.
    Subject,
    /// The company that the root is.
    Root,
    /// An id of its own: index into the plan's numbers.
    Number(usize),
}

/// What counts as a unit's entry into the experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Evidence {
    /// That it was exposed.
    Exposed,
    /// That it was assigned, where nothing says who was exposed.
    Assigned,
}

/// How much an event adds to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    /// One.
    One,
    /// A whole number: index into the plan's numbers.
    Whole(usize),
    /// An attribute, times [`ATTR_SCALE`]: index into the plan's sources.
    Attr(usize),
}

/// Attributes are added up as whole numbers of thousandths.
pub(crate) const ATTR_SCALE: u32 = 1_000;

impl Amount {
    /// By what a sum of such amounts is divided.
    pub(crate) fn scale(self) -> u32 {
        match self {
            Amount::One | Amount::Whole(_) => 1,
            Amount::Attr(_) => ATTR_SCALE,
        }
    }
}

/// What is measured of each unit. Steps are indices into the scan's rules, values into [`ExperimentPlan::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measured {
    /// Whether it got to a step.
    Step(usize),
    /// How many of its subjects got to a step, of how many.
    Subjects(usize),
    /// When it got to a step.
    Time(usize),
    /// A value.
    Mean(usize),
    /// Two values, to be divided.
    Ratio(usize, usize),
    /// A value, and whether it got to the last step.
    Cost(usize),
}

/// An experiment as one scan sees it.
#[derive(Debug, Clone)]
pub(crate) struct ExperimentPlan {
    /// When exposures count, µs, half-open.
    pub(crate) start_us: i64,
    pub(crate) end_us: i64,
    pub(crate) watermark_us: Option<i64>,
    pub(crate) unit: UnitOf,
    pub(crate) evidence: Evidence,
    /// Names of the variants, in the definition's order.
    pub(crate) variants: Vec<String>,
    /// Whether a unit seen in two variants counts in its first.
    pub(crate) first_seen: bool,
    /// Whether units whose window still runs are measured too.
    pub(crate) include_open: bool,
    /// Index into the plan's sources of what an event tells of the experiment.
    pub(crate) told: usize,
    /// Indices into the plan's sources of the fields by which the effect is shown apart.
    pub(crate) segments: Vec<usize>,
    /// What the events of a value add; a value is known by its bit in the outcomes of an event.
    pub(crate) values: Vec<Amount>,
    /// Before exposure, µs, a unit's values are summed up beside.
    pub(crate) covariate_us: i64,
    /// Measured of all units, in segments and by day.
    pub(crate) metrics: Vec<Measured>,
    /// Measured of all units.
    pub(crate) steps: Vec<Measured>,
    /// The days of exposure.
    pub(crate) days: Vec<Bucket>,
}

impl ExperimentPlan {
    /// Whether the clock is started by exposure, as if it were a step before the first: where the funnel counts the very
    /// thing that is assigned.
    pub(crate) fn starts_at_exposure(&self) -> bool {
        self.unit == UnitOf::Subject
    }

    /// All that is measured, in the order of [`super::tally::Cell::stats`].
    pub(crate) fn measured(&self) -> impl Iterator<Item = Measured> {
        self.metrics.iter().chain(&self.steps).copied()
    }
}
