//! `linkfunnel demo`: a month of generated history, then live traffic through an embedded Kafka; nothing to install.
//!
//! History goes through the import path, live traffic through the real Kafka path: what is seen here
//! is what a real installation does. The embedded broker is a new stream each run, so a folder that
//! is used again keeps every row.

mod example;
mod experiments;
mod history;
mod live;
mod status;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use linkfunnel_testkit::broker::EmbeddedBroker;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use self::history::{History, Plan};
use self::live::{Live, Traffic};
use self::status::Status;
use crate::config::{Config, Kafka, LISTEN};
use crate::failure::{Doing, Failure, Result};
use crate::out::{self, Screen};
use crate::service::{self, Opened, Service};
use crate::{clock, logs, signals, words};

const TOPIC: &str = "linkfunnel.events";
const PARTITIONS: i32 = 4;
/// Memory for events not yet committed and for one question, in MB: the demo is a guest.
const HOT_MB: u32 = 48;
const QUERY_MB: u32 = 96;

/// Try it: a month of generated journeys, then live traffic through an embedded Kafka
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End by itself after this time: 30s, 5m, 1h
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    end_after: Option<Duration>,
    /// Keep the data in this folder; a later demo goes on with it [default: a temporary folder, gone at the end]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port to listen on, port 0 for a free one
    #[arg(long, value_name = "ADDR", default_value = LISTEN)]
    listen: String,
    /// Live events a second
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// Days of history [default: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=365))]
    days: Option<u32>,
}

/// `30s`, `5m`, `1h`.
fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "seconds, minutes or hours are expected: 30s, 5m, 1h".to_owned();
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let scale = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(number.saturating_mul(scale)))
}

/// The folder of a demo: the user's, kept, or a temporary one.
enum Place {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Place {
    fn new(data: Option<PathBuf>) -> Result<Self> {
        match data {
            Some(data) => Ok(Place::Kept(data)),
            None => {
                let made = tempfile::Builder::new()
                    .prefix("linkfunnel-demo-")
                    .tempdir();
                Ok(Place::Temporary(
                    made.doing(|| "making a temporary folder".into())?,
                ))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Place::Kept(path) => path,
            Place::Temporary(folder) => folder.path(),
        }
    }

    fn says(&self) -> String {
        match self {
            Place::Kept(path) => format!("data in {}, kept", path.display()),
            Place::Temporary(_) => {
                "data in a temporary folder, gone at the end (--data DIR keeps it)".into()
            }
        }
    }
}

impl DemoArgs {
    /// Runs until Ctrl-C, or for the time given.
    pub(crate) fn run(self) -> Result<()> {
        logs::start("error");
        let place = Place::new(self.data.clone())?;
        let mut config = Config::of_folder(place.path());
        config.server.listen.clone_from(&self.listen);
        config.ingest.hot_mb = HOT_MB;
        config.query.memory_mb = QUERY_MB;
        // Before anything slow: a busy port is said at once.
        let listener = service::listen(&config)?;
        out::line(&format!(
            "linkfunnel {} · demo · {}\n",
            env!("CARGO_PKG_VERSION"),
            place.says()
        ));
        let ended = clock::block_on(self.show(config, listener));
        match (ended?, place) {
            (rows, Place::Kept(path)) => {
                let (rows, path) = (words::counted(rows, "event"), path.display());
                let again = format!("{} demo --data {path}", program());
                out::line(&format!(
                    "Ended. {path} keeps {rows}; `{again}` goes on with them."
                ));
            }
            (_, Place::Temporary(folder)) => {
                let path = folder.path().to_owned();
                folder
                    .close()
                    .doing(|| format!("removing {}", path.display()))?;
                out::line(&format!(
                    "Ended. The temporary folder {} is removed.",
                    path.display()
                ));
            }
        }
        Ok(())
    }

