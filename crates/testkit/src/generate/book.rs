//! Keeps the truth while journeys are made: one cell a segment for subjects whose window is long over, one record a subject
//! for the recent ones, so that `at` can say who is open at a watermark.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::catalog::{
    CATEGORIES, COUNTRIES, DEVICES, ENTRY_POINTS, INTEGRATIONS, MEDIUMS, SURFACES, USE_CASES,
};
use super::company::Company;
use super::dice::{DAY, HOUR};
use super::encode;
use super::fact::{Fact, ids};
use super::journey::Journey;
use super::naive::{self, NaiveStep, Row, Told};
use super::truth::{Counts, FunnelTruth, StepName};

/// Records are kept this long after their window, for watermarks in that time.
const KEPT_AFTER_WINDOW_US: i64 = 2 * HOUR;
const NONE: u32 = u32::MAX;
const BEFORE_CHOICE: u32 = u32::MAX - 1;

/// What subjects are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum By {
    Total,
    Category,
    Surface,
    Medium,
    EntryPoint,
    UseCase,
    Country,
    Locale,
    Device,
    Experiment,
    Integration,
    Day,
}

/// Segments of one subject by fields known at entry (or first seen), then by each integration.
const KNOWN: usize = 11;

#[derive(Clone, Copy, Default)]
struct Cell {
    entered: u64,
    converted: u64,
    reached: [u64; 8],
    outcomes: [u64; 4],
}

impl Cell {
    fn add(&mut self, told: &Told) {
        self.entered += 1;
        self.converted += u64::from(told.converted);
        for (step, count) in self.reached.iter_mut().enumerate() {
            *count += u64::from(told.reached >> step & 1);
        }
        if let Some(outcome) = told.outcome {
            self.outcomes[usize::from(outcome)] += 1;
        }
    }
}

struct Record {
    told: Told,
    known: [u32; KNOWN],
    /// Segment and result of each chosen integration, or of `(before choice)`.
    chosen: Vec<(u32, Told)>,
}

impl Record {
    fn each(&self, mut visit: impl FnMut(u32, &Told)) {
        for segment in self.known.iter().filter(|segment| **segment != NONE) {
            visit(*segment, &self.told);
        }
        for (segment, told) in &self.chosen {
            visit(*segment, told);
        }
    }
}

/// One funnel of one tenant.
pub(crate) struct FunnelBook {
    id: &'static str,
    steps: &'static [NaiveStep],
    outcomes: &'static [&'static str],
    window_us: i64,
    segments: HashMap<(By, u32), u32>,
    names: Vec<(By, u32)>,
    closed: Vec<Cell>,
    closed_until_us: i64,
    recent: VecDeque<Record>,
    without_entry: u64,
}

impl FunnelBook {
    pub(crate) fn linking() -> Self {
        FunnelBook::new("linking", naive::LINKING, naive::LINKING_OUTCOMES, DAY)
    }

    pub(crate) fn first_link() -> Self {
        FunnelBook::new(
            "first_link",
            naive::FIRST_LINK,
            naive::FIRST_LINK_OUTCOMES,
            7 * DAY,
        )
    }

