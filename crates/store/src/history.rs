//! Views of the past.
//!
//! A view that was shown once was: the files of its Delta version, and the rows beyond them up to
//! the offsets in its token. Those rows were hot then; now they are hot still, or in files that
//! later commits added. So the same rows are found again by taking back what later commits did to
//! the files, and reading what they added up to the token's offsets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::file::DataFile;
use crate::position::StreamPartition;
use crate::store::Store;
use crate::table::{Change, Offsets, Table};
use crate::token::{SnapshotToken, TokenParts};
use crate::view::ReadView;

/// What the commits after `start` changed, oldest first; as long as tokens are honoured.
pub(crate) struct History {
    start: i64,
    changes: VecDeque<(i64, Change)>,
}

impl History {
    pub(crate) fn starting_at(version: i64) -> Self {
        History {
            start: version,
            changes: VecDeque::new(),
        }
    }

    pub(crate) fn push(&mut self, change: Change, now_us: i64, keep_us: i64) {
        self.changes.push_back((now_us, change));
        let expired = |(at, _): &(i64, Change)| now_us.saturating_sub(*at) > keep_us;
        while self.changes.front().is_some_and(expired) {
            if let Some((_, change)) = self.changes.pop_front() {
                self.start = change.version;
            }
        }
    }

    /// The changes after `version`, oldest first; `None` if they are not all remembered.
    fn since(&self, version: i64) -> Option<impl DoubleEndedIterator<Item = &Change>> {
        let wanted = move |c: &&Change| c.version > version;
        (self.start <= version).then(|| self.changes.iter().map(|(_, c)| c).filter(wanted))
    }
}

/// The state at `version`, and the files with new rows that later versions added.
struct Past {
    table: Table,
    later: Vec<Arc<DataFile>>,
}

impl Store {
    /// The view that `token` names, row for row: for a day, through later commits and compactions.
    /// [`Error::Gone`] when it is too old; [`Error::Behind`] when rows it held are not here yet.
    pub async fn view_as_of(&self, token: &SnapshotToken) -> Result<Arc<ReadView>> {
        let parts = token.decode()?;
        self.check(&parts)?;
        let mut tip = self.inner.tip.lock().await;
        let limits: Offsets = parts.limits().collect();
        let missing = |view: &ReadView| {
            let visible = view.visible();
            let has = |at, last| visible.get(at).is_some_and(|seen| *seen >= last);
            limits
                .iter()
                .find(|(at, last)| !has(*at, **last))
                .map(|(at, _)| at.clone())
        };
        if parts.version > tip.table.version || missing(&self.view()).is_some() {
            self.catch_up(&mut tip).await?;
        }
        if parts.version > tip.table.version {
            return Err(Error::Token {
                reason: "of a version that is yet to come".into(),
            });
        }
        // the hot rows of the view belong to its own table, so both are taken from one view
        let now = self.view();
        if let Some(at) = missing(&now) {
            return Err(Error::Behind {
                reason: format!("rows of {at} are being read again"),
            });
        }
        let past = match undo(&tip, parts.version) {
            Some(past) => past,
            None => self.reload(&tip.table, parts.version).await?,
        };
        let until = |at: &StreamPartition| limits.get(at).copied().unwrap_or(i64::MIN);
        let wanted = |file: &Arc<DataFile>| match &file.contents.spans {
            Some(spans) => spans.iter().any(|s| s.first <= until(&s.at)),
            None => !limits.is_empty(),
        };
        let hot = now
            .hot
            .iter()
            .filter_map(|h| h.within(i64::MIN, until(h.at())).map(Arc::new));
        Ok(Arc::new(ReadView {
            version: parts.version,
            watermark_us: parts.watermark_us,
            table: past.table,
            hot: hot.collect(),
            later: past.later.into_iter().filter(wanted).collect(),
            limits: Some(limits),
            token: Some(token.clone()),
            ways: Default::default(),
            clock: Arc::clone(&self.inner.clock),
        }))
    }

    fn check(&self, parts: &TokenParts) -> Result<()> {
        if parts.table != self.view().table.id {
            return Err(Error::Token {
                reason: "of another table".into(),
            });
        }
        let age_us = (self.inner.clock)().saturating_sub(parts.made_at_us);
        let valid_us = self.inner.options.token_valid_us;
        if age_us > valid_us {
            let hours = valid_us / 3_600_000_000;
            return Err(Error::Gone {
                reason: format!("it was made more than {hours} h ago"),
            });
        }
        Ok(())
    }

    /// The past from the log, for a version before this process's start.
    async fn reload(&self, now: &Table, version: i64) -> Result<Past> {
        let gone = || Error::Gone {
            reason: "its place in the log has been cleaned up".into(),
        };
        let mut table = self.inner.log.load(Some(version)).await?.ok_or_else(gone)?;
        let past = Past {
            table: table.clone(),
            later: Vec::new(),
        };
        let mut later = BTreeMap::new();
        for next in version + 1..=now.version {
            let actions = self.inner.log.actions(next).await?.ok_or_else(gone)?;
            for file in table.apply(next, &actions)?.new {
                later.insert(file.path.clone(), file);
            }
        }
        Ok(Past {
            later: later.into_values().collect(),
            ..past
        })
    }
}

/// The past from memory; `None` if it lies before what is remembered.
fn undo(tip: &crate::store::Tip, version: i64) -> Option<Past> {
    let mut table = tip.table.clone();
    let mut later = Vec::new();
    for change in tip.history.since(version)?.rev() {
        table.take_back(change);
        later.extend(change.new.iter().cloned());
    }
    table.version = version;
    Some(Past { table, later })
}

impl Table {
    fn take_back(&mut self, change: &Change) {
        for file in &change.added {
            self.files_mut(file.kind).remove(&file.path);
        }
        for file in &change.removed {
            self.files_mut(file.kind)
                .insert(file.path.clone(), Arc::clone(file));
        }
        let offsets = Arc::make_mut(&mut self.offsets);
        for (at, before) in change.offsets_before.iter().rev() {
            match before {
                Some(offset) => offsets.insert(at.clone(), *offset),
                None => offsets.remove(at),
            };
        }
    }
}
