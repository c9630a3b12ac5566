//! The entry that speaks for a subject, and the buffers it is found with.

use std::ops::Range;

use crate::best::Stands;
use crate::constrained::Instants;
use crate::hold::{discarded_by, held_by};
use crate::holdings::{Filtered, Holdings};
use crate::matching::Matching;
use crate::rules::{MAX_OUTCOMES, MAX_STEPS};
use crate::unordered::Served;
use crate::{Events, Row, Rules, Span};

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
    #[inline]
    pub(crate) fn start(rules: &Rules, rows: &[Row], row: usize) -> Clock {
        let us = rows[row].at_us;
        let mut first = row;
        while first > 0 && rows[first - 1].at_us == us {
            first -= 1;
        }
        let last_us = rules.last_us(us);
        // most windows are longer than what is left of their subject
        let end = match rows.last() {
            Some(last) if last.at_us <= last_us => rows.len(),
            _ => row + rows[row..].partition_point(|r| r.at_us <= last_us),
        };
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

    pub(crate) fn time_us(&self, step: usize) -> Option<i64> {
        self.has(step).then(|| self.times_us[step])
    }
}

impl Default for Chain {
    fn default() -> Chain {
        Chain {
            reached: 0,
            times_us: [0; MAX_STEPS],
            rows: [0; MAX_STEPS],
        }
    }
}

/// Buffers of the matcher, to be kept and handed to every call: once they are warm nothing is allocated.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    pub(crate) chain: Chain,
    pub(crate) matching: Matching,
    pub(crate) instants: Instants,
    pub(crate) stands: Stands,
    pub(crate) served: Served,
    pub(crate) holdings: Holdings,
    /// The rows under one chosen value.
    pub(crate) chosen: Filtered,
    /// The rows that fit one holding, and the best chain of the holdings before.
    pub(crate) held: Filtered,
    pub(crate) best: Chain,
}

/// When a subject's entries of the range began, µs since the epoch: what its state and maturity go by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) first_us: i64,
    pub(crate) last_us: i64,
}

impl Begun {
    /// The one entry that began then.
    pub(crate) fn at(clock_us: i64) -> Begun {
        Begun {
            first_us: clock_us,
            last_us: clock_us,
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
    /// Whether its window is over, converted or not: watermark ≥ clock's start + window (rule 16). Under
    /// [`crate::Entries::Best`] that of the subject's first entry.
    pub matured: bool,
    /// How long the watermark has followed the clock that maturity goes by, µs, at most the window. None: the watermark is
    /// before its start.
    pub followed_us: Option<u64>,
    /// Index of the furthest *required* step reached: where a dropped or open subject stands.
    pub furthest: usize,
    /// The first listed outcome inside the window, of an entry that did not convert (rule 15).
    pub outcome: Option<usize>,
    /// The last row that says why, inside the window and not before the furthest step, of an entry that did not convert
    /// (rule 20): an index into the rows given. At the very instant of that step an event that takes it does not say why.
    pub reason: Option<usize>,
    /// An excluded event makes that the entry does not count ([`crate::OnExclude::DiscardSubject`]).
    pub discarded: bool,
    /// That event's row, and which exclusion names it.
    pub(crate) discarded_by: Option<(usize, usize)>,
    chain: &'s Chain,
}

impl<'s> Entry<'s> {
    /// Judges a finished chain, which holds step 0 at least and was chosen from the rows that fit.
    #[inline]
    pub(crate) fn judge(
        rules: &Rules,
        events: Events<'_>,
        fits: impl Fn(usize) -> bool + Copy,
        span: &Span,
        clock: Clock,
        begun: Begun,
        chain: &'s Chain,
    ) -> Entry<'s> {
        let furthest = (chain.reached & rules.required_mask()).ilog2() as usize;
        let followed_us = followed_us(rules, span, begun.first_us);
        let over = |followed_us| followed_us == Some(rules.window_us().unsigned_abs());
        let matured = over(followed_us);
        let is_over = matured && over(self::followed_us(rules, span, begun.last_us));
        let state = match (furthest + 1 == rules.steps().len(), is_over) {
            (true, _) => State::Converted,
            (false, true) => State::Dropped,
            (false, false) => State::Open,
        };
        let window = clock.window.clone();
        let inside = window.filter(|&row| fits(row));
        let rows = || inside.clone().map(|row| (row, &events.rows[row]));
        let (outcome, reason) = match state {
            State::Converted => (None, None),
            State::Dropped | State::Open => {
                (outcome(rules, rows()), reason(chain, furthest, rows()))
            }
        };
        let held = held_by(rules, events, chain);
        let discarded_by = discarded_by(rules, events, chain, &held, inside);
        Entry {
            clock,
            state,
            matured,
            followed_us,
            furthest,
            outcome,
            reason,
            discarded: discarded_by.is_some(),
            discarded_by,
            chain,
        }
    }

    /// The steps reached: bit i for step i. Required steps are reached without a hole up to [`Entry::furthest`].
    pub fn reached(&self) -> u64 {
        self.chain.reached
    }

    /// When `step` was reached, µs since the epoch.
    pub fn time_us(&self, step: usize) -> Option<i64> {
        self.chain.time_us(step)
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

#[inline]
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

/// The first listed outcome that occurred.
#[inline]
fn outcome<'r>(rules: &Rules, inside: impl Iterator<Item = (usize, &'r Row)>) -> Option<usize> {
    if rules.outcomes() == 0 {
        return None;
    }
    let seen = inside.fold(0, |seen, (_, row)| seen | row.outcomes)
        & u32::MAX >> (MAX_OUTCOMES - rules.outcomes());
    (seen != 0).then(|| seen.trailing_zeros() as usize)
}

/// The last row that says why, not before the furthest step.
#[inline]
fn reason<'r>(
    chain: &Chain,
    furthest: usize,
    inside: impl DoubleEndedIterator<Item = (usize, &'r Row)>,
) -> Option<usize> {
    let at_us = chain.times_us[furthest];
    let is_step = |row: &Row| row.at_us == at_us && row.steps >> furthest & 1 == 1;
    inside
        .rev()
        .take_while(|(_, row)| row.at_us >= at_us)
        .find(|(_, row)| row.is_reason && !is_step(row))
        .map(|(at, _)| at)
}
