//! Configurations: immutable, numbered revisions of a placement's variables and limits.

use crate::{
    id::ConfigurationId,
    name::{VariableName, Wrong},
    service::Limits,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an instance is told by its environment, and what it may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    pub id: ConfigurationId,
    /// Counts from 1 in each placement.
    pub number: i32,
    pub variables: Variables,
    pub limits: Limits,
}

/// Plain variables, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variables(pub BTreeMap<VariableName, String>);

/// The most variables a configuration has.
pub const MOST_VARIABLES: usize = 200;
/// The longest value, in bytes.
pub const LONGEST_VALUE: usize = 8 * 1024;

impl Variables {
    /// Reads `NAME=value` lines, as people paste them. Empty lines and lines that begin with `#`
    /// are passed over. The error names the line and keeps the rest as it was typed.
    pub fn parse(typed: &str) -> Result<Self, Wrong> {
        let mut variables = BTreeMap::new();
        for (index, line) in typed.lines().enumerate() {
            let line = line.trim_end_matches('\r');
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            let at = index + 1;
            let Some((name, value)) = line.split_once('=') else {
                return Err(Wrong::new(format!("Line {at}: a variable is NAME=value.")));
            };
            let name: VariableName =
                name.parse().map_err(|wrong| Wrong::new(format!("Line {at}: {wrong}")))?;
            if value.len() > LONGEST_VALUE {
                return Err(Wrong::new(format!("Line {at}: a value has at most 8 KiB.")));
            }
            if value.contains('\0') {
                return Err(Wrong::new(format!("Line {at}: a value can not hold a zero byte.")));
            }
            if variables.contains_key(&name) {
                return Err(Wrong::new(format!("Line {at}: {name} is there twice.")));
            }
            variables.insert(name, value.to_owned());
        }
        if variables.len() > MOST_VARIABLES {
            return Err(Wrong::new(format!(
                "A configuration has at most {MOST_VARIABLES} variables."
            )));
        }
        Ok(Self(variables))
    }

    /// The lines that `parse` reads.
    #[must_use]
    pub fn to_lines(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_again() {
        let typed = "# a comment\nA=1\n\nB=x=y \r\n";
        let variables = Variables::parse(typed).expect("good");

        assert_eq!(variables.to_lines(), "A=1\nB=x=y \n");
        assert_eq!(Variables::parse(&variables.to_lines()).expect("good"), variables);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let wrong = |typed: &str| Variables::parse(typed).expect_err("bad").0;

        assert!(wrong("A=1\nB").starts_with("Line 2"));
        assert!(wrong("A=1\nA=2").contains("twice"));
        assert!(wrong("1A=2").starts_with("Line 1"));
    }
}
