//! One subject, explained: over a real store, the same events that are counted.

use std::sync::Arc;

use linkfunnel_model::{IdKind, Range, Subject};

use super::{DAY, World};
use crate::{
    EngineOptions, EntryAnswer, JourneyAnswer, JourneyQuestion, JourneyUnder, MAX_EVENTS, Pseudonym,
};

const JOURNEYS: &str = "
    0 j1 opened company_id=c1 category=accounting surface=hosted_page medium=email
    9 j1 chose company_id=c1 integration.key=xero integration.name=Xero
    30 j1 handoff.started company_id=c1
    90 j1 attempt.exited company_id=c1 reason.class=user_choice reason.code=user_cancelled reason.vendor_code=403
    0 j2 opened company_id=c1 \n 5 j2 chose company_id=c1 \n 7 j2 handoff.started company_id=c1 \n 60 j2 linked company_id=c1
    0 j3 opened company_id=c1 \n 10 j3 opened company_id=c2 \n 20 j3 chose company_id=c2
    0 j4 opened \n 1d+5m j4 chose \n 1d+6m j4 linked";

impl World {
    async fn tell(&self, question: JourneyQuestion) -> JourneyAnswer {
        self.engine.journey(&self.tenant, question).await.unwrap()
    }

    async fn journey(&self, id: &str) -> JourneyAnswer {
        self.tell(JourneyQuestion::of(id)).await
    }

    async fn refused(&self, question: JourneyQuestion) -> (u16, String, String) {
        let refused = self
            .engine
            .journey(&self.tenant, question)
            .await
            .unwrap_err();
        let (code, pointer) = (refused.code().to_owned(), refused.pointer().to_owned());
        (refused.status(), code, pointer)
    }
}

/// `event@seconds` of the events shown.
fn timeline(under: &JourneyUnder) -> Vec<String> {
    let events = under.events.iter();
    events
        .map(|event| {
            let since = event
                .since_previous_ms
                .map_or(String::new(), |ms| format!(" +{ms}"));
            format!("{}{since}", event.event)
        })
        .collect()
}

fn speaking(under: &JourneyUnder) -> &EntryAnswer {
    let mut speaking = under
        .explanation
        .entries
        .iter()
        .filter(|entry| entry.speaks);
    let entry = speaking.next().unwrap();
    assert!(speaking.next().is_none());
    entry
}

#[tokio::test]
async fn every_event_is_there_once_in_order_with_what_it_says() {
    let mut world = World::of(JOURNEYS).await;
    // A copy of the first, and one committed, one hot.
    world.add(
        "0 j1 opened id=e1 company_id=c1 category=accounting surface=hosted_page medium=email",
    );
    world.commit().await;
    world.add("100 j1 chose company_id=c1 integration.key=sage");
    let answer = world.journey("j1").await;
    assert_eq!(
        (answer.id.as_str(), answer.kind.as_str()),
        ("j1", "journey")
    );
    let [under] = &answer.subjects[..] else {
        panic!("{answer:?}")
    };
    assert_eq!(
        timeline(under),
        [
            "attempt.opened",
            "provider.selected +9000",
            "handoff.started +21000",
            "attempt.exited +60000",
            "provider.selected +10000",
        ]
    );
    assert_eq!(under.company_id.as_deref(), Some("c1"));
    assert_eq!(under.category.as_deref(), Some("accounting"));
    assert_eq!(under.surface.as_deref(), Some("hosted_page"));
    assert_eq!(under.medium.as_deref(), Some("email"));
    assert_eq!(under.linked_at, None);
    let integrations: Vec<_> = under
        .integrations
        .iter()
        .map(|i| (i.key.as_str(), i.name.as_deref()))
        .collect();
    assert_eq!(integrations, [("xero", Some("Xero")), ("sage", None)]);
    assert_eq!(under.events[0].event_id.as_deref(), Some("e1"));
    assert_eq!(under.events[0].occurred_at, "2026-09-01T00:00:00Z");
    assert_eq!(under.events[0].steps, ["Opened"]);
    assert_eq!(under.events[1].steps, ["Chose provider"]);
    let reason = under.events[3].reason.clone().unwrap();
    assert_eq!(reason.class.as_deref(), Some("user_choice"));
    assert_eq!(reason.code.as_deref(), Some("user_cancelled"));
    assert_eq!(reason.vendor_code.as_deref(), Some("403"));
    assert_eq!(reason.attribution, None);
    assert!(answer.next_cursor.is_none());
}

