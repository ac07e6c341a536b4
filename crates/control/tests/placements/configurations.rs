//! What a placement is told: types, secrets, files and flags. A value of a secret is searched for
//! wherever it must not be.

use crate::world::{World, name};
use control::{Control, Settings};
use domain::{
    configuration::{
        Variable, VariableType, Variables,
        import::{Missing, seen},
    },
    error::Problem,
    history::Deed,
    id::PlacementId,
    name::VariableName,
    role::{Role, Scope},
    rollout::Kind,
    service::Limits,
    view::{PlacementCard, ServicePage},
};
use sqlx::PgPool;
use std::sync::Arc;
use vault::Vault;

const VALUE: &str = "hunter2-and-more";

fn variable(word: &str) -> VariableName {
    word.parse().expect("a name")
}

impl World {
    async fn page(&self) -> ServicePage {
        let page = self.control.service(&self.admin, &name("demo"), &name("hello")).await;
        page.expect("the page")
    }

    async fn card(&self, placement: PlacementId) -> PlacementCard {
        let cards = self.page().await.placements;
        cards.into_iter().find(|card| card.cell.placement == placement).expect("a card")
    }

    async fn set(&self, placement: PlacementId, name: &str, based_on: i32) -> Result<i32, Problem> {
        let name = variable(name);
        self.control.set_secret(&self.admin, placement, &name, VALUE, based_on).await
    }

    async fn write(&self, placement: PlacementId, lines: &str, based_on: i32) -> i32 {
        let limits = Limits::DEFAULT;
        let made =
            self.control.write_configuration(&self.admin, placement, lines, limits, based_on).await;
        made.expect("made")
    }

