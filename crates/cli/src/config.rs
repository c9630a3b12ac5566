//! The config file (TOML): every field with its unit and default. README.md's table is made of these comments.
//!
//! Unknown keys are refused. A value `env:LINKFUNNEL_…` is read from that variable, so that
//! secrets need not stand in the file; no other variable is read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linkfunnel_api::{KeyEntry, Keys, Limits};
use linkfunnel_model::IdKind;
use serde::{Deserialize, Serialize};

use crate::failure::{Doing, Failure, Result};

/// Where the server listens when nothing else is said.
pub(crate) const LISTEN: &str = "127.0.0.1:8080";
/// What a value that stands in the environment begins with.
const FROM_ENV: &str = "env:LINKFUNNEL_";

/// The config file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The HTTP server.
    pub(crate) server: Server,
    /// Who may ask: one `[[keys]]` block a key. Without any, everybody who reaches the server may do everything, so it listens on loopback only.
    pub(crate) keys: Vec<Key>,
    /// Where data lies.
    pub(crate) storage: Storage,
    /// The topic events are read from. Without this block the server takes events over HTTP into a local log.
    pub(crate) kafka: Option<Kafka>,
    /// How events are taken in.
    pub(crate) ingest: Ingest,
    /// What a question may take.
    pub(crate) query: Query,
    /// Who somebody is stays out of the table.
    pub(crate) privacy: Privacy,
}

/// The HTTP server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    /// Address and port to listen on; port 0 takes a free one.
    pub(crate) listen: String,
    /// Whether `/metrics` needs no key.
    pub(crate) metrics_open: bool,
    /// Largest request body, in MB; larger ones get 413.
    pub(crate) body_limit_mb: u32,
    /// Longest time a request may take, in seconds.
    pub(crate) request_timeout_s: u32,
    /// Most events in one request.
    pub(crate) events_per_request: u32,
    /// Questions answered at the same time; one more gets 429.
    pub(crate) questions_at_once: u32,
}

/// One key.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// What the key is called in logs; unique.
    pub(crate) name: String,
    /// SHA-256 of the key in hexadecimal, as `sha256sum` prints it; may be `env:LINKFUNNEL_…`.
    pub(crate) sha256: String,
    /// The tenant whose data the key reaches.
    pub(crate) tenant: String,
    /// What the key may do: some of `ingest`, `read`, `manage`, `admin`.
    pub(crate) scopes: Vec<String>,
}

/// Where data lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Storage {
    /// This machine's folder: keys, local log, lock, spilled queries, and the tables unless `location` says otherwise.
    pub(crate) data: PathBuf,
    /// Where the tables lie: a folder or an object store's URL (`s3://bucket/path`; needs a build with its feature). Empty: in `data`.
    pub(crate) location: String,
    /// Options of the object store (`aws_region`, `aws_endpoint`, …); values may be `env:LINKFUNNEL_…`.
    pub(crate) options: BTreeMap<String, String>,
    /// Time between two runs of compaction and cleaning up, in seconds.
    pub(crate) maintain_every_s: u32,
    /// How long an answer's snapshot is honoured as `as_of`, in hours.
    pub(crate) as_of_hours: u32,
}

/// The topic events are read from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Kafka {
    /// `host:port` of brokers, comma-separated.
    pub(crate) brokers: String,
    /// The topic that holds the events.
    pub(crate) topic: String,
    /// Consumer group, when several writers share the topic. Empty: this process reads every partition.
    pub(crate) group: String,
    /// Tenant of events that name none.
    pub(crate) tenant: String,
    /// Where a partition never seen before is begun: `beginning` or `end`.
    pub(crate) start: String,
    /// What to do when retention took messages before they were read: `stop` that partition, or `continue` after the gap.
    pub(crate) on_lost_range: String,
    /// Further properties of librdkafka (`security.protocol`, `sasl.password`, …); values may be `env:LINKFUNNEL_…`.
    pub(crate) properties: BTreeMap<String, String>,
}

/// How events are taken in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ingest {
    /// Time after which arrived events can be queried, in ms.
    pub(crate) seal_ms: u32,
    /// Time between commits to the table, in seconds.
    pub(crate) commit_s: f64,
    /// Memory for events not yet committed, in MB; when it is full, reading waits.
    pub(crate) hot_mb: u32,
    /// Share of bad messages at which a stream is stopped, in percent; 0 never stops it.
    pub(crate) bad_share: f64,
    /// Time over which the share of bad messages is taken, in seconds.
    pub(crate) bad_window_s: u32,
}

/// What a question may take.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Query {
    /// Memory of one question before it spills or fails, in MB.
    pub(crate) memory_mb: u32,
    /// Longest time of a funnel question, in seconds.
    pub(crate) timeout_s: u32,
    /// Longest time of an SQL question, in seconds.
    pub(crate) sql_timeout_s: u32,
    /// Most rows of an SQL answer.
    pub(crate) sql_max_rows: u32,
    /// Threads of one question; 0: one a processor.
    pub(crate) threads: u32,
}

