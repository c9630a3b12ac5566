//! Means, ratios, covariates and costs beside scipy, statsmodels and numpy: `published/make_means.py` made the file.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use linkfunnel_stats::{
    ArmMean, Level, MeanComparison, Null, Pairs, adjust, compare_means, cost_per_extra_link,
};

fn arm(text: &str) -> Pairs {
    let mut pairs = Pairs::default();
    for unit in text.split(' ') {
        let (x, y) = unit.split_once(':').unwrap();
        pairs.add(x.parse().unwrap(), y.parse().unwrap()).unwrap();
    }
    pairs
}

#[track_caller]
fn alike(got: Option<f64>, expected: &str, what: &str) {
    let Some(got) = got else {
        assert_eq!(expected, "", "{what}");
        return;
    };
    let expected: f64 = expected.parse().unwrap();
    let off = (got - expected).abs();
    assert!(
        off <= 1e-10 * expected.abs().max(1e-3),
        "{what}: {got} for {expected}"
    );
}

#[track_caller]
fn check(got: &MeanComparison, expected: &[&str], what: &str) {
    let interval = got.difference.interval;
    alike(Some(got.t), expected[0], what);
    alike(Some(got.freedom), expected[1], what);
    alike(Some(got.p), expected[2], what);
    alike(Some(got.difference.value), expected[3], what);
    alike(Some(interval.low), expected[4], what);
    alike(Some(interval.high), expected[5], what);
    alike(got.ratio.low, expected[6], what);
    alike(got.ratio.high, expected[7], what);
}

#[test]
fn welch_ratio_cuped_and_cost_equal_theirs() {
    let level = Level::default();
    let (mut seen, mut costs) = (0, 0);
    for line in include_str!("published/means.csv").lines().skip(2) {
        let fields: Vec<&str> = line.split(',').collect();
        let (one, zero) = (arm(fields[0]), arm(fields[1]));
        let of = |arm: Pairs| ArmMean::of(arm.y()).unwrap();
        check(
            &compare_means(of(one), of(zero), level).unwrap(),
            &fields[2..10],
            "Welch",
        );
        let of = |arm| ArmMean::ratio(arm).unwrap();
        check(
            &compare_means(of(one), of(zero), level).unwrap(),
            &fields[10..18],
            "ratio",
        );
        let adjusted = adjust(&[one, zero]).unwrap();
        let [treatment, control] = adjusted.arms[..] else {
            panic!("two arms")
        };
        let result = compare_means(treatment.unwrap(), control.unwrap(), level).unwrap();
        check(&result, &fields[18..26], "CUPED");
        alike(Some(adjusted.theta), fields[26], "theta");
        match cost_per_extra_link(one, zero, level) {
            Ok(cost) => {
                alike(Some(cost.value), fields[27], "cost");
                alike(Some(cost.interval.low), fields[28], "cost's low");
                alike(Some(cost.interval.high), fields[29], "cost's high");
                costs += 1;
            }
            Err(null) => assert_eq!((null, fields[27]), (Null::NoExtraLinks, "")),
        }
        seen += 1;
    }
    assert_eq!(seen, 5);
    assert!((1..5).contains(&costs));
}
