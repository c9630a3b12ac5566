//! Why subjects dropped: in a line under each step, or in full.

use std::collections::BTreeMap;

use linkfunnel_query::{FunnelAnswer, Group, ReasonCount, StepAnswer};

use super::segments::segment;
use super::{MAX_NAME, UNKNOWN, paragraph};
use crate::grid::{Cell, Grid, Row, tame};
use crate::out::Screen;
use crate::words;

/// Reasons named in the line under a step; the rest is `other`.
const NAMED: usize = 3;
/// Longest reason shown in full, in columns.
const MAX_REASON: usize = 56;
/// Classes whose codes say little without them: `platform not found`, `payment expired`.
const SPOKEN_CLASSES: [&str; 4] = ["platform", "data", "payment", "technical"];

/// A line for each step at which somebody dropped: `1 604 dropped after Opened: exited 58 % · …`.
pub(super) fn short(total: &Group) -> Vec<String> {
    let dropped = total.steps.iter().filter(|step| step.dropped > 0);
    let line = |step: &StepAnswer| {
        let name = tame(&step.name, MAX_NAME);
        with_shares(
            &format!("{} dropped after {name}", words::count(step.dropped)),
            step,
        )
    };
    dropped.map(line).collect()
}

/// `dropped 1 604: exited 58 % · platform not found 23 % · other 19 %`; nothing where nobody dropped.
pub(super) fn of_step(step: &StepAnswer) -> Option<String> {
    let dropped = format!("dropped {}", words::count(step.dropped));
    (step.dropped > 0).then(|| with_shares(&dropped, step))
}

fn with_shares(dropped: &str, step: &StepAnswer) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for reason in &step.reasons {
        *counts.entry(in_words(reason)).or_default() += reason.count;
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    if counts.len() > NAMED + 1 {
        let other = counts.split_off(NAMED).iter().map(|(_, count)| count).sum();
        counts.push(("other".to_owned(), other));
    }
    let share = |(reason, count): &(String, u64)| {
        format!("{reason} {}", words::share(*count, step.dropped))
    };
    let shares: Vec<String> = counts.iter().map(share).collect();
    if shares.is_empty() {
        dropped.to_owned()
    } else {
        format!("{dropped}: {}", shares.join(" · "))
    }
}

/// A reason as people say it.
fn in_words(reason: &ReasonCount) -> String {
    if reason.class == "unknown" && reason.code == "timed_out" {
        return "never came back".to_owned();
    }
    let code = reason.code.strip_prefix("attempt.").unwrap_or(&reason.code);
    let code = code.replace(['_', '.'], " ");
    let said = if SPOKEN_CLASSES.contains(&reason.class.as_str()) {
        format!("{} {code}", reason.class)
    } else {
        code
    };
    tame(&said, MAX_NAME)
}

/// Every reason of every step, a column a segment while they fit.
pub(super) fn in_full(answer: &FunnelAnswer, screen: Screen) -> String {
    let total = &answer.total;
    let mut out = String::new();
    for (i, step) in total
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.dropped > 0)
    {
        if !out.is_empty() {
            out.push('\n');
        }
        let name = tame(&step.name, MAX_NAME);
        let heading = format!("Why {} dropped after {name}", words::count(step.dropped));
        out.push_str(&screen.bold(&heading));
        out.push('\n');
        let mut groups: Vec<&Group> = answer.groups.iter().collect();
        let grid = loop {
            let grid = step_grid(step, i, &groups, Details::Shown, screen);
            if grid.width() <= screen.width {
                break grid;
            }
            if groups.pop().is_none() {
                break step_grid(step, i, &[], Details::LeftOut, screen);
            }
        };
        grid.draw(screen, &mut out);
        if groups.len() < answer.groups.len() {
            let more = words::counted((answer.groups.len() - groups.len()) as u64, "segment");
            let more = format!("{more} more than fit here: --why --csv has all.");
            paragraph(&more, screen, &mut out);
        }
    }
    if out.is_empty() {
        out.push_str("Nobody dropped, so there are no reasons.\n");
    }
    out
}

/// Whether it is shown to whom a reason is put down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Details {
    Shown,
    LeftOut,
}

fn step_grid(
    step: &StepAnswer,
    index: usize,
    groups: &[&Group],
    details: Details,
    screen: Screen,
) -> Grid {
    let mut head = vec!["all".to_owned(), "share".to_owned()];
    head.extend(groups.iter().map(|group| segment(group)));
    if details == Details::Shown {
        head.extend(["put down to".to_owned(), "another try".to_owned()]);
    }
    let longest = MAX_REASON.min(screen.width / 2);
    let rows = step.reasons.iter().map(|reason| {
        let mut cells: Vec<Cell> = vec![
            words::count(reason.count).into(),
            words::share(reason.count, step.dropped).into(),
        ];
        let of_group = |group: &&Group| {
            let reasons = group.steps.get(index).map_or(&[][..], |step| &step.reasons);
            let counts = reasons.iter().filter(|other| same(other, reason));
            Cell::from(words::count(counts.map(|r| r.count).sum()))
        };
        cells.extend(groups.iter().map(of_group));
        if details == Details::Shown {
            cells.extend(put_down(reason));
        }
        let name = format!("{}.{}", reason.class, reason.code);
        Row {
            label: format!("  {}", tame(&name, longest)),
            cells,
            ..Row::default()
        }
    });
    let rows = rows.collect();
    Grid { head, rows }
}

/// To whom a reason is put down, and whether another try could have helped.
fn put_down(reason: &ReasonCount) -> [Cell; 2] {
    let attribution = reason.attribution.as_deref().unwrap_or(UNKNOWN);
    let again = match reason.recoverable {
        Some(true) => "could help",
        Some(false) => "no use",
        None => UNKNOWN,
    };
    [
        tame(&attribution.replace('_', " "), MAX_NAME).into(),
        again.into(),
    ]
}

fn same(a: &ReasonCount, b: &ReasonCount) -> bool {
    (&a.class, &a.code, &a.attribution, a.recoverable)
        == (&b.class, &b.code, &b.attribution, b.recoverable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_said_in_words() {
        let cases = [
            ("unknown", "timed_out", "never came back"),
            ("unknown", "attempt.exited", "exited"),
            ("unknown", "consent.denied", "consent denied"),
            ("platform", "not_found", "platform not found"),
            ("user_choice", "cancelled", "cancelled"),
            ("permission", "missing_admin", "missing admin"),
            ("trust", "a\u{1b}[2J", "a·[2J"),
        ];
        for (class, code, expected) in cases {
            let reason = ReasonCount {
                class: class.into(),
                code: code.into(),
                attribution: None,
                recoverable: None,
                count: 1,
            };
            assert_eq!(in_words(&reason), expected);
        }
    }
}
