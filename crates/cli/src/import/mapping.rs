//! Which column of a foreign file becomes which field of an event (`import --map field=column,…`).
//!
//! Invariants: a column goes to every field that names it, else to the field of its own name, else
//! to `attrs`; nothing is lost without `--skip` (but from files of exposures: `exposures.rs`). In a file without event ids a record gets one from
//! what it holds, so the same record always has the same id; in a file that has ids, one without is
//! a mistake that the decoder refuses. Values are handed on as they are written:
//! whether they are right is the decoder's to say, like for every other way in.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use chrono::DateTime;
use chrono_tz::Tz;
use linkfunnel_model::{Event, EventName, Field, FieldKind, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::exposures::{Exposures, Told};
use super::times::{epoch, parse_local, place, read_time};
use crate::failure::{Failure, Result};

/// Most attributes an event can carry (domain.md 3.2).
const MAX_ATTRS: usize = 32;

/// One value of a record, before anybody knows which field it is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A flag.
    Bool(bool),
    /// µs since the epoch.
    Instant(i64),
    /// µs on a clock whose zone the file does not name.
    Local(i64),
    /// A list of texts.
    Texts(Vec<String>),
}

/// What the user said about the file's columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes {
    /// `--map`: (field as written, column).
    pub(crate) map: Vec<(String, String)>,
    /// `--skip`.
    pub(crate) skip: Vec<String>,
    /// `--event-prefix`.
    pub(crate) event_prefix: Option<String>,
    /// `--timezone`.
    pub(crate) zone: Option<Tz>,
    /// `--exposures`, `--unit`, `--assigned`.
    pub(crate) exposures: Option<Exposures>,
}

impl Wishes {
    /// Whether nothing was said: events are then expected to be in linkfunnel's own form.
    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
            && self.skip.is_empty()
            && self.event_prefix.is_none()
            && self.zone.is_none()
            && self.exposures.is_none()
    }

    /// What names the stream of a file beside its content. Files that were imported keep their streams, so what this says
    /// of a wish never changes.
    pub(crate) fn name(&self) -> String {
        let Wishes {
            map,
            skip,
            event_prefix,
            zone,
            exposures,
        } = self;
        let exposures = exposures.map_or(String::new(), |it| format!(", exposures: {it:?}"));
        format!(
            "Wishes {{ map: {map:?}, skip: {skip:?}, event_prefix: {event_prefix:?}, zone: {zone:?}{exposures} }}"
        )
    }
}

/// What a column is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    /// A field of the event.
    Field(Field),
    /// An attribute.
    Attr(String),
    /// The experiment of an exposure.
    Experiment,
    /// Its variant.
    Variant,
    /// What the row says was assigned.
    UnitType,
}

/// Turns records of named cells into events.
pub(crate) struct Mapping {
    wishes: Vec<(Target, String)>,
    skip: Vec<String>,
    event_prefix: Option<Arc<str>>,
    zone: Option<Tz>,
    columns: HashMap<String, Vec<Target>>,
    attrs: Vec<String>,
    exposures: Option<Exposures>,
    /// Whether the columns of the exposures are known.
    is_found: bool,
    told: Told,
    left_out: Vec<String>,
    /// Whether the file has event ids of its own; known from its columns or its first record.
    has_ids: Option<bool>,
}

impl Mapping {
    /// Checks the wishes that need no file: field names, the prefix.
    pub(crate) fn new(wishes: &Wishes) -> Result<Self> {
        let mut targets = Vec::new();
        for (field, column) in &wishes.map {
            targets.push((target(field, wishes.exposures)?, column.clone()));
        }
        if let Some(prefix) = &wishes.event_prefix
            && !prefix.starts_with("custom.")
        {
            return Err(Failure::usage(format!("--event-prefix {prefix} is no name of one's own"))
                .mend("event names outside the vocabulary begin with custom., as in --event-prefix custom."));
        }
        Ok(Mapping {
            wishes: targets,
            skip: wishes.skip.clone(),
            event_prefix: wishes.event_prefix.as_deref().map(Arc::from),
            zone: wishes.zone,
            columns: HashMap::new(),
            attrs: Vec::new(),
            exposures: wishes.exposures,
            is_found: false,
            told: Told::default(),
            left_out: Vec::new(),
            has_ids: None,
        })
    }

