//! Asking pods and Services through the API server.

use super::KubernetesTarget;
use crate::Result;
use domain::{
    id::RolloutId,
    slot::Slot,
    target::{Answer, Place, Probe},
};

/// `Target::probe`.
pub(super) async fn probe(
    target: &KubernetesTarget,
    _place: &Place,
    _slot: Slot,
    _maker: RolloutId,
    _probe: &Probe,
) -> Result<Vec<Answer>> {
    Err(target.errors.refused("asking is not written yet."))
}
