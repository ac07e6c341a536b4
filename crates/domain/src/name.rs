//! Words that people type and machines use: each is a type that only its parser can make.
//!
//! The forms in the browser and the server parse with the same functions, so a field is told what
//! is wrong while it is typed. Errors are sentences for the person who typed.

use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, fmt, str::FromStr};

/// What is wrong with something typed, as a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{0}")]
pub struct Wrong(pub String);

impl Wrong {
    /// A sentence of our own.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $parse:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The word itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Wrong;

            fn from_str(typed: &str) -> Result<Self, Wrong> {
                let parse: fn(&str) -> Result<String, Wrong> = $parse;
                parse(typed).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Wrong;

            fn try_from(typed: String) -> Result<Self, Wrong> {
                typed.parse()
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

pub(crate) use words;

words! {
    /// Name of a project, an environment or a service: a part of host names, so at most 40
    /// characters of `a-z`, `0-9` and single dashes, a letter first, no dash last.
    Name = |typed| {
        let typed = typed.trim();
        if typed.is_empty() {
            return Err(Wrong::new("A name is needed."));
        }
        if typed.chars().count() > 40 {
            return Err(Wrong::new("A name has at most 40 characters."));
        }
        if let Some(odd) = typed.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            let shown = if odd.is_ascii_uppercase() { format!("“{odd}” is upper case: use") } else { format!("“{odd}” can not be in a name: use") };
            return Err(Wrong::new(format!("{shown} a-z, 0-9 and dashes.")));
        }
        if !typed.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(Wrong::new("A name starts with a letter."));
        }
        if typed.ends_with('-') || typed.contains("--") {
            return Err(Wrong::new("A dash stands alone, between letters or digits."));
        }
        Ok(typed.to_owned())
    };

    /// What a person signs in with and is called: 1 to 40 characters, letters, digits, spaces and
    /// `. _ - @`. Unique without regard to case.
    PersonName = |typed| {
        let typed = typed.trim();
        if typed.is_empty() {
            return Err(Wrong::new("A name is needed."));
        }
        if typed.chars().count() > 40 {
            return Err(Wrong::new("A name has at most 40 characters."));
        }
        if let Some(odd) = typed.chars().find(|c| !(c.is_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-' | '@'))) {
            return Err(Wrong::new(format!("“{}” can not be in a name: use letters, digits, spaces and . _ - @", odd.escape_default())));
        }
        if typed.contains("  ") {
            return Err(Wrong::new("Two spaces in a row can not be told from one: use one."));
        }
        if matches!(typed.to_lowercase().as_str(), "engine" | "machine" | "nobody" | "pilothouse" | "router" | "somebody" | "system") {
            return Err(Wrong::new("That name is the system's own in the history: choose another."));
        }
        Ok(typed.to_owned())
    };

    /// Name of a release, as shown everywhere: 1 to 63 characters of letters, digits and `. _ - +`.
    ReleaseName = |typed| {
        let typed = typed.trim();
        if typed.is_empty() || typed.len() > 63 {
            return Err(Wrong::new("A release's name has 1 to 63 characters."));
        }
        if let Some(odd) = typed.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'))) {
            return Err(Wrong::new(format!("“{}” can not be in a release's name: use letters, digits and . _ - +", odd.escape_default())));
        }
        if !typed.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(Wrong::new("A release's name starts with a letter or a digit."));
        }
        Ok(typed.to_owned())
    };

    /// A host name without a port, in lower case: labels of at most 63 characters, 253 in all.
    HostName = |typed| {
        let host = typed.trim().trim_end_matches('.').to_ascii_lowercase();
        if host.is_empty() || host.len() > 253 {
            return Err(Wrong::new("A host name has 1 to 253 characters."));
        }
        if host.contains("://") || host.contains('/') {
            return Err(Wrong::new("Only the host name, without http:// and path."));
        }
        if host.contains(':') {
            return Err(Wrong::new("Only the host name: the port is the router's."));
        }
        let good = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !host.split('.').all(good) {
            return Err(Wrong::new("A host name is words of letters, digits and dashes, with dots between."));
        }
        Ok(host)
    };

