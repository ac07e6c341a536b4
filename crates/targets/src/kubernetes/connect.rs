//! From what is stored of a cluster to a driver: the one place where its credentials are opened up.
//!
//! The address of a cluster is typed by a person, as that of a repository is, so it is held against
//! the same rules: never this machine, its link or a cloud's metadata service, unless an admin listed
//! it ([`crate::outgoing`]). It is looked up when the cluster is opened, and again with each connection.

use super::{
    KubernetesTarget, Options,
    access::{self, Granted, role_yaml_of},
    check, kubeconfig,
};
use crate::{
    Target,
    open::{Open, Reached},
    outgoing::Outgoing,
};
use async_trait::async_trait;
use domain::target::{
    TargetFacts, Verdict,
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
const ASKED: usize = 8;

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
        let (namespaces, subject) = tokio::join!(namespaces(&target), target.subject());
        let own = target.client().default_namespace();
        let mut asked = asked_about(reached.used, namespaces.as_deref(), own);
        let mut findings = facts.findings;
        if asked.len() > ASKED {
            findings.push(check::finding(
                "Namespaces",
                Verdict::Warn,
                format!(
                    "rights are asked for in {ASKED} of {}; preflight asks in each",
                    asked.len()
                ),
            ));
            asked.truncate(ASKED);
        }
        let looked_for = async {
            match &namespaces {
                Some(_) => Vec::new(),
                None => looked_for(&target, &asked).await,
            }
        };
        let (granted, looked_for) = tokio::join!(target.access_in(&asked), looked_for);
        let granted = granted.map_err(|error| said(&error))?;
        let needs: Vec<Need> =
            granted.into_iter().map(|(namespace, one)| need(namespace, &one)).collect();
        let wanted = access::needs(reached.entrance.is_some());
        // Bound to nobody it would be of no use.
        let role = subject.map_or(String::new(), |subject| {
            role_yaml_of(&wanted, &lacking(&asked, &needs), &subject)
        });
        Ok(ClusterSeen {
            summary: facts.summary,
            namespaces,
            looked_for,
            homes: Vec::new(),
            findings,
            needs,
            role,
        })
    }
}

/// In which namespaces it is asked what may be done: where services live or would live, those that are
/// there first; else in the one that the credentials themselves name.
fn asked_about(used: &[String], there: Option<&[String]>, own: &str) -> Vec<String> {
    let mut asked = used.to_vec();
    asked.sort_by_key(|name| there.is_some_and(|there| !there.contains(name)));
    if asked.is_empty() {
        asked.push(own.to_owned());
    }
    asked
}

/// Those of them that need a role: where something is missing. If that is nowhere, what all of them
/// have to keep.
fn lacking<'a>(asked: &'a [String], needs: &[Need]) -> Vec<&'a str> {
    let lacks = |name: &&String| {
        let of_it = |need: &&Need| need.namespace.as_ref() == Some(*name);
        needs.iter().filter(of_it).any(|need| !need.missing.is_empty())
    };
    let lacking: Vec<&str> = asked.iter().filter(lacks).map(String::as_str).collect();
    if lacking.is_empty() { asked.iter().map(String::as_str).collect() } else { lacking }
}

/// `namespace`: `None` in the whole cluster.
fn need(namespace: Option<String>, granted: &Granted) -> Need {
    let need = granted.need;
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    Need {
        namespace,
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

#[cfg(test)]
mod tests {
    use super::{super::NEEDS, *};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn it_is_asked_where_services_live_and_else_where_the_credentials_lead() {
        let used = names(&["shop-staging", "shop-production"]);
        let there = names(&["default", "shop-production"]);

        assert_eq!(asked_about(&used, None, "ci"), used);
        let first = names(&["shop-production", "shop-staging"]);
        assert_eq!(asked_about(&used, Some(&there), "ci"), first);
        assert_eq!(asked_about(&[], Some(&there), "ci"), ["ci"]);
    }

    #[test]
    fn a_role_is_printed_for_each_namespace_that_lacks_something() {
        let asked = names(&["a", "b", "c"]);
        let missing = |namespace: &str, missing: Vec<&'static str>| {
            need(Some(namespace.to_owned()), &Granted { need: NEEDS[0], missing })
        };
        let whole = [missing("a", vec![]), missing("b", vec![]), missing("c", vec![])];
        let some = [missing("a", vec!["get"]), missing("b", vec![]), missing("c", vec!["list"])];

        assert_eq!(lacking(&asked, &some), ["a", "c"]);
        assert_eq!(lacking(&asked, &whole), ["a", "b", "c"]);
    }
}
