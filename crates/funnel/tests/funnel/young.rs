//! Young cohorts tell the truth: through the matcher and the tallies, with retries and pauses, the matured rate and the
//! expected one cover the true rate as often as their intervals say, at every age; before they can, there is none.

use linkfunnel_funnel::{Row, Rules, Scratch, Span, Spec, StepRule, Tally, Times, speak};
use linkfunnel_stats::{Moment, Survival, wilson};

const WINDOW_US: i64 = 1_000;
const COHORTS: u64 = 2_000;
const SUBJECTS: usize = 400;
/// Of a thousand subjects, how many link inside the window.
const TRUE_RATE: u64 = 700;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for a simulation of fixed seeds.
struct Dice(u64);

impl Dice {
    /// A whole number below `end`, which is far below 2^32.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((bits ^ (bits >> 31)) >> 32) * end) >> 32
    }

    fn time(&mut self, end: i64) -> i64 {
        i64::try_from(self.below(end.unsigned_abs())).unwrap()
    }
}

/// What a subject does from `at_us` on: opens, may choose, pauses, opens again, and links in seven of ten cases.
fn life(dice: &mut Dice, at_us: i64) -> Vec<Row> {
    let mut rows = vec![Row::step(at_us, 0)];
    let links = dice.below(1_000) < TRUE_RATE;
    let end_us = match links {
        // The least of two even draws: half have linked after three tenths of the window.
        true => at_us + dice.time(WINDOW_US + 1).min(dice.time(WINDOW_US + 1)),
        false => at_us + WINDOW_US,
    };
    for _ in 0..dice.below(4) {
        let retry_us = at_us + dice.time(end_us - at_us + 1);
        rows.push(Row::step(retry_us, 0));
        rows.push(Row::step(retry_us + dice.time(50), 1));
    }
    if links {
        rows.push(Row::step(end_us, 1));
        rows.push(Row::step(end_us, 2));
    } else if dice.below(3) == 0 {
        // Links after all, too late to count.
        rows.push(Row::step(end_us + 1 + dice.time(300), 1));
        rows.push(Row::step(end_us + 1 + dice.time(300), 2));
    }
    rows.sort_by_key(|row| row.at_us);
    rows
}

/// The tally of a cohort that entered evenly over `age_us`, as it is known at its end.
fn cohort(rules: &Rules, seed: u64, age_us: i64) -> Tally {
    let (mut dice, mut scratch) = (Dice(seed), Scratch::default());
    let mut tally = Tally::new(rules, Times::LeftOut);
    let span = Span {
        from_us: 0,
        to_us: age_us + 1,
        watermark_us: Some(age_us),
    };
    for _ in 0..SUBJECTS {
        let at_us = dice.time(age_us + 1);
        let mut rows = life(&mut dice, at_us);
        rows.retain(|row| row.at_us <= age_us);
        let entry = speak(rules, &rows, &span, &mut scratch).unwrap();
        tally.update(rules, &entry.unwrap());
    }
    tally
}

fn survival(tally: &Tally) -> Survival {
    let moment = |m: linkfunnel_funnel::Moment| Moment {
        time: m.at_us,
        converted: m.converted,
        censored: m.censored,
    };
    let moments: Vec<Moment> = tally.follow.moments().into_iter().map(moment).collect();
    Survival::new(
        &moments,
        tally.follow.followed_to_end(),
        tally.matured_entered,
    )
}

/// Of how many cohorts there is an interval, and how many of those cover the true rate.
#[derive(Default)]
struct Coverage {
    given: u64,
    covered: u64,
}

impl Coverage {
    fn add(&mut self, low: f64, high: f64) {
        let truth = TRUE_RATE as f64 / 1_000.0;
        self.given += 1;
        self.covered += u64::from(low <= truth && truth <= high);
    }

    /// 95 % ± 1.5.
    fn check(&self, what: &str, age_us: i64) {
        let (given, covered) = (self.given, self.covered);
        assert!(
            (given * 935..=given * 965).contains(&(covered * 1_000)),
            "{what}: {covered} of {given} at age {age_us}"
        );
    }
}

#[test]
fn the_rates_of_young_cohorts_cover_the_true_one_at_every_age() {
    let rules = Rules::new(Spec {
        steps: vec![StepRule::required(); 3],
        window_us: WINDOW_US,
        ..Spec::default()
    })
    .unwrap();
    for age_us in [1_010_i64, 1_050, 1_200, 1_500, 2_000, 4_000] {
        let (mut matured, mut expected) = (Coverage::default(), Coverage::default());
        for seed in 0..COHORTS {
            let tally = cohort(&rules, seed * 7_919 + age_us.unsigned_abs(), age_us);
            if tally.matured_entered >= 100 {
                let interval = wilson(tally.matured_converted, tally.matured_entered).unwrap();
                matured.add(interval.low, interval.high);
            }
            if let Ok(estimate) = survival(&tally).converted_by_end() {
                expected.add(estimate.interval.low, estimate.interval.high);
            }
        }
        println!(
            "age {age_us}: matured {} of {}, expected {} of {}",
            matured.covered, matured.given, expected.covered, expected.given
        );
        expected.check("expected", age_us);
        if age_us >= 1_500 {
            assert_eq!(matured.given, COHORTS, "mature enough at age {age_us}");
            matured.check("matured", age_us);
        }
    }
}

#[test]
fn a_day_that_has_just_begun_has_no_rate() {
    let rules = Rules::new(Spec {
        steps: vec![StepRule::required(); 3],
        window_us: WINDOW_US,
        ..Spec::default()
    })
    .unwrap();
    for seed in 0..50 {
        let tally = cohort(&rules, seed, WINDOW_US - 1);
        assert!(tally.converted > 0 && tally.matured_entered == 0);
        assert!(wilson(tally.matured_converted, tally.matured_entered).is_none());
        assert!(survival(&tally).converted_by_end().is_err());
    }
}
