//! The effort of journeys and what comes before the first prompt: plain cases, a recount by hand, and no difference however
//! the rows are split.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::laws::{compiled, deal};
use super::{World, event, merge};
use crate::effort::{journey, look_at};
use crate::{CountMeasure, EffortAnswer, EffortQuestion, JourneyEffort, TimeMeasure};

fn effort_question(fields: serde_json::Value) -> EffortQuestion {
    let mut question = json!({"range": {"from": "2026-09-01", "to": "2026-10-01"}});
    merge(&mut question, fields);
    serde_json::from_value(question).unwrap()
}

async fn ask(world: &World, fields: serde_json::Value) -> EffortAnswer {
    let question = effort_question(fields);
    world.engine.effort("default", question).await.unwrap()
}

/// `count:linked+not …`.
fn counts(measure: &CountMeasure) -> String {
    let bars = measure.by_count.iter();
    let (linked, not): (Vec<u64>, Vec<u64>) =
        bars.clone().map(|b| (b.linked, b.not_linked)).unzip();
    assert_eq!(linked.iter().sum::<u64>(), measure.linked);
    assert_eq!(not.iter().sum::<u64>(), measure.not_linked);
    let bar = |b: &crate::CountBar| format!("{}:{}+{}", b.count, b.linked, b.not_linked);
    bars.map(bar).collect::<Vec<_>>().join(" ")
}

/// `linked at their median, others at theirs`, in whole seconds.
fn times(measure: &TimeMeasure) -> String {
    let median = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{:.0}", ms / 1000.0));
    format!(
        "{} at {}, {} at {}",
        measure.linked,
        median(measure.linked_ms.p50),
        measure.not_linked,
        median(measure.not_linked_ms.p50)
    )
}

#[tokio::test]
async fn clicks_are_those_the_client_counted_or_else_the_actions_it_told() {
    let world = World::of(
        "0 j1 opened attempt_id=a1\n1 j1 chose\n2 j1 consent.granted\n3 j1 handoff.started\n9 j1 linked\n10 j1 help.opened
         0 j2 opened counters.clicks=2\n1 j2 chose counters.clicks=5\n3 j2 opened counters.clicks=6
         4 j2 handoff.started counters.clicks=8\n9 j2 linked\n11 j2 journey.completed counters.clicks=9
         0 j3 opened\n1 j3 help.opened",
    )
    .await;
    let all = ask(&world, json!({})).await.journeys.total;
    assert_eq!((all.matured.entered, all.matured.converted), (3, 2));
    // j1: chose, consented, handed off; what follows the link is no effort for it. j2: its client's last count.
    assert_eq!(counts(&all.clicks), "1:0+1 3:1+0 9:1+0");
    assert_eq!((all.clicks_counted, all.clicks_from_events), (1, 2));
    assert_eq!(all.clicks.advised_at_most, Some(6));
    assert_eq!(all.clicks.linked_within_advice.value, Some(0.5));
    assert_eq!(all.clicks.within_advice.value, Some(2.0 / 3.0));
    assert_eq!(all.clicks.by_count[1].rate.value, Some(1.0));
}

#[tokio::test]
async fn five_minutes_between_two_events_are_active_and_a_microsecond_more_is_idle() {
    let world = World::of(
        "0 j1 opened messaging.time_estimate=true\n10 j1 chose\n5m+10 j1 handoff.started\n10m+10+1us j1 linked
         0 j2 opened messaging.time_estimate=false\n40 j2 chose\n50 j2 handoff.started\n60 j2 linked
         0 j3 opened\n70 j3 chose\n80 j3 sync.started",
    )
    .await;
    let all = ask(&world, json!({})).await.journeys.total;
    assert_eq!(times(&all.active.announced), "1 at 310, 0 at -");
    assert_eq!(times(&all.active.not_announced), "1 at 60, 0 at -");
    assert_eq!(times(&all.active.unknown), "0 at -, 1 at 70");
    assert_eq!(all.active.announced.linked_within_promise.value, Some(0.0));
    assert_eq!(
        all.active.not_announced.linked_within_promise.value,
        Some(1.0)
    );
    assert_eq!(
        all.active.unknown.linked_within_promise.code.as_deref(),
        Some("nothing_to_count")
    );
    assert_eq!(all.active.announced.promised_at_most_ms, Some(60_000.0));
    assert_eq!(times(&all.idle), "2 at 0, 1 at 0");
    let idle_ms = all.idle.linked_ms.p95.unwrap();
    assert!((idle_ms - 300_000.0).abs() < 3_000.0, "{idle_ms}");
    assert_eq!(
        all.idle.linked_within_promise.code.as_deref(),
        Some("nothing_advised")
    );
}

