//! The experiments that are defined; saving, changing and deleting their definitions.

use linkfunnel_model::{
    CheckedExperiment, ExperimentContent, ExperimentDefinition, FunnelRef, instant_text,
};
use linkfunnel_store::{SavedKind, SavedVersion};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::experiment_changes::ExperimentChange;
use super::{
    Allowed, DefinitionVersion, FUNNELS, Found, Kind, Page, Saved, Tagged, live, part_of, refused,
    text_of,
};
use crate::engine::Engine;
use crate::error::Result;

/// The id that no experiment can have.
const PLANNING: &str = "plan";

pub(crate) const EXPERIMENTS: &Kind = &Kind {
    saved: SavedKind::Experiment,
    one: "experiment",
    an: "an experiment",
    many: "experiments",
    unknown: "unknown_experiment",
    deleted: "experiment_deleted",
    contended: "experiment_contended",
    built_in: Vec::new,
};

/// An experiment as it is defined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Experiment {
    /// Its id, as events tell it in `experiments[].id`.
    pub id: String,
    /// The name shown.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// The definition as it was saved.
    #[schema(value_type = ExperimentDefinition)]
    pub definition: serde_json::Value,
    /// Number of this version, from 1.
    pub version: u32,
    /// When this version was saved, RFC 3339.
    pub saved_at: String,
    /// The name of the key that saved it, `local` on a server without keys.
    pub saved_by: String,
    /// What was changed after this definition's start, newest first; left out in lists and where there
    /// is nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ExperimentChange>,
    /// Every version there is, newest first; left out in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<DefinitionVersion>,
}

/// A page of experiments, by id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExperimentsAnswer {
    /// This page.
    pub experiments: Vec<Experiment>,
    /// Give back as `cursor`; null on the last page.
    pub next_cursor: Option<String>,
}

/// What an experiment's id means now.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedExperiment {
    /// What was saved.
    pub content: ExperimentContent,
    /// The same, resolved.
    pub checked: CheckedExperiment,
    /// Number of the version.
    pub version: u32,
    /// What was changed after its start, of the definition and of the saved funnels that it names;
    /// newest first.
    pub changes: Vec<ExperimentChange>,
}

impl Engine {
    /// One page of the tenant's experiments. `cursor`: from the page before. `limit`: 100 when absent.
    ///
    /// # Errors
    /// 400 for a bad cursor, 422 for a bad limit.
    pub async fn experiments(
        &self,
        tenant: &str,
        cursor: Option<&str>,
        limit: Option<usize>,
    ) -> Result<ExperimentsAnswer> {
        let page = Page::of(EXPERIMENTS, cursor, limit)?;
        let all = self.shelf(EXPERIMENTS, tenant).all().await?;
        let saved = live(&all, page.after.as_ref());
        let saved = saved.map(|(id, newest)| shown(id.as_str(), newest));
        let (experiments, next_cursor) = page.cut(saved, |experiment| &experiment.id);
        Ok(ExperimentsAnswer {
            experiments,
            next_cursor,
        })
    }

    /// An experiment by its id, with its history; an earlier version by its number.
    ///
    /// # Errors
    /// [`crate::Error::Definition`]: 404 `unknown_experiment`, `experiment_deleted` or
    /// `unknown_version`.
    pub async fn experiment(
        &self,
        tenant: &str,
        id: &str,
        version: Option<u32>,
    ) -> Result<Tagged<Experiment>> {
        let found = self.saved(EXPERIMENTS, tenant, id, version).await?;
        self.tagged(tenant, &found).await
    }

    /// Saves an experiment under an id. The same content again makes no new version. `by`: who saves it.
    ///
    /// # Errors
    /// The first mistake in the content or in a funnel that it names; [`crate::Error::Definition`]: 412
    /// `precondition_failed`, 422 `limit_exceeded`.
    pub async fn save_experiment(
        &self,
        tenant: &str,
        id: &str,
        by: &str,
        content: &ExperimentContent,
        allowed: Allowed<'_>,
    ) -> Result<(Saved, Tagged<Experiment>)> {
        if id == PLANNING {
            let detail = format!(
                "/api/v1/experiments/{id} is where experiments are planned; choose another id"
            );
            return Err(crate::error::Error::refused("bad_id", "/id", detail));
        }
        content.check()?;
        self.check_experiment_funnels(tenant, &content.definition, "/definition")
            .await?;
        let (done, found) = self
            .save(EXPERIMENTS, tenant, id, by, content, allowed)
            .await?;
        Ok((done, self.tagged(tenant, &found).await?))
    }

