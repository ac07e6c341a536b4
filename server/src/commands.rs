//! What is done on the machine itself, beside the server or without it.

use crate::{
    config::{DatabaseChoice, Settings},
    database::{Database, address::Address, lock::Lock, place::SocketDirectory, private},
};
use anyhow::{Context, bail};
use control::{Control, history::prove_file};
use std::{
    fs::File,
    io::{BufRead, BufReader, IsTerminal, stdin},
    path::Path,
    process::ExitCode,
    sync::Arc,
};
use store::{Pool, installation};
use vault::Vault;

/// Gives back access: the password comes from standard input.
pub async fn recover(settings: &Settings, name: &str) -> anyhow::Result<ExitCode> {
    if stdin().is_terminal() {
        eprintln!("A new password for {name}, 12 to 128 characters. It is shown as you type:");
    }
    let mut password = String::new();
    stdin().lock().read_line(&mut password).context("reading the password")?;
    let password = password.trim_end_matches(['\r', '\n']);

    let open = Open::database(settings).await?;
    // A password is hashed, not sealed: no key is needed for it.
    let vault = Arc::new(Vault::in_memory());
    let control = Control::new(open.pool.clone(), control::Settings::default(), vault);
    let uid = rustix::process::getuid().as_raw();
    let done = control.recover(uid, name, password).await;
    open.close().await;
    match done {
        Ok(()) => {
            println!("{name} is admin of everything and can sign in with the new password.");
            Ok(ExitCode::SUCCESS)
        }
        Err(problem) => bail!("{problem}"),
    }
}

/// Proves the history in the database.
pub async fn verify(settings: &Settings) -> anyhow::Result<ExitCode> {
    let open = Open::database(settings).await?;
    let proof = store::history::prove(&open.pool).await;
    open.close().await;
    match proof.context("reading the history")? {
        Ok(head) => {
            println!("whole: {} rows, head {}", head.number, hex(&head.hash));
            Ok(ExitCode::SUCCESS)
        }
        Err(broken) => Ok(not_whole(&broken.to_string())),
    }
}

/// Proves an exported file, without any database.
pub fn verify_file(path: &Path) -> anyhow::Result<ExitCode> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    match prove_file(BufReader::new(file)) {
        Ok(proof) if proof.whole => {
            println!("whole: {} rows, head {}", proof.rows, hex(&proof.head_hash));
            Ok(ExitCode::SUCCESS)
        }
        Ok(proof) => {
            println!(
                "extract: {} rows, each as it was written; whether rows are left out can not be \
                 told",
                proof.rows
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(broken) => Ok(not_whole(&broken.to_string())),
    }
}

fn not_whole(why: &str) -> ExitCode {
    println!("not whole: {why}");
    ExitCode::FAILURE
}

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the private Postgres is, if it runs. Where there was never a server nothing is made for a
/// command: an empty history is whole, and access to it is worth nothing.
fn running(data_dir: &Path) -> anyhow::Result<Option<SocketDirectory>> {
    if matches!(data_dir.join("postgres").try_exists(), Ok(false)) {
        bail!(
            "There is no Pilothouse in {}. Name the directory that the server uses (--data-dir).",
            data_dir.display()
        );
    }
    private::running(data_dir)
}

/// The database for one command: the server's while it runs, else one that is started for it.
struct Open {
    pool: Pool,
    started: Option<(Database, Lock)>,
    _socket: Option<SocketDirectory>,
}

impl Open {
    async fn database(settings: &Settings) -> anyhow::Result<Self> {
        match &settings.database {
            DatabaseChoice::Given { application, .. } => {
                let pool = store::connect(application, 2).context("database_url")?;
                Ok(Self { pool, started: None, _socket: None })
            }
            DatabaseChoice::Private => match running(&settings.data_dir)? {
                Some(socket) => {
                    let (role, database) = (installation::APPLICATION, installation::DATABASE);
                    let address = Address::of_socket(socket.name(), role, database);
                    let pool = store::connect(address.as_url(), 2)?;
                    Ok(Self { pool, started: None, _socket: Some(socket) })
                }
                None => {
                    let lock = Lock::take(&settings.data_dir)?;
                    let database = Database::open(settings).await?;
                    let pool = database.pool.clone();
                    Ok(Self { pool, started: Some((database, lock)), _socket: None })
                }
            },
        }
    }

    async fn close(self) {
        match self.started {
            Some((database, _lock)) => database.close().await,
            None => self.pool.close().await,
        }
    }
}
