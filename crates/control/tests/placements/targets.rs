//! Clusters: who may connect one, what is refused, of two edits one, what the history says and that
//! credentials lie sealed; and under which names what is on one is reached.

use crate::world::{World, name};
use control::{Asked, Control, Settings, TargetWish};
use domain::{
    error::Problem,
    history::Deed,
    id::TargetId,
    name::Wrong,
    namespace::NamespacePattern,
    role::{Role, Scope},
    target::{
        cluster::{ContextRead, CredentialsRead, TargetPage, sealed_about},
        entrance::Entrance,
    },
    view::Address,
};
use sqlx::PgPool;
use store::targets::Kind;
use time::OffsetDateTime;

const SECRET: &str = "hunter2 of a robot";

/// What the driver's reader does, in short: its first word is the context.
fn read(text: &str, _: OffsetDateTime) -> Result<CredentialsRead, Wrong> {
    if !text.contains("hunter2") {
        return Err(Wrong::new("This is not a kubeconfig."));
    }
    let context = |name: &str| ContextRead {
        name: name.to_owned(),
        server: format!("https://{name}.example:6443"),
        user: "robot".to_owned(),
        namespace: None,
    };
    Ok(CredentialsRead {
        contexts: vec![context("first"), context("second")],
        current: Some("second".to_owned()),
    })
}

/// A world whose control reads such credentials.
async fn world(pool: PgPool) -> World {
    let mut world = World::new(pool.clone()).await;
    let settings = Settings { read_credentials: read, ..Settings::default() };
    world.control = Control::new(pool, settings, world.vault.clone());
    world
}

async fn connected(world: &World, called: &str) -> TargetId {
    let (id, inquiry) = world
        .control
        .add_target(&world.admin, &name(called), false, SECRET)
        .await
        .expect("connected");
    assert!(inquiry.is_some(), "it is asked what is there");
    id
}

async fn page(world: &World, id: TargetId) -> TargetPage {
    world.control.target(&world.admin, id).await.expect("a page")
}

fn entrance(hosts: &str, certificate: Option<&str>) -> Entrance {
    Entrance {
        hosts: hosts.parse().expect("a pattern"),
        class: None,
        certificate: certificate.map(|name| name.parse().expect("a name")),
    }
}

async fn choose(
    world: &World,
    id: TargetId,
    entrance: Option<&Entrance>,
    based_on: Option<i32>,
) -> Result<(), Problem> {
    let namespaces = NamespacePattern::default();
    let wish = TargetWish { context: None, namespaces: &namespaces, probe_image: None, entrance };
    world.control.choose_target(&world.admin, id, &wish, based_on).await
}

/// An environment on it, before services are added.
async fn environment_on(world: &World, called: &str, target: TargetId) {
    world
        .control
        .add_environment(&world.admin, &name(called), None, false, target)
        .await
        .expect("added");
}

fn is_invalid(refused: Result<impl std::fmt::Debug, Problem>, field: &str, says: &str) {
    let problem = refused.expect_err(says);
    assert_eq!(problem.field(), Some(field), "{problem}");
    assert!(problem.to_string().contains(says), "{problem}");
}

