//! A private Postgres: made when there is none, started with us, watched, and stopped after us.
//!
//! It listens on a Unix socket in a directory of its own, and lets in only the user who runs us
//! (`peer`), so there is no password to keep. One that was left running by a server that was killed
//! is found by its pid file and used on.

use super::{
    account::{self, Account},
    address::Address,
    lock::make_private,
    place::{self, SocketDirectory},
    programs::{self, Programs},
};
use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use store::installation;
use tokio::{
    process::{Child, Command},
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Making a cluster takes a second; a slow disk gets a minute.
const MAKE_WITHIN: Duration = Duration::from_secs(120);
/// After a crash it first replays what was written since the last checkpoint.
const START_WITHIN: Duration = Duration::from_secs(120);
/// Ends open transactions, writes everything and goes.
const STOP_WITHIN: Duration = Duration::from_secs(6);

/// A Postgres that runs for us.
#[derive(Debug)]
pub struct PrivatePostgres {
    socket: Arc<SocketDirectory>,
    stop: oneshot::Sender<()>,
    watch: JoinHandle<()>,
}

impl PrivatePostgres {
    /// Makes the cluster if there is none, and starts it if it does not run.
    pub async fn start(data_dir: &Path) -> anyhow::Result<Self> {
        let cluster = Cluster::open(data_dir).await?;
        let process = cluster.find_or_start().await?;
        let socket = Arc::clone(&cluster.socket);

        if let Err(error) = make_roles_and_database(&socket).await {
            process.end(STOP_WITHIN).await;
            return Err(error).context("making the roles and the database");
        }
        let (stop, stopped) = oneshot::channel();
        let watch = tokio::spawn(watch(cluster, process, stopped));
        Ok(Self { socket, stop, watch })
    }

    /// Where a role of ours connects to.
    #[must_use]
    pub fn address(&self, role: &str) -> Address {
        Address::of_socket(self.socket.name(), role, installation::DATABASE)
    }

    /// Stops it, and waits for that.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.watch.await;
    }
}

/// Where a running private Postgres is, for a command beside the server that started it.
///
/// `None`: none runs.
pub fn running(data_dir: &Path) -> anyhow::Result<Option<SocketDirectory>> {
    let home = place::of_cluster(data_dir, Account::to_change_to()?)?;
    match found(&home) {
        Some(_) => SocketDirectory::open(&home.join(SOCKET)).map(Some),
        None => Ok(None),
    }
}

/// Makes roles and databases; nothing else is done in its name.
const SUPERUSER: &str = "postgres";
/// Below the cluster's own directory, so that nobody else gets near it.
const SOCKET: &str = "socket";
/// What it says before its own log is open.
const START_LOG: &str = "start.log";

/// Everything that is needed to start it, and to start it again.
#[derive(Debug)]
struct Cluster {
    home: PathBuf,
    programs: Programs,
    account: Option<Account>,
    socket: Arc<SocketDirectory>,
}

impl Cluster {
    async fn open(data_dir: &Path) -> anyhow::Result<Self> {
        make_private(data_dir)?;
        let account = Account::to_change_to()?;
        let home = place::of_cluster(data_dir, account)?;
        let programs = match fs::read_to_string(home.join("PG_VERSION")) {
            Ok(version) => {
                let major = version.trim().parse().context("reading PG_VERSION")?;
                programs::find(Some(major))?
            }
            Err(_) => {
                let programs = programs::find(None)?;
                make_cluster(&home, &programs, account).await?;
                programs
            }
        };
        let socket = home.join(SOCKET);
        if !socket.exists() {
            place::make(&socket, account)?;
        }
        let socket = Arc::new(SocketDirectory::open(&socket)?);
        Ok(Self { home, programs, account, socket })
    }

