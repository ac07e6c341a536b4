//! A cluster as a target: what its credentials hold, what is seen of it, and what we may do there.

use super::{Finding, entrance::Entrance};
use crate::{
    id::TargetId,
    name::{ImageReference, Name, Wrong},
    namespace::NamespacePattern,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The most targets there can be, this machine among them.
pub const MOST: i64 = 50;
/// The most bytes of credentials that are taken.
pub const CREDENTIALS_BYTES: usize = 256 * 1024;
/// The most contexts that credentials may have.
pub const MOST_CONTEXTS: usize = 100;
/// The most namespaces that are shown.
pub const MOST_NAMESPACES: usize = 500;
/// The most pairs of a project and an environment that are looked at for a target.
pub const MOST_HOMES: usize = 40;
/// The most patterns that are offered.
const MOST_OFFERED: usize = 40;

/// What a target's credentials are sealed about: moved into another row they open no more.
#[must_use]
pub fn sealed_about(target: TargetId) -> String {
    format!("target/{target}/credentials")
}

/// What credentials hold, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialsRead {
    /// Those that can be used, in their order. Never empty.
    pub contexts: Vec<ContextRead>,
    /// The one that the credentials themselves name first.
    pub current: Option<String>,
}

impl CredentialsRead {
    /// The context to begin with: `wanted` if it is there, else the one that is named, else the first.
    #[must_use]
    pub fn first(&self, wanted: Option<&str>) -> Option<&ContextRead> {
        let find = |name: &str| self.contexts.iter().find(|context| context.name.as_str() == name);
        wanted
            .and_then(find)
            .or_else(|| self.current.as_deref().and_then(find))
            .or_else(|| self.contexts.first())
    }
}

/// One way into a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextRead {
    pub name: String,
    /// The address of the cluster.
    pub server: String,
    /// As whom.
    pub user: String,
    pub namespace: Option<String>,
}

impl ContextRead {
    /// What tells it from the others, on one line: "staging: robot at https://c.example, namespace shop".
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.name.clone();
        if !self.server.is_empty() {
            line = format!("{line}: {} at {}", self.user, self.server);
        }
        if let Some(namespace) = self.namespace.as_deref().filter(|name| !name.is_empty()) {
            line = format!("{line}, namespace {namespace}");
        }
        line
    }
}

/// What is there, as the cluster itself said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSeen {
    /// "Kubernetes 1.34.4, 3 nodes".
    pub summary: String,
    /// `None`: they may not be listed.
    pub namespaces: Option<Vec<String>>,
    /// Where they may not be listed: those that were asked for by name, and whether they are there.
    #[serde(default)]
    pub looked_for: Vec<(String, bool)>,
    /// For whom a pattern is filled, those that are on this target first.
    #[serde(default)]
    pub homes: Vec<Home>,
    /// What works and what does not.
    pub findings: Vec<Finding>,
    /// What is needed, and whether it is granted, by the namespace it was asked for.
    pub needs: Vec<Need>,
    /// The smallest role and binding that would do, as text to apply.
    pub role: String,
}

/// A project in an environment: services of it live in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    pub project: Name,
    pub environment: Name,
    /// The environment is on this target; else it is an example of another.
    pub is_here: bool,
}

/// Where a pattern leads, for one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub environment: Name,
    pub is_here: bool,
    /// Or why there is none.
    pub namespace: Result<String, Wrong>,
    /// `None`: nobody may say.
    pub is_there: Option<bool>,
    /// How many of the things that are needed are not granted in it. `None`: that was not asked.
    pub not_granted: Option<usize>,
}

