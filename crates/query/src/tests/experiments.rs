//! Experiments by their id: what it means now, what was changed after the start, and what cannot be measured.

use linkfunnel_model::{ExperimentContent, SavedId};
use linkfunnel_store::{Location, SavedKind, Store, StoreOptions};
use serde_json::{Value, json};

use super::{SECOND, World, merge, short, short_with};
use crate::{Error, ExperimentChange, NamedExperiment, Saved};

/// When the experiments here start: ten seconds after the world's clock.
const START: &str = "2026-10-01T00:00:10Z";

fn definition(change: Value) -> Value {
    let mut definition = json!({
        "unit": "company",
        "variants": [{"name": "a", "weight": 0.5}, {"name": "b", "weight": 0.5}],
        "start": START, "funnel": "linking", "primary": [{"name": "Linked"}]
    });
    merge(&mut definition, change);
    definition
}

impl World {
    /// Seconds after the clock's beginning.
    fn at_second(&self, second: i64) {
        let now = super::T0 + 30 * super::DAY + second * SECOND;
        self.now.store(now, std::sync::atomic::Ordering::Relaxed);
    }

    async fn try_set_up(&self, name: &str, change: Value) -> Result<u32, Error> {
        let content = json!({"name": name, "definition": definition(change)});
        let content: ExperimentContent = serde_json::from_value(content).unwrap();
        let engine = &self.engine;
        let saved = engine.save_experiment(&self.tenant, "test", "ann", &content, &|_| true);
        Ok(saved.await?.1.value.version)
    }

    /// Defines the experiment `test`.
    async fn set_up(&self, change: Value) -> u32 {
        self.try_set_up("Test", change).await.unwrap()
    }

    async fn take_down(&self) {
        let engine = &self.engine;
        let deleted = engine.delete_experiment(&self.tenant, "test", "bob", &|_| true);
        deleted.await.unwrap();
    }

    async fn keep_funnel(&self, id: &str, name: &str, definition: Value) {
        let content =
            serde_json::from_value(json!({"name": name, "definition": definition})).unwrap();
        let engine = &self.engine;
        let saved = engine.save_funnel(&self.tenant, id, "cat", &content, &|_| true);
        saved.await.unwrap();
    }

    async fn drop_funnel(&self, id: &str) {
        let engine = &self.engine;
        let deleted = engine.delete_funnel(&self.tenant, id, "dan", &|_| true);
        deleted.await.unwrap();
    }

    async fn meant(&self) -> NamedExperiment {
        let named = self.engine.experiment_named(&self.tenant, "test").await;
        named.unwrap()
    }

    /// What was changed after the start, as `FUNNEL VERSION BY fields`.
    async fn changed(&self) -> Vec<String> {
        self.meant().await.changes.iter().map(told).collect()
    }

    /// Status, code and pointer of a definition that is refused.
    async fn refused_set_up(&self, change: Value) -> (u16, String, String) {
        let error = self.try_set_up("Test", change).await.unwrap_err();
        let (code, pointer) = (error.code().to_owned(), error.pointer().to_owned());
        (error.status(), code, pointer)
    }
}

fn told(change: &ExperimentChange) -> String {
    let of = change.funnel.as_ref();
    let of = of.map_or(String::new(), |id| format!("{id} "));
    let what = if change.deleted {
        "deleted".to_owned()
    } else {
        change.fields.join(" ")
    };
    format!("{of}{} {} {what}", change.version, change.saved_by)
}

#[tokio::test]
async fn only_what_changed_the_definition_after_its_start_is_a_change_newest_first() {
    let world = World::new().await;
    world.set_up(json!({})).await;
    world.at_second(9);
    world.set_up(json!({"alpha": 0.02})).await;
    world.at_second(10);
    world.set_up(json!({"alpha": 0.03})).await;
    assert_eq!(world.changed().await, [""; 0], "at the start, not after it");
    world.at_second(11);
    let both = json!({"alpha": 0.01, "method": {"continuous": {}}});
    assert_eq!(world.set_up(both.clone()).await, 4);
    world.at_second(12);
    assert_eq!(world.try_set_up("Renamed", both.clone()).await.unwrap(), 5);
    assert_eq!(world.changed().await, ["4 ann alpha method"]);
    world.at_second(13);
    world.take_down().await;
    world.at_second(14);
    let mut control = both;
    control["control"] = json!("b");
    assert_eq!(world.set_up(control).await, 7);
    assert_eq!(
        world.changed().await,
        ["7 ann control", "6 bob deleted", "4 ann alpha method"],
        "what is saved after the deletion is compared with what stood before it"
    );
    let meant = world.meant().await;
    assert_eq!((meant.version, meant.content.name.as_str()), (7, "Test"));
    assert_eq!(meant.content.definition.control(), "b");
    assert_eq!(
        meant.checked.start_us,
        super::T0 + 30 * super::DAY + 10 * SECOND
    );
    let at: Vec<&str> = meant.changes.iter().map(|c| c.saved_at.as_str()).collect();
    assert_eq!(
        at,
        [
            "2026-10-01T00:00:14Z",
            "2026-10-01T00:00:13Z",
            "2026-10-01T00:00:11Z"
        ]
    );
    let shown = world.engine.experiment("default", "test", None).await;
    assert_eq!(shown.unwrap().value.changes, meant.changes);
}

