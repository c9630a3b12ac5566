//! Reads files as records: one JSON event a record, whatever the file's form (NDJSON, CSV, Parquet).
//!
//! Record n of a file is always the same record: its number is its offset in the stream that
//! import makes of the file.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use linkfunnel_model::Event;
use serde_json::Value as Json;

use super::mapping::{Cell, Mapping, Wishes, content_id, lacks_zone};
use super::parquet::ParquetRows;
use crate::failure::{Doing, Failure, Result};

/// Longest record read, in bytes; the rest of a longer one is passed over and the decoder refuses it as too large.
const MAX_RECORD: u64 = 8 << 20;

/// How a file holds its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated, with a header line.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// The form a file has by its name, else by its first bytes.
    pub(crate) fn of(path: &Path, first_bytes: &[u8]) -> Result<Self> {
        let ending = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or("")
            .to_ascii_lowercase();
        match ending.as_str() {
            "ndjson" | "jsonl" => Ok(Format::Ndjson),
            "csv" => Ok(Format::Csv),
            "parquet" | "pq" => Ok(Format::Parquet),
            _ => Format::sniff(first_bytes).ok_or_else(|| {
                Failure::usage(format!(
                    "{}: what it holds cannot be told from its name",
                    path.display()
                ))
                .mend("say it with --format ndjson, csv or parquet")
            }),
        }
    }

    fn sniff(first_bytes: &[u8]) -> Option<Self> {
        if first_bytes.starts_with(b"PAR1") {
            return Some(Format::Parquet);
        }
        match first_bytes.iter().find(|b| !b.is_ascii_whitespace()) {
            Some(b'{' | b'[') => Some(Format::Ndjson),
            _ => None,
        }
    }
}

