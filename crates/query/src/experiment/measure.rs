//! What is measured of the units of one root: who is exposed when, and what followed within the window.
//!
//! Where the funnel counts the very thing that is assigned, exposure starts its clock, as if it were a step before the first:
//! it is put before the unit's events as a row of its own, a microsecond earlier, so that the event that carries it may
//! itself take the first step, whatever the funnel asks of instants. Where the funnel counts something finer (journeys of an
//! assigned company), each of those that enters after exposure has a clock of its own, and they are added up by unit.

use std::collections::HashSet;

use datafusion::error::Result;
use foldhash::fast::RandomState;
use linkfunnel_funnel::{Clock, Entry, Events, Row, Scratch, Span, first_clock, speak_again};

use super::plan::{ATTR_SCALE, Amount, Evidence, ExperimentPlan, Measured, UnitOf};
use super::tally::{Cell, CodedTally, Group, Stat, earlier};
use crate::columns::{ABSENT, told_of};
use crate::judge::{Hit, Labels, Subject, too_many};
use crate::observe::Observer;
use crate::plan::Plan;
use crate::rows::Rows;
use crate::trend::bucket_of;

/// That a unit was exposed or assigned to a variant.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    unit: i64,
    at_us: i64,
    event_key: i64,
    /// Code of the variant.
    variant: u32,
    evidence: Evidence,
    /// Where the values of its segment fields begin.
    segments: usize,
}

/// A unit that counts.
#[derive(Debug, Clone, Copy)]
struct Unit {
    key: i64,
    at_us: i64,
    variant: usize,
    segments: usize,
}

/// What one unit says of one metric besides whether it got to a step.
#[derive(Debug, Clone, Copy)]
enum Found {
    Pair(i64, i64),
    /// When it got there after exposure, if it did; how long it was followed, and how long it can be. All µs.
    Timed {
        at_us: Option<u64>,
        followed_us: u64,
        window_us: u64,
    },
    /// Nothing yet: its window still runs.
    Nothing,
}

/// Measures units, root by root.
#[derive(Default)]
pub(crate) struct Experimenter {
    pub(crate) tally: CodedTally,
    sightings: Vec<Sighting>,
    segments: Vec<u32>,
    /// Unit, variant and evidence of what was seen in this root before.
    seen: HashSet<(i64, u32, Evidence), RandomState>,
    /// The newest of them.
    last_seen: Option<(i64, u32, Evidence)>,
    units: Vec<Unit>,
    /// By unit: subjects, matured subjects, those that count, and of these how many got to each step.
    sums: Vec<i64>,
    /// Of the unit at hand: the steps it got to or past, if they are known; and of each other thing that is measured, what
    /// was found.
    got: Option<u64>,
    found: Vec<Found>,
    /// By code of a variant, its index.
    variants: Vec<Option<Option<usize>>>,
    observer: Observer,
    /// Out while it is borrowed.
    scratch: Option<Box<Scratch>>,
    rows: Vec<Row>,
    held: Vec<u32>,
}

impl Experimenter {
    /// Looks whether an event exposes or assigns its unit; whether the event has to be kept because of that.
    pub(crate) fn sight(&mut self, plan: &ExperimentPlan, rows: &Rows<'_>, row: usize) -> bool {
        let at_us = rows.times[row];
        let Some((variant, evidence)) = evidence_of(plan, |source| rows.values[source][row]) else {
            return false;
        };
        if !(plan.start_us..plan.end_us).contains(&at_us) {
            if plan
                .watermark_us
                .is_none_or(|watermark_us| at_us > watermark_us)
            {
                let ahead_us = &mut self.tally.odd.ahead_us;
                *ahead_us = earlier(*ahead_us, Some(at_us));
            }
            return false;
        }
        let unit = match plan.unit {
            UnitOf::Subject => rows.subject(row),
            UnitOf::Root => rows.is_of_company(row).then(|| rows.roots[row]),
            UnitOf::Number(place) => rows.numbers(row).nth(place).flatten(),
        };
        let Some(unit) = unit else {
            // It may still be found whose it is, where that is looked for at all.
            return plan.starts_at_exposure();
        };
        let sighting = (unit, variant, evidence);
        if self.last_seen == Some(sighting) || !self.seen.insert(sighting) {
            return false;
        }
        self.last_seen = Some(sighting);
        if plan.starts_at_exposure() {
            return true;
        }
        let segments = self.segments.len();
        self.segments
            .extend(plan.segments.iter().map(|source| rows.values[*source][row]));
        self.sightings.push(Sighting {
            unit,
            at_us,
            event_key: rows.event_keys[row],
            variant,
            evidence,
            segments,
        });
        false
    }

