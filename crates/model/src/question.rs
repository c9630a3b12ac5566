//! A question about a funnel: which funnel, which time, which subjects, broken down by what.

use std::collections::BTreeMap;

use chrono::{DateTime, LocalResult, NaiveDate, TimeZone};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::bins::check_edges;
use crate::builtin;
use crate::compare::Compare;
use crate::condition::{Condition, FieldRef, Mistake, check_conditions, limit};
use crate::fields::Moment;
use crate::funnel::FunnelDefinition;

/// Most dimensions of a breakdown.
pub const MAX_DIMENSIONS: usize = 4;
/// Most segments before `(other)`.
pub const MAX_SEGMENTS: usize = 10_000;
/// Segments shown unless a question says otherwise.
pub const DEFAULT_SEGMENTS: usize = 20;
/// Most buckets of a trend.
pub const MAX_BUCKETS: usize = 10_000;

/// A question about a funnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FunnelQuestion {
    /// A definition, or the id of a built-in or saved one.
    pub funnel: FunnelRef,
    /// When entries begin.
    pub range: Range,
    /// Which subjects: all conditions hold, each on the value that a breakdown would show the
    /// subject under.
    #[serde(default)]
    pub filters: Vec<Condition>,
    /// By what the answer is broken down.
    #[serde(default)]
    pub breakdown: Option<Breakdown>,
    /// Length of a trend's buckets; no trend without it.
    #[serde(default)]
    pub interval: Option<Interval>,
    /// With which other range the answer is compared: `previous_period`, `previous_year` or one given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<Compare>,
    /// More to answer.
    #[serde(default)]
    pub include: Vec<Include>,
    /// Where the histogram of times to convert is cut, in ms, rising, inside the window; automatic when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!([60_000, 300_000, 3_600_000]))]
    pub bins: Option<Vec<u64>>,
    /// The `meta.snapshot` of an earlier answer: asks of the same view again.
    #[serde(default)]
    pub as_of: Option<String>,
}

impl FunnelQuestion {
    /// How many get through, of all that enter in the range, in the current view.
    pub fn of(funnel: FunnelRef, range: Range) -> FunnelQuestion {
        FunnelQuestion {
            funnel,
            range,
            filters: Vec::new(),
            breakdown: None,
            interval: None,
            compare: None,
            include: Vec::new(),
            bins: None,
            as_of: None,
        }
    }
}

/// A definition or the id of one.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, ToSchema)]
#[serde(untagged)]
pub enum FunnelRef {
    /// The id of a built-in funnel, such as `linking`, or of a saved one.
    Id(String),
    /// A definition.
    Definition(Box<FunnelDefinition>),
}

impl<'de> Deserialize<'de> for FunnelRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = FunnelRef;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a funnel's id or its definition")
            }
            fn visit_str<E>(self, id: &str) -> Result<FunnelRef, E> {
                Ok(FunnelRef::Id(id.to_owned()))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<FunnelRef, A::Error> {
                let definition = serde::de::value::MapAccessDeserializer::new(map);
                FunnelDefinition::deserialize(definition)
                    .map(|d| FunnelRef::Definition(Box::new(d)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A half-open range of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// First instant: a date (midnight in `timezone`) or an RFC 3339 instant.
    pub from: String,
    /// First instant after: a date or an instant.
    pub to: String,
    /// IANA name of the zone that dates and buckets are in.
    #[serde(default = "utc")]
    pub timezone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A breakdown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Breakdown {
    /// Fields or `attrs.NAME`.
    pub by: Vec<String>,
    /// Most segments; the rest is `(other)`.
    #[serde(default = "default_segments")]
    pub limit: usize,
    /// By dimension, as `by` names it: which of its values a subject stands under, where that is not
    /// the value at the dimension's natural moment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, String>, example = json!({"category": "last"}))]
    pub attribution: BTreeMap<String, Attribution>,
}

/// Which value of a dimension a subject stands under (semantics rule 17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribution {
    /// `entry`: the one at the clock's first event.
    Entry,
    /// `first`: the first defined one inside the window.
    First,
    /// `last`: the last defined one inside the window.
    Last,
    /// `step:N`: the one at the event that took step N (an index, from 0; numbered from 1 on the wire).
    Step(usize),
    /// `each`: each one chosen inside the window is a segment of its own.
    Each,
}

impl Attribution {
    fn parse(text: &str) -> Option<Attribution> {
        Some(match text {
            "entry" => Attribution::Entry,
            "first" => Attribution::First,
            "last" => Attribution::Last,
            "each" => Attribution::Each,
            _ => Attribution::Step(
                text.strip_prefix("step:")?
                    .parse::<usize>()
                    .ok()?
                    .checked_sub(1)?,
            ),
        })
    }
}

impl From<Moment> for Attribution {
    fn from(moment: Moment) -> Attribution {
        match moment {
            Moment::Entry => Attribution::Entry,
            Moment::FirstInWindow => Attribution::First,
            Moment::Chosen => Attribution::Each,
        }
    }
}

impl std::fmt::Display for Attribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Attribution::Entry => f.write_str("entry"),
            Attribution::First => f.write_str("first"),
            Attribution::Last => f.write_str("last"),
            Attribution::Each => f.write_str("each"),
            Attribution::Step(step) => write!(f, "step:{}", step + 1),
        }
    }
}

