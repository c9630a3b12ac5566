//! Semantics scenarios "Keys": whose event it is, and which journey it belongs to.

use serde_json::json;

use super::{
    DAY, World, answers_without_looking, content, event, label, line, merge, question, short,
    short_with,
};
use crate::{FunnelAnswer, SubjectItem, SubjectsQuestion};

/// The answer, which is the same however the events arrive and are stored.
async fn everywhere(lines: &str, fields: serde_json::Value) -> FunnelAnswer {
    let lines: Vec<&str> = lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let events = || lines.iter().enumerate().map(|(i, line)| event(line, i));
    let mut backwards: Vec<_> = events().collect();
    backwards.reverse();
    let (even, odd): (Vec<_>, Vec<_>) = events().enumerate().partition(|(i, _)| i % 2 == 0);
    let bare = |pairs: Vec<(usize, _)>| pairs.into_iter().map(|(_, event)| event).collect();
    let (even, odd): (Vec<_>, Vec<_>) = (bare(even), bare(odd));
    let mut first: Option<FunnelAnswer> = None;
    for arrival in 0..3 {
        let mut world = World::new().await;
        world.watermark(40 * DAY);
        for stage in 0..4 {
            match (stage, arrival) {
                (0, 0) => world.publish(0, &events().collect::<Vec<_>>()),
                (0, 1) => world.publish(0, &backwards),
                (0, _) => {
                    world.publish(1, &odd);
                    world.commit().await;
                    world.compact().await;
                    world.publish(0, &even);
                }
                (1, _) => world.commit().await,
                (2, _) => world.compact().await,
                // copies, in another order
                _ => world.publish(2, &backwards),
            }
            for partitions in [1, 3] {
                let engine = world.engine(partitions);
                let asked = question(fields.clone());
                let answer = engine.funnel("default", asked).await.unwrap();
                let first = first.get_or_insert_with(|| answer.clone());
                let when = format!("arrival {arrival}, stage {stage}, {partitions} partitions");
                assert_eq!(content(&answer), content(first), "{when}");
            }
        }
    }
    first.unwrap()
}

async fn check(lines: &str, expect: &str) {
    let answer = everywhere(lines, json!({})).await;
    assert_eq!(line(&answer.total), expect, "{lines}");
}

/// By company instead of journey.
async fn check_companies(lines: &str, expect: &str) {
    let fields = json!({"funnel": short_with(json!({"subject": "company"}))});
    let answer = everywhere(lines, fields).await;
    assert_eq!(line(&answer.total), expect, "{lines}");
}

async fn listed(world: &World, fields: serde_json::Value) -> Vec<SubjectItem> {
    let mut json = json!({"funnel": short(), "range": {"from": "2026-09-01", "to": "2026-10-10"}});
    merge(&mut json, fields);
    let question: SubjectsQuestion = serde_json::from_value(json).unwrap();
    let page = world.engine.subjects("default", question).await.unwrap();
    assert_eq!(page.count, page.subjects.len() as u64);
    page.subjects
}

const ONE: &str = "1 = 1 + 0 + 0, reached 1 1 1";

#[tokio::test]
async fn opened_with_a_journey_and_linked_with_journey_and_company_are_one_journey() {
    check(
        "0 j1 opened
         5 j1 chose
         9 j1 linked company_id=c1",
        ONE,
    )
    .await;
}

#[tokio::test]
async fn a_chain_of_three_steps_joins_a_company_and_one_of_four_does_not() {
    let chain = "1 - chose attempt_id=a1
         2 - sync.started attempt_id=a1 connection_id=k1
         3 - sync.started connection_id=k1 user_id=u1
         4 - linked user_id=u1 company_id=c1";
    check_companies(&format!("0 - opened attempt_id=a1\n{chain}"), ONE).await;
    check_companies(
        &format!("0 - opened session_id=s1\n0 - help.opened session_id=s1 attempt_id=a1\n{chain}"),
        "0 = 0 + 0 + 0, reached 0 0 0",
    )
    .await;
}

