//! Which entry speaks for a subject, in one walk over its rows (rules 6–15).
//!
//! **Why one walk is exact** when nothing constrains two consecutive steps but their order. Let the clock start at the first
//! step-1 event. A chain of a later entry stays a chain when its first event is replaced by the clock's, so the clock's entry
//! gets as far, as early, as any begun inside its window. Reaching more steps by some instant is never worse than reaching
//! fewer, and events of later instants are all unused, so taking each step as early as it can be taken gives the furthest
//! reach, the earliest completion and the earliest time at each step, all at once. Only inside an instant is there a choice:
//! which event serves which step ([`crate::matching`]). Gaps, strict order and exclusions break this (a later entry may do
//! better) and are matched by [`crate::constrained`]; free order by [`crate::unordered`]; `best` finds the one window that
//! counts first ([`crate::best`]); held fields search under each holding ([`crate::hold`]).
//!
//! Cost: linear in rows; a row that does not match the next step costs one test. Instants with several events that match
//! cost a small matching.

use std::ops::Range;
use std::sync::Arc;

use crate::entry::{Begun, Chain, Clock, Entry, Scratch};
use crate::hold::find_held;
use crate::matching::Matching;
use crate::optional::reach_optional;
use crate::{
    Entries, Events, Order, Row, Rules, Span, State, Ties, TooManyHoldings, best, constrained,
    unordered,
};

/// The entry that speaks for the subject whose `events` these are, ordered by time; None if no entry begins in the range
/// (the caller counts it as without entry).
///
/// Under [`crate::Entries::All`] this is the first of several: see [`speak_all`].
///
/// # Errors
/// [`TooManyHoldings`], only where fields are held constant.
#[inline]
pub fn speak<'s, 'e>(
    rules: &Rules,
    events: impl Into<Events<'e>>,
    span: &Span,
    scratch: &'s mut Scratch,
) -> Result<Option<Entry<'s>>, TooManyHoldings> {
    let events = events.into();
    debug_assert!(
        events.rows.is_sorted_by_key(|row| row.at_us),
        "rows come in the order of time"
    );
    if rules.entries() == Entries::Best {
        return speak_best(rules, events, span, scratch);
    }
    match next_clock(rules, events.rows, span, 0) {
        Some(clock) => speak_from(rules, events, span, clock, scratch),
        None => Ok(None),
    }
}

/// The clock of the subject's first entry of the range; None if none begins there.
#[inline]
pub fn first_clock(rules: &Rules, rows: &[Row], span: &Span) -> Option<Clock> {
    next_clock(rules, rows, span, 0)
}

/// Every entry that counts by the rules' [`Entries`], in order of time: one at most under `Cohort` and `Best`; under `All` the
/// next begins at the first step-1 event strictly later than the conversion or the window's end of the one before.
/// Returns how many there were.
///
/// # Errors
/// As [`speak`].
pub fn speak_all<'e>(
    rules: &Rules,
    events: impl Into<Events<'e>>,
    span: &Span,
    scratch: &mut Scratch,
    each: impl FnMut(Entry<'_>),
) -> Result<u64, TooManyHoldings> {
    speak_all_by(rules, &mut |_| None, events, span, scratch, each)
}

/// The rules of the entries of one clock where they differ from the question's ([`Rules::bypassing`]). Under [`Entries::Best`],
/// where any entry may win, it is asked once, with the clock of the first.
pub type RulesOf<'r> = dyn FnMut(&Clock) -> Option<Arc<Rules>> + 'r;

/// As [`speak_all`], where entries may have rules of their own.
///
/// # Errors
/// As [`speak`].
pub fn speak_all_by<'e>(
    rules: &Rules,
    rules_of: &mut RulesOf<'_>,
    events: impl Into<Events<'e>>,
    span: &Span,
    scratch: &mut Scratch,
    mut each: impl FnMut(Entry<'_>),
) -> Result<u64, TooManyHoldings> {
    let events = events.into();
    let (mut begun, mut passed) = (0, 0);
    while let Some(clock) = next_clock(rules, events.rows, span, passed) {
        let own = rules_of(&clock);
        let rules = own.as_deref().unwrap_or(rules);
        let Some(entry) = speak_again(rules, events, span, &clock, scratch)? else {
            break;
        };
        begun += 1;
        let end_us = entry_end_us(rules, &entry);
        passed = entry.clock.row;
        passed += events.rows[passed..].partition_point(|row| row.at_us <= end_us);
        each(entry);
        if rules.entries() != Entries::All {
            break;
        }
    }
    Ok(begun)
}

