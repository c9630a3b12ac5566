//! Experiments (statistics.md, part 1): linkfunnel analyses them, it does not assign.
//!
//! [`Engine::experiment_results`] turns a definition into scans ([`lanes`]), which measure the exposed units through the same
//! operator and matcher as every funnel question ([`measure`]) into sufficient statistics ([`tally`]); what these say is
//! told by [`report`], whether they can be trusted by [`health`], and what follows by [`verdict`].

mod ages;
mod answer;
mod compare;
mod curve;
mod guardrails;
mod health;
mod kept;
mod lanes;
mod looks;
mod measure;
mod plan;
mod report;
mod segments;
mod series;
mod sightings;
mod tally;
mod values;
mod verdict;

pub use answer::{
    AgeArm, AgeTold, AnytimeTold, ArmTold, Between, ComparisonTold, CurvePoint, DayTold,
    ExperimentAnswer, GuardrailTold, GuardrailVerdict, Health, HeterogeneityTold, LookTold,
    MethodTold, MetricTold, SampleRatioTold, SegmentRatio, SegmentTold, SegmentsTold, StepTold,
    StratifiedTold, TimeArm, TimeComparison, TimeTold, VariantTold, VerdictTold,
};
pub(crate) use kept::Measurements;
pub(crate) use measure::Experimenter;
pub(crate) use plan::ExperimentPlan;
pub(crate) use tally::{ExperimentTally, ValueLimit};

use std::sync::Arc;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::numbers::Counts;
use crate::saved::{FUNNELS, NamedExperiment};
use kept::AllMeasured;
use lanes::LaneOf;
pub(crate) use lanes::Lanes;
use plan::Evidence;
use report::{Found, Report};

/// Asks for the results of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentQuestion {
    /// Its id, as events tell it.
    pub id: String,
    /// Whether units count whose window still runs: rates are then "so far".
    pub include_open: bool,
    /// The view to read; the current one when absent.
    pub as_of: Option<String>,
}

impl Engine {
    /// The results of an experiment, from one view, by its newest definition.
    ///
    /// # Errors
    /// As [`Engine::experiment_named`] and [`Engine::funnel`]; 422 `values_too_large` where values cannot be added up.
    pub async fn experiment_results(
        &self,
        tenant: &str,
        question: ExperimentQuestion,
    ) -> Result<ExperimentAnswer> {
        let named = self.experiment_named(tenant, &question.id).await?;
        self.results_of(tenant, &question, named).await
    }

    pub(crate) async fn results_of(
        &self,
        tenant: &str,
        question: &ExperimentQuestion,
        named: NamedExperiment,
    ) -> Result<ExperimentAnswer> {
        let run = self.start(question.as_of.as_deref()).await?;
        let funnels = self.shelf(FUNNELS, tenant).all().await?;
        let definition = &named.content.definition;
        let lanes = Lanes::new(definition, &funnels, "/definition")?;
        self.within(self.options().timeout_ms, async {
            let checked = &named.checked;
            let watermark_us = run.view.watermark_us;
            let seen_us = watermark_us.map_or(checked.start_us, |us| us.saturating_add(1));
            let end_us = checked.end_us.map_or(seen_us, |end_us| end_us.min(seen_us));
            let mut of = LaneOf {
                run: &run,
                tenant,
                id: definition.told_as.as_deref().unwrap_or(&question.id),
                definition,
                checked,
                end_us: end_us.max(checked.start_us),
                evidence: Evidence::Exposed,
                include_open: question.include_open,
            };
            let key = key(&of, &lanes)?;
            let now_us = watermark_us.unwrap_or(i64::MIN);
            let measured = match self.inner.measured.get(&key, now_us) {
                Some(measured) => measured,
                None => {
                    let measured = Arc::new(self.measure_units(&lanes, &mut of).await?);
                    self.inner.measured.keep(key, Arc::clone(&measured));
                    measured
                }
            };
            of.evidence = measured.evidence;
            let report = Report::new(question, &named, &lanes, &measured.found, &of)?;
            let mut meta = self.meta(&run, of.end_us)?;
            meta.events_scanned = measured.counts.events_scanned;
            meta.without_subject = measured.counts.without_subject;
            meta.filtered_by_default = measured.counts.filtered_by_default;
            meta.split_ids = measured.split_ids;
            meta.elapsed_ms = self.elapsed_ms(&run);
            Ok(report.answer(meta))
        })
        .await
    }

    /// Runs all scans. Where the first sees nobody exposed, assignments count instead.
    async fn measure_units(&self, lanes: &Lanes, of: &mut LaneOf<'_>) -> Result<AllMeasured> {
        let (run, tenant) = (of.run, of.tenant);
        let mut measured = AllMeasured {
            found: Vec::new(),
            evidence: Evidence::Exposed,
            at_us: run.view.watermark_us.unwrap_or(i64::MIN),
            until_us: i64::MAX,
            counts: Counts::default(),
            split_ids: 0,
        };
        for lane in &lanes.lanes {
            let is_first = measured.found.is_empty();
            let plan = lane.plan(self, of)?;
            let (mut plan, mut outcome) = self.run_plan(run, tenant, plan).await.map_err(told)?;
            let odd = outcome.experiment.as_ref().map(|tally| tally.odd);
            let odd = odd.unwrap_or_default();
            if is_first && odd.seen == 0 && odd.assigned > 0 {
                of.evidence = Evidence::Assigned;
                let again = lane.plan(self, of)?;
                (plan, outcome) = self.run_plan(run, tenant, again).await.map_err(told)?;
            }
            let scanned = measured.counts.events_scanned + outcome.counts.events_scanned;
            if is_first {
                measured.split_ids = outcome.split_ids();
                measured.counts = outcome.counts;
            }
            measured.counts.events_scanned = scanned;
            measured.found.push(Found {
                plan,
                tally: outcome.experiment.unwrap_or_default(),
            });
        }
        measured.evidence = of.evidence;
        measured.until_us = measured.holds_until(of, lanes);
        Ok(measured)
    }
}

/// Too many segments are those of the definition's fields, there being no breakdown.
fn told(error: Error) -> Error {
    match error.code() {
        "too_many_segments" => Error::refused(
            "too_many_segments",
            "/definition/segments",
            format!(
                "the segments have more than {} values, all variants together; leave out the field that has most",
                crate::operator::MAX_SEGMENTS
            ),
        ),
        _ => error,
    }
}

/// What the measurement depends on besides the watermark: the rows of the view, the definition, the funnels that it names, and what is asked.
fn key(of: &LaneOf<'_>, lanes: &Lanes) -> Result<String> {
    let funnels: Vec<_> = lanes.lanes.iter().map(|lane| &lane.funnel).collect();
    let parts = (of.tenant, of.id, of.definition, funnels, of.include_open);
    let parts = serde_json::to_string(&parts).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(format!("{:x} {parts}", of.run.view.rows_id()))
}
