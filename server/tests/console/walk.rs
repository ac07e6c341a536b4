//! Every route with every role, against the matrix below. A route that is not in it fails the test:
//! whoever adds one says here who may use it.

use super::{
    http::Ask,
    world::{PASSWORD, Person, Place, World},
};
use app::api::{policy_form::PolicyForm, service_form::SpecForm};
use domain::policy::Policy;
use serde::Serialize;
use std::{collections::BTreeSet, time::Duration};

/// The columns. *Stranger* is a deployer of another project.
const ROLES: [&str; 7] =
    ["nobody", "stranger", "viewer", "auditor", "deployer", "releaser", "admin"];

/// What each of them gets: `+` it is done, or refused for what was typed; `-` sign in first;
/// `x` you may not; `?` there is no such thing.
///
/// Where a route is about a place there is a line for the open environment and one for the
/// protected one.
const MATRIX: &[(&str, &str, &str)] = &[
    // What is for machines, from this machine.
    ("GET /livez", "", "+ + + + + + +"),
    ("GET /readyz", "", "+ + + + + + +"),
    ("GET /metrics", "", "+ + + + + + +"),
    // What is ours besides the app.
    ("GET /live", "", "- + + + + + +"),
    ("GET /history/{export}", "", "- x x + x x +"),
    ("GET /logs/{placement}/download", "open", "- ? x + + + +"),
    ("GET /logs/{placement}/download", "protected", "- ? x + + + +"),
    ("GET /builds/{id}/log", "", "- ? x + + + +"),
    ("GET /samples/{placement}/download", "open", "- ? + + + + +"),
    ("GET /samples/{placement}/download", "protected", "- ? + + + + +"),
    // Pages.
    ("GET /", "", "- + + + + + +"),
    ("GET /sign-in", "", "+ + + + + + +"),
    ("GET /first-admin", "", "+ + + + + + +"),
    ("GET /services/new", "", "- + x x + + +"),
    ("GET /search", "", "- + + + + + +"),
    ("GET /projects", "", "- + + + + + +"),
    ("GET /projects/{project}", "", "- ? + + + + +"),
    ("GET /projects/{project}/services/{service}", "", "- ? + + + + +"),
    ("GET /projects/{project}/services/{service}/edit", "", "- ? + + + + +"),
    ("GET /projects/{project}/services/{service}/releases/new", "", "- ? + + + + +"),
    ("GET /projects/{project}/services/{service}/logs", "", "- ? x + + + +"),
    ("GET /projects/{project}/services/{service}/source", "", "- ? + + + + +"),
    ("GET /projects/{project}/builds", "", "- ? + + + + +"),
    ("GET /builds", "", "- + + + + + +"),
    ("GET /builds/{id}", "", "- ? + + + + +"),
    ("GET /projects/{project}/services/{service}/configuration", "", "- ? + + + + +"),
    ("GET /projects/{project}/services/{service}/promote/{environment}", "open", "- ? + + + + +"),
    (
        "GET /projects/{project}/services/{service}/promote/{environment}",
        "protected",
        "- ? + + + + +",
    ),
    ("GET /releases/{id}", "", "- ? + + + + +"),
    ("GET /rollouts/{id}", "", "- ? + + + + +"),
    ("GET /history", "", "- + + + + + +"),
    ("GET /people", "", "- x x x x x +"),
    ("GET /people/invitations", "", "- x x x x x +"),
    ("GET /people/{id}", "", "- x x x x x +"),
    ("GET /access", "", "- x x x x x +"),
    ("GET /invitation", "", "+ + + + + + +"),
    ("GET /environments", "", "- + + + + + +"),
    // Names and addresses are for whoever sees services; who signs in there is not on the page.
    ("GET /registries", "", "- + + + + + +"),
    ("GET /targets", "", "- + + + + + +"),
    ("GET /targets/{id}", "", "- + + + + + +"),
    ("GET /environments/{environment}", "", "- + + + + + +"),
    ("GET /account", "", "- + + + + + +"),
    // How pages are drawn: a cookie with a word.
    ("POST /api/theme", "", "+ + + + + + +"),
    ("POST /api/shortcuts", "", "+ + + + + + +"),
    // Where one may go.
    ("POST /api/palette", "", "- + + + + + +"),
    // People.
    ("POST /api/people/viewer", "", "+ + + + + + +"),
    ("POST /api/people/make-first-admin", "", "+ + + + + + +"),
    ("POST /api/people/sign-in", "", "+ + + + + + +"),
    ("POST /api/people/change-password", "", "- + + + + + +"),
    ("POST /api/people/end-session", "", "- ? ? ? ? ? ?"),
    ("POST /api/people/end-other-sessions", "", "- + + + + + +"),
    ("POST /api/people/account", "", "- + + + + + +"),
    ("POST /api/people/page", "", "- x x x x x +"),
    ("POST /api/people/add", "", "- x x x x x +"),
    ("POST /api/people/disable", "", "- x x x x x ?"),
    ("POST /api/people/enable", "", "- x x x x x ?"),
    ("POST /api/people/reset-password", "", "- x x x x x ?"),
    ("POST /api/people/give-grant", "", "- x x x x x ?"),
    ("POST /api/people/take-grant", "", "- x x x x x ?"),
    ("POST /api/people/person", "", "- x x x x x +"),
    ("POST /api/people/access", "", "- x x x x x +"),
    // Invitations. Whoever has a link needs nothing else.
    ("POST /api/people/invitations", "", "- x x x x x +"),
    ("POST /api/people/invite", "", "- x x x x x +"),
    ("POST /api/people/withdraw-invitation", "", "- x x x x x ?"),
    ("POST /api/people/invitation", "", "+ + + + + + +"),
    ("POST /api/people/accept-invitation", "", "+ + + + + + +"),
    // Projects.
    ("POST /api/projects/all", "", "- + + + + + +"),
    ("POST /api/projects/page", "", "- ? + + + + +"),
    // Services.
    ("POST /api/services/board", "", "- + + + + + +"),
    ("POST /api/services/page", "", "- ? + + + + +"),
    ("POST /api/services/new", "", "- + x x + + +"),
    // Like a project that is not there: to make one needs a grant for everything.
    ("POST /api/services/add", "", "- x x x + + +"),
    ("POST /api/services/edit", "", "- ? x x + + +"),
    ("POST /api/services/edit-placement", "open", "- ? x x + + +"),
    ("POST /api/services/edit-placement", "protected", "- ? x x x + +"),
    ("POST /api/services/change-configuration", "open", "- ? x x + + +"),
    ("POST /api/services/change-configuration", "protected", "- ? x x x + +"),
    // What placements are told.
    ("POST /api/configurations/page", "", "- ? + + + + +"),
    ("POST /api/configurations/change", "open", "- ? x x + + +"),
    ("POST /api/configurations/change", "protected", "- ? x x x + +"),
    ("POST /api/configurations/import", "open", "- ? x x + + +"),
    ("POST /api/configurations/import", "protected", "- ? x x x + +"),
    ("POST /api/configurations/set-secret", "open", "- ? x x + + +"),
    ("POST /api/configurations/set-secret", "protected", "- ? x x x + +"),
    // A secret that is not there, for those who may.
    ("POST /api/configurations/remove-secret", "open", "- ? x x ? ? ?"),
    ("POST /api/configurations/remove-secret", "protected", "- ? x x x ? ?"),
    ("POST /api/configurations/switch", "open", "- ? x x + + +"),
    ("POST /api/configurations/switch", "protected", "- ? x x x + +"),
    // Releases.
    ("POST /api/releases/look-up-image", "", "- ? x x + + +"),
    ("POST /api/releases/inquiry", "", "- ? ? ? ? ? +"),
    // An inquiry that is not there, for those who may.
    ("POST /api/releases/make", "", "- ? x x ? ? ?"),
    ("POST /api/releases/page", "", "- ? + + + + +"),
    // Rollouts.
    ("POST /api/rollouts/could-i", "open", "- ? x x + + +"),
    ("POST /api/rollouts/could-i", "protected", "- ? x x x + +"),
    ("POST /api/rollouts/start", "open", "- ? x x + + +"),
    ("POST /api/rollouts/start", "protected", "- ? x x x + +"),
    ("POST /api/rollouts/roll-back", "open", "- ? x x + + +"),
    ("POST /api/rollouts/roll-back", "protected", "- ? x x x + +"),
    ("POST /api/rollouts/ask", "", "- ? x x + + +"),
    ("POST /api/rollouts/extend-warmth", "open", "- ? x x + + +"),
    ("POST /api/rollouts/extend-warmth", "protected", "- ? x x x + +"),
    ("POST /api/rollouts/end-warmth", "open", "- ? x x + + +"),
    ("POST /api/rollouts/end-warmth", "protected", "- ? x x x + +"),
    ("POST /api/rollouts/lift-hold", "open", "- ? x x + + +"),
    ("POST /api/rollouts/lift-hold", "protected", "- ? x x x + +"),
    ("POST /api/rollouts/promotion", "open", "- ? + + + + +"),
    ("POST /api/rollouts/promotion", "protected", "- ? + + + + +"),
    ("POST /api/rollouts/page", "", "- ? + + + + +"),
    // What is done from day to day.
    ("POST /api/placements/restart", "open", "- ? x x + + +"),
    ("POST /api/placements/restart", "protected", "- ? x x x + +"),
    ("POST /api/placements/stop", "open", "- ? x x + + +"),
    ("POST /api/placements/stop", "protected", "- ? x x x + +"),
    ("POST /api/placements/start", "open", "- ? x x + + +"),
    ("POST /api/placements/start", "protected", "- ? x x x + +"),
    ("POST /api/placements/remove", "open", "- ? x x x + +"),
    ("POST /api/placements/remove", "protected", "- ? x x x x +"),
    // It is there already.
    ("POST /api/placements/place", "open", "- ? x x + + +"),
    ("POST /api/placements/place", "protected", "- ? x x x + +"),
    // What instances write.
    ("POST /api/logs/page", "open", "- ? x + + + +"),
    ("POST /api/logs/page", "protected", "- ? x + + + +"),
    // Builds, and where a service's code is. Nothing is built here: they wait.
    ("POST /api/builds/list", "", "- + + + + + +"),
    ("POST /api/builds/page", "", "- ? + + + + +"),
    ("POST /api/builds/log", "", "- ? x + + + +"),
    ("POST /api/builds/project", "", "- ? + + + + +"),
    ("POST /api/builds/source", "", "- ? + + + + +"),
    ("POST /api/builds/look-up-refs", "", "- ? x x + + +"),
    ("POST /api/builds/guess-recipe", "", "- ? x x + + +"),
    ("POST /api/builds/start", "", "- ? x x + + +"),
    ("POST /api/builds/start-all", "", "- ? x x + + +"),
    ("POST /api/builds/cancel", "", "- ? x x + + +"),
    ("POST /api/builds/edit-source", "", "- ? x x + + +"),
    ("POST /api/builds/given", "", "- ? + + + + +"),
    ("POST /api/builds/set-secret", "", "- ? x x + + +"),
    ("POST /api/builds/remove-secret", "", "- ? x x ? ? ?"),
    ("POST /api/builds/set-login", "", "- ? x x + + +"),
    // What they did and used.
    ("POST /api/samples/service", "open", "- ? + + + + +"),
    ("POST /api/samples/service", "protected", "- ? + + + + +"),
    ("POST /api/samples/rollout", "", "- ? + + + + +"),
    // Environments and the history.
    ("POST /api/environments/page", "", "- + + + + + +"),
    ("POST /api/environments/one", "", "- + + + + + +"),
    ("POST /api/environments/add", "", "- x x x x x ?"),
    ("POST /api/environments/move", "", "- x x x x x ?"),
    ("POST /api/environments/edit-policy", "", "- x x x x x +"),
    ("POST /api/environments/set-protected", "", "- x x x x x +"),
    ("POST /api/history/page", "", "- + + + + + +"),
    ("POST /api/history/verify", "", "- x x + x x +"),
    // Targets.
    ("POST /api/targets/page", "", "- + + + + + +"),
    ("POST /api/targets/one", "", "- + + + + + +"),
    ("POST /api/targets/add", "", "- x x x x x +"),
    ("POST /api/targets/replace", "", "- x x x x x ?"),
    ("POST /api/targets/choose", "", "- x x x x x +"),
    ("POST /api/targets/look", "", "- x x x x x +"),
    ("POST /api/targets/archive", "", "- x x x x x ?"),
    // Registries.
    ("POST /api/registries/page", "", "- + + + + + +"),
    ("POST /api/registries/add", "", "- x x x x x +"),
    ("POST /api/registries/change", "", "- x x x x x +"),
    ("POST /api/registries/archive", "", "- x x x x x ?"),
    ("POST /api/registries/try", "", "- x x x x x +"),
    ("POST /api/registries/rule", "", "- ? + + + + +"),
    ("POST /api/registries/set-rule", "", "- ? x x + + +"),
    ("POST /api/registries/stored", "", "- ? + + + + +"),
    // It is not said where its images go.
    ("POST /api/registries/push", "", "- ? x x + + +"),
    ("POST /api/registries/ask-tags", "", "- ? x x + + +"),
    // Last, because it ends what the others need.
    ("POST /api/people/sign-out", "", "+ + + + + + +"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_route_with_every_role_is_as_the_matrix_says() {
    let world = World::start("walk").await;
    let things = Things::make(&world).await;

    let served = served();
    let listed: BTreeSet<String> = MATRIX.iter().map(|(route, ..)| (*route).to_owned()).collect();
    assert_eq!(served.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "not listed");
    assert_eq!(listed.difference(&served).collect::<Vec<_>>(), Vec::<&String>::new(), "not served");

    let mut wrong = Vec::new();
    for (route, place, expected) in MATRIX {
        let mut seen = Vec::new();
        let mut said = Vec::new();
        for person in &things.people {
            let (word, details) = things.outcome(&world, route, place, person).await;
            seen.push(word);
            said.push(details);
        }
        let seen = seen.join(" ");
        if seen != *expected {
            wrong
                .push(format!("{route} {place}\n  matrix {expected}\n  seen   {seen}\n  {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{ROLES:?}\n{}", wrong.join("\n"));
    world.end().await;
}

/// Everything that the router and the app know of.
fn served() -> BTreeSet<String> {
    let own = server::routes::OPEN.iter().chain(&server::routes::OWN);
    let own = own.map(|path| format!("GET {path}"));
    let pages = server::pages::list().into_iter().map(|page| format!("GET {}", page.path()));
    let functions =
        leptos::server_fn::axum::server_fn_paths().map(|(path, method)| format!("{method} {path}"));
    own.chain(pages).chain(functions).collect()
}

/// What there is to ask for.
struct Things {
    people: Vec<Person>,
    /// The id of one of them.
    person: String,
    service: String,
    release: String,
    inquiry: String,
    rollout: String,
    registry: String,
    target: String,
    build: String,
    open: Where,
    protected: Where,
}

/// An environment with its placement of the service.
struct Where {
    environment: String,
    placement: String,
}

impl Things {
    async fn make(world: &World) -> Self {
        let admin = world.first_admin().await;
        let service = world.add_service(&admin, "shop", "web").await;
        world.add_service(&admin, "other", "thing").await;
        let board = world.board(&admin).await;
        let project = |name: &str| {
            let projects = board["projects"].as_array().unwrap();
            projects.iter().find(|project| project["name"] == name).unwrap().clone()
        };
        let place = |name: &str| {
            let cells = project("shop")["services"][0]["cells"].as_array().unwrap().clone();
            let cell = cells.iter().find(|cell| cell["environment_name"] == name).unwrap().clone();
            let text = |field: &str| cell[field].as_str().unwrap().to_owned();
            Where { environment: text("environment"), placement: text("placement") }
        };
        let (open, protected) = (place("local"), place("production"));

        let everywhere = Place::default();
        let other = Place {
            project: Some(project("other")["id"].as_str().unwrap().to_owned()),
            environment: None,
        };
        let people = vec![
            Person::default(),
            world.person(&admin, "Stan", "deployer", &other).await,
            world.person(&admin, "Vera", "viewer", &everywhere).await,
            world.person(&admin, "Aude", "auditor", &everywhere).await,
            world.person(&admin, "Dora", "deployer", &everywhere).await,
            world.person(&admin, "Rene", "releaser", &everywhere).await,
            admin.clone(),
        ];
        world.person(&admin, "Door", "viewer", &everywhere).await;
        let (inquiry, release) = release(world, &admin, &service).await;
        let rollout = rollout(world, &admin, &open.placement, &release).await;
        let form = [("name", "company"), ("address", "registry.example.org:5000")];
        let registry = world.post(&admin, "registries/add", &form).send().await.id();
        let form = [("name", "cluster"), ("own_account", "on")];
        let target = world.post(&admin, "targets/add", &form).send().await.id();
        let build = build(world, &admin, &service).await;
        let page = world.post(&admin, "people/page", &[]).send().await.json();
        let person = page["people"][0]["id"].as_str().unwrap().to_owned();
        Self {
            people,
            person,
            service,
            release,
            inquiry,
            rollout,
            build,
            registry,
            target,
            open,
            protected,
        }
    }

    async fn outcome(
        &self,
        world: &World,
        route: &str,
        place: &str,
        who: &Person,
    ) -> (&'static str, String) {
        let (method, path) = route.split_once(' ').unwrap();
        let ask = if method == "GET" {
            let at = if place == "protected" { &self.protected } else { &self.open };
            world.get(who, &self.address(path, at)).header("Accept", self.accept(path))
        } else {
            let at = if place == "protected" { &self.protected } else { &self.open };
            let form = self.form(path, at);
            let pairs: Vec<(&str, &str)> =
                form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            Ask::post(world.port, path, &pairs).header("Cookie", &who.cookie)
        };
        // A stream does not end by itself.
        let answer = if path == "/live" { ask.open().await.0 } else { ask.send().await };
        let leads_to_sign_in =
            answer.header("location").is_some_and(|to| to.starts_with("/sign-in?next="));
        let word = match answer.status {
            401 => "-",
            302 if leads_to_sign_in => "-",
            403 => "x",
            404 => "?",
            200 | 302 | 409 | 422 => "+",
            _ => "!",
        };
        let body: String = answer.body.chars().take(160).collect();
        (word, format!("{} {body}", answer.status))
    }

    fn accept(&self, path: &str) -> &'static str {
        let for_machines =
            server::routes::OPEN.contains(&path) || server::routes::OWN.contains(&path);
        if for_machines { "*/*" } else { "text/html" }
    }

    fn address(&self, path: &str, at: &Where) -> String {
        path.replace("{placement}", &at.placement)
            .replace("{project}", "shop")
            .replace("{environment}", "local")
            .replace("{service}", "web")
            .replace("{environment}", self.name(at))
            .replace("{export}", "export.csv")
            .replace("/builds/{id}", &format!("/builds/{}", self.build))
            .replace("/releases/{id}", &format!("/releases/{}", self.release))
            .replace("/rollouts/{id}", &format!("/rollouts/{}", self.rollout))
            .replace("/targets/{id}", &format!("/targets/{}", self.target))
            .replace("/people/{id}", &format!("/people/{}", self.person))
    }

    fn name(&self, at: &Where) -> &'static str {
        if at.placement == self.open.placement { "local" } else { "production" }
    }

    /// What is typed: whoever may do it gets as far as a conflict or a wrong field, so that the next
    /// one finds everything as it was.
    fn form(&self, path: &str, at: &Where) -> Vec<(String, String)> {
        let nobody = uuid::Uuid::now_v7().to_string();
        let placement = ("placement", at.placement.as_str());
        let service = ("service", self.service.as_str());
        let release = ("release", self.release.as_str());
        let newest = ("newest", nobody.as_str());
        let person = ("person", nobody.as_str());
        let environment = ("environment", at.environment.as_str());
        let pairs: Vec<(&str, &str)> = match path.trim_start_matches("/api/") {
            "theme" => vec![("theme", "dark")],
            "shortcuts" => vec![("shortcuts", "off")],
            "projects/page" => vec![("project", "shop")],
            "environments/one" => vec![("environment", "local")],
            "people/make-first-admin" => {
                vec![("token", "x"), ("name", "Eve"), ("password", PASSWORD), ("again", PASSWORD)]
            }
            "people/sign-in" => vec![("name", "Door"), ("password", PASSWORD)],
            "people/change-password" => {
                vec![("current", PASSWORD), ("password", "short"), ("again", "short")]
            }
            "people/end-session" => vec![("session", &nobody)],
            "people/add" => vec![("name", "New"), ("password", "short")],
            "people/disable" | "people/enable" => vec![person],
            "people/reset-password" => vec![person, ("password", PASSWORD)],
            "people/give-grant" => vec![person, ("role", "viewer")],
            "people/take-grant" => vec![("grant", &nobody)],
            "people/person" => vec![("id", &self.person)],
            "people/invite" => vec![("name", "New"), ("days", "99"), ("role", "viewer")],
            "people/withdraw-invitation" => vec![("invitation", &nobody)],
            "people/invitation" => vec![("token", "x")],
            "people/accept-invitation" => {
                vec![("token", "x"), ("name", "Eve"), ("password", PASSWORD), ("again", PASSWORD)]
            }
            "services/page" => vec![("project", "shop"), ("service", "web")],
            "services/add" => vec![("project", "shop"), ("name", "web"), ("size", "1")],
            "services/edit" => return with(&[service], &SpecForm::default()),
            "services/edit-placement" => vec![placement, ("size", "1"), ("host_names", "")],
            "services/change-configuration" => {
                vec![placement, ("variables", "A=1"), ("based_on", "999")]
            }
            "configurations/page" => vec![("project", "shop"), ("service", "web")],
            "configurations/change" => {
                let limits =
                    [("rows[0][name]", "A"), ("cpu", "1"), ("memory_mib", "64"), ("pids", "64")];
                [placement, ("based_on", "999")].into_iter().chain(limits).collect()
            }
            "configurations/import" => {
                vec![placement, ("text", "A=1"), ("missing", "keep"), ("based_on", "999")]
            }
            "configurations/set-secret" => {
                vec![placement, ("name", "KEY"), ("secret", "x"), ("based_on", "999")]
            }
            "configurations/remove-secret" => {
                vec![placement, ("name", "KEY"), ("based_on", "1")]
            }
            "configurations/switch" => {
                vec![placement, ("name", "FLAG"), ("on", "yes"), ("based_on", "999")]
            }
            "releases/look-up-image" => vec![service, ("reference", "hello:1")],
            "releases/inquiry" => vec![("id", &self.inquiry)],
            "releases/make" => vec![service, ("inquiry", &nobody), ("name", "1")],
            "releases/page" => vec![("id", &self.release)],
            "rollouts/could-i" => vec![placement, release],
            "rollouts/start" | "rollouts/roll-back" => vec![placement, release, newest],
            "rollouts/ask" => vec![("rollout", &self.rollout), ("ask", "promote")],
            "rollouts/extend-warmth" => vec![placement, ("minutes", "5")],
            "rollouts/end-warmth" | "rollouts/lift-hold" => vec![placement],
            "rollouts/page" => vec![("id", &self.rollout)],
            "samples/rollout" => vec![("id", &self.rollout)],
            "rollouts/promotion" => {
                vec![("project", "shop"), ("service", "web"), ("environment", self.name(at))]
            }
            // The first who may does it; who comes after finds that it is done, and is let in too.
            "placements/restart" | "placements/stop" | "placements/start" => vec![placement],
            "placements/remove" => vec![placement, newest, ("typed", "another")],
            "placements/place" => vec![service, environment],
            "logs/page" | "samples/service" => {
                vec![("project", "shop"), ("service", "web"), ("environment", self.name(at))]
            }
            "builds/page" | "builds/log" => vec![("id", &self.build)],
            "builds/project" | "builds/start-all" => vec![("project", "shop")],
            "builds/source" => vec![("project", "shop"), ("service", "web")],
            "builds/edit-source" => {
                vec![service, ("url", "https://git.example.org/team/web.git")]
            }
            "builds/given" | "builds/set-login" => vec![service],
            "builds/set-secret" | "builds/remove-secret" => {
                let fields = [("name", nobody.as_str()), ("secret", "x"), ("based_on", "0")];
                std::iter::once(service).chain(fields).collect()
            }
            "builds/look-up-refs" | "builds/guess-recipe" | "builds/start" => vec![service],
            "targets/one" | "targets/look" => vec![("target", &self.target)],
            "targets/choose" => {
                vec![("target", &self.target), ("namespaces", "{project}-{environment}")]
            }
            "targets/replace" | "targets/archive" => vec![("target", nobody.as_str())],
            "targets/add" => vec![("name", "x"), ("secret", "no kubeconfig")],
            "environments/add" => {
                vec![("name", "x"), ("target", nobody.as_str()), ("protected", "on")]
            }
            "registries/add" => vec![("name", "x"), ("address", "registry.example.org:5000")],
            "registries/change" => {
                vec![("registry", &self.registry), ("user", ""), ("password", "")]
            }
            "registries/archive" => vec![("registry", nobody.as_str())],
            "registries/try" => vec![("registry", &self.registry)],
            "registries/rule" | "registries/set-rule" => vec![service],
            "registries/stored" | "registries/push" | "registries/ask-tags" => vec![release],
            "builds/cancel" => vec![("build", &self.build)],
            "environments/edit-policy" => {
                return with(&[environment], &PolicyForm::of(&Policy::of_new(false)));
            }
            "environments/move" => vec![environment, ("target", nobody.as_str())],
            "environments/set-protected" => vec![environment, ("protected", "no")],
            _ => Vec::new(),
        };
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

fn with(first: &[(&str, &str)], form: &impl Serialize) -> Vec<(String, String)> {
    let serde_json::Value::Object(fields) = serde_json::to_value(form).unwrap() else {
        panic!("a form has fields");
    };
    let first = first.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let fields =
        fields.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())));
    first.chain(fields).collect()
}

async fn release(world: &World, admin: &Person, service: &str) -> (String, String) {
    world.target.add_image(image());
    let form = [("service", service), ("reference", "hello:1")];
    let inquiry = world.post(admin, "releases/look-up-image", &form).send().await.id();
    for _ in 0..100 {
        let page = world.post(admin, "releases/inquiry", &[("id", &inquiry)]).send().await.json();
        if page["answer"]["is"] != "waiting" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let form = [("service", service), ("inquiry", &inquiry), ("name", "1")];
    let release = world.post(admin, "releases/make", &form).send().await.id();
    (inquiry, release)
}

/// A build that waits for ever: this server has no part in builds.
async fn build(world: &World, admin: &Person, service: &str) -> String {
    let form = [("service", service), ("url", "https://git.example.org/team/web.git")];
    let edited = world.post(admin, "builds/edit-source", &form).send().await;
    assert!(matches!(edited.status, 200 | 302), "{}", edited.body);
    world.post(admin, "builds/start", &[("service", service)]).send().await.id()
}

async fn rollout(world: &World, admin: &Person, placement: &str, release: &str) -> String {
    let form = [("placement", placement), ("release", release)];
    let rollout = world.post(admin, "rollouts/start", &form).send().await.id();
    for _ in 0..300 {
        let page = world.post(admin, "rollouts/page", &[("id", &rollout)]).send().await.json();
        let phase = page["card"]["state"]["phase"].as_str().unwrap().to_owned();
        if phase == "succeeded" {
            return rollout;
        }
        assert!(!matches!(&*phase, "failed" | "aborted" | "rolled_back"), "{page}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the rollout does not end");
}

fn image() -> domain::release::ImageFacts {
    domain::release::ImageFacts {
        id: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
        reference: "hello:1".parse().unwrap(),
        size_bytes: 1,
        platform: "linux/amd64".to_owned(),
        user: "1000".to_owned(),
        ports: vec![8080],
        command: Vec::new(),
        created_at: None,
    }
}