/// When an entry is over for the next to begin: its conversion, else the end of its window.
fn entry_end_us(rules: &Rules, entry: &Entry<'_>) -> i64 {
    match entry.state {
        State::Converted => entry
            .time_us(entry.furthest)
            .expect("the last step was reached"),
        State::Dropped | State::Open => rules.last_us(entry.clock.us),
    }
}

/// The clock started by the first event of the range among `rows[passed..]` that begins an entry.
#[inline]
fn next_clock(rules: &Rules, rows: &[Row], span: &Span, passed: usize) -> Option<Clock> {
    let begins = |row: &Row| row.steps & rules.begins() != 0 && row.at_us >= span.from_us;
    let first = passed + rows[passed..].iter().position(begins)?;
    (rows[first].at_us < span.to_us).then(|| Clock::start(rules, rows, first))
}

/// The entry under a clock that [`speak`] or [`speak_all`] gave, once more. Under [`Entries::Best`] the one that [`speak`]
/// gives.
///
/// # Errors
/// As [`speak`].
#[inline]
pub fn speak_again<'s, 'e>(
    rules: &Rules,
    events: impl Into<Events<'e>>,
    span: &Span,
    clock: &Clock,
    scratch: &'s mut Scratch,
) -> Result<Option<Entry<'s>>, TooManyHoldings> {
    match rules.entries() {
        Entries::Best => speak_best(rules, events.into(), span, scratch),
        _ => speak_from(rules, events.into(), span, clock.clone(), scratch),
    }
}

#[inline]
fn speak_from<'s>(
    rules: &Rules,
    events: Events<'_>,
    span: &Span,
    clock: Clock,
    scratch: &'s mut Scratch,
) -> Result<Option<Entry<'s>>, TooManyHoldings> {
    if !find(rules, events, clock.window.clone(), clock.us, scratch)? {
        return Ok(None);
    }
    let begun = Begun::at(clock.us);
    let chain = &scratch.chain;
    Ok(Some(Entry::judge(
        rules,
        events,
        |_| true,
        span,
        clock,
        begun,
        chain,
    )))
}

/// Finds the chain among the events of one window, whose clock started at `clock_us`, and leaves it in the scratch. False if
/// no event begins an entry.
#[inline]
pub(crate) fn find(
    rules: &Rules,
    events: Events<'_>,
    window: Range<usize>,
    clock_us: i64,
    scratch: &mut Scratch,
) -> Result<bool, TooManyHoldings> {
    let sought = Sought::Window { clock_us };
    if rules.held() == 0 {
        sought.find(rules, &events.rows[..window.end], window.start, scratch);
    } else {
        find_held(rules, events, window, sought, scratch)?;
    }
    Ok(scratch.chain.reached != 0)
}

/// What is looked for among rows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sought<'a> {
    /// The chain of one clock; the rows are those of its window.
    Window { clock_us: i64 },
    /// The best chain of all entries of the range, each inside a window of its own.
    Best(&'a Span),
}

impl Sought<'_> {
    /// Finds the chain among `rows[first..]` and leaves it in the scratch.
    #[inline]
    fn find(self, rules: &Rules, rows: &[Row], first: usize, scratch: &mut Scratch) {
        self.find_required(rules, rows, first, scratch);
        if rules.optional_mask() != 0 {
            self.add_optional(rules, rows, first, scratch);
        }
    }

    /// Finds the required steps of the chain among `rows[first..]`, those of an unordered funnel all, and leaves them in the
    /// scratch.
    #[inline]
    pub(crate) fn find_required(
        self,
        rules: &Rules,
        rows: &[Row],
        first: usize,
        scratch: &mut Scratch,
    ) {
        scratch.chain.clear();
        let is_free = matches!(rules.order(), Order::Unordered { .. });
        let Scratch {
            chain,
            served,
            matching,
            stands,
            ..
        } = scratch;
        match self {
            Sought::Window { clock_us } if is_free => {
                unordered::walk(rules, rows, first, clock_us, chain, served);
            }
            Sought::Best(span) if is_free => unordered::best(rules, rows, span, chain, served),
            Sought::Window { .. } => find_required(rules, rows, first, i64::MAX, scratch),
            Sought::Best(span) => {
                if let Some((last_us, first_us)) =
                    best::completion(rules, rows, span, matching, stands)
                {
                    let first = rows.partition_point(|row| row.at_us < first_us);
                    let end = rows.partition_point(|row| row.at_us <= last_us);
                    find_required(rules, &rows[..end], first, span.to_us, scratch);
                }
            }
        }
    }

    /// Adds the optional steps to the chain, from the rows of the window among `rows[first..]`.
    pub(crate) fn add_optional(
        self,
        rules: &Rules,
        rows: &[Row],
        first: usize,
        scratch: &mut Scratch,
    ) {
        let Scratch {
            chain, matching, ..
        } = scratch;
        if chain.reached == 0 {
            return;
        }
        let window = self.window(rules, rows, first, chain);
        reach_optional(rules, &rows[..window.end], window.start, chain, matching);
    }

    /// The rows inside the window of a chain that was found among `rows[first..]`.
    pub(crate) fn window(
        self,
        rules: &Rules,
        rows: &[Row],
        first: usize,
        chain: &Chain,
    ) -> Range<usize> {
        match self {
            Sought::Window { .. } => first..rows.len(),
            Sought::Best(_) => {
                let clock_us = chain.times_us[0];
                let begin = rows.partition_point(|row| row.at_us < clock_us);
                begin..rows.partition_point(|row| row.at_us <= rules.last_us(clock_us))
            }
        }
    }
}

