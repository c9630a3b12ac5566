//! What one subject counts as, and under which segments (semantics rules 5, 12, 14 and 17).
//!
//! The matcher of `linkfunnel_funnel` says how far it got; here is only decided which values it stands under, and the matcher is
//! asked again with each chosen value held constant. Which steps can be seen of it at all is decided in `observe`.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use linkfunnel_funnel::{
    Clock, Entries, Entry, Events, NO_VALUE, Row, Rules, Scratch, Span, State, TooManyHoldings,
    first_clock, speak_again, speak_all_by, speak_holding,
};
use linkfunnel_model::Attribution;

use crate::choices::{Best, choices, fits};
use crate::columns::{ABSENT, Interner};
use crate::gather::Gathered;
use crate::list::Listing;
use crate::numbers::{BucketCounts, Numbers, Reason};
use crate::observe::Observer;
use crate::plan::Plan;
use crate::sink::{Pass, Sink};
use crate::study::{Findings, Study};

/// One event that some rule can use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit {
    pub(crate) subject: i64,
    pub(crate) at_us: i64,
    pub(crate) seq: i64,
    pub(crate) event_key: i64,
    pub(crate) steps: u64,
    pub(crate) outcomes: u32,
    pub(crate) exclusions: u32,
    /// Where its values begin in `Subject::values`.
    pub(crate) values: u32,
    /// Where its whole numbers begin in `Subject::numbers`.
    pub(crate) numbers: u32,
    /// Its ids in `Subject::ids`, for lists.
    pub(crate) ids: u32,
    /// Whether it breaks a strict funnel.
    pub(crate) in_scope: bool,
    /// Whether it says why the subject stopped.
    pub(crate) is_reason: bool,
    /// Whether it tells what the subject chose.
    pub(crate) is_choice: bool,
    /// Whether it is of the population; others are kept only to be shown.
    pub(crate) is_counted: bool,
}

impl Hit {
    /// The event as the matcher reads it.
    pub(crate) fn row(&self) -> Row {
        Row {
            at_us: self.at_us,
            steps: self.steps,
            outcomes: self.outcomes,
            exclusions: self.exclusions,
            value: NO_VALUE,
            in_scope: self.in_scope,
            is_reason: self.is_reason,
        }
    }
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

    pub(crate) fn shared(&self, code: u32) -> Option<Arc<str>> {
        self.interner.text(code).cloned()
    }

    pub(crate) fn text(&self, code: u32) -> Option<&str> {
        self.interner.text(code).map(AsRef::as_ref)
    }
}

/// The events of one subject, in order.
pub(crate) struct Subject<'s> {
    pub(crate) root: i64,
    pub(crate) hits: &'s [Hit],
    /// A code per source of the plan for each hit.
    pub(crate) values: &'s [u32],
    /// A number per column of the plan for each hit.
    pub(crate) numbers: &'s [Option<i64>],
    /// Own id and company of the root's hits that take a step, for lists.
    pub(crate) ids: &'s [(String, Option<String>)],
}

impl Subject<'_> {
    pub(crate) fn value(&self, hit: usize, source: usize) -> u32 {
        self.values[self.hits[hit].values as usize + source]
    }

    /// A whole number of an event, by its place in the plan's.
    pub(crate) fn number(&self, hit: usize, number: usize) -> Option<i64> {
        self.numbers[self.hits[hit].numbers as usize + number]
    }
}

/// Decides what each subject counts as and under which segments.
pub(crate) struct Judge {
    pub(crate) total: Numbers,
    pub(crate) groups: HashMap<Box<[u32]>, Numbers>,
    pub(crate) listing: Listing,
    /// The subject asked for, under each of its roots.
    pub(crate) gathered: Vec<Gathered>,
    pub(crate) findings: Findings,
    pub(crate) without_entry: u64,
    /// Dimensions with a value chosen on the way, and their sources.
    chosen: Vec<usize>,
    chosen_sources: Vec<usize>,
    /// Whether a filter is on one of them.
    filters_choice: bool,
    pub(crate) observer: Observer,
    pub(crate) scratch: Scratch,
    rows: Vec<Row>,
    held: Vec<u32>,
    clocks: Vec<Clock>,
    /// Bytes one group takes, roughly.
    group_bytes: usize,
}

