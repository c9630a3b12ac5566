//! Semantics scenarios "Delivery": copies, late data, hot and committed and compacted rows.

use serde_json::json;

use super::{DAY, T0, World, content, event, question};

const JOURNEYS: &str = "
    0 j1 opened id=a1 category=banking \n 5 j1 chose id=a2 integration=xero \n 9 j1 linked id=a3
    0 j2 opened id=b1 \n 0 j2 chose id=b2 integration=sage \n 0 j2 linked id=b3 integration=sage
    3 j3 opened id=c1 company_id=c9 \n 2d j3 chose id=c2 company_id=c9";

fn all() -> serde_json::Value {
    json!({"breakdown": {"by": ["integration"]}, "interval": "day", "include": ["time_to_convert"]})
}

#[tokio::test]
async fn hot_committed_and_compacted_rows_give_the_same_answer() {
    let mut world = World::of(JOURNEYS).await;
    let hot = content(&world.ask(all()).await);
    world.commit().await;
    assert_eq!(content(&world.ask(all()).await), hot);
    world.add("0 j4 opened");
    world.commit().await;
    let more = content(&world.ask(all()).await);
    assert_ne!(more, hot);
    world.compact().await;
    assert_eq!(content(&world.ask(all()).await), more);
}

#[tokio::test]
async fn copies_change_nothing_before_and_after_compaction() {
    let mut world = World::of(JOURNEYS).await;
    let once = content(&world.ask(all()).await);
    // Resent by another partition, in another order, and days later.
    let mut copies: Vec<_> = JOURNEYS
        .lines()
        .flat_map(|l| l.split("\\n"))
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(|l| event(l, 0))
        .collect();
    copies.reverse();
    world.publish(1, &copies);
    assert_eq!(content(&world.ask(all()).await), once);
    world.commit().await;
    world.publish(2, &copies);
    assert_eq!(content(&world.ask(all()).await), once);
    world.commit().await;
    world.compact().await;
    assert_eq!(content(&world.ask(all()).await), once);
}

#[tokio::test]
async fn of_copies_that_differ_the_first_received_wins_before_any_filter() {
    let mut world = World::of("0 j1 opened id=x country=FR").await;
    world.publish(1, &[event("0 j1 opened id=x country=DE", 0)]);
    // Partition 1 received it at the same time; the lesser partition decides.
    let answer = world
        .groups(json!({"breakdown": {"by": ["country"]}}))
        .await;
    assert_eq!(answer, ["FR: 1 = 0 + 1 + 0, reached 1 0 0"]);
    let german = json!({"filters": [{"field": "country", "op": "eq", "value": "DE"}]});
    assert_eq!(world.total(german).await, "0 = 0 + 0 + 0, reached 0 0 0");
}

#[tokio::test]
async fn an_earlier_view_can_be_asked_again_by_its_token() {
    let mut world = World::of(JOURNEYS).await;
    let before = world.ask(json!({})).await;
    let token = before.meta.snapshot.clone();
    world.add("0 j8 opened");
    world.commit().await;
    assert_eq!(
        world.ask(json!({})).await.total.entered,
        before.total.entered + 1
    );
    let again = world.ask(json!({"as_of": token})).await;
    assert_eq!(content(&again), content(&before));
    assert_eq!(again.meta.snapshot, token);
}

#[tokio::test]
async fn a_token_that_is_too_old_is_gone_and_nonsense_is_refused() {
    let world = World::of(JOURNEYS).await;
    let token = world.ask(json!({})).await.meta.snapshot;
    world
        .now
        .store(T0 + 90 * DAY, std::sync::atomic::Ordering::Relaxed);
    let gone = world.try_ask(json!({"as_of": token})).await.unwrap_err();
    assert_eq!(
        (gone.status(), gone.code(), gone.pointer()),
        (410, "snapshot_gone", "/as_of")
    );
    let bad = world
        .try_ask(json!({"as_of": "nonsense"}))
        .await
        .unwrap_err();
    assert_eq!(
        (bad.status(), bad.code(), bad.pointer()),
        (400, "bad_snapshot", "/as_of")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enough_rows_are_read_by_several_partitions_to_the_same_answer_and_list() {
    let mut world = World::of("").await;
    let events: Vec<_> = (0..40_000)
        .map(|i| {
            let what = ["opened", "chose integration=xero", "linked"][i % 3];
            event(&format!("{i} j{} {what}", i / 3 % 9_000), i)
        })
        .collect();
    world.publish(0, &events);
    let asked = question(json!({"breakdown": {"by": ["integration"]}, "interval": "day"}));
    let explained = world
        .engine(2)
        .explain("default", asked.clone())
        .await
        .unwrap();
    assert!(explained.contains("UnionExec"), "{explained}");
    let alone = world
        .engine(1)
        .funnel("default", asked.clone())
        .await
        .unwrap();
    assert_eq!(alone.total.entered, 9_000);
    for committed in [false, true] {
        for partitions in [1, 2, 5] {
            let answer = world
                .engine(partitions)
                .funnel("default", asked.clone())
                .await
                .unwrap();
            assert_eq!(
                content(&answer),
                content(&alone),
                "{partitions} {committed}"
            );
        }
        world.commit().await;
    }
    let question: crate::SubjectsQuestion = serde_json::from_value(json!({
        "funnel": super::short(), "range": {"from": "2026-09-01", "to": "2026-10-01"}, "limit": 7,
    }))
    .unwrap();
    let page = world
        .engine(1)
        .subjects("default", question.clone())
        .await
        .unwrap();
    let same = world.engine(2).subjects("default", question).await.unwrap();
    assert_eq!((same.count, &same.subjects), (page.count, &page.subjects));
}