#[tokio::test]
async fn company_only_webhooks_form_derived_journeys() {
    let lines = "0 - opened company_id=c1 category=accounting
         5 - chose company_id=c1 category=accounting
         9 - linked company_id=c1 category=accounting
         0 - opened company_id=c1 category=banking
         7 - opened company_id=c2 category=accounting
         8 - linked company_id=c3 category=accounting";
    let answer = everywhere(lines, json!({"breakdown": {"by": ["category"]}})).await;
    assert_eq!(line(&answer.total), "3 = 1 + 2 + 0, reached 3 1 1");
    assert_eq!(
        (answer.meta.without_subject, answer.meta.without_entry),
        (0, 1)
    );
    let groups: Vec<String> = answer
        .groups
        .iter()
        .map(|g| format!("{}: {}", label(g), line(g)))
        .collect();
    assert_eq!(
        groups,
        [
            "accounting: 2 = 1 + 1 + 0, reached 2 1 1",
            "banking: 1 = 0 + 1 + 0, reached 1 0 0"
        ]
    );
}

#[tokio::test]
async fn a_derived_journey_ends_where_its_activity_pauses_for_more_than_a_day() {
    let day = |gap: &str| {
        format!(
            "0 - opened company_id=c1 category=banking
             1d - chose company_id=c1 category=banking
             {gap} - opened company_id=c1 category=banking"
        )
    };
    check(&day("2d"), "1 = 0 + 1 + 0, reached 1 1 0").await;
    check(&day("2d+1us"), "2 = 0 + 2 + 0, reached 2 1 0").await;
}

#[tokio::test]
async fn hourly_syncs_do_not_glue_two_links_a_month_apart() {
    let flow = |day: i64| {
        format!(
            "{day}d - opened company_id=c1 category=accounting
             {day}d+5 - chose company_id=c1 category=accounting
             {day}d+9 - linked company_id=c1 category=accounting\n"
        )
    };
    let syncs = |hours: std::ops::Range<i64>| -> String {
        hours
            .map(|h| format!("{h}h+30m - sync.started company_id=c1 category=accounting\n"))
            .collect()
    };
    let lines = flow(0) + &syncs(0..700) + &flow(29);
    let mut world = World::of(&lines).await;
    for _ in 0..2 {
        let range = json!({"range": {"from": "2026-09-01", "to": "2026-10-10"}});
        assert_eq!(world.total(range).await, "2 = 2 + 0 + 0, reached 2 2 2");
        world.commit().await;
        world.compact().await;
    }
}

#[tokio::test]
async fn a_sync_belongs_to_the_derived_journey_of_the_last_day_and_later_to_none() {
    let steps = json!([
        {"name": "Opened", "event": "attempt.opened"},
        {"name": "Synced", "event": "sync.started"},
    ]);
    let fields = json!({"funnel": short_with(json!({"steps": steps, "window": "P7D"}))});
    let lines = |at: &str| {
        format!(
            "0 - opened company_id=c1 category=banking
             {at} - sync.started company_id=c1"
        )
    };
    for (at, expect, without) in [
        ("1d", "1 = 1 + 0 + 0, reached 1 1", 0),
        ("1d+1us", "1 = 0 + 1 + 0, reached 1 0", 1),
    ] {
        let answer = everywhere(&lines(at), fields.clone()).await;
        assert_eq!(line(&answer.total), expect, "{at}");
        assert_eq!(answer.meta.without_subject, without, "{at}");
    }
}

#[tokio::test]
async fn a_webhook_without_journey_joins_by_its_attempt_then_connection_then_invite() {
    check(
        "0 j1 opened attempt_id=a1 company_id=c1
         5 - chose attempt_id=a1 company_id=c1
         9 - linked attempt_id=a1",
        ONE,
    )
    .await;
    check(
        "0 j1 opened invite_id=i1 company_id=c1
         5 - chose invite_id=i1
         8 - sync.started attempt_id=a1 connection_id=k1
         9 j1 help.opened connection_id=k1
         9 - linked connection_id=k1",
        ONE,
    )
    .await;
    // the attempt decides, although the connection leads to another journey
    let lines = "0 j1 opened attempt_id=a1 company_id=c1
         1 j1 chose company_id=c1
         2 j2 opened connection_id=k2 company_id=c1
         3 - linked attempt_id=a1 connection_id=k2";
    check(lines, "2 = 1 + 1 + 0, reached 2 1 1").await;
}

#[tokio::test]
async fn a_company_or_user_that_several_journeys_share_leads_an_attempt_to_none_of_them() {
    // more than a day after the only journey of the company, so a journey of its own
    check(
        "0 j1 opened company_id=c1 user_id=u1 category=banking
         3d - opened company_id=c1 user_id=u1 attempt_id=a2 category=banking
         3d+1 - chose attempt_id=a2 category=banking
         3d+2 - linked attempt_id=a2 category=banking",
        "2 = 1 + 1 + 0, reached 2 1 1",
    )
    .await;
}

