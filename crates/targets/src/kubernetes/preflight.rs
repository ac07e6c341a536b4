//! The questions before a rollout.

use super::KubernetesTarget;
use crate::Result;
use domain::{
    slot::Slot,
    target::{Finding, Plan, Verdict},
};

/// `Target::preflight`.
pub(super) async fn preflight(
    target: &KubernetesTarget,
    plan: &Plan,
    _live: Option<Slot>,
) -> Result<Vec<Finding>> {
    target.client().apiserver_version().await.map_err(|error| target.errors.sorted(error))?;
    let verdict = if plan.pull.is_some() { Verdict::Pass } else { Verdict::Refuse };
    let detail = plan.pull.as_ref().map_or_else(
        || "it is in no registry that is known; push it first".to_owned(),
        |pull| pull.repository.to_string(),
    );
    Ok(vec![Finding { question: "Image is in a registry".to_owned(), verdict, detail }])
}
