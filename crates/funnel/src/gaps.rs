//! Steps with a least or greatest gap from the previous required step (rule 9), matched exactly.
//!
//! With gaps neither an earlier nor a later state dominates: reaching a step later may be what lets the next one fit. So
//! two passes over the instants of the window that hold required steps:
//!
//! - **forth**: at which instants each step can be reached by some chain, and at which it can be *begun*, that is be
//!   reached first in its instant, from an earlier one. From a beginning, steps in turn are climbed inside the instant as
//!   far as distinct events serve them and no least gap forbids it;
//! - **back**: the furthest step, and its earliest instant, are the goal; which beginnings can lead there.
//!
//! Then the chain is read forth through those: the earliest entry, staying in an instant as long as the goal allows (no
//! later time can be earlier), then the earliest next beginning. That is the furthest, then earliest completion, then
//! earliest entry, then the earliest time at each step in turn (rule 14).
//!
//! Any step-1 event inside the clock's window begins an entry, also after the range's end: rates would depend on the length
//! of the range otherwise.
//!
//! Cost: each (instant, step it holds) is looked at once in each pass, with a binary search; memory for as many beginnings.

use crate::entry::Chain;
use crate::matching::Matching;
use crate::{Row, Rules, Ties};

/// One instant of the window.
#[derive(Debug, Clone, Copy)]
struct Instant {
    at_us: i64,
    begin: usize,
    end: usize,
}

/// Lists by level (index into the required steps), of instants by their index, ascending.
type Levels = Vec<Vec<usize>>;

/// Reused lists of the two passes.
#[derive(Debug, Clone, Default)]
pub(crate) struct GapBuffers {
    instants: Vec<Instant>,
    /// Where a level can be reached.
    reached: Levels,
    /// Where a level can be begun.
    begun: Levels,
    /// Where beginning a level can lead to the goal.
    leads: Levels,
}

impl GapBuffers {
    fn clear(&mut self, levels: usize) {
        self.instants.clear();
        for lists in [&mut self.reached, &mut self.begun, &mut self.leads] {
            lists.resize_with(lists.len().max(levels), Vec::new);
            lists.iter_mut().for_each(Vec::clear);
        }
    }
}

/// The goal of a chain: the furthest level, and its earliest instant.
#[derive(Debug, Clone, Copy)]
struct Goal {
    level: usize,
    instant: usize,
}

/// Finds the chain of required steps among `rows[first..]`, the rows of one window.
pub(crate) fn walk(
    rules: &Rules,
    rows: &[Row],
    first: usize,
    chain: &mut Chain,
    matching: &mut Matching,
    buffers: &mut GapBuffers,
) {
    buffers.clear(rules.required().len());
    list_instants(rules, rows, first, &mut buffers.instants);
    forth(rules, rows, matching, buffers);
    let furthest = (0..rules.required().len()).rfind(|&level| !buffers.reached[level].is_empty());
    let Some(level) = furthest else {
        return;
    };
    let goal = Goal {
        level,
        instant: buffers.reached[level][0],
    };
    back(rules, rows, matching, buffers, goal);
    read(rules, rows, chain, matching, buffers, goal);
}

fn list_instants(rules: &Rules, rows: &[Row], first: usize, instants: &mut Vec<Instant>) {
    let mut begin = first;
    for group in rows[first..].chunk_by(|a, b| a.at_us == b.at_us) {
        let end = begin + group.len();
        if group
            .iter()
            .any(|row| row.steps & rules.required_mask() != 0)
        {
            instants.push(Instant {
                at_us: group[0].at_us,
                begin,
                end,
            });
        }
        begin = end;
    }
}

fn forth(rules: &Rules, rows: &[Row], matching: &mut Matching, buffers: &mut GapBuffers) {
    let GapBuffers {
        instants,
        reached,
        begun,
        ..
    } = buffers;
    for (index, instant) in instants.iter().enumerate() {
        let mut reached_here = 0_u64;
        for level in 0..rules.required().len() {
            let can_begin =
                level == 0 || earlier(rules, instants, &reached[level - 1], level, instant.at_us);
            if !can_begin {
                continue;
            }
            let climbed = climb(rules, rows, matching, instant, level);
            if climbed > 0 {
                begun[level].push(index);
                reached_here |= (level..level + climbed).fold(0, |mask, l| mask | 1 << l);
            }
        }
        // Only now: what is reached in an instant begins nothing in the same one.
        while reached_here != 0 {
            reached[reached_here.trailing_zeros() as usize].push(index);
            reached_here &= reached_here - 1;
        }
    }
}

