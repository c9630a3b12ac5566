//! What one subject counts as, and under which segments (semantics rules 5 and 17).
//!
//! The matcher of `linkfunnel_funnel` says how far it got; here is only decided which values it
//! stands under, and the matcher is asked again with each chosen value held constant.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use linkfunnel_funnel::{Clock, Entry, NO_VALUE, Row, Scratch, speak, speak_holding};
use linkfunnel_model::Moment;

use crate::columns::{ABSENT, Interner};
use crate::list::{Listed, Listing, Place};
use crate::numbers::{BucketCounts, Numbers};
use crate::operator::{ChoiceLimit, MAX_CHOICES, MAX_SEGMENTS, SegmentLimit};
use crate::plan::Plan;

/// One event that some rule can use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit {
    pub(crate) subject: i64,
    pub(crate) at_us: i64,
    pub(crate) seq: i64,
    pub(crate) event_key: i64,
    pub(crate) steps: u64,
    pub(crate) outcomes: u32,
    /// Whether it tells what the subject chose.
    pub(crate) is_choice: bool,
    /// Where its values begin in `Subject::values`.
    pub(crate) values: u32,
    /// Its ids in `Subject::ids`, for lists.
    pub(crate) ids: u32,
}

/// Codes of a segment as the words shown.
pub(crate) struct Labels<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) interner: &'a Interner,
}

impl Labels<'_> {
    pub(crate) fn of(&self, key: &[u32]) -> Vec<Arc<str>> {
        let label = |(dimension, code): (usize, &u32)| match self.interner.text(*code) {
            Some(text) => Arc::clone(text),
            None => self.plan.absent(dimension),
        };
        key.iter().enumerate().map(label).collect()
    }

    fn text(&self, code: u32) -> Option<&str> {
        self.interner.text(code).map(AsRef::as_ref)
    }
}

/// The events of one subject, in order.
pub(crate) struct Subject<'s> {
    pub(crate) root: i64,
    pub(crate) hits: &'s [Hit],
    /// A code per dimension for each hit.
    pub(crate) values: &'s [u32],
    /// Own id and company of hits that may start a clock, for lists.
    pub(crate) ids: &'s [(String, Option<String>)],
}

impl Subject<'_> {
    fn value(&self, hit: usize, dimension: usize) -> u32 {
        self.values[self.hits[hit].values as usize + dimension]
    }
}

/// Decides what each subject counts as and under which segments.
pub(crate) struct Judge {
    pub(crate) total: Numbers,
    pub(crate) groups: HashMap<Box<[u32]>, Numbers>,
    pub(crate) listing: Listing,
    pub(crate) without_entry: u64,
    /// Dimensions with a value chosen on the way.
    chosen: Vec<usize>,
    /// Whether a filter is on one of them.
    filters_choice: bool,
    scratch: Scratch,
    rows: Vec<Row>,
    /// Bytes one group takes, roughly.
    group_bytes: usize,
}

