//! Funnels saved, changed, deleted and asked by their id.

use serde_json::{Value, json};

use super::world::{Reply, World, event_at, key, range, steps};
use crate::keys::Scope;

const MY: &str = "/api/v1/funnels/my";

fn definition(window: &str) -> Value {
    json!({"steps": steps(), "window": window, "subject": "journey"})
}

fn content(window: &str) -> Value {
    json!({"name": "Mine", "description": "what we look at", "definition": definition(window)})
}

impl World {
    async fn put_if(&self, header: (&str, &str), body: &Value) -> Reply {
        let request = World::json("PUT", MY).header(header.0, header.1);
        self.send(request, &body.to_string()).await
    }

    async fn ask(&self, fields: Value) -> Reply {
        let mut question = json!({"funnel": "my", "range": range()});
        for (name, value) in fields.as_object().unwrap() {
            question[name] = value.clone();
        }
        self.post("/api/v1/funnels/query", &question.to_string())
            .await
    }

    async fn ids(&self) -> Vec<String> {
        let list = self.get("/api/v1/funnels").await.json();
        let all = list["funnels"].as_array().unwrap().iter();
        let saved = all.filter(|f| f["built_in"] == false);
        saved
            .map(|f| f["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// `version by deleted` of each version.
fn history(funnel: &Value) -> Vec<String> {
    let versions = funnel["history"].as_array().unwrap().iter();
    versions
        .map(|v| {
            format!(
                "{} {} {}",
                v["version"],
                v["saved_by"].as_str().unwrap(),
                v["deleted"]
            )
        })
        .collect()
}

#[tokio::test]
async fn a_funnel_is_saved_changed_and_read_with_who_did_it_when() {
    let world = World::new().await;
    let first = world.put(MY, &content("PT24H")).await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.header("location"), MY);
    let shown = first.json();
    assert_eq!(shown["id"], "my");
    assert_eq!(
        (&shown["name"], &shown["description"]),
        (&json!("Mine"), &json!("what we look at"))
    );
    assert_eq!(
        (&shown["version"], &shown["built_in"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(
        (&shown["saved_by"], &shown["saved_at"]),
        (&json!("local"), &json!("2026-11-22T12:00:00Z"))
    );
    assert_eq!(shown["definition"]["window"], "P1D");
    let read = world.get(MY).await;
    assert_eq!((read.status, read.json()), (200, shown.clone()));
    assert_eq!(read.header("etag"), first.header("etag"));
    assert_eq!(read.header("cache-control"), "private, no-cache");
    assert!(
        read.header("vary").contains("authorization"),
        "{}",
        read.header("vary")
    );

    world.pass(60_000_000);
    let second = world.put(MY, &content("PT2H")).await;
    assert_eq!((second.status, &second.json()["version"]), (200, &json!(2)));
    assert_ne!(second.header("etag"), first.header("etag"));
    let again = world.put(MY, &content("PT2H")).await;
    assert_eq!(
        (again.status, again.json()),
        (200, second.json()),
        "no new version"
    );
    assert_eq!(again.header("etag"), second.header("etag"));
    let mut spoken_otherwise = content("PT120M");
    spoken_otherwise["definition"]["order"] = json!("ordered");
    let again = world.put(MY, &spoken_otherwise).await;
    assert_eq!(
        again.json()["version"],
        2,
        "the same with a default written out"
    );

    let read = world.get(MY).await.json();
    assert_eq!(read["saved_at"], "2026-11-22T12:01:00Z");
    assert_eq!(history(&read), ["2 local false", "1 local false"]);
    assert_eq!(read["history"][1]["saved_at"], "2026-11-22T12:00:00Z");
    let old = world.get("/api/v1/funnels/my?version=1").await;
    assert_eq!(old.json()["definition"], shown["definition"]);
    assert_eq!(history(&old.json()), history(&read));
    let newest = world.get("/api/v1/funnels/my?version=2").await;
    assert_eq!(
        (newest.json(), newest.header("etag")),
        (read, second.header("etag"))
    );
    for version in ["0", "3"] {
        let path = format!("{MY}?version={version}");
        world.get(&path).await.problem(404, "unknown_version");
    }
    world
        .get("/api/v1/funnels/linking?version=1")
        .await
        .problem(404, "unknown_version");
    assert_eq!(world.ids().await, ["my"]);
}

#[tokio::test]
async fn a_deleted_funnel_is_gone_from_lists_and_questions_and_its_history_is_not() {
    let world = World::new().await;
    world.put(MY, &content("PT24H")).await;
    let number = world.ask(json!({})).await.json();
    let deleted = world.delete(MY).await;
    let tombstone = json!({"version": 2, "saved_at": "2026-11-22T12:00:00Z", "saved_by": "local", "deleted": true});
    assert_eq!((deleted.status, deleted.json()), (200, tombstone));
    assert_eq!(world.ids().await, [""; 0]);
    let problem = world.ask(json!({})).await.problem(404, "funnel_deleted");
    assert_eq!(problem["pointer"], "/funnel");
    let list = json!({"funnel": "my", "range": range()}).to_string();
    world
        .post("/api/v1/funnels/subjects", &list)
        .await
        .problem(404, "funnel_deleted");
    for path in [
        MY,
        "/api/v1/funnels/my/result",
        "/api/v1/funnels/my?version=2",
    ] {
        let problem = world.get(path).await.problem(404, "funnel_deleted");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("local deleted the funnel my at 2026-11-22T12:00:00Z"),
            "{problem}"
        );
        assert_eq!(problem.get("pointer"), None, "{path}");
    }
    world.delete(MY).await.problem(404, "funnel_deleted");
    let old = world.get("/api/v1/funnels/my?version=1").await.json();
    assert_eq!(history(&old), ["2 local true", "1 local false"]);
    let as_of = world
        .ask(json!({"as_of": number["meta"]["snapshot"]}))
        .await;
    assert_eq!(
        as_of.json()["query"]["funnel_version"],
        1,
        "the number of then can be asked again"
    );

    let back = world.put(MY, &content("PT24H")).await;
    assert_eq!((back.status, &back.json()["version"]), (201, &json!(3)));
    assert_eq!(
        history(&back.json()),
        ["3 local false", "2 local true", "1 local false"]
    );
    assert_eq!(
        world.ask(json!({})).await.json()["query"]["funnel_version"],
        3
    );
}

#[tokio::test]
async fn the_list_behind_a_number_keeps_the_definition_of_the_number() {
    let world = World::new().await;
    let events = json!([
        event_at("1", "journey.started", "j-1", "2026-11-20T09:00:00Z"),
        event_at("2", "provider.selected", "j-1", "2026-11-20T09:01:00Z"),
        event_at("3", "connection.linked", "j-1", "2026-11-20T12:00:00Z"),
        event_at("4", "journey.started", "j-2", "2026-11-20T09:00:00Z"),
    ]);
    world.post("/api/v1/events", &events.to_string()).await;
    world.wait_for("events", 4).await;
    world.put(MY, &content("PT24H")).await;
    let answer = world.ask(json!({})).await.json();
    assert_eq!(answer["total"]["converted"], 1, "{answer}");
    assert_eq!(
        (
            &answer["query"]["funnel_id"],
            &answer["query"]["funnel_version"]
        ),
        (&json!("my"), &json!(1))
    );
    world.put(MY, &content("PT1H")).await;
    let after = world.ask(json!({})).await.json();
    assert_eq!(
        (
            &after["total"]["converted"],
            &after["query"]["funnel_version"]
        ),
        (&json!(0), &json!(2))
    );
    for (answer, converted) in [(answer, 1), (after, 0)] {
        let list = json!({"funnel": "my", "range": range(), "show": "converted", "as_of": answer["meta"]["snapshot"]});
        let page = world
            .post("/api/v1/funnels/subjects", &list.to_string())
            .await
            .json();
        assert_eq!(page["count"], converted, "{page}");
        assert_eq!(page["subjects"].as_array().unwrap().len(), converted);
    }
}

#[tokio::test]
async fn what_cannot_be_saved_is_refused_with_code_and_pointer() {
    let world = World::new().await;
    let with = |pointer: &str, value: Value| {
        let mut content = content("PT24H");
        *content.pointer_mut(pointer).unwrap() = value;
        content
    };
    let mut unknown = content("PT24H");
    unknown["definition"]["stepz"] = json!(1);
    let mut owner = content("PT24H");
    owner["owner"] = json!("x");
    for (body, code, pointer) in [
        (json!({"name": "Mine"}), "missing_field", "/definition"),
        (owner, "unknown_field", "/owner"),
        (unknown, "unknown_field", "/definition/stepz"),
        (with("/name", json!(" ")), "bad_name", "/name"),
        (with("/name", json!("x".repeat(101))), "bad_name", "/name"),
        (
            with("/description", json!("x".repeat(1_001))),
            "limit_exceeded",
            "/description",
        ),
        (
            with("/definition/window", json!("P1M")),
            "invalid_value",
            "/definition/window",
        ),
        (
            with("/definition/steps", json!([])),
            "too_few_steps",
            "/definition/steps",
        ),
        (
            with("/definition/steps/1/event", json!("journey.begun")),
            "unknown_event",
            "/definition/steps/1/event",
        ),
        (json!([]), "wrong_type", ""),
    ] {
        let problem = world.put(MY, &body).await.problem(422, code);
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    let values: Vec<String> = (0..1_000).map(|i| format!("{i:0>70}")).collect();
    let condition = json!([{"field": "integration", "op": "in", "value": values}]);
    let mut large = content("PT24H");
    large["definition"]["steps"][0]["where"] = condition;
    let problem = world.put(MY, &large).await.problem(422, "limit_exceeded");
    assert_eq!(problem["detail"], "at most 65536 bytes are kept");
    for id in ["My", "a.b", "%20", "%2e%2e%2fx", &"x".repeat(65)] {
        let path = format!("/api/v1/funnels/{id}");
        let problem = world
            .put(&path, &content("PT24H"))
            .await
            .problem(422, "bad_id");
        assert_eq!(problem["pointer"], "/id", "{id}");
        world.delete(&path).await.problem(404, "unknown_funnel");
    }
    world
        .put("/api/v1/funnels/query", &content("PT24H"))
        .await
        .problem(405, "method_not_allowed");
    let plain = World::request("PUT", MY).header("content-type", "text/plain");
    world
        .send(plain, "{}")
        .await
        .problem(415, "unsupported_media_type");
    assert_eq!(world.ids().await, [""; 0], "nothing was saved");
}

#[tokio::test]
async fn built_in_funnels_stay_as_they_are() {
    let world = World::new().await;
    for id in ["linking", "first_link"] {
        let path = format!("/api/v1/funnels/{id}");
        let before = world.get(&path).await;
        world
            .put(&path, &content("PT24H"))
            .await
            .problem(409, "built_in_funnel");
        world.delete(&path).await.problem(409, "built_in_funnel");
        let after = world.get(&path).await;
        assert_eq!(after.json(), before.json());
        assert_eq!(
            (&after.json()["version"], &after.json()["built_in"]),
            (&Value::Null, &json!(true))
        );
        let tag = before.header("etag");
        assert_eq!(world.get_unless(&path, tag).await.status, 304);
        assert_eq!(world.get_unless(&path, "\"b-0\"").await.status, 200);
    }
}

#[tokio::test]
async fn conditions_are_honoured_and_a_refused_change_changes_nothing() {
    let world = World::new().await;
    let put =
        async |header: (&str, &str), window: &str| world.put_if(header, &content(window)).await;
    put(("if-match", "*"), "PT1H")
        .await
        .problem(412, "precondition_failed");
    put(("if-match", "\"1-0\""), "PT1H")
        .await
        .problem(412, "precondition_failed");
    let first = put(("if-none-match", "*"), "PT1H").await;
    assert_eq!(first.status, 201, "{}", first.text());
    let first = first.header("etag").to_owned();
    let problem = put(("if-none-match", "*"), "PT2H")
        .await
        .problem(412, "precondition_failed");
    assert_eq!(
        problem["detail"],
        "my stands at version 1, which is not what If-Match or If-None-Match asks for"
    );
    put(("if-none-match", &first), "PT2H")
        .await
        .problem(412, "precondition_failed");
    put(("if-match", &format!("W/{first}")), "PT2H")
        .await
        .problem(412, "precondition_failed");
    let second = put(("if-match", &format!("\"x\", {first}")), "PT2H").await;
    assert_eq!((second.status, &second.json()["version"]), (200, &json!(2)));
    put(("if-match", &first), "PT3H")
        .await
        .problem(412, "precondition_failed");
    put(("if-match", &first), "PT2H")
        .await
        .problem(412, "precondition_failed");
    put(("if-match", "no quotes"), "PT3H")
        .await
        .problem(400, "bad_precondition");
    put(("if-none-match", "no quotes"), "PT3H")
        .await
        .problem(400, "bad_precondition");

    let read = world.get_unless(MY, second.header("etag")).await;
    assert_eq!((read.status, read.body.len()), (304, 0));
    assert_eq!(read.header("etag"), second.header("etag"));
    assert_eq!(world.get_unless(MY, &first).await.json()["version"], 2);
    let old = world.get("/api/v1/funnels/my?version=1").await;
    let again = world
        .get_unless("/api/v1/funnels/my?version=1", old.header("etag"))
        .await;
    assert_eq!(again.status, 304);

    let delete = async |tag: &str| {
        world
            .send(World::request("DELETE", MY).header("if-match", tag), "")
            .await
    };
    delete(&first).await.problem(412, "precondition_failed");
    assert_eq!(delete(second.header("etag")).await.status, 200);
    put(("if-match", second.header("etag")), "PT3H")
        .await
        .problem(412, "precondition_failed");
    let back = put(("if-none-match", "*"), "PT3H").await;
    assert_eq!((back.status, &back.json()["version"]), (201, &json!(4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_that_change_one_version_one_does_and_the_other_is_told() {
    let world = World::new().await;
    let other = world.beside().await;
    let mut tag = world
        .put(MY, &content("PT1H"))
        .await
        .header("etag")
        .to_owned();
    for round in 0..20 {
        let (a, b) = (
            content(&format!("PT{round}M")),
            content(&format!("PT{round}S")),
        );
        let (a, b) = futures::future::join(
            world.put_if(("if-match", &tag), &a),
            other.put_if(("if-match", &tag), &b),
        )
        .await;
        let (won, lost) = if a.status == 200 { (a, b) } else { (b, a) };
        assert_eq!(won.status, 200, "{}", won.text());
        if round > 0 {
            lost.problem(412, "precondition_failed"); // in round 0 both are zero
        }
        assert_eq!(won.json()["version"], round + 2);
        tag = won.header("etag").to_owned();
        assert_eq!(
            world
                .put_if(("if-match", &tag), &won.json_content())
                .await
                .status,
            200
        );
    }
}

impl Reply {
    /// What was shown, as it would be saved.
    fn json_content(&self) -> Value {
        let shown = self.json();
        json!({"name": shown["name"], "description": shown["description"], "definition": shown["definition"]})
    }
}

#[tokio::test]
async fn another_server_sees_a_save_within_two_seconds_and_its_own_at_once() {
    let world = World::new().await;
    let other = world.beside().await;
    assert_eq!(other.ids().await, [""; 0]);
    world.put(MY, &content("PT1H")).await;
    assert_eq!(world.ids().await, ["my"]);
    assert_eq!(world.ask(json!({})).await.status, 200);
    world.pass(2_000_001);
    assert_eq!(other.ids().await, ["my"]);
    assert_eq!(other.ask(json!({})).await.status, 200);
    assert_eq!(other.delete(MY).await.status, 200);
    other.ask(json!({})).await.problem(404, "funnel_deleted");
    world.pass(2_000_001);
    world.ask(json!({})).await.problem(404, "funnel_deleted");
}

#[tokio::test]
async fn saving_takes_the_scope_manage_and_writes_down_the_keys_name() {
    let world = World::with_keys(&[
        key("reader", "r", "acme", &[Scope::Read]),
        key(
            "all but manage",
            "x",
            "acme",
            &[Scope::Read, Scope::Ingest, Scope::Admin],
        ),
        key("keeper", "k", "acme", &[Scope::Manage]),
    ])
    .await;
    let body = content("PT1H").to_string();
    for secret in ["r", "x"] {
        for method in ["PUT", "DELETE"] {
            let reply = world.send(World::keyed(method, MY, secret), &body).await;
            let problem = reply.problem(403, "scope_missing");
            assert!(
                problem["detail"]
                    .as_str()
                    .unwrap()
                    .ends_with("lacks the scope manage")
            );
        }
    }
    let saved = world.send(World::keyed("PUT", MY, "k"), &body).await;
    assert_eq!(
        (saved.status, &saved.json()["saved_by"]),
        (201, &json!("keeper"))
    );
    for path in [MY, "/api/v1/funnels", "/api/v1/funnels/my/result"] {
        world
            .send(World::keyed("GET", path, "k"), "")
            .await
            .problem(403, "scope_missing");
        assert_eq!(
            world.send(World::keyed("GET", path, "r"), "").await.status,
            200
        );
    }
    let deleted = world.send(World::keyed("DELETE", MY, "k"), "").await;
    assert_eq!(deleted.json()["saved_by"], "keeper");
}

#[tokio::test]
async fn another_tenant_sees_nothing_of_a_saved_funnel_by_any_route() {
    let all = [Scope::Ingest, Scope::Read, Scope::Manage];
    let world = World::with_keys(&[key("a", "a", "acme", &all), key("b", "b", "Acme", &all)]).await;
    let mut secret = content("PT1H");
    secret["name"] = json!("the secret funnel");
    let path = "/api/v1/funnels/secret_id";
    let saved = world
        .send(World::keyed("PUT", path, "a"), &secret.to_string())
        .await;
    assert_eq!(saved.status, 201);
    let (tag, question) = (
        saved.header("etag"),
        json!({"funnel": "secret_id", "range": range()}).to_string(),
    );
    let mine = world
        .send(
            World::keyed("POST", "/api/v1/funnels/query", "a"),
            &question,
        )
        .await
        .json();
    let mut earlier: Value = serde_json::from_str(&question).unwrap();
    earlier["as_of"] = mine["meta"]["snapshot"].clone();
    let earlier = earlier.to_string();
    let result = format!("{path}/result");
    let mut refused = Vec::new();
    for (method, path, body) in [
        ("GET", path, ""),
        ("GET", &*format!("{path}?version=1"), ""),
        ("GET", &*result, ""),
        ("DELETE", path, ""),
        ("POST", "/api/v1/funnels/query", &*question),
        ("POST", "/api/v1/funnels/subjects", &*question),
        ("POST", "/api/v1/funnels/query", &*earlier),
        ("POST", "/api/v1/funnels/subjects", &*earlier),
    ] {
        let request = World::keyed(method, path, "b").header("if-none-match", tag);
        let reply = world.send(request, body).await;
        assert!(
            matches!(reply.status, 404 | 410 | 422),
            "{method} {path} {}",
            reply.text()
        );
        refused.push(reply.any_problem()["code"].as_str().unwrap().to_owned());
        assert!(!reply.text().contains("the secret"), "{}", reply.text());
    }
    assert_eq!(refused[..6], ["unknown_funnel"; 6].map(str::to_owned));
    let list = world
        .send(World::keyed("GET", "/api/v1/funnels", "b"), "")
        .await
        .text();
    assert!(!list.contains("secret"), "{list}");
    let theirs = world
        .send(World::keyed("PUT", path, "b"), &content("PT2H").to_string())
        .await;
    assert_eq!(
        (theirs.status, &theirs.json()["version"]),
        (201, &json!(1)),
        "their own"
    );
    assert_ne!(theirs.header("etag"), tag);
    let mine = world.send(World::keyed("GET", path, "a"), "").await;
    assert_eq!(
        (mine.header("etag"), &mine.json()["name"]),
        (tag, &json!("the secret funnel"))
    );
    let kept = world
        .send(
            World::keyed("GET", path, "b").header("if-none-match", tag),
            "",
        )
        .await;
    assert_eq!(
        kept.status, 200,
        "a browser that kept the other's is not told that it holds"
    );
}

#[tokio::test]
async fn lists_of_funnels_come_in_pages() {
    let world = World::new().await;
    for i in 0..3 {
        world
            .put(&format!("/api/v1/funnels/f{i}"), &content("PT1H"))
            .await;
    }
    let (mut ids, mut path) = (Vec::new(), "/api/v1/funnels?limit=3".to_owned());
    loop {
        let page = world.get(&path).await.json();
        let funnels = page["funnels"].as_array().unwrap();
        assert!(funnels.len() <= 3);
        ids.extend(funnels.iter().map(|f| f["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/v1/funnels?limit=3&cursor={cursor}");
    }
    let built_in = linkfunnel_model::built_in_funnels()
        .into_iter()
        .map(|f| f.id);
    let saved = ["f0", "f1", "f2"].map(str::to_owned);
    assert_eq!(ids, built_in.chain(saved).collect::<Vec<_>>());
    for (query, status, code) in [
        ("limit=0", 422, "bad_limit"),
        ("limit=1001", 422, "bad_limit"),
        ("cursor=A", 400, "bad_cursor"),
        ("page=2", 422, "unknown_field"),
    ] {
        world
            .get(&format!("/api/v1/funnels?{query}"))
            .await
            .problem(status, code);
    }
}
