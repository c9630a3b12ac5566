//! Whatever the numbers, what comes out is a number or a null with a code: never NaN, infinity or a panic.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod dice;

use dice::Dice;
use linkfunnel_stats::{
    ArmMean, Clusters, Correction, Counts, Effect, Estimate, Harm, Level, Margin, MeanComparison,
    Method, Moment, Pairs, Prior, RestrictedMean, SampleRatioSequence, Segment, Sequence, Share,
    Stratum, Survival, Times, adjust, believe, chance_of_best, compare_by, compare_means,
    cost_per_extra_link, decompose, difference, guardrail, guardrail_of_means, heterogeneity,
    log_rank, newcombe, restricted_mean_difference, sample_ratio, score, stratified, wilson,
};

fn arm(dice: &mut Dice) -> Counts {
    let units = dice.count();
    let successes = match dice.at_most(3) {
        0 => dice.count().min(units),
        1 => units - dice.count().min(units),
        _ => dice.at_most(units),
    };
    Counts::new(successes, units).unwrap()
}

#[track_caller]
fn finite(numbers: &[f64]) {
    assert!(
        numbers.iter().all(|number| number.is_finite()),
        "{numbers:?}"
    );
}

#[track_caller]
fn finite_estimate(estimate: Estimate) {
    finite(&[
        estimate.value,
        estimate.interval.low,
        estimate.interval.high,
    ]);
}

#[test]
fn any_counts_give_numbers_or_nulls() {
    let seed = 61;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let margins = [Margin::difference(0.01), Margin::relative(0.05)].map(Result::unwrap);
    for _ in 0..20_000 {
        let (one, zero) = (arm(&mut dice), arm(&mut dice));
        for margin in margins {
            for harm in [Harm::Fall, Harm::Rise] {
                if let Ok(got) = guardrail(one, zero, margin, harm, Level::default()) {
                    finite(&[got.z, got.p, got.low, got.high.unwrap_or(0.0)]);
                }
            }
        }
        if let Ok(effect) = Effect::of_rates(one, zero) {
            let looked = Sequence::default().look(effect);
            finite(&[looked.interval.low, looked.interval.high, looked.p]);
            let guardrail = Sequence::default()
                .guardrail(effect, 0.01, Harm::Rise)
                .unwrap();
            finite(&[guardrail.bound, guardrail.p]);
        }
        for method in [
            Method::Newcombe,
            Method::WelchT,
            Method::PooledZ,
            Method::Fieller,
        ] {
            if let Ok(got) = compare_by(method, one, zero, Level::default()) {
                finite(&[got.z, got.p, got.ratio.value.unwrap_or(0.0)]);
                finite_estimate(got.difference);
                finite(&[got.ratio.low, got.ratio.high].map(|end| end.unwrap_or(0.0)));
            }
        }
        let pair = |counts: Counts| (counts.successes(), counts.units());
        if let Some(tested) = difference(pair(one), pair(zero)) {
            finite(&[tested.p]);
        }
    }
}

#[test]
fn any_segments_and_splits_give_numbers_or_nulls() {
    let seed = 62;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for _ in 0..20_000 {
        let mut segments = Vec::new();
        for _ in 0..dice.at_most(5) {
            let (treatment, control) = (arm(&mut dice), arm(&mut dice));
            segments.push(Segment { treatment, control });
        }
        if let Ok(got) = stratified(&segments, Level::default()) {
            finite(&[got.crude, got.value, got.p.unwrap_or(0.0)]);
        }
        let effects = segments
            .iter()
            .map(|s| Effect::of_rates(s.treatment, s.control));
        let effects: Vec<Effect> = effects.filter_map(Result::ok).collect();
        if let Ok(got) = heterogeneity(&effects) {
            finite(&[got.q, got.p]);
        }
        let mut shares = Vec::new();
        for _ in 0..dice.at_most(5) {
            let weight = u32::try_from(dice.bits() >> (32 + dice.at_most(31))).unwrap();
            shares.push(Share {
                units: dice.count(),
                weight,
            });
        }
        if let Ok(got) = sample_ratio(&shares, dice.count()) {
            finite(&[got.p, got.corrected_p, got.deviation]);
        }
    }
}