#[tokio::test]
async fn a_step_back_is_a_step_viewed_with_a_lower_index_than_the_one_before() {
    let views = |journey: &str, indices: &[u8]| -> String {
        let view = |(i, index): (usize, &u8)| {
            format!("{} {journey} step.viewed step.index={index}\n", i + 1)
        };
        indices.iter().enumerate().map(view).collect()
    };
    let lines = [
        "0 j1 opened\n".to_owned(),
        views("j1", &[3, 4, 3, 4, 2, 2]),
        "0 j2 opened\n".to_owned(),
        views("j2", &[1, 2, 3]),
        "0 j3 opened\n1 j3 step.viewed\n".to_owned(),
    ]
    .concat();
    let all = ask(&World::of(&lines).await, json!({}))
        .await
        .journeys
        .total;
    assert_eq!(counts(&all.back_steps), "0:0+1 2:0+1");
    assert_eq!(
        all.back_steps.within_advice.code.as_deref(),
        Some("nothing_advised")
    );
}

#[tokio::test]
async fn what_comes_before_the_first_prompt_is_counted_from_sign_up_and_from_landing() {
    let company = |c: &str, rest: &str| -> String {
        let line = |line: &str| {
            format!(
                "{} - {} company_id={c}\n",
                line.split_once(' ').unwrap().0,
                line.split_once(' ').unwrap().1
            )
        };
        rest.lines().map(str::trim).map(line).collect()
    };
    let lines = [
        company(
            "c1",
            "0 visit.landed session_id=s1\n5 help.opened\n10 signup.completed session_id=s1\n12 guide.viewed
             15 cta.shown kind=link\n16 help.opened\n20 linked session_id=s1",
        ),
        company(
            "c2",
            "0 visit.landed session_id=s2\n10 signup.completed session_id=s2\n15 cta.shown kind=payment
             1d cta.shown\n2d linked session_id=s3",
        ),
        company("c3", "0 signup.completed\n5 linked"),
        company("c4", "0 signup.completed session_id=s4\n5 cta.clicked"),
    ]
    .concat();
    let answer = ask(&World::of(&lines).await, json!({})).await;
    let signup = &answer.from_signup.total;
    assert_eq!((signup.matured.entered, signup.matured.converted), (4, 3));
    // c2's prompt for a payment is none for a link, c3 linked unprompted, c4 never was.
    assert_eq!(counts(&signup.actions), "0:1+0 1:1+0");
    assert_eq!(signup.never_prompted, 2);
    let delay_ms = signup.delay.linked_ms.p50.unwrap();
    assert!((delay_ms - 5_000.0).abs() < 50.0, "{delay_ms}");
    assert_eq!((signup.actions_counted, signup.actions_from_events), (0, 2));
    let s = signup.sessions;
    assert_eq!((s.first, s.later, s.unknown, s.not_linked), (1, 1, 1, 1));
    assert_eq!(signup.linked_in_first_session.value, Some(1.0 / 3.0));
    assert_eq!(signup.linked_in_window.value, Some(0.75));
    let landing = &answer.from_landing.total;
    assert_eq!((landing.matured.entered, landing.matured.converted), (2, 2));
    // From landing the sign-up is an action too.
    assert_eq!(counts(&landing.actions), "1:1+0 3:1+0");
}

#[tokio::test]
async fn a_client_that_counts_time_and_actions_is_believed() {
    let world = World::of(
        "0 j1 opened company_id=c1\n10 j1 chose company_id=c1 counters.active_ms=4000
         20 j1 handoff.started company_id=c1\n30 j1 linked company_id=c1
         31 j1 journey.completed company_id=c1 counters.active_ms=21000
         0 - visit.landed company_id=c2\n5 - help.opened company_id=c2
         9 - signup.completed company_id=c2 counters.actions=4\n12 - cta.shown company_id=c2 counters.actions=2",
    )
    .await;
    let answer = ask(&world, json!({})).await;
    let active = &answer.journeys.total.active;
    assert_eq!((active.counted, active.from_events), (1, 0));
    assert_eq!(times(&active.unknown), "1 at 21, 0 at -");
    assert_eq!(counts(&answer.from_signup.total.actions), "2:0+1");
    assert_eq!(counts(&answer.from_landing.total.actions), "6:0+1");
    let landing = &answer.from_landing.total;
    assert_eq!(
        (landing.actions_counted, landing.actions_from_events),
        (1, 0)
    );
}

