//! The funnels there are, built in and saved; saving, changing and deleting.
//!
//! A save answers for what it found: it looks at the newest version, and writes the next only if
//! there is none meanwhile, else it looks again. So what the caller allows is allowed of the very
//! version that is followed, and two who save at the same time leave two versions, or one refusal.

use std::ops::Bound;
use std::sync::Arc;

use linkfunnel_model::{
    FunnelContent, FunnelDefinition, FunnelId, NamedFunnel, built_in_funnel, built_in_funnels,
    instant_text,
};
use linkfunnel_store::{Error as StoreError, SavedNote, SavedVersion};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::named::unknown;

/// Most funnels on one page.
pub const MAX_FUNNELS: usize = 1_000;
/// How often others may save the same funnel first.
const OVERTAKEN: u32 = 16;

/// A funnel, built in or saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Funnel {
    /// The id used in questions.
    pub id: String,
    /// The name shown.
    pub name: String,
    /// What it answers.
    pub description: String,
    /// The definition as it was saved.
    #[schema(value_type = FunnelDefinition)]
    pub definition: serde_json::Value,
    /// Whether it is there from the start, the same for everybody, and cannot be changed.
    pub built_in: bool,
    /// Number of this version, from 1; null for a built-in one.
    pub version: Option<u32>,
    /// When this version was saved, RFC 3339; null for a built-in one.
    pub saved_at: Option<String>,
    /// The name of the key that saved it, `local` on a server without keys; null for a built-in one.
    pub saved_by: Option<String>,
    /// Every version there is, newest first; left out in lists and for built-in ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<FunnelVersion>,
}

/// Who made which version when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FunnelVersion {
    /// Its number.
    pub version: u32,
    /// When, RFC 3339.
    pub saved_at: String,
    /// The name of the key.
    pub saved_by: String,
    /// Whether it is the deletion of the funnel.
    pub deleted: bool,
}

/// A page of funnels: the built-in ones, then the saved ones by id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FunnelsAnswer {
    /// This page.
    pub funnels: Vec<Funnel>,
    /// Give back as `cursor`; null on the last page.
    pub next_cursor: Option<String>,
}

/// Something with a tag that changes when it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Tagged<T> {
    /// The tag: letters, digits, dash and dot.
    pub tag: String,
    /// What it is the tag of.
    pub value: T,
}

/// What a save did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// There was no such funnel.
    Created,
    /// It got a new version.
    Changed,
    /// It was like that already; no new version.
    Unchanged,
}

/// Whether a change of what has this tag (nothing, for `None`) is allowed.
pub type Allowed<'f> = &'f (dyn Fn(Option<&str>) -> bool + Send + Sync);

impl Engine {
    /// One page of the tenant's funnels. `cursor`: from the page before. `limit`: 100 when absent.
    ///
    /// # Errors
    /// 400 for a bad cursor, 422 for a bad limit.
    pub async fn funnels(
        &self,
        tenant: &str,
        cursor: Option<&str>,
        limit: Option<usize>,
    ) -> Result<FunnelsAnswer> {
        let limit = limit.unwrap_or(100);
        if limit == 0 || limit > MAX_FUNNELS {
            let detail = format!("a page has 1 to {MAX_FUNNELS} funnels");
            return Err(Error::refused("bad_limit", "/limit", detail));
        }
        let built_in = built_in_funnels();
        let after = cursor.map(|text| {
            FunnelId::parse(text)
                .ok_or_else(|| Error::bad("bad_cursor", "/cursor", "not a cursor of this list"))
        });
        let after = after.transpose()?;
        let among = |id: &FunnelId| built_in.iter().position(|f| f.id == id.as_str());
        let (skipped, from) = match &after {
            None => (0, Bound::Unbounded),
            Some(id) => match among(id) {
                Some(at) => (at + 1, Bound::Unbounded),
                None => (built_in.len(), Bound::Excluded(id)),
            },
        };
        let saved = self.store().saved_funnels(tenant).await?;
        let live = saved
            .range::<FunnelId, _>((from, Bound::Unbounded))
            .filter(|(id, newest)| !newest.note.deleted && among(id).is_none())
            .map(|(id, newest)| shown(id.as_str(), newest));
        let built_in = built_in[skipped..].iter().map(shown_built_in);
        let mut funnels: Vec<Funnel> = built_in.chain(live).take(limit + 1).collect();
        let more = funnels.len() > limit;
        funnels.truncate(limit);
        let next_cursor = funnels.last().filter(|_| more).map(|last| last.id.clone());
        Ok(FunnelsAnswer {
            funnels,
            next_cursor,
        })
    }

