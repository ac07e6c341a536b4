//! What the target's credentials must be allowed to do: one table, from which the API server is asked
//! and from which the smallest role is written.

use super::{KubernetesTarget, error::answered};
use crate::Result;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
};
use kube::{Api, api::PostParams};
use std::{collections::BTreeMap, fmt::Write as _};

/// Reviews that are asked for at once.
const AT_ONCE: usize = 48;

/// Where a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// In the namespace of the project and environment.
    Namespace,
    /// In the whole cluster.
    Cluster,
}

/// Some verbs on one resource, and what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Empty for the core group.
    pub group: &'static str,
    /// With its subresource: `pods/log`.
    pub resource: &'static str,
    pub verbs: &'static [&'static str],
    /// What they are for, for people.
    pub what_for: &'static str,
    /// What does not work without them, as a sentence.
    pub without: &'static str,
    /// Whether rollouts work without them.
    pub optional: bool,
    pub place: Where,
}

impl Need {
    /// As people write it: `deployments.apps`, `pods/log`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.group.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }

    /// Whether it helps only whoever connects the cluster: no rollout asks for it.
    #[must_use]
    pub fn is_for_connecting(&self) -> bool {
        self.place == Where::Cluster && self.resource == "namespaces"
    }
}

/// A need, and which of its verbs are not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    pub need: Need,
    pub missing: Vec<&'static str>,
}

impl Granted {
    /// Whether everything of it is granted.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }

    /// What is missing and what does not work therefore, as a sentence.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        (!self.is_whole()).then(|| {
            let (verbs, name) = (self.missing.join(", "), self.need.name());
            format!("{verbs} on {name} is not granted: {}", self.need.without)
        })
    }
}

/// To make, change and remove what is ours, and to hear of it.
const WRITE: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
/// The same of what nobody listens to.
const KEEP: &[&str] = &["get", "list", "create", "patch", "delete"];
/// What is found by its labels, and never asked for by name.
const FOLLOW: &[&str] = &["list", "watch"];

const fn need(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    what_for: &'static str,
    without: &'static str,
) -> Need {
    Need { group, resource, verbs, what_for, without, optional: false, place: Where::Namespace }
}

const fn optional(need: Need) -> Need {
    Need { optional: true, ..need }
}

const fn in_cluster(need: Need) -> Need {
    Need { place: Where::Cluster, optional: true, ..need }
}

/// Everything that is asked of a cluster.
pub const NEEDS: &[Need] = &[
    need("apps", "deployments", WRITE, "the two slots of a service", "nothing can be rolled out."),
    optional(need(
        "apps",
        "replicasets",
        FOLLOW,
        "hearing at once that pods are to be made",
        "that is noticed with the next look only.",
    )),
    need(
        "",
        "pods",
        &["get", "list", "watch", "patch", "delete"],
        "instances: seen, restarted, removed",
        "instances can neither be seen nor restarted.",
    ),
    optional(need("", "pods/log", &["get"], "logs of instances", "logs can't be read.")),
    need(
        "",
        "pods/proxy",
        &["get"],
        "asking each instance whether it is ready",
        "no slot can be verified.",
    ),
    need("", "services", WRITE, "the switch between the slots", "traffic can't be moved."),
    need(
        "",
        "services/proxy",
        &["get"],
        "asking a slot through its Service",
        "no slot can be verified.",
    ),
    need(
        "discovery.k8s.io",
        "endpointslices",
        FOLLOW,
        "who gets the traffic",
        "a switch can't be confirmed.",
    ),
    need("", "configmaps", KEEP, "variables of instances", "nothing can be rolled out."),
    need(
        "",
        "secrets",
        KEEP,
        "secret variables, and the login by which images are fetched",
        "nothing can be rolled out.",
    ),
    optional(need(
        "",
        "events",
        FOLLOW,
        "why a pod does not come up",
        "reasons are shorter: an image that can't be pulled, say, without why.",
    )),
    optional(need(
        "",
        "resourcequotas",
        &["list"],
        "whether both slots fit into the namespace's quota",
        "preflight can't say whether the quota holds both slots.",
    )),
    optional(need(
        "",
        "limitranges",
        &["list"],
        "whether limits fit the namespace's range",
        "preflight can't say whether limits are within the namespace's range.",
    )),
    optional(need(
        "",
        "namespaces",
        &["get"],
        "whether the namespace is there, and its Pod Security level",
        "preflight can't name the namespace's Pod Security level.",
    )),
    optional(need(
        "metrics.k8s.io",
        "pods",
        &["list"],
        "CPU and memory of instances",
        "CPU and memory are read from the kubelets, where that is allowed.",
    )),
    in_cluster(need(
        "",
        "namespaces",
        &["list"],
        "offering patterns of namespaces by those that are there",
        "namespaces are asked for by their names, and none is offered.",
    )),
    in_cluster(need(
        "",
        "nodes",
        &["list"],
        "cores, memory and room of the nodes",
        "preflight can't say whether the nodes have room.",
    )),
    in_cluster(need(
        "",
        "pods",
        &["list"],
        "what all pods together use of the nodes",
        "preflight can't say what the nodes have left, only how large they are.",
    )),
    in_cluster(need(
        "",
        "nodes/proxy",
        &["get"],
        "CPU, memory and network of instances without a metrics server",
        "CPU and memory need a metrics server, and network traffic is not shown.",
    )),
];

