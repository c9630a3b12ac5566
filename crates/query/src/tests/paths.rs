//! What the dropped did after their step: plain cases, a recount by hand, and no difference however the rows are split.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::laws::{compiled, deal};
use super::{SECOND, World, event, merge, short, short_with};
use crate::paths::PathsPlan;
use crate::study::Study;
use crate::{PathsAnswer, PathsQuestion};

fn paths_question(fields: serde_json::Value) -> PathsQuestion {
    let mut question = json!({
        "funnel": short(),
        "range": {"from": "2026-09-01", "to": "2026-10-01"},
        "step": 2,
    });
    merge(&mut question, fields);
    serde_json::from_value(question).unwrap()
}

async fn ask(world: &World, fields: serde_json::Value) -> PathsAnswer {
    let question = paths_question(fields);
    world.engine.paths("default", question).await.unwrap()
}

/// `label: count` a line, with `(again n)` after events that were repeated and `…n` for those that went on.
fn lines(answer: &PathsAnswer) -> Vec<String> {
    let again = |n: u64| match n {
        0 => String::new(),
        n => format!(" (again {n})"),
    };
    let line = |path: &crate::Path| {
        let stops: Vec<String> = path
            .events
            .iter()
            .map(|e| format!("{}{}", e.event, again(e.repeated)))
            .collect();
        let label = match stops.is_empty() {
            true => path.label.clone(),
            false => stops.join(", "),
        };
        format!("{label}: {} …{}", path.count, path.went_on)
    };
    let sum: u64 = answer.paths.iter().map(|path| path.count).sum();
    assert_eq!(sum, answer.dropped, "the counts add up to the dropped");
    answer.paths.iter().map(line).collect()
}

#[tokio::test]
async fn the_ways_of_a_step_add_up_to_its_dropped_and_leave_everybody_else_out() {
    let world = World::of(
        "0 j1 opened\n1 j1 chose\n2 j1 attempt.errored\n3 j1 attempt.errored\n4 j1 attempt.exited
         0 j2 opened\n1 j2 chose\n2 j2 attempt.errored\n4 j2 attempt.exited\n5 j2 help.opened\n6 j2 uploaded
         0 j3 opened\n1 j3 chose\n2 j3 chose\n3 j3 attempt.exited
         0 j4 opened\n1 j4 chose
         0 j5 opened\n1 j5 help.opened
         0 j6 opened\n1 j6 chose\n2 j6 attempt.exited\n3 j6 linked
         0 j7 opened\n1 j7 chose\n1d+1us j7 attempt.exited",
    )
    .await;
    let answer = ask(&world, json!({"length": 3})).await;
    assert_eq!(
        (answer.step_name.as_str(), answer.dropped, answer.distinct),
        ("Chose", 5, 3)
    );
    // A second choice is something done after the first; what lies beyond the window is not.
    assert_eq!(
        lines(&answer),
        [
            "attempt.errored (again 1), attempt.exited: 1 …0",
            "attempt.errored, attempt.exited, help.opened: 1 …1",
            "provider.selected, attempt.exited: 1 …0",
            "(nothing): 2 …0",
        ]
    );
    let short = ask(&world, json!({"length": 2})).await;
    assert_eq!(
        lines(&short),
        [
            "attempt.errored (again 1), attempt.exited: 2 …1",
            "provider.selected, attempt.exited: 1 …0",
            "(nothing): 2 …0"
        ]
    );
    let first = ask(&world, json!({"length": 1, "limit": 1})).await;
    assert_eq!(
        lines(&first),
        [
            "attempt.errored (again 1): 2 …2",
            "(nothing): 2 …0",
            "(other): 1 …0"
        ]
    );
    assert_eq!(first.distinct, 2);
    let opened = ask(&world, json!({"step": 1})).await;
    assert_eq!(lines(&opened), ["help.opened: 1 …0"]);
}

#[tokio::test]
async fn an_open_subject_has_no_way_yet_and_the_steps_of_an_instant_are_not_told_again() {
    let mut world = World::new().await;
    world.add(
        "0 j1 chose\n0 j1 opened\n0 j1 help.opened\n2 j1 attempt.exited\n2d j2 opened\n2d j2 chose",
    );
    world.watermark(2 * super::DAY);
    let answer = ask(&world, json!({})).await;
    assert_eq!(answer.dropped, 1);
    let [way] = answer.paths.as_slice() else {
        panic!("one way: {answer:?}")
    };
    let told: Vec<&str> = way.events.iter().map(|e| e.event.as_str()).collect();
    assert!(
        told == ["help.opened", "attempt.exited"] || told == ["attempt.exited"],
        "never the steps themselves: {told:?}"
    );
}