#[tokio::test]
async fn the_start_that_counts_is_the_one_the_definition_has_now() {
    let world = World::new().await;
    world.set_up(json!({})).await;
    world.at_second(15);
    world.set_up(json!({"start": "2026-10-01T00:00:20Z"})).await;
    assert_eq!(world.changed().await, [""; 0], "it has not started yet");
    world.at_second(16);
    world.set_up(json!({"start": "2026-10-01T00:00:05Z"})).await;
    assert_eq!(world.changed().await, ["3 ann start", "2 ann start"]);
}

#[tokio::test]
async fn of_an_experiment_that_is_defined_after_its_start_all_came_later() {
    let world = World::new().await;
    world.at_second(11);
    world.set_up(json!({})).await;
    let all = "alpha correction funnel in_two_variants method primary start timezone unit variants";
    assert_eq!(world.changed().await, [format!("1 ann {all}")]);
}

#[tokio::test]
async fn a_saved_funnel_that_the_definition_names_is_watched_too() {
    let world = World::new().await;
    for id in ["mine", "second", "third", "unnamed"] {
        world.keep_funnel(id, id, short()).await;
    }
    let named = json!({
        "funnel": "mine",
        "primary": [{"name": "p", "funnel": "second"}, {"name": "q", "funnel": "mine"}],
        "guardrails": [{"name": "g", "funnel": "third", "margin": 0.1}]
    });
    world.set_up(named).await;
    world.at_second(11);
    let wider = || short_with(json!({"window": "P3D"}));
    world.keep_funnel("mine", "mine", wider()).await;
    world.keep_funnel("mine", "renamed", wider()).await;
    world.keep_funnel("unnamed", "unnamed", wider()).await;
    world.at_second(12);
    world.drop_funnel("third").await;
    world.at_second(13);
    world.keep_funnel("second", "second", wider()).await;
    assert_eq!(
        world.changed().await,
        [
            "second 2 cat window",
            "third 2 dan deleted",
            "mine 2 cat window"
        ]
    );
    let shown = world.engine.experiment("default", "test", None).await;
    assert_eq!(
        shown.unwrap().value.changes,
        [],
        "its own tag does not tell of funnels"
    );
    world.keep_funnel("late", "late", short()).await;
    world.set_up(json!({"funnel": "late"})).await;
    assert_eq!(
        world.changed().await,
        ["2 ann funnel guardrails primary"],
        "the first version of a funnel changed none"
    );
}

#[tokio::test]
async fn an_unknown_or_deleted_experiment_is_told_which_there_are() {
    let mut world = World::new().await;
    let named = async |world: &World, id: &str| {
        let error = world
            .engine
            .experiment_named(&world.tenant, id)
            .await
            .unwrap_err();
        (error.status(), error.code(), error.to_string())
    };
    let none = "no experiment is called \"test\"; none is saved".to_owned();
    assert_eq!(
        named(&world, "test").await,
        (404, "unknown_experiment", none.clone())
    );
    world.set_up(json!({})).await;
    let near = "no experiment is called \"tets\"; did you mean test? There are test".to_owned();
    assert_eq!(
        named(&world, "tets").await,
        (404, "unknown_experiment", near)
    );
    world.take_down().await;
    let (status, code, detail) = named(&world, "test").await;
    assert_eq!((status, code), (404, "experiment_deleted"));
    assert!(
        detail.starts_with("bob deleted the experiment test at 2026-10-01"),
        "{detail}"
    );
    world.tenant = "bolt".into();
    assert_eq!(
        named(&world, "test").await,
        (404, "unknown_experiment", none)
    );
}

#[tokio::test]
async fn a_definition_of_a_newer_program_is_shown_and_not_guessed_at() {
    let world = World::new().await;
    let newer = json!({"name": "New", "definition": definition(json!({"from_the_future": 1}))});
    let id = SavedId::parse("test").unwrap();
    let shelf = world.store.shelf(SavedKind::Experiment, "default");
    shelf
        .save(&id, None, "ann", Some(newer.clone()))
        .await
        .unwrap();
    let refused = world.engine.experiment_named("default", "test").await;
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.status(), refused.code()),
        (422, "experiment_not_understood")
    );
    let shown = world.engine.experiment("default", "test", None).await;
    let shown = shown.unwrap().value;
    assert_eq!(
        (&shown.definition, shown.changes.len()),
        (&newer["definition"], 0)
    );
    assert_eq!(world.set_up(json!({})).await, 2, "and can be replaced");
}