    /// Whether a text is in any row of any table.
    async fn is_stored(&self, text: &str) -> bool {
        let tables: Vec<String> = sqlx::query_scalar(
            "select c.relname::text from pg_class c
             where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')",
        )
        .fetch_all(&self.pool)
        .await
        .expect("the tables");
        assert!(tables.len() > 20, "{tables:?}");
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        for table in tables {
            // Bytes are shown as hexadecimal digits.
            let found: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
                "select exists (select from {table} t
                    where strpos(t::text, $1) > 0 or strpos(t::text, $2) > 0)"
            )))
            .bind(text)
            .bind(&hex)
            .fetch_one(&self.pool)
            .await
            .expect("looked");
            if found {
                return true;
            }
        }
        false
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_secret_is_a_version_in_a_configuration_and_its_value_is_nowhere(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;

    assert_eq!(world.set(staging, "API_KEY", 0).await.expect("set"), 1);

    let row = world.rows().await.pop().expect("a row");
    let deed = Deed::SecretSet { name: variable("API_KEY"), version: 1, number: 2 };
    assert_eq!(row.deed, deed);
    assert_eq!(row.changes[0].after.as_deref(), Some("secret, version 1"));
    let card = world.card(staging).await;
    assert_eq!((card.configuration.number, card.secrets.len()), (2, 1));
    let secret = &card.secrets[0];
    assert_eq!(
        (secret.version, &*secret.set_by, secret.due, secret.lost),
        (1, "Root", false, false)
    );
    assert!(world.is_stored("API_KEY").await, "the search finds what is there");
    assert!(!world.is_stored(VALUE).await, "a value is stored");
    assert!(!format!("{:?}", world.page().await).contains(VALUE));

    let mut conn = world.pool.acquire().await.expect("a connection");
    let version = card.configuration.secrets.0[&variable("API_KEY")];
    let sealed = store::secrets::sealed(&mut conn, &[version]).await.expect("read");
    let opened = world.vault.unseal(&version.about(), &sealed[0].value).expect("opened");
    assert_eq!(opened.expose(), VALUE);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_rollback_names_the_version_that_was_live(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let (one, two) = (world.release(hello, "1").await, world.release(hello, "2").await);
    world.set(staging, "API_KEY", 0).await.expect("set");
    world.deploy(staging, one).await;
    world.set(staging, "API_KEY", 1).await.expect("set");
    world.deploy(staging, two).await;

    let newest = world.newest(staging).await;
    let back = world.control.roll_back(&world.admin, staging, None, None, newest, None).await;

    back.expect("asked");
    let current = world.current(staging).await.expect("queued");
    assert_eq!(current.rollout.kind, Kind::Rollback);
    let version = |configuration: &domain::configuration::Configuration| {
        configuration.secrets.0[&variable("API_KEY")].version
    };
    assert_eq!(version(&current.parts.configuration), 1);
    assert_eq!(version(&world.card(staging).await.configuration), 2);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn of_two_who_set_a_secret_the_second_is_told_and_other_changes_do_not_disturb(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    world.set(staging, "API_KEY", 0).await.expect("set");

    let again = world.set(staging, "API_KEY", 0).await.expect_err("it is there");
    assert!(again.to_string().contains("version 1"), "{again}");
    world.write(staging, "A=1", 2).await;
    assert_eq!(world.set(staging, "API_KEY", 1).await.expect("set"), 2);
    let late = world.set(staging, "API_KEY", 1).await.expect_err("a newer one");
    assert!(matches!(late, Problem::Conflict { .. }), "{late:?}");

    // A name is one thing only.
    let plain = world.set(staging, "A", 0).await.expect_err("a variable");
    assert_eq!(plain.field(), Some("name"));
    let limits = Limits::DEFAULT;
    let both =
        world.control.write_configuration(&world.admin, staging, "API_KEY=x", limits, 4).await;
    assert_eq!(both.expect_err("a secret").field(), Some("variables"));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_removed_secret_goes_on_counting_when_it_comes_back(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    world.set(staging, "API_KEY", 0).await.expect("set");
    let key = variable("API_KEY");
    let remove = |based_on| world.control.remove_secret(&world.admin, staging, &key, based_on);

    assert!(matches!(remove(7).await, Err(Problem::Conflict { .. })));
    remove(1).await.expect("removed");

    assert!(world.card(staging).await.secrets.is_empty());
    assert!(matches!(remove(1).await, Err(Problem::NotFound { .. })));
    assert_eq!(world.set(staging, "API_KEY", 0).await.expect("set"), 2);
    let told = world.told().await;
    assert!(told.contains("set the secret API_KEY of hello, version 2"), "{told}");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_old_value_is_due_and_one_without_its_key_is_lost(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    world.set(staging, "API_KEY", 0).await.expect("set");
    let changed = sqlx::query("update secret_versions set set_at = now() - interval '90 days'")
        .execute(&world.pool)
        .await;
    assert!(changed.is_err(), "versions are immutable");
    for statement in [
        "alter table secret_versions disable trigger user",
        "update secret_versions set set_at = now() - interval '90 days'",
    ] {
        sqlx::query(statement).execute(&world.pool).await.expect("done");
    }

    assert!(world.card(staging).await.secrets[0].due);

    let other = Arc::new(Vault::in_memory());
    let control = Control::new(world.pool.clone(), Settings::default(), other);
    let page = control.service(&world.admin, &name("demo"), &name("hello")).await;
    let cards = page.expect("the page").placements;
    let lost: Vec<bool> = cards.iter().flat_map(|card| &card.secrets).map(|one| one.lost).collect();
    assert_eq!(lost, [true]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn types_stay_and_a_value_that_does_not_fit_is_refused(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let number = Variable::new(VariableType::Number, "30").expect("good");
    let variables = Variables([(variable("WAIT_S"), number)].into());
    let limits = Limits::DEFAULT;
    let made =
        world.control.change_configuration(&world.admin, staging, variables, limits, 1).await;
    assert_eq!(made.expect("made"), 2);

    let bad =
        world.control.write_configuration(&world.admin, staging, "WAIT_S=soon", limits, 2).await;
    let bad = bad.expect_err("no number");
    assert!(bad.field() == Some("variables") && bad.to_string().contains("Line 1"), "{bad}");
    world.write(staging, "WAIT_S=60\nNAME=x", 2).await;

    let configuration = world.card(staging).await.configuration;
    assert_eq!(configuration.variables.0["WAIT_S"].kind(), &VariableType::Number);
    assert_eq!(configuration.variables.0["WAIT_S"].value(), "60");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_file_is_saved_as_it_was_looked_at_and_not_before(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    world.write(staging, "A=1\nB=2", 1).await;
    let text = "A=9\nnot a line\nC=3";
    let import = async |seen: &str, missing, based_on| {
        let control = &world.control;
        control.import_variables(&world.admin, staging, text, missing, seen, based_on).await
    };

    let unseen = import("", Missing::Keep, 2).await.expect_err("not looked at");
    assert_eq!(unseen.field(), Some("text"));
    let other = import(&seen(text, Missing::Keep, 2), Missing::Remove, 2).await;
    assert!(other.is_err(), "looked at another way");
    let late = import(&seen(text, Missing::Keep, 1), Missing::Keep, 1).await;
    assert!(matches!(late, Err(Problem::Conflict { .. })));
    assert_eq!(import(&seen(text, Missing::Keep, 2), Missing::Keep, 2).await.expect("made"), 3);

    let configuration = world.card(staging).await.configuration;
    assert_eq!(configuration.variables.to_lines(), "A=9\nB=2\nC=3\n");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_flag_is_switched_with_a_rollout_of_what_is_live_or_not_at_all(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let flag = Variable::new(VariableType::YesNo, "no").expect("good");
    let text = Variable::text("no".to_owned()).expect("good");
    let variables = Variables([(variable("NEW_DOOR"), flag), (variable("TEXT"), text)].into());
    let limits = Limits::DEFAULT;
    let made =
        world.control.change_configuration(&world.admin, staging, variables, limits, 1).await;
    made.expect("made");
    let switch = async |name: &str, on, based_on, newest| {
        let name = variable(name);
        let (admin, reason) = (&world.admin, Some("for Friday".to_owned()));
        world.control.switch_flag(admin, staging, &name, on, based_on, newest, reason).await
    };

    // Nothing is live: only the next configuration is made.
    assert_eq!(switch("NEW_DOOR", true, 2, None).await.expect("switched"), None);
    let release = world.release(hello, "1").await;
    world.deploy(staging, release).await;
    let newest = world.newest(staging).await;
    assert_eq!(switch("TEXT", true, 3, newest).await.expect_err("no flag").field(), Some("name"));
    let same = switch("NEW_DOOR", true, 3, newest).await;
    assert!(matches!(same, Err(Problem::Conflict { .. })), "{same:?}");
    let late = switch("NEW_DOOR", false, 2, newest).await;
    assert!(matches!(late, Err(Problem::Conflict { .. })), "{late:?}");
    let rows = world.rows().await.len();
    let unseen = switch("NEW_DOOR", false, 3, None).await;
    assert!(matches!(unseen, Err(Problem::Conflict { rollout: Some(_), .. })), "{unseen:?}");
    assert_eq!(world.card(staging).await.configuration.number, 3, "neither was done");

    let rollout = switch("NEW_DOOR", false, 3, newest).await.expect("switched");

    let current = world.current(staging).await.expect("queued");
    assert_eq!(Some(current.rollout.id), rollout);
    assert_eq!(current.rollout.pair.release, release);
    assert_eq!(current.parts.configuration.number, 4);
    assert_eq!(current.parts.configuration.variables.0["NEW_DOOR"].value(), "false");
    let told: Vec<_> = world.rows().await.drain(rows..).collect();
    assert_eq!(told.len(), 2, "the configuration and the rollout");
    assert!(told.iter().all(|row| row.reason.as_deref() == Some("for Friday")));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_deployer_sets_no_secret_in_a_protected_environment(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let production = world.placement(hello, "production").await;
    let dora = world.person("Dora", Role::Deployer, Scope::Everything).await;

    let key = variable("API_KEY");
    let refused = world.control.set_secret(&dora, production, &key, VALUE, 0).await;

    assert!(matches!(refused, Err(Problem::Forbidden { .. })), "{refused:?}");
    assert!(!world.is_stored(VALUE).await);
    assert!(!world.is_stored("API_KEY").await, "nothing of it is kept");
}