    /// Checks the wishes against the columns of a table, before anything is stored.
    pub(crate) fn check_columns(&mut self, columns: &[&str]) -> Result<()> {
        for (_, column) in &self.wishes {
            if !columns.contains(&column.as_str()) {
                return Err(missing_column("--map", column, columns));
            }
        }
        if let Some(column) = self
            .skip
            .iter()
            .find(|column| !columns.contains(&column.as_str()))
        {
            return Err(missing_column("--skip", column, columns));
        }
        self.find_exposures(columns)?;
        for column in columns {
            self.targets(column);
        }
        let claims = |field: Field| {
            self.columns
                .values()
                .flatten()
                .any(|t| matches!(t, Target::Field(f) if *f == field))
        };
        self.has_ids = Some(claims(Field::EventId));
        let needed: &[Field] = match self.exposures {
            Some(_) => &[],
            None => &[Field::OccurredAt, Field::Event],
        };
        for field in needed.iter().copied() {
            if !claims(field) {
                let path = field.path();
                let guess = columns
                    .iter()
                    .find(|column| Field::guess(column) == Some(path));
                let column = guess.copied().unwrap_or("COLUMN");
                return Err(
                    Failure::usage(format!("no column holds {path}")).mend(format!(
                        "name it with --map {path}={column}; columns: {}",
                        columns.join(", ")
                    )),
                );
            }
        }
        if !Field::ALL
            .iter()
            .any(|f| matches!(f.kind(), FieldKind::Id(_)) && claims(*f))
        {
            return Err(Failure::usage("no column holds an id").mend(format!(
                "name one with --map company_id=COLUMN (or user_id, session_id, journey_id, …); columns: {}",
                columns.join(", ")
            )));
        }
        if self.attrs.len() > MAX_ATTRS {
            return Err(Failure::usage(format!(
                "{} columns are claimed by no field, and an event holds {MAX_ATTRS} attrs",
                self.attrs.len()
            ))
            .mend(format!(
                "leave some out with --skip: {}",
                self.attrs.join(",")
            )));
        }
        Ok(())
    }

    /// Whether the columns of a file of exposures are still to be found: by its first record, where it has no head.
    pub(crate) fn seeks_columns(&self) -> bool {
        self.exposures.is_some() && !self.is_found
    }

    /// Finds which column of a file of exposures is what.
    pub(crate) fn find_exposures(&mut self, columns: &[&str]) -> Result<()> {
        if let Some(exposures) = self.exposures.filter(|_| !self.is_found) {
            let skipped = |column: &&str| self.skip.iter().any(|skip| skip == column);
            let left: Vec<&str> = columns.iter().copied().filter(|c| !skipped(c)).collect();
            let found = exposures.find(&left, &self.wishes)?;
            self.wishes.extend(found);
            self.is_found = true;
        }
        Ok(())
    }

    /// Columns of a file of exposures that were not taken.
    pub(crate) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Columns met so far that no field claims, kept in `attrs`.
    pub(crate) fn attrs(&self) -> &[String] {
        &self.attrs
    }

    /// Columns that `--map` or `--skip` name and no record so far had.
    pub(crate) fn unseen(&self) -> Vec<&str> {
        let wished = self
            .wishes
            .iter()
            .map(|(_, column)| column)
            .chain(&self.skip);
        wished
            .filter(|c| !self.columns.contains_key(*c))
            .map(String::as_str)
            .collect()
    }

    /// The zone of a column's times where they name none: its own, else that of `--timezone`.
    pub(crate) fn zone(&self, column: &str) -> Option<Tz> {
        let is_utc = self.exposures.is_some_and(|it| it.is_utc(column));
        if is_utc { Some(Tz::UTC) } else { self.zone }
    }

    /// Whether a column holds a time.
    pub(crate) fn is_time(&mut self, column: &str) -> bool {
        let is_time = |t: &Target| matches!(t, Target::Field(f) if f.kind() == FieldKind::Instant);
        self.targets(column).iter().any(is_time)
    }

