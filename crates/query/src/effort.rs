//! The effort of a journey, held against what was advised: clicks, active time, steps back and idle time up to the link; and
//! what a company does before it is first prompted.

mod report;
mod tally;
mod walk;

use std::collections::BTreeMap;

use linkfunnel_model::{
    Alternative, Breakdown, Condition, DEFAULT_SEGMENTS, Field, FunnelDefinition, FunnelQuestion,
    FunnelRef, IdKind, Length, Op, Predicate, Range, StepDefinition, Subject, vocab::EventName,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Matured, Meta, Rate, Times};
use crate::columns::Source;
use crate::engine::{Engine, Run, ms};
use crate::error::{Error, Result};
use crate::funnel::count;
use crate::numbers::{Numbers, Outcome};
use crate::plan::Plan;
use crate::question::Level;
use crate::report::{Reporter, rank};
use crate::study::Study;
use crate::success::at_by;
use crate::trend;

pub use report::{NO_SESSION_IDS, NOTHING_ADVISED, NOTHING_TO_COUNT};
pub use tally::{ADVISED_ACTIONS, ADVISED_CLICKS, MAX_COUNT, PROMISED_US};
pub(crate) use tally::{Effort, Facts};
pub use walk::IDLE_US;
pub(crate) use walk::{EffortOf, EffortPlan, Kinds};

/// How long a company has from its sign-up or first visit to its link: 7 days, in hours.
const COMPANY_WINDOW_HOURS: u32 = 7 * 24;

/// Asks what a journey took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EffortQuestion {
    /// Dimensions; none for the total only.
    #[serde(default)]
    pub by: Vec<String>,
    /// When they started; the last 30 days when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// Zone of dates when `range` is absent; UTC when absent too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The built-in funnel of the journeys: `linking` (when absent), `linking_7d` or `linking_from_choice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funnel: Option<String>,
    /// Which subjects.
    #[serde(default)]
    pub filters: Vec<Condition>,
    /// Most segments; the rest is `(other)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The view to read; the current one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// Subjects with one count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CountBar {
    /// The count; 1 000 stands for that many or more.
    pub count: u64,
    /// Subjects that linked.
    pub linked: u64,
    /// Subjects that did not.
    pub not_linked: u64,
    /// Linked ÷ both (Wilson 95 %).
    pub rate: Rate,
}

/// A count by subject, of the matured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CountMeasure {
    /// What is advised; null where nothing is.
    pub advised_at_most: Option<u64>,
    /// Subjects that linked and have the count.
    pub linked: u64,
    /// Subjects that did not link and have the count.
    pub not_linked: u64,
    /// Share of all inside the advice (Wilson 95 %).
    pub within_advice: Rate,
    /// Share of those that linked.
    pub linked_within_advice: Rate,
    /// Share of those that did not.
    pub not_linked_within_advice: Rate,
    /// The distribution, ascending; counts nobody has are left out.
    pub by_count: Vec<CountBar>,
}

/// A time by subject, of the matured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimeMeasure {
    /// What is promised in ms; null where nothing is.
    pub promised_at_most_ms: Option<f64>,
    /// Subjects that linked and have the time.
    pub linked: u64,
    /// Subjects that did not link and have the time.
    pub not_linked: u64,
    /// Linked ÷ both (Wilson 95 %).
    pub rate: Rate,
    /// Percentiles of those that linked, in ms.
    pub linked_ms: Times,
    /// Percentiles of those that did not.
    pub not_linked_ms: Times,
    /// Share of those that linked within what is promised (Wilson 95 %, counted exactly).
    pub linked_within_promise: Rate,
    /// Share of those that did not.
    pub not_linked_within_promise: Rate,
}

/// Active time by whether the time needed was announced (`messaging.time_estimate` of the journey's first event).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActiveTime {
    /// It was.
    pub announced: TimeMeasure,
    /// It was not.
    pub not_announced: TimeMeasure,
    /// The event does not say.
    pub unknown: TimeMeasure,
    /// Journeys whose time the client counted.
    pub counted: u64,
    /// Journeys whose time lies between events.
    pub from_events: u64,
}

/// What the matured journeys of a segment took, from the first event to the link, or to the window's end without one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JourneyEffort {
    /// Dimension → value; empty for the total.
    pub key: BTreeMap<String, String>,
    /// Journeys whose window is over.
    pub matured: Matured,
    /// Clicks: what the client counted (`counters.clicks` runs on inside a journey: the greatest inside the window), else the
    /// events up to the link that tell an action (chose, consented, submitted, …). Advised: at most 6.
    pub clicks: CountMeasure,
    /// Journeys whose clicks clients counted.
    pub clicks_counted: u64,
    /// Journeys whose clicks are events.
    pub clicks_from_events: u64,
    /// Times a step (`step.viewed`) with a lower `step.index` than the one before was viewed inside the window, in journeys
    /// that viewed any with an index.
    pub back_steps: CountMeasure,
    /// Active time: what the client counted (`counters.active_ms`, the greatest inside the window), else the time up to the
    /// link between events of somebody who was there, gaps over 5 minutes left out. Promised: one minute.
    pub active: ActiveTime,
    /// Those gaps, added up.
    pub idle: TimeMeasure,
}

