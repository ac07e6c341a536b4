//! The command line: what can be asked of the program, and where its settings come from.

use crate::config::{Around, Given, Refused, Settings, data_dir, file, reference};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Rolls services out in two slots and brings them back.
///
/// Settings come from a file, the environment and flags; flags win.
#[derive(Debug, Parser)]
#[command(name = "pilothouse", version, max_term_width = 100)]
pub struct Cli {
    /// What to do. Default: serve.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The file of settings, in TOML, with the names below in snake_case. Default: pilothouse.toml
    /// in the data directory, if it is there.
    #[arg(long, env = reference::CONFIG, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    pub given: Given,
}

/// What can be done.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve the console and drive rollouts until told to stop.
    Serve,
    /// Give back access on the machine itself.
    Admin {
        #[command(subcommand)]
        command: AdminCommand,
    },
    /// Prove the history.
    History {
        #[command(subcommand)]
        command: HistoryCommand,
    },
    /// Say which version this is.
    Version,
    /// Print all settings as a table in Markdown.
    #[command(hide = true)]
    Settings,
}

/// What can be done about access.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum AdminCommand {
    /// Make a person an admin with a new password, which is read from standard input. He is made if
    /// there is nobody of that name, and enabled if he was disabled. It becomes a row of the history.
    Recover {
        /// Whose access it is.
        #[arg(long, default_value = "admin")]
        name: String,
    },
}

/// What can be done with the history.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum HistoryCommand {
    /// Prove every row against the one before it: the database's, or those of an exported file.
    /// Ends with 1 when something is wrong, and names the first bad row.
    Verify {
        /// An export in JSON Lines, proven without any database.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

impl Cli {
    /// What the flags, the environment and the file come to.
    pub fn settings(&self, around: &Around) -> Result<Settings, Refused> {
        let known = reference::variables();
        let names: Vec<String> =
            std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
        file::refuse_unknown_variables(names.iter().map(String::as_str), &known)?;

        let from_file = match &self.config {
            Some(path) => file::read(path)?.ok_or_else(|| {
                Refused::new("config", format!("There is no file {}.", path.display()))
            })?,
            None => {
                let path = data_dir(&self.given, around)?.join(file::FILE);
                let found = file::read(&path)?.unwrap_or_default();
                if found.data_dir.is_some() {
                    return Err(Refused::new(
                        path.display().to_string(),
                        "data_dir can not be set in a file that lies in the data directory.",
                    ));
                }
                found
            }
        };
        Settings::from_given(self.given.clone().or(from_file), around)
    }
}
