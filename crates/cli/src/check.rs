//! `linkfunnel check`: tries every line of the config for real and says how to mend what does not work.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use linkfunnel_api::refuse_open_listen;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::config::{Config, Kafka};
use crate::failure::{Doing, Failure, Result};
use crate::folder::DataFolder;
use crate::out::{self, Screen};
use crate::{clock, words};

/// Longest wait for a broker.
const KAFKA_WITHIN: Duration = Duration::from_secs(10);
/// A difference between this machine's clock and the storage's that moves numbers.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);
/// The clock of a machine that was never set stands before this: 2026-01-01, µs since the epoch.
const EARLIEST_NOW_US: i64 = 1_767_225_600_000_000;
/// A clock beyond this is wrong: 2100-01-01, µs since the epoch.
const LATEST_NOW_US: i64 = 4_102_444_800_000_000;

/// Try every line of a config for real: broker, topic, storage, keys, clock
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The config file
    #[arg(long, value_name = "FILE", required_unless_present = "data")]
    config: Option<PathBuf>,
    /// A data folder, everything else by default
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    data: Option<PathBuf>,
}

/// One line of the report.
struct Finding {
    about: &'static str,
    result: Result<String>,
}

impl CheckArgs {
    /// Checks and prints; fails when something would not work.
    pub(crate) fn run(self) -> Result<()> {
        let (config, findings) = match (&self.config, &self.data) {
            (Some(path), _) => {
                let config = Config::read(path)?;
                (
                    config,
                    vec![Finding {
                        about: "config",
                        result: Ok(format!("{} is understood", path.display())),
                    }],
                )
            }
            (None, data) => (
                Config::of_folder(data.as_deref().unwrap_or(Path::new("."))),
                Vec::new(),
            ),
        };
        let screen = Screen::stdout();
        let mut bad = 0;
        for finding in findings.into_iter().chain(find(&config)) {
            bad += u64::from(finding.result.is_err());
            out::line(&line(&finding, screen));
        }
        match bad {
            0 => Ok(()),
            n => Err(Failure::new(format!(
                "{} of this config would not work",
                words::counted(n, "line")
            ))),
        }
    }
}

fn line(finding: &Finding, screen: Screen) -> String {
    match &finding.result {
        Ok(text) => format!("{} {:<9} {text}", screen.green("✓"), finding.about),
        Err(failure) => format!("{} {:<9} {failure}", screen.red("✗"), finding.about),
    }
}

/// Each finding as it is made: the reader sees what is being tried. Without a broker the topic is not looked for.
fn find(config: &Config) -> impl Iterator<Item = Finding> {
    type Try = (&'static str, fn(&Config) -> Result<String>);
    let mut tries: Vec<Try> = vec![
        ("listen", listen),
        ("keys", keys),
        ("folder", folder),
        ("tables", tables),
        ("privacy", privacy),
    ];
    if config.kafka.is_some() {
        tries.extend([
            ("kafka", broker as fn(&Config) -> Result<String>),
            ("topic", topic),
        ]);
    }
    tries.push(("clock", wall_clock));
    let mut no_broker = false;
    tries.into_iter().filter_map(move |(about, attempt)| {
        if no_broker && about == "topic" {
            return None;
        }
        let result = attempt(config);
        no_broker |= about == "kafka" && result.is_err();
        Some(Finding { about, result })
    })
}

fn listen(config: &Config) -> Result<String> {
    let address = config.listen()?;
    refuse_open_listen(address, &config.keys()?)?;
    match TcpListener::bind(address) {
        Ok(_) => Ok(format!("{address} is free")),
        Err(error) => Err(crate::service::cannot_listen(address, &error)),
    }
}

fn keys(config: &Config) -> Result<String> {
    config.keys()?;
    Ok(match config.keys.len() as u64 {
        0 => "none: everybody on this machine may do everything".into(),
        n => format!("{} can be used", words::counted(n, "key")),
    })
}

fn folder(config: &Config) -> Result<String> {
    let folder = &config.storage.data;
    match folder.is_dir() {
        true => {
            let folder_lock = DataFolder::of(config).take()?;
            try_writing(folder)?;
            drop(folder_lock);
            Ok(format!("{} can be written to", folder.display()))
        }
        false => {
            let parent = folder.ancestors().skip(1).find(|dir| dir.is_dir());
            let parent = parent
                .filter(|dir| !dir.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            try_writing(parent)?;
            Ok(format!("{} will be made", folder.display()))
        }
    }
}

fn try_writing(folder: &Path) -> Result<()> {
    let attempt = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, b"linkfunnel check")?;
        file.as_file().sync_all()
    };
    attempt().map_err(|error| {
        Failure::new(format!(
            "{} cannot be written to ({error})",
            folder.display()
        ))
        .mend("give this user the right to, or set storage.data to another folder")
    })
}

