//! Funnels in which reaching a step earlier may be worse than reaching it later, matched exactly: steps with a least or
//! greatest gap from the previous required step (rule 9), strict order (rule 10), exclusions that block (rule 11).
//!
//! All three say the same thing of two consecutive required steps in different instants: the second may lie no nearer than
//! its least gap, no farther than its greatest, and no farther than the first event after the first that may not be passed
//! over. So one pair of passes over the instants of the window serves them all:
//!
//! - **forth**: at which instants each step can be reached by some chain, and at which it can be *begun*, that is be
//!   reached first in its instant, from an earlier one. From a beginning, steps in turn are climbed inside the instant as
//!   far as distinct events serve them and no least gap forbids it; nothing stands between events of one instant;
//! - **back**: the furthest step, and its earliest instant, are the goal; which beginnings can lead there.
//!
//! Then the chain is read forth through those: the earliest entry, staying in an instant as long as the goal allows (no
//! later time can be earlier), then the earliest next beginning. That is the furthest, then earliest completion, then
//! earliest entry, then the earliest time at each step in turn (rule 14).
//!
//! Any step-1 event inside the clock's window begins an entry, also after the range's end: rates would depend on the length
//! of the range otherwise.
//!
//! Cost: linear in the instants times the steps each holds; for an instant of several events a small matching for each of
//! them. Memory: 64 bytes an instant. Where a least gap is asked for, one more walk over the instants for each such step.

use crate::entry::Chain;
use crate::matching::Matching;
use crate::{Row, Rules, Ties};

/// One instant of the window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instant {
    pub(crate) at_us: i64,
    pub(crate) begin: usize,
    pub(crate) end: usize,
    /// The levels its events satisfy.
    pub(crate) levels: u64,
    /// The levels that no chain reaches by passing over it.
    pub(crate) blocks: u64,
    /// The levels that some chain reaches here.
    reached: u64,
    /// The levels that some chain reaches first here, from an earlier instant.
    begun: u64,
    /// Of those, the ones that can lead to the goal.
    leads: u64,
}

/// Reused lists of the passes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Instants {
    list: Vec<Instant>,
    passing: Vec<Passing>,
}

/// The goal of a chain: the furthest level, and its earliest instant.
#[derive(Debug, Clone, Copy)]
struct Goal {
    level: usize,
    instant: usize,
}

/// Finds the chain of required steps among `rows[first..]`, the rows of one window, whose entry begins before `to_us`.
pub(crate) fn walk(
    rules: &Rules,
    rows: &[Row],
    first: usize,
    to_us: i64,
    chain: &mut Chain,
    matching: &mut Matching,
    instants: &mut Instants,
) {
    let Instants { list, passing } = instants;
    list_instants(rules, rows, first, list);
    begin(passing, rules, 0);
    let Some(goal) = forth(rules, rows, to_us, matching, list, passing) else {
        return;
    };
    begin(passing, rules, goal.instant);
    back(rules, rows, matching, list, passing, goal);
    read(rules, rows, chain, matching, list, goal);
}

/// The instants of `rows[first..]` that a chain can use or must not pass over.
pub(crate) fn list_instants(rules: &Rules, rows: &[Row], first: usize, list: &mut Vec<Instant>) {
    list.clear();
    let mut begin = first;
    for group in rows[first..].chunk_by(|a, b| a.at_us == b.at_us) {
        let end = begin + group.len();
        let (levels, blocks) = group.iter().fold((0, 0), |(levels, blocks), row| {
            (levels | rules.levels(row.steps), blocks | rules.blocks(row))
        });
        if levels | blocks != 0 {
            list.push(Instant {
                at_us: group[0].at_us,
                begin,
                end,
                levels,
                blocks,
                reached: 0,
                begun: 0,
                leads: 0,
            });
        }
        begin = end;
    }
}

