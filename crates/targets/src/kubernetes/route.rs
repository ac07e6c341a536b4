//! The active Service: claim, selector, revision.

use super::KubernetesTarget;
use crate::{Error, Makers, Result};
use domain::{
    slot::Slot,
    target::{Claim, Place, RouteSeen},
};

fn unwritten(target: &KubernetesTarget) -> Error {
    target.errors.refused("routing is not written yet.")
}

/// `Target::fence`.
pub(super) async fn fence(target: &KubernetesTarget, _: &Claim, _: &Place) -> Result<()> {
    Err(unwritten(target))
}

/// `Target::highest_epoch`.
pub(super) async fn highest_epoch(target: &KubernetesTarget, _: &Place) -> Result<Option<i64>> {
    Err(unwritten(target))
}

/// `Target::route`.
pub(super) async fn switch(
    target: &KubernetesTarget,
    _claim: &Claim,
    _place: &Place,
    _expected_revision: i64,
    _live: Option<Slot>,
) -> Result<RouteSeen> {
    Err(unwritten(target))
}

/// `Target::refresh`.
pub(super) async fn refresh(
    target: &KubernetesTarget,
    _claim: &Claim,
    _place: &Place,
    _makers: &Makers,
) -> Result<RouteSeen> {
    Err(unwritten(target))
}

/// `Target::restore`.
pub(super) async fn restore(
    target: &KubernetesTarget,
    _claim: &Claim,
    _place: &Place,
    _expected_revision: i64,
    _makers: &Makers,
    _live: Option<Slot>,
) -> Result<RouteSeen> {
    Err(unwritten(target))
}

/// `Target::withdraw`.
pub(super) async fn withdraw(target: &KubernetesTarget, _: &Claim, _: &Place) -> Result<()> {
    Err(unwritten(target))
}
