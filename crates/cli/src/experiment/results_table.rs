//! The results of an experiment as a person reads them: what follows, whether it can be trusted, then the numbers.

use linkfunnel_query::{
    AgeArm, AgeTold, ArmTold, Between, ComparisonTold, ExperimentAnswer, ExperimentChange,
    GuardrailTold, MetricTold, SegmentsTold,
};

use crate::grid::{Cell, Grid, Row, fold, tame};
use crate::out::Screen;
use crate::words;

/// What stands for a number that there is none of.
const NONE: &str = "–";
/// Longest name shown, in columns.
const MAX_NAME: usize = 28;
/// Days since exposure that have a line, besides the last.
const DAYS_SHOWN: [usize; 9] = [1, 2, 3, 7, 14, 30, 60, 90, 180];

/// The whole text, ending in a line end.
pub(super) fn render(answer: &ExperimentAnswer, screen: Screen) -> String {
    let mut out = String::new();
    let title = format!("{} · {}", tame(&answer.name, 60), tame(&answer.id, 60));
    out.push_str(&screen.bold(&title));
    out.push('\n');
    out.push_str(&screen.faint(&since(answer)));
    out.push('\n');
    for change in &answer.changes {
        paragraph(&changed(change), screen, &mut out);
    }
    out.push('\n');
    paragraph(&answer.verdict.sentence, screen, &mut out);
    let rule = format!(
        "Verdict: {} ({}).",
        answer.verdict.decision, answer.verdict.rule
    );
    paragraph(&rule, screen, &mut out);
    paragraph(&health(answer), screen, &mut out);
    for finding in &answer.health.findings {
        paragraph(&format!("! {}", finding.detail), screen, &mut out);
    }
    if answer.health.units_seen > 0 {
        let mut section = |name: &str, grid: Grid| {
            out.push('\n');
            out.push_str(&screen.bold(name));
            out.push('\n');
            grid.draw(screen, &mut out);
        };
        section("Over all exposed", rates(answer));
        section("Against the control", comparisons(answer));
        if !answer.guardrails.is_empty() {
            section("Guardrails", guardrails(&answer.guardrails));
        }
        for segments in &answer.segments {
            section(
                &format!("{} by {}", answer.primary[0].name, segments.field),
                by_segment(segments, answer),
            );
        }
        if let Some(ages) = by_age(answer) {
            let step = answer.time.as_ref().map_or("", |time| &time.step);
            let title = format!(
                "{} by the end of each day since exposure",
                tame(step, MAX_NAME)
            );
            section(&title, ages);
        }
        out.push('\n');
        for line in notes(answer) {
            paragraph(&line, screen, &mut out);
        }
    }
    for warning in &answer.meta.warnings {
        paragraph(&warning.detail, screen, &mut out);
    }
    out
}

fn paragraph(text: &str, screen: Screen, out: &mut String) {
    for line in fold(text, screen.width, ("", "  ")) {
        out.push_str(&line);
        out.push('\n');
    }
}

/// `each company from its first exposure since 2026-10-27 · complete up to 2026-11-26T20:00:53Z`.
fn since(answer: &ExperimentAnswer) -> String {
    let text = |name: &str| answer.definition[name].as_str().unwrap_or_default();
    let entry = match answer.entry.as_str() {
        "assigned" => "assignment",
        _ => "exposure",
    };
    let start = text("start");
    let start = start.split_once('.').map_or(start, |(seconds, _)| seconds);
    let complete = answer.meta.complete_until.as_deref().unwrap_or("nothing");
    let complete = complete
        .split_once('.')
        .map_or(complete, |(seconds, _)| seconds);
    format!(
        "each {} from its first {entry} since {start} · complete up to {complete}",
        text("unit")
    )
}