    async fn find_or_start(&self) -> anyhow::Result<Process> {
        if let Some(pid) = found(&self.home) {
            let process = Process::Found(pid);
            if self.answers(Duration::from_secs(10)).await {
                tracing::info!(
                    process.id = pid.as_raw_nonzero().get(),
                    "Using the Postgres that still runs"
                );
                return Ok(process);
            }
            tracing::warn!("A Postgres of ours still runs but does not answer; starting it again");
            process.end(STOP_WITHIN).await;
        }
        self.start().await
    }

    async fn start(&self) -> anyhow::Result<Process> {
        self.write_who_may_enter()?;
        let log = fs::File::create(self.home.join(START_LOG)).context("making its first log")?;
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(&self.home)
            .args(["-c", "listen_addresses="])
            // Relative to the cluster's directory: its whole path may be too long for a socket.
            .args(["-c", &format!("unix_socket_directories={SOCKET}")])
            .args(["-c", "unix_socket_permissions=0700", "-c", "port=5432"])
            .args(["-c", "max_connections=600", "-c", "password_encryption=scram-sha-256"])
            .args(["-c", "timezone=UTC", "-c", "log_timezone=UTC"])
            // A week of logs, a file a day, each written anew a week later.
            .args(["-c", "logging_collector=on", "-c", "log_directory=log"])
            .args(["-c", "log_filename=postgres-%a.log", "-c", "log_truncate_on_rotation=on"])
            .args(["-c", "log_rotation_age=1d", "-c", "log_rotation_size=0"])
            .stdout(log.try_clone().context("sharing its first log")?)
            .stderr(log);
        let mut child = command.spawn().context("starting postgres")?;

        let began = Instant::now();
        while !self.answers(Duration::from_secs(2)).await {
            if let Some(status) = child.try_wait().context("waiting for postgres")? {
                bail!("Postgres ended while it started ({status}): {}", self.last_words());
            }
            if began.elapsed() > START_WITHIN {
                Process::Child(child).end(STOP_WITHIN).await;
                bail!(
                    "Postgres was not ready after {} s: {}",
                    START_WITHIN.as_secs(),
                    self.last_words()
                );
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(Process::Child(child))
    }

    /// Whoever runs us may be any role of this cluster, over the socket; nobody else may be anyone.
    fn write_who_may_enter(&self) -> anyhow::Result<()> {
        let us = account::own_name()?;
        let names: String = [SUPERUSER, installation::OWNER, installation::APPLICATION]
            .iter()
            .map(|role| format!("us \"{us}\" {role}\n"))
            .collect();
        self.write("pg_ident.conf", &names)?;
        self.write("pg_hba.conf", "local all all peer map=us\n")
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.home.join(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)))
            .with_context(|| format!("writing {}", path.display()))?;
        self.account.map_or(Ok(()), |account| account.own(&path))
    }

    async fn answers(&self, within: Duration) -> bool {
        let asked = async {
            let pool = superuser(&self.socket)?;
            let answer = store::now(&mut *pool.acquire().await?).await;
            pool.close().await;
            answer.map_err(anyhow::Error::from)
        };
        matches!(timeout(within, asked).await, Ok(Ok(_)))
    }

