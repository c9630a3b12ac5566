//! What is kept in memory of what tenants have saved, within a limit of bytes.

use std::collections::HashMap;
use std::sync::Arc;

use object_store::path::Path;
use parking_lot::Mutex;

use crate::saved::SavedAll;

/// Most bytes kept in memory of all shelves, counted as they are stored; the shelf asked for longest ago
/// goes first.
const MAX_KEPT_BYTES: u64 = 64 << 20;
/// What a shelf counts in memory at least, in bytes.
const SHELF_BYTES: u64 = 1 << 10;

/// Each shelf, by its folder, as it was last read.
#[derive(Default)]
pub(crate) struct SavedCache(Mutex<Slots>);

#[derive(Default)]
struct Slots {
    shelves: HashMap<Path, Slot>,
    bytes: u64,
    turn: u64,
}

struct Slot {
    kept: Arc<tokio::sync::Mutex<Kept>>,
    bytes: u64,
    /// When it was last asked for.
    turn: u64,
}

/// One shelf. Locked while it is read, so that many who ask at once cost one reading.
#[derive(Default)]
pub(crate) struct Kept {
    /// When the storage was last looked at (µs since the epoch).
    pub(crate) read_at_us: Option<i64>,
    pub(crate) newest: Arc<SavedAll>,
}

impl SavedCache {
    /// What is kept of a shelf.
    pub(crate) fn of(&self, folder: &Path) -> Arc<tokio::sync::Mutex<Kept>> {
        let mut slots = self.0.lock();
        slots.turn += 1;
        let turn = slots.turn;
        if let Some(slot) = slots.shelves.get_mut(folder) {
            slot.turn = turn;
            return Arc::clone(&slot.kept);
        }
        let slot = Slot {
            kept: Arc::default(),
            bytes: SHELF_BYTES,
            turn,
        };
        let kept = Arc::clone(&slot.kept);
        slots.shelves.insert(folder.clone(), slot);
        slots.bytes += SHELF_BYTES;
        slots.make_room();
        kept
    }

    /// Notes how much there is on a shelf.
    pub(crate) fn weigh(&self, folder: &Path, bytes: u64) {
        let mut slots = self.0.lock();
        let bytes = bytes + SHELF_BYTES;
        let Some(slot) = slots.shelves.get_mut(folder) else {
            return;
        };
        let before = std::mem::replace(&mut slot.bytes, bytes);
        slots.bytes = slots.bytes - before + bytes;
        slots.make_room();
    }
}

impl Slots {
    fn make_room(&mut self) {
        while self.bytes > MAX_KEPT_BYTES && self.shelves.len() > 1 {
            let oldest = self.shelves.iter().min_by_key(|(_, slot)| slot.turn);
            let oldest = oldest.map(|(folder, _)| folder.clone());
            if let Some(slot) = oldest.and_then(|oldest| self.shelves.remove(&oldest)) {
                self.bytes -= slot.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_longest_ago_is_forgotten_when_it_is_too_much() {
        let cache = SavedCache::default();
        let is_kept = |folder: &str| cache.0.lock().shelves.contains_key(&Path::from(folder));
        for folder in ["a", "b", "c"] {
            cache.of(&folder.into());
        }
        cache.weigh(&"a".into(), MAX_KEPT_BYTES / 2);
        cache.weigh(&"b".into(), MAX_KEPT_BYTES / 2 - 3 * SHELF_BYTES);
        assert_eq!(cache.0.lock().bytes, MAX_KEPT_BYTES);
        assert!(is_kept("a") && is_kept("b") && is_kept("c"));
        cache.of(&"a".into());
        cache.of(&"d".into());
        assert!(!is_kept("b"), "asked for before the others");
        assert!(is_kept("a") && is_kept("c") && is_kept("d"));
        cache.weigh(&"d".into(), 2 * MAX_KEPT_BYTES);
        assert!(is_kept("d") && !is_kept("a"), "one alone may be more");
        assert_eq!(cache.0.lock().bytes, 2 * MAX_KEPT_BYTES + SHELF_BYTES);
    }
}
