//! The sufficient statistics of an experiment, told.

use std::sync::Arc;

use linkfunnel_model::{
    Better, CheckedExperiment, ExperimentDefinition, FamilyCorrection, LookMethod, Measure,
    MetricDefinition,
};
use linkfunnel_stats::{Correction, Counts, Level, Null, Sequence, TUNED_FOR, wilson};

use super::ExperimentQuestion;
use super::answer::{
    ArmTold, ComparisonTold, ExperimentAnswer, MethodTold, MetricTold, StepTold, VariantTold,
};
use super::compare::{Arm, Compared, Reading, correct};
use super::lanes::{LaneOf, Lanes, Place};
use super::looks::Looks;
use super::plan::{Evidence, ExperimentPlan, Measured};
use super::tally::{Cell, ExperimentTally, Group, Stat};
use crate::answer::{Meta, Rate};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::saved::NamedExperiment;

/// What one lane found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) plan: Arc<Plan>,
    pub(crate) tally: ExperimentTally,
}

/// Which units: all, of a segment, or of a day.
pub(crate) type Which = Group<Arc<str>>;

/// Tells what was found.
pub(crate) struct Report<'r> {
    question: &'r ExperimentQuestion,
    named: &'r NamedExperiment,
    pub(crate) definition: &'r ExperimentDefinition,
    pub(crate) checked: &'r CheckedExperiment,
    pub(crate) lanes: &'r Lanes,
    pub(crate) found: &'r [Found],
    pub(crate) level: Level,
    pub(crate) sequence: Sequence,
    pub(crate) watermark_us: Option<i64>,
    /// First µs in which no exposure counts any more, as of this view.
    pub(crate) end_us: i64,
    pub(crate) evidence: Evidence,
    /// Index of the control among the variants.
    pub(crate) control: usize,
}

/// A metric in some units: by variant, and by variant beside the control.
pub(crate) struct Measurement {
    pub(crate) arms: Vec<Arm>,
    pub(crate) compared: Vec<Compared>,
    explained: Option<f64>,
}

