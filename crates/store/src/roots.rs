//! Rows whose root is not the one they are stored under (semantics rule 1): they are kept out of the
//! stream of their file, put in order by their root, and merged back as an input of their own. A file
//! of which many rows move is put in order as a whole.
//!
//! Where every row names its company, nothing of this happens and nothing is read for it.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, Int64Array, StringArray,
};
use arrow::datatypes::{DataType, Field as ArrowField, FieldRef, Int32Type, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use linkfunnel_model::{Goal, IdKind, Ways};

use crate::error::Result;
use crate::file::{DataFile, RowKind};
use crate::filters::column_index;
use crate::ids::{IdColumns, KINDS, basis_column};
use crate::scan::{Input, Scan};
use crate::schema;
use crate::store::Store;
use crate::view::ReadView;

/// Where the ids of a view lead, and which of its files hold rows that move.
#[derive(Debug)]
pub(crate) struct Roots {
    pub(crate) ways: Arc<Ways>,
    moving: HashMap<String, Moving>,
}

/// How many of a file's rows are stored under another root than theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moving {
    None,
    /// They are picked out of the file, and the others stream.
    Few,
    /// All of its rows are sorted: picking them out would read the file twice for little.
    Many,
}

/// From one in so many rows on they are many.
const ONE_IN: u64 = 8;

impl Roots {
    /// How many of a file's rows move.
    pub(crate) fn moving(&self, file: &DataFile) -> Moving {
        self.moving.get(&file.path).copied().unwrap_or(Moving::None)
    }
}

impl Store {
    /// What is needed to give every row of these inputs its root; `None`: each is stored under it.
    pub(crate) async fn roots(
        &self,
        view: &ReadView,
        inputs: &[Input],
        scan: &Scan<'_>,
        state: &dyn Session,
    ) -> Result<Option<Roots>> {
        let is_nameless = |nameless: Option<u64>| nameless != Some(0);
        let of_file = |input: &&Input| is_nameless(input.file.contents.nameless);
        let hot = view
            .hot
            .iter()
            .map(|rows| rows.contents(scan.kind).nameless);
        let any = inputs.iter().any(|i| of_file(&i)) || hot.into_iter().any(is_nameless);
        if scan.raw || scan.kind != RowKind::Event || !any {
            return Ok(None);
        }
        let laid = self.ways(view, Goal::Company, state).await?;
        let mut moving = HashMap::new();
        for input in inputs.iter().filter(of_file) {
            let file = &input.file;
            let rows = match input.limited {
                // what a part of a file says is not kept: its rows are looked at as they pass
                true => file.contents.rows,
                false => self.ids_of(file, state).await?.movers(&laid),
            };
            let moves = match rows {
                0 => continue,
                rows if rows.saturating_mul(ONE_IN) < file.contents.rows => Moving::Few,
                _ => Moving::Many,
            };
            moving.insert(file.path.clone(), moves);
        }
        let ways = Arc::clone(&laid.ways);
        Ok(Some(Roots { ways, moving }))
    }
}

/// What is asked of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// Whether its root is the one it is stored under.
    Stays,
    /// Whether its root is another one, within this range (both ends included).
    MovesInto(i64, i64),
    /// The key of its root.
    Key,
    /// The kind of its root.
    Kind,
}

/// An answer about each row's root, by the ids it names.
#[derive(Clone)]
pub(crate) struct RootExpr {
    question: Question,
    ways: Arc<Ways>,
    /// Stored root, privacy basis, then the keys of all kinds of ids.
    inputs: Vec<Arc<dyn PhysicalExpr>>,
}

/// The columns that a [`RootExpr`] reads.
pub(crate) fn root_inputs() -> impl Iterator<Item = &'static str> {
    let keys = IdKind::ALL.iter().map(|kind| kind.key_column());
    [schema::ROOT_KEY, basis_column()].into_iter().chain(keys)
}

impl RootExpr {
    /// Over a schema that holds all [`root_inputs`].
    pub(crate) fn new(question: Question, ways: &Arc<Ways>, over: &Schema) -> Result<Self> {
        let input = |name| {
            let at = column_index(over, name)?;
            Ok(Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>)
        };
        Ok(RootExpr {
            question,
            ways: Arc::clone(ways),
            inputs: root_inputs().map(input).collect::<Result<_>>()?,
        })
    }

