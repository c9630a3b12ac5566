//! How each entry of one subject went, and what kept it from going further (rule 21).
//!
//! Nothing is matched here. For an event that takes the step an entry waited for, the matcher is asked again with rules
//! lifted: first all that could stand in its way; if that lets the entry use the event, those of them are put back without
//! which it still does, and the rest is tightened until the matcher says no. What is left is the least change of rules under
//! which the entry goes on, and that change is the explanation ([`Why`]). So an explanation cannot disagree with a number.
//!
//! An entry is asked about alone: no other event begins one, and no other event takes the step that is asked about.
//!
//! Cost: some ten to thirty runs of the matcher over the subject's events for each event that was refused; entries and
//! refused events beyond [`MAX_ENTRIES`] and [`MAX_REFUSED`] are counted only.

use crate::entry::{Begun, Entry};
use crate::speak::{RulesOf, find, speak_again, speak_all_by};
use crate::whatif::{Asked, refused};
use crate::{
    Clock, Entries, Events, Order, Row, Rules, Scratch, Span, State, TooManyHoldings, first_clock,
};

/// Most entries of one subject that are explained; the one that speaks is always among them.
pub const MAX_ENTRIES: usize = 32;

/// Most events of an entry of which it is told why they were refused.
pub const MAX_REFUSED: usize = 8;

/// Every entry of one subject, in order of time. Rows are named by their index in the events given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The entries: under `cohort` those begun inside the clock's window.
    pub entries: Vec<Explained>,
    /// How many more there were than [`MAX_ENTRIES`].
    pub left_out: usize,
}

/// How one entry went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The clock it is judged by: under `cohort` the subject's, else its own.
    pub clock: Clock,
    /// Whether the subject counts as this entry.
    pub speaks: bool,
    /// What it counts as, or would if it spoke.
    pub state: State,
    /// Index of the furthest required step reached.
    pub furthest: usize,
    /// By step, the row it was reached by.
    pub rows: Vec<Option<usize>>,
    /// The steps that its provider cannot show: bit i for step i. Those before the furthest count as bypassed.
    pub unseen: u64,
    /// Last instant at which it can use an event, µs since the epoch, inclusive.
    pub ends_us: i64,
    /// Until when the subject can still convert, µs since the epoch, inclusive; only of an open entry. Under `best` a later
    /// entry's window may run longer than this one's.
    pub open_until_us: Option<i64>,
    /// The last row inside its window.
    pub last: usize,
    /// The first listed outcome inside the window, of an entry that did not convert.
    pub outcome: Option<usize>,
    /// The row that says why it stopped (rule 20).
    pub reason: Option<usize>,
    /// The excluded event that makes that the entry does not count, and which exclusion names it.
    pub discarded_by: Option<(usize, usize)>,
    /// The steps any of which would have taken it further; none of an entry that converted. One, unless the order is free.
    pub waits_for: Vec<usize>,
    /// Events that take such a step and were refused: those after its furthest step in order of time, then those before it,
    /// latest first. Empty: none came at all.
    pub refused: Vec<Refused>,
    /// How many more were refused than [`MAX_REFUSED`].
    pub refused_left_out: usize,
}

/// An event that takes the next step and could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The row.
    pub row: usize,
    /// What refused it: every one of these must be lifted for the entry to go on with it, and nothing else.
    pub why: Vec<Why>,
}

/// A rule that refused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It came after the window had run out.
    AfterWindow {
        /// How long after, µs.
        by_us: u64,
    },
    /// It came too long after the step before it (`max_gap`).
    TooLate {
        /// By how much, µs: so much longer a gap would have let it in.
        by_us: u64,
    },
    /// It came too soon after the step before it (`min_gap`).
    TooEarly {
        /// By how much, µs: so much shorter a gap would have let it in.
        by_us: u64,
    },
    /// It came at the very instant of the step before it, where times must increase.
    SameInstant,
    /// Events stand between it and the step before it that may not be passed over. Without all of them the entry would have
    /// gone on with it; none of them is one too many (where they are at most 64).
    Blocked {
        /// Those events, in order of time.
        by: Vec<Block>,
    },
    /// It has another value of fields that are held constant.
    OtherValue {
        /// Indices of the fields.
        fields: Vec<usize>,
    },
    /// The entry used it for another step already, and one event takes one step.
    Used,
    /// It came before the step that it must follow.
    Before {
        /// How long before the entry's furthest step, µs.
        by_us: u64,
    },
}