impl<'r> Report<'r> {
    pub(crate) fn new(
        question: &'r ExperimentQuestion,
        named: &'r NamedExperiment,
        lanes: &'r Lanes,
        found: &'r [Found],
        of: &LaneOf<'_>,
    ) -> Result<Report<'r>> {
        let definition = &named.content.definition;
        let internal = |e: linkfunnel_stats::Error| Error::Internal(e.to_string());
        let level = Level::new(definition.alpha).map_err(internal)?;
        let tuned_for = match definition.method {
            LookMethod::Continuous { tuned_for } => tuned_for.unwrap_or(TUNED_FOR),
            LookMethod::Fixed | LookMethod::Sequential { .. } => TUNED_FOR,
        };
        let control = definition.control();
        Ok(Report {
            question,
            named,
            definition,
            checked: &named.checked,
            lanes,
            found,
            level,
            sequence: Sequence::new(level, tuned_for).map_err(internal)?,
            watermark_us: of.run.view.watermark_us,
            end_us: of.end_us,
            evidence: of.evidence,
            control: definition
                .variants
                .iter()
                .position(|variant| variant.name == control)
                .unwrap_or(0),
        })
    }

    pub(crate) fn answer(&self, meta: Meta) -> ExperimentAnswer {
        let looks = Looks::new(self);
        let primary = self.primary();
        let guardrails = self.guardrails();
        let health = self.health();
        let verdict = self.verdict(&primary, &guardrails, &health, looks.as_ref());
        let (by_day, by_exposure_day) = self.days();
        ExperimentAnswer {
            id: self.question.id.clone(),
            name: self.named.content.name.clone(),
            version: self.named.version,
            changes: self.named.changes.clone(),
            definition: serde_json::to_value(self.definition).unwrap_or_default(),
            entry: match self.evidence {
                Evidence::Exposed => "exposed".to_owned(),
                Evidence::Assigned => "assigned".to_owned(),
            },
            method: self.method(looks),
            reading: self.reading(),
            verdict,
            health,
            variants: self.variants(),
            primary,
            guardrails,
            steps: self.steps(),
            segments: self.segments(),
            time: self.time(),
            by_day,
            by_exposure_day,
            by_day_since_exposure: self.ages(),
            meta,
        }
    }

    /// Whether units count whose window still runs.
    pub(crate) fn include_open(&self) -> bool {
        self.question.include_open
    }

    pub(crate) fn name(&self, variant: usize) -> &str {
        &self.definition.variants[variant].name
    }

    /// The variants beside the control.
    pub(crate) fn others(&self) -> impl Iterator<Item = usize> + use<'r> {
        let control = self.control;
        (0..self.definition.variants.len()).filter(move |variant| *variant != control)
    }

    pub(crate) fn experiment(&self, lane: usize) -> &ExperimentPlan {
        let experiment = self.found[lane].plan.experiment.as_ref();
        experiment.expect("a lane's plan is that of an experiment")
    }

    pub(crate) fn cell(&self, lane: usize, variant: usize, which: &Which) -> Option<&Cell> {
        self.found[lane].tally.group(variant, which)
    }

    /// A count over all variants.
    pub(crate) fn total(&self, lane: usize, which: &Which, count: fn(&Cell) -> u64) -> u64 {
        let of = |variant| self.cell(lane, variant, which).map_or(0, count);
        (0..self.definition.variants.len()).map(of).sum()
    }

    /// How a metric of a lane is read, by its place among the lane's metrics and steps.
    pub(crate) fn reading_of(&self, place: Place, level: Level) -> Reading {
        let experiment = self.experiment(place.lane);
        let measured = experiment
            .measured()
            .nth(place.metric)
            .expect("each place was given by its lane");
        let scale = |value: usize| f64::from(experiment.values[value].scale());
        Reading {
            measured,
            scale: match measured {
                Measured::Mean(value) | Measured::Cost(value) => scale(value),
                Measured::Ratio(of, by) => scale(of) / scale(by),
                Measured::Step(_) | Measured::Subjects(_) | Measured::Time(_) => 1.0,
            },
            until_us: self.lanes.lanes[place.lane]
                .funnel
                .window
                .us()
                .unsigned_abs(),
            level,
            sequence: self.sequence,
            believes: false,
        }
    }

    /// A metric over given statistics, one a variant.
    pub(crate) fn measure(
        &self,
        place: Place,
        stats: &[Option<&Stat>],
        level: Level,
    ) -> Measurement {
        self.read(self.reading_of(place, level), stats)
    }

    fn read(&self, reading: Reading, stats: &[Option<&Stat>]) -> Measurement {
        let (arms, adjusted) = reading.arms(stats);
        let compare = |variant: usize| {
            let (one, zero) = (&arms[variant], &arms[self.control]);
            reading.compare(self.name(variant), self.name(self.control), one, zero)
        };
        Measurement {
            compared: self.others().map(compare).collect(),
            explained: adjusted.map(|adjusted| adjusted.explained),
            arms,
        }
    }

    /// A metric in some units.
    pub(crate) fn measured(&self, place: Place, which: &Which) -> Measurement {
        self.measure(place, &self.stats(place, which), self.level)
    }

    pub(crate) fn stats(&self, place: Place, which: &Which) -> Vec<Option<&Stat>> {
        let of = |variant| {
            let cell = self.cell(place.lane, variant, which);
            cell.map(|cell| &cell.stats[place.metric])
        };
        (0..self.definition.variants.len()).map(of).collect()
    }

    pub(crate) fn told(&self, place: Place, arms: &[Arm]) -> Vec<ArmTold> {
        let reading = self.reading_of(place, self.level);
        let arms = arms.iter().enumerate();
        arms.map(|(variant, arm)| reading.told(self.name(variant), arm))
            .collect()
    }

    /// How many tests the family has: a cost has none.
    pub(crate) fn family(&self) -> usize {
        let is_test =
            |metric: &&MetricDefinition| !matches!(metric.measure(), Measure::CostPerExtra(_));
        let tests = self.definition.primary.iter().filter(is_test).count();
        tests * (self.definition.variants.len() - 1)
    }

    /// The level of each test where all of the family are to hold together.
    pub(crate) fn shared_level(&self) -> Level {
        match self.definition.correction {
            FamilyCorrection::Holm => self.level.shared_by(self.family() as u64),
            FamilyCorrection::None => self.level,
        }
    }

    pub(crate) fn correction(&self) -> Correction {
        match self.definition.correction {
            FamilyCorrection::Holm => Correction::Holm,
            FamilyCorrection::None => Correction::None,
        }
    }

    fn primary(&self) -> Vec<MetricTold> {
        let together = self.level.shared_by(self.family() as u64);
        let mut primary: Vec<MetricTold> = Vec::new();
        for (i, metric) in self.definition.primary.iter().enumerate() {
            let place = self.lanes.places[i];
            let stats = self.stats(place, &Group::Total);
            let reading = Reading {
                believes: true,
                ..self.reading_of(place, self.level)
            };
            let measurement = self.read(reading, &stats);
            let told = measurement.compared.into_iter().map(|one| one.told);
            let mut comparisons: Vec<ComparisonTold> = match metric.better {
                Better::Higher => told.collect(),
                Better::Lower => told.map(mirrored).collect(),
            };
            if self.family() > 1 {
                let wide = self.measure(place, &stats, together).compared;
                for (one, wide) in comparisons.iter_mut().zip(wide) {
                    one.simultaneous = Some(wide.told.difference);
                }
            }
            primary.push(MetricTold {
                name: metric.name.clone(),
                measures: measures(metric.measure(), self.experiment(place.lane), place).to_owned(),
                step: self.step_name(i),
                better: match metric.measure() {
                    Measure::TimeToStep(_) => "lower".to_owned(),
                    _ => better(metric.better).to_owned(),
                },
                arms: self.told(place, &measurement.arms),
                comparisons,
                explained: measurement.explained,
            });
        }
        let family = primary
            .iter_mut()
            .filter(|metric| metric.measures != "cost_per_extra")
            .flat_map(|metric| &mut metric.comparisons);
        correct(family, self.correction());
        primary
    }

    pub(crate) fn step_name(&self, metric: usize) -> Option<String> {
        let lane = self.lanes.places[metric].lane;
        let step = self.lanes.steps[metric]?;
        Some(self.lanes.lanes[lane].funnel.steps[step].name.clone())
    }

    fn method(&self, looks: Option<Looks>) -> MethodTold {
        MethodTold {
            name: match self.definition.method {
                LookMethod::Fixed => "fixed",
                LookMethod::Continuous { .. } => "continuous",
                LookMethod::Sequential { .. } => "sequential",
            }
            .to_owned(),
            alpha: self.definition.alpha,
            correction: self.correction().name().to_owned(),
            family: self.family(),
            tuned_for: match self.definition.method {
                LookMethod::Continuous { tuned_for } => Some(tuned_for.unwrap_or(TUNED_FOR)),
                LookMethod::Fixed | LookMethod::Sequential { .. } => None,
            },
            looks: looks.map(|looks| looks.told).unwrap_or_default(),
        }
    }

    /// What the numbers are over, in words.
    fn reading(&self) -> Vec<String> {
        let unit = self.definition.unit.as_str();
        let entry = match self.evidence {
            Evidence::Exposed => "exposure",
            Evidence::Assigned => "assignment (no event says who was exposed)",
        };
        let mut reading = vec![format!(
            "Each {unit} counts from its first {entry} at or after the start, in the variant it was then in."
        )];
        reading.push(match self.question.include_open {
            true => "Those whose window still runs count as they stand: rates are so far, and can still rise.".to_owned(),
            false => "Numbers are over those whose window is over; the others are open.".to_owned(),
        });
        let mut measured = self
            .lanes
            .lanes
            .iter()
            .flat_map(|l| l.metrics.iter().chain(&l.steps));
        if measured.any(|measured| matches!(measured, Measured::Time(_))) {
            let follows = "Times, and days since exposure, follow the open ones too, as far as they have come.";
            reading.push(follows.to_owned());
        }
        let finer = self.lanes.lanes.iter().filter(|lane| !lane.from_exposure);
        let mut subjects: Vec<&str> = finer.map(|lane| lane.funnel.subject.as_str()).collect();
        subjects.dedup();
        for subject in subjects {
            reading.push(format!(
                "Rates are over each {subject} that a {unit} entered after its exposure; intervals go by {unit}, because those of one {unit} are alike."
            ));
        }
        let family = self.family();
        if family > 1 {
            let p = match self.definition.correction {
                FamilyCorrection::Holm => "p_corrected is by holm over",
                FamilyCorrection::None => "No p is corrected for",
            };
            reading.push(format!("{p} the {family} tests of the primary metrics; intervals are of one test each, simultaneous ones by Bonferroni beside."));
        }
        if family > 1 && !matches!(self.definition.method, LookMethod::Continuous { .. }) {
            let shared = "At a planned look the boundary is that of one test of all these (Bonferroni), so it asks for more than p_corrected does.";
            let has_looks = matches!(self.definition.method, LookMethod::Sequential { .. })
                || self.definition.end.is_none();
            reading.extend(
                (has_looks && self.definition.correction == FamilyCorrection::Holm)
                    .then(|| shared.to_owned()),
            );
        }
        reading.push(match self.definition.method {
            LookMethod::Fixed => "Planned to be read once, at its end: twenty peeks at 5 % make 25 % false alarms.".to_owned(),
            LookMethod::Continuous { .. } => "It may be read at any time: the anytime interval and p hold however often one looks; p is for whoever looks once.".to_owned(),
            LookMethod::Sequential { looks } => format!("It is decided at {looks} planned looks; between them the numbers are description."),
        });
        reading
    }

    fn variants(&self) -> Vec<VariantTold> {
        let is_finer = !self.lanes.lanes[0].from_exposure;
        let variants = self.definition.variants.iter().enumerate();
        variants
            .map(|(i, variant)| {
                let cell = self.cell(0, i, &Group::Total);
                let of = |count: fn(&Cell) -> u64| cell.map_or(0, count);
                let (units, matured) = (of(|c| c.units), of(|c| c.matured));
                VariantTold {
                    name: variant.name.clone(),
                    is_control: i == self.control,
                    weight: variant.weight,
                    units,
                    matured,
                    open: units - matured,
                    subjects: is_finer.then(|| of(|c| c.subjects)),
                    matured_subjects: is_finer.then(|| of(|c| c.matured_subjects)),
                }
            })
            .collect()
    }

    fn steps(&self) -> Vec<StepTold> {
        let lane = &self.lanes.lanes[0];
        let first = lane.metrics.len();
        let mut before: Option<Vec<Option<u64>>> = None;
        let mut steps = Vec::new();
        for (i, step) in lane.funnel.steps.iter().enumerate() {
            let place = Place {
                lane: 0,
                metric: first + i,
            };
            let measurement = self.measured(place, &Group::Total);
            let counts: Vec<Option<Counts>> = measurement.arms.iter().map(Arm::counts).collect();
            let reached: Vec<Option<u64>> = counts
                .iter()
                .map(|counts| counts.map(Counts::successes))
                .collect();
            let from_previous = (0..reached.len()).map(|variant| {
                let of = match &before {
                    Some(before) => before[variant],
                    None => counts[variant].map(Counts::units),
                };
                let rate = from_previous(reached[variant], of);
                match lane.from_exposure {
                    true => rate,
                    // subjects of one unit are alike
                    false => Rate {
                        low: None,
                        high: None,
                        ..rate
                    },
                }
            });
            steps.push(StepTold {
                name: step.name.clone(),
                optional: step.optional,
                from_previous: from_previous.collect(),
                arms: self.told(place, &measurement.arms),
                comparisons: measurement.compared.into_iter().map(|c| c.told).collect(),
            });
            if !step.optional {
                before = Some(reached);
            }
        }
        steps
    }

    /// Whether the window of everybody exposed before is over.
    pub(crate) fn is_over(&self, lane: usize, before_us: i64) -> bool {
        let window_us = self.lanes.lanes[lane].funnel.window.us();
        let over_us = before_us.saturating_sub(1).saturating_add(window_us);
        self.watermark_us
            .is_some_and(|watermark_us| watermark_us >= over_us)
    }
}

