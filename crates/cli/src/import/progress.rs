//! How far an import is, on a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{out, words};

/// The bar on a terminal, and what it shows: bytes read, or records.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Bytes read; the reader adds to it.
    pub(crate) bytes: Arc<AtomicU64>,
    counts_records: bool,
}

impl Progress {
    /// A bar over `total` bytes; without a total it only counts.
    pub(crate) fn new(name: String, total: Option<u64>) -> Self {
        let bar = match (out::shows_progress(), total) {
            (false, _) => ProgressBar::hidden(),
            (true, Some(total)) => ProgressBar::new(total).with_style(style(
                "{prefix}  {bar:24} {percent:>3} %  {msg}  {eta} left",
            )),
            (true, None) => {
                ProgressBar::new_spinner().with_style(style("{prefix}  {spinner} {msg}"))
            }
        };
        bar.set_prefix(crate::grid::tame(&name, 30));
        Progress {
            bar,
            bytes: Arc::default(),
            counts_records: false,
        }
    }

    /// A bar over `expected` records.
    pub(crate) fn counting(name: &str, expected: Option<u64>) -> Self {
        Progress {
            counts_records: true,
            ..Progress::new(name.into(), expected)
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Shows that `read` records have been read.
    pub(crate) fn show(&self, read: u64) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.bar
            .set_position(if self.counts_records { read } else { bytes });
        self.bar.set_message(format!("{} read", words::count(read)));
    }
}

/// A bar's style from its template.
pub(crate) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ")
}
