//! One Parquet file of the table, as the log describes it.
//!
//! What a scan needs to leave a file out is in the Delta statistics, which any reader understands;
//! what only this crate needs (which offsets a file holds, whether it may hold copies, how often it
//! was merged, how many rows name no company) is in tags beside them.

use std::collections::HashMap;

use deltalake::kernel::{Add, Remove};
use linkfunnel_model::instant_text;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::position::StreamPartition;
use crate::schema;

/// Offsets of one partition that a file or a run of rows holds, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) at: StreamPartition,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// Files with more spans than this (many imports merged into one) do without the list.
const MAX_SPANS: usize = 256;

/// What a file's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum RowKind {
    Event,
    Reject,
}

impl RowKind {
    pub(crate) const fn partition(self) -> &'static str {
        match self {
            RowKind::Event => schema::EVENT,
            RowKind::Reject => schema::REJECT,
        }
    }
}

/// The least and the greatest value of a column.
pub(crate) type Bounds = Option<(i64, i64)>;

/// What is known of a file's rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Contents {
    pub(crate) rows: u64,
    pub(crate) tenants: Option<(String, String)>,
    pub(crate) root_key: Bounds,
    pub(crate) occurred_at: Bounds,
    pub(crate) received_at: Bounds,
    /// Rows whose root has to be found: they name no company and are not exempt. `None`: not known.
    pub(crate) nameless: Option<u64>,
    /// `None`: not known, or too many.
    pub(crate) spans: Option<Vec<Span>>,
    /// No two rows are copies of each other.
    pub(crate) distinct: bool,
    /// How often the rows were merged: 0 as committed.
    pub(crate) level: u32,
}

/// One active file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFile {
    pub(crate) kind: RowKind,
    /// Path below the table's root.
    pub(crate) path: String,
    pub(crate) size: u64,
    /// When it was written (ms since the epoch).
    pub(crate) modified_ms: i64,
    /// The table holds all of its rows since this version at the latest; 0 for a file not committed
    /// yet. Rewriting rows does not make them newer.
    pub(crate) newest: i64,
    pub(crate) contents: Contents,
}

const SPANS: &str = "linkfunnel.spans";
const DISTINCT: &str = "linkfunnel.distinct";
const LEVEL: &str = "linkfunnel.level";
const NAMELESS: &str = "linkfunnel.nameless";

impl DataFile {
    /// Whether the file may hold rows of `tenant` within `occurred` (both ends included).
    pub(crate) fn may_hold(&self, tenant: Option<&str>, occurred: (i64, i64)) -> bool {
        let of_tenant = match (tenant, &self.contents.tenants) {
            (Some(tenant), Some((least, greatest))) => {
                least.as_str() <= tenant && tenant <= greatest.as_str()
            }
            _ => true,
        };
        of_tenant && overlap(self.contents.occurred_at, occurred)
    }

    /// The one tenant whose rows the file holds, if it is one.
    pub(crate) fn only_tenant(&self) -> Option<&str> {
        let (least, greatest) = self.contents.tenants.as_ref()?;
        (least == greatest).then_some(least)
    }

    pub(crate) fn to_add(&self, data_change: bool) -> Add {
        let mut tags = HashMap::from([
            (
                DISTINCT.to_owned(),
                Some(self.contents.distinct.to_string()),
            ),
            (LEVEL.to_owned(), Some(self.contents.level.to_string())),
        ]);
        if let Some(nameless) = self.contents.nameless {
            tags.insert(NAMELESS.to_owned(), Some(nameless.to_string()));
        }
        if let Some(spans) = self
            .contents
            .spans
            .as_ref()
            .filter(|s| s.len() <= MAX_SPANS)
        {
            let spans: Vec<_> = spans
                .iter()
                .map(|s| json!([s.at.stream, s.at.partition, s.first, s.last]))
                .collect();
            tags.insert(SPANS.to_owned(), Some(Value::from(spans).to_string()));
        }
        Add {
            path: self.path.clone(),
            partition_values: partition_values(self.kind),
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            modification_time: self.modified_ms,
            data_change,
            stats: Some(self.contents.to_stats().to_string()),
            tags: Some(tags),
            ..Add::default()
        }
    }

