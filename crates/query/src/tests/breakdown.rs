//! Semantics scenarios "Breakdown", filters, and the law that filtering by v is segment v.

use std::sync::Arc;

use serde_json::json;

use super::laws::{compiled, deal};
use super::{World, label, line, short_with};

fn by(dimensions: &[&str]) -> serde_json::Value {
    json!({"breakdown": {"by": dimensions}})
}

#[tokio::test]
async fn a_value_known_at_entry_is_that_of_the_clocks_first_event() {
    let world = World::of(
        "0 j1 opened surface=hosted_page \n 5 j1 opened surface=embedded_sdk \n 6 j1 chose surface=embedded_sdk
         0 j2 opened \n 1 j2 chose surface=hosted_page",
    )
    .await;
    assert_eq!(
        world.groups(by(&["surface"])).await,
        [
            "hosted_page: 1 = 0 + 1 + 0, reached 1 1 0",
            "(none): 1 = 0 + 1 + 0, reached 1 1 0"
        ]
    );
}

#[tokio::test]
async fn a_category_is_the_first_defined_value_inside_the_window() {
    let world = World::of(
        "0 j1 opened \n 1 j1 step.viewed category=banking \n 2 j1 chose category=accounting
         0 j2 opened \n 2d j2 step.viewed category=banking",
    )
    .await;
    assert_eq!(
        world.groups(by(&["category"])).await,
        [
            "banking: 1 = 0 + 1 + 0, reached 1 1 0",
            "(none): 1 = 0 + 1 + 0, reached 1 0 0"
        ]
    );
}

#[tokio::test]
async fn a_category_told_at_the_very_instant_of_the_entry_is_the_first() {
    // rows of one instant lie in the order of their hashed ids
    let lines: String = (0..8)
        .map(|i| {
            format!(
                "5 j{i} opened seq=2 id=a{i} \n 5 j{i} step.viewed seq=1 id=b{i} category=banking
                 6 j{i} chose category=accounting
                 5 k{i} opened seq=2 id=c{i} category=accounting
                 5 k{i} step.viewed seq=1 id=d{i} category=banking \n"
            )
        })
        .collect();
    let world = World::of(&lines).await;
    assert_eq!(
        world.groups(by(&["category"])).await,
        ["banking: 16 = 0 + 16 + 0, reached 16 8 0"]
    );
    let (run, plan) = compiled(&world, &by(&["category"])).await;
    let whole = deal(&world, &run, Arc::clone(&plan), 1, usize::MAX).await;
    let row_by_row = deal(&world, &run, plan, 1, 1).await;
    assert_eq!(row_by_row.groups, whole.groups);
}

#[tokio::test]
async fn each_journey_and_each_entry_tells_its_own_first_category() {
    let company = |lines: &str| lines.replace(" \n", " company_id=c \n");
    let world = World::of(&company(
        "0 j1 opened category=banking \n 1 j2 opened \n 2 j2 step.viewed category=accounting \n
         3 j1 step.viewed category=commerce \n 1d+2 j2 step.viewed category=banking \n
         3d j3 opened \n 4d j3 step.viewed category=banking \n 5d j4 opened \n 6d+1 j4 step.viewed category=banking \n
         7d j5 chose category=banking \n 7d+1 j5 opened \n 7d+2 j5 step.viewed category=accounting \n",
    ))
    .await;
    assert_eq!(
        world.groups(by(&["category"])).await,
        [
            "accounting: 2 = 0 + 2 + 0, reached 2 0 0",
            "banking: 2 = 0 + 2 + 0, reached 2 0 0",
            "(none): 1 = 0 + 1 + 0, reached 1 0 0"
        ]
    );
    let world = World::of(
        "0 j1 opened category=banking \n 1 j1 chose \n 2 j1 linked
         3 j1 opened \n 4 j1 step.viewed category=accounting",
    )
    .await;
    let mut question = by(&["category"]);
    question["funnel"] = short_with(json!({"entries": "all"}));
    assert_eq!(
        world.groups(question).await,
        [
            "accounting: 1 = 0 + 1 + 0, reached 1 0 0",
            "banking: 1 = 1 + 0 + 0, reached 1 1 1"
        ]
    );
}

