//! Directories that go when nobody needs them any more.

use crate::{Error, Result};
use std::{
    fs::{DirBuilder, remove_dir_all},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

/// A directory of our own that nobody else can enter. Removed, with all that is in it, when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub path: PathBuf,
    keep: bool,
}

impl Scratch {
    /// A new one with a name that nothing else has.
    pub fn make(parent: &Path) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let name = format!("git-{}-{count}-{now:x}", std::process::id());
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
        Self::at(&parent.join(name))
    }

    /// Exactly there, where nothing is yet.
    pub fn at(path: &Path) -> Result<Self> {
        DirBuilder::new().mode(0o700).create(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), keep: false })
    }

    /// It is somebody else's from now on.
    pub fn hand_over(mut self) {
        self.keep = true;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        let path = std::mem::take(&mut self.path);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || remove(&path))),
            Err(_) => remove(&path),
        }
    }
}

/// A killed process may write a last file while its directory is removed, so it is tried again.
fn remove(path: &Path) {
    for _ in 0..20 {
        match remove_dir_all(path) {
            Ok(()) => return,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(_) => std::thread::sleep(Duration::from_millis(25)),
        }
    }
    tracing::warn!(path = %path.display(), "A directory of a fetch could not be removed");
}

fn failed(source: std::io::Error) -> Error {
    Error::Unreachable { target: "The directory for builds".to_owned(), source: source.into() }
}
