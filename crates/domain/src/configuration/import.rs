//! What an `.env` file would change, before anything is saved. The page draws it while the text is
//! typed, and the server reads the same.

use super::{
    Configuration, MOST_VARIABLES, Variables,
    env_file::{self, Refused},
    secret,
};
use crate::name::{VariableName, Wrong};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// What becomes of variables that the file does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Keep,
    Remove,
}

impl Missing {
    /// The word of a form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Remove => "remove",
        }
    }

    /// Reads the word of a form.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        [Self::Keep, Self::Remove].into_iter().find(|missing| missing.as_str() == word)
    }
}

/// A file held against a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// What the next configuration would have.
    pub variables: Variables,
    pub added: Vec<(VariableName, String)>,
    /// With the value before and the one after.
    pub changed: Vec<(VariableName, String, String)>,
    /// With the value that would go.
    pub removed: Vec<(VariableName, String)>,
    /// Not in the file, and left as they are.
    pub kept: Vec<VariableName>,
    /// In the file with the value that they have.
    pub same: Vec<VariableName>,
    pub refused: Vec<Refused>,
    /// Added or changed with a name that promises a secret: everybody who sees the service would
    /// read it.
    pub sound_secret: Vec<VariableName>,
}

impl Import {
    /// Whether saving it would change anything.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Holds a file against what is so now. What can not be read, and what is a secret here, is refused
/// line by line and never removed for being refused.
pub fn import(typed: &str, missing: Missing, now: &Configuration) -> Result<Import, Wrong> {
    let file = env_file::parse(typed)?;
    let mut import = Import { refused: file.refused, ..Import::default() };
    let mut named: BTreeSet<VariableName> =
        import.refused.iter().filter_map(|refused| refused.name.clone()).collect();
    for line in file.lines {
        let mut refuse = |why: String| {
            let name = Some(line.name.clone());
            import.refused.push(Refused { number: line.number, name, why });
        };
        let before = now.variables.0.get(&line.name);
        if now.secrets.0.contains_key(&line.name) {
            refuse(format!("{} is a secret here and is set by itself.", line.name));
            continue;
        }
        let after = match now.variables.told(&line.name, line.value) {
            Ok(after) => after,
            Err(wrong) => {
                refuse(format!("{}: {wrong}", line.name));
                named.insert(line.name);
                continue;
            }
        };
        if before.is_none_or(|before| before.value() != after.value())
            && secret::sounds_secret(&line.name)
        {
            import.sound_secret.push(line.name.clone());
        }
        match before {
            None => import.added.push((line.name.clone(), after.shown())),
            Some(before) if before.value() == after.value() => {
                import.same.push(line.name.clone());
            }
            Some(before) => {
                import.changed.push((line.name.clone(), before.shown(), after.shown()));
            }
        }
        named.insert(line.name.clone());
        import.variables.0.insert(line.name, after);
    }
    import.refused.sort_by_key(|refused| refused.number);
    for (name, variable) in &now.variables.0 {
        if import.variables.0.contains_key(name) {
            continue;
        }
        if missing == Missing::Remove && !named.contains(name) {
            import.removed.push((name.clone(), variable.shown()));
        } else {
            import.kept.push(name.clone());
            import.variables.0.insert(name.clone(), variable.clone());
        }
    }
    if import.variables.0.len() > MOST_VARIABLES {
        let sentence = format!(
            "A configuration has at most {MOST_VARIABLES} variables, and this would make it {}.",
            import.variables.0.len()
        );
        return Err(Wrong::new(sentence));
    }
    Ok(import)
}

/// Says which text, taken how, was looked at: what is saved is what was previewed. Line breaks are
/// counted as one, because browsers send two bytes for them.
#[must_use]
pub fn seen(typed: &str, missing: Missing, based_on: i32) -> String {
    let mut sum = Sha256::new();
    sum.update(missing.as_str());
    sum.update(based_on.to_be_bytes());
    sum.update(typed.replace("\r\n", "\n"));
    sum.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        configuration::{Variable, VariableType, secret::Secrets, secret::Version},
        id::{ConfigurationId, SecretId},
        service::Limits,
    };
    use uuid::Uuid;

    fn name(word: &str) -> VariableName {
        word.parse().expect("a name")
    }

    fn now() -> Configuration {
        let mut variables = Variables::parse("A=1\nB=2\nC=3", &Variables::default()).expect("good");
        let number = Variable::new(VariableType::Number, "7").expect("good");
        variables.0.insert(name("N"), number);
        let version = Version { secret: SecretId(Uuid::nil()), version: 1 };
        Configuration {
            id: ConfigurationId(Uuid::nil()),
            number: 4,
            variables,
            secrets: Secrets([(name("KEY"), version)].into()),
            limits: Limits::DEFAULT,
        }
    }

    const FILE: &str = "A=1\nB=9\nNEW=x\nN=many\nKEY=hunter2\nbad line\nDB_PASSWORD=p\n";

    #[test]
    fn a_file_is_told_as_added_changed_kept_and_refused() {
        let import = import(FILE, Missing::Keep, &now()).expect("read");

        let added: Vec<_> = import.added.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(added, ["NEW", "DB_PASSWORD"]);
        assert_eq!(import.changed, [(name("B"), "2".to_owned(), "9".to_owned())]);
        assert_eq!(import.same, [name("A")]);
        assert_eq!(import.kept, [name("C"), name("N")]);
        assert_eq!(import.removed, []);
        let refused: Vec<_> = import.refused.iter().map(|refused| refused.number).collect();
        assert_eq!(refused, [4, 5, 6]);
        assert_eq!(import.sound_secret, [name("DB_PASSWORD")]);
        assert!(!format!("{import:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_missing_is_removed_where_that_is_asked_but_never_for_being_refused() {
        let import = import(FILE, Missing::Remove, &now()).expect("read");

        assert_eq!(import.removed, [(name("C"), "3".to_owned())]);
        assert_eq!(import.variables.0[&name("N")].value(), "7");
        assert!(!import.variables.0.contains_key(&name("KEY")));
    }

    #[test]
    fn its_own_file_changes_nothing() {
        let now = now();
        let import = import(&now.to_env_file(), Missing::Remove, &now).expect("read");

        assert!(import.changes_nothing() && import.refused.is_empty());
        assert_eq!(import.variables, now.variables);
    }

    #[test]
    fn too_many_are_refused_as_a_whole() {
        let many: String = (0..MOST_VARIABLES).map(|n| format!("X{n}=1\n")).collect();
        assert!(import(&many, Missing::Keep, &now()).is_err());
        assert!(import(&many, Missing::Remove, &now()).is_ok());
    }

    #[test]
    fn what_was_looked_at_is_that_text_taken_that_way() {
        let one = seen("A=1\n", Missing::Keep, 1);
        assert_eq!(one, seen("A=1\r\n", Missing::Keep, 1));
        assert_ne!(one, seen("A=2\n", Missing::Keep, 1));
        assert_ne!(one, seen("A=1\n", Missing::Remove, 1));
        assert_ne!(one, seen("A=1\n", Missing::Keep, 2));
    }
}