#[tokio::test]
async fn one_journey_id_under_two_companies_is_two_journeys_and_is_counted() {
    let lines = "0 j1 opened company_id=c1
         1 j1 chose company_id=c2
         2 j1 opened company_id=c2
         3 j2 opened company_id=c1
         4 j3 opened company_id=c1
         5 j3 linked company_id=c2";
    let answer = everywhere(lines, json!({})).await;
    assert_eq!(line(&answer.total), "4 = 0 + 4 + 0, reached 4 0 0");
    assert_eq!(answer.meta.split_ids, 1, "of those counted j1 alone");
    let attempts = json!({"funnel": short_with(json!({"subject": "attempt"}))});
    let lines = lines
        .replace("j1", "- attempt_id=a1")
        .replace("opened", "attempt.opened");
    let lines: Vec<String> = lines
        .lines()
        .map(|l| match l.trim().split_once(" - attempt_id=a1 ") {
            Some((time, rest)) => format!("{time} - {rest} attempt_id=a1"),
            None => l.to_owned(),
        })
        .collect();
    let answer = everywhere(&lines.join("\n"), attempts).await;
    assert_eq!(line(&answer.total), "2 = 0 + 2 + 0, reached 2 0 0");
    assert_eq!(answer.meta.split_ids, 1);
    assert_eq!(answer.meta.without_subject, 3);
}

#[tokio::test]
async fn two_users_in_one_journey_are_one_journey() {
    check(
        "0 j1 opened user_id=u1 company_id=c1
         1 j1 journey.delegated user_id=u1 company_id=c1
         5 j1 chose user_id=u2 company_id=c1
         9 j1 linked user_id=u2",
        ONE,
    )
    .await;
}

#[tokio::test]
async fn a_company_with_two_accounting_attempts_has_one_derived_journey_and_two_attempts() {
    let lines = "0 - opened company_id=c1 attempt_id=a1 category=accounting
         1h - opened company_id=c1 attempt_id=a2 category=accounting
         2h - chose company_id=c1 attempt_id=a2 category=accounting
         3h - linked company_id=c1 attempt_id=a2 category=accounting";
    check(lines, ONE).await;
    let attempts = json!({"funnel": short_with(json!({"subject": "attempt"}))});
    let answer = everywhere(lines, attempts).await;
    assert_eq!(line(&answer.total), "2 = 1 + 1 + 0, reached 2 1 1");
}

#[tokio::test]
async fn events_whose_subjects_key_is_missing_are_counted_and_never_merged() {
    let lines = "0 - opened company_id=c1
         1 - opened company_id=c2
         2 - chose company_id=c1 session_id=s1
         3 - opened company_id=c1 session_id=s1";
    let fields = json!({"funnel": short_with(json!({"subject": "session"}))});
    let answer = everywhere(lines, fields).await;
    assert_eq!(line(&answer.total), "1 = 0 + 1 + 0, reached 1 0 0");
    assert_eq!(answer.meta.without_subject, 2);
}

#[tokio::test]
async fn sessions_and_companies_are_different_subjects() {
    let lines = "0 - opened company_id=c1 session_id=s1
         1 - chose session_id=s1
         2 - opened company_id=c1 session_id=s2
         3 - chose company_id=c1 session_id=s2
         4 - linked session_id=s2";
    check_companies(lines, ONE).await;
    let sessions = json!({"funnel": short_with(json!({"subject": "session"}))});
    let answer = everywhere(lines, sessions).await;
    assert_eq!(line(&answer.total), "2 = 1 + 1 + 0, reached 2 2 1");
}

#[tokio::test]
async fn with_the_integration_held_constant_one_is_not_linked_by_the_choice_of_another() {
    let lines = "0 - opened attempt_id=a1 company_id=c1
         1 - chose attempt_id=a1 integration=xero
         2 - linked attempt_id=a1 integration=sage
         0 - opened attempt_id=a2 company_id=c2
         1 - chose attempt_id=a2 integration=xero
         2 - linked attempt_id=a2 integration=xero";
    let held = json!({"funnel": short_with(json!({"hold_constant": ["integration"]}))});
    let answer = everywhere(lines, held).await;
    assert_eq!(line(&answer.total), "2 = 1 + 1 + 0, reached 2 2 1");
    assert_eq!(
        line(&everywhere(lines, json!({})).await.total),
        "2 = 2 + 0 + 0, reached 2 2 2"
    );
}