#[tokio::test]
async fn an_integration_never_chosen_stands_before_choice() {
    let world = World::of(
        "0 j1 opened \n 1 j1 attempt.exited \n 0 j2 opened \n 1 j2 chose integration=xero",
    )
    .await;
    assert_eq!(
        world.groups(by(&["integration"])).await,
        [
            "xero: 1 = 0 + 1 + 0, reached 1 1 0",
            "(before choice): 1 = 0 + 1 + 0, reached 1 0 0"
        ]
    );
}

#[tokio::test]
async fn xero_fails_and_sage_links_so_xero_is_none_of_one_and_sage_one_of_one() {
    let world = World::of(
        "0 j1 opened \n 1 j1 chose integration=xero \n 2 j1 attempt.failed integration=xero
         3 j1 chose integration=sage \n 4 j1 linked integration=sage",
    )
    .await;
    let answer = world.ask(by(&["integration"])).await;
    let groups: Vec<String> = answer
        .groups
        .iter()
        .map(|g| format!("{}: {}", label(g), line(g)))
        .collect();
    assert_eq!(
        groups,
        [
            "sage: 1 = 1 + 0 + 0, reached 1 1 1",
            "xero: 1 = 0 + 1 + 0, reached 1 1 0"
        ]
    );
    assert_eq!(line(&answer.total), "1 = 1 + 0 + 0, reached 1 1 1");
    assert!(
        answer
            .meta
            .warnings
            .iter()
            .any(|w| w.code == "segments_overlap")
    );
}

#[tokio::test]
async fn an_hourly_sync_of_another_integration_is_no_choice() {
    let world = World::of("0 j1 opened \n 1 j1 chose integration=xero \n 2 j1 sync.failed integration=sage \n 3 j1 linked integration=xero").await;
    assert_eq!(
        world.groups(by(&["integration"])).await,
        ["xero: 1 = 1 + 0 + 0, reached 1 1 1"]
    );
}

#[tokio::test]
async fn an_unavailable_integration_counts_as_chosen() {
    let world = World::of("0 j1 opened \n 1 j1 provider.unavailable integration=xero").await;
    assert_eq!(
        world.groups(by(&["integration"])).await,
        ["xero: 1 = 0 + 1 + 0, reached 1 0 0"]
    );
}

const MIXED: &str = "
    0 j1 opened surface=hosted_page category=banking \n 1 j1 chose integration=xero auth.method=oauth_redirect
    2 j1 chose integration=sage \n 3 j1 linked integration=sage auth.method=api_token
    0 j2 opened surface=embedded_sdk category=banking \n 1 j2 chose integration=xero \n 2 j2 linked integration=xero
    0 j3 opened surface=hosted_page \n 5 j3 uploaded category=accounting
    0 j4 opened category=accounting country=FR attrs.plan=gold attrs.seats=12 \n 1 j4 chose integration=sage
    2 j4 linked \n 0 j5 opened attrs.plan=gold country=DE device.webview=true step.index=4
    0 j6 opened surface=hosted_page integration=xero \n 1 j6 opened integration=sage \n 2 j6 chose integration=sage
    3 j6 linked integration=sage";

#[tokio::test]
async fn filtering_by_a_value_gives_the_numbers_of_its_segment() {
    let world = World::of(MIXED).await;
    for dimension in [
        "surface",
        "category",
        "integration",
        "auth.method",
        "country",
        "attrs.plan",
        "attrs.seats",
        "device.webview",
        "step.index",
        "provider",
    ] {
        let groups = world.ask(by(&[dimension])).await.groups;
        assert!(!groups.is_empty());
        for group in groups {
            let shown = label(&group);
            let condition = if shown.starts_with('(') {
                json!({"field": dimension, "op": "missing"})
            } else {
                let value = match shown.parse::<i64>() {
                    Ok(number) => json!(number),
                    Err(_) if dimension == "device.webview" => json!(shown == "true"),
                    Err(_) => json!(shown),
                };
                json!({"field": dimension, "op": "eq", "value": value})
            };
            let total = world.total(json!({"filters": [condition]})).await;
            assert_eq!(total, line(&group), "{dimension} = {shown}");
        }
    }
}

