//! Experiments defined, changed and deleted. What is the same for everything saved is shown on funnels, too.

use serde_json::{Value, json};

use super::world::{Reply, World, key, steps};
use crate::keys::Scope;

const MY: &str = "/api/v1/experiments/shorter_consent";

/// Starts a minute after the clock of these tests.
fn content(alpha: f64) -> Value {
    json!({
        "name": "Shorter consent", "description": "one screen less",
        "definition": {
            "unit": "company",
            "variants": [{"name": "control", "weight": 0.5}, {"name": "short", "weight": 0.5}],
            "start": "2026-11-22T12:01:00Z", "end": "2027-01-01", "planned_units": 20_000,
            "funnel": "first_link",
            "primary": [{"name": "First data"}, {"name": "Time to the prompt", "time_to_step": 2, "better": "lower"}],
            "guardrails": [{"name": "Applications", "funnel": "application", "relative_margin": 0.05}],
            "method": {"sequential": {"looks": 5}}, "alpha": alpha, "segments": ["category"]
        }
    })
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut content = content(0.05);
    *content.pointer_mut(pointer).unwrap() = value;
    content
}

impl World {
    async fn put_when(&self, header: (&str, &str), body: &Value) -> Reply {
        let request = World::json("PUT", MY).header(header.0, header.1);
        self.send(request, &body.to_string()).await
    }

