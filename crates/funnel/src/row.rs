//! What the matcher reads: one row an event, and the span of time a question is about.

/// The value of a row that chose nothing (see [`Row::value`]).
pub const NO_VALUE: u32 = u32::MAX;

/// One event of a subject, reduced to what the rules of a question can use.
///
/// The rows of a subject are ordered by (`at_us`, seq, event key). Rows of the same instant form one group, in which their
/// order decides nothing but which of several equal rows is named in [`crate::Entry::row`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// When it happened, µs since the epoch, UTC.
    pub at_us: i64,
    /// Bit i: the event satisfies step i (0-based).
    pub steps: u64,
    /// Bit i: the event is outcome i.
    pub outcomes: u32,
    /// Code of the value the event chose (an integration, say), [`NO_VALUE`] if none. Read only by the `each` breakdown.
    pub value: u32,
}

impl Row {
    /// A row at `at_us` that satisfies step `step` alone.
    pub fn step(at_us: i64, step: usize) -> Row {
        Row {
            at_us,
            steps: 1 << step,
            outcomes: 0,
            value: NO_VALUE,
        }
    }
}

/// The time a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Clocks start at or after this instant (µs since the epoch); earlier rows are never used.
    pub from_us: i64,
    /// Clocks start before this instant (µs since the epoch). Reading goes on to the end of the window.
    pub to_us: i64,
    /// Everything up to this instant (µs since the epoch) is in the view. None: nothing is known, every clock still runs.
    pub watermark_us: Option<i64>,
}