    /// Forgets a root that is not judged.
    pub(crate) fn forget(&mut self) {
        self.sightings.clear();
        self.segments.clear();
        if self.last_seen.take().is_some() {
            self.seen.clear();
        }
        self.units.clear();
        self.sums.clear();
    }

    /// Measures the units of one root. `whole`: its events, subject by subject in order.
    pub(crate) fn judge(
        &mut self,
        plan: &Plan,
        experiment: &ExperimentPlan,
        whole: &Subject<'_>,
        labels: &Labels<'_>,
    ) -> Result<()> {
        if experiment.starts_at_exposure() {
            self.sight_hits(experiment, whole);
        }
        if !self.sightings.is_empty() {
            self.find_units(experiment, labels);
            let mut run = Run {
                plan,
                experiment,
                labels,
            };
            if experiment.starts_at_exposure() {
                run.units(self, whole)?;
            } else {
                run.subjects(self, whole)?;
            }
        }
        Ok(())
    }

    /// The ids of the units of the root judged last, where they are what the funnel counts.
    pub(crate) fn keys(&self) -> impl Iterator<Item = i64> {
        self.units.iter().map(|unit| unit.key)
    }

    fn sight_hits(&mut self, plan: &ExperimentPlan, whole: &Subject<'_>) {
        for (at, hit) in whole.hits.iter().enumerate() {
            let Some((variant, evidence)) = evidence_of(plan, |source| whole.value(at, source))
            else {
                continue;
            };
            if !(plan.start_us..plan.end_us).contains(&hit.at_us) {
                continue;
            }
            let segments = self.segments.len();
            let values = plan.segments.iter().map(|source| whole.value(at, *source));
            self.segments.extend(values);
            self.sightings.push(Sighting {
                unit: hit.subject,
                at_us: hit.at_us,
                event_key: hit.event_key,
                variant,
                evidence,
                segments,
            });
        }
    }

    /// Decides which units count, in which variant.
    fn find_units(&mut self, plan: &ExperimentPlan, labels: &Labels<'_>) {
        let mut sightings = std::mem::take(&mut self.sightings);
        sightings.sort_unstable_by_key(|s| (s.unit, s.at_us, s.event_key));
        let odd = &mut self.tally.odd;
        for unit in sightings.chunk_by(|a, b| a.unit == b.unit) {
            let is_assigned = unit.iter().any(|s| s.evidence == Evidence::Assigned);
            odd.assigned += u64::from(is_assigned);
            // an exposure is evidence of both
            let counts = |s: &&Sighting| {
                s.evidence == Evidence::Exposed || plan.evidence == Evidence::Assigned
            };
            let Some(first) = unit.iter().find(counts) else {
                continue;
            };
            odd.seen += 1;
            odd.without_assignment += u64::from(!is_assigned);
            let is_in_two = unit
                .iter()
                .filter(counts)
                .any(|s| s.variant != first.variant);
            odd.in_two += u64::from(is_in_two);
            if is_in_two && !plan.first_seen {
                continue;
            }
            match variant(&mut self.variants, plan, labels, first.variant) {
                None => odd.unknown_variant += 1,
                Some(variant) => self.units.push(Unit {
                    key: first.unit,
                    at_us: first.at_us,
                    variant,
                    segments: first.segments,
                }),
            }
        }
        self.sightings = sightings;
    }

    /// The unit with this key, if it counts; they are in order of their keys.
    fn unit(&self, key: i64) -> Option<usize> {
        self.units.binary_search_by_key(&key, |unit| unit.key).ok()
    }

