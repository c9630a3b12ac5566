//! What it would have taken: the matcher asked again with rules changed, for [`crate::explain`].

use std::cmp::Reverse;
use std::ops::Range;

use crate::constrained::gaps_us;
use crate::explain::{Block, Explained, MAX_REFUSED, Refused, Why};
use crate::speak::find;
use crate::{Clock, Events, NO_VALUE, Order, Row, Rules, Scratch, Ties, TooManyHoldings};

/// Longest list of events in between of which each is put back to see whether it is needed.
const MAX_TIGHTENED: usize = 64;

/// An entry that did not convert, and the events it could have used.
pub(crate) struct Asked<'a> {
    rules: &'a Rules,
    /// The events, of which only one begins an entry.
    events: Events<'a>,
    clock: Clock,
    furthest: usize,
    furthest_us: i64,
    /// The rows that its required steps use.
    used: Vec<usize>,
}

/// Rules as they are asked about for one row: those that hold, or some of them lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    window_us: i64,
    min_gap_us: Option<i64>,
    max_gap_us: Option<i64>,
    ties: Ties,
    /// Rows that may be passed over though the rules forbid it.
    unblocked: Vec<usize>,
    /// Held fields of which the row's value is not looked at.
    blanked: Vec<usize>,
    /// Whether the row is there twice.
    is_doubled: bool,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(rules: &'a Rules, events: Events<'a>, told: &Explained) -> Asked<'a> {
        // Optional steps let go of an event that a required one can use.
        let required = rules.required().iter();
        let used: Vec<usize> = required.filter_map(|&step| told.rows[step]).collect();
        let furthest = told.rows[told.furthest].expect("the furthest step was reached by a row");
        Asked {
            rules,
            events,
            clock: told.clock.clone(),
            furthest: told.furthest,
            furthest_us: events.rows[furthest].at_us,
            used,
        }
    }

    fn is_free(&self) -> bool {
        matches!(self.rules.order(), Order::Unordered { .. })
    }

    /// Whether it is worth asking why a row was not used: not if an earlier step used it.
    fn could_ask_for(&self, row: usize) -> bool {
        self.is_free()
            || self.events.rows[row].at_us == self.furthest_us
            || !self.used.contains(&row)
    }

    /// Whether the entry gets further than it did, under other rules and rows.
    fn advances(
        &self,
        rules: &Rules,
        events: Events<'_>,
        clock_row: usize,
        scratch: &mut Scratch,
    ) -> Result<bool, TooManyHoldings> {
        let window = Clock::start(rules, events.rows, clock_row).window;
        let clock_us = self.clock.us;
        if !find(rules, events, window, clock_us, scratch)? {
            return Ok(false);
        }
        let reached = scratch.chain.reached & rules.required_mask();
        Ok(reached.ilog2() as usize > self.furthest)
    }

    /// The required steps any of which would take the entry further: asked with an event more, at the end of its window.
    fn waits_for(&self, scratch: &mut Scratch) -> Result<Vec<usize>, TooManyHoldings> {
        if !self.is_free() {
            let required = self.rules.required();
            let level = required.partition_point(|&step| step <= self.furthest);
            return Ok(vec![required[level]]);
        }
        let mut steps = Vec::new();
        for &step in self.rules.required() {
            let mut rows = self.events.rows[..self.clock.window.end].to_vec();
            let last_us = rows[rows.len() - 1].at_us;
            rows.push(Row::step(last_us, step));
            let events = Events::from(&rows);
            if self.advances(self.rules, events, self.clock.row, scratch)? {
                steps.push(step);
            }
        }
        Ok(steps)
    }

    /// The rows of which only `row` takes the step asked about, up to its instant or the window's end.
    fn isolated(&self, steps: u64, row: usize) -> Vec<Row> {
        let all = self.events.rows;
        let instant_end = all.partition_point(|other| other.at_us <= all[row].at_us);
        let mut rows = all[..self.clock.window.end.max(instant_end)].to_vec();
        for (at, other) in rows.iter_mut().enumerate().filter(|(at, _)| *at != row) {
            match self.is_free() {
                false => other.steps &= !steps,
                true if at >= self.clock.window.end => other.steps = 0,
                true => {}
            }
        }
        rows
    }
}