/// What is asked of one subject at the moment.
struct Case<'c> {
    plan: &'c Plan,
    subject: &'c Subject<'c>,
    labels: &'c Labels<'c>,
    events: Events<'c>,
    span: Span,
    pass: Pass,
}

impl Judge {
    pub(crate) fn new(plan: &Plan) -> Judge {
        let chosen: Vec<usize> = (0..plan.dimensions.len())
            .filter(|d| plan.dimensions[*d].attribution == Attribution::Each)
            .collect();
        let filters_choice = plan.filters.iter().any(|f| chosen.contains(&f.dimension));
        let group_bytes = 512
            + plan.rules.steps().len() * 512
            + plan.buckets.len() * size_of::<BucketCounts>()
            + plan.study.as_ref().map_or(0, Study::group_bytes);
        Judge {
            total: Numbers::new(plan),
            groups: HashMap::new(),
            listing: Listing::default(),
            gathered: Vec::new(),
            findings: Findings::default(),
            without_entry: 0,
            chosen_sources: chosen.iter().map(|d| plan.dimensions[*d].source).collect(),
            chosen,
            filters_choice,
            observer: Observer::default(),
            scratch: Scratch::default(),
            rows: Vec::new(),
            held: Vec::new(),
            clocks: Vec::new(),
            group_bytes,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.groups.len() * self.group_bytes + self.findings.bytes()
    }

    pub(crate) fn judge(
        &mut self,
        plan: &Plan,
        subject: &Subject<'_>,
        labels: &Labels<'_>,
    ) -> Result<()> {
        if let Some(wanted) = &plan.wanted {
            return self.gather(plan, wanted, subject, labels);
        }
        let (rows, held) = self.load(plan, subject);
        let Some(clock) = first_clock(&plan.rules, &rows, &plan.span) else {
            let did_later_steps = subject
                .hits
                .iter()
                .any(|h| h.steps != 0 && h.at_us < plan.span.to_us);
            self.without_entry += u64::from(did_later_steps);
            (self.rows, self.held) = (rows, held);
            return Ok(());
        };
        let events = Events {
            rows: &rows,
            held: &held,
        };
        let mut case = Case {
            plan,
            subject,
            labels,
            events,
            span: plan.span,
            pass: Pass::Whole { listed: 0 },
        };
        self.judge_entries(&mut case, &clock)?;
        if plan.rules.entries() == Entries::Best {
            self.judge_buckets(&mut case)?;
        }
        (self.rows, self.held) = (rows, held);
        Ok(())
    }

    /// The events as the matcher reads them.
    pub(crate) fn load(&mut self, plan: &Plan, subject: &Subject<'_>) -> (Vec<Row>, Vec<u32>) {
        let (mut rows, mut held) = (
            std::mem::take(&mut self.rows),
            std::mem::take(&mut self.held),
        );
        rows.clear();
        held.clear();
        rows.extend(subject.hits.iter().map(Hit::row));
        for hit in 0..subject.hits.len() {
            held.extend(plan.held.iter().map(|source| subject.value(hit, *source)));
        }
        (rows, held)
    }

    /// Judges every entry of the case's span that counts.
    fn judge_entries(&mut self, case: &mut Case<'_>, first: &Clock) -> Result<()> {
        let mut clocks = std::mem::take(&mut self.clocks);
        clocks.clear();
        if case.plan.rules.entries() == Entries::Cohort {
            clocks.push(first.clone());
        } else {
            let take = |entry: Entry<'_>| clocks.push(entry.clock);
            let (rules, events, span) = (&case.plan.rules, case.events, case.span);
            let observer = &mut self.observer;
            let mut rules_of = |clock: &Clock| case.rules_of(clock, observer);
            let scratch = &mut self.scratch;
            speak_all_by(rules, &mut rules_of, events, &span, scratch, take).map_err(too_many)?;
        }
        for clock in &clocks {
            self.judge_entry(case, clock)?;
        }
        self.clocks = clocks;
        Ok(())
    }

    /// Under `best` a subject enters once in every interval in which an entry of it begins (semantics rule 18).
    fn judge_buckets(&mut self, case: &mut Case<'_>) -> Result<()> {
        for (i, bucket) in case.plan.buckets.iter().enumerate() {
            case.span.from_us = bucket.start_us.max(case.plan.span.from_us);
            case.span.to_us = bucket.end_us.min(case.plan.span.to_us);
            if let Some(clock) = first_clock(&case.plan.rules, case.events.rows, &case.span) {
                case.pass = Pass::Bucket(i);
                self.judge_entries(case, &clock)?;
            }
        }
        Ok(())
    }

    fn judge_entry(&mut self, case: &mut Case<'_>, clock: &Clock) -> Result<()> {
        let (plan, subject, labels) = (case.plan, case.subject, case.labels);
        let own = case.rules_of(clock, &mut self.observer);
        let rules = own.as_deref().unwrap_or(&plan.rules);
        let entry = speak_again(rules, case.events, &case.span, clock, &mut self.scratch);
        let Some(entry) = entry.map_err(too_many)? else {
            return Ok(());
        };
        let known = known_values(plan, subject, &entry);
        let passes = |dimension: usize, code: u32| {
            let of_dimension = plan.filters.iter().filter(|f| f.dimension == dimension);
            let source = &plan.sources[plan.dimensions[dimension].source];
            let text = labels.text(code);
            of_dimension
                .into_iter()
                .all(|f| f.check.holds_text(source, text))
        };
        let mut fixed = (0..known.len()).filter(|d| !self.chosen.contains(d));
        if !fixed.all(|d| passes(d, known[d])) {
            return Ok(());
        }
        if self.chosen.is_empty() {
            let mut sink = Sink {
                plan,
                rules,
                labels,
                subject,
                known: &known,
                total: &mut self.total,
                groups: &mut self.groups,
                listing: &mut self.listing,
                findings: &mut self.findings,
                pass: &mut case.pass,
            };
            sink.total(&entry)?;
            return if plan.breakdown > 0 {
                sink.group(&known[..plan.breakdown], &entry)
            } else {
                Ok(())
            };
        }
        let window = choice_range(plan, subject, &case.span, clock);
        let mut choices = choices(&self.chosen_sources, subject, window)
            .map_err(|limit| DataFusionError::External(Box::new(limit)))?;
        choices.retain(|c| self.chosen.iter().zip(c).all(|(d, code)| passes(*d, *code)));
        self.judge_choices(case, clock, &known, &choices)
    }

    /// Matches a subject under each of its choices that pass the filters.
    fn judge_choices(
        &mut self,
        case: &mut Case<'_>,
        clock: &Clock,
        known: &[u32],
        choices: &[Vec<u32>],
    ) -> Result<()> {
        let (plan, subject) = (case.plan, case.subject);
        let (sources, scratch) = (&self.chosen_sources, &mut self.scratch);
        let observer = &mut self.observer;
        let mut best = Best::default();
        for (i, choice) in choices.iter().enumerate() {
            let mut key = known.to_vec();
            for (dimension, code) in self.chosen.iter().zip(choice) {
                key[*dimension] = *code;
            }
            key.truncate(plan.breakdown);
            let under = case.under(clock, observer, |hit| fits(subject, sources, choice, hit));
            if let Some(entry) = under.entry(scratch)? {
                best.offer(key, i, &entry);
            }
        }
        // Without a filter on choices all count, each once; with one, under the best choice.
        let total = best.total.filter(|_| self.filters_choice).map(|(_, i)| i);
        let counts = total.is_some() || !self.filters_choice;
        let fits_total = |hit| total.is_none_or(|i| fits(subject, sources, &choices[i], hit));
        let mut pass = case.pass;
        let mut sink = Sink {
            plan,
            rules: &plan.rules,
            labels: case.labels,
            subject,
            known,
            total: &mut self.total,
            groups: &mut self.groups,
            listing: &mut self.listing,
            findings: &mut self.findings,
            pass: &mut pass,
        };
        let whole = case.under(clock, observer, fits_total);
        if counts && let Some(entry) = whole.entry(scratch)? {
            sink.by(whole.rules()).total(&entry)?;
        }
        for (key, (_, i)) in best.keys.iter().filter(|_| plan.breakdown > 0) {
            let choice = &choices[*i];
            let under = case.under(clock, observer, |hit| fits(subject, sources, choice, hit));
            if let Some(entry) = under.entry(scratch)? {
                sink.by(under.rules()).group(key, &entry)?;
            }
        }
        case.pass = pass;
        Ok(())
    }
}

impl Case<'_> {
    /// The rules for all events of the subject that count under a clock.
    fn rules_of(&self, clock: &Clock, observer: &mut Observer) -> Option<Arc<Rules>> {
        let events = choice_range(self.plan, self.subject, &self.span, clock);
        observer.rules(self.labels, self.subject, events)
    }

