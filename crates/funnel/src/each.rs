//! The `each` breakdown (rule 17): a subject chose several values on its way; under value v it is matched with v held
//! constant, by the clock of its own first entry. So "converted under v" means linked with v, and a failure at one value
//! followed by success at another counts as both.

use crate::entry::{Chain, Clock, Entry, Scratch};
use crate::speak::find;
use crate::{NO_VALUE, Row, Rules, Span};

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

/// The entry under `value`: rows that chose another value do not exist, rows that chose none fit. `clock` is that of the
/// subject's own entry, found without the value; times run from it. None if no step-1 event inside the window fits the
/// value. Rows are named by their index in `rows`.
///
/// Cost: linear in the rows of the window, for each value.
pub fn speak_holding<'s>(
    rules: &Rules,
    rows: &[Row],
    span: &Span,
    clock: &Clock,
    value: u32,
    scratch: &'s mut Scratch,
) -> Option<Entry<'s>> {
    let mut held = std::mem::take(&mut scratch.held);
    let mut held_from = std::mem::take(&mut scratch.held_from);
    held.clear();
    held_from.clear();
    for index in clock.window.clone() {
        let row = rows[index];
        if row.value == value || row.value == NO_VALUE {
            held.push(row);
            held_from.push(index);
        }
    }
    let found = find(rules, &held, 0, scratch);
    name_rows(&mut scratch.chain, &held_from);
    (scratch.held, scratch.held_from) = (held, held_from);
    Some(Entry::judge(
        rules,
        span,
        clock.clone(),
        found?,
        &scratch.chain,
    ))
}

/// From places among the held rows to places among the rows given.
fn name_rows(chain: &mut Chain, held_from: &[usize]) {
    let mut left = chain.reached;
    while left != 0 {
        let row = &mut chain.rows[left.trailing_zeros() as usize];
        *row = held_from[*row];
        left &= left - 1;
    }
}
