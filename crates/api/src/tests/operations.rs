//! Alive, ready, counters, documents, gzip.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use tokio::io::AsyncWriteExt;

use super::world::World;
use crate::app::Readiness;
use crate::router::surrounded;

#[tokio::test]
async fn readiness_tells_what_is_missing_and_what_is_behind() {
    let world = World::new().await;
    assert_eq!(world.get("/healthz").await.json()["status"], "alive");
    assert_eq!(world.get("/readyz").await.json()["status"], "ready");
    assert_eq!(
        world.get("/readyz/caught-up").await.json()["status"],
        "caught_up"
    );

    let behind = || Readiness {
        behind: vec!["stream a: 7 behind".into()],
        ..Readiness::default()
    };
    let world = World::with(|app| app.readiness = Arc::new(behind)).await;
    assert_eq!(world.get("/readyz").await.status, 200);
    let problem = world.get("/readyz/caught-up").await.problem(503, "behind");
    assert_eq!(problem["detail"], "stream a: 7 behind");

    let broken = || Readiness {
        not_ready: vec!["no broker".into()],
        ..Readiness::default()
    };
    let world = World::with(|app| app.readiness = Arc::new(broken)).await;
    world.get("/readyz").await.problem(503, "not_ready");
    world
        .get("/readyz/caught-up")
        .await
        .problem(503, "not_ready");
    assert_eq!(world.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn metrics_count_requests_by_route_pattern() {
    let world = World::new().await;
    world.get("/api/v1/funnels/linking").await;
    world.get("/api/v1/funnels/nope").await;
    world.get("/nowhere/at/all").await;
    let reply = world.get("/metrics").await;
    assert!(reply.header("content-type").starts_with("text/plain"));
    let text = reply.text();
    for line in [
        r#"linkfunnel_http_requests_total{method="GET",route="/api/v1/funnels/{id}",status="200"} 1"#,
        r#"linkfunnel_http_requests_total{method="GET",route="/api/v1/funnels/{id}",status="404"} 1"#,
        r#"linkfunnel_http_requests_total{method="GET",route="(none)",status="404"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn the_index_lists_urls_that_exist() {
    let world = World::new().await;
    let text = world.get("/").await.text();
    assert!(text.starts_with("linkfunnel "), "{text}");
    for line in text.lines().skip(2) {
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let reply = world
            .send(World::json(method, &path.replace("{id}", "linking")), "")
            .await;
        // An id that nobody has sent is unknown where the route is known.
        let unknown = ["unknown_subject", "unknown_experiment"];
        let is_unknown_id = reply.status == 404
            && reply.json()["code"]
                .as_str()
                .is_some_and(|code| unknown.contains(&code));
        assert!(
            is_unknown_id || !matches!(reply.status, 404 | 405),
            "{line}: {}",
            reply.status
        );
    }
    let request = World::request("GET", "/").header("accept", "text/html");
    let html = world.send(request, "").await;
    assert!(html.text().contains("<a href=\"/metrics\">"));
}

#[tokio::test]
async fn every_route_of_the_document_exists_and_every_listed_route_is_in_the_document() {
    let world = World::new().await;
    let document = world.get("/openapi.json").await.json();
    let index = world.get("/").await.text();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let place = format!("{} {path} ", method.to_uppercase());
            assert!(index.contains(&place), "{place}");
        }
    }
    assert_eq!(
        index.lines().skip(2).count(),
        document["paths"]
            .as_object()
            .unwrap()
            .values()
            .map(|m| m.as_object().unwrap().len())
            .sum::<usize>()
    );
}

#[tokio::test]
async fn answers_are_gzipped_for_clients_that_can() {
    let world = World::new().await;
    let request = World::request("GET", "/openapi.json").header("accept-encoding", "gzip");
    let reply = world.send(request, "").await;
    assert_eq!(reply.header("content-encoding"), "gzip");
    assert_eq!(&reply.body[..2], &[0x1f, 0x8b]);
}

#[tokio::test]
async fn a_client_that_goes_away_drops_its_question() {
    struct Told(Option<tokio::sync::oneshot::Sender<()>>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.take().map(|sender| sender.send(()));
        }
    }
    let (began, has_begun) = tokio::sync::oneshot::channel();
    let (ended, has_ended) = tokio::sync::oneshot::channel();
    let parts = Arc::new(Mutex::new(Some((began, Told(Some(ended))))));
    let question = move || {
        let (began, _told) = parts.lock().unwrap().take().unwrap();
        async move {
            began.send(()).unwrap();
            let _told = _told;
            std::future::pending::<()>().await;
        }
    };
    let routes = Router::new().route("/question", get(question));
    let router = World::new()
        .await
        .over(|app| surrounded(routes, app))
        .into_router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("GET /question HTTP/1.1\r\nhost: {address}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    has_begun.await.unwrap();
    drop(client);
    has_ended.await.unwrap();
    server.abort();
}
