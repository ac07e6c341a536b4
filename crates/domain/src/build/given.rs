//! What a build is given and leaves nowhere: secrets by name, and who reads the repository. Values go
//! in and do not come out again but into a step, or to the git server; they are never in this crate.

use crate::{
    id::ServiceId,
    name::{Wrong, words},
    source::GitUrl,
};
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, fmt, str::FromStr};
use time::OffsetDateTime;

/// The most secrets of a service's builds.
pub const MOST_SECRETS: usize = 20;

words! {
    /// The id of a secret in a recipe: `RUN --mount=type=secret,id=NAME`.
    SecretName = |typed| {
        let typed = typed.trim();
        if typed.is_empty() || typed.len() > 64 {
            return Err(Wrong::new("The name of a secret has 1 to 64 characters."));
        }
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !typed.chars().all(good) || typed.starts_with(['-', '.']) {
            return Err(Wrong::new("The name of a secret is letters, digits and _ - . and begins with none of the last two: npm_token."));
        }
        Ok(typed.to_owned())
    };

    /// Who reads a repository.
    GitUser = |typed| {
        let typed = typed.trim();
        if typed.is_empty() || typed.chars().count() > 128 {
            return Err(Wrong::new("A user name has 1 to 128 characters."));
        }
        if typed.chars().any(|c| c == ':' || c.is_control()) {
            return Err(Wrong::new("A user name has no colon."));
        }
        Ok(typed.to_owned())
    };
}

/// Where a login may be sent: `HOST:PORT`. `None`: a repository of this machine asks for none.
#[must_use]
pub fn host_of(url: &GitUrl) -> Option<String> {
    url.remote().map(|(host, port)| match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    })
}

/// What the token is sealed about: of another service, and for another host, it does not open.
#[must_use]
pub fn login_about(service: ServiceId, host: &str) -> String {
    format!("source/{service}/login/{host}")
}

/// What builds of a service are given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// By name.
    pub secrets: Vec<SecretCard>,
    pub login: Option<LoginCard>,
    /// Where a login would be sent now. `None`: there is no source, or it lies on this machine.
    pub host: Option<String>,
    pub may_edit: bool,
}

/// A secret as its newest version was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretCard {
    pub name: SecretName,
    pub version: i32,
    pub set_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub set_at: OffsetDateTime,
    /// Older than a value should get.
    pub due: bool,
    /// The key that its value is sealed with is gone. Only setting it anew helps.
    pub lost: bool,
}

/// Who reads the repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginCard {
    /// The only place where it is sent to.
    pub host: String,
    /// Only for those who may edit it.
    pub user: Option<GitUser>,
    pub set_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub set_at: OffsetDateTime,
    pub lost: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_secret_can_be_nothing_else_in_a_recipe() {
        for good in ["npm", "NPM_TOKEN", "_x", "a.b-c", "7"] {
            assert!(good.parse::<SecretName>().is_ok(), "{good}");
        }
        for bad in ["", "-x", ".npmrc", "a,b", "a=b", "a b", "a/b", "é", &"x".repeat(65)] {
            assert!(bad.parse::<SecretName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_login_is_for_one_host_and_one_port() {
        let host = |url: &str| host_of(&url.parse().expect("an address"));
        assert_eq!(host("https://Git.example.org/a.git").as_deref(), Some("git.example.org:443"));
        assert_eq!(host("https://git.example.org:8443/a").as_deref(), Some("git.example.org:8443"));
        assert_eq!(host("/srv/git/a.git"), None);
    }
}