fn is_conflict(refused: Result<impl std::fmt::Debug, Problem>, says: &str) {
    let problem = refused.expect_err(says);
    assert!(matches!(problem, Problem::Conflict { .. }), "{problem:?}");
    assert!(problem.to_string().contains(says), "{problem}");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn only_who_may_edit_targets_connects_changes_and_sees_how_one_is_reached(pool: PgPool) {
    let world = world(pool).await;
    let id = connected(&world, "staging").await;
    let namespaces = NamespacePattern::default();
    let wish =
        TargetWish { context: None, namespaces: &namespaces, probe_image: None, entrance: None };
    for role in [Role::Viewer, Role::Deployer, Role::Releaser, Role::Auditor] {
        let asked = world.person(&format!("Ana {}", role.as_str()), role, Scope::Everything).await;
        let control = &world.control;
        let before = world.rows().await.len();
        let tried = [
            control.add_target(&asked, &name("other"), false, SECRET).await.map(drop),
            control.replace_credentials(&asked, id, false, SECRET).await.map(drop),
            control.choose_target(&asked, id, &wish, None).await,
            control.look_at_target(&asked, id).await.map(drop),
            control.archive_target(&asked, id).await,
        ];

        let count = tried.len();
        for refused in tried {
            assert!(matches!(refused, Err(Problem::Forbidden { .. })), "{role:?}: {refused:?}");
        }
        // Each refusal is told, as a row or counted by one.
        let rows = world.rows().await;
        let told = rows[before..]
            .iter()
            .filter(|row| matches!(row.deed, Deed::Refused { .. } | Deed::RefusedMore { .. }));
        assert_eq!(told.count(), count, "{role:?}");
        let seen = control.target(&asked, id).await.expect("its name is for all");
        assert_eq!((seen.cluster, seen.may_edit), (None, false), "{role:?}");
    }
    let stranger = world.stranger("Eve").await;
    assert!(world.control.targets(&stranger).await.is_err());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_no_kubeconfig_is_refused_and_nothing_is_kept(pool: PgPool) {
    let world = world(pool).await;
    let (control, admin) = (&world.control, &world.admin);
    let known = control.targets(admin).await.expect("a page").targets.len();
    let rows = world.rows().await.len();

    let add = async |own, text: &str| control.add_target(admin, &name("x"), own, text).await;
    is_invalid(add(false, "words").await, "secret", "not a kubeconfig");
    is_invalid(add(true, SECRET).await, "secret", "Either a kubeconfig or our own");

    assert_eq!(control.targets(admin).await.expect("a page").targets.len(), known);
    assert_eq!(world.rows().await.len(), rows);
    let id = connected(&world, "staging").await;
    is_invalid(
        control.add_target(admin, &name("staging"), false, SECRET).await,
        "name",
        "There is a target staging already",
    );
    let namespaces = NamespacePattern::default();
    let wish = TargetWish {
        context: Some("third"),
        namespaces: &namespaces,
        probe_image: None,
        entrance: None,
    };
    is_invalid(control.choose_target(admin, id, &wish, None).await, "context", "no such context");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn credentials_lie_sealed_about_their_row_and_are_in_no_page_and_no_row(pool: PgPool) {
    let world = world(pool).await;
    let id = connected(&world, "staging").await;

    let mut conn = world.pool.acquire().await.expect("a connection");
    let known = store::targets::load(&mut conn, id).await.expect("read").expect("there");
    let Kind::Cluster(cluster) = &known.kind else { panic!("a cluster: {known:?}") };
    let sealed = cluster.credentials.clone().expect("sealed");
    assert!(!sealed.windows(7).any(|bytes| bytes == b"hunter2"));
    let opened = world.vault.unseal(&sealed_about(id), &sealed).expect("by this key");
    assert_eq!(opened.expose(), SECRET);
    let elsewhere = sealed_about(TargetId(uuid::Uuid::now_v7()));
    assert!(world.vault.unseal(&elsewhere, &sealed).is_err(), "moved, it opens no more");

    let card = page(&world, id).await.cluster.expect("for an admin");
    assert_eq!(card.context.as_deref(), Some("second"), "the file's own first one");
    let lines: Vec<_> = card.contexts.iter().map(ContextRead::line).collect();
    assert_eq!(lines[1], "second: robot at https://second.example:6443");
    let shown = format!("{card:?} {:?}", world.rows().await);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(world.told().await, "Root connected the target staging");

    // Others in their place: the context stays if it is there, and nobody learns the old ones.
    let other = "another hunter2";
    let control = &world.control;
    control.replace_credentials(&world.admin, id, false, other).await.expect("replaced");
    let known = store::targets::load(&mut conn, id).await.expect("read").expect("there");
    assert_eq!(known.version, 2);
    control.archive_target(&world.admin, id).await.expect("archived");
    let kept: Option<Vec<u8>> = sqlx::query_scalar("select credentials from targets where id = $1")
        .bind(id.0)
        .fetch_one(&world.pool)
        .await
        .expect("the row stays");
    assert_eq!(kept, None, "what is not used any more keeps no credentials");
    assert_eq!(world.told().await, "Root archived the target staging");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn of_two_edits_of_a_page_the_later_is_told_and_each_that_holds_is_a_row(pool: PgPool) {
    let world = world(pool).await;
    let id = connected(&world, "staging").await;
    let version = page(&world, id).await.version;
    let first = entrance("{service}.one.example", Some("wildcard"));
    let second = entrance("{service}.two.example", None);

    choose(&world, id, Some(&first), Some(version)).await.expect("the first one holds");
    is_conflict(choose(&world, id, Some(&second), Some(version)).await, "Somebody changed");

    assert_eq!(page(&world, id).await.cluster.expect("a card").entrance, Some(first.clone()));
    let rows = world.rows().await;
    let row = rows.last().expect("a row");
    assert!(matches!(row.deed, Deed::TargetChanged { .. }), "{row:?}");
    let changes: Vec<_> = row
        .changes
        .iter()
        .map(|change| (change.what.as_str(), change.before.as_deref(), change.after.as_deref()))
        .collect();
    assert_eq!(
        changes,
        [
            ("host names", None, Some("{service}.one.example")),
            ("certificate of the entrance", None, Some("wildcard")),
        ]
    );
    let count = rows.len();
    choose(&world, id, Some(&first), None).await.expect("nothing changes");
    assert_eq!(world.rows().await.len(), count, "what changes nothing is no row");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn two_who_change_it_at_the_same_moment_do_not_both_win(pool: PgPool) {
    let world = world(pool).await;
    let id = connected(&world, "staging").await;
    let version = page(&world, id).await.version;
    let entrances = ["{service}.one.example", "{service}.two.example"].map(|it| entrance(it, None));

    let (one, other) = tokio::join!(
        choose(&world, id, Some(&entrances[0]), Some(version)),
        choose(&world, id, Some(&entrances[1]), Some(version)),
    );

    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let holds = &entrances[usize::from(one.is_err())];
    assert_eq!(page(&world, id).await.cluster.expect("a card").entrance.as_ref(), Some(holds));
}

async fn addresses(world: &World, asked: &Asked, environment: &str) -> [Option<Address>; 2] {
    let page = world.control.service(asked, &name("demo"), &name("api")).await.expect("a page");
    let card = page
        .placements
        .into_iter()
        .find(|card| card.cell.environment_name.as_str() == environment)
        .expect("a placement");
    [card.address, card.preview_address]
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_on_a_cluster_is_reached_inside_it_or_by_its_targets_host_names(pool: PgPool) {
    let world = world(pool).await;
    let id = connected(&world, "staging").await;
    environment_on(&world, "rehearsal", id).await;
    let service = world.service("api").await;
    let placement = world.placement(service, "rehearsal").await;
    let inside = |at: &str| Some(Address::Inside(at.to_owned()));
    let link = |at: &str| Some(Address::Link(at.to_owned()));
    let preview = inside("api-preview.demo-rehearsal.svc:80");

    let here = addresses(&world, &world.admin, "local").await;
    assert_eq!(here[0], link("http://api.demo.local.localhost:7380"));
    let there = addresses(&world, &world.admin, "rehearsal").await;
    assert_eq!(there, [inside("api.demo-rehearsal.svc:80"), preview.clone()]);

    // The names of what is there follow a choice at once, and those of what comes later.
    let hosts = entrance("{service}.{environment}.example.com", Some("wildcard"));
    choose(&world, id, Some(&hosts), None).await.expect("chosen");
    let there = addresses(&world, &world.admin, "rehearsal").await;
    assert_eq!(there, [link("https://api.rehearsal.example.com"), preview.clone()]);
    let here = addresses(&world, &world.admin, "local").await;
    assert_eq!(here[0], link("http://api.demo.local.localhost:7380"), "another target's stay");
    let later = world.service("web").await;
    let later = world.placement(later, "rehearsal").await;
    let mut conn = world.pool.acquire().await.expect("a connection");
    let names = async |conn: &mut store::Conn, id| {
        let known = store::placements::load(conn, id).await.expect("read").expect("there");
        known.place.host_names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(&mut conn, later).await, ["web.rehearsal.example.com"]);

    // Two of one name would share it: that is refused, whoever comes later.
    let project = name("shop");
    let api = name("api");
    let same = world.control.add_service(
        &world.admin,
        &project,
        &api,
        crate::world::spec(),
        domain::service::Limits::DEFAULT,
        domain::service::Size::ONE,
    );
    is_invalid(same.await, "name", "two services on this target");

    // One by one they are not given there, and a size is changed without them.
    let size = "2".parse::<u16>().ok().and_then(|it| it.try_into().ok()).expect("a size");
    let other = vec!["mine.example.com".parse().expect("a host name")];
    let control = &world.control;
    let given = control.edit_placement(&world.admin, placement, size, other, "").await;
    is_invalid(given, "host_names", "follow from the pattern");
    control.edit_placement(&world.admin, placement, size, Vec::new(), "").await.expect("sized");
    assert_eq!(names(&mut conn, placement).await, ["api.rehearsal.example.com"]);

    choose(&world, id, None, None).await.expect("taken away");
    assert_eq!(names(&mut conn, placement).await, Vec::<String>::new());
    let there = addresses(&world, &world.admin, "rehearsal").await;
    assert_eq!(there, [inside("api.demo-rehearsal.svc:80"), preview]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_pattern_that_does_not_fit_what_is_there_changes_nothing(pool: PgPool) {
    let world = world(pool).await;
    let id = connected(&world, "staging").await;
    environment_on(&world, "rehearsal", id).await;
    world.service_in("demo", "api").await;
    world.service_in("shop", "api").await;
    let before = page(&world, id).await;

    let shared = entrance("{service}.example.com", None);
    is_invalid(choose(&world, id, Some(&shared), None).await, "hosts", "two services");
    let long = entrance(&format!("{{service}}{}.example.com", "a".repeat(62)), None);
    is_invalid(choose(&world, id, Some(&long), None).await, "hosts", "a word of 65 characters");
    let namespaces: NamespacePattern = "other".parse().expect("a pattern");
    let wish =
        TargetWish { context: None, namespaces: &namespaces, probe_image: None, entrance: None };
    let moved = world.control.choose_target(&world.admin, id, &wish, None).await;
    is_conflict(moved, "Connect the cluster a second time");
    is_conflict(world.control.archive_target(&world.admin, id).await, "rehearsal runs on it");

    assert_eq!(page(&world, id).await, before);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_environment_goes_to_another_target_until_something_was_rolled_out_there(pool: PgPool) {
    let world = world(pool).await;
    let service = world.service("api").await;
    let release = world.release(service, "1.0.0").await;
    let id = connected(&world, "cluster").await;
    let placement = world.placement(service, "staging").await;
    let staging = world.environment("staging").await;
    let others = async |asked: &Asked| {
        let page = world.control.environment(asked, &name("staging")).await.expect("a page");
        page.other_targets.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(others(&world.admin).await, [id]);

    let rita = world.person("Rita", Role::Releaser, Scope::Everything).await;
    assert_eq!(others(&rita).await, [], "who may not move it is not shown where to");
    let refused = world.control.move_environment(&rita, staging, id).await;
    assert!(matches!(refused, Err(Problem::Forbidden { .. })), "{refused:?}");
    let nowhere = TargetId(uuid::Uuid::now_v7());
    let refused = world.control.move_environment(&world.admin, staging, nowhere).await;
    assert!(matches!(refused, Err(Problem::NotFound { .. })), "{refused:?}");

    world.control.move_environment(&world.admin, staging, id).await.expect("moved");
    let told = world.told().await;
    assert!(told.starts_with("Root moved the environment staging from Docker"), "{told}");
    assert!(told.ends_with(" to cluster"), "{told}");
    let there = addresses(&world, &world.admin, "staging").await;
    assert_eq!(there[0], Some(Address::Inside("api.demo-staging.svc:80".to_owned())));
    let rows = world.rows().await.len();
    world.control.move_environment(&world.admin, staging, id).await.expect("it is there");
    assert_eq!(world.rows().await.len(), rows, "what changes nothing is no row");

    // Back, and its names on the router are its own again.
    let machine = others(&world.admin).await[0];
    world.control.move_environment(&world.admin, staging, machine).await.expect("moved back");
    let here = addresses(&world, &world.admin, "staging").await;
    assert_eq!(here[0], Some(Address::Link("http://api.demo.staging.localhost:7380".to_owned())));

    world.start(placement, release).await;
    assert_eq!(others(&world.admin).await, []);
    is_conflict(
        world.control.move_environment(&world.admin, staging, id).await,
        "rolled out in staging already",
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_service_that_is_added_while_its_environment_moves_has_the_names_of_the_new_target(
    pool: PgPool,
) {
    let world = world(pool.clone()).await;
    let id = connected(&world, "cluster").await;
    let hosts = entrance("{service}.{environment}.example.com", None);
    choose(&world, id, Some(&hosts), None).await.expect("chosen");
    let staging = world.environment("staging").await;
    let mut moving = pool.begin().await.expect("begun");
    store::environments::lock_order(&mut moving).await.expect("locked");
    store::environments::lead_to(&mut moving, staging, id).await.expect("led");

    let added = world.service("api");
    tokio::pin!(added);
    let waits = tokio::time::timeout(std::time::Duration::from_millis(300), &mut added).await;
    assert!(waits.is_err(), "it was added to the target that is being left");
    moving.commit().await.expect("moved");
    added.await;

    let there = addresses(&world, &world.admin, "staging").await;
    assert_eq!(there[0], Some(Address::Link("http://api.staging.example.com".to_owned())));
}
