//! What each person sees of the history, and taking it away.

use crate::world::{DEMO, OTHER, World, origin};
use control::{
    Asked,
    history::{FileBroken, Format, prove_file},
};
use domain::{
    error::Problem,
    history::{Broken, By, Deed, Subject},
    role::Role,
    view::{HistoryFilter, Proven},
};
use futures::TryStreamExt;
use sqlx::PgPool;
use store::history::{NewEntry, append_and_commit};

async fn some_rows(world: &World) -> anyhow::Result<()> {
    let about = |project: &str, environment: Option<&str>| Subject {
        project: Some(project.parse().expect("a name")),
        environment: environment.map(|name| name.parse().expect("a name")),
        ..Subject::default()
    };
    let mut rows = vec![
        NewEntry::engine(about("demo", Some("staging")), Deed::HoldLifted),
        NewEntry::engine(about("demo", Some("production")), Deed::HoldLifted),
        NewEntry::engine(about("other", Some("staging")), Deed::HoldLifted),
    ];
    let by = By::Person { id: world.admin.actor.id, name: "=HYPERLINK(1)".into(), role: None };
    let mut told = NewEntry::new(by, about("demo", None), Deed::ServiceChanged)
        .with_reason("=cmd|' /C calc'!A0, \"quoted\"\nand a line");
    told.origin = Some(origin());
    rows.push(told);
    append_and_commit(world.pool.begin().await?, &rows).await?;
    Ok(())
}

async fn file(
    world: &World,
    filter: HistoryFilter,
    format: Format,
) -> anyhow::Result<(String, String)> {
    file_for(world, &world.admin, filter, format).await
}