    /// Adds one unit, of which `got` and `found` say what was measured, to each of its groups.
    fn add(
        &mut self,
        experiment: &ExperimentPlan,
        unit: Unit,
        mut update: impl FnMut(&mut Cell),
    ) -> Result<()> {
        let day = bucket_of(&experiment.days, unit.at_us).map(Group::Day);
        let codes = self.segments[unit.segments..].iter();
        let segments = codes.take(experiment.segments.len()).enumerate();
        let segments = segments.map(|(field, code)| Group::Segment(field, *code));
        for group in std::iter::once(Group::Total).chain(day).chain(segments) {
            let cell = self.tally.cell(experiment, unit.variant, group);
            cell.units += 1;
            update(cell);
            let mut others = self.found.iter();
            for (stat, measured) in cell.stats.iter_mut().zip(experiment.measured()) {
                match (measured, self.got) {
                    (Measured::Step(step), Some(got)) => stat.count(got >> step & 1 == 1),
                    (Measured::Step(_), None) => {}
                    _ => others.next().map_or(Ok(()), |found| found.count(stat))?,
                }
            }
        }
        Ok(())
    }
}

fn evidence_of(plan: &ExperimentPlan, value: impl Fn(usize) -> u32) -> Option<(u32, Evidence)> {
    let (variant, is_exposure) = told_of(value(plan.told))?;
    let evidence = match is_exposure {
        true => Evidence::Exposed,
        false => Evidence::Assigned,
    };
    Some((variant, evidence))
}

/// The index of a variant, by its code.
fn variant(
    known: &mut Vec<Option<Option<usize>>>,
    plan: &ExperimentPlan,
    labels: &Labels<'_>,
    code: u32,
) -> Option<usize> {
    let place = code as usize;
    if known.len() <= place {
        known.resize(place + 1, None);
    }
    *known[place].get_or_insert_with(|| {
        let name = labels.text(code)?;
        plan.variants.iter().position(|variant| variant == name)
    })
}

impl Found {
    fn count(self, stat: &mut Stat) -> Result<()> {
        match (self, stat) {
            (Found::Pair(x, y), stat) => stat.add(x, y)?,
            (
                Found::Timed {
                    at_us,
                    followed_us,
                    window_us,
                },
                Stat::Times(times),
            ) => times.add(at_us, followed_us, window_us),
            _ => {}
        }
        Ok(())
    }
}

/// What a root is measured by.
struct Run<'r> {
    plan: &'r Plan,
    experiment: &'r ExperimentPlan,
    labels: &'r Labels<'r>,
}