/// The same where a lower rate is better: to win is to be lower.
fn mirrored(told: ComparisonTold) -> ComparisonTold {
    ComparisonTold {
        chance_to_win: told.chance_to_win.map(|chance| 1.0 - chance),
        loss_if_variant: told.loss_if_control,
        loss_if_control: told.loss_if_variant,
        ..told
    }
}

pub(crate) fn better(better: Better) -> &'static str {
    match better {
        Better::Higher => "higher",
        Better::Lower => "lower",
    }
}

fn measures(measure: Measure<'_>, experiment: &ExperimentPlan, place: Place) -> &'static str {
    match measure {
        Measure::Step(_) => match experiment.metrics[place.metric] {
            Measured::Subjects(_) => "rate_per_unit",
            _ => "rate",
        },
        Measure::TimeToStep(_) => "time",
        Measure::Mean(_) => "mean",
        Measure::Ratio(_) => "ratio",
        Measure::CostPerExtra(_) => "cost_per_extra",
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn from_previous(reached: Option<u64>, of: Option<u64>) -> Rate {
    match (reached, of.filter(|of| *of > 0)) {
        (Some(reached), Some(of)) if reached <= of => {
            let interval = wilson(reached, of);
            Rate {
                value: Some(reached as f64 / of as f64),
                low: interval.map(|i| i.low),
                high: interval.map(|i| i.high),
                code: None,
            }
        }
        (Some(_), Some(_)) => Rate::none("more_than_before"),
        _ => Rate::none(Null::NoUnits.code()),
    }
}
