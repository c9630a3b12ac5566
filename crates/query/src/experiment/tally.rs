//! Sufficient statistics of an experiment: integers that merge in any order, by variant, segment and day of exposure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use foldhash::fast::RandomState;
use linkfunnel_stats::{Clusters, Pairs};

use super::ages::Times;
use super::plan::{ExperimentPlan, Measured};
use crate::judge::Labels;
use crate::operator::{MAX_SEGMENTS, SegmentLimit};
use crate::plan::NONE;

/// A unit's values are beyond what sums hold exactly.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the values of a unit, or of all, are too large to be added up exactly (2^40 a unit)")]
pub(crate) struct ValueLimit;

/// What is known of one metric in one group of units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stat {
    /// Of so many units, so many got there.
    Rate { reached: u64, units: u64 },
    /// Of each unit's subjects, so many got there.
    Clusters(Box<Clusters>),
    /// Two numbers a unit: see [`Measured`] for which.
    Pairs(Pairs),
    /// When they got there.
    Times(Box<Times>),
}

impl Stat {
    fn new(measured: Measured) -> Stat {
        match measured {
            Measured::Step(_) => Stat::Rate {
                reached: 0,
                units: 0,
            },
            Measured::Time(_) => Stat::Times(Box::default()),
            Measured::Subjects(_) => Stat::Clusters(Box::default()),
            Measured::Mean(_) | Measured::Ratio(..) | Measured::Cost(_) => {
                Stat::Pairs(Pairs::default())
            }
        }
    }

    /// Memory it may hold, roughly, in bytes.
    fn bytes(&self) -> usize {
        match self {
            Stat::Rate { .. } | Stat::Pairs(_) => 192,
            Stat::Clusters(_) => 4 << 10,
            Stat::Times(_) => 64 << 10,
        }
    }

    pub(crate) fn count(&mut self, got_there: bool) {
        if let Stat::Rate { reached, units } = self {
            *reached += u64::from(got_there);
            *units += 1;
        }
    }

    pub(crate) fn add(&mut self, x: i64, y: i64) -> Result<()> {
        match self {
            Stat::Pairs(pairs) => pairs.add(x, y).map_err(|_| too_large()),
            Stat::Clusters(clusters) => {
                let count = |n: i64| u32::try_from(n).map_err(|_| too_large());
                clusters.add(count(x)?, count(y)?).map_err(|_| too_large())
            }
            Stat::Rate { .. } | Stat::Times(_) => Ok(()),
        }
    }

    pub(crate) fn merge(&mut self, other: &Stat) -> Result<()> {
        match (self, other) {
            (
                Stat::Rate { reached, units },
                Stat::Rate {
                    reached: r,
                    units: u,
                },
            ) => {
                *reached += r;
                *units += u;
            }
            (Stat::Pairs(pairs), Stat::Pairs(more)) => {
                *pairs = pairs.merge(*more).map_err(|_| too_large())?;
            }
            (Stat::Clusters(clusters), Stat::Clusters(more)) => {
                clusters.merge(more).map_err(|_| too_large())?;
            }
            (Stat::Times(times), Stat::Times(more)) => times.merge(more),
            _ => {
                let detail = "statistics of different metrics were merged";
                return Err(DataFusionError::Internal(detail.to_owned()));
            }
        }
        Ok(())
    }
}

fn too_large() -> DataFusionError {
    DataFusionError::External(Box::new(ValueLimit))
}

/// One group of units of one variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Units exposed.
    pub(crate) units: u64,
    /// Those of them whose window is over.
    pub(crate) matured: u64,
    /// Where the funnel counts something finer than the unit: its subjects that entered after exposure, and the matured.
    pub(crate) subjects: u64,
    pub(crate) matured_subjects: u64,
    /// By metric; of all units also by step after them.
    pub(crate) stats: Vec<Stat>,
}

impl Cell {
    fn new(measured: impl Iterator<Item = Measured>) -> Cell {
        Cell {
            units: 0,
            matured: 0,
            subjects: 0,
            matured_subjects: 0,
            stats: measured.map(Stat::new).collect(),
        }
    }

    fn merge(&mut self, other: &Cell) -> Result<()> {
        self.units += other.units;
        self.matured += other.matured;
        self.subjects += other.subjects;
        self.matured_subjects += other.matured_subjects;
        let stats = self.stats.iter_mut().zip(&other.stats);
        stats
            .into_iter()
            .try_for_each(|(stat, more)| stat.merge(more))
    }
}

/// Which units of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Group<W> {
    /// All.
    Total,
    /// Those with this value of the segment field with this index.
    Segment(usize, W),
    /// Those exposed on the day with this index.
    Day(usize),
}

