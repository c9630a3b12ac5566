//! Steps in any order (rule 10): an entry reaches k of n when distinct events inside its window serve k different steps.
//!
//! Sets of events that distinct steps can be found for are the independent sets of a matroid (Edmonds and Fulkerson 1965), so
//! greed is exact. Taking events as they come, and keeping each for which an augmenting path frees a step, the k-th one kept
//! is the first moment at which k steps are served. Under `best` the events are taken from the last to the first: a new,
//! earlier one takes the place of the latest it can replace, and then the kept ones that lie inside a window tell, sorted,
//! when the entry that begins here gets how far.
//!
//! Cost: an event is looked at once; at most 64 are kept, and a search visits each of 64 steps once at most.

use crate::entry::Chain;
use crate::rules::MAX_STEPS;
use crate::{Row, Rules, Span};

const NOBODY: u8 = u8::MAX;

/// The events kept, each serving a step of its own.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    /// The steps that are served.
    steps: u64,
    /// By step: the event's mask, time and row.
    events: [Event; MAX_STEPS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Event {
    mask: u64,
    at_us: i64,
    row: usize,
}

/// A search for a step to free: the steps seen, and from which one each was reached.
struct Search {
    seen: u64,
    from: [u8; MAX_STEPS],
}

impl Default for Served {
    fn default() -> Served {
        Served {
            steps: 0,
            events: [Event::default(); MAX_STEPS],
        }
    }
}

impl Served {
    fn clear(&mut self) {
        self.steps = 0;
    }

    /// Keeps the event if a step can be freed for it.
    fn add(&mut self, event: Event) -> bool {
        let search = self.search(event.mask);
        let free = search.seen & !self.steps;
        if free == 0 {
            return false;
        }
        self.shift(&search, free.trailing_zeros() as usize, event);
        true
    }

    /// Keeps the event, in the place of the latest that it can replace if it must; later events must have been added before.
    fn add_or_replace(&mut self, event: Event) {
        if event.mask == 0 {
            return;
        }
        let search = self.search(event.mask);
        let free = search.seen & !self.steps;
        let step = match free {
            0 => bits(search.seen)
                .max_by_key(|&step| (self.events[step].at_us, self.events[step].row))
                .expect("an event that serves some step sees one"),
            _ => free.trailing_zeros() as usize,
        };
        self.shift(&search, step, event);
    }

    /// The steps that could be freed for an event of this mask; ends at the first that is free already.
    fn search(&self, mask: u64) -> Search {
        let mut search = Search {
            seen: mask,
            from: [NOBODY; MAX_STEPS],
        };
        let mut open = mask;
        while open != 0 && search.seen & !self.steps == 0 {
            let step = open.trailing_zeros();
            open &= open - 1;
            let new = self.events[step as usize].mask & !search.seen;
            for next in bits(new) {
                search.from[next] = u8::try_from(step).expect("a step is below 64");
            }
            search.seen |= new;
            open |= new;
        }
        search
    }

    /// Gives `step` to the event before it on the path, and so on back to the new event.
    fn shift(&mut self, search: &Search, step: usize, event: Event) {
        let mut at = step;
        while search.from[at] != NOBODY {
            let before = usize::from(search.from[at]);
            self.events[at] = self.events[before];
            at = before;
        }
        self.events[at] = event;
        self.steps |= 1 << step;
    }
}

/// Finds how far the rows `rows[first..]` of the window that begins at `clock_us` get.
pub(crate) fn walk(
    rules: &Rules,
    rows: &[Row],
    first: usize,
    clock_us: i64,
    chain: &mut Chain,
    served: &mut Served,
) {
    served.clear();
    let steps = rules.steps().len();
    let mut kept = 0;
    for (row, event) in rows.iter().enumerate().skip(first) {
        if event.steps == 0 {
            continue;
        }
        let mask = usable(rules, event, clock_us);
        let at_us = event.at_us;
        if served.add(Event { mask, at_us, row }) {
            chain.set(kept, at_us, row);
            kept += 1;
            if kept == steps {
                return;
            }
        }
    }
}

/// The steps an event may serve in an entry that begins at `clock_us`.
fn usable(rules: &Rules, row: &Row, clock_us: i64) -> u64 {
    let later = row.at_us != clock_us && rules.begins() == 1;
    row.steps & rules.required_mask() & !u64::from(later)
}

/// Finds the entry of the range that gets furthest, then completes earliest, then begins earliest; nothing is set if none does.
pub(crate) fn best(
    rules: &Rules,
    rows: &[Row],
    span: &Span,
    chain: &mut Chain,
    served: &mut Served,
) {
    served.clear();
    let from = rows.partition_point(|row| row.at_us < span.from_us);
    let mut end = rows.len();
    let mut found: Option<(usize, i64)> = None;
    while end > from {
        let at_us = rows[end - 1].at_us;
        let begin = from + rows[from..end].partition_point(|row| row.at_us < at_us);
        let begins = |row: &Row| row.steps & rules.begins() != 0;
        if at_us < span.to_us && rows[begin..end].iter().any(begins) {
            let mut here = served.clone();
            add_instant(rules, rows, begin, end, at_us, &mut here);
            let (events, reach) = inside(&here, rules.last_us(at_us));
            let completed_us = events[reach - 1].at_us;
            let is_better = found.is_none_or(|(furthest, earliest_us)| {
                (furthest, std::cmp::Reverse(earliest_us))
                    <= (reach, std::cmp::Reverse(completed_us))
            });
            if is_better {
                found = Some((reach, completed_us));
                chain.clear();
                for (step, event) in events[..reach].iter().enumerate() {
                    chain.set(step, event.at_us, event.row);
                }
            }
        }
        // For entries that begin earlier: there these events are not the first.
        add_instant(rules, rows, begin, end, i64::MIN, served);
        end = begin;
    }
}

fn add_instant(
    rules: &Rules,
    rows: &[Row],
    begin: usize,
    end: usize,
    clock_us: i64,
    served: &mut Served,
) {
    for row in (begin..end).rev() {
        let mask = usable(rules, &rows[row], clock_us);
        let at_us = rows[row].at_us;
        served.add_or_replace(Event { mask, at_us, row });
    }
}

/// The events kept up to `last_us`, by time, and how many they are.
fn inside(served: &Served, last_us: i64) -> ([Event; MAX_STEPS], usize) {
    let mut events = [Event::default(); MAX_STEPS];
    let mut count = 0;
    for step in bits(served.steps).filter(|&step| served.events[step].at_us <= last_us) {
        events[count] = served.events[step];
        count += 1;
    }
    events[..count].sort_unstable_by_key(|event| (event.at_us, event.row));
    (events, count)
}

fn bits(mask: u64) -> impl Iterator<Item = usize> {
    (0..MAX_STEPS).filter(move |step| mask >> step & 1 == 1)
}
