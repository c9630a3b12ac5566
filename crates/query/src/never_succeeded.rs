//! Integrations that many chose and nobody ever linked with: mostly broken, not unlucky.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::TryStreamExt;
use linkfunnel_model::{
    Breakdown, Condition, FunnelQuestion, FunnelRef, Include, MAX_SEGMENTS, Range,
};
use linkfunnel_stats::wilson;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Group, Meta, ReasonCount};
use crate::engine::{Engine, Run};
use crate::error::{Error, Result};
use crate::funnel::count;
use crate::list::{ListPlan, Segment};
use crate::plan::{BEFORE_CHOICE, NONE, OTHER, Plan};
use crate::question::Level;
use crate::report::{Reporter, rank};
use crate::success::{Linking, at_by};
use crate::trend;

/// Matured choices from which on no success is told, unless the question says otherwise.
pub const DEFAULT_MIN_CHOICES: u64 = 20;
/// Most items of a page.
pub const MAX_NEVER_SUCCEEDED: usize = 1_000;
/// Size of a page that names none.
const DEFAULT_LIMIT: usize = 100;
/// Most reasons of an item.
const TOP_REASONS: usize = 5;

/// Asks who was chosen and never linked with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NeverSucceededQuestion {
    /// Of integrations or of providers.
    #[serde(default)]
    pub by: ChosenBy,
    /// Matured choices that it takes: 20 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_choices: Option<u64>,
    /// What is counted.
    #[serde(default)]
    pub level: Level,
    /// When they started; the last 30 days when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// Zone of dates when `range` is absent; UTC when absent too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The built-in funnel, as for success rates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funnel: Option<String>,
    /// Which subjects.
    #[serde(default)]
    pub filters: Vec<Condition>,
    /// Size of the page: 100 when absent, at most 1 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The view to read; the current one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// What was chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChosenBy {
    /// `integration.key`.
    #[default]
    Integration,
    /// The provider that carried it.
    Provider,
}

/// One that never succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NeverSucceeded {
    /// The integration's key, or the provider.
    pub value: String,
    /// Subjects that chose it.
    pub choices: u64,
    /// Those whose window is over.
    pub matured: u64,
    /// Those that still can link.
    pub open: u64,
    /// Companies that chose it, of those that say which company they are.
    pub companies: u64,
    /// When the first of the subjects started that chose it; none has linked with it since, RFC 3339.
    pub since: String,
    /// Upper end of the 95 % interval of its success rate (Wilson, 0 of `matured`).
    pub rate_high: f64,
    /// Why they stopped, most frequent first; at most five.
    pub reasons: Vec<ReasonCount>,
}

/// Those that were chosen and never linked with, the most often chosen first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NeverSucceededAnswer {
    /// What was chosen: `integration` or `provider`.
    pub by: ChosenBy,
    /// What a subject is: `journey`, `company` or `attempt`.
    pub level: String,
    /// The built-in definition used.
    pub funnel: String,
    /// Its window, ISO 8601.
    pub window: String,
    /// Start of the range, RFC 3339.
    pub from: String,
    /// End of the range, RFC 3339, exclusive.
    pub to: String,
    /// Matured choices that it takes.
    pub min_choices: u64,
    /// How many there are, on all pages.
    pub count: u64,
    /// This page.
    pub never_succeeded: Vec<NeverSucceeded>,
    /// Give back as `cursor` together with `as_of` = `meta.snapshot`; null on the last page.
    pub next_cursor: Option<String>,
    /// Where this comes from.
    pub meta: Meta,
}

/// Place in the list: matured choices, most first, then the value.
type Place = (std::cmp::Reverse<u64>, String);

/// What is read of the subjects of one value.
#[derive(Default)]
struct Chosen {
    companies: HashSet<String>,
    since_us: Option<i64>,
}

impl ChosenBy {
    fn as_str(self) -> &'static str {
        match self {
            ChosenBy::Integration => "integration",
            ChosenBy::Provider => "provider",
        }
    }
}

