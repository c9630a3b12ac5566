//! Which URL leads where, and what each group demands.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post, put};
use tokio::sync::Semaphore;
use tower_http::compression::CompressionLayer;

use crate::access::{Demand, demand};
use crate::app::App;
use crate::keys::Scope;
use crate::metrics::{HttpMetrics, metrics};
use crate::problem::{Answer, Problem};
use crate::shell::{Shell, shell};
use crate::{
    dead_letters, drivers, effort, events, experiment_plan, experiment_results, experiments,
    funnel_result, funnels, journeys, never_succeeded, operations, paths, sql, success_rates,
    surfaces,
};

/// All routes, behind the shell and gzip.
pub fn router(app: App) -> Router {
    let needs = |scope| {
        from_fn_with_state(
            Demand {
                app: app.clone(),
                scope,
            },
            demand,
        )
    };
    let turns = Arc::new(Semaphore::new(app.limits.questions_at_once));

    let ingest = Router::new()
        .route("/api/v1/events", post(events::events))
        .route_layer(needs(Scope::Ingest));
    let questions = Router::new()
        .route("/api/v1/funnels/query", post(funnels::query))
        .route("/api/v1/funnels/subjects", post(funnels::subjects))
        .route("/api/v1/funnels/{id}/result", get(funnel_result::result))
        .route("/api/v1/journeys/{id}", get(journeys::one))
        .route("/api/v1/funnels/paths", post(paths::paths))
        .route("/api/v1/funnels/drivers", post(drivers::drivers))
        .route("/api/v1/success-rates", get(success_rates::success_rates))
        .route("/api/v1/success-rates/surfaces", get(surfaces::surfaces))
        .route(
            "/api/v1/success-rates/never-succeeded",
            get(never_succeeded::never_succeeded),
        )
        .route("/api/v1/effort", get(effort::effort))
        .route("/api/v1/experiments/plan", post(experiment_plan::plan))
        .route(
            "/api/v1/experiments/{id}/results",
            get(experiment_results::results),
        )
        .route("/api/v1/sql", post(sql::sql))
        .route("/api/v1/dead-letters", get(dead_letters::list))
        .route_layer(from_fn(move |request, next| {
            take_turn(turns.clone(), request, next)
        }))
        .route_layer(needs(Scope::Read));
    let definitions = Router::new()
        .route("/api/v1/funnels", get(funnels::list))
        .route("/api/v1/funnels/{id}", get(funnels::one))
        .route("/api/v1/experiments", get(experiments::list))
        .route("/api/v1/experiments/{id}", get(experiments::one))
        .route_layer(needs(Scope::Read));
    let changes = Router::new()
        .route(
            "/api/v1/funnels/{id}",
            put(funnels::save).delete(funnels::delete),
        )
        .route(
            "/api/v1/experiments/{id}",
            put(experiments::save).delete(experiments::delete),
        )
        .route_layer(needs(Scope::Manage));
    let repair = Router::new()
        .route("/api/v1/dead-letters/replay", post(dead_letters::replay))
        .route_layer(needs(Scope::Admin));
    let mut counters = Router::new().route("/metrics", get(metrics));
    if !app.open_metrics {
        counters = counters.route_layer(needs(Scope::Admin));
    }
    let open = Router::new()
        .route("/", get(operations::index))
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .route("/readyz/caught-up", get(operations::caught_up))
        .route("/openapi.json", get(operations::openapi_json));

    let routes = ingest
        .merge(questions)
        .merge(definitions)
        .merge(changes)
        .merge(repair)
        .merge(counters);
    surrounded(routes.merge(open), app)
}

/// The routes inside what surrounds them all: the shell, the body limit, gzip.
pub(crate) fn surrounded(routes: Router<App>, app: App) -> Router {
    let metrics = HttpMetrics::register(&app.metrics);
    let body_limit = DefaultBodyLimit::max(app.limits.body_bytes);
    let outer = Shell {
        app: app.clone(),
        metrics,
    };
    routes
        .layer(from_fn_with_state(outer, shell))
        .layer(body_limit)
        .layer(CompressionLayer::new())
        .with_state(app)
}

/// Lets so many questions run at once; one more is told to come back.
async fn take_turn(turns: Arc<Semaphore>, request: Request, next: Next) -> Answer<Response> {
    let Ok(_turn) = turns.try_acquire() else {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_questions",
            "as many questions are being answered as this server allows at once; ask again in a moment",
        )
        .with_header(header::RETRY_AFTER, "1"));
    };
    Ok(next.run(request).await)
}
