//! Generated streams with all their dirt: the answers equal the known truth, also where most events
//! name neither company nor journey.

use std::collections::{BTreeMap, HashSet};

use linkfunnel_model::{Defaults, Event, Field, Value, decode};
use linkfunnel_testkit::generate::{
    Counts, Delivery, Dirt, FunnelTruth, GenerateConfig, Generator, Ids, Prompted, TenantTruth,
    Volume,
};
use serde_json::json;

use super::{DAY, T0, World, answers_without_looking, content, question};
use crate::{FunnelAnswer, Group};

/// Dimensions that truth and answers both know.
const DIMENSIONS: [&str; 11] = [
    "category",
    "surface",
    "medium",
    "entry_point",
    "country",
    "locale",
    "device.class",
    "integration",
    "integration.kind",
    "provider",
    "auth.method",
];

fn config(seed: u64, ids: Ids, journeys: u64) -> GenerateConfig {
    GenerateConfig {
        seed,
        ids,
        days: Some(10.0),
        volume: Volume::Journeys(journeys),
        dirt: Dirt::HEAVY,
        ..GenerateConfig::default()
    }
}

pub(super) fn generate(seed: u64, ids: Ids, journeys: u64) -> (Vec<Delivery>, TenantTruth) {
    let mut generator = Generator::new(config(seed, ids, journeys)).unwrap();
    let deliveries = generator.by_ref().collect();
    let truth = generator.truth(None).unwrap();
    (deliveries, truth.tenants["default"].clone())
}

pub(super) fn events(deliveries: &[Delivery]) -> Vec<Event<'_>> {
    let mut events = Vec::new();
    for delivery in deliveries {
        let payload = delivery.payload.as_deref().unwrap_or(b"");
        events.extend(decode(
            payload,
            &Defaults::default(),
            delivery.deliver_at_us,
        ));
    }
    events
}

/// Numbers that are the same for the same seed.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for i in (1..items.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
    }
}

/// What is compared of a group.
fn counts(group: &Group) -> Counts {
    let reached = |of: fn(&crate::StepAnswer) -> u64| group.steps.iter().map(of).collect();
    Counts {
        entered: group.entered,
        converted: group.converted,
        dropped: group.dropped,
        open: group.open,
        reached: reached(|step| step.reached),
        bypassed: reached(|step| step.bypassed),
        outcomes: group.outcomes.iter().map(|o| o.count).collect(),
        matured: linkfunnel_testkit::generate::Matured {
            entered: group.matured.entered,
            converted: group.matured.converted,
            reached: reached(|step| step.matured_reached),
        },
    }
}

fn asked(funnel: &str, by: Option<&str>) -> serde_json::Value {
    let mut asked = json!({
        "funnel": funnel,
        "range": {"from": "2026-09-25", "to": "2026-12-01"},
        "interval": "day",
    });
    if let Some(by) = by {
        asked["breakdown"] = json!({"by": [by], "limit": 1_000});
    }
    asked
}

fn check(answer: &FunnelAnswer, truth: &FunnelTruth, by: Option<&str>, when: &str) {
    assert_eq!(counts(&answer.total), truth.total, "{when}");
    if let Some(without_entry) = truth.without_entry {
        assert_eq!(answer.meta.without_entry, without_entry, "{when}");
    }
    for bucket in answer.trend.iter().filter(|bucket| bucket.entered > 0) {
        let day = &truth.by_day[&bucket.start[..10]];
        let told = (bucket.entered, bucket.converted);
        assert_eq!(
            told,
            (day.entered, day.converted),
            "{when}, {}",
            bucket.start
        );
    }
    let Some(by) = by else { return };
    let mut segments = truth.by[by].clone();
    for group in &answer.groups {
        let segment = segments.remove(&group.key[by]).unwrap_or_default();
        assert_eq!(counts(group), segment, "{when}, {by} {}", group.key[by]);
    }
    let missing: Vec<_> = segments.iter().filter(|(_, c)| c.entered > 0).collect();
    assert!(missing.is_empty(), "{when}, {by}: {missing:?}");
}

async fn ask_all(world: &World, truth: &TenantTruth, when: &str) -> Vec<String> {
    let mut said = Vec::new();
    let linking = DIMENSIONS
        .iter()
        .map(|by| ("linking", Some(*by), &truth.linking));
    let first_link = &truth.first_link;
    let of = |id: &'static str, by| (id, by, &truth.funnels[id]);
    let others = [
        ("first_link", None, first_link),
        of("linking_from_choice", Some("integration")),
        of("invitation", Some("integration")),
    ];
    for (funnel, by, truth) in linking.chain(others) {
        let fields = question(asked(funnel, by));
        let answer = world.engine.funnel("default", fields).await.unwrap();
        let when = format!("{funnel}, {when}");
        check(&answer, truth, by, &when);
        let bypassed: u64 = answer.total.steps.iter().map(|step| step.bypassed).sum();
        let is_shown_by_all = funnel == "first_link";
        assert!(bypassed > 0 || !funnel.starts_with("linking"), "{when}");
        assert!(bypassed == 0 || !is_shown_by_all, "{when}");
        let takes_all = funnel != "invitation";
        assert!(answer.meta.without_subject == 0 || !takes_all, "{when}");
        assert_eq!(answer.meta.split_ids, 0, "{when}");
        said.push(content(&answer));
    }
    said
}

