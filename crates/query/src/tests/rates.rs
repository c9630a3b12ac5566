//! Success rates by every dimension, without what others caused, embedded against sent, and never.

use linkfunnel_model::Experiment;
use linkfunnel_stats::newcombe;
use serde_json::{Value, json};

use super::{World, event, merge};
use crate::{
    NeverSucceededAnswer, NeverSucceededQuestion, SuccessRate, SuccessRatesAnswer,
    SuccessRatesQuestion, SurfacesAnswer, SurfacesQuestion,
};

fn september(fields: Value) -> Value {
    let mut question = json!({"range": {"from": "2026-09-01", "to": "2026-10-01"}});
    merge(&mut question, fields);
    question
}

impl World {
    async fn rates(&self, fields: Value) -> SuccessRatesAnswer {
        let question: SuccessRatesQuestion = serde_json::from_value(september(fields)).unwrap();
        self.engine
            .success_rates(&self.tenant, question)
            .await
            .unwrap()
    }

    async fn surfaces(&self, fields: Value) -> SurfacesAnswer {
        let question: SurfacesQuestion = serde_json::from_value(september(fields)).unwrap();
        self.engine.surfaces(&self.tenant, question).await.unwrap()
    }

    async fn never(&self, fields: Value) -> crate::Result<NeverSucceededAnswer> {
        let question: NeverSucceededQuestion = serde_json::from_value(september(fields)).unwrap();
        self.engine.never_succeeded(&self.tenant, question).await
    }
}

/// `label: linked/started`, a line each group.
fn lines(groups: &[SuccessRate]) -> Vec<String> {
    let line = |rate: &SuccessRate| {
        let label: Vec<&str> = rate.key.values().map(String::as_str).collect();
        format!("{}: {}/{}", label.join(" / "), rate.linked, rate.started)
    };
    groups.iter().map(line).collect()
}

/// Where a journey tells each dimension, and a value of it.
const DIMENSIONS: &[(&str, &str, &str)] = &[
    ("category", "opened", "banking"),
    ("integration", "chose", "xero"),
    ("provider", "chose", "plaid"),
    ("surface", "opened", "hosted_page"),
    ("medium", "opened", "email"),
    ("entry_point", "opened", "main_menu"),
    ("campaign_id", "opened", "spring"),
    ("target_group", "opened", "gold"),
    ("use_case", "opened", "other"),
    ("cta.placement", "opened", "banner"),
    ("auth.method", "handoff.started", "oauth_redirect"),
    ("device.class", "opened", "mobile"),
    ("locale", "opened", "fr-FR"),
    ("messaging.value_prop", "opened", "true"),
    ("messaging.purpose", "opened", "true"),
    ("messaging.security", "opened", "true"),
    ("messaging.revocation", "opened", "false"),
    ("messaging.time_estimate", "opened", "true"),
    ("messaging.faq", "opened", "true"),
    ("messaging.social_proof", "opened", "true"),
    ("messaging.mandatory_label", "opened", "true"),
    ("messaging.variant", "opened", "b"),
    ("incentive.type", "opened", "rebate"),
    ("incentive.offer_id", "opened", "offer-7"),
    ("attrs.plan", "opened", "gold"),
    ("experiments.copy", "opened", "b"),
];

/// Three journeys of three companies: 1 links, 2 and 3 stop after the hand-off; 1 and 2 tell the value.
fn journeys_that_tell(
    dimension: &str,
    at: &str,
    value: &str,
) -> Vec<linkfunnel_model::Event<'static>> {
    let mut events = Vec::new();
    for journey in 1..=3 {
        let mut names = vec!["opened", "chose", "handoff.started"];
        if !names.contains(&at) {
            names.insert(1, at);
        }
        if journey == 1 {
            names.push("linked");
        }
        for (second, name) in names.into_iter().enumerate() {
            let tells = journey < 3 && name == at;
            let told = match dimension.strip_prefix("experiments.") {
                None if tells => format!(" {dimension}={value}"),
                _ => String::new(),
            };
            let line = format!(
                "{second} j{journey} {name} company_id=c{journey} attempt_id=a{journey}{told}"
            );
            let mut event = event(&line, events.len());
            if let (Some(id), true) = (dimension.strip_prefix("experiments."), tells) {
                event = event.with_experiment(Experiment {
                    id: id.to_owned().into(),
                    variant: value.to_owned().into(),
                    unit: "company",
                    exposed: true,
                });
            }
            events.push(event);
        }
    }
    events
}