/// Where the links of companies stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sessions {
    /// Linked in the session (`session_id`) the clock started in.
    pub first: u64,
    /// Linked in another.
    pub later: u64,
    /// Linked, and one of the two events names no session.
    pub unknown: u64,
    /// Did not link.
    pub not_linked: u64,
}

/// What came before the first prompt (`cta.shown` for a link) of the matured companies of a segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PromptEffort {
    /// Dimension → value; empty for the total.
    pub key: BTreeMap<String, String>,
    /// Companies whose seven days are over.
    pub matured: Matured,
    /// Companies that were not prompted before they linked or the window ended; in no number below but the last three.
    pub never_prompted: u64,
    /// Actions between the start and the first prompt: what the client counted (`counters.actions` of the prompt, since the
    /// sign-up, and of a sign-up on the way, before it), else the events that tell one. Advised: at most 3.
    pub actions: CountMeasure,
    /// Companies whose actions the client counted.
    pub actions_counted: u64,
    /// Companies whose actions are events.
    pub actions_from_events: u64,
    /// From the start to the first prompt.
    pub delay: TimeMeasure,
    /// Linked in the first session ÷ matured, those left out of whom it is unknown (Wilson 95 %).
    pub linked_in_first_session: Rate,
    /// Linked within seven days ÷ matured.
    pub linked_in_window: Rate,
    /// The counts behind it.
    pub sessions: Sessions,
}

/// Journeys by segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JourneyEfforts {
    /// One a segment, largest first.
    pub groups: Vec<JourneyEffort>,
    /// All.
    pub total: JourneyEffort,
}

/// Companies by segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PromptEfforts {
    /// One a segment, largest first.
    pub groups: Vec<PromptEffort>,
    /// All.
    pub total: PromptEffort,
}

/// What journeys took, and what came before them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EffortAnswer {
    /// The built-in funnel of the journeys.
    pub funnel: String,
    /// Its window, ISO 8601.
    pub window: String,
    /// Start of the range, RFC 3339.
    pub from: String,
    /// End of the range, RFC 3339, exclusive.
    pub to: String,
    /// A longer gap between two events is idle time, in ms.
    pub idle_over_ms: f64,
    /// Journeys.
    pub journeys: JourneyEfforts,
    /// Companies, from `signup.completed`.
    pub from_signup: PromptEfforts,
    /// Companies, from `visit.landed`.
    pub from_landing: PromptEfforts,
    /// Where this comes from: counts of the journeys' scan, events read by all three.
    pub meta: Meta,
}

/// The numbers of one scan.
struct Scanned {
    groups: Vec<(BTreeMap<String, String>, Numbers)>,
    outcome: Outcome,
}

impl Engine {
    /// What journeys took, held against what is advised.
    ///
    /// # Errors
    /// As [`Engine::success_rates`].
    pub async fn effort(&self, tenant: &str, question: EffortQuestion) -> Result<EffortAnswer> {
        let linking = self.linking(
            question.funnel.as_deref(),
            Level::Journey,
            question.range.as_ref(),
            question.timezone.as_deref(),
        )?;
        let window = linking.definition.window.to_string();
        let (range, span) = (linking.range, linking.span);
        let run = self.start(question.as_of.as_deref()).await?;
        let asked = |definition| question.funnel_question(definition, &range);
        self.within(self.options().timeout_ms, async {
            let mut journeys = self
                .scan_effort(&run, tenant, asked(linking.definition), journey)
                .await?;
            let signup = asked(prompted(EventName::SignupCompleted)?);
            let signup = self.scan_effort(&run, tenant, signup, prompt).await?;
            let landing = asked(prompted(EventName::VisitLanded)?);
            let landing = self.scan_effort(&run, tenant, landing, prompt).await?;
            let mut meta = self.meta(&run, span.to_us)?;
            count(&mut meta, &mut journeys.outcome);
            for other in [&signup, &landing] {
                meta.events_scanned += other.outcome.counts.events_scanned;
            }
            Ok(EffortAnswer {
                funnel: linking.id,
                window,
                from: trend::text(span.from_us, span.timezone),
                to: trend::text(span.to_us, span.timezone),
                idle_over_ms: ms(IDLE_US),
                journeys: JourneyEfforts {
                    groups: journeys.told(report::journeys),
                    total: report::journeys(BTreeMap::new(), &journeys.outcome.total),
                },
                from_signup: PromptEfforts {
                    groups: signup.told(report::prompts),
                    total: report::prompts(BTreeMap::new(), &signup.outcome.total),
                },
                from_landing: PromptEfforts {
                    groups: landing.told(report::prompts),
                    total: report::prompts(BTreeMap::new(), &landing.outcome.total),
                },
                meta,
            })
        })
        .await
    }

