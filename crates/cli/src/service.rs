//! The running server that `serve` and `demo` share: tables, ingest, maintenance, HTTP; started in order, ended in order.
//!
//! Ending: no new requests, then what was taken in is committed, then the process goes. All of it
//! inside [`END_WITHIN`]; what could not be committed by then is read again at the next start,
//! from Kafka or the local log.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use linkfunnel_api::{App, Readiness, refuse_open_listen};
use linkfunnel_ingest::{
    CommitOptions, IngestHandle, IngestMetrics, IngestStatus, Intake, IntakeOptions, KafkaConfig,
    KafkaTarget, Limits, LocalConfig, LocalLog, OnLostRange, ReaderState, Start, StreamDefaults,
    TooManyBad, start_kafka, start_local,
};
use linkfunnel_query::Engine;
use linkfunnel_store::{CompactOptions, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::config::{Config, Kafka, megabytes};
use crate::failure::{Failure, Result};
use crate::folder::{DataFolder, FolderLock};
use crate::import::Importing;
use crate::{clock, crash};

/// Time from the wish to end to the end.
pub(crate) const END_WITHIN: Duration = Duration::from_millis(1_800);
/// Part of it that requests under way may take.
const REQUESTS_WITHIN: Duration = Duration::from_millis(500);
/// Longest wait until the server answers its own first request.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Takes the address before anything else is done: a busy port is said at once.
pub(crate) fn listen(config: &Config) -> Result<TcpListener> {
    let address = config.listen()?;
    refuse_open_listen(address, &config.keys()?)?;
    let listener = TcpListener::bind(address).map_err(|error| cannot_listen(address, &error))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Why an address cannot be listened on, and what to do.
pub(crate) fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => Failure::new(format!(
            "port {port} on {} is in use by another program",
            address.ip()
        ))
        .mend(format!(
            "stop that one, or take a free port with --listen {}:0",
            address.ip()
        )),
        io::ErrorKind::PermissionDenied => {
            Failure::new(format!("port {port} may not be listened on by this user"))
                .mend("take one above 1023, for instance --listen 127.0.0.1:8080")
        }
        _ => Failure::new(format!("cannot listen on {address} ({error})"))
            .mend("--listen takes an address of this machine and a port"),
    }
}

/// The open tables and keys of a folder that is ours.
pub(crate) struct Opened {
    pub(crate) config: Config,
    pub(crate) folder: DataFolder,
    pub(crate) store: Store,
    pub(crate) vault: Arc<linkfunnel_ingest::Vault>,
    lock: FolderLock,
}

impl Opened {
    /// Takes the folder and opens what lies in it.
    pub(crate) async fn open(config: Config) -> Result<Self> {
        let folder = DataFolder::of(&config);
        let lock = folder.take()?;
        let store = folder.store(crash::hook()).await?;
        let vault = folder.vault()?;
        Ok(Opened {
            config,
            folder,
            store,
            vault,
            lock,
        })
    }

    /// For loading files into it.
    pub(crate) fn importing(&self) -> Importing {
        Importing {
            store: self.store.clone(),
            vault: Arc::clone(&self.vault),
            tenant: None,
        }
    }
}

/// A running server.
pub(crate) struct Service {
    /// Where it answers.
    pub(crate) url: String,
    /// The tables.
    pub(crate) store: Store,
    /// What answers questions.
    pub(crate) engine: Engine,
    /// What ingest counts.
    pub(crate) metrics: Arc<IngestMetrics>,
    ingest: IngestHandle,
    http: JoinHandle<io::Result<()>>,
    no_more_requests: CancellationToken,
    no_more_events: CancellationToken,
    _lock: FolderLock,
}

