//! The funnels there are, built in and saved; saving, changing and deleting.

use linkfunnel_model::{
    FunnelContent, FunnelDefinition, NamedFunnel, SavedId, built_in_funnel, built_in_funnels,
    instant_text,
};
use linkfunnel_store::{SavedKind, SavedVersion};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Allowed, DefinitionVersion, Found, Kind, Page, Saved, Tagged, live, no_version, part_of,
    refused, text_of,
};
use crate::engine::Engine;
use crate::error::Result;

pub(crate) const FUNNELS: &Kind = &Kind {
    saved: SavedKind::Funnel,
    one: "funnel",
    an: "a funnel",
    many: "funnels",
    unknown: "unknown_funnel",
    deleted: "funnel_deleted",
    contended: "funnel_contended",
    built_in: || built_in_funnels().into_iter().map(|f| f.id).collect(),
};

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
    pub history: Vec<DefinitionVersion>,
}

/// A page of funnels: the built-in ones, then the saved ones by id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FunnelsAnswer {
    /// This page.
    pub funnels: Vec<Funnel>,
    /// Give back as `cursor`; null on the last page.
    pub next_cursor: Option<String>,
}

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
        let page = Page::of(FUNNELS, cursor, limit)?;
        let built_in = built_in_funnels();
        let among = |id: &SavedId| built_in.iter().position(|f| f.id == id.as_str());
        let (skipped, after) = match &page.after {
            None => (0, None),
            Some(id) => match among(id) {
                Some(at) => (at + 1, None),
                None => (built_in.len(), Some(id)),
            },
        };
        let all = self.shelf(FUNNELS, tenant).all().await?;
        let saved = live(&all, after)
            .filter(|(id, _)| among(id).is_none())
            .map(|(id, newest)| shown(id.as_str(), newest));
        let built_in = built_in[skipped..].iter().map(shown_built_in);
        let (funnels, next_cursor) = page.cut(built_in.chain(saved), |funnel| &funnel.id);
        Ok(FunnelsAnswer {
            funnels,
            next_cursor,
        })
    }

    /// A funnel by its id, with its history; an earlier version by its number.
    ///
    /// # Errors
    /// [`crate::Error::Definition`]: 404 `unknown_funnel`, `funnel_deleted` or `unknown_version`.
    pub async fn funnel_by_id(
        &self,
        tenant: &str,
        id: &str,
        version: Option<u32>,
    ) -> Result<Tagged<Funnel>> {
        if let Some(built_in) = built_in_funnel(id) {
            if version.is_none() {
                return Ok(tagged_built_in(&built_in));
            }
            // one that was saved before the program had it
            if !self.shelf(FUNNELS, tenant).all().await?.contains_key(id) {
                let detail = format!("{id} is built in and has no versions");
                return Err(no_version(detail));
            }
        }
        let found = self.saved(FUNNELS, tenant, id, version).await?;
        Ok(tagged(&found))
    }

    /// Saves a funnel under an id. The same content again makes no new version. `by`: who saves it.
    ///
    /// # Errors
    /// The first mistake in the content; [`crate::Error::Definition`]: 409 `built_in_funnel`, 412
    /// `precondition_failed`, 422 `limit_exceeded`.
    pub async fn save_funnel(
        &self,
        tenant: &str,
        id: &str,
        by: &str,
        content: &FunnelContent,
        allowed: Allowed<'_>,
    ) -> Result<(Saved, Tagged<Funnel>)> {
        check_changeable(id)?;
        content.check()?;
        let saved = self.save(FUNNELS, tenant, id, by, content, allowed).await?;
        Ok((saved.0, tagged(&saved.1)))
    }

    /// Deletes a saved funnel: its last version says so, and the earlier ones can still be read.
    ///
    /// # Errors
    /// [`crate::Error::Definition`]: 404 when it is not there, 409 `built_in_funnel`, 412
    /// `precondition_failed`.
    pub async fn delete_funnel(
        &self,
        tenant: &str,
        id: &str,
        by: &str,
        allowed: Allowed<'_>,
    ) -> Result<DefinitionVersion> {
        check_changeable(id)?;
        self.delete(FUNNELS, tenant, id, by, allowed).await
    }
}

fn check_changeable(id: &str) -> Result<()> {
    if built_in_funnel(id).is_none() {
        return Ok(());
    }
    let detail = format!("{id} is built in and stays as it is; save yours under another id");
    Err(refused(409, "built_in_funnel", detail))
}

fn tagged(found: &Found) -> Tagged<Funnel> {
    Tagged {
        tag: found.tag(),
        value: Funnel {
            history: found.history(),
            ..shown(found.id.as_str(), &found.version)
        },
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
    Funnel {
        id: id.to_owned(),
        name: text_of(version, "name"),
        description: text_of(version, "description"),
        definition: part_of(version, "definition"),
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
