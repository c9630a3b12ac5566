//! Saved definitions: one small JSON object per version, in a folder beside the files of the Delta table.
//!
//! ```text
//! _linkfunnel/funnels/TENANT/ID/0000000003.json
//! ```
//!
//! Each kind has a folder and ids of its own; beyond that kinds do not differ here. What a tenant saved of
//! one kind is a [`Shelf`].
//!
//! A version is written if there is none of its number, and never changed or removed. So of two who
//! save at the same time one gets the number and the other is told, whatever processes they are; a
//! deletion is a version without content; and a process that dies leaves the version or nothing.
//! Each version names those before it, so that one object tells the whole history. Readers of Delta
//! tables follow the log, and Delta's vacuum (ours too) leaves names beginning with `_` alone.
//!
//! What a definition means is not known here: content is JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use linkfunnel_model::SavedId;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _, PutMode, PutOptions};
use serde::{Deserialize, Serialize};

use crate::commit::Retry;
use crate::error::{Error, Result, While};
use crate::store::Store;

/// Most funnels that a tenant has saved and not deleted.
pub const MAX_SAVED_FUNNELS: usize = 500;
/// Most experiments that a tenant has saved and not deleted.
pub const MAX_SAVED_EXPERIMENTS: usize = 500;
/// Most ids of a kind that a tenant has ever saved under: deleted ones keep their history.
pub const MAX_SAVED_IDS: usize = 1_000;
/// Most versions of one id; a deletion may be one more.
pub const MAX_SAVED_VERSIONS: u32 = 200;
/// Most bytes of a version's content.
pub const MAX_SAVED_BYTES: usize = 64 << 10;
/// Within so long (µs) another process's save is seen; one's own is seen at once.
pub const SAVED_SEEN_WITHIN_US: i64 = 2_000_000;

const FOLDER: &str = "_linkfunnel";
/// Longest tenant that can save, in bytes: three characters stand for a byte in a path.
const MAX_TENANT_BYTES: usize = 64;
/// Objects read at the same time.
const READS_AT_ONCE: usize = 16;

/// What is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SavedKind {
    /// Definitions of funnels.
    Funnel,
    /// Definitions of experiments.
    Experiment,
}

/// What differs from kind to kind.
struct Kind {
    folder: &'static str,
    /// Most that a tenant has saved and not deleted.
    most: usize,
    live: &'static str,
    ids: &'static str,
    reading: &'static str,
    listing: &'static str,
    saving: &'static str,
}

impl SavedKind {
    fn says(self) -> &'static Kind {
        match self {
            SavedKind::Funnel => &Kind {
                folder: "funnels",
                most: MAX_SAVED_FUNNELS,
                live: "saved funnels",
                ids: "ids of saved and deleted funnels",
                reading: "reading a saved funnel",
                listing: "listing saved funnels",
                saving: "saving a funnel",
            },
            SavedKind::Experiment => &Kind {
                folder: "experiments",
                most: MAX_SAVED_EXPERIMENTS,
                live: "saved experiments",
                ids: "ids of saved and deleted experiments",
                reading: "reading a saved experiment",
                listing: "listing saved experiments",
                saving: "saving an experiment",
            },
        }
    }
}

/// Who made which version when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedNote {
    /// Number of the version, from 1.
    pub version: u32,
    /// When it was saved, by the clock of the process that saved it (µs since the epoch).
    pub saved_at_us: i64,
    /// Who saved it.
    pub saved_by: String,
    /// Whether it is the deletion.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// One version of what is saved under an id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedVersion {
    /// Who made it when.
    #[serde(flatten)]
    pub note: SavedNote,
    /// The id of the save itself: no two versions share one, whatever their content.
    pub save: String,
    /// What was saved; none in the version that deletes.
    pub content: Option<serde_json::Value>,
    /// The versions before, oldest first.
    pub before: Vec<SavedNote>,
}

impl SavedVersion {
    /// This version and those before it, oldest first.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &SavedNote> {
        self.before.iter().chain([&self.note])
    }
}

/// The newest version under each id of a kind and tenant, the deletions of deleted ones among them.
pub type SavedAll = BTreeMap<SavedId, Arc<SavedVersion>>;

impl Store {
    /// What a tenant has saved of one kind.
    pub fn shelf(&self, kind: SavedKind, tenant: &str) -> Shelf<'_> {
        let kind = kind.says();
        Shelf {
            store: self,
            kind,
            folder: tenant_folder(kind, tenant),
        }
    }
}

/// What a tenant has saved of one kind.
pub struct Shelf<'s> {
    store: &'s Store,
    kind: &'static Kind,
    /// None for a tenant that cannot save.
    folder: Option<Path>,
}