#[tokio::test]
async fn every_dimension_breaks_the_rate_down_at_every_level_and_says_from_what() {
    for (dimension, at, value) in DIMENSIONS {
        let mut world = World::of("").await;
        world.publish(0, &journeys_that_tell(dimension, at, value));
        let is_chosen = matches!(*dimension, "integration" | "provider" | "auth.method");
        let absent = if is_chosen {
            "(before choice)"
        } else {
            "(none)"
        };
        for (level, subjects) in [
            ("journey", "journeys"),
            ("company", "companies"),
            ("attempt", "attempts"),
        ] {
            let answer = world
                .rates(json!({"by": [dimension], "level": level}))
                .await;
            assert_eq!(
                lines(&answer.groups),
                [format!("{value}: 1/2"), format!("{absent}: 0/1")],
                "{dimension} told by {at}, {level}"
            );
            assert_eq!((answer.total.linked, answer.total.started), (1, 3));
            let opened = format!("{subjects} that opened the flow");
            assert_eq!(answer.total.starts_from, opened);
            let [first, second] = match is_chosen {
                true => [
                    format!("{opened} and chose the {dimension} {value}"),
                    format!("{opened} and chose no {dimension}"),
                ],
                false => [opened.clone(), opened],
            };
            assert_eq!(answer.groups[0].starts_from, first);
            assert_eq!(answer.groups[1].starts_from, second);
        }
    }
}

#[tokio::test]
async fn what_only_a_later_screen_tells_is_found_by_asking_for_the_first() {
    for (dimension, at, value) in [
        ("messaging.security", "step.viewed", "true"),
        ("messaging.time_estimate", "consent.viewed", "false"),
        ("incentive.type", "cta.shown", "rebate"),
        ("cta.placement", "cta.clicked", "banner"),
        ("experiments.copy", "step.viewed", "b"),
    ] {
        let mut world = World::of("").await;
        world.publish(0, &journeys_that_tell(dimension, at, value));
        let natural = world.rates(json!({"by": [dimension]})).await;
        assert_eq!(lines(&natural.groups), ["(none): 1/3"], "{dimension}");
        let asked = json!({"by": [dimension], "attribution": {dimension: "first"}});
        let found = world.rates(asked).await;
        let expect = [format!("{value}: 1/2"), "(none): 0/1".to_owned()];
        assert_eq!(lines(&found.groups), expect, "{dimension}");
    }
}

#[tokio::test]
async fn an_attribution_asked_for_decides_the_segment_and_what_the_rate_starts_from() {
    let world = World::of(
        "0 j1 opened category=banking \n 1 j1 chose category=accounting integration=xero
         2 j1 handoff.started integration=xero \n 3 j1 chose integration=sage \n 4 j1 handoff.started integration=sage
         5 j1 linked integration=sage",
    )
    .await;
    for (dimension, how, expect) in [
        ("category", "first", "banking: 1/1"),
        ("category", "last", "accounting: 1/1"),
        ("integration", "first", "xero: 1/1"),
        ("integration", "last", "sage: 1/1"),
        ("integration", "entry", "(none): 1/1"),
        ("integration", "step:2", "xero: 1/1"),
        ("integration", "step:6", "sage: 1/1"),
    ] {
        let asked = json!({"by": [dimension], "attribution": {dimension: how}});
        let answer = world.rates(asked).await;
        assert_eq!(lines(&answer.groups), [expect], "{dimension} {how}");
        assert_eq!(
            answer.groups[0].starts_from,
            "journeys that opened the flow"
        );
    }
    let natural = world.rates(json!({"by": ["integration"]})).await;
    assert_eq!(lines(&natural.groups), ["sage: 1/1", "xero: 0/1"]);
}

