//! Reads the rows of a Parquet file as records; nested columns get dotted names.

use std::borrow::Cow;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray,
};
use arrow::compute::{cast, is_null, nullif};
use arrow::datatypes::{DataType, Field as Column, Int64Type, TimeUnit};
use linkfunnel_model::Event;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::mapping::{Cell, Mapping, Wishes};
use super::records::demand_zone;
use crate::failure::{Doing, Failure, Result};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 4_096;

/// The rows of a Parquet file, in file order.
pub(crate) struct ParquetRows {
    reader: ParquetRecordBatchReader,
    mapping: Mapping,
    columns: Vec<(String, Values)>,
    rows: usize,
    row: usize,
    number: u64,
    progress: Progress,
}

/// Bytes told to the progress bar: the file's size in proportion to the rows read.
struct Progress {
    bytes: Arc<AtomicU64>,
    file_bytes: u64,
    file_rows: u64,
}

enum Values {
    Text(StringArray),
    Int(Int64Array),
    Float(Float64Array),
    Bool(BooleanArray),
    Instant(Int64Array),
    Local(Int64Array),
    Texts(ListArray),
}

impl ParquetRows {
    /// Opens the file, reads its footer and checks the mapping against its columns.
    pub(crate) fn new(file: File, wishes: &Wishes, bytes: Arc<AtomicU64>) -> Result<Self> {
        let mut mapping = Mapping::new(wishes)?;
        let file_bytes = file.metadata()?.len();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)
            .doing(|| "reading the Parquet footer".into())?;
        let mut names = Vec::new();
        for column in builder.schema().fields() {
            name_columns(column.name(), column, &mut names);
        }
        mapping.check_columns(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let file_rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        let kept = builder.schema().fields().iter().enumerate();
        let kept = kept.filter(|(_, column)| !wishes.skip.contains(column.name()));
        let roots: Vec<usize> = kept.map(|(index, _)| index).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let reader = builder
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()?;
        let progress = Progress {
            bytes,
            file_bytes,
            file_rows,
        };
        Ok(ParquetRows {
            reader,
            mapping,
            columns: Vec::new(),
            rows: 0,
            row: 0,
            number: 0,
            progress,
        })
    }

    /// What the columns became.
    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Appends the next row to `out` as an event; false at the end.
    pub(crate) fn next_into(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        while self.row == self.rows {
            let Some(batch) = self.reader.next() else {
                return Ok(false);
            };
            self.take(&batch?)?;
        }
        self.number += 1;
        let mut event = Event::default();
        for (column, values) in &self.columns {
            let Some(cell) = values.cell(self.row) else {
                continue;
            };
            demand_zone(&mut self.mapping, column, &cell, self.number)?;
            self.mapping.put(&mut event, column, cell);
        }
        self.mapping.finish(&mut event, out);
        self.row += 1;
        Ok(true)
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        self.columns.clear();
        for (column, array) in batch.schema().fields().iter().zip(batch.columns()) {
            flatten(column.name(), array, &mut self.columns)?;
        }
        (self.rows, self.row) = (batch.num_rows(), 0);
        let Progress {
            bytes,
            file_bytes,
            file_rows,
        } = &self.progress;
        let part =
            u128::from(*file_bytes) * batch.num_rows() as u128 / u128::from((*file_rows).max(1));
        bytes.fetch_add(u64::try_from(part).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }
}

fn name_columns(name: &str, column: &Column, names: &mut Vec<String>) {
    match column.data_type() {
        DataType::Struct(children) => {
            for child in children {
                name_columns(&format!("{name}.{}", child.name()), child, names);
            }
        }
        _ => names.push(name.to_owned()),
    }
}

fn flatten(name: &str, array: &ArrayRef, columns: &mut Vec<(String, Values)>) -> Result<()> {
    if let Some(parent) = array.as_any().downcast_ref::<StructArray>() {
        for (child, values) in parent.fields().iter().zip(parent.columns()) {
            let values = match parent.nulls() {
                Some(_) => nullif(values, &is_null(parent)?)?,
                None => Arc::clone(values),
            };
            flatten(&format!("{name}.{}", child.name()), &values, columns)?;
        }
        return Ok(());
    }
    let values = Values::of(array).map_err(|_| {
        Failure::usage(format!(
            "column {name} holds {}, which no field can take",
            array.data_type()
        ))
        .mend(format!("leave it out with --skip {name}"))
    })?;
    columns.push((name.to_owned(), values));
    Ok(())
}

impl Values {
    fn of(array: &ArrayRef) -> Result<Self> {
        let micros = |zone| DataType::Timestamp(TimeUnit::Microsecond, zone);
        let to = |kind: &DataType| cast(array, kind);
        let ints = |array: &ArrayRef| array.as_primitive::<Int64Type>().clone();
        Ok(match array.data_type() {
            DataType::Boolean => Values::Bool(array.as_boolean().clone()),
            kind if kind.is_integer() => Values::Int(ints(&to(&DataType::Int64)?)),
            kind if kind.is_numeric() => {
                Values::Float(to(&DataType::Float64)?.as_primitive().clone())
            }
            DataType::Timestamp(_, Some(zone)) => {
                let micros = to(&micros(Some(Arc::clone(zone))))?;
                Values::Instant(ints(&cast(&micros, &DataType::Int64)?))
            }
            DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 => {
                Values::Local(ints(&cast(&to(&micros(None))?, &DataType::Int64)?))
            }
            DataType::List(_) | DataType::LargeList(_) => {
                let texts = DataType::new_list(DataType::Utf8, true);
                Values::Texts(to(&texts)?.as_list().clone())
            }
            _ => Values::Text(to(&DataType::Utf8)?.as_string().clone()),
        })
    }

    fn cell(&self, row: usize) -> Option<Cell<'static>> {
        fn valid<A: Array>(array: &A, row: usize) -> Option<&A> {
            array.is_valid(row).then_some(array)
        }
        Some(match self {
            Values::Text(a) => Cell::Text(Cow::Owned(valid(a, row)?.value(row).to_owned())),
            Values::Int(a) => Cell::Int(valid(a, row)?.value(row)),
            Values::Float(a) => Cell::Float(valid(a, row)?.value(row)),
            Values::Bool(a) => Cell::Bool(valid(a, row)?.value(row)),
            Values::Instant(a) => Cell::Instant(valid(a, row)?.value(row)),
            Values::Local(a) => Cell::Local(valid(a, row)?.value(row)),
            Values::Texts(a) => {
                let items = valid(a, row)?.value(row);
                let items = items.as_string::<i32>().iter().flatten();
                Cell::Texts(items.map(str::to_owned).collect())
            }
        })
    }
}