    fn answer(&self, stored: &[i64], ids: &IdColumns<'_>) -> ArrayRef {
        let rows = stored.len();
        let mut before: Option<(usize, Option<(IdKind, i64)>)> = None;
        let mut root = |row: usize| {
            // neighbours mostly name the same ids
            if let Some((same, root)) = before
                && ids.same(same, row)
            {
                return root;
            }
            let root = ids.root(row, &self.ways);
            before = Some((row, root));
            root
        };
        let moved = |row: usize, root: Option<(IdKind, i64)>| match root {
            Some((_, key)) if key != stored[row] => Some(key),
            _ => None,
        };
        match self.question {
            Question::Stays => {
                let stays = (0..rows).map(|row| moved(row, root(row)).is_none());
                Arc::new(BooleanArray::from_iter(stays.map(Some)))
            }
            Question::MovesInto(least, greatest) => {
                let into = |key: i64| least <= key && key <= greatest;
                let moves = (0..rows).map(|row| moved(row, root(row)).is_some_and(into));
                Arc::new(BooleanArray::from_iter(moves.map(Some)))
            }
            Question::Key => {
                let keys = (0..rows).map(|row| root(row).map_or(stored[row], |root| root.1));
                Arc::new(Int64Array::from_iter_values(keys))
            }
            Question::Kind => {
                let kinds = (0..rows).map(|row| {
                    let kind = root(row).map(|root| root.0);
                    kind.or_else(|| ids.ids(row).next().map(|id| id.0))
                });
                kind_words(kinds)
            }
        }
    }
}

/// A column of kinds, as it is stored.
pub(crate) fn kind_words(kinds: impl Iterator<Item = Option<IdKind>>) -> ArrayRef {
    let words = StringArray::from_iter_values(IdKind::ALL.iter().map(|kind| kind.as_str()));
    let codes: Int32Array = kinds.map(|kind| kind.map(|kind| kind as i32)).collect();
    Arc::new(DictionaryArray::<Int32Type>::new(codes, Arc::new(words)))
}

impl PhysicalExpr for RootExpr {
    fn return_field(&self, _: &Schema) -> PlanResult<FieldRef> {
        let (name, data_type, nullable) = match self.question {
            Question::Stays | Question::MovesInto(..) => ("moves", DataType::Boolean, false),
            Question::Key => (schema::ROOT_KEY, DataType::Int64, false),
            Question::Kind => (schema::ROOT_KIND, schema::dictionary(), true),
        };
        Ok(Arc::new(ArrowField::new(name, data_type, nullable)))
    }

    fn evaluate(&self, batch: &RecordBatch) -> PlanResult<ColumnarValue> {
        let column = |input: &Arc<dyn PhysicalExpr>| match input.evaluate(batch)? {
            // a column that the file lacks
            ColumnarValue::Scalar(value) if value.is_null() => Ok(None),
            value => value.into_array(batch.num_rows()).map(Some),
        };
        let columns = self.inputs.iter().map(column);
        let columns = columns.collect::<PlanResult<Vec<Option<ArrayRef>>>>()?;
        let mut keys = [None; KINDS];
        for (key, column) in keys.iter_mut().zip(&columns[2..]) {
            *key = column.as_ref();
        }
        let ids = IdColumns::new(keys, columns[1].as_ref());
        let stored = columns[0].as_ref().expect("every file has roots");
        let stored = stored.as_primitive::<Int64Type>().values();
        Ok(ColumnarValue::Array(self.answer(stored, &ids)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.inputs.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> PlanResult<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(RootExpr {
            question: self.question,
            ways: Arc::clone(&self.ways),
            inputs: children,
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for RootExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.question {
            Question::Stays => "root stays",
            Question::MovesInto(..) => "root moves here",
            Question::Key => "root's key",
            Question::Kind => "root's kind",
        })
    }
}

impl fmt::Debug for RootExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootExpr({self})")
    }
}

impl PartialEq for RootExpr {
    fn eq(&self, other: &Self) -> bool {
        self.question == other.question
            && Arc::ptr_eq(&self.ways, &other.ways)
            && self.inputs == other.inputs
    }
}

impl Eq for RootExpr {}

impl Hash for RootExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.question.hash(state);
        self.inputs.hash(state);
    }
}
