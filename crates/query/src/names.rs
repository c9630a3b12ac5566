//! What subjects are called whose own events do not say it: a company or journey found through ids.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::Array;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal, in_list};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use linkfunnel_model::IdKind;
use linkfunnel_store::{ScanRequest, table_schema};

use crate::columns::{int64s, texts};
use crate::engine::{Engine, Run};
use crate::error::Result;
use crate::list::Listed;

impl Engine {
    /// Fills in the ids and companies of listed subjects, as any event of the view names them.
    pub(crate) async fn fill_names(
        &self,
        run: &Run,
        tenant: &str,
        kind: IdKind,
        page: &mut [Listed],
    ) -> Result<()> {
        let nameless = page.iter().filter(|item| item.id.is_empty());
        let subjects: BTreeSet<i64> = nameless.map(|item| item.place.subject).collect();
        let homeless = page.iter().filter(|item| item.company.is_none());
        let roots: BTreeSet<i64> = homeless.map(|item| item.place.root).collect();
        let subjects = self.names_of(run, tenant, kind, &subjects).await?;
        let roots = self.names_of(run, tenant, IdKind::Company, &roots).await?;
        for item in page {
            if item.id.is_empty()
                && let Some(name) = subjects.get(&item.place.subject)
            {
                name.clone_into(&mut item.id);
            }
            if item.company.is_none() {
                item.company = roots.get(&item.place.root).cloned();
            }
        }
        Ok(())
    }

    async fn names_of(
        &self,
        run: &Run,
        tenant: &str,
        kind: IdKind,
        keys: &BTreeSet<i64>,
    ) -> Result<HashMap<i64, String>> {
        let mut names = HashMap::new();
        if keys.is_empty() {
            return Ok(names);
        }
        let (key, name) = (kind.key_column(), kind.field().column());
        let predicate = one_of(key, keys).map_err(|e| run.error(e))?;
        let request = ScanRequest {
            tenant: Some(tenant.to_owned()),
            columns: vec![key.to_owned(), name.to_owned()],
            predicate: Some(predicate),
            raw: true,
            ..ScanRequest::default()
        };
        let state = run.session.state();
        let scan = self.store().scan(&run.view, request, &state).await?;
        let scan = Arc::new(CoalescePartitionsExec::new(scan));
        let read = async {
            let mut rows = execute_stream(scan, run.session.task_ctx())?;
            while let Some(batch) = rows.try_next().await? {
                let (keys, names_column) = (int64s(&batch, key)?.values, texts(&batch, name)?);
                for row in (0..batch.num_rows()).filter(|row| names_column.is_valid(*row)) {
                    let name = names_column.value(row);
                    names.entry(keys[row]).or_insert_with(|| name.to_owned());
                }
            }
            Ok(())
        };
        read.await.map_err(|e| run.error(e))?;
        Ok(names)
    }
}

fn one_of(column: &str, keys: &BTreeSet<i64>) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let schema = table_schema();
    let value = Column::new(column, schema.index_of(column)?);
    let literal =
        |key: &i64| Arc::new(Literal::new(ScalarValue::Int64(Some(*key)))) as Arc<dyn PhysicalExpr>;
    in_list(
        Arc::new(value),
        keys.iter().map(literal).collect(),
        &false,
        &schema,
    )
}
