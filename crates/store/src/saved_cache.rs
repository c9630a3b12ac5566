//! What is kept in memory of the tenants' saved funnels, within a limit of bytes.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::saved::SavedFunnels;

/// Most bytes kept in memory of all tenants' funnels, counted as they are stored; those of the tenant
/// asked for longest ago go first.
const MAX_KEPT_BYTES: u64 = 64 << 20;
/// What a tenant counts in memory at least, in bytes.
const TENANT_BYTES: u64 = 1 << 10;

/// The funnels of each tenant as they were last read.
#[derive(Default)]
pub(crate) struct SavedCache(Mutex<Slots>);

#[derive(Default)]
struct Slots {
    tenants: HashMap<String, Slot>,
    bytes: u64,
    turn: u64,
}

struct Slot {
    kept: Arc<tokio::sync::Mutex<Kept>>,
    bytes: u64,
    /// When it was last asked for.
    turn: u64,
}

/// One tenant's. Locked while it is read, so that many who ask at once cost one reading.
#[derive(Default)]
pub(crate) struct Kept {
    /// When the storage was last looked at (µs since the epoch).
    pub(crate) read_at_us: Option<i64>,
    pub(crate) newest: Arc<SavedFunnels>,
}

impl SavedCache {
    /// What is kept of a tenant.
    pub(crate) fn of(&self, tenant: &str) -> Arc<tokio::sync::Mutex<Kept>> {
        let mut slots = self.0.lock();
        slots.turn += 1;
        let turn = slots.turn;
        if let Some(slot) = slots.tenants.get_mut(tenant) {
            slot.turn = turn;
            return Arc::clone(&slot.kept);
        }
        let slot = Slot {
            kept: Arc::default(),
            bytes: TENANT_BYTES,
            turn,
        };
        let kept = Arc::clone(&slot.kept);
        slots.tenants.insert(tenant.to_owned(), slot);
        slots.bytes += TENANT_BYTES;
        slots.make_room();
        kept
    }

    /// Notes how much a tenant's funnels are.
    pub(crate) fn weigh(&self, tenant: &str, bytes: u64) {
        let mut slots = self.0.lock();
        let bytes = bytes + TENANT_BYTES;
        let Some(slot) = slots.tenants.get_mut(tenant) else {
            return;
        };
        let before = std::mem::replace(&mut slot.bytes, bytes);
        slots.bytes = slots.bytes - before + bytes;
        slots.make_room();
    }
}

impl Slots {
    fn make_room(&mut self) {
        while self.bytes > MAX_KEPT_BYTES && self.tenants.len() > 1 {
            let oldest = self.tenants.iter().min_by_key(|(_, slot)| slot.turn);
            let oldest = oldest.map(|(tenant, _)| tenant.clone());
            if let Some(slot) = oldest.and_then(|oldest| self.tenants.remove(&oldest)) {
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
        let is_kept = |tenant: &str| cache.0.lock().tenants.contains_key(tenant);
        for tenant in ["a", "b", "c"] {
            cache.of(tenant);
        }
        cache.weigh("a", MAX_KEPT_BYTES / 2);
        cache.weigh("b", MAX_KEPT_BYTES / 2 - 3 * TENANT_BYTES);
        assert_eq!(cache.0.lock().bytes, MAX_KEPT_BYTES);
        assert!(is_kept("a") && is_kept("b") && is_kept("c"));
        cache.of("a");
        cache.of("d");
        assert!(!is_kept("b"), "asked for before the others");
        assert!(is_kept("a") && is_kept("c") && is_kept("d"));
        cache.weigh("d", 2 * MAX_KEPT_BYTES);
        assert!(is_kept("d") && !is_kept("a"), "one alone may be more");
        assert_eq!(cache.0.lock().bytes, 2 * MAX_KEPT_BYTES + TENANT_BYTES);
    }
}