impl Serialize for Attribution {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Attribution {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Attribution::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{text:?} is none of entry, first, last, each, step:1, step:2, …"
            ))
        })
    }
}

fn default_segments() -> usize {
    DEFAULT_SEGMENTS
}

/// Length of a bucket, in the zone of the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant is its length")]
pub enum Interval {
    Hour,
    Day,
    /// ISO weeks, from Monday.
    Week,
    Month,
}

/// More to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Include {
    /// Percentiles of the time to each step.
    TimeToConvert,
    /// Why the dropped stopped, by step.
    Reasons,
}

/// A checked range: µs since the epoch, half-open, and the zone of its dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First µs.
    pub from_us: i64,
    /// First µs after.
    pub to_us: i64,
    /// Zone of dates and buckets.
    pub timezone: Tz,
}

/// A question that has passed every check that needs no data.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedQuestion {
    /// The funnel.
    pub funnel: FunnelDefinition,
    /// Its id, for built-in ones.
    pub funnel_id: Option<String>,
    /// When entries begin.
    pub span: Span,
    /// Which subjects.
    pub filters: Vec<Condition>,
    /// Dimensions with which of its values each subject stands under.
    pub dimensions: Vec<(FieldRef, Attribution)>,
    /// Most segments.
    pub segments: usize,
    /// Trend buckets.
    pub interval: Option<Interval>,
    /// The range compared with.
    pub compare: Option<Span>,
    /// Whether times are asked for.
    pub times: bool,
    /// Edges of the histogram of times, µs, where they were given.
    pub edges_us: Option<Vec<u64>>,
    /// Whether reasons are asked for.
    pub reasons: bool,
    /// The view asked of.
    pub as_of: Option<String>,
}

impl Range {
    /// Checks and resolves the range. `at`: its JSON pointer.
    ///
    /// # Errors
    /// `unknown_timezone`, `bad_time`, `empty_range`.
    pub fn check(&self, at: &str) -> Result<Span, Mistake> {
        let timezone: Tz = self.timezone.parse().map_err(|_| {
            let detail = format!("{:?} is no IANA zone such as Europe/Paris", self.timezone);
            Mistake::new("unknown_timezone", format!("{at}/timezone"), detail)
        })?;
        let from_us = moment_us(&self.from, timezone, &format!("{at}/from"))?;
        let to_us = moment_us(&self.to, timezone, &format!("{at}/to"))?;
        if from_us >= to_us {
            let detail = format!(
                "the range is empty: from {} is not before to {}",
                self.from, self.to
            );
            return Err(Mistake::new("empty_range", format!("{at}/from"), detail));
        }
        Ok(Span {
            from_us,
            to_us,
            timezone,
        })
    }
}

/// A date (its midnight in `timezone`, or the first instant of the day where there is none) or an
/// RFC 3339 instant, in µs since the epoch.
pub(crate) fn moment_us(text: &str, timezone: Tz, at: &str) -> Result<i64, Mistake> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant.timestamp_micros());
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| {
        let detail = format!("{text:?} is neither a date such as 2026-09-01 nor an instant such as 2026-09-01T00:00:00Z");
        Mistake::new("bad_time", at, detail)
    })?;
    day_start_us(date, timezone).ok_or_else(|| {
        Mistake::new(
            "bad_time",
            at,
            format!("{text} does not exist in {timezone}"),
        )
    })
}

/// The first instant of a day in a zone, in µs since the epoch; `None` beyond the calendar.
pub fn day_start_us(date: NaiveDate, timezone: Tz) -> Option<i64> {
    let midnight = date.and_hms_opt(0, 0, 0)?;
    // Where clocks jump over midnight the day begins later; no zone jumps more than a day.
    (0..=24 * 4).find_map(|quarters| {
        let local = midnight + chrono::TimeDelta::minutes(15 * quarters);
        match timezone.from_local_datetime(&local) {
            LocalResult::Single(instant) => Some(instant.timestamp_micros()),
            LocalResult::Ambiguous(first, _) => Some(first.timestamp_micros()),
            LocalResult::None => None,
        }
    })
}

