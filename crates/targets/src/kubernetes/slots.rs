//! Filling and emptying a slot, stopping an instance.

use super::KubernetesTarget;
use crate::{Error, Result};
use domain::{
    slot::Slot,
    target::{Claim, Place, Plan},
};

fn unwritten(target: &KubernetesTarget) -> Error {
    target.errors.refused("filling is not written yet.")
}

/// `Target::ensure`.
pub(super) async fn fill(target: &KubernetesTarget, _: &Claim, _: Slot, _: &Plan) -> Result<()> {
    Err(unwritten(target))
}

/// `Target::close_streams`.
pub(super) async fn close_streams(
    target: &KubernetesTarget,
    _: &Claim,
    _: &Place,
    _: Slot,
) -> Result<u64> {
    Err(unwritten(target))
}

/// `Target::remove`.
pub(super) async fn empty(target: &KubernetesTarget, _: &Claim, _: &Place, _: Slot) -> Result<()> {
    Err(unwritten(target))
}

/// `Target::stop`.
pub(super) async fn rest(
    target: &KubernetesTarget,
    _: &Claim,
    _: &Place,
    _: Slot,
    _: &str,
) -> Result<()> {
    Err(unwritten(target))
}
