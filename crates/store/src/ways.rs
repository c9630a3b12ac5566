//! Where the ids of a view lead (semantics rules 1 and 2): a function of all its events, whatever the
//! range asked about and however they arrived.
//!
//! What a file says about ids never changes, so it is read once and kept, as much as fits. Ways are
//! laid in layers. The base holds what the table held at some version, and the recent layer what was
//! committed since, until that is worth taking into the base; both are kept from view to view. Hot
//! rows are laid over them for each view. Rows are only ever added, and compaction says nothing new
//! about ids, so a version tells what a layer covers; where rows were taken away, all is laid anew.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::error::DataFusionError;
use futures::{StreamExt, TryStreamExt};
use linkfunnel_model::{Goal, Pairs, Ways};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::error::{Error, Result, While};
use crate::file::{DataFile, RowKind};
use crate::scan::Input;
use crate::source_ids::SourceIds;
use crate::store::Store;
use crate::view::ReadView;

/// The recent layer is taken into the base once it has this many pairs (few in tests, so that they do
/// both), and at least a sixteenth of the base's.
const WORTH_TAKING_IN: usize = if cfg!(test) { 8 } else { 64 << 10 };

/// So many versions are remembered, for queries that began a little earlier than others.
const REMEMBERED: usize = 4;

/// The ways of one view, found when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct ViewWays([OnceCell<Arc<Laid>>; 2]);

/// The ways of a view.
#[derive(Debug)]
pub(crate) struct Laid {
    pub(crate) ways: Arc<Ways>,
    /// The layer at the bottom, which many views share.
    pub(crate) base: Arc<Ways>,
    /// The ids that lead elsewhere than there, in order.
    pub(crate) changed: Vec<i64>,
}

/// What is remembered of ids from view to view.
#[derive(Debug, Default)]
pub(crate) struct IdMemory {
    files: Mutex<Files>,
    goals: [GoalMemory; 2],
}

#[derive(Debug, Default)]
struct GoalMemory {
    /// By version, the newest last.
    layers: Mutex<VecDeque<Layers>>,
    /// Held while ways are laid, so that no two queries do the same work.
    laying: tokio::sync::Mutex<()>,
}

/// The ways over what the table held at a version.
#[derive(Debug, Clone)]
struct Layers {
    version: i64,
    base: Arc<Ways>,
    /// How many pairs the base was made of.
    base_pairs: usize,
    /// The pairs since, and the ways over them and the base.
    recent: Arc<Pairs>,
    ways: Arc<Ways>,
}

/// What files say, the least recently used are forgotten first.
#[derive(Debug, Default)]
struct Files {
    kept: HashMap<String, Kept>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct Kept {
    ids: Arc<SourceIds>,
    last_use: u64,
}

impl Files {
    fn get(&mut self, path: &str) -> Option<Arc<SourceIds>> {
        self.uses += 1;
        let kept = self.kept.get_mut(path)?;
        kept.last_use = self.uses;
        Some(Arc::clone(&kept.ids))
    }

    fn put(&mut self, path: &str, ids: Arc<SourceIds>, limit_bytes: usize) {
        self.uses += 1;
        let bytes = ids.bytes();
        if bytes > limit_bytes {
            return;
        }
        let last_use = self.uses;
        let before = self.kept.insert(path.to_owned(), Kept { ids, last_use });
        self.bytes = self.bytes + bytes - before.map_or(0, |kept| kept.ids.bytes());
        while self.bytes > limit_bytes {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.last_use);
            let Some(path) = oldest.map(|(path, _)| path.clone()) else {
                break;
            };
            let gone = self.kept.remove(&path);
            self.bytes -= gone.map_or(0, |kept| kept.ids.bytes());
        }
    }
}

impl Store {
    /// Which journey each id leads to, by all events of the view.
    ///
    /// # Errors
    /// [`Error::TooManyIds`]; what a scan fails by.
    pub async fn journeys(&self, view: &ReadView, state: &dyn Session) -> Result<Arc<Ways>> {
        let laid = self.ways(view, Goal::Journey, state).await?;
        Ok(Arc::clone(&laid.ways))
    }

    pub(crate) async fn ways(
        &self,
        view: &ReadView,
        goal: Goal,
        state: &dyn Session,
    ) -> Result<Arc<Laid>> {
        let cell = &view.ways.0[goal as usize];
        let laid = cell.get_or_try_init(|| self.lay(view, goal, state));
        laid.await.cloned()
    }

    /// What a file says about the ids on ways to companies.
    pub(crate) async fn ids_of(
        &self,
        file: &Arc<DataFile>,
        state: &dyn Session,
    ) -> Result<Arc<SourceIds>> {
        let memory = &self.inner.ids.files;
        if let Some(ids) = memory.lock().get(&file.path) {
            return Ok(ids);
        }
        let ids = self.read_all_ids(file, Goal::Company, state).await?;
        let limit = self.inner.options.id_cache_bytes;
        memory.lock().put(&file.path, Arc::clone(&ids), limit);
        Ok(ids)
    }

    /// What a file says about the ids on ways to a goal. It is kept where rows may have to find
    /// their roots; that of journeys is in the layers, and asked for once.
    async fn ids_on_ways(
        &self,
        file: &Arc<DataFile>,
        goal: Goal,
        state: &dyn Session,
    ) -> Result<Arc<SourceIds>> {
        match goal {
            Goal::Company => self.ids_of(file, state).await,
            Goal::Journey => self.read_all_ids(file, goal, state).await,
        }
    }

    async fn read_all_ids(
        &self,
        file: &Arc<DataFile>,
        goal: Goal,
        state: &dyn Session,
    ) -> Result<Arc<SourceIds>> {
        let input = Input {
            file: Arc::clone(file),
            limited: false,
        };
        self.read_ids(input, goal, None, state).await
    }

