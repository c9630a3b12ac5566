//! What is saved under an id: read, saved, changed and deleted in one way, whatever it defines.
//!
//! A save answers for what it found: it looks at the newest version, and writes the next only if
//! there is none meanwhile, else it looks again. So what the caller allows is allowed of the very
//! version that is followed, and two who save at the same time leave two versions, or one refusal.

mod experiment_changes;
mod experiment_funnels;
mod experiments;
mod funnels;

use std::ops::Bound;
use std::sync::Arc;

use linkfunnel_model::{SavedId, instant_text, nearest};
use linkfunnel_store::{Error as StoreError, SavedAll, SavedKind, SavedNote, SavedVersion, Shelf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::engine::Engine;
use crate::error::{Error, Result};

pub use experiment_changes::ExperimentChange;
pub(crate) use experiment_funnels::measured;
pub use experiments::{Experiment, ExperimentsAnswer, NamedExperiment};
pub(crate) use funnels::FUNNELS;
pub use funnels::{Funnel, FunnelsAnswer};

/// Most definitions on one page.
pub const MAX_DEFINITIONS: usize = 1_000;
/// How often others may save the same id first.
const OVERTAKEN: u32 = 16;
/// Most ids that a refusal lists.
const MAX_LISTED: usize = 20;

/// What differs from kind to kind.
pub(crate) struct Kind {
    pub(crate) saved: SavedKind,
    /// `funnel`
    pub(crate) one: &'static str,
    /// `a funnel`
    pub(crate) an: &'static str,
    /// `funnels`
    pub(crate) many: &'static str,
    /// Codes of refusals.
    pub(crate) unknown: &'static str,
    pub(crate) deleted: &'static str,
    pub(crate) contended: &'static str,
    /// Ids that are there from the start.
    pub(crate) built_in: fn() -> Vec<String>,
}

/// Who made which version of a definition when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DefinitionVersion {
    /// Its number.
    pub version: u32,
    /// When, RFC 3339.
    pub saved_at: String,
    /// The name of the key.
    pub saved_by: String,
    /// Whether it is the deletion.
    pub deleted: bool,
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
    /// There was nothing of that id.
    Created,
    /// It got a new version.
    Changed,
    /// It was like that already; no new version.
    Unchanged,
}

/// Whether a change of what has this tag (nothing, for `None`) is allowed.
pub type Allowed<'f> = &'f (dyn Fn(Option<&str>) -> bool + Send + Sync);

/// A version, and the newest one under the same id.
pub(crate) struct Found {
    pub(crate) id: SavedId,
    pub(crate) version: Arc<SavedVersion>,
    pub(crate) newest: Arc<SavedVersion>,
}

impl Found {
    fn newest(id: SavedId, newest: Arc<SavedVersion>) -> Found {
        Found {
            id,
            version: Arc::clone(&newest),
            newest,
        }
    }

    pub(crate) fn tag(&self) -> String {
        tag(&self.version, &self.newest)
    }

    /// Every version there is, newest first.
    pub(crate) fn history(&self) -> Vec<DefinitionVersion> {
        self.newest.history().rev().map(in_words).collect()
    }
}

