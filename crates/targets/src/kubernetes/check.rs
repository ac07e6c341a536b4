//! Whether a cluster can be reached, and what works there.

use super::KubernetesTarget;
use crate::Result;
use domain::target::{Finding, TargetFacts, Verdict};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, api::ListParams};

/// `Target::check`.
pub(super) async fn check(target: &KubernetesTarget) -> Result<TargetFacts> {
    let version =
        target.client().apiserver_version().await.map_err(|error| target.errors.sorted(error))?;
    let nodes = Api::<Node>::all(target.client().clone());
    let nodes = nodes.list(&ListParams::default()).await.map(|nodes| nodes.items.len());
    let nodes = Finding {
        question: "Nodes can be listed".to_owned(),
        verdict: if nodes.is_ok() { Verdict::Pass } else { Verdict::Warn },
        detail: nodes.map_or_else(
            |error| target.errors.sorted(error).to_string(),
            |count| format!("{count} nodes"),
        ),
    };
    Ok(TargetFacts {
        summary: format!("Kubernetes {}", version.git_version),
        cores: 0,
        memory_bytes: 0,
        findings: vec![nodes],
    })
}
