//! From a definition to scans. Metrics of one funnel, counted by one subject, are measured by one scan (a lane); the first
//! lane is that of the experiment's own funnel.

use linkfunnel_model::{
    CheckedExperiment, CheckedQuestion, ExperimentDefinition, Field, FieldRef, FunnelDefinition,
    FunnelRef, Interval, Length, LookMethod, Measure, MetricDefinition, Mistake, Order,
    OutcomeDefinition, Span, StepDefinition, Subject, TwoVariants, ValueDefinition,
};

use linkfunnel_store::SavedAll;

use super::plan::{Amount, Evidence, ExperimentPlan, Measured, UnitOf};
use crate::columns::Source;
use crate::engine::{Engine, Run};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::question::step_index;
use crate::saved::measured;
use crate::trend;

/// What one scan measures.
pub(crate) struct Lane {
    /// The funnel, as it was asked for.
    pub(crate) funnel: FunnelDefinition,
    /// Whether it counts the very thing that is assigned.
    pub(crate) from_exposure: bool,
    pub(crate) metrics: Vec<Measured>,
    pub(crate) steps: Vec<Measured>,
    values: Vec<ValueDefinition>,
}

/// Where a metric is measured: lane, and place among its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) lane: usize,
    pub(crate) metric: usize,
}

/// All scans of an experiment, and where each metric is: the primary ones, then the guardrails.
pub(crate) struct Lanes {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) places: Vec<Place>,
    /// By metric, the step it is about: an index into its funnel.
    pub(crate) steps: Vec<Option<usize>>,
    /// Where the curve of the first metric's step stands among the first lane's steps; where exposure starts its clock.
    pub(crate) curve: Option<usize>,
}

impl Lanes {
    /// Which scans a checked definition needs. `saved`: what ids of funnels mean that are not built in; `at`: JSON pointer
    /// of the definition.
    ///
    /// # Errors
    /// 422 for an unknown funnel, one that cannot be measured from exposure, a step it does not have.
    pub(crate) fn new(
        definition: &ExperimentDefinition,
        saved: &SavedAll,
        at: &str,
    ) -> Result<Lanes> {
        let mut lanes = Lanes {
            lanes: Vec::new(),
            places: Vec::new(),
            steps: Vec::new(),
            curve: None,
        };
        let unit = definition.unit_subject();
        let own = measured(unit, &definition.funnel, saved, &format!("{at}/funnel"))?;
        let funnel = |named: &Option<FunnelRef>, at: &str| match named {
            Some(funnel) => measured(unit, funnel, saved, &format!("{at}/funnel")),
            None => Ok(own.clone()),
        };
        lanes.of(&own, unit);
        for (i, metric) in definition.primary.iter().enumerate() {
            let at = format!("{at}/primary/{i}");
            lanes.metric(metric, &funnel(&metric.funnel, &at)?, unit, &at)?;
        }
        for (i, guardrail) in definition.guardrails.iter().enumerate() {
            let at = format!("{at}/guardrails/{i}");
            let funnel = funnel(&guardrail.funnel, &at)?;
            lanes.step(guardrail.step, &funnel, unit, &format!("{at}/step"))?;
        }
        if !lanes.lanes[lanes.places[0].lane].from_exposure {
            let detail = match definition.method {
                LookMethod::Sequential { .. } => Some((
                    "method",
                    "planned looks need a first metric of the unit itself: what is finer goes on entering after a look; take continuous or fixed",
                )),
                LookMethod::Fixed
                    if definition.planned_units.is_some() && definition.end.is_none() =>
                {
                    Some((
                        "planned_units",
                        "to end with its units, a first metric of the unit itself is needed: what is finer goes on entering; give it an end instead",
                    ))
                }
                LookMethod::Fixed | LookMethod::Continuous { .. } => None,
            };
            if let Some((field, detail)) = detail {
                let pointer = format!("{at}/{field}");
                return Err(Error::refused("finer_subject", pointer, detail));
            }
        }
        lanes.show_steps();
        Ok(lanes)
    }

    /// The lane of a funnel, which may be new.
    fn of(&mut self, funnel: &FunnelDefinition, unit: Subject) -> usize {
        let known = self.lanes.iter().position(|lane| lane.funnel == *funnel);
        known.unwrap_or_else(|| {
            self.lanes.push(Lane {
                funnel: funnel.clone(),
                from_exposure: funnel.subject == unit,
                metrics: Vec::new(),
                steps: Vec::new(),
                values: Vec::new(),
            });
            self.lanes.len() - 1
        })
    }

