//! Table order: the order of rows in every file, and of hot rows in memory.
//!
//! (tenant, root, time, event key), then the tie-breakers between copies. Rejects have no root:
//! they lie by tenant and position.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray, DictionaryArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;

use crate::file::{Contents, RowKind, Span, widen};
use crate::ids::IdColumns;
use crate::position::StreamPartition;
use crate::schema;

/// The typed columns that place a row. Panics if the batch is not of the kind's schema: batches
/// come from our own builders and files.
pub(crate) struct Places<'b> {
    streams: &'b DictionaryArray<Int32Type>,
    partitions: &'b [i32],
    offsets: &'b [i64],
    indexes: &'b [i32],
    tenants: &'b DictionaryArray<Int32Type>,
    received: &'b [i64],
    /// root key, time, event key; absent for rejects.
    event: Option<[&'b [i64]; 3]>,
}

const TYPED: &str = "batches are built to the schema";

impl<'b> Places<'b> {
    pub(crate) fn of(batch: &'b RecordBatch, kind: RowKind) -> Self {
        let column = |name: &str| batch.column_by_name(name).expect(TYPED);
        let longs = |name: &str| column(name).as_primitive::<Int64Type>().values().as_ref();
        let ints = |name: &str| column(name).as_primitive::<Int32Type>().values().as_ref();
        let times = |name: &str| {
            column(name)
                .as_primitive::<TimestampMicrosecondType>()
                .values()
                .as_ref()
        };
        Places {
            streams: column(schema::STREAM).as_dictionary(),
            partitions: ints(schema::PARTITION),
            offsets: longs(schema::OFFSET),
            indexes: ints(schema::INDEX),
            tenants: column(schema::TENANT).as_dictionary(),
            received: times(schema::RECEIVED_AT),
            event: (kind == RowKind::Event).then(|| {
                [
                    longs(schema::ROOT_KEY),
                    times(schema::OCCURRED_AT),
                    longs(schema::EVENT_KEY),
                ]
            }),
        }
    }

    /// The same rows under other roots.
    pub(crate) fn with_roots(mut self, roots: &'b [i64]) -> Self {
        if let Some([stored, _, _]) = &mut self.event {
            *stored = roots;
        }
        self
    }

    pub(crate) fn rows(&self) -> usize {
        self.offsets.len()
    }

    pub(crate) fn offset(&self, row: usize) -> i64 {
        self.offsets[row]
    }

    pub(crate) fn tenant(&self, row: usize) -> &'b str {
        word(self.tenants, row)
    }

    pub(crate) fn event(&self) -> Option<[&'b [i64]; 3]> {
        self.event
    }

    /// Per row the code of its tenant in the dictionary, and the code of `tenant`s that match.
    pub(crate) fn tenant_codes(&self, wanted: &str) -> (&'b [i32], Vec<bool>) {
        let words = self.tenants.values().as_string::<i32>();
        let same = (0..words.len())
            .map(|i| words.is_valid(i) && words.value(i) == wanted)
            .collect();
        (self.tenants.keys().values(), same)
    }
}

fn word(column: &DictionaryArray<Int32Type>, row: usize) -> &str {
    let code = usize::try_from(column.keys().value(row)).expect("dictionary codes start at 0");
    column.values().as_string::<i32>().value(code)
}

/// What a row is sorted by, then where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    tenant: u32,
    root: i64,
    occurred: i64,
    event: i64,
    received: i64,
    stream: u32,
    partition: i32,
    offset: i64,
    index: i32,
    batch: u32,
    row: u32,
}

/// Ranks of texts, so that rows compare numbers.
fn ranks<'t>(texts: impl Iterator<Item = &'t str>) -> HashMap<&'t str, u32> {
    let sorted: BTreeMap<&str, ()> = texts.map(|t| (t, ())).collect();
    sorted.into_keys().zip(0..).collect()
}

/// Codes of a dictionary to ranks.
fn by_code(column: &DictionaryArray<Int32Type>, ranks: &HashMap<&str, u32>) -> Vec<u32> {
    let words = column.values().as_string::<i32>();
    words
        .iter()
        .map(|w| w.and_then(|w| ranks.get(w)).copied().unwrap_or(0))
        .collect()
}

fn values(column: &DictionaryArray<Int32Type>) -> impl Iterator<Item = &str> {
    column.values().as_string::<i32>().iter().flatten()
}

