//! What one subject did in a funnel, found the plain way (semantics 6, 7, 9, 12, 14). No event of these funnels satisfies two
//! steps. Without gaps, taking the earliest event for each required step in turn is then exact; with gaps, all times at which
//! a step can be reached are carried along.
//! Written for the eye, not for speed, and without the `funnel` crate, whose answers it judges.

/// A step, in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NaiveStep {
    pub(crate) name: &'static str,
    pub(crate) optional: bool,
    /// Longest time since the previous required step, µs, included.
    pub(crate) max_gap_us: Option<i64>,
}

pub(crate) const fn required(name: &'static str) -> NaiveStep {
    NaiveStep {
        name,
        optional: false,
        max_gap_us: None,
    }
}

pub(crate) const fn optional(name: &'static str) -> NaiveStep {
    NaiveStep {
        name,
        optional: true,
        max_gap_us: None,
    }
}

pub(crate) const fn within(max_gap_us: i64, name: &'static str) -> NaiveStep {
    NaiveStep {
        name,
        optional: false,
        max_gap_us: Some(max_gap_us),
    }
}

/// One event of a subject, as the funnel sees it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Row {
    pub(crate) at_us: i64,
    pub(crate) step: Option<u8>,
    pub(crate) outcome: Option<u8>,
    /// Bit i: step i cannot be shown by the provider that the event names.
    pub(crate) hides: u16,
}

/// What became of a subject once its window is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) clock_us: i64,
    /// Bit i: step i reached.
    pub(crate) reached: u16,
    /// Bit i: step i could not be seen, and a later one was reached.
    pub(crate) bypassed: u16,
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

/// What a subject reached, counted from `clock_us`, using only the rows that are kept, by their place.
pub(crate) fn tell(
    steps: &[NaiveStep],
    window_us: i64,
    clock_us: i64,
    rows: &[Row],
    keep: impl Fn(usize) -> bool,
) -> Told {
    let end_us = clock_us.saturating_add(window_us);
    let inside: Vec<Row> = rows
        .iter()
        .enumerate()
        .filter(|(place, row)| keep(*place) && (clock_us..=end_us).contains(&row.at_us))
        .map(|(_, row)| *row)
        .collect();
    let hidden = hidden(steps, &inside);
    let gates: Vec<bool> = (0..steps.len())
        .map(|at| !steps[at].optional && hidden >> at & 1 == 0)
        .collect();
    let mut times = required_times(steps, &gates, &inside);
    add_optional(steps, &gates, end_us, &inside, &mut times);
    let last_required = steps.iter().rposition(|step| !step.optional);
    let converted = last_required.is_some_and(|last| times[last].is_some());
    let furthest = (0..steps.len()).rfind(|at| gates[*at] && times[*at].is_some());
    let outcome = outcome(window_us, clock_us, &inside);
    Told {
        clock_us,
        reached: times
            .iter()
            .enumerate()
            .filter(|(_, time)| time.is_some())
            .fold(0, |bits, (index, _)| bits | 1 << index),
        bypassed: hidden & ((1 << furthest.unwrap_or(0)) - 1),
        converted,
        outcome: outcome.filter(|_| !converted),
    }
}

/// The steps that nobody can see of the subject (rule 12): required ones between the ends that one of its providers cannot
/// show, unless an event takes them all the same. Its providers are those that the events of its steps name.
fn hidden(steps: &[NaiveStep], inside: &[Row]) -> u16 {
    let on_the_way = inside.iter().filter_map(|row| Some((row.step?, row.hides)));
    let (mut taken, mut hides) = (0, 0);
    for (step, of_provider) in on_the_way {
        taken |= 1 << step;
        hides |= of_provider;
    }
    (1..steps.len() - 1)
        .filter(|at| !steps[*at].optional)
        .fold(0, |bits, at| bits | (hides & !taken & 1 << at))
}

/// The first listed outcome inside the window.
pub(crate) fn outcome(window_us: i64, clock_us: i64, rows: &[Row]) -> Option<u8> {
    let window = clock_us..=clock_us.saturating_add(window_us);
    let inside = rows.iter().filter(|row| window.contains(&row.at_us));
    inside.filter_map(|row| row.outcome).min()
}

/// The earliest time of each step that gates which some chain reaches.
fn required_times(steps: &[NaiveStep], gates: &[bool], inside: &[Row]) -> Vec<Option<i64>> {
    let at = |step: usize| {
        inside
            .iter()
            .filter(move |row| row.step.map(usize::from) == Some(step))
            .map(|row| row.at_us)
    };
    let mut times = vec![None; steps.len()];
    // Every entry begins a chain, the clock's own only where it is kept: under a value held constant the others do not exist.
    let mut reachable: Vec<i64> = at(0).collect();
    times[0] = reachable.iter().copied().min();
    for (index, step) in steps.iter().enumerate().skip(1) {
        if !gates[index] {
            continue;
        }
        let follows = |from_us: i64, at_us: i64| {
            let in_time = |gap_us| at_us - from_us <= gap_us;
            from_us <= at_us && step.max_gap_us.is_none_or(in_time)
        };
        reachable = at(index)
            .filter(|at_us| reachable.iter().any(|from_us| follows(*from_us, *at_us)))
            .collect();
        times[index] = reachable.iter().copied().min();
    }
    times
}