impl Judge {
    pub(crate) fn new(plan: &Plan) -> Judge {
        let chosen: Vec<usize> = (0..plan.dimensions.len())
            .filter(|d| plan.dimensions[*d].moment == Moment::Chosen)
            .collect();
        let filters_choice = plan.filters.iter().any(|f| chosen.contains(&f.dimension));
        let group_bytes =
            512 + plan.rules.steps().len() * 512 + plan.buckets.len() * size_of::<BucketCounts>();
        Judge {
            total: Numbers::new(plan),
            groups: HashMap::new(),
            listing: Listing::default(),
            without_entry: 0,
            chosen,
            filters_choice,
            scratch: Scratch::default(),
            rows: Vec::new(),
            group_bytes,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.groups.len() * self.group_bytes
    }

    pub(crate) fn judge(
        &mut self,
        plan: &Plan,
        subject: &Subject<'_>,
        labels: &Labels<'_>,
    ) -> Result<()> {
        self.rows.clear();
        self.rows.extend(subject.hits.iter().map(|hit| Row {
            at_us: hit.at_us,
            steps: hit.steps,
            outcomes: hit.outcomes,
            value: NO_VALUE,
        }));
        let Some(entry) = speak(&plan.rules, &self.rows, &plan.span, &mut self.scratch) else {
            let did_later_steps = subject
                .hits
                .iter()
                .any(|h| h.steps != 0 && h.at_us < plan.span.to_us);
            self.without_entry += u64::from(did_later_steps);
            return Ok(());
        };
        let clock = entry.clock.clone();
        let known = known_values(plan, subject, &clock);
        let passes = |dimension: usize, code: u32| {
            let of_dimension = plan.filters.iter().filter(|f| f.dimension == dimension);
            let (source, text) = (&plan.dimensions[dimension].source, labels.text(code));
            of_dimension
                .into_iter()
                .all(|f| f.check.holds_text(source, text))
        };
        let is_chosen = |d: &usize| self.chosen.contains(d);
        if !(0..known.len())
            .filter(|d| !is_chosen(d))
            .all(|d| passes(d, known[d]))
        {
            return Ok(());
        }
        if self.chosen.is_empty() {
            let key = &known[..plan.breakdown];
            let mut sink = Sink {
                plan,
                labels,
                subject,
                total: &mut self.total,
                groups: &mut self.groups,
                listing: &mut self.listing,
            };
            sink.total(&entry);
            return if plan.breakdown > 0 {
                sink.group(key, 0, &entry)
            } else {
                Ok(())
            };
        }
        let mut choices = choices(&self.chosen, subject, &clock)
            .map_err(|limit| DataFusionError::External(Box::new(limit)))?;
        choices.retain(|c| self.chosen.iter().zip(c).all(|(d, code)| passes(*d, *code)));
        self.judge_choices(plan, subject, labels, &clock, &known, &choices)
    }

    /// Matches a subject under each of its choices that pass the filters.
    fn judge_choices(
        &mut self,
        plan: &Plan,
        subject: &Subject<'_>,
        labels: &Labels<'_>,
        clock: &Clock,
        known: &[u32],
        choices: &[Vec<u32>],
    ) -> Result<()> {
        let mut best = Best::default();
        for (i, choice) in choices.iter().enumerate() {
            let mut key = known.to_vec();
            for (dimension, code) in self.chosen.iter().zip(choice) {
                key[*dimension] = *code;
            }
            key.truncate(plan.breakdown);
            hold(&mut self.rows, subject, &self.chosen, choice);
            if let Some(entry) = under(plan, &self.rows, clock, &mut self.scratch) {
                best.offer(key, i, &entry);
            }
        }
        let mut sink = Sink {
            plan,
            labels,
            subject,
            total: &mut self.total,
            groups: &mut self.groups,
            listing: &mut self.listing,
        };
        // Without a filter on choices all count, each once; with one, under the best choice.
        let total = if self.filters_choice {
            best.total.map(|(_, i)| i)
        } else {
            None
        };
        if let Some(i) = total {
            hold(&mut self.rows, subject, &self.chosen, &choices[i]);
        } else {
            self.rows.iter_mut().for_each(|row| row.value = NO_VALUE);
        }
        if (total.is_some() || !self.filters_choice)
            && let Some(entry) = under(plan, &self.rows, clock, &mut self.scratch)
        {
            sink.total(&entry);
        }
        if plan.breakdown == 0 {
            return Ok(());
        }
        for (index, (key, (_, i))) in (0_u32..).zip(&best.keys) {
            hold(&mut self.rows, subject, &self.chosen, &choices[*i]);
            if let Some(entry) = under(plan, &self.rows, clock, &mut self.scratch) {
                sink.group(key, index, &entry)?;
            }
        }
        Ok(())
    }
}

/// The value of each dimension that a subject has one of; those chosen on the way are absent here.
fn known_values(plan: &Plan, subject: &Subject<'_>, clock: &Clock) -> Vec<u32> {
    let value = |d: usize| match plan.dimensions[d].moment {
        Moment::Entry => subject.value(clock.row, d),
        Moment::FirstInWindow => {
            let mut inside = clock.window.clone().map(|hit| subject.value(hit, d));
            inside.find(|code| *code != ABSENT).unwrap_or(ABSENT)
        }
        Moment::Chosen => ABSENT,
    };
    (0..plan.dimensions.len()).map(value).collect()
}

/// The combinations of values chosen inside the window, in order of first choice; one of absent
/// values when nothing was chosen. Combinations that fit together are joined: an event that names
/// the integration and a later one that adds the method are one choice.
fn choices(
    chosen: &[usize],
    subject: &Subject<'_>,
    clock: &Clock,
) -> Result<Vec<Vec<u32>>, ChoiceLimit> {
    let mut found: Vec<Vec<u32>> = Vec::new();
    for hit in clock
        .window
        .clone()
        .filter(|hit| subject.hits[*hit].is_choice)
    {
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

/// Both together, if they agree wherever both have a value.
fn join(a: &[u32], b: &[u32]) -> Option<Vec<u32>> {
    let one = |(a, b): (&u32, &u32)| match (*a, *b) {
        (ABSENT, other) | (other, ABSENT) => Some(other),
        (a, b) if a == b => Some(a),
        _ => None,
    };
    a.iter().zip(b).map(one).collect()
}

/// Marks the rows that do not fit the choice; an event without a value fits any.
fn hold(rows: &mut [Row], subject: &Subject<'_>, chosen: &[usize], choice: &[u32]) {
    for (hit, row) in rows.iter_mut().enumerate() {
        let fits = chosen.iter().zip(choice).all(|(d, code)| {
            let value = subject.value(hit, *d);
            *code == ABSENT || value == ABSENT || value == *code
        });
        row.value = if fits { NO_VALUE } else { MISFIT };
    }
}

const FIT: u32 = 0;
const MISFIT: u32 = 1;

/// The entry over the rows that fit, by the clock of the subject's own first entry.
fn under<'s>(
    plan: &Plan,
    rows: &[Row],
    clock: &Clock,
    scratch: &'s mut Scratch,
) -> Option<Entry<'s>> {
    speak_holding(&plan.rules, rows, &plan.span, clock, FIT, scratch)
}

/// How far an entry got, greater is better: furthest, then earliest.
type Rank = (usize, std::cmp::Reverse<Option<i64>>);

/// The best choice of all, and of each segment.
#[derive(Default)]
struct Best {
    total: Option<(Rank, usize)>,
    keys: Vec<(Vec<u32>, (Rank, usize))>,
}

impl Best {
    fn offer(&mut self, key: Vec<u32>, choice: usize, entry: &Entry<'_>) {
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

/// Where judged entries go.
struct Sink<'a> {
    plan: &'a Plan,
    labels: &'a Labels<'a>,
    subject: &'a Subject<'a>,
    total: &'a mut Numbers,
    groups: &'a mut HashMap<Box<[u32]>, Numbers>,
    listing: &'a mut Listing,
}

impl Sink<'_> {
    fn total(&mut self, entry: &Entry<'_>) {
        match &self.plan.list {
            None => self.total.update(self.plan, entry),
            Some(_) if self.plan.breakdown == 0 => self.list(&[], 0, entry),
            Some(_) => {}
        }
    }

