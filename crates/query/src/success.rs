//! Success rates: linked ÷ started, each saying what it started from.

use linkfunnel_model::{
    Attribution, Breakdown, DEFAULT_SEGMENTS, FunnelDefinition, FunnelQuestion, FunnelRef, Include,
    Range, Span, Subject, built_in_funnel, check_dimensions,
};

use crate::answer::{FunnelAnswer, Group, SuccessRate, SuccessRatesAnswer, TrendBucket};
use crate::controllable::{self, controllable};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::plan::{BEFORE_CHOICE, OTHER};
use crate::question::{Level, SuccessRatesQuestion};
use crate::trend;

/// Length of the range when a question names none: 30 days, in µs.
const DEFAULT_RANGE_US: i64 = 30 * 86_400 * 1_000_000;
/// The built-in funnels that end in a link and start with an opening or a choice.
const FUNNELS: [&str; 3] = ["linking", "linking_7d", "linking_from_choice"];

/// What a question about links starts from and runs over.
pub(crate) struct Linking {
    /// Id of the built-in funnel.
    pub(crate) id: String,
    pub(crate) level: Level,
    pub(crate) definition: FunnelDefinition,
    pub(crate) range: Range,
    pub(crate) span: Span,
}

impl Engine {
    /// Linked ÷ started by any dimension and interval, over a built-in linking funnel.
    ///
    /// # Errors
    /// As [`Engine::funnel`]; 422 for a funnel that has no success rate.
    pub async fn success_rates(
        &self,
        tenant: &str,
        question: SuccessRatesQuestion,
    ) -> Result<SuccessRatesAnswer> {
        let linking = self.linking(
            question.funnel.as_deref(),
            question.level,
            question.range.as_ref(),
            question.timezone.as_deref(),
        )?;
        let asked = linking.question(&question);
        let answer = self.funnel(tenant, asked).await.map_err(at_by)?;
        let chosen = chosen(&question);
        let tell = |group, trend| linking.rate(group, trend, &chosen, question.controllable);
        let FunnelAnswer {
            groups,
            total,
            trend,
            meta,
            ..
        } = answer;
        Ok(SuccessRatesAnswer {
            level: linking.level.subject().as_str().to_owned(),
            funnel: linking.id.clone(),
            window: linking.window(),
            from: linking.from(),
            to: linking.to(),
            controllable_rule: controllable::rule(question.controllable),
            groups: groups.into_iter().map(|group| tell(group, None)).collect(),
            total: tell(total, Some(trend)),
            meta,
        })
    }

    /// Checks what all questions about links share and fills the defaults in.
    pub(crate) fn linking(
        &self,
        funnel: Option<&str>,
        level: Level,
        range: Option<&Range>,
        timezone: Option<&str>,
    ) -> Result<Linking> {
        let id = funnel.unwrap_or(FUNNELS[0]).to_owned();
        let built_in = built_in_funnel(&id).filter(|_| FUNNELS.contains(&id.as_str()));
        let Some(built_in) = built_in else {
            let detail = format!("success rates are told of {}", FUNNELS.join(", "));
            return Err(Error::refused("unknown_funnel", "/funnel", detail));
        };
        let mut definition = built_in.definition;
        definition.subject = level.subject();
        let range = range.cloned().unwrap_or_else(|| {
            let now_us = self.now_us();
            let text = |us| trend::text(us, chrono_tz::Tz::UTC);
            Range {
                from: text(now_us - DEFAULT_RANGE_US),
                to: text(now_us),
                timezone: timezone.unwrap_or("UTC").to_owned(),
            }
        });
        let span = range.check("/range")?;
        Ok(Linking {
            id,
            level,
            definition,
            range,
            span,
        })
    }
}

impl Linking {
    fn question(&self, asked: &SuccessRatesQuestion) -> FunnelQuestion {
        let breakdown = (!asked.by.is_empty()).then(|| Breakdown {
            by: asked.by.clone(),
            limit: asked.limit.unwrap_or(DEFAULT_SEGMENTS),
            attribution: asked.attribution.clone(),
        });
        let definition = Box::new(self.definition.clone());
        FunnelQuestion {
            filters: asked.filters.clone(),
            breakdown,
            interval: asked.interval,
            include: asked
                .controllable
                .then_some(Include::Reasons)
                .into_iter()
                .collect(),
            as_of: asked.as_of.clone(),
            ..FunnelQuestion::of(FunnelRef::Definition(definition), self.range.clone())
        }
    }

    pub(crate) fn window(&self) -> String {
        self.definition.window.to_string()
    }

    /// Start of the range, RFC 3339.
    pub(crate) fn from(&self) -> String {
        trend::text(self.span.from_us, self.span.timezone)
    }

    /// End of the range, RFC 3339.
    pub(crate) fn to(&self) -> String {
        trend::text(self.span.to_us, self.span.timezone)
    }

    /// The numbers of a group as a success rate. `chosen`: dimensions with a value chosen on the way.
    pub(crate) fn rate(
        &self,
        group: Group,
        trend: Option<Vec<TrendBucket>>,
        chosen: &[String],
        is_controllable: bool,
    ) -> SuccessRate {
        SuccessRate {
            starts_from: self.starts_from(&group, chosen),
            controllable: is_controllable.then(|| controllable(&group)),
            key: group.key,
            started: group.entered,
            linked: group.converted,
            dropped: group.dropped,
            open: group.open,
            matured: group.matured,
            rate: group.rate,
            rate_so_far: group.rate_so_far,
            rate_expected: group.rate_expected,
            trend: trend.unwrap_or(group.trend),
        }
    }

    /// What the group's subjects did to be in it (semantics rule 17: every rate says it).
    fn starts_from(&self, group: &Group, chosen: &[String]) -> String {
        let subjects = match self.level {
            Level::Journey => "journeys",
            Level::Company => "companies",
            Level::Attempt => "attempts",
        };
        let did = if self.id == "linking_from_choice" {
            "chose a provider"
        } else {
            "opened the flow"
        };
        let mut text = format!("{subjects} that {did}");
        for name in chosen {
            match group.key.get(name).map(String::as_str) {
                None => {}
                Some(BEFORE_CHOICE) => text.push_str(&format!(" and chose no {name}")),
                Some(OTHER) => text.push_str(&format!(" and chose another {name}")),
                Some(value) => text.push_str(&format!(" and chose the {name} {value}")),
            }
        }
        text
    }
}

/// The dimensions whose values are chosen on the way. The question has been checked.
fn chosen(question: &SuccessRatesQuestion) -> Vec<String> {
    let dimensions = check_dimensions(&question.by, "/by").unwrap_or_default();
    let attributed = question.by.iter().zip(dimensions);
    attributed
        .filter(|(name, (_, natural))| {
            let attribution = question.attribution.get(*name).unwrap_or(natural);
            *attribution == Attribution::Each
        })
        .map(|(name, _)| name.clone())
        .collect()
}

impl Level {
    /// The subject of the funnel at this level.
    pub fn subject(self) -> Subject {
        match self {
            Level::Journey => Subject::Journey,
            Level::Company => Subject::Company,
            Level::Attempt => Subject::Attempt,
        }
    }
}

/// What stands in the breakdown of a funnel question is a parameter of its own here.
pub(crate) fn at_by(error: Error) -> Error {
    error.at(|pointer| match pointer.strip_prefix("/breakdown") {
        Some("") => "/by".to_owned(),
        Some(rest) => rest.to_owned(),
        None => pointer.to_owned(),
    })
}