/// `! Changed after the start: end (version 2 of 2026-11-26T20:00:53Z, by ann)`.
fn changed(change: &ExperimentChange) -> String {
    let when = change
        .saved_at
        .split_once('.')
        .map_or(change.saved_at.as_str(), |(seconds, _)| seconds);
    let (version, by) = (change.version, tame(&change.saved_by, MAX_NAME));
    let what = match (&change.funnel, version) {
        (None, _) if change.deleted => "Deleted after the start".to_owned(),
        (Some(funnel), _) if change.deleted => {
            format!("Its funnel {funnel} was deleted after the start")
        }
        (None, 1) => "Defined after the start".to_owned(),
        (None, _) => format!("Changed after the start: {}", change.fields.join(", ")),
        (Some(funnel), _) => format!(
            "Its funnel {funnel} was changed after the start: {}",
            change.fields.join(", ")
        ),
    };
    format!("! {what} (version {version} of {when}, by {by})")
}

/// `Health: ok · split 50.1 : 49.9 (p 0.62) · 3 in two variants`.
fn health(answer: &ExperimentAnswer) -> String {
    let health = &answer.health;
    let all: u64 = answer.variants.iter().map(|variant| variant.units).sum();
    let shares: Vec<String> = answer
        .variants
        .iter()
        .map(|variant| words::share(variant.units, all))
        .collect();
    let split = match health.sample_ratio.p {
        Some(p) => format!("split {} (p {})", shares.join(" : "), p_value(p)),
        None => "nothing to split".to_owned(),
    };
    let two = words::count(health.in_two_variants);
    format!(
        "Health: {} · {split} · {two} in two variants",
        health.status
    )
}

/// Units, then each step of the funnel, a column a variant.
fn rates(answer: &ExperimentAnswer) -> Grid {
    let count = |label: &str, of: fn(&linkfunnel_query::VariantTold) -> Option<u64>| Row {
        label: label.to_owned(),
        cells: answer
            .variants
            .iter()
            .map(|variant| of(variant).map_or(NONE.to_owned(), words::count).into())
            .collect(),
        ..Row::default()
    };
    let mut rows = vec![count("units exposed", |variant| Some(variant.units))];
    if answer.variants.iter().any(|variant| variant.open > 0) {
        rows.push(count("  window over", |variant| Some(variant.matured)));
    }
    if answer
        .variants
        .iter()
        .any(|variant| variant.subjects.is_some())
    {
        rows.push(count("  their subjects, window over", |variant| {
            variant.matured_subjects
        }));
    }
    for step in &answer.steps {
        rows.push(Row {
            label: match step.optional {
                true => format!("{} (optional)", tame(&step.name, MAX_NAME)),
                false => tame(&step.name, MAX_NAME),
            },
            cells: step.arms.iter().map(|arm| value(arm, "rate")).collect(),
            ..Row::default()
        });
    }
    Grid {
        head: answer
            .variants
            .iter()
            .map(|variant| tame(&variant.name, MAX_NAME))
            .collect(),
        rows,
    }
}

/// Each primary metric of each variant beside the control.
fn comparisons(answer: &ExperimentAnswer) -> Grid {
    let is_continuous = answer.method.name == "continuous";
    let is_corrected = answer.method.family > 1 && answer.method.correction != "none";
    let mut head = vec![
        "difference",
        "interval",
        "lift",
        if is_corrected { "p corrected" } else { "p" },
    ];
    if answer
        .primary
        .iter()
        .any(|metric| metric.measures == "rate")
    {
        head.push("chance to win");
    }
    let mut rows = Vec::new();
    for metric in &answer.primary {
        for one in &metric.comparisons {
            let p = match (is_continuous, is_corrected) {
                (true, true) => one.anytime.p_corrected,
                (true, false) => one.anytime.p,
                (false, true) => one.p_corrected,
                (false, false) => one.p,
            };
            let ends = match is_continuous {
                true => (one.anytime.low, one.anytime.high),
                false => (one.difference.low, one.difference.high),
            };
            let lift = one
                .lift
                .value
                .map_or(NONE.to_owned(), |lift| format!("{} %", words::points(lift)));
            let win = one.chance_to_win.map_or(NONE.to_owned(), words::percent);
            rows.push(Row {
                label: label(metric, one, answer.variants.len() > 2),
                cells: vec![
                    by(one.difference.value, metric).into(),
                    interval(ends, metric).into(),
                    lift.into(),
                    p.map_or(NONE.to_owned(), p_value).into(),
                    win.into(),
                ],
                note: one
                    .code
                    .as_ref()
                    .map(|code| format!("no comparison: {}", code.replace('_', " "))),
                ..Row::default()
            });
        }
    }
    for row in &mut rows {
        row.cells.truncate(head.len());
    }
    Grid {
        head: head.into_iter().map(str::to_owned).collect(),
        rows,
    }
}

