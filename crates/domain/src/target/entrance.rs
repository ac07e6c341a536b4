//! How what runs on a cluster is reached: from outside by a host name, where the target says how those
//! are formed, else inside the cluster only.

use crate::name::{HostName, Name, Wrong, words};
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, fmt, str::FromStr};

/// The port on which a service is reached inside its cluster.
pub const INSIDE_PORT: u16 = 80;

/// What in a pattern stands for which name.
const HOLES: [&str; 3] = ["{service}", "{project}", "{environment}"];

/// Where requests from outside come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrance {
    pub hosts: HostPattern,
    /// Who serves it. `None`: the cluster's own choice.
    pub class: Option<ObjectName>,
    /// What holds the certificate, in each namespace. `None`: requests come in the clear.
    pub certificate: Option<ObjectName>,
}

impl Entrance {
    /// The address of a host name that comes in here.
    #[must_use]
    pub fn url(&self, host: &HostName) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{host}")
    }
}

words! {
    /// The host names of a target's services, such as `{service}.{project}.{environment}.example.com`:
    /// what stands in braces is filled in.
    HostPattern = |typed| {
        let pattern = typed.trim().trim_end_matches('.').to_ascii_lowercase();
        if !pattern.contains(HOLES[0]) {
            return Err(Wrong::new(
                "A pattern of host names has {service} in it, or two services would share a name: for \
                 example {service}.{project}.{environment}.example.com.",
            ));
        }
        // As long as the shortest names make it: whether real ones fit is seen when it is filled.
        let sample = HOLES.iter().fold(pattern.clone(), |filled, hole| filled.replace(hole, "x"));
        if sample.contains(['{', '}']) {
            return Err(Wrong::new(
                "Only {service}, {project} and {environment} can be filled in.",
            ));
        }
        if !sample.contains('.') {
            return Err(Wrong::new(
                "A host name from outside has a domain: for example {service}.example.com.",
            ));
        }
        sample.parse::<HostName>()?;
        Ok(pattern)
    };

    /// The name of an object of a cluster: small letters, digits, dashes and dots, 253 at most.
    ObjectName = |typed| {
        let name = typed.trim();
        let of_word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let good = |word: &str| {
            !word.is_empty()
                && !word.starts_with('-')
                && !word.ends_with('-')
                && word.bytes().all(of_word)
        };
        if name.len() > 253 || !name.split('.').all(good) {
            return Err(Wrong::new(
                "A name on a cluster has 1 to 253 small letters, digits, dashes and dots, and begins \
                 and ends with a letter or a digit.",
            ));
        }
        Ok(name.to_owned())
    };
}

impl HostPattern {
    /// The host name of a service of a project in an environment.
    ///
    /// # Errors
    ///
    /// A sentence, when the names are too long for one.
    pub fn fill(
        &self,
        service: &Name,
        project: &Name,
        environment: &Name,
    ) -> Result<HostName, Wrong> {
        let names = [service, project, environment];
        let filled = HOLES
            .iter()
            .zip(names)
            .fold(self.0.clone(), |filled, (hole, name)| filled.replace(hole, name.as_str()));
        let too_long = |what: String, most: usize| {
            Wrong::new(format!(
                "The host name {filled} would have {what}, and {most} is the most. Shorten the \
                 pattern of the target, or a name in it."
            ))
        };
        if filled.len() > 253 {
            return Err(too_long(format!("{} characters", filled.len()), 253));
        }
        if let Some(long) = filled.split('.').find(|word| word.len() > 63) {
            return Err(too_long(format!("a word of {} characters", long.len()), 63));
        }
        filled.parse()
    }
}

/// Where a service is reached inside its cluster.
#[must_use]
pub fn inside(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.svc:{INSIDE_PORT}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str, [service, project, environment]: [&str; 3]) -> Result<String, Wrong> {
        let name = |word: &str| word.parse::<Name>().expect("a name");
        let pattern: HostPattern = pattern.parse()?;
        let host = pattern.fill(&name(service), &name(project), &name(environment))?;
        Ok(host.to_string())
    }

    #[test]
    fn a_pattern_is_filled_with_names() {
        let names = ["api", "shop", "staging"];

        let all = filled(" {service}.{project}.{environment}.Example.com. ", names);
        assert_eq!(all.as_deref(), Ok("api.shop.staging.example.com"));
        let some = filled("{service}-{environment}.example.com", names);
        assert_eq!(some.as_deref(), Ok("api-staging.example.com"));
        // What is filled in is not looked through again.
        let odd = filled("{service}.x.example.com", ["project", "shop", "staging"]);
        assert_eq!(odd.as_deref(), Ok("project.x.example.com"));
    }

    #[test]
    fn what_is_no_pattern_of_host_names_is_told_so() {
        let told = [
            ("", "{service}"),
            ("{project}.example.com", "{service}"),
            ("{service}", "domain"),
            ("{service}.{team}.example.com", "Only {service}"),
            ("{service}.example.com:80", "host name"),
            ("https://{service}.example.com", "host name"),
            ("-{service}.example.com", "host name"),
            ("{service}..example.com", "host name"),
            ("*.{service}.example.com", "host name"),
        ];
        for (typed, says) in told {
            let wrong = typed.parse::<HostPattern>().expect_err(typed);
            assert!(wrong.0.contains(says), "{typed}: {wrong}");
        }
        let domain = ["a".repeat(60), "b".repeat(60), "c".repeat(60), "d".repeat(60)].join(".");
        assert!(format!("{{service}}.{domain}").parse::<HostPattern>().is_ok());
        assert!(format!("{{service}}.{domain}.eeeeeeeeeeeee").parse::<HostPattern>().is_err());
        assert!(format!("{{service}}{}.com", "a".repeat(63)).parse::<HostPattern>().is_err());
    }

    #[test]
    fn names_that_are_too_long_together_are_told_so() {
        let long = "a".repeat(40);
        let names = [long.as_str(); 3];

        let word = filled("{service}-{project}.example.com", names).expect_err("81 of 63");
        assert!(word.0.contains("a word of 81 characters, and 63"), "{word}");

        let domain = ["b".repeat(63), "c".repeat(63), "com".to_owned()].join(".");
        let whole = filled(&format!("{{service}}.{{project}}.{{environment}}.{domain}"), names);
        let whole = whole.expect_err("254 characters");
        assert!(whole.0.contains("characters, and 253"), "{whole}");
    }

    #[test]
    fn an_address_says_whether_it_is_in_the_clear() {
        let host: HostName = "api.example.com".parse().expect("a host name");
        let mut entrance = Entrance {
            hosts: "{service}.example.com".parse().expect("a pattern"),
            class: None,
            certificate: None,
        };

        assert_eq!(entrance.url(&host), "http://api.example.com");
        entrance.certificate = Some("wildcard".parse().expect("a name"));
        assert_eq!(entrance.url(&host), "https://api.example.com");
        assert_eq!(inside("api", "shop-staging"), "api.shop-staging.svc:80");
    }

    #[test]
    fn names_on_a_cluster_are_held_to_its_rules() {
        for good in ["nginx", "internal.example", "a1-b", &"a".repeat(253)] {
            assert!(good.parse::<ObjectName>().is_ok(), "{good}");
        }
        for bad in ["", "Nginx", "a_b", "-a", "a-", "a..b", ".a", "a b", &"a".repeat(254)] {
            assert!(bad.parse::<ObjectName>().is_err(), "{bad}");
        }
    }
}
