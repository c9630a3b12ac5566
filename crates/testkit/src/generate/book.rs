//! Keeps the truth while stories are told: one cell a segment for subjects whose window is long over, one record a subject
//! for the recent ones, so that `at` can say who is open at a watermark.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::dice::{DAY, HOUR};
use super::funnels::{Spec, Unit};
use super::json;
use super::naive::{self, Row, Told};
use super::telling::{By, Label, Moment, Telling};
use super::truth::{Counts, FunnelTruth, Matured, StepName};

/// Records are kept this long after their window, for watermarks in that time.
const KEPT_AFTER_WINDOW_US: i64 = 2 * HOUR;
/// Most steps of a funnel here.
const STEPS: usize = 10;
/// Most outcomes of a funnel here.
const OUTCOMES: usize = 5;

/// One segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Segment {
    Total,
    /// UTC day of entry, since the epoch.
    Day(i64),
    By(By, Option<Label>),
}

#[derive(Clone, Copy, Default)]
struct Cell {
    entered: u64,
    converted: u64,
    reached: [u64; STEPS],
    bypassed: [u64; STEPS],
    outcomes: [u64; OUTCOMES],
}

impl Cell {
    fn add(&mut self, told: &Told) {
        self.entered += 1;
        self.converted += u64::from(told.converted);
        for (step, count) in self.reached.iter_mut().enumerate() {
            *count += u64::from(told.reached >> step & 1);
        }
        for (step, count) in self.bypassed.iter_mut().enumerate() {
            *count += u64::from(told.bypassed >> step & 1);
        }
        if let Some(outcome) = told.outcome {
            self.outcomes[usize::from(outcome)] += 1;
        }
    }
}

struct Record {
    told: Told,
    /// Segments by what was known at entry or is said first.
    known: Box<[u32]>,
    /// Segment and result of each chosen value, or of `(before choice)`.
    chosen: Box<[(u32, Told)]>,
}

impl Record {
    fn each(&self, mut visit: impl FnMut(u32, &Told)) {
        for segment in &self.known {
            visit(*segment, &self.told);
        }
        for (segment, told) in &self.chosen {
            visit(*segment, told);
        }
    }
}

/// One funnel of one tenant.
pub(crate) struct FunnelBook {
    spec: &'static Spec,
    segments: HashMap<Segment, u32>,
    names: Vec<Segment>,
    closed: Vec<Cell>,
    closed_until_us: i64,
    recent: VecDeque<Record>,
    without_entry: u64,
}

impl FunnelBook {
    pub(crate) fn new(spec: &'static Spec) -> Self {
        assert!(spec.steps.len() <= STEPS && spec.outcomes.len() <= OUTCOMES);
        FunnelBook {
            spec,
            segments: HashMap::new(),
            names: Vec::new(),
            closed: Vec::new(),
            closed_until_us: i64::MIN,
            recent: VecDeque::new(),
            without_entry: 0,
        }
    }

