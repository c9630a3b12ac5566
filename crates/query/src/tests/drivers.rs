//! What goes with success: plain cases, a recount by hand, and no difference however the rows are split.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use linkfunnel_model::{Event, Experiment};
use proptest::prelude::*;
use serde_json::json;

use super::laws::{compiled, deal};
use super::{SECOND, World, event, merge, short, short_with};
use crate::drivers::{looked_at, study};
use crate::{Against, DriverRow, DriverTest, DriversAnswer, DriversQuestion};

fn drivers_question(fields: serde_json::Value) -> DriversQuestion {
    let mut question = json!({
        "funnel": short(),
        "range": {"from": "2026-09-01", "to": "2026-10-01"},
    });
    merge(&mut question, fields);
    serde_json::from_value(question).unwrap()
}

async fn ask(world: &World, fields: serde_json::Value) -> DriversAnswer {
    let question = drivers_question(fields);
    world.engine.drivers("default", question).await.unwrap()
}

fn name(row: &DriverRow) -> String {
    match (&row.dimension, &row.value, &row.event) {
        (Some(dimension), Some(value), None) => format!("{dimension}={value}"),
        (None, None, Some(event)) => event.clone(),
        other => panic!("{other:?}"),
    }
}

/// `name: converted/matured of subjects, against the same`.
fn line(row: &DriverRow) -> String {
    let side = |s: &crate::DriverSide| format!("{}/{} of {}", s.converted, s.matured, s.subjects);
    format!(
        "{}: {} against {}",
        name(row),
        side(&row.with),
        side(&row.without)
    )
}

fn lines(answer: &DriversAnswer) -> Vec<String> {
    answer.rows.iter().map(line).collect()
}

/// `n` journeys that begin with `start`, of which `linked` link; numbered from `first`.
fn journeys(first: usize, n: usize, linked: usize, start: &str, chose: &str) -> String {
    let one = |i: usize| {
        let j = first + i;
        let link = match i < linked {
            true => format!("9 j{j} linked\n"),
            false => String::new(),
        };
        format!("0 j{j} opened {start}\n1 j{j} chose {chose}\n{link}")
    };
    (0..n).map(one).collect()
}

#[tokio::test]
async fn the_strongest_comes_first_and_what_is_too_small_last() {
    let lines_of_events = [
        journeys(
            0,
            40,
            30,
            "surface=hosted_page medium=email",
            "integration=xero",
        ),
        journeys(
            40,
            40,
            10,
            "surface=embedded_sdk medium=email",
            "integration=sage",
        ),
        journeys(80, 2, 2, "medium=sms", ""),
    ]
    .concat();
    let world = World::of(&lines_of_events).await;
    let answer = ask(
        &world,
        json!({"dimensions": ["surface", "medium", "integration"]}),
    )
    .await;
    assert_eq!(
        lines(&answer),
        [
            "surface=embedded_sdk: 10/40 of 40 against 32/42 of 42",
            "integration=sage: 10/40 of 40 against 30/40 of 40",
            "integration=xero: 30/40 of 40 against 10/40 of 40",
            "surface=hosted_page: 30/40 of 40 against 12/42 of 42",
            "medium=email: 40/80 of 80 against 2/2 of 2",
            "medium=sms: 2/2 of 2 against 40/80 of 80",
        ]
    );
    assert_eq!((answer.tested, answer.row_count), (4, 6));
    let xero = &answer.rows[2];
    assert_eq!(
        (xero.attribution.as_deref(), xero.against),
        (Some("first"), Against::OtherValues)
    );
    assert_eq!(xero.difference.value, Some(0.5));
    // statsmodels: score test of 30/40 against 10/40, p = 8.826169e-06; Newcombe from 0.285125.
    assert!((xero.p.unwrap() - 8.826_169e-6).abs() < 1e-11, "{xero:?}");
    assert!(
        (xero.difference.low.unwrap() - 0.285_125).abs() < 1e-6,
        "{xero:?}"
    );
    assert_eq!(xero.test, Some(DriverTest::Score));
    assert!(xero.p_adjusted.unwrap() >= xero.p.unwrap());
    let surface = &answer.rows[0];
    assert_eq!(
        (surface.attribution.as_deref(), surface.against),
        (Some("entry"), Against::EveryoneElse)
    );
    for row in &answer.rows[4..] {
        assert!(
            row.too_small && row.p.is_none() && row.p_adjusted.is_none(),
            "{row:?}"
        );
        assert_eq!(
            (row.difference.value, row.code.as_deref()),
            (None, Some("too_small"))
        );
    }
    let short = ask(
        &world,
        json!({"dimensions": ["surface", "medium", "integration"], "limit": 1}),
    )
    .await;
    assert_eq!((short.rows.len(), short.tested, short.row_count), (1, 4, 6));
    assert_eq!(
        short.rows[0], answer.rows[0],
        "p is adjusted over all rows, shown or not"
    );
}

