//! The state of the table at one Delta version, kept up to date action by action.
//!
//! Nothing is read again after a commit: its own actions are applied to the state that it was built
//! on, and another process's commit costs the reading of its one small file.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::kernel::{Action, Transaction};

use crate::error::{Error, Result};
use crate::file::{DataFile, RowKind};
use crate::position::{Fingerprint, StreamPartition};
use crate::schema;

/// The Delta application id of maintenance commits; its version counts them.
pub(crate) const MAINTENANCE: &str = "maintenance";
/// Application ids that keep, per partition, the CRC (as version) and timestamp (as last update) of
/// the last message.
const FINGERPRINT: &str = "fingerprint:";
/// Application ids that keep, per partition, how many rows maintenance has removed so far.
const REMOVED: &str = "removed:";

/// Last committed offset per partition.
pub(crate) type Offsets = BTreeMap<StreamPartition, i64>;

/// The state of the table at one version. Cheap to clone: the parts are shared and copied on write.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// Hash of the table's id.
    pub(crate) id: u64,
    pub(crate) version: i64,
    pub(crate) events: Arc<BTreeMap<String, Arc<DataFile>>>,
    pub(crate) rejects: Arc<BTreeMap<String, Arc<DataFile>>>,
    pub(crate) offsets: Arc<Offsets>,
    pub(crate) fingerprints: Arc<BTreeMap<StreamPartition, Fingerprint>>,
    pub(crate) removed: Arc<BTreeMap<StreamPartition, i64>>,
    pub(crate) maintenance: i64,
    /// The last version that took rows away.
    pub(crate) shrunk: i64,
    /// Removed files not yet deleted, with the time of their removal (ms since the epoch).
    pub(crate) tombstones: Arc<BTreeMap<String, i64>>,
    /// The columns of the table, from its metadata.
    pub(crate) columns: Arc<Vec<String>>,
    /// The metadata and protocol as they stand in the log (JSON).
    pub(crate) metadata: Arc<serde_json::Value>,
}

/// What one commit changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub(crate) version: i64,
    /// Files with rows that no file held before.
    pub(crate) new: Vec<Arc<DataFile>>,
    /// All files added, rewritten ones included.
    pub(crate) added: Vec<Arc<DataFile>>,
    pub(crate) removed: Vec<Arc<DataFile>>,
    /// The committed offsets that moved, as they were before.
    pub(crate) offsets_before: Vec<(StreamPartition, Option<i64>)>,
    /// `linkfunnelCommit` of the commit info: which attempt of which process this was.
    pub(crate) commit_id: Option<String>,
}

/// The key in the commit info under which each of our commits carries its own id.
pub(crate) const COMMIT_ID: &str = "linkfunnelCommit";

impl Table {
    pub(crate) fn files(&self, kind: RowKind) -> &Arc<BTreeMap<String, Arc<DataFile>>> {
        match kind {
            RowKind::Event => &self.events,
            RowKind::Reject => &self.rejects,
        }
    }

    pub(crate) fn files_mut(&mut self, kind: RowKind) -> &mut BTreeMap<String, Arc<DataFile>> {
        Arc::make_mut(match kind {
            RowKind::Event => &mut self.events,
            RowKind::Reject => &mut self.rejects,
        })
    }

    /// Moves to `version` by its actions.
    pub(crate) fn apply(&mut self, version: i64, actions: &[Action]) -> Result<Change> {
        let mut change = Change {
            version,
            ..Change::default()
        };
        for action in actions {
            self.apply_one(action, &mut change)?;
        }
        self.date_rewritten(&mut change);
        self.version = version;
        Ok(change)
    }

    /// Rows that were only written anew are as old as they were.
    fn date_rewritten(&mut self, change: &mut Change) {
        let Some(newest) = change.removed.iter().map(|file| file.newest).max() else {
            return;
        };
        for file in &mut change.added {
            if change.new.iter().all(|new| new.path != file.path) {
                let dated = DataFile {
                    newest,
                    ..DataFile::clone(file)
                };
                *file = Arc::new(dated);
                let files = self.files_mut(file.kind);
                files.insert(file.path.clone(), Arc::clone(file));
            }
        }
    }

    fn apply_one(&mut self, action: &Action, change: &mut Change) -> Result<()> {
        match action {
            Action::Add(add) => {
                let file = Arc::new(DataFile {
                    newest: change.version,
                    ..DataFile::from_add(add)?
                });
                if add.data_change {
                    change.new.push(Arc::clone(&file));
                }
                change.added.push(Arc::clone(&file));
                self.files_mut(file.kind).insert(file.path.clone(), file);
            }
            Action::Remove(remove) => {
                for kind in [RowKind::Event, RowKind::Reject] {
                    if self.files(kind).contains_key(&remove.path) {
                        change
                            .removed
                            .extend(self.files_mut(kind).remove(&remove.path));
                    }
                }
                if remove.data_change {
                    self.shrunk = change.version;
                }
                let when = remove.deletion_timestamp.unwrap_or(0);
                Arc::make_mut(&mut self.tombstones).insert(remove.path.clone(), when);
            }
            Action::Txn(txn) => self.apply_txn(txn, change),
            Action::Metadata(metadata) => self.set_metadata(metadata)?,
            Action::Protocol(protocol) => check_protocol(protocol)?,
            Action::CommitInfo(info) => {
                change.commit_id = info
                    .info
                    .get(COMMIT_ID)
                    .and_then(|v| v.as_str())
                    .map(Into::into);
            }
            Action::Cdc(_) | Action::DomainMetadata(_) => {}
        }
        Ok(())
    }