/// Tells what the entry waited for, and why each event that takes it was refused.
pub(crate) fn refused(
    asked: &Asked<'_>,
    told: &mut Explained,
    scratch: &mut Scratch,
) -> Result<(), TooManyHoldings> {
    told.waits_for = asked.waits_for(scratch)?;
    let steps = told
        .waits_for
        .iter()
        .fold(0, |mask, step| mask | 1_u64 << step);
    let rows = asked.events.rows;
    let mut takers: Vec<usize> = (0..rows.len())
        .filter(|&row| rows[row].steps & steps != 0 && asked.could_ask_for(row))
        .collect();
    // What came after first; of what came before, the latest first.
    takers.sort_by_key(|&row| match rows[row].at_us >= asked.furthest_us {
        true => (false, row, Reverse(0)),
        false => (true, 0, Reverse(row)),
    });
    told.refused_left_out = takers.len().saturating_sub(MAX_REFUSED);
    for row in takers.into_iter().take(MAX_REFUSED) {
        let taker = Taker::new(asked, steps, row);
        let why = taker.why(scratch)?;
        if !why.is_empty() {
            told.refused.push(Refused { row, why });
        }
    }
    Ok(())
}

/// One row that takes the step an entry waits for.
struct Taker<'a> {
    asked: &'a Asked<'a>,
    /// The required step it would take, where the order is not free.
    step: usize,
    row: usize,
    rows: Vec<Row>,
}

