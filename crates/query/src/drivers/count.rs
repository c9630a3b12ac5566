//! Counts of subjects by the values they stand under and the events they did, all from one walk. They merge exactly.
//!
//! Only those *with* a value or event are counted; those without are the rest of the base, taken away when reporting.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use linkfunnel_funnel::{Entry, State};

use crate::columns::{ABSENT, experiments_of};
use crate::judge::Labels;
use crate::study::Looked;

/// Most rows (values of all dimensions, and events) of one answer.
pub const MAX_DRIVERS: usize = 10_000;

/// More rows than [`MAX_DRIVERS`].
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the dimensions have more than {MAX_DRIVERS} values together")]
pub(crate) struct DriverLimit;

/// What is counted beside the numbers of the funnel.
#[derive(Debug, Clone)]
pub(crate) struct DriversPlan {
    /// Indices into the plan's dimensions.
    pub(crate) dimensions: Vec<usize>,
    pub(crate) events: Option<EventsPlan>,
}

/// Between which steps events are looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventsPlan {
    /// Index of the step after which.
    pub(crate) after: usize,
    /// Index of the step before which.
    pub(crate) before: usize,
    /// Index into the plan's sources of the event's name.
    pub(crate) event: usize,
}

/// Subjects of one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) subjects: u64,
    pub(crate) matured: u64,
    /// Of the matured, those that succeeded.
    pub(crate) succeeded: u64,
}

/// What one partition counted, values and names as codes.
#[derive(Debug, Clone, Default)]
pub(crate) struct CodedDrivers {
    all: Side,
    values: HashMap<(usize, u32), Side>,
    reached: Side,
    unplaced: u64,
    events: HashMap<u32, Side>,
}

/// The same in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Drivers {
    /// All that entered.
    pub(crate) all: Side,
    pub(crate) values: HashMap<Value, Side>,
    /// Those that reached the step after which events are looked for.
    pub(crate) reached: Side,
    /// Those that got there, or to the step before which, without anybody being able to say when.
    pub(crate) unplaced: u64,
    pub(crate) events: HashMap<Arc<str>, Side>,
}

/// A value of a dimension.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Value {
    /// Which of [`DriversPlan::dimensions`].
    pub(crate) dimension: usize,
    /// Where the dimension is every experiment: which.
    pub(crate) experiment: Option<Arc<str>>,
    pub(crate) value: Arc<str>,
}

impl Side {
    pub(crate) fn add(&mut self, other: Side) {
        self.subjects += other.subjects;
        self.matured += other.matured;
        self.succeeded += other.succeeded;
    }

    /// Those of `self` that are not in `part`, all of which are.
    pub(crate) fn without(self, part: Side) -> Side {
        Side {
            subjects: self.subjects - part.subjects,
            matured: self.matured - part.matured,
            succeeded: self.succeeded - part.succeeded,
        }
    }

    fn one(entry: &Entry<'_>, succeeded: bool) -> Side {
        Side {
            subjects: 1,
            matured: u64::from(entry.matured),
            succeeded: u64::from(entry.matured && succeeded),
        }
    }
}

impl DriversPlan {
    /// Counts an entry.
    pub(crate) fn update(&self, drivers: &mut CodedDrivers, of: &Looked<'_>) {
        if of.entry.discarded {
            return;
        }
        let one = Side::one(of.entry, of.entry.state == State::Converted);
        drivers.all.add(one);
        for (place, dimension) in self.dimensions.iter().enumerate() {
            let code = of.known[*dimension];
            if code != ABSENT {
                drivers.values.entry((place, code)).or_default().add(one);
            }
        }
        if let Some(events) = &self.events {
            events.update(drivers, of);
        }
    }
}

impl EventsPlan {
    fn update(&self, drivers: &mut CodedDrivers, of: &Looked<'_>) {
        let entry = of.entry;
        if entry.furthest < self.after {
            return;
        }
        let got_there = entry.furthest >= self.before;
        let until_us = entry.time_us(self.before);
        let from_us = entry.time_us(self.after);
        let Some(from_us) = from_us.filter(|_| until_us.is_some() || !got_there) else {
            drivers.unplaced += 1;
            return;
        };
        let one = Side::one(entry, got_there);
        drivers.reached.add(one);
        let is_between = |at_us: i64| at_us > from_us && until_us.is_none_or(|until| at_us < until);
        let required = of.rules.required().iter();
        let used: Vec<usize> = required.filter_map(|step| entry.row(*step)).collect();
        let seen: HashSet<u32> = entry
            .clock
            .window
            .clone()
            .filter(|hit| is_between(of.subject.hits[*hit].at_us) && !used.contains(hit))
            .map(|hit| of.subject.value(hit, self.event))
            .collect();
        for code in seen {
            drivers.events.entry(code).or_default().add(one);
        }
    }
}

impl CodedDrivers {
    /// Memory held, roughly, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        (self.values.len() + self.events.len()) * 128
    }

    /// The same in words. `every_experiment` says which dimension's values name every experiment of an event.
    pub(crate) fn in_words(
        self,
        labels: &Labels<'_>,
        every_experiment: impl Fn(usize) -> bool,
    ) -> Result<Drivers, DriverLimit> {
        let word = |code: u32| -> Arc<str> { labels.text(code).unwrap_or_default().into() };
        let mut drivers = Drivers {
            all: self.all,
            reached: self.reached,
            unplaced: self.unplaced,
            events: self.events.into_iter().map(|(c, n)| (word(c), n)).collect(),
            values: HashMap::new(),
        };
        for ((dimension, code), side) in self.values {
            let text = labels.text(code).unwrap_or_default();
            let named: Vec<(Option<Arc<str>>, Arc<str>)> = if every_experiment(dimension) {
                let each = experiments_of(text).into_iter();
                each.map(|(id, variant)| (Some(id.into()), variant.into()))
                    .collect()
            } else {
                vec![(None, text.into())]
            };
            for (experiment, value) in named {
                let value = Value {
                    dimension,
                    experiment,
                    value,
                };
                drivers.values.entry(value).or_default().add(side);
            }
        }
        drivers.limited()
    }
}

impl Drivers {
    /// Adds what another partition counted.
    pub(crate) fn merge(&mut self, other: Drivers) -> Result<(), DriverLimit> {
        self.all.add(other.all);
        self.reached.add(other.reached);
        self.unplaced += other.unplaced;
        for (value, side) in other.values {
            self.values.entry(value).or_default().add(side);
        }
        for (event, side) in other.events {
            self.events.entry(event).or_default().add(side);
        }
        std::mem::take(self).limited().map(|whole| *self = whole)
    }

    fn limited(self) -> Result<Drivers, DriverLimit> {
        match self.values.len() + self.events.len() {
            rows if rows > MAX_DRIVERS => Err(DriverLimit),
            _ => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_more_than_the_limit_is_refused_when_parts_merge() {
        let of = |from: usize, to: usize| Drivers {
            events: (from..to)
                .map(|i| (Arc::from(format!("custom.e{i}")), Side::default()))
                .collect(),
            ..Drivers::default()
        };
        let mut whole = of(0, MAX_DRIVERS - 1);
        whole.merge(of(MAX_DRIVERS - 2, MAX_DRIVERS)).unwrap();
        assert_eq!(whole.events.len(), MAX_DRIVERS);
        assert!(whole.merge(of(MAX_DRIVERS, MAX_DRIVERS + 1)).is_err());
    }
}
