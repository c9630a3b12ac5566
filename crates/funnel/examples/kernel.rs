//! How fast is the matcher alone? Events a CPU second, over sorted slices, many subjects of a dozen events or so: speak,
//! and tally what it says. From memory, and from the processor's own cache, where the engine has just put the rows of the
//! subject that it asks about.
//!
//! `cargo run --release -p linkfunnel-funnel --example kernel`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints its figures and ends on an error"
)]

use std::hint::black_box;
use std::ops::Range;

use linkfunnel_funnel::{
    Entries, Events, ExclusionRule, Order, Row, Rules, Scratch, Span, Spec, StepRule, Tally, Times,
    speak,
};

const SUBJECTS: usize = 1_000_000;
/// So many of them fit the cache.
const IN_CACHE: usize = 2_000;
const RUNS: usize = 5;
const SPAN: Span = Span {
    from_us: 0,
    to_us: i64::MAX,
    watermark_us: Some(i64::MAX),
};

/// xorshift64* (Vigna 2016): the same rows each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % n
    }
}

/// Subjects that take the steps in turn and stop on the way; `noise` events that match nothing stand before each step.
fn subjects(steps: u64, noise: u64) -> (Vec<Row>, Vec<Range<usize>>) {
    let mut dice = Dice(42);
    let (mut rows, mut ranges) = (Vec::new(), Vec::with_capacity(SUBJECTS));
    for _ in 0..SUBJECTS {
        let first = rows.len();
        let mut at_us = i64::try_from(dice.below(1 << 40)).unwrap();
        let reach = 1 + dice.below(steps);
        for step in 0..reach {
            for _ in 0..noise {
                at_us += i64::try_from(1 + dice.below(1 << 20)).unwrap();
                rows.push(Row::at(at_us));
            }
            at_us += i64::try_from(1 + dice.below(1 << 20)).unwrap();
            rows.push(Row::step(at_us, usize::try_from(step).unwrap()));
        }
        // Some come again: a repeat of a step they took.
        if dice.below(4) == 0 {
            at_us += 1;
            rows.push(Row::step(
                at_us,
                usize::try_from(dice.below(reach)).unwrap(),
            ));
        }
        ranges.push(first..rows.len());
    }
    (rows, ranges)
}

fn spec(steps: usize) -> Spec {
    Spec {
        steps: vec![StepRule::required(); steps],
        window_us: 86_400_000_000,
        ..Spec::default()
    }
}

fn kinds(steps: usize) -> Vec<(&'static str, Spec)> {
    let plain = spec(steps);
    let mut gaps = plain.clone();
    gaps.steps[steps - 1] = StepRule::required().with_gaps(None, Some(60_000_000));
    let exclusions = vec![ExclusionRule {
        after: 0,
        before: steps - 1,
    }];
    let unordered = Order::Unordered {
        first_pinned: false,
    };
    vec![
        ("ordered", plain.clone()),
        (
            "ordered, best",
            Spec {
                entries: Entries::Best,
                ..plain.clone()
            },
        ),
        ("with a greatest gap", gaps),
        (
            "strict",
            Spec {
                order: Order::Strict,
                ..plain.clone()
            },
        ),
        (
            "with an exclusion",
            Spec {
                exclusions,
                ..plain.clone()
            },
        ),
        (
            "unordered",
            Spec {
                order: unordered,
                ..plain
            },
        ),
    ]
}

/// Nanoseconds this thread has been on a processor: on a busy machine the clock on the wall says little.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// The median CPU seconds of a run.
fn seconds(rules: &Rules, rows: &[Row], ranges: &[Range<usize>]) -> f64 {
    let mut runs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let mut scratch = Scratch::default();
            let mut tally = Tally::new(rules, Times::LeftOut);
            let began = cpu_ns();
            for range in ranges.iter().cycle().take(SUBJECTS) {
                let events = Events::from(&rows[range.clone()]);
                if let Some(entry) = &speak(rules, events, &SPAN, &mut scratch).unwrap() {
                    tally.update(rules, entry);
                }
            }
            black_box(&tally);
            (cpu_ns() - began) as f64 / 1e9
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    runs[RUNS / 2]
}

fn main() {
    println!("{SUBJECTS} subjects, median of {RUNS} runs; millions of events a CPU second");
    println!(
        "{:<29} {:>28} {:>29}",
        "", "every event matches", "one in four matches"
    );
    let (cached, far) = ("in cache", "in memory");
    println!(
        "{:<22} {:>6} {cached:>14} {far:>13} {cached:>15} {far:>13}",
        "", "steps"
    );
    for steps in [4, 8, 20] {
        let dense = subjects(steps as u64, 0);
        let sparse = subjects(steps as u64, 3);
        for (name, spec) in kinds(steps) {
            let rules = Rules::new(spec).unwrap();
            let rate = |(rows, ranges): &(Vec<Row>, Vec<Range<usize>>), subjects: usize| {
                let ranges = &ranges[..subjects];
                let events = rows[..ranges[subjects - 1].end].len() * (SUBJECTS / subjects);
                events as f64 / seconds(&rules, rows, ranges) / 1e6
            };
            println!(
                "{name:<22} {steps:>6} {:>14.0} {:>13.0} {:>15.0} {:>13.0}",
                rate(&dense, IN_CACHE),
                rate(&dense, SUBJECTS),
                rate(&sparse, IN_CACHE),
                rate(&sparse, SUBJECTS),
            );
        }
    }
}
