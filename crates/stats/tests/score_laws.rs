//! The score's test and its two intervals never contradict each other, and do not mind which arm is which.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod dice;

use dice::Dice;
use linkfunnel_stats::{Comparison, Counts, Level, compare};

/// Whether an interval of low and high leaves the value out.
fn leaves_out(low: f64, high: Option<f64>, value: f64) -> bool {
    low > value || high.is_some_and(|high| high < value)
}

fn check_agreement(result: &Comparison, what: &dyn Fn() -> String) {
    let (difference, ratio) = (result.difference.interval, result.ratio);
    let found = result.p < result.level.alpha();
    let by_difference = leaves_out(difference.low, Some(difference.high), 0.0);
    assert_eq!(by_difference, found, "difference of {}: {result:?}", what());
    let by_ratio = leaves_out(ratio.low.unwrap(), ratio.high, 1.0);
    // Rates that are equal to 15 digits have a ratio of 1.0, also where the test tells them apart.
    let apart = |value: f64| (value - 1.0).abs() > 1e-12;
    if !found || result.ratio.value.is_ok_and(apart) || result.ratio.value.is_err() {
        assert_eq!(by_ratio, found, "ratio of {}: {result:?}", what());
    }
    let value = result.difference.value;
    assert!(
        -1.0 <= difference.low && difference.low <= value,
        "{}: {result:?}",
        what()
    );
    assert!(
        value <= difference.high && difference.high <= 1.0,
        "{}: {result:?}",
        what()
    );
    if let Ok(value) = ratio.value {
        let near = 1.0 + 1e-12;
        let high = ratio.high.unwrap_or(f64::MAX);
        assert!(ratio.low.unwrap() <= value * near && value <= high * near);
    }
}

fn check_mirror(there: &Comparison, back: &Comparison, what: &dyn Fn() -> String) {
    let (a, b) = (there.difference.interval, back.difference.interval);
    assert!((there.p - back.p).abs() < 1e-12, "p of {}", what());
    assert!(
        (there.z + back.z).abs() <= 1e-12 * there.z.abs(),
        "z of {}",
        what()
    );
    let off = (a.low + b.high).abs().max((a.high + b.low).abs());
    assert!(off < 1e-12, "difference of {}: {off}", what());
    check_inverse(there.ratio.low, back.ratio.high, what);
    check_inverse(back.ratio.low, there.ratio.high, what);
}

/// The lower end of one is one over the upper end of the other; 0 there is none here.
fn check_inverse(low: Option<f64>, high: Option<f64>, what: &dyn Fn() -> String) {
    match (low.unwrap(), high) {
        (0.0, None) => {}
        (low, Some(high)) => assert!((low * high - 1.0).abs() < 1e-12, "ratio of {}", what()),
        (low, None) => panic!("ratio of {}: {low} without its mirror", what()),
    }
}

/// All tables of up to 60 of 60 against up to 60 of 60. Each unordered pair of arms is compared both ways.
#[test]
fn p_and_both_intervals_agree_in_all_tables_up_to_60_and_mirror() {
    let level = Level::default();
    let arms: Vec<Counts> = (1..=60)
        .flat_map(|n| (0..=n).map(move |x| Counts::new(x, n).unwrap()))
        .collect();
    let mut tables = 0_u64;
    for (at, one) in arms.iter().enumerate() {
        for zero in &arms[at..] {
            let what = || format!("{one:?} against {zero:?}");
            let there = compare(*one, *zero, level).unwrap();
            let back = compare(*zero, *one, level).unwrap();
            check_agreement(&there, &what);
            check_agreement(&back, &what);
            check_mirror(&there, &back, &what);
            tables += if one == zero { 1 } else { 2 };
        }
    }
    assert_eq!(tables, 1_890 * 1_890);
}

#[test]
fn p_and_both_intervals_agree_in_100_000_larger_tables_and_mirror() {
    let seed = 2_026;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let levels = [0.05, 0.01, 0.1, 1e-6].map(|alpha| Level::new(alpha).unwrap());
    for round in 0..100_000_usize {
        let mut arm = || {
            let magnitude = dice.at_most(28);
            let units = 61 + dice.at_most((1 << 34) >> magnitude);
            // Half the time rates of one neighbourhood, else of any magnitude.
            let rate = 10_f64.powf(-6.0 * dice.share());
            let rate = if dice.at_most(1) == 0 {
                rate
            } else {
                1.0 - rate
            };
            let rate = if dice.at_most(1) == 0 {
                0.12 + 0.01 * dice.share()
            } else {
                rate
            };
            Counts::from_numbers((units as f64 * rate).floor(), units as f64).unwrap()
        };
        let (one, zero) = (arm(), arm());
        let what = || format!("{one:?} against {zero:?}");
        let there = compare(one, zero, levels[round % 4]).unwrap();
        let back = compare(zero, one, levels[round % 4]).unwrap();
        check_agreement(&there, &what);
        check_mirror(&there, &back, &what);
    }
}

#[test]
fn any_counts_give_numbers_or_nulls() {
    let seed = 2_027;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for _ in 0..100_000 {
        let mut arm = || {
            let units = dice.count();
            let successes = match dice.at_most(3) {
                0 => dice.count().min(units),
                1 => units - dice.count().min(units),
                _ => dice.at_most(units),
            };
            Counts::new(successes, units).unwrap()
        };
        let (one, zero) = (arm(), arm());
        let Ok(result) = compare(one, zero, Level::default()) else {
            assert!(one.units().min(zero.units()) == 0);
            continue;
        };
        check_agreement(&result, &|| format!("{one:?} against {zero:?}"));
        let difference = result.difference;
        let numbers = [
            result.z,
            result.p,
            difference.value,
            difference.interval.low,
            difference.interval.high,
            result.ratio.low.unwrap(),
            result.ratio.high.unwrap_or(0.0),
            result.ratio.value.unwrap_or(0.0),
            result.fisher.unwrap_or(0.0),
        ];
        assert!(
            numbers.iter().all(|number| number.is_finite()),
            "{one:?} {zero:?} {result:?}"
        );
    }
}
