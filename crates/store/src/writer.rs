//! Rows into Parquet, small and quick to read in part.
//!
//! Keys that come in runs (roots, journeys, attempts) are dictionary encoded, so a run costs next to
//! nothing; times and offsets are delta packed; event keys are random and stay as they are. Columns
//! that no row of the file sets are left out: readers fill them with nulls.

use std::sync::Arc;

use arrow::array::Array;
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::error::{Result, While};
use crate::file::{Contents, RowKind};
use crate::options::StoreOptions;
use crate::order::{Places, Survey, in_order};
use crate::schema;

/// Rows that go through the writer at once.
const CHUNK_ROWS: usize = 16 << 10;

/// Texts that hardly ever repeat.
const UNIQUE_TEXTS: [&str; 3] = ["event_id", "source_event_id", "ingest_batch_id"];

/// How files of this kind are written.
pub(crate) fn properties(options: &StoreOptions, columns: &Schema) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(options.zstd_level).when("setting the compression level")?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(options.row_group_rows))
        .set_dictionary_page_size_limit(2 << 20)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by(format!("linkfunnel {}", env!("CARGO_PKG_VERSION")));
    for column in columns.fields() {
        let (name, path) = (
            column.name().as_str(),
            ColumnPath::from(column.name().as_str()),
        );
        let pruned_by = name == schema::TENANT || schema::ORDER.contains(&name);
        if pruned_by || name == "event" {
            properties =
                properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::Page);
        }
        if name == schema::EVENT_KEY {
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_compression(path, Compression::UNCOMPRESSED);
        } else if UNIQUE_TEXTS.contains(&name) || *column.data_type() == DataType::Binary {
            properties = properties.set_column_dictionary_enabled(path, false);
        } else if matches!(column.data_type(), DataType::Timestamp(..)) || name == schema::OFFSET {
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    Ok(properties.build())
}

/// An encoded file.
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) contents: Contents,
}

/// The rows of `batches` beyond an offset each, in table order, as one file; `None` when there are
/// none.
pub(crate) fn encode(
    batches: &[(&RecordBatch, i64)],
    kind: RowKind,
    options: &StoreOptions,
) -> Result<Option<Encoded>> {
    const DOING: &str = "writing rows";
    let places: Vec<_> = batches
        .iter()
        .map(|(batch, _)| Places::of(batch, kind))
        .collect();
    let order = in_order(&places, |batch, row| {
        places[batch].offset(row) > batches[batch].1
    });
    if order.is_empty() {
        return Ok(None);
    }
    let full = match kind {
        RowKind::Event => schema::table_schema(),
        RowKind::Reject => schema::reject_schema(),
    };
    let columns = set_columns(&full, batches);
    let schema: SchemaRef = Arc::new(full.project(&columns).when(DOING)?);
    let properties = properties(options, &schema)?;
    let mut survey = Survey::default();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties)).when(DOING)?;
    for rows in order.chunks(CHUNK_ROWS) {
        let take = |column: &usize| {
            let arrays: Vec<&dyn Array> = batches
                .iter()
                .map(|(b, _)| b.column(*column).as_ref())
                .collect();
            interleave(&arrays, rows)
        };
        let taken = columns
            .iter()
            .map(take)
            .collect::<Result<Vec<_>, _>>()
            .when(DOING)?;
        let chunk = RecordBatch::try_new(Arc::clone(&schema), taken).when(DOING)?;
        survey.add(&chunk, kind);
        writer.write(&chunk).when(DOING)?;
    }
    let bytes = writer.into_inner().when(DOING)?;
    Ok(Some(Encoded {
        bytes,
        contents: survey.finish(false, 0),
    }))
}

/// The columns that some row sets, and those that every file has.
fn set_columns(schema: &Schema, batches: &[(&RecordBatch, i64)]) -> Vec<usize> {
    let set = |at: &usize| {
        !schema.field(*at).is_nullable()
            || batches
                .iter()
                .any(|(b, _)| b.column(*at).null_count() < b.num_rows())
    };
    (0..schema.fields().len()).filter(set).collect()
}
