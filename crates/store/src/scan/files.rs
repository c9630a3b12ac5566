//! The files of a range as inputs of its merge, each asked for what it may hold too much of.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::utils::conjunction_opt;
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::{DOING, FOOTER_HINT, Input, Planner, full_schema};
use crate::error::{Result, While};
use crate::file::{Bounds, DataFile, RowKind};
use crate::filters::{between, compare, time, up_to, word};
use crate::roots::{Moving, Question, RootExpr};
use crate::schema;

/// What a file must be asked for besides its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) tenant: bool,
    pub(super) roots: bool,
    pub(super) occurred: bool,
    pub(super) limits: bool,
    pub(super) take: Take,
}

/// Which rows of a file are taken, by their roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// All, each under the root it is stored under.
    All,
    /// Those whose root is the stored one.
    Staying,
    /// Those whose root is another, within this range (both ends included).
    MovingInto(i64, i64),
    /// All, whatever their roots: they are put in order later.
    InAnyOrder,
}

impl Planner<'_> {
    /// One source per run of files that need the same filter, so that the order of arrival stays.
    pub(super) fn files(
        &self,
        inputs: &[&Input],
        columns: &[usize],
        roots: (i64, i64),
    ) -> Result<Vec<Arc<dyn ExecutionPlan>>> {
        let asks: Vec<Ask> = inputs.iter().map(|input| self.ask(input, roots)).collect();
        self.sources(inputs, &asks, columns, roots)
    }

    pub(super) fn sources(
        &self,
        inputs: &[&Input],
        asks: &[Ask],
        columns: &[usize],
        roots: (i64, i64),
    ) -> Result<Vec<Arc<dyn ExecutionPlan>>> {
        let mut plans = Vec::new();
        let mut at = 0;
        while at < inputs.len() {
            let same = asks[at..]
                .iter()
                .take_while(|ask| **ask == asks[at])
                .count();
            plans.push(self.source(&inputs[at..at + same], asks[at], columns, roots)?);
            at += same;
        }
        Ok(plans)
    }

    pub(super) fn ask(&self, input: &Input, roots: (i64, i64)) -> Ask {
        let contents = &input.file.contents;
        let inside = |known: Bounds, wanted: (i64, i64)| {
            wanted == (i64::MIN, i64::MAX)
                || known.is_some_and(|(low, high)| wanted.0 <= low && high <= wanted.1)
        };
        let event = self.scan.kind == RowKind::Event;
        Ask {
            tenant: self.scan.tenant.is_some()
                && input.file.only_tenant() != self.scan.tenant.as_deref(),
            roots: event && !inside(contents.root_key, roots),
            occurred: event && !inside(contents.occurred_at, self.scan.occurred),
            limits: input.limited,
            take: match self.moving(input) {
                Moving::None => Take::All,
                Moving::Few | Moving::Many => Take::Staying,
            },
        }
    }

    fn source(
        &self,
        inputs: &[&Input],
        ask: Ask,
        columns: &[usize],
        roots: (i64, i64),
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let full = full_schema(self.scan.kind);
        let mut filters = Vec::new();
        if let (true, Some(tenant)) = (ask.tenant, &self.scan.tenant) {
            filters.push(compare(&full, schema::TENANT, Operator::Eq, word(tenant))?);
        }
        if ask.roots {
            filters.extend(between(&full, schema::ROOT_KEY, roots, |v| {
                ScalarValue::Int64(Some(v))
            })?);
        }
        if ask.occurred {
            filters.extend(between(
                &full,
                schema::OCCURRED_AT,
                self.scan.occurred,
                time,
            )?);
        }
        if ask.limits {
            filters.push(up_to(&full, self.scan.limits)?);
        }
        filters.extend(self.scan.pushed.iter().cloned());
        let question = match ask.take {
            Take::All | Take::InAnyOrder => None,
            Take::Staying => Some(Question::Stays),
            Take::MovingInto(least, greatest) => Some(Question::MovesInto(least, greatest)),
        };
        if let (Some(question), Some(known)) = (question, self.roots) {
            filters.push(Arc::new(RootExpr::new(question, &known.ways, &full)?));
        }
        let mut source = ParquetSource::new(Arc::clone(&full))
            .with_parquet_file_reader_factory(Arc::clone(&self.reader) as _)
            .with_metadata_size_hint(FOOTER_HINT)
            .with_enable_page_index(true)
            .with_bloom_filter_on_read(false)
            .with_pushdown_filters(true);
        if let Some(filter) = conjunction_opt(filters) {
            source = source.with_predicate(filter);
        }
        let groups = inputs
            .iter()
            .map(|i| FileGroup::new(vec![partitioned(&i.file)]))
            .collect();
        let in_order = matches!(ask.take, Take::All | Take::Staying);
        let order = self.ordering(&full)?.filter(|_| in_order);
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(Some(columns.to_vec()))
            .when(DOING)?
            .with_output_ordering(order.into_iter().collect())
            .with_preserve_order(true)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

pub(crate) fn partitioned(file: &DataFile) -> PartitionedFile {
    PartitionedFile::new_from_meta(ObjectMeta {
        location: Path::from(&*file.path),
        last_modified: chrono::DateTime::from_timestamp_millis(file.modified_ms)
            .unwrap_or_default(),
        size: file.size,
        e_tag: None,
        version: None,
    })
}
