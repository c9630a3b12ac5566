//! Keys, scopes, and that nothing of one tenant reaches another by any route.

use serde_json::json;

use super::world::{DEAD_LETTERS, World, event, key, range};
use crate::keys::Scope;

const EVERYTHING: &[Scope] = &[Scope::Ingest, Scope::Read, Scope::Manage, Scope::Admin];

async fn two_tenants() -> World {
    World::with_keys(&[
        key("acme-all", "a-secret", "acme", EVERYTHING),
        key("bolt-all", "b-secret", "bolt", EVERYTHING),
        key("acme-read", "r-secret", "acme", &[Scope::Read]),
        key("acme-ingest", "i-secret", "acme", &[Scope::Ingest]),
    ])
    .await
}

#[tokio::test]
async fn without_a_key_or_with_an_unknown_one_every_route_of_data_is_closed() {
    let world = two_tenants().await;
    for (method, path) in [
        ("POST", "/api/v1/events"),
        ("POST", "/api/v1/funnels/query"),
        ("POST", "/api/v1/funnels/subjects"),
        ("GET", "/api/v1/funnels"),
        ("GET", "/api/v1/funnels/linking"),
        ("GET", "/api/v1/funnels/linking/result"),
        ("PUT", "/api/v1/funnels/my"),
        ("DELETE", "/api/v1/funnels/my"),
        ("GET", "/api/v1/journeys/j"),
        ("GET", "/api/v1/success-rates"),
        ("GET", "/api/v1/success-rates/surfaces"),
        ("GET", "/api/v1/success-rates/never-succeeded"),
        ("POST", "/api/v1/sql"),
        ("GET", "/api/v1/dead-letters"),
        ("POST", "/api/v1/dead-letters/replay"),
        ("GET", "/metrics"),
    ] {
        let reply = world.send(World::json(method, path), "{}").await;
        reply.problem(401, "key_missing");
        assert_eq!(
            reply.header("www-authenticate"),
            "Bearer realm=\"linkfunnel\"",
            "{path}"
        );
        for value in [
            "Bearer wrong",
            "Basic a-secret",
            "a-secret",
            "Bearer ",
            "Bearer a-secret-",
        ] {
            let request = World::json(method, path).header("authorization", value);
            world.send(request, "{}").await.problem(401, "key_unknown");
        }
    }
    for path in [
        "/",
        "/healthz",
        "/readyz",
        "/readyz/caught-up",
        "/openapi.json",
    ] {
        assert_eq!(world.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_key_does_only_what_its_scopes_say() {
    let world = two_tenants().await;
    let sent = json!([event("e", "attempt.opened", "j")]).to_string();
    let select = r#"{"sql":"select 1 as x"}"#;
    for (secret, path, body, allowed) in [
        ("r-secret", "/api/v1/sql", select, true),
        ("r-secret", "/api/v1/events", &*sent, false),
        ("r-secret", "/api/v1/dead-letters/replay", "{}", false),
        ("i-secret", "/api/v1/events", &*sent, true),
        ("i-secret", "/api/v1/sql", select, false),
        ("a-secret", "/api/v1/dead-letters/replay", "{}", true),
    ] {
        let reply = world.send(World::keyed("POST", path, secret), body).await;
        if allowed {
            assert_eq!(reply.status, 200, "{path} {}", reply.text());
        } else {
            reply.problem(403, "scope_missing");
        }
    }
    world
        .send(World::keyed("GET", "/metrics", "r-secret"), "")
        .await
        .problem(403, "scope_missing");
    assert_eq!(
        world
            .send(World::keyed("GET", "/metrics", "a-secret"), "")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn metrics_may_be_opened_by_the_configuration() {
    let world = World::with(|app| {
        app.keys = crate::Keys::new(&[key("k", "s", "acme", &[Scope::Read])]).unwrap();
        app.open_metrics = true;
    })
    .await;
    assert_eq!(world.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn a_key_of_one_tenant_gets_nothing_of_anothers_by_any_route() {
    let world = two_tenants().await;
    let events = json!([
        event("e-1", "journey.started", "acme-journey"),
        event("e-2", "provider.selected", "acme-journey"),
        {"event_id": "bad", "event": "acme.secret"},
    ]);
    let reply = world
        .send(
            World::keyed("POST", "/api/v1/events", "a-secret"),
            &events.to_string(),
        )
        .await;
    assert_eq!(reply.json()["accepted"], 2, "{}", reply.text());
    world.wait_for_as("a-secret", "events", 2).await;
    world.wait_for_as("a-secret", DEAD_LETTERS, 1).await;

    let funnel = json!({"funnel": "linking", "range": range()});
    let sql = |sql: String| ("/api/v1/sql", json!({ "sql": sql }));
    let mut posts = vec![
        ("/api/v1/funnels/query", funnel.clone()),
        ("/api/v1/funnels/subjects", funnel),
        sql("select * from events where tenant_id = 'acme' or true".into()),
        sql("select e.* from events_raw r left join events e on true".into()),
        sql("select * from information_schema.tables".into()),
    ];
    let tables = linkfunnel_query::TABLES.iter();
    let tables = tables.map(|(table, _)| *table);
    let tables = tables.chain(linkfunnel_query::sql_views());
    posts.extend(tables.map(|table| sql(format!("select * from {table}"))));
    let argument =
        json!({"funnel": "linking", "range": range(), "breakdown": {"by": ["category"]}});
    posts.push(sql(format!("select * from funnel('{argument}')")));
    for (path, question) in posts {
        let mine = world
            .send(
                World::keyed("POST", path, "a-secret"),
                &question.to_string(),
            )
            .await;
        assert_eq!(mine.status, 200, "{path} {question} {}", mine.text());
        let theirs = world
            .send(
                World::keyed("POST", path, "b-secret"),
                &question.to_string(),
            )
            .await;
        assert_eq!(theirs.status, 200, "{path} {question} {}", theirs.text());
        // The question itself, which the answer repeats, names nobody.
        assert!(
            !theirs.text().contains("acme"),
            "{path} {question}: {}",
            theirs.text()
        );
    }
    for path in [
        "/api/v1/success-rates?by=integration",
        "/api/v1/success-rates/surfaces",
        "/api/v1/success-rates/never-succeeded?min_choices=1",
        "/api/v1/dead-letters",
        "/metrics",
    ] {
        let theirs = world.send(World::keyed("GET", path, "b-secret"), "").await;
        assert_eq!(theirs.status, 200, "{path} {}", theirs.text());
        assert!(!theirs.text().contains("acme"), "{path}: {}", theirs.text());
    }
    let replay = world
        .send(
            World::keyed("POST", "/api/v1/dead-letters/replay", "b-secret"),
            "{}",
        )
        .await;
    assert_eq!(replay.json()["read"], 0, "{}", replay.text());
}

#[tokio::test]
async fn neither_a_header_nor_an_event_changes_the_tenant_of_a_key() {
    let world = two_tenants().await;
    let request =
        World::keyed("POST", "/api/v1/sql", "b-secret").header("linkfunnel-tenant", "acme");
    world
        .send(request, r#"{"sql":"select 1 as x"}"#)
        .await
        .problem(403, "tenant_mismatch");
    let request =
        World::keyed("POST", "/api/v1/sql", "b-secret").header("linkfunnel-tenant", "bolt");
    assert_eq!(
        world
            .send(request, r#"{"sql":"select 1 as x"}"#)
            .await
            .status,
        200
    );

    let mut foreign = event("e", "attempt.opened", "j");
    foreign["tenant_id"] = json!("acme");
    let request = World::keyed("POST", "/api/v1/events", "b-secret");
    let reply = world.send(request, &foreign.to_string()).await.json();
    assert_eq!(reply["results"][0]["code"], "tenant_mismatch");
    assert_eq!(reply["results"][0]["pointer"], "/tenant_id");
}

#[tokio::test]
async fn without_keys_the_header_names_the_tenant() {
    let world = World::new().await;
    let request = World::json("POST", "/api/v1/events").header("linkfunnel-tenant", "acme");
    let reply = world
        .send(request, &event("e", "attempt.opened", "j").to_string())
        .await;
    assert_eq!(reply.json()["accepted"], 1, "{}", reply.text());
    world.wait_for_tenant("acme", "events", 1).await;
    assert_eq!(world.count("events").await, 0);
    for bad in ["", "a b", "../x", &"x".repeat(65)] {
        let request = World::json("POST", "/api/v1/sql").header("linkfunnel-tenant", bad);
        world
            .send(request, r#"{"sql":"select 1 as x"}"#)
            .await
            .problem(400, "bad_tenant");
    }
}