#[tokio::test]
async fn the_explanation_says_how_it_ended() {
    let world = World::of(JOURNEYS).await;
    let converted = world.journey("j2").await;
    let entry = speaking(&converted.subjects[0]);
    assert_eq!(
        (entry.state.as_str(), entry.ended.as_str()),
        ("converted", "converted")
    );
    assert_eq!(entry.step_name, "Linked");
    assert!(entry.waits_for.is_empty() && entry.refused.is_empty());
    assert_eq!(
        converted.subjects[0].linked_at.as_deref(),
        Some("2026-09-01T00:01:00Z")
    );
    let last = entry.steps.last().unwrap();
    assert_eq!(
        (last.name.as_str(), last.event.occurred_at.as_str()),
        ("Linked", "2026-09-01T00:01:00Z")
    );

    let dropped = world.journey("j1").await;
    let entry = speaking(&dropped.subjects[0]);
    assert_eq!(
        (entry.state.as_str(), entry.ended.as_str()),
        ("dropped", "no_event")
    );
    assert_eq!(entry.reason_event.as_ref().unwrap().event, "attempt.exited");
    assert_eq!(entry.last_event.event, "attempt.exited");
    assert_eq!(entry.last_event.reason.as_deref(), Some("user_cancelled"));
    assert_eq!(
        dropped.subjects[0].explanation.state.as_deref(),
        Some("dropped")
    );

    let late = world.journey("j4").await;
    let entry = speaking(&late.subjects[0]);
    assert_eq!((entry.ended.as_str(), entry.step), ("after_window", 1));
    assert_eq!(entry.refused[0].event.event, "provider.selected");
    assert_eq!(entry.refused[0].because[0].by_ms, Some(300_000.0));
    assert_eq!(entry.window_ends_at, "2026-09-02T00:00:00Z");
}

#[tokio::test]
async fn an_open_one_says_until_when() {
    let world = World::of(JOURNEYS).await;
    let mut open = World::new().await;
    open.add("0 j1 opened \n 9 j1 chose");
    open.watermark(DAY / 2);
    let answer = open.journey("j1").await;
    let entry = speaking(&answer.subjects[0]);
    assert_eq!(entry.state, "open");
    assert_eq!(entry.open_until.as_deref(), Some("2026-09-02T00:00:00Z"));
    assert_eq!(entry.last_event.event, "provider.selected");
    let over = world.journey("j1").await;
    assert_eq!(speaking(&over.subjects[0]).open_until, None);
}

