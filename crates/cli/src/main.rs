//! `linkfunnel`: the command line. Each command is a file; what they share stands beside them.

mod check;
mod client;
mod clock;
mod config;
mod crash;
mod dead_letters;
mod demo;
mod experiment;
mod failure;
mod folder;
mod generate;
mod grid;
mod import;
mod journey;
mod logs;
mod out;
mod produce;
mod query;
mod serve;
mod service;
mod sheet;
mod signals;
mod table;
mod tell;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tikv_jemallocator::Jemalloc;

/// Columns are made on one thread and dropped on another: the system's allocator keeps half as much again as is used, and
/// never gives it back.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Why businesses that start to link their accounts do not finish: funnels over link events, live.
#[derive(Debug, Parser)]
#[command(
    name = "linkfunnel",
    version,
    max_term_width = 100,
    propagate_version = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Serve(serve::ServeArgs),
    Query(query::QueryArgs),
    Journey(journey::JourneyArgs),
    Experiment(experiment::ExperimentArgs),
    Import(import::ImportArgs),
    DeadLetters(dead_letters::DeadLettersArgs),
    Generate(generate::GenerateArgs),
    Check(check::CheckArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => args.run(),
        Command::Serve(args) => args.run(),
        Command::Query(args) => args.run(),
        Command::Journey(args) => args.run(),
        Command::Experiment(args) => args.run(),
        Command::Import(args) => args.run(),
        Command::DeadLetters(args) => args.run(),
        Command::Generate(args) => args.run(),
        Command::Check(args) => args.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out::note(&format!("linkfunnel: {failure}"));
            ExitCode::from(failure.status)
        }
    }
}
