//! The store: one table, its hot rows, and the view that readers get.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use datafusion::execution::object_store::ObjectStoreUrl;
use linkfunnel_model::Clock;
use object_store::ObjectStore;
use parking_lot::Mutex;
use url::Url;

use crate::commit::Header;
use crate::error::{Error, Result, While};
use crate::history::History;
use crate::hot::HotRows;
use crate::location::Location;
use crate::log::Log;
use crate::options::StoreOptions;
use crate::position::{Fingerprint, HotSegment, StreamPartition};
use crate::saved_cache::SavedCache;
use crate::table::{Change, Table};
use crate::view::ReadView;
use crate::ways::IdMemory;

/// One table of events and rejects. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) log: Log,
    pub(crate) url: ObjectStoreUrl,
    pub(crate) options: StoreOptions,
    pub(crate) clock: Clock,
    view: ArcSwap<ReadView>,
    live: Mutex<Live>,
    /// The newest state and what led to it. Held while a commit is written, so that commits of this
    /// process queue up instead of racing each other.
    pub(crate) tip: tokio::sync::Mutex<Tip>,
    /// Held while a batch is written, before its turn at the tip.
    pub(crate) committing: tokio::sync::Mutex<()>,
    /// Held by whoever compacts or cleans up.
    pub(crate) maintenance: tokio::sync::Mutex<()>,
    pub(crate) saved: SavedCache,
    pub(crate) ids: IdMemory,
}

/// The newest state that this process knows of.
pub(crate) struct Tip {
    pub(crate) table: Table,
    pub(crate) history: History,
    pub(crate) checkpoint: i64,
    /// When the log was last seen to end here (µs since the epoch).
    pub(crate) seen_us: i64,
}

/// What the next view is made of.
struct Live {
    table: Table,
    hot: Vec<Arc<HotRows>>,
    watermarks: BTreeMap<StreamPartition, i64>,
    import_time_us: Option<i64>,
}

/// A process that has not looked for so long reads the state anew: the commits it missed may have
/// been cleaned up.
pub(crate) const STALE_US: i64 = 3_600_000_000;

impl Store {
    /// Opens the table at `location`, making it when there is none.
    pub async fn open(location: &Location, options: StoreOptions, clock: Clock) -> Result<Store> {
        Self::with_object_store(location.object_store()?, options, clock).await
    }

    /// Opens the table at the root of an object store, making it when there is none. Put-if-absent
    /// of the store must be atomic.
    pub async fn with_object_store(
        store: Arc<dyn ObjectStore>,
        options: StoreOptions,
        clock: Clock,
    ) -> Result<Store> {
        let url = format!("linkfunnel://{}/", uuid::Uuid::new_v4().simple());
        let url = Url::parse(&url).expect("a scheme and a host are a URL");
        let log = Log::new(store, &url);
        if log.load(None).await?.is_none() {
            log.create().await?;
        }
        let table = log.load(None).await?.ok_or_else(|| Error::Foreign {
            reason: "its log vanished while it was opened".into(),
        })?;
        let checkpoint = log.last_checkpoint().await?.unwrap_or(-1);
        let newest_ms = table
            .events
            .values()
            .chain(table.rejects.values())
            .map(|f| f.modified_ms);
        let import_time_us = newest_ms.max().map(|ms| ms.saturating_mul(1000));
        let live = Live {
            table,
            hot: Vec::new(),
            watermarks: BTreeMap::new(),
            import_time_us,
        };
        let view = live.view(&clock);
        let inner = Inner {
            log,
            url: ObjectStoreUrl::parse(url.as_str()).when("naming the store")?,
            tip: tokio::sync::Mutex::new(Tip {
                table: live.table.clone(),
                history: History::starting_at(live.table.version),
                checkpoint,
                seen_us: clock(),
            }),
            options,
            view: ArcSwap::from_pointee(view),
            live: Mutex::new(live),
            committing: tokio::sync::Mutex::new(()),
            maintenance: tokio::sync::Mutex::new(()),
            saved: SavedCache::default(),
            ids: IdMemory::default(),
            clock,
        };
        let store = Store {
            inner: Arc::new(inner),
        };
        store.widen_schema().await?;
        Ok(store)
    }

    /// What a reader sees now. Keep it for the whole of one answer.
    pub fn view(&self) -> Arc<ReadView> {
        self.inner.view.load_full()
    }

    /// Makes sealed segments visible, all at once. Rows already visible are left out.
    pub fn publish(&self, segments: Vec<HotSegment>) {
        self.publish_shared(segments.into_iter().map(Arc::new).collect());
    }

    /// As [`Self::publish`], for segments the caller keeps to commit them.
    pub fn publish_shared(&self, segments: Vec<Arc<HotSegment>>) {
        let rows: Vec<HotRows> = segments
            .into_iter()
            .map(|s| HotRows::new(Arc::clone(&s), s.first - 1))
            .collect();
        self.change(|live| {
            for rows in rows {
                let visible = live.last_hot(rows.at()).unwrap_or(i64::MIN);
                let new = rows.within(visible, i64::MAX);
                let new = new.and_then(|rows| live.beyond_committed(&rows));
                live.hot.extend(new);
            }
        });
    }

    /// Takes the hot rows of a partition out of the view: it is another process's now.
    pub fn drop_hot(&self, at: &StreamPartition) {
        self.change(|live| live.hot.retain(|h| h.at() != at));
    }

    /// Everything of this partition that had arrived up to `watermark_us` (µs since the epoch) is in
    /// the view. Never moves back.
    pub fn set_watermark(&self, at: StreamPartition, watermark_us: i64) {
        self.change(|live| {
            let mark = live.watermarks.entry(at).or_insert(watermark_us);
            *mark = watermark_us.max(*mark);
        });
    }