    fn new(
        id: &'static str,
        steps: &'static [NaiveStep],
        outcomes: &'static [&'static str],
        window_us: i64,
    ) -> Self {
        FunnelBook {
            id,
            steps,
            outcomes,
            window_us,
            segments: HashMap::new(),
            names: Vec::new(),
            closed: Vec::new(),
            closed_until_us: i64::MIN,
            recent: VecDeque::new(),
            without_entry: 0,
        }
    }

    /// Adds a company whose arrival was seen.
    pub(crate) fn add_company(&mut self, rows: &[Row]) {
        let Some(clock_us) = naive::clock(rows) else {
            return;
        };
        let told = naive::tell(self.steps, self.window_us, clock_us, rows, |_| true);
        let mut known = [NONE; KNOWN];
        known[0] = self.segment(By::Total, 0);
        known[1] = self.segment(By::Day, day(clock_us));
        self.recent.push_back(Record {
            told,
            known,
            chosen: Vec::new(),
        });
    }

    /// Adds a journey: `facts` are those that count by default, in any order.
    pub(crate) fn add_journey(&mut self, company: &Company, journey: &Journey, facts: &[&Fact]) {
        if facts.is_empty() {
            return;
        }
        let rows: Vec<Row> = facts.iter().map(|fact| row(fact)).collect();
        let Some(clock_us) = naive::clock(&rows) else {
            // Outcomes and other events alone are no way through the funnel (semantics rule 8).
            self.without_entry += u64::from(rows.iter().any(|row| row.step.is_some()));
            return;
        };
        let told = naive::tell(self.steps, self.window_us, clock_us, &rows, |_| true);
        let known = self.known(company, journey, facts, clock_us);
        let chosen = self.chosen(&rows, &told);
        self.recent.push_back(Record {
            told,
            known,
            chosen,
        });
    }

    fn known(
        &mut self,
        company: &Company,
        journey: &Journey,
        facts: &[&Fact],
        clock_us: i64,
    ) -> [u32; KNOWN] {
        let end_us = clock_us + self.window_us;
        let entry = facts
            .iter()
            .find(|fact| fact.at_us == clock_us && fact.what.linking_step() == Some(0))
            .expect("the clock is the time of such a fact");
        let code = |value: Option<u8>| value.map_or(NONE, u32::from);
        let category = facts
            .iter()
            .any(|fact| fact.category && (clock_us..=end_us).contains(&fact.at_us))
            .then_some(journey.category);
        let country = journey.country.then_some(company.country);
        [
            (By::Total, 0),
            (By::Day, day(clock_us)),
            (By::Category, code(category)),
            (By::Surface, u32::from(journey.surface)),
            (By::Medium, code(journey.medium_at(entry))),
            (By::EntryPoint, code(journey.entry_point_at(entry))),
            (By::UseCase, code(journey.use_case)),
            (By::Country, code(country)),
            (By::Locale, code(country)),
            (By::Device, u32::from(company.device)),
            (By::Experiment, code(company.variant)),
        ]
        .map(|(by, value)| self.segment(by, value))
    }

    /// Each integration named inside the window, matched by the rows that name it or none (semantics rule 17, `each`).
    fn chosen(&mut self, rows: &[Row], told: &Told) -> Vec<(u32, Told)> {
        let end_us = told.clock_us + self.window_us;
        let mut values: Vec<u8> = rows
            .iter()
            .filter(|row| (told.clock_us..=end_us).contains(&row.at_us))
            .filter_map(|row| row.integration)
            .collect();
        values.sort_unstable();
        values.dedup();
        if values.is_empty() {
            return vec![(self.segment(By::Integration, BEFORE_CHOICE), *told)];
        }
        let (steps, window_us) = (self.steps, self.window_us);
        values
            .into_iter()
            .map(|value| {
                let with = naive::tell(steps, window_us, told.clock_us, rows, |row| {
                    row.integration.is_none_or(|named| named == value)
                });
                (self.segment(By::Integration, u32::from(value)), with)
            })
            .collect()
    }

    fn segment(&mut self, by: By, value: u32) -> u32 {
        let names = &mut self.names;
        let closed = &mut self.closed;
        *self.segments.entry((by, value)).or_insert_with(|| {
            names.push((by, value));
            closed.push(Cell::default());
            u32::try_from(names.len() - 1).expect("segments are few")
        })
    }

    /// Closes the records whose window was over some hours before `now_us`.
    pub(crate) fn forget(&mut self, now_us: i64) {
        let until_us = now_us.saturating_sub(self.window_us + KEPT_AFTER_WINDOW_US);
        while let Some(record) = self.recent.front() {
            if record.told.clock_us >= until_us {
                break;
            }
            let end_us = record.told.clock_us + self.window_us;
            self.closed_until_us = self.closed_until_us.max(end_us);
            let closed = &mut self.closed;
            record.each(|segment, told| closed[segment as usize].add(told));
            self.recent.pop_front();
        }
    }

    /// The counts at a watermark (none: all windows over); none when the records for it are gone.
    pub(crate) fn at(&self, watermark_us: Option<i64>) -> Option<FunnelTruth> {
        let watermark_us = watermark_us.unwrap_or(i64::MAX);
        if watermark_us < self.closed_until_us {
            return None;
        }
        let mut matured = self.closed.clone();
        let mut open = vec![Cell::default(); self.closed.len()];
        for record in &self.recent {
            let over = record.told.clock_us.saturating_add(self.window_us) <= watermark_us;
            let cells = if over { &mut matured } else { &mut open };
            record.each(|segment, told| cells[segment as usize].add(told));
        }
        let mut truth = FunnelTruth {
            funnel: self.id.to_owned(),
            window_us: self.window_us,
            steps: self
                .steps
                .iter()
                .map(|step| StepName {
                    name: step.name.to_owned(),
                    optional: step.optional,
                })
                .collect(),
            outcomes: self.outcomes.iter().map(|&name| name.to_owned()).collect(),
            total: self.counts(&Cell::default(), &Cell::default()),
            by: BTreeMap::new(),
            by_day: BTreeMap::new(),
            without_entry: (self.id == "linking").then_some(self.without_entry),
        };
        for (index, (by, value)) in self.names.iter().enumerate() {
            let counts = self.counts(&matured[index], &open[index]);
            match by {
                By::Total => truth.total = counts,
                By::Day => {
                    truth.by_day.insert(encode::date(i64::from(*value)), counts);
                }
                _ => {
                    truth
                        .by
                        .entry(field(*by).to_owned())
                        .or_default()
                        .insert(name(*by, *value).to_owned(), counts);
                }
            }
        }
        Some(truth)
    }

    fn counts(&self, matured: &Cell, open: &Cell) -> Counts {
        let reached = |cell: &Cell| cell.reached[..self.steps.len()].to_vec();
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
            outcomes: matured.outcomes[..self.outcomes.len()]
                .iter()
                .zip(&open.outcomes)
                .map(both)
                .collect(),
            matured: super::truth::Matured {
                entered: matured.entered,
                converted: matured.converted,
                reached: reached(matured),
            },
        }
    }
}

