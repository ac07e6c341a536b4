//! What a person may ask: each verb is a permit, one transaction and a history row.
//!
//! A verb never touches a target. What needs a machine becomes rows that the engine finds. What
//! can not be done is a [`Problem`], which the page shows as it is.

mod addresses;
mod board;
mod builds;
mod canary;
mod changes;
mod configurations;
mod environments;
mod fault;
mod first_admin;
mod hex;
pub mod history;
mod inquiries;
mod invitations;
mod logs;
mod once;
mod palette;
mod passwords;
mod people;
pub mod permit;
mod places;
mod projects;
mod registries;
mod releases;
mod rollouts;
mod samples;
mod services;
mod sessions;
mod settings;
mod streams;
mod targets;

pub use builds::{BuildWish, LogFile, LogWish};
pub use fault::OrProblem;
pub use permit::{Actor, Permit, Place, Refused};
pub use sessions::{Authenticated, SignedIn};
pub use settings::Settings;
pub use targets::Wish as TargetWish;

use domain::{
    error::Problem,
    history::{By, Deed, Origin, Subject},
};
use std::sync::Arc;
use store::{Pool, PooledConn, Tx, history::NewEntry};
use vault::Vault;

/// What a person may ask. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    pub(crate) pool: Pool,
    pub(crate) settings: Arc<Settings>,
    pub(crate) vault: Arc<Vault>,
    passwords: Arc<passwords::Passwords>,
    proving: Arc<history::Proving>,
}

/// Who asks, from where. The first argument of every verb.
#[derive(Clone, Debug)]
pub struct Asked {
    pub actor: Actor,
    pub origin: Origin,
    /// The same key again, for the same verb, is the same request.
    pub idempotency_key: Option<String>,
}

impl Asked {
    /// A row of what the permit allowed.
    #[must_use]
    pub fn entry(&self, permit: &Permit, subject: Subject, deed: Deed) -> NewEntry {
        self.row(Some(permit.role().to_owned()), subject, deed)
    }

    /// A row of what a person does with his own account, or was refused.
    pub(crate) fn row(&self, role: Option<String>, subject: Subject, deed: Deed) -> NewEntry {
        let by = By::Person { id: self.actor.id, name: self.actor.name.clone(), role };
        let mut entry = NewEntry::new(by, subject, deed);
        entry.origin = Some(self.origin.clone());
        entry
    }
}

impl Control {
    /// Over a pool of connections of the application's role. Secrets are sealed by `vault`.
    #[must_use]
    pub fn new(pool: Pool, settings: Settings, vault: Arc<Vault>) -> Self {
        Self {
            pool,
            settings: Arc::new(settings),
            vault,
            passwords: Arc::new(passwords::Passwords::new()),
            proving: Arc::default(),
        }
    }

    /// A connection for reading.
    pub(crate) async fn connection(&self, origin: &Origin) -> Result<PooledConn, Problem> {
        self.pool.acquire().await.map_err(store::Error::from).or_problem(origin)
    }

    /// Begins the one transaction of a verb.
    pub(crate) async fn begin(&self, origin: &Origin) -> Result<Tx, Problem> {
        self.pool.begin().await.map_err(store::Error::from).or_problem(origin)
    }

    /// Appends the verb's rows and commits.
    pub(crate) async fn commit(
        &self,
        tx: Tx,
        origin: &Origin,
        entries: &[NewEntry],
    ) -> Result<(), Problem> {
        store::history::append_and_commit(tx, entries).await.or_problem(origin).map(drop)
    }
}
