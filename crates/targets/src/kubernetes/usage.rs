//! What pods use.

use super::KubernetesTarget;
use crate::Result;
use domain::{
    id::PlacementId,
    target::{Place, Usage},
};

/// `Target::usage`.
pub(super) async fn usage(
    target: &KubernetesTarget,
    places: &[Place],
) -> Result<Vec<(PlacementId, Vec<Usage>)>> {
    target.client().apiserver_version().await.map_err(|error| target.errors.sorted(error))?;
    Ok(places.iter().map(|place| (place.placement, Vec::new())).collect())
}
