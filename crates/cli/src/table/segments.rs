//! A funnel's numbers by segment: columns while they fit, with intervals while those fit, else lines.

use std::collections::BTreeMap;

use linkfunnel_query::{FunnelAnswer, Group, OutcomeCount, Rate, StepAnswer};

use super::compare::Change;
use super::{Asked, MAX_NAME, UNKNOWN, reasons};
use crate::grid::{Cell, Grid, Row, tame};
use crate::out::Screen;
use crate::words;

/// Longest name of a step over a column.
const MAX_HEAD: usize = 16;

/// Whose headline rate is shown with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intervals {
    Everybody,
    Total,
}

/// Which steps are shown besides the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steps {
    All,
    Required,
    None,
    /// None, and neither bars nor times.
    Bare,
}

/// The table in the best form that fits.
pub(super) fn by_segment(
    answer: &FunnelAnswer,
    asked: &Asked,
    rates: bool,
    screen: Screen,
) -> String {
    let groups: Vec<&Group> = std::iter::once(&answer.total)
        .chain(&answer.groups)
        .collect();
    let change = answer.compare.as_ref().map(|c| Change::new(c, asked));
    let columns = |intervals| as_columns(&groups, asked, rates, intervals, change.as_ref());
    let lines = |steps| as_lines(&groups, rates, steps, change.as_ref());
    let forms: [&dyn Fn() -> Grid; 5] = [
        &|| columns(Intervals::Everybody),
        &|| columns(Intervals::Total),
        &|| lines(Steps::All),
        &|| lines(Steps::Required),
        &|| lines(Steps::None),
    ];
    let fitting = forms
        .iter()
        .map(|form| form())
        .find(|grid| grid.width() <= screen.width);
    let narrowest = || {
        if groups.len() == 1 {
            columns(Intervals::Total)
        } else {
            lines(Steps::Bare)
        }
    };
    let grid = fitting.unwrap_or_else(narrowest);
    let mut out = String::new();
    grid.draw(screen, &mut out);
    if grid.rows.iter().all(|row| row.note.is_none()) {
        for line in reasons::short(&answer.total) {
            super::paragraph(&line, screen, &mut out);
        }
    }
    out
}

/// A column a segment, a line a step.
fn as_columns(
    groups: &[&Group],
    asked: &Asked,
    rates: bool,
    intervals: Intervals,
    change: Option<&Change<'_>>,
) -> Grid {
    let total = groups[0];
    let with_interval = |g: &Group| intervals == Intervals::Everybody || g.key.is_empty();
    let line = |label: String, cell: &dyn Fn(&Group) -> Cell| Row {
        label,
        cells: groups.iter().map(|group| cell(group)).collect(),
        ..Row::default()
    };
    let mut rows = vec![line("entered".into(), &|g| words::count(g.entered).into())];
    for (i, step) in total.steps.iter().enumerate() {
        let last = i + 1 == total.steps.len();
        let cell = |g: &Group| {
            let interval = last && with_interval(g);
            g.steps
                .get(i)
                .map_or(UNKNOWN.into(), |s| step_cell(s, rates, interval))
        };
        let so_far = share(step.reached + step.bypassed, total.entered);
        let bar = if rates {
            step.rate_from_entry.value
        } else {
            so_far
        };
        rows.push(Row {
            bar,
            unseen: unseen(step, total, rates),
            bold: last,
            note: reasons::of_step(step),
            ..line(step_name(step, MAX_NAME), &cell)
        });
    }
    if let Some(change) = change {
        let cell = |g: &Group| change.cell(g, with_interval(g));
        rows.push(line(format!("against {}", change.range), &cell));
    }
    for (i, outcome) in total
        .outcomes
        .iter()
        .enumerate()
        .filter(|(_, o)| o.count > 0)
    {
        // Outcomes are of all that entered, windows over or not.
        let label = format!("{}, so far", lower(&tame(&outcome.name, MAX_NAME)));
        let cell = |g: &Group| {
            g.outcomes
                .get(i)
                .map_or(UNKNOWN.into(), |o| outcome_cell(o, g, rates))
        };
        rows.push(line(label, &cell));
    }
    rows.push(line("still open".into(), &|g| words::count(g.open).into()));
    rows.push(line(median_label(total, asked), &|g| median(g).into()));
    let head = groups.iter().map(|group| segment(group)).collect();
    Grid { head, rows }
}