    async fn lay(&self, view: &ReadView, goal: Goal, state: &dyn Session) -> Result<Arc<Laid>> {
        let layers = self.layers(view, goal, state).await?;
        let mut above: Vec<_> = view.hot.iter().map(|rows| rows.ids(goal)).collect();
        for file in view.later(RowKind::Event) {
            let input = Input {
                file: Arc::clone(file),
                limited: true,
            };
            above.push(
                self.read_ids(input, goal, view.limits.as_ref(), state)
                    .await?,
            );
        }
        let mut ways = Ways::over(Arc::clone(&layers.ways));
        ways.extend(&Pairs::of(above.iter().map(|ids| &ids.pairs)));
        self.check_size(layers.bytes() + ways.bytes())?;
        Ok(Arc::new(Laid {
            changed: ways.changed_from(&layers.base),
            base: layers.base,
            ways: Arc::new(ways),
        }))
    }

    /// The ways over the files of a view.
    async fn layers(&self, view: &ReadView, goal: Goal, state: &dyn Session) -> Result<Layers> {
        let memory = &self.inner.ids.goals[goal as usize];
        let _turn = memory.laying.lock().await;
        let table = &view.table;
        let is_of_view =
            |layers: &&Layers| (table.shrunk..=table.version).contains(&layers.version);
        let known = memory.layers.lock().iter().rev().find(is_of_view).cloned();
        let since = known.as_ref().map_or(i64::MIN, |layers| layers.version);
        let fresh: Vec<_> = table
            .events
            .values()
            .filter(|file| file.newest > since)
            .cloned()
            .collect();
        let at_once = state.config().target_partitions().max(1);
        let fresh = futures::stream::iter(fresh)
            .map(async |file| self.ids_on_ways(&file, goal, state).await)
            .buffered(at_once)
            .try_collect::<Vec<_>>()
            .await?;
        let bytes = fresh.iter().map(|ids| ids.pairs.bytes()).sum();
        self.check_size(bytes)?;
        let version = table.version;
        let work = move || {
            let fresh = Pairs::of_each(fresh, |ids| &ids.pairs);
            match known {
                Some(layers) => layers.with(version, fresh),
                None => Layers::new(version, fresh),
            }
        };
        let layers = off_the_async_threads(work).await?;
        self.check_size(layers.bytes())?;
        if view.limits.is_none() {
            memory.remember(layers.clone());
        }
        Ok(layers)
    }

    fn check_size(&self, bytes: usize) -> Result<()> {
        let limit_bytes = self.inner.options.ways_bytes_limit;
        if bytes > limit_bytes {
            return Err(Error::TooManyIds { limit_bytes });
        }
        Ok(())
    }
}

impl GoalMemory {
    fn remember(&self, layers: Layers) {
        let mut all = self.layers.lock();
        let newest = all.back().map_or(i64::MIN, |newest| newest.version);
        if layers.version > newest {
            all.push_back(layers);
            if all.len() > REMEMBERED {
                all.pop_front();
            }
        }
    }
}

impl Layers {
    fn new(version: i64, pairs: Pairs) -> Layers {
        let base = Arc::new(Ways::new(&pairs));
        Layers {
            version,
            base_pairs: pairs.len(),
            recent: Arc::default(),
            ways: Arc::clone(&base),
            base,
        }
    }

    /// With the pairs that came until a later version.
    fn with(self, version: i64, fresh: Pairs) -> Layers {
        if fresh.is_empty() {
            return Layers { version, ..self };
        }
        let recent = Pairs::of([&*self.recent, &fresh]);
        if recent.len() > WORTH_TAKING_IN.max(self.base_pairs / 16) {
            let base = Arc::new(self.base.with(&recent));
            return Layers {
                version,
                base_pairs: self.base_pairs + recent.len(),
                recent: Arc::default(),
                ways: Arc::clone(&base),
                base,
            };
        }
        let mut ways = Ways::over(Arc::clone(&self.base));
        ways.extend(&recent);
        Layers {
            version,
            recent: Arc::new(recent),
            ways: Arc::new(ways),
            ..self
        }
    }

    fn bytes(&self) -> usize {
        let above = match Arc::ptr_eq(&self.base, &self.ways) {
            true => 0,
            false => self.ways.bytes(),
        };
        self.base.bytes() + above + self.recent.bytes()
    }
}

async fn off_the_async_threads<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| DataFusionError::ExecutionJoin(Box::new(e)))
        .when("laying ways between ids")
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_least_recently_used_are_forgotten_first_and_the_limit_holds() {
        let ids = || {
            let mut gatherer = linkfunnel_model::Gatherer::new(Goal::Company);
            for i in 0..10 {
                gatherer.add(
                    &[
                        (linkfunnel_model::IdKind::Company, i),
                        (linkfunnel_model::IdKind::User, 100 + i),
                    ],
                    0,
                );
            }
            Arc::new(SourceIds {
                pairs: gatherer.finish(),
                ..SourceIds::default()
            })
        };
        let one = ids().bytes();
        let mut files = Files::default();
        for path in ["a", "b", "c"] {
            files.put(path, ids(), 3 * one);
        }
        assert!(files.get("a").is_some());
        files.put("d", ids(), 3 * one);
        assert!(files.get("b").is_none());
        assert!(["a", "c", "d"].iter().all(|p| files.get(p).is_some()));
        assert_eq!(files.bytes, 3 * one);
        files.put("e", ids(), one - 1);
        assert!(files.get("e").is_none(), "what can never fit is not kept");
        files.put("f", ids(), one);
        assert_eq!((files.kept.len(), files.bytes), (1, one));
    }
}