const FAILURES: &str = "0 j1 opened category=banking \n 1 j1 chose \n 2 j1 handoff.started \n 3 j1 linked
     0 j2 opened category=banking \n 1 j2 attempt.failed reason.class=technical reason.attribution=institution
     0 j3 opened category=banking \n 1 j3 chose \n 2 j3 attempt.failed reason.class=technical reason.attribution=provider
     0 j4 opened category=banking \n 1 j4 attempt.exited reason.attribution=user
     0 j5 opened category=accounting
     0 j6 opened category=accounting \n 1 j6 attempt.failed reason.attribution=institution
     0 j7 opened category=banking \n 1 j7 chose \n 2 j7 attempt.failed reason.attribution=institution
     3 j7 handoff.started \n 4 j7 linked
     3d j8 opened category=banking \n 3d+1 j8 attempt.failed reason.attribution=institution";

#[tokio::test]
async fn the_controllable_rate_leaves_out_who_dropped_for_the_institution_or_the_provider() {
    let mut world = World::new().await;
    world.add(FAILURES);
    world.watermark(3 * super::DAY);
    let answer = world
        .rates(json!({"by": ["category"], "controllable": true}))
        .await;
    let told = |rate: &SuccessRate| {
        let controllable = rate.controllable.clone().unwrap();
        assert_eq!(controllable.matured.converted, rate.matured.converted);
        (
            (rate.matured.converted, rate.matured.entered),
            controllable.taken_out,
            controllable.matured.entered,
            controllable.rate.value,
        )
    };
    // j8 is open: its window still runs, so it stands in neither rate.
    assert_eq!(told(&answer.total), ((2, 7), 3, 4, Some(0.5)));
    assert_eq!(told(&answer.groups[0]), ((2, 5), 2, 3, Some(2.0 / 3.0)));
    assert_eq!(told(&answer.groups[1]), ((0, 2), 1, 1, Some(0.0)));
    assert!(answer.controllable_rule.unwrap().contains("institution"));
    assert!(answer.groups[0].rate.value.unwrap() < 0.5);
    let silent = world.rates(json!({"by": ["category"]})).await;
    assert_eq!(
        (silent.total.controllable, silent.controllable_rule),
        (None, None)
    );
}

#[tokio::test]
async fn a_controllable_rate_of_nobody_is_null_with_its_reason() {
    let world = World::of("0 j1 opened \n 1 j1 attempt.failed reason.attribution=provider").await;
    let total = world.rates(json!({"controllable": true})).await.total;
    let rate = total.controllable.unwrap().rate;
    assert_eq!(
        (rate.value, rate.code.as_deref()),
        (None, Some("nobody_left"))
    );
    let nobody = World::of("")
        .await
        .rates(json!({"controllable": true}))
        .await;
    let rate = nobody.total.controllable.unwrap().rate;
    assert_eq!(
        (rate.value, rate.code.as_deref()),
        (None, Some("not_matured"))
    );
}

fn journey(number: usize, surface: &str, links: bool) -> String {
    let mut lines = format!("0 j{number} opened surface={surface} \n 1 j{number} chose \n");
    if links {
        lines +=
            &format!("2 j{number} handoff.started \n 3 j{number} linked surface=portal_link \n");
    }
    lines
}

