//! What is remembered: all SQL, a module for each family of tables.
//!
//! Functions take a connection, so the caller owns the transaction. Whoever writes ends with
//! [`history::append_and_commit`], which takes the transaction with it. Nothing here decides who may
//! do what: that is `control`'s.

pub mod board;
pub mod builds;
pub mod canary;
pub mod configurations;
pub mod environments;
pub mod failures;
pub mod figures;
pub mod grants;
pub mod history;
pub mod idempotency;
pub mod inquiries;
pub mod installation;
pub mod invitations;
pub mod logs;
pub mod nodes;
pub mod palette;
pub mod placements;
pub mod projects;
pub mod pushes;
pub mod refusals;
pub mod registries;
pub mod releases;
pub mod rollouts;
pub mod samples;
pub mod secrets;
pub mod services;
pub mod sessions;
pub mod targets;
pub mod users;
pub mod wake;
mod words;

use sqlx::{
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{str::FromStr, time::Duration};

/// A pool of connections.
pub type Pool = sqlx::PgPool;

/// A connection that goes back to its pool.
pub type PooledConn = sqlx::pool::PoolConnection<sqlx::Postgres>;

/// One connection, also one with a transaction open.
pub type Conn = sqlx::PgConnection;

/// A transaction. It is rolled back when dropped.
pub type Tx = sqlx::Transaction<'static, sqlx::Postgres>;

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// The schema, as the files in `migrations/` tell it.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// How long a connection is waited for, and how long a new one may take.
const ACQUIRE: Duration = Duration::from_secs(5);

/// What went wrong, sorted by what the caller does about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Try again later: Postgres is gone, starting, stopping, full, or somebody holds a lock.
    #[error("the database can not be reached or is too busy")]
    Unreachable(#[source] sqlx::Error),
    /// A constraint said no. Which one says what to tell the person.
    #[error("the database refused by {constraint}")]
    Refused {
        constraint: String,
        #[source]
        source: sqlx::Error,
    },
    /// The row of the history could not be written, so nothing was done.
    #[error("the history could not be written")]
    NotWritten(#[source] sqlx::Error),
    /// Something is stored that this program can not read.
    #[error("a stored {what} can not be read: {why}")]
    Unreadable { what: &'static str, why: String },
    /// The schema has migrations that this program does not know.
    #[error(
        "The database was migrated by a newer Pilothouse (migration {migration}). Start that one, or restore a backup of before."
    )]
    Newer { migration: i64 },
    /// A migration failed or was changed after it ran.
    #[error("the database could not be migrated")]
    NotMigrated(#[source] MigrateError),
    /// Anything else is our own fault.
    #[error("a statement failed")]
    Failed(#[source] sqlx::Error),
}

impl Error {
    /// Whether a constraint of this name said no.
    #[must_use]
    pub fn is_refused_by(&self, name: &str) -> bool {
        matches!(self, Self::Refused { constraint, .. } if constraint == name)
    }

    /// For what is stored as JSON or as a word.
    pub fn unreadable(what: &'static str, why: impl ToString) -> Self {
        Self::Unreadable { what, why: why.to_string() }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unreachable(error),
            sqlx::Error::Database(said) => match (said.code().as_deref(), said.constraint()) {
                (Some(code), Some(constraint)) if code.starts_with("23") => {
                    Self::Refused { constraint: constraint.to_owned(), source: error }
                }
                // Connections, resources, an operator, a lock not got, a statement that took too
                // long, a deadlock: all of them pass.
                (Some(code), _)
                    if code.starts_with("08")
                        || code.starts_with("53")
                        || code.starts_with("57")
                        || code.starts_with("40")
                        || code == "55P03" =>
                {
                    Self::Unreachable(error)
                }
                _ => Self::Failed(error),
            },
            _ => Self::Failed(error),
        }
    }
}

/// Opens a pool for the application. Statements end after 15 s, waits for locks after 5.
///
/// Connects lazily: Postgres may come later.
pub fn connect(url: &str, connections: u32) -> Result<Pool> {
    let options = PgConnectOptions::from_str(url)?.application_name("pilothouse").options([
        ("statement_timeout", "15s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "30s"),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(options))
}

/// Brings the schema up to date as the owner, and gives the application its grants. A pool of one
/// connection, which has no limit of time for a statement any more: close it afterwards.
pub async fn migrate(owner: &Pool) -> Result<()> {
    // An index on a large table takes longer than any statement of a request may.
    sqlx::query("set statement_timeout = 0").execute(owner).await?;
    MIGRATOR.run(owner).await.map_err(|error| match error {
        MigrateError::VersionMissing(migration) => Error::Newer { migration },
        MigrateError::Execute(source) => source.into(),
        other => Error::NotMigrated(other),
    })?;
    sqlx::query!("select grant_to_application()").execute(owner).await?;
    Ok(())
}

/// The database's clock.
pub async fn now(conn: &mut Conn) -> Result<time::OffsetDateTime> {
    Ok(sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(conn).await?)
}
