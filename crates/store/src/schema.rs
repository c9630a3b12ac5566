//! The columns of the table, for files and for rows in memory alike.
//!
//! One table holds two kinds of rows, kept in separate files by the partition column `kind`: events
//! and rejects (dead letters and suppressed messages). Event columns follow the model's table of
//! fields, so a new field is a new column and nothing else changes here.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field as Column, Fields, Schema, SchemaRef, TimeUnit};
use linkfunnel_model::{Field, FieldKind, IdKind};

/// The stream a row came from.
pub const STREAM: &str = "_stream";
/// The partition of the stream.
pub const PARTITION: &str = "_partition";
/// The offset of the message in its partition.
pub const OFFSET: &str = "_offset";
/// Which of a message's events it is, from 0.
pub const INDEX: &str = "_index";
/// The tenant.
pub const TENANT: &str = "tenant_id";
/// The key of whose event it is.
pub const ROOT_KEY: &str = "root_key";
/// What kind of id the root is.
pub const ROOT_KIND: &str = "root_kind";
/// The key that copies of one event share.
pub const EVENT_KEY: &str = "event_key";
/// When it happened (µs, UTC).
pub const OCCURRED_AT: &str = "occurred_at";
/// When it arrived (µs, UTC).
pub const RECEIVED_AT: &str = "received_at";
/// The partition column of the Delta table: [`EVENT`] or [`REJECT`].
pub const KIND_COLUMN: &str = "_kind";
/// The partition of event files.
pub const EVENT: &str = "event";
/// The partition of reject files.
pub const REJECT: &str = "reject";

/// Table order without the tenant, which is fixed within a scan.
pub const ORDER: [&str; 3] = [ROOT_KEY, OCCURRED_AT, EVENT_KEY];
/// What decides between copies: the least wins.
pub const TIE_BREAKERS: [&str; 5] = [RECEIVED_AT, STREAM, PARTITION, OFFSET, INDEX];
/// The columns in which all copies of an event agree; a filter on others may not run before copies
/// are dropped, because it could let a later copy through.
pub const SAME_IN_COPIES: [&str; 7] = [
    TENANT,
    ROOT_KEY,
    ROOT_KIND,
    OCCURRED_AT,
    EVENT_KEY,
    "event",
    "source",
];

/// Whether a column holds keys of ids.
pub(crate) fn is_key(column: &str) -> bool {
    IdKind::ALL.iter().any(|kind| kind.key_column() == column)
}

pub(crate) fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// `list<utf8>` as Delta names its parts.
pub(crate) fn texts() -> DataType {
    DataType::List(Arc::new(Column::new("element", DataType::Utf8, true)))
}

pub(crate) fn map_of(value: DataType) -> DataType {
    let entries = DataType::Struct(Fields::from(vec![
        Column::new("key", DataType::Utf8, false),
        Column::new("value", value, true),
    ]));
    DataType::Map(Arc::new(Column::new("key_value", entries, false)), false)
}

pub(crate) fn experiment_fields() -> Fields {
    Fields::from(vec![
        Column::new("id", DataType::Utf8, true),
        Column::new("variant", DataType::Utf8, true),
        Column::new("unit", DataType::Utf8, true),
        Column::new("exposed", DataType::Boolean, true),
    ])
}

/// The Arrow type of a field's column.
pub fn column_type(field: Field) -> DataType {
    match field.kind() {
        FieldKind::Text { few: true, .. } | FieldKind::Vocab(_) => dictionary(),
        FieldKind::Text { few: false, .. } | FieldKind::Id(_) => DataType::Utf8,
        FieldKind::Bool => DataType::Boolean,
        FieldKind::Int { .. } => DataType::Int64,
        FieldKind::Instant => instant(),
        FieldKind::Texts { .. } => texts(),
    }
}

fn position_columns() -> Vec<Column> {
    vec![
        Column::new(STREAM, dictionary(), false),
        Column::new(PARTITION, DataType::Int32, false),
        Column::new(OFFSET, DataType::Int64, false),
        Column::new(INDEX, DataType::Int32, false),
        Column::new(TENANT, dictionary(), false),
    ]
}

static EVENTS: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut columns = position_columns();
    columns.push(Column::new(ROOT_KEY, DataType::Int64, false));
    columns.push(Column::new(ROOT_KIND, dictionary(), true));
    columns.push(Column::new(EVENT_KEY, DataType::Int64, false));
    columns.extend(
        IdKind::ALL
            .iter()
            .map(|k| Column::new(k.key_column(), DataType::Int64, true)),
    );
    for field in Field::ALL.iter().filter(|f| f.column() != TENANT) {
        let required = matches!(field, Field::OccurredAt | Field::ReceivedAt);
        columns.push(Column::new(field.column(), column_type(*field), !required));
    }
    columns.push(Column::new("attrs", map_of(DataType::Utf8), true));
    columns.push(Column::new("attrs_num", map_of(DataType::Float64), true));
    let experiment = Column::new("element", DataType::Struct(experiment_fields()), true);
    columns.push(Column::new(
        "experiments",
        DataType::List(Arc::new(experiment)),
        true,
    ));
    columns.push(Column::new("dropped_fields", texts(), true));
    Arc::new(Schema::new(columns))
});

static REJECTS: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut columns = position_columns();
    columns.push(Column::new(RECEIVED_AT, instant(), false));
    columns.push(Column::new("reject_kind", dictionary(), true));
    columns.push(Column::new("reject_code", dictionary(), true));
    columns.push(Column::new("reject_pointer", DataType::Utf8, true));
    columns.push(Column::new("reject_detail", DataType::Utf8, true));
    columns.push(Column::new("payload", DataType::Binary, true));
    columns.push(Column::new("key_id", dictionary(), true));
    Arc::new(Schema::new(columns))
});

/// The columns of an event row: where it came from, its keys, one column per field of the model,
/// then attributes, experiments and the names of dropped fields.
pub fn table_schema() -> SchemaRef {
    Arc::clone(&EVENTS)
}

/// The columns of a reject row: where it came from, why it was refused, and its encrypted bytes
/// (null when suppressed).
pub fn reject_schema() -> SchemaRef {
    Arc::clone(&REJECTS)
}

/// All columns of the Delta table, events' first. Columns that only one kind has are nullable.
pub(crate) fn delta_columns() -> Schema {
    let (events, rejects) = (table_schema(), reject_schema());
    let mut columns: Vec<Column> = Vec::new();
    for column in events.fields().iter().chain(rejects.fields()) {
        if columns.iter().all(|c| c.name() != column.name()) {
            let in_both = events.field_with_name(column.name()).is_ok()
                && rejects.field_with_name(column.name()).is_ok();
            let nullable = column.is_nullable() || !in_both;
            columns.push(Column::new(
                column.name(),
                column.data_type().clone(),
                nullable,
            ));
        }
    }
    columns.push(Column::new(KIND_COLUMN, DataType::Utf8, false));
    Schema::new(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_model_has_its_column() {
        let schema = table_schema();
        for field in Field::ALL {
            let column = schema.field_with_name(field.column()).unwrap();
            assert_eq!(
                column.data_type(),
                &column_type(*field),
                "{}",
                field.column()
            );
        }
    }

    #[test]
    fn no_two_columns_share_a_name() {
        let columns = delta_columns();
        let mut names: Vec<_> = columns
            .fields()
            .iter()
            .map(|f| f.name().to_lowercase())
            .collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