impl FunnelRef {
    /// The definition meant, and its id if it is a built-in one. `at`: JSON pointer.
    ///
    /// # Errors
    /// `unknown_funnel`, or the first mistake in the definition.
    pub fn resolve(&self, at: &str) -> Result<(FunnelDefinition, Option<String>), Mistake> {
        match self {
            FunnelRef::Definition(definition) => {
                definition.check(at)?;
                Ok((definition.as_ref().clone(), None))
            }
            FunnelRef::Id(id) => match builtin::find(id) {
                Some(found) => Ok((found.definition, Some(found.id))),
                None => {
                    let known: Vec<String> = builtin::all().into_iter().map(|f| f.id).collect();
                    let detail =
                        format!("no funnel is called {id:?}; there are {}", known.join(", "));
                    Err(Mistake::new("unknown_funnel", at, detail))
                }
            },
        }
    }
}

/// Checks breakdown dimensions. `at`: JSON pointer of the list.
///
/// # Errors
/// `limit_exceeded`, `unknown_field`, `not_a_dimension`, `duplicate_field`.
pub fn check_dimensions(by: &[String], at: &str) -> Result<Vec<(FieldRef, Attribution)>, Mistake> {
    limit(by.len(), MAX_DIMENSIONS, "dimensions", at)?;
    let mut dimensions: Vec<(FieldRef, Attribution)> = Vec::with_capacity(by.len());
    for (i, name) in by.iter().enumerate() {
        let pointer = format!("{at}/{i}");
        let field = FieldRef::parse(name, &pointer)?;
        let moment = match &field {
            FieldRef::Attr(_) | FieldRef::Experiment(_) => Moment::Entry,
            FieldRef::Field(field) => field.moment().ok_or_else(|| {
                let detail = format!(
                    "{} has a value of its own for nearly every event; it cannot be broken down by",
                    field.path()
                );
                Mistake::new("not_a_dimension", pointer.as_str(), detail)
            })?,
        };
        if dimensions.iter().any(|(other, _)| *other == field) {
            return Err(Mistake::new(
                "duplicate_field",
                pointer,
                format!("{name} stands twice"),
            ));
        }
        dimensions.push((field, moment.into()));
    }
    Ok(dimensions)
}

/// Puts the attributions asked for in the place of the natural ones.
fn attribute(
    breakdown: &Breakdown,
    steps: usize,
    dimensions: &mut [(FieldRef, Attribution)],
) -> Result<(), Mistake> {
    for (name, attribution) in &breakdown.attribution {
        let pointer = format!("/breakdown/attribution/{name}");
        let Some(place) = breakdown.by.iter().position(|by| by == name) else {
            let detail = format!(
                "{name} is not broken down by; `by` has {}",
                breakdown.by.join(", ")
            );
            return Err(Mistake::new("not_a_dimension", pointer, detail));
        };
        if let Attribution::Step(step) = attribution
            && *step >= steps
        {
            let detail = format!("there is no step {}; the funnel has {steps}", step + 1);
            return Err(Mistake::new("unknown_step", pointer, detail));
        }
        dimensions[place].1 = *attribution;
    }
    Ok(())
}

