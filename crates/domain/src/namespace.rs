//! How a cluster's namespaces are named after projects and environments.

use crate::name::{Name, Wrong};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The most characters a namespace's name may have.
const MOST: usize = 63;

/// A pattern such as `{project}-{environment}`: what stands in braces is filled in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamespacePattern(String);

impl NamespacePattern {
    /// The namespace of a project in an environment.
    ///
    /// # Errors
    ///
    /// A sentence, when the names are too long for one.
    pub fn fill(&self, project: &Name, environment: &Name) -> Result<String, Wrong> {
        let filled = self
            .0
            .replace("{project}", project.as_str())
            .replace("{environment}", environment.as_str());
        if filled.len() > MOST {
            return Err(Wrong::new(format!(
                "The namespace {filled} would have {} characters, and {MOST} is the most. Shorten \
                 the pattern of the target.",
                filled.len()
            )));
        }
        Ok(filled)
    }

    /// The pattern itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for NamespacePattern {
    fn default() -> Self {
        Self("{project}-{environment}".to_owned())
    }
}

impl FromStr for NamespacePattern {
    type Err = Wrong;

    fn from_str(typed: &str) -> Result<Self, Wrong> {
        let typed = typed.trim();
        // As long as the shortest names make it: whether real ones fit is seen when it is filled.
        let sample = typed.replace("{project}", "p").replace("{environment}", "e");
        let of_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends = |c: Option<char>| c.is_some_and(|c| c != '-' && of_label(c));
        let good = sample.chars().all(of_label)
            && ends(sample.chars().next())
            && ends(sample.chars().next_back())
            && sample.len() <= MOST;
        if !good {
            return Err(Wrong::new(
                "A namespace pattern has small letters, digits, \"-\", {project} and {environment}, \
                 for example {project}-{environment}.",
            ));
        }
        Ok(Self(typed.to_owned()))
    }
}

impl TryFrom<String> for NamespacePattern {
    type Error = Wrong;

    fn try_from(typed: String) -> Result<Self, Wrong> {
        typed.parse()
    }
}

impl From<NamespacePattern> for String {
    fn from(pattern: NamespacePattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for NamespacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_filled_with_names() {
        let [shop, staging] = ["shop", "staging"].map(|name| name.parse::<Name>().unwrap());
        let fill = |pattern: &str| {
            pattern.parse::<NamespacePattern>().unwrap().fill(&shop, &staging).unwrap()
        };

        assert_eq!(fill("{project}-{environment}"), "shop-staging");
        assert_eq!(fill("apps"), "apps");
        assert_eq!(fill("x{environment}"), "xstaging");
    }

    #[test]
    fn what_is_no_namespace_is_told_so() {
        for typed in ["", "{project}-", "-{project}", "{what}", "A", "a_b", "a.b", &"a".repeat(64)]
        {
            assert!(typed.parse::<NamespacePattern>().is_err(), "{typed}");
        }
    }

    #[test]
    fn names_that_are_too_long_together_are_told_so() {
        let long: Name = "a".repeat(40).parse().unwrap();

        let wrong = NamespacePattern::default().fill(&long, &long).unwrap_err();

        assert!(wrong.0.contains("81 characters"), "{wrong}");
    }
}
