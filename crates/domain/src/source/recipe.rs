//! How an image is made from a checkout: which folder, which file, which stage, with what.

use crate::name::{Wrong, words};
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, collections::BTreeMap, fmt, str::FromStr};

/// The most build arguments of a recipe.
pub const ARGUMENTS: usize = 64;

/// The longest value of a build argument, in bytes.
pub const ARGUMENT_BYTES: usize = 4096;

/// Files that are a recipe where nobody names one, in this order.
pub const FILES: [&str; 2] = ["Dockerfile", "Containerfile"];

words! {
    /// A folder of the repository that is built, relative to its root. Empty: the root.
    #[derive(Default)]
    Folder = |typed| {
        let typed = typed.trim().trim_end_matches('/');
        let typed = typed.strip_prefix("./").unwrap_or(typed);
        if matches!(typed, "" | ".") { Ok(String::new()) } else { inside(typed, "folder") }
    };

    /// The file with the recipe, relative to the folder.
    FilePath = |typed| {
        let typed = typed.trim();
        inside(typed.strip_prefix("./").unwrap_or(typed), "file")
    };

    /// Name of a build stage, as after `AS`; or its number.
    StageName = |typed| {
        let typed = typed.trim().to_ascii_lowercase();
        let good = typed.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if typed.is_empty() || typed.len() > 128 || !good || !typed.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(Wrong::new("A stage is called as after AS in the recipe: letters, digits and . _ -"));
        }
        Ok(typed)
    };

    /// Name of a build argument, as after `ARG`.
    ArgumentName = |typed| {
        let typed = typed.trim();
        let good = typed.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if typed.is_empty() || typed.len() > 128 || !good || typed.as_bytes()[0].is_ascii_digit() {
            return Err(Wrong::new("A build argument's name is letters, digits and _, and no digit first."));
        }
        Ok(typed.to_owned())
    };

    /// What the image runs on, as `linux/amd64` or `linux/arm/v7`.
    Platform = |typed| {
        let typed = typed.trim().to_ascii_lowercase();
        let parts: Vec<_> = typed.split('/').collect();
        let good = |part: &&str| !part.is_empty() && part.len() <= 20 && part.bytes().all(|b| b.is_ascii_alphanumeric());
        if !matches!(parts.len(), 2 | 3) || !parts.iter().all(good) {
            return Err(Wrong::new("A platform is written as linux/amd64 or linux/arm/v7."));
        }
        Ok(typed)
    };
}

/// A path that stays inside. Parts that begin with a dash are refused: it could be read as an option.
fn inside(typed: &str, what: &str) -> Result<String, Wrong> {
    if typed.is_empty() || typed.len() > 255 {
        return Err(Wrong::new(format!("The path of a {what} has 1 to 255 characters.")));
    }
    if typed.chars().any(|c| c.is_control() || matches!(c, '\\' | ':')) {
        return Err(Wrong::new(format!(
            "The path of a {what} has no \\, no : and no line breaks."
        )));
    }
    let good = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.starts_with('-')
            && !part.eq_ignore_ascii_case(".git")
    };
    if !typed.split('/').all(good) {
        return Err(Wrong::new(format!(
            "The {what} lies in the repository: a relative path without .. such as services/api."
        )));
    }
    Ok(typed.to_owned())
}

/// How an image is made. The default is the recipe in the root, all of it, as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipe {
    /// The build's context: nothing outside of it is sent.
    pub folder: Folder,
    /// `None`: the first of [`FILES`] that is there.
    pub file: Option<FilePath>,
    /// `None`: the last one.
    pub stage: Option<StageName>,
    /// Part of the image's history: never a secret.
    pub arguments: BTreeMap<ArgumentName, String>,
    pub no_cache: bool,
    /// `None`: the engine's own.
    pub platform: Option<Platform>,
}

impl Folder {
    /// Whether it is the repository's root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl Recipe {
    /// Checks what no part alone can.
    pub fn check(&self) -> Result<(), Wrong> {
        if self.arguments.len() > ARGUMENTS {
            return Err(Wrong::new(format!("A build has at most {ARGUMENTS} arguments.")));
        }
        match self
            .arguments
            .iter()
            .find(|(_, value)| value.len() > ARGUMENT_BYTES || value.contains('\0'))
        {
            Some((name, _)) => Err(Wrong::new(format!(
                "The build argument {name} is longer than {ARGUMENT_BYTES} bytes."
            ))),
            None => Ok(()),
        }
    }
}

/// What a checkout seems to want, and why it seems so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipeGuess {
    /// `None`: nothing was found that could be built.
    pub recipe: Option<Recipe>,
    /// Sentences for the person who decides.
    pub because: String,
    /// All recipes that were found, relative to the repository's root, at most 50.
    pub files: Vec<FilePath>,
    /// The stages of the guessed file that have a name, in order.
    pub stages: Vec<StageName>,
    /// The arguments that the guessed file asks for, with the default it gives.
    pub arguments: Vec<(ArgumentName, Option<String>)>,
}

/// What a recipe says of itself, as far as one can tell without building it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Named stages in order. One that has no name is counted only.
    pub stages: Vec<StageName>,
    pub stage_count: usize,
    pub arguments: Vec<(ArgumentName, Option<String>)>,
    /// What the stages begin from, those not of the file itself.
    pub bases: Vec<String>,
}