/// An optional step lies between its neighbours that gate, or after the last one reached when the chain ends before it.
fn add_optional(
    steps: &[NaiveStep],
    gates: &[bool],
    end_us: i64,
    inside: &[Row],
    times: &mut [Option<i64>],
) {
    for (index, _) in steps.iter().enumerate().filter(|(_, step)| step.optional) {
        let before = (0..index).rev().find(|at| gates[*at]);
        let after = (index + 1..steps.len()).find(|at| gates[*at]);
        let Some(from_us) = before.and_then(|at| times[at]) else {
            continue;
        };
        let to_us = after.and_then(|at| times[at]).unwrap_or(end_us);
        times[index] = inside
            .iter()
            .filter(|row| row.step.map(usize::from) == Some(index))
            .map(|row| row.at_us)
            .filter(|at_us| (from_us..=to_us).contains(at_us))
            .min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::dice::{DAY, Dice};
    use crate::generate::funnels::LINKING;

    fn rows(text: &str) -> Vec<Row> {
        // "0@1 3@5 u@7": step 0 at 1, step 3 at 5, outcome 0 at 7.
        text.split_whitespace()
            .map(|part| {
                let (what, at) = part.split_once('@').unwrap();
                Row {
                    at_us: at.parse().unwrap(),
                    step: what.parse().ok(),
                    outcome: (what == "u").then_some(0),
                    hides: 0,
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
    fn a_step_that_the_provider_cannot_show_holds_nobody_back() {
        // The provider of all these events cannot show the steps 1, 2 and 3; step 2 is optional.
        for (text, expected, bypassed) in [
            ("0@1 1@2 5@4", vec![0, 1, 5], vec![3]),
            ("0@1 5@4", vec![0, 5], vec![1, 3]),
            ("0@1 1@2", vec![0, 1], vec![]),
            ("0@1 4@3", vec![0, 4], vec![]),
            ("0@1 3@3 1@4 5@5", vec![0, 1], vec![]),
            ("0@1 2@2 3@3", vec![0, 2, 3], vec![1]),
        ] {
            let mut rows = rows(text);
            rows.iter_mut().for_each(|row| row.hides = 0b1110);
            let told = tell(LINKING, 100, 1, &rows, |_| true);
            let places = |mask: u16| -> Vec<usize> {
                (0..LINKING.len())
                    .filter(|at| mask >> at & 1 == 1)
                    .collect()
            };
            assert_eq!(places(told.reached), expected, "{text}");
            assert_eq!(places(told.bypassed), bypassed, "{text}");
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

    const GAPS: [NaiveStep; 4] = [required("a"), within(3, "b"), required("c"), within(2, "d")];

    #[test]
    fn the_furthest_required_step_equals_exhaustive_search() {
        let plain: Vec<NaiveStep> = LINKING.to_vec();
        for (steps, chain) in [(plain, vec![0, 1, 3, 5]), (GAPS.to_vec(), vec![0, 1, 2, 3])] {
            let chain: Vec<usize> = chain;
            for case in 0..3_000 {
                let mut dice = Dice::new(case, 9, 9);
                let rows: Vec<Row> = (0..1 + dice.below(9))
                    .map(|_| Row {
                        at_us: dice.between(0, 12),
                        step: Some(u8::try_from(dice.below(steps.len())).unwrap()),
                        ..Row::default()
                    })
                    .collect();
                let Some(clock_us) = clock(&rows) else {
                    continue;
                };
                let end_us = clock_us + 8;
                let told = tell(&steps, 8, clock_us, &rows, |_| true);
                let mut best = 0;
                for start in rows.iter().filter(|row| row.step == Some(0)) {
                    if start.at_us <= end_us {
                        let rest = deepest(&steps, &chain[1..], start.at_us, end_us, &rows);
                        best = best.max(1 + rest);
                    }
                }
                let got = chain
                    .iter()
                    .filter(|step| told.reached & (1 << **step) != 0)
                    .count();
                assert_eq!(got, best, "case {case}: {rows:?}");
            }
        }
    }

    fn deepest(
        steps: &[NaiveStep],
        chain: &[usize],
        from_us: i64,
        end_us: i64,
        rows: &[Row],
    ) -> usize {
        let Some(step) = chain.first() else { return 0 };
        let gap_us = steps[*step].max_gap_us.unwrap_or(i64::MAX / 2);
        let last_us = end_us.min(from_us + gap_us);
        rows.iter()
            .filter(|row| row.step.map(usize::from) == Some(*step))
            .filter(|row| (from_us..=last_us).contains(&row.at_us))
            .map(|row| 1 + deepest(steps, &chain[1..], row.at_us, end_us, rows))
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn a_gap_is_kept_by_a_later_try() {
        let rows = rows("0@0 1@1 2@2 1@5 2@6 3@8");
        assert!(!tell(&GAPS, 100, 0, &rows[..3], |_| true).converted);
        let told = tell(&GAPS, 100, 0, &rows, |_| true);
        assert!(told.converted, "{told:?}");
        let late = super::tests::rows("0@0 1@1 2@2 3@5");
        assert!(!tell(&GAPS, 100, 0, &late, |_| true).converted);
    }

    #[test]
    fn under_a_value_the_choice_of_another_begins_no_chain() {
        // From the choice: another is chosen at 1, this one at 4 by a clock that runs ahead of the link's at 3.
        let mut rows = rows("0@1 4@3 0@4");
        rows.iter_mut().for_each(|row| row.hides = 0b100);
        let steps = &LINKING[1..];
        let this = tell(steps, 100, 1, &rows, |place| place > 0);
        assert!(!this.converted, "{this:?}");
        assert!(tell(steps, 100, 1, &rows, |_| true).converted);
    }

    #[test]
    fn a_kept_integration_is_matched_alone() {
        let rows = rows("0@0 1@1 3@2 1@3 3@4 5@5");
        let integrations = [None, Some(1), Some(1), Some(2), Some(2), Some(2)];
        let with = |value: u8| {
            tell(LINKING, DAY, 0, &rows, |place| {
                integrations[place].is_none_or(|named| named == value)
            })
        };
        assert!(!with(1).converted);
        assert!(with(2).converted);
    }
}