    pub(crate) fn to_remove(&self, now_ms: i64) -> Remove {
        Remove {
            path: self.path.clone(),
            data_change: false,
            deletion_timestamp: Some(now_ms),
            extended_file_metadata: Some(true),
            partition_values: Some(partition_values(self.kind)),
            size: i64::try_from(self.size).ok(),
            ..Remove::default()
        }
    }

    /// The file an `add` action describes. Files of other writers may lack statistics and tags;
    /// then less can be left out of a scan.
    pub(crate) fn from_add(add: &Add) -> Result<Self> {
        let foreign = |reason: String| Error::Foreign { reason };
        if add.deletion_vector.is_some() {
            return Err(foreign(format!("{} has a deletion vector", add.path)));
        }
        let kind = add
            .partition_values
            .get(schema::KIND_COLUMN)
            .cloned()
            .flatten();
        let kind = match kind.as_deref() {
            Some(schema::EVENT) => RowKind::Event,
            Some(schema::REJECT) => RowKind::Reject,
            other => return Err(foreign(format!("{} is of kind {other:?}", add.path))),
        };
        let stats: Value = match &add.stats {
            Some(text) => serde_json::from_str(text)
                .map_err(|e| foreign(format!("{} has unreadable statistics: {e}", add.path)))?,
            None => Value::Null,
        };
        let tag = |name: &str| {
            add.tags
                .as_ref()
                .and_then(|t| t.get(name))
                .cloned()
                .flatten()
        };
        Ok(DataFile {
            kind,
            path: add.path.clone(),
            size: u64::try_from(add.size).unwrap_or(0),
            modified_ms: add.modification_time,
            newest: 0,
            contents: Contents {
                spans: tag(SPANS).and_then(|text| parse_spans(&text)),
                distinct: tag(DISTINCT).as_deref() == Some("true"),
                level: tag(LEVEL).and_then(|l| l.parse().ok()).unwrap_or(0),
                nameless: tag(NAMELESS).and_then(|n| n.parse().ok()),
                ..Contents::from_stats(&stats)
            },
        })
    }
}

fn partition_values(kind: RowKind) -> HashMap<String, Option<String>> {
    HashMap::from([(
        schema::KIND_COLUMN.to_owned(),
        Some(kind.partition().to_owned()),
    )])
}

fn parse_spans(text: &str) -> Option<Vec<Span>> {
    let spans: Vec<(String, i32, i64, i64)> = serde_json::from_str(text).ok()?;
    let span = |(stream, partition, first, last): (String, i32, i64, i64)| Span {
        at: StreamPartition::new(stream, partition),
        first,
        last,
    };
    Some(spans.into_iter().map(span).collect())
}

/// Whether two closed ranges meet; an unknown one meets everything.
pub(crate) fn overlap(known: Bounds, wanted: (i64, i64)) -> bool {
    known.is_none_or(|(least, greatest)| least <= wanted.1 && wanted.0 <= greatest)
}

/// Widens `bounds` to take in `(least, greatest)`.
pub(crate) fn widen(bounds: &mut Bounds, (least, greatest): (i64, i64)) {
    *bounds = Some(match *bounds {
        Some((low, high)) => (low.min(least), high.max(greatest)),
        None => (least, greatest),
    });
}

impl Contents {
    /// Whether copies may lie in another order than that of their arrival: those that compaction
    /// keeps do, a commit's do not.
    pub(crate) fn holds_copies_in_any_order(&self) -> bool {
        !self.distinct && self.level > 0
    }

