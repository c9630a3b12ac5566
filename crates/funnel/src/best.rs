//! Entries `best` (rule 14): any entry of the range, each with a window of its own, may win.
//!
//! One pass over the instants keeps, for each step, the *latest start* of the chains that reach it: of two chains at the same
//! step and instant the one that began later can do whatever the other can. So the furthest step and the first instant at
//! which it is reached inside some entry's window are found in one walk. The entry that speaks lies in the one window that
//! ends there, and is read off as any other is ([`crate::constrained`], [`crate::speak`]).
//!
//! Where gaps or blocking events forbid old predecessors, the latest start among those still allowed is the maximum of a
//! sliding window, kept as a queue of falling starts (amortised constant time an instant).

use std::collections::VecDeque;

use crate::constrained::{Instant, climb, for_each_bit, gaps_us, list_instants};
use crate::matching::Matching;
use crate::{Row, Rules, Span};

/// A level reached at an instant by a chain that began at `start_us`.
#[derive(Debug, Clone, Copy)]
struct Stand {
    at_us: i64,
    start_us: i64,
}

/// The stands on one level from which the next may be taken.
#[derive(Debug, Clone, Default)]
struct Level {
    /// Not yet a least gap old, in order of time.
    young: VecDeque<Stand>,
    /// Those that may be the latest start now or later: times rise, starts fall.
    old: VecDeque<Stand>,
    /// The latest event that may not be passed over on the way to the next level.
    blocked_us: Option<i64>,
}

/// Reused queues.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stands {
    levels: Vec<Level>,
    list: Vec<Instant>,
    /// By level, the latest start of a chain that reaches it at the instant looked at.
    starts: Vec<Option<i64>>,
}

/// Where the best entry completes: the last instant it uses, and the first at which it may have begun, µs since the epoch.
/// None if no row begins an entry in the range.
pub(crate) fn completion(
    rules: &Rules,
    rows: &[Row],
    span: &Span,
    matching: &mut Matching,
    stands: &mut Stands,
) -> Option<(i64, i64)> {
    let from = rows.partition_point(|row| row.at_us < span.from_us);
    list_instants(rules, rows, from, &mut stands.list);
    let count = rules.required().len();
    let Stands {
        list,
        levels,
        starts,
    } = stands;
    levels.resize_with(levels.len().max(count), Level::default);
    for level in &mut levels[..count] {
        level.young.clear();
        level.old.clear();
        level.blocked_us = None;
    }
    let mut best: Option<(usize, i64)> = None;
    for instant in list.iter() {
        starts.clear();
        starts.resize(count, None);
        find_starts(rules, rows, span, instant, matching, levels, starts);
        for (level, start_us) in starts.iter().enumerate() {
            let Some(start_us) = *start_us else { continue };
            let at_us = instant.at_us;
            levels[level].young.push_back(Stand { at_us, start_us });
            if best.is_none_or(|(furthest, _)| level > furthest) {
                best = Some((level, at_us));
            }
        }
        for_each_bit(instant.blocks, |level| {
            // Level 0 begins entries: nothing stands before it.
            if let Some(before) = level.checked_sub(1) {
                levels[before].blocked_us = Some(instant.at_us);
            }
        });
        if best.is_some_and(|(level, _)| level + 1 == rules.required().len()) {
            break;
        }
    }
    best.map(|(_, at_us)| {
        (
            at_us,
            at_us.saturating_sub(rules.window_us()).max(span.from_us),
        )
    })
}

/// Finds, by level, the latest start of a chain that reaches it at this instant.
fn find_starts(
    rules: &Rules,
    rows: &[Row],
    span: &Span,
    instant: &Instant,
    matching: &mut Matching,
    levels: &mut [Level],
    starts: &mut [Option<i64>],
) {
    for_each_bit(instant.levels, |level| {
        let start_us = match level {
            0 => (instant.at_us < span.to_us).then_some(instant.at_us),
            _ => latest_start(rules, &mut levels[level - 1], level, instant.at_us),
        };
        if start_us.is_none() {
            return;
        }
        let climbed = climb(rules, rows, matching, instant, level);
        for start in &mut starts[level..level + climbed] {
            *start = start_us.max(*start);
        }
    });
}

/// The latest start among the stands from which `level` can be taken at `at_us`, still inside its window.
fn latest_start(rules: &Rules, before: &mut Level, level: usize, at_us: i64) -> Option<i64> {
    let (min_us, max_us) = gaps_us(rules, level);
    while let Some(stand) = before.young.front().copied()
        && at_us.abs_diff(stand.at_us) >= min_us
    {
        before.young.pop_front();
        while before
            .old
            .back()
            .is_some_and(|b| b.start_us <= stand.start_us)
        {
            before.old.pop_back();
        }
        before.old.push_back(stand);
    }
    while let Some(stand) = before.old.front()
        && (at_us.abs_diff(stand.at_us) > max_us
            || before
                .blocked_us
                .is_some_and(|blocked_us| stand.at_us < blocked_us))
    {
        before.old.pop_front();
    }
    let window_us = rules.window_us().unsigned_abs();
    before
        .old
        .front()
        .map(|stand| stand.start_us)
        .filter(|start_us| at_us.abs_diff(*start_us) <= window_us)
}