    async fn show(&self, config: Config, listener: TcpListener) -> Result<u64> {
        let mut asked_to_end = tokio::spawn(signals::asked_to_end());
        let opened = Opened::open(config.clone()).await?;
        let store = opened.store.clone();
        let Some((history, traffic)) = self.load(&opened, &mut asked_to_end).await? else {
            return Ok(store.view().committed_rows());
        };
        let starting = || "starting the embedded Kafka".to_owned();
        let broker = EmbeddedBroker::start(TOPIC, PARTITIONS).doing(starting)?;
        let brokers = broker.bootstrap_servers().to_owned();
        let now_us = clock::now_us();
        let kafka = Kafka {
            brokers: brokers.clone(),
            topic: TOPIC.into(),
            ..Kafka::default()
        };
        let mut kafka = service::kafka_config(&config, &kafka)?;
        kafka.cluster = Some(format!("demo-{now_us}"));
        let service = Service::start(opened, listener, Some(kafka)).await?;
        let status = Status::new(&service).await?;
        let live = Live::start(&brokers, TOPIC, traffic, service.watcher())?;
        experiments::define(&service.engine, history.start_us()).await?;
        let example = example::example(&service.engine, now_us).await;
        out::write(&self.block(&service.url, &history, example.as_deref()));
        let watched = self.watch(status, &live, asked_to_end).await;
        live.stop();
        service.stop().await?;
        // Taking the broker down can take a second; nobody needs to wait for it.
        std::thread::spawn(move || drop(broker));
        watched?;
        Ok(store.view().committed_rows())
    }

    /// Loads the history; `None` when the wish to end came first.
    async fn load(
        &self,
        opened: &Opened,
        asked_to_end: &mut JoinHandle<Result<()>>,
    ) -> Result<Option<(History, Traffic)>> {
        let stop = Arc::new(AtomicBool::new(false));
        let plan = Plan::of(opened.folder.path(), self.days, Arc::clone(&stop))?;
        let (importing, rate, stopping) = (opened.importing(), self.rate, Arc::clone(&stop));
        // On a thread of its own, since it computes throughout: Ctrl-C must still be heard.
        let runtime = Handle::current();
        let mut loading = tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                let history = plan.load(&importing).await?;
                let traffic = history::warm_up(&importing, rate, &stopping).await?;
                Ok::<_, Failure>((history, traffic))
            })
        });
        tokio::select! {
            loaded = &mut loading => Ok(Some(loaded??)),
            _ = asked_to_end => {
                stop.store(true, Ordering::Relaxed);
                // What was loaded so far stays; the next start goes on there.
                let _ = tokio::time::timeout(service::END_WITHIN, loading).await;
                Ok(None)
            }
        }
    }

    /// What is going on and what to try, once everything answers.
    fn block(&self, url: &str, history: &History, example: Option<&str>) -> String {
        let program = program();
        let ask = if url.ends_with(&format!("//{LISTEN}")) {
            String::new()
        } else {
            format!(" --url {url}")
        };
        let journey = example.map_or(String::new(), |id| {
            format!("    {program} journey {id}{ask}\n")
        });
        format!(
            "  API      {url}/api/v1        metrics  {url}/metrics
  history  {}
  live     embedded Kafka, topic {TOPIC}, {PARTITIONS} partitions, about {} events/s

  Try, in another terminal:
    {program} query linking --by category --last 7d{ask}
{journey}    {program} experiment results {}{ask}
    curl -s '{url}/api/v1/success-rates?by=category'

",
            history.says(),
            words::count(self.rate.into()),
            experiments::EXAMPLE,
        )
    }

    /// Shows how it stands until the end is asked for or the time is over.
    async fn watch(
        &self,
        mut status: Status,
        live: &Live,
        mut asked_to_end: JoinHandle<Result<()>>,
    ) -> Result<()> {
        let screen = Screen::stdout();
        let over = async {
            match self.end_after {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        let mut tick = tokio::time::interval(status::every(screen));
        loop {
            tokio::select! {
                _ = &mut asked_to_end => break,
                () = &mut over => break,
                _ = tick.tick() => {
                    if let Some(failure) = live.failure() {
                        return Err(failure);
                    }
                    out::write(&status::shown(&status.line().await, screen));
                }
            }
        }
        out::write(if screen.terminal { "\n\n" } else { "\n" });
        Ok(())
    }
}

/// How this program was called, to be pasted again.
fn program() -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| "linkfunnel".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_minutes_or_hours() {
        assert_eq!(seconds("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(seconds("1h"), Ok(Duration::from_secs(3_600)));
        for text in ["", "s", "30", "-1s", "1d", "é"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
