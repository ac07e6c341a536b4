//! Releases: an image and the spec of its service, fixed. What runs is a release with a
//! configuration.

use crate::{
    id::{ConfigurationId, ReleaseId, ServiceId},
    name::{ContentId, ImageReference, ReleaseName, Wrong},
    service::ServiceSpec,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Never edited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    pub id: ReleaseId,
    pub service: ServiceId,
    pub name: ReleaseName,
    /// What the image is, whatever its tag says later.
    pub image: ContentId,
    /// What the person typed when the release was made.
    pub reference: ImageReference,
    pub spec: ServiceSpec,
    #[serde(with = "time::serde::rfc3339")]
    pub made_at: OffsetDateTime,
}

/// What runs: always both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    pub release: ReleaseId,
    pub configuration: ConfigurationId,
}

/// What an engine says about an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    pub id: ContentId,
    pub reference: ImageReference,
    pub size_bytes: u64,
    /// `os/architecture`.
    pub platform: String,
    /// The user of the image as it says it; empty means root.
    pub user: String,
    /// Ports the image exposes.
    pub ports: Vec<u16>,
    pub command: Vec<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
}

impl ImageFacts {
    /// Whether a container of this image would run as root, were nothing else said.
    #[must_use]
    pub fn runs_as_root(&self) -> bool {
        let user = self.user.split(':').next().unwrap_or_default();
        matches!(user, "" | "0" | "root")
    }
}

/// Whether an instance that says so of itself is of the release.
///
/// `v1.2.0` and `1.2.0` are one version: tags carry the letter and programs mostly do not. A second
/// release of one tag is called `1.2.0-2`, and its image still says `1.2.0`; where the tag itself is
/// `1.2.0-2`, it has to say that.
#[must_use]
pub fn is_version_of(said: &str, name: &ReleaseName, reference: &ImageReference) -> bool {
    let plain = |version: &str| match version.strip_prefix('v') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest.to_owned(),
        _ => version.to_owned(),
    };
    let is = |version: &str| plain(version) == plain(said);
    let (name, tag) = (name.as_str(), reference.tag());
    let is_ours = |count: &str| !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    let before_ours = name.rsplit_once('-').filter(|(_, count)| is_ours(count));
    is(name)
        || tag.is_some_and(is)
        || tag != Some(name) && before_ours.is_some_and(|(before, _)| is(before))
}

/// The name of a new release: the tag, else the short content id; `-2` and so on where taken.
pub fn name_for(
    reference: &ImageReference,
    image: &ContentId,
    taken: &[String],
) -> Result<ReleaseName, Wrong> {
    let plain = match reference.tag() {
        Some(tag) if tag != "latest" => tag.chars().take(58).collect::<String>(),
        _ => image.short().to_owned(),
    };
    free_name(plain.trim_start_matches(['_', '.', '-']), taken)
}

/// `plain`, with `-2` and so on behind it where that is taken.
pub(crate) fn free_name(plain: &str, taken: &[String]) -> Result<ReleaseName, Wrong> {
    (1..)
        .map(|n| if n == 1 { plain.to_owned() } else { format!("{plain}-{n}") })
        .find(|name| !taken.contains(name))
        .ok_or_else(|| Wrong::new("No free name is left for this release."))?
        .parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_of_a_release_by_its_version_with_or_without_the_letter() {
        let is = |said: &str, name: &str, reference: &str| {
            let (name, reference) = (name.parse().expect("good"), reference.parse().expect("good"));
            is_version_of(said, &name, &reference)
        };

        assert!(is("1.2.0", "1.2.0", "hello:1.2.0"));
        assert!(is("1.2.0", "v1.2.0", "built:x"));
        assert!(is("v1.2.0", "1.2.0", "built:x"));
        assert!(is("1.2.0", "v1.2.0-2", "built:x"), "the second of one tag");
        assert!(is("1.2.0", "1.2.0-2", "hello:1.2.0"));
        assert!(!is("1.2.0", "1.2.0-2", "hello:1.2.0-2"), "its own tag says -2");
        assert!(!is("1.2.0", "1.2.1", "hello:1.2.1"));
        assert!(!is("ersion", "version", "hello:version"), "a word is no version");
        assert!(!is("", "v1.2.0", "built:x"));
    }

    #[test]
    fn a_release_is_named_by_its_tag_else_by_its_content() {
        let image: ContentId = format!("sha256:{}", "ab".repeat(32)).parse().expect("good");
        let name = |reference: &str, taken: &[&str]| {
            let taken: Vec<String> = taken.iter().map(|t| (*t).to_owned()).collect();
            let reference = reference.parse().expect("good");
            name_for(&reference, &image, &taken).expect("good").to_string()
        };

        assert_eq!(name("hello:1.0.0", &[]), "1.0.0");
        assert_eq!(name("hello:1.0.0", &["1.0.0", "1.0.0-2"]), "1.0.0-3");
        assert_eq!(name("hello:latest", &[]), "abababababab");
        assert_eq!(name("hello", &[]), "abababababab");
    }
}
