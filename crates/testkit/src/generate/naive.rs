//! What one subject did in a funnel, found the plain way (semantics 6, 7, 9, 12, 14): no event of these funnels satisfies
//! two steps and there are no gaps, so taking the earliest event for each required step in turn is exact.
//! Written for the eye, not for speed, and without the `funnel` crate, whose answers it judges.

/// A step, in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NaiveStep {
    pub(crate) name: &'static str,
    pub(crate) optional: bool,
}

const fn required(name: &'static str) -> NaiveStep {
    NaiveStep {
        name,
        optional: false,
    }
}

const fn optional(name: &'static str) -> NaiveStep {
    NaiveStep {
        name,
        optional: true,
    }
}

/// F1 of domain.md.
pub(crate) const LINKING: &[NaiveStep] = &[
    required("Opened"),
    required("Chose provider"),
    optional("Consented"),
    required("Handed off"),
    optional("Strong authentication"),
    required("Linked"),
];

/// The outcomes of F1.
pub(crate) const LINKING_OUTCOMES: &[&str] = &[
    "Uploaded a file",
    "Typed it in",
    "Skipped",
    "Paused or handed on",
];

/// F2 of domain.md, as built in: optional steps stand between required ones.
pub(crate) const FIRST_LINK: &[NaiveStep] = &[
    required("Landed"),
    required("Signed up"),
    optional("Prompted"),
    required("Clicked"),
    required("Started a journey"),
    required("Linked"),
    optional("Prefilled"),
    required("First sync"),
];

/// The outcome of F2.
pub(crate) const FIRST_LINK_OUTCOMES: &[&str] = &["Uploaded a file"];

/// One event of a subject, as the funnel sees it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Row {
    pub(crate) at_us: i64,
    pub(crate) step: Option<u8>,
    pub(crate) outcome: Option<u8>,
    pub(crate) integration: Option<u8>,
}

/// What became of a subject once its window is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) clock_us: i64,
    /// Bit i: step i reached.
    pub(crate) reached: u8,
    pub(crate) converted: bool,
    pub(crate) outcome: Option<u8>,
}

/// When the clock of a subject starts: its first event that satisfies step 1.
pub(crate) fn clock(rows: &[Row]) -> Option<i64> {
    rows.iter()
        .filter(|row| row.step == Some(0))
        .map(|row| row.at_us)
        .min()
}

