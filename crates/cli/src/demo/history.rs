//! The demo's history: journeys up to now, generated and imported through a pipe in memory.
//!
//! What was planned is written into the folder before the first record: a demo that was cut off
//! while loading plans the same again, and the blocks it had loaded are found there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use linkfunnel_ingest::ImportProgress;
use linkfunnel_testkit::generate::{Carrier, GenerateConfig, Generator, Volume};
use serde::{Deserialize, Serialize};

use super::live::Traffic;
use crate::failure::{Doing, Failure, Result};
use crate::import::{Importing, Progress, import_blocks};
use crate::{clock, words};

/// Days of history when nothing is said.
const DAYS: u32 = 30;
/// Journeys of a day of history.
const JOURNEYS_A_DAY: u64 = 2_040;
const DAY_US: i64 = 86_400_000_000;
/// The file that says what was planned.
const PLAN_FILE: &str = "demo.json";
/// Bytes of rows in one commit: the demo is a guest on this machine.
const COMMIT_BYTES: usize = 12 << 20;

/// What a folder's history is, as written into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    seed: u64,
    days: u32,
    now_us: i64,
    loaded: bool,
}

impl Written {
    fn start_us(&self) -> i64 {
        self.now_us - i64::from(self.days) * DAY_US
    }
}

/// A history to be loaded, or one that is there.
pub(crate) struct Plan {
    file: PathBuf,
    written: Written,
    stop: Arc<AtomicBool>,
}

/// What is in the folder.
pub(crate) struct History {
    days: u32,
    start_us: i64,
    /// Journeys, and how long loading took; `None` when it was there before.
    loaded: Option<(u64, ImportProgress, std::time::Duration)>,
    rows: u64,
}

impl History {
    /// When it begins, µs since the epoch.
    pub(crate) fn start_us(&self) -> i64 {
        self.start_us
    }

    /// In one line.
    pub(crate) fn says(&self) -> String {
        let days = words::counted(self.days.into(), "day");
        match &self.loaded {
            Some((journeys, counts, took)) => {
                let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                let events = words::counted(counts.stored, "event");
                let journeys = words::counted(*journeys, "journey");
                let took = words::duration_ms(took_ms);
                format!("{days} · {journeys} · {events} · loaded in {took}")
            }
            None => format!(
                "{days} · here from before · {} in all",
                words::counted(self.rows, "event")
            ),
        }
    }
}

impl Plan {
    /// The folder's plan, or a new one of `days` up to now. Setting `stop` ends the loading.
    pub(crate) fn of(folder: &Path, days: Option<u32>, stop: Arc<AtomicBool>) -> Result<Self> {
        let file = folder.join(PLAN_FILE);
        let written = match std::fs::read(&file) {
            Ok(bytes) => {
                let written: Written = serde_json::from_slice(&bytes)
                    .doing(|| format!("reading {}", file.display()))?;
                if days.is_some_and(|days| days != written.days) {
                    return Err(Failure::usage(format!(
                        "{} already has a history of {} days",
                        folder.display(),
                        written.days
                    ))
                    .mend("leave --days out, or choose another folder"));
                }
                written
            }
            Err(_) => Written {
                seed: 1,
                days: days.unwrap_or(DAYS),
                now_us: clock::now_us(),
                loaded: false,
            },
        };
        Ok(Plan {
            file,
            written,
            stop,
        })
    }

    /// Loads what is not there yet.
    pub(crate) async fn load(self, importing: &Importing) -> Result<History> {
        let days = self.written.days;
        if self.written.loaded {
            return Ok(History {
                days,
                start_us: self.written.start_us(),
                loaded: None,
                rows: importing.store.view().committed_rows(),
            });
        }
        self.write(self.written)?;
        let mut generator = Generator::new(self.config())?;
        let begun = Instant::now();
        let progress = Progress::counting("history", generator.expected_deliveries());
        let records = std::iter::from_fn(|| {
            if self.stop.load(Ordering::Relaxed) {
                return Some(Err(Failure::new("loading was ended")));
            }
            generator
                .by_ref()
                .find_map(|delivery| delivery.payload)
                .map(Ok)
        });
        let imported = import_blocks(importing, records, COMMIT_BYTES, &progress).await;
        progress.clear();
        let counts = imported?;
        self.write(Written {
            loaded: true,
            ..self.written
        })?;
        let truth = generator.truth(Some(self.written.now_us));
        let journeys = truth.map_or(0, |t| {
            t.tenants.values().map(|t| t.linking.total.entered).sum()
        });
        let rows = counts.stored + counts.duplicates;
        Ok(History {
            days,
            start_us: self.written.start_us(),
            loaded: Some((journeys, counts, begun.elapsed())),
            rows,
        })
    }

    fn config(&self) -> GenerateConfig {
        let Written {
            seed, days, now_us, ..
        } = self.written;
        GenerateConfig {
            seed,
            start_us: self.written.start_us(),
            days: Some(days.into()),
            volume: Volume::Journeys(u64::from(days) * JOURNEYS_A_DAY),
            end_us: Some(now_us),
            carrier: Carrier::File,
            ..GenerateConfig::default()
        }
    }

    fn write(&self, written: Written) -> Result<()> {
        let text = serde_json::to_vec(&written)?;
        std::fs::write(&self.file, text).doing(|| format!("writing {}", self.file.display()))
    }
}

/// Loads the minutes before the live traffic, which goes on from there.
pub(crate) async fn warm_up(
    importing: &Importing,
    rate: u32,
    stop: &AtomicBool,
) -> Result<Traffic> {
    let mut traffic = Traffic::new(rate, clock::now_us())?;
    let progress = Progress::counting("last minutes", None);
    let records = std::iter::from_fn(|| {
        if stop.load(Ordering::Relaxed) {
            return Some(Err(Failure::new("loading was ended")));
        }
        std::iter::from_fn(|| traffic.next_before())
            .find_map(|delivery| delivery.payload)
            .map(Ok)
    });
    let imported = import_blocks(importing, records, COMMIT_BYTES, &progress).await;
    progress.clear();
    imported?;
    Ok(traffic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_plan_and_refuses_another() {
        let folder = tempfile::tempdir().unwrap();
        let plan = |days| Plan::of(folder.path(), days, Arc::default());
        let first = plan(Some(2)).unwrap();
        first.write(first.written).unwrap();
        assert_eq!(plan(None).unwrap().written, first.written);
        assert_eq!(plan(Some(2)).unwrap().written, first.written);
        let refused = plan(Some(3)).err().unwrap().to_string();
        assert!(
            refused.contains("already has a history of 2 days"),
            "{refused}"
        );
    }

    #[test]
    fn the_line_says_what_was_loaded() {
        let counts = ImportProgress {
            stored: 412_806,
            ..ImportProgress::default()
        };
        let took = std::time::Duration::from_millis(1_900);
        let mut history = History {
            days: 30,
            start_us: 0,
            loaded: Some((61_240, counts, took)),
            rows: 7,
        };
        assert_eq!(
            history.says(),
            "30 days · 61 240 journeys · 412 806 events · loaded in 1.9 s"
        );
        history.loaded = None;
        assert_eq!(
            history.says(),
            "30 days · here from before · 7 events in all"
        );
    }
}