#[tokio::test]
async fn thirty_matured_a_side_are_tested_and_twenty_nine_are_not() {
    for (n, tested) in [(29, 0), (30, 2)] {
        let events = [
            journeys(0, n, 9, "surface=hosted_page", ""),
            journeys(100, 60, 9, "surface=embedded_sdk", ""),
        ]
        .concat();
        let world = World::of(&events).await;
        assert_eq!(
            ask(&world, json!({"dimensions": ["surface"]})).await.tested,
            tested
        );
    }
}

#[tokio::test]
async fn events_count_only_between_the_two_steps_and_inside_the_window() {
    let world = World::of(
        "0 j1 opened\n1 j1 help.opened\n2 j1 chose\n3 j1 guide.viewed\n9 j1 linked\n9 j1 sync.started\n10 j1 help.opened
         0 j2 opened\n0 j2 guide.viewed\n2 j2 chose\n3 j2 chose\n1d j2 help.opened\n1d+1us j2 guide.viewed
         0 j3 opened",
    )
    .await;
    let all = ask(&world, json!({"dimensions": ["surface"], "events": true})).await;
    assert_eq!((all.after_step, all.before_step), (Some(1), Some(3)));
    // j2's guide stands at the instant of its opening, and its other one after the window; its second choice is an event.
    assert_eq!(
        lines(&all),
        [
            "guide.viewed: 1/1 of 1 against 0/2 of 2",
            "help.opened: 1/2 of 2 against 0/1 of 1",
            "provider.selected: 0/1 of 1 against 1/2 of 2",
        ]
    );
    let from_choice = ask(
        &world,
        json!({"dimensions": ["surface"], "events": true, "after_step": 2}),
    )
    .await;
    assert_eq!(
        lines(&from_choice),
        [
            "guide.viewed: 1/1 of 1 against 0/1 of 1",
            "help.opened: 0/1 of 1 against 1/1 of 1",
            "provider.selected: 0/1 of 1 against 1/1 of 1",
        ]
    );
    // To the choice: success is having chosen, and nobody's events after it count.
    let to_choice = ask(
        &world,
        json!({"dimensions": ["surface"], "events": true, "before_step": 2}),
    )
    .await;
    assert_eq!(
        lines(&to_choice),
        ["help.opened: 1/1 of 1 against 1/2 of 2"]
    );
}

