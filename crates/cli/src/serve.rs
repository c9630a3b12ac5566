//! `linkfunnel serve`: takes events in and answers questions until it is told to end.

use std::path::PathBuf;

use clap::Args;

use crate::config::Config;
use crate::failure::Result;
use crate::import::DEFAULT_DATA;
use crate::service::{self, Opened, Service};
use crate::{clock, logs, out, signals};

/// Take events in and answer questions
#[derive(Debug, Args)]
#[command(
    after_help = "Events come from the config's Kafka topic, or over HTTP into a local log. Ctrl-C or SIGTERM ends it:
what was taken in is committed first. `linkfunnel check --config FILE` tries a config before it is used."
)]
pub(crate) struct ServeArgs {
    /// The config file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder, everything else by default [default: linkfunnel-data]
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    data: Option<PathBuf>,
    /// Address and port to listen on, port 0 for a free one [default: the config's, else 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

impl ServeArgs {
    /// Serves until asked to end.
    pub(crate) fn run(self) -> Result<()> {
        logs::start("info");
        let mut config = match (&self.config, self.data) {
            (Some(path), _) => Config::read(path)?,
            (None, data) => Config::of_folder(&data.unwrap_or_else(|| DEFAULT_DATA.into())),
        };
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        let listener = service::listen(&config)?;
        let kafka = match &config.kafka {
            Some(kafka) => Some(service::kafka_config(&config, kafka)?),
            None => None,
        };
        clock::block_on(async {
            let data = config.storage.data.clone();
            let asked_to_end = tokio::spawn(signals::asked_to_end());
            let service = Service::start(Opened::open(config).await?, listener, kafka).await?;
            out::line(&format!(
                "linkfunnel {} · {} · data in {}",
                env!("CARGO_PKG_VERSION"),
                service.url,
                data.display()
            ));
            asked_to_end.await??;
            tracing::info!("ending: committing what was taken in");
            if service.stop().await? {
                tracing::info!("ended, everything taken in is in the tables");
            } else {
                tracing::warn!(
                    "ended before everything was committed; the rest is read again at the next start"
                );
            }
            Ok(())
        })
    }
}