    /// Name of an environment variable: letters, digits and `_`, no digit first, at most 128.
    VariableName = |typed| {
        let typed = typed.trim();
        if typed.is_empty() || typed.len() > 128 {
            return Err(Wrong::new("A variable's name has 1 to 128 characters."));
        }
        if !typed.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') || typed.as_bytes()[0].is_ascii_digit() {
            return Err(Wrong::new("A variable's name is letters, digits and _, and no digit first."));
        }
        if typed.starts_with("PILOTHOUSE_") {
            return Err(Wrong::new("Names that begin with PILOTHOUSE_ are set by Pilothouse itself."));
        }
        Ok(typed.to_owned())
    };

    /// A path of a check, such as `/health?full=1`: begins with `/`, printable, at most 512.
    UrlPath = |typed| {
        let typed = typed.trim();
        if !typed.starts_with('/') || typed.starts_with("//") {
            return Err(Wrong::new("A path begins with one /, for example /health."));
        }
        if typed.len() > 512 {
            return Err(Wrong::new("A path has at most 512 characters."));
        }
        if !typed.bytes().all(|b| b.is_ascii_graphic()) || typed.contains(['#', '\\', '"', '<', '>']) {
            return Err(Wrong::new("A path has no spaces, no # and no quotes: escape them as %20 and so on."));
        }
        Ok(typed.to_owned())
    };

    /// An image as people write it: `[REGISTRY/]NAME[:TAG]` or `…@sha256:…`. Kept as typed, only
    /// trimmed; without a tag it means `latest`, as everywhere.
    ImageReference = |typed| {
        let typed = typed.trim();
        if typed.is_empty() {
            return Err(Wrong::new("An image is needed, for example hello:1.0.0."));
        }
        if typed.len() > 255 {
            return Err(Wrong::new("An image reference has at most 255 characters."));
        }
        if typed.starts_with("sha256:") {
            return content_id(typed);
        }
        let (name, digest) = match typed.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (typed, None),
        };
        if let Some(digest) = digest {
            content_id(digest)?;
        }
        let last = name.rsplit('/').next().unwrap_or(name);
        let (path, tag) = match last.rsplit_once(':') {
            Some((_, tag)) => (&name[..name.len() - tag.len() - 1], Some(tag)),
            None => (name, None),
        };
        if let Some(tag) = tag
            && (tag.is_empty()
                || tag.len() > 128
                || tag.starts_with(['.', '-'])
                || !tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')))
        {
            return Err(Wrong::new("The tag after : is letters, digits and . _ -"));
        }
        let mut parts = path.split('/').collect::<Vec<_>>();
        if parts.len() > 1 && (parts[0].contains(['.', ':']) || parts[0] == "localhost") {
            let registry = parts.remove(0);
            let (host, port) = registry.split_once(':').map_or((registry, None), |(h, p)| (h, Some(p)));
            host.parse::<HostName>().map_err(|_| Wrong::new("The registry before the first / is not a host name."))?;
            if port.is_some_and(|p| p.parse::<u16>().is_err()) {
                return Err(Wrong::new("The registry's port is not a number up to 65535."));
            }
        }
        let good = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
        };
        if parts.is_empty() || !parts.iter().all(|part| good(part)) {
            return Err(Wrong::new("An image is NAME:TAG in lower case, for example hello:1.0.0 or registry.example.org/team/api:2.1."));
        }
        Ok(typed.to_owned())
    };

    /// What an image *is*: `sha256:` and 64 hexadecimal digits. Two images with one content id are
    /// one image.
    ContentId = content_id;

    /// What a registry calls an image: the digest of its manifest, `sha256:` and 64 hexadecimal
    /// digits. Not its content id: the same image has another digest where it was packed otherwise.
    Digest = |typed| digest(typed, "A digest");

    /// Where a registry is: `HOST` or `HOST:PORT`, in lower case. The host has a dot or a port, or is
    /// `localhost`: that is how engines tell it from the first part of a name.
    RegistryAddress = |typed| {
        let typed = typed.trim().trim_end_matches('/').to_ascii_lowercase();
        if typed.is_empty() {
            return Err(Wrong::new("An address is needed, for example registry.example.org or registry.example.org:5000."));
        }
        if typed.contains("://") || typed.contains(['/', '@']) {
            return Err(Wrong::new("Only the host and the port, without https://, a user or a path."));
        }
        let (host, port) = typed.split_once(':').map_or((typed.as_str(), None), |(host, port)| (host, Some(port)));
        host.parse::<HostName>()?;
        if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return Err(Wrong::new("The port after : is a number from 1 to 65535."));
        }
        if port.is_none() && !host.contains('.') && host != "localhost" {
            return Err(Wrong::new("A host without a dot needs its port: engines take it for a part of the image's name."));
        }
        Ok(typed)
    };

    /// Where in a registry images of one name are: `registry.example.org/team/api`, without a tag.
    Repository = |typed| {
        let typed = typed.trim();
        let (address, path) = typed.split_once('/').ok_or_else(|| {
            Wrong::new("A repository is a registry and a name, for example registry.example.org/team/api.")
        })?;
        let address: RegistryAddress = address.parse()?;
        if path.contains([':', '@']) {
            return Err(Wrong::new("A repository has no tag: which tags it gets is a pattern of its own."));
        }
        let whole: ImageReference = format!("{address}/{path}").parse()?;
        if whole.as_str().len() > 200 {
            return Err(Wrong::new("A repository has at most 200 characters."));
        }
        Ok(whole.into())
    };

    /// A tag in a registry: 1 to 128 characters of letters, digits and `. _ -`.
    ImageTag = |typed| {
        let typed = typed.trim();
        if typed.is_empty() || typed.len() > 128 {
            return Err(Wrong::new("A tag has 1 to 128 characters."));
        }
        if typed.starts_with(['.', '-']) || !typed.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            return Err(Wrong::new("A tag is letters, digits and . _ - and begins with none of . and -"));
        }
        Ok(typed.to_owned())
    };

    /// Whom a registry knows: 1 to 128 characters, no colon, because sign-in puts one behind it.
    RegistryUser = |typed| {
        let typed = typed.trim();
        if typed.is_empty() || typed.chars().count() > 128 {
            return Err(Wrong::new("A user name of a registry has 1 to 128 characters."));
        }
        if typed.chars().any(|c| c == ':' || c.is_control()) {
            return Err(Wrong::new("A user name of a registry has no colon."));
        }
        Ok(typed.to_owned())
    };
}