    /// Sets the fields of `event` that a cell is for.
    pub(crate) fn put<'a>(&mut self, event: &mut Event<'a>, column: &str, cell: Cell<'a>) {
        let (zone, prefix) = (self.zone(column), self.event_prefix.clone());
        let mut told = std::mem::take(&mut self.told);
        let targets = self.targets(column);
        if let Some((last, others)) = targets.split_last() {
            for target in others {
                put_one(
                    event,
                    &mut told,
                    target,
                    cell.clone(),
                    zone,
                    prefix.as_deref(),
                );
            }
            put_one(event, &mut told, last, cell, zone, prefix.as_deref());
        }
        self.told = told;
    }

    /// Appends the record as JSON, with an event id from its content where the file has none.
    pub(crate) fn finish(&mut self, event: &mut Event<'_>, out: &mut Vec<u8>) {
        if let Some(exposures) = self.exposures {
            exposures.finish(event, std::mem::take(&mut self.told));
        }
        let start = out.len();
        event.to_json(out);
        let has_id = event.get(Field::EventId).is_some();
        if !*self.has_ids.get_or_insert(has_id) && !has_id {
            let id = content_id(&out[start..]);
            out.truncate(start);
            event.set(Field::EventId, id);
            event.to_json(out);
        }
    }

    fn targets(&mut self, column: &str) -> &[Target] {
        if !self.columns.contains_key(column) {
            let targets = self.claim(column);
            match targets.as_slice() {
                [Target::Attr(name)] => self.attrs.push(name.clone()),
                [] if !self.skip.iter().any(|skip| skip == column) => {
                    self.left_out.push(column.to_owned());
                }
                _ => {}
            }
            self.columns.insert(column.to_owned(), targets);
        }
        &self.columns[column]
    }

    fn claim(&self, column: &str) -> Vec<Target> {
        if self.skip.iter().any(|skip| skip == column) {
            return Vec::new();
        }
        let wished: Vec<Target> = self
            .wishes
            .iter()
            .filter(|(_, c)| c == column)
            .map(|(t, _)| t.clone())
            .collect();
        if !wished.is_empty() {
            return wished;
        }
        let taken = |field: &Field| {
            self.wishes
                .iter()
                .any(|(t, _)| matches!(t, Target::Field(f) if f == field))
        };
        let own = Field::from_path(column)
            .or_else(|| {
                Field::ALL
                    .iter()
                    .copied()
                    .find(|field| field.column() == column)
            })
            .filter(|field| !taken(field));
        let is_kept = |field: &Field| self.exposures.is_none_or(|it| it.keeps(column, *field));
        match own.filter(is_kept) {
            Some(field) => vec![Target::Field(field)],
            None if self.exposures.is_some() => Vec::new(),
            None => vec![Target::Attr(
                column.strip_prefix("attrs.").unwrap_or(column).to_owned(),
            )],
        }
    }
}

/// An id made of what a record holds.
pub(crate) fn content_id(record: &[u8]) -> String {
    format!("c-{:032x}", xxh3_128(record))
}

fn target(field: &str, exposures: Option<Exposures>) -> Result<Target> {
    if let Some(target) = exposures.and_then(|it| it.target(field)) {
        return target;
    }
    if let Some(name) = field.strip_prefix("attrs.").filter(|name| !name.is_empty()) {
        return Ok(Target::Attr(name.to_owned()));
    }
    Field::parse(field).map(Target::Field).ok_or_else(|| {
        let guess = Field::guess(field).map_or(String::new(), |g| format!("did you mean {g}? "));
        Failure::usage(format!("--map: {field} is no field of an event")).mend(format!(
            "{guess}the form is --map FIELD=COLUMN, for instance session_id=session"
        ))
    })
}

fn missing_column(option: &str, column: &str, columns: &[&str]) -> Failure {
    Failure::usage(format!("{option}: the file has no column {column}"))
        .mend(format!("columns: {}", columns.join(", ")))
}

