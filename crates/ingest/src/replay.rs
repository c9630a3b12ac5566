//! Dead letters once more: opened, decoded with today's rules, and those that pass go in again as
//! new messages through the [`Intake`].
//!
//! A replayed event carries `ingest.batch_id` = [`replay_batch_id`] of the letter's position, so a
//! list of dead letters knows which were replayed by looking for that id among the events. The dead
//! letter itself stays (its offset is accounted for by it) until its retention ends. Replaying
//! twice writes a copy with the same event key, which changes no answer. A letter that is still bad
//! makes no new dead letter.

use std::collections::BTreeMap;

use linkfunnel_model::{Defaults, Field, decode};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::intake::{Intake, Verdict};
use crate::vault::Vault;

/// How the batch id of a replayed event begins.
pub const REPLAY_BATCH_PREFIX: &str = "replay:";
const BATCH: usize = 1_000;

/// A dead letter as the table holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Whose it is.
    pub tenant: String,
    /// Its position.
    pub stream: String,
    /// Its position.
    pub partition: i32,
    /// Its position.
    pub offset: i64,
    /// Its position.
    pub index: i32,
    /// The sealed bytes, if any were kept.
    pub payload: Option<Vec<u8>>,
}

/// What became of the letters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ReplayReport {
    /// Letters looked at.
    pub read: u64,
    /// Written as new messages.
    pub replayed: u64,
    /// Among the replayed: known to have been taken in before.
    pub duplicates: u64,
    /// Refused again, by code.
    pub still_bad: BTreeMap<String, u64>,
    /// Without bytes, or sealed with a key that is no longer here.
    pub unreadable: u64,
}

/// The `ingest.batch_id` of the event that a dead letter at this position became.
pub fn replay_batch_id(stream: &str, partition: i32, offset: i64, index: i32) -> String {
    let stream = xxh3_64(stream.as_bytes());
    format!("{REPLAY_BATCH_PREFIX}{partition}/{offset}/{index}@{stream:016x}")
}

/// Replays letters. `defaults` as for [`Intake::accept`], the tenant being taken from each letter:
/// with `force_tenant`, one tenant's letters cannot become another's events.
///
/// # Errors
/// When the intake cannot write. Replaying the same letters again is safe.
pub async fn replay_dead_letters(
    vault: &Vault,
    intake: &Intake,
    defaults: &Defaults<'_>,
    letters: impl IntoIterator<Item = DeadLetter>,
) -> Result<ReplayReport> {
    let mut report = ReplayReport::default();
    let mut batch = Vec::new();
    for letter in letters {
        batch.push(letter);
        if batch.len() == BATCH {
            replay_batch(vault, intake, defaults, &mut batch, &mut report).await?;
        }
    }
    replay_batch(vault, intake, defaults, &mut batch, &mut report).await?;
    Ok(report)
}

async fn replay_batch(
    vault: &Vault,
    intake: &Intake,
    defaults: &Defaults<'_>,
    letters: &mut Vec<DeadLetter>,
    report: &mut ReplayReport,
) -> Result<()> {
    let now_us = intake.now_us();
    let mut opened = Vec::with_capacity(letters.len());
    for letter in letters.drain(..) {
        report.read += 1;
        let sealed = letter.payload.as_deref().unwrap_or_default();
        match vault.decrypt(&letter.tenant, sealed) {
            Ok(bytes) => opened.push((letter, bytes)),
            Err(Error::NotDecryptable) => report.unreadable += 1,
            Err(error) => return Err(error),
        }
    }
    let mut passing = Vec::with_capacity(opened.len());
    for (letter, bytes) in &opened {
        let defaults = Defaults {
            tenant: letter.tenant.as_str().into(),
            ..defaults.clone()
        };
        match decode(bytes, &defaults, now_us) {
            Ok(mut event) => {
                let id = replay_batch_id(
                    &letter.stream,
                    letter.partition,
                    letter.offset,
                    letter.index,
                );
                event.set(Field::IngestBatchId, id);
                passing.push((Ok(event), bytes.as_slice()));
            }
            Err(refusal) => *report.still_bad.entry(refusal.code.to_owned()).or_default() += 1,
        }
    }
    for verdict in intake.accept_decoded(defaults, passing, now_us).await? {
        match verdict {
            Verdict::Accepted => report.replayed += 1,
            Verdict::Duplicate => {
                report.replayed += 1;
                report.duplicates += 1;
            }
            Verdict::Rejected(refusal) => {
                *report.still_bad.entry(refusal.code.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::intake::IntakeOptions;
    use crate::local_log::LocalLog;
    use crate::metrics::IngestMetrics;

    #[tokio::test]
    async fn letters_that_pass_today_go_in_once_more_and_the_others_are_counted_by_reason() {
        let folder = tempfile::tempdir().unwrap();
        let log = LocalLog::open(&folder.path().join("log.redb")).unwrap();
        let vault = Arc::new(Vault::from_secret(b"s", &[]));
        let metrics = Arc::new(IngestMetrics::new(&prometheus::Registry::new()).unwrap());
        let clock: linkfunnel_model::Clock = Arc::new(|| 1_790_000_000_000_000);
        let intake = Intake::local(
            log.clone(),
            vault.clone(),
            metrics,
            clock,
            IntakeOptions::default(),
        );
        let good = br#"{"event_id":"e","event":"attempt.opened","occurred_at":"2026-01-01T00:00:00Z","company_id":"c"}"#;
        let letter = |offset, payload: Option<Vec<u8>>| DeadLetter {
            tenant: "t".into(),
            stream: "kafka:x/y#1".into(),
            partition: 2,
            offset,
            index: 0,
            payload,
        };
        let letters = vec![
            letter(1, Some(vault.encrypt("t", good).unwrap())),
            letter(2, Some(vault.encrypt("t", b"{").unwrap())),
            letter(3, Some(vault.encrypt("other", good).unwrap())),
            letter(4, None),
        ];
        let report = replay_dead_letters(&vault, &intake, &Defaults::default(), letters.clone())
            .await
            .unwrap();
        assert_eq!(
            (
                report.read,
                report.replayed,
                report.duplicates,
                report.unreadable
            ),
            (4, 1, 0, 2)
        );
        assert_eq!(
            report.still_bad,
            BTreeMap::from([("not_json".to_owned(), 1)])
        );
        let written = log.read(0, 1 << 20).unwrap();
        assert_eq!(
            written.len(),
            1,
            "what is still bad makes no new dead letter"
        );
        let text = String::from_utf8(written[0].record.bytes.clone()).unwrap();
        assert!(
            text.contains(&replay_batch_id("kafka:x/y#1", 2, 1, 0)),
            "{text}"
        );
        assert!(text.contains(r#""tenant_id":"t""#), "{text}");
        let again = replay_dead_letters(&vault, &intake, &Defaults::default(), letters)
            .await
            .unwrap();
        assert_eq!((again.replayed, again.duplicates), (1, 1));
    }
}
