//! Configurations: immutable, numbered revisions of what a placement's instances are told, and of
//! what they may use.
//!
//! A variable has a type and a description beside its value. A secret is only named, with its
//! version: whoever brings a configuration back brings back the secrets that were live with it. The
//! values of secrets are never here.

pub mod differences;
pub mod env_file;
pub mod import;
pub mod secret;
pub mod variable;

use crate::{
    id::ConfigurationId,
    name::{VariableName, Wrong},
    service::Limits,
};
use secret::Secrets;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
pub use variable::{Variable, VariableType};

/// What an instance is told by its environment, and what it may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    pub id: ConfigurationId,
    /// Counts from 1 in each placement.
    pub number: i32,
    pub variables: Variables,
    /// By name, never with a value.
    #[serde(default)]
    pub secrets: Secrets,
    pub limits: Limits,
}

/// Variables by name, with their types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variables(pub BTreeMap<VariableName, Variable>);

/// The most variables a configuration has.
pub const MOST_VARIABLES: usize = 200;
/// The longest value, in bytes.
pub const LONGEST_VALUE: usize = 8 * 1024;

impl Variables {
    /// Reads them as an `.env` file tells them. What `now` has keeps its type and its description;
    /// what is new is text. The error names the first bad line.
    pub fn parse(typed: &str, now: &Self) -> Result<Self, Wrong> {
        let file = env_file::parse(typed)?;
        if let Some(refused) = file.refused.first() {
            return Err(Wrong::new(refused.to_string()));
        }
        let mut variables = BTreeMap::new();
        for line in file.lines {
            let variable = now
                .told(&line.name, line.value)
                .map_err(|wrong| Wrong::new(format!("Line {}: {wrong}", line.number)))?;
            variables.insert(line.name, variable);
        }
        Self(variables).checked()
    }

    /// The variable `name` with another value. One that is not there yet is text.
    pub fn told(&self, name: &VariableName, value: String) -> Result<Variable, Wrong> {
        match self.0.get(name) {
            Some(variable) => variable.clone().with(&value),
            None => Variable::text(value),
        }
    }

    /// Not too many.
    pub fn checked(self) -> Result<Self, Wrong> {
        if self.0.len() > MOST_VARIABLES {
            let sentence = format!("A configuration has at most {MOST_VARIABLES} variables.");
            return Err(Wrong::new(sentence));
        }
        Ok(self)
    }

    /// The lines that `parse` reads.
    #[must_use]
    pub fn to_lines(&self) -> String {
        self.0.iter().map(|(name, of)| env_file::line(name, of.value())).collect()
    }
}

impl Configuration {
    /// All of it but the values of secrets, as an `.env` file: descriptions and the names of secrets
    /// are comments.
    #[must_use]
    pub fn to_env_file(&self) -> String {
        let mut file = String::new();
        for (name, variable) in &self.variables.0 {
            for line in variable.description().lines() {
                file.push_str(&format!("# {line}\n"));
            }
            file.push_str(&env_file::line(name, variable.value()));
        }
        for name in self.secrets.0.keys() {
            file.push_str(&format!("# {name} is a secret and is not in this file.\n"));
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(typed: &str) -> Result<Variables, Wrong> {
        Variables::parse(typed, &Variables::default())
    }

    #[test]
    fn what_is_written_can_be_read_again() {
        let variables = parse("# a comment\nA=1\n\nB='x=y '\r\n").expect("good");

        assert_eq!(variables.to_lines(), "A=1\nB='x=y '\n");
        assert_eq!(parse(&variables.to_lines()).expect("good"), variables);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let wrong = |typed: &str| parse(typed).expect_err("bad").0;

        assert!(wrong("A=1\nB").starts_with("Line 2"));
        assert!(wrong("A=1\nA=2").contains("twice"));
        assert!(wrong("1A=2").starts_with("Line 1"));
    }

    #[test]
    fn what_was_stored_before_there_were_types_is_text_and_what_needs_none_is_stored_as_then() {
        let old = r#"{"A":"1","B":""}"#;
        let variables: Variables = serde_json::from_str(old).expect("readable");

        assert_eq!(variables, parse("A=1\nB=").expect("good"));
        assert_eq!(serde_json::to_string(&variables).expect("written"), old);
    }

    #[test]
    fn text_keeps_the_types_that_are_there() {
        let number = Variable::new(VariableType::Number, "1").expect("good");
        let now = Variables([("N".parse().expect("a name"), number)].into());

        let read = Variables::parse("N=2\nNEW=x", &now).expect("good");
        assert_eq!(read.0["N"].kind(), &VariableType::Number);
        assert_eq!(read.0["NEW"].kind(), &VariableType::Text);
        let wrong = Variables::parse("\nN=many", &now).expect_err("no number").0;
        assert!(wrong.starts_with("Line 2"), "{wrong}");
    }

    #[test]
    fn a_file_names_secrets_and_holds_none() {
        let configuration = Configuration {
            id: ConfigurationId(uuid::Uuid::nil()),
            number: 1,
            variables: Variables(
                [(
                    "A".parse().expect("a name"),
                    Variable::text("1".to_owned()).expect("good").described("Two\nlines").unwrap(),
                )]
                .into(),
            ),
            secrets: Secrets(
                [(
                    "KEY".parse().expect("a name"),
                    secret::Version { secret: crate::id::SecretId(uuid::Uuid::nil()), version: 3 },
                )]
                .into(),
            ),
            limits: Limits::DEFAULT,
        };

        let file = configuration.to_env_file();
        assert_eq!(file, "# Two\n# lines\nA=1\n# KEY is a secret and is not in this file.\n");
        assert_eq!(parse(&file).expect("readable").0.len(), 1);
    }
}