impl Engine {
    /// Integrations or providers with many matured choices and no success at all.
    ///
    /// # Errors
    /// As [`Engine::success_rates`]; 400 for a bad cursor.
    pub async fn never_succeeded(
        &self,
        tenant: &str,
        question: NeverSucceededQuestion,
    ) -> Result<NeverSucceededAnswer> {
        let limit = question.limit.unwrap_or(DEFAULT_LIMIT);
        if limit == 0 || limit > MAX_NEVER_SUCCEEDED {
            let detail = format!("a page has 1 to {MAX_NEVER_SUCCEEDED} items");
            return Err(Error::refused("bad_limit", "/limit", detail));
        }
        let min_choices = question.min_choices.unwrap_or(DEFAULT_MIN_CHOICES);
        if min_choices == 0 {
            let detail = "nothing can be said of what nobody chose: at least 1";
            return Err(Error::refused("out_of_range", "/min_choices", detail));
        }
        let after = question.cursor.as_deref().map(parse_cursor).transpose()?;
        let linking = self.linking(
            question.funnel.as_deref(),
            question.level,
            question.range.as_ref(),
            question.timezone.as_deref(),
        )?;
        let asked = linking.chosen(question.by, &question.filters, question.as_of.clone());
        asked.check()?;
        let run = self.start(question.as_of.as_deref()).await?;
        self.within(self.options().timeout_ms, async {
            let by = question.by.as_str();
            let (groups, meta) = self.chosen_groups(&run, tenant, asked.clone()).await?;
            let mut found: Vec<(Place, Group)> = groups
                .into_iter()
                .filter_map(|group| Some((place(&group, by, min_choices)?, group)))
                .collect();
            found.sort_by(|(a, _), (b, _)| a.cmp(b));
            let total = found.len() as u64;
            found.retain(|(place, _)| after.as_ref().is_none_or(|after| place > after));
            let more = found.len() > limit;
            found.truncate(limit);
            let next_cursor = found
                .last()
                .filter(|_| more)
                .map(|(place, _)| cursor(place));
            let read = self.chosen_subjects(&run, tenant, asked, &found).await?;
            Ok(NeverSucceededAnswer {
                by: question.by,
                level: linking.level.subject().as_str().to_owned(),
                funnel: linking.id.clone(),
                window: linking.window(),
                from: linking.from(),
                to: linking.to(),
                min_choices,
                count: total,
                never_succeeded: found
                    .into_iter()
                    .map(|((_, value), group)| item(&linking, value, &group, &read))
                    .collect(),
                next_cursor,
                meta,
            })
        })
        .await
    }

    /// The counts of every value chosen.
    async fn chosen_groups(
        &self,
        run: &Run,
        tenant: &str,
        asked: FunnelQuestion,
    ) -> Result<(Vec<Group>, Meta)> {
        let checked = asked.check()?;
        let prepared = self.prepare(run, tenant, asked, checked).map_err(at_by)?;
        let (plan, mut outcome) = self
            .run_plan(run, tenant, prepared.plan)
            .await
            .map_err(at_by)?;
        let mut meta = self.meta(run, plan.span.to_us)?;
        count(&mut meta, &mut outcome);
        let reporter = Reporter {
            plan: &plan,
            definition: &prepared.checked.funnel,
            zone: prepared.checked.span.timezone,
            times: false,
        };
        let ranked = rank(&plan, outcome.groups, MAX_SEGMENTS);
        Ok((reporter.groups(&ranked), meta))
    }

