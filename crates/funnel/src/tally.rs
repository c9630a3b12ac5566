//! Many entries in, the integers of an answer out: `update`, `merge`, read. Integers only, so that any split of the subjects
//! merges to the same bits (promise 10).
//!
//! A tally exists for each segment: an empty one is about 200 bytes a step, and grows with the different times seen, not
//! with the subjects.

use crate::{Entries, Entry, Follow, Histogram, Rules, State};

/// Whether a tally keeps times: two histograms a step are most of its work and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Times {
    /// Histograms of the times to each step are kept.
    Kept,
    /// The histograms stay empty.
    #[default]
    LeftOut,
}

/// The counts of one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepTally {
    /// Subjects that reached it.
    pub reached: u64,
    /// Dropped subjects whose furthest required step it is. Always 0 for optional steps.
    pub dropped: u64,
    /// Open subjects whose furthest required step it is. Always 0 for optional steps.
    pub open: u64,
    /// Matured subjects that reached it.
    pub matured_reached: u64,
    /// Subjects that reached a later required step and whose provider cannot show this one.
    pub bypassed: u64,
    /// Of those, the matured.
    pub matured_bypassed: u64,
    /// From the clock's start to it, µs, of all who reached it.
    pub from_entry_us: Histogram,
    /// From the previous required step to it, µs, of all who reached it. Empty for step 0.
    pub from_previous_us: Histogram,
}

/// The counts of one group of subjects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Subjects that entered = converted + dropped + open.
    pub entered: u64,
    /// Subjects that converted.
    pub converted: u64,
    /// Subjects whose window is over without a conversion.
    pub dropped: u64,
    /// Subjects whose window still runs without a conversion.
    pub open: u64,
    /// Subjects whose window is over, converted or not.
    pub matured_entered: u64,
    /// Of those, the converted.
    pub matured_converted: u64,
    /// By outcome: subjects that did not convert, inside dropped or open.
    pub outcomes: Vec<u64>,
    /// By step.
    pub steps: Vec<StepTally>,
    /// Subjects that do not count because of an excluded event; in no other number.
    pub discarded: u64,
    /// What Kaplan–Meier needs. Empty under [`Entries::Best`], where no one clock is followed.
    pub follow: Follow,
    times: Times,
}

impl Tally {
    /// An empty tally for entries of `rules`.
    pub fn new(rules: &Rules, times: Times) -> Tally {
        Tally {
            times,
            outcomes: vec![0; rules.outcomes()],
            steps: vec![StepTally::default(); rules.steps().len()],
            ..Tally::default()
        }
    }

    /// Counts one entry; `rules` are those it was found by and the tally was made for.
    #[inline]
    pub fn update(&mut self, rules: &Rules, entry: &Entry<'_>) {
        if entry.discarded {
            self.discarded += 1;
            return;
        }
        self.entered += 1;
        self.matured_entered += u64::from(entry.matured);
        match entry.state {
            State::Converted => {
                self.converted += 1;
                self.matured_converted += u64::from(entry.matured);
            }
            State::Dropped => {
                self.dropped += 1;
                self.steps[entry.furthest].dropped += 1;
            }
            State::Open => {
                self.open += 1;
                self.steps[entry.furthest].open += 1;
            }
        }
        if let Some(outcome) = entry.outcome {
            self.outcomes[outcome] += 1;
        }
        self.update_steps(rules, entry);
        self.update_bypassed(rules, entry);
        if rules.entries() != Entries::Best {
            self.update_follow(entry);
        }
    }

    /// Adds all entries of another tally of the same rules.
    pub fn merge(&mut self, other: &Tally) {
        assert_eq!(
            self.steps.len(),
            other.steps.len(),
            "tallies of the same rules"
        );
        self.entered += other.entered;
        self.discarded += other.discarded;
        self.converted += other.converted;
        self.dropped += other.dropped;
        self.open += other.open;
        self.matured_entered += other.matured_entered;
        self.matured_converted += other.matured_converted;
        for (outcome, more) in self.outcomes.iter_mut().zip(&other.outcomes) {
            *outcome += more;
        }
        for (step, more) in self.steps.iter_mut().zip(&other.steps) {
            step.merge(more);
        }
        self.follow.merge(&other.follow);
    }

    #[inline]
    fn update_steps(&mut self, rules: &Rules, entry: &Entry<'_>) {
        let (reached, matured) = (entry.reached(), u64::from(entry.matured));
        for (index, step) in self.steps.iter_mut().enumerate() {
            let got = reached >> index & 1;
            step.reached += got;
            step.matured_reached += got & matured;
        }
        if self.times == Times::LeftOut {
            return;
        }
        let mut left = reached;
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            left &= left - 1;
            let step = &mut self.steps[index];
            if let Some(time_us) = entry.from_entry_us(index) {
                step.from_entry_us.update(time_us);
            }
            if let Some(time_us) = entry.from_previous_us(rules, index) {
                step.from_previous_us.update(time_us);
            }
        }
    }

    #[inline]
    fn update_bypassed(&mut self, rules: &Rules, entry: &Entry<'_>) {
        let mut left = rules.bypassed() & ((1 << entry.furthest) - 1);
        while left != 0 {
            let step = &mut self.steps[left.trailing_zeros() as usize];
            step.bypassed += 1;
            step.matured_bypassed += u64::from(entry.matured);
            left &= left - 1;
        }
    }

    #[inline]
    fn update_follow(&mut self, entry: &Entry<'_>) {
        let Some(followed_us) = entry.followed_us else {
            return;
        };
        let converted_us = match entry.state {
            State::Converted => entry.from_entry_us(entry.furthest),
            State::Dropped | State::Open => None,
        };
        match converted_us {
            Some(at_us) if at_us <= followed_us => self.follow.converted(at_us),
            _ if entry.matured => self.follow.to_end(),
            _ => self.follow.censored(followed_us),
        }
    }
}

impl StepTally {
    fn merge(&mut self, other: &StepTally) {
        self.reached += other.reached;
        self.dropped += other.dropped;
        self.open += other.open;
        self.matured_reached += other.matured_reached;
        self.bypassed += other.bypassed;
        self.matured_bypassed += other.matured_bypassed;
        self.from_entry_us.merge(&other.from_entry_us);
        self.from_previous_us.merge(&other.from_previous_us);
    }
}