/// What is known of one level while instants pass by in order.
#[derive(Debug, Clone, Copy, Default)]
struct Passing {
    /// The next instant that may be far enough, by the level's least gap, from the current one.
    next: usize,
    /// The one nearest to the current among those that are, and from which the level can be taken.
    nearest: Option<usize>,
    /// The last instant passed that no chain passes over on the way to the level.
    blocked_us: Option<i64>,
}

fn begin(passing: &mut Vec<Passing>, rules: &Rules, next: usize) {
    passing.clear();
    passing.resize(
        rules.required().len(),
        Passing {
            next,
            ..Passing::default()
        },
    );
}

fn block(passing: &mut [Passing], instant: &Instant) {
    for_each_bit(instant.blocks, |level| {
        passing[level].blocked_us = Some(instant.at_us);
    });
}

fn forth(
    rules: &Rules,
    rows: &[Row],
    to_us: i64,
    matching: &mut Matching,
    list: &mut [Instant],
    passing: &mut [Passing],
) -> Option<Goal> {
    let mut goal: Option<Goal> = None;
    for index in 0..list.len() {
        let instant = list[index];
        let (mut reached, mut begun) = (0_u64, 0_u64);
        for_each_bit(instant.levels, |level| {
            let can_begin = match level {
                0 => instant.at_us < to_us,
                _ => follows(rules, list, &mut passing[level], index, level),
            };
            if can_begin {
                let climbed = climb(rules, rows, matching, &instant, level);
                begun |= 1 << level;
                reached |= levels(level, climbed);
            }
        });
        // Only now: what is reached in an instant begins nothing in the same one.
        (list[index].reached, list[index].begun) = (reached, begun);
        block(passing, &instant);
        let furthest = 63_usize.checked_sub(reached.leading_zeros() as usize);
        if let Some(level) = furthest
            && goal.is_none_or(|goal| level > goal.level)
        {
            goal = Some(Goal {
                level,
                instant: index,
            });
            if level + 1 == rules.required().len() {
                break;
            }
        }
    }
    goal
}

/// Whether the level before `level` was reached at an instant from which `level` can be taken at instant `index`.
fn follows(
    rules: &Rules,
    list: &[Instant],
    passing: &mut Passing,
    index: usize,
    level: usize,
) -> bool {
    let at_us = list[index].at_us;
    let (min_us, max_us) = gaps_us(rules, level);
    while passing.next < index && at_us.abs_diff(list[passing.next].at_us) >= min_us {
        if list[passing.next].reached >> (level - 1) & 1 == 1 {
            passing.nearest = Some(passing.next);
        }
        passing.next += 1;
    }
    passing.nearest.is_some_and(|nearest| {
        let before_us = list[nearest].at_us;
        let is_open = passing
            .blocked_us
            .is_none_or(|blocked_us| blocked_us <= before_us);
        at_us.abs_diff(before_us) <= max_us && is_open
    })
}

fn back(
    rules: &Rules,
    rows: &[Row],
    matching: &mut Matching,
    list: &mut [Instant],
    passing: &mut [Passing],
    goal: Goal,
) {
    for index in (0..=goal.instant).rev() {
        let instant = list[index];
        let mut leads = 0;
        for_each_bit(instant.begun & levels(0, goal.level + 1), |level| {
            let climbed = climb(rules, rows, matching, &instant, level);
            let goes_on = (level..level + climbed)
                .rev()
                .filter(|&last| last <= goal.level)
                .any(|last| match last == goal.level {
                    true => index == goal.instant,
                    false => leads_on(rules, list, &mut passing[last + 1], index, last + 1),
                });
            leads |= u64::from(goes_on) << level;
        });
        list[index].leads = leads;
        block(passing, &instant);
    }
}