async fn file_for(
    world: &World,
    asked: &Asked,
    filter: HistoryFilter,
    format: Format,
) -> anyhow::Result<(String, String)> {
    let export = world.control.export_history(asked, filter, format).await?;
    let pieces: Vec<String> = export.pieces.try_collect().await?;
    Ok((export.file_name, pieces.concat()))
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_viewer_sees_what_is_told_of_his_places_and_an_auditor_all(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let viewer = world.person("Vic", &[(Role::Viewer, Some(DEMO), None)]).await?;
    let auditor = world.person("Aud", &[(Role::Auditor, None, None)]).await?;
    some_rows(&world).await?;
    let head = world.control.history_number().await?;

    let his = world.control.history(&viewer, HistoryFilter::default()).await?;
    let all = world.control.history(&auditor, HistoryFilter::default()).await?;
    let stream = world.control.rows_after(&viewer.actor, 0, 100).await?.expect("no reset");

    assert_eq!(his.rows.len(), 3);
    assert!(his.rows.iter().all(|row| row.origin.is_none()), "addresses are not for everybody");
    assert_eq!((his.number, his.people.len()), (head, 0));
    assert_eq!(all.rows.len() as i64, head);
    assert!(all.rows.iter().any(|row| row.origin.is_some()));
    assert_eq!(all.environments, ["staging", "production"]);
    assert!(all.people.contains(&"Vic".to_owned()));
    let mut numbers: Vec<_> = his.rows.iter().map(|row| row.row.number).collect();
    numbers.reverse();
    assert_eq!(stream.rows.iter().map(|row| row.number).collect::<Vec<_>>(), numbers);
    assert_eq!((stream.number, stream.done), (head, true));
    assert!(world.control.rows_after(&viewer.actor, head + 1, 100).await?.is_none());
    assert!(world.control.rows_after(&viewer.actor, head, 100).await?.is_some());
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn filters_find_what_they_say_and_pages_meet(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    some_rows(&world).await?;
    let rows: Vec<_> = (0..120)
        .map(|_| NewEntry::engine(Subject::default(), Deed::Drift { what: "x".into() }))
        .collect();
    append_and_commit(world.pool.begin().await?, &rows).await?;
    let page = async |filter| world.control.history(&world.admin, filter).await;
    let some = HistoryFilter::default;

    let found = [
        page(HistoryFilter { project: Some("demo".into()), ..some() }).await?.rows.len(),
        page(HistoryFilter { environment: Some("staging".into()), ..some() }).await?.rows.len(),
        page(HistoryFilter { person: Some("Ana".into()), ..some() }).await?.rows.len(),
        page(HistoryFilter { about: Some("sign_ins".into()), ..some() }).await?.rows.len(),
        page(HistoryFilter { about: Some("nonsense".into()), ..some() }).await?.rows.len(),
        page(HistoryFilter { days: Some(1), ..some() }).await?.rows.len(),
    ];
    assert_eq!(found, [3, 2, 1, 1, 0, 50]);

    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = page(HistoryFilter { before, ..some() }).await?;
        seen.extend(page.rows.iter().map(|row| row.row.number));
        before = page.older;
        if before.is_none() {
            break;
        }
    }
    let expected: Vec<i64> = (1..=world.control.history_number().await?).rev().collect();
    assert_eq!(seen, expected);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_exported_history_is_proven_offline_and_every_change_is_found(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    some_rows(&world).await?;
    let head = world.control.history_number().await?;

    let (name, text) = file(&world, HistoryFilter::default(), Format::JsonLines).await?;

    assert_eq!(name, format!("pilothouse-history-{head}.jsonl"));
    let proof = prove_file(text.as_bytes())?;
    assert_eq!((proof.rows, proof.whole, proof.head), (head, true, head));
    assert!(matches!(world.last_deed().await?, Deed::HistoryExported { rows, .. } if rows == head));

    let changed = text.replacen("hold_lifted", "hold_lifter", 1);
    assert!(matches!(
        prove_file(changed.as_bytes()),
        Err(FileBroken::Chain(Broken::Changed { .. }))
    ));
    let lines: Vec<&str> = text.lines().collect();
    let without = |line: usize| {
        let rest = lines.iter().enumerate().filter(|(at, _)| *at != line);
        rest.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    for line in 0..lines.len() {
        assert!(prove_file(without(line).as_bytes()).is_err(), "line {line} was taken out");
    }
    for end in [10, text.len() / 2, text.len() - 1] {
        assert!(prove_file(&text.as_bytes()[..end]).is_err(), "cut at {end}");
    }
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_extract_says_that_it_is_one(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    some_rows(&world).await?;
    let filter = HistoryFilter { project: Some("demo".into()), ..HistoryFilter::default() };

    let (name, text) = file(&world, filter.clone(), Format::JsonLines).await?;
    let (csv_name, csv) = file(&world, filter, Format::Csv).await?;

    assert!(name.contains("-extract-") && csv_name.contains("-extract-"));
    let proof = prove_file(text.as_bytes())?;
    assert_eq!((proof.rows, proof.whole), (3, false));
    let changed = text.replacen("hold_lifted", "hold_lifter", 1);
    assert!(prove_file(changed.as_bytes()).is_err());
    assert!(csv.contains("\"'=cmd|' /C calc'!A0, \"\"quoted\"\"\nand a line\""), "{csv}");
    assert!(csv.contains("\"'=HYPERLINK(1)\""), "{csv}");
    assert!(csv.lines().nth(1).is_some_and(|row| row.contains(",extract,")), "{csv}");
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_one_may_only_look_at_is_not_taken_away_with_its_addresses(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let roles = [(Role::Auditor, Some(OTHER), None), (Role::Viewer, None, None)];
    let both = world.person("Vic", &roles).await?;
    some_rows(&world).await?;

    let (_, text) = file_for(&world, &both, HistoryFilter::default(), Format::JsonLines).await?;
    let (_, csv) = file_for(&world, &both, HistoryFilter::default(), Format::Csv).await?;

    let proof = prove_file(text.as_bytes())?;
    // What happened in his own project, and who gave him the role there.
    assert_eq!((proof.rows, proof.whole), (2, false), "{text}");
    assert!(!text.contains("\"demo\"") && !csv.contains("HYPERLINK"), "{text}{csv}");
    assert!(matches!(world.last_deed().await?, Deed::HistoryExported { rows: 2, .. }));
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_filter_that_can_not_be_a_name_finds_nothing(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let odd = || Some("Ana\0".to_owned());
    let some = HistoryFilter::default;

    for filter in [
        HistoryFilter { person: odd(), ..some() },
        HistoryFilter { project: odd(), ..some() },
        HistoryFilter { service: odd(), ..some() },
        HistoryFilter { environment: odd(), ..some() },
    ] {
        assert_eq!(world.control.history(&world.admin, filter.clone()).await?.rows.len(), 0);
        let (_, text) = file(&world, filter, Format::JsonLines).await?;
        assert_eq!(prove_file(text.as_bytes())?.rows, 0);
    }
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_badge_says_what_was_proven(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let control = &world.control;
    let page = || control.history(&world.admin, HistoryFilter::default());
    assert_eq!(page().await?.proven, Proven::NotYet);

    let whole = control.verify_history(&world.admin).await?;

    assert!(matches!(whole, Proven::Whole { number, .. } if number == 2), "{whole:?}");
    assert_eq!(page().await?.proven, whole);
    assert_eq!(store::history::prove(&world.pool).await?.map(|head| head.number), Ok(2));
    sqlx::raw_sql(
        "set session_replication_role = replica;
        update history set body = set_byte(body, 30, 65) where number = 1;
        set session_replication_role = origin;",
    )
    .execute(&world.pool)
    .await?;
    let broken = control.verify_history(&world.admin).await?;
    assert!(
        matches!(broken, Proven::Broken { ref why } if why.starts_with("row 1 ")),
        "{broken:?}"
    );
    assert_eq!(page().await?.proven, broken);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn without_a_row_nothing_is_done(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    sqlx::query("delete from history_head").execute(&world.pool).await?;

    let added = world.control.add_person(&world.admin, "Eve", crate::world::PASSWORD).await;
    let in_again = world.control.sign_in(&origin(), "Ana", crate::world::PASSWORD).await.err();

    assert!(matches!(added, Err(Problem::Unavailable { .. })), "{added:?}");
    assert!(matches!(in_again, Some(Problem::Unavailable { .. })), "{in_again:?}");
    assert_eq!(world.control.people(&world.admin).await?.people.len(), 1);
    Ok(())
}
