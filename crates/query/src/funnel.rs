//! A funnel question from the wire to its answer.

use std::sync::Arc;

use arrow::array::Int64Array;
use datafusion::catalog::Session;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, InListExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::displayable;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::TryStreamExt;
use linkfunnel_model::{CheckedQuestion, FunnelQuestion};
use linkfunnel_store::{DefinitionName, ROOT_KEY, ROOT_KIND, ReadView, ScanRequest, table_schema};

use crate::answer::{FunnelAnswer, Meta, Warning};
use crate::compare::{Sides, other_question};
use crate::engine::{Engine, Run};
use crate::error::{Error, Result};
use crate::gather::Wanted;
use crate::membership::{Membership, NeedsMembership};
use crate::named::Asked;
use crate::numbers::Outcome;
use crate::operator::{Collector, FunnelExec};
use crate::plan::Plan;
use crate::report::{Ranked, Reporter, rank};

/// A question, checked and compiled.
pub(crate) struct Prepared {
    pub(crate) question: FunnelQuestion,
    pub(crate) checked: CheckedQuestion,
    pub(crate) plan: Plan,
}

impl Engine {
    /// Answers a funnel question.
    ///
    /// # Errors
    /// [`Error::Invalid`] with pointer, [`Error::Gone`] for an `as_of` that cannot be read any more,
    /// [`Error::TooLarge`], [`Error::Timeout`].
    pub async fn funnel(&self, tenant: &str, question: FunnelQuestion) -> Result<FunnelAnswer> {
        let Asked { question, run } = self.ask(tenant, question).await?;
        let checked = question.check()?;
        let prepared = self.prepare(&run, tenant, question, checked)?;
        self.answer(run, tenant, prepared).await
    }

    /// Answers a funnel question in a run that has begun; its `as_of` is not looked at.
    ///
    /// # Errors
    /// As [`Engine::funnel`].
    pub(crate) async fn funnel_in(
        &self,
        run: Run,
        tenant: &str,
        question: FunnelQuestion,
    ) -> Result<FunnelAnswer> {
        let checked = question.check()?;
        let prepared = self.prepare(&run, tenant, question, checked)?;
        self.answer(run, tenant, prepared).await
    }

    /// Runs a compiled question.
    pub(crate) async fn answer(
        &self,
        run: Run,
        tenant: &str,
        prepared: Prepared,
    ) -> Result<FunnelAnswer> {
        self.within(self.options().timeout_ms, async {
            let query = executed(&prepared, &run)?;
            let other = other_question(&prepared.question, &prepared.checked);
            let (plan, mut outcome) = self.run_plan(&run, tenant, prepared.plan).await?;
            let mut meta = self.meta(&run, plan.span.to_us)?;
            count(&mut meta, &mut outcome);
            let ranked = rank(&plan, outcome.groups, prepared.checked.segments);
            let reporter = Reporter {
                plan: &plan,
                definition: &prepared.checked.funnel,
                zone: prepared.checked.span.timezone,
                times: prepared.checked.times,
            };
            warn(&mut meta, &plan, &ranked);
            let compare = match other {
                None => None,
                Some((question, checked)) => {
                    let other = self.prepare(&run, tenant, question, checked)?;
                    let (other_plan, other) = self.run_plan(&run, tenant, other.plan).await?;
                    meta.events_scanned += other.counts.events_scanned;
                    let sides = Sides {
                        reporter: &reporter,
                        ranked: &ranked,
                        total: &outcome.total,
                        other_plan: &other_plan,
                    };
                    let compared = sides.compare(other, prepared.checked.segments);
                    meta.warnings.extend(compared.warning());
                    Some(compared)
                }
            };
            meta.elapsed_ms = self.elapsed_ms(&run);
            Ok(FunnelAnswer {
                query,
                groups: reporter.groups(&ranked),
                total: reporter.total(&outcome.total),
                trend: reporter.trend(&outcome.total.trend),
                compare,
                meta,
            })
        })
        .await
    }

