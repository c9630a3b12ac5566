//! GET /api/v1/dead-letters shows what could not be taken, redacted; POST …/replay tries it again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use linkfunnel_ingest::{DeadLetter as Sealed, ReplayReport, replay_dead_letters};
use linkfunnel_query::{DeadLetter, DeadLettersAnswer, DeadLettersQuestion};
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::app::App;
use crate::body::{StrictJson, StrictQuery};
use crate::failure;
use crate::openapi::Refused;
use crate::problem::{Answer, Problem};

/// Which page.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// From the page before.
    cursor: Option<String>,
    /// Size of the page: 100 unless said otherwise, 1 000 at most.
    limit: Option<usize>,
    /// Token of the view to read (`snapshot` of the first page); the current one when absent.
    as_of: Option<String>,
}

/// The messages that could not be taken, newest first, with everything sensitive struck out.
#[utoipa::path(get, path = "/api/v1/dead-letters", operation_id = "list_dead_letters", tag = "repair", params(Page), responses(
    (status = 200, description = "One page", body = DeadLettersAnswer),
    (status = "default", response = Refused),
))]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictQuery(page): StrictQuery<Page>,
) -> Answer<Json<DeadLettersAnswer>> {
    let question = DeadLettersQuestion {
        cursor: page.cursor,
        limit: page.limit,
        as_of: page.as_of,
    };
    let vault = app.vault.clone();
    let unseal = move |sealed: linkfunnel_query::Sealed<'_>| {
        vault.decrypt(sealed.tenant, sealed.payload).ok()
    };
    let answer = app
        .engine
        .dead_letters(&caller.tenant, question, &unseal)
        .await;
    answer.map(Json).map_err(failure::of_query)
}

/// Letters opened at a time: their bytes are in memory together, at most 1 MiB each.
const REPLAY_PAGE: usize = 100;
/// Most letters one request replays.
pub(crate) const MAX_REPLAYED: usize = 10_000;
/// Most codes, and most ids, a request names.
const MAX_NAMED: usize = 1_000;

/// Which dead letters are tried again. Empty: all of the tenant's.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReplayQuestion {
    /// Only those refused for one of these reasons.
    #[schema(example = json!(["unknown_field"]))]
    codes: Vec<String>,
    /// Only these (`id` of the list).
    ids: Vec<String>,
    /// Most letters looked at: 10 000 unless said otherwise, and at most.
    limit: Option<usize>,
    /// `next_cursor` of the replay before, to go on behind it.
    cursor: Option<String>,
}

/// What became of the letters.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct ReplayAnswer {
    /// Letters tried.
    read: u64,
    /// Taken in as events.
    replayed: u64,
    /// Among them, those this server knew already; copies never change an answer.
    duplicates: u64,
    /// Refused again: how many, by code.
    still_bad: BTreeMap<String, u64>,
    /// Without bytes any more, or sealed with a key that is gone.
    unreadable: u64,
    /// Give back as `cursor` to go on; null when all have been looked at.
    next_cursor: Option<String>,
}

/// Try dead letters again, after the cause is mended. Doing it twice does no harm.
#[utoipa::path(post, path = "/api/v1/dead-letters/replay", operation_id = "replay_dead_letters", tag = "repair", request_body = ReplayQuestion, responses(
    (status = 200, description = "What became of them", body = ReplayAnswer),
    (status = "default", response = Refused),
))]
pub(crate) async fn replay(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictJson(question): StrictJson<ReplayQuestion>,
) -> Answer<Json<ReplayAnswer>> {
    let Some(intake) = &app.intake else {
        let detail = "this server takes no events in, so it cannot replay any";
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_intake",
            detail,
        ));
    };
    let most = check(&question)?;
    let mut answer = ReplayAnswer::default();
    let (mut cursor, mut seen) = (question.cursor.clone(), 0);
    loop {
        let page = REPLAY_PAGE.min(most - seen);
        let (letters, next) = sealed_page(&app, &caller.tenant, cursor, page).await?;
        seen += letters.len();
        let wanted = letters
            .into_iter()
            .filter(|(shown, _)| question.wants(shown));
        let wanted: Vec<Sealed> = wanted.map(|(_, sealed)| sealed).collect();
        let report = replay_dead_letters(&app.vault, intake, &caller.defaults(), wanted).await;
        answer.add(report.map_err(failure::of_intake)?);
        cursor = next;
        if cursor.is_none() || seen >= most {
            answer.next_cursor = cursor;
            return Ok(Json(answer));
        }
    }
}

/// How many letters may be looked at.
fn check(question: &ReplayQuestion) -> Answer<usize> {
    let refuse = |code, pointer, detail: String| {
        Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail).at(pointer))
    };
    for (list, pointer) in [(&question.codes, "/codes"), (&question.ids, "/ids")] {
        if list.len() > MAX_NAMED {
            let detail = format!("{} of them; at most {MAX_NAMED}", list.len());
            return refuse("limit_exceeded", pointer, detail);
        }
    }
    match question.limit.unwrap_or(MAX_REPLAYED) {
        limit @ 1..=MAX_REPLAYED => Ok(limit),
        _ => {
            let detail = format!("one request replays 1 to {MAX_REPLAYED} dead letters");
            refuse("bad_limit", "/limit", detail)
        }
    }
}

impl ReplayQuestion {
    fn wants(&self, letter: &DeadLetter) -> bool {
        (self.codes.is_empty() || self.codes.contains(&letter.code))
            && (self.ids.is_empty() || self.ids.contains(&letter.id))
    }
}

impl ReplayAnswer {
    fn add(&mut self, report: ReplayReport) {
        self.read += report.read;
        self.replayed += report.replayed;
        self.duplicates += report.duplicates;
        self.unreadable += report.unreadable;
        for (code, count) in report.still_bad {
            *self.still_bad.entry(code).or_default() += count;
        }
    }
}

/// One page of letters, as shown and as sealed, and where the next begins.
async fn sealed_page(
    app: &App,
    tenant: &str,
    cursor: Option<String>,
    limit: usize,
) -> Answer<(Vec<(DeadLetter, Sealed)>, Option<String>)> {
    let payloads = Mutex::new(HashMap::new());
    let keep = |sealed: linkfunnel_query::Sealed<'_>| {
        let at = (
            sealed.stream.to_owned(),
            sealed.partition,
            sealed.offset,
            sealed.index,
        );
        let mut payloads = payloads.lock().expect("nobody panics while holding it");
        payloads.insert(at, sealed.payload.to_vec());
        None
    };
    let question = DeadLettersQuestion {
        cursor,
        limit: Some(limit),
        as_of: None,
    };
    let page = app
        .engine
        .dead_letters(tenant, question, &keep)
        .await
        .map_err(failure::of_query)?;
    let mut payloads = payloads
        .into_inner()
        .expect("nobody panics while holding it");
    let letters = page.dead_letters.into_iter().map(|letter| {
        let at = (
            letter.stream.clone(),
            letter.partition,
            letter.offset,
            letter.index,
        );
        let sealed = Sealed {
            tenant: tenant.to_owned(),
            payload: payloads.remove(&at),
            stream: at.0,
            partition: at.1,
            offset: at.2,
            index: at.3,
        };
        (letter, sealed)
    });
    Ok((letters.collect(), page.next_cursor))
}
