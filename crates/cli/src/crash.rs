//! `LINKFUNNEL_CRASH_AT=point[:n]`: ends the process as kill -9 would, the n-th time it passes that point.
//!
//! For the tests that kill this program at every place where data could be lost or doubled. Not in
//! any help, and of no use to anybody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the crates call at their named points.
pub(crate) type Hook = Arc<dyn Fn(&'static str) + Send + Sync>;

/// The hook the environment asks for.
pub(crate) fn hook() -> Option<Hook> {
    let text = std::env::var("LINKFUNNEL_CRASH_AT").ok()?;
    let (point, nth) = split(&text);
    let passed = AtomicU64::new(0);
    Some(Arc::new(move |name| {
        if name == point && passed.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            // No unwinding, no flushing, no destructors.
            std::process::abort();
        }
    }))
}

fn split(text: &str) -> (String, u64) {
    match text
        .rsplit_once(':')
        .map(|(point, nth)| (point, nth.parse()))
    {
        Some((point, Ok(nth))) => (point.to_owned(), nth),
        _ => (text.to_owned(), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_may_say_which_time_is_meant() {
        assert_eq!(split("after_commit"), ("after_commit".into(), 1));
        assert_eq!(split("after_commit:3"), ("after_commit".into(), 3));
    }
}
