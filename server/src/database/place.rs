//! Where the private Postgres keeps its files, and how its socket is reached.
//!
//! They lie in the data directory. When root runs us from a home that only root can enter, Postgres
//! could not get there as another user; then they lie under `/var/lib/pilothouse`, and the data
//! directory has a link to them.

use super::{account::Account, lock::make_private};
use anyhow::Context;
use std::{
    fs::{self, DirBuilder, File},
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, symlink},
    },
    path::{Path, PathBuf},
};

/// Parents are closed to others there too, but not to the user of Postgres.
const ELSEWHERE: &str = "/var/lib/pilothouse";

/// The longest path of a Unix socket, and what Postgres puts behind the directory's.
const LONGEST_SOCKET: usize = 107;
const SOCKET_NAME: &str = "/.s.PGSQL.5432";

/// The directory with the cluster's files, which need not exist yet: its parents do.
pub fn of_cluster(data_dir: &Path, account: Option<Account>) -> anyhow::Result<PathBuf> {
    let place = data_dir.join("postgres");
    if let Ok(target) = fs::read_link(&place) {
        return Ok(target);
    }
    let Some(account) = account else { return Ok(place) };
    account.let_through(data_dir)?;
    if place.exists() || account.reaches(&place) {
        return Ok(place);
    }
    make_private(Path::new(ELSEWHERE))?;
    account.let_through(Path::new(ELSEWHERE))?;
    let elsewhere =
        Path::new(ELSEWHERE).join(format!("postgres-{}", uuid::Uuid::now_v7().simple()));
    symlink(&elsewhere, &place).with_context(|| format!("linking {}", place.display()))?;
    tracing::info!(
        "The user of Postgres can not enter {}, so the database is kept in {}",
        data_dir.display(),
        elsewhere.display()
    );
    Ok(elsewhere)
}

/// Makes an empty directory for `account`, closed to everybody else.
pub fn make(place: &Path, account: Option<Account>) -> anyhow::Result<()> {
    DirBuilder::new()
        .mode(0o700)
        .create(place)
        .with_context(|| format!("making {}", place.display()))?;
    account.map_or(Ok(()), |account| account.own(place))
}

/// A directory for a Unix socket, by a name that is short enough to connect to.
#[derive(Debug)]
pub struct SocketDirectory {
    name: PathBuf,
    /// Kept open while `name` goes through it.
    _open: Option<File>,
}

impl SocketDirectory {
    /// A directory whose path is too long is opened and named by its number in this process.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        if directory.as_os_str().len() + SOCKET_NAME.len() <= LONGEST_SOCKET {
            return Ok(Self { name: directory.to_owned(), _open: None });
        }
        let open =
            File::open(directory).with_context(|| format!("opening {}", directory.display()))?;
        let name = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        Ok(Self { name, _open: Some(open) })
    }

    /// The name to connect to.
    #[must_use]
    pub fn name(&self) -> &Path {
        &self.name
    }
}
