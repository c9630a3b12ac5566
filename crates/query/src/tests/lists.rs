//! The list behind a number is as long as the number.

use serde_json::json;

use super::{World, label, merge, short};
use crate::{SubjectItem, SubjectsQuestion};

const JOURNEYS: &str = "
    0 j1 opened company_id=c1 country=FR \n 1 j1 chose company_id=c1 integration=xero \n 2 j1 linked company_id=c1 integration=xero
    0 j2 opened company_id=c1 country=FR \n 1 j2 chose company_id=c1 integration=xero \n 2 j2 chose company_id=c1 integration=sage
    0 j3 opened country=DE \n 3 j3 uploaded \n 0 j4 opened country=IT \n 1 j4 chose integration=sage
    0 j5 opened country=ES \n 1d j6 opened \n 35d j7 opened";

impl World {
    async fn list(&self, fields: serde_json::Value) -> (u64, Vec<SubjectItem>) {
        let mut cursor: Option<String> = None;
        let mut items = Vec::new();
        let mut as_of: Option<String> = None;
        loop {
            let mut json = json!({
                "funnel": short(),
                "range": {"from": "2026-09-01", "to": "2026-10-10"},
                "limit": 2,
            });
            merge(&mut json, fields.clone());
            let mut question: SubjectsQuestion = serde_json::from_value(json).unwrap();
            (question.cursor, question.as_of) = (cursor, as_of.or(question.as_of));
            let page = self.engine.subjects(&self.tenant, question).await.unwrap();
            assert!(page.subjects.len() <= 2);
            items.extend(page.subjects);
            as_of = Some(page.meta.snapshot);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return (page.count, items);
            }
        }
    }

    async fn check_list(&self, fields: serde_json::Value, number: u64) -> Vec<SubjectItem> {
        let (count, items) = self.list(fields.clone()).await;
        assert_eq!((count, items.len() as u64), (number, number), "{fields}");
        items
    }

    async fn list_error(&self, fields: serde_json::Value) -> (u16, String, String) {
        let mut json =
            json!({"funnel": short(), "range": {"from": "2026-09-01", "to": "2026-10-01"}});
        merge(&mut json, fields);
        let question: SubjectsQuestion = serde_json::from_value(json).unwrap();
        let err = self
            .engine
            .subjects(&self.tenant, question)
            .await
            .unwrap_err();
        (
            err.status(),
            err.code().to_owned(),
            err.pointer().to_owned(),
        )
    }
}

#[tokio::test]
async fn every_number_of_an_answer_has_a_list_as_long_as_it() {
    let mut world = World::of(JOURNEYS).await;
    world.commit().await;
    let range = json!({"from": "2026-09-01", "to": "2026-10-10"});
    for dimension in ["country", "integration"] {
        let fields = json!({"range": range, "breakdown": {"by": [dimension], "limit": 2}});
        let answer = world.ask(fields).await;
        let groups = answer.groups.iter().chain([&answer.total]);
        for group in groups {
            let at =
                json!({"segment": group.key, "segment_limit": 2, "as_of": answer.meta.snapshot});
            let with = |fields: serde_json::Value| {
                let mut all = at.clone();
                merge(&mut all, fields);
                all
            };
            world.check_list(with(json!({})), group.entered).await;
            world
                .check_list(with(json!({"matured": true})), group.matured.entered)
                .await;
            for (show, number) in [
                ("converted", group.converted),
                ("dropped", group.dropped),
                ("open", group.open),
            ] {
                world.check_list(with(json!({"show": show})), number).await;
            }
            for (i, step) in group.steps.iter().enumerate() {
                for (show, number) in [
                    ("reached", step.reached),
                    ("dropped", step.dropped),
                    ("open", step.open),
                ] {
                    world
                        .check_list(with(json!({"show": show, "step": i + 1})), number)
                        .await;
                }
            }
            for outcome in &group.outcomes {
                world
                    .check_list(with(json!({"outcome": outcome.name})), outcome.count)
                    .await;
            }
            assert!(!label(group).contains('/'));
        }
    }
}

