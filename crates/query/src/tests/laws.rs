//! Random journeys against a brute-force count, however they are delivered, stored and split.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::physical_plan::collect;
use proptest::prelude::*;
use serde_json::json;

use super::{SECOND, T0, World, content, event, label, question};
use crate::Group;
use crate::engine::Run;
use crate::membership::Membership;
use crate::numbers::Outcome;
use crate::plan::Plan;
use crate::shard::Shard;

/// Seconds since T0, journey, kind of event, category, integration.
type Random = (i64, u8, u8, u8, u8);

const WATERMARK_S: i64 = 130;
const WINDOW_S: i64 = 60;
const FROM_S: i64 = 20;
const TO_S: i64 = 100;

fn name(kind: u8) -> &'static str {
    ["opened", "chose", "linked", "uploaded", "step.viewed"][kind as usize]
}

fn line(number: usize, (at, journey, kind, category, integration): Random) -> String {
    let mut line = format!(
        "{at} j{journey} {} id=e{number} company_id=c{}",
        name(kind),
        journey % 3
    );
    if let Some(c) = ["accounting", "banking"].get(category as usize) {
        line += &format!(" category={c}");
    }
    if let Some(i) = ["xero", "sage"].get(integration as usize) {
        line += &format!(" integration={i}");
    }
    line
}

#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Expected {
    states: [u64; 3],
    reached: [u64; 3],
}

impl Expected {
    fn count(&mut self, furthest: usize, clock: i64) {
        let state = match (furthest, clock + WINDOW_S <= WATERMARK_S) {
            (3, _) => 0,
            (_, true) => 1,
            (_, false) => 2,
        };
        self.states[state] += 1;
        self.reached[..furthest].iter_mut().for_each(|r| *r += 1);
    }

    fn of(group: &Group) -> Expected {
        let reached: Vec<u64> = group.steps.iter().map(|s| s.reached).collect();
        assert_eq!(group.entered, group.steps[0].reached);
        Expected {
            states: [group.converted, group.dropped, group.open],
            reached: reached.try_into().unwrap(),
        }
    }
}

/// Furthest reach by trying every chain of distinct events, each at or after the one before.
fn furthest(
    events: &[Random],
    used: &mut Vec<usize>,
    level: usize,
    after: i64,
    until: i64,
) -> usize {
    let mut best = level;
    if level == 3 {
        return best;
    }
    for (i, e) in events.iter().enumerate() {
        if usize::from(e.2) == level && e.0 >= after && e.0 <= until && !used.contains(&i) {
            used.push(i);
            best = best.max(furthest(events, used, level + 1, e.0, until));
            used.pop();
        }
    }
    best
}

type Segments = BTreeMap<String, Expected>;

/// The total, by category, by integration.
fn brute_force(events: &[Random]) -> (Expected, Segments, Segments) {
    let (mut total, mut by_category, mut by_integration) =
        (Expected::default(), Segments::new(), Segments::new());
    let journeys: BTreeSet<u8> = events.iter().map(|e| e.1).collect();
    for journey in journeys {
        let mut own: Vec<Random> = events.iter().copied().filter(|e| e.1 == journey).collect();
        own.sort_by_key(|e| e.0);
        let Some(clock) = own
            .iter()
            .filter(|e| e.2 == 0 && e.0 >= FROM_S)
            .map(|e| e.0)
            .min()
        else {
            continue;
        };
        if clock >= TO_S {
            continue;
        }
        let until = clock + WINDOW_S;
        let inside: Vec<Random> = own
            .iter()
            .copied()
            .filter(|e| (clock..=until).contains(&e.0))
            .collect();
        total.count(furthest(&inside, &mut Vec::new(), 0, clock, until), clock);
        let categories: BTreeSet<(i64, u8)> = inside
            .iter()
            .filter(|e| e.3 < 2)
            .map(|e| (e.0, e.3))
            .collect();
        let first = categories.first().map_or("(none)", |(_, c)| {
            ["accounting", "banking"][usize::from(*c)]
        });
        let reach = furthest(&inside, &mut Vec::new(), 0, clock, until);
        by_category
            .entry(first.to_owned())
            .or_default()
            .count(reach, clock);
        let chosen: BTreeSet<u8> = inside.iter().map(|e| e.4).filter(|i| *i < 2).collect();
        for value in &chosen {
            let held: Vec<Random> = inside
                .iter()
                .copied()
                .filter(|e| e.4 == *value || e.4 >= 2)
                .collect();
            let reach = furthest(&held, &mut Vec::new(), 0, clock, until);
            if reach > 0 {
                let label = ["xero", "sage"][usize::from(*value)].to_owned();
                by_integration.entry(label).or_default().count(reach, clock);
            }
        }
        if chosen.is_empty() {
            by_integration
                .entry("(before choice)".to_owned())
                .or_default()
                .count(reach, clock);
        }
    }
    (total, by_category, by_integration)
}

fn segments(groups: &[Group]) -> Segments {
    groups.iter().map(|g| (label(g), Expected::of(g))).collect()
}

fn asked(by: &str) -> serde_json::Value {
    let at = |s: i64| {
        chrono::DateTime::from_timestamp_micros(T0 + s * SECOND)
            .unwrap()
            .to_rfc3339()
    };
    json!({
        "funnel": super::short_with(json!({"window": "PT60S"})),
        "range": {"from": at(FROM_S), "to": at(TO_S)},
        "breakdown": {"by": [by]},
        "interval": "hour",
    })
}

