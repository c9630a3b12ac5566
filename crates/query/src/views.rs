//! The views of SQL that the funnel operator makes. They show one tenant's rows of one view, by the same
//! scan and the same matching as the answers of the API.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use linkfunnel_store::ReadView;

use crate::daily_view;
use crate::engine::Engine;
use crate::subject_views::SubjectView;

/// A view that the operator makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Subjects(SubjectView),
    StepsDaily,
}

/// The names they go by.
const VIEWS: [(&str, View); 3] = [
    ("journeys", View::Subjects(SubjectView::Journeys)),
    ("attempts", View::Subjects(SubjectView::Attempts)),
    ("funnel_steps_daily", View::StepsDaily),
];

/// The views that the operator makes, by the names SQL knows them by.
pub fn sql_views() -> impl Iterator<Item = &'static str> {
    VIEWS.into_iter().map(|(name, _)| name)
}

/// Whose rows of which view.
#[derive(Clone)]
pub(crate) struct Views {
    pub(crate) engine: Engine,
    pub(crate) view: Arc<ReadView>,
    pub(crate) tenant: String,
}

impl Views {
    /// Every view with its name.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&'static str, Arc<dyn TableProvider>)> {
        VIEWS.into_iter().map(|(name, view)| {
            let schema = match view {
                View::Subjects(which) => which.schema(),
                View::StepsDaily => daily_view::schema(),
            };
            let table = Table {
                views: self.clone(),
                view,
                schema,
            };
            (name, Arc::new(table) as Arc<dyn TableProvider>)
        })
    }
}

struct Table {
    views: Views,
    view: View,
    schema: SchemaRef,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("view", &self.view)
            .field("tenant", &self.views.tenant)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    /// Filters are only looked at to leave whole funnels out.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = match self.view {
            View::Subjects(_) => TableProviderFilterPushDown::Unsupported,
            View::StepsDaily => TableProviderFilterPushDown::Inexact,
        };
        Ok(vec![support; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = match self.view {
            View::Subjects(which) => which.scan(&self.views, projection, limit, state).await,
            View::StepsDaily => daily_view::scan(&self.views, projection, filters, state).await,
        };
        plan.map_err(|error| DataFusionError::External(Box::new(error)))
    }
}
