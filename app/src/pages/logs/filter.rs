//! Whose lines are shown is the address of the page, so that it can be sent to somebody: the
//! environment, the instances, the words.

use crate::api::typed::escaped;
use domain::{
    id::RolloutId,
    log::{LogInstance, Which, find},
    name::Name,
    slot::Slot,
    view::LogsPage as Page,
};
use leptos::prelude::*;
use leptos_router::params::ParamsMap;

/// What the address asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub project: Name,
    pub service: Name,
    pub environment: Option<Name>,
    pub of: Which,
    pub words: String,
}

impl Wanted {
    /// `None`: this is the address of no service. What else can not be read is not asked for.
    pub fn read(params: &ParamsMap, query: &ParamsMap) -> Option<Self> {
        let name = |part: &str| params.get(part).and_then(|name| name.parse().ok());
        let words = query.get("words").unwrap_or_default();
        Some(Self {
            project: name("project")?,
            service: name("service")?,
            environment: query.get("in").and_then(|name| name.parse().ok()),
            of: query.get("of").and_then(|of| of.parse().ok()).unwrap_or_default(),
            words: words.trim().chars().take(find::LONGEST).collect(),
        })
    }

    /// The page without its query.
    pub fn home(&self) -> String {
        format!("/projects/{}/services/{}/logs", self.project, self.service)
    }

    /// The address that asks for this.
    pub fn address(&self) -> String {
        let environment = self.environment.as_ref().map(ToString::to_string).unwrap_or_default();
        let pairs =
            [("in", environment), ("of", self.of.to_string()), ("words", self.words.clone())];
        let said: Vec<String> = pairs
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", escaped(&value)))
            .collect();
        if said.is_empty() { self.home() } else { format!("{}?{}", self.home(), said.join("&")) }
    }

    /// The same for other instances.
    pub fn with(&self, of: Which) -> String {
        Self { of, ..self.clone() }.address()
    }

    /// The same without words, which is followed.
    pub fn followed(&self) -> String {
        Self { words: String::new(), ..self.clone() }.address()
    }

    /// The download of exactly these instances.
    pub fn download(&self, page: &Page) -> String {
        format!("/logs/{}/download?of={}", page.placement, escaped(&self.of.to_string()))
    }
}

/// Environments, slots, and what is searched for.
#[component]
pub(super) fn Chips(page: Page, wanted: Wanted) -> impl IntoView {
    let elsewhere = page
        .environments
        .iter()
        .filter(|_| page.environments.len() > 1)
        .map(|name| {
            let href = Wanted { environment: Some(name.clone()), of: Which::All, ..wanted.clone() }
                .address();
            view! { <Chip href chosen=*name == page.environment said=name.to_string() /> }
        })
        .collect_view();
    let slots = Slot::ALL
        .into_iter()
        .map(|slot| {
            let of = Which::Slot(slot);
            view! { <Chip href=wanted.with(of.clone()) chosen=wanted.of == of said=slot.to_string() /> }
        })
        .collect_view();
    let all = wanted.with(Which::All);
    let rollout = match wanted.of {
        Which::Maker(rollout) => Some(rollout),
        Which::All | Which::Slot(_) | Which::Instance(_) => None,
    };
    let instance = match &wanted.of {
        Which::Instance(id) => Some(name_of(&page.found.instances, id)),
        Which::All | Which::Slot(_) | Which::Maker(_) => None,
    };
    let download = wanted.download(&page);
    view! {
        <div class="filters whose">
            <nav class="chips" aria-label="Environments">
                {elsewhere}
            </nav>
            <nav class="chips" aria-label="Instances">
                <Chip href=all chosen=wanted.of == Which::All said="all instances".to_owned() />
                {slots}
                {instance.map(|name| view! { <Chip href=String::new() chosen=true said=name /> })}
                {rollout.map(|rollout| view! { <OfRollout rollout /> })}
            </nav>
            <form class="search" method="get" action=wanted.home() role="search">
                <input
                    type="hidden"
                    name="in"
                    value=wanted.environment.as_ref().map(ToString::to_string)
                />
                <input type="hidden" name="of" value=wanted.of.to_string() />
                <input
                    type="search"
                    name="words"
                    aria-label="Words to find in the lines"
                    placeholder="Find in these lines"
                    maxlength=find::LONGEST
                    value=wanted.words.clone()
                />
                <button type="submit" class="small">
                    "Find"
                </button>
                <a class="button small" href=download download="" rel="external">
                    "Download"
                </a>
            </form>
        </div>
    }
}

#[component]
fn Chip(href: String, chosen: bool, said: String) -> impl IntoView {
    if chosen {
        view! {
            <b class="chip chosen" aria-current="true">
                {said}
            </b>
        }
        .into_any()
    } else {
        view! {
            <a class="chip" href=href>
                {said}
            </a>
        }
        .into_any()
    }
}

#[component]
fn OfRollout(rollout: RolloutId) -> impl IntoView {
    view! {
        <b class="chip chosen" aria-current="true">
            <a href=format!("/rollouts/{rollout}")>{format!("rollout {}", rollout.short())}</a>
        </b>
    }
}

/// As people see it, also where it is gone for good.
pub(super) fn name_of(instances: &[LogInstance], id: &str) -> String {
    let known = instances.iter().find(|instance| instance.id == id);
    known.map_or_else(|| id.chars().take(12).collect(), |instance| instance.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(of: Which, words: &str) -> Wanted {
        Wanted {
            project: "shop".parse().unwrap(),
            service: "web".parse().unwrap(),
            environment: Some("staging".parse().unwrap()),
            of,
            words: words.to_owned(),
        }
    }

    #[test]
    fn what_is_wanted_is_the_address() {
        let wanted = wanted(Which::Slot(Slot::Blue), "a & b");
        assert_eq!(
            wanted.address(),
            "/projects/shop/services/web/logs?in=staging&of=slot.blue&words=a%20%26%20b"
        );
        assert_eq!(wanted.followed(), "/projects/shop/services/web/logs?in=staging&of=slot.blue");
    }

    #[test]
    fn what_can_not_be_read_is_not_asked_for() {
        let mut params = ParamsMap::new();
        params.insert("project", "shop".to_owned());
        params.insert("service", "web".to_owned());
        let mut query = ParamsMap::new();
        query.insert("in", "../x".to_owned());
        query.insert("of", "slot.red".to_owned());
        query.insert("words", format!("  {}", "x".repeat(1000)));

        let read = Wanted::read(&params, &query).unwrap();

        assert_eq!((read.environment, read.of), (None, Which::All));
        assert_eq!(read.words.len(), find::LONGEST);
        params.insert("service", "No Name".to_owned());
        assert_eq!(Wanted::read(&ParamsMap::new(), &query), None);
    }
}