/// Whether `level` can be begun, on the way to the goal, after the level before it at instant `index`.
fn leads_on(
    rules: &Rules,
    list: &[Instant],
    passing: &mut Passing,
    index: usize,
    level: usize,
) -> bool {
    let at_us = list[index].at_us;
    let (min_us, max_us) = gaps_us(rules, level);
    while passing.next > index && list[passing.next].at_us.abs_diff(at_us) >= min_us {
        if list[passing.next].leads >> level & 1 == 1 {
            passing.nearest = Some(passing.next);
        }
        passing.next -= 1;
    }
    passing.nearest.is_some_and(|nearest| {
        let after_us = list[nearest].at_us;
        let is_open = passing
            .blocked_us
            .is_none_or(|blocked_us| after_us <= blocked_us);
        after_us.abs_diff(at_us) <= max_us && is_open
    })
}

fn read(
    rules: &Rules,
    rows: &[Row],
    chain: &mut Chain,
    matching: &mut Matching,
    list: &[Instant],
    goal: Goal,
) {
    let first = list.iter().position(|instant| instant.leads & 1 == 1);
    let (mut index, mut level) = (first.expect("a goal was reached from an entry"), 0);
    loop {
        let climbed = climb(rules, rows, matching, &list[index], level);
        let (last, next) = (level..level + climbed)
            .rev()
            .filter(|&last| last <= goal.level)
            .find_map(|last| match last == goal.level {
                true => (index == goal.instant).then_some((last, index)),
                false => Some((last, next_beginning(rules, list, index, last + 1, goal)?)),
            })
            .expect("only beginnings that lead to the goal are followed");
        for &step in &rules.required()[level..=last] {
            chain.set(step, list[index].at_us, matching.row(step));
        }
        if last == goal.level {
            return;
        }
        (level, index) = (last + 1, next);
    }
}

/// The first instant after `index` at which `level` can be begun on the way to the goal.
fn next_beginning(
    rules: &Rules,
    list: &[Instant],
    index: usize,
    level: usize,
    goal: Goal,
) -> Option<usize> {
    let at_us = list[index].at_us;
    let (min_us, max_us) = gaps_us(rules, level);
    for (next, instant) in list
        .iter()
        .enumerate()
        .take(goal.instant + 1)
        .skip(index + 1)
    {
        let gap_us = instant.at_us.abs_diff(at_us);
        if gap_us > max_us {
            return None;
        }
        if gap_us >= min_us && instant.leads >> level & 1 == 1 {
            return Some(next);
        }
        if instant.blocks >> level & 1 == 1 {
            return None;
        }
    }
    None
}

/// How many levels, from `level` on, distinct events of one instant can serve; at least one if it holds `level`.
pub(crate) fn climb(
    rules: &Rules,
    rows: &[Row],
    matching: &mut Matching,
    instant: &Instant,
    level: usize,
) -> usize {
    let steps = match rules.ties() {
        Ties::AnyOrder => &rules.required()[level..],
        Ties::StrictIncrease => &rules.required()[level..=level],
    };
    let wanted = steps.iter().fold(0, |mask, &step| mask | 1 << step);
    matching.load(rows, instant.begin, instant.end, wanted);
    let may_follow = |at: usize| at == 0 || rules.steps()[steps[at]].min_gap_us.unwrap_or(0) == 0;
    (0..steps.len())
        .take_while(|&at| may_follow(at) && matching.serve(steps[at]))
        .count()
}

/// Least and greatest gap before a level, µs.
pub(crate) fn gaps_us(rules: &Rules, level: usize) -> (u64, u64) {
    let rule = rules.steps()[rules.required()[level]];
    (
        rule.min_gap_us.unwrap_or(0).unsigned_abs(),
        rule.max_gap_us.map_or(u64::MAX, i64::unsigned_abs),
    )
}

/// The mask of `count` levels from `level` on.
fn levels(level: usize, count: usize) -> u64 {
    match count {
        0 => 0,
        _ => (u64::MAX >> (64 - count)) << level,
    }
}

/// Calls `each` with every bit set, ascending.
pub(crate) fn for_each_bit(mask: u64, mut each: impl FnMut(usize)) {
    let mut left = mask;
    while left != 0 {
        each(left.trailing_zeros() as usize);
        left &= left - 1;
    }
}
