//! End to end over a real store in a temporary folder: journeys as lines of text, answers as lines.

mod basics;
mod breakdown;
mod bypassed;
mod compare;
mod delivery;
mod drivers;
mod effort;
mod experiment_ages;
mod experiment_kept;
mod experiment_recount;
mod experiment_results;
mod experiment_verdicts;
mod experiments;
mod generated;
mod journey;
mod keys;
mod laws;
mod letters;
mod limits;
mod lists;
mod membership;
mod named;
mod paths;
mod planning;
mod rates;
mod results;
mod sql;
mod sql_views;
mod sums;
mod time;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use linkfunnel_model::{Event, EventName, Field, FieldKind, FunnelQuestion, Value};
use linkfunnel_store::{
    CommitBatch, CompactOptions, EventBatchBuilder, HotSegment, Location, RejectBatchBuilder,
    RejectRow, RowPosition, Store, StoreOptions, StreamPartition,
};
use serde_json::json;

use crate::membership::Membership;
use crate::{Engine, EngineOptions, FunnelAnswer, Group};

/// 2026-09-01T00:00:00Z, the zero of the times in the tests.
const T0: i64 = 1_788_220_800_000_000;
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A store with an engine, and a clock that stands still.
struct World {
    _dir: tempfile::TempDir,
    store: Store,
    engine: Engine,
    now: Arc<AtomicI64>,
    offsets: HashMap<i32, i64>,
    hot: Vec<Arc<HotSegment>>,
    events: usize,
    tenant: String,
}

impl World {
    async fn new() -> World {
        World::with(EngineOptions::default()).await
    }

    async fn with(options: EngineOptions) -> World {
        let dir = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(T0 + 30 * DAY));
        let reader = Arc::clone(&now);
        let clock: linkfunnel_model::Clock = Arc::new(move || reader.load(Ordering::Relaxed));
        let location = Location::parse(dir.path().to_str().unwrap()).unwrap();
        let store = Store::open(&location, StoreOptions::default(), clock.clone())
            .await
            .unwrap();
        let engine = Engine::new(store.clone(), options, clock).unwrap();
        World {
            _dir: dir,
            store,
            engine,
            now,
            offsets: HashMap::new(),
            hot: Vec::new(),
            events: 0,
            tenant: "default".to_owned(),
        }
    }

    /// A world whose hot rows are `lines`, long after all windows ended.
    async fn of(lines: &str) -> World {
        let mut world = World::new().await;
        world.add(lines);
        world.watermark(40 * DAY);
        world
    }

    fn engine(&self, target_partitions: usize) -> Engine {
        let options = EngineOptions {
            target_partitions,
            ..self.engine.options().clone()
        };
        let now = Arc::clone(&self.now);
        Engine::new(
            self.store.clone(),
            options,
            Arc::new(move || now.load(Ordering::Relaxed)),
        )
        .unwrap()
    }

    fn watermark(&self, since_t0_us: i64) {
        self.store
            .set_watermark(StreamPartition::new("test", 0), T0 + since_t0_us);
    }

    /// Publishes lines of `time journey event field=value…` as one segment of partition 0.
    fn add(&mut self, lines: &str) {
        let mut events = Vec::new();
        for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
            self.events += 1;
            events.push(event(line, self.events));
        }
        self.publish(0, &events);
    }

    fn publish(&mut self, partition: i32, events: &[Event<'_>]) {
        if events.is_empty() {
            return;
        }
        let mut builder = EventBatchBuilder::new();
        let first = *self.offsets.entry(partition).or_insert(0);
        let mut offset = first;
        for event in events {
            let at = RowPosition {
                stream: "test",
                partition,
                offset,
                index: 0,
            };
            builder.push(at, T0 + offset, event);
            offset += 1;
        }
        self.offsets.insert(partition, offset);
        self.seal(
            partition,
            first,
            offset - 1,
            builder,
            RejectBatchBuilder::new(),
        );
    }

    fn reject(&mut self, row: &RejectRow<'_>) {
        let mut rejects = RejectBatchBuilder::new();
        let offset = *self.offsets.entry(0).or_insert(0);
        let at = RowPosition {
            stream: "test",
            partition: 0,
            offset,
            index: 0,
        };
        rejects.push(at, &self.tenant, T0 + offset, row);
        self.offsets.insert(0, offset + 1);
        self.seal(0, offset, offset, EventBatchBuilder::new(), rejects);
    }

    fn seal(
        &mut self,
        partition: i32,
        first: i64,
        last: i64,
        mut events: EventBatchBuilder,
        mut rejects: RejectBatchBuilder,
    ) {
        let segment = Arc::new(HotSegment {
            at: StreamPartition::new("test", partition),
            first,
            last,
            epoch: 0,
            events: events.finish(),
            rejects: rejects.finish(),
            sealed_at_us: T0,
        });
        self.hot.push(Arc::clone(&segment));
        self.store.publish_shared(vec![segment]);
    }

    async fn commit(&mut self) {
        let segments = std::mem::take(&mut self.hot);
        let batch = CommitBatch {
            segments,
            fingerprints: Vec::new(),
        };
        self.store.commit(batch).await.unwrap();
    }

    async fn compact(&self) {
        self.store
            .compact(CompactOptions {
                full: true,
                ..CompactOptions::default()
            })
            .await
            .unwrap();
    }

    /// Asks, with the defaults of [`question`].
    async fn ask(&self, fields: serde_json::Value) -> FunnelAnswer {
        self.try_ask(fields).await.unwrap()
    }

    async fn try_ask(&self, fields: serde_json::Value) -> crate::Result<FunnelAnswer> {
        self.engine.funnel(&self.tenant, question(fields)).await
    }

    /// The total as a line.
    async fn total(&self, fields: serde_json::Value) -> String {
        line(&self.ask(fields).await.total)
    }

    /// The groups as lines `label: numbers`.
    async fn groups(&self, fields: serde_json::Value) -> Vec<String> {
        let answer = self.ask(fields).await;
        answer
            .groups
            .iter()
            .map(|g| format!("{}: {}", label(g), line(g)))
            .collect()
    }
}

