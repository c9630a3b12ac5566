//! Experiments (statistics.md, part 1): linkfunnel analyses them, it does not assign.
//!
//! [`Engine::experiment_results`] turns a definition into scans ([`lanes`]), which measure the exposed units through the same
//! operator and matcher as every funnel question ([`measure`]) into sufficient statistics ([`tally`]); what these say is
//! told by [`report`], whether they can be trusted by [`health`], and what follows by [`verdict`].

mod answer;
mod compare;
mod curve;
mod health;
mod lanes;
mod looks;
mod measure;
mod plan;
mod report;
mod tally;
mod verdict;

pub use answer::{
    AnytimeTold, ArmTold, Between, ComparisonTold, CurvePoint, DayTold, ExperimentAnswer,
    GuardrailTold, GuardrailVerdict, Health, HeterogeneityTold, LookTold, MethodTold, MetricTold,
    SampleRatioTold, SegmentRatio, SegmentTold, SegmentsTold, StepTold, StratifiedTold, TimeArm,
    TimeComparison, TimeTold, VariantTold, VerdictTold,
};
pub(crate) use measure::Experimenter;
pub(crate) use plan::ExperimentPlan;
pub(crate) use tally::{ExperimentTally, ValueLimit};

use linkfunnel_model::ExperimentContent;

use crate::engine::Engine;
use crate::error::Result;
use crate::funnel::count;
use lanes::LaneOf;
use plan::Evidence;
use report::{Found, Report};

/// Asks for the results of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentQuestion {
    /// Its id, as events tell it.
    pub id: String,
    /// What it compares and how.
    pub content: ExperimentContent,
    /// Whether units count whose window still runs: rates are then "so far".
    pub include_open: bool,
    /// The view to read; the current one when absent.
    pub as_of: Option<String>,
}

impl Engine {
    /// The results of an experiment, from one view.
    ///
    /// # Errors
    /// The first mistake in the definition, else as [`Engine::funnel`]; 422 `values_too_large` where values cannot be added up.
    pub async fn experiment_results(
        &self,
        tenant: &str,
        question: ExperimentQuestion,
    ) -> Result<ExperimentAnswer> {
        let checked = question.content.check()?;
        let definition = &question.content.definition;
        let run = self.start(question.as_of.as_deref()).await?;
        let lanes = self.lanes(tenant, definition, "/definition").await?;
        self.within(self.options().timeout_ms, async {
            let watermark_us = run.view.watermark_us;
            let seen_us = watermark_us.map_or(checked.start_us, |us| us.saturating_add(1));
            let end_us = checked.end_us.map_or(seen_us, |end_us| end_us.min(seen_us));
            let mut of = LaneOf {
                run: &run,
                tenant,
                id: &question.id,
                definition,
                checked: &checked,
                end_us: end_us.max(checked.start_us),
                evidence: Evidence::Exposed,
                include_open: question.include_open,
            };
            let mut meta = self.meta(&run, of.end_us)?;
            let mut found: Vec<Found> = Vec::new();
            for lane in &lanes.lanes {
                let is_first = found.is_empty();
                let (plan, mut outcome) =
                    self.run_plan(&run, tenant, lane.plan(self, &of)?).await?;
                let odd = outcome
                    .experiment
                    .as_ref()
                    .map(|tally| tally.odd)
                    .unwrap_or_default();
                if is_first && odd.seen == 0 && odd.assigned > 0 {
                    of.evidence = Evidence::Assigned;
                    let plan = lane.plan(self, &of)?;
                    outcome = self.run_plan(&run, tenant, plan).await?.1;
                }
                let scanned = meta.events_scanned;
                if is_first {
                    count(&mut meta, &mut outcome);
                    meta.without_entry = 0;
                }
                meta.events_scanned = scanned + outcome.counts.events_scanned;
                found.push(Found {
                    plan,
                    tally: outcome.experiment.unwrap_or_default(),
                });
            }
            let report = Report::new(&question, &checked, &lanes, &found, &of)?;
            let answer = report.answer(meta);
            Ok(ExperimentAnswer {
                meta: crate::answer::Meta {
                    elapsed_ms: self.elapsed_ms(&run),
                    ..answer.meta
                },
                ..answer
            })
        })
        .await
    }
}