#[tokio::test]
async fn an_event_without_journey_belongs_to_the_fitting_one_named_at_most_a_day_before() {
    let lines = |at: &str, category: &str| {
        format!(
            "0 j1 opened company_id=c1 category=banking
             1 j1 chose company_id=c1
             1m j2 opened company_id=c1 category=accounting
             2m j2 chose company_id=c1 category=accounting
             {at} - linked company_id=c1 {category}"
        )
    };
    let range =
        json!({"funnel": short_with(json!({"window": "P7D"})), "breakdown": {"by": ["category"]}});
    for (at, category, converted) in [
        ("3m", "category=banking", ["banking"].as_slice()),
        ("3m", "category=accounting", &["accounting"]),
        // an unknown category fits any: the latest named
        ("3m", "", &["accounting"]),
        ("3m", "category=unknown", &["accounting"]),
        ("3m", "category=commerce", &[]),
        // at the same instant as the naming event, whichever comes first
        ("2m", "category=accounting", &["accounting"]),
        ("1d+1", "category=banking", &["banking"]),
        ("1d+1+1us", "category=banking", &[]),
    ] {
        let answer = everywhere(&lines(at, category), range.clone()).await;
        let groups = answer.groups.iter().filter(|g| g.converted > 0);
        let groups: Vec<String> = groups.map(label).collect();
        assert_eq!(groups, converted, "{at} {category}");
    }
}

#[tokio::test]
async fn whether_a_category_fits_is_judged_by_the_last_day_alone() {
    let lines = |at: &str| {
        format!(
            "0 j1 opened company_id=c1 category=accounting
             20h j1 chose company_id=c1 category=banking
             {at} - linked company_id=c1 category=accounting"
        )
    };
    let funnel = json!({"funnel": short_with(json!({"window": "P7D"}))});
    for (at, expect) in [
        ("1d", "1 = 1 + 0 + 0, reached 1 1 1"),
        ("1d+1us", "1 = 0 + 1 + 0, reached 1 1 0"),
    ] {
        let answer = everywhere(&lines(at), funnel.clone()).await;
        assert_eq!(line(&answer.total), expect, "{at}");
    }
}

#[tokio::test]
async fn an_opening_without_category_is_of_the_derived_journey_that_follows_it() {
    check(
        "0 - opened company_id=c1
         5 - chose company_id=c1 category=accounting
         9 - linked company_id=c1 category=accounting
         20h - chose company_id=c1 category=banking",
        ONE,
    )
    .await;
    // what names no category does not hold a journey together
    let prompts: String = (1..30)
        .map(|d| format!("{d}d - cta.shown company_id=c1\n"))
        .collect();
    let lines = format!(
        "0 - opened company_id=c1 category=banking
         1 - chose company_id=c1 category=banking
         {prompts}
         29d+1h - opened company_id=c1 category=banking"
    );
    check(&lines, "2 = 0 + 2 + 0, reached 2 1 0").await;
}

#[tokio::test]
async fn exempt_events_are_joined_to_nothing_and_join_nothing() {
    let fields = json!({"funnel": short_with(json!({"subject": "company"}))});
    let lines = "0 - opened anonymous_id=v1 privacy.basis=exempt_audience
         1 - chose anonymous_id=v1 company_id=c1
         2 - linked company_id=c1";
    let answer = everywhere(lines, fields).await;
    assert_eq!(line(&answer.total), "0 = 0 + 0 + 0, reached 0 0 0");
    assert_eq!(
        (answer.meta.without_entry, answer.meta.without_subject),
        (1, 1)
    );
    check(
        "0 j1 opened attempt_id=a1 company_id=c1
         1 - chose attempt_id=a1 privacy.basis=exempt_audience
         2 - linked attempt_id=a1",
        "1 = 0 + 1 + 0, reached 1 0 0",
    )
    .await;
}

#[tokio::test]
async fn the_population_decides_before_membership_does() {
    // a robot's opening is no event that others could belong to
    check(
        "0 j1 opened company_id=c1 traffic=bot
         1 - opened company_id=c1
         2 - chose company_id=c1
         3 - linked company_id=c1",
        ONE,
    )
    .await;
}