/// An event that may not be passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The row.
    pub row: usize,
    /// The exclusion that names it; none: it breaks a strict funnel.
    pub exclusion: Option<usize>,
}

/// Explains every entry of a subject, by the rules that hold for it ([`Rules::bypassing`]). No entries: none begins in the
/// range.
///
/// # Errors
/// As [`crate::speak`].
pub fn explain<'e>(
    rules: &Rules,
    events: impl Into<Events<'e>>,
    span: &Span,
    scratch: &mut Scratch,
) -> Result<Explanation, TooManyHoldings> {
    explain_by(rules, &mut |_| None, events, span, scratch)
}

/// As [`explain`], where the entries of a clock may have rules of their own.
///
/// # Errors
/// As [`crate::speak`].
pub fn explain_by<'e>(
    rules: &Rules,
    rules_of: &mut RulesOf<'_>,
    events: impl Into<Events<'e>>,
    span: &Span,
    scratch: &mut Scratch,
) -> Result<Explanation, TooManyHoldings> {
    let events = events.into();
    if rules.entries() == Entries::All {
        return explain_all(rules, rules_of, events, span, scratch);
    }
    let own = first_clock(rules, events.rows, span).and_then(|clock| rules_of(&clock));
    let rules = own.as_deref().unwrap_or(rules);
    let mut tries = tries(rules, events, span, scratch)?;
    let left_out = keep_some(&mut tries);
    let entries = tries
        .iter()
        .map(|one| explain_one(rules, events, span, one, scratch))
        .collect::<Result<_, _>>()?;
    Ok(Explanation { entries, left_out })
}

/// Explains each of the entries that count, by its own rules.
fn explain_all(
    rules: &Rules,
    rules_of: &mut RulesOf<'_>,
    events: Events<'_>,
    span: &Span,
    scratch: &mut Scratch,
) -> Result<Explanation, TooManyHoldings> {
    let mut tries = Vec::new();
    let each = |entry: Entry<'_>| {
        tries.push(Try {
            row: began(rules, &entry),
            begun: Begun::at(entry.clock.us),
            clock: entry.clock,
            speaks: true,
        });
    };
    speak_all_by(rules, rules_of, events, span, scratch, each)?;
    let left_out = keep_some(&mut tries);
    let mut entries = Vec::with_capacity(tries.len());
    for one in &tries {
        let own = rules_of(&one.clock);
        let rules = own.as_deref().unwrap_or(rules);
        entries.push(explain_one(rules, events, span, one, scratch)?);
    }
    Ok(Explanation { entries, left_out })
}

/// One entry, before it is explained.
struct Try {
    /// The row that begins it.
    row: usize,
    clock: Clock,
    /// Under `best`, when the subject's entries began.
    begun: Begun,
    speaks: bool,
}

/// Keeps as many entries as are explained, the one that speaks among them. Returns how many were left out.
fn keep_some(tries: &mut Vec<Try>) -> usize {
    let count = tries.len();
    if count > MAX_ENTRIES {
        let speaking = tries.iter().position(|one| one.speaks);
        if let Some(place) = speaking.filter(|&place| place >= MAX_ENTRIES) {
            tries.swap(place, MAX_ENTRIES - 1);
        }
        tries.truncate(MAX_ENTRIES);
    }
    count - tries.len()
}

