//! Semantics rule 12: what a provider cannot show is bypassed, never a drop-off.

use linkfunnel_model::FunnelQuestion;
use serde_json::json;

use super::{World, label, line, merge, question};
use crate::{Group, JourneyQuestion, SubjectsQuestion};

/// Opened → chose → handed off → linked. Codat shows the choice and the link; Tink the link alone; Plaid everything.
fn funnel() -> serde_json::Value {
    json!({
        "steps": [
            {"name": "Opened", "event": "attempt.opened"},
            {"name": "Chose", "event": "provider.selected"},
            {"name": "Handed off", "any_of": [{"event": "handoff.started"}, {"event": "credentials.submitted"}]},
            {"name": "Linked", "event": "connection.linked"},
        ],
        "window": "PT24H",
        "subject": "journey",
    })
}

fn asked(fields: serde_json::Value, about: serde_json::Value) -> FunnelQuestion {
    let mut funnel = funnel();
    merge(&mut funnel, fields);
    let mut json = json!({ "funnel": funnel });
    merge(&mut json, about);
    question(json)
}

fn with_bypassed(group: &Group) -> String {
    let bypassed: Vec<String> = group.steps.iter().map(|s| s.bypassed.to_string()).collect();
    format!("{}, bypassed {}", line(group), bypassed.join(" "))
}

/// The total and the groups of an answer as lines.
async fn told(world: &World, fields: serde_json::Value, about: serde_json::Value) -> Vec<String> {
    let question = asked(fields, about);
    let answer = world.engine.funnel(&world.tenant, question).await.unwrap();
    let groups = answer.groups.iter();
    let groups = groups.map(|g| format!("{}: {}", label(g), with_bypassed(g)));
    std::iter::once(with_bypassed(&answer.total))
        .chain(groups)
        .collect()
}

async fn total(lines: &str) -> String {
    told(&World::of(lines).await, json!({}), json!({})).await[0].clone()
}

#[tokio::test]
async fn a_step_that_the_provider_cannot_show_is_bypassed() {
    for (lines, expected) in [
        (
            "0 j1 opened \n 1 j1 chose provider=codat \n 3 j1 linked provider=codat",
            "1 = 1 + 0 + 0, reached 1 1 0 1, bypassed 0 0 1 0",
        ),
        (
            "0 j1 opened \n 3 j1 linked provider=tink",
            "1 = 1 + 0 + 0, reached 1 0 0 1, bypassed 0 1 1 0",
        ),
        // Nobody got past it.
        (
            "0 j1 opened \n 1 j1 chose provider=codat",
            "1 = 0 + 1 + 0, reached 1 1 0 0, bypassed 0 0 0 0",
        ),
        // Plaid shows it, so it did not happen; so does whoever has no row in the matrix, or no name.
        (
            "0 j1 opened \n 1 j1 chose provider=plaid \n 3 j1 linked provider=plaid",
            "1 = 0 + 1 + 0, reached 1 1 0 0, bypassed 0 0 0 0",
        ),
        (
            "0 j1 opened \n 1 j1 chose provider=yapily \n 3 j1 linked",
            "1 = 0 + 1 + 0, reached 1 1 0 0, bypassed 0 0 0 0",
        ),
        // What takes no step tells no provider, and what comes after the window neither.
        (
            "0 j1 opened \n 1 j1 chose \n 2 j1 attempt.errored provider=codat \n 3 j1 linked \n 2d j1 chose provider=codat",
            "1 = 0 + 1 + 0, reached 1 1 0 0, bypassed 0 0 0 0",
        ),
        // The last step is the conversion.
        (
            "0 j1 opened \n 1 j1 chose provider=tink \n 2 j1 handoff.started provider=tink",
            "1 = 0 + 1 + 0, reached 1 1 1 0, bypassed 0 0 0 0",
        ),
    ] {
        assert_eq!(total(lines).await, expected, "{lines}");
    }
}

