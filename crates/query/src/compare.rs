//! The same definition over another range of the same view: how far the rates are apart, and why (semantics rule 22).
//!
//! Both sides have the same segments: those the answer shows; then, while the breakdown's limit allows, those that only the
//! range compared with has; `(other)` is everything else of either. So they partition both totals alike, and the parts of the
//! difference add up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use linkfunnel_model::{CheckedQuestion, FunnelQuestion};
use linkfunnel_stats::{Stratum, decompose, newcombe};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Matured, Rate, Warning, null};
use crate::numbers::{Numbers, Outcome};
use crate::plan::{OTHER, Plan};
use crate::report::{Ranked, Reporter, rank, rate};
use crate::trend;

/// The same definition over another range of the same view, beside the answer's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// Start of the range compared with, RFC 3339.
    pub from: String,
    /// Its end, RFC 3339, exclusive.
    pub to: String,
    /// Whether the window of everybody who entered in the range compared with is over.
    pub is_matured: bool,
    /// Whether that of everybody who entered in the question's own range is.
    pub own_is_matured: bool,
    /// All subjects.
    pub total: Compared,
    /// The groups of the answer in their order, then those that only the range compared with has, largest first, while the
    /// breakdown's limit allows; `(other)` is everything else of either range.
    pub groups: Vec<Compared>,
    /// What made the difference of the total's rates.
    pub decomposition: Decomposition,
}

/// One segment, or all, in the range compared with, and how far the answer's rate is from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Compared {
    /// Dimension → value; empty for the total.
    pub key: BTreeMap<String, String>,
    /// Subjects that entered in the range compared with.
    pub entered: u64,
    /// Those of them that converted.
    pub converted: u64,
    /// Those of them whose window is over.
    pub matured: Matured,
    /// Conversion over the matured (Wilson 95 %).
    pub rate: Rate,
    /// The answer's rate minus this one.
    pub difference: Difference,
    /// What this segment added to the decomposition; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<DecompositionPart>,
}

/// A difference of two rates, between −1 and 1, or null with the reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// The difference; null when either side has nobody whose window is over.
    pub value: Option<f64>,
    /// Lower end of the 95 % interval (Newcombe's hybrid score).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end of the 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Why `value` is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The difference of the total's matured rates, split (Kitagawa 1955): `mix` + `rate` = the difference. A segment with
/// nobody matured in one of the ranges has changed the mix only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decomposition {
    /// The part that comes from segments growing or shrinking.
    pub mix: Option<f64>,
    /// The part that comes from the rates inside the segments.
    pub rate: Option<f64>,
    /// Why both are null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A segment's share of a decomposition.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DecompositionPart {
    /// Because it grew or shrank: above 0 when a segment better than the rest grew, or a worse one shrank.
    pub mix: f64,
    /// Because its own rate changed.
    pub rate: f64,
}

/// The question about the range compared with: counts alone, the rest as asked.
pub(crate) fn other_question(
    question: &FunnelQuestion,
    checked: &CheckedQuestion,
) -> Option<(FunnelQuestion, CheckedQuestion)> {
    let span = checked.compare?;
    let other = CheckedQuestion {
        span,
        interval: None,
        compare: None,
        times: false,
        edges_us: None,
        reasons: false,
        ..checked.clone()
    };
    Some((question.clone(), other))
}

/// The answer's own side, and how the other was asked.
pub(crate) struct Sides<'a> {
    pub(crate) reporter: &'a Reporter<'a>,
    pub(crate) ranked: &'a Ranked,
    pub(crate) total: &'a Numbers,
    pub(crate) other_plan: &'a Plan,
}

/// The counts of one side of a segment.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    entered: u64,
    converted: u64,
    matured: Matured,
}

/// One segment on both sides.
struct Pair {
    key: BTreeMap<String, String>,
    own: Counts,
    other: Counts,
}