impl Run<'_> {
    /// Each unit is a subject of the funnel.
    fn units(&mut self, by: &mut Experimenter, whole: &Subject<'_>) -> Result<()> {
        for hits in whole.hits.chunk_by(|a, b| a.subject == b.subject) {
            if let Some(unit) = by.unit(hits[0].subject) {
                let unit = by.units[unit];
                self.unit(by, unit, &Subject { hits, ..*whole })?;
            }
        }
        Ok(())
    }

    fn unit(&self, by: &mut Experimenter, unit: Unit, subject: &Subject<'_>) -> Result<()> {
        let experiment = self.experiment;
        let begin = subject.hits.partition_point(|hit| hit.at_us < unit.at_us);
        let (before, after) = subject.hits.split_at(begin);
        let last_step = self.plan.rules.steps().len() - 1;
        let reaches =
            |hit: &Hit| hit.at_us >= experiment.start_us && hit.steps >> last_step & 1 == 1;
        by.tally.odd.outcome_before += u64::from(before.iter().any(reaches));
        let after = Subject {
            hits: after,
            ..*subject
        };
        let exposed = Row::step(unit.at_us.saturating_sub(1), 0);
        let span = Span {
            from_us: exposed.at_us,
            to_us: unit.at_us,
            watermark_us: self.plan.span.watermark_us,
        };
        let mut scratch = by.scratch.take().unwrap_or_default();
        let done = self.entry(by, Some(exposed), &after, &span, &mut scratch);
        if let Some((entry, got)) = done? {
            if entry.discarded {
                by.tally.odd.discarded += 1;
            } else {
                let counts = entry.matured || experiment.include_open;
                let values = Values {
                    run: self,
                    unit,
                    before: Subject {
                        hits: before,
                        ..*subject
                    },
                    after,
                };
                by.got = counts.then_some(got);
                by.found.clear();
                let others = experiment
                    .measured()
                    .filter(|of| !matches!(of, Measured::Step(_)));
                by.found
                    .extend(others.map(|measured| values.found(measured, &entry, got, counts)));
                let matured = u64::from(entry.matured);
                by.tally.odd.open += 1 - matured;
                by.add(experiment, unit, |cell| cell.matured += matured)?;
            }
        }
        by.scratch = Some(scratch);
        Ok(())
    }

    /// The subject's entry, and the steps it got to or past. `first`: a row before its events.
    fn entry<'s>(
        &self,
        by: &mut Experimenter,
        first: Option<Row>,
        subject: &Subject<'_>,
        span: &Span,
        scratch: &'s mut Scratch,
    ) -> Result<Option<(Entry<'s>, u64)>> {
        let (plan, hits) = (self.plan, subject.hits);
        by.rows.clear();
        by.held.clear();
        by.rows.extend(first);
        by.held
            .extend(first.iter().flat_map(|_| plan.held.iter().map(|_| ABSENT)));
        by.rows.extend(hits.iter().map(Hit::row));
        for hit in 0..hits.len() {
            by.held
                .extend(plan.held.iter().map(|source| subject.value(hit, *source)));
        }
        let events = Events {
            rows: &by.rows,
            held: &by.held,
        };
        let Some(clock): Option<Clock> = first_clock(&plan.rules, &by.rows, span) else {
            return Ok(None);
        };
        let own_rows = usize::from(first.is_some());
        let window = clock.window.start.max(own_rows) - own_rows..clock.window.end - own_rows;
        let own = by.observer.rules(self.labels, subject, window);
        let rules = own.as_deref().unwrap_or(&plan.rules);
        let entry = speak_again(rules, events, span, &clock, scratch).map_err(too_many)?;
        Ok(entry.map(|entry| {
            let past = rules.bypassed() & ((1 << entry.furthest) - 1);
            let got = entry.reached() | past;
            (entry, got)
        }))
    }

    /// Each unit has some subjects of the funnel.
    fn subjects(&mut self, by: &mut Experimenter, whole: &Subject<'_>) -> Result<()> {
        let experiment = self.experiment;
        let steps: Vec<usize> = experiment
            .measured()
            .map(|measured| match measured {
                Measured::Subjects(step) => step,
                _ => 0,
            })
            .collect();
        let width = 3 + steps.len();
        by.sums.clear();
        by.sums.resize(by.units.len() * width, 0);
        for hits in whole.hits.chunk_by(|a, b| a.subject == b.subject) {
            let subject = Subject { hits, ..*whole };
            let key = match experiment.unit {
                UnitOf::Number(place) => (0..hits.len()).find_map(|hit| subject.number(hit, place)),
                UnitOf::Root | UnitOf::Subject => Some(whole.root),
            };
            let Some(place) = key.and_then(|key| by.unit(key)) else {
                continue;
            };
            let begin = hits.partition_point(|hit| hit.at_us < by.units[place].at_us);
            let span = Span {
                from_us: by.units[place].at_us,
                ..self.plan.span
            };
            let after = Subject {
                hits: &hits[begin..],
                ..subject
            };
            let mut scratch = by.scratch.take().unwrap_or_default();
            let entry = self.entry(by, None, &after, &span, &mut scratch)?;
            if let Some((entry, got)) = entry.filter(|(entry, _)| !entry.discarded) {
                let counts = entry.matured || experiment.include_open;
                by.tally.odd.open += u64::from(!entry.matured);
                let sums = &mut by.sums[place * width..][..width];
                sums[0] += 1;
                sums[1] += i64::from(entry.matured);
                sums[2] += i64::from(counts);
                for (sum, step) in sums[3..].iter_mut().zip(&steps).filter(|_| counts) {
                    *sum += i64::from(got >> step & 1 == 1);
                }
            }
            by.scratch = Some(scratch);
        }
        self.add_units(by, width)
    }

    fn add_units(&self, by: &mut Experimenter, width: usize) -> Result<()> {
        let experiment = self.experiment;
        let window_us = self.plan.rules.window_us();
        for place in 0..by.units.len() {
            let unit = by.units[place];
            let over_us = unit.at_us.saturating_add(window_us);
            let is_over = self
                .plan
                .span
                .watermark_us
                .is_some_and(|at_us| at_us >= over_us);
            let sums = &by.sums[place * width..][..width];
            let (subjects, matured) = (sums[0].unsigned_abs(), sums[1].unsigned_abs());
            by.got = None;
            by.found.clear();
            let pairs = sums[3..].iter().map(|got| Found::Pair(sums[2], *got));
            by.found.extend(pairs);
            by.add(experiment, unit, |cell| {
                cell.matured += u64::from(is_over);
                cell.subjects += subjects;
                cell.matured_subjects += matured;
            })?;
        }
        Ok(())
    }
}

