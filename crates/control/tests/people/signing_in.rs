//! The first admin, signing in and out, limits, sessions and passwords.

use crate::world::{PASSWORD, World, asked, control, from, origin};
use domain::{error::Problem, history::Deed, role::Role};
use sqlx::PgPool;
use std::time::Duration;

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_link_makes_one_admin_once(pool: PgPool) -> anyhow::Result<()> {
    let control = control(&pool);
    let older = control.first_admin_link().await?.expect("nobody is admin");
    let link = control.first_admin_link().await?.expect("nobody is admin");
    let origin = origin();
    let make = async |link: &str, name: &str, password: &str| {
        let made = control.make_first_admin(&origin, link, name, password, password).await;
        made.map_err(|problem| problem.field().unwrap_or_default().to_owned())
    };

    assert_eq!(make(&older, "Ana", PASSWORD).await.err().as_deref(), Some("token"));
    assert_eq!(make("zz", "Ana", PASSWORD).await.err().as_deref(), Some("token"));
    assert_eq!(make(&link, "", PASSWORD).await.err().as_deref(), Some("name"));
    assert_eq!(make(&link, "Ana", "password1234").await.err().as_deref(), Some("password"));
    let differ = control.make_first_admin(&origin, &link, "Ana", PASSWORD, "another").await;
    assert_eq!(differ.err().and_then(|p| p.field().map(String::from)).as_deref(), Some("again"));
    let (one, two) = tokio::join!(make(&link, "Ana", PASSWORD), make(&link, "Eve", PASSWORD));

    assert_eq!(one.is_ok() as u8 + two.is_ok() as u8, 1, "exactly one became admin");
    let admin = one.or(two).expect("one of them");
    assert!(asked(&control, &admin.secret).await?.expect("signed in").actor.viewer().people);
    assert_eq!(control.first_admin_link().await?, None);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_link_is_void_once_access_was_recovered(pool: PgPool) -> anyhow::Result<()> {
    let control = control(&pool);
    let link = control.first_admin_link().await?.expect("nobody is admin");
    control.recover(1000, "Zoe", "nine cold pebbles").await?;

    let made = control.make_first_admin(&origin(), &link, "Eve", PASSWORD, PASSWORD).await;

    let refused = made.err().and_then(|problem| problem.field().map(String::from));
    assert_eq!(refused.as_deref(), Some("token"), "it lies in the log for whoever reads that");
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn unknown_wrong_and_disabled_get_one_answer(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let bo = world.person("Bo", &[]).await?;
    world.control.disable_person(&world.admin, bo.actor.id).await?;
    let try_as = async |name: &str, password: &str| {
        world.control.sign_in(&origin(), name, password).await.err()
    };

    assert_eq!(try_as("nobody at all", PASSWORD).await, Some(Problem::WrongPassword));
    assert_eq!(try_as("Ana", "not her password").await, Some(Problem::WrongPassword));
    assert_eq!(try_as("Bo", PASSWORD).await, Some(Problem::WrongPassword));
    assert_eq!(try_as("\u{0}\n", "").await, Some(Problem::WrongPassword));
    assert_eq!(try_as(&"x".repeat(5000), &"y".repeat(5000)).await, Some(Problem::WrongPassword));
    let failures = world.told().await?.into_iter();
    let failures = failures.filter(|row| matches!(row.deed, Deed::SignInFailed { .. })).count();
    assert_eq!(failures, 5, "each failure is a row");
    assert!(world.sign_in("ana").await.is_ok(), "names are without regard to case");
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn five_failures_close_an_account_and_thirty_an_address(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let fail = async |name: &str, address: &str| {
        world.control.sign_in(&from(address), name, "not the password").await.err()
    };

    for name in ["Ana", "nobody"] {
        for _ in 0..5 {
            assert_eq!(fail(name, "10.0.0.1").await, Some(Problem::WrongPassword));
        }
        let closed = fail(name, "10.0.0.2").await;
        assert!(matches!(closed, Some(Problem::TooMany { seconds: 1..=300 })), "{closed:?}");
    }
    let right = world.control.sign_in(&from("10.0.0.3"), "ana", PASSWORD).await.err();
    assert!(matches!(right, Some(Problem::TooMany { .. })), "also with the right password");

    for person in 0..30 {
        let name = format!("person {person}");
        assert_eq!(fail(&name, "10.0.0.9").await, Some(Problem::WrongPassword));
    }
    let closed = fail("another", "10.0.0.9").await;
    assert!(matches!(closed, Some(Problem::TooMany { seconds: 1..=60 })), "{closed:?}");
    assert_eq!(fail("another", "10.0.0.10").await, Some(Problem::WrongPassword));

    let rows = |told: &[domain::history::Entry]| -> Vec<u32> {
        told.iter()
            .filter(|row| row.origin.as_ref().is_some_and(|from| from.address == "10.0.0.9"))
            .filter_map(|row| match row.deed {
                Deed::SignInFailed { times, .. } => Some(times),
                _ => None,
            })
            .collect()
    };
    assert_eq!(rows(&world.told().await?), [1; 5], "the first of a minute, one by one");
    sqlx::query("update sign_in_peers set since = since - interval '2 minutes'")
        .execute(&world.pool)
        .await?;
    world.control.sweep().await?;
    world.control.sweep().await?;
    assert_eq!(rows(&world.told().await?), [1, 1, 1, 1, 1, 25], "the others in one row");
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn many_at_once_do_not_outrun_the_limit(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;

    let tries = (0..20).map(|_| {
        let control = world.control.clone();
        tokio::spawn(
            async move { control.sign_in(&origin(), "Ana", "not hers at all").await.err() },
        )
    });
    let mut compared = 0;
    for attempt in tries.collect::<Vec<_>>() {
        compared += u32::from(attempt.await? == Some(Problem::WrongPassword));
    }

    // As many as hash at a time may be under way when the fifth fails.
    assert!((5..=8).contains(&compared), "{compared} passwords were compared");
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_session_ends_by_itself_and_is_ended_by_its_owner_only(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let control = &world.control;
    let bo = world.person("Bo", &[(Role::Viewer, None, None)]).await?;
    let first = control.sign_in(&origin(), "Bo", PASSWORD).await?;
    let second = control.sign_in(&origin(), "Bo", PASSWORD).await?;
    let is_in = async |secret: &str| asked(control, secret).await.map(|asked| asked.is_some());

    assert!(is_in(&first.secret).await? && is_in(&second.secret).await?);
    assert!(!is_in("").await? && !is_in(&"0".repeat(64)).await?);
    let others = control.end_session(&world.admin, first.session).await;
    assert_eq!(others, Err(Problem::not_found("session")));
    control.end_session(&bo, first.session).await?;
    assert!(!is_in(&first.secret).await?);

    for (column, age, still) in [
        ("seen_at", "29 minutes", true),
        ("seen_at", "31 minutes", false),
        ("started_at", "11 hours", true),
        ("started_at", "13 hours", false),
    ] {
        let third = control.sign_in(&origin(), "Bo", PASSWORD).await?;
        let statement =
            format!("update sessions set {column} = now() - interval '{age}' where id = $1");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(third.session.0)
            .execute(&world.pool)
            .await?;
        assert_eq!(is_in(&third.secret).await?, still, "{column} {age}");
    }

    assert!(control.account(&bo).await?.sessions.len() >= 2);
    control.end_other_sessions(&bo).await?;
    assert!(!is_in(&second.secret).await?);
    assert_eq!(control.account(&bo).await?.sessions.len(), 1);
    control.sign_out(&bo).await?;
    assert_eq!(world.last_deed().await?, Deed::SignedOut);
    assert_eq!(control.account(&bo).await?.sessions.len(), 0);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_new_password_ends_other_sessions_and_renews_this_one(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let control = &world.control;
    world.person("Bo", &[]).await?;
    let here = control.sign_in(&origin(), "Bo", PASSWORD).await?;
    let there = control.sign_in(&origin(), "Bo", PASSWORD).await?;
    let bo = asked(control, &here.secret).await?.expect("signed in");
    let new = "eight dry candles";

    let wrong = control.change_password(&bo, "not it at all", new, new).await;
    assert_eq!(wrong.err().and_then(|p| p.field().map(String::from)).as_deref(), Some("current"));
    let common = control.change_password(&bo, PASSWORD, "password1234", "password1234").await;
    assert!(common.is_err());
    let secret = control.change_password(&bo, PASSWORD, new, new).await?;

    assert!(asked(control, &secret).await?.is_some());
    assert!(asked(control, &here.secret).await?.is_none());
    assert!(asked(control, &there.secret).await?.is_none());
    assert!(control.sign_in(&origin(), "Bo", PASSWORD).await.is_err());
    assert!(control.sign_in(&origin(), "Bo", new).await.is_ok());
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_change_of_rights_renews_the_secret(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let control = &world.control;
    let bo = world.person("Bo", &[]).await?;
    let cookie = control.sign_in(&origin(), "Bo", PASSWORD).await?.secret;

    control.give_grant(&world.admin, bo.actor.id, Role::Deployer, None, None).await?;
    let seen = control.authenticate(&origin(), &cookie).await?.expect("signed in");
    let renewed = seen.renewed.expect("a new secret");
    let late = control.authenticate(&origin(), &cookie).await?.expect("under way");

    assert_eq!(seen.actor.grants().len(), 1);
    assert!(late.renewed.is_none());
    assert!(asked(control, &renewed).await?.is_some());
    sqlx::query("update sessions set renewed_at = renewed_at - interval '1 minute'")
        .execute(&world.pool)
        .await?;
    assert!(asked(control, &cookie).await?.is_none(), "the old secret is void");
    assert!(asked(control, &renewed).await?.is_some());
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_weaker_hash_is_made_anew_at_sign_in(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    // m=8 KiB, t=1, of the same password.
    let weak = weak_hash(PASSWORD);
    sqlx::query("update users set password = $1").bind(&weak).execute(&world.pool).await?;

    world.sign_in("Ana").await?;

    let now: String =
        sqlx::query_scalar("select password from users").fetch_one(&world.pool).await?;
    assert!(now.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{now}");
    world.sign_in("Ana").await?;
    Ok(())
}

fn weak_hash(password: &str) -> String {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
    let params = Params::new(8, 1, 1, None).expect("allowed");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes())
        .expect("hashes")
        .to_string()
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn access_is_given_back_on_the_machine(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let control = &world.control;
    for _ in 0..5 {
        let _ = control.sign_in(&origin(), "Ana", "forgotten it").await;
    }

    control.recover(1000, "ana", "nine cold pebbles").await?;
    control.recover(1000, "Zoe", "nine cold pebbles").await?;

    assert!(
        matches!(world.last_deed().await?, Deed::AccessRecovered { name, .. } if name == "Zoe")
    );
    for name in ["Ana", "Zoe"] {
        let secret = control.sign_in(&origin(), name, "nine cold pebbles").await?.secret;
        assert!(asked(control, &secret).await?.expect("in").actor.viewer().people, "{name}");
    }
    assert!(control.recover(1000, "Zoe", "short").await.is_err());
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_database_that_is_gone_is_said_so(pool: PgPool) -> anyhow::Result<()> {
    let control = control(&pool);
    pool.close().await;

    let from = origin();
    let answer = control.sign_in(&from, "Ana", PASSWORD);
    let answer = tokio::time::timeout(Duration::from_secs(10), answer);

    assert!(matches!(answer.await?.err(), Some(Problem::Unavailable { .. })));
    Ok(())
}