    fn to_stats(&self) -> Value {
        let (mut least, mut greatest) = (Map::new(), Map::new());
        if let Some((low, high)) = &self.tenants {
            least.insert(schema::TENANT.into(), json!(low));
            greatest.insert(schema::TENANT.into(), json!(high));
        }
        if let Some((low, high)) = self.root_key {
            least.insert(schema::ROOT_KEY.into(), json!(low));
            greatest.insert(schema::ROOT_KEY.into(), json!(high));
        }
        let times = [
            (schema::OCCURRED_AT, self.occurred_at),
            (schema::RECEIVED_AT, self.received_at),
        ];
        for (column, bounds) in times {
            if let Some((low, high)) = bounds {
                // Delta cuts times in statistics to milliseconds; readers allow for it
                let cut = |us: i64| instant_text(us.div_euclid(1000) * 1000);
                least.insert(column.into(), json!(cut(low)));
                greatest.insert(column.into(), json!(cut(high)));
            }
        }
        json!({"numRecords": self.rows, "minValues": least, "maxValues": greatest, "nullCount": {}})
    }

    fn from_stats(stats: &Value) -> Self {
        let bound = |which: &str, column: &str| stats.get(which).and_then(|v| v.get(column));
        let text = |which: &str, column: &str| bound(which, column)?.as_str();
        let number = |which: &str, column: &str| bound(which, column)?.as_i64();
        let time = |which: &str, column: &str| {
            let time = chrono::DateTime::parse_from_rfc3339(text(which, column)?).ok()?;
            Some(time.timestamp_micros())
        };
        let times = |column: &str| {
            // a greatest time may have lost its last three digits
            Some((
                time("minValues", column)?,
                time("maxValues", column)?.saturating_add(999),
            ))
        };
        Contents {
            rows: stats.get("numRecords").and_then(Value::as_u64).unwrap_or(0),
            tenants: text("minValues", schema::TENANT)
                .zip(text("maxValues", schema::TENANT))
                .map(|(low, high)| (low.to_owned(), high.to_owned())),
            root_key: number("minValues", schema::ROOT_KEY)
                .zip(number("maxValues", schema::ROOT_KEY)),
            occurred_at: times(schema::OCCURRED_AT),
            received_at: times(schema::RECEIVED_AT),
            ..Contents::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> DataFile {
        DataFile {
            kind: RowKind::Event,
            path: "_kind=event/a.parquet".into(),
            size: 10,
            modified_ms: 5,
            newest: 0,
            contents: Contents {
                rows: 3,
                tenants: Some(("a".into(), "b".into())),
                root_key: Some((i64::MIN, i64::MAX)),
                occurred_at: Some((1_000_123, 2_000_999)),
                received_at: Some((-1, 3_000_001)),
                nameless: Some(2),
                spans: Some(vec![Span {
                    at: StreamPartition::new("s/x", 3),
                    first: 1,
                    last: 9,
                }]),
                distinct: true,
                level: 2,
            },
        }
    }

    #[test]
    fn a_file_survives_the_log_with_times_at_most_a_millisecond_wider() {
        let file = file();
        let add: Add =
            serde_json::from_value(serde_json::to_value(file.to_add(true)).unwrap()).unwrap();
        let back = DataFile::from_add(&add).unwrap();
        assert_eq!(back.contents.occurred_at, Some((1_000_000, 2_000_999)));
        assert_eq!(back.contents.received_at, Some((-1000, 3_000_999)));
        let exact = Contents {
            occurred_at: file.contents.occurred_at,
            received_at: file.contents.received_at,
            ..back.contents
        };
        assert_eq!(
            DataFile {
                contents: exact,
                ..back
            },
            file
        );
    }

    #[test]
    fn a_greatest_time_cut_to_milliseconds_hides_no_row() {
        let add = file().to_add(true);
        let back = DataFile::from_add(&add).unwrap();
        assert!(back.may_hold(None, (2_000_999, 2_000_999)));
        assert!(!back.may_hold(None, (2_001_000, 3_000_000)));
        assert!(!back.may_hold(Some("c"), (i64::MIN, i64::MAX)));
    }

    #[test]
    fn a_file_of_another_kind_or_with_deletions_is_refused() {
        let mut add = file().to_add(true);
        add.partition_values.clear();
        assert!(matches!(
            DataFile::from_add(&add),
            Err(Error::Foreign { .. })
        ));
    }
}