    fn group(&mut self, key: &[u32], index: u32, entry: &Entry<'_>) -> Result<()> {
        if self.plan.list.is_some() {
            self.list(key, index, entry);
            return Ok(());
        }
        if let Some(numbers) = self.groups.get_mut(key) {
            numbers.update(self.plan, entry);
            return Ok(());
        }
        if self.groups.len() == MAX_SEGMENTS {
            return Err(DataFusionError::External(Box::new(SegmentLimit)));
        }
        let numbers = self
            .groups
            .entry(key.into())
            .or_insert_with(|| Numbers::new(self.plan));
        numbers.update(self.plan, entry);
        Ok(())
    }

    fn list(&mut self, key: &[u32], index: u32, entry: &Entry<'_>) {
        let Some(list) = &self.plan.list else {
            return;
        };
        if !list.counts(entry) {
            return;
        }
        let labels = self.labels.of(key);
        if !list.is_listed(&labels) {
            return;
        }
        self.listing.count += 1;
        let hit = &self.subject.hits[entry.clock.row];
        let place = Place {
            root: self.subject.root,
            subject: hit.subject,
            index,
        };
        if !list.is_on_page(place, self.listing.page.len()) {
            return;
        }
        let ids = self.subject.ids.get(hit.ids as usize).cloned();
        let (id, company) = ids.unwrap_or_default();
        let steps = self.plan.rules.steps().len();
        self.listing.page.push(Listed {
            place,
            id,
            company,
            clock_us: entry.clock.us,
            state: entry.state,
            furthest: entry.furthest,
            times_us: (0..steps).map(|step| entry.time_us(step)).collect(),
            outcome: entry.outcome,
            labels,
        });
    }
}
