//! What one answer reads from start to end: one Delta version and the hot rows beyond it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use linkfunnel_model::Clock;

use crate::file::{DataFile, RowKind};
use crate::hot::HotRows;
use crate::position::StreamPartition;
use crate::table::{Offsets, Table};
use crate::token::{SnapshotToken, TokenParts};
use crate::ways::ViewWays;

/// An immutable view of the table. A hot row is in it iff its offset lies beyond the committed
/// offset of its partition in the same view.
pub struct ReadView {
    /// The Delta version.
    pub version: i64,
    /// Everything that had arrived up to this time (µs since the epoch) is in the view; `None` while
    /// nothing is known (a new table without streams).
    pub watermark_us: Option<i64>,
    pub(crate) table: Table,
    pub(crate) hot: Vec<Arc<HotRows>>,
    /// For views of the past: rows of these files, and of `hot`, count only up to these offsets.
    pub(crate) later: Vec<Arc<DataFile>>,
    pub(crate) limits: Option<Offsets>,
    /// For views of the past: the token it was asked for by.
    pub(crate) token: Option<SnapshotToken>,
    pub(crate) ways: ViewWays,
    pub(crate) clock: Clock,
}

impl ReadView {
    /// For views of the past: the files of this kind whose rows count only up to the view's offsets.
    pub(crate) fn later(&self, kind: RowKind) -> impl Iterator<Item = &Arc<DataFile>> {
        self.later.iter().filter(move |file| file.kind == kind)
    }

    /// The name of this view, to be accepted back as `as_of` for a day. A view of the past keeps
    /// the token it was asked for by.
    pub fn token(&self) -> SnapshotToken {
        if let Some(token) = &self.token {
            return token.clone();
        }
        let mut hot: BTreeMap<&StreamPartition, i64> = BTreeMap::new();
        for rows in &self.hot {
            let last = hot.entry(rows.at()).or_insert(rows.last());
            *last = rows.last().max(*last);
        }
        let parts = TokenParts {
            table: self.table.id,
            version: self.version,
            hot: hot
                .into_iter()
                .map(|(at, o)| (at.stream.to_string(), at.partition, o))
                .collect(),
            watermark_us: self.watermark_us,
            made_at_us: (self.clock)(),
            definition: None,
        };
        parts.encode()
    }

    /// A number for the rows of this view: the same in every process and after a commit or a
    /// compaction of the same rows, another once rows came or were removed for good.
    pub fn rows_id(&self) -> u128 {
        let visible = self.visible();
        let seen: Vec<_> = visible.iter().map(words).collect();
        let removed: Vec<_> = self.table.removed.iter().map(words).collect();
        let text = serde_json::to_vec(&(self.table.id, seen, removed))
            .expect("numbers and text always serialise");
        xxhash_rust::xxh3::xxh3_128(&text)
    }

    /// Rows that are visible but not committed, rejects included.
    pub fn hot_rows(&self) -> usize {
        self.hot.iter().map(|h| h.events() + h.rejects()).sum()
    }

    /// Bytes of the segments that hold hot rows.
    pub fn hot_bytes(&self) -> usize {
        self.hot.iter().map(|h| h.bytes()).sum()
    }

    /// Files of events.
    pub fn files(&self) -> usize {
        self.table.events.len()
    }

    /// Event rows in files, copies included.
    pub fn committed_rows(&self) -> u64 {
        self.table.events.values().map(|f| f.contents.rows).sum()
    }

    /// The last committed offset of every partition.
    pub fn committed(&self) -> impl Iterator<Item = (&StreamPartition, i64)> {
        self.table.offsets.iter().map(|(at, offset)| (at, *offset))
    }

    /// The last visible offset of every partition, committed or hot.
    pub fn visible(&self) -> BTreeMap<StreamPartition, i64> {
        let mut offsets: BTreeMap<_, _> = (*self.table.offsets).clone();
        for rows in &self.hot {
            let last = offsets.entry(rows.at().clone()).or_insert(rows.last());
            *last = rows.last().max(*last);
        }
        for (at, limit) in self.limits.iter().flatten() {
            offsets.insert(at.clone(), *limit);
        }
        offsets
    }
}

fn words<'a>((at, number): (&'a StreamPartition, &i64)) -> (&'a str, i32, i64) {
    (&at.stream, at.partition, *number)
}

impl fmt::Debug for ReadView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadView")
            .field("version", &self.version)
            .field("watermark_us", &self.watermark_us)
            .field("files", &self.files())
            .field("hot_rows", &self.hot_rows())
            .field("as_of", &self.token)
            .finish_non_exhaustive()
    }
}
