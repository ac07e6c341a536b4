//! The file of settings, and names in the environment that are no settings.

use super::{Given, Refused};
use std::path::Path;

/// The name of the file that is read from the data directory, if it is there.
pub const FILE: &str = "pilothouse.toml";

/// Variables that begin like ours and are read by the router or by the make targets.
const OF_OTHERS: &[&str] = &["PILOTHOUSE_CACHE", "PILOTHOUSE_CLUSTER_CACHE"];
const OF_THE_ROUTER: &str = "PILOTHOUSE_ROUTER_";

/// Reads a file. `None`: it is not there, which is fine unless it was named.
pub fn read(path: &Path) -> Result<Option<Given>, Refused> {
    let named = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).map(Some).map_err(|why| Refused::new(named, why)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Refused::new(named, format!("It can not be read: {error}."))),
    }
}

/// Reads the text of a file. The error names the line and the setting, and does not repeat the line:
/// it may hold a password.
pub fn parse(text: &str) -> Result<Given, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let number = before.matches('\n').count() + 1;
        let line = text.lines().nth(number - 1).unwrap_or_default();
        let key = line.split_once('=').map_or("", |(key, _)| key.trim());
        let is_plain =
            |key: &str| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let setting = if !key.is_empty() && is_plain(key) { key } else { "?" };
        format!("line {number}, {setting}: {}", error.message())
    })
}

/// Refuses the first variable that looks like a setting and is none.
pub fn refuse_unknown_variables<'a>(
    names: impl Iterator<Item = &'a str>,
    known: &[String],
) -> Result<(), Refused> {
    for name in names.filter(|name| name.starts_with("PILOTHOUSE_")) {
        let is_known = known.iter().any(|known| known == name)
            || OF_OTHERS.contains(&name)
            || name.starts_with(OF_THE_ROUTER);
        if !is_known {
            return Err(Refused::new(
                name,
                "There is no such setting. `pilothouse --help` lists all of them.",
            ));
        }
    }
    Ok(())
}