#[tokio::test]
async fn an_item_says_who_when_and_how_far() {
    let world = World::of(JOURNEYS).await;
    let items = world.check_list(json!({"show": "converted"}), 1).await;
    let item = &items[0];
    assert_eq!((item.id.as_str(), item.kind.as_str()), ("j1", "journey"));
    assert_eq!(item.company_id.as_deref(), Some("c1"));
    assert_eq!(item.entered_at, "2026-09-01T00:00:00Z");
    assert_eq!(item.clock_ends_at, "2026-09-02T00:00:00Z");
    assert_eq!(
        (item.step, item.step_name.as_str(), item.state.as_str()),
        (3, "Linked", "converted")
    );
    assert_eq!(item.step_times[2].as_deref(), Some("2026-09-01T00:00:02Z"));
    let uploaded = world.check_list(json!({"outcome": "Uploaded"}), 1).await;
    assert_eq!(
        (uploaded[0].id.as_str(), uploaded[0].outcome.as_deref()),
        ("j3", Some("Uploaded"))
    );
}

#[tokio::test]
async fn a_bucket_of_the_trend_can_be_listed() {
    let world = World::of(JOURNEYS).await;
    let entered = json!({"entered": {"from": "2026-09-02", "to": "2026-09-03"}});
    let items = world.check_list(entered, 1).await;
    assert_eq!(items[0].id, "j6");
}

#[tokio::test]
async fn a_list_asked_for_as_of_an_answer_stays_as_long_while_events_arrive() {
    let mut world = World::of(JOURNEYS).await;
    let answer = world
        .ask(json!({"range": {"from": "2026-09-01", "to": "2026-10-10"}}))
        .await;
    for i in 0..5 {
        world.add(&format!("{i} new{i} opened"));
        if i % 2 == 0 {
            world.commit().await;
        }
        world
            .check_list(json!({"as_of": answer.meta.snapshot}), answer.total.entered)
            .await;
    }
}

#[tokio::test]
async fn the_same_list_comes_whatever_the_partitions() {
    let world = World::of(JOURNEYS).await;
    let mut question: SubjectsQuestion = serde_json::from_value(json!({
        "funnel": short(), "range": {"from": "2026-09-01", "to": "2026-10-10"}, "limit": 3,
    }))
    .unwrap();
    let first = world
        .engine(1)
        .subjects("default", question.clone())
        .await
        .unwrap();
    for partitions in [2, 5] {
        let again = world
            .engine(partitions)
            .subjects("default", question.clone())
            .await
            .unwrap();
        assert_eq!(
            (&again.subjects, &again.next_cursor),
            (&first.subjects, &first.next_cursor)
        );
    }
    question.cursor = first.next_cursor.clone();
    let second = world.engine(2).subjects("default", question).await.unwrap();
    assert!(second.subjects.iter().all(|s| !first.subjects.contains(s)));
}

#[tokio::test]
async fn mistakes_in_the_question_are_pointed_at() {
    let world = World::of(JOURNEYS).await;
    for (fields, status, code, pointer) in [
        (json!({"step": 9}), 422, "unknown_step", "/step"),
        (json!({"show": "reached"}), 422, "missing_step", "/step"),
        (
            json!({"show": "converted", "step": 2}),
            422,
            "step_not_wanted",
            "/step",
        ),
        (
            json!({"outcome": "Vanished"}),
            422,
            "unknown_outcome",
            "/outcome",
        ),
        (json!({"cursor": "x"}), 400, "bad_cursor", "/cursor"),
        (json!({"limit": 0}), 422, "bad_limit", "/limit"),
        (json!({"limit": 5000}), 422, "bad_limit", "/limit"),
        (
            json!({"segment": {"categry": "x"}}),
            422,
            "unknown_field",
            "/segment",
        ),
        (
            json!({"entered": {"from": "soon", "to": "2026-09-03"}}),
            400,
            "bad_time",
            "/entered/from",
        ),
    ] {
        assert_eq!(
            world.list_error(fields.clone()).await,
            (status, code.to_owned(), pointer.to_owned()),
            "{fields}"
        );
    }
}
