//! Which definition the id in a question means.
//!
//! A built-in funnel, else the newest version of the tenant's saved one. Asked of the view of an
//! earlier answer about the same id, it means the definition of that answer (design, promise 3),
//! also when it was changed or deleted since: the snapshot token names it.

use linkfunnel_model::{
    FunnelContent, FunnelDefinition, FunnelQuestion, FunnelRef, SavedId, built_in_funnel,
};
use linkfunnel_store::{DefinitionName, SavedAll, SavedVersion, SnapshotToken};
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::{Engine, Run, token_error};
use crate::error::{Error, Result};
use crate::saved::{FUNNELS, deletion, unknown};

/// A question whose funnel is a definition, and the run that will answer it.
pub(crate) struct Asked {
    pub(crate) question: FunnelQuestion,
    pub(crate) run: Run,
}

impl Engine {
    /// Opens the view that a question asks of and puts the definition in the place of its id.
    ///
    /// # Errors
    /// 422 `unknown_funnel`, 404 `funnel_deleted`, 422 `funnel_not_understood`, [`Error::Gone`].
    pub(crate) async fn ask(&self, tenant: &str, mut question: FunnelQuestion) -> Result<Asked> {
        let mut run = self.start(question.as_of.as_deref()).await?;
        if let FunnelRef::Id(id) = &question.funnel {
            let earlier = match question.as_of.as_deref() {
                Some(token) => SnapshotToken::from_text(token)
                    .definition()
                    .map_err(token_error)?,
                None => None,
            };
            let (definition, name) = self.named(tenant, id, earlier).await?;
            question.funnel = FunnelRef::Definition(Box::new(definition));
            run.definition = Some(name);
        }
        Ok(Asked { question, run })
    }

    async fn named(
        &self,
        tenant: &str,
        id: &str,
        earlier: Option<DefinitionName>,
    ) -> Result<(FunnelDefinition, DefinitionName)> {
        match earlier {
            Some(DefinitionName::Saved(of, version)) if of == id => {
                return self.saved_version(tenant, id, version).await;
            }
            Some(DefinitionName::BuiltIn(of, hash)) if of == id => {
                let same = built_in(id)
                    .filter(|(_, name)| *name == DefinitionName::BuiltIn(id.to_owned(), hash));
                return same.ok_or_else(|| Error::Gone {
                    detail: format!(
                        "the built-in funnel {id} is another since the program was changed"
                    ),
                });
            }
            _ => {}
        }
        if let Some(found) = built_in(id) {
            return Ok(found);
        }
        let saved = self.shelf(FUNNELS, tenant).all().await?;
        newest(id, &saved)
    }

    async fn saved_version(
        &self,
        tenant: &str,
        id: &str,
        version: u32,
    ) -> Result<(FunnelDefinition, DefinitionName)> {
        let gone = || Error::Gone {
            detail: format!("version {version} of the funnel {id} is not there any more"),
        };
        let parsed = SavedId::parse(id).ok_or_else(gone)?;
        let shelf = self.shelf(FUNNELS, tenant);
        let found = shelf.version(&parsed, version).await?;
        understood(id, found.ok_or_else(gone)?.as_ref())
    }
}

/// What an id means now: a built-in funnel, else the newest of the `saved`.
pub(crate) fn newest(id: &str, saved: &SavedAll) -> Result<(FunnelDefinition, DefinitionName)> {
    if let Some(found) = built_in(id) {
        return Ok(found);
    }
    match saved.get(id) {
        Some(newest) if newest.note.deleted => Err(Error::Invalid {
            status: 404,
            code: FUNNELS.deleted,
            pointer: "/funnel".to_owned(),
            detail: deletion(FUNNELS, id, newest),
        }),
        Some(newest) => understood(id, newest),
        None => Err(Error::refused(
            FUNNELS.unknown,
            "/funnel",
            unknown(FUNNELS, id, saved),
        )),
    }
}

fn built_in(id: &str) -> Option<(FunnelDefinition, DefinitionName)> {
    let definition = built_in_funnel(id)?.definition;
    let json = serde_json::to_vec(&definition).ok()?;
    let name = DefinitionName::BuiltIn(id.to_owned(), xxh3_64(&json));
    Some((definition, name))
}

/// The definition of a version, which a newer program may have saved.
fn understood(id: &str, version: &SavedVersion) -> Result<(FunnelDefinition, DefinitionName)> {
    let number = version.note.version;
    let refused = |why: String| {
        let detail = format!("this program does not understand version {number} of {id}: {why}");
        Error::refused("funnel_not_understood", "/funnel", detail)
    };
    let content = version.content.clone().unwrap_or_default();
    let content: FunnelContent =
        serde_json::from_value(content).map_err(|e| refused(e.to_string()))?;
    content
        .check()
        .map_err(|mistake| refused(mistake.to_string()))?;
    let name = DefinitionName::Saved(id.to_owned(), number);
    Ok((content.definition, name))
}