    /// A funnel by its id, with its history; an earlier version by its number.
    ///
    /// # Errors
    /// [`Error::Funnel`]: 404 `unknown_funnel`, `funnel_deleted` or `unknown_version`.
    pub async fn funnel_by_id(
        &self,
        tenant: &str,
        id: &str,
        version: Option<u32>,
    ) -> Result<Tagged<Funnel>> {
        let built_in = built_in_funnel(id);
        if let (Some(built_in), None) = (&built_in, version) {
            return Ok(tagged_built_in(built_in));
        }
        let saved = self.store().saved_funnels(tenant).await?;
        let Some((id, newest)) = saved.get_key_value(id) else {
            return Err(match built_in {
                Some(_) => no_version(format!("{id} is built in and has no versions")),
                None => missing("unknown_funnel", unknown(id, &saved)),
            });
        };
        let asked = version.unwrap_or(newest.note.version);
        let found = if asked == newest.note.version {
            Some(Arc::clone(newest))
        } else {
            self.store().saved_version(tenant, id, asked).await?
        };
        let found = found.ok_or_else(|| {
            let last = newest.note.version;
            no_version(format!("{id} has the versions 1 to {last}, not {asked}"))
        })?;
        if found.note.deleted {
            let (code, detail) = deleted(id.as_str(), &found);
            return Err(missing(code, detail));
        }
        // another process may have saved it since this one looked
        let newest = if found.note.version > newest.note.version {
            &found
        } else {
            newest
        };
        Ok(tagged(id.as_str(), &found, newest))
    }

    /// Saves a funnel under an id. The same content again makes no new version. `by`: who saves it.
    ///
    /// # Errors
    /// The first mistake in the content; [`Error::Funnel`]: 409 `built_in_funnel`, 412
    /// `precondition_failed`, 422 `limit_exceeded`.
    pub async fn save_funnel(
        &self,
        tenant: &str,
        id: &str,
        by: &str,
        content: &FunnelContent,
        allowed: Allowed<'_>,
    ) -> Result<(Saved, Tagged<Funnel>)> {
        let id = changeable(id)?;
        content.check()?;
        let json = serde_json::to_value(content).map_err(|e| Error::Internal(e.to_string()))?;
        for _ in 0..OVERTAKEN {
            let newest = self.store().saved_funnel(tenant, &id).await?;
            let live = newest.as_deref().filter(|newest| !newest.note.deleted);
            check_allowed(&id, live, allowed)?;
            if let Some(live) = live
                && is_same(live, content)
            {
                return Ok((Saved::Unchanged, tagged(id.as_str(), live, live)));
            }
            let done = if live.is_some() {
                Saved::Changed
            } else {
                Saved::Created
            };
            let base = newest.as_deref();
            match self
                .store()
                .save_funnel(tenant, &id, base, by, Some(json.clone()))
                .await
            {
                Ok(saved) => return Ok((done, tagged(id.as_str(), &saved, &saved))),
                Err(StoreError::Overtaken { .. }) => {}
                Err(error) => return Err(of_store(error)),
            }
        }
        Err(contended(&id))
    }

    /// Deletes a saved funnel: its last version says so, and the earlier ones can still be read.
    ///
    /// # Errors
    /// [`Error::Funnel`]: 404 when it is not there, 409 `built_in_funnel`, 412
    /// `precondition_failed`.
    pub async fn delete_funnel(
        &self,
        tenant: &str,
        id: &str,
        by: &str,
        allowed: Allowed<'_>,
    ) -> Result<FunnelVersion> {
        let id = match changeable(id) {
            Err(Error::Invalid { .. }) => {
                let saved = self.store().saved_funnels(tenant).await?;
                return Err(missing("unknown_funnel", unknown(id, &saved)));
            }
            other => other?,
        };
        for _ in 0..OVERTAKEN {
            let Some(newest) = self.store().saved_funnel(tenant, &id).await? else {
                let saved = self.store().saved_funnels(tenant).await?;
                return Err(missing("unknown_funnel", unknown(id.as_str(), &saved)));
            };
            if newest.note.deleted {
                let (code, detail) = deleted(id.as_str(), &newest);
                return Err(missing(code, detail));
            }
            check_allowed(&id, Some(&newest), allowed)?;
            match self
                .store()
                .save_funnel(tenant, &id, Some(&newest), by, None)
                .await
            {
                Ok(tombstone) => return Ok(in_words(&tombstone.note)),
                Err(StoreError::Overtaken { .. }) => {}
                Err(error) => return Err(of_store(error)),
            }
        }
        Err(contended(&id))
    }
}

