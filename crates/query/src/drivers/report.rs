//! Counts of drivers to rows: rates, their difference, its p, adjusted over all rows tested.

use std::collections::HashMap;
use std::sync::Arc;

use linkfunnel_stats::{Test, benjamini_hochberg, difference, newcombe};

use super::count::{Drivers, Side, Value};
use super::{Against, DriverDifference, DriverRow, DriverSide, DriverTest};
use crate::answer::null;
use crate::report::rate;

/// Matured subjects that either side of a row needs to be tested.
pub const LEAST_MATURED: u64 = 30;
/// Why the numbers of a row are null: a side has fewer than [`LEAST_MATURED`] matured subjects.
pub const TOO_SMALL: &str = "too_small";

/// How a dimension is told.
pub(crate) struct Told {
    /// As the question names it.
    pub(crate) name: String,
    /// Which of its values a subject stands under.
    pub(crate) attribution: String,
    pub(crate) against: Against,
}

/// All rows: those tested first, the greatest difference first.
pub(crate) fn rows(drivers: &Drivers, dimensions: &[Told]) -> Vec<DriverRow> {
    let bases = bases(drivers);
    let mut rows: Vec<DriverRow> = drivers
        .values
        .iter()
        .map(|(value, with)| {
            let told = &dimensions[value.dimension];
            let base = match told.against {
                Against::OtherValues => bases[&(value.dimension, value.experiment.clone())],
                Against::EveryoneElse | Against::WithoutTheEvent => drivers.all,
            };
            value_row(told, value, *with, base)
        })
        .collect();
    let event = |(event, with): (&Arc<str>, &Side)| event_row(event, *with, drivers.reached);
    rows.extend(drivers.events.iter().map(event));
    adjust(&mut rows);
    rows.sort_by(|a, b| rank(a).cmp(&rank(b)));
    rows
}

/// Strongest first among those tested; the rest by size; then by name.
fn rank(row: &DriverRow) -> impl Ord + use<'_> {
    let strength = row
        .difference
        .value
        .map_or(0, |value| value.abs().to_bits());
    let names = (&row.dimension, &row.value, &row.event);
    let size = row.with.matured.min(row.without.matured);
    (row.too_small, std::cmp::Reverse((strength, size)), names)
}

/// All with a value of the dimension.
fn bases(drivers: &Drivers) -> HashMap<(usize, Option<Arc<str>>), Side> {
    let mut bases: HashMap<(usize, Option<Arc<str>>), Side> = HashMap::new();
    for (value, side) in &drivers.values {
        let of = (value.dimension, value.experiment.clone());
        bases.entry(of).or_default().add(*side);
    }
    bases
}

fn value_row(told: &Told, value: &Value, with: Side, base: Side) -> DriverRow {
    let dimension = match &value.experiment {
        Some(id) => format!("experiments.{id}"),
        None => told.name.clone(),
    };
    DriverRow {
        dimension: Some(dimension),
        value: Some(value.value.to_string()),
        attribution: Some(told.attribution.clone()),
        against: told.against,
        ..compared(with, base)
    }
}

fn event_row(event: &str, with: Side, base: Side) -> DriverRow {
    DriverRow {
        event: Some(event.to_owned()),
        against: Against::WithoutTheEvent,
        ..compared(with, base)
    }
}

fn compared(with: Side, base: Side) -> DriverRow {
    let without = base.without(with);
    let too_small = with.matured.min(without.matured) < LEAST_MATURED;
    let pair = |side: Side| (side.succeeded, side.matured);
    let tested = difference(pair(with), pair(without)).filter(|_| !too_small);
    let estimate = newcombe(pair(with), pair(without)).filter(|_| !too_small);
    let code = too_small.then(|| TOO_SMALL.to_owned());
    DriverRow {
        dimension: None,
        value: None,
        event: None,
        attribution: None,
        against: Against::EveryoneElse,
        with: side(with),
        without: side(without),
        difference: DriverDifference {
            value: estimate.map(|e| e.value),
            low: estimate.map(|e| e.interval.low),
            high: estimate.map(|e| e.interval.high),
        },
        test: tested.map(|tested| match tested.test {
            Test::Fisher => DriverTest::Fisher,
            Test::Score => DriverTest::Score,
        }),
        p: tested.map(|tested| tested.p),
        p_adjusted: None,
        too_small,
        code,
    }
}

pub(crate) fn side(side: Side) -> DriverSide {
    DriverSide {
        subjects: side.subjects,
        matured: side.matured,
        converted: side.succeeded,
        rate: rate(side.succeeded, side.matured, null::NOT_MATURED),
    }
}

fn adjust(rows: &mut [DriverRow]) {
    let p: Vec<f64> = rows.iter().filter_map(|row| row.p).collect();
    let adjusted = benjamini_hochberg(&p);
    let tested = rows.iter_mut().filter(|row| row.p.is_some());
    for (row, p) in tested.zip(adjusted) {
        row.p_adjusted = Some(p);
    }
}