/// The row that `linking` makes of a fact.
fn row(fact: &Fact) -> Row {
    Row {
        at_us: fact.at_us,
        step: fact.what.linking_step(),
        outcome: fact.what.linking_outcome(),
        integration: fact.integration,
    }
}

/// The two subjects that a sparse journey falls into when only named ids count: with and without its company.
pub(crate) fn by_named_ids<'f>(facts: &[&'f Fact]) -> [Vec<&'f Fact>; 2] {
    let named = |fact: &&&Fact| fact.ids & ids::JOURNEY != 0;
    let (with, without) = facts
        .iter()
        .filter(named)
        .partition(|fact| fact.ids & ids::COMPANY != 0);
    [with, without]
}

fn day(at_us: i64) -> u32 {
    u32::try_from(at_us.div_euclid(DAY)).unwrap_or(0)
}

fn field(by: By) -> &'static str {
    match by {
        By::Total => "total",
        By::Category => "category",
        By::Surface => "surface",
        By::Medium => "medium",
        By::EntryPoint => "entry_point",
        By::UseCase => "use_case",
        By::Country => "country",
        By::Locale => "locale",
        By::Device => "device.class",
        By::Experiment => "experiment",
        By::Integration => "integration",
        By::Day => "day",
    }
}

fn name(by: By, value: u32) -> &'static str {
    let at = value as usize;
    match (by, value) {
        (_, BEFORE_CHOICE) => "(before choice)",
        (_, NONE) => "(none)",
        (By::Category, _) => CATEGORIES[at].name,
        (By::Surface, _) => SURFACES[at].name,
        (By::Medium, _) => MEDIUMS[at],
        (By::EntryPoint, _) => ENTRY_POINTS[at],
        (By::UseCase, _) => USE_CASES[at],
        (By::Country, _) => COUNTRIES[at].0,
        (By::Locale, _) => COUNTRIES[at].1,
        (By::Device, _) => DEVICES[at].0,
        (By::Experiment, 0) => "control",
        (By::Experiment, _) => "treatment",
        (By::Integration, _) => INTEGRATIONS[at].key,
        (By::Total | By::Day, _) => "",
    }
}