/// What is asked besides where requests come in from outside.
pub const ENTRANCE_NEED: Need = optional(need(
    "networking.k8s.io",
    "ingresses",
    &["get", "create", "patch", "delete"],
    "the way in from outside",
    "services are not reached by their host names from outside the cluster.",
));

/// All that is asked of a cluster, with an entrance or without.
#[must_use]
pub fn needs(entrance: bool) -> Vec<Need> {
    NEEDS.iter().copied().chain(entrance.then_some(ENTRANCE_NEED)).collect()
}

impl KubernetesTarget {
    /// Which of [`needs`] are granted to us in `namespace`, in their order. An empty name asks for
    /// those of the whole cluster only: in all namespaces at once nobody needs anything.
    ///
    /// # Errors
    ///
    /// When the API server can not be asked.
    pub async fn access(&self, namespace: &str) -> Result<Vec<Granted>> {
        let needs = needs(self.entrance.is_some());
        let is_asked = |need: &Need| !namespace.is_empty() || need.place == Where::Cluster;
        let asked = needs.into_iter().filter(is_asked).map(|need| (namespace, need));
        self.review(asked.collect()).await
    }

    /// The same of several namespaces, side by side, with the namespace of each; then of the whole
    /// cluster, once.
    pub(super) async fn access_in(
        &self,
        namespaces: &[String],
    ) -> Result<Vec<(Option<String>, Granted)>> {
        let needs = needs(self.entrance.is_some());
        let of = |place| needs.iter().copied().filter(move |need: &Need| need.place == place);
        let mut asked = Vec::new();
        for namespace in namespaces {
            asked.extend(of(Where::Namespace).map(|need| (namespace.as_str(), need)));
        }
        asked.extend(of(Where::Cluster).map(|need| ("", need)));
        let places: Vec<Option<String>> = asked
            .iter()
            .map(|(namespace, need)| {
                (need.place == Where::Namespace).then(|| (*namespace).to_owned())
            })
            .collect();
        Ok(places.into_iter().zip(self.review(asked).await?).collect())
    }

    /// Asks for each verb of each need in its namespace. The answers come in the same order.
    async fn review(&self, needs: Vec<(&str, Need)>) -> Result<Vec<Granted>> {
        let mut asked = Vec::new();
        for (index, (namespace, need)) in needs.iter().enumerate() {
            for verb in need.verbs {
                asked.push(self.is_granted(index, verb, attributes(need, verb, namespace)));
            }
        }
        let answers: Vec<(usize, &'static str, bool)> =
            stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        let mut granted: Vec<Granted> =
            needs.into_iter().map(|(_, need)| Granted { need, missing: Vec::new() }).collect();
        for (index, verb, _) in answers.into_iter().filter(|(_, _, allowed)| !allowed) {
            granted[index].missing.push(verb);
        }
        Ok(granted)
    }

    async fn is_granted(
        &self,
        index: usize,
        verb: &'static str,
        attributes: ResourceAttributes,
    ) -> Result<(usize, &'static str, bool)> {
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let api = Api::<SelfSubjectAccessReview>::all(self.client().clone());
        let answer = answered(api.create(&PostParams::default(), &review))
            .await
            .map_err(|error| self.errors.sorted(error))?;
        Ok((index, verb, answer.status.is_some_and(|status| status.allowed)))
    }

    /// As whom the API server knows us: `system:serviceaccount:NAMESPACE:NAME`, or a user's name.
    ///
    /// # Errors
    ///
    /// When the API server can not be asked.
    pub async fn subject(&self) -> Result<String> {
        let api = Api::<SelfSubjectReview>::all(self.client().clone());
        let review = answered(api.create(&PostParams::default(), &SelfSubjectReview::default()))
            .await
            .map_err(|error| self.errors.sorted(error))?;
        review
            .status
            .and_then(|status| status.user_info?.username)
            .ok_or_else(|| self.errors.unreachable(anyhow::anyhow!("it does not say who we are")))
    }
}

fn attributes(need: &Need, verb: &str, namespace: &str) -> ResourceAttributes {
    let (resource, subresource) = match need.resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub.to_owned())),
        None => (need.resource, None),
    };
    let namespace = (need.place == Where::Namespace).then(|| namespace.to_owned());
    ResourceAttributes {
        group: Some(need.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(verb.to_owned()),
        // A namespace is asked for by its name, and belongs to itself.
        name: (need.resource == "namespaces").then(|| namespace.clone()).flatten(),
        namespace,
        ..ResourceAttributes::default()
    }
}

