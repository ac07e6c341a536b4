//! What is said to a target about registries, besides what it says of images.

use domain::{
    name::{ContentId, ImageTag, RegistryUser, Repository},
    registry::Progress,
};
use std::{fmt, time::Duration};
use tokio::sync::watch;

/// The longest a question to a registry may take, a login included.
pub const ASK_DEADLINE: Duration = Duration::from_secs(15);

/// The longest a push may take.
pub const PUSH_DEADLINE: Duration = Duration::from_secs(30 * 60);

/// A transfer that says nothing for so long has come to nothing.
pub const SILENCE: Duration = Duration::from_secs(3 * 60);

/// By what a registry knows us. In memory for as long as one call takes, and never shown.
#[derive(Clone)]
pub struct Credentials {
    pub user: RegistryUser,
    password: String,
}

impl Credentials {
    /// A password or a token.
    #[must_use]
    pub fn new(user: RegistryUser, password: &str) -> Self {
        Self { user, password: password.to_owned() }
    }

    /// For the header of the call, and for nothing else.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }
}

impl From<Credentials> for domain::target::Login {
    /// For a target that fetches images by itself.
    fn from(credentials: Credentials) -> Self {
        Self { user: credentials.user, password: credentials.password }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// An image on its way to a registry.
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    pub image: &'a ContentId,
    pub to: &'a Repository,
    /// At least one.
    pub tags: &'a [ImageTag],
    pub credentials: Option<&'a Credentials>,
}

/// Told how far a transfer is.
pub type Told = watch::Sender<Progress>;
