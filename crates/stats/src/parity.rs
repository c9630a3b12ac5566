//! The same two arms by the methods other engines use, for whoever has to compare with them. Each is named in its result.

use crate::comparison::{fisher_beside, observed_ratio};
use crate::mean::fieller;
use crate::newcombe::newcombe_at;
use crate::{
    ArmMean, Comparison, Counts, Effect, Estimate, Level, Method, Null, Ratio, Sums, TINY, compare,
    compare_means, normal,
};

/// Compares by `method`.
///
/// - [`Method::Score`] is [`compare`].
/// - [`Method::Newcombe`]: the difference's interval is Newcombe's (method 10); p and ratio stay the score's, with which
///   it need not agree.
/// - [`Method::WelchT`]: Welch's t on zeros and ones, and Fieller's ratio with the same t.
/// - [`Method::PooledZ`]: z with the pooled variance, without N/(N − 1); the interval with the unpooled, as everywhere;
///   no ratio's interval.
/// - [`Method::Fieller`]: z and interval with the unpooled variance, and Fieller's ratio, which agree.
///
/// # Errors
/// [`Null::NoUnits`]; all but the first two also [`Null::NoVariance`] where in each arm nobody or everybody succeeded.
pub fn compare_by(
    method: Method,
    treatment: Counts,
    control: Counts,
    level: Level,
) -> Result<Comparison, Null> {
    match method {
        Method::Score => compare(treatment, control, level),
        Method::Newcombe => by_newcombe(treatment, control, level),
        Method::WelchT => by_welch(treatment, control, level),
        Method::PooledZ => by_pooled_z(treatment, control, level),
        Method::Fieller => by_fieller(treatment, control, level),
    }
}

fn by_newcombe(treatment: Counts, control: Counts, level: Level) -> Result<Comparison, Null> {
    let score = compare(treatment, control, level)?;
    let pair = |counts: Counts| (counts.successes(), counts.units());
    Ok(Comparison {
        method: Method::Newcombe,
        difference: newcombe_at(pair(treatment), pair(control), level.z()).ok_or(Null::NoUnits)?,
        ..score
    })
}

fn by_welch(treatment: Counts, control: Counts, level: Level) -> Result<Comparison, Null> {
    let arm = |counts: Counts| {
        let ones = i128::from(counts.successes());
        ArmMean::of(Sums::new(counts.units(), ones, ones).map_err(|_| Null::NoUnits)?)
    };
    let result = compare_means(arm(treatment)?, arm(control)?, level)?;
    let of = (result.t, result.p, result.difference, result.ratio);
    Ok(named(Method::WelchT, treatment, control, level, of))
}

fn by_pooled_z(treatment: Counts, control: Counts, level: Level) -> Result<Comparison, Null> {
    let effect = Effect::of_rates(treatment, control)?;
    let ((x1, f1, n1), (x0, f0, n0)) = (treatment.floats(), control.floats());
    let all = n1 + n0;
    let pooled = ((x1 + x0) / all) * ((f1 + f0) / all) * (1.0 / n1 + 1.0 / n0);
    let z = effect.value() / pooled.sqrt();
    let ratio = Ratio {
        value: observed_ratio(treatment, control),
        low: None,
        high: None,
        unbounded: false,
    };
    let of = (z, normal::two_sided(z), estimate(effect, level), ratio);
    Ok(named(Method::PooledZ, treatment, control, level, of))
}

fn by_fieller(treatment: Counts, control: Counts, level: Level) -> Result<Comparison, Null> {
    let effect = Effect::of_rates(treatment, control)?;
    let arm = |counts: Counts| {
        let (x, f, n) = counts.floats();
        ArmMean::new(x / n, (x / n) * (f / n) / n, counts.units())
    };
    let ratio = fieller(arm(treatment)?, arm(control)?, level.z());
    let z = effect.value() / effect.error();
    let of = (z, normal::two_sided(z), estimate(effect, level), ratio);
    Ok(named(Method::Fieller, treatment, control, level, of))
}

fn estimate(effect: Effect, level: Level) -> Estimate {
    Estimate {
        value: effect.value(),
        interval: effect.interval(level),
    }
}

fn named(
    method: Method,
    treatment: Counts,
    control: Counts,
    level: Level,
    (z, p, difference, ratio): (f64, f64, Estimate, Ratio),
) -> Comparison {
    Comparison {
        method,
        level,
        z,
        p,
        difference,
        ratio,
        fisher: fisher_beside(treatment, control),
        tiny_n: treatment.units().min(control.units()) < TINY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Method; 5] = [
        Method::Score,
        Method::Newcombe,
        Method::WelchT,
        Method::PooledZ,
        Method::Fieller,
    ];

    fn counts(successes: u64, units: u64) -> Counts {
        Counts::new(successes, units).unwrap()
    }

    #[test]
    fn every_method_is_named_and_near_the_others_where_units_are_many() {
        let (one, zero) = (counts(1_320, 10_000), counts(1_200, 10_000));
        let mut names = std::collections::HashSet::new();
        for method in ALL {
            let result = compare_by(method, one, zero, Level::default()).unwrap();
            assert!((result.p - 0.010_56).abs() < 2e-5, "{result:?}");
            assert!(
                (result.difference.interval.low - 0.002_8).abs() < 1e-5,
                "{result:?}"
            );
            assert!((result.difference.value - 0.012).abs() < 1e-15);
            names.insert(result.method.name());
        }
        assert_eq!(names.len(), 5);
    }

    #[test]
    fn nothing_that_varies_is_a_null_for_those_that_need_it() {
        for method in ALL {
            let result = compare_by(method, counts(0, 100), counts(100, 100), Level::default());
            let robust = matches!(method, Method::Score | Method::Newcombe);
            assert_eq!(result.err(), (!robust).then_some(Null::NoVariance));
            let none = compare_by(method, counts(0, 0), counts(1, 2), Level::default());
            assert_eq!(none.err(), Some(Null::NoUnits));
        }
    }

    #[test]
    fn fieller_agrees_with_its_own_p_and_says_when_it_is_unbounded() {
        let mut unbounded = 0;
        for (x1, x0) in (1..30).flat_map(|x1| (1..30).map(move |x0| (x1, x0))) {
            for method in [Method::Fieller, Method::WelchT] {
                let result =
                    compare_by(method, counts(x1, 30), counts(x0, 40), Level::default()).unwrap();
                if let (Some(low), Some(high)) = (result.ratio.low, result.ratio.high) {
                    assert_eq!(result.p < 0.05, low > 1.0 || high < 1.0, "{result:?}");
                } else {
                    assert!(x0 < 5 && result.ratio.unbounded, "{result:?}");
                    unbounded += 1;
                }
            }
        }
        assert!(unbounded > 0);
    }
}
