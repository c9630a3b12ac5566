//! The experiments that the demo's events tell of, defined so that their results can be asked for.

use linkfunnel_model::{DEFAULT_TENANT, ExperimentContent, instant_text};
use linkfunnel_query::Engine;
use serde_json::{Value as Json, json};

use crate::failure::{Doing, Result};
use crate::query::refused;

/// The one in the commands to try.
pub(super) const EXAMPLE: &str = "short_consent";

/// Defines the experiments that run since `start_us`, unless they are.
pub(super) async fn define(engine: &Engine, start_us: i64) -> Result<()> {
    let start = instant_text(start_us);
    for (id, content) in [
        (EXAMPLE, short_consent(&start)),
        ("mandatory_step", mandatory_step(&start)),
    ] {
        let content: ExperimentContent =
            serde_json::from_value(content).doing(|| format!("defining the experiment {id}"))?;
        let known = engine.experiment(DEFAULT_TENANT, id, None).await;
        if known.is_err() {
            let saved = engine.save_experiment(DEFAULT_TENANT, id, "demo", &content, &|_| true);
            saved.await.map_err(refused)?;
        }
    }
    Ok(())
}

/// Half of the companies see a shorter consent screen: do more of their journeys link?
fn short_consent(start: &str) -> Json {
    json!({
        "name": "Shorter consent screen",
        "description": "Half of the companies see a consent screen of one page. Do more of their journeys link?",
        "definition": {
            "unit": "company",
            "variants": [{"name": "control", "weight": 0.5}, {"name": "treatment", "weight": 0.5}],
            "start": start,
            "funnel": "linking",
            "primary": [{"name": "Linked"}],
            "guardrails": [{"name": "Chose a provider", "step": 2, "margin": 0.02}],
            "method": {"continuous": {}},
            "segments": ["surface"]
        }
    })
}

/// Linking is a mandatory step of half of the applications: does that cost finished ones?
fn mandatory_step(start: &str) -> Json {
    let submitted = json!({
        "steps": [
            {"name": "Started", "event": "application.started"},
            {"name": "Linked", "event": "connection.linked", "optional": true},
            {"name": "Submitted", "event": "application.submitted"}
        ],
        "window": "P3D",
        "subject": "application"
    });
    json!({
        "name": "Linking as a mandatory step",
        "description": "Half of the companies have to link before they can submit an application. How many more link, and does it cost applications?",
        "definition": {
            "unit": "company",
            "variants": [{"name": "optional", "weight": 0.5}, {"name": "required", "weight": 0.5}],
            "start": start,
            "funnel": submitted,
            "primary": [{"name": "Linked", "step": 2}],
            "guardrails": [{"name": "Submitted", "step": 3, "margin": 0.02}],
            "method": {"continuous": {}}
        }
    })
}
