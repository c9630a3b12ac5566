//! A funnel's answer as CSV: one line a segment and step, interval, segment compared or reason; every number unrounded.
//!
//! Safe to open in a spreadsheet: a text that would be read as a formula gets a leading apostrophe, as over HTTP.

use std::collections::BTreeMap;

use linkfunnel_query::{Comparison, FunnelAnswer, Group, Rate};

use crate::failure::{Failure, Result};

/// What a spreadsheet would take for the start of a formula; some take full-width forms for the ASCII ones.
const FORMULA_STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sheet {
    /// A step of a segment.
    Steps,
    /// An interval of a segment's trend.
    Intervals,
    /// A segment beside itself in another range.
    Comparison,
    /// A reason at a step of a segment.
    Reasons,
}

/// The answer as CSV with a header line.
pub(crate) fn csv(answer: &FunnelAnswer, sheet: Sheet) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let dimensions = dimensions(answer);
    match (sheet, &answer.compare) {
        (Sheet::Steps, _) => steps(answer, &dimensions, &mut writer)?,
        (Sheet::Intervals, _) => intervals(answer, &dimensions, &mut writer)?,
        (Sheet::Reasons, _) => reasons(answer, &dimensions, &mut writer)?,
        (Sheet::Comparison, Some(other)) => compared(answer, other, &dimensions, &mut writer)?,
        (Sheet::Comparison, None) => {
            return Err(Failure::new("the answer holds no comparison".to_owned())
                .mend("the server may be older than this program"));
        }
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
    writer.write_record(header(dimensions, &columns))?;
    for group in groups(answer) {
        for step in &group.steps {
            let mut line = keys(&group.key, dimensions);
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
    writer.write_record(header(dimensions, &columns))?;
    for group in groups(answer) {
        let trend = if group.key.is_empty() {
            &answer.trend
        } else {
            &group.trend
        };
        for bucket in trend {
            let mut line = keys(&group.key, dimensions);
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

fn compared(
    answer: &FunnelAnswer,
    other: &Comparison,
    dimensions: &[&str],
    writer: &mut csv::Writer<Vec<u8>>,
) -> Result<()> {
    let columns = [
        "entered",
        "converted",
        "matured_entered",
        "matured_converted",
        "rate",
        "before_entered",
        "before_converted",
        "before_matured_entered",
        "before_matured_converted",
        "before_rate",
        "difference",
        "low",
        "high",
        "mix_part",
        "rate_part",
    ];
    writer.write_record(header(dimensions, &columns))?;
    for side in std::iter::once(&other.total).chain(&other.groups) {
        // A segment that only the other range has nobody in this one.
        let own = groups(answer).find(|group| group.key == side.key);
        let count = |of: &dyn Fn(&Group) -> u64| own.map_or(0, of).to_string();
        let mut line = keys(&side.key, dimensions);
        line.extend([
            count(&|g| g.entered),
            count(&|g| g.converted),
            count(&|g| g.matured.entered),
            count(&|g| g.matured.converted),
            number(own.and_then(|g| g.rate.value)),
            side.entered.to_string(),
            side.converted.to_string(),
            side.matured.entered.to_string(),
            side.matured.converted.to_string(),
            number(side.rate.value),
        ]);
        let difference = &side.difference;
        line.extend([difference.value, difference.low, difference.high].map(number));
        let (mix, rate) = if side.key.is_empty() {
            (other.decomposition.mix, other.decomposition.rate)
        } else {
            (side.part.map(|p| p.mix), side.part.map(|p| p.rate))
        };
        line.extend([mix, rate].map(number));
        writer.write_record(line)?;
    }
    Ok(())
}

fn reasons(
    answer: &FunnelAnswer,
    dimensions: &[&str],
    writer: &mut csv::Writer<Vec<u8>>,
) -> Result<()> {
    let columns = [
        "step",
        "class",
        "code",
        "attribution",
        "recoverable",
        "dropped",
    ];
    writer.write_record(header(dimensions, &columns))?;
    for group in groups(answer) {
        for step in &group.steps {
            for reason in &step.reasons {
                let mut line = keys(&group.key, dimensions);
                line.extend([
                    guard(&step.name),
                    guard(&reason.class),
                    guard(&reason.code),
                    reason.attribution.as_deref().map_or(String::new(), guard),
                    reason
                        .recoverable
                        .map_or(String::new(), |yes| yes.to_string()),
                    reason.count.to_string(),
                ]);
                writer.write_record(line)?;
            }
        }
    }
    Ok(())
}

fn groups(answer: &FunnelAnswer) -> impl Iterator<Item = &Group> {
    std::iter::once(&answer.total).chain(&answer.groups)
}

/// The names of the dimensions; of the answer's groups or, where nobody entered, of those it is compared with.
fn dimensions(answer: &FunnelAnswer) -> Vec<&str> {
    let other = answer.compare.as_ref().and_then(|c| c.groups.first());
    let key = answer.groups.first().map(|group| &group.key);
    let key = key.or(other.map(|side| &side.key));
    key.map_or(Vec::new(), |key| key.keys().map(String::as_str).collect())
}

fn header(dimensions: &[&str], columns: &[&str]) -> Vec<String> {
    let columns = columns.iter().map(|name| (*name).to_owned());
    dimensions
        .iter()
        .map(|name| guard(name))
        .chain(columns)
        .collect()
}

/// The segment's values; the total's are empty.
fn keys(key: &BTreeMap<String, String>, dimensions: &[&str]) -> Vec<String> {
    let value = |name: &&str| key.get(*name).map_or(String::new(), |v| guard(v));
    dimensions.iter().map(value).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_look_like_formulas_are_defused_wherever_they_start() {
        for start in FORMULA_STARTS {
            assert_eq!(guard(&format!("{start}cmd()")), format!("'{start}cmd()"));
        }
        assert_eq!(guard("xero=1"), "xero=1");
    }
}
