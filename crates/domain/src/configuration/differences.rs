//! Configurations of one service side by side, an environment a column: what is missing, what
//! differs. Secrets are told by name and version only: equal values can not be told from others.

use super::{Configuration, Variable};
use crate::name::VariableName;
use std::collections::BTreeSet;

/// One name, and what it is in each column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub name: VariableName,
    /// What it is for, where any column says so.
    pub description: String,
    /// In the order of the columns.
    pub cells: Vec<Told>,
    /// It is missing somewhere, or its values, or what it is, differ.
    pub differs: bool,
}

/// What one environment tells its instances under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Missing,
    Variable(Variable),
    Secret { version: i32 },
}

impl Told {
    fn of(configuration: &Configuration, name: &VariableName) -> Self {
        if let Some(variable) = configuration.variables.0.get(name) {
            return Self::Variable(variable.clone());
        }
        match configuration.secrets.0.get(name) {
            Some(version) => Self::Secret { version: version.version },
            None => Self::Missing,
        }
    }

    fn is_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Missing, Self::Missing) | (Self::Secret { .. }, Self::Secret { .. }) => true,
            (Self::Variable(one), Self::Variable(two)) => one.value() == two.value(),
            (Self::Missing | Self::Secret { .. } | Self::Variable(_), _) => false,
        }
    }
}

/// All names of all columns: those that differ first, each part in the order of the names.
#[must_use]
pub fn side_by_side(columns: &[&Configuration]) -> Vec<Line> {
    let names: BTreeSet<&VariableName> =
        columns.iter().flat_map(|one| one.variables.0.keys().chain(one.secrets.0.keys())).collect();
    let mut lines: Vec<Line> = names.into_iter().map(|name| line(name, columns)).collect();
    lines.sort_by_key(|line| !line.differs);
    lines
}

fn line(name: &VariableName, columns: &[&Configuration]) -> Line {
    let cells: Vec<Told> = columns.iter().map(|column| Told::of(column, name)).collect();
    let described = cells.iter().find_map(|cell| match cell {
        Told::Variable(variable) => Some(variable.description()).filter(|said| !said.is_empty()),
        Told::Missing | Told::Secret { .. } => None,
    });
    Line {
        name: name.clone(),
        description: described.unwrap_or_default().to_owned(),
        differs: cells.windows(2).any(|pair| !pair[0].is_as(&pair[1])),
        cells,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        configuration::{Variables, secret::Secrets, secret::Version},
        id::{ConfigurationId, SecretId},
        service::Limits,
    };
    use uuid::Uuid;

    fn configuration(variables: &str, secrets: &[(&str, i32)]) -> Configuration {
        let version = |version| Version { secret: SecretId(Uuid::nil()), version };
        let secrets = secrets.iter().map(|(name, n)| (name.parse().expect("a name"), version(*n)));
        Configuration {
            id: ConfigurationId(Uuid::nil()),
            number: 1,
            variables: Variables::parse(variables, &Variables::default()).expect("good"),
            secrets: Secrets(secrets.collect()),
            limits: Limits::DEFAULT,
        }
    }

    #[test]
    fn what_differs_comes_first_and_each_column_says_what_it_has() {
        let local = configuration("SAME=1\nURL=a\nONLY=x\nKEY=plain", &[("TOKEN", 1)]);
        let production = configuration("SAME=1\nURL=b", &[("KEY", 2), ("TOKEN", 7)]);

        let lines = side_by_side(&[&local, &production]);

        let told: Vec<_> = lines.iter().map(|l| (l.name.as_str(), l.differs)).collect();
        let expected =
            [("KEY", true), ("ONLY", true), ("URL", true), ("SAME", false), ("TOKEN", false)];
        assert_eq!(told, expected);
        assert_eq!(lines[0].cells[1], Told::Secret { version: 2 });
        assert_eq!(lines[1].cells[1], Told::Missing);
    }

    #[test]
    fn one_environment_differs_from_nothing() {
        let lines = side_by_side(&[&configuration("A=1", &[])]);
        assert!(lines.iter().all(|line| !line.differs));
    }
}
