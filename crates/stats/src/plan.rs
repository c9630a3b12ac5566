//! Looking at times that were planned: group sequential tests with Lan and DeMets' spending.
//!
//! At the share t of the planned units α·t^φ of the error has been spent, half of it on each side; look k's boundary is the z
//! that spends what falls to it, given that no earlier look stopped. Under no effect the z's are those of a Brownian motion
//! B(t)/√t. The chance of reaching look k at B = b is carried on from look to look as a density inside the boundaries
//! (Armitage, McPherson and Rowe 1969, JRSS A 132, 235–244), by Gauss's quadrature on panels of a step's standard deviation.
//!
//! Source: Lan, K. K. G. and DeMets, D. L. (1983), "Discrete sequential boundaries for clinical trials", Biometrika 70,
//! 659–663; the power family: Kim, K. and DeMets, D. L. (1987), Biometrika 74, 149–154.

use crate::{Error, Level, normal, root::root};

/// The spending's exponent, unless said otherwise.
pub const PHI: f64 = 2.0;

/// The most looks of a plan.
pub const MOST_LOOKS: usize = 100;

/// Looks are at least this share of the planned units apart.
pub const LEAST_STEP: f64 = 0.001;

/// Beyond this z nothing is left of any level.
const FARTHEST: f64 = 40.0;

/// When to look and where to stop. Fixed before the start, with the planned units.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    looks: Vec<f64>,
    boundaries: Vec<f64>,
    spent: Vec<f64>,
}

impl Plan {
    /// Looks at these shares of the planned units, ascending, the last at most 1; `phi` in 0.5..=10.
    ///
    /// # Errors
    /// [`Error::Looks`] for none, more than [`MOST_LOOKS`], or such as are not [`LEAST_STEP`] apart and from 0;
    /// [`Error::Phi`].
    pub fn new(looks: &[f64], level: Level, phi: f64) -> Result<Plan, Error> {
        let starts = std::iter::once(&0.0).chain(looks);
        // A little less than the step: shares are rounded.
        let apart = |(from, to): (&f64, &f64)| to - from >= LEAST_STEP * (1.0 - 1e-9);
        let ascending = starts.zip(looks).all(apart);
        let last = looks.last().is_some_and(|last| *last <= 1.0);
        if !ascending || !last || looks.len() > MOST_LOOKS {
            return Err(Error::Looks);
        }
        if !(0.5..=10.0).contains(&phi) {
            return Err(Error::Phi(phi));
        }
        let spent: Vec<f64> = looks.iter().map(|t| level.alpha() * t.powf(phi)).collect();
        let boundaries = boundaries(looks, &spent);
        Ok(Plan {
            looks: looks.to_vec(),
            boundaries,
            spent,
        })
    }

    /// So many looks, equally far apart, the last at the planned end.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn equal(looks: usize, level: Level, phi: f64) -> Result<Plan, Error> {
        let share = |look: usize| crate::float(look as u64) / crate::float(looks as u64);
        let looks: Vec<f64> = (1..=looks.min(MOST_LOOKS + 1)).map(share).collect();
        Plan::new(&looks, level, phi)
    }

    /// The share of the planned units at each look.
    pub fn looks(&self) -> &[f64] {
        &self.looks
    }

    /// The |z| at which each look stops.
    pub fn boundaries(&self) -> &[f64] {
        &self.boundaries
    }

    /// The error of both sides together that has been spent by each look.
    pub fn spent(&self) -> &[f64] {
        &self.spent
    }

    /// The level of look `look` (from 0): p is compared with its α, and intervals at it are the look's repeated
    /// intervals, which hold at all looks together. None past the last.
    pub fn level_at(&self, look: usize) -> Option<Level> {
        self.boundaries.get(look).copied().map(Level::of_z)
    }

    /// The chance to stop above, at any look, where z at the planned end has the mean `drift`: the power.
    pub fn power(&self, drift: f64) -> f64 {
        let mut density = None;
        let mut power = 0.0;
        for (look, boundary) in self.boundaries.iter().enumerate() {
            let step = Step::new(&self.looks, look, drift);
            power += step.above(density.as_ref(), *boundary);
            density = Some(step.inside(density.as_ref(), *boundary));
        }
        power.min(1.0)
    }
}

fn boundaries(looks: &[f64], spent: &[f64]) -> Vec<f64> {
    let mut density = None;
    let mut before = 0.0;
    let mut boundaries = Vec::with_capacity(looks.len());
    for (look, spent) in spent.iter().enumerate() {
        let step = Step::new(looks, look, 0.0);
        let side = (spent - before) / 2.0;
        let over = |z: f64| {
            let above = step.above(density.as_ref(), z).max(f64::MIN_POSITIVE);
            (above / side).ln()
        };
        let boundary = root(0.0, FARTHEST, over);
        density = Some(step.inside(density.as_ref(), boundary));
        before = *spent;
        boundaries.push(boundary);
    }
    boundaries
}

/// The chance of still going on, over B: points, each with the mass it stands for.
type Density = Vec<(f64, f64)>;

/// From one look to the next.
struct Step {
    /// √t at the look.
    root_t: f64,
    /// Standard deviation of B's step to the look.
    spread: f64,
    /// Mean of the step.
    mean: f64,
    /// A panel's width: the lesser of this step's spread and the next one's, which the density must be fine enough for.
    panel: f64,
}

