//! The user of this machine as which the private Postgres runs. It refuses to run as root, so for
//! root it is the user that the package of Postgres brings; for everybody else it is oneself.

use anyhow::{Context, bail};
use rustix::process::geteuid;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::{Command, Stdio},
};

/// A user without privileges, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

/// The name of the user that packages make for Postgres.
const PACKAGED: &str = "postgres";

impl Account {
    /// The account to change to. `None`: we run without privileges already, and stay who we are.
    pub fn to_change_to() -> anyhow::Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let number = |option| id(&[option, PACKAGED]).and_then(|text| text.parse().ok());
        match (number("-u"), number("-g")) {
            (Some(uid), Some(gid)) if uid != 0 => Ok(Some(Self { uid, gid })),
            _ => bail!(
                "Postgres does not run as root, and there is no user \"{PACKAGED}\" to run it as. \
                 Make one, start this program as another user, or name a database with \
                 database_url."
            ),
        }
    }

    /// Whether this user can go through every directory above `place`.
    pub fn reaches(self, place: &Path) -> bool {
        place.ancestors().skip(1).all(|directory| {
            fs::metadata(directory).is_ok_and(|about| {
                let mode = about.mode();
                (about.uid() == self.uid && mode & 0o100 != 0)
                    || (about.gid() == self.gid && mode & 0o010 != 0)
                    || mode & 0o001 != 0
            })
        })
    }

    /// Makes a file or directory this user's own.
    pub fn own(self, place: &Path) -> anyhow::Result<()> {
        chown(place, Some(self.uid), Some(self.gid))
            .with_context(|| format!("giving {} to user {}", place.display(), self.uid))
    }

    /// Lets this user, and nobody else, go through a directory without looking into it.
    pub fn let_through(self, directory: &Path) -> anyhow::Result<()> {
        let about = fs::metadata(directory)
            .with_context(|| format!("looking at {}", directory.display()))?;
        if about.mode() & 0o001 != 0 || (about.gid() == self.gid && about.mode() & 0o010 != 0) {
            return Ok(());
        }
        chown(directory, None, Some(self.gid))
            .and_then(|()| fs::set_permissions(directory, fs::Permissions::from_mode(0o710)))
            .with_context(|| format!("letting user {} through {}", self.uid, directory.display()))
    }
}

/// The name of the user we run as, by which Postgres knows us on its socket.
pub fn own_name() -> anyhow::Result<String> {
    let name = id(&["-un"]).context("asking for the name of the user we run as")?;
    // A leading slash would make it a pattern in Postgres' file of names, a quote would end it.
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '\\' | '+');
    if name.is_empty() || !name.chars().all(is_plain) {
        bail!("The name of the user we run as can not be told to Postgres: {name:?}");
    }
    Ok(name)
}

fn id(arguments: &[&str]) -> Option<String> {
    let output = Command::new("id")
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