#[tokio::test]
async fn it_counts_as_the_funnel_counts_it() {
    let world = World::of(JOURNEYS).await;
    let answer = world.ask(serde_json::json!({"funnel": "linking"})).await;
    let mut counts = [0; 3];
    for id in ["j1", "j2", "j3", "j4"] {
        for under in world.journey(id).await.subjects {
            match under.explanation.state.as_deref() {
                Some("converted") => counts[0] += 1,
                Some("dropped") => counts[1] += 1,
                Some("open") => counts[2] += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    let total = answer.total;
    assert_eq!(counts, [total.converted, total.dropped, total.open]);
}

#[tokio::test]
async fn one_id_under_two_companies_is_two() {
    let mut world = World::of(JOURNEYS).await;
    for committed in [false, true] {
        if committed {
            world.commit().await;
        }
        let answer = world.journey("j3").await;
        let companies: Vec<_> = answer
            .subjects
            .iter()
            .map(|u| u.company_id.as_deref().unwrap())
            .collect();
        assert_eq!(companies, ["c1", "c2"]);
        assert_eq!(timeline(&answer.subjects[0]), ["attempt.opened"]);
        assert_eq!(
            timeline(&answer.subjects[1]),
            ["attempt.opened", "provider.selected +10000"]
        );
    }
}

#[tokio::test]
async fn other_subjects_are_asked_for_by_their_kind() {
    let world = World::of(JOURNEYS).await;
    let company = JourneyQuestion {
        subject: Subject::Company,
        ..JourneyQuestion::of("c1")
    };
    let answer = world.tell(company).await;
    let [under] = &answer.subjects[..] else {
        panic!("{answer:?}")
    };
    assert_eq!(under.event_count, 9);
    assert_eq!(under.explanation.state.as_deref(), Some("converted"));
    let refused = world.refused(JourneyQuestion::of("c1")).await;
    assert_eq!(refused, (404, "unknown_subject".into(), String::new()));
}

#[tokio::test]
async fn events_that_find_the_journey_through_other_ids_are_part_of_it() {
    let mut world = World::of(
        "0 j1 opened attempt_id=a1 company_id=c1 \n 5 - chose attempt_id=a1 \n 9 - linked attempt_id=a1",
    )
    .await;
    for committed in [false, true] {
        if committed {
            world.commit().await;
        }
        let answer = world.journey("j1").await;
        let [under] = &answer.subjects[..] else {
            panic!("{answer:?}")
        };
        assert_eq!(
            timeline(under),
            [
                "attempt.opened",
                "provider.selected +5000",
                "connection.linked +4000"
            ]
        );
        assert_eq!(under.explanation.state.as_deref(), Some("dropped"));
        assert_eq!(speaking(under).waits_for, ["Handed off"]);
    }
}

#[tokio::test]
async fn a_derived_journey_is_found_by_the_name_it_is_listed_under() {
    let world = World::of(
        "0 - opened company_id=c1 category=accounting \n 5 - chose company_id=c1 category=accounting",
    )
    .await;
    let list = serde_json::json!({"funnel": "linking", "range": {"from": "2026-09-01", "to": "2026-10-01"}});
    let list = serde_json::from_value(list).unwrap();
    let list = world.engine.subjects(&world.tenant, list).await.unwrap();
    let id = &list.subjects[0].id;
    assert!(id.starts_with("derived-"), "{id}");
    let answer = world.journey(id).await;
    assert_eq!(
        timeline(&answer.subjects[0]),
        ["attempt.opened", "provider.selected +5000"]
    );
    assert_eq!(speaking(&answer.subjects[0]).step_name, "Chose provider");
    let none = JourneyQuestion::of("derived-0000000000000001");
    assert_eq!(world.refused(none).await.1, "unknown_subject");
}

#[tokio::test]
async fn what_is_not_live_is_shown_and_not_counted() {
    let world =
        World::of("0 j1 opened \n 1 j1 chose environment=sandbox \n 2 j1 linked traffic=bot").await;
    let answer = world.journey("j1").await;
    let under = &answer.subjects[0];
    let counted: Vec<bool> = under.events.iter().map(|event| event.is_counted).collect();
    assert_eq!(counted, [true, false, false]);
    let entry = speaking(under);
    assert_eq!((entry.step, entry.ended.as_str()), (1, "no_event"));
    assert_eq!(entry.last_event.event, "attempt.opened");
    assert_eq!(under.linked_at, None);
}

#[tokio::test]
async fn pages_hold_each_event_once_and_stay_as_they_were() {
    let mut world = World::new().await;
    let lines: Vec<String> = (0..25)
        .map(|i| format!("{i} j1 chose company_id=c{}", i % 2))
        .collect();
    world.add(&lines.join("\n"));
    let (mut seen, mut cursor, mut as_of) = (Vec::new(), None, None);
    loop {
        let page = JourneyQuestion {
            limit: Some(7),
            cursor,
            as_of,
            ..JourneyQuestion::of("j1")
        };
        let answer = world.tell(page).await;
        for under in &answer.subjects {
            assert_eq!(
                under.event_count,
                if under.company_id.as_deref() == Some("c0") {
                    13
                } else {
                    12
                }
            );
            seen.extend(
                under
                    .events
                    .iter()
                    .map(|event| event.event_id.clone().unwrap()),
            );
        }
        as_of = Some(answer.meta.snapshot);
        cursor = answer.next_cursor;
        world.add("3 j1 chose company_id=c0");
        if cursor.is_none() {
            break;
        }
    }
    let mut ids = seen.clone();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((seen.len(), ids.len()), (25, 25));
}

#[tokio::test]
async fn a_range_picks_the_entries() {
    let world = World::of("0 j1 opened \n 2d j1 opened \n 2d+5 j1 chose").await;
    let whole = world.journey("j1").await;
    assert_eq!(speaking(&whole.subjects[0]).step, 1);
    let range = Range {
        from: "2026-09-02".into(),
        to: "2026-09-30".into(),
        timezone: "UTC".into(),
    };
    let later = JourneyQuestion {
        range: Some(range),
        ..JourneyQuestion::of("j1")
    };
    let answer = world.tell(later).await;
    assert_eq!(speaking(&answer.subjects[0]).step, 2);
    assert_eq!(answer.subjects[0].event_count, 2);
}

#[tokio::test]
async fn ids_are_looked_up_as_they_are_stored() {
    let pseudonym: Pseudonym = Arc::new(|_, kind, id| match kind {
        IdKind::User => format!("p-{id}"),
        _ => id.to_owned(),
    });
    let options = EngineOptions {
        pseudonym: Some(pseudonym),
        ..EngineOptions::default()
    };
    let mut world = World::with(options).await;
    world.add("0 - opened user_id=p-ann");
    let ann = JourneyQuestion {
        subject: Subject::User,
        ..JourneyQuestion::of("ann")
    };
    assert_eq!(world.tell(ann).await.id, "p-ann");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_its_place() {
    let world = World::of(JOURNEYS).await;
    let of = || JourneyQuestion::of("j1");
    let cases = [
        (
            JourneyQuestion {
                limit: Some(0),
                ..of()
            },
            (422, "bad_limit", "/limit"),
        ),
        (
            JourneyQuestion {
                limit: Some(MAX_EVENTS + 1),
                ..of()
            },
            (422, "bad_limit", "/limit"),
        ),
        (
            JourneyQuestion {
                cursor: Some("x".into()),
                ..of()
            },
            (400, "bad_cursor", "/cursor"),
        ),
        (
            JourneyQuestion {
                funnel: "lnking".into(),
                ..of()
            },
            (422, "unknown_funnel", "/funnel"),
        ),
        (
            JourneyQuestion {
                as_of: Some("x".into()),
                ..of()
            },
            (400, "bad_snapshot", "/as_of"),
        ),
        (JourneyQuestion::of("nobody"), (404, "unknown_subject", "")),
    ];
    for (question, (status, code, pointer)) in cases {
        let refused = world.refused(question).await;
        assert_eq!(refused, (status, code.to_owned(), pointer.to_owned()));
    }
    let other = world.engine.journey("other", of()).await.unwrap_err();
    assert_eq!(other.code(), "unknown_subject");
}

#[tokio::test]
async fn the_answer_is_the_same_whatever_the_partitions() {
    let mut world = World::of(JOURNEYS).await;
    world.commit().await;
    let one = world
        .engine(1)
        .journey("default", JourneyQuestion::of("j3"))
        .await
        .unwrap();
    for partitions in [2, 5] {
        let again = world
            .engine(partitions)
            .journey("default", JourneyQuestion::of("j3"))
            .await
            .unwrap();
        assert_eq!(again.subjects, one.subjects);
    }
}
