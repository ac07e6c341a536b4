//! Variables as rows of a form, there and back: a row for each, and empty ones for what is new.

use domain::{
    configuration::{Variable, VariableType, Variables},
    error::Problem,
    name::VariableName,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A variable as it is typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VariableRow {
    pub name: String,
    /// The word of a [`VariableType`].
    pub kind: String,
    pub value: String,
    /// Of a choice, with commas between.
    pub options: String,
    pub description: String,
    /// A checkbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<String>,
}

/// The name of a field: `rows[2][value]`.
#[must_use]
pub fn field(row: usize, part: &str) -> String {
    format!("rows[{row}][{part}]")
}

impl VariableRow {
    /// As it stands in the form at first.
    #[must_use]
    pub fn of(name: &VariableName, variable: &Variable) -> Self {
        Self {
            name: name.to_string(),
            kind: variable.kind().as_str().to_owned(),
            value: variable.value().to_owned(),
            options: variable.kind().options(),
            description: variable.description().to_owned(),
            remove: None,
        }
    }

    fn is_empty(&self) -> bool {
        [&self.name, &self.value, &self.description].iter().all(|typed| typed.trim().is_empty())
    }

    fn read(&self, row: usize) -> Result<(VariableName, Variable), Problem> {
        let wrong = |part, wrong| Problem::invalid(field(row, part), wrong);
        let name: VariableName = self.name.parse().map_err(|w| wrong("name", w))?;
        let kind = VariableType::read(&self.kind, &self.options);
        let kind = kind.map_err(|w| wrong("options", w))?;
        // Browsers send two bytes for a line break.
        let value = self.value.replace("\r\n", "\n");
        let variable = Variable::new(kind, &value).map_err(|w| wrong("value", w))?;
        let variable =
            variable.described(&self.description).map_err(|w| wrong("description", w))?;
        Ok((name, variable))
    }
}

/// Reads the rows, without the empty and the removed ones. The refusal names the field of its row.
pub fn read(rows: &[VariableRow]) -> Result<Variables, Problem> {
    let mut variables = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        if row.remove.is_some() || row.is_empty() {
            continue;
        }
        let (name, variable) = row.read(at)?;
        if variables.contains_key(&name) {
            let sentence = format!("{name} is there twice.");
            return Err(Problem::invalid(field(at, "name"), sentence));
        }
        variables.insert(name, variable);
    }
    Ok(Variables(variables))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, kind: &str, value: &str) -> VariableRow {
        let (name, kind, value) = (name.to_owned(), kind.to_owned(), value.to_owned());
        VariableRow { name, kind, value, ..VariableRow::default() }
    }

    #[test]
    fn rows_are_read_without_the_empty_and_the_removed_and_come_back_the_same() {
        let gone = VariableRow { remove: Some("yes".to_owned()), ..row("GONE", "number", "x") };
        let rows =
            [row("A", "", "two\r\nlines"), row(" ", "text", ""), gone, row("N", "number", "3")];

        let variables = read(&rows).expect("good");

        assert_eq!(variables.0.len(), 2);
        assert_eq!(variables.0["A"].value(), "two\nlines");
        let again: Vec<_> =
            variables.0.iter().map(|(name, one)| VariableRow::of(name, one)).collect();
        assert_eq!(read(&again).expect("good"), variables);
    }

    #[test]
    fn what_is_wrong_is_said_at_the_field_of_its_row() {
        let field_of = |rows: &[VariableRow]| {
            read(rows).expect_err("bad").field().map(ToOwned::to_owned).expect("a field")
        };
        assert_eq!(field_of(&[row("A", "", ""), row("N", "number", "x")]), "rows[1][value]");
        assert_eq!(field_of(&[row("", "", "x")]), "rows[0][name]");
        assert_eq!(field_of(&[row("A", "choice", "x")]), "rows[0][options]");
        assert_eq!(field_of(&[row("A", "", ""), row("A", "", "")]), "rows[1][name]");
    }

    #[test]
    fn a_posted_form_is_read_as_rows() {
        let posted = "rows%5B0%5D%5Bname%5D=A&rows%5B0%5D%5Bvalue%5D=1&rows%5B1%5D%5Bname%5D=B";
        #[derive(Deserialize)]
        struct Posted {
            rows: Vec<VariableRow>,
        }
        let read: Posted = serde_qs::Config::new(5, false).deserialize_str(posted).expect("rows");
        assert_eq!(read.rows.len(), 2);
        assert_eq!((&*read.rows[0].value, &*read.rows[1].name), ("1", "B"));
    }
}