impl Service {
    /// Starts everything; answers when this returns. `kafka`: the topic to read, else the local log.
    pub(crate) async fn start(
        opened: Opened,
        listener: TcpListener,
        kafka: Option<KafkaConfig>,
    ) -> Result<Self> {
        let Opened {
            config,
            folder,
            store,
            vault,
            lock,
        } = opened;
        let engine = folder.engine_over(store.clone(), &vault)?;
        let registry = prometheus::Registry::new();
        let metrics = Arc::new(IngestMetrics::new(&registry)?);
        let no_more_events = CancellationToken::new();
        let options = IntakeOptions {
            fault: crash::hook(),
            ..IntakeOptions::default()
        };
        let (ingest, intake) = match kafka {
            Some(kafka) => {
                let target = KafkaTarget {
                    brokers: kafka.brokers.clone(),
                    topic: kafka.topic.clone(),
                    properties: kafka.properties.clone(),
                };
                let handle = start_kafka(
                    kafka,
                    store.clone(),
                    Arc::clone(&vault),
                    Arc::clone(&metrics),
                    clock::system(),
                    no_more_events.clone(),
                )?;
                let intake = Intake::kafka(
                    &target,
                    Arc::clone(&vault),
                    Arc::clone(&metrics),
                    clock::system(),
                    options,
                )?;
                (handle, intake)
            }
            None => {
                let log = LocalLog::open(&folder.local_log())?;
                let handle = start_local(
                    local_config(&config),
                    log.clone(),
                    store.clone(),
                    Arc::clone(&vault),
                    Arc::clone(&metrics),
                    clock::system(),
                    no_more_events.clone(),
                )?;
                let intake = Intake::local(
                    log,
                    Arc::clone(&vault),
                    Arc::clone(&metrics),
                    clock::system(),
                    options,
                );
                (handle, intake)
            }
        };
        let watcher = ingest.watcher();
        let app = App {
            engine: engine.clone(),
            intake: Some(Arc::new(intake)),
            vault,
            keys: config.keys()?,
            metrics: registry,
            open_metrics: config.server.metrics_open,
            readiness: Arc::new(move || readiness(&watcher())),
            limits: config.limits(),
        };
        let no_more_requests = CancellationToken::new();
        let url = url_of(listener.local_addr()?);
        let http = serve_http(app, listener, no_more_requests.clone())?;
        let every = Duration::from_secs(config.storage.maintain_every_s.max(1).into());
        tokio::spawn(maintain(store.clone(), every, no_more_events.clone()));
        let service = Service {
            url,
            store,
            engine,
            metrics,
            ingest,
            http,
            no_more_requests,
            no_more_events,
            _lock: lock,
        };
        service.await_answer().await?;
        Ok(service)
    }

    /// How reading events stands; can be asked until the end.
    pub(crate) fn watcher(&self) -> impl Fn() -> IngestStatus + Send + Sync + Clone + 'static {
        self.ingest.watcher()
    }

    /// Ends in order; whether everything taken in is in the tables.
    pub(crate) async fn stop(self) -> Result<bool> {
        let begun = Instant::now();
        self.no_more_requests.cancel();
        let abort = self.http.abort_handle();
        if tokio::time::timeout(REQUESTS_WITHIN, self.http)
            .await
            .is_err()
        {
            abort.abort();
        }
        self.no_more_events.cancel();
        let left = END_WITHIN.saturating_sub(begun.elapsed());
        match tokio::time::timeout(left, self.ingest.join()).await {
            Ok(ended) => ended.map(|()| true).map_err(Failure::from),
            Err(_) => Ok(false),
        }
    }

    async fn await_answer(&self) -> Result<()> {
        let url = self.url.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let until = Instant::now() + ANSWERS_WITHIN;
            let client = Client::new(&url, None);
            while !client.is_alive() {
                if Instant::now() >= until {
                    return false;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            true
        });
        match asked.await {
            Ok(true) => Ok(()),
            _ => Err(Failure::new(format!(
                "the server does not answer its own request at {}",
                self.url
            ))
            .mend("a firewall or proxy on this machine may stand between")),
        }
    }
}

fn serve_http(
    app: App,
    listener: TcpListener,
    end: CancellationToken,
) -> Result<JoinHandle<io::Result<()>>> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = linkfunnel_api::router(app);
    let server =
        axum::serve(listener, router).with_graceful_shutdown(async move { end.cancelled().await });
    Ok(tokio::spawn(async move { server.await }))
}

/// Where a browser on this machine finds the server.
fn url_of(address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("http://127.0.0.1:{}", address.port()),
        false => format!("http://{address}"),
    }
}

/// How ready reading is, as sentences.
fn readiness(status: &IngestStatus) -> Readiness {
    let mut readiness = Readiness::default();
    match &status.state {
        ReaderState::Starting { waiting_for } => {
            readiness
                .not_ready
                .push(format!("reading has not begun: waiting for {waiting_for}"));
        }
        ReaderState::Stopped { why } => {
            let why = why.as_deref().unwrap_or("the server is ending");
            readiness
                .not_ready
                .push(format!("reading has ended: {why}"));
        }
        ReaderState::Running => {}
    }
    if let Some(error) = &status.commit_error {
        let events = "events are in memory only: commits fail";
        readiness.not_ready.push(format!("{events}: {error}"));
    }
    if status.partitions.is_empty() {
        readiness
            .behind
            .push("no partition is attached yet".to_owned());
    }
    for partition in status
        .partitions
        .iter()
        .filter(|p| !p.caught_up || p.lost.is_some())
    {
        let name = format!("{} partition {}", status.stream, partition.partition);
        readiness
            .behind
            .push(match (partition.lost, partition.end, partition.position) {
                (Some((first, last)), ..) => {
                    format!("{name}: messages {first} to {last} were gone before they were read")
                }
                (None, Some(end), position) => {
                    format!("{name}: {} messages behind", end - position.unwrap_or(0))
                }
                (None, None, _) => format!("{name}: not read to its end yet"),
            });
    }
    readiness
}