#[tokio::test]
async fn breaking_down_never_changes_the_total_and_exclusive_segments_add_up_to_it() {
    let world = World::of(MIXED).await;
    let plain = world.total(json!({})).await;
    for (dimension, adds_up) in [
        ("surface", true),
        ("category", true),
        ("attrs.plan", true),
        ("integration", false),
    ] {
        for limit in [1, 20] {
            let answer = world
                .ask(json!({"breakdown": {"by": [dimension], "limit": limit}}))
                .await;
            assert_eq!(line(&answer.total), plain, "{dimension}");
            let sum: u64 = answer.groups.iter().map(|g| g.entered).sum();
            assert_eq!(sum == answer.total.entered, adds_up, "{dimension} {limit}");
            assert!(sum >= answer.total.entered);
        }
    }
}

#[tokio::test]
async fn two_dimensions_make_one_segment_a_pair() {
    let world = World::of(MIXED).await;
    let groups = world.ask(by(&["surface", "category"])).await.groups;
    assert_eq!(groups.iter().map(|g| g.entered).sum::<u64>(), 6);
    let pair = groups
        .iter()
        .find(|g| g.key["surface"] == "embedded_sdk")
        .unwrap();
    assert_eq!(
        (pair.key["category"].as_str(), pair.converted),
        ("banking", 1)
    );
    let chosen = world.groups(by(&["integration", "auth.method"])).await;
    assert!(
        chosen.contains(&"oauth_redirect / xero: 1 = 0 + 1 + 0, reached 1 1 0".to_owned()),
        "{chosen:?}"
    );
    assert!(
        chosen.contains(&"api_token / sage: 1 = 1 + 0 + 0, reached 1 1 1".to_owned()),
        "{chosen:?}"
    );
}

#[tokio::test]
async fn a_list_of_choices_counts_a_subject_once_and_by_the_best_of_them() {
    let world = World::of(MIXED).await;
    let among = |values: serde_json::Value| json!({"filters": [{"field": "integration", "op": "in", "value": values}]});
    assert_eq!(
        world.total(among(json!(["xero", "sage"]))).await,
        "4 = 4 + 0 + 0, reached 4 4 4"
    );
    assert_eq!(
        world.total(among(json!(["xero"]))).await,
        "3 = 1 + 2 + 0, reached 3 2 1"
    );
    let not_sage = json!({"filters": [{"field": "integration", "op": "ne", "value": "sage"}], "breakdown": {"by": ["integration"]}});
    let groups = world.groups(not_sage).await;
    assert_eq!(groups.len(), 2, "{groups:?}");
    assert!(groups.iter().all(|g| !g.starts_with("sage")));
}

#[tokio::test]
async fn filters_on_several_fields_all_hold() {
    let world = World::of(MIXED).await;
    let filters = json!({"filters": [
        {"field": "surface", "op": "in", "value": ["hosted_page", "embedded_sdk"]},
        {"field": "category", "op": "eq", "value": "banking"},
        {"field": "integration", "op": "eq", "value": "xero"},
    ]});
    assert_eq!(world.total(filters).await, "2 = 1 + 1 + 0, reached 2 2 1");
    let seats =
        |op, value| json!({"filters": [{"field": "attrs.seats", "op": op, "value": value}]});
    assert_eq!(
        world.total(seats("gte", 12)).await,
        "1 = 1 + 0 + 0, reached 1 1 1"
    );
    assert_eq!(
        world.total(seats("gt", 12)).await,
        "0 = 0 + 0 + 0, reached 0 0 0"
    );
}

#[tokio::test]
async fn segments_beyond_the_limit_are_together_and_absent_ones_stand_apart() {
    let mut lines = String::new();
    for (i, country) in ["FR", "FR", "FR", "DE", "DE", "IT", "ES"]
        .into_iter()
        .enumerate()
    {
        lines += &format!("{i} j{i} opened country={country}\n");
    }
    lines += "0 n1 opened \n 0 n2 opened \n 0 n3 opened \n 0 n4 opened";
    let world = World::of(&lines).await;
    let groups = world
        .ask(json!({"breakdown": {"by": ["country"], "limit": 2}}))
        .await
        .groups;
    let said: Vec<(String, u64)> = groups.iter().map(|g| (label(g), g.entered)).collect();
    let expect = [("FR", 3), ("DE", 2), ("(none)", 4), ("(other)", 2)];
    assert_eq!(said, expect.map(|(l, n)| (l.to_owned(), n)));
}

