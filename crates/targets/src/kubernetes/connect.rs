//! From what is stored of a cluster to a driver: the one place where its credentials are opened up.
//!
//! The address of a cluster is typed by a person, as that of a repository is, so it is held against
//! the same rules: never this machine, its link or a cloud's metadata service, unless an admin listed
//! it ([`crate::outgoing`]). It is looked up when the cluster is opened, and again with each connection.

use super::{
    KubernetesTarget, Options,
    access::{self, Granted, Where, role_yaml_of},
    check, kubeconfig,
};
use crate::{
    Target,
    open::{Open, Reached},
    outgoing::Outgoing,
};
use async_trait::async_trait;
use domain::target::{
    TargetFacts,
    cluster::{ClusterSeen, MOST_NAMESPACES, Need},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::ListParams};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// The port of an address that names none.
const HTTPS: u16 = 443;

/// The most namespaces in which it is asked what may be done.
const ASKED: usize = 4;

/// Opens clusters for one installation.
#[derive(Clone, Debug)]
pub struct Clusters {
    installation: Uuid,
    outgoing: Outgoing,
}

impl Clusters {
    /// `installation` is in the labels of all that is made.
    #[must_use]
    pub const fn new(installation: Uuid, outgoing: Outgoing) -> Self {
        Self { installation, outgoing }
    }

    async fn target(&self, reached: &Reached<'_>) -> Result<KubernetesTarget, String> {
        let typed = reached.credentials.map(|_| &self.outgoing);
        let config = match reached.credentials {
            Some(text) => {
                let now = OffsetDateTime::now_utc();
                let config = kubeconfig::config(text, reached.context, now)
                    .await
                    .map_err(|wrong| wrong.0)?;
                self.check_address(&config.cluster_url).await?;
                config
            }
            // Its address comes from our own surroundings, and from nobody who typed it.
            None => kube::Config::incluster().map_err(|error| {
                format!(
                    "The service account that we run as can not be used: {error}. Where we do not \
                     run inside a cluster, paste a kubeconfig."
                )
            })?,
        };
        let options = Options {
            installation: self.installation,
            name: reached.name.to_owned(),
            config,
            namespaces: reached.namespaces.clone(),
            probe_image: reached.probe_image.cloned(),
            grace: Options::GRACE,
        };
        let target =
            KubernetesTarget::within(options, typed).map_err(|error| format!("{error:#}"))?;
        Ok(target.entered_by(reached.entrance.cloned()))
    }

    async fn check_address(&self, url: &http::Uri) -> Result<(), String> {
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = url.port_u16().unwrap_or(HTTPS);
        self.outgoing.addresses(host, port).await.map(|_| ()).map_err(|failure| failure.to_string())
    }
}

#[async_trait]
impl Open for Clusters {
    async fn open(&self, reached: &Reached<'_>) -> Result<Arc<dyn Target>, String> {
        Ok(Arc::new(self.target(reached).await?))
    }

    async fn look(&self, reached: &Reached<'_>) -> Result<ClusterSeen, String> {
        let target = self.target(reached).await?;
        let facts = target.check().await.map_err(|error| said(&error))?;
        if check::is_too_old(&facts) {
            let TargetFacts { summary, findings, .. } = facts;
            return Ok(ClusterSeen { summary, findings, ..ClusterSeen::default() });
        }
        let namespaces = namespaces(&target).await;
        let subject = target.subject().await.unwrap_or_default();
        let asked = asked_about(reached, namespaces.as_deref());
        let mut needs: Vec<Need> = Vec::new();
        for namespace in &asked {
            let granted = target.access(namespace).await.map_err(|error| said(&error))?;
            for one in granted.iter().map(|one| need(namespace, one)) {
                // What is needed of the whole cluster is the same for each of its namespaces.
                if !needs.contains(&one) {
                    needs.push(one);
                }
            }
        }
        let wanted = access::needs(reached.entrance.is_some());
        let role = asked
            .first()
            .map_or(String::new(), |namespace| role_yaml_of(&wanted, namespace, &subject));
        let looked_for = match &namespaces {
            Some(_) => Vec::new(),
            None => looked_for(&target, &asked).await,
        };
        Ok(ClusterSeen {
            summary: facts.summary,
            namespaces,
            looked_for,
            homes: Vec::new(),
            findings: facts.findings,
            needs,
            role,
        })
    }
}

/// In which namespaces it is asked what may be done: where services live or would live, else one that
/// is there.
fn asked_about(reached: &Reached<'_>, there: Option<&[String]>) -> Vec<String> {
    let mut asked = reached.used.to_vec();
    asked.truncate(ASKED);
    let own = |name: &&String| !name.starts_with("kube-");
    if asked.is_empty()
        && let Some(one) = there.and_then(|there| there.iter().find(own))
    {
        asked.push(one.clone());
    }
    asked
}

fn need(namespace: &str, granted: &Granted) -> Need {
    let need = granted.need;
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    Need {
        namespace: (need.place == Where::Namespace).then(|| namespace.to_owned()),
        on: need.name(),
        verbs: words(need.verbs),
        missing: words(&granted.missing),
        what_for: need.what_for.to_owned(),
        without: need.without.to_owned(),
        optional: need.optional,
    }
}

/// `None`: they may not be listed.
async fn namespaces(target: &KubernetesTarget) -> Option<Vec<String>> {
    let most = u32::try_from(MOST_NAMESPACES).unwrap_or(u32::MAX);
    let all = Api::<Namespace>::all(target.client().clone());
    let params = ListParams::default().limit(most);
    let listed =
        tokio::time::timeout(crate::DEADLINE, all.list_metadata(&params)).await.ok()?.ok()?;
    Some(listed.items.into_iter().filter_map(|one| one.metadata.name).collect())
}

/// Which of them are there, where they may be asked for by name only. What may not be asked is left
/// out.
async fn looked_for(target: &KubernetesTarget, names: &[String]) -> Vec<(String, bool)> {
    let all = Api::<Namespace>::all(target.client().clone());
    let asked = names.iter().map(|name| {
        let all = all.clone();
        async move {
            let found = tokio::time::timeout(crate::DEADLINE, all.get_metadata_opt(name)).await;
            Some((name.clone(), found.ok()?.ok()?.is_some()))
        }
    });
    futures::future::join_all(asked).await.into_iter().flatten().collect()
}

/// A driver's error with its reasons, in one line.
fn said(error: &crate::Error) -> String {
    match error {
        crate::Error::Unreachable { target, source } => {
            format!("{target} can't be reached: {source:#}")
        }
        other => other.to_string(),
    }
}
