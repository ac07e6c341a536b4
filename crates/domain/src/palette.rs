//! Going anywhere by typing a few letters: what there is to go to, and what of it is meant.
//!
//! An act is a way to the place where it is confirmed, never the act itself. The same function
//! ranks in the browser and for the page that works without scripts.

use crate::{
    id::{PlacementId, ReleaseId, RolloutId, UserId},
    name::Name,
    rollout::Phase,
};
use serde::{Deserialize, Serialize};

/// The most results that are shown at once.
pub const MOST_SHOWN: usize = 40;

/// The longest text that is looked for, in characters. More is cut off.
const MOST_LETTERS: usize = 100;

/// Everything the viewer may go to, bounded for each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Palette {
    pub projects: Vec<Name>,
    pub environments: Vec<Name>,
    pub services: Vec<PaletteService>,
    /// Running ones first, then the newest.
    pub rollouts: Vec<PaletteRollout>,
    /// Newest first.
    pub releases: Vec<PaletteRelease>,
    /// Empty for those who may not manage people.
    pub people: Vec<(UserId, String)>,
    pub pages: Vec<Page>,
}

/// A service, and what can be done with it where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaletteService {
    pub project: Name,
    pub name: Name,
    pub places: Vec<PalettePlace>,
    /// Has releases, so that one can be rolled out.
    pub released: bool,
}

/// A service in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PalettePlace {
    pub placement: PlacementId,
    pub environment: Name,
    pub may_deploy: bool,
    /// There is a way back of one switch, and the viewer may take it.
    pub goes_back: bool,
}

/// A rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaletteRollout {
    pub id: RolloutId,
    pub project: Name,
    pub service: Name,
    pub environment: Name,
    pub release: String,
    pub phase: Phase,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaletteRelease {
    pub id: ReleaseId,
    pub project: Name,
    pub service: Name,
    pub name: String,
}

/// A page of its own, that the viewer may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Page {
    Board,
    Projects,
    Environments,
    Targets,
    Builds,
    Registries,
    History,
    People,
    Access,
    Invitations,
    NewService,
    Account,
}

impl Page {
    /// All of them, in the order they are offered in.
    pub const ALL: [Self; 12] = [
        Self::Board,
        Self::Projects,
        Self::Environments,
        Self::Targets,
        Self::Builds,
        Self::Registries,
        Self::History,
        Self::People,
        Self::Access,
        Self::Invitations,
        Self::NewService,
        Self::Account,
    ];

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Board => ("Board", "/"),
            Self::Projects => ("Projects", "/projects"),
            Self::Environments => ("Environments", "/environments"),
            Self::Targets => ("Targets", "/targets"),
            Self::Builds => ("Builds", "/builds"),
            Self::Registries => ("Registries", "/registries"),
            Self::History => ("History", "/history"),
            Self::People => ("People", "/people"),
            Self::Access => ("Access: who may do what", "/access"),
            Self::Invitations => ("Invitations", "/people/invitations"),
            Self::NewService => ("New service", "/services/new"),
            Self::Account => ("Account", "/account"),
        }
    }
}

/// What sort of thing a result is. In the order in which equals stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    Running,
    Service,
    Environment,
    Project,
    Page,
    Rollout,
    Release,
    Person,
    Act,
}

impl Sort {
    /// The word beside a result.
    #[must_use]
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::Running => "running rollout",
            Self::Service => "service",
            Self::Environment => "environment",
            Self::Project => "project",
            Self::Page => "page",
            Self::Rollout => "rollout",
            Self::Release => "release",
            Self::Person => "person",
            Self::Act => "asks first",
        }
    }
}

/// A place to go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub sort: Sort,
    /// "api 1.8.2 to production".
    pub name: String,
    /// What it belongs to: "newstalk", or how a rollout stands.
    pub under: String,
    /// An address of ours.
    pub path: String,
}

