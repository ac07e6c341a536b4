//! Images: what they are, by content, and a tag of ours that spares them from pruning.

use super::{DockerTarget, error};
use crate::Result;
use bollard::{
    models::{ImageInspect, ImageSummary},
    query_parameters::{ListImagesOptions, RemoveImageOptionsBuilder, TagImageOptionsBuilder},
};
use domain::{
    name::{ContentId, ImageReference},
    release::ImageFacts,
};

/// The repository of the tags that spare images.
const KEEP: &str = "pilothouse/keep";

impl DockerTarget {
    /// `Target::image`.
    pub(super) async fn look_up(&self, reference: &ImageReference) -> Result<ImageFacts> {
        let found = self.inspected_image(reference.as_str()).await?;
        let found = found.ok_or_else(|| {
            error::refused(match reference.repository() {
                Some(_) => {
                    format!("{reference} is not on this machine. Fetch it, or load it there.")
                }
                None => format!(
                    "{reference} is not on this machine. Build or load it there, or write it with \
                     its registry, as in registry.example.org/{reference}."
                ),
            })
        })?;
        facts(reference, found)
    }

    /// What the engine says of an image, by reference or content id. `None`: it is not there.
    pub(super) async fn inspected_image(&self, name: &str) -> Result<Option<ImageInspect>> {
        match self.engine().await?.inspect_image(name).await {
            Ok(found) => Ok(Some(found)),
            Err(gone) if error::is_gone(&gone) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// `Target::keep_image`.
    pub(super) async fn keep(&self, image: &ContentId) -> Result<()> {
        let options = TagImageOptionsBuilder::default().repo(KEEP).tag(&self.tag(image)).build();
        match self.engine().await?.tag_image(image.as_str(), Some(options)).await {
            Err(gone) if error::is_gone(&gone) => Err(error::refused(format!(
                "the image {} is gone. Load or pull it again.",
                image.short()
            ))),
            other => Ok(other?),
        }
    }

    /// `Target::kept_images`.
    pub(super) async fn kept(&self) -> Result<Vec<ContentId>> {
        let images = self.engine().await?.list_images(None::<ListImagesOptions>).await?;
        let ours = format!("{KEEP}:{}-", self.mark());
        let is_kept = |image: &ImageSummary| {
            let tags = image.repo_tags.iter();
            // Podman puts a registry before names that have none.
            tags.map(|tag| tag.strip_prefix("localhost/").unwrap_or(tag))
                .any(|tag| tag.starts_with(&ours))
        };
        let ids = images.into_iter().filter(is_kept).filter_map(|image| {
            let id = image.id;
            if id.contains(':') { id.parse() } else { format!("sha256:{id}").parse() }.ok()
        });
        Ok(ids.collect())
    }

    /// `Target::release_image`.
    pub(super) async fn let_go(&self, image: &ContentId) -> Result<()> {
        let tag = format!("{KEEP}:{}", self.tag(image));
        // The short id of another image could be the same: look before untagging.
        let tagged = self.inspected_image(&tag).await?.and_then(|found| found.id);
        if tagged.as_deref() != Some(image.as_str()) {
            return Ok(());
        }
        let options = RemoveImageOptionsBuilder::default().build();
        match self.engine().await?.remove_image(&tag, Some(options), None).await {
            Err(error) if error::is_gone(&error) => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    /// Of this installation: another one that keeps the same image has a tag of its own.
    fn tag(&self, image: &ContentId) -> String {
        format!("{}-{}", self.mark(), image.short())
    }

    fn mark(&self) -> String {
        let installation = self.options.installation.simple().to_string();
        installation[installation.len() - 8..].to_owned()
    }
}

pub(super) fn facts(reference: &ImageReference, found: ImageInspect) -> Result<ImageFacts> {
    let id = found.id.unwrap_or_default();
    let config = found.config.unwrap_or_default();
    let entrypoint = config.entrypoint.unwrap_or_default();
    let mut ports: Vec<u16> = config
        .exposed_ports
        .unwrap_or_default()
        .iter()
        .filter_map(|port| port.strip_suffix("/tcp").unwrap_or(port).parse().ok())
        .collect();
    ports.sort_unstable();
    Ok(ImageFacts {
        id: id.parse().map_err(|_| {
            error::refused(format!("{reference} has the id “{id}”, which is no content id."))
        })?,
        reference: reference.clone(),
        size_bytes: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        platform: format!(
            "{}/{}",
            found.os.unwrap_or_default(),
            found.architecture.unwrap_or_default()
        ),
        user: config.user.unwrap_or_default(),
        ports,
        command: entrypoint.into_iter().chain(config.cmd.unwrap_or_default()).collect(),
        created_at: found.created,
    })
}
