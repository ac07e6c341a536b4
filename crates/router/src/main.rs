//! The binary `pilothouse-router`: reads the command line and does what it says.

use clap::Parser;
use router::{
    cli::{Cli, Command},
    serve, status, switch,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Serve(settings) => serve::run(settings),
        Command::Switch(ask) => switch::run(ask),
        Command::Status(ask) => status::run(ask),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("pilothouse-router: {e:#}");
            ExitCode::FAILURE
        }
    }
}