    /// The partition no longer counts: another process reads it.
    pub fn remove_watermark(&self, at: &StreamPartition) {
        self.change(|live| {
            live.watermarks.remove(at);
        });
    }

    /// An import ended at `time_us` (µs since the epoch): the watermark while no live stream is
    /// attached. When the store opens it is the time of the newest file.
    pub fn set_import_time(&self, time_us: i64) {
        self.change(|live| live.import_time_us = Some(time_us));
    }

    /// The last committed offset of a partition, from memory.
    pub fn committed(&self, at: &StreamPartition) -> Option<i64> {
        self.view().table.offsets.get(at).copied()
    }

    /// The last message of a partition as it was committed.
    pub fn fingerprint(&self, at: &StreamPartition) -> Option<Fingerprint> {
        self.view().table.fingerprints.get(at).copied()
    }

    /// The partitions ever committed to, with their last offset.
    pub fn committed_partitions(&self) -> Vec<(StreamPartition, i64)> {
        self.view()
            .committed()
            .map(|(at, offset)| (at.clone(), offset))
            .collect()
    }

    /// Whether hot rows hold more memory than they should: commit before taking more.
    pub fn is_full(&self) -> bool {
        self.view().hot_bytes() >= self.inner.options.hot_bytes_limit
    }

    /// Takes in what other processes have committed.
    pub async fn refresh(&self) -> Result<()> {
        let mut tip = self.inner.tip.lock().await;
        self.catch_up(&mut tip).await
    }

    pub(crate) fn is_stale(&self, tip: &Tip) -> bool {
        (self.inner.clock)().saturating_sub(tip.seen_us) > STALE_US
    }

    /// Reads the commits after the tip and shows them.
    pub(crate) async fn catch_up(&self, tip: &mut Tip) -> Result<()> {
        let now_us = (self.inner.clock)();
        if self.is_stale(tip) {
            if let Some(table) = self.inner.log.load(None).await?
                && table.version > tip.table.version
            {
                tip.history = History::starting_at(table.version);
                tip.table = table;
            }
        } else {
            while let Some(actions) = self.inner.log.actions(tip.table.version + 1).await? {
                self.advance(tip, &actions)?;
            }
        }
        tip.seen_us = now_us;
        self.show(tip);
        Ok(())
    }

    /// Moves the tip by one version. All or nothing: a commit that cannot be applied changes nothing.
    pub(crate) fn advance(
        &self,
        tip: &mut Tip,
        actions: &[deltalake::kernel::Action],
    ) -> Result<Change> {
        let mut table = tip.table.clone();
        let change = table.apply(tip.table.version + 1, actions)?;
        tip.table = table;
        tip.seen_us = (self.inner.clock)();
        let keep_us = self.inner.options.token_valid_us;
        tip.history
            .push(change.clone(), (self.inner.clock)(), keep_us);
        Ok(change)
    }

    /// Swaps the view: the tip's files in, hot rows that they cover out.
    pub(crate) fn show(&self, tip: &Tip) {
        self.change(|live| {
            if tip.table.version <= live.table.version {
                return;
            }
            live.table = tip.table.clone();
            let hot = std::mem::take(&mut live.hot);
            live.hot = hot
                .iter()
                .filter_map(|rows| live.beyond_committed(rows))
                .collect();
        });
    }

    fn change(&self, edit: impl FnOnce(&mut Live)) {
        let mut live = self.inner.live.lock();
        edit(&mut live);
        self.inner
            .view
            .store(Arc::new(live.view(&self.inner.clock)));
    }

    /// Adds columns that this version of the program knows and the table lacks.
    async fn widen_schema(&self) -> Result<()> {
        const TRIES: u32 = 16;
        for _ in 0..TRIES {
            let table = self.inner.tip.lock().await.table.clone();
            let Some(action) = self.inner.log.widened(&table)? else {
                return Ok(());
            };
            let (mut actions, mut conflicts) = (vec![action], 0);
            let header = Header::new("ADD COLUMN", false);
            let same = |tip: &Tip| tip.table.columns == table.columns;
            self.commit_actions(header, &mut actions, &mut conflicts, same)
                .await?;
        }
        let reason = "other writers kept changing the table".into();
        Err(Error::Contended {
            attempts: TRIES,
            reason,
        })
    }
}

impl Live {
    fn last_hot(&self, at: &StreamPartition) -> Option<i64> {
        self.hot
            .iter()
            .filter(|rows| rows.at() == at)
            .map(|rows| rows.last())
            .max()
    }

    /// The part of `rows` that is not committed; `None` when all of it is.
    fn beyond_committed(&self, rows: &HotRows) -> Option<Arc<HotRows>> {
        let committed = self
            .table
            .offsets
            .get(rows.at())
            .copied()
            .unwrap_or(i64::MIN);
        rows.within(committed, i64::MAX).map(Arc::new)
    }

    fn view(&self, clock: &Clock) -> ReadView {
        let mut table = self.table.clone();
        table.tombstones = Arc::default(); // readers need none, and a shared map would be copied
        ReadView {
            version: table.version,
            // A partition just attached stands at 0: nothing is known of it yet.
            watermark_us: match self.watermarks.values().min() {
                Some(least) => Some(*least).filter(|us| *us > 0),
                None => self.import_time_us,
            },
            table,
            hot: self.hot.clone(),
            later: Vec::new(),
            limits: None,
            token: None,
            ways: Default::default(),
            clock: Arc::clone(clock),
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("view", &self.view())
            .finish_non_exhaustive()
    }
}
