//! The settings as a table for docs/OPERATING.md, made from the same words as `--help`, so the two
//! can not differ: a test holds the document against this.

use super::Given;
use clap::{Args, Command};
use std::fmt::Write as _;

/// All settings in a Markdown table.
#[must_use]
pub fn table() -> String {
    let mut out = String::from("| setting | environment | meaning |\n|---|---|---|\n");
    for (name, variable, help) in all() {
        let _ = writeln!(out, "| `{name}` | `{variable}` | {help} |");
    }
    out
}

/// The names of all variables.
#[must_use]
pub fn variables() -> Vec<String> {
    all().into_iter().map(|(_, variable, _)| variable).chain([CONFIG.to_owned()]).collect()
}

/// The variable that names the file itself.
pub const CONFIG: &str = "PILOTHOUSE_CONFIG";

fn all() -> Vec<(String, String, String)> {
    let command = Given::augment_args(Command::new("pilothouse"));
    command
        .get_arguments()
        .map(|argument| {
            let help = argument.get_long_help().or(argument.get_help());
            let help = help.map(ToString::to_string).unwrap_or_default();
            let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
            (
                argument.get_id().to_string(),
                variable.unwrap_or_default(),
                help.split_whitespace().collect::<Vec<_>>().join(" "),
            )
        })
        .collect()
}