    fn command(&self, program: &str) -> Command {
        command(&self.programs, program, &self.home, self.account)
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(self.home.join(START_LOG)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        match lines.is_empty() {
            true => format!("it said nothing; its log is in {}", self.home.join("log").display()),
            false => lines.into_iter().rev().collect::<Vec<_>>().join(" / "),
        }
    }
}

fn superuser(socket: &SocketDirectory) -> store::Result<store::Pool> {
    store::connect(Address::of_socket(socket.name(), SUPERUSER, "postgres").as_url(), 1)
}

async fn make_roles_and_database(socket: &SocketDirectory) -> anyhow::Result<()> {
    let pool = superuser(socket)?;
    installation::make_roles_and_database(&mut *pool.acquire().await?).await?;
    pool.close().await;
    Ok(())
}

/// A program of Postgres, as its user, in its directory, with nothing of our environment.
fn command(
    programs: &Programs,
    program: &str,
    directory: &Path,
    account: Option<Account>,
) -> Command {
    let mut command = Command::new(programs.directory.join(program));
    command
        .current_dir(directory)
        .env_clear()
        .env("PATH", &programs.directory)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        // A Ctrl-C in our terminal is meant for us: we stop it when we no longer need it.
        .process_group(0);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Makes a cluster beside its later place, so that one half made is never taken for one.
async fn make_cluster(
    home: &Path,
    programs: &Programs,
    account: Option<Account>,
) -> anyhow::Result<()> {
    let new = home.with_extension("new");
    if new.exists() {
        fs::remove_dir_all(&new).with_context(|| format!("clearing {}", new.display()))?;
    }
    // An empty one may be there; one with files that is no cluster is somebody else's.
    if home.exists() {
        fs::remove_dir(home).with_context(|| {
            format!("{} is no cluster of Postgres and not empty", home.display())
        })?;
    }
    place::make(&new, account)?;
    tracing::info!("Making a private database with PostgreSQL {}", programs.major);
    let making = command(programs, "initdb", &new, account)
        .arg("-D")
        .arg(&new)
        .args(["--encoding=UTF8", "--no-locale", "--data-checksums"])
        .args(["--auth-local=peer", "--auth-host=reject", "--username", SUPERUSER])
        .kill_on_drop(true)
        .output();
    let made = timeout(MAKE_WITHIN, making)
        .await
        .context("initdb did not end in time")?
        .context("starting initdb")?;
    ensure!(
        made.status.success(),
        "initdb failed: {}",
        String::from_utf8_lossy(&made.stderr).trim()
    );
    fs::rename(&new, home).with_context(|| format!("putting the cluster at {}", home.display()))
}

/// The process that its pid file names, if that is still a Postgres in this very directory: numbers
/// are used again.
fn found(home: &Path) -> Option<Pid> {
    let text = fs::read_to_string(home.join("postmaster.pid")).ok()?;
    let pid = Pid::from_raw(text.lines().next()?.trim().parse().ok()?)?;
    is_ours(pid, home).then_some(pid)
}

fn is_ours(pid: Pid, home: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    let directory = fs::read_link(process.join("cwd")).ok();
    name.trim() == "postgres" && directory.is_some() && directory == fs::canonicalize(home).ok()
}

/// Whether a process that is no child of ours is gone, or only waits to be forgotten.
fn has_ended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

/// A running Postgres: a child of ours, or one that an earlier server left.
#[derive(Debug)]
enum Process {
    Child(Child),
    Found(Pid),
}

impl Process {
    /// Waits until it is gone.
    async fn gone(&mut self) {
        match self {
            Self::Child(child) => {
                let _ = child.wait().await;
            }
            Self::Found(pid) => {
                while !has_ended(*pid) {
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn pid(&self) -> Option<Pid> {
        match self {
            Self::Child(child) => child.id().and_then(|id| Pid::from_raw(id.cast_signed())),
            Self::Found(pid) => Some(*pid),
        }
    }

    /// Ends it in order; in haste if that takes too long. Nothing that was committed is lost by it.
    async fn end(mut self, within: Duration) {
        for (signal, within) in [(Signal::INT, within), (Signal::QUIT, Duration::from_secs(2))] {
            let Some(pid) = self.pid() else { return };
            if kill_process(pid, signal).is_err() || timeout(within, self.gone()).await.is_ok() {
                return;
            }
        }
        tracing::error!("Postgres did not stop when it was told to");
    }
}

/// Starts it again when it ends by itself, until told to stop.
async fn watch(cluster: Cluster, mut process: Process, mut stopped: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            // The server is gone without a word when the sender was dropped: stop then, too.
            _ = &mut stopped => break process.end(STOP_WITHIN).await,
            () = process.gone() => {}
        }
        tracing::error!("The private Postgres ended by itself; starting it again");
        process = loop {
            match cluster.start().await {
                Ok(process) => break process,
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "Postgres could not be started");
                }
            }
            if timeout(Duration::from_secs(2), &mut stopped).await.is_ok() {
                return;
            }
        };
    }
}
