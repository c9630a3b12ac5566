//! What events say together of the fields held constant ([`crate::hold`]), and the rows that fit it.

use std::ops::Range;

use crate::entry::Chain;
use crate::rules::MAX_HELD;
use crate::{Events, NO_VALUE, Row, Rules};

/// Most holdings of one subject.
pub const MAX_HOLDINGS: usize = 4_096;

/// Most searches under them: each goes over its events once. Most holdings need one, or three where a chain leant on more
/// than it holds.
pub(crate) const MAX_SEARCHES: usize = 16 * MAX_HOLDINGS;

/// The values of the fields held constant combine in too many ways among one subject's events: more than [`MAX_HOLDINGS`], or
/// more searches are needed under them than sixteen for each of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the values of the fields held constant combine in too many ways among one subject's events (the limit is \
     {MAX_HOLDINGS} combinations)"
)]
pub struct TooManyHoldings;

/// By held field, its value.
pub(crate) type Holding = [u32; MAX_HELD];

pub(crate) const NOTHING: Holding = [NO_VALUE; MAX_HELD];

/// The holdings of one subject, and room to find them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holdings {
    pub(crate) list: Vec<Holding>,
    joined: Vec<Holding>,
}

impl Holdings {
    /// Finds the holdings of the events in `range` that take steps; one that holds nothing if they name no value.
    pub(crate) fn find(
        &mut self,
        rules: &Rules,
        events: Events<'_>,
        range: Range<usize>,
    ) -> Result<(), TooManyHoldings> {
        self.list.clear();
        let steps = rules.required_mask() | rules.optional_mask();
        for row in range.filter(|&row| events.rows[row].steps & steps != 0) {
            let own = holding(rules, events, row);
            if own == NOTHING || self.list.contains(&own) {
                continue;
            }
            self.joined.clear();
            self.joined.push(own);
            for other in &self.list {
                if let Some(both) = join(other, &own)
                    && both != *other
                    && !self.joined.contains(&both)
                {
                    self.joined.push(both);
                }
            }
            for new in &self.joined {
                if !self.list.contains(new) {
                    self.list.push(*new);
                }
            }
            if self.list.len() > MAX_HOLDINGS {
                return Err(TooManyHoldings);
            }
        }
        self.keep_whole();
        if self.list.is_empty() {
            self.list.push(NOTHING);
        }
        Ok(())
    }

    /// Drops the holdings that are part of another.
    fn keep_whole(&mut self) {
        if are_of_one_field(&self.list) {
            return;
        }
        self.joined.clear();
        for part in &self.list {
            let is_part = |whole: &Holding| whole != part && join(whole, part) == Some(*whole);
            if !self.list.iter().any(is_part) {
                self.joined.push(*part);
            }
        }
        std::mem::swap(&mut self.list, &mut self.joined);
    }
}

/// Values of one field alone are never part of each other.
fn are_of_one_field(list: &[Holding]) -> bool {
    list.iter()
        .all(|holding| holding[1..] == NOTHING[1..] && holding[0] != NO_VALUE)
}

/// What the event in `row` says of the held fields.
pub(crate) fn holding(rules: &Rules, events: Events<'_>, row: usize) -> Holding {
    let mut holding = NOTHING;
    let width = rules.held();
    holding[..width].copy_from_slice(&events.held[row * width..(row + 1) * width]);
    holding
}

/// Whether an event has no other value of any field.
pub(crate) fn agrees(rules: &Rules, events: Events<'_>, row: usize, held: &Holding) -> bool {
    join(held, &holding(rules, events, row)).is_some()
}

/// Both together, if they agree wherever both have a value.
pub(crate) fn join(a: &Holding, b: &Holding) -> Option<Holding> {
    let mut both = NOTHING;
    for field in 0..MAX_HELD {
        both[field] = match (a[field], b[field]) {
            (NO_VALUE, other) | (other, NO_VALUE) => other,
            (a, b) if a == b => a,
            _ => return None,
        };
    }
    Some(both)
}

/// Rows that were let through, and where they stood.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filtered {
    pub(crate) rows: Vec<Row>,
    pub(crate) held: Vec<u32>,
    from: Vec<usize>,
}

impl Filtered {
    /// Lets the rows of `range` through that fit.
    pub(crate) fn fill(
        &mut self,
        rules: &Rules,
        events: Events<'_>,
        range: Range<usize>,
        fits: impl Fn(usize) -> bool,
    ) {
        self.rows.clear();
        self.held.clear();
        self.from.clear();
        let width = rules.held();
        for row in range.filter(|&row| fits(row)) {
            self.rows.push(events.rows[row]);
            self.from.push(row);
            self.held
                .extend_from_slice(&events.held[row * width..(row + 1) * width]);
        }
    }

    /// The events that were let through.
    pub(crate) fn events(&self) -> Events<'_> {
        Events {
            rows: &self.rows,
            held: &self.held,
        }
    }

    /// From a place among the rows let through to the place it had before.
    pub(crate) fn origin(&self, row: usize) -> usize {
        self.from[row]
    }

    /// Renames the rows of a chain by where they stood before.
    pub(crate) fn rename(&self, chain: &mut Chain) {
        let mut left = chain.reached;
        while left != 0 {
            let row = &mut chain.rows[left.trailing_zeros() as usize];
            *row = self.from[*row];
            left &= left - 1;
        }
    }
}