impl FunnelQuestion {
    /// Checks everything that can be checked without data and fills the defaults in.
    ///
    /// # Errors
    /// The first [`Mistake`], with its JSON pointer.
    pub fn check(&self) -> Result<CheckedQuestion, Mistake> {
        let (funnel, funnel_id) = self.funnel.resolve("/funnel")?;
        let span = self.range.check("/range")?;
        check_conditions(&self.filters, "/filters")?;
        let (dimensions, segments) = match &self.breakdown {
            None => (Vec::new(), DEFAULT_SEGMENTS),
            Some(breakdown) => {
                if breakdown.limit == 0 {
                    let detail = "a breakdown shows one segment at least";
                    return Err(Mistake::new("out_of_range", "/breakdown/limit", detail));
                }
                limit(
                    breakdown.limit,
                    MAX_SEGMENTS,
                    "segments",
                    "/breakdown/limit",
                )?;
                let mut dimensions = check_dimensions(&breakdown.by, "/breakdown/by")?;
                attribute(breakdown, funnel.steps.len(), &mut dimensions)?;
                (dimensions, breakdown.limit)
            }
        };
        let compare = self.compare.as_ref();
        let compare = compare.map(|c| c.span(&span, "/compare")).transpose()?;
        let times = self.include.contains(&Include::TimeToConvert);
        let edges = self.bins.as_ref();
        let edges_us = edges.map(|edges| check_edges(edges, times, funnel.window, "/bins"));
        let edges_us = edges_us.transpose()?;
        Ok(CheckedQuestion {
            funnel,
            funnel_id,
            span,
            filters: self.filters.clone(),
            dimensions,
            segments,
            interval: self.interval,
            compare,
            times,
            edges_us,
            reasons: self.include.contains(&Include::Reasons),
            as_of: self.as_of.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(json: &str) -> FunnelQuestion {
        serde_json::from_str(json).unwrap()
    }

    fn mistake(json: &str) -> (&'static str, String) {
        let mistake = question(json).check().unwrap_err();
        (mistake.code, mistake.pointer)
    }

    const RANGE: &str =
        r#""range":{"from":"2026-09-01","to":"2026-10-01","timezone":"Europe/Paris"}"#;

    #[test]
    fn dates_are_midnights_in_the_zone() {
        let checked = question(&format!(r#"{{"funnel":"linking",{RANGE}}}"#))
            .check()
            .unwrap();
        assert_eq!(checked.span.from_us, 1_788_213_600_000_000); // 2026-08-31T22:00:00Z
        assert_eq!(checked.funnel_id.as_deref(), Some("linking"));
    }

    #[test]
    fn a_day_whose_midnight_does_not_exist_begins_later() {
        let zone: Tz = "America/Sao_Paulo".parse().unwrap();
        let day = NaiveDate::from_ymd_opt(2018, 11, 4).unwrap();
        assert_eq!(day_start_us(day, zone), Some(1_541_300_400_000_000)); // 03:00Z = 01:00 local
    }

    #[test]
    fn mistakes_carry_code_and_pointer() {
        let steps = |steps: &str| {
            format!(
                r#"{{"funnel":{{"steps":[{steps}],"window":"PT1H","subject":"journey"}},{RANGE}}}"#
            )
        };
        let a = r#"{"name":"A","event":"journey.started"}"#;
        let many = (0..65)
            .map(|i| format!(r#"{{"name":"S{i}","event":"journey.started"}}"#))
            .collect::<Vec<_>>()
            .join(",");
        for (json, code, pointer) in [
            (steps(a), "too_few_steps", "/funnel/steps"),
            (steps(&many), "limit_exceeded", "/funnel/steps"),
            (steps(&format!(r#"{a},{{"name":"B","event":"journey.begun"}}"#)), "unknown_event", "/funnel/steps/1/event"),
            (steps(&format!(r#"{a},{{"name":"B"}}"#)), "missing_event", "/funnel/steps/1"),
            (steps(&format!(r#"{a},{{"name":"A","event":"journey.started"}}"#)), "duplicate_name", "/funnel/steps/1/name"),
            (steps(&format!(r#"{a},{{"name":"B","event":"journey.started","optional":true}}"#)), "optional_end", "/funnel/steps/1/optional"),
            (steps(&format!(r#"{a},{{"name":"B","event":"journey.started","where":[{{"field":"surfase","op":"eq","value":"x"}}]}}"#)), "unknown_field", "/funnel/steps/1/where/0/field"),
            (steps(&format!(r#"{a},{{"name":"B","event":"journey.started","where":[{{"field":"surface","op":"in","value":"x"}}]}}"#)), "wrong_type", "/funnel/steps/1/where/0/value"),
            (steps(&format!(r#"{a},{{"name":"B","event":"journey.started","where":[{{"field":"category","op":"in","value":["banking","acounting"]}}]}}"#)), "unknown_value", "/funnel/steps/1/where/0/value/1"),
            (steps(&format!(r#"{a},{{"name":"B","event":"journey.started","where":[{{"field":"step.index","op":"prefix","value":"1"}}]}}"#)), "wrong_type", "/funnel/steps/1/where/0/value"),
            (format!(r#"{{"funnel":"lnking",{RANGE}}}"#), "unknown_funnel", "/funnel"),
            (r#"{"funnel":"linking","range":{"from":"2026-10-01","to":"2026-09-01"}}"#.into(), "empty_range", "/range/from"),
            (r#"{"funnel":"linking","range":{"from":"yesterday","to":"2026-09-01"}}"#.into(), "bad_time", "/range/from"),
            (r#"{"funnel":"linking","range":{"from":"2026-08-01","to":"2026-09-01","timezone":"Paris"}}"#.into(), "unknown_timezone", "/range/timezone"),
            (format!(r#"{{"funnel":"linking",{RANGE},"breakdown":{{"by":["event_id"]}}}}"#), "not_a_dimension", "/breakdown/by/0"),
            (format!(r#"{{"funnel":"linking",{RANGE},"breakdown":{{"by":["categry"]}}}}"#), "unknown_field", "/breakdown/by/0"),
            (format!(r#"{{"funnel":"linking",{RANGE},"compare":{{"from":"2026-09-30","to":"2026-10-02"}}}}"#), "ranges_overlap", "/compare"),
            (format!(r#"{{"funnel":"linking",{RANGE},"bins":[1000]}}"#), "needs_time_to_convert", "/bins"),
            (format!(r#"{{"funnel":"linking",{RANGE},"bins":[90000000],"include":["time_to_convert"]}}"#), "out_of_range", "/bins/0"),
        ] {
            assert_eq!(mistake(&json), (code, pointer.to_owned()), "{json}");
        }
    }
}