#[test]
fn any_rates_and_families_give_numbers_or_nothing() {
    let seed = 66;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for _ in 0..20_000 {
        let (one, zero) = (arm(&mut dice), arm(&mut dice));
        let pair = |counts: Counts| (counts.successes(), counts.units());
        if let Some(interval) = wilson(one.successes(), one.units()) {
            let rate = one.rate().unwrap();
            assert!((0.0..=1.0).contains(&interval.low) && interval.low <= rate * (1.0 + 1e-12));
            assert!((0.0..=1.0).contains(&interval.high) && rate <= interval.high * (1.0 + 1e-12));
        }
        if let Some(estimate) = newcombe(pair(one), pair(zero)) {
            finite_estimate(estimate);
        }
        let p = [score(pair(one), pair(zero)), score(pair(zero), pair(one))];
        let p: Vec<f64> = p.into_iter().flatten().chain([dice.share()]).collect();
        for correction in [
            Correction::None,
            Correction::Holm,
            Correction::BenjaminiHochberg,
            Correction::Bonferroni,
        ] {
            let corrected = correction.of(&p);
            let in_range = |p: &f64| (0.0..=1.0).contains(p);
            assert!(corrected.iter().all(in_range), "{p:?} {corrected:?}");
        }
        let stratum = Stratum {
            of: pair(one),
            from: pair(zero),
        };
        for parts in decompose(&[stratum, stratum]).into_iter().flatten() {
            finite(&[parts.mix, parts.rate]);
        }
    }
}

#[test]
fn any_days_of_a_split_give_a_probability_that_never_rises() {
    let seed = 67;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for _ in 0..5_000 {
        let mut weight = || u32::try_from(dice.bits() >> (32 + dice.at_most(31))).unwrap();
        let weights = [weight(), weight(), weight()];
        let mut split = SampleRatioSequence::new(&weights);
        let mut before = 1.0;
        for _ in 0..4 {
            let day = [dice.count(), dice.count(), dice.count()];
            if split.observe(&day).is_err() {
                assert!(weights.iter().filter(|weight| **weight > 0).count() < 2);
            }
            let p = split.p();
            assert!((0.0..=before).contains(&p), "{weights:?} {day:?}: {p}");
            before = p;
        }
    }
}

/// Values of any magnitude, of one magnitude, or all the same.
fn pairs(dice: &mut Dice) -> Pairs {
    let mut pairs = Pairs::default();
    let (magnitude, flat) = (dice.at_most(63), dice.at_most(3) == 0);
    let mut value = || dice.bits().cast_signed() >> magnitude;
    let (x, y) = (value(), value());
    for _ in 0..value().unsigned_abs() % 7 {
        let (more_x, more_y) = if flat { (x, y) } else { (value(), value()) };
        // What has no room is refused.
        let _ = pairs.add(more_x, more_y);
    }
    pairs
}

fn finite_means(got: &MeanComparison) {
    finite(&[got.t, got.freedom, got.p]);
    finite_estimate(got.difference);
    finite(&[got.ratio.low, got.ratio.high].map(|end| end.unwrap_or(0.0)));
    finite(&[got.ratio.value.unwrap_or(0.0)]);
    let interval = got.difference.interval;
    let out = interval.low > 0.0 || interval.high < 0.0;
    assert_eq!(got.p < 0.05, out, "{got:?}");
}

#[test]
fn any_values_give_numbers_or_nulls() {
    let seed = 63;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let level = Level::default();
    let mut compared = 0;
    for _ in 0..20_000 {
        let (one, zero) = (pairs(&mut dice), pairs(&mut dice));
        let mut arms = vec![
            (ArmMean::of(one.x()), ArmMean::of(zero.x())),
            (ArmMean::ratio(one), ArmMean::ratio(zero)),
        ];
        if let Ok(adjusted) = adjust(&[one, zero]) {
            finite(&[adjusted.theta, adjusted.explained]);
            arms.push((adjusted.arms[0], adjusted.arms[1]));
        }
        for (one, zero) in arms {
            if let (Ok(one), Ok(zero)) = (one, zero) {
                finite(&[one.value(), one.variance()]);
                if let Ok(got) = compare_means(one, zero, level) {
                    finite_means(&got);
                    compared += 1;
                }
            }
        }
        if let Ok(cost) = cost_per_extra_link(one, zero, level) {
            finite_estimate(cost);
        }
    }
    assert!(compared > 20_000);
}