    /// Deletes an experiment's definition: its last version says so, and the earlier ones can still be
    /// read.
    ///
    /// # Errors
    /// [`crate::Error::Definition`]: 404 when it is not there, 412 `precondition_failed`.
    pub async fn delete_experiment(
        &self,
        tenant: &str,
        id: &str,
        by: &str,
        allowed: Allowed<'_>,
    ) -> Result<DefinitionVersion> {
        self.delete(EXPERIMENTS, tenant, id, by, allowed).await
    }

    /// What an experiment's id means now, and what was changed after its start.
    ///
    /// # Errors
    /// [`crate::Error::Definition`]: 404 `unknown_experiment` or `experiment_deleted`, 422
    /// `experiment_not_understood`.
    pub async fn experiment_named(&self, tenant: &str, id: &str) -> Result<NamedExperiment> {
        let found = self.saved(EXPERIMENTS, tenant, id, None).await?;
        let version = found.version.note.version;
        let (content, checked) = understood(&found.version).map_err(|why| {
            let detail =
                format!("this program does not understand version {version} of {id}: {why}");
            refused(422, "experiment_not_understood", detail)
        })?;
        let start_us = checked.start_us;
        let mut changes = self
            .changes_after(EXPERIMENTS, tenant, &found, start_us)
            .await?;
        for funnel in funnels_of(&content.definition) {
            changes.extend(self.funnel_changes(tenant, funnel, start_us).await?);
        }
        changes.sort_by_key(|change| std::cmp::Reverse(change.saved_at_us));
        Ok(NamedExperiment {
            content,
            checked,
            version,
            changes,
        })
    }

    /// What was changed after an instant in a funnel that an experiment names; nothing for a built-in one
    /// or one that is not there.
    async fn funnel_changes(
        &self,
        tenant: &str,
        id: &str,
        start_us: i64,
    ) -> Result<Vec<ExperimentChange>> {
        if linkfunnel_model::built_in_funnel(id).is_some() {
            return Ok(Vec::new());
        }
        let all = self.shelf(FUNNELS, tenant).all().await?;
        let Some((key, newest)) = all.get_key_value(id) else {
            return Ok(Vec::new());
        };
        let found = Found::newest(key.clone(), newest.clone());
        let changes = self.changes_after(FUNNELS, tenant, &found, start_us);
        let mut changes = changes.await?;
        changes.retain(|change| change.version > 1); // there was nothing to change before
        for change in &mut changes {
            change.funnel = Some(id.to_owned());
        }
        Ok(changes)
    }

    async fn tagged(&self, tenant: &str, found: &Found) -> Result<Tagged<Experiment>> {
        let changes = match understood(&found.version) {
            Ok((_, checked)) => {
                self.changes_after(EXPERIMENTS, tenant, found, checked.start_us)
                    .await?
            }
            Err(_) => Vec::new(), // it is shown as it is
        };
        Ok(Tagged {
            tag: found.tag(),
            value: Experiment {
                changes,
                history: found.history(),
                ..shown(found.id.as_str(), &found.version)
            },
        })
    }
}

/// The ids of funnels that a definition names, each once.
pub(super) fn funnels_of(definition: &ExperimentDefinition) -> Vec<&str> {
    let primary = definition.primary.iter().filter_map(|m| m.funnel.as_ref());
    let guardrails = definition
        .guardrails
        .iter()
        .filter_map(|g| g.funnel.as_ref());
    let all = std::iter::once(&definition.funnel)
        .chain(primary)
        .chain(guardrails);
    let mut ids: Vec<&str> = all
        .filter_map(|funnel| match funnel {
            FunnelRef::Id(id) => Some(id.as_str()),
            FunnelRef::Definition(_) => None,
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What a version says, which a newer program may have saved; else why it is not understood.
fn understood(version: &SavedVersion) -> Result<(ExperimentContent, CheckedExperiment), String> {
    let content = version.content.clone().unwrap_or_default();
    let content: ExperimentContent = serde_json::from_value(content).map_err(|e| e.to_string())?;
    let checked = content.check().map_err(|mistake| mistake.to_string())?;
    Ok((content, checked))
}

fn shown(id: &str, version: &SavedVersion) -> Experiment {
    Experiment {
        id: id.to_owned(),
        name: text_of(version, "name"),
        description: text_of(version, "description"),
        definition: part_of(version, "definition"),
        version: version.note.version,
        saved_at: instant_text(version.note.saved_at_us),
        saved_by: version.note.saved_by.clone(),
        changes: Vec::new(),
        history: Vec::new(),
    }
}
