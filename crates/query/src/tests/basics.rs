//! Semantics scenarios "Basics", "Repeats" and ties, as they reach the query.

use serde_json::json;

use super::{World, label, line, question, short_with};

async fn check(lines: &str, expect: &str) {
    assert_eq!(
        World::of(lines).await.total(json!({})).await,
        expect,
        "{lines}"
    );
}

#[tokio::test]
async fn no_data_and_nobody_entering_give_zero_and_null_rates() {
    for lines in ["", "0 j1 sync.started"] {
        let answer = World::of(lines).await.ask(json!({})).await;
        assert_eq!(line(&answer.total), "0 = 0 + 0 + 0, reached 0 0 0");
        assert_eq!(answer.total.rate.value, None);
        assert_eq!(answer.total.rate.code.as_deref(), Some("not_matured"));
        assert_eq!(
            answer.total.rate_so_far.code.as_deref(),
            Some("nobody_entered")
        );
        assert!(answer.groups.is_empty());
    }
}

#[tokio::test]
async fn a_journey_converts_when_its_steps_come_in_order() {
    check(
        "0 j1 opened \n 10 j1 chose \n 20 j1 linked",
        "1 = 1 + 0 + 0, reached 1 1 1",
    )
    .await;
    check(
        "0 j1 linked \n 10 j1 chose \n 20 j1 opened",
        "1 = 0 + 1 + 0, reached 1 0 0",
    )
    .await;
    check(
        "0 j1 opened \n 10 j1 linked \n 20 j1 chose",
        "1 = 0 + 1 + 0, reached 1 1 0",
    )
    .await;
}

#[tokio::test]
async fn unrelated_events_between_steps_are_ignored() {
    let lines = "0 j1 opened \n 1 j1 help.opened \n 2 j1 chose \n 3 j1 sync.started \n 4 j1 linked";
    check(lines, "1 = 1 + 0 + 0, reached 1 1 1").await;
}

#[tokio::test]
async fn subjects_with_later_steps_only_are_counted_as_without_entry() {
    let world = World::of("0 j1 chose \n 5 j1 linked \n 0 j2 opened \n 0 j3 sync.started").await;
    let answer = world.ask(json!({})).await;
    assert_eq!(line(&answer.total), "1 = 0 + 1 + 0, reached 1 0 0");
    assert_eq!(answer.meta.without_entry, 1);
}

#[tokio::test]
async fn events_without_the_subjects_id_are_counted_and_never_merged() {
    let world = World::of("0 - opened company_id=c1 \n 9 - linked company_id=c2 \n 0 j1 opened attempt_id=a1 \n 3 - sync.started company_id=c1").await;
    let answer = world
        .ask(json!({"funnel": short_with(json!({"subject": "attempt"}))}))
        .await;
    assert_eq!(line(&answer.total), "1 = 0 + 1 + 0, reached 1 0 0");
    assert_eq!(answer.meta.without_subject, 2);
}

