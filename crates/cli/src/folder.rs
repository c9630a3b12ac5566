//! The data folder: what lies in it, and that one process at a time writes to it.
//!
//!     DIR/events/      the tables (Delta Lake) and saved funnels, unless the config puts them elsewhere
//!     DIR/keys/        the tenants' keys
//!     DIR/intake.redb  the local log of the HTTP intake
//!     DIR/spill/       what large questions put aside
//!     DIR/lock         held by the process that writes here; holds its process id

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use linkfunnel_ingest::Vault;
use linkfunnel_query::{Engine, EngineOptions, Pseudonym};
use linkfunnel_store::{Fault, Location, Store, StoreOptions};

use crate::clock;
use crate::config::{Config, megabytes};
use crate::failure::{Doing, Failure, Result};

/// Shortest secret that keys are made from, in characters.
const MIN_SECRET: usize = 32;

/// A data folder and the config it is used with.
pub(crate) struct DataFolder {
    config: Config,
}

/// Held while a process writes to the folder; the system lets go of it however the process ends.
pub(crate) struct FolderLock {
    _file: File,
}

impl DataFolder {
    /// The folder of a config; nothing is touched.
    pub(crate) fn of(config: &Config) -> Self {
        DataFolder {
            config: config.clone(),
        }
    }

    /// A folder that is there and holds tables.
    pub(crate) fn existing(data: &Path) -> Result<Self> {
        let folder = DataFolder {
            config: Config::of_folder(data),
        };
        if !folder.tables().is_dir() {
            return Err(
                Failure::new(format!("{} holds no linkfunnel data", data.display())).mend(format!(
                    "fill it with `linkfunnel import FILE --data {}`",
                    data.display()
                )),
            );
        }
        Ok(folder)
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.config.storage.data
    }

    /// Where the local log lies.
    pub(crate) fn local_log(&self) -> PathBuf {
        self.path().join("intake.redb")
    }

    fn tables(&self) -> PathBuf {
        self.path().join("events")
    }

    /// Makes the folder and takes it for this process.
    pub(crate) fn take(&self) -> Result<FolderLock> {
        let folder = self.path();
        let doing = || format!("using the folder {}", folder.display());
        std::fs::create_dir_all(folder).doing(doing)?;
        let path = folder.join("lock");
        let mut options = File::options();
        let options = options.create(true).read(true).write(true).truncate(false);
        let mut file = options.open(path).doing(doing)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => String::new(),
                    id => format!(" (process {id})"),
                };
                return Err(Failure::new(format!(
                    "{} is in use by another linkfunnel process{holder}",
                    folder.display()
                ))
                .mend("stop that one, ask it with --url, or choose another folder with --data"));
            }
            Err(TryLockError::Error(error)) => return Err(error).doing(doing),
        }
        let id = std::process::id().to_string();
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(id.as_bytes()))
            .doing(doing)?;
        Ok(FolderLock { _file: file })
    }

    /// Where the tables lie.
    pub(crate) fn location(&self) -> Result<Location> {
        let storage = &self.config.storage;
        if storage.location.is_empty() {
            return Ok(Location::parse(&self.tables().to_string_lossy())?);
        }
        let mut location = Location::parse(&storage.location)?;
        for (key, value) in &storage.options {
            location = location.with_option(key, value);
        }
        Ok(location)
    }

    /// Opens the tables, made if missing.
    pub(crate) async fn store(&self, fault: Option<Fault>) -> Result<Store> {
        let storage = &self.config.storage;
        let token_valid_us = i64::from(storage.as_of_hours) * 3_600_000_000;
        let options = StoreOptions {
            hot_bytes_limit: megabytes(self.config.ingest.hot_mb),
            token_valid_us,
            keep_removed_us: token_valid_us + 2 * 3_600_000_000,
            fault,
            ..StoreOptions::default()
        };
        let location = self.location()?;
        let store = Store::open(&location, options, clock::system()).await;
        store.doing(|| format!("opening the tables in {location}"))
    }

    /// The tenants' keys.
    pub(crate) fn vault(&self) -> Result<Arc<Vault>> {
        let privacy = &self.config.privacy;
        let also = self.config.pseudonymous_ids()?;
        if !privacy.secret.is_empty() {
            if privacy.secret.chars().count() < MIN_SECRET {
                return Err(Failure::new(format!(
                    "privacy.secret is shorter than {MIN_SECRET} characters"
                ))
                .mend("make one with `openssl rand -hex 32`"));
            }
            return Ok(Arc::new(Vault::from_secret(
                privacy.secret.as_bytes(),
                &also,
            )));
        }
        Ok(Arc::new(Vault::in_folder(self.key_folder(), &also)?))
    }

    /// Where the tenants' key files lie.
    pub(crate) fn key_folder(&self) -> PathBuf {
        match &self.config.privacy.key_folder {
            unset if unset.as_os_str().is_empty() => self.path().join("keys"),
            folder => folder.clone(),
        }
    }

    /// Opens the tables only to ask them.
    pub(crate) async fn engine(&self) -> Result<Engine> {
        let store = self.store(None).await?;
        self.engine_over(store, &self.vault()?)
    }

    /// An engine over open tables.
    pub(crate) fn engine_over(&self, store: Store, vault: &Arc<Vault>) -> Result<Engine> {
        let query = &self.config.query;
        let threads = match query.threads {
            0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            n => n as usize,
        };
        let spill = self.path().join("spill");
        std::fs::create_dir_all(&spill)
            .doing(|| format!("making the folder {}", spill.display()))?;
        // Ids in questions are written as the table holds them.
        let vault = Arc::clone(vault);
        let pseudonym: Pseudonym = Arc::new(move |tenant, kind, id| {
            vault
                .look_up(tenant, kind, id)
                .unwrap_or_else(|_| id.to_owned())
        });
        let options = EngineOptions {
            query_memory_bytes: megabytes(query.memory_mb),
            timeout_ms: u64::from(query.timeout_s) * 1_000,
            sql_timeout_ms: u64::from(query.sql_timeout_s) * 1_000,
            sql_max_rows: query.sql_max_rows as usize,
            target_partitions: threads,
            spill_dir: Some(spill),
            pseudonym: Some(pseudonym),
        };
        Ok(Engine::new(store, options, clock::system())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_for_one_process_at_a_time() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::of(&Config::of_folder(temporary.path()));
        let lock = folder.take().unwrap();
        let refused = folder.take().err().unwrap().to_string();
        assert!(
            refused.contains("in use by another linkfunnel process"),
            "{refused}"
        );
        assert!(
            refused.contains(&std::process::id().to_string()),
            "{refused}"
        );
        drop(lock);
        folder.take().unwrap();
    }

    #[test]
    fn a_folder_without_data_says_how_to_fill_it() {
        let temporary = tempfile::tempdir().unwrap();
        let refused = DataFolder::existing(temporary.path())
            .err()
            .unwrap()
            .to_string();
        assert!(refused.contains("linkfunnel import FILE"), "{refused}");
    }
}
