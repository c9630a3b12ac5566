//! `linkfunnel experiment`: what an experiment needs. linkfunnel analyses experiments, it does not assign.

mod plan;
mod plan_table;

use clap::{Args, Subcommand};

use crate::failure::Result;

/// Plan experiments
#[derive(Debug, Args)]
pub(crate) struct ExperimentArgs {
    #[command(subcommand)]
    command: ExperimentCommand,
}

#[derive(Debug, Subcommand)]
enum ExperimentCommand {
    Plan(plan::PlanArgs),
}

impl ExperimentArgs {
    /// Does what was asked.
    pub(crate) fn run(self) -> Result<()> {
        match self.command {
            ExperimentCommand::Plan(args) => args.run(),
        }
    }
}