#[tokio::test]
async fn what_the_named_funnels_cannot_show_is_refused_at_once_with_the_culprit() {
    let world = World::new().await;
    world.keep_funnel("mine", "mine", short()).await; // three steps
    let strict = short_with(json!({"order": "strict"}));
    world.keep_funnel("strict", "strict", strict).await;
    let best = short_with(json!({"entries": "best"}));
    world.keep_funnel("best", "best", best).await;
    world.keep_funnel("gone", "gone", short()).await;
    world.drop_funnel("gone").await;
    let newer = json!({"name": "F", "definition": short_with(json!({"from_the_future": 1}))});
    let id = SavedId::parse("future").unwrap();
    let shelf = world.store.shelf(SavedKind::Funnel, "default");
    shelf.save(&id, None, "ann", Some(newer)).await.unwrap();

    let primary = |metric: Value| json!({"funnel": "mine", "primary": [{"name": "first"}, metric]});
    let guardrail = |metric: Value| json!({"funnel": "mine", "guardrails": [metric]});
    for (change, code, pointer) in [
        (json!({"funnel": "lnking"}), "unknown_funnel", "/funnel"),
        (json!({"funnel": "../mine"}), "unknown_funnel", "/funnel"),
        (json!({"funnel": "gone"}), "funnel_deleted", "/funnel"),
        (
            json!({"funnel": "future"}),
            "funnel_not_understood",
            "/funnel",
        ),
        (json!({"funnel": "strict"}), "not_in_experiments", "/funnel"),
        (json!({"funnel": "best"}), "not_in_experiments", "/funnel"),
        (
            json!({"unit": "journey", "funnel": "first_link"}),
            "coarser_subject",
            "/funnel",
        ),
        (
            primary(json!({"name": "m", "step": 4})),
            "unknown_step",
            "/primary/1/step",
        ),
        (
            primary(json!({"name": "m", "step": 0})),
            "unknown_step",
            "/primary/1/step",
        ),
        (
            primary(json!({"name": "m", "time_to_step": 4})),
            "unknown_step",
            "/primary/1/time_to_step",
        ),
        (
            primary(json!({"name": "m", "time_to_step": 2})), // of journeys, not of the company
            "finer_subject",
            "/primary/1/time_to_step",
        ),
        (
            primary(json!({"name": "m", "funnel": "strict"})),
            "not_in_experiments",
            "/primary/1/funnel",
        ),
        (
            primary(json!({"name": "m", "funnel": "nope"})),
            "unknown_funnel",
            "/primary/1/funnel",
        ),
        (
            guardrail(json!({"name": "g", "margin": 0.1, "step": 4})),
            "unknown_step",
            "/guardrails/0/step",
        ),
        (
            guardrail(json!({"name": "g", "margin": 0.1, "funnel": "gone"})),
            "funnel_deleted",
            "/guardrails/0/funnel",
        ),
        (
            json!({"funnel": short(), "primary": [{"name": "m", "step": 4}]}),
            "unknown_step",
            "/primary/0/step",
        ),
    ] {
        let refused = world.refused_set_up(change.clone()).await;
        let expected = (422, code.to_owned(), format!("/definition{pointer}"));
        assert_eq!(refused, expected, "{change}");
    }
    let listed = world.engine.experiments("default", None, None).await;
    assert_eq!(listed.unwrap().experiments, [], "nothing was saved");

    let steps = [1, 2, 3].map(|step| json!({"name": format!("s{step}"), "step": step}));
    world
        .set_up(json!({"funnel": "mine", "primary": steps}))
        .await;
    let step = json!({"name": "long", "funnel": "linking", "step": 4});
    world.set_up(primary(step)).await; // of its own funnel, not of the experiment's
}

#[tokio::test]
async fn a_funnel_that_another_process_just_saved_is_there() {
    let world = World::new().await;
    world.set_up(json!({})).await; // the list of funnels was read
    let location = Location::parse(world._dir.path().to_str().unwrap()).unwrap();
    let clock: linkfunnel_model::Clock = std::sync::Arc::new(|| super::T0);
    let other = Store::open(&location, StoreOptions::default(), clock)
        .await
        .unwrap();
    let content = json!({"name": "Mine", "definition": short()});
    let shelf = other.shelf(SavedKind::Funnel, "default");
    let id = SavedId::parse("mine").unwrap();
    shelf.save(&id, None, "ann", Some(content)).await.unwrap();
    assert_eq!(world.set_up(json!({"funnel": "mine"})).await, 2);
}

#[tokio::test]
async fn a_funnel_and_an_experiment_of_one_id_are_apart() {
    let world = World::new().await;
    world.keep_funnel("test", "A funnel", short()).await;
    world.set_up(json!({})).await;
    let content: ExperimentContent =
        serde_json::from_value(json!({"name": "Test", "definition": definition(json!({}))}))
            .unwrap();
    let again = world
        .engine
        .save_experiment("default", "test", "eve", &content, &|_| true);
    assert_eq!(again.await.unwrap().0, Saved::Unchanged);
    world.drop_funnel("test").await;
    assert_eq!(world.meant().await.content.name, "Test");
    let funnel = world.engine.funnel_by_id("default", "test", Some(1)).await;
    assert_eq!(funnel.unwrap().value.name, "A funnel");
}