#[tokio::test]
async fn surfaces_are_compared_with_an_interval_of_the_difference() {
    let started = [
        ("embedded_sdk", 3, 2),
        ("own_ui_api", 1, 1),
        ("portal_link", 4, 1),
        ("hosted_page", 1, 0),
        ("assisted_call", 2, 2),
    ];
    let mut lines_of_all = String::new();
    let mut number = 0;
    for (surface, journeys, linked) in started {
        for i in 0..journeys {
            number += 1;
            lines_of_all += &journey(number, surface, i < linked);
        }
    }
    let world = World::of(&lines_of_all).await;
    let answer = world.surfaces(json!({"controllable": true})).await;
    assert_eq!(
        lines(&answer.surfaces),
        [
            "portal_link: 1/4",
            "embedded_sdk: 2/3",
            "assisted_call: 2/2",
            "hosted_page: 0/1",
            "own_ui_api: 1/1"
        ]
    );
    assert_eq!(
        lines(std::slice::from_ref(&answer.embedded)),
        ["embedded_sdk, own_ui_api: 3/4"]
    );
    assert_eq!(
        lines(std::slice::from_ref(&answer.portal_link)),
        ["portal_link, hosted_page: 1/5"]
    );
    assert_eq!((answer.total.linked, answer.total.started), (6, 11));
    let interval = newcombe((3, 4), (1, 5)).unwrap().interval;
    assert_eq!(answer.difference.value, Some(3.0 / 4.0 - 1.0 / 5.0));
    assert_eq!(
        (answer.difference.low, answer.difference.high),
        (Some(interval.low), Some(interval.high))
    );
    assert!(answer.embedded.controllable.is_some() && answer.controllable_rule.is_some());

    let filtered = json!({"filters": [{"field": "surface", "op": "eq", "value": "portal_link"}]});
    let answer = world.surfaces(filtered).await;
    assert_eq!(
        (answer.embedded.started, answer.portal_link.started),
        (0, 4)
    );
    assert_eq!(answer.difference.value, None);
    assert_eq!(answer.difference.code.as_deref(), Some("not_matured"));
}

/// `dead`: chosen by j1, j2 (company 1) and j3 (company 2); `dire`: by j2 and j4; `fine` links; `new` is open.
const NEVER: &str = "0 j1 opened company_id=c1 \n 1 j1 chose company_id=c1 integration=dead provider=plaid
     2 j1 attempt.failed company_id=c1 reason.class=technical reason.code=down reason.attribution=institution
     1h j2 opened company_id=c1 \n 1h+1 j2 chose company_id=c1 integration=dead provider=plaid
     1h+2 j2 chose company_id=c1 integration=dire provider=codat \n 1h+3 j2 attempt.exited company_id=c1 reason.code=cancelled
     2h j3 opened company_id=c2 \n 2h+1 j3 chose company_id=c2 integration=dead provider=plaid
     2h+2 j3 attempt.failed company_id=c2 reason.class=technical reason.code=down reason.attribution=institution
     3h j4 opened company_id=c3 \n 3h+1 j4 chose company_id=c3 integration=dire provider=codat
     4h j5 opened \n 4h+1 j5 chose integration=fine provider=codat \n 4h+2 j5 handoff.started \n 4h+3 j5 linked integration=fine provider=codat
     5h j6 opened \n 5h+1 j6 chose integration=fine provider=codat
     6h j7 opened \n 6h+1 j7 chose integration=once
     9d j8 opened \n 9d+1 j8 chose integration=new \n 9d j9 opened \n 9d+1 j9 chose integration=new
     7h j10 opened \n 7h j11 opened";

#[tokio::test]
async fn what_many_chose_and_nobody_linked_with_is_listed_most_chosen_first() {
    let mut world = World::new().await;
    world.add(NEVER);
    world.watermark(9 * super::DAY + 3_600 * super::SECOND);
    let answer = world.never(json!({"min_choices": 2})).await.unwrap();
    let values: Vec<(&str, u64, u64, u64)> = answer
        .never_succeeded
        .iter()
        .map(|n| (n.value.as_str(), n.choices, n.matured, n.companies))
        .collect();
    assert_eq!(values, [("dead", 3, 3, 2), ("dire", 2, 2, 2)]);
    assert_eq!((answer.count, answer.min_choices), (2, 2));
    let dead = &answer.never_succeeded[0];
    assert_eq!(dead.since, "2026-09-01T00:00:00Z");
    assert_eq!(answer.never_succeeded[1].since, "2026-09-01T01:00:00Z");
    // Wilson's upper end for 0 of n is z² / (n + z²).
    let z2 = 1.959_963_984_540_054_f64.powi(2);
    assert!((dead.rate_high - z2 / (3.0 + z2)).abs() < 1e-12);
    let reasons: Vec<(&str, u64)> = dead
        .reasons
        .iter()
        .map(|r| (r.code.as_str(), r.count))
        .collect();
    assert_eq!(reasons[0], ("down", 2));
    assert_eq!(reasons.iter().map(|r| r.1).sum::<u64>(), 3);

    let by_default = world.never(json!({})).await.unwrap();
    assert_eq!((by_default.count, by_default.min_choices), (0, 20));
    let providers = world
        .never(json!({"by": "provider", "min_choices": 3}))
        .await
        .unwrap();
    let values: Vec<&str> = providers
        .never_succeeded
        .iter()
        .map(|n| n.value.as_str())
        .collect();
    assert_eq!(values, ["plaid"]);
    let companies = world
        .never(json!({"level": "company", "min_choices": 2}))
        .await
        .unwrap();
    assert_eq!(companies.never_succeeded[0].choices, 2);
}