/// Who somebody is stays out of the table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Privacy {
    /// Folder of the tenants' keys. Empty: `keys` in the data folder. Without its file a tenant's pseudonyms and dead letters cannot be matched or opened again: keep a copy.
    pub(crate) key_folder: PathBuf,
    /// One secret of 32 characters or more that all tenants' keys are made from, instead of key files; may be `env:LINKFUNNEL_…`.
    pub(crate) secret: String,
    /// Ids kept as pseudonyms besides user and anonymous ids: some of `company`, `session`, `connection`, ….
    pub(crate) pseudonymous_ids: Vec<String>,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            listen: LISTEN.into(),
            metrics_open: false,
            body_limit_mb: 16,
            request_timeout_s: 60,
            events_per_request: 50_000,
            questions_at_once: 16,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Storage {
            data: "linkfunnel-data".into(),
            location: String::new(),
            options: BTreeMap::new(),
            maintain_every_s: 15,
            as_of_hours: 24,
        }
    }
}

impl Default for Kafka {
    fn default() -> Self {
        Kafka {
            brokers: "localhost:9092".into(),
            topic: "linkfunnel.events".into(),
            group: String::new(),
            tenant: linkfunnel_model::DEFAULT_TENANT.into(),
            start: "beginning".into(),
            on_lost_range: "stop".into(),
            properties: BTreeMap::new(),
        }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Ingest {
            seal_ms: 200,
            commit_s: 2.0,
            hot_mb: 256,
            bad_share: 50.0,
            bad_window_s: 60,
        }
    }
}

impl Default for Query {
    fn default() -> Self {
        Query {
            memory_mb: 512,
            timeout_s: 60,
            sql_timeout_s: 30,
            sql_max_rows: 100_000,
            threads: 0,
        }
    }
}

impl Config {
    /// The file's config, with what stands in the environment put in.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).doing(|| format!("reading {}", path.display()))?;
        let mut config = Config::parse(&text).doing(|| path.display().to_string())?;
        config.fill_in(&|name| std::env::var(name).ok())?;
        Ok(config)
    }

    /// The config of a data folder, everything else by default.
    pub(crate) fn of_folder(data: &Path) -> Self {
        let storage = Storage {
            data: data.to_owned(),
            ..Storage::default()
        };
        Config {
            storage,
            ..Config::default()
        }
    }

    fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            Failure::new(format!("line {line}: {}", error.message()))
                .mend("the README's configuration table has every key")
        })
    }

    /// Replaces `env:LINKFUNNEL_…` by what the variable holds.
    fn fill_in(&mut self, env: &dyn Fn(&str) -> Option<String>) -> Result<()> {
        let mut values: Vec<&mut String> = vec![&mut self.privacy.secret];
        values.extend(self.keys.iter_mut().map(|key| &mut key.sha256));
        values.extend(self.storage.options.values_mut());
        if let Some(kafka) = &mut self.kafka {
            values.extend(kafka.properties.values_mut());
        }
        for value in values {
            if !value.starts_with(FROM_ENV) {
                continue;
            }
            let name = value.trim_start_matches("env:").to_owned();
            *value = env(&name).ok_or_else(|| {
                Failure::new(format!(
                    "the config asks for the environment variable {name}, which is not set"
                ))
                .mend(format!("set it, or write the value where {value} stands"))
            })?;
        }
        Ok(())
    }

    /// The address to listen on.
    pub(crate) fn listen(&self) -> Result<SocketAddr> {
        parse_listen(&self.server.listen)
    }

    /// The keys, checked.
    pub(crate) fn keys(&self) -> Result<Keys> {
        let mut entries = Vec::new();
        for key in &self.keys {
            let scopes = key.scopes.iter().map(|word| {
                serde_json::from_value(word.as_str().into()).map_err(|_| {
                    Failure::new(format!("key {:?}: there is no scope {word:?}", key.name))
                        .mend("scopes are ingest, read, manage, admin")
                })
            });
            entries.push(KeyEntry {
                name: key.name.clone(),
                sha256: key.sha256.clone(),
                tenant: key.tenant.clone(),
                scopes: scopes.collect::<Result<_>>()?,
            });
        }
        Ok(Keys::new(&entries)?)
    }

    /// What one request may take.
    pub(crate) fn limits(&self) -> Limits {
        let server = &self.server;
        Limits {
            body_bytes: megabytes(server.body_limit_mb),
            request_time: Duration::from_secs(server.request_timeout_s.into()),
            events_per_request: server.events_per_request as usize,
            questions_at_once: server.questions_at_once as usize,
        }
    }

    /// Ids kept as pseudonyms besides user and anonymous ids.
    pub(crate) fn pseudonymous_ids(&self) -> Result<Vec<IdKind>> {
        let words = self.privacy.pseudonymous_ids.iter();
        words
            .map(|word| {
                IdKind::ALL
                    .iter()
                    .copied()
                    .find(|kind| kind.as_str() == word)
                    .ok_or_else(|| {
                        let known: Vec<&str> =
                            IdKind::ALL.iter().map(|kind| kind.as_str()).collect();
                        Failure::new(format!("privacy.pseudonymous_ids: there is no id {word:?}"))
                            .mend(format!("ids are {}", known.join(", ")))
                    })
            })
            .collect()
    }
}

/// An address and port, `localhost` and a bare port understood.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr> {
    let full = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None if text.parse::<u16>().is_ok() => format!("127.0.0.1:{text}"),
        None => text
            .strip_prefix(':')
            .map_or(text.to_owned(), |port| format!("127.0.0.1:{port}")),
    };
    full.parse().map_err(|_| {
        Failure::usage(format!("{text} is no address to listen on"))
            .mend("write an address and a port, such as 127.0.0.1:8080")
    })
}

/// MB of 2²⁰ bytes.
pub(crate) fn megabytes(mb: u32) -> usize {
    (mb as usize) << 20
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
