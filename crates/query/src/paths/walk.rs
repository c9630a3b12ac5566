//! What one dropped subject did after the step it stopped at, and the counts of all such ways. They merge exactly.
//!
//! A way is the names of the events after the one that took the step, in the order of display (semantics rule 6), up to the
//! window's end. Events that took one of the funnel's steps are not told again. Equal names in a row are one stop on the way;
//! that it happened several times is counted beside, so that the number of repeats makes no way of its own.

use std::collections::HashMap;
use std::sync::Arc;

use linkfunnel_funnel::{Entry, State};

use crate::judge::{Labels, Subject};

/// Most different ways of one answer.
pub const MAX_PATHS: usize = 100_000;

/// More different ways than [`MAX_PATHS`].
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the dropped went more than {MAX_PATHS} different ways")]
pub(crate) struct PathLimit;

/// Whose ways are followed, and how far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PathsPlan {
    /// Index of the step they stopped at.
    pub(crate) step: usize,
    /// Most stops.
    pub(crate) length: usize,
    /// Index into the plan's sources of the event's name.
    pub(crate) event: usize,
}

/// The subjects of one way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PathCount {
    pub(crate) subjects: u64,
    /// Those whose way went on beyond its last stop.
    pub(crate) went_on: u64,
    /// By stop, those who did it several times in a row.
    pub(crate) repeated: Vec<u64>,
}

/// Subjects by way. Names are codes while a partition is read, words when they merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths<Name: Eq + std::hash::Hash> {
    pub(crate) counts: HashMap<Box<[Name]>, PathCount>,
}

impl<Name: Eq + std::hash::Hash> Default for Paths<Name> {
    fn default() -> Self {
        Paths {
            counts: HashMap::new(),
        }
    }
}

/// One subject's way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Way {
    stops: Vec<u32>,
    repeated: Vec<bool>,
    went_on: bool,
}

impl PathsPlan {
    /// Counts the way of an entry that dropped at the step.
    pub(crate) fn update(
        &self,
        paths: &mut Paths<u32>,
        subject: &Subject<'_>,
        entry: &Entry<'_>,
    ) -> Result<(), PathLimit> {
        let is_meant = entry.state == State::Dropped && !entry.discarded;
        if !is_meant || entry.furthest != self.step {
            return Ok(());
        }
        let took = |step| entry.row(step);
        let used: Vec<usize> = (0..=self.step).filter_map(took).collect();
        let first = took(self.step).expect("the furthest step was reached") + 1;
        let hits = (first..entry.clock.window.end).filter(|hit| !used.contains(hit));
        let way = way(hits.map(|hit| subject.value(hit, self.event)), self.length);
        paths.add(way)
    }
}

fn way(names: impl Iterator<Item = u32>, length: usize) -> Way {
    let mut way = Way::default();
    for name in names {
        if way.stops.last() == Some(&name) {
            *way.repeated.last_mut().expect("as many as stops") = true;
        } else if way.stops.len() == length {
            way.went_on = true;
            break;
        } else {
            way.stops.push(name);
            way.repeated.push(false);
        }
    }
    way
}

impl PathCount {
    fn merge(&mut self, other: &PathCount) {
        self.subjects += other.subjects;
        self.went_on += other.went_on;
        for (mine, more) in self.repeated.iter_mut().zip(&other.repeated) {
            *mine += more;
        }
    }
}

impl Paths<u32> {
    fn add(&mut self, way: Way) -> Result<(), PathLimit> {
        let count = PathCount {
            subjects: 1,
            went_on: u64::from(way.went_on),
            repeated: way.repeated.into_iter().map(u64::from).collect(),
        };
        self.put(way.stops.into_boxed_slice(), count)
    }

    /// Memory held, roughly, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.counts.len() * 256
    }

    /// The same in words.
    pub(crate) fn in_words(self, labels: &Labels<'_>) -> Paths<Arc<str>> {
        let word = |code: &u32| Arc::from(labels.text(*code).unwrap_or_default());
        let in_words =
            |(stops, count): (Box<[u32]>, PathCount)| (stops.iter().map(word).collect(), count);
        Paths {
            counts: self.counts.into_iter().map(in_words).collect(),
        }
    }
}

impl<Name: Eq + std::hash::Hash> Paths<Name> {
    fn put(&mut self, stops: Box<[Name]>, count: PathCount) -> Result<(), PathLimit> {
        if let Some(mine) = self.counts.get_mut(&stops) {
            mine.merge(&count);
        } else if self.counts.len() == MAX_PATHS {
            return Err(PathLimit);
        } else {
            self.counts.insert(stops, count);
        }
        Ok(())
    }

    /// Adds the ways of another partition.
    pub(crate) fn merge(&mut self, other: Paths<Name>) -> Result<(), PathLimit> {
        for (stops, count) in other.counts {
            self.put(stops, count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(names: &[u32], length: usize) -> (Vec<u32>, Vec<bool>, bool) {
        let Way {
            stops,
            repeated,
            went_on,
        } = way(names.iter().copied(), length);
        (stops, repeated, went_on)
    }

    #[test]
    fn equal_names_in_a_row_are_one_stop_and_the_last_stop_is_walked_to_its_end() {
        assert_eq!(walked(&[], 3), (vec![], vec![], false));
        assert_eq!(
            walked(&[1, 1, 2, 1], 3),
            (vec![1, 2, 1], vec![true, false, false], false)
        );
        assert_eq!(
            walked(&[1, 2, 2, 2], 2),
            (vec![1, 2], vec![false, true], false)
        );
        assert_eq!(
            walked(&[1, 2, 2, 3], 2),
            (vec![1, 2], vec![false, true], true)
        );
    }

    #[test]
    fn one_way_too_many_is_refused_whether_it_is_walked_or_merged() {
        let name = |i: usize| u32::try_from(i).unwrap();
        let one = |i: usize| way([name(i)].into_iter(), 1);
        let mut full = Paths::default();
        (0..MAX_PATHS).for_each(|i| full.add(one(i)).unwrap());
        full.add(one(0)).unwrap();
        assert!(full.clone().add(one(MAX_PATHS)).is_err());
        let mut other = Paths::default();
        other.add(one(MAX_PATHS)).unwrap();
        assert!(other.merge(full).is_err());
    }
}