#[tokio::test]
async fn the_list_of_never_comes_page_by_page_from_one_view() {
    let mut world = World::of(NEVER).await;
    let whole = world.never(json!({"min_choices": 1})).await.unwrap();
    assert_eq!(whole.count, 4, "{whole:?}");
    let mut asked = json!({"min_choices": 1, "limit": 1, "as_of": whole.meta.snapshot});
    world.add("0 j20 opened \n 1 j20 chose integration=dead \n 2 j20 handoff.started \n 3 j20 linked integration=dead");
    let mut pages = Vec::new();
    loop {
        let page = world.never(asked.clone()).await.unwrap();
        assert_eq!((page.count, page.never_succeeded.len()), (4, 1));
        pages.extend(page.never_succeeded);
        let Some(cursor) = page.next_cursor else {
            break;
        };
        asked["cursor"] = cursor.into();
    }
    assert_eq!(pages, whole.never_succeeded);
    assert_eq!(
        world.never(json!({"min_choices": 1})).await.unwrap().count,
        3
    );
}

#[tokio::test]
async fn mistakes_in_the_questions_point_at_their_field() {
    let world = World::of("").await;
    for (fields, code, pointer) in [
        (json!({"limit": 0}), "bad_limit", "/limit"),
        (json!({"limit": 1001}), "bad_limit", "/limit"),
        (json!({"min_choices": 0}), "out_of_range", "/min_choices"),
        (json!({"cursor": "?"}), "bad_cursor", "/cursor"),
        (json!({"funnel": "first_link"}), "unknown_funnel", "/funnel"),
        (
            json!({"filters": [{"field": "x", "op": "eq", "value": 1}]}),
            "unknown_field",
            "/filters/0/field",
        ),
        (
            json!({"range": {"from": "2026-09-02", "to": "2026-09-01"}}),
            "empty_range",
            "/range/from",
        ),
    ] {
        let error = world.never(fields.clone()).await.unwrap_err();
        assert_eq!((error.code(), error.pointer()), (code, pointer), "{fields}");
    }
    let asked = json!({"by": ["category"], "attribution": {"category": "step:7"}});
    let question = serde_json::from_value(september(asked)).unwrap();
    let error = world
        .engine
        .success_rates("default", question)
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.pointer()),
        ("unknown_step", "/attribution/category")
    );
}

#[tokio::test]
async fn tenants_do_not_count_in_each_others_rates() {
    let mut world = World::of(
        "0 j1 opened tenant_id=a surface=own_ui_api \n 1 j1 chose tenant_id=a integration=dead
         0 j2 opened tenant_id=b surface=portal_link \n 1 j2 chose tenant_id=b integration=dead",
    )
    .await;
    for (tenant, embedded, portal) in [("a", 1, 0), ("b", 0, 1), ("c", 0, 0)] {
        world.tenant = tenant.to_owned();
        let surfaces = world.surfaces(json!({})).await;
        assert_eq!(
            (surfaces.embedded.started, surfaces.portal_link.started),
            (embedded, portal)
        );
        let never = world.never(json!({"min_choices": 1})).await.unwrap();
        let choices: Vec<u64> = never.never_succeeded.iter().map(|n| n.choices).collect();
        assert_eq!(choices.iter().sum::<u64>(), embedded + portal, "{tenant}");
    }
}
