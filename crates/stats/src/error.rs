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
    /// Not a whole number of at least 0 that a float holds exactly.
    #[error("{0} is not a count")]
    NotACount(f64),
    /// A probability of error outside the limits of [`Level`](crate::Level).
    #[error("a level of {0} is not between 1e-100 and 0.5")]
    Level(f64),
    /// A margin of a guardrail outside 0..1.
    #[error("a margin of {0} is not between 0 and 1")]
    Margin(f64),
}
