//! Fields held constant (rule 13): all events of an entry agree on them, and an event that lacks a field agrees with any
//! value. What the events of a chain's required steps say together is what it *holds*; excluded events and events in scope
//! that disagree with that do not stand in its way. What it does not hold excuses nothing, and an optional step neither
//! gates nor anchors (rule 12): its event must agree, and excuses nothing either.
//!
//! A *holding* is one value, or none, for each held field: what events that take steps say together where they agree. The
//! events of any chain fit a holding that is part of no other, so each of those is tried, and the best chain of all speaks.
//!
//! Under a holding the search lets a chain lean on all of it: what disagrees does not exist. That is more than a chain may
//! that holds less, so what is found is at least as good as any chain that fits, and is one if nothing that it leans on is
//! missing from what it holds. Else, branch and bound: a chain that fits either does not hold the field that was leant on
//! (then nothing may lean on it), or has it from its event at some level (then only events that have it serve there). Each
//! is searched again, unless what was found is no better than what is known.

use std::cmp::Ordering;
use std::ops::Range;

use crate::entry::Chain;
use crate::holdings::{Filtered, Holding, Holdings, MAX_SEARCHES, NOTHING, agrees, holding, join};
use crate::rules::{ExclusionRule, MAX_HELD, OnExclude};
use crate::speak::Sought;
use crate::{Events, NO_VALUE, Row, Rules, Scratch, TooManyHoldings};

/// Finds the chain among the events in `range` that speaks under the held fields, and leaves it in the scratch.
pub(crate) fn find_held(
    rules: &Rules,
    events: Events<'_>,
    range: Range<usize>,
    sought: Sought<'_>,
    scratch: &mut Scratch,
) -> Result<(), TooManyHoldings> {
    let mut holdings = std::mem::take(&mut scratch.holdings);
    let mut search = Search {
        rules,
        events,
        range,
        sought,
        filtered: std::mem::take(&mut scratch.held),
        best: std::mem::take(&mut scratch.best),
        is_discarded: false,
        searches: 0,
        scratch,
    };
    search.best.clear();
    let found = search.under_each(&mut holdings);
    let Search { filtered, best, .. } = search;
    scratch.holdings = holdings;
    scratch.held = filtered;
    scratch.best = std::mem::replace(&mut scratch.chain, best);
    found
}

/// What a search supposes of the chain it looks for.
#[derive(Debug, Clone, Copy)]
struct Supposed {
    /// What all its events fit, those of optional steps too.
    whole: Holding,
    /// The part of that which it holds: what disagrees with this does not exist.
    held: Holding,
    /// By field, the level whose event has it, once that is supposed.
    level: [Option<usize>; MAX_HELD],
}

impl Supposed {
    /// Leaves the required steps to rows that may serve them.
    fn leave_required(&self, rules: &Rules, filtered: &mut Filtered) {
        for at in 0..filtered.rows.len() {
            let own = holding(rules, filtered.events(), at);
            if join(&self.whole, &own).is_none() {
                // An optional step it takes is still why it breaks no strict funnel.
                filtered.rows[at].steps &= rules.optional_mask();
            }
            for (field, level) in self.level.iter().enumerate() {
                if let (Some(level), NO_VALUE) = (level, own[field]) {
                    filtered.rows[at].steps &= !(1 << rules.required()[*level]);
                }
            }
        }
    }

    /// Leaves the optional steps to rows that fit the whole holding.
    fn leave_optional(&self, rules: &Rules, filtered: &mut Filtered) {
        for at in 0..filtered.rows.len() {
            if !agrees(rules, filtered.events(), at, &self.whole) {
                filtered.rows[at].steps = 0;
            }
        }
    }
}

/// A search under each holding.
struct Search<'a> {
    rules: &'a Rules,
    events: Events<'a>,
    range: Range<usize>,
    sought: Sought<'a>,
    scratch: &'a mut Scratch,
    filtered: Filtered,
    /// The best chain that was found, and whether an excluded event discards it.
    best: Chain,
    is_discarded: bool,
    searches: usize,
}

