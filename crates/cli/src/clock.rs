//! The clock, the zone and the async runtime: the only places where this program meets them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono_tz::Tz;
use linkfunnel_model::Clock;

use crate::failure::Result;

/// Now, µs since the epoch.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The system's clock.
pub(crate) fn system() -> Clock {
    Arc::new(now_us)
}

/// This machine's zone; UTC where it cannot be told.
pub(crate) fn system_zone() -> Tz {
    let name = iana_time_zone::get_timezone().ok();
    // `Etc/UTC` is what machines without a place of their own are set to.
    let name = name.filter(|name| name != "Etc/UTC");
    name.and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC)
}

/// Runs to the end on a runtime of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(work);
    // What still runs (a blocking read, a Kafka poll) must not keep the user waiting.
    runtime.shutdown_background();
    result
}
