//! Embedded in the own application, or a link sent by hand: which links more (requirement S0-03).

use std::collections::BTreeMap;

use linkfunnel_model::{Condition, Op, Range};
use linkfunnel_stats::newcombe;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Meta, SuccessRate, SuccessRatesAnswer, null};
use crate::compare::Difference;
use crate::engine::Engine;
use crate::error::Result;
use crate::question::{Level, SuccessRatesQuestion};

const SURFACE: &str = "surface";
/// Inside the application that the company uses anyway.
const EMBEDDED: [&str; 2] = ["embedded_sdk", "own_ui_api"];
/// A page of its own that a link leads to.
const PORTAL_LINK: [&str; 2] = ["portal_link", "hosted_page"];

/// Asks how surfaces compare.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SurfacesQuestion {
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
    /// Whether each rate is also told without failures of institution and provider.
    #[serde(default)]
    pub controllable: bool,
    /// The view to read; the current one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// How surfaces compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SurfacesAnswer {
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
    /// The rule behind `controllable`, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controllable_rule: Option<String>,
    /// Each surface, the one with most starts first; a subject stands under the surface it started on.
    pub surfaces: Vec<SuccessRate>,
    /// `embedded_sdk` and `own_ui_api` together.
    pub embedded: SuccessRate,
    /// `portal_link` and `hosted_page` together.
    pub portal_link: SuccessRate,
    /// Rate of `embedded` minus rate of `portal_link`, over the matured.
    pub difference: Difference,
    /// All surfaces.
    pub total: SuccessRate,
    /// Where this comes from.
    pub meta: Meta,
}

impl Engine {
    /// The success rate of each surface, and of embedding against sending a link.
    ///
    /// # Errors
    /// As [`Engine::success_rates`].
    pub async fn surfaces(
        &self,
        tenant: &str,
        question: SurfacesQuestion,
    ) -> Result<SurfacesAnswer> {
        let by_surface = SuccessRatesQuestion {
            by: vec![SURFACE.to_owned()],
            ..question.rates()
        };
        let all = self.success_rates(tenant, by_surface).await?;
        // The other two read the very view of the first, over the same instants.
        let fixed = SurfacesQuestion {
            as_of: Some(all.meta.snapshot.clone()),
            range: Some(Range {
                from: all.from.clone(),
                to: all.to.clone(),
                timezone: question.range.as_ref().map_or_else(
                    || question.timezone.clone().unwrap_or("UTC".into()),
                    |r| r.timezone.clone(),
                ),
            }),
            ..question
        };
        let embedded = self.side(tenant, &fixed, &EMBEDDED).await?;
        let portal_link = self.side(tenant, &fixed, &PORTAL_LINK).await?;
        let SuccessRatesAnswer {
            level,
            funnel,
            window,
            from,
            to,
            controllable_rule,
            groups,
            total,
            meta,
        } = all;
        Ok(SurfacesAnswer {
            level,
            funnel,
            window,
            from,
            to,
            controllable_rule,
            surfaces: groups,
            difference: difference(&embedded, &portal_link),
            embedded,
            portal_link,
            total,
            meta,
        })
    }

    async fn side(
        &self,
        tenant: &str,
        question: &SurfacesQuestion,
        surfaces: &[&str],
    ) -> Result<SuccessRate> {
        let mut rates = question.rates();
        rates.filters.push(Condition {
            field: SURFACE.to_owned(),
            op: Op::In,
            value: surfaces.to_vec().into(),
        });
        let answer = self.success_rates(tenant, rates).await?;
        Ok(SuccessRate {
            key: BTreeMap::from([(SURFACE.to_owned(), surfaces.join(", "))]),
            ..answer.total
        })
    }
}

impl SurfacesQuestion {
    fn rates(&self) -> SuccessRatesQuestion {
        SuccessRatesQuestion {
            level: self.level,
            range: self.range.clone(),
            timezone: self.timezone.clone(),
            funnel: self.funnel.clone(),
            filters: self.filters.clone(),
            controllable: self.controllable,
            as_of: self.as_of.clone(),
            ..SuccessRatesQuestion::default()
        }
    }
}

fn difference(first: &SuccessRate, second: &SuccessRate) -> Difference {
    let counts = |rate: &SuccessRate| (rate.matured.converted, rate.matured.entered);
    let estimate = newcombe(counts(first), counts(second));
    Difference {
        value: estimate.map(|e| e.value),
        low: estimate.map(|e| e.interval.low),
        high: estimate.map(|e| e.interval.high),
        code: estimate.is_none().then(|| null::NOT_MATURED.to_owned()),
    }
}