#[tokio::test]
async fn what_the_host_tells_in_the_providers_place_is_reached() {
    let told = "0 j1 opened \n 1 j1 chose provider=codat \n 2 j1 handoff.started";
    assert_eq!(
        total(told).await,
        "1 = 0 + 1 + 0, reached 1 1 1 0, bypassed 0 0 0 0"
    );
    let linked = format!("{told} \n 3 j1 linked provider=codat");
    assert_eq!(
        total(&linked).await,
        "1 = 1 + 0 + 0, reached 1 1 1 1, bypassed 0 0 0 0"
    );
}

#[tokio::test]
async fn who_tried_one_provider_and_linked_with_another_is_told_by_each() {
    let world = World::of(
        "0 j1 opened \n 1 j1 chose provider=plaid \n 2 j1 chose provider=codat \n 3 j1 linked provider=codat
         0 j2 opened \n 1 j2 chose provider=plaid \n 2 j2 handoff.started provider=plaid
         3 j2 chose provider=codat \n 4 j2 linked provider=codat",
    )
    .await;
    let by = json!({"breakdown": {"by": ["provider"]}});
    assert_eq!(
        told(&world, json!({}), by).await,
        [
            "2 = 2 + 0 + 0, reached 2 2 1 2, bypassed 0 0 1 0",
            "codat: 2 = 2 + 0 + 0, reached 2 2 0 2, bypassed 0 0 2 0",
            "plaid: 2 = 0 + 2 + 0, reached 2 2 1 0, bypassed 0 0 0 0",
        ]
    );
    for (provider, segment) in [
        ("codat", "2 = 2 + 0 + 0, reached 2 2 0 2, bypassed 0 0 2 0"),
        ("plaid", "2 = 0 + 2 + 0, reached 2 2 1 0, bypassed 0 0 0 0"),
    ] {
        let only = json!({"filters": [{"field": "provider", "op": "eq", "value": provider}]});
        assert_eq!(told(&world, json!({}), only).await, [segment]);
    }
}

#[tokio::test]
async fn steps_that_ask_something_or_are_optional_or_come_in_any_order_are_not_bypassed() {
    let lines = "0 j1 opened \n 1 j1 chose provider=codat \n 3 j1 linked provider=codat";
    let world = World::of(lines).await;
    let third = |step: serde_json::Value| {
        let mut funnel = funnel();
        funnel["steps"][2] = step;
        json!({"steps": funnel["steps"]})
    };
    let asks = json!({"name": "Handed off", "event": "handoff.started",
        "where": [{"field": "auth.method", "op": "eq", "value": "oauth_redirect"}]});
    let optional = json!({"name": "Handed off", "event": "handoff.started", "optional": true});
    let or_known =
        json!({"name": "On", "any_of": [{"event": "handoff.started"}, {"event": "step.viewed"}]});
    for (fields, expected) in [
        (
            third(asks),
            "1 = 0 + 1 + 0, reached 1 1 0 0, bypassed 0 0 0 0",
        ),
        (
            third(optional),
            "1 = 1 + 0 + 0, reached 1 1 0 1, bypassed 0 0 0 0",
        ),
        (
            third(or_known),
            "1 = 0 + 1 + 0, reached 1 1 0 0, bypassed 0 0 0 0",
        ),
        (
            json!({"order": "unordered"}),
            "1 = 0 + 1 + 0, reached 1 1 1 0, bypassed 0 0 0 0",
        ),
    ] {
        let told = told(&world, fields.clone(), json!({})).await;
        assert_eq!(told, [expected], "{fields}");
    }
}

