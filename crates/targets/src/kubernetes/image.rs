//! Images: a cluster fetches its own, by digest. Building, pushing and looking up are this
//! machine's.

use super::KubernetesTarget;
use crate::{
    Error, Result,
    registry::{Credentials, Push, Told},
};
use domain::{
    name::{ContentId, Digest, ImageReference, RegistryAddress, Repository},
    registry::Standing,
    release::ImageFacts,
};

fn elsewhere(target: &KubernetesTarget) -> Error {
    target.errors.refused(
        "a cluster fetches images by itself. They are looked up, pushed and kept by the container \
         engine of this machine.",
    )
}

/// `Target::image`.
pub(super) async fn image(
    target: &KubernetesTarget,
    _reference: &ImageReference,
) -> Result<ImageFacts> {
    Err(elsewhere(target))
}

/// `Target::pull`.
pub(super) async fn pull(
    target: &KubernetesTarget,
    _reference: &ImageReference,
    _credentials: Option<&Credentials>,
    _told: &Told,
) -> Result<()> {
    Err(elsewhere(target))
}

/// `Target::push`.
pub(super) async fn push(
    target: &KubernetesTarget,
    _push: &Push<'_>,
    _told: &Told,
) -> Result<Digest> {
    Err(elsewhere(target))
}

/// `Target::try_registry`.
pub(super) async fn try_registry(
    target: &KubernetesTarget,
    _address: &RegistryAddress,
    _credentials: Option<&Credentials>,
) -> Result<Standing> {
    Err(elsewhere(target))
}

/// `Target::points_to`.
pub(super) async fn points_to(
    target: &KubernetesTarget,
    _reference: &ImageReference,
    _credentials: Option<&Credentials>,
) -> Result<Result<Digest, Standing>> {
    Err(elsewhere(target))
}

/// `Target::digests`.
pub(super) async fn digests(
    target: &KubernetesTarget,
    _image: &ContentId,
) -> Result<Vec<(Repository, Digest)>> {
    Err(elsewhere(target))
}

/// `Target::keep_image`.
pub(super) async fn keep_image(target: &KubernetesTarget, _image: &ContentId) -> Result<()> {
    Err(elsewhere(target))
}

/// `Target::kept_images`.
pub(super) async fn kept_images(_target: &KubernetesTarget) -> Result<Vec<ContentId>> {
    Ok(Vec::new())
}

/// `Target::release_image`.
pub(super) async fn release_image(_target: &KubernetesTarget, _image: &ContentId) -> Result<()> {
    Ok(())
}
