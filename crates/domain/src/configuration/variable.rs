//! One variable: its type, its value as an instance reads it, and what it is for.

use super::LONGEST_VALUE;
use crate::name::Wrong;
use serde::{Deserialize, Serialize};

/// What a variable's value may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum VariableType {
    #[default]
    Text,
    Number,
    /// `true` or `false` for the instance: a feature flag, with a switch on the service's page.
    YesNo,
    Choice {
        options: Vec<String>,
    },
}

/// The most options of a choice.
const MOST_OPTIONS: usize = 50;
/// The longest option, in characters.
const LONGEST_OPTION: usize = 200;
/// The longest description, in characters.
const LONGEST_DESCRIPTION: usize = 300;

impl VariableType {
    /// All of them as they are typed and read: the word of a form, and the word on screen.
    pub const WORDS: [(&'static str, &'static str); 4] =
        [("text", "text"), ("number", "number"), ("yes_no", "yes or no"), ("choice", "choice")];

    /// Reads the word of a form. `options` are those of a choice, one a line or with commas between.
    pub fn read(word: &str, options: &str) -> Result<Self, Wrong> {
        match word {
            "" | "text" => Ok(Self::Text),
            "number" => Ok(Self::Number),
            "yes_no" => Ok(Self::YesNo),
            "choice" => Self::choice(options),
            _ => Err(Wrong::new("A type is text, number, yes or no, or choice.")),
        }
    }

    fn choice(typed: &str) -> Result<Self, Wrong> {
        let mut options: Vec<String> = Vec::new();
        let typed = typed.split(['\n', ',']).map(str::trim).filter(|option| !option.is_empty());
        for option in typed {
            if option.chars().count() > LONGEST_OPTION {
                let sentence = format!("An option has at most {LONGEST_OPTION} characters.");
                return Err(Wrong::new(sentence));
            }
            if option.contains(char::is_control) {
                return Err(Wrong::new("An option is plain text in one line."));
            }
            if options.iter().any(|known| known == option) {
                return Err(Wrong::new(format!("The option {option} is there twice.")));
            }
            options.push(option.to_owned());
        }
        match options.len() {
            0 | 1 => Err(Wrong::new("A choice has two options at least, with commas between.")),
            2..=MOST_OPTIONS => Ok(Self::Choice { options }),
            _ => Err(Wrong::new(format!("A choice has at most {MOST_OPTIONS} options."))),
        }
    }

    /// The word of a form.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::YesNo => "yes_no",
            Self::Choice { .. } => "choice",
        }
    }

    /// The options of a choice, as they are typed.
    #[must_use]
    pub fn options(&self) -> String {
        match self {
            Self::Choice { options } => options.join(", "),
            Self::Text | Self::Number | Self::YesNo => String::new(),
        }
    }

    /// As people say it: "number", "one of a, b".
    #[must_use]
    pub fn as_words(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Number => "number".to_owned(),
            Self::YesNo => "yes or no".to_owned(),
            Self::Choice { options } => format!("one of {}", options.join(", ")),
        }
    }

    /// Reads a value of this type as it was typed, and gives it as an instance reads it.
    pub fn value(&self, typed: &str) -> Result<String, Wrong> {
        if typed.len() > LONGEST_VALUE {
            return Err(Wrong::new("A value has at most 8 KiB."));
        }
        if typed.contains('\0') {
            return Err(Wrong::new("A value can not hold a zero byte."));
        }
        match self {
            Self::Text => Ok(typed.to_owned()),
            Self::Number => {
                let typed = typed.trim();
                let digits = typed.trim_start_matches(['-', '+']);
                let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
                    && typed.parse::<f64>().is_ok_and(f64::is_finite);
                if !is_number {
                    return Err(Wrong::new("This is a number, for example 30 or 0.5."));
                }
                Ok(typed.to_owned())
            }
            Self::YesNo => match typed.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok("true".to_owned()),
                "false" | "no" | "off" | "0" => Ok("false".to_owned()),
                _ => Err(Wrong::new("This is yes or no.")),
            },
            Self::Choice { options } => {
                let typed = typed.trim();
                if !options.iter().any(|option| option == typed) {
                    return Err(Wrong::new(format!("This is one of {}.", options.join(", "))));
                }
                Ok(typed.to_owned())
            }
        }
    }
}

/// A value with its type and what it is for. Made only by reading it, so it fits its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Variable {
    kind: VariableType,
    value: String,
    description: String,
}

impl Variable {
    /// Reads a value of a type.
    pub fn new(kind: VariableType, typed: &str) -> Result<Self, Wrong> {
        let value = kind.value(typed)?;
        Ok(Self { kind, value, description: String::new() })
    }

    /// Text that needs no description.
    pub fn text(value: String) -> Result<Self, Wrong> {
        Self::new(VariableType::Text, &value)
    }