impl Step {
    fn new(looks: &[f64], look: usize, drift: f64) -> Step {
        let from = if look == 0 { 0.0 } else { looks[look - 1] };
        let spread = (looks[look] - from).sqrt();
        let next = looks
            .get(look + 1)
            .map_or(spread, |next| (next - looks[look]).sqrt());
        Step {
            root_t: looks[look].sqrt(),
            spread,
            mean: drift * (looks[look] - from),
            panel: spread.min(next),
        }
    }

    /// The chance to go on until here and be above z.
    fn above(&self, before: Option<&Density>, z: f64) -> f64 {
        let above =
            |from: f64| normal::upper_tail((z * self.root_t - from - self.mean) / self.spread);
        match before {
            None => above(0.0),
            Some(density) => density.iter().map(|(b, mass)| mass * above(*b)).sum(),
        }
    }

    /// The density inside ±z after the step.
    fn inside(&self, before: Option<&Density>, z: f64) -> Density {
        let at = |b: f64| match before {
            None => self.kernel(b),
            Some(density) => density
                .iter()
                .map(|(from, mass)| mass * self.kernel(b - from))
                .sum(),
        };
        let end = z * self.root_t;
        points(-end, end, self.panel)
            .map(|(b, weight)| (b, weight * at(b)))
            .collect()
    }

    fn kernel(&self, step: f64) -> f64 {
        normal::density((step - self.mean) / self.spread) / self.spread
    }
}

/// Gauss and Legendre's rule of eight points on −1..1: point and weight, mirrored (Abramowitz and Stegun, table 25.4).
const GAUSS: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_29),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_47),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
];

/// Points and weights of the rule on panels of at most `panel` from `low` to `high`.
fn points(low: f64, high: f64, panel: f64) -> impl Iterator<Item = (f64, f64)> {
    let panels = ((high - low) / panel).ceil().max(1.0);
    let half = (high - low) / panels / 2.0;
    let middles =
        std::iter::successors(Some(0.5), |at| Some(at + 1.0)).take_while(move |at| *at < panels);
    middles.flat_map(move |at| gauss(low + (at - 0.5) * 2.0 * half, low + (at + 0.5) * 2.0 * half))
}

/// Points and weights of the rule from `low` to `high`.
pub(crate) fn gauss(low: f64, high: f64) -> impl Iterator<Item = (f64, f64)> {
    let (middle, half) = (f64::midpoint(low, high), (high - low) / 2.0);
    GAUSS.into_iter().flat_map(move |(point, weight)| {
        [middle - half * point, middle + half * point].map(|at| (at, half * weight))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As spotify-confidence 4.1.0 (a port of R's ldbounds) prints them: on a grid, to four digits. The second in mpmath.
    #[test]
    fn the_printed_boundaries_of_five_equal_looks_come_out() {
        let plan = Plan::equal(5, Level::default(), PHI).unwrap();
        let printed = [3.090_232, 2.714_078, 2.472_737, 2.279_811, 2.113_968];
        for (got, printed) in plan.boundaries().iter().zip(printed) {
            assert!((got - printed).abs() < 6e-5, "{got} for {printed}");
        }
        assert_eq!(plan.boundaries().len(), 5);
        assert!((plan.boundaries()[1] - 2.714_111_575_530_73).abs() < 1e-12);
        assert!((plan.spent()[4] - 0.05).abs() < 1e-15);
    }

    #[test]
    fn one_look_is_the_fixed_test() {
        let plan = Plan::new(&[1.0], Level::default(), PHI).unwrap();
        assert!((plan.boundaries()[0] - Level::default().z()).abs() < 1e-13);
        let drift = Level::default().z() + 0.841_621_233_572_914_3;
        assert!((plan.power(drift) - 0.8).abs() < 1e-12);
        assert!((plan.level_at(0).unwrap().alpha() - 0.05).abs() < 1e-14);
        assert_eq!(plan.level_at(1), None);
    }

    /// Without drift what is above is half of what was spent, whatever the looks: the density carries no error on.
    #[test]
    fn without_an_effect_the_power_is_the_error_of_one_side() {
        let irregular = [0.003, 0.004, 0.1, 0.55, 0.551, 0.9, 1.0];
        let plans = [
            Plan::new(&irregular, Level::default(), 1.0),
            Plan::equal(100, Level::default(), PHI),
            Plan::equal(20, Level::new(1e-6).unwrap(), 3.0),
        ];
        for plan in plans {
            let plan = plan.unwrap();
            let side = plan.spent().last().unwrap() / 2.0;
            let (none, upwards) = (plan.power(0.0), plan.power(8.0));
            assert!((none / side - 1.0).abs() < 1e-9, "{none} for {side}");
            assert!((0.99..=1.0).contains(&upwards), "{upwards}");
        }
    }

    #[test]
    fn plans_without_meaning_are_typed_errors() {
        let plan = |looks: &[f64]| Plan::new(looks, Level::default(), PHI).unwrap_err();
        for looks in [
            &[][..],
            &[0.0, 1.0],
            &[0.5, 0.5],
            &[0.5, 0.5005],
            &[0.9, 1.1],
            &[f64::NAN],
        ] {
            assert_eq!(plan(looks), Error::Looks, "{looks:?}");
        }
        let equal = |looks| Plan::equal(looks, Level::default(), PHI);
        assert_eq!(equal(0), Err(Error::Looks));
        assert!(equal(MOST_LOOKS).is_ok());
        assert_eq!(equal(MOST_LOOKS + 1), Err(Error::Looks));
        let phi = Plan::new(&[1.0], Level::default(), 0.0);
        assert_eq!(phi, Err(Error::Phi(0.0)));
    }
}