fn tries(
    rules: &Rules,
    events: Events<'_>,
    span: &Span,
    scratch: &mut Scratch,
) -> Result<Vec<Try>, TooManyHoldings> {
    let Some(first) = first_clock(rules, events.rows, span) else {
        return Ok(Vec::new());
    };
    let Some(entry) = speak_again(rules, events, span, &first, scratch)? else {
        return Ok(Vec::new());
    };
    let (row, clock) = (began(rules, &entry), entry.clock);
    let begins = |row: &usize| events.rows[*row].steps & rules.begins() != 0;
    if rules.entries() == Entries::Best {
        return Ok(tries_of_best(rules, events.rows, span, row));
    }
    let mut rows: Vec<usize> = match rules.order() {
        Order::Unordered { .. } => vec![row],
        _ => clock.window.clone().filter(begins).collect(),
    };
    rows.sort_unstable();
    let begun = Begun::at(clock.us);
    let one = |start| Try {
        row: start,
        clock: clock.clone(),
        begun,
        speaks: start == row,
    };
    Ok(rows.into_iter().map(one).collect())
}

/// Under `best`: every row that begins an entry, where the order is free the first of each instant.
fn tries_of_best(rules: &Rules, rows: &[Row], span: &Span, speaking: usize) -> Vec<Try> {
    let begins = |row: &usize| {
        rows[*row].steps & rules.begins() != 0
            && (span.from_us..span.to_us).contains(&rows[*row].at_us)
    };
    let mut starts: Vec<usize> = (0..rows.len()).filter(begins).collect();
    let begun = Begun {
        first_us: rows[starts[0]].at_us,
        last_us: rows[starts[starts.len() - 1]].at_us,
    };
    if let Order::Unordered { .. } = rules.order() {
        starts.dedup_by_key(|row| rows[*row].at_us);
    }
    let one = |row| Try {
        row,
        clock: Clock::start(rules, rows, row),
        begun: match row == speaking {
            true => begun,
            false => Begun::at(rows[row].at_us),
        },
        speaks: row == speaking,
    };
    starts.into_iter().map(one).collect()
}

/// The row that began an entry: the one of its first step; where the order is free, that of its clock.
fn began(rules: &Rules, entry: &Entry<'_>) -> usize {
    match rules.order() {
        Order::Unordered { .. } => entry.clock.row,
        _ => entry.row(0).expect("an entry has its first step"),
    }
}

/// The rows with none but `start` beginning an entry.
fn alone(rules: &Rules, rows: &[Row], start: usize) -> Vec<Row> {
    let mut rows = rows.to_vec();
    if !matches!(rules.order(), Order::Unordered { .. }) {
        for (at, row) in rows.iter_mut().enumerate() {
            row.steps &= if at == start { u64::MAX } else { !1 };
        }
    }
    rows
}

fn explain_one(
    rules: &Rules,
    events: Events<'_>,
    span: &Span,
    one: &Try,
    scratch: &mut Scratch,
) -> Result<Explained, TooManyHoldings> {
    let rows = alone(rules, events.rows, one.row);
    let alone = Events {
        rows: &rows,
        held: events.held,
    };
    let clock = &one.clock;
    // The chain that speaks is read off as it counts; the same steps at the same times, alone or not.
    let given = match one.speaks && rules.entries() != Entries::Best {
        true => events,
        false => alone,
    };
    let window = clock.window.clone();
    let found = find(rules, given, window, clock.us, scratch)?;
    assert!(
        found,
        "an event that begins an entry reaches its first step"
    );
    let chain = &scratch.chain;
    let entry = Entry::judge(
        rules,
        events,
        |_| true,
        span,
        clock.clone(),
        one.begun,
        chain,
    );
    let ends_us = rules.last_us(clock.us);
    let is_open = entry.state == State::Open;
    let last_begun_us = one.begun.last_us;
    let mut told = Explained {
        speaks: one.speaks,
        state: entry.state,
        furthest: entry.furthest,
        rows: (0..rules.steps().len()).map(|s| entry.row(s)).collect(),
        unseen: rules.bypassed(),
        ends_us,
        open_until_us: is_open.then(|| rules.last_us(last_begun_us)),
        last: clock.window.end - 1,
        outcome: entry.outcome,
        reason: entry.reason,
        discarded_by: entry.discarded_by,
        waits_for: Vec::new(),
        refused: Vec::new(),
        refused_left_out: 0,
        clock: entry.clock,
    };
    if told.state != State::Converted {
        let asked = Asked::new(rules, alone, &told);
        refused(&asked, &mut told, scratch)?;
    }
    Ok(told)
}