/// The smallest roles and bindings with which everything of [`NEEDS`] works for `subject` in
/// `namespace`, as YAML for `kubectl apply -f`. The cluster's part comes last, and may be left out.
#[must_use]
pub fn role_yaml(namespace: &str, subject: &str) -> String {
    role_yaml_of(NEEDS, &[namespace], subject)
}

/// The same of some needs, in several namespaces.
#[must_use]
pub fn role_yaml_of(needs: &[Need], namespaces: &[&str], subject: &str) -> String {
    let of = |place| needs.iter().filter(move |need| need.place == place);
    let mut yaml = String::new();
    for namespace in namespaces {
        let _ = writeln!(yaml, "# What Pilothouse needs in {namespace}, and nothing more.");
        yaml += &role("Role", Some(namespace), of(Where::Namespace));
        yaml += "---\n";
        yaml += &binding("Role", Some(namespace), subject);
        yaml += "---\n";
    }
    yaml += "# May be left out: which namespaces there are, room of the nodes, and figures without a \
             metrics server.\n";
    yaml += &role("ClusterRole", None, of(Where::Cluster));
    yaml += "---\n";
    yaml += &binding("ClusterRole", None, subject);
    yaml
}

/// The name of what [`role_yaml`] makes.
const NAME: &str = "pilothouse";

fn head(kind: &str, namespace: Option<&str>) -> String {
    let mut yaml = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {NAME}\n"
    );
    if let Some(namespace) = namespace {
        let _ = writeln!(yaml, "  namespace: {}", quoted(namespace));
    }
    yaml
}

fn role<'a>(kind: &str, namespace: Option<&str>, needs: impl Iterator<Item = &'a Need>) -> String {
    let mut yaml = head(kind, namespace);
    yaml += "rules:\n";
    // Resources of one group with the same verbs share a rule.
    let mut rules: BTreeMap<(&str, &[&str]), Vec<&str>> = BTreeMap::new();
    for need in needs {
        rules.entry((need.group, need.verbs)).or_default().push(need.resource);
    }
    for ((group, verbs), resources) in rules {
        let _ = writeln!(
            yaml,
            "  - apiGroups: [{}]\n    resources: [{}]\n    verbs: [{}]",
            quoted(group),
            listed(&resources),
            listed(verbs)
        );
    }
    yaml
}

fn binding(kind: &str, namespace: Option<&str>, subject: &str) -> String {
    let mut yaml = head(&format!("{kind}Binding"), namespace);
    let _ = writeln!(
        yaml,
        "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {NAME}\nsubjects:"
    );
    let account =
        subject.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
    let _ = match account {
        Some((of, name)) => writeln!(
            yaml,
            "  - kind: ServiceAccount\n    name: {}\n    namespace: {}",
            quoted(name),
            quoted(of)
        ),
        None => writeln!(
            yaml,
            "  - kind: User\n    apiGroup: rbac.authorization.k8s.io\n    name: {}",
            quoted(subject)
        ),
    };
    yaml
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ")
}

