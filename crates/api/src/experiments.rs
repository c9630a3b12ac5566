//! Definitions of experiments. linkfunnel analyses experiments, it does not assign.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};
use linkfunnel_model::ExperimentContent;
use linkfunnel_query::{DefinitionVersion, Experiment, ExperimentsAnswer};

use crate::access::Caller;
use crate::app::App;
use crate::body::{StrictJson, StrictQuery};
use crate::definitions::{Page, Which, found, saved};
use crate::etag::Conditions;
use crate::failure;
use crate::openapi::Refused;
use crate::problem::{Answer, ProblemBody};

/// The experiments that are defined, by id.
#[utoipa::path(get, path = "/api/v1/experiments", operation_id = "list_experiments", tag = "definitions", params(Page), responses(
    (status = 200, description = "One page", body = ExperimentsAnswer),
    (status = "default", response = Refused),
))]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictQuery(page): StrictQuery<Page>,
) -> Answer<Json<ExperimentsAnswer>> {
    let (cursor, limit) = (page.cursor.as_deref(), page.limit);
    let answer = app.engine.experiments(&caller.tenant, cursor, limit).await;
    answer.map(Json).map_err(failure::of_query)
}

/// One experiment with its history and what was changed after its start. Of a deleted one every version can
/// be read by its number.
#[utoipa::path(get, path = "/api/v1/experiments/{id}", operation_id = "get_experiment", tag = "definitions",
    params(
        ("id" = String, Path, description = "Its id", example = "shorter_consent"),
        ("If-None-Match" = Option<String>, Header, description = "ETags the client has"),
        Which,
    ),
    responses(
        (status = 200, description = "The definition", body = Experiment, headers(
            ("ETag" = String, description = "Names the version; give it back as `If-Match` to change just that"))),
        (status = 304, description = "The client has it"),
        (status = 404, description = "No such experiment or version, or it was deleted",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = "default", response = Refused),
    ))]
pub(crate) async fn one(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    StrictQuery(which): StrictQuery<Which>,
) -> Answer<Response> {
    let conditions = Conditions::of(&headers)?;
    let one = app.engine.experiment(&caller.tenant, &id, which.version);
    let one = one.await.map_err(failure::of_query)?;
    Ok(found(&conditions, one))
}

/// Save an experiment under its id, the one that events tell (`experiments[].id`), of 1 to 64 of a–z, 0–9,
/// dash and underscore: a new one, or the next version of it. The same content again makes no new version.
/// The funnels that it names by an id are checked as they are now.
#[utoipa::path(put, path = "/api/v1/experiments/{id}", operation_id = "save_experiment", tag = "definitions", request_body = ExperimentContent,
    params(
        ("id" = String, Path, description = "Its id", example = "shorter_consent"),
        ("If-Match" = Option<String>, Header, description = "Only if it is this version; `*`: only if there is one"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if there is none"),
    ),
    responses(
        (status = 200, description = "Changed, or like that already", body = Experiment, headers(
            ("ETag" = String, description = "Names the version"))),
        (status = 201, description = "There was none", body = Experiment, headers(
            ("ETag" = String, description = "Names the version"), ("Location" = String, description = "Its URL"))),
        (status = 409, description = "Others kept saving it",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 412, description = "It is not what `If-Match` or `If-None-Match` asks for",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = "default", response = Refused),
    ))]
pub(crate) async fn save(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    StrictJson(content): StrictJson<ExperimentContent>,
) -> Answer<Response> {
    let conditions = Conditions::of(&headers)?;
    let allowed = |tag: Option<&str>| conditions.allow(tag);
    let (tenant, by) = (&caller.tenant, &caller.who);
    let answer = app
        .engine
        .save_experiment(tenant, &id, by, &content, &allowed);
    let (done, experiment) = answer.await.map_err(failure::of_query)?;
    Ok(saved(done, experiment, "/api/v1/experiments", &id))
}

/// Delete an experiment's definition: its last version says who deleted it when. Its earlier versions can
/// still be read, and it can be saved again.
#[utoipa::path(delete, path = "/api/v1/experiments/{id}", operation_id = "delete_experiment", tag = "definitions",
    params(
        ("id" = String, Path, description = "Its id", example = "shorter_consent"),
        ("If-Match" = Option<String>, Header, description = "Only if it is this version"),
    ),
    responses(
        (status = 200, description = "Deleted: the version that says so", body = DefinitionVersion),
        (status = 404, description = "No such experiment, or it was deleted",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 409, description = "Others kept saving it",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 412, description = "It is not what `If-Match` asks for",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = "default", response = Refused),
    ))]
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<Json<DefinitionVersion>> {
    let conditions = Conditions::of(&headers)?;
    let allowed = |tag: Option<&str>| conditions.allow(tag);
    let (tenant, by) = (&caller.tenant, &caller.who);
    let deleted = app
        .engine
        .delete_experiment(tenant, &id, by, &allowed)
        .await;
    deleted.map(Json).map_err(failure::of_query)
}
