//! What is believed of a rate after its counts: a Beta distribution, held by its logit.
//!
//! In the logit t = ln(θ/(1 − θ)) the density is σ(t)^a·σ(−t)^b/B(a, b): smooth and log-concave for all a, b > 0, with
//! its peak at θ = a/(a + b), which is the mean. Everything is told by the distance s of t from that peak, and computed
//! so that no large numbers cancel: a·(ln(θ/θ̂) − (θ/θ̂ − 1)) + b·(the same of 1 − θ), the subtracted terms being zero
//! together.

use crate::integral::log_tail_of;
use crate::logarithm::{ln_1p_less, stirling_rest};

/// A Beta distribution with a, b > 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Beta {
    a: f64,
    b: f64,
}

/// A rate at a distance from the peak, compared with the peak's: odds move by e^s, s ≥ 0.
struct Moved {
    /// θ/θ̂ and its logarithm.
    up: (f64, f64),
    /// (1 − θ)/(1 − θ̂), its logarithm.
    down: (f64, f64),
}

impl Beta {
    pub(crate) fn new(a: f64, b: f64) -> Beta {
        Beta { a, b }
    }

    /// The distribution of 1 − θ.
    pub(crate) fn mirrored(self) -> Beta {
        Beta {
            a: self.b,
            b: self.a,
        }
    }

    pub(crate) fn mean(self) -> f64 {
        self.a / (self.a + self.b)
    }

    /// Odds of the peak.
    pub(crate) fn odds(self) -> f64 {
        self.a / self.b
    }

    /// About the standard deviation of the logit.
    pub(crate) fn width(self) -> f64 {
        ((self.a + self.b) / self.a / self.b).sqrt()
    }

    /// By how much the logarithm of the density falls in the end, a logit, downwards and upwards.
    pub(crate) fn falls(self) -> (f64, f64) {
        (self.a, self.b)
    }

    /// θ at the distance s.
    pub(crate) fn rate(self, s: f64) -> f64 {
        let odds = self.odds() * s.exp();
        if odds.is_finite() {
            odds / (1.0 + odds)
        } else {
            1.0
        }
    }

    /// ln of the density of the logit at the distance s.
    pub(crate) fn log_density(self, s: f64) -> f64 {
        let all = self.a + self.b;
        let peak = 0.5 * (self.a / all * self.b / (2.0 * std::f64::consts::PI)).ln()
            + stirling_rest(all)
            - stirling_rest(self.a)
            - stirling_rest(self.b);
        peak + self.log_shape(s)
    }

    /// ln of the density of the logit, less that of its peak.
    fn log_shape(self, s: f64) -> f64 {
        if s < 0.0 {
            return self.mirrored().log_shape(-s);
        }
        let moved = self.moved(s);
        let part = |(ratio, log): (f64, f64)| {
            if (-0.5..=0.5).contains(&ratio) {
                ln_1p_less(ratio)
            } else {
                log - ratio
            }
        };
        self.a * part(moved.up) + self.b * part(moved.down)
    }

    /// Ratios less 1, with the ratios' logarithms. s ≥ 0.
    fn moved(self, s: f64) -> Moved {
        let (mean, rest) = (self.mean(), self.mirrored().mean());
        let (fall, risen) = ((-s).exp(), -(-s).exp_m1());
        let scale = mean + rest * fall;
        let log = scale.ln();
        Moved {
            up: (rest * risen / scale, -log),
            down: (-mean * risen / scale, -s - log),
        }
    }

    /// P(t is further up than s); as a tail where it is one.
    pub(crate) fn above(self, s: f64) -> f64 {
        if s < 0.0 {
            return 1.0 - self.mirrored().above(-s);
        }
        self.log_above(s, |_| 1.0).exp().min(1.0)
    }

    /// E[(θ − θ(s))⁺]: by how much θ exceeds the rate at s, in the mean.
    pub(crate) fn excess(self, s: f64) -> f64 {
        if s < 0.0 {
            // The mean is the peak, so both terms are positive.
            let rate = self.rate(s);
            return self.mean() - rate + self.mirrored().excess(-s);
        }
        let (rate, rest) = (self.rate(s), self.mirrored().rate(-s));
        let further = |v: f64| {
            let risen = -(-v).exp_m1();
            rate * rest * risen / ((-v).exp() + rate * risen)
        };
        self.log_above(s, further).exp()
    }

    /// ln ∫ of the density times `factor` (of the distance from s) above s ≥ 0.
    fn log_above(self, s: f64, factor: impl Fn(f64) -> f64) -> f64 {
        let start = self.log_density(0.0);
        log_tail_of(|s| self.log_shape(s), s, self.width(), factor) + start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// mpmath at 40 digits.
    #[test]
    fn tails_hold_to_1e_300() {
        let printed: [(f64, f64, f64, f64); 9] = [
            (0.5, 0.5, 0.1, 0.20483276469913345),
            (5.0, 0.5, 0.01, 2.4712578086395448e-11),
            (50.0, 0.5, 0.05, 7.248847197149615e-67),
            (1201.0, 8801.0, 0.1, 3.985368030634858e-11),
            (1201.0, 8801.0, 0.08, 8.450628268625957e-44),
            (1000000.0, 3000000.0, 0.2485, 1.9984585524438384e-12),
            (100000000.0, 1000000000.0, 0.0908, 1.195156720462002e-36),
            (
                1000000000000.0,
                1000000000000.0,
                0.499999,
                0.0023388674910585047,
            ),
            (2.0, 3000000.0, 1e-08, 0.0004411005949704137),
        ];
        for (a, b, x, below) in printed {
            let beta = Beta::new(a, b);
            let s = (x / (1.0 - x) / beta.odds()).ln();
            let got = beta.mirrored().above(-s);
            // The distance itself is rounded: by 1e-16, of a width of 1e-6 with 10^12 units.
            let within = 1e-11 + 1e-15 / beta.width();
            assert!(
                (got / below - 1.0).abs() < within,
                "{a} {b} {x}: {got} for {below}"
            );
        }
    }
}