/// A string of JSON is one of YAML too, whatever is in it.
fn quoted(word: &str) -> String {
    serde_json::Value::from(word).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_has_each_right_of_the_table_and_no_other() {
        let yaml = role_yaml("shop-staging", "system:serviceaccount:ci:deployer");

        let mut allowed = Vec::new();
        let mut group = "";
        let mut resources: Vec<&str> = Vec::new();
        for line in yaml.lines() {
            let words = || line.split('"').skip(1).step_by(2).collect::<Vec<_>>();
            if line.contains("apiGroups:") {
                group = words()[0];
            } else if line.contains("resources:") {
                resources = words();
            } else if line.contains("verbs:") {
                for resource in &resources {
                    allowed.extend(words().into_iter().map(|verb| (group, *resource, verb)));
                }
            }
        }
        let mut needed: Vec<_> = NEEDS
            .iter()
            .flat_map(|need| need.verbs.iter().map(|verb| (need.group, need.resource, *verb)))
            .collect();
        allowed.sort_unstable();
        needed.sort_unstable();
        assert_eq!(allowed, needed);
        assert!(!yaml.contains('*'), "{yaml}");
    }

    #[test]
    fn the_way_in_is_in_the_role_only_where_there_is_one() {
        let role = |entrance| role_yaml_of(&needs(entrance), &["shop"], "robot");

        assert!(!role(false).contains("ingresses"));
        assert_eq!(role(false), role_yaml("shop", "robot"));
        assert!(
            role(true).contains(
                "apiGroups: [\"networking.k8s.io\"]\n    resources: [\"ingresses\"]\n    verbs: \
             [\"get\", \"create\", \"patch\", \"delete\"]"
            ),
            "{}",
            role(true)
        );
    }

    #[test]
    fn the_role_is_bound_to_whom_the_server_knows() {
        let account = role_yaml("shop-staging", "system:serviceaccount:ci:deployer");
        assert!(
            account.contains("kind: ServiceAccount\n    name: \"deployer\"\n    namespace: \"ci\""),
            "{account}"
        );
        assert!(account.contains(
            "kind: RoleBinding\nmetadata:\n  name: pilothouse\n  namespace: \"shop-staging\""
        ));

        let user = role_yaml("shop-staging", "Ada \"the\" admin");
        assert!(user.contains("kind: User"), "{user}");
        assert!(user.contains("name: \"Ada \\\"the\\\" admin\""), "{user}");
    }

    #[test]
    fn a_subresource_is_asked_for_apart() {
        let log = NEEDS.iter().find(|need| need.resource == "pods/log").expect("in the table");

        let asked = attributes(log, "get", "shop");

        assert_eq!(asked.resource.as_deref(), Some("pods"));
        assert_eq!(asked.subresource.as_deref(), Some("log"));
        assert_eq!(asked.namespace.as_deref(), Some("shop"));
    }

    #[test]
    fn what_concerns_nodes_is_asked_of_the_cluster() {
        for need in NEEDS.iter().filter(|need| need.place == Where::Cluster) {
            assert_eq!(attributes(need, "get", "shop").namespace, None, "{need:?}");
            assert!(need.optional, "{need:?}: a namespace must be enough");
        }
    }

    #[test]
    fn each_namespace_has_its_role_and_the_cluster_has_one() {
        let yaml = role_yaml_of(NEEDS, &["shop-staging", "shop-production"], "robot");

        let heads: Vec<String> = yaml
            .split("---\n")
            .map(|document| {
                let lines = || document.lines().map(str::trim);
                let kind = lines().find_map(|line| line.strip_prefix("kind: "));
                let namespace = lines().find_map(|line| line.strip_prefix("namespace: "));
                format!("{} {}", kind.unwrap_or_default(), namespace.unwrap_or_default())
            })
            .collect();
        assert_eq!(
            heads,
            [
                "Role \"shop-staging\"",
                "RoleBinding \"shop-staging\"",
                "Role \"shop-production\"",
                "RoleBinding \"shop-production\"",
                "ClusterRole ",
                "ClusterRoleBinding "
            ]
        );
    }

    #[test]
    fn what_only_helps_is_in_the_clusters_part_of_the_role() {
        let yaml = role_yaml("shop-staging", "robot");

        let (of_namespace, of_cluster) = yaml.split_once("kind: ClusterRole\n").expect("both");

        let rule = "resources: [\"namespaces\", \"nodes\", \"pods\"]\n    verbs: [\"list\"]";
        assert!(of_cluster.contains(rule), "{of_cluster}");
        assert!(of_cluster.contains("resources: [\"nodes/proxy\"]"), "{of_cluster}");
        assert!(!of_namespace.contains("\"nodes"), "{of_namespace}");
    }

    #[test]
    fn nobody_reads_secrets_as_they_change() {
        let verbs = |resource: &str| {
            let of_it = NEEDS.iter().filter(move |need| need.resource == resource);
            of_it.flat_map(|need| need.verbs.iter().copied()).collect::<Vec<_>>()
        };

        assert!(!verbs("secrets").contains(&"watch"));
        assert!(!verbs("configmaps").contains(&"watch"));
        assert_eq!(verbs("events"), ["list", "watch"]);
    }

    #[test]
    fn only_what_a_rollout_does_is_needed_for_one() {
        let needed: Vec<String> =
            NEEDS.iter().filter(|need| !need.optional).map(Need::name).collect();

        assert_eq!(
            needed,
            [
                "deployments.apps",
                "pods",
                "pods/proxy",
                "services",
                "services/proxy",
                "endpointslices.discovery.k8s.io",
                "configmaps",
                "secrets"
            ]
        );
    }

    #[test]
    fn what_is_missing_is_told_with_what_does_not_work() {
        let need = NEEDS[0];
        let granted = Granted { need, missing: vec!["patch"] };

        assert_eq!(
            granted.sentence().as_deref(),
            Some("patch on deployments.apps is not granted: nothing can be rolled out.")
        );
        assert_eq!(Granted { need, missing: vec![] }.sentence(), None);
    }
}