/// What a subject reached, counted from `clock_us`, using only the rows that are kept.
pub(crate) fn tell(
    steps: &[NaiveStep],
    window_us: i64,
    clock_us: i64,
    rows: &[Row],
    keep: impl Fn(&Row) -> bool,
) -> Told {
    let end_us = clock_us.saturating_add(window_us);
    let inside = |row: &&Row| keep(row) && row.at_us >= clock_us && row.at_us <= end_us;
    let first = |step: usize, from_us: i64| {
        rows.iter()
            .filter(inside)
            .filter(|row| row.step.map(usize::from) == Some(step) && row.at_us >= from_us)
            .map(|row| row.at_us)
            .min()
    };
    let mut times = vec![None; steps.len()];
    let mut so_far = Some(clock_us);
    for (index, step) in steps.iter().enumerate() {
        if !step.optional {
            so_far = match (index, so_far) {
                (0, clock) => clock,
                (_, Some(from_us)) => first(index, from_us),
                (_, None) => None,
            };
            times[index] = so_far;
        }
    }
    // An optional step lies between its required neighbours, or after the last one reached when the chain ends before it.
    for (index, step) in steps.iter().enumerate() {
        if step.optional {
            let before = (0..index).rev().find(|at| !steps[*at].optional);
            let after = (index + 1..steps.len()).find(|at| !steps[*at].optional);
            let from_us = before.and_then(|at| times[at]);
            let to_us = after.and_then(|at| times[at]).unwrap_or(end_us);
            times[index] = from_us
                .and_then(|from_us| first(index, from_us))
                .filter(|at_us| *at_us <= to_us);
        }
    }
    let last_required = steps.iter().rposition(|step| !step.optional);
    let converted = last_required.is_some_and(|last| times[last].is_some());
    let outcome = rows
        .iter()
        .filter(inside)
        .filter_map(|row| row.outcome)
        .min();
    Told {
        clock_us,
        reached: times
            .iter()
            .enumerate()
            .filter(|(_, time)| time.is_some())
            .fold(0, |bits, (index, _)| bits | 1 << index),
        converted,
        outcome: outcome.filter(|_| !converted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::dice::{DAY, Dice};

    fn rows(text: &str) -> Vec<Row> {
        // "0@1 3@5 u@7": step 0 at 1, step 3 at 5, outcome 0 at 7.
        text.split_whitespace()
            .map(|part| {
                let (what, at) = part.split_once('@').unwrap();
                Row {
                    at_us: at.parse().unwrap(),
                    step: what.parse().ok(),
                    outcome: (what == "u").then_some(0),
                    integration: None,
                }
            })
            .collect()
    }

    fn reached(text: &str, window_us: i64) -> Vec<usize> {
        let rows = rows(text);
        let told = tell(LINKING, window_us, clock(&rows).unwrap(), &rows, |_| true);
        (0..LINKING.len())
            .filter(|step| told.reached & (1 << step) != 0)
            .collect()
    }

    #[test]
    fn a_funnel_is_walked_in_order() {
        for (text, expected) in [
            ("0@1 1@2 3@3 5@4", vec![0, 1, 3, 5]),
            ("0@1 1@2 2@2 3@3 4@3 5@4", vec![0, 1, 2, 3, 4, 5]),
            ("0@1 3@2 1@3 5@4", vec![0, 1]),
            ("5@0 0@1 1@2 3@3", vec![0, 1, 3]),
            ("0@1 0@2 1@2 3@2 5@2", vec![0, 1, 3, 5]),
            ("0@1 2@2 1@3 3@4", vec![0, 1, 3]),
            ("0@1 1@2 3@3 2@4", vec![0, 1, 3]),
            ("0@1 1@2 2@4", vec![0, 1, 2]),
            ("0@1 1@2 3@3 4@5", vec![0, 1, 3, 4]),
        ] {
            assert_eq!(reached(text, 100), expected, "{text}");
        }
    }

    #[test]
    fn the_end_of_the_window_is_inside_and_one_microsecond_later_is_not() {
        assert_eq!(reached("0@0 1@1 3@2 5@100", 100), [0, 1, 3, 5]);
        assert_eq!(reached("0@0 1@1 3@2 5@101", 100), [0, 1, 3]);
    }

    #[test]
    fn the_clock_is_the_first_entry_and_a_later_one_does_not_move_it() {
        assert_eq!(reached("0@0 0@50 1@60 3@70 5@120", 100), [0, 1, 3]);
    }

    #[test]
    fn an_outcome_counts_only_without_conversion() {
        let linked = rows("0@1 u@2 1@3 3@4 5@5");
        assert_eq!(tell(LINKING, 100, 1, &linked, |_| true).outcome, None);
        let not = rows("0@1 1@3 u@4");
        assert_eq!(tell(LINKING, 100, 1, &not, |_| true).outcome, Some(0));
    }

    #[test]
    fn the_furthest_required_step_equals_exhaustive_search() {
        let chain = [0u8, 1, 3, 5];
        for case in 0..3_000 {
            let mut dice = Dice::new(case, 9, 9);
            let rows: Vec<Row> = (0..1 + dice.below(9))
                .map(|_| Row {
                    at_us: dice.between(0, 12),
                    step: Some(u8::try_from(dice.below(6)).unwrap()),
                    ..Row::default()
                })
                .collect();
            let Some(clock_us) = clock(&rows) else {
                continue;
            };
            let window_us = 8;
            let told = tell(LINKING, window_us, clock_us, &rows, |_| true);
            let mut best = 0;
            for start in rows.iter().filter(|row| row.step == Some(0)) {
                if start.at_us <= clock_us + window_us {
                    best = best
                        .max(1 + deepest(&chain[1..], start.at_us, clock_us + window_us, &rows));
                }
            }
            let got = chain
                .iter()
                .filter(|step| told.reached & (1 << **step) != 0)
                .count();
            assert_eq!(got, best, "case {case}: {rows:?}");
        }
    }

    fn deepest(chain: &[u8], from_us: i64, end_us: i64, rows: &[Row]) -> usize {
        let Some(step) = chain.first() else { return 0 };
        rows.iter()
            .filter(|row| row.step == Some(*step) && (from_us..=end_us).contains(&row.at_us))
            .map(|row| 1 + deepest(&chain[1..], row.at_us, end_us, rows))
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn a_kept_integration_is_matched_alone() {
        let mut rows = rows("0@0 1@1 3@2 1@3 3@4 5@5");
        rows[1].integration = Some(1);
        rows[2].integration = Some(1);
        for row in &mut rows[3..] {
            row.integration = Some(2);
        }
        let with = |v| {
            tell(LINKING, DAY, 0, &rows, |row| {
                row.integration.is_none_or(|i| i == v)
            })
        };
        assert!(!with(1).converted);
        assert!(with(2).converted);
    }
}
