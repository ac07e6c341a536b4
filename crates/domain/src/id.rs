//! Typed ids, so that a release can not be taken for a rollout.
//!
//! Ids are UUIDv7, made by the caller's side of `store` and `control` (this crate has no
//! randomness). People see the last eight digits: the first ones are the time and alike.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The last eight digits, as people see and say it.
            #[must_use]
            pub fn short(self) -> String {
                let all = self.0.simple().to_string();
                all[all.len() - 8..].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// A team's services.
    ProjectId,
    /// A place in the order local, staging, production.
    EnvironmentId,
    /// How a machine is reached.
    TargetId,
    /// One deployable application of a project.
    ServiceId,
    /// A service in an environment: the unit that is rolled out.
    PlacementId,
    /// A running control plane.
    NodeId,
    /// A numbered revision of a placement's variables and limits.
    ConfigurationId,
    /// A secret of a placement, over all its versions.
    SecretId,
    /// An immutable image with the spec of its service.
    ReleaseId,
    /// One attempt to make a release with a configuration live.
    RolloutId,
    /// Somebody who signs in.
    UserId,
    /// A role, given to a person in a scope.
    GrantId,
    /// A link that makes an account, once. Not the secret in the link.
    InvitationId,
    /// A sign-in that has not ended. Not the secret in the cookie.
    SessionId,
    /// A question that only a target can answer.
    InquiryId,
    /// One attempt to make an image from a commit.
    BuildId,
    /// The builds of a project that were asked for with one click.
    BatchId,
    /// Where images are kept for more than one machine.
    RegistryId,
    /// An image on its way to a registry.
    PushId,
}
