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
