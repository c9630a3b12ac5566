//! The `each` breakdown (rule 17): a subject chose several values on its way; under value v it is matched with v held
//! constant, by the clock of its own first entry. So "converted under v" means linked with v, and a failure at one value
//! followed by success at another counts as both.

use crate::entry::{Begun, Clock, Entry, Scratch};
use crate::speak::{find, search_best};
use crate::{Entries, Events, NO_VALUE, Row, Rules, Span, TooManyHoldings};

/// Puts into `values` the values chosen in `rows` (pass the rows of [`Clock::window`]), each once, ascending.
/// Empty: the subject stands under `(before choice)`.
pub fn chosen_values(rows: &[Row], values: &mut Vec<u32>) {
    values.clear();
    for row in rows {
        if row.value != NO_VALUE && values.last() != Some(&row.value) {
            values.push(row.value);
        }
    }
    values.sort_unstable();
    values.dedup();
}

/// The entry under one value: rows that do not fit it do not exist. `clock` is that of the subject's own entry, found without
/// the value; times run from it. None if no row that fits begins an entry inside the window. Rows are named by their index in
/// `events`.
///
/// Under [`Entries::Best`] any entry of the range may win under the value, and brings its own clock.
///
/// Cost: linear in the rows of the window, for each value.
///
/// # Errors
/// As [`crate::speak`].
pub fn speak_holding<'s, 'e>(
    rules: &Rules,
    events: impl Into<Events<'e>>,
    span: &Span,
    clock: &Clock,
    fits: impl Fn(usize) -> bool,
    scratch: &'s mut Scratch,
) -> Result<Option<Entry<'s>>, TooManyHoldings> {
    let events = events.into();
    let mut chosen = std::mem::take(&mut scratch.chosen);
    let is_best = rules.entries() == Entries::Best;
    let range = match is_best {
        true => 0..events.rows.len(),
        false => clock.window.clone(),
    };
    chosen.fill(rules, events, range, &fits);
    let found = match is_best {
        true => search_best(rules, chosen.events(), span, scratch).map(|found| {
            found.map(|(row, begun)| {
                let clock = Clock::start(rules, events.rows, chosen.origin(row));
                (clock, begun)
            })
        }),
        false => {
            let window = 0..chosen.rows.len();
            find(rules, chosen.events(), window, clock.us, scratch)
                .map(|found| found.then(|| (clock.clone(), Begun::at(clock.us))))
        }
    };
    chosen.rename(&mut scratch.chain);
    scratch.chosen = chosen;
    Ok(found?.map(|(clock, begun)| {
        let chain = &scratch.chain;
        Entry::judge(rules, events, &fits, span, clock, begun, chain)
    }))
}
