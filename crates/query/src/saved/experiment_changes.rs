//! What was changed in an experiment after it had started.
//!
//! Definitions are compared version by version, as JSON. A new name or description changes nothing that
//! is measured; a deletion does, and what is saved again after it is compared with what stood before it.
//! A version saved before the start, or at that very instant, is no change after it. The first version of an
//! experiment that was defined after its start says so: all of it came later.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use linkfunnel_model::instant_text;
use linkfunnel_store::{SavedNote, SavedVersion};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Found, Kind};
use crate::engine::Engine;
use crate::error::{Error, Result};

/// Versions read at the same time.
const READS_AT_ONCE: usize = 16;

/// A change that was made after an experiment's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExperimentChange {
    /// The saved funnel that was changed, one that the experiment names; null when it is the experiment
    /// itself.
    pub funnel: Option<String>,
    /// Number of the version that changed it.
    pub version: u32,
    /// When, RFC 3339.
    pub saved_at: String,
    /// The name of the key that saved it.
    pub saved_by: String,
    /// Which fields of the definition it changed, by name; all there are where the experiment was first
    /// defined after its start.
    pub fields: Vec<String>,
    /// Whether it was the deletion.
    pub deleted: bool,
    #[serde(skip)]
    pub(super) saved_at_us: i64,
}

impl Engine {
    /// What was changed under an id after an instant (µs since the epoch), newest first.
    pub(super) async fn changes_after(
        &self,
        kind: &Kind,
        tenant: &str,
        found: &Found,
        start_us: i64,
    ) -> Result<Vec<ExperimentChange>> {
        let notes: Vec<&SavedNote> = found.newest.history().collect();
        let Some(first) = notes.iter().position(|note| note.saved_at_us > start_us) else {
            return Ok(Vec::new());
        };
        // what the first one changed is told by the last one before it that says something
        let before = notes[..first].iter().rposition(|note| !note.deleted);
        let from = before.unwrap_or(first);
        let earlier: Vec<u32> = notes[from..notes.len() - 1]
            .iter()
            .map(|note| note.version)
            .collect();
        let shelf = self.shelf(kind, tenant);
        let reads = earlier
            .into_iter()
            .map(|version| shelf.version(&found.id, version));
        let versions: Vec<Option<Arc<SavedVersion>>> = stream::iter(reads)
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
        let mut versions: Vec<Arc<SavedVersion>> =
            versions.into_iter().collect::<Option<_>>().ok_or_else(|| {
                Error::Internal(format!(
                    "a version of the {} {} is lost",
                    kind.one, found.id
                ))
            })?;
        versions.push(Arc::clone(&found.newest));
        Ok(changes(&versions, start_us))
    }
}

/// The changes after an instant among `versions`, oldest first; newest first.
fn changes(versions: &[Arc<SavedVersion>], start_us: i64) -> Vec<ExperimentChange> {
    let nothing = Map::new();
    let mut before = &nothing;
    let mut changes = Vec::new();
    for version in versions {
        let definition = version
            .content
            .as_ref()
            .and_then(|content| content.get("definition")?.as_object());
        let fields = definition.map_or_else(Vec::new, |definition| differing(before, definition));
        before = definition.unwrap_or(before);
        let note = &version.note;
        if note.saved_at_us > start_us && (note.deleted || !fields.is_empty()) {
            changes.push(ExperimentChange {
                funnel: None,
                version: note.version,
                saved_at: instant_text(note.saved_at_us),
                saved_by: note.saved_by.clone(),
                fields,
                deleted: note.deleted,
                saved_at_us: note.saved_at_us,
            });
        }
    }
    changes.reverse();
    changes
}

/// Names of the fields that are not the same in both.
fn differing(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differ = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name));
    differ.cloned().collect()
}
