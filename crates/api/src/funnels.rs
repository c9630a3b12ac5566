//! Funnel questions, the subjects behind their numbers, and the definitions: built in and saved.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};
use linkfunnel_model::{FunnelContent, FunnelQuestion};
use linkfunnel_query::{
    DefinitionVersion, Funnel, FunnelAnswer, FunnelsAnswer, SubjectsAnswer, SubjectsQuestion,
};

use crate::access::Caller;
use crate::app::App;
use crate::body::{StrictJson, StrictQuery};
use crate::definitions::{Page, Which, found, saved};
use crate::etag::Conditions;
use crate::failure;
use crate::openapi::Refused;
use crate::problem::{Answer, ProblemBody};

/// Ask a funnel question.
#[utoipa::path(post, path = "/api/v1/funnels/query", operation_id = "query_funnel", tag = "questions", request_body = FunnelQuestion, responses(
    (status = 200, description = "The numbers", body = FunnelAnswer),
    (status = 404, description = "The funnel was deleted",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = 410, description = "The view of `as_of` is gone",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = "default", response = Refused),
))]
pub(crate) async fn query(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictJson(question): StrictJson<FunnelQuestion>,
) -> Answer<Json<FunnelAnswer>> {
    let answer = app.engine.funnel(&caller.tenant, question).await;
    answer.map(Json).map_err(failure::of_query)
}

/// The subjects behind a number: give the answer's `meta.snapshot` as `as_of`, and the list is as long
/// as the number.
#[utoipa::path(post, path = "/api/v1/funnels/subjects", operation_id = "list_subjects", tag = "questions", request_body = SubjectsQuestion, responses(
    (status = 200, description = "One page", body = SubjectsAnswer),
    (status = 404, description = "The funnel was deleted",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = 410, description = "The view of `as_of` is gone",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = "default", response = Refused),
))]
pub(crate) async fn subjects(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictJson(question): StrictJson<SubjectsQuestion>,
) -> Answer<Json<SubjectsAnswer>> {
    let answer = app.engine.subjects(&caller.tenant, question).await;
    answer.map(Json).map_err(failure::of_query)
}

/// The funnels there are: the built-in ones, then the saved ones by id.
#[utoipa::path(get, path = "/api/v1/funnels", operation_id = "list_funnels", tag = "definitions", params(Page), responses(
    (status = 200, description = "One page", body = FunnelsAnswer),
    (status = "default", response = Refused),
))]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictQuery(page): StrictQuery<Page>,
) -> Answer<Json<FunnelsAnswer>> {
    let (cursor, limit) = (page.cursor.as_deref(), page.limit);
    let answer = app.engine.funnels(&caller.tenant, cursor, limit).await;
    answer.map(Json).map_err(failure::of_query)
}

/// One funnel with its history. Of a deleted one every version can be read by its number.
#[utoipa::path(get, path = "/api/v1/funnels/{id}", operation_id = "get_funnel", tag = "definitions",
    params(
        ("id" = String, Path, description = "Its id", example = "linking"),
        ("If-None-Match" = Option<String>, Header, description = "ETags the client has"),
        Which,
    ),
    responses(
        (status = 200, description = "The definition", body = Funnel, headers(
            ("ETag" = String, description = "Names the version; give it back as `If-Match` to change just that"))),
        (status = 304, description = "The client has it"),
        (status = 404, description = "No such funnel or version, or it was deleted",
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
    let one = app.engine.funnel_by_id(&caller.tenant, &id, which.version);
    let one = one.await.map_err(failure::of_query)?;
    Ok(found(&conditions, one))
}

/// Save a funnel under an id of 1 to 64 of a–z, 0–9, dash and underscore: a new one, or the next version
/// of it. The same content again makes no new version.
#[utoipa::path(put, path = "/api/v1/funnels/{id}", operation_id = "save_funnel", tag = "definitions", request_body = FunnelContent,
    params(
        ("id" = String, Path, description = "Its id", example = "my_funnel"),
        ("If-Match" = Option<String>, Header, description = "Only if it is this version; `*`: only if there is one"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if there is none"),
    ),
    responses(
        (status = 200, description = "Changed, or like that already", body = Funnel, headers(
            ("ETag" = String, description = "Names the version"))),
        (status = 201, description = "There was none", body = Funnel, headers(
            ("ETag" = String, description = "Names the version"), ("Location" = String, description = "Its URL"))),
        (status = 409, description = "It is built in, or others kept saving it",
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
    StrictJson(content): StrictJson<FunnelContent>,
) -> Answer<Response> {
    let conditions = Conditions::of(&headers)?;
    let allowed = |tag: Option<&str>| conditions.allow(tag);
    let (tenant, by) = (&caller.tenant, &caller.who);
    let answer = app.engine.save_funnel(tenant, &id, by, &content, &allowed);
    let (done, funnel) = answer.await.map_err(failure::of_query)?;
    Ok(saved(done, funnel, "/api/v1/funnels", &id))
}

/// Delete a saved funnel: its last version says who deleted it when. Questions by its id are refused with
/// `funnel_deleted`; its earlier versions can still be read, and it can be saved again.
#[utoipa::path(delete, path = "/api/v1/funnels/{id}", operation_id = "delete_funnel", tag = "definitions",
    params(
        ("id" = String, Path, description = "Its id", example = "my_funnel"),
        ("If-Match" = Option<String>, Header, description = "Only if it is this version"),
    ),
    responses(
        (status = 200, description = "Deleted: the version that says so", body = DefinitionVersion),
        (status = 404, description = "No such funnel, or it was deleted",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 409, description = "It is built in, or others kept saving it",
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
    let deleted = app
        .engine
        .delete_funnel(&caller.tenant, &id, &caller.who, &allowed)
        .await;
    deleted.map(Json).map_err(failure::of_query)
}