/// A question over September 2026 and the funnel [`short`], with some fields replaced.
fn question(fields: serde_json::Value) -> FunnelQuestion {
    serde_json::from_value(question_json(fields)).unwrap()
}

fn question_json(fields: serde_json::Value) -> serde_json::Value {
    let mut question = json!({
        "funnel": short(),
        "range": {"from": "2026-09-01", "to": "2026-10-01"},
    });
    merge(&mut question, fields);
    question
}

fn merge(question: &mut serde_json::Value, fields: serde_json::Value) {
    for (name, value) in fields.as_object().unwrap() {
        question[name] = value.clone();
    }
}

/// Opened → chose → linked within a day, by journey, with an upload as outcome.
fn short() -> serde_json::Value {
    json!({
        "steps": [
            {"name": "Opened", "any_of": [{"event": "journey.started"}, {"event": "attempt.opened"}]},
            {"name": "Chose", "event": "provider.selected"},
            {"name": "Linked", "event": "connection.linked"},
        ],
        "outcomes": [{"name": "Uploaded", "event": "file.uploaded"}, {"name": "Paused", "event": "journey.paused"}],
        "window": "PT24H",
        "subject": "journey",
    })
}

/// [`short`] with some fields replaced.
fn short_with(fields: serde_json::Value) -> serde_json::Value {
    let mut funnel = short();
    merge(&mut funnel, fields);
    funnel
}

/// `entered = converted + dropped + open, reached …`.
fn line(group: &Group) -> String {
    assert_eq!(
        group.entered,
        group.converted + group.dropped + group.open,
        "{group:?}"
    );
    let reached: Vec<String> = group.steps.iter().map(|s| s.reached.to_string()).collect();
    format!(
        "{} = {} + {} + {}, reached {}",
        group.entered,
        group.converted,
        group.dropped,
        group.open,
        reached.join(" ")
    )
}

