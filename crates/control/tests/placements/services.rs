//! Adding and editing: what is refused names its field, what is done has before and after.

use crate::world::{World, facts, name, spec};
use domain::{
    configuration::Variables,
    error::Problem,
    history::Deed,
    name::{HostName, ReleaseName},
    policy::{Policy, shown},
    role::{Role, Scope},
    service::{Exposure, Limits, Size},
    view::{Address, InquiryAnswer},
};
use sqlx::PgPool;

fn host(word: &str) -> HostName {
    word.parse().expect("a host name")
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_new_installation_has_three_environments_and_makes_them_once(pool: PgPool) {
    let world = World::new(pool).await;
    world.control.begin_installation().await.expect("nothing to do");

    let page = world.control.environments(&world.admin).await.expect("the page");

    let seen: Vec<_> = page
        .environments
        .iter()
        .map(|card| (card.environment.name.as_str(), card.environment.protected))
        .collect();
    assert_eq!(seen, [("local", false), ("staging", false), ("production", true)]);
    let policy = |at: usize| page.environments[at].environment.policy.clone();
    assert_eq!((policy(0), policy(2)), (Policy::of_new(false), Policy::of_new(true)));
    assert!(page.may_edit && page.environments[0].target == "Docker, this machine");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_service_has_a_place_a_name_and_a_configuration_everywhere(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;

    let page = world.control.service(&world.admin, &name("demo"), &name("hello")).await;

    let page = page.expect("the page");
    let addresses: Vec<_> = page.placements.iter().map(|card| card.address.clone()).collect();
    let address = |environment| {
        Some(Address::Link(format!("http://hello.demo.{environment}.localhost:7380")))
    };
    assert_eq!(addresses, [address("local"), address("staging"), address("production")]);
    let preview = page.placements[1].preview_address.as_ref().and_then(Address::href);
    assert_eq!(preview, Some("http://next--hello.demo.staging.localhost:7380"));
    assert!(page.placements.iter().all(|card| card.configuration.number == 1));
    assert_eq!(page.id, hello);
    let deeds: Vec<_> = world.rows().await.into_iter().map(|row| row.deed).collect();
    assert!(deeds.ends_with(&[Deed::ProjectAdded, Deed::ServiceAdded]));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_name_that_is_taken_is_said_at_its_field_and_nothing_is_added(pool: PgPool) {
    let world = World::new(pool).await;
    world.service("hello").await;
    let rows = world.rows().await.len();

    let (demo, hello) = (name("demo"), name("hello"));
    let again = world
        .control
        .add_service(&world.admin, &demo, &hello, spec(), Limits::DEFAULT, Size::ONE)
        .await;
    let mut none = spec();
    none.exposure = Exposure::None;
    let other = name("other");
    let no_port = world
        .control
        .add_service(&world.admin, &demo, &other, none, Limits::DEFAULT, Size::ONE)
        .await;

    assert_eq!(again.expect_err("taken").field(), Some("name"));
    assert_eq!(no_port.expect_err("no port").field(), Some("port"));
    assert_eq!(world.rows().await.len(), rows);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_new_project_needs_the_right_everywhere(pool: PgPool) {
    let world = World::new(pool).await;
    world.service("hello").await;
    let project = sqlx::query_scalar("select id from projects").fetch_one(&world.pool).await;
    let project = domain::id::ProjectId(project.expect("a project"));
    let ana = world.person("Ana", Role::Deployer, Scope::Project { project }).await;
    let add = async |project: &str, service: &str| {
        let (project, service) = (name(project), name(service));
        world
            .control
            .add_service(&ana, &project, &service, spec(), Limits::DEFAULT, Size::ONE)
            .await
    };

    add("demo", "second").await.expect("in her project");
    let refused = add("more", "first").await.expect_err("a new project");

    assert!(matches!(refused, Problem::Forbidden { .. }), "{refused:?}");
    assert!(matches!(world.rows().await.pop().expect("a row").deed, Deed::Refused { .. }));
    let form = world.control.new_service(&ana).await.expect("the form");
    assert_eq!(form.projects, [name("demo")]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn host_names_are_unique_on_a_router_and_never_the_consoles(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    world.service("other").await;
    let staging = world.placement(hello, "staging").await;
    let edit = async |names: &[&str]| {
        let names = names.iter().map(|name| host(name)).collect();
        world.control.edit_placement(&world.admin, staging, Size::ONE, names, "").await
    };
    let long = format!("{}.example.org", "a".repeat(60));
    let refused: [&[&str]; 8] = [
        &[],
        &["localhost"],
        &["127.0.0.1"],
        &["other.demo.staging.localhost"],
        &["next--other.demo.staging.localhost"],
        &["a.example.org", "a.example.org"],
        &["next--a.example.org"],
        &[&long],
    ];

    for names in refused {
        let problem = edit(names).await.expect_err("refused");
        assert_eq!(problem.field(), Some("host_names"), "{names:?} {problem}");
    }
    edit(&["hello.example.org", "www.example.org"]).await.expect("free names");

    let row = world.rows().await.pop().expect("a row");
    assert_eq!(row.changes[0].what, "host names");
    assert_eq!(row.changes[0].before.as_deref(), Some("hello.demo.staging.localhost"));
    assert_eq!(row.changes[0].after.as_deref(), Some("hello.example.org, www.example.org"));
    let page = world.control.service(&world.admin, &name("demo"), &name("hello")).await;
    let address = page.expect("the page").placements[1].address.clone();
    assert_eq!(address.as_ref().and_then(Address::href), Some("http://hello.example.org:7380"));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn where_something_rolls_size_and_names_stay(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let one = world.release(hello, "1").await;
    world.start(staging, one).await;

    let names = vec![host("hello.demo.staging.localhost")];
    let two = Size::try_from(2).expect("a size");
    let refused = world.control.edit_placement(&world.admin, staging, two, names, "").await;

    assert!(matches!(refused, Err(Problem::Conflict { .. })), "{refused:?}");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn of_two_who_edit_size_and_names_the_second_is_told_what_was_kept(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let names = vec![host("hello.demo.staging.localhost")];
    let shown = domain::service::placed(Size::ONE, &names);
    let edit = async |size: u16, based_on: &str| {
        let size = Size::try_from(size).expect("a size");
        world.control.edit_placement(&world.admin, staging, size, names.clone(), based_on).await
    };

    edit(3, &shown).await.expect("the first");
    let refused = edit(2, &shown).await.expect_err("based on what is no more");

    assert!(matches!(refused, Problem::Conflict { .. }), "{refused:?}");
    assert!(refused.to_string().contains("3 instances"), "{refused}");
    let page = world.control.service(&world.admin, &name("demo"), &name("hello")).await;
    let kept = page.expect("the page").placements[1].cell.size.count();
    assert_eq!(kept, 3);
    edit(2, &format!("3 {}", names[0])).await.expect("based on what is so");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn of_two_who_edit_a_configuration_the_second_is_told(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let change = async |lines: &str, based_on: i32| {
        let variables = Variables::parse(lines, &Variables::default()).expect("good");
        world
            .control
            .change_configuration(&world.admin, staging, variables, Limits::DEFAULT, based_on)
            .await
    };

    assert_eq!(change("A=1\nB=1", 1).await.expect("made"), 2);
    let refused = change("C=1", 1).await.expect_err("a newer one");
    assert!(refused.to_string().contains("Configuration 2"), "{refused}");
    assert_eq!(change("A=1\nB=1", 2).await.expect("the same"), 2);
    assert_eq!(change("A=2", 2).await.expect("made"), 3);

    let row = world.rows().await.pop().expect("a row");
    assert_eq!(row.deed, Deed::ConfigurationMade { number: 3 });
    let changes: Vec<_> = row.changes.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(changes, ["A", "B"]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_spec_and_a_policy_are_told_with_before_and_after(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let mut next = spec();
    next.exposure = Exposure::Http { port: 9090 };

    world.control.edit_service(&world.admin, hello, next.clone()).await.expect("edited");
    let rows = world.rows().await;
    let row = rows.last().expect("a row");
    let change = &row.changes[0];
    assert_eq!(
        (change.what.as_str(), change.before.as_deref(), change.after.as_deref()),
        ("port", Some("8080"), Some("9090"))
    );
    world.control.edit_service(&world.admin, hello, next).await.expect("nothing to do");
    assert_eq!(world.rows().await.len(), rows.len(), "no change, no row");

    let production = world.environment("production").await;
    let policy = Policy { passes: 5, ..Policy::of_new(true) };
    world.control.edit_policy(&world.admin, production, policy.clone(), "").await.expect("edited");
    world.control.set_protected(&world.admin, production, false).await.expect("edited");
    let rows = world.rows().await;
    assert_eq!(rows[rows.len() - 2].changes[0].what, "readiness passes");
    assert_eq!(rows[rows.len() - 1].changes[0].what, "protected");
    // Of two who drew the page before, the later one is told.
    let drawn = shown(&policy);
    let edit = async |passes, based_on: &str| {
        let policy = Policy { passes, ..policy.clone() };
        world.control.edit_policy(&world.admin, production, policy, based_on).await
    };
    edit(6, &drawn).await.expect("nobody was before");
    let later = edit(7, &drawn).await.expect_err("somebody was before");
    assert_eq!((later.status(), world.rows().await.len()), (409, rows.len() + 1));

    let wrong = [
        (Policy { approvals: 1, ..policy.clone() }, "approvals"),
        (Policy { error_points: f64::NAN, ..policy.clone() }, "error_points"),
        (Policy { passes: 0, ..policy }, "passes"),
    ];
    for (policy, field) in wrong {
        let refused = world.control.edit_policy(&world.admin, production, policy, "").await;
        assert_eq!(refused.expect_err("wrong").field(), Some(field));
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_release_is_made_of_an_answer_to_its_maker_about_its_service(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let other = world.service("other").await;
    let (control, admin) = (&world.control, &world.admin);
    let ana = world.person("Ana", Role::Admin, Scope::Everything).await;
    let reference = || "hello:1.0".parse().expect("a reference");
    let inquiry = control.look_up_image(admin, hello, reference(), false).await.expect("asked");

    let waiting = control.make_release(admin, hello, inquiry, None).await;
    assert_eq!(waiting.expect_err("no answer yet").field(), Some("inquiry"));
    assert_eq!(control.inquiry(admin, inquiry).await.expect("mine").answer, InquiryAnswer::Waiting);
    assert!(control.inquiry(&ana, inquiry).await.is_err(), "not hers");
    let mut conn = world.pool.acquire().await.expect("a connection");
    let answer = InquiryAnswer::Image(facts("1.0"));
    store::inquiries::answer(&mut conn, inquiry, &answer).await.expect("answered");

    let elsewhere = control.make_release(admin, other, inquiry, None).await;
    assert!(matches!(elsewhere, Err(Problem::NotFound { .. })), "{elsewhere:?}");
    let hers = control.make_release(&ana, hello, inquiry, None).await;
    assert!(matches!(hers, Err(Problem::NotFound { .. })), "{hers:?}");
    let first = control.make_release(admin, hello, inquiry, None).await.expect("made");
    control.make_release(admin, hello, inquiry, None).await.expect("a second of that tag");
    let taken: ReleaseName = "1.0".parse().expect("a name");
    let taken = control.make_release(admin, hello, inquiry, Some(taken)).await;
    assert_eq!(taken.expect_err("taken").field(), Some("name"));

    let page = control.service(admin, &name("demo"), &name("hello")).await.expect("the page");
    let names: Vec<_> = page.releases.iter().map(|row| row.release.name.as_str()).collect();
    assert_eq!(names, ["1.0-2", "1.0"]);
    assert_eq!(page.releases[1].release.id, first);
}