#[tokio::test]
async fn found_and_derived_journeys_are_listed_by_name() {
    let mut world = World::of(
        "0 j1 journey.resumed attempt_id=a1 company_id=c1
         1 - opened attempt_id=a1
         5 - opened company_id=c2 category=banking
         1d - opened attempt_id=a9
         30d j9 help.opened attempt_id=a9 company_id=c9",
    )
    .await;
    for _ in 0..2 {
        let items = listed(&world, json!({})).await;
        let mut shown: Vec<(String, Option<&str>)> = items
            .iter()
            .map(|item| (item.id.clone(), item.company_id.as_deref()))
            .collect();
        shown.sort();
        let derived = shown[0].0.strip_prefix("derived-").unwrap();
        assert!(u64::from_str_radix(derived, 16).is_ok() && derived.len() == 16);
        assert_eq!(shown[0].1, Some("c2"));
        assert_eq!(
            shown[1..],
            [("j1".into(), Some("c1")), ("j9".into(), Some("c9"))]
        );
        let companies = json!({"funnel": short_with(json!({"subject": "company"}))});
        let mut ids: Vec<String> = listed(&world, companies)
            .await
            .into_iter()
            .map(|i| i.id)
            .collect();
        ids.sort();
        assert_eq!(ids, ["c1", "c2", "c9"]);
        world.commit().await;
        world.compact().await;
    }
}

#[tokio::test]
async fn a_derived_journey_keeps_its_name_whatever_the_range() {
    let world = World::of(
        "0 - cta.shown company_id=c1 category=banking
         5d - cta.shown company_id=c1 category=banking
         5d+2h - opened company_id=c1 category=banking
         5d+3h - chose company_id=c1 category=banking
         9d - opened company_id=c1 category=banking",
    )
    .await;
    let mut names = std::collections::BTreeSet::new();
    for (from, to, count) in [
        ("2026-09-01T00:00:00Z", "2026-10-01", 2),
        ("2026-09-06T00:00:00Z", "2026-09-07", 1),
        ("2026-09-06T01:00:00Z", "2026-09-06T03:00:00Z", 1),
        ("2026-09-06T02:00:00Z", "2026-09-06T02:00:01Z", 1),
    ] {
        let range = json!({"range": {"from": from, "to": to}});
        let items = listed(&world, range).await;
        assert_eq!(items.len(), count, "{from}");
        names.extend(items.into_iter().map(|item| item.id));
    }
    assert_eq!(names.len(), 2);
}

#[tokio::test]
async fn events_of_the_day_before_the_range_serve_membership_only() {
    let world = World::of(
        "23h j1 opened company_id=c1 category=banking
         23h+30m j1 chose company_id=c1 category=banking
         1d+1h - opened company_id=c1
         1d+2h - linked company_id=c1",
    )
    .await;
    let range = json!({"range": {"from": "2026-09-02", "to": "2026-09-03"}});
    assert_eq!(
        world.total(range.clone()).await,
        "1 = 0 + 1 + 0, reached 1 0 0"
    );
    let items = listed(&world, range).await;
    assert_eq!(items[0].id, "j1");
}

#[tokio::test]
async fn where_events_that_matter_name_their_journey_nothing_more_is_read() {
    let lines = "0 - invite.sent company_id=c1 invite_id=i1 category=accounting
         1 j1 opened company_id=c1 category=accounting invite_id=i1
         5 j1 chose company_id=c1 category=accounting integration=xero
         9 j1 linked company_id=c1
         9 - sync.started company_id=c1 category=accounting integration=xero";
    let by = |by: &str| json!({"breakdown": {"by": [by]}});
    let world = World::of(lines).await;
    for fields in [
        by("category"),
        by("integration"),
        json!({"interval": "day"}),
    ] {
        assert!(
            answers_without_looking(&world, fields.clone()).await,
            "{fields}"
        );
    }
    let reasons = json!({"include": ["reasons"]});
    assert!(answers_without_looking(&world, reasons.clone()).await);
    let late = lines.replace(
        "opened company_id=c1 category=accounting",
        "opened company_id=c1",
    ) + "\n2 - guide.viewed company_id=c1 category=banking\n 3 - cta.dismissed company_id=c1";
    let world = World::of(&late).await;
    assert!(!answers_without_looking(&world, by("category")).await);
    assert!(!answers_without_looking(&world, reasons).await);
    assert!(answers_without_looking(&world, json!({})).await);
    let answer = world.ask(by("category")).await;
    assert_eq!(label(&answer.groups[0]), "banking");
}