    /// The subject seen through the events that fit.
    fn under<'u, F: Fn(usize) -> bool>(
        &'u self,
        clock: &'u Clock,
        observer: &mut Observer,
        fits: F,
    ) -> Under<'u, F> {
        let events = choice_range(self.plan, self.subject, &self.span, clock);
        let fitting = events.filter(|hit| fits(*hit));
        Under {
            own: observer.rules(self.labels, self.subject, fitting),
            case: self,
            clock,
            fits,
        }
    }
}

/// A subject seen through some of its events, with the rules for those.
struct Under<'u, F> {
    own: Option<Arc<Rules>>,
    case: &'u Case<'u>,
    clock: &'u Clock,
    fits: F,
}

impl<F: Fn(usize) -> bool> Under<'_, F> {
    fn rules(&self) -> &Rules {
        self.own.as_deref().unwrap_or(&self.case.plan.rules)
    }

    /// The entry over those events, by the clock of the subject's own entry.
    fn entry<'s>(&self, scratch: &'s mut Scratch) -> Result<Option<Entry<'s>>> {
        let Case { events, span, .. } = self.case;
        speak_holding(self.rules(), *events, span, self.clock, &self.fits, scratch)
            .map_err(too_many)
    }
}

/// Where choices, providers and steps are looked for: the clock's window; under `best`, where any entry may win, everything
/// since the range began.
pub(crate) fn choice_range(
    plan: &Plan,
    subject: &Subject<'_>,
    span: &Span,
    clock: &Clock,
) -> Range<usize> {
    match plan.rules.entries() {
        Entries::Best => {
            let first = subject.hits.partition_point(|hit| hit.at_us < span.from_us);
            first..subject.hits.len()
        }
        Entries::Cohort | Entries::All => clock.window.clone(),
    }
}

