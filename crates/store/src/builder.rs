//! Events into Arrow columns.
//!
//! An event sets about twenty-five of some 130 columns. Only those are touched: a column that was
//! not set for a while is filled with nulls when it is set again, or at the end; one never set
//! costs nothing. No allocation per event beyond the growth of the columns.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListBuilder, MapBuilder,
    MapFieldNames, StringBuilder, StringDictionaryBuilder, StructBuilder,
    TimestampMicrosecondBuilder, new_null_array,
};
use arrow::datatypes::{DataType, Field as ArrowField, Int32Type};
use arrow::record_batch::RecordBatch;
use linkfunnel_model::{
    Event, Experiment, Field, FieldKind, IdKind, Value, event_key, id_key, root,
};

use crate::position::RowPosition;
use crate::schema;

pub(crate) type Words = StringDictionaryBuilder<Int32Type>;

/// A column that is filled only where a row sets it.
enum Sparse {
    Words(Words),
    Text(StringBuilder),
    Int(Int64Builder),
    Time(TimestampMicrosecondBuilder),
    Bool(BooleanBuilder),
    Texts(ListBuilder<StringBuilder>),
}

/// Appends the nulls a builder lacks up to `rows`.
macro_rules! pad {
    ($builder:expr, $rows:expr) => {{
        use arrow::array::ArrayBuilder as _;
        let missing = $rows - $builder.len();
        if missing > 0 {
            $builder.append_nulls(missing);
        }
    }};
}

impl Sparse {
    fn of(kind: FieldKind) -> Self {
        match kind {
            FieldKind::Text { few: true, .. } | FieldKind::Vocab(_) => Sparse::Words(Words::new()),
            FieldKind::Text { few: false, .. } | FieldKind::Id(_) => {
                Sparse::Text(Default::default())
            }
            FieldKind::Bool => Sparse::Bool(Default::default()),
            FieldKind::Int { .. } => Sparse::Int(Default::default()),
            FieldKind::Instant => {
                Sparse::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
            }
            FieldKind::Texts { .. } => Sparse::Texts(texts_builder()),
        }
    }

    /// Sets the value of row `row`; returns its bytes. A value of another type than the column's
    /// is a mistake of the maker (the decoder has checked everything else) and leaves null.
    fn set(&mut self, row: usize, value: &Value<'_>) -> usize {
        match (self, value) {
            (Sparse::Words(b), Value::Text(Cow::Borrowed(text)) | Value::Vocab(text)) => {
                pad!(b, row);
                b.append_value(text);
                4
            }
            (Sparse::Words(b), Value::Text(text)) => {
                pad!(b, row);
                b.append_value(text);
                4
            }
            (Sparse::Text(b), Value::Text(text)) => {
                pad!(b, row);
                b.append_value(text);
                text.len() + 4
            }
            (Sparse::Text(b), Value::Vocab(text)) => {
                pad!(b, row);
                b.append_value(text);
                text.len() + 4
            }
            (Sparse::Int(b), Value::Int(number)) => {
                pad!(b, row);
                b.append_value(*number);
                8
            }
            (Sparse::Time(b), Value::Instant(us)) => {
                pad!(b, row);
                b.append_value(*us);
                8
            }
            (Sparse::Bool(b), Value::Bool(flag)) => {
                pad!(b, row);
                b.append_value(*flag);
                1
            }
            (Sparse::Texts(b), Value::Texts(texts)) => {
                pad!(b, row);
                append_texts(b, texts)
            }
            (_, value) => {
                debug_assert!(false, "a value of the wrong type: {value:?}");
                0
            }
        }
    }

    /// The finished column, or `None` if no row set it.
    fn finish(&mut self, rows: usize) -> Option<ArrayRef> {
        macro_rules! done {
            ($b:expr) => {{
                use arrow::array::ArrayBuilder as _;
                if $b.is_empty() {
                    return None;
                }
                pad!($b, rows);
                Arc::new($b.finish()) as ArrayRef
            }};
        }
        Some(match self {
            Sparse::Words(b) => done!(b),
            Sparse::Text(b) => done!(b),
            Sparse::Int(b) => done!(b),
            Sparse::Time(b) => done!(b),
            Sparse::Bool(b) => done!(b),
            Sparse::Texts(b) => done!(b),
        })
    }
}