impl Palette {
    /// Everything as one list, in the order in which equals stand.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut add = |sort, name: String, under: String, path: String| {
            entries.push(Entry { sort, name, under, path });
        };
        for one in &self.rollouts {
            let sort = if one.phase.is_end() { Sort::Rollout } else { Sort::Running };
            let name = format!("{} {} in {}", one.service, one.release, one.environment);
            let under = format!("{}, {}", one.project, one.phase.as_words());
            add(sort, name, under, format!("/rollouts/{}", one.id));
        }
        for one in &self.services {
            let home = format!("/projects/{}/services/{}", one.project, one.name);
            add(Sort::Service, one.name.to_string(), one.project.to_string(), home.clone());
            for place in &one.places {
                let environment = &place.environment;
                if place.may_deploy && one.released {
                    let name = format!("Deploy {} to {environment} …", one.name);
                    let path = format!("{home}?deploy={environment}");
                    add(Sort::Act, name, one.project.to_string(), path);
                }
                if place.goes_back {
                    let name = format!("Roll back {} in {environment} …", one.name);
                    let path = format!("{home}?roll-back={environment}");
                    add(Sort::Act, name, one.project.to_string(), path);
                }
            }
        }
        for name in &self.environments {
            add(
                Sort::Environment,
                name.to_string(),
                String::new(),
                format!("/environments/{name}"),
            );
        }
        for name in &self.projects {
            add(Sort::Project, name.to_string(), String::new(), format!("/projects/{name}"));
        }
        for page in &self.pages {
            let (name, path) = page.words();
            add(Sort::Page, name.to_owned(), String::new(), path.to_owned());
        }
        for one in &self.releases {
            let name = format!("{} {}", one.service, one.name);
            add(Sort::Release, name, one.project.to_string(), format!("/releases/{}", one.id));
        }
        for (id, name) in &self.people {
            add(Sort::Person, name.clone(), String::new(), format!("/people/{id}"));
        }
        entries.sort_by_key(|entry| entry.sort);
        entries
    }
}

