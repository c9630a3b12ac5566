//! A plan as a person reads it: what is needed, what the traffic can show, and the same in sentences.

use linkfunnel_model::LookMethod;
use linkfunnel_query::{ExperimentPlanAnswer, PlannedMethod, ShownAfter, SmallestEffect};

use crate::grid::{Grid, Row, fold};
use crate::out::Screen;
use crate::words;

/// What stands for a number that there is none of.
const NONE: &str = "–";

/// The whole text, ending in a line end.
pub(super) fn render(answer: &ExperimentPlanAnswer, screen: Screen) -> String {
    let mut out = screen.bold("Units needed");
    out.push('\n');
    needed(answer).draw(screen, &mut out);
    if let Some(grid) = shown(answer) {
        out.push('\n');
        out.push_str(&screen.bold("The smallest rise / fall that would be found, in points"));
        out.push('\n');
        grid.draw(screen, &mut out);
    }
    out.push('\n');
    for sentence in &answer.words {
        for line in fold(sentence, screen.width, ("", "")) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    let warnings = answer.meta.iter().flat_map(|meta| &meta.warnings);
    for warning in warnings {
        for line in fold(&warning.detail, screen.width, ("", "")) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

fn needed(answer: &ExperimentPlanAnswer) -> Grid {
    let variants = answer.query.variants.unwrap_or(1);
    let variant = if variants == 1 {
        "variant"
    } else {
        "each variant"
    };
    let head = ["control", variant, "all arms", "days"];
    let row = |method: &PlannedMethod| Row {
        label: way(&method.method),
        cells: vec![
            words::count(method.control.units).into(),
            words::count(method.variant.units).into(),
            words::count(method.total_units).into(),
            method.days.map_or(NONE.to_owned(), words::count).into(),
        ],
        ..Row::default()
    };
    Grid {
        head: head.map(str::to_owned).to_vec(),
        rows: answer.methods.iter().map(row).collect(),
    }
}

/// By duration what each way of looking finds; none without traffic.
fn shown(answer: &ExperimentPlanAnswer) -> Option<Grid> {
    let first = answer.methods.first()?;
    if first.after.is_empty() {
        return None;
    }
    let mut head = vec!["units".to_owned()];
    head.extend(answer.methods.iter().map(|method| short(&method.method)));
    let row = |(i, after): (usize, &ShownAfter)| {
        let mut cells = vec![words::count(after.units).into()];
        let found = answer.methods.iter().map(|method| &method.after[i]);
        cells.extend(found.map(|after| both(after).into()));
        Row {
            label: format!("after {}", length(after.days)),
            cells,
            ..Row::default()
        }
    };
    Some(Grid {
        head,
        rows: first.after.iter().enumerate().map(row).collect(),
    })
}

/// `+3.2 / −2.9`.
fn both(after: &ShownAfter) -> String {
    let one = |effect: &SmallestEffect| effect.absolute.map_or(NONE.to_owned(), points);
    format!("{} / {}", one(&after.up), one(&after.down))
}

/// A difference in points with its sign; finer where it is small, so that it never reads as none.
fn points(difference: f64) -> String {
    let size = difference.abs() * 100.0;
    let sign = if difference < 0.0 { '−' } else { '+' };
    match size {
        0.95.. => format!("{sign}{size:.1}"),
        0.095.. => format!("{sign}{size:.2}"),
        _ => format!("{sign}{size:.4}"),
    }
}

fn way(method: &LookMethod) -> String {
    match method {
        LookMethod::Fixed => "looked at once, at the end".to_owned(),
        LookMethod::Sequential { looks } => format!("at {looks} planned looks"),
        LookMethod::Continuous { .. } => "at any time".to_owned(),
    }
}

fn short(method: &LookMethod) -> String {
    match method {
        LookMethod::Fixed => "once".to_owned(),
        LookMethod::Sequential { looks } => format!("{looks} looks"),
        LookMethod::Continuous { .. } => "any time".to_owned(),
    }
}

fn length(days: u32) -> String {
    match (days / 7, days % 7) {
        (weeks, 0) => words::counted(u64::from(weeks), "week"),
        _ => words::counted(u64::from(days), "day"),
    }
}

#[cfg(test)]
mod tests {
    use linkfunnel_query::{ExperimentPlanQuestion, plan_at_rate};

    use super::*;

    const NARROW: Screen = Screen {
        width: 80,
        colour: false,
        terminal: false,
    };

    fn text(question: &str) -> String {
        let question: ExperimentPlanQuestion = serde_json::from_str(question).unwrap();
        render(&plan_at_rate(question).unwrap(), NARROW)
    }

    #[test]
    fn a_plan_is_two_tables_and_some_sentences_in_80_columns() {
        let shown = text(
            r#"{"baseline":{"rate":0.12},"effect":{"relative":0.1},"daily_units":43,"variants":3}"#,
        );
        let lines: Vec<&str> = shown.lines().collect();
        let wide: Vec<&&str> = lines
            .iter()
            .filter(|line| line.chars().count() > 80)
            .collect();
        assert!(wide.is_empty(), "{wide:#?}");
        assert_eq!(lines[0], "Units needed");
        assert!(
            lines[1].ends_with("each variant   all arms   days")
                || lines[1].contains("each variant"),
            "{shown}"
        );
        assert!(
            lines[2].starts_with("looked at once, at the end"),
            "{shown}"
        );
        assert!(lines[3].starts_with("at 5 planned looks"), "{shown}");
        assert!(lines[4].starts_with("at any time"), "{shown}");
        let week = lines
            .iter()
            .find(|line| line.starts_with("after 1 week "))
            .unwrap();
        assert!(week.contains("301") && week.contains(" / –"), "{week}");
        let last = lines
            .iter()
            .find(|line| line.starts_with("after 12 weeks"))
            .unwrap();
        assert!(last.contains("3 612") && last.contains(" / −"), "{last}");
    }

    #[test]
    fn without_traffic_there_are_no_days_and_no_second_table() {
        let shown =
            text(r#"{"baseline":{"rate":0.12},"effect":{"relative":0.1},"method":"fixed"}"#);
        let row = "looked at once, at the end    12 004    12 004     24 008      –";
        assert!(shown.contains(row), "{shown}");
        assert!(!shown.contains("smallest"), "{shown}");
    }

    #[test]
    fn a_small_difference_never_reads_as_none() {
        for (difference, text) in [(0.0321, "+3.2"), (-0.004, "−0.40"), (0.00012, "+0.0120")] {
            assert_eq!(points(difference), text);
        }
    }
}
