//! Rows as the client wants them: JSON, NDJSON, CSV or an Arrow stream, chosen by `Accept`.
//!
//! CSV is safe to open in a spreadsheet: a text cell that would be read as a formula gets a leading
//! apostrophe (OWASP, "CSV Injection"); numbers and times, negative ones too, are left alone.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::WriterBuilder;
use arrow::json::writer::{JsonArray, LineDelimited};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use axum::http::{HeaderMap, StatusCode, header};

use crate::problem::{Answer, Problem};

/// A form rows can be sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One document with columns and rows.
    Json,
    /// One object a line.
    Ndjson,
    /// A header line and one line a row (RFC 4180).
    Csv,
    /// Arrow IPC stream.
    Arrow,
}

/// What can be asked for, first the one meant by `*/*`.
const FORMATS: [(&str, Format); 4] = [
    ("application/json", Format::Json),
    ("application/x-ndjson", Format::Ndjson),
    ("text/csv", Format::Csv),
    ("application/vnd.apache.arrow.stream", Format::Arrow),
];

impl Format {
    /// The media type of the answer.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Ndjson => "application/x-ndjson",
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// The format the client likes best; JSON when it has no wish.
    pub(crate) fn wanted(headers: &HeaderMap) -> Answer<Format> {
        let mut accept = headers.get_all(header::ACCEPT).iter().peekable();
        if accept.peek().is_none() {
            return Ok(Format::Json);
        }
        let mut best: Option<(f32, Format)> = None;
        for value in accept.filter_map(|value| value.to_str().ok()) {
            for range in value.split(',') {
                let (quality, format) = media_range(range);
                let Some(format) = format.filter(|_| quality > 0.0) else {
                    continue;
                };
                if best.is_none_or(|(b, _)| quality > b) {
                    best = Some((quality, format));
                }
            }
        }
        best.map(|(_, format)| format).ok_or_else(|| {
            let known: Vec<&str> = FORMATS.iter().map(|(name, _)| *name).collect();
            Problem::new(
                StatusCode::NOT_ACCEPTABLE,
                "not_acceptable",
                format!("rows come as {}", known.join(", ")),
            )
        })
    }
}

/// One element of `Accept`: its quality and the format it names.
fn media_range(range: &str) -> (f32, Option<Format>) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let quality = parts
        .find_map(|part| part.strip_prefix("q="))
        .and_then(|q| q.parse().ok());
    let named = FORMATS
        .iter()
        .find(|(format, _)| match name.split_once('/') {
            Some(("*", "*")) => true,
            Some((kind, "*")) => format.split('/').next() == Some(kind),
            _ => *format == name,
        });
    (quality.unwrap_or(1.0), named.map(|(_, format)| *format))
}

/// Rows as a JSON array of objects, nulls written out.
pub(crate) fn json_array(batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let builder = WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, JsonArray>(Vec::new());
    writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    Ok(writer.into_inner())
}

/// Rows as one JSON object a line.
pub(crate) fn ndjson(batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let builder = WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, LineDelimited>(Vec::new());
    writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    Ok(writer.into_inner())
}

/// Rows as an Arrow IPC stream.
pub(crate) fn arrow_stream(
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.into_inner()
}