#[tokio::test]
async fn every_experiment_present_is_a_dimension_against_its_other_variants() {
    let mut world = World::new().await;
    let with = |event: Event<'static>, id: &'static str, variant: &'static str| {
        event.with_experiment(Experiment {
            id: id.into(),
            variant: variant.into(),
            unit: "company",
            exposed: true,
        })
    };
    let opened = |i: usize| event(&format!("0 j{i} opened"), i);
    let events = [
        with(with(opened(1), "optional", "on"), "copy", "long"),
        with(opened(2), "optional", "off"),
        with(opened(3), "copy", "long"),
        event("1 j1 chose", 11),
        event("2 j1 linked", 12),
        opened(4),
    ];
    world.publish(0, &events);
    world.watermark(40 * super::DAY);
    let answer = ask(&world, json!({})).await;
    assert_eq!(
        lines(&answer),
        [
            "experiments.optional=off: 0/1 of 1 against 1/1 of 1",
            "experiments.optional=on: 1/1 of 1 against 0/1 of 1",
            "experiments.copy=long: 1/2 of 2 against 0/0 of 0",
        ]
    );
    let one = ask(&world, json!({"dimensions": ["experiments.optional"]})).await;
    assert_eq!(lines(&one), lines(&answer)[..2]);
}

#[tokio::test]
async fn mistakes_point_at_what_is_wrong() {
    let world = World::of("").await;
    let many: Vec<String> = (0..65).map(|i| format!("attrs.a{i}")).collect();
    for (fields, code, pointer) in [
        (
            json!({"dimensions": ["surfase"]}),
            "unknown_field",
            "/dimensions/0",
        ),
        (
            json!({"dimensions": ["surface", "event_id"]}),
            "not_a_dimension",
            "/dimensions/1",
        ),
        (
            json!({"dimensions": ["integration", "integration.key"]}),
            "duplicate_field",
            "/dimensions/1",
        ),
        (json!({"dimensions": many}), "limit_exceeded", "/dimensions"),
        (json!({"after_step": 1}), "step_not_wanted", "/after_step"),
        (
            json!({"events": true, "after_step": 4}),
            "unknown_step",
            "/after_step",
        ),
        (
            json!({"events": true, "before_step": 0}),
            "unknown_step",
            "/before_step",
        ),
        (
            json!({"events": true, "after_step": 2, "before_step": 2}),
            "bad_steps",
            "/before_step",
        ),
        (json!({"limit": 0}), "out_of_range", "/limit"),
    ] {
        let question = drivers_question(fields.clone());
        let error = world.engine.drivers("default", question).await.unwrap_err();
        assert_eq!((error.code(), error.pointer()), (code, pointer), "{fields}");
    }
}

/// Seconds since T0, journey, kind of event, surface, integration.
type Random = (i64, u8, u8, u8, u8);

const NAMES: [&str; 5] = [
    "attempt.opened",
    "provider.selected",
    "connection.linked",
    "attempt.errored",
    "help.opened",
];
const SURFACES: [&str; 2] = ["hosted_page", "embedded_sdk"];
const INTEGRATIONS: [&str; 2] = ["xero", "sage"];
const WINDOW_S: i64 = 60;
const WATERMARK_S: i64 = 130;

/// Subjects, matured, converted.
type Three = [u64; 3];

/// By row: those with it; and all that entered. Events of one journey never share an instant here.
fn by_hand(events: &[Random]) -> (BTreeMap<String, Three>, Three) {
    let (mut with, mut all) = (BTreeMap::<String, Three>::new(), [0; 3]);
    for journey in 0..=u8::MAX {
        let mut own: Vec<Random> = events.iter().copied().filter(|e| e.1 == journey).collect();
        own.sort_unstable();
        let Some(clock) = own.iter().find(|e| e.2 == 0).map(|e| e.0) else {
            continue;
        };
        own.retain(|e| (clock..=clock + WINDOW_S).contains(&e.0));
        let chose = own.iter().position(|e| e.2 == 1);
        let linked = chose.and_then(|c| (c..own.len()).find(|i| own[*i].2 == 2));
        let matured = u64::from(clock + WINDOW_S <= WATERMARK_S);
        let one = [1, matured, matured * u64::from(linked.is_some())];
        let add = |to: &mut Three| (0..3).for_each(|i| to[i] += one[i]);
        add(&mut all);
        let mut rows: BTreeSet<String> = BTreeSet::new();
        let surface = SURFACES.get(usize::from(own[0].3));
        rows.extend(surface.map(|s| format!("surface={s}")));
        let mut integrations = own
            .iter()
            .filter_map(|e| INTEGRATIONS.get(usize::from(e.4)));
        rows.extend(integrations.next().map(|i| format!("integration={i}")));
        for (i, e) in own
            .iter()
            .enumerate()
            .take(linked.unwrap_or(own.len()))
            .skip(1)
        {
            if chose != Some(i) {
                rows.insert(NAMES[usize::from(e.2)].to_owned());
            }
        }
        rows.into_iter()
            .for_each(|row| add(with.entry(row).or_default()));
    }
    (with, all)
}

