use std::sync::Arc;

use linkfunnel_model::Field;

use super::lab::*;
use crate::*;

async fn two_tenants() -> Lab {
    let lab = Lab::new().await;
    let row = |offset: i64, tenant: &'static str, id: &str| {
        (
            offset,
            START_US + offset,
            event(id, "c", START_US).with(Field::TenantId, tenant),
        )
    };
    commit(
        &lab.store,
        vec![segment("shared", 0, &[row(0, "a", "1"), row(1, "b", "2")])],
    )
    .await;
    commit(
        &lab.store,
        vec![segment("only_b", 0, &[row(0, "b", "3"), row(1, "b", "3")])],
    )
    .await;
    let mut rejects = RejectBatchBuilder::new();
    for (offset, tenant, kind) in [
        (0, "a", RejectKind::DeadLetter),
        (1, "b", RejectKind::DeadLetter),
        (2, "b", RejectKind::Suppressed),
    ] {
        let row = RejectRow {
            kind,
            code: "not_json",
            pointer: "",
            detail: "no JSON",
            payload: (kind == RejectKind::DeadLetter).then_some(b"sealed"),
            key_id: Some("k"),
        };
        let at = RowPosition {
            stream: "bad",
            partition: 0,
            offset,
            index: 0,
        };
        rejects.push(at, tenant, START_US, &row);
    }
    let empty = spanning("bad", 0, 0, 2, &[]);
    let segment = HotSegment {
        rejects: rejects.finish(),
        ..(*empty).clone()
    };
    lab.store.publish_shared(vec![Arc::new(segment)]);
    lab
}

#[tokio::test]
async fn a_tenant_sees_its_own_rows_and_nobody_elses_in_every_relation() {
    let lab = two_tenants().await;
    let cases = [
        ("a", "select event_id from events", vec!["1"]),
        (
            "b",
            "select event_id from events order by 1",
            vec!["2", "3"],
        ),
        (
            "a",
            "select event_id from events where tenant_id = 'b' or true",
            vec!["1"],
        ),
        ("b", "select count(*) from events_raw", vec!["3"]),
        ("nobody", "select count(*) from events_raw", vec!["0"]),
        ("a", "select _offset from rejects", vec!["0"]),
        (
            "b",
            "select _offset from rejects order by 1",
            vec!["1", "2"],
        ),
        ("b", "select _offset from dead_letters", vec!["1"]),
        (
            "a",
            "select _stream from ingest_offsets order by 1",
            vec!["bad", "shared"],
        ),
        (
            "b",
            "select _stream from ingest_offsets order by 1",
            vec!["bad", "only_b", "shared"],
        ),
        (
            "a",
            "select _stream from removed_rows order by 1",
            vec!["bad", "shared"],
        ),
        ("nobody", "select _stream from ingest_offsets", vec![]),
    ];
    for round in ["hot", "committed", "compacted"] {
        for (tenant, query, expected) in &cases {
            assert_eq!(
                &sql(&lab.store, tenant, query).await,
                expected,
                "{tenant}: {query} ({round})"
            );
        }
        if round == "hot" {
            let hot: Vec<_> = lab
                .store
                .view()
                .hot
                .iter()
                .map(|h| Arc::clone(&h.segment))
                .collect();
            commit(&lab.store, hot).await;
        } else if round == "committed" {
            // one event of b is a copy: it goes for good
            lab.store
                .compact(CompactOptions {
                    full: true,
                    ..Default::default()
                })
                .await
                .unwrap();
            assert_eq!(
                sql(
                    &lab.store,
                    "b",
                    "select sum(removed_rows) from removed_rows"
                )
                .await,
                ["1"]
            );
            break;
        }
    }
}

#[tokio::test]
async fn offsets_are_shown_as_committed_and_as_visible() {
    let lab = two_tenants().await;
    let offsets = "select _stream, committed_offset, visible_offset from ingest_offsets order by 1";
    assert_eq!(
        sql(&lab.store, "b", offsets).await,
        ["bad  2", "only_b 1 1", "shared 1 1"]
    );
}

#[tokio::test]
async fn sql_shows_no_payload() {
    let lab = two_tenants().await;
    let context = relations(&lab.store, &lab.store.view(), "b");
    assert!(context.sql("select payload from rejects").await.is_err());
    assert_eq!(
        sql(&lab.store, "b", "select payload, key_id from dead_letters")
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn filters_joins_groups_and_limits_agree_with_plain_counting() {
    let lab = Lab::new().await;
    for i in 0..4 {
        commit(&lab.store, vec![run_of("s", 0, i * 100, 100)]).await;
    }
    lab.store.publish_shared(vec![run_of("s", 0, 400, 100)]);
    let cases = [
        ("select count(*) from events", "500"),
        ("select count(distinct company_id) from events", "40"),
        (
            "select count(*) from events where event = 'journey.started'",
            "500",
        ),
        (
            "select count(*) from events where event = 'attempt.opened'",
            "0",
        ),
        (
            "select count(*) from events where occurred_at >= to_timestamp_micros(1780000000100000)",
            "400",
        ),
        (
            "select count(*) from events where _offset >= 250 and source = 'import'",
            "250",
        ),
        (
            "select count(*) from events a join events b on a.event_key = b.event_key",
            "500",
        ),
        (
            "select count(*) from (select event_id from events order by occurred_at desc limit 7)",
            "7",
        ),
        ("select max(_offset) from events_raw", "499"),
        (
            "select event_id from events order by occurred_at limit 1",
            "s/0/0",
        ),
    ];
    for (query, expected) in cases {
        assert_eq!(
            sql(&lab.store, "default", query).await,
            [expected],
            "{query}"
        );
    }
}