/// The id, if a funnel can be saved under it.
fn changeable(id: &str) -> Result<FunnelId> {
    if built_in_funnel(id).is_some() {
        let detail = format!("{id} is built in and stays as it is; save yours under another id");
        return Err(refused(409, "built_in_funnel", detail));
    }
    FunnelId::parse(id).ok_or_else(|| {
        let detail = format!(
            "{id:?} cannot be a funnel's id: {}",
            linkfunnel_model::FUNNEL_ID_RULE
        );
        Error::refused("bad_id", "/id", detail)
    })
}

fn check_allowed(id: &FunnelId, live: Option<&SavedVersion>, allowed: Allowed<'_>) -> Result<()> {
    let tag = live.map(|live| tag(live, live));
    if allowed(tag.as_deref()) {
        return Ok(());
    }
    let is = match live {
        Some(live) => format!("{id} stands at version {}", live.note.version),
        None => format!("there is no funnel {id}"),
    };
    let detail = format!("{is}, which is not what If-Match or If-None-Match asks for");
    Err(refused(412, "precondition_failed", detail))
}

fn is_same(live: &SavedVersion, content: &FunnelContent) -> bool {
    let there = live
        .content
        .clone()
        .map(serde_json::from_value::<FunnelContent>);
    matches!(there, Some(Ok(there)) if there == *content)
}

fn refused(status: u16, code: &'static str, detail: String) -> Error {
    Error::Funnel {
        status,
        code,
        detail,
    }
}

fn missing(code: &'static str, detail: String) -> Error {
    refused(404, code, detail)
}

fn no_version(detail: String) -> Error {
    missing("unknown_version", detail)
}

fn contended(id: &FunnelId) -> Error {
    refused(
        409,
        "funnel_contended",
        format!("others keep saving {id}; look at it and try again"),
    )
}

fn of_store(error: StoreError) -> Error {
    match error {
        StoreError::SavedLimit { .. } => refused(422, "limit_exceeded", error.to_string()),
        other => Error::Store(other),
    }
}

/// Code and sentence for a funnel that is not there any more.
pub(crate) fn deleted(id: &str, last: &SavedVersion) -> (&'static str, String) {
    let note = &last.note;
    let detail = format!(
        "{} deleted the funnel {id} at {}; its versions up to {} can still be read by their number",
        note.saved_by,
        instant_text(note.saved_at_us),
        note.version.saturating_sub(1)
    );
    ("funnel_deleted", detail)
}

fn tagged(id: &str, version: &SavedVersion, newest: &SavedVersion) -> Tagged<Funnel> {
    let history = newest.history().rev().map(in_words).collect();
    Tagged {
        tag: tag(version, newest),
        value: Funnel {
            history,
            ..shown(id, version)
        },
    }
}

/// No two saves share an id, so tags of different funnels, or tenants, are never the same.
fn tag(version: &SavedVersion, newest: &SavedVersion) -> String {
    let save = newest.save.get(..8).unwrap_or(&newest.save);
    match (version.note.version, newest.note.version) {
        (number, last) if number == last => format!("{number}-{save}"),
        (number, last) => format!("{number}.{last}-{save}"),
    }
}

fn tagged_built_in(funnel: &NamedFunnel) -> Tagged<Funnel> {
    let value = shown_built_in(funnel);
    let json = serde_json::to_vec(&value).unwrap_or_default();
    Tagged {
        tag: format!("b-{:x}", xxh3_64(&json)),
        value,
    }
}

fn shown(id: &str, version: &SavedVersion) -> Funnel {
    let part = |name: &str| {
        version
            .content
            .as_ref()
            .and_then(|content| content.get(name))
    };
    let text = |name: &str| {
        part(name)
            .and_then(|v| v.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    Funnel {
        id: id.to_owned(),
        name: text("name"),
        description: text("description"),
        definition: part("definition").cloned().unwrap_or_default(),
        built_in: false,
        version: Some(version.note.version),
        saved_at: Some(instant_text(version.note.saved_at_us)),
        saved_by: Some(version.note.saved_by.clone()),
        history: Vec::new(),
    }
}

fn shown_built_in(funnel: &NamedFunnel) -> Funnel {
    Funnel {
        id: funnel.id.clone(),
        name: funnel.name.clone(),
        description: funnel.description.clone(),
        definition: serde_json::to_value(&funnel.definition).unwrap_or_default(),
        built_in: true,
        version: None,
        saved_at: None,
        saved_by: None,
        history: Vec::new(),
    }
}

fn in_words(note: &SavedNote) -> FunnelVersion {
    FunnelVersion {
        version: note.version,
        saved_at: instant_text(note.saved_at_us),
        saved_by: note.saved_by.clone(),
        deleted: note.deleted,
    }
}