    fn metric(
        &mut self,
        metric: &MetricDefinition,
        funnel: &FunnelDefinition,
        unit: Subject,
        at: &str,
    ) -> Result<()> {
        let of_unit = || FunnelDefinition {
            subject: unit,
            ..funnel.clone()
        };
        match metric.measure() {
            Measure::Step(number) => self.step(number, funnel, unit, &format!("{at}/step")),
            Measure::TimeToStep(number) => {
                let at = format!("{at}/time_to_step");
                let step = step_index(funnel, number, &at)?;
                if funnel.subject != unit {
                    let detail = format!(
                        "a time is of what is assigned, the {}; this funnel counts each {}",
                        unit.as_str(),
                        funnel.subject.as_str()
                    );
                    return Err(Error::refused("finer_subject", at, detail));
                }
                let lane = self.of(funnel, unit);
                self.put(lane, Measured::Time(step + 1), Some(step));
                Ok(())
            }
            Measure::Mean(value) => {
                let lane = self.of(&of_unit(), unit);
                let value = self.lanes[lane].value(value);
                self.put(lane, Measured::Mean(value), None);
                Ok(())
            }
            Measure::Ratio(ratio) => {
                let lane = self.of(&of_unit(), unit);
                let of = self.lanes[lane].value(&ratio.numerator);
                let by = self.lanes[lane].value(&ratio.denominator);
                self.put(lane, Measured::Ratio(of, by), None);
                Ok(())
            }
            Measure::CostPerExtra(value) => {
                let lane = self.of(&of_unit(), unit);
                let value = self.lanes[lane].value(value);
                self.put(lane, Measured::Cost(value), Some(funnel.steps.len() - 1));
                Ok(())
            }
        }
    }

    fn step(
        &mut self,
        number: Option<usize>,
        funnel: &FunnelDefinition,
        unit: Subject,
        at: &str,
    ) -> Result<()> {
        let step = step_index(funnel, number.unwrap_or(funnel.steps.len()), at)?;
        let lane = self.of(funnel, unit);
        let measured = self.lanes[lane].reaches(step);
        self.put(lane, measured, Some(step));
        Ok(())
    }

    fn put(&mut self, lane: usize, measured: Measured, step: Option<usize>) {
        let metrics = &mut self.lanes[lane].metrics;
        metrics.push(measured);
        self.places.push(Place {
            lane,
            metric: metrics.len() - 1,
        });
        self.steps.push(step);
    }

    /// The experiment's own funnel is shown step by step, and when the first metric's step is taken.
    fn show_steps(&mut self) {
        let first = (self.places.first(), self.steps.first().copied().flatten());
        let own = &mut self.lanes[0];
        own.steps = (0..own.funnel.steps.len())
            .map(|step| own.reaches(step))
            .collect();
        if let (Some(Place { lane: 0, .. }), Some(step)) = first
            && own.from_exposure
        {
            self.curve = Some(own.steps.len());
            own.steps.push(Measured::Time(step + 1));
        }
    }
}

impl Lane {
    /// That a step is taken. Exposure takes the place of a step before the first.
    fn reaches(&self, step: usize) -> Measured {
        match self.from_exposure {
            true => Measured::Step(step + 1),
            false => Measured::Subjects(step),
        }
    }

    fn value(&mut self, value: &ValueDefinition) -> usize {
        let known = self.values.iter().position(|other| other == value);
        known.unwrap_or_else(|| {
            self.values.push(value.clone());
            self.values.len() - 1
        })
    }

    /// The funnel as it is matched: with exposure as its first step, and with the events of values in the place of outcomes.
    fn matched(&self) -> Result<FunnelDefinition> {
        let mut funnel = self.funnel.clone();
        funnel.outcomes = self
            .values
            .iter()
            .enumerate()
            .map(|(i, value)| outcome(i, value))
            .collect();
        if !self.from_exposure {
            return Ok(funnel);
        }
        let too_long =
            || Error::refused("out_of_range", "/funnel/window", "the window is too long");
        funnel.window = Length::from_us(funnel.window.us() + 1).ok_or_else(too_long)?;
        funnel.steps.insert(0, exposure());
        funnel.first_pinned = funnel.order == Order::Unordered;
        for exclusion in &mut funnel.exclude {
            exclusion.after += 1;
            exclusion.before += 1;
        }
        Ok(funnel)
    }

