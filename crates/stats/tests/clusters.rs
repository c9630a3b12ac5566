//! Rates of subjects whose units differ in size, beside what the formulas' own words give: each unit deleted in turn.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod dice;

use dice::Dice;
use linkfunnel_stats::{
    ArmMean, Clusters, Counts, Level, Null, Pairs, Segment, compare_means, stratified,
    stratified_clusters,
};

type Unit = (u32, u32);

fn clusters(units: &[Unit]) -> Clusters {
    let mut clusters = Clusters::default();
    for (x, y) in units {
        clusters.add(*x, *y).unwrap();
    }
    clusters
}

fn pairs(units: &[Unit]) -> Pairs {
    let mut pairs = Pairs::default();
    for (x, y) in units {
        pairs.add((*x).into(), (*y).into()).unwrap();
    }
    pairs
}

/// So many units of 0..=`most` subjects, of which any number succeeded; many alike where few are allowed.
fn units(dice: &mut Dice, count: u64, most: u32) -> Vec<Unit> {
    let mut below = |most: u32| u32::try_from(dice.at_most(most.into())).unwrap();
    let mut unit = || {
        let x = below(most);
        (x, below(x))
    };
    (0..count).map(|_| unit()).collect()
}

fn rate(units: impl Iterator<Item = Unit>) -> f64 {
    let (x, y) = units.fold((0, 0), |(x, y), unit| {
        (x + u64::from(unit.0), y + u64::from(unit.1))
    });
    float(y) / float(x)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

fn deleting_each_in_turn(units: &[Unit]) -> f64 {
    let all = rate(units.iter().copied());
    let without = |at: usize| rate(units[..at].iter().chain(&units[at + 1..]).copied());
    let squares = (0..units.len()).map(|at| (without(at) - all).powi(2));
    let n = float(units.len() as u64);
    squares.sum::<f64>() * (n - 1.0) / n
}

#[test]
fn the_variance_is_that_of_deleting_each_unit_in_turn() {
    let seed = 71;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let mut told = 0;
    for round in 0..2_000 {
        let (count, most) = (2 + dice.at_most(40), [1, 4, 1_000, u32::MAX][round % 4]);
        let units = units(&mut dice, count, most);
        let Ok(arm) = ArmMean::of_clusters(&clusters(&units)) else {
            continue;
        };
        let expected = deleting_each_in_turn(&units);
        let off = (arm.variance() - expected).abs();
        assert!(off <= 1e-9 * expected + 1e-30, "{units:?}: {arm:?}");
        let value = rate(units.iter().copied());
        assert!((arm.value() - value).abs() < 1e-14, "{units:?}");
        let (x, squares) = units.iter().fold((0.0, 0.0), |(sum, squares), unit| {
            let x = f64::from(unit.0);
            (sum + x, squares + x * x)
        });
        let freedom = x * x / squares - 1.0;
        assert!((arm.freedom() / freedom - 1.0).abs() < 1e-12, "{units:?}");
        told += 1;
    }
    assert!(told > 1_800, "{told}");
}

/// 3 of 4, 1 of 2 and 0 of 2: R = 1/2; without the units 1/4, 1/2 and 2/3, so 2/3·(1/16 + 0 + 1/36).
#[test]
fn three_units_by_hand() {
    let arm = ArmMean::of_clusters(&clusters(&[(4, 3), (2, 1), (2, 0)])).unwrap();
    assert!((arm.value() - 0.5).abs() < 1e-15);
    assert!((arm.variance() - 2.0 / 3.0 * 13.0 / 144.0).abs() < 1e-15);
    assert!((arm.freedom() - (64.0 / 24.0 - 1.0)).abs() < 1e-15);
}

#[test]
fn parts_merge_to_the_same_bits_in_any_order() {
    let seed = 72;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for round in 0..500 {
        let most = [3, 50, u32::MAX][round % 3];
        let units = units(&mut dice, 200, most);
        let whole = clusters(&units);
        let mut parts = vec![Clusters::default(); 7];
        for (x, y) in &units {
            let at = usize::try_from(dice.at_most(6)).unwrap();
            parts[at].add(*x, *y).unwrap();
        }
        let (mut there, mut back) = (Clusters::default(), Clusters::default());
        let mut pairwise = [Clusters::default(), Clusters::default()];
        for (at, part) in parts.iter().enumerate() {
            there.merge(part).unwrap();
            pairwise[at % 2].merge(part).unwrap();
        }
        for part in parts.iter().rev() {
            back.merge(part).unwrap();
        }
        let [mut grouped, odd] = pairwise;
        grouped.merge(&odd).unwrap();
        for merged in [there, back, grouped] {
            assert_eq!(merged, whole);
            let [one, two] = [&merged, &whole].map(ArmMean::of_clusters);
            assert_eq!(
                one.map(|arm| arm.variance().to_bits()),
                two.map(|arm| arm.variance().to_bits())
            );
        }
        assert_eq!(whole.units(), 200);
        let sums = pairs(&units);
        let signed = |sum: u128| i128::try_from(sum).unwrap();
        assert_eq!(signed(whole.sum_x()), sums.x().sum());
        assert_eq!(signed(whole.sum_y()), sums.y().sum());
    }
}

#[test]
fn units_of_one_size_are_told_as_by_the_delta_method() {
    let seed = 73;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for size in [1, 2, 20, 1_000_000] {
        for count in [2, 3, 50] {
            let mut arm = || {
                let mut links = || u32::try_from(dice.at_most(size.into())).unwrap();
                let mut units: Vec<Unit> = (0..count).map(|_| (size, links())).collect();
                // Something varies.
                units[0].1 = 0;
                units[1].1 = size;
                units
            };
            let (one, zero) = (arm(), arm());
            let of = |units: &[Unit]| ArmMean::of_clusters(&clusters(units)).unwrap();
            let delta = |units: &[Unit]| ArmMean::ratio(pairs(units)).unwrap();
            let got = compare_means(of(&one), of(&zero), Level::default()).unwrap();
            let same = compare_means(delta(&one), delta(&zero), Level::default()).unwrap();
            assert!((got.p - same.p).abs() < 1e-12, "{got:?} {same:?}");
            assert!(
                (got.freedom / same.freedom - 1.0).abs() < 1e-12,
                "{got:?} {same:?}"
            );
            let [got, same] = [got, same].map(|compared| compared.difference.interval);
            assert!((got.low - same.low).abs() < 1e-10 && (got.high - same.high).abs() < 1e-10);
        }
    }
}

/// Sizes 1 to 100: what a unit pulls the rate is of the order 1/n.
#[test]
fn with_many_units_of_bounded_size_it_nears_the_delta_method() {
    let seed = 74;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let mut before = f64::INFINITY;
    for count in [30, 300, 3_000, 30_000] {
        let units = units(&mut dice, count, 100);
        let got = ArmMean::of_clusters(&clusters(&units)).unwrap();
        let delta = ArmMean::ratio(pairs(&units)).unwrap();
        let more = got.variance() / delta.variance() - 1.0;
        assert!(more > 0.0 && more < before / 5.0, "{count}: {more}");
        before = more;
    }
    assert!(before < 2e-4, "{before}");
}

#[test]
fn a_unit_without_subjects_is_a_unit_and_weighs_nothing() {
    let some = clusters(&[(4, 3), (2, 1), (2, 0)]);
    let mut more = some.clone();
    more.add(0, 0).unwrap();
    assert_eq!((some.units(), more.units()), (3, 4));
    let [some, more] = [some, more].map(|clusters| ArmMean::of_clusters(&clusters).unwrap());
    assert!((some.value() - more.value()).abs() < 1e-15);
    assert!((some.freedom() - more.freedom()).abs() < 1e-15);
    // 3/4 for 2/3.
    assert!((more.variance() / some.variance() - 9.0 / 8.0).abs() < 1e-12);
}

#[test]
fn what_cannot_be_told_is_a_null() {
    let told = |units: &[Unit]| ArmMean::of_clusters(&clusters(units)).err();
    assert_eq!(told(&[]), Some(Null::NoUnits));
    assert_eq!(told(&[(0, 0), (0, 0)]), Some(Null::NoDenominator));
    assert_eq!(told(&[(9, 4), (0, 0)]), Some(Null::NoVariance));
    // Two that are not of one size are fewer than two effective ones; 1 + 1 + 4 are two, 1 + 1 + 5 fewer.
    assert_eq!(told(&[(3, 1), (3, 2)]), None);
    assert_eq!(told(&[(3, 1), (4, 2)]), Some(Null::NoVariance));
    assert_eq!(told(&[(1, 1), (1, 0), (4, 2)]), None);
    assert_eq!(told(&[(1, 1), (1, 0), (5, 2)]), Some(Null::NoVariance));
    let flat = ArmMean::of_clusters(&clusters(&[(4, 2), (2, 1), (6, 3)])).unwrap();
    assert!(flat.variance().to_bits() == 0, "{flat:?}");
    let none = compare_means(flat, flat, Level::default());
    assert_eq!(none, Err(Null::NoVariance));
}

/// The weighted mean of the segments' differences, from units of (segment, arm, subjects, successes).
fn weighted(units: &[(usize, usize, Unit)]) -> Option<f64> {
    let (mut weights, mut sum) = (0.0, 0.0);
    for segment in 0..3 {
        let count = |arm: usize| {
            let own = units.iter().filter(|u| u.0 == segment && u.1 == arm);
            own.fold((0.0, 0.0), |(x, y), unit| {
                (x + f64::from(unit.2.0), y + f64::from(unit.2.1))
            })
        };
        let ((n1, x1), (n0, x0)) = (count(0), count(1));
        if n1 > 0.0 && n0 > 0.0 {
            weights += n1 * n0 / (n1 + n0);
            sum += n1 * n0 / (n1 + n0) * (x1 / n1 - x0 / n0);
        }
    }
    (weights > 0.0).then(|| sum / weights)
}

fn by_segment(units: &[(usize, usize, Unit)]) -> Vec<[Clusters; 2]> {
    let of = |segment: usize, arm: usize| {
        let own = units.iter().filter(|u| u.0 == segment && u.1 == arm);
        clusters(&own.map(|u| u.2).collect::<Vec<Unit>>())
    };
    (0..3)
        .map(|segment| [of(segment, 0), of(segment, 1)])
        .collect()
}

fn over_segments(units: &[(usize, usize, Unit)]) -> Result<linkfunnel_stats::Stratified, Null> {
    let segments = by_segment(units);
    let segments: Vec<[&Clusters; 2]> = segments.iter().map(|[one, zero]| [one, zero]).collect();
    stratified_clusters(&segments, Level::default())
}

#[test]
fn over_segments_the_spread_is_that_of_deleting_each_unit_in_turn() {
    let seed = 75;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let mut told = 0;
    for _ in 0..1_000 {
        let mut below = |most: u64| u32::try_from(dice.at_most(most)).unwrap();
        let units: Vec<(usize, usize, Unit)> = (0..4 + below(30))
            .map(|_| {
                let (segment, arm, x) = (below(2), below(1), below(9));
                (segment as usize, arm as usize, (x, below(x.into())))
            })
            .collect();
        let Ok(got) = over_segments(&units) else {
            assert_eq!(weighted(&units), None);
            continue;
        };
        let value = weighted(&units).unwrap();
        assert!((got.value - value).abs() < 1e-12, "{units:?}");
        let counts = by_segment(&units).into_iter().map(|arms| {
            let count = |of: &Clusters| {
                let count = |sum: u128| u64::try_from(sum).unwrap();
                Counts::new(count(of.sum_y()), count(of.sum_x())).unwrap()
            };
            let [treatment, control] = [&arms[0], &arms[1]].map(count);
            Segment { treatment, control }
        });
        let plain = stratified(&counts.collect::<Vec<Segment>>(), Level::default()).unwrap();
        assert!((got.crude - plain.crude).abs() < 1e-12 && got.left_out == plain.left_out);
        assert!((got.value - plain.value).abs() < 1e-12);
        assert!(
            got.simpson == plain.simpson || value.abs() < 1e-12,
            "{got:?}"
        );
        let Ok(interval) = got.interval else { continue };
        // the middle of the interval is the value, its width the error times t
        let of_arm = |arm: usize| {
            let own = units.iter().enumerate().filter(|(_, unit)| unit.1 == arm);
            let without = |at: usize| {
                let rest = [&units[..at], &units[at + 1..]].concat();
                weighted(&rest).unwrap()
            };
            let squares: Vec<f64> = own.map(|(at, _)| (without(at) - value).powi(2)).collect();
            let n = float(squares.len() as u64);
            squares.iter().sum::<f64>() * (n - 1.0) / n
        };
        let variance = of_arm(0) + of_arm(1);
        let half = (interval.high - interval.low) / 2.0;
        assert!(((interval.high + interval.low) / 2.0 - value).abs() < 1e-9);
        assert!(half > 1.95 * variance.sqrt(), "{units:?}");
        told += 1;
    }
    assert!(told > 700, "{told}");
}

#[test]
fn one_segment_is_told_as_the_comparison_without_segments() {
    let seed = 76;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for _ in 0..300 {
        let (one, zero) = (units(&mut dice, 20, 9), units(&mut dice, 25, 9));
        let (one, zero) = (clusters(&one), clusters(&zero));
        let arm = |of| ArmMean::of_clusters(of).unwrap();
        let plain = compare_means(arm(&one), arm(&zero), Level::default()).unwrap();
        let got = stratified_clusters(&[[&one, &zero]], Level::default()).unwrap();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{got:?} {plain:?}");
        near(got.value, plain.difference.value);
        near(got.interval.unwrap().low, plain.difference.interval.low);
        near(got.interval.unwrap().high, plain.difference.interval.high);
        near(got.p.unwrap(), plain.p);
    }
}

/// Companies of 1 to 20 journeys whose own rates vary by ±0.15 around 0.2, 0.5 and 0.7; the treatment adds 0.1 to each.
#[test]
fn over_segments_the_interval_holds_the_true_difference_19_times_of_20() {
    let (seed, runs) = (77, 2_000);
    println!("seed {seed}");
    let mut held = 0;
    for run in 0..runs {
        let mut dice = Dice::of_run(seed, run);
        let mut all = Vec::new();
        for (segment, base) in [0.2, 0.5, 0.7].into_iter().enumerate() {
            for arm in 0..2 {
                // unequal segments, unequal arms
                for _ in 0..[8, 20, 45][segment] + 7 * arm {
                    let own = base + 0.3 * (dice.share() - 0.5) + if arm == 0 { 0.1 } else { 0.0 };
                    let x = 1 + dice.at_most(19);
                    let y = dice.successes(x, own);
                    let count = |n: u64| u32::try_from(n).unwrap();
                    all.push((segment, arm, (count(x), count(y))));
                }
            }
        }
        let interval = over_segments(&all).unwrap().interval.unwrap();
        held += u64::from(interval.low <= 0.1 && 0.1 <= interval.high);
    }
    // five standard deviations are 2.4 points
    assert!(
        (runs * 926 / 1_000..=runs * 974 / 1_000).contains(&held),
        "{held} of {runs}"
    );
}