fn back(
    rules: &Rules,
    rows: &[Row],
    matching: &mut Matching,
    buffers: &mut GapBuffers,
    goal: Goal,
) {
    let GapBuffers {
        instants,
        begun,
        leads,
        ..
    } = buffers;
    for level in (0..=goal.level).rev() {
        for &index in begun[level]
            .iter()
            .take_while(|&&index| index <= goal.instant)
        {
            let climbed = climb(rules, rows, matching, &instants[index], level);
            if last_useful(rules, instants, leads, index, level, climbed, goal).is_some() {
                leads[level].push(index);
            }
        }
    }
}

fn read(
    rules: &Rules,
    rows: &[Row],
    chain: &mut Chain,
    matching: &mut Matching,
    buffers: &GapBuffers,
    goal: Goal,
) {
    let GapBuffers {
        instants, leads, ..
    } = buffers;
    let (mut index, mut level) = (leads[0][0], 0);
    loop {
        let climbed = climb(rules, rows, matching, &instants[index], level);
        let last = last_useful(rules, instants, leads, index, level, climbed, goal)
            .expect("only beginnings that lead to the goal are followed");
        for &step in &rules.required()[level..=last] {
            chain.set(step, instants[index].at_us, matching.row(step));
        }
        if last == goal.level {
            return;
        }
        level = last + 1;
        index = later(rules, instants, &leads[level], level, instants[index].at_us)
            .expect("the last useful level is one that goes on");
    }
}

/// Of the levels climbed from a beginning, the last from which the goal can be met. None: none.
fn last_useful(
    rules: &Rules,
    instants: &[Instant],
    leads: &Levels,
    index: usize,
    level: usize,
    climbed: usize,
    goal: Goal,
) -> Option<usize> {
    (level..level + climbed)
        .rev()
        .filter(|&last| last <= goal.level)
        .find(|&last| {
            if last == goal.level {
                return index == goal.instant;
            }
            later(
                rules,
                instants,
                &leads[last + 1],
                last + 1,
                instants[index].at_us,
            )
            .is_some()
        })
}

/// How many levels, from `level` on, distinct events of one instant can serve.
fn climb(
    rules: &Rules,
    rows: &[Row],
    matching: &mut Matching,
    instant: &Instant,
    level: usize,
) -> usize {
    let first_bit = 1 << rules.required()[level];
    if rows[instant.begin..instant.end]
        .iter()
        .all(|row| row.steps & first_bit == 0)
    {
        return 0;
    }
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

/// Whether some instant of `list` lies before `at_us`, by the gaps of `level`.
fn earlier(rules: &Rules, instants: &[Instant], list: &[usize], level: usize, at_us: i64) -> bool {
    let (min, max) = gaps_us(rules, level);
    let near = list.partition_point(|&i| at_us.abs_diff(instants[i].at_us) >= min);
    near > 0 && at_us.abs_diff(instants[list[near - 1]].at_us) <= max
}

/// The first instant of `list` that lies after `at_us`, by the gaps of `level`.
fn later(
    rules: &Rules,
    instants: &[Instant],
    list: &[usize],
    level: usize,
    at_us: i64,
) -> Option<usize> {
    let (min, max) = gaps_us(rules, level);
    let too_near =
        |&i: &usize| instants[i].at_us <= at_us || instants[i].at_us.abs_diff(at_us) < min;
    let index = *list.get(list.partition_point(too_near))?;
    (instants[index].at_us.abs_diff(at_us) <= max).then_some(index)
}

/// Least and greatest gap before a level, µs.
fn gaps_us(rules: &Rules, level: usize) -> (u64, u64) {
    let rule = rules.steps()[rules.required()[level]];
    (
        rule.min_gap_us.unwrap_or(0).unsigned_abs(),
        rule.max_gap_us.map_or(u64::MAX, i64::unsigned_abs),
    )
}