    /// The companies and the first start of the subjects behind the groups found.
    async fn chosen_subjects(
        &self,
        run: &Run,
        tenant: &str,
        asked: FunnelQuestion,
        found: &[(Place, Group)],
    ) -> Result<HashMap<Arc<str>, Chosen>> {
        let labels: Vec<Vec<Arc<str>>> = found
            .iter()
            .map(|((_, value), _)| vec![Arc::from(value.as_str())])
            .collect();
        let mut read: HashMap<Arc<str>, Chosen> = HashMap::new();
        if labels.is_empty() {
            return Ok(read);
        }
        let checked = asked.check()?;
        let mut plan: Plan = self.prepare(run, tenant, asked, checked)?.plan;
        plan.list = Some(ListPlan {
            segment: Segment::OneOf(labels),
            ..ListPlan::everybody()
        });
        let state = run.session.state();
        let listing = self.listing(&run.view, tenant, plan, &state).await?;
        let listed = listing.all(&run.session.task_ctx());
        let mut listed = std::pin::pin!(listed.map_err(|e| run.error(e))?);
        while let Some(few) = listed.try_next().await.map_err(|e| run.error(e))? {
            for subject in few {
                let chosen = read.entry(Arc::clone(&subject.labels[0])).or_default();
                chosen.companies.extend(subject.company);
                let first = chosen.since_us.unwrap_or(subject.clock_us);
                chosen.since_us = Some(first.min(subject.clock_us));
            }
        }
        Ok(read)
    }
}

impl Linking {
    /// The question whose groups are the values chosen.
    fn chosen(&self, by: ChosenBy, filters: &[Condition], as_of: Option<String>) -> FunnelQuestion {
        let definition = Box::new(self.definition.clone());
        FunnelQuestion {
            filters: filters.to_vec(),
            breakdown: Some(Breakdown {
                by: vec![by.as_str().to_owned()],
                limit: MAX_SEGMENTS,
                attribution: BTreeMap::new(),
            }),
            include: vec![Include::Reasons],
            as_of,
            ..FunnelQuestion::of(FunnelRef::Definition(definition), self.range.clone())
        }
    }
}

/// Where the group stands in the list; `None` if it succeeded, or too few chose it to tell.
fn place(group: &Group, by: &str, min_choices: u64) -> Option<Place> {
    let value = group.key.get(by)?;
    let is_value = ![BEFORE_CHOICE, NONE, OTHER].contains(&value.as_str());
    let matured = group.matured.entered;
    (is_value && group.converted == 0 && matured >= min_choices)
        .then(|| (std::cmp::Reverse(matured), value.clone()))
}

fn cursor((std::cmp::Reverse(matured), value): &Place) -> String {
    format!("{matured}.{value}")
}

fn parse_cursor(text: &str) -> Result<Place> {
    let parts = text.split_once('.');
    let place = parts.and_then(|(matured, value)| {
        Some((std::cmp::Reverse(matured.parse().ok()?), value.to_owned()))
    });
    place.ok_or_else(|| Error::bad("bad_cursor", "/cursor", "this is not a cursor"))
}

fn item(
    linking: &Linking,
    value: String,
    group: &Group,
    read: &HashMap<Arc<str>, Chosen>,
) -> NeverSucceeded {
    let chosen = read.get(value.as_str());
    let since_us = chosen.and_then(|chosen| chosen.since_us);
    let matured = group.matured.entered;
    NeverSucceeded {
        choices: group.entered,
        matured,
        open: group.open,
        companies: chosen.map_or(0, |chosen| chosen.companies.len() as u64),
        since: since_us.map_or_else(
            || linking.from(),
            |us| trend::text(us, linking.span.timezone),
        ),
        rate_high: wilson(0, matured).map_or(1.0, |interval| interval.high),
        reasons: top_reasons(group),
        value,
    }
}

/// The reasons of all steps together, most frequent first.
fn top_reasons(group: &Group) -> Vec<ReasonCount> {
    let mut all: Vec<ReasonCount> = Vec::new();
    for reason in group.steps.iter().flat_map(|step| &step.reasons) {
        let same = |other: &&mut ReasonCount| {
            ReasonCount {
                count: other.count,
                ..reason.clone()
            } == **other
        };
        match all.iter_mut().find(same) {
            Some(other) => other.count += reason.count,
            None => all.push(reason.clone()),
        }
    }
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.code.cmp(&b.code)));
    all.truncate(TOP_REASONS);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nonsense_is_refused() {
        let place = (std::cmp::Reverse(120), "gb.bank-x".to_owned());
        assert_eq!(parse_cursor(&cursor(&place)).unwrap(), place);
        for text in ["", "x", "x.y", ".y", "-1.y"] {
            assert!(parse_cursor(text).is_err(), "{text}");
        }
    }
}
