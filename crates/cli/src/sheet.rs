//! A funnel's answer as CSV: one line a segment and step (and a line an interval with `--trend`), every number unrounded.

use linkfunnel_query::{FunnelAnswer, Group, Rate};

use crate::failure::Result;

/// What a spreadsheet would take for the start of a formula.
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The answer as CSV with a header line.
pub(crate) fn csv(answer: &FunnelAnswer) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let dimensions = dimensions(answer);
    if answer.trend.is_empty() {
        steps(answer, &dimensions, &mut writer)?;
    } else {
        intervals(answer, &dimensions, &mut writer)?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn steps(
    answer: &FunnelAnswer,
    dimensions: &[&str],
    writer: &mut csv::Writer<Vec<u8>>,
) -> Result<()> {
    let columns = [
        "step",
        "optional",
        "reached",
        "dropped",
        "open",
        "matured_reached",
        "rate_from_entry",
        "low",
        "high",
        "rate_from_previous",
        "median_ms_from_entry",
    ];
    writer.write_record(dimensions.iter().copied().chain(columns))?;
    for group in groups(answer) {
        for step in &group.steps {
            let mut line = keys(group, dimensions);
            line.extend([
                guard(&step.name),
                step.optional.to_string(),
                step.reached.to_string(),
                step.dropped.to_string(),
                step.open.to_string(),
                step.matured_reached.to_string(),
            ]);
            line.extend(rate(&step.rate_from_entry));
            line.push(number(step.rate_from_previous.value));
            line.push(number(step.time_from_entry_ms.p50));
            writer.write_record(line)?;
        }
    }
    Ok(())
}

fn intervals(
    answer: &FunnelAnswer,
    dimensions: &[&str],
    writer: &mut csv::Writer<Vec<u8>>,
) -> Result<()> {
    let columns = [
        "start",
        "end",
        "entered",
        "converted",
        "dropped",
        "open",
        "matured_entered",
        "matured_converted",
        "rate",
        "low",
        "high",
        "rate_so_far",
        "is_matured",
        "partial",
    ];
    writer.write_record(dimensions.iter().copied().chain(columns))?;
    for group in groups(answer) {
        let trend = if group.key.is_empty() {
            &answer.trend
        } else {
            &group.trend
        };
        for bucket in trend {
            let mut line = keys(group, dimensions);
            line.extend([bucket.start.clone(), bucket.end.clone()]);
            let counts = [
                bucket.entered,
                bucket.converted,
                bucket.dropped,
                bucket.open,
                bucket.matured.entered,
                bucket.matured.converted,
            ];
            line.extend(counts.map(|n| n.to_string()));
            line.extend(rate(&bucket.rate));
            line.push(number(bucket.rate_so_far.value));
            line.extend([bucket.is_matured.to_string(), bucket.partial.to_string()]);
            writer.write_record(line)?;
        }
    }
    Ok(())
}

fn groups(answer: &FunnelAnswer) -> impl Iterator<Item = &Group> {
    std::iter::once(&answer.total).chain(&answer.groups)
}

fn dimensions(answer: &FunnelAnswer) -> Vec<&str> {
    answer.groups.first().map_or(Vec::new(), |group| {
        group.key.keys().map(String::as_str).collect()
    })
}

/// The segment's values; the total's are empty.
fn keys(group: &Group, dimensions: &[&str]) -> Vec<String> {
    dimensions
        .iter()
        .map(|name| group.key.get(*name).map_or(String::new(), |v| guard(v)))
        .collect()
}

fn rate(rate: &Rate) -> [String; 3] {
    [rate.value, rate.low, rate.high].map(number)
}

fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn guard(text: &str) -> String {
    if text.starts_with(FORMULA_STARTS) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}
