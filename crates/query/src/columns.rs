//! Reads the values a question names out of record batches.
//!
//! Words are stored as dictionary codes: a predicate is evaluated once per word of a batch's
//! dictionary and mapped over the codes; a dimension's words are interned once per dictionary.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, MapArray, RecordBatch,
    StringArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::error::{DataFusionError, Result};
use foldhash::fast::RandomState;
use linkfunnel_model::{Field, FieldRef};

mod by_row;
mod experiments;

pub(crate) use by_row::ByRow;
use experiments::{EXPERIMENTS, Experiments, told_codes};
pub(crate) use experiments::{experiments_of, told_of};

/// Where a value of an event comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// A field of the event.
    Field(Field),
    /// `attrs.<key>`, text or number.
    Attr(String),
    /// `experiments.<id>`: the variant.
    Experiment(String),
    /// Every experiment with its variant, as one text: see [`experiments_of`].
    Experiments,
    /// What an event tells of one experiment, its variant and whether its unit is exposed or no more than assigned: see
    /// [`told_of`].
    Told(String),
}

impl From<FieldRef> for Source {
    fn from(field: FieldRef) -> Source {
        match field {
            FieldRef::Field(field) => Source::Field(field),
            FieldRef::Attr(key) => Source::Attr(key),
            FieldRef::Experiment(id) => Source::Experiment(id),
        }
    }
}

impl Source {
    /// The columns to read.
    pub(crate) fn columns(&self) -> Vec<&'static str> {
        match self {
            Source::Field(field) => vec![field.column()],
            Source::Attr(_) => vec!["attrs", "attrs_num"],
            Source::Experiment(_) | Source::Experiments => vec![EXPERIMENTS],
            Source::Told(_) => vec![EXPERIMENTS, Field::Event.column()],
        }
    }
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    None,
    Text(&'a str),
    Int(i64),
    Num(f64),
    Bool(bool),
}

