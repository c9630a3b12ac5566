//! Funnels by their id: what it means now, what it meant in an earlier answer, and for whom.

use serde_json::{Value, json};

use super::{World, content, merge, question_json, short, short_with};
use crate::{Error, Saved, SubjectsQuestion};

/// A journey that links within an hour, one that takes two days, one that only opens.
const JOURNEYS: &str = "0 j1 opened \n 1 j1 chose \n 1h j1 linked
    0 j2 opened \n 1 j2 chose \n 2d j2 linked \n 0 j3 opened";

impl World {
    /// Saves a definition, whatever is there.
    async fn save(&self, id: &str, definition: Value) -> u32 {
        self.save_for("default", id, definition).await
    }

    async fn save_for(&self, tenant: &str, id: &str, definition: Value) -> u32 {
        let content =
            serde_json::from_value(json!({"name": id, "definition": definition})).unwrap();
        let saved = self
            .engine
            .save_funnel(tenant, id, "ann", &content, &|_| true)
            .await;
        saved.unwrap().1.value.version.unwrap()
    }

    async fn delete(&self, id: &str) -> u32 {
        let deleted = self
            .engine
            .delete_funnel("default", id, "bob", &|_| true)
            .await;
        deleted.unwrap().version
    }

    /// Status, code, pointer and sentence of a refusal.
    async fn refusal(&self, fields: Value) -> (u16, String, String, String) {
        said(&self.try_ask(fields).await.unwrap_err())
    }

    async fn listed(&self, fields: Value) -> u64 {
        let json = question_json(fields);
        let question: SubjectsQuestion = serde_json::from_value(json).unwrap();
        let page = self.engine.subjects(&self.tenant, question).await.unwrap();
        assert_eq!(page.subjects.len() as u64, page.count);
        page.count
    }
}

fn funnels(world: &World) -> linkfunnel_store::Shelf<'_> {
    world
        .store
        .shelf(linkfunnel_store::SavedKind::Funnel, "default")
}

fn said(error: &Error) -> (u16, String, String, String) {
    let (code, pointer) = (error.code().to_owned(), error.pointer().to_owned());
    (error.status(), code, pointer, error.to_string())
}

#[tokio::test]
async fn an_id_stands_for_its_definition_and_the_answer_names_id_and_version() {
    let world = World::of(JOURNEYS).await;
    assert_eq!(world.save("my", short()).await, 1);
    let by_id = world.ask(json!({"funnel": "my"})).await;
    let mut in_full = world.ask(json!({})).await;
    assert_eq!(by_id.query["funnel"], in_full.query["funnel"]);
    assert_eq!(
        (&by_id.query["funnel_id"], &by_id.query["funnel_version"]),
        (&json!("my"), &json!(1))
    );
    merge(
        &mut in_full.query,
        json!({"funnel_id": "my", "funnel_version": 1}),
    );
    assert_eq!(content(&by_id), content(&in_full));
    let built_in = world.ask(json!({"funnel": "linking"})).await;
    assert_eq!(built_in.query["funnel_id"], "linking");
    assert_eq!(built_in.query.get("funnel_version"), Some(&Value::Null));
    assert_eq!(world.ask(json!({})).await.query.get("funnel_id"), None);
}

