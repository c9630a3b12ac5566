//! What a caller can ask that has no meaning. A number that merely cannot be had is a [`Null`](crate::Null), not an error.

/// A question that has no answer because it is put wrongly.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Error {
    /// More successes than units.
    #[error("{successes} successes of {units} units")]
    MoreSuccessesThanUnits {
        /// The successes.
        successes: u64,
        /// The units.
        units: u64,
    },
    /// More successes than subjects of a unit.
    #[error("{successes} successes of {subjects} subjects")]
    MoreSuccessesThanSubjects {
        /// The successes.
        successes: u32,
        /// The unit's subjects.
        subjects: u32,
    },
    /// Not a whole number of at least 0 that a float holds exactly.
    #[error("{0} is not a count")]
    NotACount(f64),
    /// A probability of error outside the limits of [`Level`](crate::Level).
    #[error("a level of {0} is not between 1e-100 and 0.4")]
    Level(f64),
    /// A margin of a guardrail below 0, or of a rate not below 1.
    #[error("{0} is no margin")]
    Margin(f64),
    /// A number of units that must not be 0.
    #[error("a plan needs units")]
    NoUnits,
    /// Looks that do not ascend, are too near each other, too many, none, or beyond the planned end.
    #[error("looks must ascend from 0 to 1, at least 0.001 apart, at most 100")]
    Looks,
    /// A spending exponent outside 0.5..=10.
    #[error("a spending exponent of {0} is not between 0.5 and 10")]
    Phi(f64),
    /// Sums, squares or products that no values have.
    #[error("no values have such sums")]
    Sums,
    /// Sums beyond what they are kept in.
    #[error("the sums have no room for more")]
    TooLarge,
    /// A prior count outside 0.1..=1e9.
    #[error("a prior of {0} is not between 0.1 and 1e9")]
    Prior(f64),
    /// Rates or a power that no experiment can be planned for.
    #[error("rates must differ and lie between 0 and 1, the power between 0.5 and 0.9999")]
    Goal,
    /// No variants, or a share outside 0.001..=1000.
    #[error("there must be a variant, with 0.001 to 1000 times the control's units")]
    Allocation,
}