    /// The physical plan of a funnel question, as text.
    ///
    /// # Errors
    /// As [`Engine::funnel`].
    pub async fn explain(&self, tenant: &str, question: FunnelQuestion) -> Result<String> {
        let Asked { question, run } = self.ask(tenant, question).await?;
        let checked = question.check()?;
        let prepared = self.prepare(&run, tenant, question, checked)?;
        let plan = Arc::new(prepared.plan);
        let membership = Membership::at_first(plan.subject);
        let (physical, _) = self.physical(&run, tenant, plan, membership, None).await?;
        Ok(displayable(physical.as_ref()).indent(true).to_string())
    }

    pub(crate) fn prepare(
        &self,
        run: &Run,
        tenant: &str,
        question: FunnelQuestion,
        checked: CheckedQuestion,
    ) -> Result<Prepared> {
        let names = question
            .breakdown
            .as_ref()
            .map_or(&[][..], |b| b.by.as_slice());
        let pseudonym = self.options().pseudonym.as_ref();
        let plan = Plan::new(&checked, names, run.view.watermark_us, tenant, pseudonym)?;
        Ok(Prepared {
            question,
            checked,
            plan,
        })
    }

    /// The scan that a compiled question reads, of some roots or all.
    pub(crate) async fn scan(
        &self,
        run: &Run,
        tenant: &str,
        plan: &Plan,
        membership: &Membership,
        roots: Option<&[i64]>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let state = run.session.state();
        self.scan_view(&run.view, tenant, plan, membership, roots, &state)
            .await
    }

    /// The same, in the session given.
    pub(crate) async fn scan_view(
        &self,
        view: &Arc<ReadView>,
        tenant: &str,
        plan: &Plan,
        membership: &Membership,
        roots: Option<&[i64]>,
        state: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut columns = plan.columns();
        for column in membership.columns().into_iter().chain([ROOT_KIND]) {
            if columns.iter().all(|other| other != column) {
                columns.push(column.to_owned());
            }
        }
        let wanted = plan.wanted.as_ref().and_then(Wanted::roots);
        let predicate = roots.or(wanted).map(is_one_of).transpose();
        let request = ScanRequest {
            tenant: Some(tenant.to_owned()),
            columns,
            from_us: Some(membership.earliest_us(plan.span.from_us)),
            to_us: Some(plan.last_us().saturating_add(1)),
            predicate: predicate.map_err(|e| Error::Run(Box::new(e)))?,
            partitions: self.options().target_partitions.max(1),
            raw: false,
        };
        Ok(self.store().scan(view, request, state).await?)
    }

    /// How the events of a question find their journeys, once it is known that they have to.
    async fn membership(&self, run: &Run) -> Result<Membership> {
        let state = run.session.state();
        let ways = self.store().journeys(&run.view, &state).await?;
        Ok(Membership::Found(ways))
    }

    async fn physical(
        &self,
        run: &Run,
        tenant: &str,
        plan: Arc<Plan>,
        membership: Membership,
        roots: Option<&[i64]>,
    ) -> Result<(Arc<dyn ExecutionPlan>, Arc<Collector>)> {
        let scan = self.scan(run, tenant, &plan, &membership, roots).await?;
        let funnel = FunnelExec::new(scan, plan, membership);
        let collector = funnel.collector();
        Ok((
            Arc::new(CoalescePartitionsExec::new(Arc::new(funnel))),
            collector,
        ))
    }