impl Sides<'_> {
    /// Compares with what came out of the other range. `limit`: most segments with a value.
    pub(crate) fn compare(&self, other: Outcome, limit: usize) -> Comparison {
        let zone = self.reporter.zone;
        let span = &self.other_plan.span;
        let total = Pair {
            key: BTreeMap::new(),
            own: Counts::of(self.total),
            other: Counts::of(&other.total),
        };
        let pairs = self.pairs(other.groups, limit);
        let (decomposition, parts) = self.decompose(&total, &pairs);
        let parts = parts.into_iter().map(Some).chain(std::iter::repeat(None));
        Comparison {
            from: trend::text(span.from_us, zone),
            to: trend::text(span.to_us, zone),
            is_matured: self.other_plan.is_over_before(self.other_plan.span.to_us),
            own_is_matured: self
                .reporter
                .plan
                .is_over_before(self.reporter.plan.span.to_us),
            total: total.compared(None),
            groups: pairs
                .into_iter()
                .zip(parts)
                .map(|(pair, part)| pair.compared(part))
                .collect(),
            decomposition,
        }
    }

    fn pairs(&self, mut groups: HashMap<Vec<Arc<str>>, Numbers>, limit: usize) -> Vec<Pair> {
        let pair = |key: &[Arc<str>], own, other| {
            let key = self.reporter.key(key);
            Pair { key, own, other }
        };
        let mut pairs = Vec::with_capacity(self.ranked.shown.len());
        for (key, numbers) in &self.ranked.shown {
            let other = groups.remove(key).map(|numbers| Counts::of(&numbers));
            pairs.push(pair(key, Counts::of(numbers), other.unwrap_or_default()));
        }
        let rest = rank(
            self.other_plan,
            groups,
            limit.saturating_sub(self.ranked.ranked),
        );
        for (key, numbers) in &rest.shown {
            pairs.push(pair(key, Counts::default(), Counts::of(numbers)));
        }
        let beyond = [&self.ranked.other, &rest.other].map(|side| side.as_ref().map(Counts::of));
        if let [Some(_), _] | [_, Some(_)] = beyond {
            let [own, other] = beyond.map(Option::unwrap_or_default);
            let key = vec![Arc::from(OTHER); self.reporter.plan.breakdown];
            pairs.push(pair(&key, own, other));
        }
        pairs
    }

    /// The parts of the total's difference, and each pair's share in them (none where there are no parts).
    fn decompose(&self, total: &Pair, pairs: &[Pair]) -> (Decomposition, Vec<DecompositionPart>) {
        let none = |code: &str| {
            let code = Some(code.to_owned());
            (
                Decomposition {
                    mix: None,
                    rate: None,
                    code,
                },
                Vec::new(),
            )
        };
        let plan = self.reporter.plan;
        if plan.breakdown == 0 {
            return none(null::NO_BREAKDOWN);
        }
        if plan.segments_overlap() {
            return none(null::SEGMENTS_OVERLAP);
        }
        if let Some(code) = total.own.lacks().or(total.other.lacks()) {
            return none(code);
        }
        let strata: Vec<Stratum> = pairs.iter().map(Pair::stratum).collect();
        let sum = |side: &dyn Fn(&Stratum) -> (u64, u64)| {
            strata
                .iter()
                .map(side)
                .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
        };
        assert!(
            sum(&|s| s.of) == total.own.rate_of() && sum(&|s| s.from) == total.other.rate_of(),
            "segments of one value a subject sum to the total"
        );
        let Some(parts) = decompose(&strata) else {
            return none(null::NOT_MATURED);
        };
        let parts = parts.iter().map(|part| DecompositionPart {
            mix: part.mix + 0.0,
            rate: part.rate + 0.0,
        });
        let parts: Vec<DecompositionPart> = parts.collect();
        let decomposition = Decomposition {
            mix: Some(parts.iter().map(|part| part.mix).sum()),
            rate: Some(parts.iter().map(|part| part.rate).sum()),
            code: None,
        };
        (decomposition, parts)
    }
}

impl Counts {
    fn of(numbers: &Numbers) -> Counts {
        let tally = &numbers.tally;
        Counts {
            entered: tally.entered,
            converted: tally.converted,
            matured: Matured {
                entered: tally.matured_entered,
                converted: tally.matured_converted,
            },
        }
    }

    /// Converted and entered, of the matured.
    fn rate_of(&self) -> (u64, u64) {
        (self.matured.converted, self.matured.entered)
    }

    /// Why there is no rate, if there is none.
    fn lacks(&self) -> Option<&'static str> {
        match (self.entered, self.matured.entered) {
            (0, _) => Some(null::NOBODY_ENTERED),
            (_, 0) => Some(null::NOT_MATURED),
            _ => None,
        }
    }
}

impl Pair {
    fn stratum(&self) -> Stratum {
        Stratum {
            of: self.own.rate_of(),
            from: self.other.rate_of(),
        }
    }

    fn compared(self, part: Option<DecompositionPart>) -> Compared {
        let Counts {
            entered,
            converted,
            matured,
        } = self.other;
        let code = self.other.lacks().unwrap_or(null::NOT_MATURED);
        Compared {
            difference: self.difference(),
            rate: rate(matured.converted, matured.entered, code),
            key: self.key,
            entered,
            converted,
            matured,
            part,
        }
    }

    fn difference(&self) -> Difference {
        let estimate = newcombe(self.own.rate_of(), self.other.rate_of());
        let code = self.own.lacks().or(self.other.lacks());
        Difference {
            value: estimate.map(|e| e.value),
            low: estimate.map(|e| e.interval.low),
            high: estimate.map(|e| e.interval.high),
            code: code.map(str::to_owned),
        }
    }
}

impl Comparison {
    /// Says so where windows of either side still run.
    pub(crate) fn warning(&self) -> Option<Warning> {
        let which = match (self.own_is_matured, self.is_matured) {
            (true, true) => return None,
            (false, true) => "this range",
            (true, false) => "the range compared with",
            (false, false) => "either range",
        };
        Some(Warning {
            code: "compare_not_matured".to_owned(),
            detail: format!(
                "not every window in {which} is over, so the difference is between those that entered early enough"
            ),
        })
    }
}
