//! What instances are told: the variables of a configuration and the values of its secrets, which are
//! opened here, when a slot is filled, and nowhere else.

use crate::context::Context;
use domain::{
    configuration::{Configuration, secret::Version},
    name::VariableName,
    target::{Finding, PlanVariables, Verdict},
};
use std::collections::HashMap;
use tracing::warn;

/// What a configuration tells.
#[derive(Debug)]
pub(crate) struct Told {
    pub variables: PlanVariables,
    /// Secrets that were opened, with their versions.
    opened: Vec<(VariableName, i32)>,
    /// Secrets that can not be opened any more.
    lost: Vec<VariableName>,
}

impl Told {
    /// What is told, if nothing of it is lost.
    pub fn whole(self) -> Result<PlanVariables, String> {
        match self.lost_in_words() {
            None => Ok(self.variables),
            Some(lost) => Err(lost),
        }
    }

    /// What preflight says of the secrets, where there are any. What fills a slot needs them; what
    /// runs already does not.
    pub fn finding(&self, runs_already: bool) -> Option<Finding> {
        let question = "The secrets can be opened".to_owned();
        match self.lost_in_words() {
            Some(detail) => {
                let verdict = if runs_already { Verdict::Warn } else { Verdict::Refuse };
                Some(Finding { question, verdict, detail })
            }
            None if self.opened.is_empty() => None,
            None => {
                let opened = self.opened.iter().map(|(name, n)| format!("{name} version {n}"));
                let detail = opened.collect::<Vec<_>>().join(", ");
                Some(Finding { question, verdict: Verdict::Pass, detail })
            }
        }
    }

    fn lost_in_words(&self) -> Option<String> {
        let names: Vec<&str> = self.lost.iter().map(VariableName::as_str).collect();
        match names.as_slice() {
            [] => None,
            [one] => Some(format!(
                "the value of {one} is lost with the key it was sealed with; set it anew, then \
                 roll out again"
            )),
            [some @ .., last] => Some(format!(
                "the values of {} and {last} are lost with the key they were sealed with; set them \
                 anew, then roll out again",
                some.join(", ")
            )),
        }
    }
}

/// Opens what a configuration names.
pub(crate) async fn told(context: &Context, configuration: &Configuration) -> store::Result<Told> {
    let plain = &configuration.variables.0;
    let mut told = Told {
        variables: plain.iter().map(|(name, of)| (name.clone(), of.value().to_owned())).collect(),
        opened: Vec::new(),
        lost: Vec::new(),
    };
    if configuration.secrets.0.is_empty() {
        return Ok(told);
    }
    let named: Vec<Version> = configuration.secrets.0.values().copied().collect();
    let mut conn = context.pool.acquire().await.map_err(store::Error::from)?;
    let sealed = store::secrets::sealed(&mut conn, &named).await?;
    drop(conn);
    let sealed: HashMap<_, _> =
        sealed.iter().map(|one| ((one.version.secret, one.version.version), one)).collect();
    for (name, version) in &configuration.secrets.0 {
        let found = sealed.get(&(version.secret, version.version));
        let opened = found.map(|found| context.vault.unseal(&version.about(), &found.value));
        match opened {
            Some(Ok(value)) => {
                told.variables.add_secret(name.clone(), value.expose().to_owned());
                told.opened.push((name.clone(), version.version));
            }
            Some(Err(why)) => {
                warn!(%name, version = version.version, %why, "A secret can not be opened");
                told.lost.push(name.clone());
            }
            None => told.lost.push(name.clone()),
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(opened: &[&str], lost: &[&str]) -> Told {
        let name = |word: &&str| word.parse::<VariableName>().expect("a name");
        Told {
            variables: PlanVariables::default(),
            opened: opened.iter().map(|word| (name(word), 2)).collect(),
            lost: lost.iter().map(name).collect(),
        }
    }

    #[test]
    fn lost_values_are_named_and_stop_what_needs_them() {
        assert_eq!(told(&[], &[]).finding(false), None);
        let good = told(&["A", "B"], &[]).finding(false).expect("told");
        assert_eq!((good.verdict, &*good.detail), (Verdict::Pass, "A version 2, B version 2"));
        let bad = told(&["A"], &["B", "C", "D"]).finding(false).expect("told");
        assert_eq!(bad.verdict, Verdict::Refuse);
        assert!(bad.detail.starts_with("the values of B, C and D are lost"), "{}", bad.detail);
        let runs = told(&[], &["B"]).finding(true).expect("told");
        assert_eq!(runs.verdict, Verdict::Warn);
        assert!(told(&[], &["B"]).whole().is_err_and(|why| why.contains("value of B is lost")));
    }
}