    /// Runs a compiled question over all partitions. It is first run in the hope that events name
    /// their subject; the roots where they do not are run again, or everything if these are many,
    /// which is seen early.
    pub(crate) async fn run_plan(
        &self,
        run: &Run,
        tenant: &str,
        plan: Plan,
    ) -> Result<(Arc<Plan>, Outcome)> {
        let plan = Arc::new(plan);
        let membership = Membership::at_first(plan.subject);
        let first = self.run_once(run, tenant, &plan, membership, None).await?;
        let (most, put_off) = match first {
            None => (None, None),
            Some(whole) if whole.unresolved.is_empty() => return Ok((plan, whole)),
            Some(mut most) => {
                let roots = std::mem::take(&mut most.unresolved);
                (Some(most), Some(roots))
            }
        };
        let membership = self.membership(run).await?;
        let rest = self.run_once(run, tenant, &plan, membership, put_off.as_deref());
        let rest = rest.await?;
        let mut rest = rest.ok_or_else(|| Error::Internal("journeys are missing".to_owned()))?;
        let Some(mut outcome) = most else {
            return Ok((plan, rest));
        };
        rest.counts.events_scanned = 0; // they were counted before
        outcome.merge(rest).map_err(|e| run.error(e))?;
        Ok((plan, outcome))
    }

    /// What came out, of some roots or all; `None` when journeys have to be found for many.
    pub(crate) async fn run_once(
        &self,
        run: &Run,
        tenant: &str,
        plan: &Arc<Plan>,
        membership: Membership,
        roots: Option<&[i64]>,
    ) -> Result<Option<Outcome>> {
        let plan = Arc::clone(plan);
        let physical = self.physical(run, tenant, plan, membership, roots);
        let (physical, collector) = physical.await?;
        let read = async {
            let mut progress = execute_stream(physical, run.session.task_ctx())?;
            while progress.try_next().await?.is_some() {}
            Ok(())
        };
        match read.await {
            Err(error) if needs_membership(&error) => return Ok(None),
            done => done.map_err(|e| run.error(e))?,
        }
        let outcome = collector.take();
        outcome
            .map(Some)
            .ok_or_else(|| Error::Internal("the tallies are gone".to_owned()))
    }
}

/// Whether a row has one of these roots.
fn is_one_of(roots: &[i64]) -> datafusion::error::Result<Arc<dyn PhysicalExpr>> {
    let schema = table_schema();
    let root = Arc::new(Column::new(ROOT_KEY, schema.index_of(ROOT_KEY)?));
    let roots = Arc::new(Int64Array::from(roots.to_vec()));
    let is_in = InListExpr::try_new_from_array(root, roots, false, &schema)?;
    Ok(Arc::new(is_in))
}

fn needs_membership(error: &DataFusionError) -> bool {
    let root = error.find_root();
    matches!(root, DataFusionError::External(inner) if inner.is::<NeedsMembership>())
}

pub(crate) fn count(meta: &mut Meta, outcome: &mut Outcome) {
    meta.split_ids = outcome.split_ids();
    let counts = &outcome.counts;
    meta.events_scanned = counts.events_scanned;
    meta.without_subject = counts.without_subject;
    meta.without_entry = counts.without_entry;
    meta.filtered_by_default = counts.filtered_by_default;
}

fn warn(meta: &mut Meta, plan: &Plan, ranked: &Ranked) {
    let mut say = |code: &str, detail: &str| {
        meta.warnings.push(Warning {
            code: code.to_owned(),
            detail: detail.to_owned(),
        });
    };
    if plan.segments_overlap() {
        say(
            "segments_overlap",
            "a subject counts under every value it chose, so the segments may add up to more than the total",
        );
    }
    if ranked.other.is_some() {
        say(
            "segments_beyond_limit",
            "segments beyond the limit are together under (other)",
        );
    }
}

/// The question with every default filled in; of a named funnel also its id and version (null for a
/// built-in one).
pub(crate) fn executed(prepared: &Prepared, run: &Run) -> Result<serde_json::Value> {
    let broken = |e: serde_json::Error| Error::Internal(e.to_string());
    let mut query = serde_json::to_value(&prepared.question).map_err(broken)?;
    query["funnel"] = serde_json::to_value(&prepared.checked.funnel).map_err(broken)?;
    let (id, version) = match &run.definition {
        None => return Ok(query),
        Some(DefinitionName::Saved(id, version)) => (id, Some(*version)),
        Some(DefinitionName::BuiltIn(id, _)) => (id, None),
    };
    query["funnel_id"] = id.as_str().into();
    query["funnel_version"] = version.into();
    Ok(query)
}
