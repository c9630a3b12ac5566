//! What the matcher reads: one row an event, and the span of time a question is about.

/// The value of a row that chose nothing (see [`Row::value`]), and of a held field that an event lacks.
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
    /// Bit i: the event is one that exclusion i names.
    pub exclusions: u32,
    /// Code of the value the event chose (an integration, say), [`NO_VALUE`] if none. Read only by the `each` breakdown.
    pub value: u32,
    /// Whether the event breaks a strict funnel when it stands between two of its steps (rule 10).
    pub in_scope: bool,
    /// Whether the event says why a subject stopped: an error, a denial, an exit (rule 20).
    pub is_reason: bool,
}

impl Row {
    /// A row at `at_us` that does nothing.
    pub fn at(at_us: i64) -> Row {
        Row {
            at_us,
            steps: 0,
            outcomes: 0,
            exclusions: 0,
            value: NO_VALUE,
            in_scope: false,
            is_reason: false,
        }
    }

    /// A row at `at_us` that satisfies step `step` alone.
    pub fn step(at_us: i64, step: usize) -> Row {
        Row {
            steps: 1 << step,
            in_scope: true,
            ..Row::at(at_us)
        }
    }
}

/// The events of one subject: its rows, and the values of the fields held constant (rule 13).
#[derive(Debug, Clone, Copy)]
pub struct Events<'a> {
    /// The rows, ordered by time.
    pub rows: &'a [Row],
    /// [`crate::Rules::held`] codes a row, row after row; [`NO_VALUE`] where the event lacks the field. Empty if nothing is held.
    pub held: &'a [u32],
}

impl<'a> From<&'a [Row]> for Events<'a> {
    fn from(rows: &'a [Row]) -> Events<'a> {
        Events { rows, held: &[] }
    }
}

impl<'a> From<&'a Vec<Row>> for Events<'a> {
    fn from(rows: &'a Vec<Row>) -> Events<'a> {
        rows.as_slice().into()
    }
}

impl<'a, const N: usize> From<&'a [Row; N]> for Events<'a> {
    fn from(rows: &'a [Row; N]) -> Events<'a> {
        rows.as_slice().into()
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