async fn check(events: Vec<Random>, shards: usize, batch_rows: usize) {
    let mut world = World::new().await;
    world.watermark(WATERMARK_S * SECOND);
    let line = |(i, e): (usize, &Random)| {
        let mut text = format!(
            "{} j{} {} id=e{i} company_id=c{}",
            e.0,
            e.1,
            NAMES[usize::from(e.2)],
            e.1 % 3
        );
        text += &SURFACES
            .get(usize::from(e.3))
            .map_or(String::new(), |s| format!(" surface={s}"));
        text += &INTEGRATIONS
            .get(usize::from(e.4))
            .map_or(String::new(), |s| format!(" integration={s}"));
        event(&text, i)
    };
    let all: Vec<_> = events.iter().enumerate().map(line).collect();
    world.publish(0, &all);
    world.publish(1, &all);
    let names = ["surface".to_owned(), "integration".to_owned()];
    let funnel = short_with(json!({"window": "PT60S"}));
    let fields = json!({"funnel": funnel, "dimensions": names, "events": true});
    let answer = ask(&world, fields.clone()).await;
    let (with, total) = by_hand(&events);
    let three = |s: &crate::DriverSide| [s.subjects, s.matured, s.converted];
    assert_eq!(three(&answer.total), total);
    let told: BTreeMap<String, Three> = answer
        .rows
        .iter()
        .map(|r| (name(r), three(&r.with)))
        .collect();
    assert_eq!(told, with);
    for row in &answer.rows {
        let others = |row: &&DriverRow| row.dimension.as_deref() == Some("integration");
        let base = match row.against {
            Against::EveryoneElse | Against::WithoutTheEvent => total,
            Against::OtherValues => answer.rows.iter().filter(others).fold([0; 3], |sum, row| {
                let more = three(&row.with);
                [0, 1, 2].map(|i| sum[i] + more[i])
            }),
        };
        let sum = [0, 1, 2].map(|i| three(&row.with)[i] + three(&row.without)[i]);
        assert_eq!(sum, base, "{row:?}");
    }
    let asked = super::question_json(json!({"funnel": funnel}));
    let mut found = Vec::new();
    for (shards, batch_rows) in [(1, usize::MAX), (shards, batch_rows)] {
        let (run, plan) = compiled(&world, &asked).await;
        let mut plan = Arc::into_inner(plan).unwrap();
        study(&mut plan, &looked_at(&names).unwrap(), Some((0, 2)));
        found.push(deal(&world, &run, Arc::new(plan), shards, batch_rows).await);
    }
    assert_eq!(found[0].found, found[1].found);
    for (stage, partitions) in [(0, 1), (0, 5), (1, 2), (2, 5)] {
        match stage {
            1 => world.commit().await,
            2 => world.compact().await,
            _ => {}
        }
        let question = drivers_question(fields.clone());
        let again = world.engine(partitions).drivers("default", question).await;
        assert_eq!(again.unwrap().rows, answer.rows, "stage {stage}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rows_equal_the_recount_by_hand_and_no_split_changes_them(
        events in prop::collection::btree_map((0..150_i64, 0..8_u8), (0..5_u8, 0..3_u8, 0..3_u8), 0..80),
        shards in 2..6_usize,
        batch_rows in 1..4_usize,
    ) {
        let events = events.into_iter().map(|((at, j), (kind, s, i))| (at, j, kind, s, i)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(events, shards, batch_rows));
    }
}
