//! Which entry speaks for a subject, in one walk over its rows (rules 6–9, 12, 14, 15).
//!
//! **Why one walk is exact** when no step has a gap. Let the clock start at the first step-1 event. A chain of a later
//! entry stays a chain when its first event is replaced by the clock's, so the clock's entry gets as far, as early, as
//! any begun inside its window. Reaching more steps by some instant is never worse than reaching fewer, and events of
//! later instants are all unused, so taking each step as early as it can be taken gives the furthest reach, the earliest
//! completion and the earliest time at each step, all at once. Only inside an instant is there a choice: which event
//! serves which step ([`crate::matching`]). Steps with gaps break this (a later entry may do better) and are matched by
//! [`crate::gaps`].
//!
//! Cost: linear in rows; a row that does not match the next step costs one test. Instants with several events that match
//! cost a small matching.

use crate::entry::{Chain, Clock, Entry, Scratch};
use crate::matching::Matching;
use crate::optional::reach_optional;
use crate::{Entries, MAX_OUTCOMES, Row, Rules, Span, State, Ties, gaps};

/// The entry that speaks for the subject whose `rows` these are, ordered by time; None if no step-1 event lies in the range
/// (the caller counts it as without entry).
///
/// Under [`crate::Entries::All`] this is the first of several: see [`speak_all`].
pub fn speak<'s>(
    rules: &Rules,
    rows: &[Row],
    span: &Span,
    scratch: &'s mut Scratch,
) -> Option<Entry<'s>> {
    debug_assert!(
        rows.is_sorted_by_key(|row| row.at_us),
        "rows come in the order of time"
    );
    let clock = next_clock(rules, rows, span, 0)?;
    speak_from(rules, rows, span, clock, scratch)
}

/// Every entry that counts by the rules' [`Entries`], in order of time: one at most under `Cohort`; under `All` the
/// next begins at the first step-1 event strictly later than the conversion or the window's end of the one before.
/// Returns how many there were.
pub fn speak_all(
    rules: &Rules,
    rows: &[Row],
    span: &Span,
    scratch: &mut Scratch,
    mut each: impl FnMut(Entry<'_>),
) -> u64 {
    let mut begun = 0;
    let mut passed = 0;
    while let Some(clock) = next_clock(rules, rows, span, passed)
        && let Some(entry) = speak_from(rules, rows, span, clock, scratch)
    {
        begun += 1;
        let end_us = match entry.state {
            State::Converted => entry
                .time_us(entry.furthest)
                .expect("the last step was reached"),
            State::Dropped | State::Open => rules.last_us(entry.clock.us),
        };
        passed = entry.clock.row;
        passed += rows[passed..].partition_point(|row| row.at_us <= end_us);
        each(entry);
        if rules.entries() == Entries::Cohort {
            break;
        }
    }
    begun
}

/// The clock started by the first step-1 event of the range among `rows[passed..]`.
fn next_clock(rules: &Rules, rows: &[Row], span: &Span, passed: usize) -> Option<Clock> {
    let begins = |row: &Row| row.steps & 1 != 0 && row.at_us >= span.from_us;
    let first = passed + rows[passed..].iter().position(begins)?;
    (rows[first].at_us < span.to_us).then(|| Clock::start(rules, rows, first))
}

fn speak_from<'s>(
    rules: &Rules,
    rows: &[Row],
    span: &Span,
    clock: Clock,
    scratch: &'s mut Scratch,
) -> Option<Entry<'s>> {
    let outcomes_seen = find(
        rules,
        &rows[..clock.window.end],
        clock.window.start,
        scratch,
    )?;
    Some(Entry::judge(
        rules,
        span,
        clock,
        outcomes_seen,
        &scratch.chain,
    ))
}

/// Finds the chain among `rows[first..]`, the rows of one window, and leaves it in the scratch. Gives the outcomes seen
/// there (none looked for if it converts); None if no row begins an entry.
pub(crate) fn find(
    rules: &Rules,
    rows: &[Row],
    first: usize,
    scratch: &mut Scratch,
) -> Option<u32> {
    let Scratch {
        chain,
        matching,
        gaps,
        ..
    } = scratch;
    chain.clear();
    if rules.has_gaps() {
        gaps::walk(rules, rows, first, chain, matching, gaps);
    } else if rules.ties() == Ties::StrictIncrease {
        walk_strict(rules, rows, first, chain);
    } else {
        walk(rules, rows, first, chain, matching);
    }
    if chain.reached == 0 {
        return None;
    }
    if rules.has_optional() {
        reach_optional(rules, rows, first, chain, matching);
    }
    let converted = chain.has(rules.steps().len() - 1);
    if converted || rules.outcomes() == 0 {
        return Some(0);
    }
    let seen = rows[first..]
        .iter()
        .fold(0, |seen, row| seen | row.outcomes);
    Some(seen & u32::MAX >> (MAX_OUTCOMES - rules.outcomes()))
}

/// Takes each required step at its earliest; instants are groups.
fn walk(rules: &Rules, rows: &[Row], first: usize, chain: &mut Chain, matching: &mut Matching) {
    let required = rules.required();
    let mut level = 0;
    let mut done = first;
    while level < required.len() {
        let bit = 1 << required[level];
        let Some(skipped) = rows[done..].iter().position(|row| row.steps & bit != 0) else {
            return;
        };
        let hit = done + skipped;
        let at_us = rows[hit].at_us;
        let alone_before = hit == done || rows[hit - 1].at_us != at_us;
        let alone_after = hit + 1 == rows.len() || rows[hit + 1].at_us != at_us;
        if alone_before && alone_after {
            chain.set(required[level], at_us, hit);
            level += 1;
            done = hit + 1;
        } else {
            let (begin, end) = instant(rows, done, hit);
            level += climb(&required[level..], rows, begin, end, chain, matching);
            done = end;
        }
    }
}

/// As [`walk`], where each next step demands a later time: one step an instant, so no choice anywhere.
fn walk_strict(rules: &Rules, rows: &[Row], first: usize, chain: &mut Chain) {
    let mut done = first;
    for &step in rules.required() {
        let bit = 1 << step;
        let Some(skipped) = rows[done..].iter().position(|row| row.steps & bit != 0) else {
            return;
        };
        let hit = done + skipped;
        chain.set(step, rows[hit].at_us, hit);
        done = instant(rows, hit, hit).1;
    }
}

/// The rows at the instant of row `hit`, looking back no further than `from`.
fn instant(rows: &[Row], from: usize, hit: usize) -> (usize, usize) {
    let at_us = rows[hit].at_us;
    let begin = rows[from..hit]
        .iter()
        .rposition(|row| row.at_us != at_us)
        .map_or(from, |i| from + i + 1);
    let end = rows[hit..]
        .iter()
        .position(|row| row.at_us != at_us)
        .map_or(rows.len(), |i| hit + i);
    (begin, end)
}

/// Climbs as many of `steps`, in turn, as distinct rows of one instant can serve. Returns how many.
fn climb(
    steps: &[usize],
    rows: &[Row],
    begin: usize,
    end: usize,
    chain: &mut Chain,
    matching: &mut Matching,
) -> usize {
    let wanted = steps.iter().fold(0, |mask, &step| mask | 1 << step);
    matching.load(rows, begin, end, wanted);
    let climbed = steps
        .iter()
        .take_while(|&&step| matching.serve(step))
        .count();
    for &step in &steps[..climbed] {
        chain.set(step, rows[begin].at_us, matching.row(step));
    }
    climbed
}
