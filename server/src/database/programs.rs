//! The programs of Postgres on this machine. We bring none of our own.

use anyhow::bail;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A directory with `postgres` and `initdb` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    pub directory: PathBuf,
    /// 15, 16, 17 ...: files of one can not be used by another.
    pub major: u32,
}

/// The oldest Postgres that is used.
const OLDEST: u32 = 14;

/// Finds the programs of one major version, or the newest.
pub fn find(major: Option<u32>) -> anyhow::Result<Programs> {
    let found: Vec<Programs> =
        candidates().into_iter().filter_map(|directory| look(&directory)).collect();
    let wanted = found
        .iter()
        .filter(|programs| major.map_or(programs.major >= OLDEST, |major| programs.major == major))
        .max_by_key(|programs| programs.major);
    match (wanted, major) {
        (Some(programs), _) => Ok(programs.clone()),
        (None, Some(major)) => bail!(
            "The private database was made by PostgreSQL {major}, whose programs are not on this \
             machine. Install postgresql-{major}; to change to a newer one, see \"Upgrade\" in \
             docs/OPERATING.md."
        ),
        (None, None) => bail!(
            "There is no PostgreSQL {OLDEST} or newer on this machine. Install it (on Debian: \
             apt-get install postgresql), or name a database with database_url."
        ),
    }
}

/// Where Debian, Red Hat and people put them.
fn candidates() -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    for (parent, prefix) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")] {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        for entry in entries {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                all.insert(entry.path().join("bin"));
            }
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    all.extend(std::env::split_paths(&path));
    if let Some(directory) = said_by(Path::new("pg_config"), "--bindir") {
        all.insert(PathBuf::from(directory));
    }
    all
}

fn look(directory: &Path) -> Option<Programs> {
    let postgres = directory.join("postgres");
    if !postgres.is_file() || !directory.join("initdb").is_file() {
        return None;
    }
    let major = major(&said_by(&postgres, "--version")?)?;
    Some(Programs { directory: directory.to_owned(), major })
}

/// From "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
fn major(version: &str) -> Option<u32> {
    let number =
        version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

fn said_by(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("postgres"), None);
    }
}
