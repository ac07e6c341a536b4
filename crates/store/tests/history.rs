//! The history in a real database: numbers, chain, grants, and what tampering leaves.

use domain::{
    history::{By, Deed, Entry, GENESIS, Origin, Subject, Visibility, chain},
    id::UserId,
    role::Role,
};
use sqlx::{Connection, Executor, PgConnection, PgPool, postgres::PgPoolOptions};
use store::history::{self, NewEntry, Selection, Window};
use uuid::Uuid;

fn entry(what: &str) -> NewEntry {
    let subject = Subject { project: Some("demo".parse().expect("a name")), ..Subject::default() };
    NewEntry::engine(subject, Deed::Drift { what: what.to_owned() })
}

async fn append(pool: &PgPool, entries: &[NewEntry]) -> store::Result<history::Appended> {
    history::append_and_commit(pool.begin().await?, entries).await
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_row_is_exactly_what_was_written_and_hashed_as_domain_hashes(
    pool: PgPool,
) -> anyhow::Result<()> {
    let by = By::Person { id: UserId(Uuid::now_v7()), name: "Ana".into(), role: None };
    let mut written = NewEntry::new(by.clone(), Subject::default(), Deed::SignedOut)
        .with_reason(" because \u{0}\\u0000 “quoted” ");
    written.origin =
        Some(Origin { request: "r1".into(), address: "127.0.0.1".into(), agent: "tests".into() });

    let first = append(&pool, &[written.clone(), entry("colour")]).await?;
    let second = append(&pool, &[entry("size")]).await?;

    let mut conn = pool.acquire().await?;
    let rows = history::after(&mut conn, 0, 10).await?;
    assert_eq!((first.number, second.number, rows.len()), (2, 3, 3));
    let mut previous = GENESIS;
    for row in &rows {
        assert_eq!(row.hash, chain(row.version, row.number, &previous, &row.body));
        previous = row.hash;
    }
    assert_eq!(history::head(&mut conn).await?, history::Head { number: 3, hash: previous });
    let told: Entry = rows[0].entry()?;
    assert_eq!((told.by, told.origin, told.deed), (by, written.origin, Deed::SignedOut));
    assert_eq!(told.reason.as_deref(), Some("because \u{fffd}\\u0000 “quoted”"));
    assert_eq!(rows[0].visibility, Visibility::HistoryView);
    assert_eq!(rows[2].entry()?.at, second.at);
    assert!(rows.windows(2).all(|two| two[0].entry().unwrap().at <= two[1].entry().unwrap().at));
    assert_eq!(history::prove(&pool).await?.expect("whole").number, 3);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn numbers_have_no_gaps_and_commit_in_their_order(pool: PgPool) -> anyhow::Result<()> {
    let reader = tokio::spawn({
        let pool = pool.clone();
        async move {
            let mut seen = 0;
            while seen < 400 {
                let mut conn = pool.acquire().await.expect("a connection");
                for row in history::after(&mut conn, seen, 50).await.expect("rows") {
                    assert_eq!(row.number, seen + 1, "a reader missed a row");
                    seen = row.number;
                }
            }
        }
    });
    let writers = (0..8).map(|writer| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for row in 0..50 {
                let mut tx = pool.begin().await.expect("a transaction");
                if row % 10 == 3 {
                    // What is rolled back takes no number.
                    tx.execute("select * from history_append(1::smallint, '{view}', '{\"\\\"by\\\":{\\\"is\\\":\\\"engine\\\"},\\\"deed\\\":{\\\"did\\\":\\\"x\\\"}}\"}')").await.expect("appends");
                    tx.rollback().await.expect("rolls back");
                    tx = pool.begin().await.expect("a transaction");
                }
                let rows = [entry(&format!("{writer} {row}"))];
                history::append_and_commit(tx, &rows).await.expect("appends");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await?;
    }
    reader.await?;

    assert_eq!(history::prove(&pool).await?.expect("whole").number, 400);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_application_may_append_and_read_and_nothing_else(pool: PgPool) -> anyhow::Result<()> {
    append(&pool, &[entry("before")]).await?;
    let mut conn = pool.acquire().await?;
    assert!(!history::grants_protect_history(&mut conn).await?, "a superuser may everything");
    conn.execute("set role pilothouse_app").await?;

    for forbidden in [
        "update history set body = ''",
        "delete from history",
        "truncate history",
        "insert into history select * from history",
        "update history_head set number = 0",
        "delete from history_head",
        "update history_000000 set body = ''",
        "delete from history_000000",
        "truncate history_000000",
        "select * from history_000000",
        "alter table history disable trigger all",
        "drop table history",
        "select history_add_partition(1)",
        "create table public.mine ()",
    ] {
        let error = conn.execute(forbidden).await.expect_err(forbidden);
        let code = error.as_database_error().and_then(|said| said.code().map(Into::into));
        assert_eq!(code, Some("42501".to_owned()), "{forbidden}: {error}");
    }

    assert!(history::grants_protect_history(&mut conn).await?);
    let mut tx = pool.begin().await?;
    tx.execute("set local role pilothouse_app").await?;
    assert_eq!(history::append_and_commit(tx, &[entry("after")]).await?.number, 2);
    assert_eq!(history::after(&mut conn, 0, 10).await?.len(), 2);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn not_even_the_owner_changes_a_row_by_mistake(pool: PgPool) -> anyhow::Result<()> {
    append(&pool, &[entry("one")]).await?;

    for table in ["history", "history_000000"] {
        for verb in ["update {} set body = ''", "delete from {}", "truncate {}"] {
            let forbidden = verb.replace("{}", table);
            let error = sqlx::query(sqlx::AssertSqlSafe(forbidden.clone())).execute(&pool).await;
            assert!(error.is_err(), "{forbidden}");
        }
    }
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_application_has_what_it_needs_of_every_other_table(
    pool: PgPool,
) -> anyhow::Result<()> {
    store::migrate(&pool).await?;

    let missing: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
            -- Partitions are reached by what they are parts of.
            and not relispartition and relname not like 'history%' and relname <> '_sqlx_migrations'
            and not (has_table_privilege('pilothouse_app', oid, 'select')
                and has_table_privilege('pilothouse_app', oid, 'insert')
                and has_table_privilege('pilothouse_app', oid, 'update')
                and has_table_privilege('pilothouse_app', oid, 'delete'))",
    )
    .fetch_all(&pool)
    .await?;

    assert_eq!(missing, Vec::<String>::new());
    Ok(())
}

/// Somebody with all rights, who knows what a trigger is.
async fn tamper(pool: &PgPool, statement: &'static str) -> anyhow::Result<()> {
    let mut conn = pool.acquire().await?;
    let mut tx = conn.begin().await?;
    tx.execute("set local session_replication_role = replica").await?;
    assert_eq!(tx.execute(statement).await?.rows_affected(), 1, "{statement}");
    tx.commit().await?;
    Ok(())
}

async fn broken(pool: PgPool, statement: &'static str) -> anyhow::Result<String> {
    let rows: Vec<_> = (1..=20).map(|row| entry(&row.to_string())).collect();
    append(&pool, &rows).await?;
    assert!(history::prove(&pool).await?.is_ok());
    tamper(&pool, statement).await?;
    Ok(history::prove(&pool).await?.expect_err(statement).to_string())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_changed_byte_is_found_at_its_row(pool: PgPool) -> anyhow::Result<()> {
    let why = broken(pool, "update history set body = set_byte(body, 40, 65) where number = 7");
    assert!(why.await?.starts_with("row 7 "));
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_removed_row_is_found(pool: PgPool) -> anyhow::Result<()> {
    let why = broken(pool, "delete from history where number = 12").await?;
    assert_eq!(why, "row 12 is missing");
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_row_hidden_from_a_filter_is_found(pool: PgPool) -> anyhow::Result<()> {
    let why = broken(pool, "update history set project = 'other' where number = 3").await?;
    assert!(why.starts_with("row 3 "), "{why}");
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_history_that_was_cut_off_is_found(pool: PgPool) -> anyhow::Result<()> {
    let why = broken(pool, "delete from history where number = 20").await?;
    assert_eq!(why, "row 19 is the last, but 20 rows were written");
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_next_million_has_a_place_before_it_is_needed(pool: PgPool) -> anyhow::Result<()> {
    sqlx::query("update history_head set number = 899999").execute(&pool).await?;
    append(&pool, &[entry("the one that makes it")]).await?;
    sqlx::query("update history_head set number = 999999").execute(&pool).await?;

    let last = append(&pool, &[entry("the last of its million"), entry("the first")]).await?;

    assert_eq!(last.number, 1_000_001);
    let table: String =
        sqlx::query_scalar("select tableoid::regclass::text from history where number = 1000001")
            .fetch_one(&pool)
            .await?;
    assert_eq!(table, "history_000001");
    let mut conn = pool.acquire().await?;
    conn.execute("set role pilothouse_app").await?;
    assert!(conn.execute("truncate history_000001").await.is_err());
    assert!(history::grants_protect_history(&mut conn).await?);
    Ok(())
}

/// Rows about everything, a project, an environment and both, each for all and for readers.
fn rows_everywhere() -> Vec<NewEntry> {
    let names = [None, Some("demo"), Some("other")];
    let mut rows = Vec::new();
    for project in names {
        for environment in [None, Some("staging"), Some("production")] {
            for deed in [
                Deed::Drift { what: String::new() },
                Deed::Refused {
                    action: domain::role::Action::View,
                    what: String::new(),
                    needs: Role::Viewer,
                },
            ] {
                let subject = Subject {
                    project: project.map(|name| name.parse().expect("a name")),
                    environment: environment.map(|name| name.parse().expect("a name")),
                    ..Subject::default()
                };
                rows.push(NewEntry::engine(subject, deed));
            }
        }
    }
    rows
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_database_and_the_stream_show_the_same_rows(pool: PgPool) -> anyhow::Result<()> {
    append(&pool, &rows_everywhere()).await?;
    let mut conn = pool.acquire().await?;
    let all = history::after(&mut conn, 0, 100).await?;
    let now = store::now(&mut conn).await?;

    for project in [None, Some("demo".to_owned())] {
        for environment in [None, Some("staging".to_owned())] {
            for whole in [false, true] {
                let window =
                    Window { project: project.clone(), environment: environment.clone(), whole };
                let by_rule: Vec<i64> =
                    all.iter().filter(|row| window.shows(row)).map(|row| row.number).collect();
                let shown = Selection::new(std::slice::from_ref(&window), &Default::default(), now);
                let mut by_database: Vec<i64> =
                    history::page(&mut conn, &shown, 100).await?.iter().map(|r| r.number).collect();
                by_database.reverse();
                assert_eq!(by_database, by_rule, "{window:?}");
                // Taken away is only what may be read with where it came from.
                let taken = all.iter().filter(|row| window.shows_whole(row)).count();
                let rows = history::count(&mut conn, &shown, 100).await?;
                assert_eq!(rows, i64::try_from(taken)?, "{window:?}");
            }
        }
    }
    let nothing = Selection::new(&[], &Default::default(), now);
    assert_eq!(history::page(&mut conn, &nothing, 100).await?.len(), 0);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_row_that_can_not_be_written_undoes_the_act(pool: PgPool) -> anyhow::Result<()> {
    tamper(&pool, "delete from history_head").await?;

    let mut tx = pool.begin().await?;
    let person = UserId(Uuid::now_v7());
    store::users::add(&mut tx, person, "Ana", "hash").await?;
    let failed = history::append_and_commit(tx, &[entry("with it")]).await;

    assert!(matches!(failed, Err(store::Error::NotWritten(_))), "{failed:?}");
    let mut conn: sqlx::pool::PoolConnection<sqlx::Postgres> = pool.acquire().await?;
    let conn: &mut PgConnection = &mut conn;
    assert!(store::users::by_name(conn, "ana").await?.is_none());
    Ok(())
}

#[sqlx::test(migrations = false)]
async fn a_migration_may_take_longer_than_a_request(pool: PgPool) -> anyhow::Result<()> {
    let as_a_request =
        pool.connect_options().as_ref().clone().options([("statement_timeout", "15s")]);
    let owner = PgPoolOptions::new().max_connections(1).connect_with(as_a_request).await?;

    store::migrate(&owner).await?;

    let limit: String = sqlx::query_scalar("show statement_timeout").fetch_one(&owner).await?;
    assert_eq!(limit, "0");
    Ok(())
}