impl ClusterSeen {
    /// Where a pattern leads for each environment there is. Projects that share a namespace are told
    /// once.
    #[must_use]
    pub fn hits(&self, pattern: &NamespacePattern) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        for home in &self.homes {
            let namespace = pattern.fill(&home.project, &home.environment);
            let (is_there, not_granted) = match &namespace {
                Ok(name) => (self.is_there(name), self.not_granted(name)),
                Err(_) => (Some(false), None),
            };
            let (environment, is_here) = (home.environment.clone(), home.is_here);
            let hit = Hit { environment, is_here, namespace, is_there, not_granted };
            if !hits.contains(&hit) {
                hits.push(hit);
            }
        }
        hits
    }

    /// Patterns that lead to namespaces that are there: such as fit the names of an environment or a
    /// project first, then each namespace by itself.
    #[must_use]
    pub fn patterns(&self) -> Vec<NamespacePattern> {
        let names = self.namespaces.as_deref().unwrap_or_default();
        let own = || names.iter().filter(|name| !name.starts_with("kube-"));
        let mut offered: Vec<NamespacePattern> = Vec::new();
        let mut offer = |text: &str| {
            if let Ok(pattern) = text.parse::<NamespacePattern>()
                && offered.len() < MOST_OFFERED
                && !offered.contains(&pattern)
            {
                offered.push(pattern);
            }
        };
        for home in &self.homes {
            for name in own() {
                let by_project = with_hole(name, home.project.as_str(), "{project}");
                let project = by_project.as_deref().unwrap_or(name);
                let both = with_hole(project, home.environment.as_str(), "{environment}");
                if let Some(found) = both.or(by_project) {
                    offer(&found);
                }
            }
        }
        own().for_each(|name| offer(name));
        offered
    }

    fn is_there(&self, namespace: &str) -> Option<bool> {
        let asked = self.looked_for.iter().find(|(name, _)| name == namespace);
        match (&self.namespaces, asked) {
            (_, Some((_, is_there))) => Some(*is_there),
            (Some(all), None) if all.iter().any(|name| name == namespace) => Some(true),
            // A list that was cut off says nothing of what is not on it.
            (Some(all), None) if all.len() < MOST_NAMESPACES => Some(false),
            (Some(_) | None, None) => None,
        }
    }

    fn not_granted(&self, namespace: &str) -> Option<usize> {
        let of_it =
            || self.needs.iter().filter(|need| need.namespace.as_deref() == Some(namespace));
        of_it().next()?;
        Some(of_it().filter(|need| !need.missing.is_empty()).count())
    }
}

/// `text` with `word`, where it stands between dashes or ends, replaced by `hole`.
fn with_hole(text: &str, word: &str, hole: &str) -> Option<String> {
    text.match_indices(word).find_map(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let whole = (before.is_empty() || before.ends_with('-'))
            && (after.is_empty() || after.starts_with('-'));
        whole.then(|| format!("{before}{hole}{after}"))
    })
}

/// One thing that is needed of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// `None`: in the whole cluster.
    pub namespace: Option<String>,
    /// "deployments.apps".
    pub on: String,
    /// "get", "patch".
    pub verbs: Vec<String>,
    /// Those of them that are not granted.
    pub missing: Vec<String>,
    /// What it is needed for.
    pub what_for: String,
    /// What does not work without it, as a sentence.
    pub without: String,
    /// Whether rollouts work without it.
    pub optional: bool,
}

/// The page of all targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetsPage {
    /// Oldest first: this machine.
    pub targets: Vec<TargetRow>,
    pub may_edit: bool,
}

/// A target in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRow {
    pub id: TargetId,
    pub name: String,
    /// Else it is this machine.
    pub is_cluster: bool,
    /// Whether it answered when it was asked last, and what it is or why it did not.
    pub answers: Option<bool>,
    pub says: String,
    /// The environments on it, for those who may edit targets.
    pub environments: Vec<String>,
}

/// The page of one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPage {
    pub row: TargetRow,
    /// Goes up with each change of how it is reached.
    pub version: i32,
    #[serde(with = "time::serde::rfc3339::option")]
    pub asked_at: Option<OffsetDateTime>,
    /// For those who may edit it.
    pub cluster: Option<ClusterCard>,
    pub may_edit: bool,
}

