//! The demo's live line: `09:14:22   queryable 1 204 180   behind 0.3 s   dead letters 12   linked yesterday 71.4 %`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Days, Utc};
use chrono_tz::Tz;
use linkfunnel_ingest::IngestMetrics;
use linkfunnel_model::{DEFAULT_TENANT, FunnelQuestion, FunnelRef, Range};
use linkfunnel_query::{DeadLettersQuestion, Engine, Sealed};
use linkfunnel_store::Store;

use crate::failure::Result;
use crate::out::Screen;
use crate::service::Service;
use crate::{clock, words};

/// Yesterday's rate changes seldom: it is asked for again after this time.
const ASK_EVERY: Duration = Duration::from_secs(20);

/// What the line is made from.
pub(crate) struct Status {
    store: Store,
    engine: Engine,
    metrics: Arc<IngestMetrics>,
    zone: Tz,
    rows_before: u64,
    letters_before: u64,
    linked: Option<f64>,
    asked: Option<Instant>,
}

/// Time between two lines.
pub(crate) fn every(screen: Screen) -> Duration {
    Duration::from_secs(if screen.terminal { 1 } else { 5 })
}

/// The line as the screen takes it: rewritten in place on a terminal, a line of its own elsewhere.
pub(crate) fn shown(line: &str, screen: Screen) -> String {
    match screen.terminal {
        true => format!(
            "\r  {}\u{1b}[K",
            crate::grid::tame(line, screen.width.saturating_sub(3))
        ),
        false => format!("  {line}\n"),
    }
}

impl Status {
    /// Counts what is there before the live traffic begins.
    pub(crate) async fn new(service: &Service) -> Result<Self> {
        let question = DeadLettersQuestion {
            cursor: None,
            limit: Some(1),
            as_of: None,
        };
        let unread = |_: Sealed<'_>| None;
        let letters = service
            .engine
            .dead_letters(DEFAULT_TENANT, question, &unread)
            .await?;
        Ok(Status {
            store: service.store.clone(),
            engine: service.engine.clone(),
            metrics: Arc::clone(&service.metrics),
            zone: clock::system_zone(),
            rows_before: service.store.view().committed_rows(),
            letters_before: letters.count,
            linked: None,
            asked: None,
        })
    }

    /// How it stands now.
    pub(crate) async fn line(&mut self) -> String {
        if self.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY) {
            self.linked = self.linked_yesterday().await;
            self.asked = self.linked.map(|_| Instant::now());
        }
        let now_us = clock::now_us();
        let since = |kind: &str| self.metrics.rows.with_label_values(&[kind]).get();
        let behind = behind(self.store.view().watermark_us, now_us);
        format!(
            "{}   queryable {}   behind {behind}   dead letters {}   linked yesterday {}",
            words::moment(now_us, now_us, self.zone),
            words::count(self.rows_before + since("event")),
            words::count(self.letters_before + since("dead_letter")),
            self.linked.map_or("–".into(), words::percent),
        )
    }

    async fn linked_yesterday(&self) -> Option<f64> {
        let now =
            DateTime::<Utc>::from_timestamp_micros(clock::now_us())?.with_timezone(&self.zone);
        let today = now.date_naive();
        let from = today.checked_sub_days(Days::new(1))?.to_string();
        let yesterday = Range {
            from,
            to: today.to_string(),
            timezone: self.zone.to_string(),
        };
        let question = FunnelQuestion::of(FunnelRef::Id("linking".into()), yesterday);
        let answer = self.engine.funnel(DEFAULT_TENANT, question).await.ok()?;
        // Not every window of yesterday is over: the estimate at their end uses all that was seen so far.
        answer.total.rate_expected.value.or(answer.total.rate.value)
    }
}

/// How far the view is behind the clock; a dash before anything is known.
fn behind(watermark_us: Option<i64>, now_us: i64) -> String {
    let known = watermark_us.filter(|us| *us >= linkfunnel_model::EARLIEST_US);
    known.map_or_else(
        || "–".into(),
        |us| {
            let ms = u64::try_from((now_us - us).max(0) / 1_000).unwrap_or(0);
            format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_it_is_behind_is_unknown_before_the_first_look() {
        let now_us = 1_790_812_800_000_000;
        assert_eq!(behind(Some(now_us - 340_000), now_us), "0.3 s");
        assert_eq!(behind(Some(0), now_us), "–");
        assert_eq!(behind(None, now_us), "–");
    }

    #[test]
    fn the_line_is_rewritten_on_a_terminal_and_plain_elsewhere() {
        let screen = |terminal| Screen {
            width: 80,
            colour: false,
            terminal,
        };
        assert_eq!(shown("x", screen(true)), "\r  x\u{1b}[K");
        assert_eq!(shown("x", screen(false)), "  x\n");
    }
}
