//! What is measured of the units of one root: who is exposed when, and what followed within the window.
//!
//! Where the funnel counts the very thing that is assigned, exposure starts its clock, as if it were a step before the first:
//! it is put before the unit's events as a row of its own, a microsecond earlier, so that the event that carries it may
//! itself take the first step, whatever the funnel asks of instants. Where the funnel counts something finer (journeys of an
//! assigned company), each of those that enters after exposure has a clock of its own, and they are added up by unit.

use datafusion::error::Result;
use linkfunnel_funnel::{Clock, Entry, Events, Row, Scratch, Span, first_clock, speak_again};

use super::plan::{ExperimentPlan, Measured, UnitOf};
use super::sightings::{Sightings, Unit};
use super::tally::{Cell, CodedTally, Group};
use super::values::{Found, Values};
use crate::columns::ABSENT;
use crate::judge::{Hit, Labels, Subject, too_many};
use crate::observe::Observer;
use crate::plan::Plan;
use crate::rows::Rows;
use crate::trend::bucket_of;

/// Measures units, root by root.
#[derive(Default)]
pub(crate) struct Experimenter {
    pub(crate) tally: CodedTally,
    sightings: Sightings,
    /// By unit: subjects, matured subjects, those that count, and of these how many got to each step.
    sums: Vec<i64>,
    /// Of the unit at hand: the steps it got to or past, if they are known; and of each other thing that is measured, what
    /// was found.
    got: Option<u64>,
    found: Vec<Found>,
    observer: Observer,
    /// Out while it is borrowed.
    scratch: Option<Box<Scratch>>,
    rows: Vec<Row>,
    held: Vec<u32>,
}

impl Experimenter {
    /// Looks whether an event exposes or assigns its unit; whether the event has to be kept because of that.
    pub(crate) fn sight(&mut self, plan: &ExperimentPlan, rows: &Rows<'_>, row: usize) -> bool {
        self.sightings.sight(plan, rows, row, &mut self.tally.odd)
    }

    /// Forgets a root that is not judged.
    pub(crate) fn forget(&mut self) {
        self.sightings.clear();
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
            self.sightings.sight_hits(experiment, whole);
        }
        if !self.sightings.is_empty() {
            let odd = &mut self.tally.odd;
            self.sightings.find_units(experiment, labels, odd);
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
        self.sightings.units.iter().map(|unit| unit.key)
    }

    /// Adds one unit, of which `got` and `found` say what was measured, to each of its groups.
    fn add(
        &mut self,
        experiment: &ExperimentPlan,
        unit: Unit,
        mut update: impl FnMut(&mut Cell),
    ) -> Result<()> {
        let day = bucket_of(&experiment.days, unit.at_us).map(Group::Day);
        let codes = self.sightings.segments(unit, experiment.segments.len());
        let segments = codes
            .iter()
            .enumerate()
            .map(|(field, code)| Group::Segment(field, *code));
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

/// What a root is measured by.
pub(super) struct Run<'r> {
    pub(super) plan: &'r Plan,
    pub(super) experiment: &'r ExperimentPlan,
    pub(super) labels: &'r Labels<'r>,
}

impl Run<'_> {
    /// Each unit is a subject of the funnel.
    fn units(&mut self, by: &mut Experimenter, whole: &Subject<'_>) -> Result<()> {
        for hits in whole.hits.chunk_by(|a, b| a.subject == b.subject) {
            if let Some(unit) = by.sightings.unit(hits[0].subject) {
                let unit = by.sightings.units[unit];
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
        by.sums.resize(by.sightings.units.len() * width, 0);
        for hits in whole.hits.chunk_by(|a, b| a.subject == b.subject) {
            let subject = Subject { hits, ..*whole };
            let key = match experiment.unit {
                UnitOf::Number(place) => (0..hits.len()).find_map(|hit| subject.number(hit, place)),
                UnitOf::Root | UnitOf::Subject => Some(whole.root),
            };
            let Some(place) = key.and_then(|key| by.sightings.unit(key)) else {
                continue;
            };
            let begin = hits.partition_point(|hit| hit.at_us < by.sightings.units[place].at_us);
            let span = Span {
                from_us: by.sightings.units[place].at_us,
                ..self.plan.span
            };
            let after = Subject {
                hits: &hits[begin..],
                ..subject
            };
            let mut scratch = by.scratch.take().unwrap_or_default();
            let entry = self.entry(by, None, &after, &span, &mut scratch)?;
            let discarded = entry.as_ref().is_some_and(|(entry, _)| entry.discarded);
            by.tally.odd.discarded += u64::from(discarded);
            if let Some((entry, got)) = entry.filter(|_| !discarded) {
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
        for place in 0..by.sightings.units.len() {
            let unit = by.sightings.units[place];
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