    /// Adds a subject: its events that count by default, in any order. What became of it, if it entered.
    pub(crate) fn add(&mut self, tellings: &[Telling<'_>]) -> Option<Told> {
        let spec = self.spec;
        let rows: Vec<Row> = tellings.iter().map(|telling| row(spec, telling)).collect();
        let Some(clock_us) = naive::clock(&rows) else {
            // Outcomes and other events alone are no way through the funnel (semantics rule 8).
            self.without_entry += u64::from(rows.iter().any(|row| row.step.is_some()));
            return None;
        };
        let mut told = naive::tell(spec.steps, spec.window_us, clock_us, &rows, |_| true);
        if spec.in_one_session {
            told = in_one_session(spec, tellings, &rows, &told);
        }
        let known = self.known(tellings, &rows, clock_us);
        let chosen = self.chosen(tellings, &rows, clock_us);
        self.recent.push_back(Record {
            told,
            known,
            chosen,
        });
        Some(told)
    }

    fn known(&mut self, tellings: &[Telling<'_>], rows: &[Row], clock_us: i64) -> Box<[u32]> {
        let spec = self.spec;
        let window = clock_us..=clock_us.saturating_add(spec.window_us);
        let entry = tellings
            .iter()
            .zip(rows)
            .find(|(_, row)| row.at_us == clock_us && row.step == Some(0))
            .map(|(telling, _)| telling)
            .expect("the clock is the time of such an event");
        let mut known = vec![
            self.segment(Segment::Total),
            self.segment(Segment::Day(clock_us.div_euclid(DAY))),
        ];
        for by in spec.by {
            let value = match by.moment() {
                Moment::Chosen => continue,
                Moment::Entry => entry.says(*by),
                Moment::FirstInWindow => tellings
                    .iter()
                    .filter(|telling| window.contains(&telling.fact.at_us))
                    .filter_map(|telling| Some((telling.fact.at_us, telling.says(*by)?)))
                    .min_by_key(|(at_us, _)| *at_us)
                    .map(|(_, value)| value),
            };
            known.push(self.segment(Segment::By(*by, value)));
        }
        known.into()
    }

    /// Each value chosen inside the window, matched by the events that name it or none (semantics rule 17, `each`). Chosen is
    /// what a step names, or what the person does on the way.
    fn chosen(
        &mut self,
        tellings: &[Telling<'_>],
        rows: &[Row],
        clock_us: i64,
    ) -> Box<[(u32, Told)]> {
        let spec = self.spec;
        let window = clock_us..=clock_us.saturating_add(spec.window_us);
        let mut chosen = Vec::new();
        for by in spec.by.iter().filter(|by| by.moment() == Moment::Chosen) {
            let said: Vec<Option<Label>> = tellings.iter().map(|it| it.says(*by)).collect();
            let mut values: Vec<Label> = Vec::new();
            for ((value, telling), row) in said.iter().zip(tellings).zip(rows) {
                let is_choice = row.step.is_some() || telling.fact.what.is_activity();
                let inside = is_choice && window.contains(&row.at_us);
                if let Some(value) = value.filter(|value| inside && !values.contains(value)) {
                    values.push(value);
                }
            }
            let with = |value: Option<Label>| {
                naive::tell(spec.steps, spec.window_us, clock_us, rows, |place| {
                    value.is_none() || said[place].is_none() || said[place] == value
                })
            };
            if values.is_empty() {
                chosen.push((self.segment(Segment::By(*by, None)), with(None)));
            }
            // Under a value the subject enters by an event that fits it: the choice of another one is none.
            let enters = |value: &Option<Label>| {
                let fits = |place: usize| said[place].is_none() || said[place] == *value;
                let begins = |row: &Row| row.step == Some(0) && window.contains(&row.at_us);
                (0..rows.len()).any(|place| begins(&rows[place]) && fits(place))
            };
            for value in values.into_iter().map(Some).filter(enters) {
                chosen.push((self.segment(Segment::By(*by, value)), with(value)));
            }
        }
        chosen.into()
    }

    fn segment(&mut self, segment: Segment) -> u32 {
        let names = &mut self.names;
        let closed = &mut self.closed;
        *self.segments.entry(segment).or_insert_with(|| {
            names.push(segment);
            closed.push(Cell::default());
            u32::try_from(names.len() - 1).expect("segments are few")
        })
    }

    /// Closes the records whose window was over some hours before `now_us`.
    pub(crate) fn forget(&mut self, now_us: i64) {
        let window_us = self.spec.window_us;
        let until_us = now_us.saturating_sub(window_us + KEPT_AFTER_WINDOW_US);
        while let Some(record) = self.recent.front() {
            if record.told.clock_us >= until_us {
                break;
            }
            let end_us = record.told.clock_us + window_us;
            self.closed_until_us = self.closed_until_us.max(end_us);
            let closed = &mut self.closed;
            record.each(|segment, told| closed[segment as usize].add(told));
            self.recent.pop_front();
        }
    }

    /// The counts at a watermark (none: all windows over); none when the records for it are gone.
    pub(crate) fn at(&self, watermark_us: Option<i64>) -> Option<FunnelTruth> {
        let spec = self.spec;
        let watermark_us = watermark_us.unwrap_or(i64::MAX);
        if watermark_us < self.closed_until_us {
            return None;
        }
        let mut matured = self.closed.clone();
        let mut open = vec![Cell::default(); self.closed.len()];
        for record in &self.recent {
            let over = record.told.clock_us.saturating_add(spec.window_us) <= watermark_us;
            let cells = if over { &mut matured } else { &mut open };
            record.each(|segment, told| cells[segment as usize].add(told));
        }
        let mut truth = FunnelTruth {
            funnel: spec.id.to_owned(),
            window_us: spec.window_us,
            steps: spec
                .steps
                .iter()
                .map(|step| StepName {
                    name: step.name.to_owned(),
                    optional: step.optional,
                })
                .collect(),
            outcomes: spec.outcomes.iter().map(|&name| name.to_owned()).collect(),
            total: self.counts(&Cell::default(), &Cell::default()),
            by: BTreeMap::new(),
            by_day: BTreeMap::new(),
            without_entry: match spec.unit {
                // Stories that are not told to the book of this funnel may hold later steps.
                Unit::Company | Unit::Invite => None,
                _ => Some(self.without_entry),
            },
        };
        for by in spec.by {
            truth.by.insert(by.field().to_owned(), BTreeMap::new());
        }
        for (index, segment) in self.names.iter().enumerate() {
            let counts = self.counts(&matured[index], &open[index]);
            match segment {
                Segment::Total => truth.total = counts,
                Segment::Day(day) => {
                    truth.by_day.insert(json::date(*day), counts);
                }
                Segment::By(by, value) => {
                    let name = value.map_or_else(|| by.absent().to_owned(), |it| it.to_string());
                    let values = truth.by.entry(by.field().to_owned()).or_default();
                    values.insert(name, counts);
                }
            }
        }
        Some(truth)
    }

    fn counts(&self, matured: &Cell, open: &Cell) -> Counts {
        let steps = self.spec.steps.len();
        let reached = |cell: &Cell| cell.reached[..steps].to_vec();
        let both = |pair: (&u64, &u64)| pair.0 + pair.1;
        Counts {
            entered: matured.entered + open.entered,
            converted: matured.converted + open.converted,
            dropped: matured.entered - matured.converted,
            open: open.entered - open.converted,
            reached: reached(matured)
                .iter()
                .zip(&reached(open))
                .map(both)
                .collect(),
            bypassed: matured.bypassed[..steps]
                .iter()
                .zip(&open.bypassed)
                .map(both)
                .collect(),
            outcomes: matured.outcomes[..self.spec.outcomes.len()]
                .iter()
                .zip(&open.outcomes)
                .map(both)
                .collect(),
            matured: Matured {
                entered: matured.entered,
                converted: matured.converted,
                reached: reached(matured),
            },
        }
    }
}

/// What a subject reached by the events of its entry's session and those of none; an outcome may be of any.
fn in_one_session(spec: &Spec, tellings: &[Telling<'_>], rows: &[Row], any: &Told) -> Told {
    let of_entry = rows
        .iter()
        .position(|row| row.at_us == any.clock_us && row.step == Some(0))
        .and_then(|entry| tellings[entry].session());
    let told = naive::tell(spec.steps, spec.window_us, any.clock_us, rows, |place| {
        let session = tellings[place].session();
        session.is_none() || session == of_entry
    });
    let outcomes = naive::outcome(spec.window_us, any.clock_us, rows);
    Told {
        outcome: outcomes.filter(|_| !told.converted),
        ..told
    }
}

/// The row that a funnel makes of an event.
fn row(spec: &Spec, telling: &Telling<'_>) -> Row {
    Row {
        at_us: telling.fact.at_us,
        step: (spec.step)(telling),
        outcome: (spec.outcome)(telling),
        hides: hides(spec, telling),
    }
}

/// The steps that the provider named by an event cannot show.
fn hides(spec: &Spec, telling: &Telling<'_>) -> u16 {
    let Some(provider) = telling.provider() else {
        return 0;
    };
    let hidden = spec
        .by_provider
        .iter()
        .filter(|(_, taken_by)| taken_by.iter().all(|what| provider.hides.contains(what)));
    hidden.fold(0, |mask, (step, _)| mask | 1 << step)
}
