//! The entry that speaks for a subject, and the buffers it is found with.

use std::ops::Range;

use crate::gaps::GapBuffers;
use crate::matching::Matching;
use crate::rules::MAX_STEPS;
use crate::{Row, Rules, Span};

/// What a subject counts as (rule 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The last step was reached inside the window.
    Converted,
    /// The window is over and the last step was not reached.
    Dropped,
    /// The window still runs: it may still convert.
    Open,
}

/// When a subject's clock started, and what lies inside its window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// The clock's start, µs since the epoch: the first step-1 event of the range.
    pub us: i64,
    /// The row that started it, an index into the rows given: where values "known at entry" are read.
    pub row: usize,
    /// The rows inside the window (both ends inclusive in time), as indices into the rows given. It may begin before
    /// [`Clock::row`], with other events of the same instant.
    pub window: Range<usize>,
}

impl Clock {
    pub(crate) fn start(rules: &Rules, rows: &[Row], row: usize) -> Clock {
        let us = rows[row].at_us;
        let mut first = row;
        while first > 0 && rows[first - 1].at_us == us {
            first -= 1;
        }
        let last_us = rules.last_us(us);
        let end = row + rows[row..].partition_point(|r| r.at_us <= last_us);
        Clock {
            us,
            row,
            window: first..end,
        }
    }
}

/// The steps an entry reached: when, and by which row.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) reached: u64,
    pub(crate) times_us: [i64; MAX_STEPS],
    pub(crate) rows: [usize; MAX_STEPS],
}

impl Chain {
    pub(crate) fn clear(&mut self) {
        self.reached = 0;
    }

    pub(crate) fn set(&mut self, step: usize, at_us: i64, row: usize) {
        self.reached |= 1 << step;
        self.times_us[step] = at_us;
        self.rows[step] = row;
    }

    pub(crate) fn has(&self, step: usize) -> bool {
        self.reached >> step & 1 == 1
    }
}

/// Buffers of the matcher, to be kept and handed to every call: once they are warm nothing is allocated.
#[derive(Debug, Clone)]
pub struct Scratch {
    pub(crate) chain: Chain,
    pub(crate) matching: Matching,
    pub(crate) gaps: GapBuffers,
    /// The rows that fit the value held constant, and where they stood.
    pub(crate) held: Vec<Row>,
    pub(crate) held_from: Vec<usize>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch {
            chain: Chain {
                reached: 0,
                times_us: [0; MAX_STEPS],
                rows: [0; MAX_STEPS],
            },
            matching: Matching::default(),
            gaps: GapBuffers::default(),
            held: Vec::new(),
            held_from: Vec::new(),
        }
    }
}

/// The entry that speaks for a subject. It borrows the scratch it was found with.
#[derive(Debug, Clone)]
pub struct Entry<'s> {
    /// Its clock.
    pub clock: Clock,
    /// What it counts as.
    pub state: State,
    /// Whether its window is over, converted or not: watermark ≥ clock's start + window (rule 16).
    pub matured: bool,
    /// How long the watermark has followed the clock, µs, at most the window. None: the watermark is before the clock's start.
    pub followed_us: Option<u64>,
    /// Index of the furthest *required* step reached: where a dropped or open subject stands.
    pub furthest: usize,
    /// The first listed outcome inside the window, of an entry that did not convert (rule 15).
    pub outcome: Option<usize>,
    chain: &'s Chain,
}

impl<'s> Entry<'s> {
    /// Judges a finished chain. The chain holds step 0 at least.
    pub(crate) fn judge(
        rules: &Rules,
        span: &Span,
        clock: Clock,
        outcomes_seen: u32,
        chain: &'s Chain,
    ) -> Entry<'s> {
        let required = chain.reached & rules.required_mask();
        let furthest = required.ilog2() as usize;
        let followed_us = followed_us(rules, span, clock.us);
        let matured = followed_us == Some(rules.window_us().unsigned_abs());
        let state = match (furthest + 1 == rules.steps().len(), matured) {
            (true, _) => State::Converted,
            (false, true) => State::Dropped,
            (false, false) => State::Open,
        };
        let outcome = (state != State::Converted && outcomes_seen != 0)
            .then(|| outcomes_seen.trailing_zeros() as usize);
        Entry {
            clock,
            state,
            matured,
            followed_us,
            furthest,
            outcome,
            chain,
        }
    }

    /// The steps reached: bit i for step i. Required steps are reached without a hole up to [`Entry::furthest`].
    pub fn reached(&self) -> u64 {
        self.chain.reached
    }

    /// When `step` was reached, µs since the epoch.
    pub fn time_us(&self, step: usize) -> Option<i64> {
        self.chain.has(step).then(|| self.chain.times_us[step])
    }

    /// The row `step` was reached by, an index into the rows given.
    pub fn row(&self, step: usize) -> Option<usize> {
        self.chain.has(step).then(|| self.chain.rows[step])
    }

    /// From the clock's start to `step`, µs; never negative, never above the window.
    pub fn from_entry_us(&self, step: usize) -> Option<u64> {
        self.time_us(step)
            .map(|at_us| at_us.abs_diff(self.clock.us))
    }

    /// From the previous required step to `step`, µs; never negative. None for step 0.
    pub fn from_previous_us(&self, rules: &Rules, step: usize) -> Option<u64> {
        let previous_us = self.time_us(rules.previous_required(step)?)?;
        self.time_us(step).map(|at_us| at_us.abs_diff(previous_us))
    }
}

fn followed_us(rules: &Rules, span: &Span, clock_us: i64) -> Option<u64> {
    let watermark_us = span
        .watermark_us
        .filter(|&watermark_us| watermark_us >= clock_us)?;
    Some(
        watermark_us
            .abs_diff(clock_us)
            .min(rules.window_us().unsigned_abs()),
    )
}