/// The rows of `batches` that `keep(batch, row)` lets through, in table order, as (batch, row):
/// ready for `interleave`.
pub(crate) fn in_order(
    batches: &[Places<'_>],
    mut keep: impl FnMut(usize, usize) -> bool,
) -> Vec<(usize, usize)> {
    let tenants = ranks(batches.iter().flat_map(|b| values(b.tenants)));
    let streams = ranks(batches.iter().flat_map(|b| values(b.streams)));
    let mut keys = Vec::with_capacity(batches.iter().map(Places::rows).sum());
    for (at, batch) in batches.iter().enumerate() {
        let tenant_rank = by_code(batch.tenants, &tenants);
        let stream_rank = by_code(batch.streams, &streams);
        let code = |column: &DictionaryArray<Int32Type>, row: usize| {
            usize::try_from(column.keys().value(row)).expect("dictionary codes start at 0")
        };
        for row in (0..batch.rows()).filter(|row| keep(at, *row)) {
            let (root, occurred, event) = match batch.event {
                Some([roots, times, events]) => (roots[row], times[row], events[row]),
                None => (0, 0, 0),
            };
            keys.push(Key {
                tenant: tenant_rank[code(batch.tenants, row)],
                root,
                occurred,
                event,
                received: if batch.event.is_some() {
                    batch.received[row]
                } else {
                    0
                },
                stream: stream_rank[code(batch.streams, row)],
                partition: batch.partitions[row],
                offset: batch.offsets[row],
                index: batch.indexes[row],
                batch: u32::try_from(at).expect("fewer than 2³² batches"),
                row: u32::try_from(row).expect("fewer than 2³² rows in a batch"),
            });
        }
    }
    keys.sort_unstable();
    keys.into_iter()
        .map(|k| (k.batch as usize, k.row as usize))
        .collect()
}

/// Gathers what the log says of a file's rows while they pass by.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    contents: Contents,
    spans: BTreeMap<StreamPartition, (i64, i64)>,
}

impl Survey {
    /// Takes in the next rows of the file.
    pub(crate) fn add(&mut self, batch: &RecordBatch, kind: RowKind) {
        let places = Places::of(batch, kind);
        let contents = &mut self.contents;
        contents.rows += places.rows() as u64;
        let bounds = |values: &[i64]| Some((*values.iter().min()?, *values.iter().max()?));
        if let Some(received) = bounds(places.received) {
            widen(&mut contents.received_at, received);
        }
        if let Some([roots, times, _]) = places.event {
            if let Some(root_key) = bounds(roots) {
                widen(&mut contents.root_key, root_key);
            }
            if let Some(occurred) = bounds(times) {
                widen(&mut contents.occurred_at, occurred);
            }
            let nameless = IdColumns::of(batch).count_nameless(batch.num_rows());
            *contents.nameless.get_or_insert(0) += nameless;
        }
        let mut spans: HashMap<(i32, i32), (i64, i64)> = HashMap::new();
        let mut tenant_before = None;
        for row in 0..places.rows() {
            let tenant_code = places.tenants.keys().value(row);
            if tenant_before.replace(tenant_code) != Some(tenant_code) {
                contents.add_tenant(places.tenant(row));
            }
            let offset = places.offsets[row];
            let code = (places.streams.keys().value(row), places.partitions[row]);
            let span = spans.entry(code).or_insert((offset, offset));
            *span = (span.0.min(offset), span.1.max(offset));
        }
        let streams = places.streams.values().as_string::<i32>();
        for ((stream, partition), (first, last)) in spans {
            let stream = usize::try_from(stream).expect("dictionary codes start at 0");
            let at = StreamPartition::new(streams.value(stream), partition);
            let span = self.spans.entry(at).or_insert((first, last));
            *span = (span.0.min(first), span.1.max(last));
        }
    }

    /// What was found; `distinct`: no two rows are copies.
    pub(crate) fn finish(self, distinct: bool, level: u32) -> Contents {
        let spans = self
            .spans
            .into_iter()
            .map(|(at, (first, last))| Span { at, first, last });
        Contents {
            spans: Some(spans.collect()),
            distinct,
            level,
            ..self.contents
        }
    }
}

impl Contents {
    fn add_tenant(&mut self, tenant: &str) {
        match &mut self.tenants {
            None => self.tenants = Some((tenant.to_owned(), tenant.to_owned())),
            Some((least, _)) if tenant < least.as_str() => tenant.clone_into(least),
            Some((_, greatest)) if tenant > greatest.as_str() => tenant.clone_into(greatest),
            Some(_) => {}
        }
    }
}
