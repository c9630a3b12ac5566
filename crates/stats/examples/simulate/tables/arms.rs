//! Two arms that grow: a treatment and a control, each unit of which succeeds by itself at its arm's true rate.

use linkfunnel_stats::Counts;

use super::dice::Dice;

/// The true rates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Of the treatment.
    pub(crate) one: f64,
    /// Of the control.
    pub(crate) zero: f64,
}

impl Rates {
    /// Both arms have one rate: whoever calls a difference is wrong.
    pub(crate) fn alike(rate: f64) -> Rates {
        Rates {
            one: rate,
            zero: rate,
        }
    }
}

/// What has been counted so far.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Arms {
    /// The treatment.
    pub(crate) one: Counts,
    /// The control.
    pub(crate) zero: Counts,
}

impl Arms {
    /// Adds `units` to each arm.
    pub(crate) fn grow(&mut self, dice: &mut Dice, units: u64, rates: Rates) {
        for (arm, rate) in [(&mut self.one, rates.one), (&mut self.zero, rates.zero)] {
            *arm = arm
                .merge(draw(dice, units, rate))
                .expect("far below 2^64 units");
        }
    }

    /// p of no difference, by the score test.
    pub(crate) fn p(self) -> f64 {
        let pair = |arm: Counts| (arm.successes(), arm.units());
        linkfunnel_stats::score(pair(self.one), pair(self.zero)).expect("both have units")
    }

    /// Whether the treatment is ahead.
    pub(crate) fn up(self) -> bool {
        self.one.rate() > self.zero.rate()
    }
}

/// So many units at a rate.
pub(crate) fn draw(dice: &mut Dice, units: u64, rate: f64) -> Counts {
    Counts::new(dice.successes(units, rate), units).expect("some of all")
}