async fn maintain(store: Store, every: Duration, end: CancellationToken) {
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        if let Err(error) = store.compact(CompactOptions::default()).await {
            tracing::warn!(error = %Failure::from(error), "compaction failed; the next run tries again");
        }
        if let Err(error) = store.maintain().await {
            tracing::warn!(error = %Failure::from(error), "cleaning up failed; the next run tries again");
        }
    }
}

fn commit_options(config: &Config) -> CommitOptions {
    let shared_table = config
        .kafka
        .as_ref()
        .is_some_and(|kafka| !kafka.group.is_empty());
    let every = Duration::try_from_secs_f64(config.ingest.commit_s);
    let every = every.unwrap_or(CommitOptions::default().every);
    CommitOptions {
        every,
        shared_table,
        ..CommitOptions::default()
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        seal_every: Duration::from_millis(config.ingest.seal_ms.max(1).into()),
        memory_bytes: megabytes(config.ingest.hot_mb),
        ..Limits::default()
    }
}

fn local_config(config: &Config) -> LocalConfig {
    LocalConfig {
        commit: commit_options(config),
        limits: limits(config),
        ..LocalConfig::default()
    }
}

/// How the config wants its topic to be read.
pub(crate) fn kafka_config(config: &Config, kafka: &Kafka) -> Result<KafkaConfig> {
    let choice = |key: &str, value: &str, words: &str| {
        Failure::new(format!("kafka.{key}: {value:?} is not understood"))
            .mend(format!("it is one of {words}"))
    };
    let start = match kafka.start.as_str() {
        "beginning" => Start::Beginning,
        "end" => Start::End,
        other => return Err(choice("start", other, "beginning, end")),
    };
    let on_lost_range = match kafka.on_lost_range.as_str() {
        "stop" => OnLostRange::Stop,
        "continue" => OnLostRange::Continue,
        other => return Err(choice("on_lost_range", other, "stop, continue")),
    };
    let too_many_bad = (config.ingest.bad_share > 0.0).then(|| TooManyBad {
        percent: config.ingest.bad_share,
        seconds: config.ingest.bad_window_s,
        ..TooManyBad::default()
    });
    Ok(KafkaConfig {
        group: Some(kafka.group.clone()).filter(|group| !group.is_empty()),
        defaults: StreamDefaults {
            tenant: kafka.tenant.clone(),
            ..StreamDefaults::default()
        },
        start,
        on_lost_range,
        too_many_bad,
        commit: commit_options(config),
        limits: limits(config),
        properties: kafka.properties.clone().into_iter().collect(),
        ..KafkaConfig::new(&kafka.brokers, &kafka.topic)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_says_what_to_do() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        let error = TcpListener::bind(address).unwrap_err();
        let said = cannot_listen(address, &error).to_string();
        assert!(
            said.contains("is in use by another program; stop that one"),
            "{said}"
        );
        assert!(said.contains("--listen 127.0.0.1:0"), "{said}");
    }

    #[test]
    fn nobody_is_let_in_from_outside_without_keys() {
        let mut config = Config::default();
        config.server.listen = "0.0.0.0:0".into();
        assert!(
            listen(&config)
                .err()
                .unwrap()
                .to_string()
                .contains("without keys")
        );
    }

    #[test]
    fn a_reader_that_waits_is_not_ready_and_one_that_reads_on_is_behind() {
        let mut status = IngestStatus {
            stream: "s".into(),
            state: ReaderState::Starting {
                waiting_for: "the broker".into(),
            },
            partitions: Vec::new(),
            uncommitted_bytes: 0,
            paused: false,
            commit_error: None,
        };
        assert_eq!(
            readiness(&status).not_ready,
            ["reading has not begun: waiting for the broker"]
        );
        status.state = ReaderState::Running;
        assert_eq!(readiness(&status).behind, ["no partition is attached yet"]);
        status.partitions = vec![linkfunnel_ingest::PartitionStatus {
            partition: 1,
            position: Some(5),
            committed: None,
            end: Some(12),
            caught_up: false,
            watermark_us: None,
            lost: None,
        }];
        let readiness = readiness(&status);
        assert!(readiness.not_ready.is_empty());
        assert_eq!(readiness.behind, ["s partition 1: 7 messages behind"]);
    }

    #[test]
    fn choices_of_the_config_are_checked() {
        let kafka = Kafka {
            start: "middle".into(),
            ..Kafka::default()
        };
        let refused = kafka_config(&Config::default(), &kafka)
            .err()
            .unwrap()
            .to_string();
        assert!(refused.contains("beginning, end"), "{refused}");
    }
}