fn content_id(typed: &str) -> Result<String, Wrong> {
    digest(typed, "A content id")
}

fn digest(typed: &str, noun: &str) -> Result<String, Wrong> {
    let typed = typed.trim();
    match typed.strip_prefix("sha256:") {
        Some(hex)
            if hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) =>
        {
            Ok(typed.to_owned())
        }
        _ => Err(Wrong::new(format!("{noun} is sha256: and 64 hexadecimal digits."))),
    }
}

impl ContentId {
    /// The first twelve hexadecimal digits, as people see it.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[7..19]
    }
}

impl Digest {
    /// The first twelve hexadecimal digits, as people see it.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[7..19]
    }
}

impl Repository {
    /// Of a registry, by what stands behind its address.
    pub fn of(address: &RegistryAddress, path: &str) -> Result<Self, Wrong> {
        format!("{address}/{}", path.trim().trim_matches('/')).parse()
    }

    /// The registry.
    ///
    /// # Panics
    ///
    /// Never: it was parsed when this was made.
    #[must_use]
    pub fn address(&self) -> RegistryAddress {
        let (address, _) = self.split();
        address.parse().expect("a repository begins with an address")
    }

    /// The name in its registry: `team/api`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.split().1
    }

    fn split(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or((&self.0, ""))
    }

    /// The image that a tag points to: another one tomorrow.
    ///
    /// # Panics
    ///
    /// Never: both halves were parsed.
    #[must_use]
    pub fn tagged(&self, tag: &ImageTag) -> ImageReference {
        format!("{self}:{tag}").parse().expect("a repository and a tag make a reference")
    }

    /// The image of a digest: always the same one.
    ///
    /// # Panics
    ///
    /// Never: both halves were parsed.
    #[must_use]
    pub fn pinned(&self, digest: &Digest) -> ImageReference {
        format!("{self}@{digest}").parse().expect("a repository and a digest make a reference")
    }
}

impl ImageReference {
    /// Where it is, if it names a registry.
    #[must_use]
    pub fn repository(&self) -> Option<Repository> {
        let name = self.0.split('@').next()?;
        let name = match self.tag() {
            Some(tag) => &name[..name.len() - tag.len() - 1],
            None => name,
        };
        let (first, _) = name.split_once('/')?;
        (first.contains(['.', ':']) || first == "localhost").then(|| name.parse().ok())?
    }
    /// The tag, where there is one: it becomes the release's name.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        let name = self.0.split('@').next()?;
        let (_, tag) = name.rsplit('/').next()?.rsplit_once(':')?;
        (!self.0.starts_with("sha256:")).then_some(tag)
    }
}

#[cfg(test)]
mod tests;