#[tokio::test]
async fn without_session_ids_the_share_is_null_with_its_reason_and_without_anybody_too() {
    let world = World::of("0 - signup.completed company_id=c1\n5 - linked company_id=c1").await;
    let answer = ask(&world, json!({})).await;
    let code = |rate: &crate::Rate| rate.code.clone().unwrap_or_default();
    assert_eq!(
        code(&answer.from_signup.total.linked_in_first_session),
        "no_session_ids"
    );
    assert_eq!(
        code(&answer.from_landing.total.linked_in_first_session),
        "not_matured"
    );
    assert_eq!(
        code(&answer.journeys.total.clicks.within_advice),
        "nothing_to_count"
    );
    assert!(answer.journeys.total.idle.linked_ms.code.is_some());
}

#[tokio::test]
async fn effort_is_told_by_segment_and_mistakes_point_at_what_is_wrong() {
    let world = World::of(
        "0 j1 opened surface=hosted_page\n1 j1 chose\n2 j1 help.opened
         0 j2 opened surface=hosted_page\n0 j3 opened surface=embedded_sdk",
    )
    .await;
    let answer = ask(&world, json!({"by": ["surface"], "limit": 1})).await;
    let told =
        |group: &JourneyEffort| format!("{} {}", group.key["surface"], counts(&group.clicks));
    let groups: Vec<String> = answer.journeys.groups.iter().map(told).collect();
    assert_eq!(groups, ["hosted_page 0:0+1 2:0+1", "(other) 0:0+1"]);
    for (fields, code, pointer) in [
        (json!({"by": ["surfase"]}), "unknown_field", "/by/0"),
        (json!({"funnel": "first_link"}), "unknown_funnel", "/funnel"),
        (
            json!({"by": ["surface"], "limit": 0}),
            "out_of_range",
            "/limit",
        ),
    ] {
        let question = effort_question(fields.clone());
        let error = world.engine.effort("default", question).await.unwrap_err();
        assert_eq!((error.code(), error.pointer()), (code, pointer), "{fields}");
    }
}

/// Seconds since T0, journey, kind of event, clicks counted, step's index.
type Random = (i64, u8, u8, u8, u8);

const NAMES: [&str; 6] = [
    "attempt.opened",
    "provider.selected",
    "handoff.started",
    "connection.linked",
    "help.opened",
    "step.viewed",
];

/// Linked, clicks, steps back, active and idle seconds.
type ByHand = (bool, u64, Option<u64>, i64, i64);

/// The effort of each journey, by journey; events of one never share an instant here and
/// all lie in one day.
fn by_hand(events: &[Random]) -> BTreeMap<u8, ByHand> {
    let mut found = BTreeMap::new();
    for journey in 0..=u8::MAX {
        let mut own: Vec<Random> = events.iter().copied().filter(|e| e.1 == journey).collect();
        own.sort_unstable();
        let Some(opened) = own.iter().position(|e| e.2 == 0) else {
            continue;
        };
        own.drain(..opened);
        let after = |from: usize, kind: u8| (from..own.len()).find(|i| own[*i].2 == kind);
        let linked = after(0, 1)
            .and_then(|c| after(c, 2))
            .and_then(|h| after(h, 3));
        let counted = own.iter().filter(|e| e.3 > 0).map(|e| u64::from(e.3)).max();
        let views: Vec<u8> = own.iter().filter(|e| e.2 == 5).map(|e| e.4).collect();
        own.truncate(linked.map_or(own.len(), |l| l + 1));
        let told = own.iter().filter(|e| [1, 2, 4].contains(&e.2)).count() as u64;
        let back = views.windows(2).filter(|v| v[1] < v[0]).count() as u64;
        let gaps: Vec<i64> = own.windows(2).map(|e| e[1].0 - e[0].0).collect();
        let idle: i64 = gaps.iter().filter(|gap| **gap > 300).sum();
        let facts = (
            linked.is_some(),
            counted.unwrap_or(told),
            (!views.is_empty()).then_some(back),
            gaps.iter().sum::<i64>() - idle,
            idle,
        );
        found.insert(journey, facts);
    }
    found
}