/// Rows as CSV that no spreadsheet takes for formulas.
pub(crate) fn csv(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let names = schema
        .fields()
        .iter()
        .map(|field| guard(field.name().clone()));
    writer.write_record(names).map_err(csv_error)?;
    let options = FormatOptions::default();
    for batch in batches {
        let columns = batch.columns().iter();
        let cells: Vec<ArrayFormatter<'_>> = columns
            .map(|array| ArrayFormatter::try_new(array, &options))
            .collect::<Result<_, _>>()?;
        let harmless: Vec<bool> = schema
            .fields()
            .iter()
            .map(|field| is_harmless(field.data_type()))
            .collect();
        for row in 0..batch.num_rows() {
            for (cell, harmless) in cells.iter().zip(&harmless) {
                let text = cell.value(row).try_to_string()?;
                let text = if *harmless { text } else { guard(text) };
                writer.write_field(text).map_err(csv_error)?;
            }
            writer.write_record(None::<&[u8]>).map_err(csv_error)?;
        }
    }
    writer
        .into_inner()
        .map_err(|error| ArrowError::CsvError(error.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "used as map_err's function")]
fn csv_error(error: csv::Error) -> ArrowError {
    ArrowError::CsvError(error.to_string())
}

/// Types whose text can never be a formula that matters.
fn is_harmless(data_type: &DataType) -> bool {
    data_type.is_numeric() || data_type.is_temporal() || matches!(data_type, DataType::Boolean)
}

/// Puts an apostrophe before a cell that a spreadsheet would run.
fn guard(cell: String) -> String {
    // Full-width forms are taken for the ASCII ones by some spreadsheets.
    const STARTS: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '＠'];
    match cell.chars().next() {
        Some(first) if STARTS.contains(&first) || first == '－' => format!("'{cell}"),
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::{Field, Schema, TimeUnit};
    use axum::http::HeaderValue;

    use super::*;

    fn batch() -> RecordBatch {
        let zone = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Schema::new(vec![
            Field::new("=evil()", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true),
            Field::new("x", DataType::Float64, true),
            Field::new("at", zone, true),
        ]);
        let text = StringArray::from(vec![Some("=1+1"), None, Some("a,\"b\"\n"), Some("-2")]);
        let numbers = Int64Array::from(vec![Some(-5), Some(1), None, Some(7)]);
        let floats = Float64Array::from(vec![f64::NAN, -0.5, 1.0, 2.0]);
        let times = TimestampMicrosecondArray::from(vec![0, 1, 2, -1]).with_timezone("UTC");
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(text),
            Arc::new(numbers),
            Arc::new(floats),
            Arc::new(times),
        ];
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    #[test]
    fn csv_cells_that_look_like_formulas_are_defused_and_numbers_kept() {
        let batch = batch();
        let text =
            String::from_utf8(csv(&batch.schema(), std::slice::from_ref(&batch)).unwrap()).unwrap();
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines[0], "'=evil(),n,x,at");
        assert!(
            lines[1].starts_with("'=1+1,-5,NaN,1970-01-01T00:00:00Z"),
            "{}",
            lines[1]
        );
        assert!(lines[2].starts_with(",1,-0.5,"), "{}", lines[2]);
        assert!(
            lines[3].starts_with("\"a,\"\"b\"\"\n\",,1.0,"),
            "{}",
            lines[3]
        );
        assert!(lines[4].starts_with("'-2,7,"), "{}", lines[4]);
        for start in ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"] {
            assert!(guard(format!("{start}x")).starts_with('\''), "{start:?}");
        }
        assert_eq!(guard("x=1".into()), "x=1");
        assert_eq!(guard(String::new()), "");
    }

    #[test]
    fn json_writes_nulls_and_never_nan() {
        let json = String::from_utf8(json_array(&[batch()]).unwrap()).unwrap();
        let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(rows[0]["x"], serde_json::Value::Null);
        assert_eq!(rows[1]["=evil()"], serde_json::Value::Null);
        assert_eq!(rows[0]["at"], "1970-01-01T00:00:00Z");
        assert_eq!(json_array(&[]).unwrap(), b"[]");
        let lines = String::from_utf8(ndjson(&[batch()]).unwrap()).unwrap();
        assert_eq!(lines.lines().count(), 4);
    }

    #[test]
    fn an_arrow_stream_reads_back() {
        let batch = batch();
        let bytes = arrow_stream(&batch.schema(), std::slice::from_ref(&batch)).unwrap();
        let mut reader = arrow::ipc::reader::StreamReader::try_new(&bytes[..], None).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().num_rows(), 4);
        assert!(reader.next().is_none());
    }

    #[test]
    fn the_format_is_what_accept_likes_best() {
        let wanted = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
            Format::wanted(&headers).map_err(|p| p.code().to_owned())
        };
        assert_eq!(Format::wanted(&HeaderMap::new()).unwrap(), Format::Json);
        assert_eq!(wanted("*/*"), Ok(Format::Json));
        assert_eq!(wanted("text/csv"), Ok(Format::Csv));
        assert_eq!(wanted("text/*"), Ok(Format::Csv));
        assert_eq!(
            wanted("application/json;q=0.5, text/csv; q=0.8"),
            Ok(Format::Csv)
        );
        assert_eq!(
            wanted("image/png, application/x-ndjson"),
            Ok(Format::Ndjson)
        );
        assert_eq!(
            wanted("application/vnd.apache.arrow.stream"),
            Ok(Format::Arrow)
        );
        assert_eq!(wanted("image/png"), Err("not_acceptable".into()));
        assert_eq!(wanted("text/csv;q=0"), Err("not_acceptable".into()));
    }
}