/// What is meant by `words`, the best first, at most [`MOST_SHOWN`].
///
/// Of equally good ones, and of all where nothing is typed, those of `recent` come first in its
/// order; but what runs now is before everything.
#[must_use]
pub fn found(entries: &[Entry], words: &str, recent: &[String]) -> Vec<Entry> {
    let words: String = words.chars().take(MOST_LETTERS).collect::<String>().to_lowercase();
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut ranked: Vec<_> = entries
        .iter()
        .enumerate()
        // Acts are offered to those who begin to type: they would bury what one goes to.
        .filter(|(_, entry)| !words.is_empty() || entry.sort != Sort::Act)
        .filter_map(|(at, entry)| {
            let loss = loss(entry, &words)?;
            let known = recent.iter().position(|path| *path == entry.path);
            let runs_not = words.is_empty() && entry.sort != Sort::Running;
            Some(((runs_not, loss, known.unwrap_or(usize::MAX), at), entry))
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().take(MOST_SHOWN).map(|(_, entry)| entry.clone()).collect()
}

/// How far an entry is from what was typed; none where a word is not in it at all.
fn loss(entry: &Entry, words: &[&str]) -> Option<usize> {
    let name = entry.name.to_lowercase();
    let under = format!("{} {}", entry.under, entry.sort.as_words()).to_lowercase();
    words.iter().try_fold(0, |sum, word| {
        let here = loss_of(&name, word);
        // What it belongs to helps to tell it from others, and says less than its name.
        let there = loss_of(&under, word).map(|loss| loss + 4);
        let best = [here, there].into_iter().flatten().min()?;
        Some(sum + best)
    })
}

/// How far `text` is from `word`, both in lower case: nothing for the whole of it, little for the
/// beginning of a word in it, more inside, most where letters lie between.
fn loss_of(text: &str, word: &str) -> Option<usize> {
    if text == word {
        return Some(0);
    }
    let begins =
        |at: usize| text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric());
    let mut inside = text.match_indices(word).map(|(at, _)| at).peekable();
    if inside.peek().is_some() {
        let starts = inside.find(|at| begins(*at));
        return Some(match starts {
            Some(0) => 1,
            Some(_) => 2,
            None => 6,
        });
    }
    gaps(text, word).map(|gaps| 10 + gaps)
}

/// How many letters lie between those of `word`, where all are in `text` in their order and close
/// enough together to be meant.
fn gaps(text: &str, word: &str) -> Option<usize> {
    let letters: Vec<char> = text.chars().collect();
    let first = word.chars().next()?;
    let most = word.chars().count() * 3;
    // Begun at each of its first letters, as the nearest may not be the best.
    let begun = letters.iter().enumerate().filter(|(_, letter)| **letter == first);
    begun
        .filter_map(|(start, _)| {
            let mut at = start;
            for wanted in word.chars().skip(1) {
                at += 1 + letters[at + 1..].iter().position(|letter| *letter == wanted)?;
            }
            Some(at + 1 - start - word.chars().count())
        })
        .filter(|gaps| *gaps <= most)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sort: Sort, name: &str, under: &str) -> Entry {
        let path = format!("/{}", name.replace(' ', "-"));
        Entry { sort, name: name.to_owned(), under: under.to_owned(), path }
    }

    fn names(found: &[Entry]) -> Vec<&str> {
        found.iter().map(|entry| entry.name.as_str()).collect()
    }

    fn some() -> Vec<Entry> {
        vec![
            entry(Sort::Running, "mailer 2.0.0 in local", "demo"),
            entry(Sort::Service, "api", "demo"),
            entry(Sort::Service, "rapid", "demo"),
            entry(Sort::Service, "capital", "shop"),
            entry(Sort::Environment, "production", ""),
            entry(Sort::Page, "History", ""),
            entry(Sort::Act, "Deploy api to production …", "demo"),
            entry(Sort::Act, "Roll back api in production …", "demo"),
        ]
    }

    #[test]
    fn the_whole_name_is_before_its_beginning_and_that_before_its_inside() {
        let found = found(&some(), "api", &[]);
        assert_eq!(
            names(&found),
            [
                "api",
                "Deploy api to production …",
                "Roll back api in production …",
                "rapid",
                "capital"
            ]
        );
    }

    #[test]
    fn letters_left_out_and_words_in_any_order_still_find_it() {
        assert_eq!(names(&found(&some(), "dpl prod", &[]))[0], "Deploy api to production …");
        assert_eq!(
            names(&found(&some(), "prod api roll", &[]))[0],
            "Roll back api in production …"
        );
        assert_eq!(names(&found(&some(), "shop cap", &[])), ["capital"]);
        assert_eq!(names(&found(&some(), "HISTO", &[])), ["History"]);
    }

    #[test]
    fn letters_that_are_far_apart_are_not_meant() {
        let far = [entry(Sort::Service, "a-very-long-name-that-ends-in-z", "demo")];
        assert_eq!(names(&found(&far, "az", &[])), Vec::<&str>::new());
        assert_eq!(names(&found(&some(), "zzz", &[])), Vec::<&str>::new());
    }

    #[test]
    fn where_nothing_is_typed_what_runs_is_first_then_what_was_seen_last_and_no_act() {
        let recent = ["/History".to_owned(), "/capital".to_owned()];
        let found = found(&some(), " ", &recent);
        assert_eq!(names(&found)[..4], ["mailer 2.0.0 in local", "History", "capital", "api"]);
        assert!(found.iter().all(|entry| entry.sort != Sort::Act));
    }

    #[test]
    fn of_two_that_are_equally_meant_the_one_seen_last_is_first() {
        let two = [entry(Sort::Service, "web-a", "x"), entry(Sort::Service, "web-b", "x")];
        assert_eq!(names(&found(&two, "web", &["/web-b".to_owned()])), ["web-b", "web-a"]);
    }

    #[test]
    fn an_act_leads_to_where_it_is_confirmed_and_only_for_those_who_may() {
        let id = PlacementId(uuid::Uuid::nil());
        let place = |environment: &str, may_deploy, goes_back| PalettePlace {
            placement: id,
            environment: environment.parse().expect("a name"),
            may_deploy,
            goes_back,
        };
        let palette = Palette {
            services: vec![PaletteService {
                project: "demo".parse().expect("a name"),
                name: "api".parse().expect("a name"),
                places: vec![place("local", true, true), place("production", false, false)],
                released: true,
            }],
            ..Palette::default()
        };
        let paths: Vec<_> = palette.entries().into_iter().map(|entry| entry.path).collect();
        let home = "/projects/demo/services/api";
        assert_eq!(
            paths,
            [home.to_owned(), format!("{home}?deploy=local"), format!("{home}?roll-back=local")]
        );
    }

    #[test]
    fn any_text_can_be_looked_for() {
        for odd in ["ß", "İ", "日本", "…", "%", "\u{0}", &"x".repeat(10_000)] {
            let _ = found(&some(), odd, &[]);
        }
    }
}