/// A line a segment, a column a step.
fn as_lines(groups: &[&Group], rates: bool, shown: Steps, change: Option<&Change<'_>>) -> Grid {
    let count = groups[0].steps.len();
    let is_shown = |(i, step): &(usize, &StepAnswer)| match shown {
        _ if *i == 0 => false,
        _ if i + 1 == count => true,
        Steps::All => true,
        Steps::Required => !step.optional,
        Steps::None | Steps::Bare => false,
    };
    let mut head = vec!["entered".to_owned()];
    let steps = groups[0].steps.iter().enumerate().filter(is_shown);
    head.extend(steps.map(|(_, step)| step_name(step, MAX_HEAD)));
    head.extend(change.map(|_| "change".to_owned()));
    head.push("open".into());
    head.extend((shown != Steps::Bare).then(|| "median time".to_owned()));
    let rows = groups.iter().enumerate().map(|(i, group)| {
        let mut cells = vec![Cell::from(words::count(group.entered))];
        for (i, step) in group.steps.iter().enumerate().filter(is_shown) {
            cells.push(step_cell(step, rates, i + 1 == count));
        }
        cells.extend(change.map(|change| change.cell(group, i == 0)));
        cells.push(words::count(group.open).into());
        cells.extend((shown != Steps::Bare).then(|| Cell::from(median(group))));
        let so_far = share(group.converted, group.entered);
        let bar = if rates { group.rate.value } else { so_far };
        Row {
            label: segment(group),
            bar: bar.filter(|_| shown != Steps::Bare),
            cells,
            bold: i == 0,
            ..Row::default()
        }
    });
    let rows = rows.collect();
    Grid { head, rows }
}

fn step_name(step: &StepAnswer, max: usize) -> String {
    let name = tame(&step.name, max);
    if step.optional {
        format!("({name})")
    } else {
        name
    }
}

fn step_cell(step: &StepAnswer, rates: bool, interval: bool) -> Cell {
    if rates {
        rate_cell(&step.rate_from_entry, interval)
    } else {
        words::count(step.reached + step.bypassed).into()
    }
}

/// The share that got past a step unseen, of those that its bar shows.
fn unseen(step: &StepAnswer, total: &Group, rates: bool) -> f64 {
    if step.bypassed == 0 {
        return 0.0;
    }
    let unseen = match rates {
        true => {
            let seen = share(step.matured_reached, total.matured.entered);
            step.rate_from_entry
                .value
                .zip(seen)
                .map(|(all, seen)| all - seen)
        }
        false => share(step.bypassed, total.entered),
    };
    unseen.unwrap_or(0.0)
}

fn outcome_cell(outcome: &OutcomeCount, group: &Group, rates: bool) -> Cell {
    match share(outcome.count, group.entered) {
        Some(share) if rates => words::percent(share).into(),
        _ => words::count(outcome.count).into(),
    }
}

/// A rate with, if wanted, half the width of its interval; both ends where the two halves differ by a point or more.
pub(super) fn rate_cell(rate: &Rate, interval: bool) -> Cell {
    let Some(value) = rate.value else {
        return UNKNOWN.into();
    };
    let after = match (rate.low, rate.high) {
        (Some(low), Some(high)) if interval => {
            let (below, above) = ((value - low) * 100.0, (high - value) * 100.0);
            if (below - above).abs() < 1.0 {
                format!(" ±{:.1}", f64::midpoint(below, above))
            } else {
                format!(" {:.0}–{:.0}", low * 100.0, high * 100.0)
            }
        }
        _ => String::new(),
    };
    Cell {
        main: words::percent(value),
        after,
    }
}

/// The segment's values; `all` for the total.
pub(super) fn segment(group: &Group) -> String {
    segment_name(&group.key)
}

/// As [`segment`], of a key.
pub(super) fn segment_name(key: &BTreeMap<String, String>) -> String {
    if key.is_empty() {
        return "all".into();
    }
    let values: Vec<String> = key.values().map(|value| tame(value, MAX_NAME)).collect();
    values.join(" · ")
}

fn median_label(total: &Group, asked: &Asked) -> String {
    match total.steps.last() {
        Some(step) if step.name == "Linked" => "median time to link".into(),
        Some(step) => format!("median time to {}", lower(&tame(&step.name, MAX_NAME))),
        None => format!("median time of a {}", asked.subject),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ms, never negative"
)]
fn median(group: &Group) -> String {
    let p50 = group
        .steps
        .last()
        .and_then(|step| step.time_from_entry_ms.p50);
    p50.map_or_else(
        || UNKNOWN.into(),
        |ms| words::duration_ms(ms.round() as u64),
    )
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// A step's name inside a sentence: `linked` for Linked, but IBAN check stays.
fn lower(name: &str) -> String {
    let is_word = name.chars().nth(1).is_some_and(char::is_lowercase);
    if !is_word {
        return name.to_owned();
    }
    let mut letters = name.chars();
    let first: String = letters
        .next()
        .map_or(String::new(), |c| c.to_lowercase().collect());
    first + letters.as_str()
}