fn label(group: &Group) -> String {
    group.key.values().cloned().collect::<Vec<_>>().join(" / ")
}

/// Reads `time journey event field=value…`: time since T0 as sums of `1d`, `2h`, `3m`, `4` (s),
/// `5us`; `-` for no journey; `id=` names the event.
fn event(line: &str, number: usize) -> Event<'static> {
    let mut words = line.split_whitespace();
    let at_us = T0 + words.next().unwrap().split('+').map(length_us).sum::<i64>();
    let journey = words.next().unwrap();
    let name = match words.next().unwrap() {
        "opened" => "attempt.opened",
        "chose" => "provider.selected",
        "linked" => "connection.linked",
        "uploaded" => "file.uploaded",
        other => other,
    };
    let values: Vec<(&str, &str)> = words.map(|w| w.split_once('=').unwrap()).collect();
    let id = values
        .iter()
        .find(|(k, _)| *k == "id")
        .map_or(format!("e{number}"), |(_, v)| (*v).into());
    let name = EventName::parse(name).unwrap_or_else(|| panic!("{name}"));
    let mut event = Event::new(id, name, at_us);
    if journey != "-" {
        event = event.with(Field::JourneyId, journey.to_owned());
    }
    for (key, text) in values.into_iter().filter(|(key, _)| *key != "id") {
        event = match key.strip_prefix("attrs.") {
            Some(attr) => match text.parse::<f64>() {
                Ok(number) => event.with_attr_num(attr.to_owned(), number),
                Err(_) => event.with_attr(attr.to_owned(), text.to_owned()),
            },
            None => {
                let field = Field::parse(key).unwrap_or_else(|| panic!("{key}"));
                event.with(field, value(field, text))
            }
        };
    }
    event
}

fn value(field: Field, text: &str) -> Value<'static> {
    match field.kind() {
        FieldKind::Vocab(vocabulary) => Value::Vocab(
            vocabulary
                .iter()
                .find(|w| **w == text)
                .unwrap_or_else(|| panic!("{text}")),
        ),
        FieldKind::Int { .. } => Value::Int(text.parse().unwrap()),
        FieldKind::Bool => Value::Bool(text.parse().unwrap()),
        _ => Value::Text(text.to_owned().into()),
    }
}

fn length_us(text: &str) -> i64 {
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => (
            &text[..at],
            match &text[at..] {
                "us" => 1,
                "m" => 60 * SECOND,
                "h" => 3_600 * SECOND,
                "d" => DAY,
                other => panic!("{other}"),
            },
        ),
        None => (text, SECOND),
    };
    number.parse::<i64>().unwrap() * unit
}

/// Whether a question is answered without looking for journeys.
async fn answers_without_looking(world: &World, fields: serde_json::Value) -> bool {
    let question = question(fields);
    let run = world.engine.start(None).await.unwrap();
    let checked = question.check().unwrap();
    let prepared = world.engine.prepare(&run, "default", question, checked);
    let plan = Arc::new(prepared.unwrap().plan);
    let hoped = Membership::Hoped;
    let outcome = world.engine.run_once(&run, "default", &plan, hoped, None);
    let outcome = outcome.await.unwrap();
    outcome.is_some_and(|outcome| outcome.unresolved.is_empty())
}

/// The answer without what may differ between two runs over the same data.
fn content(answer: &FunnelAnswer) -> String {
    let mut json = serde_json::to_value(answer).unwrap();
    for name in ["snapshot", "elapsed_ms", "query_id", "events_scanned"] {
        json["meta"].as_object_mut().unwrap().remove(name);
    }
    json["query"].as_object_mut().unwrap().remove("as_of");
    json.to_string()
}
