use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_plan::displayable;
use linkfunnel_model::Field;

use super::lab::*;
use crate::*;

fn equals(column: &str, word: &str) -> Arc<dyn PhysicalExpr> {
    let at = table_schema().index_of(column).unwrap();
    let left = Arc::new(Column::new(column, at));
    let right = Arc::new(Literal::new(ScalarValue::Utf8(Some(word.into()))));
    Arc::new(BinaryExpr::new(left, Operator::Eq, right))
}

#[tokio::test]
async fn each_partition_is_in_table_order_and_no_root_spans_two() {
    let lab = Lab::new().await;
    for i in 0..3 {
        commit(&lab.store, vec![run_of("s", 0, i * 20_000, 20_000)]).await;
    }
    lab.store.publish_shared(vec![run_of("s", 1, 0, 5000)]);
    let request = ScanRequest {
        partitions: 3,
        ..asked(&["root_key", "occurred_at", "event_key"])
    };
    let parts = run_partitioned(&lab.store, &lab.store.view(), request).await;
    assert_eq!(parts.len(), 3);
    let mut owner: BTreeMap<i64, usize> = BTreeMap::new();
    let mut total = 0;
    for (part, rows) in parts.iter().enumerate() {
        let keys: Vec<_> = longs(rows, 0)
            .into_iter()
            .zip(longs(rows, 1).into_iter().zip(longs(rows, 2)))
            .collect();
        assert!(keys.is_sorted(), "partition {part}");
        for (root, _) in &keys {
            assert_eq!(*owner.entry(*root).or_insert(part), part);
        }
        total += keys.len();
    }
    assert_eq!(total, 65_000);
}

#[tokio::test]
async fn only_the_rows_asked_for_are_read_from_files_and_hot_rows() {
    let lab = Lab::new().await;
    let row = |offset: i64| {
        let tenant = if offset % 3 == 0 { "other" } else { "default" };
        let event = event(&offset.to_string(), "c", START_US + offset)
            .with(Field::TenantId, tenant)
            .with(
                Field::Source,
                if offset % 2 == 0 { "import" } else { "crm" },
            );
        (offset, START_US, event)
    };
    let rows: Vec<Row> = (0..30).map(row).collect();
    commit(&lab.store, vec![segment("s", 0, &rows[..15])]).await;
    lab.store.publish_shared(vec![segment("s", 0, &rows[15..])]);
    let request = ScanRequest {
        from_us: Some(START_US + 4),
        to_us: Some(START_US + 28),
        predicate: Some(equals("source", "crm")),
        ..asked(&["event_id"])
    };
    let expected: Vec<_> = (4..28)
        .filter(|o| o % 3 != 0 && o % 2 == 1)
        .map(|o| o.to_string())
        .collect();
    for raw in [false, true] {
        let request = ScanRequest {
            raw,
            ..request.clone()
        };
        let rows = run(&lab.store, &lab.store.view(), request).await;
        assert_eq!(texts(&rows, 0), expected);
    }
    let all = ScanRequest {
        tenant: None,
        ..asked(&["tenant_id", "event_id"])
    };
    let rows = run(&lab.store, &lab.store.view(), all).await;
    let tenants = texts(&rows, 0);
    assert!(
        tenants.len() == 30 && tenants.is_sorted(),
        "of all tenants, tenant by tenant"
    );
}

#[tokio::test]
async fn a_filter_that_could_let_a_later_copy_through_is_refused() {
    let lab = Lab::new().await;
    let copy = |offset, received, category: &'static str| {
        let event = event("a", "c", START_US).with(Field::Category, category);
        (offset, START_US + received, event)
    };
    commit(
        &lab.store,
        vec![segment("s", 0, &[copy(0, 0, "banking"), copy(1, 9, "crm")])],
    )
    .await;
    let request = ScanRequest {
        predicate: Some(equals("category", "crm")),
        ..asked(&["event_id"])
    };
    let state = session().state();
    let refused = lab
        .store
        .scan(&lab.store.view(), request.clone(), &state)
        .await;
    assert!(matches!(refused, Err(Error::UnsafeFilter { column }) if column == "category"));
    let raw = run(
        &lab.store,
        &lab.store.view(),
        ScanRequest {
            raw: true,
            ..request
        },
    )
    .await;
    assert_eq!(texts(&raw, 0), ["a"]);
    let first = "select category from events";
    assert_eq!(sql(&lab.store, "default", first).await, ["banking"]);
    let filtered = "select count(*) from events where category = 'crm'";
    assert_eq!(sql(&lab.store, "default", filtered).await, ["0"]);
}

#[tokio::test]
async fn a_column_that_nobody_has_set_reads_as_null_and_an_unknown_one_is_an_error() {
    let lab = Lab::new().await;
    commit(&lab.store, vec![run_of("s", 0, 0, 2)]).await;
    let rows = run(
        &lab.store,
        &lab.store.view(),
        asked(&["medium", "attrs", "experiments"]),
    )
    .await;
    assert_eq!(
        rows[0].schema().field(0).data_type(),
        &column_type(Field::Medium)
    );
    assert!((0..3).all(|c| rows[0].column(c).null_count() == 2));
    let unknown = lab
        .store
        .scan(&lab.store.view(), asked(&["nope"]), &session().state())
        .await;
    assert!(matches!(unknown, Err(Error::UnknownColumn { .. })));
}

#[tokio::test]
async fn one_compacted_file_is_read_without_merging_and_without_its_keys() {
    let lab = Lab::new().await;
    commit(&lab.store, vec![run_of("s", 0, 0, 50)]).await;
    lab.store
        .compact(CompactOptions {
            full: true,
            ..Default::default()
        })
        .await
        .unwrap();
    let plan = plan(&lab.store, &lab.store.view(), asked(&["event"])).await;
    let shown = displayable(plan.as_ref()).indent(false).to_string();
    assert!(
        shown.trim().starts_with("DataSourceExec") && shown.trim().lines().count() == 1,
        "{shown}"
    );
    assert!(!shown.contains("predicate"), "no filter to run: {shown}");
}

#[tokio::test]
async fn files_without_the_tenant_or_the_time_are_left_out() {
    let lab = Lab::new().await;
    commit(&lab.store, vec![run_of("s", 0, 0, 50)]).await;
    let shown = async |request: ScanRequest| {
        let plan = plan(&lab.store, &lab.store.view(), request).await;
        displayable(plan.as_ref()).indent(false).to_string()
    };
    let other = ScanRequest {
        tenant: Some("z".into()),
        ..asked(&["event"])
    };
    assert!(shown(other).await.contains("EmptyExec"));
    let later = ScanRequest {
        from_us: Some(START_US + DAY_US),
        ..asked(&["event"])
    };
    assert!(shown(later).await.contains("EmptyExec"));
}