async fn check(events: Vec<Random>, shards: usize, batch_rows: usize) {
    let mut world = World::new().await;
    world.watermark(20 * super::DAY);
    let line = |(i, e): (usize, &Random)| {
        let mut text = format!(
            "{} j{} {} id=e{i} company_id=c{}",
            e.0,
            e.1,
            NAMES[usize::from(e.2)],
            e.1 % 3
        );
        if e.3 > 0 {
            text += &format!(" counters.clicks={}", e.3);
        }
        if e.2 == 5 {
            text += &format!(" step.index={}", e.4);
        }
        event(&text, i)
    };
    let all: Vec<_> = events.iter().enumerate().map(line).collect();
    world.publish(0, &all);
    world.publish(1, &all);
    let answer = ask(&world, json!({"by": ["surface"]})).await;
    let total = &answer.journeys.total;
    let expected = by_hand(&events);
    let bars = |of: &dyn Fn(&ByHand) -> Option<u64>| -> BTreeMap<u64, (u64, u64)> {
        let mut bars = BTreeMap::<u64, (u64, u64)>::new();
        for facts in expected.values() {
            if let Some(count) = of(facts) {
                let bar = bars.entry(count).or_default();
                *(if facts.0 { &mut bar.0 } else { &mut bar.1 }) += 1;
            }
        }
        bars
    };
    let told = |measure: &CountMeasure| -> BTreeMap<u64, (u64, u64)> {
        let bar = |b: &crate::CountBar| (b.count, (b.linked, b.not_linked));
        measure.by_count.iter().map(bar).collect()
    };
    assert_eq!(told(&total.clicks), bars(&|facts| Some(facts.1)));
    assert_eq!(told(&total.back_steps), bars(&|facts| facts.2));
    let within = |most: i64, linked: bool| {
        let inside = expected.values().filter(|f| f.0 == linked && f.3 <= most);
        u32::try_from(inside.count()).unwrap()
    };
    let promise = &total.active.unknown;
    for (linked, share, n) in [
        (true, &promise.linked_within_promise, promise.linked),
        (
            false,
            &promise.not_linked_within_promise,
            promise.not_linked,
        ),
    ] {
        assert_eq!(
            expected.values().filter(|f| f.0 == linked).count() as u64,
            n
        );
        let share_by_hand = |part: u32, whole: u32| f64::from(part) / f64::from(whole);
        let whole = u32::try_from(n).unwrap();
        let expected = (n > 0).then(|| share_by_hand(within(60, linked), whole));
        assert_eq!(share.value, expected);
    }
    let mut idle: Vec<i64> = expected.values().filter(|f| !f.0).map(|f| f.4).collect();
    idle.sort_unstable();
    if let Some(p50) = total.idle.not_linked_ms.p50 {
        let median = f64::from(u32::try_from(idle[idle.len().div_ceil(2) - 1]).unwrap()) * 1000.0;
        assert!((p50 - median).abs() <= median * 0.01, "{p50} for {median}");
    }
    for group in &answer.journeys.groups {
        assert_eq!(&group.clicks, &total.clicks, "one segment is all");
    }
    splits_change_nothing(&mut world, &answer, shards, batch_rows).await;
}

async fn splits_change_nothing(
    world: &mut World,
    answer: &EffortAnswer,
    shards: usize,
    batch_rows: usize,
) {
    let asked =
        super::question_json(json!({"funnel": "linking", "breakdown": {"by": ["surface"]}}));
    let mut found = Vec::new();
    for (shards, batch_rows) in [(1, usize::MAX), (shards, batch_rows)] {
        let (run, plan) = compiled(world, &asked).await;
        let mut plan = Arc::into_inner(plan).unwrap();
        look_at(&mut plan, journey);
        found.push(deal(world, &run, Arc::new(plan), shards, batch_rows).await);
    }
    assert_eq!(found[0].total, found[1].total);
    assert_eq!(found[0].groups, found[1].groups);
    for (stage, partitions) in [(0, 1), (0, 5), (1, 2), (2, 5)] {
        match stage {
            1 => world.commit().await,
            2 => world.compact().await,
            _ => {}
        }
        let question = effort_question(json!({"by": ["surface"]}));
        let again = world
            .engine(partitions)
            .effort("default", question)
            .await
            .unwrap();
        assert_eq!(again.journeys, answer.journeys, "stage {stage}");
        assert_eq!(again.from_signup, answer.from_signup, "stage {stage}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn effort_equals_the_recount_by_hand_and_no_split_changes_it(
        events in prop::collection::btree_map((0..1_500_i64, 0..6_u8), (0..6_u8, 0..3_u8, 0..9_u8), 0..80),
        shards in 2..6_usize,
        batch_rows in 1..4_usize,
    ) {
        let events = events.into_iter().map(|((at, j), (kind, c, i))| (at, j, kind, c, i)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(events, shards, batch_rows));
    }
}
