//! The database: somebody else's Postgres, or a private one of our own in the data directory.
//!
//! Either way there are two roles. The owner makes and changes tables, once, at start, and is then
//! put away. The application's role does everything else, and may only read the history and append
//! to it.

pub mod account;
pub mod address;
pub mod lock;
pub mod place;
pub mod private;
pub mod programs;

use crate::config::{DatabaseChoice, Settings};
use address::Address;
use anyhow::Context;
use private::PrivatePostgres;
use store::{Pool, installation};

/// A database that is migrated and answers.
#[derive(Debug)]
pub struct Database {
    /// For the application's role.
    pub pool: Pool,
    /// Where the pool is connected to, for connections of one's own.
    pub application: Address,
    private: Option<PrivatePostgres>,
}

impl Database {
    /// Starts the private Postgres where that is what is wanted, migrates, and connects.
    ///
    /// A database that a newer program has migrated is refused with a sentence.
    pub async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let (private, application, owner) = match &settings.database {
            DatabaseChoice::Private => {
                let private = PrivatePostgres::start(&settings.data_dir).await?;
                let application = private.address(installation::APPLICATION);
                let owner = private.address(installation::OWNER);
                (Some(private), application, owner)
            }
            DatabaseChoice::Given { application, owner } => {
                let owner = Address::of_url(owner.as_ref().unwrap_or(application));
                (None, Address::of_url(application), owner)
            }
        };
        match connect(&application, &owner, settings.database_connections).await {
            Ok(pool) => Ok(Self { pool, application, private }),
            Err(error) => {
                if let Some(private) = private {
                    private.stop().await;
                }
                Err(error)
            }
        }
    }

    /// Whether it is one of our own.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// Closes the pool and, last of all, stops the private Postgres.
    pub async fn close(self) {
        let closing = tokio::time::timeout(std::time::Duration::from_secs(2), self.pool.close());
        if closing.await.is_err() {
            tracing::warn!("Connections to the database were still in use at the end");
        }
        if let Some(private) = self.private {
            private.stop().await;
        }
    }
}

async fn connect(application: &Address, owner: &Address, most: u32) -> anyhow::Result<Pool> {
    // One connection, for a moment: nobody else speaks as the owner.
    let owner = store::connect(owner.as_url(), 1).context("the address to migrate with")?;
    let migrated = store::migrate(&owner).await;
    owner.close().await;
    migrated?;
    store::connect(application.as_url(), most).context("the address of the database")
}