/// Whether the check holds, per row.
pub(crate) fn test(
    batch: &RecordBatch,
    source: &Source,
    holds: impl Fn(Cell<'_>) -> bool,
) -> Result<Vec<bool>> {
    let rows = batch.num_rows();
    match source {
        Source::Field(field) => test_column(column(batch, field.column())?, holds),
        Source::Attr(key) => {
            let (texts, numbers) = attr_columns(batch)?;
            Ok((0..rows)
                .map(|row| holds(attr(texts, numbers, row, key)))
                .collect())
        }
        Source::Experiment(id) | Source::Told(id) => {
            let experiments = Experiments::new(batch)?;
            Ok((0..rows)
                .map(|row| holds(experiments.variant(row, id)))
                .collect())
        }
        Source::Experiments => {
            let experiments = Experiments::new(batch)?;
            let all = |row| experiments.all(row);
            let holds =
                |text: Option<String>| holds(text.as_deref().map_or(Cell::None, Cell::Text));
            Ok((0..rows).map(all).map(holds).collect())
        }
    }
}

/// As [`test`], of a column as it is.
pub(crate) fn test_column(array: &ArrayRef, holds: impl Fn(Cell<'_>) -> bool) -> Result<Vec<bool>> {
    let rows = array.len();
    match array.data_type() {
        DataType::Dictionary(_, _) => {
            let absent = holds(Cell::None);
            let holds = |text: &str| holds(Cell::Text(text));
            Ok(ByRow::of_words(array, absent, holds)?.into_rows())
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            Ok((0..rows).map(|row| any_item(list, row, &holds)).collect())
        }
        _ => {
            let cells = Cells::new(array)?;
            Ok((0..rows).map(|row| holds(cells.get(row))).collect())
        }
    }
}

/// A list holds what one of its items holds; an empty one is like a missing one.
fn any_item(list: &ListArray, row: usize, holds: impl Fn(Cell<'_>) -> bool) -> bool {
    if list.is_null(row) || list.value_length(row) == 0 {
        return holds(Cell::None);
    }
    let items = list.value(row);
    match items.as_string_opt::<i32>() {
        Some(texts) => texts.iter().flatten().any(|text| holds(Cell::Text(text))),
        None => holds(Cell::None),
    }
}

/// Code of a value that is absent.
pub(crate) const ABSENT: u32 = u32::MAX;

/// Gives each distinct text a small number.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    codes: HashMap<Arc<str>, u32, RandomState>,
    texts: Vec<Arc<str>>,
    bytes: usize,
}

impl Interner {
    pub(crate) fn code(&mut self, text: &str) -> u32 {
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        let code = u32::try_from(self.texts.len()).expect("memory ends before u32 does");
        let shared: Arc<str> = text.into();
        self.codes.insert(Arc::clone(&shared), code);
        self.texts.push(shared);
        self.bytes += text.len() + 64;
        code
    }

    /// The text of a code; `None` for [`ABSENT`].
    pub(crate) fn text(&self, code: u32) -> Option<&Arc<str>> {
        self.texts.get(code as usize)
    }

    /// Memory held, roughly, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The code of the value of `source` per row, [`ABSENT`] where there is none.
pub(crate) fn codes<'b>(
    batch: &'b RecordBatch,
    source: &Source,
    interner: &mut Interner,
) -> Result<ByRow<'b, u32>> {
    let rows = batch.num_rows();
    let codes: Vec<u32> = match source {
        Source::Field(field) => {
            let array = column(batch, field.column())?;
            if matches!(array.data_type(), DataType::Dictionary(_, _)) {
                return ByRow::of_words(array, ABSENT, |text| interner.code(text));
            }
            if let Some(list) = array.as_list_opt::<i32>() {
                // Lists are only asked whether they hold anything.
                let any = interner.code("(list)");
                let code = |row| {
                    if any_item(list, row, |c| c != Cell::None) {
                        any
                    } else {
                        ABSENT
                    }
                };
                return Ok(ByRow::Rows((0..rows).map(code).collect()));
            }
            let cells = Cells::new(array)?;
            (0..rows)
                .map(|row| cell_code(cells.get(row), interner))
                .collect()
        }
        Source::Attr(key) => {
            let (texts, numbers) = attr_columns(batch)?;
            (0..rows)
                .map(|row| cell_code(attr(texts, numbers, row, key), interner))
                .collect()
        }
        Source::Experiment(id) => {
            let experiments = Experiments::new(batch)?;
            (0..rows)
                .map(|row| cell_code(experiments.variant(row, id), interner))
                .collect()
        }
        Source::Experiments => {
            let experiments = Experiments::new(batch)?;
            let code = |text: Option<String>| text.map_or(ABSENT, |text| interner.code(&text));
            (0..rows)
                .map(|row| experiments.all(row))
                .map(code)
                .collect()
        }
        Source::Told(id) => told_codes(batch, id, interner)?,
    };
    Ok(ByRow::Rows(codes))
}

fn cell_code(cell: Cell<'_>, interner: &mut Interner) -> u32 {
    match cell {
        Cell::None => ABSENT,
        Cell::Text(text) => interner.code(text),
        Cell::Bool(flag) => interner.code(if flag { "true" } else { "false" }),
        Cell::Int(number) => interner.code(&number.to_string()),
        Cell::Num(number) => interner.code(&number.to_string()),
    }
}

/// A dictionary column: texts and the code per row.
pub(crate) struct Words<'a> {
    keys: &'a [i32],
    nulls: Option<&'a NullBuffer>,
    pub(crate) texts: StringArray,
}

impl Words<'_> {
    /// Index into the dictionary; `None` where null.
    pub(crate) fn code(&self, row: usize) -> Option<usize> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        usize::try_from(self.keys[row]).ok()
    }

    /// A text of the dictionary.
    pub(crate) fn text(&self, code: usize) -> Option<&str> {
        self.texts.is_valid(code).then(|| self.texts.value(code))
    }
}

/// A column as dictionary of texts.
pub(crate) fn words(array: &ArrayRef) -> Result<Words<'_>> {
    let dictionary = array
        .as_dictionary_opt::<Int32Type>()
        .ok_or_else(|| unexpected("dictionary of int32", array.data_type()))?;
    let values = dictionary.values();
    let texts = match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().clone(),
        _ => arrow::compute::cast(values, &DataType::Utf8)?
            .as_string::<i32>()
            .clone(),
    };
    Ok(Words {
        keys: dictionary.keys().values(),
        nulls: dictionary.keys().nulls(),
        texts,
    })
}