    /// The plan of its scan. `end_us`: first µs in which no exposure counts any more.
    pub(crate) fn plan(&self, engine: &Engine, of: &LaneOf<'_>) -> Result<Plan> {
        let LaneOf {
            run,
            tenant,
            id,
            definition,
            checked,
            end_us,
            evidence,
            include_open,
        } = *of;
        let means = self.metrics.iter().any(|m| matches!(m, Measured::Mean(_)));
        let window = definition.covariate_window.filter(|_| means);
        let covariate_us = window.map_or(0, Length::us);
        let question = CheckedQuestion {
            funnel: self.matched()?,
            funnel_id: None,
            span: Span {
                from_us: checked.start_us.saturating_sub(covariate_us),
                to_us: end_us,
                timezone: checked.timezone,
            },
            filters: Vec::new(),
            dimensions: Vec::new(),
            segments: 1,
            interval: None,
            compare: None,
            times: false,
            edges_us: None,
            reasons: false,
            as_of: None,
        };
        let pseudonym = engine.options().pseudonym.as_ref();
        let mut plan = Plan::new(&question, &[], run.view.watermark_us, tenant, pseudonym)?;
        if self.from_exposure {
            // the funnel's own first step is the one after exposure, and nobody gets past that unseen
            plan.bypass = plan.bypass.map(|bypass| bypass.without(1));
        }
        let unit = match (self.from_exposure, definition.unit_subject()) {
            (true, _) => UnitOf::Subject,
            (false, Subject::Company) => UnitOf::Root,
            (false, other) => UnitOf::Number(plan.keep_number(other.id_kind().key_column())),
        };
        let values = self.values.iter().map(|value| amount(&mut plan, value));
        let values = values.collect::<Result<Vec<Amount>, Mistake>>()?;
        let segments = checked
            .segments
            .iter()
            .map(|field| plan.keep(field.clone().into()));
        let segments: Vec<usize> = segments.collect();
        let told = plan.keep(Source::Told(id.to_owned()));
        let names = |field| checked.segments.contains(&FieldRef::Field(field));
        plan.population.live &= !names(Field::Environment);
        plan.population.human &= !names(Field::Traffic);
        plan.experiment = Some(ExperimentPlan {
            start_us: checked.start_us,
            end_us,
            watermark_us: run.view.watermark_us,
            unit,
            evidence,
            variants: definition.variants.iter().map(|v| v.name.clone()).collect(),
            first_seen: definition.in_two_variants == TwoVariants::FirstSeen,
            include_open,
            told,
            segments,
            values,
            covariate_us,
            metrics: self.metrics.clone(),
            steps: self.steps.clone(),
            days: trend::buckets(checked.start_us, end_us, Interval::Day, checked.timezone)
                .map_err(|error| error.at(|_| "/definition/start".to_owned()))?,
        });
        Ok(plan)
    }
}

/// What a lane is made for.
#[derive(Clone, Copy)]
pub(crate) struct LaneOf<'l> {
    pub(crate) run: &'l Run,
    pub(crate) tenant: &'l str,
    /// The experiment's id, as events tell it.
    pub(crate) id: &'l str,
    pub(crate) definition: &'l ExperimentDefinition,
    pub(crate) checked: &'l CheckedExperiment,
    pub(crate) end_us: i64,
    pub(crate) evidence: Evidence,
    pub(crate) include_open: bool,
}

/// The step that exposure is. No event takes it: see [`crate::rows`].
fn exposure() -> StepDefinition {
    StepDefinition {
        name: "exposure".to_owned(),
        event: Some("experiment.exposed".to_owned()),
        any_of: Vec::new(),
        conditions: Vec::new(),
        optional: false,
        max_gap: None,
        min_gap: None,
    }
}

fn outcome(number: usize, value: &ValueDefinition) -> OutcomeDefinition {
    OutcomeDefinition {
        name: number.to_string(),
        event: Some(value.event.clone()),
        any_of: Vec::new(),
        conditions: value.conditions.clone(),
    }
}

fn amount(plan: &mut Plan, value: &ValueDefinition) -> Result<Amount, Mistake> {
    let Some(sum) = &value.sum else {
        return Ok(Amount::One);
    };
    Ok(match FieldRef::parse(sum, "/sum")? {
        FieldRef::Field(field) => Amount::Whole(plan.keep_number(field.column())),
        other => Amount::Attr(plan.keep(other.into())),
    })
}
