//! What goes with success: by value of every dimension, and by event on the way, the conversion of those with it and of those
//! without. Association, not cause.

mod count;
mod report;

use linkfunnel_model::{
    Attribution, Condition, Field, FieldRef, FunnelDefinition, FunnelQuestion, FunnelRef, Mistake,
    Range, check_dimensions,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Meta, Rate, Warning};
use crate::columns::Source;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::funnel::count;
use crate::named::Asked;
use crate::plan::{Dimension, Plan};
use crate::question::{step_index, within};
use crate::study::Study;

pub use count::MAX_DRIVERS;
pub(crate) use count::{CodedDrivers, DriverLimit, Drivers, DriversPlan, EventsPlan};
pub use report::{LEAST_MATURED, TOO_SMALL};
use report::{Told, rows};

/// Most dimensions of one question.
pub const MAX_DRIVER_DIMENSIONS: usize = 64;
/// Most rows of an answer.
pub const MAX_DRIVERS_SHOWN: usize = 1_000;
/// The dimension of every experiment that an event names.
pub const EXPERIMENTS: &str = "experiments";

/// The dimensions looked at unless a question names some.
pub const DEFAULT_DRIVERS: [&str; 26] = [
    "surface",
    "medium",
    "entry_point",
    "cta.placement",
    "auth.method",
    "device.class",
    "locale",
    "campaign_id",
    "target_group",
    "use_case",
    "messaging.value_prop",
    "messaging.purpose",
    "messaging.security",
    "messaging.revocation",
    "messaging.time_estimate",
    "messaging.faq",
    "messaging.social_proof",
    "messaging.mandatory_label",
    "messaging.variant",
    "incentive.type",
    "integration",
    "provider",
    "category",
    "journey_type",
    "actor_role",
    EXPERIMENTS,
];

/// Asks what goes with success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DriversQuestion {
    /// As in the funnel question.
    pub funnel: FunnelRef,
    /// As in the funnel question.
    pub range: Range,
    /// As in the funnel question.
    #[serde(default)]
    pub filters: Vec<Condition>,
    /// Fields, `attrs.NAME`, `experiments.ID`, or `experiments` for each that there is; when absent those that are known to
    /// matter (surface, medium, entry point, messaging, incentive, integration, …). At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dimensions: Vec<String>,
    /// Whether events on the way are looked at too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub events: bool,
    /// Number of the step (from 1) after which events are looked for; the first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_step: Option<usize>,
    /// Number of the step before which; the last when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_step: Option<usize>,
    /// Most rows shown: 100 when absent, at most 1 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// As in the funnel question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// Whom those with a value or event are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// Everybody else that entered, those without any value too.
    EveryoneElse,
    /// Those with another value of the dimension. What is chosen on the way (integration, provider, methods) is missing for
    /// whoever stopped before, and a variant for whoever is in no experiment: neither is on either side.
    OtherValues,
    /// Those that reached the step after which events are looked for, and did not do it.
    WithoutTheEvent,
}

/// Which test a p-value is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DriverTest {
    /// Fisher's exact test: where an expected cell is below 5.
    Fisher,
    /// The score test of Miettinen and Nurminen (Pearson's chi-squared with N − 1).
    Score,
}

/// Those with, or those without.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DriverSide {
    /// Subjects that entered; in rows of events those that reached the step after which events are looked for.
    pub subjects: u64,
    /// Those of them whose window is over.
    pub matured: u64,
    /// Of the matured, those that converted; in rows of events those that reached the step before which.
    pub converted: u64,
    /// Converted ÷ matured (Wilson 95 %).
    pub rate: Rate,
}

/// The rate with minus the rate without, between −1 and 1, with Newcombe's hybrid score interval (95 %).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DriverDifference {
    /// The difference; null where a side is too small.
    pub value: Option<f64>,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
}

