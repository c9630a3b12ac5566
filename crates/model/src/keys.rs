//! 64-bit keys of ids and events, and whose event it is (root).
//!
//! Keys are xxh3-64 over length-separated parts, kept as signed 64-bit integers because Delta has
//! no unsigned type. Among n ids of one tenant two share a key with odds of about n² / 2⁶⁵: for a
//! hundred million ids 2.7 in ten thousand.

use xxhash_rust::xxh3::Xxh3;

use crate::event::Event;
use crate::fields::{Field, IdKind};

fn hash(parts: &[&[u8]]) -> i64 {
    let mut hasher = Xxh3::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.digest().cast_signed()
}

/// The key of an id: hash of (tenant, kind, id).
pub fn id_key(tenant: &str, kind: IdKind, id: &str) -> i64 {
    hash(&[tenant.as_bytes(), kind.as_str().as_bytes(), id.as_bytes()])
}

/// The key that copies of one event share: hash of tenant, source, source_event_id else event_id,
/// event name, and `position` among the events made of one source event (0 for canonical events).
pub fn event_key(event: &Event<'_>, position: u32) -> i64 {
    let id = event
        .text(Field::SourceEventId)
        .or_else(|| event.text(Field::EventId))
        .unwrap_or("");
    hash(&[
        event.tenant().as_bytes(),
        event.text(Field::Source).unwrap_or("").as_bytes(),
        id.as_bytes(),
        event.name().as_bytes(),
        &position.to_le_bytes(),
    ])
}

/// The key of a derived journey (semantics rule 2): hash of its root (and so of the tenant), and of
/// the category and time (µs since the epoch) of its first event.
pub fn derived_journey_key(root: i64, category: &str, first_us: i64) -> i64 {
    let (root, first) = (root.to_le_bytes(), first_us.to_le_bytes());
    hash(&[b"derived journey", &root, category.as_bytes(), &first])
}

/// The coarsest id an event names: company, else user, else anonymous visitor, else its coarsest
/// other id. `None` only for an event without any id, which the decoder refuses.
pub fn root<'e>(event: &'e Event<'_>) -> Option<(IdKind, &'e str)> {
    IdKind::ALL
        .iter()
        .find_map(|kind| event.text(kind.field()).map(|id| (*kind, id)))
}

/// The key of an event's root; 0 for an event without ids.
pub fn root_key(event: &Event<'_>) -> i64 {
    root(event).map_or(0, |(kind, id)| id_key(event.tenant(), kind, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::EventName;

    #[test]
    fn the_company_is_the_root_when_it_is_named() {
        let event = Event::new("e", EventName::AttemptOpened, 0)
            .with(Field::AttemptId, "a")
            .with(Field::UserId, "u");
        assert_eq!(root(&event), Some((IdKind::User, "u")));
        let event = event.with(Field::CompanyId, "c");
        assert_eq!(root(&event), Some((IdKind::Company, "c")));
    }

    #[test]
    fn parts_cannot_flow_into_each_other() {
        assert_ne!(
            id_key("ab", IdKind::User, "c"),
            id_key("a", IdKind::User, "bc")
        );
        assert_ne!(
            id_key("a", IdKind::User, "c"),
            id_key("a", IdKind::Company, "c")
        );
    }
}