impl Engine {
    pub(crate) fn shelf(&self, kind: &Kind, tenant: &str) -> Shelf<'_> {
        self.store().shelf(kind.saved, tenant)
    }

    /// The newest version under an id, an earlier one by its number.
    pub(crate) async fn saved(
        &self,
        kind: &Kind,
        tenant: &str,
        id: &str,
        version: Option<u32>,
    ) -> Result<Found> {
        let shelf = self.shelf(kind, tenant);
        let all = shelf.all().await?;
        let Some((id, newest)) = all.get_key_value(id) else {
            return Err(missing(kind.unknown, unknown(kind, id, &all)));
        };
        let last = newest.note.version;
        let asked = version.unwrap_or(last);
        let found = if asked == last {
            Some(Arc::clone(newest))
        } else {
            shelf.version(id, asked).await?
        };
        let found = found
            .ok_or_else(|| no_version(format!("{id} has the versions 1 to {last}, not {asked}")))?;
        if found.note.deleted {
            return Err(missing(kind.deleted, deletion(kind, id.as_str(), &found)));
        }
        // another process may have saved it since this one looked
        let newest = if found.note.version > last {
            Arc::clone(&found)
        } else {
            Arc::clone(newest)
        };
        Ok(Found {
            id: id.clone(),
            version: found,
            newest,
        })
    }

    /// Saves what was checked. The same content again makes no new version.
    pub(crate) async fn save<C: Serialize + DeserializeOwned + PartialEq>(
        &self,
        kind: &Kind,
        tenant: &str,
        id: &str,
        by: &str,
        content: &C,
        allowed: Allowed<'_>,
    ) -> Result<(Saved, Found)> {
        let id = savable(kind, id)?;
        let json = serde_json::to_value(content).map_err(|e| Error::Internal(e.to_string()))?;
        let shelf = self.shelf(kind, tenant);
        for _ in 0..OVERTAKEN {
            let newest = shelf.newest(&id).await?;
            let live = newest.as_ref().filter(|newest| !newest.note.deleted);
            check_allowed(kind, &id, live.map(Arc::as_ref), allowed)?;
            if let Some(live) = live
                && is_same(live, content)
            {
                return Ok((Saved::Unchanged, Found::newest(id, Arc::clone(live))));
            }
            let done = match live {
                Some(_) => Saved::Changed,
                None => Saved::Created,
            };
            let saved = shelf.save(&id, newest.as_deref(), by, Some(json.clone()));
            match saved.await {
                Ok(saved) => return Ok((done, Found::newest(id, saved))),
                Err(StoreError::Overtaken { .. }) => {}
                Err(error) => return Err(of_store(error)),
            }
        }
        Err(contended(kind, &id))
    }

    /// Deletes: the last version says so, and the earlier ones can still be read.
    pub(crate) async fn delete(
        &self,
        kind: &Kind,
        tenant: &str,
        id: &str,
        by: &str,
        allowed: Allowed<'_>,
    ) -> Result<DefinitionVersion> {
        let shelf = self.shelf(kind, tenant);
        let Some(id) = SavedId::parse(id) else {
            return Err(missing(
                kind.unknown,
                unknown(kind, id, &*shelf.all().await?),
            ));
        };
        for _ in 0..OVERTAKEN {
            let Some(newest) = shelf.newest(&id).await? else {
                let all = shelf.all().await?;
                return Err(missing(kind.unknown, unknown(kind, id.as_str(), &all)));
            };
            if newest.note.deleted {
                return Err(missing(kind.deleted, deletion(kind, id.as_str(), &newest)));
            }
            check_allowed(kind, &id, Some(&newest), allowed)?;
            match shelf.save(&id, Some(&newest), by, None).await {
                Ok(tombstone) => return Ok(in_words(&tombstone.note)),
                Err(StoreError::Overtaken { .. }) => {}
                Err(error) => return Err(of_store(error)),
            }
        }
        Err(contended(kind, &id))
    }
}

/// Which page of a list is asked for.
pub(crate) struct Page {
    /// The last one of the page before.
    pub(crate) after: Option<SavedId>,
    limit: usize,
}

impl Page {
    /// `cursor`: from the page before. `limit`: 100 when absent.
    ///
    /// # Errors
    /// 400 for a bad cursor, 422 for a bad limit.
    pub(crate) fn of(kind: &Kind, cursor: Option<&str>, limit: Option<usize>) -> Result<Page> {
        let limit = limit.unwrap_or(100);
        if limit == 0 || limit > MAX_DEFINITIONS {
            let detail = format!("a page has 1 to {MAX_DEFINITIONS} {}", kind.many);
            return Err(Error::refused("bad_limit", "/limit", detail));
        }
        let after = cursor.map(|text| {
            SavedId::parse(text)
                .ok_or_else(|| Error::bad("bad_cursor", "/cursor", "not a cursor of this list"))
        });
        let after = after.transpose()?;
        Ok(Page { after, limit })
    }

    /// The first of what there is after `after`, and the cursor of the next page.
    pub(crate) fn cut<T>(
        &self,
        all: impl Iterator<Item = T>,
        id: impl Fn(&T) -> &str,
    ) -> (Vec<T>, Option<String>) {
        let mut page: Vec<T> = all.take(self.limit + 1).collect();
        let more = page.len() > self.limit;
        page.truncate(self.limit);
        let next = page.last().filter(|_| more).map(|last| id(last).to_owned());
        (page, next)
    }
}

/// Those that are not deleted, by id, from the one after `after` on.
pub(crate) fn live<'a>(
    all: &'a SavedAll,
    after: Option<&'a SavedId>,
) -> impl Iterator<Item = (&'a SavedId, &'a Arc<SavedVersion>)> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    all.range::<SavedId, _>((from, Bound::Unbounded))
        .filter(|(_, newest)| !newest.note.deleted)
}