/// Finds the chain of required steps whose entry begins before `to_us` (told only where a later one may do better).
#[inline]
fn find_required(rules: &Rules, rows: &[Row], first: usize, to_us: i64, scratch: &mut Scratch) {
    let Scratch {
        chain,
        matching,
        instants,
        ..
    } = scratch;
    if rules.is_constrained() {
        constrained::walk(rules, rows, first, to_us, chain, matching, instants);
    } else if rules.ties() == Ties::StrictIncrease {
        walk_strict(rules, rows, first, chain);
    } else {
        walk(rules, rows, first, chain, matching);
    }
}

fn speak_best<'s>(
    rules: &Rules,
    events: Events<'_>,
    span: &Span,
    scratch: &'s mut Scratch,
) -> Result<Option<Entry<'s>>, TooManyHoldings> {
    let Some((row, begun)) = search_best(rules, events, span, scratch)? else {
        return Ok(None);
    };
    let clock = Clock::start(rules, events.rows, row);
    let chain = &scratch.chain;
    Ok(Some(Entry::judge(
        rules,
        events,
        |_| true,
        span,
        clock,
        begun,
        chain,
    )))
}

/// Finds the best chain and leaves it in the scratch. Gives the row that starts its clock, and when the entries of the range
/// began; None if none did.
pub(crate) fn search_best(
    rules: &Rules,
    events: Events<'_>,
    span: &Span,
    scratch: &mut Scratch,
) -> Result<Option<(usize, Begun)>, TooManyHoldings> {
    let rows = events.rows;
    let sought = Sought::Best(span);
    if rules.held() == 0 {
        sought.find(rules, rows, 0, scratch);
    } else {
        let from = rows.partition_point(|row| row.at_us < span.from_us);
        find_held(rules, events, from..rows.len(), sought, scratch)?;
    }
    if scratch.chain.reached == 0 {
        return Ok(None);
    }
    let begins = |row: &Row| {
        row.steps & rules.begins() != 0 && (span.from_us..span.to_us).contains(&row.at_us)
    };
    let clock_us = scratch.chain.times_us[0];
    let starts = |row: &Row| row.at_us == clock_us && begins(row);
    let row = rows.iter().position(starts).expect("an event began it");
    let mut begun = Begun::at(clock_us);
    for row in rows.iter().filter(|row| begins(row)) {
        begun.first_us = begun.first_us.min(row.at_us);
        begun.last_us = begun.last_us.max(row.at_us);
    }
    Ok(Some((row, begun)))
}

/// Takes each required step at its earliest; instants are groups.
fn walk(rules: &Rules, rows: &[Row], first: usize, chain: &mut Chain, matching: &mut Matching) {
    let mut left = rules.required();
    let mut at = first;
    while let [step, others @ ..] = left {
        let Some(row) = rows.get(at) else {
            return;
        };
        if row.steps >> step & 1 == 0 {
            at += 1;
            continue;
        }
        let alone_before = at == first || rows[at - 1].at_us != row.at_us;
        let alone_after = rows.get(at + 1).is_none_or(|next| next.at_us != row.at_us);
        if alone_before && alone_after {
            chain.set(*step, row.at_us, at);
            left = others;
            at += 1;
        } else {
            let (begin, end) = instant(rows, first, at);
            left = &left[climb(left, rows, begin, end, chain, matching)..];
            at = end;
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