impl<'a> Taker<'a> {
    fn new(asked: &'a Asked<'a>, steps: u64, row: usize) -> Taker<'a> {
        let rows = asked.isolated(steps, row);
        Taker {
            asked,
            step: steps.trailing_zeros() as usize,
            row,
            rows,
        }
    }

    fn why(&self, scratch: &mut Scratch) -> Result<Vec<Why>, TooManyHoldings> {
        let (holds, mut change) = (self.nothing_lifted(), self.all_lifted());
        if !self.works(&change, scratch)? {
            // What the row says of held fields may itself be what keeps the entry together.
            change.blanked.clear();
            if !self.works(&change, scratch)? {
                return Ok(self.why_never());
            }
        }
        // Again while it helps: with fewer held fields left out of account, fewer events may stand in the way.
        loop {
            let before = change.clone();
            self.put_back(&holds, &mut change, scratch)?;
            self.tighten_lists(&mut change, scratch)?;
            self.tighten_gaps(&holds, &mut change, scratch)?;
            if change == before {
                return Ok(self.in_words(&holds, &change));
            }
        }
    }

    /// Puts back each rule without which the change still works.
    fn put_back(
        &self,
        holds: &Change,
        change: &mut Change,
        scratch: &mut Scratch,
    ) -> Result<(), TooManyHoldings> {
        let resets: [fn(&mut Change, &Change); 7] = [
            |to, from| to.is_doubled = from.is_doubled,
            |to, from| to.blanked.clone_from(&from.blanked),
            |to, from| to.ties = from.ties,
            |to, from| to.min_gap_us = from.min_gap_us,
            |to, from| to.max_gap_us = from.max_gap_us,
            |to, from| to.unblocked.clone_from(&from.unblocked),
            |to, from| to.window_us = from.window_us,
        ];
        for reset in resets {
            let mut tighter = change.clone();
            reset(&mut tighter, holds);
            if tighter != *change && self.works(&tighter, scratch)? {
                *change = tighter;
            }
        }
        Ok(())
    }

    fn rule(&self) -> crate::StepRule {
        self.asked.rules.steps()[self.step]
    }

    fn at_us(&self) -> i64 {
        self.rows[self.row].at_us
    }

    fn nothing_lifted(&self) -> Change {
        Change {
            window_us: self.asked.rules.window_us(),
            min_gap_us: self.rule().min_gap_us,
            max_gap_us: self.rule().max_gap_us,
            ties: self.asked.rules.ties(),
            unblocked: Vec::new(),
            blanked: Vec::new(),
            is_doubled: false,
        }
    }

    fn all_lifted(&self) -> Change {
        let since_us = self.at_us().saturating_sub(self.asked.clock.us);
        Change {
            window_us: self.asked.rules.window_us().max(since_us),
            min_gap_us: None,
            max_gap_us: None,
            ties: Ties::AnyOrder,
            unblocked: self.blockers(),
            blanked: (0..self.asked.rules.held()).collect(),
            is_doubled: self.asked.used.contains(&self.row),
        }
    }

    /// The level that the step is.
    fn level(&self) -> usize {
        let required = self.asked.rules.required();
        required.partition_point(|&step| step < self.step)
    }

    /// The rows between the entry's furthest step and this one that may not be passed over on the way to it.
    fn blockers(&self) -> Vec<usize> {
        if self.asked.is_free() {
            return Vec::new();
        }
        let between: Range<i64> = self.asked.furthest_us.saturating_add(1)..self.at_us();
        let level = self.level();
        let blocks = |row: &Row| self.asked.rules.blocks(row) >> level & 1 == 1;
        (0..self.rows.len())
            .filter(|&at| between.contains(&self.rows[at].at_us) && blocks(&self.rows[at]))
            .collect()
    }

    fn rules_of(&self, change: &Change) -> Rules {
        let mut spec = self.asked.rules.spec().clone();
        spec.window_us = change.window_us;
        spec.ties = change.ties;
        if !self.asked.is_free() {
            spec.steps[self.step].min_gap_us = change.min_gap_us;
            spec.steps[self.step].max_gap_us = change.max_gap_us;
        }
        Rules::without(spec, self.asked.rules.bypassed())
    }

    /// Whether the entry goes on with this row under a change.
    fn works(&self, change: &Change, scratch: &mut Scratch) -> Result<bool, TooManyHoldings> {
        let mut rows = self.rows.clone();
        for &row in &change.unblocked {
            rows[row].exclusions = 0;
            rows[row].in_scope = false;
        }
        let mut held = self.asked.events.held.to_vec();
        let width = self.asked.rules.held();
        for &field in &change.blanked {
            held[self.row * width + field] = NO_VALUE;
        }
        let mut clock_row = self.asked.clock.row;
        if change.is_doubled {
            rows.insert(self.row, rows[self.row]);
            let own = held[self.row * width..(self.row + 1) * width].to_vec();
            held.splice(self.row * width..self.row * width, own);
            clock_row += usize::from(self.row < clock_row);
        }
        let events = Events {
            rows: &rows,
            held: &held[..rows.len() * width],
        };
        let rules = self.rules_of(change);
        self.asked.advances(&rules, events, clock_row, scratch)
    }

    /// Why a row cannot be used whatever rule is lifted: it came before its turn. Nothing of one that takes no step where it
    /// stands: the first step of a pinned funnel, later than the clock.
    fn why_never(&self) -> Vec<Why> {
        let turn_us = match self.asked.is_free() {
            true => self.asked.clock.us,
            false => self.asked.furthest_us,
        };
        match turn_us.checked_sub(self.at_us()) {
            Some(by_us @ 0..) if !self.asked.is_free() || by_us > 0 => vec![Why::Before {
                by_us: by_us.unsigned_abs(),
            }],
            _ => Vec::new(),
        }
    }

    /// Puts back each row and each field without which the change still works.
    fn tighten_lists(
        &self,
        change: &mut Change,
        scratch: &mut Scratch,
    ) -> Result<(), TooManyHoldings> {
        // Of the rows the last so many are needed at least: those after the latest place to come from.
        let (mut enough, mut too_few) = (change.unblocked.len(), 0);
        while enough - too_few > 1 {
            let middle = usize::midpoint(enough, too_few);
            let mut tighter = change.clone();
            tighter.unblocked.drain(..change.unblocked.len() - middle);
            match self.works(&tighter, scratch)? {
                true => enough = middle,
                false => too_few = middle,
            }
        }
        change.unblocked.drain(..change.unblocked.len() - enough);
        self.tighten(change, |change| &mut change.unblocked, scratch)?;
        self.tighten(change, |change| &mut change.blanked, scratch)
    }

    fn tighten(
        &self,
        change: &mut Change,
        list: fn(&mut Change) -> &mut Vec<usize>,
        scratch: &mut Scratch,
    ) -> Result<(), TooManyHoldings> {
        let mut at = 0;
        while at < list(change).len() && list(change).len() <= MAX_TIGHTENED {
            let mut tighter = change.clone();
            list(&mut tighter).remove(at);
            match self.works(&tighter, scratch)? {
                true => *change = tighter,
                false => at += 1,
            }
        }
        Ok(())
    }

    /// Where a gap had to be lifted, finds the one nearest to the rule's that would have done.
    fn tighten_gaps(
        &self,
        holds: &Change,
        change: &mut Change,
        scratch: &mut Scratch,
    ) -> Result<(), TooManyHoldings> {
        if change.min_gap_us == holds.min_gap_us && change.max_gap_us == holds.max_gap_us {
            return Ok(());
        }
        let level = self.level();
        let before = 1 << self.asked.rules.required()[level - 1];
        let (min_us, max_us) = gaps_us(self.asked.rules, level);
        let gaps_us = self.rows.iter().filter(|row| row.steps & before != 0);
        let mut gaps_us: Vec<u64> = gaps_us
            .filter(|row| row.at_us <= self.at_us())
            .map(|row| self.at_us().abs_diff(row.at_us))
            .collect();
        gaps_us.sort_unstable();
        gaps_us.dedup();
        let as_rule = |gap_us: u64| i64::try_from(gap_us).ok();
        if change.max_gap_us != holds.max_gap_us {
            let longer: Vec<u64> = gaps_us
                .iter()
                .copied()
                .filter(|gap| *gap > max_us)
                .collect();
            let set = |change: &mut Change, gap_us| change.max_gap_us = as_rule(gap_us);
            self.first_that_works(change, &longer, set, scratch)?;
        }
        if change.min_gap_us != holds.min_gap_us {
            let shorter: Vec<u64> = gaps_us
                .into_iter()
                .rev()
                .filter(|gap| *gap < min_us)
                .collect();
            let set = |change: &mut Change, gap_us| change.min_gap_us = as_rule(gap_us);
            self.first_that_works(change, &shorter, set, scratch)?;
        }
        Ok(())
    }

    /// Of gaps of which a later one never does worse, takes the first that works.
    fn first_that_works(
        &self,
        change: &mut Change,
        gaps_us: &[u64],
        set: impl Fn(&mut Change, u64),
        scratch: &mut Scratch,
    ) -> Result<(), TooManyHoldings> {
        let (mut works, mut too_little) = (gaps_us.len(), 0);
        while too_little < works {
            let middle = usize::midpoint(works, too_little);
            let mut tighter = change.clone();
            set(&mut tighter, gaps_us[middle]);
            match self.works(&tighter, scratch)? {
                true => works = middle,
                false => too_little = middle + 1,
            }
        }
        if let Some(&gap_us) = gaps_us.get(works) {
            set(change, gap_us);
        }
        Ok(())
    }

    fn in_words(&self, holds: &Change, change: &Change) -> Vec<Why> {
        let mut why = Vec::new();
        if change.window_us != holds.window_us {
            let last_us = self.asked.rules.last_us(self.asked.clock.us);
            let by_us = self.at_us().abs_diff(last_us);
            why.push(Why::AfterWindow { by_us });
        }
        if !change.unblocked.is_empty() {
            let by = change.unblocked.iter().map(|&row| self.block(row));
            why.push(Why::Blocked { by: by.collect() });
        }
        if let (Some(rule_us), true) = (holds.max_gap_us, change.max_gap_us != holds.max_gap_us) {
            let gap_us = change.max_gap_us.unwrap_or(i64::MAX);
            let by_us = gap_us.abs_diff(rule_us);
            why.push(Why::TooLate { by_us });
        }
        if let (Some(rule_us), true) = (holds.min_gap_us, change.min_gap_us != holds.min_gap_us) {
            let by_us = rule_us.abs_diff(change.min_gap_us.unwrap_or(0));
            why.push(Why::TooEarly { by_us });
        }
        if change.is_doubled {
            why.push(Why::Used);
        }
        if change.ties != holds.ties {
            why.push(Why::SameInstant);
        }
        if !change.blanked.is_empty() {
            let fields = change.blanked.clone();
            why.push(Why::OtherValue { fields });
        }
        why
    }

    fn block(&self, row: usize) -> Block {
        let rules = self.asked.rules;
        let level = self.level();
        let names = |exclusion: &usize| {
            let rule = rules.spec().exclusions[*exclusion];
            let required = rules.required();
            self.rows[row].exclusions >> exclusion & 1 == 1
                && rule.after <= required[level - 1]
                && required[level] <= rule.before
        };
        let exclusion = (0..rules.spec().exclusions.len()).find(names);
        Block { row, exclusion }
    }
}