fn tables(config: &Config) -> Result<String> {
    let place = DataFolder::of(config);
    let location = place.location()?;
    match location.folder() {
        Some(folder) if !folder.is_dir() => Ok(format!("{location} will be made")),
        _ => {
            let view = clock::block_on(async { Ok(place.store(None).await?.view()) })
                .doing(|| "opening them".into())?;
            Ok(format!("{location} opened at version {}", view.version))
        }
    }
}

fn privacy(config: &Config) -> Result<String> {
    let folder = DataFolder::of(config);
    if !config.privacy.secret.is_empty() {
        folder.vault()?.key_id(linkfunnel_model::DEFAULT_TENANT)?;
        return Ok("tenants' keys are made from privacy.secret".into());
    }
    let keys = folder.key_folder();
    if !keys.is_dir() {
        return Ok(format!(
            "keys will be made in {} (keep a copy)",
            keys.display()
        ));
    }
    let made = std::fs::read_dir(&keys)
        .doing(|| format!("reading {}", keys.display()))?
        .count();
    Ok(format!(
        "{} in {} (keep a copy)",
        words::counted(made as u64, "key"),
        keys.display()
    ))
}

fn client(kafka: &Kafka) -> Result<BaseConsumer> {
    let mut client = ClientConfig::new();
    for (key, value) in &kafka.properties {
        client.set(key, value);
    }
    client.set("bootstrap.servers", &kafka.brokers);
    client.create().map_err(|error| {
        Failure::new(format!("kafka.properties: {error}"))
            .mend("TLS and SASL over TLS need a build with --features kafka-tls")
    })
}

fn broker(config: &Config) -> Result<String> {
    let Some(kafka) = &config.kafka else {
        return Ok("none".into());
    };
    let metadata = client(kafka)?.fetch_metadata(None, KAFKA_WITHIN).map_err(|error| {
        Failure::new(format!("no broker answers at {} ({error})", kafka.brokers))
            .mend("set kafka.brokers to host:port of a running broker, and its security.protocol under [kafka.properties]")
    })?;
    Ok(format!(
        "{} reached at {}",
        words::counted(metadata.brokers().len() as u64, "broker"),
        kafka.brokers
    ))
}

fn topic(config: &Config) -> Result<String> {
    let Some(kafka) = &config.kafka else {
        return Ok("none".into());
    };
    let missing = |found: String| {
        Failure::new(format!("topic {} is not there{found}", kafka.topic))
            .mend("make it, or set kafka.topic to the one that events are in")
    };
    let client = client(kafka)?;
    let all = client
        .fetch_metadata(None, KAFKA_WITHIN)
        .map_err(|_| missing(" (no broker answers)".into()))?;
    let names = all
        .topics()
        .iter()
        .map(|topic| topic.name())
        .filter(|name| !name.starts_with("__"));
    let mut names: Vec<&str> = names.collect();
    if !names.contains(&kafka.topic.as_str()) {
        names.truncate(10);
        let found = if names.is_empty() {
            String::new()
        } else {
            format!("; there is {}", names.join(", "))
        };
        return Err(missing(found));
    }
    let partitions = all
        .topics()
        .iter()
        .find(|topic| topic.name() == kafka.topic);
    let partitions = partitions.map_or(0, |topic| topic.partitions().len());
    let mut waiting: i64 = 0;
    for partition in 0..i32::try_from(partitions).unwrap_or(0) {
        let (low, high) = client
            .fetch_watermarks(&kafka.topic, partition, KAFKA_WITHIN)
            .doing(|| format!("reading partition {partition} of {}", kafka.topic))?;
        waiting += high - low;
    }
    let kept = words::counted(waiting.unsigned_abs(), "message");
    Ok(format!(
        "{}: {}, {kept} kept",
        kafka.topic,
        words::counted(partitions as u64, "partition")
    ))
}

fn wall_clock(config: &Config) -> Result<String> {
    let now_us = clock::now_us();
    if !(EARLIEST_NOW_US..LATEST_NOW_US).contains(&now_us) {
        return Err(Failure::new(format!(
            "this machine says it is {}",
            linkfunnel_model::instant_text(now_us)
        ))
        .mend("set its clock; times of arrival come from it"));
    }
    let folder = &config.storage.data;
    let there = if folder.is_dir() {
        folder.clone()
    } else {
        std::env::temp_dir()
    };
    let written = tempfile::NamedTempFile::new_in(&there)
        .and_then(|file| file.as_file().metadata()?.modified());
    let now = SystemTime::now();
    let apart = written.map(|then| now.duration_since(then).unwrap_or_else(|e| e.duration()));
    match apart {
        Ok(apart) if apart > MAX_CLOCK_DIFFERENCE => Err(Failure::new(format!(
            "this machine's clock and that of the disk differ by {} s",
            apart.as_secs()
        ))
        .mend("let both follow a time server")),
        _ => Ok(format!(
            "{}, zone {}",
            linkfunnel_model::instant_text(now_us / 1_000_000 * 1_000_000),
            clock::system_zone()
        )),
    }
}