/// How a cluster is reached, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterCard {
    /// Else the service account that we run as.
    pub has_credentials: bool,
    pub context: Option<String>,
    pub contexts: Vec<ContextRead>,
    pub namespaces: NamespacePattern,
    /// `None`: nothing comes in from outside.
    pub entrance: Option<Entrance>,
    pub probe_image: Option<ImageReference>,
    pub set_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub set_at: OffsetDateTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(namespaces: Option<&[&str]>) -> ClusterSeen {
        let home = |project: &str, environment: &str, is_here| Home {
            project: project.parse().expect("a name"),
            environment: environment.parse().expect("a name"),
            is_here,
        };
        let need = |namespace: &str, missing: &[&str]| Need {
            namespace: Some(namespace.to_owned()),
            on: "deployments.apps".to_owned(),
            verbs: vec!["get".to_owned()],
            missing: missing.iter().map(ToString::to_string).collect(),
            what_for: String::new(),
            without: String::new(),
            optional: false,
        };
        ClusterSeen {
            summary: String::new(),
            namespaces: namespaces.map(|all| all.iter().map(ToString::to_string).collect()),
            looked_for: Vec::new(),
            homes: vec![home("shop", "rehearsal", true), home("blog", "rehearsal", true)],
            findings: Vec::new(),
            needs: vec![need("e2e-rehearsal", &[]), need("shop-rehearsal", &["get"])],
            role: String::new(),
        }
    }

    fn pattern(text: &str) -> NamespacePattern {
        text.parse().expect("a pattern")
    }

    #[test]
    fn a_pattern_says_where_it_leads_and_whether_that_is_there() {
        let listed = seen(Some(&["e2e-rehearsal", "kube-system"]));

        let one = listed.hits(&pattern("e2e-{environment}"));
        assert_eq!(one.len(), 1, "projects share it: {one:?}");
        assert_eq!(one[0].namespace.as_deref(), Ok("e2e-rehearsal"));
        assert_eq!((one[0].is_there, one[0].not_granted), (Some(true), Some(0)));

        let each = listed.hits(&pattern("{project}-{environment}"));
        let told: Vec<_> = each.iter().map(|hit| (hit.is_there, hit.not_granted)).collect();
        assert_eq!(told, [(Some(false), Some(1)), (Some(false), None)]);

        let long = format!("{}-{{project}}", "a".repeat(60));
        assert!(listed.hits(&pattern(&long))[0].namespace.is_err());
    }

    #[test]
    fn where_namespaces_may_not_be_listed_only_those_asked_for_are_known() {
        let mut hidden = seen(None);
        hidden.looked_for = vec![("shop-rehearsal".to_owned(), true)];

        let each = hidden.hits(&pattern("{project}-{environment}"));

        assert_eq!(each.iter().map(|hit| hit.is_there).collect::<Vec<_>>(), [Some(true), None]);
        assert_eq!(hidden.patterns(), []);
    }

    #[test]
    fn patterns_are_offered_by_what_is_there() {
        let listed = seen(Some(&["default", "e2e-rehearsal", "kube-system", "shop-rehearsals"]));

        let offered: Vec<_> = listed.patterns().iter().map(ToString::to_string).collect();

        // No half words, and nothing of the cluster itself.
        assert_eq!(offered[..2], ["e2e-{environment}", "{project}-rehearsals"]);
        assert!(offered.contains(&"default".to_owned()), "{offered:?}");
        assert!(!offered.iter().any(|one| one.starts_with("kube-")), "{offered:?}");
    }

    #[test]
    fn a_context_is_told_without_a_secret() {
        let context = ContextRead {
            name: "staging".to_owned(),
            server: "https://c.example:6443".to_owned(),
            user: "robot".to_owned(),
            namespace: Some("shop".to_owned()),
        };

        assert_eq!(context.line(), "staging: robot at https://c.example:6443, namespace shop");
        let old = ContextRead { name: "staging".to_owned(), ..ContextRead::default() };
        assert_eq!(old.line(), "staging");
    }
}
