//! Optional steps (rule 12): they neither gate nor anchor. The required steps have chosen the chain; an optional step counts
//! as reached when an event the chain has not used matches it between its required neighbours (same instant included), or,
//! when the one after it was not reached, up to the window's end. Optional steps between the same neighbours have no order
//! among themselves, and one event serves one step.
//!
//! Where events of the same instant leave a choice (which of two equal events the chain used, or two optional steps that
//! could share an event) as many optional steps as possible count, earlier steps before later ones, each as early as it can.

use std::ops::Range;

use crate::entry::Chain;
use crate::matching::Matching;
use crate::{Row, Rules};

/// Adds the optional steps to a chain that holds its required ones. `rows[first..]` are the rows of the window.
pub(crate) fn reach_optional(
    rules: &Rules,
    rows: &[Row],
    first: usize,
    chain: &mut Chain,
    matching: &mut Matching,
) {
    let required = chain.reached;
    if !take_earliest(rules, rows, first, chain) {
        chain.reached = required;
        take_matched(rules, rows, first, chain, matching);
    }
}

/// Gives each optional step the first event that matches it. False if an event would serve two steps: then the choice
/// must be made for all of them together.
fn take_earliest(rules: &Rules, rows: &[Row], first: usize, chain: &mut Chain) -> bool {
    for step in optional_steps(rules) {
        let range = between(rules, rows, first, chain, step);
        let bit = 1 << step;
        let Some(skipped) = rows[range.clone()]
            .iter()
            .position(|row| row.steps & bit != 0)
        else {
            continue;
        };
        let row = range.start + skipped;
        let taken =
            (0..rules.steps().len()).any(|other| chain.has(other) && chain.rows[other] == row);
        if taken {
            return false;
        }
        chain.set(step, rows[row].at_us, row);
    }
    true
}

/// Chooses the events of required and optional steps together; the required ones keep their times.
fn take_matched(
    rules: &Rules,
    rows: &[Row],
    first: usize,
    chain: &mut Chain,
    matching: &mut Matching,
) {
    matching.clear();
    let begin = first;
    for (row, r) in (begin..).zip(&rows[begin..]) {
        let mask = may_serve(rules, chain, r);
        if mask != 0 {
            matching.offer(row, r.at_us, mask);
        }
    }
    let required = chain.reached;
    for &step in rules.required() {
        if required >> step & 1 == 1 {
            let served = matching.serve(step);
            debug_assert!(served, "the chain itself serves every required step");
        }
    }
    let mut reached = required;
    for step in optional_steps(rules) {
        if matching.serve(step) {
            reached |= 1 << step;
        }
    }
    for step in optional_steps(rules).filter(|step| reached >> step & 1 == 1) {
        matching.settle(step);
    }
    for step in (0..rules.steps().len()).filter(|step| reached >> step & 1 == 1) {
        let row = matching.row(step);
        chain.set(step, rows[row].at_us, row);
    }
}

/// The steps that `row` could serve: a required one at the time the chain reached it, an optional one between its neighbours.
fn may_serve(rules: &Rules, chain: &Chain, row: &Row) -> u64 {
    let mut mask = 0;
    let mut left = row.steps & (rules.required_mask() | rules.optional_mask());
    while left != 0 {
        let step = left.trailing_zeros() as usize;
        let fits = match rules.optional_mask() >> step & 1 == 1 {
            false => chain.has(step) && chain.times_us[step] == row.at_us,
            true => match neighbours_us(rules, chain, step) {
                Some((after_us, before_us)) => (after_us..=before_us).contains(&row.at_us),
                None => false,
            },
        };
        mask |= u64::from(fits) << step;
        left &= left - 1;
    }
    mask
}

/// The rows an optional step may use.
fn between(rules: &Rules, rows: &[Row], first: usize, chain: &Chain, step: usize) -> Range<usize> {
    match neighbours_us(rules, chain, step) {
        None => first..first,
        Some((after_us, before_us)) => {
            let begin = first + rows[first..].partition_point(|row| row.at_us < after_us);
            begin..begin + rows[begin..].partition_point(|row| row.at_us <= before_us)
        }
    }
}

/// The times of the required neighbours; without the one after it, the end of time (rows end with the window).
fn neighbours_us(rules: &Rules, chain: &Chain, step: usize) -> Option<(i64, i64)> {
    let at = rules
        .required()
        .partition_point(|&required| required < step);
    let (previous, next) = (rules.required()[at - 1], rules.required()[at]);
    let after_us = chain.has(previous).then(|| chain.times_us[previous])?;
    let before_us = if chain.has(next) {
        chain.times_us[next]
    } else {
        i64::MAX
    };
    Some((after_us, before_us))
}

fn optional_steps(rules: &Rules) -> impl Iterator<Item = usize> + '_ {
    (0..rules.steps().len()).filter(|step| rules.optional_mask() >> step & 1 == 1)
}
