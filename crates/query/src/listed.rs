//! Subjects one by one: the operator's list as a stream, so that nothing of it is held.
//!
//! Each partition of the scan goes through the same [`Shard`] that funnels are counted with, so what a
//! row says of a subject is what the counts say of it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use linkfunnel_model::Subject;
use linkfunnel_store::ReadView;

use crate::engine::Engine;
use crate::list::Listed;
use crate::membership::Membership;
use crate::plan::Plan;
use crate::shard::Shard;

/// The scan that a plan with a list reads, and the plan.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    scan: Arc<dyn ExecutionPlan>,
    plan: Arc<Plan>,
    membership: Membership,
}

/// State between two batches.
struct Reading {
    input: SendableRecordBatchStream,
    /// Gone once the input has ended.
    shard: Option<Shard>,
    held: MemoryReservation,
}

impl Engine {
    /// Plans a list of subjects in a view. What was streamed cannot be taken back, so journeys are found by
    /// all of rule 2 from the start, never in the hope that events name theirs.
    pub(crate) async fn listing(
        &self,
        view: &Arc<ReadView>,
        tenant: &str,
        plan: Plan,
        state: &dyn Session,
    ) -> crate::Result<Listing> {
        let membership = match plan.subject {
            Subject::Journey => Membership::Found(self.store().journeys(view, state).await?),
            _ => Membership::Named,
        };
        let scan = self
            .scan_view(view, tenant, &plan, &membership, None, state)
            .await?;
        Ok(Listing {
            scan,
            plan: Arc::new(plan),
            membership,
        })
    }
}

impl Listing {
    pub(crate) fn partitions(&self) -> usize {
        self.scan.output_partitioning().partition_count()
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The subjects of one partition, a few at a time.
    pub(crate) fn partition(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<impl Stream<Item = Result<Vec<Listed>>> + Send + 'static> {
        let held =
            MemoryConsumer::new(format!("subjects[{partition}]")).register(context.memory_pool());
        let reading = Reading {
            input: self.scan.execute(partition, context)?,
            shard: Some(Shard::new(Arc::clone(&self.plan), self.membership.clone())),
            held,
        };
        Ok(stream::try_unfold(reading, Reading::next))
    }

    /// The subjects of every partition, in no order.
    pub(crate) fn all(
        &self,
        context: &Arc<TaskContext>,
    ) -> Result<impl Stream<Item = Result<Vec<Listed>>> + Send + 'static> {
        let partitions = (0..self.partitions())
            .map(|partition| Ok(self.partition(partition, Arc::clone(context))?.boxed()));
        Ok(stream::select_all(partitions.collect::<Result<Vec<_>>>()?))
    }
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Vec<Listed>, Reading)>> {
        loop {
            let Some(shard) = self.shard.as_mut() else {
                return Ok(None);
            };
            let listed = match self.input.next().await {
                Some(batch) => {
                    shard.update(&batch?)?;
                    let listed = shard.take_listed();
                    self.held.try_resize(shard.bytes())?;
                    // So that a deadline or a dropped client stops the work between two batches.
                    tokio::task::yield_now().await;
                    listed
                }
                None => match self.shard.take() {
                    Some(shard) => shard.finish()?.listing.page,
                    None => return Ok(None),
                },
            };
            if !listed.is_empty() {
                return Ok(Some((listed, self)));
            }
        }
    }
}

/// A stream of rows made by `work`, which begins when it is first polled.
pub(crate) fn rows_of<F>(schema: SchemaRef, work: F) -> SendableRecordBatchStream
where
    F: Future<Output = Result<RecordBatch>> + Send + 'static,
{
    Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(work)))
}

/// A stream of rows, some for each few subjects.
pub(crate) fn rows_each(
    schema: SchemaRef,
    listed: Result<impl Stream<Item = Result<Vec<Listed>>> + Send + 'static>,
    rows: impl Fn(&[Listed]) -> Result<RecordBatch> + Send + 'static,
) -> SendableRecordBatchStream {
    let stream = match listed {
        Ok(listed) => listed
            .and_then(move |few| std::future::ready(rows(&few)))
            .boxed(),
        Err(error) => stream::once(std::future::ready(Err::<RecordBatch, DataFusionError>(
            error,
        )))
        .boxed(),
    };
    Box::pin(RecordBatchStreamAdapter::new(schema, stream))
}