#[tokio::test]
async fn noise_values_do_not_push_out_the_real_one() {
    let mut lines = String::from(
        "0 j0 opened \n 1 j0 chose integration=real \n 99 j0 linked integration=real\n",
    );
    for i in 0..20 {
        lines += &format!("{} j0 provider.searched integration=noise{i}\n", i + 2);
    }
    let world = World::of(&lines).await;
    let groups = world
        .groups(json!({"breakdown": {"by": ["integration"], "limit": 50}}))
        .await;
    assert!(
        groups.contains(&"real: 1 = 1 + 0 + 0, reached 1 1 1".to_owned()),
        "{groups:?}"
    );
    assert_eq!(groups.len(), 21);
}

#[tokio::test]
async fn conditions_on_a_step_filter_events_not_subjects() {
    let steps = json!([
        {"name": "Opened", "event": "attempt.opened"},
        {"name": "Linked", "event": "connection.linked",
         "where": [{"field": "integration", "op": "ne", "value": "sandbox"}]},
    ]);
    let funnel = json!({"funnel": short_with(json!({"steps": steps}))});
    let world = World::of(
        "0 j1 opened \n 1 j1 linked integration=sandbox \n 2 j1 linked integration=xero
         0 j2 opened \n 1 j2 linked integration=sandbox \n 0 j3 opened \n 1 j3 linked",
    )
    .await;
    assert_eq!(world.total(funnel).await, "3 = 2 + 1 + 0, reached 3 2");
}

#[tokio::test]
async fn success_rates_are_linked_by_started_and_say_from_what() {
    let world = World::of(
        "0 j1 opened category=banking company_id=c1 \n 1 j1 chose company_id=c1 \n 2 j1 handoff.started company_id=c1 \n 3 j1 linked company_id=c1
         0 j2 opened category=banking company_id=c1 \n 1d j3 opened category=accounting company_id=c2",
    )
    .await;
    let ask = |fields: serde_json::Value| {
        let mut json = json!({"range": {"from": "2026-09-01", "to": "2026-09-03"}});
        super::merge(&mut json, fields);
        serde_json::from_value::<crate::SuccessRatesQuestion>(json).unwrap()
    };
    let journeys = world
        .engine
        .success_rates(
            "default",
            ask(json!({"by": ["category"], "interval": "day"})),
        )
        .await
        .unwrap();
    assert_eq!(
        (
            journeys.level.as_str(),
            journeys.total.started,
            journeys.total.linked
        ),
        ("journey", 3, 1)
    );
    assert_eq!(journeys.groups[0].rate.value, Some(0.5));
    assert_eq!(journeys.groups[0].trend.len(), 2);
    assert_eq!(journeys.total.trend[1].entered, 1);
    assert_eq!(journeys.total.starts_from, "journeys that opened the flow");
    let companies = world
        .engine
        .success_rates("default", ask(json!({"level": "company"})))
        .await
        .unwrap();
    assert_eq!((companies.total.started, companies.total.linked), (2, 1));
    let err = world
        .engine
        .success_rates("default", ask(json!({"by": ["categry"]})))
        .await
        .unwrap_err();
    assert_eq!(
        (err.status(), err.code(), err.pointer()),
        (422, "unknown_field", "/by/0")
    );
    let err = world
        .engine
        .success_rates("default", ask(json!({"funnel": "first_link"})))
        .await
        .unwrap_err();
    assert_eq!((err.status(), err.pointer()), (422, "/funnel"));
    let recent: crate::SuccessRatesQuestion = serde_json::from_value(json!({})).unwrap();
    assert_eq!(
        world
            .engine
            .success_rates("default", recent)
            .await
            .unwrap()
            .total
            .started,
        3
    );
}