/// A plain column, one cell a row.
enum Cells<'a> {
    Text(&'a StringArray),
    Int(&'a Int64Array),
    Bool(&'a BooleanArray),
    Instant(&'a arrow::array::TimestampMicrosecondArray),
}

impl<'a> Cells<'a> {
    fn new(array: &'a ArrayRef) -> Result<Self> {
        match array.data_type() {
            DataType::Utf8 => Ok(Cells::Text(array.as_string())),
            DataType::Int64 => Ok(Cells::Int(array.as_primitive::<Int64Type>())),
            DataType::Boolean => Ok(Cells::Bool(array.as_boolean())),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(Cells::Instant(
                array.as_primitive::<TimestampMicrosecondType>(),
            )),
            other => Err(unexpected("text, int64, boolean or timestamp", other)),
        }
    }

    fn get(&self, row: usize) -> Cell<'a> {
        match self {
            Cells::Text(a) if a.is_valid(row) => Cell::Text(a.value(row)),
            Cells::Int(a) if a.is_valid(row) => Cell::Int(a.value(row)),
            Cells::Bool(a) if a.is_valid(row) => Cell::Bool(a.value(row)),
            Cells::Instant(a) if a.is_valid(row) => Cell::Int(a.value(row)),
            _ => Cell::None,
        }
    }
}

/// The column, by name.
pub(crate) fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef> {
    batch
        .column_by_name(name)
        .ok_or_else(|| DataFusionError::Internal(format!("the scan gave no column {name}")))
}

/// A column of whole numbers or instants.
#[derive(Clone, Copy)]
pub(crate) struct Ints<'b> {
    pub(crate) values: &'b [i64],
    nulls: Option<&'b NullBuffer>,
}

impl Ints<'_> {
    pub(crate) fn get(self, row: usize) -> Option<i64> {
        let is_null = self.nulls.is_some_and(|nulls| nulls.is_null(row));
        (!is_null).then(|| self.values[row])
    }
}

/// A column of whole numbers or instants, as i64.
pub(crate) fn int64s<'b>(batch: &'b RecordBatch, name: &str) -> Result<Ints<'b>> {
    let array = column(batch, name)?;
    let values = match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().values(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().values()
        }
        other => return Err(unexpected("int64 or timestamp", other)),
    };
    Ok(Ints {
        values,
        nulls: array.nulls(),
    })
}

/// A column of plain texts.
pub(crate) fn texts<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b StringArray> {
    let array = column(batch, name)?;
    array
        .as_string_opt::<i32>()
        .ok_or_else(|| unexpected("utf8", array.data_type()))
}

fn attr_columns(batch: &RecordBatch) -> Result<(&MapArray, &MapArray)> {
    let map = |name| -> Result<&MapArray> {
        let array = column(batch, name)?;
        array
            .as_map_opt()
            .ok_or_else(|| unexpected("map", array.data_type()))
    };
    Ok((map("attrs")?, map("attrs_num")?))
}

fn attr<'a>(texts: &'a MapArray, numbers: &'a MapArray, row: usize, key: &str) -> Cell<'a> {
    if let Some(at) = entry(texts, row, key)
        && let Some(values) = texts.values().as_string_opt::<i32>()
    {
        return Cell::Text(values.value(at));
    }
    if let Some(at) = entry(numbers, row, key)
        && let Some(values) = numbers.values().as_primitive_opt::<Float64Type>()
    {
        return Cell::Num(values.value(at));
    }
    Cell::None
}

/// Where in the map's entries the key's value is, if it is there and not null.
fn entry(map: &MapArray, row: usize, key: &str) -> Option<usize> {
    if map.is_null(row) {
        return None;
    }
    let keys = map.keys().as_string_opt::<i32>()?;
    let offsets = map.value_offsets();
    let span = usize::try_from(offsets[row]).ok()?..usize::try_from(offsets[row + 1]).ok()?;
    span.into_iter()
        .find(|i| keys.value(*i) == key)
        .filter(|i| map.values().is_valid(*i))
}

fn unexpected(wanted: &str, got: &DataType) -> DataFusionError {
    DataFusionError::Internal(format!("the scan gave a column of {got}, wanted {wanted}"))
}