impl Outline {
    /// Reads the text of a Dockerfile. What it does not understand it leaves out.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut outline = Self::default();
        let mut logical = String::new();
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with('#') || (line.is_empty() && logical.is_empty()) {
                continue;
            }
            match line.strip_suffix('\\') {
                Some(begun) => {
                    logical.push_str(begun);
                    logical.push(' ');
                }
                None => {
                    logical.push_str(line);
                    outline.take(&logical);
                    logical.clear();
                }
            }
        }
        outline.take(&logical);
        outline
    }

    fn take(&mut self, instruction: &str) {
        let mut words = instruction.split_whitespace();
        let Some(first) = words.next() else { return };
        if first.eq_ignore_ascii_case("FROM") {
            let mut words = words.filter(|word| !word.starts_with("--"));
            let Some(base) = words.next() else { return };
            let is_stage =
                self.stages.iter().any(|stage| stage.as_str().eq_ignore_ascii_case(base));
            if !is_stage && base != "scratch" && !self.bases.iter().any(|known| known == base) {
                self.bases.push(base.to_owned());
            }
            self.stage_count += 1;
            if words.next().is_some_and(|word| word.eq_ignore_ascii_case("AS"))
                && let Some(Ok(name)) = words.next().map(str::parse)
            {
                self.stages.push(name);
            }
        } else if first.eq_ignore_ascii_case("ARG") {
            for word in words {
                let (name, default) = match word.split_once('=') {
                    Some((name, default)) => {
                        (name, Some(default.trim_matches(['"', '\'']).to_owned()))
                    }
                    None => (word, None),
                };
                if let Ok(name) = name.parse::<ArgumentName>()
                    && self.arguments.len() < ARGUMENTS
                    && !self.arguments.iter().any(|(known, _)| *known == name)
                {
                    self.arguments.push((name, default));
                }
            }
        }
    }
}

impl RecipeGuess {
    /// Chooses among the recipes that a checkout has. `files` are relative to the root, `read` gives
    /// the text of the one that was chosen.
    ///
    /// The nearest to `folder` wins; beside each other, `Dockerfile` before `Containerfile` before
    /// those with a longer name.
    #[must_use]
    pub fn choose(
        folder: &Folder,
        mut files: Vec<FilePath>,
        read: impl FnOnce(&FilePath) -> String,
    ) -> Self {
        let below = |file: &FilePath| -> Option<String> {
            if folder.is_root() {
                return Some(file.as_str().to_owned());
            }
            let rest = file.as_str().strip_prefix(folder.as_str())?;
            rest.strip_prefix('/').map(str::to_owned)
        };
        files.sort_by_key(|file| {
            let name = file.as_str().rsplit('/').next().unwrap_or_default();
            let rank = FILES.iter().position(|usual| *usual == name).unwrap_or(FILES.len());
            (below(file).is_none(), file.as_str().matches('/').count(), rank, file.clone())
        });
        let place = if folder.is_root() {
            "the repository".to_owned()
        } else {
            format!("the folder {folder}")
        };
        let chosen = files.iter().find_map(|file| below(file).map(|rest| (file.clone(), rest)));
        let others = files.len().saturating_sub(1);
        files.truncate(50);
        let Some((chosen, rest)) = chosen else {
            let because = if files.is_empty() {
                "No Dockerfile or Containerfile was found in the repository. Add one, or name the file that is the recipe.".to_owned()
            } else {
                format!(
                    "No Dockerfile or Containerfile is in {place}. There are some elsewhere: choose another folder."
                )
            };
            return Self {
                recipe: None,
                because,
                files,
                stages: Vec::new(),
                arguments: Vec::new(),
            };
        };
        let outline = Outline::of(&read(&chosen));
        let (inner, file) =
            rest.rsplit_once('/').map_or(("", rest.as_str()), |(inner, file)| (inner, file));
        let within = match (folder.is_root(), inner.is_empty()) {
            (_, true) => folder.as_str().to_owned(),
            (true, false) => inner.to_owned(),
            (false, false) => format!("{folder}/{inner}"),
        };
        let usual = file == FILES[0];
        let recipe = Recipe {
            folder: within.parse().unwrap_or_default(),
            file: if usual { None } else { file.parse().ok() },
            ..Recipe::default()
        };
        let mut because = if inner.is_empty() {
            format!("{file} lies in {place}, so that is what is built.")
        } else {
            format!(
                "The recipe nearest to the root of {place} is {chosen}, so its folder is what is built."
            )
        };
        match outline.stage_count {
            0 | 1 => {}
            count => because.push_str(&format!(
                " It has {count} stages, and the last one becomes the image{}.",
                outline
                    .stages
                    .last()
                    .map_or(String::new(), |_| " unless you choose another".to_owned())
            )),
        }
        if others > 0 {
            because.push_str(&format!(
                " {others} more {} found.",
                if others == 1 { "was" } else { "were" }
            ));
        }
        Self {
            recipe: Some(recipe),
            because,
            files,
            stages: outline.stages,
            arguments: outline.arguments,
        }
    }
}
