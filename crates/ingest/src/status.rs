//! How reading a stream stands, for readiness, `check` and people.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::error::{Error, Result};

/// What a reader is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ReaderState {
    /// Not yet reading: looking for the broker or the topic.
    Starting {
        /// What it waits for.
        waiting_for: String,
    },
    /// Reading.
    Running,
    /// Ended, as asked or for a reason.
    Stopped {
        /// The reason; `None` after an orderly shutdown.
        why: Option<String>,
    },
}

/// One attached partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// The partition.
    pub partition: i32,
    /// The next offset to be taken in; `None` before the first message.
    pub position: Option<i64>,
    /// The last offset the table holds.
    pub committed: Option<i64>,
    /// The offset after the last message there is, as far as known.
    pub end: Option<i64>,
    /// Whether the end has been met since the partition was attached, and what was before it is
    /// queryable.
    pub caught_up: bool,
    /// Up to when everything that had arrived is queryable (µs since the epoch).
    pub watermark_us: Option<i64>,
    /// The range of offsets (first, last) that retention took, when reading stopped for it.
    pub lost: Option<(i64, i64)>,
}

/// How reading a stream stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IngestStatus {
    /// The stream's name; empty before it is known.
    pub stream: String,
    /// What the reader is doing.
    #[serde(flatten)]
    pub state: ReaderState,
    /// The attached partitions.
    pub partitions: Vec<PartitionStatus>,
    /// Bytes in memory that no commit holds yet.
    pub uncommitted_bytes: usize,
    /// Whether reading pauses because memory is full.
    pub paused: bool,
    /// Why commits fail at present.
    pub commit_error: Option<String>,
}

impl IngestStatus {
    /// Whether every attached partition has been read to its end once, and there is one. A
    /// partition that stopped for a lost range never catches up.
    pub fn caught_up(&self) -> bool {
        self.state == ReaderState::Running
            && !self.partitions.is_empty()
            && self
                .partitions
                .iter()
                .all(|p| p.caught_up && p.lost.is_none())
    }
}

/// The status as the reader keeps it and others look at it.
#[derive(Debug, Clone)]
pub(crate) struct StatusCell(Arc<Mutex<IngestStatus>>);

impl StatusCell {
    pub(crate) fn new(waiting_for: &str) -> StatusCell {
        StatusCell(Arc::new(Mutex::new(IngestStatus {
            stream: String::new(),
            state: ReaderState::Starting {
                waiting_for: waiting_for.to_owned(),
            },
            partitions: Vec::new(),
            uncommitted_bytes: 0,
            paused: false,
            commit_error: None,
        })))
    }

    pub(crate) fn get(&self) -> IngestStatus {
        self.0.lock().clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut IngestStatus)) {
        change(&mut self.0.lock());
    }

    pub(crate) fn state(&self, state: ReaderState) {
        self.update(|status| status.state = state);
    }
}

/// A running reader of a stream.
#[derive(Debug)]
pub struct IngestHandle {
    pub(crate) status: StatusCell,
    pub(crate) ended: tokio::sync::oneshot::Receiver<Result<(), String>>,
}

impl IngestHandle {
    /// How reading stands.
    pub fn status(&self) -> IngestStatus {
        self.status.get()
    }

    /// Something that can be asked for the status after the handle was given to [`Self::join`].
    pub fn watcher(&self) -> impl Fn() -> IngestStatus + Send + Sync + Clone + 'static {
        let status = self.status.clone();
        move || status.get()
    }

    /// Waits until reading has ended: everything taken in is committed as far as the storage let
    /// us. [`Error::Stopped`] when it ended for a reason that someone must look at.
    pub async fn join(self) -> Result<()> {
        match self.ended.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(Error::Stopped { why }),
            Err(_) => Err(Error::Stopped {
                why: "the reading thread broke off".into(),
            }),
        }
    }
}
