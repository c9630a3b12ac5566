//! Why a number is not there. A result is a number or one of these; NaN and infinity never leave the crate.

use crate::NotObserved;

/// The reason of a null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Null {
    /// An arm (or all of them together) has no units.
    NoUnits,
    /// The control has no successes, or a mean of 0: nothing can be told relative to it.
    BaselineZero,
    /// Nothing varies, so that no error can be estimated.
    NoVariance,
    /// Fewer than two arms have a weight: there is no split to hold.
    NoSplit,
    /// Effects of fewer than two segments: nothing to compare.
    OneSegment,
    /// The denominator of a ratio sums to 0.
    NoDenominator,
    /// The covariate varies in no arm.
    ConstantCovariate,
    /// The interval of the extra links includes none or fewer.
    NoExtraLinks,
    /// So few units find no effect however large.
    OutOfReach,
    /// Nobody was followed that far: [`NotObserved`].
    NotObserved,
}

impl Null {
    /// The code on the wire.
    pub fn code(self) -> &'static str {
        match self {
            Null::NoUnits => "no_units",
            Null::BaselineZero => "baseline_zero",
            Null::NoVariance => "no_variance",
            Null::NoSplit => "no_split",
            Null::OneSegment => "one_segment",
            Null::NoDenominator => "no_denominator",
            Null::ConstantCovariate => "constant_covariate",
            Null::NoExtraLinks => "no_extra_links",
            Null::OutOfReach => "out_of_reach",
            Null::NotObserved => NotObserved::CODE,
        }
    }
}

impl std::fmt::Display for Null {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl From<NotObserved> for Null {
    fn from(_: NotObserved) -> Null {
        Null::NotObserved
    }
}