fn put_one<'a>(
    event: &mut Event<'a>,
    told: &mut Told,
    target: &Target,
    cell: Cell<'a>,
    zone: Option<Tz>,
    prefix: Option<&str>,
) {
    match target {
        Target::Experiment => told.experiment = Some(text_of(cell).into_owned()),
        Target::Variant => told.variant = Some(text_of(cell).into_owned()),
        Target::UnitType => told.unit_type = Some(text_of(cell).into_owned()),
        Target::Attr(name) => put_attr(event, name, cell),
        Target::Field(Field::Event) => {
            let name = text_of(cell);
            let known = EventName::parse(&name).is_some() || name.starts_with("custom.");
            match prefix {
                Some(prefix) if !known => event.set(Field::Event, own_name(prefix, &name)),
                _ => event.set(Field::Event, name),
            }
        }
        Target::Field(field) => event.set(*field, value_for(*field, cell, zone)),
    }
}

fn put_attr<'a>(event: &mut Event<'a>, name: &str, cell: Cell<'a>) {
    let taken = std::mem::take(event);
    *event = match cell {
        #[expect(clippy::cast_precision_loss, reason = "attrs are doubles")]
        Cell::Int(number) => taken.with_attr_num(name.to_owned(), number as f64),
        Cell::Float(number) => taken.with_attr_num(name.to_owned(), number),
        other => taken.with_attr(name.to_owned(), text_of(other)),
    };
}

/// A foreign event name under the user's prefix, in the letters that custom names may have.
fn own_name(prefix: &str, name: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '_' | '.') => c,
        _ => '_',
    };
    prefix
        .chars()
        .chain(name.trim().chars().map(plain))
        .collect()
}

fn value_for<'a>(field: Field, cell: Cell<'a>, zone: Option<Tz>) -> Value<'a> {
    match (field.kind(), cell) {
        (FieldKind::Instant, cell) => instant(cell, zone),
        (FieldKind::Int { .. }, Cell::Int(number)) => Value::Int(number),
        (FieldKind::Int { .. }, Cell::Text(text)) => match text.trim().parse() {
            Ok(number) => Value::Int(number),
            Err(_) => Value::Text(text),
        },
        (FieldKind::Bool, Cell::Bool(flag)) => Value::Bool(flag),
        (FieldKind::Bool, cell) => match text_of(cell) {
            text if matches!(&*text, "true" | "TRUE" | "True" | "1") => Value::Bool(true),
            text if matches!(&*text, "false" | "FALSE" | "False" | "0") => Value::Bool(false),
            text => Value::Text(text),
        },
        (FieldKind::Texts { .. }, Cell::Texts(texts)) => {
            Value::Texts(texts.into_iter().map(Cow::Owned).collect())
        }
        (FieldKind::Texts { .. }, cell) => {
            let text = text_of(cell);
            Value::Texts(
                text.split(',')
                    .map(|part| Cow::Owned(part.trim().to_owned()))
                    .collect(),
            )
        }
        (_, cell) => Value::Text(text_of(cell)),
    }
}