impl Search<'_> {
    fn under_each(&mut self, holdings: &mut Holdings) -> Result<(), TooManyHoldings> {
        holdings.find(self.rules, self.events, self.range.clone())?;
        holdings.list.iter().try_for_each(|&whole| {
            self.under(Supposed {
                whole,
                held: whole,
                level: [None; MAX_HELD],
            })
        })
    }

    fn under(&mut self, supposed: Supposed) -> Result<(), TooManyHoldings> {
        self.searches += 1;
        if self.searches > MAX_SEARCHES {
            return Err(TooManyHoldings);
        }
        self.find(&supposed);
        let (rules, chain) = (self.rules, &self.scratch.chain);
        let order = compare(rules, chain, &self.best);
        if order == Ordering::Greater || (order == Ordering::Equal && !self.is_discarded) {
            return Ok(());
        }
        let held = held_by(rules, self.events, chain);
        let leant_on = self.leant_on(&supposed, &held, |row| blocks(rules, chain, row));
        if let Some(field) = leant_on {
            return self.suppose_more(supposed, field);
        }
        let is_discarded = self.is_discarded_holding(&held);
        if order == Ordering::Less || !is_discarded {
            self.best.clone_from(chain);
            self.is_discarded = is_discarded;
        }
        if is_discarded && !self.is_discarded_holding(&supposed.held) {
            let discards = |row: &Row| discards(rules, chain, row).is_some();
            if let Some(field) = self.leant_on(&supposed, &held, discards) {
                return self.suppose_more(supposed, field);
            }
        }
        Ok(())
    }

    /// The rows inside the window of the chain in the scratch.
    fn window(&self) -> Range<usize> {
        let rows = &self.events.rows[..self.range.end];
        let (first, chain) = (self.range.start, &self.scratch.chain);
        self.sought.window(self.rules, rows, first, chain)
    }

    /// Whether the chain in the scratch is discarded if it holds so much.
    fn is_discarded_holding(&self, held: &Holding) -> bool {
        let chain = &self.scratch.chain;
        discarded_by(self.rules, self.events, chain, held, self.window()).is_some()
    }

    /// Finds the best chain of what is supposed, or a better one.
    fn find(&mut self, supposed: &Supposed) {
        let Search {
            rules,
            events,
            range,
            sought,
            scratch,
            filtered,
            ..
        } = self;
        filtered.fill(rules, *events, range.clone(), |row| {
            agrees(rules, *events, row, &supposed.held)
        });
        supposed.leave_required(rules, filtered);
        sought.find_required(rules, &filtered.rows, 0, scratch);
        if rules.optional_mask() != 0 {
            supposed.leave_optional(rules, filtered);
            sought.add_optional(rules, &filtered.rows, 0, scratch);
        }
        filtered.rename(&mut scratch.chain);
    }

    /// A supposed field that the chain does not hold, without which an event would stand in its way.
    fn leant_on(
        &self,
        supposed: &Supposed,
        held: &Holding,
        stands_in_the_way: impl Fn(&Row) -> bool,
    ) -> Option<usize> {
        if join(held, &supposed.held) == Some(*held) {
            return None;
        }
        self.window().find_map(|row| {
            let own = holding(self.rules, self.events, row);
            let is_excused = join(&supposed.held, &own).is_none() && join(held, &own).is_some();
            if !is_excused || !stands_in_the_way(&self.events.rows[row]) {
                return None;
            }
            (0..MAX_HELD).find(|&field| {
                ![own[field], NO_VALUE].contains(&supposed.held[field])
                    && own[field] != NO_VALUE
                    && held[field] == NO_VALUE
            })
        })
    }

    /// Whether some event that takes a level has the supposed value of a field.
    fn tells(&self, supposed: &Supposed, field: usize, level: usize) -> bool {
        let step = self.rules.required()[level];
        self.range.clone().any(|row| {
            self.events.rows[row].steps >> step & 1 == 1
                && holding(self.rules, self.events, row)[field] == supposed.held[field]
        })
    }

    /// Searches again: the chain does not hold the field; or its event at one level has it, each in turn.
    fn suppose_more(&mut self, supposed: Supposed, field: usize) -> Result<(), TooManyHoldings> {
        if supposed.level[field].is_some() {
            // Not even the best gets as far as that level.
            return Ok(());
        }
        let levels = self.rules.levels(self.scratch.chain.reached).count_ones() as usize;
        let mut without = supposed;
        without.held[field] = NO_VALUE;
        self.under(without)?;
        (0..levels).try_for_each(|level| {
            if !self.tells(&supposed, field, level) {
                return Ok(());
            }
            let mut with = supposed;
            with.level[field] = Some(level);
            self.under(with)
        })
    }
}

