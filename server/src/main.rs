//! The control plane: `pilothouse serve`, and what can be done on the machine itself.

use clap::Parser;
use server::{
    cli::{AdminCommand, Cli, Command, HistoryCommand},
    commands,
    config::{Around, reference},
    logs, run,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    // One TLS provider for the whole process, named before anybody asks for one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match start(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("pilothouse: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: &Cli) -> anyhow::Result<ExitCode> {
    let command = cli.command.clone().unwrap_or(Command::Serve);
    // What needs no settings does not fail for a wrong one.
    match &command {
        Command::Version => {
            println!("pilothouse {}", env!("CARGO_PKG_VERSION"));
            return Ok(ExitCode::SUCCESS);
        }
        Command::Settings => {
            print!("{}", reference::table());
            return Ok(ExitCode::SUCCESS);
        }
        Command::History { command: HistoryCommand::Verify { file: Some(file) } } => {
            return commands::verify_file(file);
        }
        Command::Serve | Command::Admin { .. } | Command::History { .. } => {}
    }

    let settings = cli.settings(&Around::of_this_process()?)?;
    logs::begin(&settings);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match command {
            Command::Serve => run::until_stopped(settings).await.map(|()| ExitCode::SUCCESS),
            Command::Admin { command: AdminCommand::Recover { name } } => {
                commands::recover(&settings, &name).await
            }
            Command::History { .. } => commands::verify(&settings).await,
            Command::Version | Command::Settings => Ok(ExitCode::SUCCESS),
        }
    })
}