    /// The same with another value.
    pub fn with(self, typed: &str) -> Result<Self, Wrong> {
        Ok(Self { value: self.kind.value(typed)?, ..self })
    }

    /// The same with a description: text for people, nothing that steers what it is written to.
    pub fn described(self, typed: &str) -> Result<Self, Wrong> {
        let description = typed.trim().replace("\r\n", "\n");
        if description.chars().count() > LONGEST_DESCRIPTION {
            let sentence = format!("A description has at most {LONGEST_DESCRIPTION} characters.");
            return Err(Wrong::new(sentence));
        }
        if description.contains(|c: char| c.is_control() && c != '\n') {
            return Err(Wrong::new("A description is plain text."));
        }
        Ok(Self { description, ..self })
    }

    #[must_use]
    pub const fn kind(&self) -> &VariableType {
        &self.kind
    }

    /// As an instance reads it.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Whether a flag is on. `None`: it is no flag.
    #[must_use]
    pub fn is_on(&self) -> Option<bool> {
        (self.kind == VariableType::YesNo).then(|| self.value == "true")
    }

    /// As people read it. One that is there and empty is not one that is not there.
    #[must_use]
    pub fn shown(&self) -> String {
        match (self.is_on(), self.value.as_str()) {
            (Some(true), _) => "yes".to_owned(),
            (Some(false), _) => "no".to_owned(),
            (None, "") => "(empty)".to_owned(),
            (None, value) => value.to_owned(),
        }
    }
}

/// As it lies in a row: text without a description as a bare word, which is all there was at first.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Bare(String),
    Whole {
        value: String,
        #[serde(flatten)]
        kind: VariableType,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        description: String,
    },
}

impl From<Stored> for Variable {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Bare(value) => {
                Self { kind: VariableType::Text, value, description: String::new() }
            }
            Stored::Whole { value, kind, description } => Self { kind, value, description },
        }
    }
}

impl From<Variable> for Stored {
    fn from(variable: Variable) -> Self {
        let Variable { kind, value, description } = variable;
        if kind == VariableType::Text && description.is_empty() {
            return Self::Bare(value);
        }
        Self::Whole { value, kind, description }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_its_type_or_is_refused_with_what_would_fit() {
        let choice = VariableType::read("choice", "info, debug\nwarn").expect("good");
        let good = [
            (VariableType::Text, " kept as it is ", " kept as it is "),
            (VariableType::Number, " 30 ", "30"),
            (VariableType::Number, "-0.5", "-0.5"),
            (VariableType::YesNo, "Yes", "true"),
            (VariableType::YesNo, "0", "false"),
            (choice.clone(), "debug", "debug"),
        ];
        for (kind, typed, read) in good {
            assert_eq!(kind.value(typed), Ok(read.to_owned()), "{kind:?} {typed}");
        }
        let bad = [
            (VariableType::Number, "", "a number"),
            (VariableType::Number, "inf", "a number"),
            (VariableType::Number, "NaN", "a number"),
            (VariableType::Number, "1e999", "a number"),
            (VariableType::Number, "5 s", "a number"),
            (VariableType::YesNo, "maybe", "yes or no"),
            (VariableType::YesNo, "", "yes or no"),
            (choice, "trace", "one of info, debug, warn"),
            (VariableType::Text, "a\0b", "zero byte"),
        ];
        for (kind, typed, says) in bad {
            let wrong = kind.value(typed).expect_err(typed).0;
            assert!(wrong.contains(says), "{wrong}");
        }
        assert!(VariableType::Text.value(&"x".repeat(LONGEST_VALUE + 1)).is_err());
    }

    #[test]
    fn a_choice_has_options_that_differ() {
        for bad in ["", "one", "a, b, a", "a, b\u{7}"] {
            assert!(VariableType::read("choice", bad).is_err(), "{bad}");
        }
        let many = (0..=MOST_OPTIONS).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        assert!(VariableType::read("choice", &many).is_err());
        assert!(VariableType::read("colour", "").is_err());
    }

    #[test]
    fn every_type_is_stored_and_read_again() {
        for (word, _) in VariableType::WORDS {
            let kind = VariableType::read(word, "1, 0").expect("good");
            let variable = Variable::new(kind, "1").expect("good").described("What for").unwrap();

            let stored = serde_json::to_string(&variable).expect("written");
            let read: Variable = serde_json::from_str(&stored).expect("readable");
            assert_eq!(read, variable, "{stored}");
        }
    }

    #[test]
    fn a_description_steers_nothing_and_has_an_end() {
        let text = || Variable::text(String::new()).expect("good");
        assert!(text().described("\u{1b}[2J").is_err());
        assert!(text().described(&"x".repeat(LONGEST_DESCRIPTION + 1)).is_err());
        assert_eq!(text().described(" a\r\nb ").expect("good").description(), "a\nb");
    }
}
