//! Addresses of repositories: `https`, or a path on this machine that an admin allowed.

use crate::name::{HostName, Wrong};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};

/// Where a repository is. Never holds a password: a login comes beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GitUrl {
    Https {
        /// A host name or an address, in lower case; an IPv6 one without brackets.
        host: String,
        port: u16,
        /// Begins with `/`.
        path: String,
    },
    /// Absolute, without `..`. Whether it may be read is the machine's answer, not the parser's.
    Local(String),
}

impl GitUrl {
    /// The host with its port, where there is one: what is asked over the network.
    #[must_use]
    pub fn remote(&self) -> Option<(&str, u16)> {
        match self {
            Self::Https { host, port, .. } => Some((host, *port)),
            Self::Local(_) => None,
        }
    }

    /// The last part of the path without `.git`: what people call the repository.
    #[must_use]
    pub fn name(&self) -> &str {
        let (Self::Https { path, .. } | Self::Local(path)) = self;
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        last.strip_suffix(".git").unwrap_or(last)
    }
}

impl FromStr for GitUrl {
    type Err = Wrong;

    fn from_str(typed: &str) -> Result<Self, Wrong> {
        let typed = typed.trim();
        if typed.is_empty() {
            return Err(Wrong::new(
                "The address of a repository is needed, for example https://git.example.org/team/api.git.",
            ));
        }
        if typed.len() > 500 {
            return Err(Wrong::new("The address of a repository has at most 500 characters."));
        }
        if typed.starts_with('/') {
            return local(typed);
        }
        let Some((scheme, rest)) = typed.split_once("://") else {
            return Err(other_forms(typed));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "https" => https(rest),
            "file" => local(rest),
            "http" => Err(Wrong::new(
                "Use https: over http anybody on the way could change what is built.",
            )),
            "ssh" | "git+ssh" => Err(Wrong::new(NO_SSH)),
            _ => Err(Wrong::new("A repository's address begins with https://.")),
        }
    }
}

const NO_SSH: &str = "Repositories are read over https, not ssh: use the https address, with a user and token where it asks for them.";

/// `git@host:path`, `ext::…`, or a bare word.
fn other_forms(typed: &str) -> Wrong {
    let is_ssh = typed.split_once(':').is_some_and(|(host, _)| host.contains('@'));
    Wrong::new(if is_ssh { NO_SSH } else { "A repository's address begins with https://." })
}

fn https(rest: &str) -> Result<GitUrl, Wrong> {
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if authority.contains('@') {
        return Err(Wrong::new(
            "No user and password in the address: it is shown to everybody. Give them as the login of the repository.",
        ));
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest
            .split_once(']')
            .ok_or_else(|| Wrong::new("The ] after the address is missing."))?;
        (host, port.strip_prefix(':'))
    } else {
        authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
    };
    let port = match port {
        None => 443,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(Wrong::new("The port is a number from 1 to 65535.")),
        },
    };
    let host = match host.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => host.parse::<HostName>()?.to_string(),
    };
    let good = |b: u8| b.is_ascii_alphanumeric() || b"/._-~+%@:,".contains(&b);
    let parts = path.split('/');
    if path.len() < 2
        || !path.bytes().all(good)
        || parts.clone().any(|part| part == ".." || part.starts_with('-'))
    {
        return Err(Wrong::new(
            "After the host comes the repository's path, as in https://git.example.org/team/api.git: letters, digits and / . _ - ~ +",
        ));
    }
    Ok(GitUrl::Https { host, port, path: path.to_owned() })
}

fn local(path: &str) -> Result<GitUrl, Wrong> {
    let good = |c: char| !c.is_control() && !matches!(c, '\\' | '"' | ':');
    if !path.starts_with('/') || path.len() < 2 || !path.chars().all(good) {
        return Err(Wrong::new(
            "A repository on this machine is an absolute path, such as /srv/git/api.git.",
        ));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(Wrong::new("A path to a repository has no .. in it."));
    }
    Ok(GitUrl::Local(path.trim_end_matches('/').to_owned()))
}

/// Reads back as the same.
impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https { host, port, path } => {
                f.write_str("https://")?;
                if host.contains(':') {
                    write!(f, "[{host}]")?
                } else {
                    f.write_str(host)?
                }
                if *port != 443 {
                    write!(f, ":{port}")?;
                }
                f.write_str(path)
            }
            Self::Local(path) => f.write_str(path),
        }
    }
}

impl TryFrom<String> for GitUrl {
    type Error = Wrong;

    fn try_from(typed: String) -> Result<Self, Wrong> {
        typed.parse()
    }
}

impl From<GitUrl> for String {
    fn from(url: GitUrl) -> Self {
        url.to_string()
    }
}
