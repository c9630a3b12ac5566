//! Which events this process has taken in lately: to tell a sender `duplicate`, nothing more.
//! Every copy is stored all the same; the scan tells copies apart exactly.

use std::collections::HashSet;

use linkfunnel_model::{Event, event_key, root_key};
use xxhash_rust::xxh3::xxh3_64;

/// Events remembered before the older half is forgotten: one 64-bit key each, about 80 MB when full.
pub const MAX_RECENT: usize = 4_000_000;

/// A bounded set in two halves: when the young one is full, the old one is forgotten. Two of four
/// million events share a 64-bit key with odds of 4 in ten million.
#[derive(Debug)]
pub(crate) struct Recent {
    half: usize,
    young: HashSet<u64>,
    old: HashSet<u64>,
}

impl Recent {
    /// Remembers up to `most` events.
    pub(crate) fn new(most: usize) -> Recent {
        Recent {
            half: (most / 2).max(1),
            young: HashSet::new(),
            old: HashSet::new(),
        }
    }

    pub(crate) fn contains(&self, key: u64) -> bool {
        self.young.contains(&key) || self.old.contains(&key)
    }

    /// Remembers a key; whether it was new.
    pub(crate) fn insert(&mut self, key: u64) -> bool {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key) && !self.old.contains(&key)
    }
}

/// The key under which copies of an event are the same: tenant, root, `occurred_at`, event key.
pub(crate) fn copy_key(event: &Event<'_>) -> u64 {
    let parts = [root_key(event), event.occurred_at_us(), event_key(event, 0)];
    let mut bytes = [0u8; 24];
    for (slot, part) in bytes.chunks_mut(8).zip(parts) {
        slot.copy_from_slice(&part.to_le_bytes());
    }
    xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_the_latest_half_never_is() {
        let mut recent = Recent::new(10);
        for key in 0..100 {
            recent.insert(key);
            for near in key.saturating_sub(4)..=key {
                assert!(recent.contains(near));
            }
        }
        assert!(!recent.contains(80));
        assert!(recent.young.len() + recent.old.len() <= 10);
    }
}
