//! Where a subject is: the key of its id, and the roots that hold events of it.

use std::sync::Arc;

use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use linkfunnel_model::{CheckedQuestion, FunnelQuestion, Subject, id_key};
use linkfunnel_store::{ROOT_KEY, ScanRequest};

use crate::columns::int64s;
use crate::engine::{Engine, Run};
use crate::error::{Error, Result};
use crate::journey::JourneyQuestion;
use crate::membership::derived_key;

/// Most companies (or other roots) one id may stand under.
pub const MAX_ROOTS: usize = 100;

/// A subject of the view.
pub(crate) struct Found {
    /// Its id as stored.
    pub(crate) id: String,
    pub(crate) key: i64,
    /// The roots that hold it.
    pub(crate) roots: Vec<i64>,
}

impl Engine {
    /// Where the subject of a question is; `None` when nothing in the view has its id.
    pub(crate) async fn look_up(
        &self,
        run: &Run,
        tenant: &str,
        question: &JourneyQuestion,
        asked: &(FunnelQuestion, CheckedQuestion),
    ) -> Result<Option<Found>> {
        let kind = question.subject.id_kind();
        let id = match &self.options().pseudonym {
            Some(stored) => stored(tenant, kind, &question.id),
            None => question.id.clone(),
        };
        let mut key = id_key(tenant, kind, &id);
        let mut roots = self
            .roots_naming(run, tenant, question.subject, key)
            .await?;
        let is_journey = question.subject == Subject::Journey;
        if let Some(derived) = derived_key(&id).filter(|_| is_journey && roots.is_empty()) {
            key = derived;
            roots = self.roots_deriving(run, tenant, key, asked).await?;
        }
        Ok((!roots.is_empty()).then_some(Found { id, key, roots }))
    }

    /// The roots that hold a derived journey. No event names it, so all of them are asked.
    async fn roots_deriving(
        &self,
        run: &Run,
        tenant: &str,
        key: i64,
        (question, checked): &(FunnelQuestion, CheckedQuestion),
    ) -> Result<Vec<i64>> {
        let mut prepared = self.prepare(run, tenant, question.clone(), checked.clone())?;
        prepared.plan.look_for(key);
        let (_, outcome) = self.run_plan(run, tenant, prepared.plan).await?;
        Ok(outcome.gathered.iter().map(|under| under.root).collect())
    }

    /// The roots of the events that name the id.
    async fn roots_naming(
        &self,
        run: &Run,
        tenant: &str,
        subject: Subject,
        key: i64,
    ) -> Result<Vec<i64>> {
        let column = subject.id_kind().key_column();
        let request = ScanRequest {
            tenant: Some(tenant.to_owned()),
            columns: vec![ROOT_KEY.to_owned(), column.to_owned()],
            partitions: self.options().target_partitions.max(1),
            ..ScanRequest::default()
        };
        let scan = self
            .store()
            .scan(&run.view, request, &run.session.state())
            .await?;
        let mut roots: Vec<i64> = Vec::new();
        let read = async {
            let all = Arc::new(CoalescePartitionsExec::new(scan));
            let mut batches = execute_stream(all, run.session.task_ctx())?;
            while let Some(batch) = batches.try_next().await? {
                let keys = int64s(&batch, column)?;
                let of_root = int64s(&batch, ROOT_KEY)?.values;
                for (row, root) in of_root.iter().enumerate() {
                    if keys.get(row) == Some(key) && !roots.contains(root) {
                        roots.push(*root);
                    }
                }
                if roots.len() > MAX_ROOTS {
                    break;
                }
            }
            Ok(())
        };
        read.await.map_err(|e| run.error(e))?;
        if roots.len() > MAX_ROOTS {
            let detail = format!("the id stands under more than {MAX_ROOTS} companies");
            return Err(Error::refused("too_many_companies", "/id", detail));
        }
        Ok(roots)
    }
}
