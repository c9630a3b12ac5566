//! Our numbers beside those of scipy, statsmodels and lifelines. `published/make.py` made the files; their first line names
//! the versions.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use linkfunnel_stats::{
    Counts, Effect, Harm, Level, Margin, Method, Moment, Plan, Prior, RestrictedMean, Segment,
    Share, Survival, Times, believe, benjamini_hochberg, chance_of_best, compare, compare_by,
    fisher, guardrail, heterogeneity, holm, log_rank, newcombe, sample_ratio, score, stratified,
    wilson,
};

fn lines(file: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    file.lines().skip(2).map(|line| line.split(',').collect())
}

#[track_caller]
fn close(got: f64, expected: &str, within: f64, what: &str) {
    let expected: f64 = expected.parse().unwrap();
    assert!(
        (got - expected).abs() <= within,
        "{what}: {got} for {expected}"
    );
}

#[test]
fn wilson_equals_statsmodels_and_scipy() {
    let mut seen = 0;
    for fields in lines(include_str!("published/wilson.csv")) {
        let [x, n, low, high] = fields[..] else {
            panic!("four fields: {fields:?}")
        };
        let interval = wilson(x.parse().unwrap(), n.parse().unwrap()).unwrap();
        close(interval.low, low, 1e-12, &format!("low of {x} of {n}"));
        close(interval.high, high, 1e-12, &format!("high of {x} of {n}"));
        seen += 1;
    }
    assert!(seen > 50);
}

#[test]
fn newcombe_equals_statsmodels() {
    let mut seen = 0;
    for fields in lines(include_str!("published/newcombe.csv")) {
        let [x1, n1, x0, n0, low, high] = fields[..] else {
            panic!("six fields: {fields:?}")
        };
        let counts = |x: &str, n: &str| (x.parse().unwrap(), n.parse().unwrap());
        let interval = newcombe(counts(x1, n1), counts(x0, n0)).unwrap().interval;
        close(interval.low, low, 1e-12, &format!("low of {fields:?}"));
        close(interval.high, high, 1e-12, &format!("high of {fields:?}"));
        seen += 1;
    }
    assert!(seen > 100);
}

#[test]
fn kaplan_meier_equals_lifelines_and_statsmodels() {
    let mut seen = 0;
    for fields in lines(include_str!("published/kaplan_meier.csv")) {
        let [group, _window, moments, at_end, value, low, high, median] = fields[..] else {
            panic!("eight fields: {fields:?}")
        };
        let moments: Vec<Moment> = moments.split(' ').map(moment).collect();
        let at_end: u64 = at_end.parse().unwrap();
        let survival = Survival::new(&moments, at_end, at_end);
        let estimate = survival.converted_by_end().unwrap();
        close(estimate.value, value, 1e-9, group);
        close(estimate.interval.low, low, 1e-9, group);
        close(estimate.interval.high, high, 1e-9, group);
        assert_eq!(survival.median(), median.parse().ok(), "median of {group}");
        seen += 1;
    }
    assert_eq!(seen, 8);
}

fn moment(text: &str) -> Moment {
    let counts: Vec<u64> = text
        .split(':')
        .map(|count| count.parse().unwrap())
        .collect();
    Moment {
        time: counts[0],
        converted: counts[1],
        censored: counts[2],
    }
}

#[test]
fn tests_of_a_difference_equal_scipy_and_statsmodels() {
    let mut seen = 0;
    for fields in lines(include_str!("published/differences.csv")) {
        let [x1, n1, x0, n0, exact, by_score, low, high] = fields[..] else {
            panic!("eight fields: {fields:?}")
        };
        let pair = |x: &str, n: &str| (x.parse().unwrap(), n.parse().unwrap());
        let (one, zero) = (pair(x1, n1), pair(x0, n0));
        let what = format!("{x1}/{n1} against {x0}/{n0}");
        close(
            fisher(one, zero).unwrap(),
            exact,
            1e-9,
            &format!("Fisher's {what}"),
        );
        close(
            score(one, zero).unwrap(),
            by_score,
            1e-9,
            &format!("score's {what}"),
        );
        let interval = newcombe(one, zero).unwrap().interval;
        close(interval.low, low, 1e-9, &format!("low of {what}"));
        close(interval.high, high, 1e-9, &format!("high of {what}"));
        seen += 1;
    }
    assert!(seen > 50);
}

