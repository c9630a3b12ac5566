//! `linkfunnel experiment results`: what an experiment shows, of a server or a data folder.

use std::path::{Path, PathBuf};

use clap::Args;
use linkfunnel_query::{ExperimentAnswer, ExperimentQuestion};

use super::results_table;
use crate::client::{Client, DEFAULT_URL, escaped, with_parameters};
use crate::clock;
use crate::failure::{Doing, Result};
use crate::folder::DataFolder;
use crate::out::{self, Screen};
use crate::query::refused;

/// Show what an experiment found: variants, lift with its interval, guardrails, health and what follows
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  linkfunnel experiment results short_consent
  linkfunnel experiment results short_consent --include-open
  linkfunnel experiment results short_consent --data ./linkfunnel-data --json

The experiment is one that was defined: PUT /api/v1/experiments/ID, with a body as in schemas/experiment.schema.json.
A key for a server that wants one is read from LINKFUNNEL_KEY.")]
pub(crate) struct ResultsArgs {
    /// Its id, as events tell it
    id: String,
    /// Count those too whose window still runs: rates are then so far
    #[arg(long)]
    include_open: bool,
    /// The server to ask [default: http://127.0.0.1:8080]
    #[arg(long, conflicts_with = "data")]
    url: Option<String>,
    /// Ask a data folder instead of a server
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The tenant to ask about, where there are several
    #[arg(long)]
    tenant: Option<String>,
    /// Ask of the same state of the data as an earlier answer: its meta.snapshot
    #[arg(long, value_name = "SNAPSHOT")]
    as_of: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl ResultsArgs {
    /// Asks and prints.
    pub(crate) fn run(self) -> Result<()> {
        let answer = match &self.data {
            Some(data) => self.ask_folder(data)?,
            None => self.ask_server()?,
        };
        if self.json {
            out::line(&serde_json::to_string_pretty(&answer)?);
        } else {
            out::write(&results_table::render(&answer, Screen::stdout()));
        }
        Ok(())
    }

    fn ask_server(&self) -> Result<ExperimentAnswer> {
        let url = self.url.as_deref().unwrap_or(DEFAULT_URL);
        let client = Client::new(url, self.tenant.as_deref());
        let mut parameters = Vec::new();
        parameters.extend(
            self.include_open
                .then(|| ("include_open", "true".to_owned())),
        );
        parameters.extend(self.as_of.clone().map(|as_of| ("as_of", as_of)));
        let path = format!("/experiments/{}/results", escaped(&self.id));
        let answer = client.get(&with_parameters(&path, &parameters))?;
        serde_json::from_value(answer).doing(|| format!("reading the answer of {}", client.url()))
    }

    fn ask_folder(&self, data: &Path) -> Result<ExperimentAnswer> {
        let tenant = self.tenant.as_deref();
        let tenant = tenant.unwrap_or(linkfunnel_model::DEFAULT_TENANT);
        let question = ExperimentQuestion {
            id: self.id.clone(),
            include_open: self.include_open,
            as_of: self.as_of.clone(),
        };
        clock::block_on(async {
            let engine = DataFolder::existing(data)?.engine().await?;
            let answer = engine.experiment_results(tenant, question).await;
            answer.map_err(refused)
        })
    }
}