/// What a chain holds.
#[inline]
pub(crate) fn held_by(rules: &Rules, events: Events<'_>, chain: &Chain) -> Holding {
    if rules.held() == 0 {
        return NOTHING;
    }
    let steps = rules.required().iter().filter(|&&step| chain.has(step));
    steps.fold(NOTHING, |held, &step| {
        let own = holding(rules, events, chain.rows[step]);
        join(&held, &own).expect("the events of a chain agree")
    })
}

/// The first of some rows that makes that an entry with this chain, which holds so much, does not count, and the exclusion
/// that names it.
#[inline]
pub(crate) fn discarded_by(
    rules: &Rules,
    events: Events<'_>,
    chain: &Chain,
    held: &Holding,
    mut rows: impl Iterator<Item = usize>,
) -> Option<(usize, usize)> {
    if rules.spec().on_exclude != OnExclude::DiscardSubject {
        return None;
    }
    rows.find_map(|row| {
        let exclusion = discards(rules, chain, &events.rows[row])?;
        agrees(rules, events, row, held).then_some((row, exclusion))
    })
}

/// The exclusion by which an event discards a chain that it agrees with.
fn discards(rules: &Rules, chain: &Chain, row: &Row) -> Option<usize> {
    let named = |(at, exclusion): (usize, &ExclusionRule)| {
        row.exclusions >> at & 1 == 1
            && chain
                .time_us(exclusion.after)
                .is_some_and(|us| us < row.at_us)
            && chain
                .time_us(exclusion.before)
                .is_none_or(|us| row.at_us < us)
    };
    match row.exclusions {
        0 => None,
        _ => rules.spec().exclusions.iter().enumerate().position(named),
    }
}

/// Whether an event that agrees with a chain stands in its way.
fn blocks(rules: &Rules, chain: &Chain, row: &Row) -> bool {
    let levels = rules.blocks(row);
    let mut pairs = rules.required().windows(2).enumerate();
    pairs.any(|(before, pair)| {
        levels >> (before + 1) & 1 == 1
            && chain.has(pair[1])
            && chain.times_us[pair[0]] < row.at_us
            && row.at_us < chain.times_us[pair[1]]
    })
}

/// Which of two chains speaks (rule 14): less is better. The furthest, then the earliest completion, then the earliest entry,
/// then the earliest time at each required step in turn, then the most optional steps, earlier ones first, each as early as
/// it can be.
pub(crate) fn compare(rules: &Rules, a: &Chain, b: &Chain) -> Ordering {
    let required = rules.required_mask();
    let (a_required, b_required) = (a.reached & required, b.reached & required);
    let furthest = b_required.cmp(&a_required);
    if furthest != Ordering::Equal || a_required == 0 {
        return furthest;
    }
    let last = a_required.ilog2() as usize;
    let times = |chain: &Chain, step: usize| chain.has(step).then(|| chain.times_us[step]);
    let in_turn = rules
        .required()
        .iter()
        .map(|&step| times(a, step).cmp(&times(b, step)));
    a.times_us[last]
        .cmp(&b.times_us[last])
        .then_with(|| in_turn.fold(Ordering::Equal, Ordering::then))
        // Step 0 in the highest bit: earlier steps weigh more.
        .then_with(|| b.reached.reverse_bits().cmp(&a.reached.reverse_bits()))
        .then_with(|| {
            (0..rules.steps().len())
                .map(|step| times(a, step).cmp(&times(b, step)))
                .fold(Ordering::Equal, Ordering::then)
        })
}