#[test]
fn adjusted_p_values_equal_scipy_and_statsmodels() {
    for fields in lines(include_str!("published/adjusted.csv")) {
        let [p, adjusted] = fields[..] else {
            panic!("two fields: {fields:?}")
        };
        let p: Vec<f64> = p.split(' ').map(|p| p.parse().unwrap()).collect();
        let expected: Vec<&str> = adjusted.split(' ').collect();
        let got = benjamini_hochberg(&p);
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            close(*got, expected, 1e-12, "adjusted");
        }
    }
}

/// Relative to what is expected, or absolute where that is zero.
#[track_caller]
fn alike(got: f64, expected: &str, within: f64, what: &str) {
    let expected: f64 = expected.parse().unwrap();
    let least = if expected == 0.0 { 1.0 } else { expected.abs() };
    assert!(
        (got - expected).abs() <= within * least,
        "{what}: {got} for {expected}"
    );
}

#[test]
fn the_score_equals_its_definition_at_40_digits() {
    let mut seen = 0;
    for fields in lines(include_str!("published/score.csv")) {
        let [
            x1,
            n1,
            x0,
            n0,
            z,
            p,
            low,
            high,
            ratio_low,
            ratio_high,
            z_points,
            z_relative,
        ] = fields[..]
        else {
            panic!("twelve fields: {fields:?}")
        };
        let arm = |x: &str, n: &str| Counts::new(x.parse().unwrap(), n.parse().unwrap()).unwrap();
        let result = compare(arm(x1, n1), arm(x0, n0), Level::default()).unwrap();
        let what = format!("{x1}/{n1} against {x0}/{n0}");
        alike(result.z, z, 1e-13, &what);
        alike(result.p, p, 1e-11, &what);
        alike(result.difference.interval.low, low, 1e-11, &what);
        alike(result.difference.interval.high, high, 1e-11, &what);
        alike(result.ratio.low.unwrap(), ratio_low, 1e-12, &what);
        match result.ratio.high {
            Some(high) => alike(high, ratio_high, 1e-12, &what),
            None => assert_eq!(ratio_high, "", "{what}"),
        }
        let (one, zero, level) = (arm(x1, n1), arm(x0, n0), Level::default());
        for (margin, z) in [
            (Margin::difference(0.02), z_points),
            (Margin::relative(0.05), z_relative),
        ] {
            let got = guardrail(one, zero, margin.unwrap(), Harm::Fall, level).unwrap();
            alike(got.z, z, 1e-11, &what);
        }
        seen += 1;
    }
    assert!(seen > 40);
}

fn numbers(text: &str) -> Vec<f64> {
    text.split(' ')
        .map(|number| number.parse().unwrap())
        .collect()
}

#[test]
fn boundaries_of_planned_looks_equal_another_quadrature() {
    let mut seen = 0;
    for fields in lines(include_str!("published/plans.csv")) {
        let [looks, alpha, phi, boundaries] = fields[..] else {
            panic!("four fields: {fields:?}")
        };
        let level = Level::new(alpha.parse().unwrap()).unwrap();
        let plan = Plan::new(&numbers(looks), level, phi.parse().unwrap()).unwrap();
        let expected: Vec<&str> = boundaries.split(' ').collect();
        assert_eq!(plan.boundaries().len(), expected.len());
        for (got, expected) in plan.boundaries().iter().zip(expected) {
            alike(*got, expected, 1e-9, looks);
        }
        seen += 1;
    }
    assert_eq!(seen, 6);
}

fn counts(text: &str) -> Vec<u64> {
    let count = |count: &str| count.parse().unwrap();
    text.split([' ', ':']).map(count).collect()
}

#[test]
fn the_sample_ratios_tests_equal_scipy() {
    let mut seen = 0;
    for fields in lines(include_str!("published/sample_ratio.csv")) {
        let [units, weights, p] = fields[..] else {
            panic!("three fields: {fields:?}")
        };
        let share = |(units, weight): (u64, u64)| Share {
            units,
            weight: u32::try_from(weight).unwrap(),
        };
        let shares: Vec<Share> = counts(units)
            .into_iter()
            .zip(counts(weights))
            .map(share)
            .collect();
        let got = sample_ratio(&shares, 1).unwrap();
        alike(got.p, p, 1e-10, &format!("{units} by {weights}"));
        seen += 1;
    }
    assert_eq!(seen, 60);
}

#[test]
fn holms_correction_equals_statsmodels() {
    for fields in lines(include_str!("published/holm.csv")) {
        let got = holm(&numbers(fields[0]));
        for (got, expected) in got.iter().zip(fields[1].split(' ')) {
            close(*got, expected, 1e-12, "corrected");
        }
    }
}

