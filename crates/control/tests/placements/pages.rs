//! What pages show: all of it, and only what may be seen.

use crate::world::{World, name};
use domain::{
    palette::Palette,
    role::{Role, Scope},
    rollout::Phase,
};
use sqlx::PgPool;

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_board_shows_what_runs_what_rolls_and_what_is_next(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    world.service_in("another", "zoo").await;
    let staging = world.placement(hello, "staging").await;
    let (one, two) = (world.release(hello, "1").await, world.release(hello, "2").await);
    world.deploy(staging, one).await;
    let active = world.start(staging, two).await;
    world.enter(staging, Phase::Preflight).await;
    let waiting = world.start(staging, one).await;

    let board = world.control.board(&world.admin).await.expect("the board");

    let projects: Vec<_> = board.projects.iter().map(|project| project.name.as_str()).collect();
    assert_eq!(projects, ["another", "demo"]);
    let service = &board.projects[1].services[0];
    assert_eq!((service.name.as_str(), service.note.as_str()), ("hello", "port 8080"));
    let cells = &service.cells;
    assert_eq!(cells.len(), 3);
    assert!(cells[0].live.is_none() && cells[0].active.is_none() && cells[0].newest.is_none());
    let cell = &cells[1];
    assert_eq!(cell.live.as_ref().expect("live").release.name, "1");
    // Each is offered what has proven itself in one before it; the first what is newest.
    let next = |at: usize| cells[at].next.as_ref().map(|next| next.name.as_str());
    assert_eq!([next(0), next(1), next(2)], [Some("2"), None, Some("1")]);
    let card = cell.active.as_ref().expect("active");
    assert_eq!((card.id, card.release.name.as_str(), card.by.as_str()), (active, "2", "Root"));
    assert_eq!(card.from.as_ref().expect("from").name, "1");
    assert_eq!(cell.waiting.as_ref().expect("waiting").id, waiting);
    assert_eq!(cell.newest, Some(waiting));
    assert!(cell.may.start && cell.may.abort && board.may_add_service);
    assert!(cells[2].protected);
    // What people did and how rollouts ended; phases on the way are on the rollout's own page.
    assert!((1..=12).contains(&board.happening.len()));
    assert!(board.happening.iter().all(|row| row.phase.is_none_or(Phase::is_end)));

    world.enter(staging, Phase::Failed).await;
    let board = world.control.board(&world.admin).await.expect("the board");
    let cell = &board.projects[1].services[0].cells[1];
    assert_eq!(cell.failed.as_ref().expect("failed").id, active);
    world.succeed(staging).await;
    let board = world.control.board(&world.admin).await.expect("the board");
    let cell = &board.projects[1].services[0].cells[1];
    assert!(cell.failed.is_none() && cell.waiting.is_none() && cell.warm.is_some());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_palette_leads_only_to_what_one_may_see_and_offers_only_what_one_may_do(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    world.service_in("another", "zoo").await;
    let staging = world.placement(hello, "staging").await;
    let (one, two) = (world.release(hello, "1").await, world.release(hello, "2").await);
    world.deploy(staging, one).await;
    world.deploy(staging, two).await;
    let production = world.placement(hello, "production").await;
    let running = world.start(production, one).await;
    let environment = world.environment("staging").await;
    let ana = world.person("Ana", Role::Deployer, Scope::Environment { environment }).await;
    let vera = world.person("Vera", Role::Viewer, Scope::Everything).await;
    let stranger = world.stranger("Stan").await;

    let all = world.control.palette(&world.admin).await.expect("the palette");
    let hers = world.control.palette(&ana).await.expect("the palette");
    let seen = world.control.palette(&vera).await.expect("the palette");
    let nothing = world.control.palette(&stranger).await.expect("the palette");

    assert_eq!(all.projects, [name("another"), name("demo")]);
    assert_eq!(all.environments.len(), 3);
    let service = &all.services[1];
    assert!(service.released && !all.services[0].released);
    let back: Vec<_> = service.places.iter().map(|place| place.goes_back).collect();
    assert_eq!(back, [false, true, false], "warm in staging");
    assert_eq!(all.rollouts[0].id, running, "what runs is first");
    assert_eq!(all.rollouts.len(), 3);
    assert_eq!(all.people.len(), 4);

    assert_eq!(hers.environments, [name("staging")]);
    let places = |palette: &domain::palette::Palette| -> Vec<_> {
        let places = palette.services.iter().flat_map(|service| &service.places);
        places.map(|p| (p.environment.to_string(), p.may_deploy, p.goes_back)).collect()
    };
    let here = ("staging".to_owned(), true, false);
    assert_eq!(places(&hers), [here, ("staging".to_owned(), true, true)]);
    assert!(hers.rollouts.iter().all(|rollout| rollout.environment == name("staging")));
    assert_eq!((hers.rollouts.len(), hers.people.len()), (2, 0));
    assert!(places(&seen).iter().all(|(_, deploys, back)| !deploys && !back));
    assert!(!seen.pages.contains(&domain::palette::Page::NewService));
    let Palette { projects, environments, services, rollouts, releases, people, .. } = nothing;
    assert!(projects.is_empty() && environments.is_empty() && services.is_empty());
    assert!(rollouts.is_empty() && releases.is_empty() && people.is_empty());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_project_and_an_environment_show_what_is_theirs_and_may_be_seen(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    world.service_in("another", "zoo").await;
    let staging = world.placement(hello, "staging").await;
    let one = world.release(hello, "1").await;
    world.deploy(staging, one).await;
    let environment = world.environment("staging").await;
    let ana = world.person("Ana", Role::Viewer, Scope::Environment { environment }).await;
    let stranger = world.stranger("Stan").await;

    let project = world.control.project(&world.admin, &name("demo")).await.expect("the project");
    let place =
        world.control.environment(&world.admin, &name("staging")).await.expect("the environment");
    let hers = world.control.project(&ana, &name("demo")).await.expect("of it a part");

    assert_eq!(project.project.services.len(), 1);
    assert_eq!((project.project.services[0].cells.len(), project.environments.len()), (3, 3));
    assert!(!project.happening.is_empty() && project.may_add_service && project.may_see_access);
    assert_eq!((hers.project.services[0].cells.len(), hers.environments.len()), (1, 1));
    assert!(!hers.may_add_service && !hers.may_see_access);
    let shown: Vec<_> = place.projects.iter().map(|project| project.name.as_str()).collect();
    assert_eq!(shown, ["another", "demo"]);
    assert!(place.projects.iter().all(|project| project.services[0].cells.len() == 1));
    assert_eq!((place.rollouts.len(), place.rollouts[0].service.as_str()), (1, "hello"));
    assert!(place.happening.iter().all(|row| row.environment.as_deref() == Some("staging")));

    assert!(world.control.project(&stranger, &name("demo")).await.is_err());
    assert!(world.control.environment(&stranger, &name("staging")).await.is_err());
    assert!(world.control.environment(&ana, &name("production")).await.is_err());
    assert!(world.control.projects(&stranger).await.expect("none").projects.is_empty());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_may_see_one_environment_sees_one_cell(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let environment = world.environment("staging").await;
    let release = world.release(hello, "1").await;
    for place in ["staging", "production"] {
        let placement = world.placement(hello, place).await;
        world.deploy(placement, release).await;
    }
    let ana = world.person("Ana", Role::Deployer, Scope::Environment { environment }).await;

    let board = world.control.board(&ana).await.expect("the board");
    let page = world.control.service(&ana, &name("demo"), &name("hello")).await.expect("the page");

    let cells = &board.projects[0].services[0].cells;
    assert_eq!(cells.len(), 1);
    assert_eq!(cells[0].environment, environment);
    assert!(cells[0].may.start && !page.may.release && !page.may.edit);
    assert_eq!(board.environments.len(), 1);
    assert_eq!(page.placements.len(), 1);
    assert_eq!(page.rollouts.len(), 1);
    assert_eq!(page.releases[0].live_in, ["staging"]);
    let environments = world.control.environments(&ana).await.expect("the page");
    assert_eq!(environments.environments.len(), 1);
    assert_eq!(
        (environments.environments[0].placements, environments.environments[0].live),
        (1, 1)
    );
    assert!(!environments.may_edit);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_service_offers_the_pairs_that_were_live_newest_first(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let mut releases = Vec::new();
    for number in 1..=13 {
        let release = world.release(hello, &number.to_string()).await;
        releases.push(release);
        world.deploy(staging, release).await;
    }

    let page = world.control.service(&world.admin, &name("demo"), &name("hello")).await;

    let card = page.expect("the page").placements.remove(1);
    let earlier: Vec<_> = card.earlier.iter().map(|e| e.release.name.as_str()).collect();
    assert_eq!(earlier, ["12", "11", "10", "9", "8", "7", "6", "5", "4", "3"]);
    assert!(card.earlier[0].warm && !card.earlier[1].warm);
    assert!(card.earlier.windows(2).all(|two| two[0].live_until >= two[1].live_until));

    let mut conn = world.pool.acquire().await.expect("a connection");
    let keepers = store::rollouts::keepers(&mut conn).await.expect("keepers");
    let kept = |tag: &str| keepers.contains(&crate::world::facts(tag).id);
    assert_eq!(keepers.len(), 10, "the last ten that were live");
    assert!(kept("13") && kept("4") && !kept("3"));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_release_and_a_rollout_say_what_they_change(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let (one, two) = (world.release(hello, "1").await, world.release(hello, "2").await);
    world.deploy(staging, one).await;
    let none = domain::configuration::Variables::default();
    let variables = domain::configuration::Variables::parse("A=1", &none).expect("good");
    let limits = domain::service::Limits::DEFAULT;
    world
        .control
        .change_configuration(&world.admin, staging, variables, limits, 1)
        .await
        .expect("made");

    let page = world.control.release(&world.admin, two).await.expect("the page");
    let at = &page.against[1];
    let changed: Vec<_> = at.changes.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(changed, ["release", "image", "configuration", "A"]);
    assert_eq!(page.facts.as_ref().expect("facts").user, "1000");
    assert!(page.against[0].changes.iter().all(|change| change.before.is_none()));

    let id = world.start(staging, two).await;
    let page = world.control.rollout(&world.admin, id).await.expect("the page");
    let changed: Vec<_> = page.changes.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(changed, ["release", "image", "configuration", "A"]);
    assert_eq!(page.phases.len(), 1);
    assert_eq!(page.phases[0].phase, Phase::Queued);
    assert_eq!(page.rows.len(), 1);
    assert_eq!(page.cell.waiting.as_ref().expect("waits").id, id);
    assert!(page.asked.is_none() && page.card.from.is_some());
    assert_eq!(
        page.address.as_ref().and_then(domain::view::Address::href),
        Some("http://hello.demo.staging.localhost:7380")
    );
}