    async fn experiments(&self) -> Vec<String> {
        let list = self.get("/api/v1/experiments").await.json();
        let all = list["experiments"].as_array().unwrap().iter();
        all.map(|e| e["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// Numbers of all versions, a deletion's negative.
fn history(experiment: &Value) -> Vec<i64> {
    let versions = experiment["history"].as_array().unwrap().iter();
    let number = |v: &Value| v["version"].as_i64().unwrap();
    versions
        .map(|v| {
            if v["deleted"] == true {
                -number(v)
            } else {
                number(v)
            }
        })
        .collect()
}

#[tokio::test]
async fn an_experiment_is_defined_changed_and_read_with_who_did_it_when() {
    let world = World::new().await;
    assert_eq!(world.experiments().await, [""; 0]);
    let first = world.put(MY, &content(0.05)).await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.header("location"), MY);
    let shown = first.json();
    assert_eq!(shown["id"], "shorter_consent");
    assert_eq!(
        (&shown["name"], &shown["description"], &shown["version"]),
        (
            &json!("Shorter consent"),
            &json!("one screen less"),
            &json!(1)
        )
    );
    assert_eq!(
        (&shown["saved_by"], &shown["saved_at"]),
        (&json!("local"), &json!("2026-11-22T12:00:00Z"))
    );
    assert_eq!(shown["definition"]["timezone"], "UTC", "filled in");
    assert_eq!(shown.get("changes"), None);
    let read = world.get(MY).await;
    assert_eq!((read.status, read.json()), (200, shown.clone()));
    assert_eq!(read.header("etag"), first.header("etag"));
    assert_eq!(read.header("cache-control"), "private, no-cache");

    world.pass(60_000_000); // to the very start
    let second = world.put(MY, &content(0.01)).await;
    assert_eq!((second.status, &second.json()["version"]), (200, &json!(2)));
    assert_ne!(second.header("etag"), first.header("etag"));
    let mut spoken_otherwise = content(0.01);
    spoken_otherwise["definition"]["correction"] = json!("holm");
    let again = world.put(MY, &spoken_otherwise).await;
    assert_eq!((again.status, again.json()), (200, second.json()));
    assert_eq!(again.header("etag"), second.header("etag"));

    let read = world.get(MY).await.json();
    assert_eq!(history(&read), [2, 1]);
    assert_eq!(read["history"][1]["saved_at"], "2026-11-22T12:00:00Z");
    let old = world.get(&format!("{MY}?version=1")).await.json();
    assert_eq!(old["definition"], shown["definition"]);
    for version in ["0", "3"] {
        let path = format!("{MY}?version={version}");
        world.get(&path).await.problem(404, "unknown_version");
    }
    assert_eq!(world.experiments().await, ["shorter_consent"]);
    assert_eq!(
        world.get("/api/v1/funnels/shorter_consent").await.status,
        404,
        "it is no funnel"
    );
}

#[tokio::test]
async fn what_is_changed_after_the_start_is_told_with_who_when_and_what() {
    let world = World::new().await;
    world.put(MY, &content(0.05)).await;
    world.put(MY, &content(0.04)).await;
    world.pass(61_000_000);
    let before = world.get(MY).await;
    assert_eq!(before.json().get("changes"), None, "not yet");
    let mut late = content(0.01);
    late["definition"]["segments"] = json!(["surface"]);
    let told = world.put(MY, &late).await;
    let expected = json!([{
        "funnel": null, "version": 3, "saved_at": "2026-11-22T12:01:01Z", "saved_by": "local",
        "fields": ["alpha", "segments"], "deleted": false
    }]);
    assert_eq!(told.json()["changes"], expected);
    let read = world.get_unless(MY, before.header("etag")).await;
    assert_eq!((read.status, &read.json()["changes"]), (200, &expected));
    let list = world.get("/api/v1/experiments").await.json();
    assert_eq!(list["experiments"][0].get("changes"), None);
    assert_eq!(list["experiments"][0].get("history"), None);
}

#[tokio::test]
async fn a_deleted_experiment_is_gone_and_its_history_is_not() {
    let world = World::new().await;
    world.put(MY, &content(0.05)).await;
    let deleted = world.delete(MY).await;
    let tombstone = json!({"version": 2, "saved_at": "2026-11-22T12:00:00Z", "saved_by": "local", "deleted": true});
    assert_eq!((deleted.status, deleted.json()), (200, tombstone));
    assert_eq!(world.experiments().await, [""; 0]);
    for path in [MY, &format!("{MY}?version=2")] {
        let problem = world.get(path).await.problem(404, "experiment_deleted");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("local deleted the experiment shorter_consent at 2026-11-22T12:00:00Z"),
            "{detail}"
        );
    }
    world.delete(MY).await.problem(404, "experiment_deleted");
    let old = world.get(&format!("{MY}?version=1")).await.json();
    assert_eq!(history(&old), [-2, 1]);
    let back = world.put(MY, &content(0.05)).await;
    assert_eq!((back.status, history(&back.json())), (201, vec![3, -2, 1]));
}

#[tokio::test]
async fn what_cannot_be_saved_is_refused_with_code_and_pointer() {
    let world = World::new().await;
    let strict =
        json!({"steps": steps(), "window": "PT24H", "subject": "company", "order": "strict"});
    let mut unknown = content(0.05);
    unknown["definition"]["metrics"] = json!([]);
    for (body, code, pointer) in [
        (json!({"name": "Mine"}), "missing_field", "/definition"),
        (unknown, "unknown_field", "/definition/metrics"),
        (changed("/name", json!(" ")), "bad_name", "/name"),
        (
            changed("/definition/unit", json!("house")),
            "unknown_value",
            "/definition/unit",
        ),
        (
            changed("/definition/variants/1/weight", json!(0.4)),
            "weights_do_not_sum",
            "/definition/variants",
        ),
        (
            changed("/definition/method", json!({"sequential": {"looks": 1}})),
            "out_of_range",
            "/definition/method",
        ),
        (
            changed("/definition/funnel", json!("lnking")),
            "unknown_funnel",
            "/definition/funnel",
        ),
        (
            changed("/definition/funnel", strict),
            "not_in_experiments",
            "/definition/funnel/order",
        ),
        (
            changed("/definition/primary/1/time_to_step", json!(99)),
            "unknown_step",
            "/definition/primary/1/time_to_step",
        ),
        (json!([]), "wrong_type", ""),
    ] {
        let problem = world.put(MY, &body).await.problem(422, code);
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    for (field, value, code) in [
        ("start", "yesterday", "bad_time"),
        ("timezone", "Paris", "unknown_timezone"),
    ] {
        let mut body = content(0.05);
        body["definition"][field] = json!(value);
        let problem = world.put(MY, &body).await.problem(400, code);
        assert_eq!(problem["pointer"], format!("/definition/{field}"));
    }
    for id in ["My", "a.b", "%20", &"x".repeat(65)] {
        let path = format!("/api/v1/experiments/{id}");
        let problem = world
            .put(&path, &content(0.05))
            .await
            .problem(422, "bad_id");
        assert_eq!(problem["pointer"], "/id", "{id}");
        world.delete(&path).await.problem(404, "unknown_experiment");
    }
    world.get(MY).await.problem(404, "unknown_experiment");
    assert_eq!(world.experiments().await, [""; 0], "nothing was saved");
}

#[tokio::test]
async fn conditions_are_honoured_and_a_refused_change_changes_nothing() {
    let world = World::new().await;
    let put = async |header: (&str, &str), alpha| world.put_when(header, &content(alpha)).await;
    let refused = |reply: Reply| reply.problem(412, "precondition_failed");
    let problem = refused(put(("if-match", "*"), 0.01).await);
    assert_eq!(
        problem["detail"],
        "there is no experiment shorter_consent, which is not what If-Match or If-None-Match asks for"
    );
    let first = put(("if-none-match", "*"), 0.01).await;
    assert_eq!(first.status, 201, "{}", first.text());
    refused(put(("if-none-match", "*"), 0.02).await);
    let second = put(("if-match", first.header("etag")), 0.02).await;
    assert_eq!((second.status, &second.json()["version"]), (200, &json!(2)));
    refused(put(("if-match", first.header("etag")), 0.03).await);
    put(("if-match", "no quotes"), 0.03)
        .await
        .problem(400, "bad_precondition");
    let read = world.get_unless(MY, second.header("etag")).await;
    assert_eq!((read.status, read.body.len()), (304, 0));
    assert_eq!(
        world.get_unless(MY, first.header("etag")).await.json()["version"],
        2
    );
    let delete = |tag: &str| World::request("DELETE", MY).header("if-match", tag);
    refused(world.send(delete(first.header("etag")), "").await);
    let deleted = world.send(delete(second.header("etag")), "").await;
    assert_eq!(deleted.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_that_change_one_version_one_does_and_the_other_is_told() {
    let world = World::new().await;
    let other = world.beside().await;
    let mut tag = world.put(MY, &content(0.4)).await.header("etag").to_owned();
    for round in 1..10 {
        let share = f64::from(round) / 100.0;
        let (a, b) = futures::future::join(
            world.put_when(("if-match", &tag), &content(share)),
            other.put_when(("if-match", &tag), &content(share + 0.001)),
        )
        .await;
        let (won, lost) = if a.status == 200 { (a, b) } else { (b, a) };
        assert_eq!(won.status, 200, "{}", won.text());
        lost.problem(412, "precondition_failed");
        assert_eq!(won.json()["version"], round + 1);
        tag = won.header("etag").to_owned();
    }
}

#[tokio::test]
async fn saving_takes_the_scope_manage_and_writes_down_the_keys_name() {
    let world = World::with_keys(&[
        key("reader", "r", "acme", &[Scope::Read]),
        key("keeper", "k", "acme", &[Scope::Manage]),
    ])
    .await;
    let body = content(0.05).to_string();
    for method in ["PUT", "DELETE"] {
        let reply = world.send(World::keyed(method, MY, "r"), &body).await;
        reply.problem(403, "scope_missing");
    }
    let saved = world.send(World::keyed("PUT", MY, "k"), &body).await;
    assert_eq!(
        (saved.status, &saved.json()["saved_by"]),
        (201, &json!("keeper"))
    );
    for path in [MY, "/api/v1/experiments"] {
        let refused = world.send(World::keyed("GET", path, "k"), "").await;
        refused.problem(403, "scope_missing");
        let read = world.send(World::keyed("GET", path, "r"), "").await;
        assert_eq!(read.status, 200);
    }
    world.get(MY).await.problem(401, "key_missing");
}

#[tokio::test]
async fn another_tenant_sees_nothing_of_an_experiment_by_any_route() {
    let all = [Scope::Read, Scope::Manage];
    let world = World::with_keys(&[key("a", "a", "acme", &all), key("b", "b", "Acme", &all)]).await;
    let mut secret = content(0.05);
    secret["name"] = json!("the secret experiment");
    let saved = world
        .send(World::keyed("PUT", MY, "a"), &secret.to_string())
        .await;
    assert_eq!(saved.status, 201);
    let version = format!("{MY}?version=1");
    for (method, path) in [("GET", MY), ("GET", &version), ("DELETE", MY)] {
        let request = World::keyed(method, path, "b").header("if-none-match", saved.header("etag"));
        let reply = world.send(request, "").await;
        let problem = reply.problem(404, "unknown_experiment");
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
    let list = world.send(World::keyed("GET", "/api/v1/experiments", "b"), "");
    assert_eq!(list.await.json()["experiments"], json!([]));
    let theirs = content(0.01).to_string();
    let theirs = world.send(World::keyed("PUT", MY, "b"), &theirs).await;
    assert_eq!((theirs.status, &theirs.json()["version"]), (201, &json!(1)));
    let mine = world.send(World::keyed("GET", MY, "a"), "").await;
    assert_eq!(mine.json()["name"], "the secret experiment");

    // a funnel of one tenant is none of the other's
    let funnel = json!({"name": "F", "definition": {"steps": steps(), "window": "PT24H", "subject": "company"}});
    let path = "/api/v1/funnels/hidden";
    world
        .send(World::keyed("PUT", path, "a"), &funnel.to_string())
        .await;
    let names_it = changed("/definition/funnel", json!("hidden")).to_string();
    for (secret, status) in [("a", 200), ("b", 422)] {
        let reply = world.send(World::keyed("PUT", MY, secret), &names_it).await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
}

#[tokio::test]
async fn lists_of_experiments_come_in_pages() {
    let world = World::new().await;
    for i in [3, 0, 2, 1] {
        let path = format!("/api/v1/experiments/e{i}");
        assert_eq!(world.put(&path, &content(0.05)).await.status, 201);
    }
    world.delete("/api/v1/experiments/e2").await;
    for limit in 1..=4 {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/experiments?limit={limit}{cursor}");
            let page = world.get(&path).await.json();
            let experiments = page["experiments"].as_array().unwrap();
            assert!(experiments.len() <= limit);
            ids.extend(experiments.iter().map(|e| e["id"].clone()));
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(ids, ["e0", "e1", "e3"], "{limit} a page");
    }
    for (query, status, code) in [
        ("limit=0", 422, "bad_limit"),
        ("limit=1001", 422, "bad_limit"),
        ("cursor=A", 400, "bad_cursor"),
        ("page=2", 422, "unknown_field"),
    ] {
        let path = format!("/api/v1/experiments?{query}");
        world.get(&path).await.problem(status, code);
    }
}

#[tokio::test]
async fn the_example_of_the_readme_can_be_saved_as_it_stands() {
    let readme = include_str!("../../../../README.md");
    let (_, example) = readme
        .split_once("curl -s -X PUT localhost:8080/api/v1/experiments/")
        .unwrap();
    let (id, rest) = example.split_once(' ').unwrap();
    let body = rest.split('\'').nth(3).unwrap(); // after the one of the header
    let body: Value = serde_json::from_str(body).unwrap();
    let world = World::new().await;
    let saved = world.put(&format!("/api/v1/experiments/{id}"), &body).await;
    assert_eq!(saved.status, 201, "{}", saved.text());
    assert_eq!(saved.json()["definition"]["planned_units"], 24_000);
}