#[test]
fn heterogeneity_equals_statsmodels() {
    let mut seen = 0;
    for fields in lines(include_str!("published/heterogeneity.csv")) {
        let effect = |segment: &[u64]| {
            let arm = |at: usize| Counts::new(segment[at], segment[at + 1]).unwrap();
            Effect::of_rates(arm(0), arm(2)).unwrap()
        };
        let effects: Vec<Effect> = counts(fields[0]).chunks(4).map(effect).collect();
        let got = heterogeneity(&effects).unwrap();
        alike(got.q, fields[1], 1e-11, "Q");
        alike(got.p, fields[2], 1e-10, "p");
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn the_methods_of_others_equal_theirs() {
    let mut seen = 0;
    for fields in lines(include_str!("published/parity.csv")) {
        let arm = |at: usize| {
            Counts::from_numbers(fields[at].parse().unwrap(), fields[at + 1].parse().unwrap())
        };
        let (one, zero) = (arm(0).unwrap(), arm(2).unwrap());
        for (method, at) in [(Method::PooledZ, 4), (Method::WelchT, 8)] {
            let got = compare_by(method, one, zero, Level::default()).unwrap();
            let what = format!("{method:?} of {fields:?}");
            alike(got.z, fields[at], 1e-10, &what);
            alike(got.p, fields[at + 1], 1e-9, &what);
            close(got.difference.interval.low, fields[at + 2], 1e-11, &what);
            close(got.difference.interval.high, fields[at + 3], 1e-11, &what);
        }
        seen += 1;
    }
    assert!(seen > 25, "{seen}");
}

#[test]
fn log_rank_and_restricted_means_equal_lifelines() {
    let mut seen = 0;
    for fields in lines(include_str!("published/times.csv")) {
        let arms = [fields[1], fields[2]].map(|arm| arm.split(' ').map(moment).collect::<Vec<_>>());
        let times = |at: usize| Times {
            moments: &arms[at],
            at_risk_at_end: 0,
        };
        let got = log_rank(times(0), times(1)).unwrap();
        alike(got.z * got.z, fields[4], 1e-9, fields[0]);
        alike(got.p, fields[5], 1e-8, fields[0]);
        let until = fields[3].parse().unwrap();
        for (arm, at) in [(0, 6), (1, 8)] {
            let mean = RestrictedMean::new(&arms[arm], 0, until).unwrap();
            alike(mean.value(), fields[at], 1e-9, fields[0]);
            alike(mean.variance(), fields[at + 1], 1e-6, fields[0]);
        }
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn beliefs_equal_scipys_integrals() {
    let mut seen = 0;
    for fields in lines(include_str!("published/bayes.csv")) {
        let [prior, arms, best, loss_of_first, loss_of_second] = fields[..] else {
            panic!("five fields: {fields:?}")
        };
        let prior = prior.parse().unwrap();
        let prior = Prior::new(prior, prior).unwrap();
        let arm = |pair: &[u64]| Counts::new(pair[0], pair[1]).unwrap();
        let arms: Vec<Counts> = counts(arms).chunks(2).map(arm).collect();
        let got = chance_of_best(&arms, prior).unwrap();
        for (got, expected) in got.iter().zip(best.split(' ')) {
            close(*got, expected, 1e-9, fields[1]);
        }
        let belief = believe(arms[0], arms[1], prior).unwrap();
        alike(belief.loss_if_treatment, loss_of_first, 1e-9, fields[1]);
        alike(belief.loss_if_control, loss_of_second, 1e-9, fields[1]);
        if arms.len() == 2 {
            let (win, lose) = best.split_once(' ').unwrap();
            alike(belief.chance_to_win, win, 1e-9, fields[1]);
            alike(belief.chance_to_lose, lose, 1e-9, fields[1]);
        }
        seen += 1;
    }
    assert_eq!(seen, 7);
}

#[test]
fn the_stratified_difference_equals_its_printed_formula_in_fractions() {
    let mut seen = 0;
    for fields in lines(include_str!("published/stratified.csv")) {
        let segment = |segment: &[u64]| Segment {
            treatment: Counts::new(segment[0], segment[1]).unwrap(),
            control: Counts::new(segment[2], segment[3]).unwrap(),
        };
        let segments: Vec<Segment> = counts(fields[0]).chunks(4).map(segment).collect();
        let got = stratified(&segments, Level::default()).unwrap();
        alike(got.value, fields[1], 1e-12, "difference");
        let error = (got.interval.unwrap().high - got.value) / Level::default().z();
        alike(error, fields[2], 1e-11, "error");
        alike(got.crude, fields[3], 1e-12, "crude");
        seen += 1;
    }
    assert_eq!(seen, 4);
}