/// The events of a unit before and after its exposure.
struct Values<'v> {
    run: &'v Run<'v>,
    unit: Unit,
    before: Subject<'v>,
    after: Subject<'v>,
}

impl Values<'_> {
    fn found(&self, measured: Measured, entry: &Entry<'_>, got: u64, counts: bool) -> Found {
        if let Measured::Time(step) = measured {
            return self.time(step, entry, got);
        }
        if !counts {
            return Found::Nothing;
        }
        let last = self.run.plan.rules.steps().len() - 1;
        match measured {
            Measured::Mean(value) => Found::Pair(self.covariate(value), self.value(value)),
            Measured::Ratio(of, by) => Found::Pair(self.value(by), self.value(of)),
            Measured::Cost(value) => {
                Found::Pair(self.value(value), i64::from(got >> last & 1 == 1))
            }
            Measured::Step(_) | Measured::Subjects(_) | Measured::Time(_) => Found::Nothing,
        }
    }

    /// When the step was taken, or got past unseen: then with the next one that was taken.
    fn time(&self, step: usize, entry: &Entry<'_>, got: u64) -> Found {
        let is_past = got >> step & 1 == 1;
        let next = || (step..=entry.furthest).find_map(|next| entry.time_us(next));
        let at_us = entry.time_us(step).or_else(|| next().filter(|_| is_past));
        Found::Timed {
            at_us: at_us.map(|us| us.abs_diff(self.unit.at_us)),
            // the clock of the rules starts a microsecond before exposure
            followed_us: entry.followed_us.map_or(0, |us| us.saturating_sub(1)),
            window_us: self.window_us().unsigned_abs(),
        }
    }

    fn window_us(&self) -> i64 {
        self.run.plan.rules.window_us() - 1
    }

    /// What the events inside the window add up to.
    fn value(&self, value: usize) -> i64 {
        let last_us = self.unit.at_us.saturating_add(self.window_us());
        let end = self.after.hits.partition_point(|hit| hit.at_us <= last_us);
        self.sum(&self.after, 0..end, value)
    }

    /// The same of the time before exposure.
    fn covariate(&self, value: usize) -> i64 {
        let first_us = self
            .unit
            .at_us
            .saturating_sub(self.run.experiment.covariate_us);
        let begin = self.before.hits.partition_point(|hit| hit.at_us < first_us);
        self.sum(&self.before, begin..self.before.hits.len(), value)
    }

    fn sum(&self, of: &Subject<'_>, hits: std::ops::Range<usize>, value: usize) -> i64 {
        let adds = |hit: &usize| of.hits[*hit].outcomes >> value & 1 == 1;
        let amount = |hit: usize| match self.run.experiment.values[value] {
            Amount::One => 1,
            Amount::Whole(place) => of.number(hit, place).unwrap_or(0),
            Amount::Attr(source) => self
                .run
                .labels
                .text(of.value(hit, source))
                .map_or(0, thousandths),
        };
        hits.filter(adds).map(amount).fold(0, i64::saturating_add)
    }
}

/// A number's text in thousandths; 0 of what is no number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast of a float saturates, and sums refuse what is so large"
)]
fn thousandths(text: &str) -> i64 {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    let number = number.unwrap_or(0.0);
    (number * f64::from(ATTR_SCALE)).round() as i64
}