#[tokio::test]
async fn what_is_asked_of_an_earlier_view_is_asked_of_the_definition_of_then() {
    let world = World::of(JOURNEYS).await;
    world.save("my", short()).await;
    let first = world.ask(json!({"funnel": "my"})).await;
    assert_eq!(first.total.converted, 1);
    world.save("my", short_with(json!({"window": "P3D"}))).await;
    let second = world.ask(json!({"funnel": "my"})).await;
    assert_eq!(
        (second.total.converted, &second.query["funnel_version"]),
        (2, &json!(2))
    );
    world
        .save("my", short_with(json!({"window": "PT1S"})))
        .await;
    world.delete("my").await;
    for (answer, version, converted) in [(&first, 1, 1), (&second, 2, 2)] {
        let as_of = &answer.meta.snapshot;
        let again = world.ask(json!({"funnel": "my", "as_of": as_of})).await;
        assert_eq!(content(&again), content(answer));
        assert_eq!(again.query["funnel_version"], version);
        assert_eq!(
            &again.meta.snapshot, as_of,
            "the same name for the same view and definition"
        );
        let list = json!({"funnel": "my", "as_of": as_of, "show": "converted"});
        assert_eq!(world.listed(list).await, converted, "as long as the number");
    }
    let (status, code, pointer, detail) = world.refusal(json!({"funnel": "my"})).await;
    assert_eq!(
        (status, &*code, &*pointer),
        (404, "funnel_deleted", "/funnel")
    );
    assert!(
        detail.starts_with("bob deleted the funnel my at 2026-10-01"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_token_of_another_funnel_or_of_none_means_the_definition_of_now() {
    let world = World::of(JOURNEYS).await;
    world.save("my", short()).await;
    world.save("other", short()).await;
    let other = world.ask(json!({"funnel": "other"})).await.meta.snapshot;
    let none = world.store.view().token().to_string(); // as earlier programs gave them
    for token in [other, none] {
        let now = world.save("my", short_with(json!({"window": "P3D"}))).await;
        let answer = world.ask(json!({"funnel": "my", "as_of": token})).await;
        assert_eq!(answer.query["funnel_version"], now);
        world.save("my", short()).await;
        let list = json!({"funnel": "my", "as_of": answer.meta.snapshot, "show": "converted"});
        assert_eq!(
            world.listed(list).await,
            2,
            "its own token names its definition"
        );
        let in_full = world.ask(json!({"as_of": answer.meta.snapshot})).await;
        assert_eq!(
            in_full.total.converted, 1,
            "a definition in full is taken as it is"
        );
    }
}

#[tokio::test]
async fn a_built_in_definition_that_the_program_changed_since_is_gone() {
    let world = World::of(JOURNEYS).await;
    let token = world.ask(json!({"funnel": "linking"})).await.meta.snapshot;
    assert_eq!(
        world
            .ask(json!({"funnel": "linking", "as_of": token}))
            .await
            .total
            .entered,
        3
    );
    let name = linkfunnel_store::DefinitionName::BuiltIn("linking".into(), 1);
    let token = world.store.view().token().with_definition(&name).unwrap();
    let (status, code, _, detail) = world
        .refusal(json!({"funnel": "linking", "as_of": token}))
        .await;
    assert_eq!((status, &*code), (410, "snapshot_gone"));
    assert!(detail.contains("the built-in funnel linking"), "{detail}");
}

#[tokio::test]
async fn an_unknown_id_is_told_what_there_is_and_what_is_nearest() {
    let world = World::new().await;
    world.save("my_funnel", short()).await;
    world.save("deleted", short()).await;
    world.delete("deleted").await;
    world.save_for("bolt", "my_funel", short()).await;
    let refused = world.refusal(json!({"funnel": "my_funnle"})).await;
    assert_eq!(
        (refused.0, &*refused.1, &*refused.2),
        (422, "unknown_funnel", "/funnel")
    );
    let built_in: Vec<String> = linkfunnel_model::built_in_funnels()
        .into_iter()
        .map(|funnel| funnel.id)
        .collect();
    assert_eq!(
        refused.3,
        format!(
            "no funnel is called \"my_funnle\"; did you mean my_funnel? There are {}, my_funnel",
            built_in.join(", ")
        )
    );
    for i in 0..17 {
        world.save(&format!("f{i:02}"), short()).await;
    }
    let detail = world.refusal(json!({"funnel": "../my_funnel"})).await.3;
    let told = detail.split(", ").count();
    let more = built_in.len() + 18 - told;
    assert!(told > 10, "{detail}");
    assert!(detail.ends_with(&format!(" and {more} more")), "{detail}");
}

#[tokio::test]
async fn another_tenants_token_opens_nothing_of_it() {
    let mut world = World::of(JOURNEYS).await;
    world.save("theirs", short()).await;
    world.save("both", short()).await;
    let theirs = world.ask(json!({"funnel": "theirs"})).await.meta.snapshot;
    let both = world.ask(json!({"funnel": "both"})).await.meta.snapshot;
    world.tenant = "bolt".into();
    world
        .save_for("bolt", "both", short_with(json!({"window": "P3D"})))
        .await;
    let refused = world
        .refusal(json!({"funnel": "theirs", "as_of": theirs}))
        .await;
    assert_eq!((refused.0, &*refused.1), (410, "snapshot_gone"));
    assert_eq!(
        world.refusal(json!({"funnel": "theirs"})).await.1,
        "unknown_funnel"
    );
    let mine = world.ask(json!({"funnel": "both", "as_of": both})).await;
    assert_eq!(mine.query["funnel"]["window"], "P3D", "its own");
    assert_eq!(mine.total.entered, 0);
}

#[tokio::test]
async fn a_definition_of_a_newer_program_is_shown_as_it_is_and_not_guessed_at() {
    let world = World::of(JOURNEYS).await;
    world.save("my", short()).await;
    let id = linkfunnel_model::SavedId::parse("my").unwrap();
    let base = funnels(&world).newest(&id).await.unwrap();
    let definition = short_with(json!({"from_the_future": true}));
    let newer = json!({"name": "My", "definition": definition, "owner": "x"});
    let saved = funnels(&world)
        .save(&id, base.as_deref(), "ann", Some(newer))
        .await;
    saved.unwrap();
    let refused = world.refusal(json!({"funnel": "my"})).await;
    assert_eq!(
        (refused.0, &*refused.1, &*refused.2),
        (422, "funnel_not_understood", "/funnel")
    );
    let shown = world
        .engine
        .funnel_by_id("default", "my", None)
        .await
        .unwrap()
        .value;
    assert_eq!((shown.name.as_str(), shown.definition), ("My", definition));
    let listed = world
        .engine
        .funnels("default", None, None)
        .await
        .unwrap()
        .funnels;
    assert_eq!(listed.last().unwrap().version, Some(2));
    assert_eq!(world.save("my", short()).await, 3, "and can be replaced");
}

#[tokio::test]
async fn a_saved_funnel_whose_id_a_newer_program_builds_in_is_hidden_and_not_lost() {
    let world = World::of(JOURNEYS).await;
    let id = linkfunnel_model::SavedId::parse("linking").unwrap();
    let content = json!({"name": "Mine", "definition": short()});
    let saved = funnels(&world).save(&id, None, "ann", Some(content)).await;
    saved.unwrap();
    let read = async |version| {
        world
            .engine
            .funnel_by_id("default", "linking", version)
            .await
    };
    assert!(read(None).await.unwrap().value.built_in);
    assert_eq!(read(Some(1)).await.unwrap().value.name, "Mine");
    let asked = world.ask(json!({"funnel": "linking"})).await;
    assert_eq!(asked.query["funnel_version"], Value::Null);
    let listed = world
        .engine
        .funnels("default", None, None)
        .await
        .unwrap()
        .funnels;
    assert_eq!(listed.iter().filter(|f| f.id == "linking").count(), 1);
    let name = linkfunnel_store::DefinitionName::Saved("linking".into(), 1);
    let before = world.store.view().token().with_definition(&name).unwrap();
    let asked = world
        .ask(json!({"funnel": "linking", "as_of": before}))
        .await;
    assert_eq!(
        asked.query["funnel_version"], 1,
        "the number of then is still its own"
    );
}

#[tokio::test]
async fn a_save_that_was_overtaken_looks_again_and_keeps_to_what_is_allowed() {
    let world = World::new().await;
    let other = world.engine(1);
    let save = async |engine: &crate::Engine, seconds: u32, allowed: crate::Allowed<'_>| {
        let definition = short_with(json!({"window": format!("PT{seconds}S")}));
        let content = json!({"name": "My", "definition": definition});
        let content = serde_json::from_value(content).unwrap();
        engine
            .save_funnel("default", "my", "ann", &content, allowed)
            .await
    };
    // one who saves between the other's look and its write
    let meddle = |seconds: u32| {
        let (world, once) = (
            world.engine.clone(),
            std::sync::atomic::AtomicBool::new(true),
        );
        move || {
            if once.swap(false, std::sync::atomic::Ordering::SeqCst) {
                futures::executor::block_on(async {
                    save(&world, seconds, &|_| true).await.unwrap();
                });
            }
        }
    };
    let first = meddle(1);
    let (done, kept) = save(&other, 2, &|_| {
        first();
        true
    })
    .await
    .unwrap();
    assert_eq!(
        (done, kept.value.version),
        (Saved::Changed, Some(2)),
        "after the meddler's"
    );
    let second = meddle(3);
    let tag = kept.tag.clone();
    let mine = |there: Option<&str>| {
        let is_mine = there == Some(&*tag);
        second();
        is_mine
    };
    let refused = save(&other, 4, &mine).await.unwrap_err();
    assert_eq!(
        (refused.status(), refused.code()),
        (412, "precondition_failed")
    );
    let third = meddle(5);
    let (done, kept) = save(&other, 5, &|_| {
        third();
        true
    })
    .await
    .unwrap();
    assert_eq!(
        (done, kept.value.version),
        (Saved::Unchanged, Some(4)),
        "both wanted the same"
    );
    assert_eq!(kept.value.history.len(), 4);
}

#[tokio::test]
async fn pages_of_funnels_hold_each_once_built_in_ones_first() {
    let world = World::new().await;
    for i in 0..5 {
        world.save(&format!("f{i}"), short()).await;
    }
    world.delete("f3").await;
    for limit in 1..=9 {
        let (mut ids, mut cursor) = (Vec::new(), None);
        loop {
            let page = world
                .engine
                .funnels("default", cursor.as_deref(), Some(limit))
                .await;
            let page = page.unwrap();
            assert!(page.funnels.len() <= limit);
            ids.extend(page.funnels.into_iter().map(|f| f.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let built_in = linkfunnel_model::built_in_funnels()
            .into_iter()
            .map(|f| f.id);
        let saved = ["f0", "f1", "f2", "f4"].map(str::to_owned);
        let all: Vec<String> = built_in.chain(saved).collect();
        assert_eq!(ids, all, "{limit} a page");
    }
    for (cursor, limit, code) in [
        (Some("A b"), None, "bad_cursor"),
        (None, Some(0), "bad_limit"),
        (None, Some(1_001), "bad_limit"),
    ] {
        let refused = world
            .engine
            .funnels("default", cursor, limit)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), code);
    }
}