#[tokio::test]
async fn shuffled_arrival_equals_sorted_arrival() {
    let sorted = [
        "0 j1 opened",
        "10 j1 chose",
        "20 j1 linked",
        "0 j2 opened",
        "5 j2 chose",
    ];
    for order in [[4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [1, 4, 0, 3, 2]] {
        let lines: Vec<&str> = order.iter().map(|i| sorted[*i]).collect();
        check(&lines.join("\n"), "2 = 1 + 1 + 0, reached 2 2 1").await;
    }
}

#[tokio::test]
async fn completing_and_coming_back_is_one_conversion() {
    let lines = "0 j1 opened \n 1 j1 chose \n 2 j1 linked \n 3 j1 opened \n 4 j1 chose \n 5 j1 linked \n 6 j1 attempt.exited";
    check(lines, "1 = 1 + 0 + 0, reached 1 1 1").await;
}

#[tokio::test]
async fn three_times_the_same_step_needs_three_events() {
    let steps = json!([
        {"name": "A1", "event": "attempt.opened"},
        {"name": "A2", "event": "attempt.opened"},
        {"name": "A3", "event": "attempt.opened"},
    ]);
    let funnel = json!({"funnel": short_with(json!({"steps": steps}))});
    let world = World::of(
        "0 j1 opened \n 0 j2 opened \n 1 j2 opened \n 0 j3 opened \n 1 j3 opened \n 2 j3 opened",
    )
    .await;
    assert_eq!(world.total(funnel).await, "3 = 1 + 2 + 0, reached 3 2 1");
}

#[tokio::test]
async fn overlapping_conditions_let_one_event_take_one_step() {
    let condition = |op| json!([{"field": "step.index", "op": op, "value": 3}]);
    let steps = json!([
        {"name": "Low", "event": "step.viewed", "where": condition("lte")},
        {"name": "High", "event": "step.viewed", "where": condition("gte")},
    ]);
    let funnel = json!({"funnel": short_with(json!({"steps": steps}))});
    let world = World::of("0 j1 step.viewed step.index=3 \n 0 j2 step.viewed step.index=3 \n 9 j2 step.viewed step.index=3 \n 0 j3 step.viewed step.index=4").await;
    assert_eq!(world.total(funnel).await, "2 = 1 + 1 + 0, reached 2 1");
}

#[tokio::test]
async fn events_of_one_instant_may_be_used_in_any_order_unless_increase_is_asked_for() {
    let lines = "0 j1 linked \n 0 j1 chose \n 0 j1 opened \n 0 j2 opened \n 0+1us j2 chose \n 0+2us j2 linked";
    let world = World::of(lines).await;
    assert_eq!(world.total(json!({})).await, "2 = 2 + 0 + 0, reached 2 2 2");
    let strict = json!({"funnel": short_with(json!({"ties": "strict_increase"}))});
    assert_eq!(world.total(strict).await, "2 = 1 + 1 + 0, reached 2 1 1");
}

#[tokio::test]
async fn an_optional_step_neither_gates_nor_drops() {
    let steps = json!([
        {"name": "Opened", "event": "attempt.opened"},
        {"name": "Strong", "event": "sca.passed", "optional": true},
        {"name": "Linked", "event": "connection.linked"},
    ]);
    let funnel = json!({"funnel": short_with(json!({"steps": steps}))});
    let world = World::of("0 j1 opened \n 5 j1 linked \n 0 j2 opened \n 3 j2 sca.passed \n 5 j2 linked \n 0 j3 opened \n 3 j3 sca.passed").await;
    let answer = world.ask(funnel).await;
    assert_eq!(line(&answer.total), "3 = 2 + 1 + 0, reached 3 2 2");
    let strong = &answer.total.steps[1];
    assert_eq!((strong.optional, strong.dropped, strong.open), (true, 0, 0));
    assert_eq!(answer.total.steps[0].dropped, 1);
}

#[tokio::test]
async fn drops_at_the_required_steps_and_the_conversions_add_up_to_the_entered() {
    let world = World::of(
        "0 j1 opened \n 0 j2 opened \n 1 j2 chose \n 0 j3 opened \n 1 j3 chose \n 2 j3 linked",
    )
    .await;
    let total = world.ask(json!({})).await.total;
    let dropped: Vec<u64> = total.steps.iter().map(|s| s.dropped).collect();
    assert_eq!(dropped, [1, 1, 0]);
    for pair in total.steps.windows(2) {
        assert_eq!(
            pair[0].reached,
            pair[0].dropped + pair[0].open + pair[1].reached
        );
    }
}

#[tokio::test]
async fn the_first_listed_outcome_of_those_not_linked_counts_apart() {
    let world = World::of(
        "0 j1 opened \n 5 j1 journey.paused \n 9 j1 uploaded
         0 j2 opened \n 5 j2 journey.paused
         0 j3 opened \n 1 j3 chose \n 2 j3 uploaded \n 3 j3 linked
         0 j4 opened \n 2d j4 uploaded",
    )
    .await;
    let total = world.ask(json!({})).await.total;
    let outcomes: Vec<(&str, u64)> = total
        .outcomes
        .iter()
        .map(|o| (o.name.as_str(), o.count))
        .collect();
    assert_eq!(outcomes, [("Uploaded", 1), ("Paused", 1)]);
}

#[tokio::test]
async fn sandbox_and_machines_are_left_out_and_counted_unless_asked_for() {
    let world = World::of(
        "0 j1 opened environment=sandbox \n 0 j2 opened traffic=bot \n 0 j3 opened traffic=human environment=live
         0 j4 opened \n 0 j5 sync.started environment=sandbox",
    )
    .await;
    let answer = world.ask(json!({})).await;
    assert_eq!(line(&answer.total), "2 = 0 + 2 + 0, reached 2 0 0");
    assert_eq!(answer.meta.filtered_by_default, 2);
    let sandbox = json!({"filters": [{"field": "environment", "op": "eq", "value": "sandbox"}]});
    assert_eq!(world.total(sandbox).await, "1 = 0 + 1 + 0, reached 1 0 0");
    let by_traffic = world
        .groups(json!({"breakdown": {"by": ["traffic"]}}))
        .await;
    assert_eq!(by_traffic.len(), 3, "{by_traffic:?}");
}

#[tokio::test]
async fn company_attempt_and_journey_are_different_subjects() {
    let world = World::of(
        "0 j1 opened company_id=c1 attempt_id=a1 \n 5 j1 opened company_id=c1 attempt_id=a2
         6 j1 chose company_id=c1 attempt_id=a2 \n 7 j1 linked company_id=c1 attempt_id=a2
         0 j2 opened company_id=c1 attempt_id=a3",
    )
    .await;
    for (subject, expect) in [
        ("company", "1 = 1 + 0 + 0, reached 1 1 1"),
        ("journey", "2 = 1 + 1 + 0, reached 2 1 1"),
        ("attempt", "3 = 1 + 2 + 0, reached 3 1 1"),
    ] {
        let funnel = json!({"funnel": short_with(json!({"subject": subject}))});
        assert_eq!(world.total(funnel).await, expect, "{subject}");
    }
}

#[tokio::test]
async fn one_journey_id_under_two_companies_is_two_journeys() {
    check(
        "0 j1 opened company_id=c1 \n 1 j1 chose company_id=c2 \n 2 j1 opened company_id=c2",
        "2 = 0 + 2 + 0, reached 2 0 0",
    )
    .await;
}

#[tokio::test]
async fn built_in_funnels_answer_by_their_id() {
    let world = World::of(
        "0 j1 journey.started company_id=c1 \n 1 j1 chose company_id=c1 \n 2 j1 handoff.started company_id=c1
         3 j1 linked company_id=c1 \n 0 - visit.landed company_id=c2",
    )
    .await;
    for (id, expect) in [
        ("linking", "1 = 1 + 0 + 0, reached 1 1 0 1 0 1"),
        ("linking_7d", "1 = 1 + 0 + 0, reached 1 1 0 1 0 1"),
        ("linking_from_choice", "1 = 1 + 0 + 0, reached 1 0 1 0 1"),
    ] {
        assert_eq!(world.total(json!({"funnel": id})).await, expect, "{id}");
    }
    let first = world.ask(json!({"funnel": "first_link"})).await;
    assert_eq!(
        (first.total.entered, first.query["funnel_id"].as_str()),
        (1, Some("first_link"))
    );
    assert_eq!(label(&first.total), "");
}

#[tokio::test]
async fn the_plan_shows_one_funnel_operator() {
    let world = World::of("0 j1 opened").await;
    let plan = world
        .engine
        .explain("default", question(json!({})))
        .await
        .unwrap();
    assert_eq!(plan.matches("FunnelExec").count(), 1, "{plan}");
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let mut world =
        World::of("0 j1 opened tenant_id=a \n 0 j1 opened tenant_id=b \n 1 j1 chose tenant_id=b")
            .await;
    for (tenant, expect) in [
        ("a", "1 = 0 + 1 + 0, reached 1 0 0"),
        ("b", "1 = 0 + 1 + 0, reached 1 1 0"),
        ("default", "0 = 0 + 0 + 0, reached 0 0 0"),
    ] {
        world.tenant = tenant.to_owned();
        assert_eq!(world.total(json!({})).await, expect, "{tenant}");
    }
}