#[tokio::test]
async fn each_entry_that_counts_has_what_was_seen_in_its_own_window() {
    // Once the host told the hand-off, once it did not; then nothing could be seen of a third, which Plaid would have shown.
    let world = World::of(
        "0 j1 opened \n 1 j1 chose provider=codat \n 2 j1 handoff.started \n 3 j1 linked provider=codat
         2d j1 opened \n 2d+1 j1 chose provider=codat \n 2d+3 j1 linked provider=codat
         4d j1 opened \n 4d+1 j1 chose provider=plaid \n 4d+3 j1 linked provider=plaid",
    )
    .await;
    let all = json!({"entries": "all"});
    assert_eq!(
        told(&world, all.clone(), json!({})).await,
        ["3 = 2 + 1 + 0, reached 3 3 1 2, bypassed 0 0 1 0"]
    );
    let by = json!({"breakdown": {"by": ["provider"]}});
    assert_eq!(
        told(&world, all, by).await[1..],
        [
            "codat: 2 = 2 + 0 + 0, reached 2 2 1 2, bypassed 0 0 1 0",
            "plaid: 1 = 0 + 1 + 0, reached 1 1 0 0, bypassed 0 0 0 0",
        ]
    );
    // Where any entry may win, what was seen of one was seen of the subject.
    assert_eq!(
        told(&world, json!({"entries": "best"}), json!({})).await,
        ["1 = 1 + 0 + 0, reached 1 1 1 1, bypassed 0 0 0 0"]
    );
}

#[tokio::test]
async fn a_bypassed_step_counts_in_the_rates_and_has_its_list() {
    let world = World::of(
        "0 j1 opened \n 1 j1 chose provider=codat \n 3 j1 linked provider=codat
         0 j2 opened \n 1 j2 chose provider=plaid \n 2 j2 handoff.started \n 3 j2 linked provider=plaid
         0 j3 opened \n 1 j3 chose provider=codat \n 0 j4 opened",
    )
    .await;
    let question = asked(json!({}), json!({}));
    let answer = world.engine.funnel(&world.tenant, question).await.unwrap();
    assert_eq!(
        with_bypassed(&answer.total),
        "4 = 2 + 2 + 0, reached 4 3 1 2, bypassed 0 0 1 0"
    );
    let rates: Vec<Option<f64>> = answer
        .total
        .steps
        .iter()
        .map(|s| s.rate_from_entry.value)
        .collect();
    assert_eq!(rates, [Some(1.0), Some(0.75), Some(0.5), Some(0.5)]);
    assert_eq!(answer.total.steps[3].rate_from_previous.value, Some(1.0));
    let list: SubjectsQuestion = serde_json::from_value(json!({
        "funnel": funnel(),
        "range": {"from": "2026-09-01", "to": "2026-10-01"},
        "show": "bypassed",
        "step": 3,
    }))
    .unwrap();
    let list = world.engine.subjects(&world.tenant, list).await.unwrap();
    let ids: Vec<&str> = list.subjects.iter().map(|item| item.id.as_str()).collect();
    assert_eq!((list.count, ids), (1, vec!["j1"]));
}

#[tokio::test]
async fn the_explanation_of_a_journey_names_the_steps_that_could_not_be_seen() {
    let world = World::of(
        "0 j1 opened company_id=c1 \n 1 j1 chose provider=codat company_id=c1 \n 3 j1 linked provider=codat company_id=c1
         0 j2 opened company_id=c2 \n 1 j2 chose provider=codat company_id=c2
         0 j3 opened company_id=c3 \n 1 j3 chose provider=plaid company_id=c3",
    )
    .await;
    let mut told = Vec::new();
    for id in ["j1", "j2", "j3"] {
        let answer = world
            .engine
            .journey(&world.tenant, JourneyQuestion::of(id))
            .await
            .unwrap();
        let entry = &answer.subjects[0].explanation.entries[0];
        let unseen: Vec<(usize, &str, bool)> = entry
            .unseen
            .iter()
            .map(|step| (step.step, step.name.as_str(), step.bypassed))
            .collect();
        told.push(format!(
            "{} at {}: {unseen:?}, {:?}",
            entry.state, entry.step_name, entry.waits_for
        ));
    }
    assert_eq!(
        told,
        [
            r#"converted at Linked: [(4, "Handed off", true)], []"#,
            r#"dropped at Chose provider: [(4, "Handed off", false)], ["Linked"]"#,
            r#"dropped at Chose provider: [], ["Handed off"]"#,
        ]
    );
}