/// Reads a source and counts what went through, for the progress bar.
pub(crate) struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    /// Wraps `inner`; `bytes` grows as it is read.
    pub(crate) fn new(inner: R, bytes: Arc<AtomicU64>) -> Self {
        Counted { inner, bytes }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// The records of a source, in order.
pub(crate) enum Records {
    /// Lines of JSON.
    Ndjson(NdjsonRows),
    /// Lines of a table.
    Csv(CsvRows),
    /// Rows of a Parquet file.
    Parquet(ParquetRows),
}

impl Records {
    /// Opens NDJSON or CSV from any reader.
    pub(crate) fn from_lines(
        reader: Box<dyn Read + Send>,
        format: Format,
        wishes: &Wishes,
    ) -> Result<Self> {
        match format {
            Format::Ndjson => Ok(Records::Ndjson(NdjsonRows::new(reader, wishes)?)),
            Format::Csv => Ok(Records::Csv(CsvRows::new(reader, wishes)?)),
            Format::Parquet => Err(Failure::usage("Parquet cannot be read from a pipe")
                .mend("give the file by its name")),
        }
    }

    /// Opens a file; `bytes` grows as it is read.
    pub(crate) fn from_file(
        mut file: File,
        format: Format,
        wishes: &Wishes,
        bytes: Arc<AtomicU64>,
    ) -> Result<Self> {
        file.rewind()?;
        match format {
            Format::Parquet => Ok(Records::Parquet(ParquetRows::new(file, wishes, bytes)?)),
            _ => Records::from_lines(Box::new(Counted::new(file, bytes)), format, wishes),
        }
    }

    /// Appends the next record to `out`; false at the end.
    pub(crate) fn next_into(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        match self {
            Records::Ndjson(rows) => rows.next_into(out),
            Records::Csv(rows) => rows.next_into(out),
            Records::Parquet(rows) => rows.next_into(out),
        }
    }

    /// What columns became; `None` for events in linkfunnel's own form.
    pub(crate) fn mapping(&self) -> Option<&Mapping> {
        match self {
            Records::Ndjson(rows) => rows.mapping.as_ref(),
            Records::Csv(rows) => Some(&rows.mapping),
            Records::Parquet(rows) => Some(rows.mapping()),
        }
    }
}

/// NDJSON: passed on byte for byte unless columns are mapped or the event id is missing.
pub(crate) struct NdjsonRows {
    reader: BufReader<Box<dyn Read + Send>>,
    mapping: Option<Mapping>,
    line: Vec<u8>,
    number: u64,
    has_ids: Option<bool>,
}

impl NdjsonRows {
    fn new(reader: Box<dyn Read + Send>, wishes: &Wishes) -> Result<Self> {
        let mapping = if wishes.is_empty() {
            None
        } else {
            Some(Mapping::new(wishes)?)
        };
        let mut reader = BufReader::with_capacity(1 << 18, reader);
        if reader.fill_buf()?.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') {
            return Err(
                Failure::usage("this is one JSON array, not one event a line")
                    .mend("turn it into lines: jq -c '.[]' FILE | linkfunnel import -"),
            );
        }
        Ok(NdjsonRows {
            reader,
            mapping,
            line: Vec::new(),
            number: 0,
            has_ids: None,
        })
    }

    fn next_into(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        loop {
            self.line.clear();
            if !read_line(&mut self.reader, &mut self.line)? {
                return Ok(false);
            }
            self.number += 1;
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        let Some(mapping) = &mut self.mapping else {
            let has_id = contains(&self.line, b"\"event_id\"");
            // The first object shows whether the file has ids of its own.
            if self.has_ids.is_none() && self.line.trim_ascii_start().starts_with(b"{") {
                self.has_ids = Some(has_id);
            }
            if has_id || self.has_ids != Some(false) {
                out.extend_from_slice(&self.line);
            } else {
                with_content_id(&self.line, out);
            }
            return Ok(true);
        };
        match read_object(&self.line, mapping, self.number)? {
            Some(mut event) => mapping.finish(&mut event, out),
            None => out.extend_from_slice(&self.line),
        }
        Ok(true)
    }
}

/// CSV with a header line; always mapped, since a table has no nesting.
pub(crate) struct CsvRows {
    reader: csv::Reader<Box<dyn Read + Send>>,
    header: Vec<String>,
    mapping: Mapping,
    row: csv::ByteRecord,
}

impl CsvRows {
    fn new(reader: Box<dyn Read + Send>, wishes: &Wishes) -> Result<Self> {
        let mut mapping = Mapping::new(wishes)?;
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .buffer_capacity(1 << 18)
            .from_reader(reader);
        let header: Vec<String> = reader
            .headers()
            .doing(|| "reading the header line".into())?
            .iter()
            .map(|name| name.trim().trim_start_matches('\u{feff}').to_owned())
            .collect();
        mapping.check_columns(&header.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(CsvRows {
            reader,
            header,
            mapping,
            row: csv::ByteRecord::new(),
        })
    }

    fn next_into(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        if !self.reader.read_byte_record(&mut self.row)? {
            return Ok(false);
        }
        let number = self.row.position().map_or(0, csv::Position::line);
        let mut event = Event::default();
        for (column, cell) in self.header.iter().zip(self.row.iter()) {
            if cell.is_empty() {
                continue;
            }
            let cell = Cell::Text(String::from_utf8_lossy(cell));
            demand_zone(&mut self.mapping, column, &cell, number)?;
            self.mapping.put(&mut event, column, cell);
        }
        self.mapping.finish(&mut event, out);
        Ok(true)
    }
}

/// Stops at the first time without a zone: a guessed one would move every number.
pub(crate) fn demand_zone(
    mapping: &mut Mapping,
    column: &str,
    cell: &Cell<'_>,
    n: u64,
) -> Result<()> {
    if mapping.zone(column).is_some() || !mapping.is_time(column) || !lacks_zone(cell) {
        return Ok(());
    }
    Err(
        Failure::usage(format!("times in column {column} have no zone (line {n})"))
            .mend("say which one they are in, for instance --timezone UTC"),
    )
}

/// Reads one line without its end, keeping at most [`MAX_RECORD`] bytes and a little more.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let n = reader.by_ref().take(MAX_RECORD).read_until(b'\n', line)?;
    if n == 0 {
        return Ok(false);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    } else if n as u64 == MAX_RECORD {
        skip_line(reader)?;
    }
    Ok(true)
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let (used, done) = match buffer.iter().position(|b| *b == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(used);
        if done {
            return Ok(());
        }
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// An event in linkfunnel's own form that lacks only its id: the id is put in front. What is not an
/// object goes on as it is, for the decoder to refuse.
fn with_content_id(line: &[u8], out: &mut Vec<u8>) {
    let rest = line.trim_ascii_start();
    let body = rest.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    match body {
        Some(body) if body.starts_with(b"\"") => {
            out.extend_from_slice(b"{\"event_id\":\"");
            out.extend_from_slice(content_id(line.trim_ascii()).as_bytes());
            out.extend_from_slice(b"\",");
            out.extend_from_slice(body);
        }
        _ => out.extend_from_slice(line),
    }
}

/// A JSON object as a mapped event; `None` when it is no object.
fn read_object(line: &[u8], mapping: &mut Mapping, number: u64) -> Result<Option<Event<'static>>> {
    let Ok(Json::Object(object)) = serde_json::from_slice::<Json>(line) else {
        return Ok(None);
    };
    if mapping.seeks_columns() {
        let mut names = Vec::new();
        name_members("", &object, &mut names);
        mapping.find_exposures(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    let mut event = Event::default();
    for (name, value) in object {
        put_json(&mut event, mapping, name, value, number)?;
    }
    Ok(Some(event))
}

/// The names of an object's members; those of an object inside it with a dot.
fn name_members(before: &str, object: &serde_json::Map<String, Json>, names: &mut Vec<String>) {
    for (name, value) in object {
        let name = format!("{before}{name}");
        match value {
            Json::Object(inner) => name_members(&format!("{name}."), inner, names),
            _ => names.push(name),
        }
    }
}

fn put_json(
    event: &mut Event<'static>,
    mapping: &mut Mapping,
    name: String,
    value: Json,
    number: u64,
) -> Result<()> {
    let cell = match value {
        Json::Null => return Ok(()),
        Json::Bool(flag) => Cell::Bool(flag),
        Json::String(text) => Cell::Text(Cow::Owned(text)),
        Json::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(whole), _) => Cell::Int(whole),
            (None, number) => Cell::Float(number.unwrap_or(f64::NAN)),
        },
        Json::Array(items) => Cell::Texts(
            items
                .into_iter()
                .map(|item| match item {
                    Json::String(text) => text,
                    other => other.to_string(),
                })
                .collect(),
        ),
        Json::Object(inner) => {
            for (key, value) in inner {
                put_json(event, mapping, format!("{name}.{key}"), value, number)?;
            }
            return Ok(());
        }
    };
    demand_zone(mapping, &name, &cell, number)?;
    mapping.put(event, &name, cell);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: Format, wishes: &Wishes) -> Result<Vec<String>> {
        let reader = Box::new(io::Cursor::new(text.to_owned().into_bytes()));
        let mut records = Records::from_lines(reader, format, wishes)?;
        let mut all = Vec::new();
        let mut out = Vec::new();
        while records.next_into(&mut out)? {
            all.push(String::from_utf8(std::mem::take(&mut out)).unwrap());
        }
        Ok(all)
    }

    #[test]
    fn events_in_our_own_form_are_passed_on_byte_for_byte() {
        let line = r#"{ "event_id": "e",  "nonsense": 1 }"#;
        let text = format!("{line}\r\n\n{line}");
        assert_eq!(
            read(&text, Format::Ndjson, &Wishes::default()).unwrap(),
            [line, line]
        );
        assert_eq!(
            read("not json\n", Format::Ndjson, &Wishes::default()).unwrap(),
            ["not json"]
        );
    }

    #[test]
    fn an_event_without_an_id_gets_one_from_its_content() {
        let text = "{\"event\":\"visit.landed\",\"user_id\":\"u\"}\n{\"event\":\"visit.landed\",\"user_id\":\"u\"}\n";
        let lines = read(text, Format::Ndjson, &Wishes::default()).unwrap();
        assert_eq!(lines[0], lines[1]);
        assert!(lines[0].starts_with(r#"{"event_id":"c-"#), "{}", lines[0]);
    }

    #[test]
    fn in_a_file_with_ids_an_event_without_one_stays_without() {
        let text = "{\"event_id\":\"a\"}\n{\"event\":\"visit.landed\"}\n";
        let lines = read(text, Format::Ndjson, &Wishes::default()).unwrap();
        assert_eq!(lines[1], r#"{"event":"visit.landed"}"#);
        let wishes = Wishes {
            skip: vec!["x".into()],
            ..Wishes::default()
        };
        let lines = read(text, Format::Ndjson, &wishes).unwrap();
        assert_eq!(lines[1], r#"{"event":"visit.landed"}"#);
    }

    #[test]
    fn nested_objects_are_columns_with_dots() {
        let wishes = Wishes {
            map: vec![
                ("user_id".into(), "user.id".into()),
                ("occurred_at".into(), "ts".into()),
            ],
            ..Wishes::default()
        };
        let text = r#"{"event_id":"e","event":"visit.landed","ts":1767225600,"user":{"id":7,"plan":"pro"}}"#;
        assert_eq!(
            read(text, Format::Ndjson, &wishes).unwrap(),
            [
                r#"{"event_id":"e","event":"visit.landed","occurred_at":"2026-01-01T00:00:00Z","user_id":"7","attrs":{"user.plan":"pro"}}"#
            ]
        );
    }

    #[test]
    fn a_table_without_zones_asks_for_one() {
        let text = "event,occurred_at,user_id\nvisit.landed,2026-01-01 00:00:00,u\n";
        let refused = read(text, Format::Csv, &Wishes::default())
            .err()
            .unwrap()
            .to_string();
        assert!(refused.contains("--timezone UTC"), "{refused}");
        let wishes = Wishes {
            zone: Some(chrono_tz::Tz::UTC),
            ..Wishes::default()
        };
        let lines = read(text, Format::Csv, &wishes).unwrap();
        assert!(
            lines[0].contains(r#""occurred_at":"2026-01-01T00:00:00Z""#),
            "{}",
            lines[0]
        );
    }

    #[test]
    fn an_array_is_refused_with_the_way_out() {
        let refused = read("[{}]", Format::Ndjson, &Wishes::default())
            .err()
            .unwrap();
        assert!(refused.to_string().contains("jq -c"));
    }

    #[test]
    fn a_record_without_end_does_not_fill_memory() {
        let text = format!("{}\n{{\"event_id\":1}}\n", "x".repeat(9 << 20));
        let lines = read(&text, Format::Ndjson, &Wishes::default()).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].len(), 8 << 20);
    }
}