async fn equals_truth(seed: u64, ids: Ids, journeys: u64) {
    let (deliveries, truth) = generate(seed, ids, journeys);
    let mut first: Option<Vec<String>> = None;
    for arrival in ["as it came", "shuffled"] {
        let mut events = events(&deliveries);
        if arrival == "shuffled" {
            shuffle(&mut events, seed);
        }
        let mut world = World::new().await;
        world.watermark(90 * DAY);
        for (i, part) in events.chunks(events.len().div_ceil(12)).enumerate() {
            world.publish(i32::try_from(i % 3).unwrap(), part);
            if i % 3 == 1 {
                world.commit().await;
            }
            if i == 7 {
                world.compact().await;
            }
        }
        for stage in ["hot, cold and compacted", "committed", "compacted"] {
            match stage {
                "committed" => world.commit().await,
                "compacted" => world.compact().await,
                _ => {}
            }
            let when = format!("{ids:?}, seed {seed}, {arrival}, {stage}");
            let said = ask_all(&world, &truth, &when).await;
            let first = first.get_or_insert_with(|| said.clone());
            assert_eq!(&said, first, "{when}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_whose_events_name_few_ids_give_exactly_the_true_counts() {
    equals_truth(1, Ids::Sparse, 900).await;
    equals_truth(2, Ids::Sparse, 300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_cut_off_while_events_are_on_their_way_gives_exactly_the_true_counts() {
    // At 36, 68 and 94 a sync used to arrive whose link did not: nobody could say whose it was. At 32 and 90 a clock that runs
    // ahead puts an entry after its link: the sync alone says the category.
    for seed in (1..=40).chain([68, 90, 94]) {
        let config = config(seed, Ids::Full, 900);
        let end_us = config.start_us + 5 * DAY;
        let mut generator = Generator::new(GenerateConfig {
            end_us: Some(end_us),
            ..config
        })
        .unwrap();
        let deliveries: Vec<Delivery> = generator.by_ref().collect();
        let truth = generator.truth(Some(end_us)).unwrap();
        let truth = &truth.tenants["default"];
        assert!(truth.linking.total.open > 0);
        let mut world = World::new().await;
        world.watermark(end_us - T0);
        world.publish(0, &events(&deliveries));
        let funnels = [
            (
                "linking",
                &truth.linking,
                &["category", "integration", "medium"][..],
            ),
            (
                "invitation",
                &truth.funnels["invitation"],
                &["integration", "medium"],
            ),
        ];
        for (funnel, truth, dimensions) in funnels {
            for by in dimensions.iter().copied() {
                let fields = question(asked(funnel, Some(by)));
                let answer = world.engine.funnel("default", fields).await.unwrap();
                check(
                    &answer,
                    truth,
                    Some(by),
                    &format!("{funnel}, seed {seed}, cut off"),
                );
            }
        }
    }
}

#[tokio::test]
async fn where_all_ids_are_named_no_question_looks_for_any() {
    let (deliveries, _) = generate(4, Ids::Full, 600);
    let mut world = World::new().await;
    world.watermark(90 * DAY);
    let mut named = events(&deliveries);
    named.retain(|event| event.text(Field::JourneyId).is_some());
    world.publish(0, &named);
    world.commit().await;
    for by in DIMENSIONS {
        let fields = asked("linking", Some(by));
        assert!(answers_without_looking(&world, fields).await, "{by}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_whose_events_name_all_ids_give_exactly_the_true_counts() {
    equals_truth(3, Ids::Full, 600).await;
}

async fn effort_of(events: &[Event<'_>]) -> crate::EffortAnswer {
    let mut world = World::new().await;
    world.watermark(90 * DAY);
    world.publish(0, events);
    let question = json!({"range": {"from": "2026-09-25", "to": "2026-12-01"}});
    let question = serde_json::from_value(question).unwrap();
    world.engine.effort("default", question).await.unwrap()
}

/// Subjects by count, linked or not.
fn by_count(measure: &crate::CountMeasure) -> BTreeMap<u64, u64> {
    let bars = measure.by_count.iter();
    bars.map(|bar| (bar.count, bar.linked + bar.not_linked))
        .collect()
}

#[tokio::test]
async fn the_effort_told_of_a_generated_stream_is_the_true_one() {
    let (deliveries, truth) = generate(5, Ids::Full, 900);
    let told = effort_of(&events(&deliveries)).await;
    let truth = &truth.effort;
    let journeys = &told.journeys.total;
    assert_eq!(by_count(&journeys.back_steps), truth.back_steps);
}

#[tokio::test]
async fn the_clicks_that_clients_counted_are_the_true_ones() {
    let (deliveries, truth) = generate(5, Ids::Full, 900);
    let mut events = events(&deliveries);
    // Where no client counted, the events that tell an action are counted instead.
    let journey = |event: &Event<'_>| event.text(Field::JourneyId).map(str::to_owned);
    let says = |event: &&Event<'_>| event.get(Field::CountersClicks).is_some();
    let counted: HashSet<Option<String>> = events.iter().filter(says).map(journey).collect();
    events.retain(|event| counted.contains(&journey(event)));
    let told = effort_of(&events).await;
    let clicks = &told.journeys.total.clicks;
    let linked = clicks.by_count.iter().filter(|bar| bar.linked > 0);
    let linked: BTreeMap<u64, u64> = linked.map(|bar| (bar.count, bar.linked)).collect();
    assert_eq!(linked, truth.effort.clicks_of_linked);
}

#[tokio::test]
async fn the_active_time_that_clients_counted_is_the_true_one() {
    let (deliveries, truth) = generate(6, Ids::Full, 900);
    let mut events = events(&deliveries);
    // Of the journeys whose end says it; the others' times lie between events.
    let said = |event: &&Event<'_>| {
        let ends = ["connection.linked", "journey.completed"];
        event.get(Field::CountersActiveMs).is_some() && ends.contains(&event.name())
    };
    let journey = |event: &Event<'_>| event.text(Field::JourneyId).map(str::to_owned);
    let counted: HashSet<Option<String>> = events.iter().filter(said).map(journey).collect();
    events.retain(|event| counted.contains(&journey(event)));
    let told = effort_of(&events).await;
    let (active, truth) = (&told.journeys.total.active, &truth.effort);
    for (promised, measure) in [
        ("true", &active.announced),
        ("false", &active.not_announced),
        ("(none)", &active.unknown),
    ] {
        let seconds = truth
            .active_s_of_linked
            .get(promised)
            .cloned()
            .unwrap_or_default();
        let all: u64 = seconds.values().sum();
        assert_eq!(measure.linked, all, "{promised}");
        let upto = |most: u64| seconds.range(..=most).map(|(_, n)| *n).sum::<u64>();
        let share = |part: u64| {
            u32::try_from(part).map(f64::from).unwrap() / u32::try_from(all).map(f64::from).unwrap()
        };
        if let Some(within) = measure.linked_within_promise.value {
            assert!(
                (share(upto(59))..=share(upto(60))).contains(&within),
                "{promised}: {within}"
            );
        }
    }
}

/// By company, the actions that its first `name` says and when it was.
fn first_of<'e>(events: &'e [Event<'_>], name: &str) -> BTreeMap<&'e str, (i64, u64)> {
    let mut first = BTreeMap::new();
    for event in events.iter().filter(|event| event.name() == name) {
        let actions = match event.get(Field::CountersActions) {
            Some(Value::Int(actions)) => u64::try_from(*actions).unwrap(),
            _ => 0,
        };
        let company = event.text(Field::CompanyId).unwrap();
        let told = (event.occurred_at_us(), actions);
        let known = first.entry(company).or_insert(told);
        *known = told.min(*known);
    }
    first
}

#[tokio::test]
async fn the_actions_before_the_first_prompt_are_the_true_ones() {
    let (deliveries, truth) = generate(7, Ids::Full, 900);
    let mut events = events(&deliveries);
    // The truth looks at the first prompt also where a link came before it.
    events.retain(|event| event.name() != "connection.linked");
    let told = effort_of(&events).await;
    let companies = |truth: &BTreeMap<u64, Prompted>| -> BTreeMap<u64, u64> {
        truth.iter().map(|(n, p)| (*n, p.companies)).collect()
    };
    let mut from_signup = companies(&truth.effort.actions_from_signup);
    let mut from_landing = companies(&truth.effort.actions_from_landing);
    // Nor does it mind a server's clock beside the browser's: by it the sign-up may come after the prompt or before the landing.
    let (landed, signed_up) = (
        first_of(&events, "visit.landed"),
        first_of(&events, "signup.completed"),
    );
    for (company, (shown_us, actions)) in first_of(&events, "cta.shown") {
        let (signed_up_us, before) = signed_up[company];
        if shown_us < signed_up_us {
            *from_signup.get_mut(&actions).unwrap() -= 1;
        }
        if shown_us < signed_up_us || signed_up_us < landed[company].0 {
            *from_landing.get_mut(&(actions + before)).unwrap() -= 1;
            *from_landing.entry(actions).or_default() += 1;
        }
    }
    for (told, mut truth) in [
        (&told.from_signup.total, from_signup),
        (&told.from_landing.total, from_landing),
    ] {
        truth.retain(|_, companies| *companies > 0);
        assert_eq!(by_count(&told.actions), truth);
        assert_eq!(told.actions_from_events, 0);
    }
}