fn label(metric: &MetricTold, one: &ComparisonTold, is_named: bool) -> String {
    let name = tame(&metric.name, MAX_NAME);
    match is_named {
        true => format!("{name}, {}", tame(&one.variant, MAX_NAME)),
        false => name,
    }
}

fn guardrails(guardrails: &[GuardrailTold]) -> Grid {
    let mut rows = Vec::new();
    for guardrail in guardrails {
        let share = |bound: Option<f64>| match (bound, guardrail.is_relative) {
            (None, _) => NONE.to_owned(),
            (Some(bound), true) => format!("{} %", words::points(bound - 1.0)),
            (Some(bound), false) => words::points(bound),
        };
        for verdict in &guardrail.verdicts {
            let name = tame(&guardrail.name, MAX_NAME);
            let label = match guardrail.verdicts.len() {
                1 => name,
                _ => format!("{name}, {}", tame(&verdict.variant, MAX_NAME)),
            };
            let sign = if guardrail.better == "higher" {
                -1.0
            } else {
                1.0
            };
            let unit = if guardrail.is_relative { " %" } else { "" };
            rows.push(Row {
                label,
                cells: vec![
                    match (verdict.low, verdict.high) {
                        (None, None) => NONE.into(),
                        (low, None) => format!("≥ {}", share(low)).into(),
                        (None, high) => format!("≤ {}", share(high)).into(),
                        (low, high) => format!("{} to {}", share(low), share(high)).into(),
                    },
                    format!("{}{unit}", words::points(sign * guardrail.margin)).into(),
                    verdict.verdict.clone().into(),
                ],
                note: verdict
                    .code
                    .as_ref()
                    .map(|code| format!("cannot be told: {}", code.replace('_', " "))),
                ..Row::default()
            });
        }
    }
    Grid {
        head: ["change", "borne", "verdict"].map(str::to_owned).to_vec(),
        rows,
    }
}

