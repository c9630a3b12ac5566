//! A journey of the history worth looking at: the id in the commands to try.

use linkfunnel_model::{DEFAULT_TENANT, instant_text};
use linkfunnel_query::Engine;
use serde_json::json;

/// A week, in µs.
const WEEK_US: i64 = 7 * 86_400_000_000;
/// The step "Handed off" of the funnel `linking`, from 1.
const HANDED_OFF: usize = 4;

/// A journey of the last week that was handed off and not linked, else any of them; none if there is none.
pub(super) async fn example(engine: &Engine, now_us: i64) -> Option<String> {
    let range = json!({"from": instant_text(now_us - WEEK_US), "to": instant_text(now_us)});
    let dropped = json!({"show": "dropped", "step": HANDED_OFF});
    for mut question in [dropped, json!({})] {
        question["funnel"] = "linking".into();
        question["range"] = range.clone();
        question["limit"] = 1.into();
        let question = serde_json::from_value(question).ok()?;
        let list = engine.subjects(DEFAULT_TENANT, question).await.ok()?;
        if let Some(subject) = list.subjects.into_iter().next() {
            return Some(subject.id);
        }
    }
    None
}
