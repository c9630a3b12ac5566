//! What the simulations throw is what they say: else every one of them would prove another thing.

mod dice;

use dice::Dice;

/// Five units at 3 of 10: 0.16807, 0.36015, 0.3087, 0.1323, 0.02835, 0.00243, by C(5, k)·0.3^k·0.7^(5 − k).
#[test]
fn few_units_succeed_as_the_binomial_says() {
    let (throws, seed) = (100_000_u32, 91);
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let mut seen = [0_u32; 6];
    for _ in 0..throws {
        seen[usize::try_from(dice.successes(5, 0.3)).unwrap()] += 1;
    }
    let chances = [0.16807, 0.36015, 0.3087, 0.1323, 0.02835, 0.00243];
    for (seen, chance) in seen.into_iter().zip(chances) {
        let due = f64::from(throws) * chance;
        let off = (f64::from(seen) - due).abs();
        assert!(
            off < 5.0 * (due * (1.0 - chance)).sqrt(),
            "{seen} for {due}"
        );
    }
}

#[test]
fn many_units_have_the_binomials_mean_and_variance() {
    let (throws, seed) = (40_000_u32, 92);
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for (units, rate) in [(64, 0.5), (200, 0.12), (129, 0.98), (1_000, 0.003)] {
        let (mut sum, mut squares) = (0, 0);
        for _ in 0..throws {
            let successes = dice.successes(units, rate);
            assert!(successes <= units);
            sum += successes;
            squares += successes * successes;
        }
        let all = f64::from(throws);
        let mean = sum as f64 / all;
        let variance = squares as f64 / all - mean * mean;
        let (due, spread) = (units as f64 * rate, units as f64 * rate * (1.0 - rate));
        assert!(
            (mean - due).abs() < 5.0 * (spread / all).sqrt(),
            "{mean} for {due}"
        );
        // A variance's own relative error is some sqrt(2/n), somewhat more of a skew count.
        assert!(
            (variance / spread - 1.0).abs() < 8.0 / all.sqrt(),
            "{variance} for {spread}"
        );
    }
}

#[test]
fn nobody_and_everybody_are_rates_too() {
    let mut dice = Dice(93);
    for units in [0, 1, 63, 64, 65, 1_000] {
        assert_eq!(dice.successes(units, 0.0), 0);
        assert_eq!(dice.successes(units, 1.0), units);
    }
}

#[test]
fn normal_numbers_are_normal() {
    let (throws, seed) = (100_000_u32, 94);
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let (mut sum, mut squares, mut together, mut far) = (0.0, 0.0, 0.0, 0);
    for _ in 0..throws {
        let (one, two) = dice.normals();
        sum += one + two;
        squares += one * one + two * two;
        together += one * two;
        far += u32::from(one.abs() > 1.959_963_984_540_054);
    }
    let all = f64::from(throws);
    let (mean, variance) = (sum / (2.0 * all), squares / (2.0 * all));
    assert!(mean.abs() < 5.0 / (2.0 * all).sqrt(), "{mean}");
    assert!((variance - 1.0).abs() < 5.0 / all.sqrt(), "{variance}");
    assert!((together / all).abs() < 5.0 / all.sqrt(), "{together}");
    assert!(
        (f64::from(far) / all - 0.05).abs() < 0.0035,
        "{far} of {throws}"
    );
}

#[test]
fn runs_of_one_seed_have_streams_of_their_own() {
    let firsts = |seed| (0..1_000).map(move |run| Dice::of_run(seed, run).bits());
    let mut all: Vec<u64> = firsts(1).chain(firsts(2)).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 2_000);
}