async fn check(events: Vec<Random>, order: Vec<usize>) {
    let mut world = World::new().await;
    world.watermark(WATERMARK_S * SECOND);
    let all: Vec<_> = events
        .iter()
        .enumerate()
        .map(|(i, e)| event(&line(i, *e), i))
        .collect();
    // Arrival in another order, on three partitions, some events twice.
    let mut parts: [Vec<_>; 3] = Default::default();
    for (n, i) in order.iter().enumerate() {
        if let Some(event) = all.get(*i) {
            parts[n % 3].push(event.clone());
        }
    }
    for (n, event) in all.iter().enumerate() {
        parts[n % 2].push(event.clone());
    }
    for (p, part) in (0..).zip(&parts) {
        let (early, late) = part.split_at(part.len() / 2);
        world.publish(p, early);
        world.publish(p, late);
    }
    let (total, by_category, by_integration) = brute_force(&events);
    let category = world.ask(asked("category")).await;
    let integration = world.ask(asked("integration")).await;
    assert_eq!(Expected::of(&category.total), total);
    assert_eq!(segments(&category.groups), by_category);
    assert_eq!(segments(&integration.groups), by_integration);
    assert_eq!(
        category.trend.iter().map(|b| b.entered).sum::<u64>(),
        category.total.entered
    );
    let expect = [content(&category), content(&integration)];
    for stage in 0..3 {
        match stage {
            0 => {}
            1 => world.commit().await,
            _ => world.compact().await,
        }
        for partitions in [1, 2, 5] {
            let engine = world.engine(partitions);
            for (by, expect) in ["category", "integration"].iter().zip(&expect) {
                let answer = engine.funnel("default", question(asked(by))).await.unwrap();
                assert_eq!(
                    &content(&answer),
                    expect,
                    "stage {stage}, {partitions} partitions, by {by}"
                );
            }
        }
    }
}

/// Runs a question over its scan cut into batches of `batch_rows` and dealt, root by root, to
/// `shards` workers.
async fn dealt(
    world: &World,
    asked: &serde_json::Value,
    shards: usize,
    batch_rows: usize,
) -> Outcome {
    let (run, plan) = compiled(world, asked).await;
    deal(world, &run, plan, shards, batch_rows).await
}

/// As [`dealt`], of a question that is compiled already.
pub(super) async fn deal(
    world: &World,
    run: &Run,
    plan: Arc<Plan>,
    shards: usize,
    batch_rows: usize,
) -> Outcome {
    let scan = world
        .engine
        .scan(run, "default", &plan, &Membership::Hoped, None)
        .await
        .unwrap();
    let whole = collect(scan, run.session.task_ctx()).await.unwrap();
    let mut workers: Vec<Shard> = (0..shards)
        .map(|_| Shard::new(Arc::clone(&plan), Membership::Hoped))
        .collect();
    for batch in &whole {
        let roots = crate::columns::int64s(batch, "root_key").unwrap().values;
        let mut start = 0;
        while start < batch.num_rows() {
            let same = roots[start..]
                .iter()
                .take_while(|r| **r == roots[start])
                .count();
            let rows = same.min(batch_rows);
            let worker = usize::try_from(roots[start].unsigned_abs()).unwrap() % shards;
            workers[worker].update(&batch.slice(start, rows)).unwrap();
            start += rows;
        }
    }
    let mut all = Outcome::new(&plan);
    for worker in workers.into_iter().rev() {
        all.merge(worker.finish().unwrap()).unwrap();
    }
    all
}

pub(super) async fn compiled(world: &World, asked: &serde_json::Value) -> (Run, Arc<Plan>) {
    let question = question(asked.clone());
    let run = world.engine.start(None).await.unwrap();
    let checked = question.check().unwrap();
    let prepared = world
        .engine
        .prepare(&run, "default", question, checked)
        .unwrap();
    (run, Arc::new(prepared.plan))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_split_into_partitions_and_batches_merges_to_the_whole(
        events in prop::collection::vec((0..150_i64, 0..9_u8, 0..5_u8, 0..4_u8, 0..4_u8), 0..60),
        shards in 2..6_usize,
        batch_rows in 1..4_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            world.watermark(WATERMARK_S * SECOND);
            let all: Vec<_> = events.iter().enumerate().map(|(i, e)| event(&line(i, *e), i)).collect();
            world.publish(0, &all);
            for by in ["category", "integration"] {
                let whole = dealt(&world, &asked(by), 1, usize::MAX).await;
                let split = dealt(&world, &asked(by), shards, batch_rows).await;
                assert_eq!(split.total, whole.total);
                assert_eq!(split.groups, whole.groups);
                assert_eq!(split.counts, whole.counts);
            }
        });
    }

    #[test]
    fn answers_equal_the_brute_force_however_events_arrive_and_are_stored(
        events in prop::collection::vec((0..150_i64, 0..8_u8, 0..5_u8, 0..4_u8, 0..4_u8), 0..40),
        order in prop::collection::vec(0..40_usize, 0..60),
    ) {
        // At most one category an instant and journey, or "first" would depend on the event key.
        let mut seen = BTreeSet::new();
        let events: Vec<Random> = events
            .into_iter()
            .map(|mut e| {
                if e.3 < 2 && !seen.insert((e.0, e.1)) {
                    e.3 = 3;
                }
                e
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(events, order));
    }
}

#[test]
fn the_brute_force_counts_what_is_plain_to_see() {
    let events = [
        (30, 1, 0, 3, 3),
        (40, 1, 1, 3, 0),
        (50, 1, 2, 3, 1),
        (90, 2, 0, 3, 3),
    ];
    let (total, _, by_integration) = brute_force(&events);
    assert_eq!(
        total,
        Expected {
            states: [1, 0, 1],
            reached: [2, 1, 1]
        }
    );
    assert_eq!(by_integration["xero"].reached, [1, 1, 0]);
}