/// A value of a dimension, or an event on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DriverRow {
    /// The dimension, of a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<String>,
    /// The value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The name, of an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Which value of the dimension a subject stands under: `entry`, that of its first event; `first`, the first inside the
    /// window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<String>,
    /// With whom they are compared.
    pub against: Against,
    /// Those with it.
    pub with: DriverSide,
    /// Those without.
    pub without: DriverSide,
    /// By how much their rates differ.
    pub difference: DriverDifference,
    /// The test `p` is of.
    pub test: Option<DriverTest>,
    /// Probability of such a difference where there is none, two-sided.
    pub p: Option<f64>,
    /// The same adjusted over all rows tested (Benjamini and Hochberg): of the rows called different at 0.05, a twentieth is
    /// expected to be so by chance.
    pub p_adjusted: Option<f64>,
    /// Whether a side has fewer than 30 matured subjects.
    pub too_small: bool,
    /// Why difference and p are null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What goes with success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DriversAnswer {
    /// All that entered.
    pub total: DriverSide,
    /// Number of the step after which events were looked for; null without `events`.
    pub after_step: Option<usize>,
    /// Number of the step before which.
    pub before_step: Option<usize>,
    /// Subjects in no row of an event because their provider cannot show one of the two steps.
    pub unplaced: u64,
    /// The tested first, the greatest difference first; then those too small, the largest first.
    pub rows: Vec<DriverRow>,
    /// How many rows were tested: the family that `p_adjusted` is adjusted over.
    pub tested: usize,
    /// How many rows there were in all; those beyond the limit are left out.
    pub row_count: usize,
    /// Where this comes from.
    pub meta: Meta,
}

impl Engine {
    /// What goes with success, by value of every dimension and by event on the way, from one scan.
    ///
    /// # Errors
    /// As [`Engine::funnel`]; 422 `too_many_drivers` past [`MAX_DRIVERS`] rows.
    pub async fn drivers(&self, tenant: &str, question: DriversQuestion) -> Result<DriversAnswer> {
        let limit = within(question.limit, 100, MAX_DRIVERS_SHOWN, "/limit")?;
        let looked_at = looked_at(&question.dimensions)?;
        let Asked {
            question: asked,
            run,
        } = self.ask(tenant, question.funnel_question()).await?;
        let checked = asked.check()?;
        let steps = question.steps(&checked.funnel)?;
        self.within(self.options().timeout_ms, async {
            let mut prepared = self.prepare(&run, tenant, asked, checked)?;
            study(&mut prepared.plan, &looked_at, steps);
            let (plan, mut outcome) = self.run_plan(&run, tenant, prepared.plan).await?;
            let mut meta = self.meta(&run, plan.span.to_us)?;
            count(&mut meta, &mut outcome);
            warn(&mut meta, question.events);
            let told: Vec<Told> = looked_at.into_iter().map(|(told, _)| told).collect();
            let mut rows = rows(&outcome.found.drivers, &told);
            let row_count = rows.len();
            let tested = rows.iter().filter(|row| row.p.is_some()).count();
            rows.truncate(limit);
            Ok(DriversAnswer {
                total: report::side(outcome.found.drivers.all),
                after_step: steps.map(|(after, _)| after + 1),
                before_step: steps.map(|(_, before)| before + 1),
                unplaced: outcome.found.drivers.unplaced,
                rows,
                tested,
                row_count,
                meta,
            })
        })
        .await
    }
}

impl DriversQuestion {
    fn funnel_question(&self) -> FunnelQuestion {
        FunnelQuestion {
            filters: self.filters.clone(),
            as_of: self.as_of.clone(),
            ..FunnelQuestion::of(self.funnel.clone(), self.range.clone())
        }
    }

    /// Indices of the steps between which events are looked for; `None` where they are not.
    fn steps(&self, funnel: &FunnelDefinition) -> Result<Option<(usize, usize)>> {
        let last = funnel.steps.len();
        if !self.events {
            let given = [
                (self.after_step, "/after_step"),
                (self.before_step, "/before_step"),
            ];
            return match given.iter().find(|(step, _)| step.is_some()) {
                Some((_, pointer)) => {
                    let detail = "steps go with `events: true`";
                    Err(Error::refused("step_not_wanted", *pointer, detail))
                }
                None => Ok(None),
            };
        }
        let after = required(funnel, self.after_step.unwrap_or(1), "/after_step")?;
        let before = required(funnel, self.before_step.unwrap_or(last), "/before_step")?;
        if after >= before {
            let detail = "the step before which events are looked for comes after the other";
            return Err(Error::refused("bad_steps", "/before_step", detail));
        }
        Ok(Some((after, before)))
    }
}