    fn apply_txn(&mut self, txn: &Transaction, change: &mut Change) {
        let of = |prefix: &str| {
            txn.app_id
                .strip_prefix(prefix)
                .and_then(StreamPartition::from_txn_id)
        };
        if txn.app_id == MAINTENANCE {
            self.maintenance = txn.version;
        } else if let Some(at) = of(FINGERPRINT) {
            let crc = u32::try_from(txn.version).unwrap_or(0);
            let timestamp_ms = txn.last_updated.unwrap_or(0);
            Arc::make_mut(&mut self.fingerprints).insert(at, Fingerprint { timestamp_ms, crc });
        } else if let Some(at) = of(REMOVED) {
            Arc::make_mut(&mut self.removed).insert(at, txn.version);
        } else if let Some(at) = StreamPartition::from_txn_id(&txn.app_id) {
            let before = Arc::make_mut(&mut self.offsets).insert(at.clone(), txn.version);
            change.offsets_before.push((at, before));
        }
    }

    fn set_metadata(&mut self, metadata: &deltalake::kernel::Metadata) -> Result<()> {
        let foreign = |reason: String| Error::Foreign { reason };
        let json = serde_json::to_value(metadata)
            .map_err(|e| foreign(format!("its metadata cannot be read: {e}")))?;
        let id = json.get("id").and_then(|v| v.as_str()).unwrap_or_default();
        let id = xxhash_rust::xxh3::xxh3_64(id.as_bytes());
        if self.version > 0 && self.id != 0 && self.id != id {
            return Err(foreign("it was replaced by another table".into()));
        }
        let partitioned: Vec<&str> = json
            .get("partitionColumns")
            .and_then(|v| v.as_array())
            .map(|names| names.iter().filter_map(|n| n.as_str()).collect())
            .unwrap_or_default();
        if partitioned != [schema::KIND_COLUMN] {
            return Err(foreign(format!("it is partitioned by {partitioned:?}")));
        }
        if json
            .pointer("/configuration/delta.columnMapping.mode")
            .is_some_and(|m| m != "none")
        {
            return Err(foreign("its columns are mapped to other names".into()));
        }
        let fields = json
            .get("schemaString")
            .and_then(|v| v.as_str())
            .unwrap_or("{}");
        let fields: serde_json::Value = serde_json::from_str(fields)
            .map_err(|e| foreign(format!("its schema cannot be read: {e}")))?;
        let names = fields
            .get("fields")
            .and_then(|v| v.as_array())
            .into_iter()
            .flatten();
        let names = names.filter_map(|f| Some(f.get("name")?.as_str()?.to_owned()));
        self.columns = Arc::new(names.collect());
        self.metadata = Arc::new(json);
        self.id = id;
        Ok(())
    }
}

/// Refuses what we cannot read or must not write to.
fn check_protocol(protocol: &deltalake::kernel::Protocol) -> Result<()> {
    let json = serde_json::to_value(protocol).unwrap_or_default();
    let number = |key: &str| {
        json.get(key)
            .and_then(serde_json::Value::as_i64)
            .unwrap_or(0)
    };
    let features: Vec<&str> = ["readerFeatures", "writerFeatures"]
        .iter()
        .filter_map(|key| json.get(key)?.as_array())
        .flatten()
        .filter_map(|f| f.as_str())
        .filter(|f| !matches!(*f, "appendOnly" | "invariants" | "checkConstraints"))
        .collect();
    let too_new = number("minReaderVersion") > 3 || number("minWriterVersion") > 7;
    if too_new || !features.is_empty() {
        let reason = format!("it needs features we lack: {features:?}");
        return Err(Error::Foreign { reason });
    }
    Ok(())
}

/// The transaction that moves a partition's committed offset.
pub(crate) fn offset_txn(at: &StreamPartition, last: i64) -> Transaction {
    Transaction::new(at.txn_id(), last)
}

/// The transaction that keeps a partition's fingerprint.
pub(crate) fn fingerprint_txn(at: &StreamPartition, print: Fingerprint) -> Transaction {
    let id = format!("{FINGERPRINT}{}", at.txn_id());
    Transaction::new_with_last_update(id, i64::from(print.crc), Some(print.timestamp_ms))
}

/// The transaction that keeps how many rows of a partition were removed so far.
pub(crate) fn removed_txn(at: &StreamPartition, total: i64) -> Transaction {
    Transaction::new(format!("{REMOVED}{}", at.txn_id()), total)
}

/// Whether a stream may have this name: application ids of our own must not be mistaken for it.
pub(crate) fn is_stream_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(FINGERPRINT) && !name.starts_with(REMOVED)
}
