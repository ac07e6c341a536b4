//! The state directory: one file with the routes, and the lock that makes one router its owner.
//!
//! A write is durable or did not happen: written beside, synced, renamed, directory synced. Counters
//! and histograms are not kept here; they may be lost with the process.

use super::State;
use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tracing::{error, warn};

const ROUTES: &str = "routes.json";
const LOCK: &str = "lock";

/// Format of the state file. A newer one is not read, and not set aside either.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    #[serde(flatten)]
    state: State,
}

/// The state directory, held for as long as this value lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
    /// A router had been here before.
    used_before: bool,
}

/// What was found in the state directory.
#[derive(Debug, Default)]
pub struct Loaded {
    pub state: State,
    /// There had been routes, and they can not be read.
    pub lost: bool,
}

impl StateDir {
    /// Takes the directory, making it if it is not there. Waits up to `patience` for a router that
    /// is handing over.
    pub fn take(path: &Path, patience: Duration) -> anyhow::Result<Self> {
        make_private_dir(path)?;
        let lock_path = path.join(LOCK);
        let used_before = lock_path.exists();
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .with_context(|| format!("opening {}", lock_path.display()))?;

        let give_up = Instant::now() + patience;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { path: path.to_owned(), _lock: lock, used_before }),
                Err(TryLockError::WouldBlock) if Instant::now() < give_up => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    bail!("another router uses {}: stop it, or take over from it", path.display())
                }
                Err(TryLockError::Error(e)) => {
                    return Err(e).context("locking the state directory");
                }
            }
        }
    }

    /// Where the directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the routes. A damaged file is set aside, so that the router can start and be given its
    /// routes back; a file of a newer router is an error.
    pub fn load(&self, now: OffsetDateTime) -> anyhow::Result<Loaded> {
        let path = self.path.join(ROUTES);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                if self.used_before {
                    warn!(path = %path.display(), "The state file is gone: starting without routes");
                }
                return Ok(Loaded { state: State::default(), lost: self.used_before });
            }
            Err(e) => return Err(e).with_context(|| format!("reading {}", path.display())),
        };

        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        if let Ok(Format { format }) = serde_json::from_slice(&bytes) {
            ensure!(
                format <= FORMAT,
                "{} has format {format}, written by a newer router; this one reads up to {FORMAT}",
                path.display()
            );
        }
        match serde_json::from_slice::<Stored>(&bytes) {
            Ok(mut stored) => {
                stored.state.prune(now);
                Ok(Loaded { state: stored.state, lost: false })
            }
            Err(e) => {
                let aside = self.path.join(format!("{ROUTES}.damaged-{}", now.unix_timestamp()));
                fs::rename(&path, &aside).context("setting the damaged state file aside")?;
                error!(
                    error = %e,
                    "The state file is damaged: set aside as {}, starting without routes",
                    aside.display()
                );
                Ok(Loaded { state: State::default(), lost: true })
            }
        }
    }

    /// Writes the routes. After an error the old ones are still there, unless it was the directory's
    /// sync that failed: then it is one or the other.
    pub fn save(&self, state: &State) -> anyhow::Result<()> {
        let beside = self.path.join(format!("{ROUTES}.new"));
        let bytes = serde_json::to_vec_pretty(&Stored { format: FORMAT, state: state.clone() })?;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&beside)
            .with_context(|| format!("opening {}", beside.display()))?;
        file.write_all(&bytes).context("writing the state file")?;
        file.sync_all().context("syncing the state file")?;
        fs::rename(&beside, self.path.join(ROUTES)).context("renaming the state file")?;
        File::open(&self.path)?.sync_all().context("syncing the state directory")
    }
}

/// Makes `path` ours and nobody else's, or says why it can not be.
pub fn make_private_dir(path: &Path) -> anyhow::Result<()> {
    if !path.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("making {}", path.display()))?;
    }
    check_private_dir(path)
}

/// A directory in which others may write is a directory in which others can put a socket or a state
/// file of theirs.
pub fn check_private_dir(path: &Path) -> anyhow::Result<()> {
    let meta = fs::metadata(path).with_context(|| format!("looking at {}", path.display()))?;
    ensure!(meta.is_dir(), "{} is not a directory", path.display());
    let us = rustix::process::geteuid().as_raw();
    ensure!(
        meta.uid() == us || meta.uid() == 0,
        "{} belongs to user {}, not to us ({us})",
        path.display(),
        meta.uid()
    );
    ensure!(
        meta.permissions().mode() & 0o022 == 0,
        "{} can be written by others: chmod go-w it",
        path.display()
    );
    Ok(())
}