    async fn scan_effort(
        &self,
        run: &Run,
        tenant: &str,
        question: FunnelQuestion,
        of: fn(&mut Plan) -> EffortOf,
    ) -> Result<Scanned> {
        let checked = question.check().map_err(|mistake| at_by(mistake.into()))?;
        let segments = checked.segments;
        let mut prepared = self.prepare(run, tenant, question, checked)?;
        look_at(&mut prepared.plan, of);
        let (plan, mut outcome) = self.run_plan(run, tenant, prepared.plan).await?;
        let reporter = Reporter {
            plan: &plan,
            definition: &prepared.checked.funnel,
            zone: prepared.checked.span.timezone,
            times: false,
        };
        let groups = std::mem::take(&mut outcome.groups);
        let ranked = rank(&plan, groups, segments);
        Ok(Scanned {
            groups: reporter.keyed(ranked),
            outcome,
        })
    }
}

impl Scanned {
    fn told<T>(&self, tell: fn(BTreeMap<String, String>, &Numbers) -> T) -> Vec<T> {
        let groups = self.groups.iter();
        groups
            .map(|(key, numbers)| tell(key.clone(), numbers))
            .collect()
    }
}

/// Lets the plan keep what effort is read from.
pub(crate) fn look_at(plan: &mut Plan, of: fn(&mut Plan) -> EffortOf) {
    let event = plan.keep_events();
    let of = of(plan);
    plan.study = Some(Study::Effort(EffortPlan { of, event }));
}

/// The effort of journeys.
pub(crate) fn journey(plan: &mut Plan) -> EffortOf {
    EffortOf::Journey {
        clicks: plan.keep_number(Field::CountersClicks.column()),
        active_ms: plan.keep_number(Field::CountersActiveMs.column()),
        step_index: plan.keep_number(Field::StepIndex.column()),
        time_estimate: plan.keep(Source::Field(Field::MessagingTimeEstimate)),
    }
}

/// The effort before the first prompt, which takes the second step.
fn prompt(plan: &mut Plan) -> EffortOf {
    EffortOf::Prompt {
        step: 1,
        actions: plan.keep_number(Field::CountersActions.column()),
        session: plan.keep_number(IdKind::Session.key_column()),
    }
}

/// A company's way from `first` to its link, with the first prompt on the way.
fn prompted(first: EventName) -> Result<FunnelDefinition> {
    let step = |name: &str, event: EventName| StepDefinition {
        name: name.to_owned(),
        event: Some(event.as_str().to_owned()),
        any_of: Vec::new(),
        conditions: Vec::new(),
        optional: false,
        max_gap: None,
        min_gap: None,
    };
    let for_a_link = |op, value| Alternative {
        event: EventName::CtaShown.as_str().to_owned(),
        conditions: vec![Predicate::Is(Condition {
            field: Field::Kind.path().to_owned(),
            op,
            value,
        })],
    };
    let prompted = StepDefinition {
        event: None,
        any_of: vec![
            for_a_link(Op::Eq, "link".into()),
            for_a_link(Op::Missing, serde_json::Value::Null),
        ],
        optional: true,
        ..step("Prompted", EventName::CtaShown)
    };
    let steps = vec![
        step("Started", first),
        prompted,
        step("Linked", EventName::ConnectionLinked),
    ];
    let window = Length::hours(COMPANY_WINDOW_HOURS)
        .ok_or_else(|| Error::Internal("seven days are no window".to_owned()))?;
    Ok(FunnelDefinition::ordered(steps, window, Subject::Company))
}

impl EffortQuestion {
    fn funnel_question(&self, definition: FunnelDefinition, range: &Range) -> FunnelQuestion {
        let limit = self.limit.unwrap_or(DEFAULT_SEGMENTS);
        FunnelQuestion {
            filters: self.filters.clone(),
            breakdown: (!self.by.is_empty()).then(|| Breakdown {
                by: self.by.clone(),
                limit,
                attribution: BTreeMap::new(),
            }),
            as_of: self.as_of.clone(),
            ..FunnelQuestion::of(FunnelRef::Definition(Box::new(definition)), range.clone())
        }
    }
}
