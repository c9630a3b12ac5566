//! A whole server without a socket: store, engine and local log in a temporary folder, one router.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, request};
use bytes::Bytes;
use linkfunnel_ingest::{
    IngestMetrics, Intake, IntakeOptions, LocalConfig, LocalLog, Vault, start_local,
};
use linkfunnel_model::Clock;
use linkfunnel_query::{Engine, EngineOptions};
use linkfunnel_store::{Location, Store, StoreOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

use crate::app::{App, Limits, Readiness};
use crate::keys::{KeyEntry, Keys, Scope};

/// 2026-11-22T12:00:00Z, the time in these tests unless they let some pass.
const NOW_US: i64 = 1_795_348_800_000_000;
/// Longest wait for something that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The dead letters, as a table of SQL.
pub(super) const DEAD_LETTERS: &str = "rejects where reject_kind = 'dead_letter'";

/// The server.
pub(super) struct World {
    app: App,
    router: Router,
    now_us: Arc<AtomicI64>,
    _reader: DropGuard,
    folder: Arc<tempfile::TempDir>,
}

impl World {
    /// An open server.
    pub(super) async fn new() -> World {
        World::with(|_| {}).await
    }

    /// A server whose parts are changed before it starts.
    pub(super) async fn with(change: impl FnOnce(&mut App)) -> World {
        World::make(EngineOptions::default(), change).await
    }

    /// A server with keys.
    pub(super) async fn with_keys(entries: &[KeyEntry]) -> World {
        World::with(|app| app.keys = Keys::new(entries).unwrap()).await
    }

    /// A server whose queries may take 8 MiB.
    pub(super) async fn small_memory() -> World {
        let options = EngineOptions {
            query_memory_bytes: 8 << 20,
            ..EngineOptions::default()
        };
        World::make(options, |_| {}).await
    }

    async fn make(options: EngineOptions, change: impl FnOnce(&mut App)) -> World {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let now_us = Arc::new(AtomicI64::new(NOW_US));
        let clock = clock(&now_us);
        let store = open(&folder, &clock).await;
        let registry = prometheus::Registry::new();
        let metrics = Arc::new(IngestMetrics::new(&registry).unwrap());
        let vault = Arc::new(Vault::from_secret(b"test", &[]));
        let log = LocalLog::open(&folder.path().join("log.redb")).unwrap();
        let stop = CancellationToken::new();
        start_local(
            LocalConfig::default(),
            log.clone(),
            store.clone(),
            vault.clone(),
            metrics.clone(),
            clock.clone(),
            stop.clone(),
        )
        .unwrap();
        let intake = Intake::local(
            log,
            vault.clone(),
            metrics,
            clock.clone(),
            IntakeOptions::default(),
        );
        let mut app = App {
            engine: Engine::new(store, options, clock).unwrap(),
            intake: Some(Arc::new(intake)),
            vault,
            keys: Keys::none(),
            metrics: registry,
            open_metrics: false,
            readiness: Arc::new(Readiness::default),
            limits: Limits::default(),
        };
        change(&mut app);
        let router = crate::router(app.clone());
        World {
            app,
            router,
            now_us,
            _reader: stop.drop_guard(),
            folder,
        }
    }

    /// Another server over the same table, which takes no events in.
    pub(super) async fn beside(&self) -> World {
        let clock = clock(&self.now_us);
        let store = open(&self.folder, &clock).await;
        let app = App {
            engine: Engine::new(store, EngineOptions::default(), clock).unwrap(),
            intake: None,
            metrics: prometheus::Registry::new(),
            ..self.app.clone()
        };
        World {
            router: crate::router(app.clone()),
            app,
            now_us: self.now_us.clone(),
            _reader: CancellationToken::new().drop_guard(),
            folder: self.folder.clone(),
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&self, us: i64) {
        self.now_us.fetch_add(us, Ordering::SeqCst);
    }

    /// The same server over other routes.
    pub(super) fn over(self, routes: impl FnOnce(App) -> Router) -> World {
        let app = App {
            metrics: prometheus::Registry::new(),
            ..self.app.clone()
        };
        World {
            router: routes(app),
            ..self
        }
    }

    /// The routes alone, for a socket.
    pub(super) fn into_router(self) -> Router {
        self.router
    }

    /// A request without a body type.
    pub(super) fn request(method: &str, path: &str) -> request::Builder {
        Request::builder().method(method).uri(path)
    }

    /// A request with a JSON body.
    pub(super) fn json(method: &str, path: &str) -> request::Builder {
        World::request(method, path).header("content-type", "application/json")
    }

    /// The same with a key.
    pub(super) fn keyed(method: &str, path: &str, secret: &str) -> request::Builder {
        World::json(method, path).header("authorization", format!("Bearer {secret}"))
    }

    /// Sends a request and reads the answer to its end.
    pub(super) async fn send(&self, request: request::Builder, body: &str) -> Reply {
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        Reply {
            status,
            headers,
            body,
        }
    }

    /// GET.
    pub(super) async fn get(&self, path: &str) -> Reply {
        self.send(World::request("GET", path), "").await
    }

    /// POST of JSON.
    pub(super) async fn post(&self, path: &str, body: &str) -> Reply {
        self.send(World::json("POST", path), body).await
    }

    /// PUT of JSON.
    pub(super) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(World::json("PUT", path), &body.to_string()).await
    }

    /// DELETE.
    pub(super) async fn delete(&self, path: &str) -> Reply {
        self.send(World::request("DELETE", path), "").await
    }

    /// GET, with an ETag that the client has.
    pub(super) async fn get_unless(&self, path: &str, tag: &str) -> Reply {
        let request = World::request("GET", path).header("if-none-match", tag);
        self.send(request, "").await
    }

    /// Rows of a table now.
    pub(super) async fn count(&self, table: &str) -> u64 {
        self.count_by(World::json("POST", "/api/v1/sql"), table)
            .await
    }

    async fn count_by(&self, request: request::Builder, table: &str) -> u64 {
        let sql = json!({ "sql": format!("select count(*) as n from {table}") }).to_string();
        let reply = self.send(request, &sql).await;
        reply.json()["rows"][0]["n"]
            .as_u64()
            .unwrap_or_else(|| panic!("{}", reply.text()))
    }

    /// Waits until a table has exactly so many rows.
    pub(super) async fn wait_for(&self, table: &str, rows: u64) {
        self.wait(|| World::json("POST", "/api/v1/sql"), table, rows)
            .await;
    }

    /// The same, asked with a key.
    pub(super) async fn wait_for_as(&self, secret: &str, table: &str, rows: u64) {
        self.wait(|| World::keyed("POST", "/api/v1/sql", secret), table, rows)
            .await;
    }

    /// The same, asked for a tenant of an open server.
    pub(super) async fn wait_for_tenant(&self, tenant: &str, table: &str, rows: u64) {
        let request = || World::json("POST", "/api/v1/sql").header("linkfunnel-tenant", tenant);
        self.wait(request, table, rows).await;
    }

    async fn wait(&self, request: impl Fn() -> request::Builder, table: &str, rows: u64) {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = self.count_by(request(), table).await;
            if found == rows {
                return;
            }
            assert!(
                tokio::time::Instant::now() < until,
                "{table}: {found} rows, not {rows}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn clock(now_us: &Arc<AtomicI64>) -> Clock {
    let now_us = Arc::clone(now_us);
    Arc::new(move || now_us.load(Ordering::SeqCst))
}

async fn open(folder: &tempfile::TempDir, clock: &Clock) -> Store {
    let location = Location::parse(folder.path().join("table").to_str().unwrap()).unwrap();
    Store::open(&location, StoreOptions::default(), clock.clone())
        .await
        .unwrap()
}

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Reply {
    /// A header, or nothing.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// The body as a problem of any kind, complete in form.
    pub(super) fn any_problem(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text()
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        for member in ["type", "title", "code", "detail"] {
            assert!(
                problem[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{problem}"
            );
        }
        problem
    }

    /// The body as this problem.
    pub(super) fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.any_problem();
        assert_eq!(
            (self.status, problem["code"].as_str()),
            (status, Some(code)),
            "{problem}"
        );
        problem
    }
}

/// A key with this secret.
pub(super) fn key(name: &str, secret: &str, tenant: &str, scopes: &[Scope]) -> KeyEntry {
    let digest: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
    KeyEntry {
        name: name.into(),
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        tenant: tenant.into(),
        scopes: scopes.to_vec(),
    }
}

/// The smallest event, a day before now.
pub(super) fn event(id: &str, name: &str, journey: &str) -> Value {
    event_at(id, name, journey, "2026-11-21T09:00:00Z")
}

/// An event of an accounting journey at an instant.
pub(super) fn event_at(id: &str, name: &str, journey: &str, at: &str) -> Value {
    json!({
        "event_id": id, "event": name, "occurred_at": at,
        "journey_id": journey, "category": "accounting",
    })
}

/// A range that holds all events of these tests.
pub(super) fn range() -> Value {
    json!({"from": "2026-11-01", "to": "2026-12-01"})
}

/// Three steps.
pub(super) fn steps() -> Value {
    json!([
        {"name": "Opened", "event": "journey.started"},
        {"name": "Chose", "event": "provider.selected"},
        {"name": "Linked", "event": "connection.linked"},
    ])
}
