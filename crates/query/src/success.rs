//! Success rates: linked ÷ started, each saying what it started from.

use std::collections::BTreeMap;

use linkfunnel_model::{
    Breakdown, DEFAULT_SEGMENTS, FunnelQuestion, FunnelRef, Range, Subject, built_in_funnel,
};

use crate::answer::{FunnelAnswer, Group, SuccessRate, SuccessRatesAnswer, TrendBucket};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::question::{Level, SuccessRatesQuestion};
use crate::trend;

/// Length of the range when a question names none: 30 days, in µs.
const DEFAULT_RANGE_US: i64 = 30 * 86_400 * 1_000_000;
/// The built-in funnels that end in a link and start with an opening or a choice.
const FUNNELS: [&str; 3] = ["linking", "linking_7d", "linking_from_choice"];

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
        let id = question
            .funnel
            .clone()
            .unwrap_or_else(|| FUNNELS[0].to_owned());
        let built_in = built_in_funnel(&id).filter(|_| FUNNELS.contains(&id.as_str()));
        let Some(built_in) = built_in else {
            let detail = format!("success rates are told of {}", FUNNELS.join(", "));
            return Err(Error::refused("unknown_funnel", "/funnel", detail));
        };
        let mut definition = built_in.definition;
        definition.subject = question.level.subject();
        let window = definition.window.to_string();
        let range = self.range(&question);
        let span = range.check("/range")?;
        let limit = question.limit.unwrap_or(DEFAULT_SEGMENTS);
        let breakdown = (!question.by.is_empty()).then(|| Breakdown {
            by: question.by.clone(),
            limit,
            attribution: BTreeMap::new(),
        });
        let asked = FunnelQuestion {
            funnel: FunnelRef::Definition(Box::new(definition)),
            range,
            filters: question.filters.clone(),
            breakdown,
            interval: question.interval,
            compare: None,
            include: Vec::new(),
            bins: None,
            as_of: question.as_of.clone(),
        };
        let answer = self.funnel(tenant, asked).await.map_err(at_by)?;
        let FunnelAnswer {
            groups,
            total,
            trend,
            meta,
            ..
        } = answer;
        let starts_from = starts_from(question.level, &id);
        let tell =
            |group, trend: Option<Vec<TrendBucket>>| success_rate(group, trend, &starts_from);
        Ok(SuccessRatesAnswer {
            level: question.level.subject().as_str().to_owned(),
            funnel: id.clone(),
            window,
            from: trend::text(span.from_us, span.timezone),
            to: trend::text(span.to_us, span.timezone),
            groups: groups.into_iter().map(|group| tell(group, None)).collect(),
            total: tell(total, Some(trend)),
            meta,
        })
    }

    fn range(&self, question: &SuccessRatesQuestion) -> Range {
        question.range.clone().unwrap_or_else(|| {
            let now_us = self.now_us();
            let text = |us| trend::text(us, chrono_tz::Tz::UTC);
            Range {
                from: text(now_us - DEFAULT_RANGE_US),
                to: text(now_us),
                timezone: question
                    .timezone
                    .clone()
                    .unwrap_or_else(|| "UTC".to_owned()),
            }
        })
    }
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

/// The breakdown is called `by` here.
pub(crate) fn at_by(error: Error) -> Error {
    match error {
        Error::Invalid {
            status,
            code,
            pointer,
            detail,
        } => {
            let pointer = match pointer.strip_prefix("/breakdown/") {
                Some(rest) => format!("/{rest}"),
                None => pointer,
            };
            Error::Invalid {
                status,
                code,
                pointer,
                detail,
            }
        }
        other => other,
    }
}

fn starts_from(level: Level, funnel: &str) -> String {
    let subjects = match level {
        Level::Journey => "journeys",
        Level::Company => "companies",
        Level::Attempt => "attempts",
    };
    let did = if funnel == "linking_from_choice" {
        "chose a provider"
    } else {
        "opened the flow"
    };
    format!("{subjects} that {did}")
}

fn success_rate(group: Group, trend: Option<Vec<TrendBucket>>, starts_from: &str) -> SuccessRate {
    SuccessRate {
        key: group.key,
        starts_from: starts_from.to_owned(),
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