impl Shelf<'_> {
    /// The newest version under each id, as of [`SAVED_SEEN_WITHIN_US`] ago or later; everything this
    /// process saved is there.
    pub async fn all(&self) -> Result<Arc<SavedAll>> {
        let Some(folder) = &self.folder else {
            return Ok(Arc::default());
        };
        let kept = self.store.inner.saved.of(folder);
        let mut kept = kept.lock().await;
        let now_us = (self.store.inner.clock)();
        let is_young = |at| (0..=SAVED_SEEN_WITHIN_US).contains(&(now_us - at));
        if !kept.read_at_us.is_some_and(is_young) {
            let (newest, bytes) = self.read_newest(folder, &kept.newest).await?;
            kept.newest = Arc::new(newest);
            kept.read_at_us = Some(now_us);
            self.store.inner.saved.weigh(folder, bytes);
        }
        Ok(Arc::clone(&kept.newest))
    }

    /// The newest version under one id now, whoever saved it.
    pub async fn newest(&self, id: &SavedId) -> Result<Option<Arc<SavedVersion>>> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let kept = self.store.inner.saved.of(folder);
        let known = kept.lock().await.newest.clone();
        let within = folder.clone().join(id.as_str());
        let (mut newest, _) = self.read_newest(&within, &known).await?;
        let newest = newest.remove(id);
        if let Some(newest) = &newest {
            self.remember(folder, id, newest).await;
        }
        Ok(newest)
    }

    /// A version by its number.
    pub async fn version(&self, id: &SavedId, version: u32) -> Result<Option<Arc<SavedVersion>>> {
        match &self.folder {
            Some(folder) => self.read(&path(folder, id, version)).await,
            None => Ok(None),
        }
    }

    /// Saves `content` (none deletes) as the version after `base`, the newest one known.
    ///
    /// # Errors
    /// [`Error::Overtaken`] when there is a version after `base` already, [`Error::SavedLimit`].
    /// After any other error it may be saved or not.
    pub async fn save(
        &self,
        id: &SavedId,
        base: Option<&SavedVersion>,
        by: &str,
        content: Option<serde_json::Value>,
    ) -> Result<Arc<SavedVersion>> {
        let folder = self.folder.as_ref().ok_or(Error::SavedLimit {
            what: "bytes of a tenant's name",
            most: MAX_TENANT_BYTES,
        })?;
        self.check_limits(base, content.as_ref()).await?;
        let before: Vec<SavedNote> = base
            .into_iter()
            .flat_map(SavedVersion::history)
            .cloned()
            .collect();
        let next = SavedVersion {
            note: SavedNote {
                version: base.map_or(1, |base| base.note.version + 1),
                saved_at_us: (self.store.inner.clock)(),
                saved_by: by.to_owned(),
                deleted: content.is_none(),
            },
            save: uuid::Uuid::new_v4().simple().to_string(),
            content,
            before,
        };
        self.write(&path(folder, id, next.note.version), &next, id)
            .await?;
        let next = Arc::new(next);
        self.remember(folder, id, &next).await;
        Ok(next)
    }

    async fn check_limits(
        &self,
        base: Option<&SavedVersion>,
        content: Option<&serde_json::Value>,
    ) -> Result<()> {
        let Some(content) = content else {
            return Ok(()); // whatever there is can be deleted
        };
        limit(content.to_string().len(), MAX_SAVED_BYTES, "bytes")?;
        let versions = base.map_or(0, |base| base.note.version);
        let versions = usize::try_from(versions).unwrap_or(usize::MAX);
        limit(versions + 1, MAX_SAVED_VERSIONS as usize, "versions")?;
        if base.is_some_and(|base| !base.note.deleted) {
            return Ok(());
        }
        let all = self.all().await?;
        let live = all.values().filter(|newest| !newest.note.deleted).count();
        limit(live + 1, self.kind.most, self.kind.live)?;
        match base {
            None => limit(all.len() + 1, MAX_SAVED_IDS, self.kind.ids),
            Some(_) => Ok(()),
        }
    }

    /// Writes a version, once, whatever the storage answers.
    async fn write(&self, at: &Path, next: &SavedVersion, id: &SavedId) -> Result<()> {
        let bytes: Bytes = serde_json::to_vec(next)
            .expect("text and JSON always serialise")
            .into();
        let mut wait = Retry::default();
        loop {
            let options = PutOptions {
                mode: PutMode::Create,
                ..PutOptions::default()
            };
            let storage = &self.store.inner.log.store;
            let put = storage.put_opts(at, bytes.clone().into(), options).await;
            let Err(error) = put else { return Ok(()) };
            match self.read(at).await {
                Ok(Some(there)) if there.save == next.save => {
                    tracing::warn!(path = %at, %error, "a save was answered by an error, but is there");
                    return Ok(());
                }
                Ok(Some(_)) => return Err(Error::Overtaken { id: id.to_string() }),
                Ok(None) => wait.after(Err(error).when(self.kind.saving)).await?,
                Err(failed) => wait.after(Err(failed)).await?,
            }
        }
    }

    async fn read(&self, at: &Path) -> Result<Option<Arc<SavedVersion>>> {
        let found = match self.store.inner.log.store.get(at).await {
            Ok(found) => found.bytes().await.when(self.kind.reading)?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error).when(self.kind.reading),
        };
        let read = serde_json::from_slice(&found);
        read.map(|version| Some(Arc::new(version)))
            .map_err(|e| Error::Foreign {
                reason: format!("{at} cannot be read: {e}"),
            })
    }

    /// The newest version under each id below a folder, and the bytes they are stored in. What is
    /// `known` is not read again.
    async fn read_newest(&self, below: &Path, known: &SavedAll) -> Result<(SavedAll, u64)> {
        let mut files: BTreeMap<SavedId, (u32, ObjectMeta)> = BTreeMap::new();
        let mut listing = self.store.inner.log.store.list(Some(below));
        while let Some(file) = listing.try_next().await.when(self.kind.listing)? {
            let Some((id, version)) = parse(&file.location) else {
                continue;
            };
            match files.get_mut(&id) {
                Some(newest) if newest.0 >= version => {}
                Some(newest) => *newest = (version, file),
                None => drop(files.insert(id, (version, file))),
            }
        }
        let bytes = files.values().map(|(_, file)| file.size).sum();
        let reads = files.into_iter().map(|(id, (version, file))| async move {
            let newest = match known.get(&id) {
                Some(known) if known.note.version >= version => Some(Arc::clone(known)),
                _ => self.read(&file.location).await?,
            };
            Ok::<_, Error>(newest.map(|newest| (id, newest)))
        });
        let read = stream::iter(reads).buffered(READS_AT_ONCE);
        let read: Vec<_> = read.try_collect().await?;
        Ok((read.into_iter().flatten().collect(), bytes))
    }

    async fn remember(&self, folder: &Path, id: &SavedId, version: &Arc<SavedVersion>) {
        let kept = self.store.inner.saved.of(folder);
        let mut kept = kept.lock().await;
        let known = kept.newest.get(id).map_or(0, |known| known.note.version);
        if version.note.version > known {
            Arc::make_mut(&mut kept.newest).insert(id.clone(), Arc::clone(version));
        }
    }
}

