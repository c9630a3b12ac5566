//! What a scan is asked for: which filters may run where, and the few that it adds itself.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::utils::{collect_columns, split_conjunction};

use crate::error::{Error, Result, While};
use crate::schema;
use crate::table::Offsets;

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct ScanRequest {
    /// Rows of this tenant; `None`: of all, in order of tenant first.
    pub tenant: Option<String>,
    /// The columns, in this order.
    pub columns: Vec<String>,
    /// Events that occurred at or after (µs since the epoch).
    pub from_us: Option<i64>,
    /// Events that occurred before (µs since the epoch).
    pub to_us: Option<i64>,
    /// A filter over [`crate::table_schema`]. Unless `raw`, only on [`crate::SAME_IN_COPIES`]. On
    /// those, and of `raw` rows on keys, it runs where rows are read.
    pub predicate: Option<Arc<dyn PhysicalExpr>>,
    /// Output partitions at most: each a range of root keys. 0 counts as 1.
    pub partitions: usize,
    /// Keep copies, and the root that rows are stored under.
    pub raw: bool,
}

/// The filters of a request, by where they may run.
pub(crate) struct Filters {
    pub(crate) occurred: (i64, i64),
    pub(crate) pushed: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) after: Vec<Arc<dyn PhysicalExpr>>,
}

impl Filters {
    pub(crate) fn of(request: &ScanRequest) -> Result<Self> {
        let from = request.from_us.unwrap_or(i64::MIN);
        let to = request.to_us.map_or(i64::MAX, |to| to.saturating_sub(1));
        let mut filters = Filters {
            occurred: (from, to),
            pushed: Vec::new(),
            after: Vec::new(),
        };
        for part in request.predicate.iter().flat_map(|p| split_conjunction(p)) {
            let columns = collect_columns(part);
            let runs_early = |column: &&Column| {
                schema::SAME_IN_COPIES.contains(&column.name())
                    || (request.raw && schema::is_key(column.name()))
            };
            let unsafe_column = columns.iter().find(|column| !runs_early(column));
            match unsafe_column {
                None if !columns.is_empty() => filters.pushed.push(Arc::clone(part)),
                Some(column) if !request.raw => {
                    return Err(Error::UnsafeFilter {
                        column: column.name().to_owned(),
                    });
                }
                _ => filters.after.push(Arc::clone(part)),
            }
        }
        Ok(filters)
    }
}

/// The index of a column, or who asked for what.
pub(crate) fn column_index(schema: &Schema, name: &str) -> Result<usize> {
    schema.index_of(name).map_err(|_| Error::UnknownColumn {
        column: name.to_owned(),
    })
}

pub(crate) fn both(
    operator: Operator,
    left: Arc<dyn PhysicalExpr>,
    right: Arc<dyn PhysicalExpr>,
) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(left, operator, right))
}

pub(crate) fn compare(
    schema: &Schema,
    column: &str,
    operator: Operator,
    value: ScalarValue,
) -> Result<Arc<dyn PhysicalExpr>> {
    let column = Column::new(column, column_index(schema, column)?);
    Ok(both(
        operator,
        Arc::new(column),
        Arc::new(Literal::new(value)),
    ))
}

pub(crate) fn between(
    schema: &Schema,
    column: &str,
    (least, greatest): (i64, i64),
    value: impl Fn(i64) -> ScalarValue,
) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
    let mut filters = Vec::new();
    if least > i64::MIN {
        filters.push(compare(schema, column, Operator::GtEq, value(least))?);
    }
    if greatest < i64::MAX {
        filters.push(compare(schema, column, Operator::LtEq, value(greatest))?);
    }
    Ok(filters)
}

pub(crate) fn time(us: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()))
}

pub(crate) fn word(text: &str) -> ScalarValue {
    let text = ScalarValue::Utf8(Some(text.to_owned()));
    ScalarValue::Dictionary(Box::new(arrow::datatypes::DataType::Int32), Box::new(text))
}

/// The same expression over a schema that holds its columns elsewhere.
pub(crate) fn rebase(expr: Arc<dyn PhysicalExpr>, to: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let moved = expr.transform(|part| {
        let Some(column) = part.downcast_ref::<Column>() else {
            return Ok(Transformed::no(part));
        };
        let at = to.index_of(column.name())?;
        Ok(Transformed::yes(
            Arc::new(Column::new(column.name(), at)) as _
        ))
    });
    moved.map(|moved| moved.data).when("planning a scan")
}

/// Rows up to these offsets; none of partitions without one.
pub(crate) fn up_to(full: &Schema, limits: Option<&Offsets>) -> Result<Arc<dyn PhysicalExpr>> {
    let mut any: Option<Arc<dyn PhysicalExpr>> = None;
    for (at, last) in limits.into_iter().flatten() {
        let stream = compare(full, schema::STREAM, Operator::Eq, word(&at.stream))?;
        let partition = ScalarValue::Int32(Some(at.partition));
        let partition = compare(full, schema::PARTITION, Operator::Eq, partition)?;
        let offset = ScalarValue::Int64(Some(*last));
        let offset = compare(full, schema::OFFSET, Operator::LtEq, offset)?;
        let one = both(
            Operator::And,
            both(Operator::And, stream, partition),
            offset,
        );
        any = Some(match any {
            Some(before) => both(Operator::Or, before, one),
            None => one,
        });
    }
    let never = ScalarValue::Int64(Some(i64::MIN));
    any.map_or_else(|| compare(full, schema::OFFSET, Operator::Lt, never), Ok)
}