/// Units that are in no variant, or in one in a way that needs saying.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Odd {
    /// Seen in two variants.
    pub(crate) in_two: u64,
    /// Seen in a variant that the definition does not have.
    pub(crate) unknown_variant: u64,
    /// With an assignment.
    pub(crate) assigned: u64,
    /// Exposed without an assignment.
    pub(crate) without_assignment: u64,
    /// At the funnel's last step between the experiment's start and their exposure.
    pub(crate) outcome_before: u64,
    /// Exposed to another variant than one they were assigned to.
    pub(crate) elsewhere: u64,
    /// Taken out by an excluded event: units, or subjects of theirs.
    pub(crate) discarded: u64,
    /// Units seen at all.
    pub(crate) seen: u64,
    /// Units, or subjects of theirs, whose window still runs.
    pub(crate) open: u64,
    /// The first exposure that lies beyond the watermark, µs.
    pub(crate) ahead_us: Option<i64>,
}

/// The earlier of two instants that may not be.
pub(crate) fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

/// All groups of one partition, segments as codes.
#[derive(Debug, Default)]
pub(crate) struct CodedTally {
    cells: Vec<(usize, Group<u32>, Cell)>,
    /// By variant, where its cell of all units and those of days are among the cells.
    of_days: Vec<Vec<Option<usize>>>,
    /// By variant, field and code of a segment, where its cell is.
    of_segments: HashMap<(usize, usize, u32), usize, RandomState>,
    pub(crate) odd: Odd,
}

/// All groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ExperimentTally {
    pub(crate) cells: HashMap<(usize, Group<Arc<str>>), Cell>,
    pub(crate) odd: Odd,
}

impl CodedTally {
    /// The cell of a group, which may be new.
    pub(crate) fn cell(
        &mut self,
        plan: &ExperimentPlan,
        variant: usize,
        group: Group<u32>,
    ) -> &mut Cell {
        let next = self.cells.len();
        let at = match group {
            Group::Segment(field, code) => {
                let known = self.of_segments.entry((variant, field, code));
                *known.or_insert(next)
            }
            Group::Total => *self.of_day(variant, 0).get_or_insert(next),
            Group::Day(day) => *self.of_day(variant, day + 1).get_or_insert(next),
        };
        if at == next {
            let metrics = plan.metrics.iter();
            let steps = plan.steps.iter().filter(|_| group == Group::Total);
            let cell = Cell::new(metrics.chain(steps).copied());
            self.cells.push((variant, group, cell));
        }
        &mut self.cells[at].2
    }

    fn of_day(&mut self, variant: usize, place: usize) -> &mut Option<usize> {
        let all = &mut self.of_days;
        all.resize_with(all.len().max(variant + 1), Vec::new);
        let days = &mut all[variant];
        days.resize(days.len().max(place + 1), None);
        &mut days[place]
    }

    /// Memory held, roughly, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let cells = self.cells.iter();
        cells
            .map(|(_, _, cell)| 128 + cell.stats.iter().map(Stat::bytes).sum::<usize>())
            .sum()
    }
}

impl CodedTally {
    /// The same in words.
    pub(crate) fn in_words(self, labels: &Labels<'_>) -> Result<ExperimentTally> {
        let word = |code: u32| labels.shared(code).unwrap_or_else(|| NONE.into());
        let mut told = ExperimentTally {
            odd: self.odd,
            ..ExperimentTally::default()
        };
        for (variant, group, cell) in self.cells {
            let group = match group {
                Group::Total => Group::Total,
                Group::Segment(field, code) => Group::Segment(field, word(code)),
                Group::Day(day) => Group::Day(day),
            };
            told.take(variant, group, cell)?;
        }
        Ok(told)
    }
}

impl ExperimentTally {
    fn take(&mut self, variant: usize, group: Group<Arc<str>>, cell: Cell) -> Result<()> {
        match self.cells.entry((variant, group)) {
            Entry::Occupied(mut mine) => mine.get_mut().merge(&cell),
            Entry::Vacant(free) => {
                free.insert(cell);
                Ok(())
            }
        }
    }

    /// Adds what another partition found.
    pub(crate) fn merge(&mut self, other: ExperimentTally) -> Result<()> {
        for ((variant, group), cell) in other.cells {
            self.take(variant, group, cell)?;
        }
        let (mine, more) = (&mut self.odd, other.odd);
        mine.in_two += more.in_two;
        mine.unknown_variant += more.unknown_variant;
        mine.assigned += more.assigned;
        mine.without_assignment += more.without_assignment;
        mine.elsewhere += more.elsewhere;
        mine.outcome_before += more.outcome_before;
        mine.discarded += more.discarded;
        mine.seen += more.seen;
        mine.open += more.open;
        mine.ahead_us = earlier(mine.ahead_us, more.ahead_us);
        let is_segment =
            |(_, group): &&(usize, Group<Arc<str>>)| matches!(group, Group::Segment(..));
        if self.cells.keys().filter(is_segment).count() > MAX_SEGMENTS {
            return Err(DataFusionError::External(Box::new(SegmentLimit)));
        }
        Ok(())
    }

    /// A group of a variant; `None` when it has no units.
    pub(crate) fn group(&self, variant: usize, group: &Group<Arc<str>>) -> Option<&Cell> {
        self.cells.get(&(variant, group.clone()))
    }
}