/// The value of each dimension that a subject has one of; those chosen on the way are absent here.
fn known_values(plan: &Plan, subject: &Subject<'_>, entry: &Entry<'_>) -> Vec<u32> {
    let clock = &entry.clock;
    let value = |d: usize| {
        let source = plan.dimensions[d].source;
        let defined = |hit: usize| Some(subject.value(hit, source)).filter(|v| *v != ABSENT);
        match plan.dimensions[d].attribution {
            Attribution::Entry => subject.value(clock.row, source),
            Attribution::First => clock.window.clone().find_map(defined).unwrap_or(ABSENT),
            Attribution::Last => clock
                .window
                .clone()
                .rev()
                .find_map(defined)
                .unwrap_or(ABSENT),
            Attribution::Step(step) => entry.row(step).and_then(defined).unwrap_or(ABSENT),
            Attribution::Each => ABSENT,
        }
    };
    (0..plan.dimensions.len()).map(value).collect()
}

/// Why a dropped subject stopped, as its event says it (semantics rule 20); `None` where nobody asked or it did not drop.
pub(crate) fn reason(
    plan: &Plan,
    subject: &Subject<'_>,
    labels: &Labels<'_>,
    entry: &Entry<'_>,
) -> Option<Reason> {
    let sources = plan.reasons?;
    if entry.state != State::Dropped || entry.discarded {
        return None;
    }
    let step = entry.furthest;
    let word = |text: &str| Some(Arc::from(text));
    let Some(hit) = entry.reason else {
        return Some(Reason {
            step,
            class: word(UNKNOWN),
            code: word(TIMED_OUT),
            attribution: None,
            recoverable: None,
        });
    };
    let text = |source| labels.shared(subject.value(hit, source));
    let class = text(sources.class).or_else(|| word(UNKNOWN));
    let recoverable = text(sources.recoverable).map(|flag| &*flag == "true");
    Some(Reason {
        step,
        class,
        code: text(sources.code).or_else(|| text(sources.event)),
        attribution: text(sources.attribution),
        recoverable,
    })
}

/// Class of a reason that nobody told.
const UNKNOWN: &str = "unknown";
/// Code of those that just never came back.
const TIMED_OUT: &str = "timed_out";

pub(crate) fn too_many(limit: TooManyHoldings) -> DataFusionError {
    DataFusionError::External(Box::new(limit))
}
