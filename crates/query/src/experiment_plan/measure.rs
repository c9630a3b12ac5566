//! The baseline and the traffic, out of one funnel answer: the rate over the matured that entered, and how many entered a day.

use linkfunnel_model::{
    FunnelDefinition, FunnelQuestion, Interval, Range, check_experiment_funnel,
};

use super::{ExperimentPlanQuestion, MeasuredBaseline};
use crate::answer::{FunnelAnswer, Meta, Rate};
use crate::engine::{Engine, ms};
use crate::error::{Error, Result};
use crate::named::Asked;
use crate::question::step_index;

/// A day in ms.
const DAY_MS: f64 = 86_400_000.0;

/// What was measured.
#[derive(Debug, Clone)]
pub(super) struct Baseline {
    pub(super) rate: Rate,
    /// The same without its null.
    pub(super) from: f64,
    pub(super) daily_units: f64,
    pub(super) told: MeasuredBaseline,
    pub(super) meta: Meta,
}

impl Engine {
    /// Asks the funnel of a baseline.
    pub(super) async fn measure(
        &self,
        tenant: &str,
        question: &ExperimentPlanQuestion,
    ) -> Result<Baseline> {
        let baseline = &question.baseline;
        let (Some(funnel), Some(range)) = (&baseline.funnel, &baseline.range) else {
            return Err(Error::Internal("a baseline without a funnel".to_owned()));
        };
        let asked = FunnelQuestion {
            filters: baseline.filters.clone(),
            interval: Some(Interval::Day),
            as_of: question.as_of.clone(),
            ..FunnelQuestion::of(funnel.clone(), range.clone())
        };
        let Asked {
            question: asked,
            run,
        } = self.ask(tenant, asked).await.map_err(at_baseline)?;
        let (definition, _) = asked.funnel.resolve("/baseline/funnel")?;
        check_experiment_funnel(definition.subject, &definition, "/baseline/funnel")?;
        let last = definition.steps.len();
        let number = baseline.step.unwrap_or(last);
        let step = step_index(&definition, number, "/baseline/step")?;
        let answer = self.funnel_in(run, tenant, asked).await;
        measured(answer.map_err(at_baseline)?, &definition, step, range)
    }
}

fn measured(
    answer: FunnelAnswer,
    definition: &FunnelDefinition,
    step: usize,
    range: &Range,
) -> Result<Baseline> {
    let total = &answer.total;
    let of_step = &total.steps[step];
    let rate = of_step.rate_from_entry.clone();
    let no_baseline = |detail: String| Error::refused("no_baseline", "/baseline", detail);
    let name = &of_step.name;
    let from = match (rate.value, rate.code.as_deref()) {
        (Some(rate), _) if rate > 0.0 && rate < 1.0 => rate,
        (Some(rate), _) => {
            let who = if rate > 0.0 { "everybody" } else { "nobody" };
            let n = total.matured.entered;
            return Err(no_baseline(format!(
                "{who} of the {n} whose window is over reached {name:?}: no experiment is planned from such a rate; \
                 take a longer range, or give a rate"
            )));
        }
        (None, _) if total.entered == 0 => {
            let detail = "nobody entered in this range; take a longer one, or give a rate";
            return Err(no_baseline(detail.to_owned()));
        }
        (None, code) => {
            let code = code.unwrap_or("unknown");
            return Err(no_baseline(format!(
                "the rate of {name:?} is not known yet ({code}); take an earlier range, or give a rate"
            )));
        }
    };
    let days = days_seen(&answer.meta, range)?;
    let first = answer.trend.iter().find(|bucket| bucket.entered > 0);
    let told = MeasuredBaseline {
        subject: definition.subject.as_str().to_owned(),
        step: step + 1,
        step_name: name.clone(),
        matured: total.matured.entered,
        entered: total.entered,
        days,
        first_day: first.map(|bucket| bucket.start.clone()),
        window: definition.window.to_string(),
    };
    Ok(Baseline {
        rate,
        from,
        daily_units: float(total.entered) / days,
        told,
        meta: answer.meta,
    })
}

/// Days of the range, as far as data has come.
fn days_seen(meta: &Meta, range: &Range) -> Result<f64> {
    let mut seen = range.check("/baseline/range")?;
    if let Some(until) = &meta.complete_until {
        let until = Range {
            to: until.clone(),
            ..range.clone()
        };
        // Data that has not come as far as the range begins has nobody in it, and never gets here.
        seen = until.check("/baseline/range")?;
    }
    Ok(ms(seen.to_us - seen.from_us) / DAY_MS)
}

/// The funnel question of a baseline stands below it.
fn at_baseline(error: Error) -> Error {
    error.at(|pointer| match pointer {
        "/interval" => "/baseline/range".to_owned(),
        "/as_of" => pointer.to_owned(),
        below => format!("/baseline{below}"),
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