fn by_segment(segments: &SegmentsTold, answer: &ExperimentAnswer) -> Grid {
    let (metric, is_continuous) = (&answer.primary[0], answer.method.name == "continuous");
    let mut rows = Vec::new();
    for segment in &segments.values {
        for one in &segment.comparisons {
            let of: u64 = segment.arms.iter().map(|arm| arm.of).sum();
            let name = tame(&segment.value, MAX_NAME);
            let label = match segment.comparisons.len() {
                1 => name,
                _ => format!("{name}, {}", tame(&one.variant, MAX_NAME)),
            };
            let (ends, p) = match is_continuous {
                true => ((one.anytime.low, one.anytime.high), one.anytime.p_corrected),
                false => ((one.difference.low, one.difference.high), one.p_corrected),
            };
            rows.push(Row {
                label,
                cells: vec![
                    words::count(of).into(),
                    by(one.difference.value, metric).into(),
                    interval(ends, metric).into(),
                    p.map_or(NONE.to_owned(), p_value).into(),
                ],
                ..Row::default()
            });
        }
    }
    Grid {
        head: ["of", "difference", "interval", "p corrected"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    }
}

/// The share of each variant some days after exposure, and its difference to the control's; `None` where there is but one day.
fn by_age(answer: &ExperimentAnswer) -> Option<Grid> {
    let days = &answer.by_day_since_exposure;
    if days.len() < 2 {
        return None;
    }
    let others = || answer.variants.iter().filter(|variant| !variant.is_control);
    let several = answer.variants.len() > 2;
    let names = answer.variants.iter().map(|variant| variant.name.as_str());
    let mut head: Vec<String> = names.map(|name| tame(name, MAX_NAME)).collect();
    head.extend(others().map(|variant| match several {
        true => format!("{}, difference", tame(&variant.name, MAX_NAME)),
        false => "difference".to_owned(),
    }));
    let is_shown = |day: usize| DAYS_SHOWN.contains(&day) || day == days.len();
    let row = |age: &AgeTold| {
        let share = |arm: &AgeArm| arm.value.map_or(NONE.to_owned(), words::percent);
        let points = |of: Option<f64>| of.map_or(NONE.to_owned(), words::points);
        let between = |one: &Between| match one.value {
            None => NONE.to_owned(),
            value => format!(
                "{} ({} to {})",
                points(value),
                points(one.low),
                points(one.high)
            ),
        };
        let shares = age.arms.iter().map(share);
        Row {
            label: format!("day {}", age.day),
            cells: shares
                .chain(age.differences.iter().map(between))
                .map(Cell::from)
                .collect(),
            ..Row::default()
        }
    };
    Some(Grid {
        head,
        rows: days
            .iter()
            .filter(|age| is_shown(age.day))
            .map(row)
            .collect(),
    })
}

/// What the tables do not say.
fn notes(answer: &ExperimentAnswer) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(time) = &answer.time {
        let median = |arm: &linkfunnel_query::TimeArm| {
            let median = arm.median_ms.map_or("not reached".to_owned(), duration);
            format!("{} {median}", tame(&arm.variant, MAX_NAME))
        };
        let medians: Vec<String> = time.arms.iter().map(median).collect();
        notes.push(format!(
            "Median time to {}: {}.",
            tame(&time.step, MAX_NAME),
            medians.join(", ")
        ));
    }
    for segments in &answer.segments {
        for stratified in segments.stratified.iter().filter(|one| one.simpson) {
            notes.push(format!(
                "! Compared value by value of {}, {} points the other way than over all ({} against {}): the variants have different mixes (Simpson's paradox).",
                segments.field,
                stratified.variant,
                words::points(stratified.stratified.value.unwrap_or_default()),
                words::points(stratified.crude.unwrap_or_default()),
            ));
        }
        for one in segments
            .heterogeneity
            .iter()
            .filter(|one| one.p.is_some_and(|p| p < 0.05))
        {
            let p = one.p.map_or(NONE.to_owned(), p_value);
            notes.push(format!(
                "The effect of {} differs by {} (p {p}).",
                one.variant, segments.field
            ));
        }
    }
    notes.extend(answer.reading.iter().cloned());
    notes
}

/// A metric in one variant.
fn value(arm: &ArmTold, measures: &str) -> Cell {
    match (arm.value, measures) {
        (None, _) => NONE.into(),
        (Some(value), "rate" | "rate_per_unit") => words::percent(value).into(),
        (Some(value), _) => format!("{value:.2}").into(),
    }
}

/// A difference in the metric's own unit: points, seconds, or what it is summed in.
fn by(value: Option<f64>, metric: &MetricTold) -> String {
    match (value, metric.measures.as_str()) {
        (None, _) => NONE.to_owned(),
        (Some(value), "rate" | "rate_per_unit") => words::points(value),
        (Some(value), "time") => {
            let sign = if value < 0.0 { "−" } else { "+" };
            format!("{sign}{}", duration(value.abs()))
        }
        (Some(value), _) => format!("{value:+.2}").replace('-', "−"),
    }
}

fn interval((low, high): (Option<f64>, Option<f64>), metric: &MetricTold) -> String {
    if low.is_none() && high.is_none() {
        return NONE.to_owned();
    }
    format!("{} to {}", by(low, metric), by(high, metric))
}

/// Two digits that count: `0.012`, `< 0.0001`.
fn p_value(p: f64) -> String {
    match p {
        0.0995.. => format!("{p:.2}"),
        0.00995.. => format!("{p:.3}"),
        0.0001.. => format!("{p:.4}"),
        _ => "< 0.0001".to_owned(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times inside a window, in ms"
)]
fn duration(ms: f64) -> String {
    words::duration_ms(ms as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_p_never_reads_as_none() {
        for (p, text) in [
            (1.0, "1.00"),
            (0.0123, "0.012"),
            (0.00123, "0.0012"),
            (1e-30, "< 0.0001"),
        ] {
            assert_eq!(p_value(p), text);
        }
    }
}