/// Units of any size, many of one kind where it is merged with itself.
fn clusters(dice: &mut Dice) -> Clusters {
    let mut clusters = Clusters::default();
    let (magnitude, doubled) = (dice.at_most(31), dice.at_most(62));
    for _ in 0..dice.at_most(6) {
        let mut value = || u32::try_from(dice.bits() >> 32 >> magnitude).unwrap();
        // What cannot be is refused.
        let _ = clusters.add(value(), value());
        let _ = clusters.add(value(), 0);
        if dice.at_most(9) == 0 {
            let most = u32::MAX - u32::try_from(dice.at_most(1)).unwrap();
            clusters.add(u32::MAX, most).unwrap();
        }
        if dice.at_most(3) == 0 {
            for _ in 0..doubled {
                let all = clusters.clone();
                let _ = clusters.merge(&all);
            }
        }
    }
    clusters
}

#[test]
fn units_of_any_size_give_numbers_or_nulls() {
    let seed = 68;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let level = Level::default();
    let margins = [Margin::difference(0.01), Margin::relative(0.05)].map(Result::unwrap);
    let (mut compared, mut verdicts) = (0, std::collections::HashSet::new());
    for _ in 0..4_000 {
        let arms = [clusters(&mut dice), clusters(&mut dice)];
        let [Ok(one), Ok(zero)] = arms.each_ref().map(ArmMean::of_clusters) else {
            continue;
        };
        finite(&[one.value(), one.variance()]);
        assert!((0.0..=1.0).contains(&one.value()) && one.variance() >= 0.0);
        assert!(one.freedom() >= 1.0 && one.freedom().is_finite());
        for margin in margins {
            for harm in [Harm::Fall, Harm::Rise] {
                if let Ok(got) = guardrail_of_means(one, zero, margin, harm, level) {
                    finite(&[got.z, got.p, got.low, got.high.unwrap_or(0.0)]);
                    verdicts.insert(got.verdict);
                }
            }
        }
        if let Ok(got) = compare_means(one, zero, level) {
            finite_means(&got);
            compared += 1;
        }
    }
    assert!(compared > 1_000, "{compared}");
    assert_eq!(verdicts.len(), 3);
}

#[test]
fn any_times_give_numbers_or_nulls() {
    let seed = 64;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for _ in 0..20_000 {
        let mut arm = || {
            let mut times: Vec<u64> = (0..dice.at_most(6)).map(|_| dice.count()).collect();
            times.sort_unstable();
            times.dedup();
            let moment = |time| Moment {
                time,
                converted: dice.count(),
                censored: dice.count(),
            };
            let moments: Vec<Moment> = times.into_iter().map(moment).collect();
            (moments, dice.count(), dice.count())
        };
        let (one, zero) = (arm(), arm());
        let survivals = [&one, &zero].map(|arm| Survival::new(&arm.0, arm.1, arm.2));
        if let Ok(got) = survivals[0].converted_by_end() {
            finite_estimate(got);
        }
        if let Ok(got) = survivals[0].above(&survivals[1], Level::default()) {
            finite_estimate(got);
        }
        let until = one.2;
        let means = [&one, &zero].map(|arm| RestrictedMean::new(&arm.0, arm.1, until));
        if let [Ok(one), Ok(zero)] = means {
            finite(&[one.value(), one.variance()]);
            if let Ok((got, p)) = restricted_mean_difference(one, zero, Level::default()) {
                finite_estimate(got);
                finite(&[p]);
            }
        }
        let times = [&one, &zero].map(|arm| Times {
            moments: &arm.0,
            at_risk_at_end: arm.1,
        });
        if let Ok(got) = log_rank(times[0], times[1]) {
            finite(&[got.z, got.p]);
        }
    }
}

#[test]
fn any_counts_and_priors_give_chances() {
    let seed = 65;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for round in 0..300 {
        let prior = Prior::new(0.1 + 3.0 * dice.share(), 0.1 + 3.0 * dice.share()).unwrap();
        let arms = [arm(&mut dice), arm(&mut dice), arm(&mut dice)];
        if let Ok(got) = believe(arms[0], arms[1], prior) {
            let chances = [
                got.chance_to_win,
                got.chance_to_lose,
                got.loss_if_treatment,
                got.loss_if_control,
            ];
            assert!(
                chances.iter().all(|chance| (0.0..=1.0).contains(chance)),
                "{arms:?} {got:?}"
            );
            let sum = got.chance_to_win + got.chance_to_lose;
            assert!((sum - 1.0).abs() < 1e-4, "{arms:?} {prior:?} {got:?}");
        }
        if round % 10 > 0 {
            continue;
        }
        if let Ok(best) = chance_of_best(&arms, prior) {
            assert!(
                best.iter().all(|chance| (0.0..=1.0).contains(chance)),
                "{arms:?} {best:?}"
            );
        }
    }
}
