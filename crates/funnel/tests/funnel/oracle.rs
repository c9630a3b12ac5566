//! The matcher by exhaustive search: every way to serve the steps by distinct events is tried, the best is taken by the
//! words of the rules. Obviously right and slow; shares nothing with the crate but its types.

use linkfunnel_funnel::{Entries, Entry, Row, Rules, Span, State, Ties};

/// An entry, as far as order inside an instant may not change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) clock_us: i64,
    pub(crate) times_us: Vec<Option<i64>>,
    pub(crate) state: State,
    pub(crate) matured: bool,
    pub(crate) outcome: Option<usize>,
}

impl Said {
    pub(crate) fn of(rules: &Rules, entry: &Entry<'_>) -> Said {
        Said {
            clock_us: entry.clock.us,
            times_us: (0..rules.steps().len())
                .map(|step| entry.time_us(step))
                .collect(),
            state: entry.state,
            matured: entry.matured,
            outcome: entry.outcome,
        }
    }
}

/// Every entry that counts.
pub(crate) fn all(rules: &Rules, rows: &[Row], span: &Span) -> Vec<Said> {
    let mut said: Vec<Said> = Vec::new();
    let mut from_us = span.from_us;
    loop {
        let begins = |row: &&Row| row.steps & 1 == 1 && row.at_us >= from_us;
        let Some(clock_us) = rows.iter().filter(begins).map(|row| row.at_us).min() else {
            return said;
        };
        if clock_us >= span.to_us {
            return said;
        }
        let entry = within(rules, rows, span, clock_us).expect("step 1 is at the clock");
        let end_us = match entry.state {
            State::Converted => *entry.times_us.last().unwrap(),
            _ => Some(clock_us.saturating_add(rules.window_us())),
        };
        said.push(entry);
        if rules.entries() == Entries::Cohort || end_us == Some(i64::MAX) {
            return said;
        }
        from_us = end_us.unwrap() + 1;
    }
}

/// The entry under a clock that has been set.
pub(crate) fn within(rules: &Rules, rows: &[Row], span: &Span, clock_us: i64) -> Option<Said> {
    let since = |at_us: i64| i128::from(at_us) - i128::from(clock_us);
    let window = i128::from(rules.window_us());
    let inside: Vec<Row> = rows
        .iter()
        .copied()
        .filter(|row| (0..=window).contains(&since(row.at_us)))
        .collect();
    let mut chains = vec![];
    chains_from(rules, &inside, &mut vec![], &mut chains);
    let times = |chain: &Vec<usize>| {
        chain
            .iter()
            .map(|&row| inside[row].at_us)
            .collect::<Vec<_>>()
    };
    let best = chains.iter().min_by_key(|chain| {
        let times = times(chain);
        (
            usize::MAX - chain.len(),
            *times.last().unwrap(),
            times[0],
            times,
        )
    })?;
    let best_times = times(best);
    let times_us = chains
        .iter()
        .filter(|chain| times(chain) == best_times)
        .flat_map(|chain| with_optional(rules, &inside, chain))
        .max_by_key(|times| {
            let reached: Vec<bool> = times.iter().map(Option::is_some).collect();
            (reached, std::cmp::Reverse(times.clone()))
        })
        .unwrap();
    let converted = times_us.last().unwrap().is_some();
    let matured = span
        .watermark_us
        .is_some_and(|watermark_us| since(watermark_us) >= window);
    let state = match (converted, matured) {
        (true, _) => State::Converted,
        (false, true) => State::Dropped,
        (false, false) => State::Open,
    };
    let happened = |outcome: &usize| inside.iter().any(|row| row.outcomes >> outcome & 1 == 1);
    let outcome = (0..rules.outcomes()).find(happened).filter(|_| !converted);
    Some(Said {
        clock_us,
        times_us,
        state,
        matured,
        outcome,
    })
}

/// Every chain of rows for the required steps, of every length.
fn chains_from(rules: &Rules, rows: &[Row], chain: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    let Some(&step) = rules.required().get(chain.len()) else {
        return;
    };
    for row in 0..rows.len() {
        if chain.contains(&row) || rows[row].steps >> step & 1 == 0 {
            continue;
        }
        if let Some(&last) = chain.last() {
            let gap = rows[row].at_us - rows[last].at_us;
            let rule = rules.steps()[step];
            let too_near = gap < rule.min_gap_us.unwrap_or(0)
                || (rules.ties() == Ties::StrictIncrease && gap == 0);
            if too_near || rule.max_gap_us.is_some_and(|max| gap > max) {
                continue;
            }
        }
        chain.push(row);
        found.push(chain.clone());
        chains_from(rules, rows, chain, found);
        chain.pop();
    }
}

/// The times of every way to add the optional steps to a chain.
fn with_optional(rules: &Rules, rows: &[Row], chain: &[usize]) -> Vec<Vec<Option<i64>>> {
    let mut ways: Vec<(Vec<usize>, Vec<Option<i64>>)> = vec![(chain.to_vec(), vec![])];
    for (step, rule) in rules.steps().iter().enumerate() {
        let level = rules
            .required()
            .partition_point(|&required| required < step);
        let mut next = vec![];
        for (used, times) in ways {
            let with = |time| times.iter().copied().chain([time]).collect::<Vec<_>>();
            if !rule.optional {
                next.push((
                    used.clone(),
                    with(chain.get(level).map(|&row| rows[row].at_us)),
                ));
                continue;
            }
            next.push((used.clone(), with(None)));
            let after_us = chain.get(level - 1).map(|&row| rows[row].at_us);
            let before_us = chain.get(level).map_or(i64::MAX, |&row| rows[row].at_us);
            for (row, candidate) in rows.iter().enumerate() {
                let at_us = candidate.at_us;
                let fits = candidate.steps >> step & 1 == 1
                    && after_us.is_some_and(|after_us| after_us <= at_us && at_us <= before_us);
                if fits && !used.contains(&row) {
                    next.push(([&used[..], &[row]].concat(), with(Some(at_us))));
                }
            }
        }
        ways = next;
    }
    ways.into_iter().map(|(_, times)| times).collect()
}