fn texts_builder() -> ListBuilder<StringBuilder> {
    ListBuilder::new(StringBuilder::new()).with_field(ArrowField::new(
        "element",
        DataType::Utf8,
        true,
    ))
}

fn append_texts(builder: &mut ListBuilder<StringBuilder>, texts: &[Cow<'_, str>]) -> usize {
    for text in texts {
        builder.values().append_value(text);
    }
    builder.append(true);
    texts.iter().map(|t| t.len() + 4).sum()
}

fn map_names() -> MapFieldNames {
    MapFieldNames {
        entry: "key_value".into(),
        key: "key".into(),
        value: "value".into(),
    }
}

/// Collects event rows into a batch of [`crate::table_schema`].
pub struct EventBatchBuilder {
    rows: usize,
    bytes: usize,
    stream: Words,
    partition: Int32Builder,
    offset: Int64Builder,
    index: Int32Builder,
    tenant: Words,
    received_at: TimestampMicrosecondBuilder,
    root_key: Int64Builder,
    root_kind: Words,
    event_key: Int64Builder,
    keys: Vec<Sparse>,
    fields: Vec<Sparse>,
    attrs: MapBuilder<StringBuilder, StringBuilder>,
    attrs_num: MapBuilder<StringBuilder, Float64Builder>,
    experiments: ListBuilder<StructBuilder>,
    dropped_fields: ListBuilder<StringBuilder>,
}

impl Default for EventBatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl EventBatchBuilder {
    /// An empty builder; [`Self::finish`] leaves it empty again, ready for the next batch.
    pub fn new() -> Self {
        let experiment = StructBuilder::from_fields(schema::experiment_fields(), 0);
        let element = DataType::Struct(schema::experiment_fields());
        EventBatchBuilder {
            rows: 0,
            bytes: 0,
            stream: Words::new(),
            partition: Int32Builder::new(),
            offset: Int64Builder::new(),
            index: Int32Builder::new(),
            tenant: Words::new(),
            received_at: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            root_key: Int64Builder::new(),
            root_kind: Words::new(),
            event_key: Int64Builder::new(),
            keys: IdKind::ALL
                .iter()
                .map(|_| Sparse::Int(Int64Builder::new()))
                .collect(),
            fields: Field::ALL.iter().map(|f| Sparse::of(f.kind())).collect(),
            attrs: MapBuilder::new(
                Some(map_names()),
                StringBuilder::new(),
                StringBuilder::new(),
            ),
            attrs_num: MapBuilder::new(
                Some(map_names()),
                StringBuilder::new(),
                Float64Builder::new(),
            ),
            experiments: ListBuilder::new(experiment)
                .with_field(ArrowField::new("element", element, true)),
            dropped_fields: texts_builder(),
        }
    }

    /// Appends a row. `received_at_us` (µs since the epoch) must depend on the message alone, so
    /// that the same message read again makes the same row.
    pub fn push(&mut self, at: RowPosition<'_>, received_at_us: i64, event: &Event<'_>) {
        let tenant = event.tenant();
        self.stream.append_value(at.stream);
        self.partition.append_value(at.partition);
        self.offset.append_value(at.offset);
        self.index.append_value(at.index);
        self.tenant.append_value(tenant);
        self.received_at.append_value(received_at_us);
        self.push_keys(tenant, event);
        let row = self.rows;
        let mut bytes = 0;
        for (field, value) in event.values() {
            if matches!(field, Field::TenantId | Field::ReceivedAt) {
                continue;
            }
            bytes += self.fields[field as usize].set(row, value);
            if let (FieldKind::Id(kind), Value::Text(id)) = (field.kind(), value) {
                let key = Value::Int(id_key(tenant, kind, id));
                bytes += self.keys[kind as usize].set(row, &key);
            }
        }
        self.rows += 1;
        self.bytes += bytes + 56 + self.push_lists(row, event);
    }

    fn push_keys(&mut self, tenant: &str, event: &Event<'_>) {
        match root(event) {
            Some((kind, id)) => {
                self.root_key.append_value(id_key(tenant, kind, id));
                self.root_kind.append_value(kind.as_str());
            }
            None => {
                self.root_key.append_value(0);
                self.root_kind.append_null();
            }
        }
        self.event_key.append_value(event_key(event, 0));
    }

    fn push_lists(&mut self, row: usize, event: &Event<'_>) -> usize {
        let mut bytes = 0;
        if !event.attrs().is_empty() {
            pad_map(&mut self.attrs, row);
            for (key, text) in event.attrs() {
                self.attrs.keys().append_value(key);
                self.attrs.values().append_value(text);
                bytes += key.len() + text.len() + 8;
            }
            self.attrs
                .append(true)
                .expect("as many keys as values were appended");
        }
        if !event.attrs_num().is_empty() {
            pad_map(&mut self.attrs_num, row);
            for (key, number) in event.attrs_num() {
                self.attrs_num.keys().append_value(key);
                self.attrs_num.values().append_value(*number);
                bytes += key.len() + 12;
            }
            self.attrs_num
                .append(true)
                .expect("as many keys as values were appended");
        }
        if !event.experiments().is_empty() {
            pad!(self.experiments, row);
            bytes += append_experiments(&mut self.experiments, event.experiments());
        }
        if !event.dropped_fields().is_empty() {
            pad!(self.dropped_fields, row);
            bytes += append_texts(&mut self.dropped_fields, event.dropped_fields());
        }
        bytes
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row has been pushed.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes so far, estimated from the values set.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows pushed since the last call, in the order they were pushed.
    pub fn finish(&mut self) -> RecordBatch {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let schema = schema::table_schema();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.stream.finish()),
            Arc::new(self.partition.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.index.finish()),
            Arc::new(self.tenant.finish()),
            Arc::new(self.root_key.finish()),
            Arc::new(self.root_kind.finish()),
            Arc::new(self.event_key.finish()),
        ];
        let or_nulls = |column: Option<ArrayRef>, at: usize| {
            column.unwrap_or_else(|| new_null_array(schema.field(at).data_type(), rows))
        };
        for key in &mut self.keys {
            columns.push(or_nulls(key.finish(rows), columns.len()));
        }
        for field in Field::ALL.iter().filter(|f| **f != Field::TenantId) {
            if *field == Field::ReceivedAt {
                columns.push(Arc::new(self.received_at.finish()));
            } else if *field == Field::OccurredAt {
                let times = self.fields[*field as usize].finish(rows);
                columns.push(times.unwrap_or_else(|| {
                    let mut none = TimestampMicrosecondBuilder::new().with_timezone("UTC");
                    Arc::new(none.finish())
                }));
            } else {
                columns.push(or_nulls(
                    self.fields[*field as usize].finish(rows),
                    columns.len(),
                ));
            }
        }
        pad_map(&mut self.attrs, rows);
        pad_map(&mut self.attrs_num, rows);
        pad!(self.experiments, rows);
        pad!(self.dropped_fields, rows);
        columns.push(Arc::new(self.attrs.finish()));
        columns.push(Arc::new(self.attrs_num.finish()));
        columns.push(Arc::new(self.experiments.finish()));
        columns.push(Arc::new(self.dropped_fields.finish()));
        RecordBatch::try_new(schema, columns).expect("the columns were built for this schema")
    }
}

fn pad_map<V: arrow::array::ArrayBuilder>(map: &mut MapBuilder<StringBuilder, V>, rows: usize) {
    use arrow::array::ArrayBuilder as _;
    let missing = rows - map.len();
    if missing > 0 {
        map.append_nulls(missing)
            .expect("as many keys as values were appended");
    }
}

fn append_experiments(
    list: &mut ListBuilder<StructBuilder>,
    experiments: &[Experiment<'_>],
) -> usize {
    const KNOWN: &str = "the builder was made from these fields";
    let mut bytes = 0;
    for experiment in experiments {
        let row = list.values();
        let texts = [&*experiment.id, &*experiment.variant, experiment.unit];
        for (at, text) in texts.into_iter().enumerate() {
            row.field_builder::<StringBuilder>(at)
                .expect(KNOWN)
                .append_value(text);
            bytes += text.len() + 4;
        }
        row.field_builder::<BooleanBuilder>(3)
            .expect(KNOWN)
            .append_value(experiment.exposed);
        row.append(true);
    }
    list.append(true);
    bytes + 1
}