fn text_of(cell: Cell<'_>) -> Cow<'_, str> {
    match cell {
        Cell::Text(text) => text,
        Cell::Int(number) => Cow::Owned(number.to_string()),
        Cell::Float(number) => Cow::Owned(number.to_string()),
        Cell::Bool(flag) => Cow::Borrowed(if flag { "true" } else { "false" }),
        Cell::Instant(us) => Cow::Owned(linkfunnel_model::instant_text(us)),
        Cell::Local(us) => Cow::Owned(linkfunnel_model::instant_text(us).replace('Z', "")),
        Cell::Texts(texts) => Cow::Owned(texts.join(",")),
    }
}

/// Whether a cell is a time that only `--timezone` can place.
pub(crate) fn lacks_zone(cell: &Cell<'_>) -> bool {
    match cell {
        Cell::Local(_) => true,
        Cell::Text(text) => parse_local(text.trim()).is_some(),
        _ => false,
    }
}

/// A time as the decoder reads it; one that cannot be read is handed on for the decoder to refuse.
fn instant<'a>(cell: Cell<'a>, zone: Option<Tz>) -> Value<'a> {
    match cell {
        Cell::Instant(us) => Value::Instant(us),
        Cell::Int(number) => {
            epoch(number).map_or_else(|| Value::from(number.to_string()), Value::Instant)
        }
        Cell::Local(us) => {
            let local = DateTime::from_timestamp_micros(us).map(|t| t.naive_utc());
            match local.and_then(|local| place(local, zone)) {
                Some(us) => Value::Instant(us),
                None => Value::Text(text_of(Cell::Local(us))),
            }
        }
        Cell::Text(text) => match read_time(text.trim(), zone) {
            Some(us) => Value::Instant(us),
            None => Value::Text(text),
        },
        other => Value::Text(text_of(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(wishes: &Wishes, cells: &[(&str, Cell<'static>)]) -> String {
        let mut mapping = Mapping::new(wishes).unwrap();
        let mut event = Event::default();
        for (column, cell) in cells {
            mapping.put(&mut event, column, cell.clone());
        }
        let mut out = Vec::new();
        mapping.finish(&mut event, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn text(text: &'static str) -> Cell<'static> {
        Cell::Text(Cow::Borrowed(text))
    }

    fn wishes(map: &[(&str, &str)]) -> Wishes {
        let map = map
            .iter()
            .map(|(f, c)| ((*f).to_owned(), (*c).to_owned()))
            .collect();
        Wishes {
            map,
            ..Wishes::default()
        }
    }

    #[test]
    fn named_columns_go_to_their_fields_and_the_rest_to_attrs() {
        let mut wishes = wishes(&[
            ("session_id", "session"),
            ("occurred_at", "timestamp"),
            ("event", "type"),
        ]);
        wishes.event_prefix = Some("custom.".into());
        wishes.zone = Some(Tz::Europe__Paris);
        wishes.skip = vec!["noise".into()];
        let line = json(
            &wishes,
            &[
                ("session", Cell::Int(17)),
                ("timestamp", text("2026-07-01 12:00:00")),
                ("type", text("Add To-Cart")),
                ("platform", text("ios")),
                ("price", Cell::Float(9.5)),
                ("noise", text("x")),
                ("event_id", text("e1")),
            ],
        );
        assert_eq!(
            line,
            r#"{"event_id":"e1","event":"custom.add_to_cart","occurred_at":"2026-07-01T10:00:00Z","session_id":"17","attrs":{"platform":"ios","price":9.5}}"#
        );
    }

    #[test]
    fn a_record_without_an_id_gets_the_same_one_each_time() {
        let cells = [("event", text("visit.landed")), ("user_id", text("u"))];
        let first = json(&Wishes::default(), &cells);
        assert_eq!(first, json(&Wishes::default(), &cells));
        assert!(first.contains(r#""event_id":"c-"#), "{first}");
        assert_ne!(
            first,
            json(
                &Wishes::default(),
                &[("event", text("visit.landed")), ("user_id", text("v"))]
            )
        );
    }

    #[test]
    fn a_table_is_checked_before_anything_is_stored() {
        type Pairs = &'static [(&'static str, &'static str)];
        let check = |map: Pairs, columns: &[&str]| {
            let mut mapping = Mapping::new(&wishes(map)).unwrap();
            mapping
                .check_columns(columns)
                .err()
                .map_or("fine".into(), |f| f.to_string())
        };
        let cases: [(Pairs, &[&str], &str); 4] = [
            (&[], &["event", "occurred_at", "user_id"], "fine"),
            (
                &[],
                &["event", "occured_at", "user_id"],
                "name it with --map occurred_at=occured_at",
            ),
            (
                &[("user_id", "who")],
                &["event", "occurred_at"],
                "the file has no column who",
            ),
            (&[], &["event", "occurred_at"], "no column holds an id"),
        ];
        for (map, columns, expected) in cases {
            let said = check(map, columns);
            assert!(said.contains(expected), "{said}");
        }
        assert!(
            Mapping::new(&wishes(&[("sesion_id", "s")]))
                .err()
                .unwrap()
                .to_string()
                .contains("session_id")
        );
    }
}
