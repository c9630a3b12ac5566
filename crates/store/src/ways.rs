//! Where the ids of a view lead (semantics rules 1 and 2): a function of all its events, whatever the
//! range asked about and however they arrived.
//!
//! What a file says about ids never changes, so it is read once and kept, as much as fits. Over the
//! files that a view shares with those before it lie ways that are kept too; fresh files and hot rows
//! are laid over them for each view.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::error::DataFusionError;
use futures::{StreamExt, TryStreamExt};
use linkfunnel_model::{Goal, Pairs, Ways};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::error::{Error, Result, While};
use crate::file::DataFile;
use crate::scan::Input;
use crate::source_ids::SourceIds;
use crate::store::Store;
use crate::view::ReadView;

/// Fewer pairs than this are laid over anew for each view rather than taken in for good (few in
/// tests, so that they do both).
const WORTH_KEEPING: usize = if cfg!(test) { 8 } else { 32 << 10 };

/// The ways of one view, found when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct ViewWays([OnceCell<Arc<Ways>>; 2]);

/// What is remembered of ids from view to view.
#[derive(Debug, Default)]
pub(crate) struct IdMemory {
    files: Mutex<Files>,
    goals: [GoalMemory; 2],
}

#[derive(Debug, Default)]
struct GoalMemory {
    base: Mutex<Option<Arc<Base>>>,
    /// Held while ways are laid, so that no two queries do the same work.
    laying: tokio::sync::Mutex<()>,
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

/// Ways over some files.
#[derive(Debug)]
struct Base {
    covers: BTreeSet<String>,
    pairs: usize,
    ways: Arc<Ways>,
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
        self.ways(view, Goal::Journey, state).await
    }

    pub(crate) async fn ways(
        &self,
        view: &ReadView,
        goal: Goal,
        state: &dyn Session,
    ) -> Result<Arc<Ways>> {
        let cell = &view.ways.0[goal as usize];
        let ways = cell.get_or_try_init(|| self.lay(view, goal, state));
        ways.await.cloned()
    }

    /// What a file says about ids.
    pub(crate) async fn ids_of(
        &self,
        file: &Arc<DataFile>,
        state: &dyn Session,
    ) -> Result<Arc<SourceIds>> {
        let memory = &self.inner.ids.files;
        if let Some(ids) = memory.lock().get(&file.path) {
            return Ok(ids);
        }
        let input = Input {
            file: Arc::clone(file),
            limited: false,
        };
        let ids = self.read_ids(input, None, state).await?;
        let limit = self.inner.options.id_cache_bytes;
        memory.lock().put(&file.path, Arc::clone(&ids), limit);
        Ok(ids)
    }

    async fn lay(&self, view: &ReadView, goal: Goal, state: &dyn Session) -> Result<Arc<Ways>> {
        let memory = &self.inner.ids.goals[goal as usize];
        let _turn = memory.laying.lock().await;
        let files = &view.table.events;
        let all_there = |base: &Arc<Base>| base.covers.iter().all(|p| files.contains_key(p));
        let base = memory.base.lock().clone().filter(all_there);
        let is_fresh =
            |file: &&Arc<DataFile>| base.as_ref().is_none_or(|b| !b.covers.contains(&file.path));
        let at_once = state.config().target_partitions().max(1);
        let fresh =
            futures::stream::iter(files.values().filter(is_fresh).cloned().collect::<Vec<_>>())
                .map(async |file| self.ids_of(&file, state).await)
                .buffered(at_once)
                .try_collect::<Vec<_>>()
                .await?;
        let fresh = self.together(fresh, goal).await?;
        let worth = base.as_ref().map_or(0, |b| WORTH_KEEPING.max(b.pairs / 4));
        let (below, fresh) = match base {
            Some(base) if fresh.len() <= worth => (base, fresh),
            base => {
                let base = self.build(base, fresh, view).await?;
                if view.limits.is_none() {
                    *memory.base.lock() = Some(Arc::clone(&base));
                }
                (base, Pairs::default())
            }
        };
        let mut above: Vec<_> = view.hot.iter().map(|rows| rows.ids()).collect();
        for file in &view.later {
            let input = Input {
                file: Arc::clone(file),
                limited: true,
            };
            above.push(self.read_ids(input, view.limits.as_ref(), state).await?);
        }
        let above = above.iter().map(|ids| ids.pairs(goal));
        let mut ways = Ways::over(Arc::clone(&below.ways));
        ways.extend(&Pairs::of(std::iter::once(&fresh).chain(above)));
        self.check_size(below.ways.bytes() + ways.bytes())?;
        Ok(Arc::new(ways))
    }

    /// The pairs of several sources, each once.
    async fn together(&self, sources: Vec<Arc<SourceIds>>, goal: Goal) -> Result<Pairs> {
        let bytes = sources.iter().map(|ids| ids.pairs(goal).bytes()).sum();
        self.check_size(bytes)?;
        off_the_async_threads(move || Pairs::of(sources.iter().map(|ids| ids.pairs(goal)))).await
    }

    /// Ways over all files of a view: those of `base` and the rest, whose pairs are `fresh`.
    async fn build(
        &self,
        base: Option<Arc<Base>>,
        fresh: Pairs,
        view: &ReadView,
    ) -> Result<Arc<Base>> {
        let covers = view.table.events.keys().cloned().collect();
        let built = off_the_async_threads(move || {
            let mut ways = match &base {
                Some(base) => Ways::clone(&base.ways),
                None => Ways::default(),
            };
            ways.extend(&fresh);
            let pairs = base.map_or(0, |base| base.pairs) + fresh.len();
            Arc::new(Base {
                covers,
                pairs,
                ways: Arc::new(ways),
            })
        })
        .await?;
        self.check_size(built.ways.bytes())?;
        Ok(built)
    }

    fn check_size(&self, bytes: usize) -> Result<()> {
        let limit_bytes = self.inner.options.ways_bytes_limit;
        if bytes > limit_bytes {
            return Err(Error::TooManyIds { limit_bytes });
        }
        Ok(())
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
                companies: gatherer.finish(),
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
