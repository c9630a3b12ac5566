//! How far the rates are from those of another range: an arrow and points, and a line that says where they come from.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike};
use linkfunnel_query::{Compared, Comparison, Difference, FunnelAnswer, Group};

use super::segments::segment_name;
use super::{Asked, UNKNOWN};
use crate::grid::Cell;
use crate::words;

/// The changes by segment.
pub(super) struct Change<'a> {
    /// The range compared with, in words.
    pub(super) range: String,
    by_key: BTreeMap<&'a BTreeMap<String, String>, &'a Difference>,
}

impl<'a> Change<'a> {
    pub(super) fn new(comparison: &'a Comparison, asked: &Asked) -> Self {
        let sides = comparison.groups.iter().chain([&comparison.total]);
        Change {
            range: range(comparison, asked),
            by_key: sides.map(|side| (&side.key, &side.difference)).collect(),
        }
    }

    /// `▲ +2.1 ±1.0`, in points; without the interval where there is no room for it.
    pub(super) fn cell(&self, group: &Group, interval: bool) -> Cell {
        let difference = self.by_key.get(&group.key);
        difference.map_or(UNKNOWN.into(), |difference| cell(difference, interval))
    }
}

fn cell(difference: &Difference, interval: bool) -> Cell {
    let Difference {
        value: Some(value),
        low: Some(low),
        high: Some(high),
        ..
    } = difference
    else {
        return UNKNOWN.into();
    };
    let main = format!("{} {}", arrow(*low, *high), words::points(*value));
    if !interval {
        return main.into();
    }
    let (below, above) = ((value - low) * 100.0, (high - value) * 100.0);
    let after = if (below - above).abs() < 1.0 {
        format!(" ±{:.1}", f64::midpoint(below, above))
    } else {
        format!(" ({} to {})", words::points(*low), words::points(*high))
    };
    Cell { main, after }
}

/// Up or down where the whole interval says so, else `≈`.
fn arrow(low: f64, high: f64) -> &'static str {
    if low > 0.0 {
        "▲"
    } else if high < 0.0 {
        "▼"
    } else {
        "≈"
    }
}

/// What the comparison says, a sentence each.
pub(super) fn lines(answer: &FunnelAnswer, comparison: &Comparison, asked: &Asked) -> Vec<String> {
    let range = range(comparison, asked);
    let mut lines = vec![headline(&comparison.total, &range)];
    lines.extend(split(answer, comparison));
    let gone = comparison
        .groups
        .iter()
        .filter(|side| side.entered > 0 && answer.groups.iter().all(|group| group.key != side.key));
    let gone: Vec<String> = gone
        .map(|side| {
            format!(
                "{} ({})",
                segment_name(&side.key),
                words::count(side.entered)
            )
        })
        .collect();
    if !gone.is_empty() {
        lines.push(format!("Entered only then: {}.", gone.join(" · ")));
    }
    lines
}

fn headline(total: &Compared, range: &str) -> String {
    let entered = words::count(total.entered);
    let Some(before) = total.rate.value else {
        return match total.entered {
            0 => format!(
                "Against {range}: nobody entered then, so there is nothing to compare with."
            ),
            _ => format!(
                "Against {range} ({entered} entered): no window is over yet, so there is no rate to compare with."
            ),
        };
    };
    let before = format!(
        "Against {range} ({} of {} whose window is over)",
        words::percent(before),
        words::count(total.matured.entered)
    );
    let Difference {
        value: Some(value),
        low: Some(low),
        high: Some(high),
        ..
    } = &total.difference
    else {
        return format!("{before}: there is no rate yet to compare with it.");
    };
    let arrow = arrow(*low, *high);
    let unclear = if arrow == "≈" {
        ", which chance alone can make"
    } else {
        ""
    };
    format!(
        "{before}: {arrow} {} points, 95 % interval {} to {}{unclear}.",
        words::points(*value),
        words::points(*low),
        words::points(*high)
    )
}

fn split(answer: &FunnelAnswer, comparison: &Comparison) -> Option<String> {
    let split = &comparison.decomposition;
    match (split.mix, split.rate, split.code.as_deref()) {
        (Some(mix), Some(rate), _) => {
            let dimensions: Vec<&str> = answer
                .groups
                .first()?
                .key
                .keys()
                .map(String::as_str)
                .collect();
            Some(format!(
                "Of this, {} points come from the mix of {} and {} from the rates inside.",
                words::points(mix),
                dimensions.join(" and "),
                words::points(rate)
            ))
        }
        (_, _, Some("segments_overlap")) => Some(
            "Segments overlap, so the difference cannot be split into mix and rates.".to_owned(),
        ),
        _ => None,
    }
}

/// The range compared with: its days, with the year where it is another; or how long before, where the days are the same.
fn range(comparison: &Comparison, asked: &Asked) -> String {
    let us = |text: &str| {
        DateTime::parse_from_rfc3339(text)
            .map(|t| t.timestamp_micros())
            .ok()
    };
    let (Some(from), Some(to)) = (us(&comparison.from), us(&comparison.to)) else {
        return format!("{} to {}", comparison.from, comparison.to);
    };
    let days = words::days(from, to, asked.zone);
    let Some((own_from, own_to)) = asked.range_us else {
        return days;
    };
    let year =
        |us| DateTime::from_timestamp_micros(us).map(|t| t.with_timezone(&asked.zone).year());
    match year(from) {
        _ if days == words::days(own_from, own_to, asked.zone) && year(from) == year(own_from) => {
            format!("the {} before", words::window_us(to - from))
        }
        Some(its) if Some(its) != year(own_from) && !days.contains(&its.to_string()) => {
            format!("{days} {its}")
        }
        _ => days,
    }
}