#[tokio::test]
async fn a_filter_selects_subjects_and_mistakes_point_at_what_is_wrong() {
    let world = World::of(
        "0 j1 opened surface=hosted_page\n1 j1 chose\n2 j1 attempt.exited
         0 j2 opened surface=embedded_sdk\n1 j2 chose\n2 j2 help.opened",
    )
    .await;
    let filters = json!([{"field": "surface", "op": "eq", "value": "hosted_page"}]);
    let answer = ask(&world, json!({"filters": filters})).await;
    assert_eq!(lines(&answer), ["attempt.exited: 1 …0"]);
    let optional = short_with(json!({"steps": [
        {"name": "Opened", "event": "attempt.opened"},
        {"name": "Consented", "event": "consent.granted", "optional": true},
        {"name": "Linked", "event": "connection.linked"},
    ]}));
    for (fields, code, pointer) in [
        (json!({"step": 0}), "unknown_step", "/step"),
        (json!({"step": 4}), "unknown_step", "/step"),
        (json!({"step": 3}), "nobody_drops_there", "/step"),
        (
            json!({"step": 2, "funnel": optional}),
            "nobody_drops_there",
            "/step",
        ),
        (json!({"length": 9}), "out_of_range", "/length"),
        (json!({"length": 0}), "out_of_range", "/length"),
        (json!({"limit": 1_001}), "out_of_range", "/limit"),
    ] {
        let question = paths_question(fields.clone());
        let error = world.engine.paths("default", question).await.unwrap_err();
        assert_eq!((error.code(), error.pointer()), (code, pointer), "{fields}");
    }
}

#[tokio::test]
async fn an_event_that_names_no_journey_is_part_of_the_way_of_the_journey_it_belongs_to() {
    let world = World::of(
        "0 j1 opened company_id=c1\n1 j1 chose company_id=c1\n2 - attempt.exited company_id=c1
         0 j2 opened company_id=c2\n1 j2 chose company_id=c2\n2 - help.opened company_id=c3",
    )
    .await;
    let answer = ask(&world, json!({})).await;
    assert_eq!(lines(&answer), ["attempt.exited: 1 …0", "(nothing): 1 …0"]);
}

/// Seconds since T0, journey, kind of event.
type Random = (i64, u8, u8);

const NAMES: [&str; 6] = [
    "attempt.opened",
    "provider.selected",
    "connection.linked",
    "attempt.errored",
    "attempt.exited",
    "help.opened",
];
const WINDOW_S: i64 = 60;
const WATERMARK_S: i64 = 130;

/// Ways after step 2 of those who dropped there, by hand: events of one journey never share an instant here.
fn by_hand(events: &[Random], length: usize) -> BTreeMap<String, u64> {
    let mut ways = BTreeMap::new();
    for journey in 0..=u8::MAX {
        let mut own: Vec<&Random> = events.iter().filter(|e| e.1 == journey).collect();
        own.sort();
        let Some(clock) = own.iter().find(|e| e.2 == 0).map(|e| e.0) else {
            continue;
        };
        own.retain(|e| (clock..=clock + WINDOW_S).contains(&e.0));
        let Some(chose) = own.iter().position(|e| e.2 == 1) else {
            continue;
        };
        let after = &own[chose + 1..];
        if clock + WINDOW_S > WATERMARK_S || after.iter().any(|e| e.2 == 2) {
            continue;
        }
        let mut stops: Vec<&str> = after.iter().map(|e| NAMES[e.2 as usize]).collect();
        stops.dedup();
        stops.truncate(length);
        let label = match stops.is_empty() {
            true => "(nothing)".to_owned(),
            false => stops.join(" → "),
        };
        *ways.entry(label).or_default() += 1;
    }
    ways
}

async fn check(events: Vec<Random>, length: usize, shards: usize, batch_rows: usize) {
    let mut world = World::new().await;
    world.watermark(WATERMARK_S * SECOND);
    let line = |(i, (at, journey, kind)): (usize, &Random)| {
        let text = format!(
            "{at} j{journey} {} id=e{i} company_id=c{}",
            NAMES[*kind as usize],
            journey % 3
        );
        event(&text, i)
    };
    let all: Vec<_> = events.iter().enumerate().map(line).collect();
    world.publish(0, &all);
    world.publish(1, &all);
    let funnel = short_with(json!({"window": "PT60S"}));
    let answer = ask(&world, json!({"funnel": funnel, "length": length})).await;
    lines(&answer);
    let told: BTreeMap<String, u64> = answer
        .paths
        .iter()
        .map(|path| (path.label.clone(), path.count))
        .collect();
    assert_eq!(told, by_hand(&events, length));
    let asked = super::question_json(json!({"funnel": funnel}));
    let mut found = Vec::new();
    for (shards, batch_rows) in [(1, usize::MAX), (shards, batch_rows)] {
        let (run, plan) = compiled(&world, &asked).await;
        let mut plan = Arc::into_inner(plan).unwrap();
        let event = plan.keep_events();
        plan.study = Some(Study::Paths(PathsPlan {
            step: 1,
            length,
            event,
        }));
        found.push(deal(&world, &run, Arc::new(plan), shards, batch_rows).await);
    }
    assert_eq!(found[0].found, found[1].found);
    assert_eq!(found[0].total, found[1].total);
    for (stage, partitions) in [(0, 1), (0, 5), (1, 2), (2, 5)] {
        match stage {
            1 => world.commit().await,
            2 => world.compact().await,
            _ => {}
        }
        let question = paths_question(json!({"funnel": funnel, "length": length}));
        let again = world.engine(partitions).paths("default", question).await;
        assert_eq!(again.unwrap().paths, answer.paths, "stage {stage}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn ways_equal_the_recount_by_hand_and_no_split_changes_them(
        events in prop::collection::btree_map((0..150_i64, 0..8_u8), 0..6_u8, 0..80),
        length in 1..5_usize,
        shards in 2..6_usize,
        batch_rows in 1..4_usize,
    ) {
        let events = events.into_iter().map(|((at, journey), kind)| (at, journey, kind)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(events, length, shards, batch_rows));
    }
}
