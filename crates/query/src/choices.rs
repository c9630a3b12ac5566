//! What a subject chose on its way: one or several combinations of values, and which of them got furthest (semantics rule 17).

use std::ops::Range;

use linkfunnel_funnel::Entry;

use crate::columns::ABSENT;
use crate::judge::Subject;
use crate::operator::{ChoiceLimit, MAX_CHOICES};

/// The combinations of values chosen inside the window, in order of first choice; one of absent
/// values when nothing was chosen. Combinations that fit together are joined: an event that names
/// the integration and a later one that adds the method are one choice.
pub(crate) fn choices(
    chosen: &[usize],
    subject: &Subject<'_>,
    window: Range<usize>,
) -> Result<Vec<Vec<u32>>, ChoiceLimit> {
    let mut found: Vec<Vec<u32>> = Vec::new();
    for hit in window.filter(|hit| subject.hits[*hit].is_choice) {
        let values: Vec<u32> = chosen.iter().map(|d| subject.value(hit, *d)).collect();
        if values.iter().all(|v| *v == ABSENT) || found.contains(&values) {
            continue;
        }
        let joined: Vec<Vec<u32>> = found
            .iter()
            .filter_map(|other| join(other, &values))
            .collect();
        found.extend(joined);
        found.push(values);
        if found.len() > MAX_CHOICES {
            return Err(ChoiceLimit);
        }
    }
    if found.is_empty() {
        return Ok(vec![vec![ABSENT; chosen.len()]]);
    }
    let is_part = |i: usize, other: &(usize, &Vec<u32>)| {
        let (j, whole) = *other;
        if *whole == found[i] {
            j < i
        } else {
            join(whole, &found[i]).as_ref() == Some(whole)
        }
    };
    let whole = |i: &usize| !found.iter().enumerate().any(|other| is_part(*i, &other));
    Ok((0..found.len())
        .filter(whole)
        .map(|i| found[i].clone())
        .collect())
}

/// Whether an event fits a choice; one without a value fits any.
pub(crate) fn fits(subject: &Subject<'_>, chosen: &[usize], choice: &[u32], hit: usize) -> bool {
    chosen.iter().zip(choice).all(|(source, code)| {
        let value = subject.value(hit, *source);
        *code == ABSENT || value == ABSENT || value == *code
    })
}

/// Both together, if they agree wherever both have a value.
fn join(a: &[u32], b: &[u32]) -> Option<Vec<u32>> {
    let one = |(a, b): (&u32, &u32)| match (*a, *b) {
        (ABSENT, other) | (other, ABSENT) => Some(other),
        (a, b) if a == b => Some(a),
        _ => None,
    };
    a.iter().zip(b).map(one).collect()
}

/// How far an entry got, greater is better: furthest, then earliest.
pub(crate) type Rank = (usize, std::cmp::Reverse<Option<i64>>);

/// The best choice of all, and of each segment.
#[derive(Default)]
pub(crate) struct Best {
    pub(crate) total: Option<(Rank, usize)>,
    pub(crate) keys: Vec<(Vec<u32>, (Rank, usize))>,
}

impl Best {
    pub(crate) fn offer(&mut self, key: Vec<u32>, choice: usize, entry: &Entry<'_>) {
        let rank = (
            entry.furthest,
            std::cmp::Reverse(entry.time_us(entry.furthest)),
        );
        if self.total.is_none_or(|(best, _)| rank > best) {
            self.total = Some((rank, choice));
        }
        match self.keys.iter_mut().find(|(other, _)| *other == key) {
            None => self.keys.push((key, (rank, choice))),
            Some((_, best)) if rank > best.0 => *best = (rank, choice),
            Some(_) => {}
        }
    }
}
