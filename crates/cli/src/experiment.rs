//! `linkfunnel experiment`: what an experiment needs, and what it shows. linkfunnel analyses experiments, it does not assign.

mod plan;
mod plan_table;
mod results;
mod results_table;

use clap::{Args, Subcommand};

use crate::failure::Result;

/// Plan experiments and read their results
#[derive(Debug, Args)]
pub(crate) struct ExperimentArgs {
    #[command(subcommand)]
    command: ExperimentCommand,
}

#[derive(Debug, Subcommand)]
enum ExperimentCommand {
    Plan(Box<plan::PlanArgs>),
    Results(results::ResultsArgs),
}

impl ExperimentArgs {
    /// Does what was asked.
    pub(crate) fn run(self) -> Result<()> {
        match self.command {
            ExperimentCommand::Plan(args) => args.run(),
            ExperimentCommand::Results(args) => args.run(),
        }
    }
}
