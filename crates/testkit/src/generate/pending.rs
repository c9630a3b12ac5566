//! What is under way: made, not yet delivered.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::stream::Delivery;

/// Messages not delivered yet, by time of delivery, then in the order in which they were made.
#[derive(Default)]
pub(crate) struct Pending {
    order: BinaryHeap<Reverse<(i64, u64, usize)>>,
    slots: Vec<Option<Delivery>>,
    free: Vec<usize>,
    made: u64,
}

impl Pending {
    pub(crate) fn push(&mut self, delivery: Delivery) {
        let at_us = delivery.deliver_at_us;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(delivery);
                slot
            }
            None => {
                self.slots.push(Some(delivery));
                self.slots.len() - 1
            }
        };
        self.order.push(Reverse((at_us, self.made, slot)));
        self.made += 1;
    }

    /// The first one, if it is due by then.
    pub(crate) fn pop_until(&mut self, until_us: i64) -> Option<Delivery> {
        let Reverse((at_us, _, slot)) = *self.order.peek()?;
        if at_us > until_us {
            return None;
        }
        self.order.pop();
        self.free.push(slot);
        self.slots[slot].take()
    }
}