fn limit(count: usize, most: usize, what: &'static str) -> Result<()> {
    if count <= most {
        return Ok(());
    }
    Err(Error::SavedLimit { what, most })
}

/// Where a kind of a tenant's lies; `None` for a tenant too long for a path. No two tenants share one,
/// also where a file system does not tell capitals from small letters.
fn tenant_folder(kind: &Kind, tenant: &str) -> Option<Path> {
    if !(1..=MAX_TENANT_BYTES).contains(&tenant.len()) {
        return None;
    }
    let mut name = String::with_capacity(tenant.len());
    for byte in tenant.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => name.push(char::from(byte)),
            _ => name.push_str(&format!("_{byte:02x}")),
        }
    }
    Some(Path::from(FOLDER).join(kind.folder).join(name))
}

fn path(folder: &Path, id: &SavedId, version: u32) -> Path {
    let folder = folder.clone().join(id.as_str());
    folder.join(format!("{version:010}.json"))
}

/// The id and version that a path names.
fn parse(at: &Path) -> Option<(SavedId, u32)> {
    let mut parts = at.as_ref().rsplit('/');
    let version = parts.next()?.strip_suffix(".json")?;
    let is_number = version.len() == 10 && version.bytes().all(|b| b.is_ascii_digit());
    let version = is_number.then(|| version.parse().ok())??;
    Some((SavedId::parse(parts.next()?)?, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(tenant: &str) -> Option<Path> {
        tenant_folder(SavedKind::Funnel.says(), tenant)
    }

    #[test]
    fn no_two_tenants_share_a_folder_and_none_leaves_its_own() {
        let folders: Vec<String> = [
            "acme", "Acme", "_41cme", "ACME", "a.b", "a_b", "a-b", "../x", "é",
        ]
        .iter()
        .map(|tenant| folder(tenant).unwrap().to_string())
        .collect();
        assert_eq!(folders[0], "_linkfunnel/funnels/acme");
        assert_eq!(folders[1], "_linkfunnel/funnels/_41cme");
        assert_eq!(folders[7], "_linkfunnel/funnels/_2e_2e_2fx");
        for (i, folder) in folders.iter().enumerate() {
            assert_eq!(folder.matches('/').count(), 2, "{folder}");
            assert_eq!(folder.to_lowercase(), *folder);
            assert!(!folders[..i].contains(folder), "{folder}");
        }
        assert!(folder(&"x".repeat(MAX_TENANT_BYTES)).is_some());
        for none in [String::new(), "x".repeat(MAX_TENANT_BYTES + 1)] {
            assert_eq!(folder(&none), None);
        }
    }

    #[test]
    fn a_path_says_which_version_it_holds_and_others_are_passed_over() {
        let id = SavedId::parse("my_funnel").unwrap();
        let at = path(&folder("acme").unwrap(), &id, 17);
        assert_eq!(
            at.as_ref(),
            "_linkfunnel/funnels/acme/my_funnel/0000000017.json"
        );
        assert_eq!(parse(&at), Some((id, 17)));
        for other in [
            "x/my/17.json",
            "x/My/0000000017.json",
            "x/my/0000000017.tmp",
            "0000000017.json",
            "x/my/+000000017.json",
        ] {
            assert_eq!(parse(&Path::from(other)), None, "{other}");
        }
    }
}