/// The index of a required step.
fn required(funnel: &FunnelDefinition, number: usize, pointer: &str) -> Result<usize> {
    let step = step_index(funnel, number, pointer)?;
    if funnel.steps[step].optional {
        let detail = "an optional step bounds nothing; name a required one";
        return Err(Error::refused("optional_step", pointer, detail));
    }
    Ok(step)
}

/// The dimensions of a question, and where their values come from.
pub(crate) fn looked_at(names: &[String]) -> Result<Vec<(Told, (Source, Attribution))>> {
    if names.is_empty() {
        let one = |name: &&str| dimension(name, "/dimensions").map_err(Error::from);
        return DEFAULT_DRIVERS.iter().map(one).collect();
    }
    if names.len() > MAX_DRIVER_DIMENSIONS {
        let detail = format!("there are more than {MAX_DRIVER_DIMENSIONS} dimensions");
        return Err(Error::refused("limit_exceeded", "/dimensions", detail));
    }
    let mut found: Vec<(Told, (Source, Attribution))> = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let pointer = format!("/dimensions/{i}");
        let one = dimension(name, &pointer)?;
        if found.iter().any(|(_, (source, _))| *source == one.1.0) {
            let detail = format!("{name} stands twice");
            return Err(Error::refused("duplicate_field", pointer, detail));
        }
        found.push(one);
    }
    Ok(found)
}

fn dimension(name: &str, pointer: &str) -> Result<(Told, (Source, Attribution)), Mistake> {
    let (source, natural) = if name == EXPERIMENTS {
        (Source::Experiments, Attribution::Entry)
    } else {
        let name = [name.to_owned()];
        let mut one = check_dimensions(&name, pointer).map_err(|mistake| Mistake {
            pointer: pointer.to_owned(),
            ..mistake
        })?;
        let (field, natural): (FieldRef, Attribution) = one.remove(0);
        (field.into(), natural)
    };
    // A value chosen on the way never splits the matching here: a subject stands under its first.
    let attribution = match natural {
        Attribution::Each => Attribution::First,
        other => other,
    };
    let is_experiment = matches!(source, Source::Experiment(_) | Source::Experiments);
    let told = Told {
        name: name.to_owned(),
        attribution: attribution.to_string(),
        against: match natural {
            Attribution::Each => Against::OtherValues,
            _ if is_experiment => Against::OtherValues,
            _ => Against::EveryoneElse,
        },
    };
    Ok((told, (source, attribution)))
}

/// Lets the plan keep what is looked at.
pub(crate) fn study(
    plan: &mut Plan,
    looked_at: &[(Told, (Source, Attribution))],
    steps: Option<(usize, usize)>,
) {
    let mut dimensions = Vec::new();
    for (told, (source, attribution)) in looked_at {
        plan.population.live &= *source != Source::Field(Field::Environment);
        plan.population.human &= *source != Source::Field(Field::Traffic);
        dimensions.push(plan.dimensions.len());
        let source = plan.keep(source.clone());
        plan.dimensions.push(Dimension {
            name: told.name.clone(),
            source,
            attribution: *attribution,
        });
    }
    let events = steps.map(|(after, before)| EventsPlan {
        after,
        before,
        event: plan.keep_events(),
    });
    plan.study = Some(Study::Drivers(DriversPlan { dimensions, events }));
}

fn warn(meta: &mut Meta, events: bool) {
    let mut say = |code: &str, detail: &str| {
        meta.warnings.push(Warning {
            code: code.to_owned(),
            detail: detail.to_owned(),
        });
    };
    say(
        "association_not_cause",
        "these values and events go with conversion; that they cause it only an experiment can show",
    );
    if events {
        say(
            "immortal_time",
            "who converts soon has had less time to do anything else, and who stays long has had more: \
             an event on the way is also a sign of how long somebody was on it",
        );
    }
}