/// A text of what was saved, which a newer program may have said otherwise.
pub(crate) fn text_of(version: &SavedVersion, name: &str) -> String {
    let text = part_of(version, name);
    text.as_str().unwrap_or_default().to_owned()
}

/// A part of what was saved; null where there is none.
pub(crate) fn part_of(version: &SavedVersion, name: &str) -> serde_json::Value {
    let content = version.content.as_ref();
    let part = content.and_then(|content| content.get(name));
    part.cloned().unwrap_or_default()
}

/// The id, if something can be saved under it.
fn savable(kind: &Kind, id: &str) -> Result<SavedId> {
    SavedId::parse(id).ok_or_else(|| {
        let detail = format!(
            "{id:?} cannot be {}'s id: {}",
            kind.an,
            linkfunnel_model::SAVED_ID_RULE
        );
        Error::refused("bad_id", "/id", detail)
    })
}

fn check_allowed(
    kind: &Kind,
    id: &SavedId,
    live: Option<&SavedVersion>,
    allowed: Allowed<'_>,
) -> Result<()> {
    let tag = live.map(|live| tag(live, live));
    if allowed(tag.as_deref()) {
        return Ok(());
    }
    let is = match live {
        Some(live) => format!("{id} stands at version {}", live.note.version),
        None => format!("there is no {} {id}", kind.one),
    };
    let detail = format!("{is}, which is not what If-Match or If-None-Match asks for");
    Err(refused(412, "precondition_failed", detail))
}

fn is_same<C: DeserializeOwned + PartialEq>(live: &SavedVersion, content: &C) -> bool {
    let there = live.content.clone().map(serde_json::from_value::<C>);
    matches!(there, Some(Ok(there)) if there == *content)
}

pub(crate) fn refused(status: u16, code: &'static str, detail: String) -> Error {
    Error::Definition {
        status,
        code,
        detail,
    }
}

pub(crate) fn missing(code: &'static str, detail: String) -> Error {
    refused(404, code, detail)
}

pub(crate) fn no_version(detail: String) -> Error {
    missing("unknown_version", detail)
}

fn contended(kind: &Kind, id: &SavedId) -> Error {
    refused(
        409,
        kind.contended,
        format!("others keep saving {id}; look at it and try again"),
    )
}

fn of_store(error: StoreError) -> Error {
    match error {
        StoreError::SavedLimit { .. } => refused(422, "limit_exceeded", error.to_string()),
        other => Error::Store(other),
    }
}

/// That it is not there any more.
pub(crate) fn deletion(kind: &Kind, id: &str, last: &SavedVersion) -> String {
    let note = &last.note;
    format!(
        "{} deleted the {} {id} at {}; its versions up to {} can still be read by their number",
        note.saved_by,
        kind.one,
        instant_text(note.saved_at_us),
        note.version.saturating_sub(1)
    )
}

/// That there is nothing of this id: which there are, and the nearest of them.
pub(crate) fn unknown(kind: &Kind, id: &str, all: &SavedAll) -> String {
    let built_in = (kind.built_in)().into_iter();
    let saved = live(all, None).map(|(id, _)| id.to_string());
    let all: Vec<String> = built_in.chain(saved).collect();
    let one = kind.one;
    if all.is_empty() {
        return format!("no {one} is called {id:?}; none is saved");
    }
    let hint = match nearest(id, all.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}? There"),
        None => "there".to_owned(),
    };
    let more = match all.len().saturating_sub(MAX_LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let listed = all[..all.len().min(MAX_LISTED)].join(", ");
    format!("no {one} is called {id:?}; {hint} are {listed}{more}")
}

/// No two saves share an id, so tags of different definitions, or tenants, are never the same.
fn tag(version: &SavedVersion, newest: &SavedVersion) -> String {
    let save = newest.save.get(..8).unwrap_or(&newest.save);
    match (version.note.version, newest.note.version) {
        (number, last) if number == last => format!("{number}-{save}"),
        (number, last) => format!("{number}.{last}-{save}"),
    }
}

fn in_words(note: &SavedNote) -> DefinitionVersion {
    DefinitionVersion {
        version: note.version,
        saved_at: instant_text(note.saved_at_us),
        saved_by: note.saved_by.clone(),
        deleted: note.deleted,
    }
}
