//! Which events of a few serve which steps, each event at most one step (rule 7): a bipartite matching, grown one step at
//! a time by augmenting paths (Kuhn 1955). Growing never takes a served step away, so steps added in order give the
//! longest run of steps that distinct events can serve.
//!
//! **Bound.** Of the events that could serve a step only the first [`SLOTS_PER_STEP`] are kept. That loses nothing: at most
//! 63 other steps can hold one each, so a step with 64 events to choose from always has a free one among its first 64. The
//! answer is exact for groups of any size, in memory for at most 64 × 64 events.

use crate::Row;
use crate::rules::MAX_STEPS;

/// Events kept for a step, in the order given.
pub(crate) const SLOTS_PER_STEP: u8 = 64;

const NOBODY: u8 = u8::MAX;

/// One event that may serve one step.
#[derive(Debug, Clone, Copy)]
struct Slot {
    row: usize,
    at_us: i64,
    /// The steps it may serve.
    mask: u64,
    /// The step it serves now.
    serves: u8,
    /// It may not change hands now.
    locked: bool,
    /// The search that last looked at it.
    seen: u32,
}

/// A growing matching. Cleared and refilled for each group of events.
#[derive(Debug, Clone)]
pub(crate) struct Matching {
    slots: Vec<Slot>,
    kept: [u8; MAX_STEPS],
    slot_of: [usize; MAX_STEPS],
    search: u32,
}

impl Default for Matching {
    fn default() -> Matching {
        Matching {
            slots: Vec::new(),
            kept: [0; MAX_STEPS],
            slot_of: [0; MAX_STEPS],
            search: 0,
        }
    }
}

impl Matching {
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.kept = [0; MAX_STEPS];
        self.search = 0;
    }

    /// Starts anew with the rows `first..end` of one instant, of which only `wanted` steps matter.
    pub(crate) fn load(&mut self, rows: &[Row], first: usize, end: usize, wanted: u64) {
        self.clear();
        for (row, r) in (first..).zip(&rows[first..end]) {
            self.offer(row, r.at_us, r.steps & wanted);
        }
    }

    /// Adds an event that may serve the steps of `mask`, unless each of them has enough already.
    pub(crate) fn offer(&mut self, row: usize, at_us: i64, mask: u64) {
        let mut useful = false;
        let mut left = mask;
        while left != 0 {
            let kept = &mut self.kept[left.trailing_zeros() as usize];
            useful |= *kept < SLOTS_PER_STEP;
            *kept = kept.saturating_add(1);
            left &= left - 1;
        }
        if useful {
            self.slots.push(Slot {
                row,
                at_us,
                mask,
                serves: NOBODY,
                locked: false,
                seen: 0,
            });
        }
    }

    /// Serves `step` too, moving others to other events where needed. False, and nothing changed, if that cannot be.
    pub(crate) fn serve(&mut self, step: usize) -> bool {
        self.search += 1;
        self.find(step)
    }

    /// The row that serves `step`, which must be served.
    pub(crate) fn row(&self, step: usize) -> usize {
        self.slots[self.slot_of[step]].row
    }

    /// Moves `step` to the earliest time at which everybody served stays served, and holds it to that time. Which event
    /// of that time serves it stays open, for the sake of the steps settled after it. Events were offered in time order.
    pub(crate) fn settle(&mut self, step: usize) {
        let own = self.slot_of[step];
        let _ = (0..own).find(|&slot| self.can_take(slot, step) && self.swap(step, own, slot));
        let at_us = self.slots[self.slot_of[step]].at_us;
        for slot in self.slots.iter_mut().filter(|slot| slot.at_us != at_us) {
            slot.mask &= !(1 << step);
        }
    }

    fn can_take(&self, slot: usize, step: usize) -> bool {
        !self.slots[slot].locked && self.slots[slot].mask >> step & 1 == 1
    }

    fn swap(&mut self, step: usize, own: usize, other: usize) -> bool {
        let holder = self.slots[other].serves;
        self.slots[own].serves = NOBODY;
        self.take(step, other);
        self.slots[other].locked = true;
        let moved = holder == NOBODY || self.serve(usize::from(holder));
        self.slots[other].locked = false;
        if !moved {
            self.take(usize::from(holder), other);
            self.take(step, own);
        }
        moved
    }

    fn find(&mut self, step: usize) -> bool {
        // A free event first: it ends the search at once.
        for slot in 0..self.slots.len() {
            if self.slots[slot].serves == NOBODY && self.can_take(slot, step) {
                self.take(step, slot);
                return true;
            }
        }
        for slot in 0..self.slots.len() {
            if self.slots[slot].seen == self.search || !self.can_take(slot, step) {
                continue;
            }
            self.slots[slot].seen = self.search;
            // Depth: each call holds another step, so at most 64.
            if self.find(usize::from(self.slots[slot].serves)) {
                self.take(step, slot);
                return true;
            }
        }
        false
    }

    fn take(&mut self, step: usize, slot: usize) {
        self.slots[slot].serves = u8::try_from(step).expect("a step is below 64");
        self.slot_of[step] = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_moves_over_when_another_has_no_other_event() {
        let mut matching = Matching::default();
        matching.offer(0, 0, 0b11);
        matching.offer(1, 0, 0b01);
        assert!(matching.serve(0) && matching.serve(1));
        assert_eq!((matching.row(0), matching.row(1)), (1, 0));
    }

    #[test]
    fn events_past_the_bound_change_nothing() {
        let mut matching = Matching::default();
        for row in 0..1_000 {
            matching.offer(row, 0, u64::MAX);
        }
        assert_eq!(matching.slots.len(), usize::from(SLOTS_PER_STEP));
        assert!((0..MAX_STEPS).all(|step| matching.serve(step)));
    }

    #[test]
    fn one_event_too_few_leaves_exactly_one_step_unserved() {
        let mut matching = Matching::default();
        for row in 0..63 {
            matching.offer(row, 0, u64::MAX);
        }
        assert_eq!(
            (0..MAX_STEPS).filter(|&step| matching.serve(step)).count(),
            63
        );
    }

    #[test]
    fn a_settled_step_takes_its_earliest_possible_time() {
        let mut matching = Matching::default();
        matching.offer(0, 10, 0b10);
        matching.offer(1, 20, 0b11);
        matching.offer(2, 30, 0b01);
        assert!(matching.serve(1) && matching.serve(0));
        matching.settle(0);
        matching.settle(1);
        assert_eq!((matching.row(0), matching.row(1)), (1, 0));
    }

    #[test]
    fn a_settled_step_makes_room_at_its_own_time() {
        let mut matching = Matching::default();
        matching.offer(0, 10, 0b11);
        matching.offer(1, 10, 0b01);
        matching.offer(2, 20, 0b10);
        assert!(matching.serve(0) && matching.serve(1));
        matching.settle(0);
        matching.settle(1);
        assert_eq!((matching.row(0), matching.row(1)), (1, 0));
    }
}
