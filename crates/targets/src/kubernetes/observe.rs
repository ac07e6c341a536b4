//! What the cluster has of a placement.

use super::KubernetesTarget;
use crate::Result;
use domain::target::{Observed, Place};

/// `Target::observe`.
pub(super) async fn observe(target: &KubernetesTarget, _place: &Place) -> Result<Observed> {
    Err(target.errors.refused("observing is not written yet."))
}
