//! The result of a named funnel, and a tag under which a client may keep it.
//!
//! The tag stands for the question with every default and the definition filled in, the rows of the
//! view, and of the watermark just what the numbers depend on. While some subject's window runs,
//! that is the watermark itself: it ends windows, and `rate_expected` censors the open subjects
//! there. Once every window is over, only the trend's buckets (`is_matured`) can still change, so
//! the tag counts those. As the same rows stay settled when time passes, a client that shows the
//! settled tag of now has the numbers of now, without a run; and it can only have it from an answer
//! that was settled.

use std::collections::BTreeMap;

use chrono::{DateTime, Days};
use chrono_tz::Tz;
use linkfunnel_model::{
    Breakdown, Compare, DEFAULT_SEGMENTS, FunnelQuestion, FunnelRef, Mistake, Range,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::answer::{FunnelAnswer, Group};
use crate::compare::Comparison;
use crate::engine::{Engine, Run};
use crate::error::{Error, Result};
use crate::funnel::{Prepared, executed};
use crate::named::Asked;
use crate::question::ResultQuestion;
use crate::saved::Tagged;
use crate::success::at_by;

/// Days of the range when a question names none, today included.
const DEFAULT_DAYS: u64 = 30;

impl Engine {
    /// The result of a built-in or saved funnel; none if the client has it already, by one of the
    /// tags that it is `known` to have.
    ///
    /// # Errors
    /// As [`Engine::funnel`]; [`Error::Definition`] when there is no such funnel.
    pub async fn funnel_result(
        &self,
        tenant: &str,
        question: ResultQuestion,
        known: &(dyn Fn(&str) -> bool + Send + Sync),
    ) -> Result<Tagged<Option<FunnelAnswer>>> {
        let question = self.in_full(question)?;
        let Asked { question, run } = self.ask(tenant, question).await.map_err(at_path)?;
        let checked = question.check().map_err(|mistake| at_by(mistake.into()))?;
        let prepared = self.prepare(&run, tenant, question, checked)?;
        let tags = Tags::new(tenant, &prepared, &run)?;
        for tag in [&tags.settled, &tags.now] {
            if known(tag) {
                return Ok(Tagged {
                    tag: tag.clone(),
                    value: None,
                });
            }
        }
        let answer = self.answer(run, tenant, prepared).await.map_err(at_by)?;
        let tag = if is_settled(&answer) {
            tags.settled
        } else {
            tags.now
        };
        Ok(Tagged {
            tag,
            value: Some(answer),
        })
    }

    fn in_full(&self, question: ResultQuestion) -> Result<FunnelQuestion> {
        let range = match question.range {
            Some(range) => range,
            None => last_days(self.now_us(), question.timezone.as_deref().unwrap_or("UTC"))?,
        };
        let limit = question.limit.unwrap_or(DEFAULT_SEGMENTS);
        let by = question.by;
        Ok(FunnelQuestion {
            filters: question.filters,
            breakdown: (!by.is_empty()).then(|| Breakdown {
                by,
                limit,
                attribution: BTreeMap::new(),
            }),
            interval: question.interval,
            compare: question.compare.map(Compare::Word),
            include: question.include,
            as_of: question.as_of,
            ..FunnelQuestion::of(FunnelRef::Id(question.funnel), range)
        })
    }
}

/// The last 30 calendar days of a zone, today whole: the same range from midnight to midnight, so
/// that the same question stays the same.
fn last_days(now_us: i64, timezone: &str) -> Result<Range> {
    let zone: Tz = timezone.parse().map_err(|_| {
        let detail = format!("{timezone:?} is no IANA zone such as Europe/Paris");
        Mistake::new("unknown_timezone", "/range/timezone", detail)
    })?;
    let today = DateTime::from_timestamp_micros(now_us)
        .map(|now| now.with_timezone(&zone).date_naive())
        .and_then(|today| {
            let from = today.checked_sub_days(Days::new(DEFAULT_DAYS - 1))?;
            Some((from, today.checked_add_days(Days::new(1))?))
        });
    let (from, to) =
        today.ok_or_else(|| Error::Internal("the clock is beyond the calendar".to_owned()))?;
    Ok(Range {
        from: from.to_string(),
        to: to.to_string(),
        timezone: timezone.to_owned(),
    })
}

/// The tags that the answer can have.
struct Tags {
    /// When all that entered are matured.
    settled: String,
    /// When some are not.
    now: String,
}

impl Tags {
    fn new(tenant: &str, prepared: &Prepared, run: &Run) -> Result<Tags> {
        let query = executed(prepared, run)?;
        let rows = format!("{:x}", run.view.rows_id());
        let tag = |state: serde_json::Value| {
            // another program may answer the same question otherwise
            let program = env!("CARGO_PKG_VERSION");
            let text = serde_json::json!([program, tenant, query, rows, state]).to_string();
            format!("{:032x}", xxh3_128(text.as_bytes()))
        };
        let watermark_us = run.view.watermark_us;
        let plan = &prepared.plan;
        let over = plan.buckets.iter().filter(|bucket| plan.is_over(bucket));
        // the range compared with is over as a whole, and so is the question's own
        let compared = prepared
            .checked
            .compare
            .map(|other| [plan.span.to_us, other.to_us].map(|to_us| plan.is_over_before(to_us)));
        Ok(Tags {
            settled: tag(serde_json::json!([
                "settled",
                watermark_us.is_some(),
                over.count(),
                compared
            ])),
            now: tag(serde_json::json!(["now", watermark_us])),
        })
    }
}

/// Whether no window that the answer counts is still running.
fn is_settled(answer: &FunnelAnswer) -> bool {
    let is_over = |group: &Group| {
        let buckets = group.trend.iter().chain(&answer.trend);
        let mut states = buckets
            .map(|bucket| (bucket.open, bucket.entered, bucket.matured.entered))
            .chain([(group.open, group.entered, group.matured.entered)]);
        states.all(|(open, entered, matured)| open == 0 && entered == matured)
    };
    let other_is_over = |other: &Comparison| {
        let mut all = other.groups.iter().chain([&other.total]);
        all.all(|compared| compared.entered == compared.matured.entered)
    };
    answer.groups.iter().chain([&answer.total]).all(is_over)
        && answer.compare.as_ref().is_none_or(other_is_over)
}

/// The funnel is named by the path here.
fn at_path(error: Error) -> Error {
    match error {
        Error::Invalid {
            code: code @ ("unknown_funnel" | "funnel_deleted"),
            detail,
            ..
        } => Error::Definition {
            status: 404,
            code,
            detail,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_days_end_with_today_where_the_client_is() {
        let at = |text: &str| {
            DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp_micros()
        };
        for (now, zone, from, to) in [
            ("2026-11-22T12:00:00Z", "UTC", "2026-10-24", "2026-11-23"),
            (
                "2026-11-22T23:59:59.999999Z",
                "UTC",
                "2026-10-24",
                "2026-11-23",
            ),
            (
                "2026-11-22T23:30:00Z",
                "Europe/Paris",
                "2026-10-25",
                "2026-11-24",
            ),
            (
                "2026-11-22T00:00:00Z",
                "America/New_York",
                "2026-10-23",
                "2026-11-22",
            ),
        ] {
            let range = last_days(at(now), zone).unwrap();
            assert_eq!((&*range.from, &*range.to), (from, to), "{now} {zone}");
            let span = range.check("").unwrap();
            assert!(
                (span.from_us..span.to_us).contains(&at(now)),
                "{now} {zone}"
            );
        }
        assert_eq!(last_days(0, "Mars").unwrap_err().code(), "unknown_timezone");
    }
}
