//! What a funnel means, as code: the events of one subject go in, the entry that speaks for it comes out, and tallies of
//! many entries merge into the numbers of an answer. The rules are those of `semantics.md`; the numbers in the comments
//! ("rule 14") are its numbers.
//!
//! Pure: no I/O, no clock, no randomness, no Arrow. Same rows in, same entry out, whatever the order of arrival inside an
//! instant, the threads or the batches.
//!
//! Start reading at [`speak`], then [`Tally`].
//!
//! ```
//! use linkfunnel_funnel::{Row, Rules, Scratch, Span, Spec, State, StepRule, Tally, Times, speak};
//!
//! let steps = vec![StepRule::required(), StepRule::optional(), StepRule::required()];
//! let rules = Rules::new(Spec { steps, window_us: 60_000_000, ..Spec::default() })?;
//! let rows = [Row::step(0, 0), Row::step(5_000_000, 1), Row::step(9_000_000, 2)];
//! let span = Span { from_us: 0, to_us: 1_000_000, watermark_us: Some(70_000_000) };
//!
//! let mut scratch = Scratch::default();
//! let mut tally = Tally::new(&rules, Times::Kept);
//! let entry = speak(&rules, &rows, &span, &mut scratch)?.expect("step 1 is there");
//! assert_eq!(entry.state, State::Converted);
//! assert_eq!(entry.time_us(2), Some(9_000_000));
//! tally.update(&rules, &entry);
//! assert_eq!(tally.converted, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")
)]

mod best;
mod constrained;
mod each;
mod entry;
mod explain;
mod follow;
mod histogram;
mod hold;
mod holdings;
mod matching;
mod optional;
mod row;
mod rules;
mod speak;
mod tally;
mod unordered;
mod whatif;

pub use each::{chosen_values, speak_holding};
pub use entry::{Clock, Entry, Scratch, State};
pub use explain::{
    Block, Explained, Explanation, MAX_ENTRIES, MAX_REFUSED, Refused, Why, explain, explain_by,
};
pub use follow::{FOLLOW_MOMENTS, Follow, Moment};
pub use histogram::Histogram;
pub use holdings::{MAX_HOLDINGS, TooManyHoldings};
pub use row::{Events, NO_VALUE, Row, Span};
pub use rules::{
    Entries, Error, ExclusionRule, MAX_EXCLUSIONS, MAX_HELD, MAX_OUTCOMES, MAX_STEPS, OnExclude,
    Order, Rules, Spec, StepRule, Ties,
};
pub use speak::{RulesOf, first_clock, speak, speak_again, speak_all, speak_all_by};
pub use tally::{StepTally, Tally, Times};
