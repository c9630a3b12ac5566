//! What does it cost that events name few ids?
//!
//! ```sh
//! cargo run --release -p linkfunnel-query --example sparse_ids -- 100000
//! ```
//!
//! Generates journeys (the argument) twice, once with events that name their company and journey and once with events of
//! which most name neither, and asks the same questions of both tables: as they were committed, compacted, and again with a
//! few hot rows beside the files. Each is asked once cold (what files say about ids has to be read) and then some times warm.
//! Prints one line of JSON: events, seconds, events/s, and the ratio of sparse to full.

#![expect(clippy::print_stdout, reason = "the result is what it prints")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use linkfunnel_model::{Clock, Defaults, FunnelQuestion, decode};
use linkfunnel_query::{Engine, EngineOptions};
use linkfunnel_store::{
    CommitBatch, CompactOptions, EventBatchBuilder, HotSegment, Location, RejectBatchBuilder,
    RowPosition, Store, StoreOptions, StreamPartition,
};
use linkfunnel_testkit::generate::{Dirt, GenerateConfig, Generator, Ids, Volume};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Events in one commit.
const COMMIT_ROWS: i64 = 200_000;
const WARM_RUNS: usize = 7;
const QUESTIONS: [&str; 2] = ["linking", "first_link"];

fn main() -> Result<()> {
    let journeys: u64 = std::env::args()
        .nth(1)
        .map_or(Ok(100_000), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let full = runtime.block_on(measured(Ids::Full, journeys))?;
    let sparse = runtime.block_on(measured(Ids::Sparse, journeys))?;
    let mut ratios = serde_json::Map::new();
    for (name, seconds) in full["seconds"].as_object().into_iter().flatten() {
        let of = |table: &Value| table["seconds"][name].as_f64().unwrap_or(f64::NAN);
        if seconds.is_number() {
            ratios.insert(name.clone(), json!(of(&sparse) / of(&full)));
        }
    }
    println!(
        "{}",
        json!({"full": full, "sparse": sparse, "sparse_to_full": ratios})
    );
    Ok(())
}

async fn measured(ids: Ids, journeys: u64) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    let clock: Clock = Arc::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
    });
    let location = Location::parse(folder.path().to_str().ok_or("a folder without a name")?)?;
    let store = Store::open(&location, StoreOptions::default(), Arc::clone(&clock)).await?;
    let mut generator = Generator::new(GenerateConfig {
        ids,
        volume: Volume::Journeys(journeys),
        dirt: Dirt::NONE,
        ..GenerateConfig::default()
    })?;
    let (mut offset, mut last) = (0, None);
    while let Some(segment) = segment(&mut generator, &mut offset) {
        last = Some(Arc::clone(&segment));
        let batch = CommitBatch {
            segments: vec![segment],
            fingerprints: Vec::new(),
        };
        store.commit(batch).await?;
    }
    store.set_import_time(i64::MAX / 2);
    let engine = Engine::new(store.clone(), EngineOptions::default(), clock)?;
    let mut seconds = serde_json::Map::new();
    ask(&engine, "committed", &mut seconds).await?;
    let begun = Instant::now();
    let full = CompactOptions {
        full: true,
        ..CompactOptions::default()
    };
    let report = store.compact(full).await?;
    seconds.insert("compaction".into(), json!(begun.elapsed().as_secs_f64()));
    ask(&engine, "compacted", &mut seconds).await?;
    if let Some(last) = last {
        let rows = last.events.num_rows().min(2_000);
        let hot = HotSegment {
            at: StreamPartition::new("hot", 0),
            first: last.first,
            last: last.last,
            epoch: 0,
            events: last.events.slice(0, rows),
            rejects: last.rejects.clone(),
            sealed_at_us: 0,
        };
        store.publish(vec![hot]);
        ask(&engine, "with_hot_rows", &mut seconds).await?;
    }
    let warm = seconds["compacted linking warm"]
        .as_f64()
        .unwrap_or(f64::NAN);
    Ok(json!({
        "events": offset,
        "files_merged": report.files_before,
        "events_per_s_compacted_linking_warm": f64::from(u32::try_from(offset)?) / warm,
        "seconds": seconds,
    }))
}

/// The next events as one segment; `None` at the end.
fn segment(generator: &mut Generator, offset: &mut i64) -> Option<Arc<HotSegment>> {
    let mut events = EventBatchBuilder::new();
    let first = *offset;
    for delivery in generator.by_ref() {
        let payload = delivery.payload.unwrap_or_default();
        let Ok(event) = decode(&payload, &Defaults::default(), delivery.deliver_at_us) else {
            continue;
        };
        let at = RowPosition {
            stream: "bench",
            partition: 0,
            offset: *offset,
            index: 0,
        };
        events.push(at, delivery.deliver_at_us, &event);
        *offset += 1;
        if *offset - first == COMMIT_ROWS {
            break;
        }
    }
    (*offset > first).then(|| {
        Arc::new(HotSegment {
            at: StreamPartition::new("bench", 0),
            first,
            last: *offset - 1,
            epoch: 0,
            events: events.finish(),
            rejects: RejectBatchBuilder::new().finish(),
            sealed_at_us: 0,
        })
    })
}

/// Asks every question once cold and then warm; medians of the warm runs.
async fn ask(
    engine: &Engine,
    when: &str,
    seconds: &mut serde_json::Map<String, Value>,
) -> Result<()> {
    for funnel in QUESTIONS {
        let question: FunnelQuestion = serde_json::from_value(json!({
            "funnel": funnel,
            "range": {"from": "2026-09-25", "to": "2026-12-01"},
            "breakdown": {"by": ["category"]},
        }))?;
        let mut took = Vec::new();
        for _ in 0..=WARM_RUNS {
            let begun = Instant::now();
            engine.funnel("default", question.clone()).await?;
            took.push(begun.elapsed().as_secs_f64());
        }
        seconds.insert(format!("{when} {funnel} cold"), json!(took[0]));
        took.remove(0);
        took.sort_by(f64::total_cmp);
        seconds.insert(format!("{when} {funnel} warm"), json!(took[took.len() / 2]));
    }
    Ok(())
}
