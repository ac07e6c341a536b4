//! Samples in a real database: who may write, what a second told twice counts, what a minute is made
//! of, what goes by itself.

use domain::{
    id::{NodeId, PlacementId},
    observing::Window,
    samples::{Grain, Range, Span, Used},
    slot::Slot,
};
use sqlx::PgPool;
use std::slice::from_ref;
use store::samples::{self, InstanceSecond, SlotSecond};
use uuid::Uuid;

/// A node, and placements that it holds.
async fn world(pool: &PgPool, placements: usize) -> anyhow::Result<(NodeId, Vec<PlacementId>)> {
    let mut conn = pool.acquire().await?;
    let node = NodeId(Uuid::now_v7());
    store::nodes::register(&mut conn, node, None).await?;
    let (target, environment, project) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    sqlx::query("insert into targets (id, name, kind) values ($1, 'here', 'fake')")
        .bind(target)
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        "insert into environments (id, name, position, protected, target_id, policy)
         values ($1, 'local', 1, false, $2, '{}')",
    )
    .bind(environment)
    .bind(target)
    .execute(&mut *conn)
    .await?;
    sqlx::query("insert into projects (id, name) values ($1, 'demo')")
        .bind(project)
        .execute(&mut *conn)
        .await?;
    let mut ids = Vec::new();
    for number in 0..placements {
        let (service, placement) = (Uuid::now_v7(), Uuid::now_v7());
        sqlx::query("insert into services (id, project_id, name, spec) values ($1, $2, $3, '{}')")
            .bind(service)
            .bind(project)
            .bind(format!("s{number}"))
            .execute(&mut *conn)
            .await?;
        sqlx::query(
            "insert into placements (id, service_id, environment_id, holder) values ($1, $2, $3, $4)",
        )
        .bind(placement)
        .bind(service)
        .bind(environment)
        .bind(node.0)
        .execute(&mut *conn)
        .await?;
        ids.push(PlacementId(placement));
    }
    Ok((node, ids))
}

async fn now(pool: &PgPool) -> anyhow::Result<i64> {
    Ok(store::now(&mut *pool.acquire().await?).await?.unix_timestamp())
}

fn traffic(requests: u64, latencies: &[(u32, u64)]) -> Option<Window> {
    let latencies = latencies.to_vec();
    Some(Window { seconds: 1, requests, failures: 1, latencies, longest_gap_ms: 7 })
}

fn second(placement: PlacementId, at: i64) -> SlotSecond {
    SlotSecond { placement, at, slot: Slot::Blue, traffic: None, used: None }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_second_that_is_told_twice_counts_once_and_one_that_was_half_known_is_completed(
    pool: PgPool,
) -> anyhow::Result<()> {
    let (node, ids) = world(&pool, 1).await?;
    let at = now(&pool).await? - 100;
    let mut conn = pool.acquire().await?;
    let used = Some(Used::read(50.0, 1000, 2, 1));
    let only_used = SlotSecond { used, ..second(ids[0], at) };
    let counted = SlotSecond { traffic: traffic(10, &[(1000, 10)]), ..second(ids[0], at) };

    assert_eq!(samples::keep(&mut conn, node, from_ref(&only_used), &[]).await?, 1);
    assert_eq!(samples::keep(&mut conn, node, from_ref(&counted), &[]).await?, 1);
    // An engine that was killed asks the router for what it may have had already.
    assert_eq!(samples::keep(&mut conn, node, &[counted], &[]).await?, 0);
    assert_eq!(samples::keep(&mut conn, node, &[only_used], &[]).await?, 0);

    let span = Span { from: at, to: at + 1, step: 1, grain: Grain::Seconds };
    let course = samples::course(&mut conn, ids[0], span).await?;
    let point = course.points[0].blue.expect("measured");
    assert_eq!((point.requests, point.failures, point.p95_us), (10, 1, Some(1000)));
    assert_eq!((point.cpu_percent, point.memory_bytes, point.restarts), (50.0, 1000, 1));
    assert_eq!((point.counted, point.metered, point.longest_gap_ms), (1, 1, 7));
    let kept = samples::kept_to(&mut conn, &ids).await?;
    assert_eq!(kept[&ids[0]].counted, Some(at));
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn only_the_holder_writes_and_nothing_from_a_clock_that_is_wrong(
    pool: PgPool,
) -> anyhow::Result<()> {
    let (node, ids) = world(&pool, 1).await?;
    let at = now(&pool).await?;
    let mut conn = pool.acquire().await?;
    let other = NodeId(Uuid::now_v7());
    store::nodes::register(&mut conn, other, None).await?;
    let good = SlotSecond { traffic: traffic(1, &[]), ..second(ids[0], at) };
    let strange = SlotSecond { placement: PlacementId(Uuid::now_v7()), ..good.clone() };
    let instance = InstanceSecond {
        placement: ids[0],
        at,
        slot: Slot::Blue,
        instance: "blue-1".to_owned(),
        cpu_percent: 1.0,
        memory_bytes: 1,
        restarts: 0,
    };

    let kept = samples::keep(&mut conn, other, from_ref(&good), &[instance]).await?;
    assert_eq!(kept, 0, "another node holds it");
    assert_eq!(samples::keep(&mut conn, node, &[strange], &[]).await?, 0);
    for wrong in [at + 3600, at - 3600, at + 400 * 86_400] {
        let row = SlotSecond { at: wrong, ..good.clone() };
        assert_eq!(samples::keep(&mut conn, node, &[row], &[]).await?, 0, "{wrong}");
    }

    assert_eq!(samples::keep(&mut conn, node, &[good], &[]).await?, 1);
    let instances: i64 =
        sqlx::query_scalar("select count(*) from instance_seconds").fetch_one(&pool).await?;
    assert_eq!(instances, 0);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_minute_is_all_of_its_seconds_and_the_same_when_it_is_made_again(
    pool: PgPool,
) -> anyhow::Result<()> {
    let (node, ids) = world(&pool, 2).await?;
    let minute = now(&pool).await? / 60 * 60 - 300;
    let mut conn = pool.acquire().await?;
    let mut rows = Vec::new();
    let mut instances = Vec::new();
    for step in 0..59 {
        let cpu = if step == 30 { 300.0 } else { 10.0 };
        // 58 quick seconds of one answer, and one slow of a hundred.
        let traffic =
            if step == 7 { traffic(100, &[(500_000, 100)]) } else { traffic(1, &[(1000, 1)]) };
        let used = Some(Used::read(cpu, 1000 + step, 1, u32::from(step == 40)));
        let at = minute + i64::try_from(step)?;
        rows.push(SlotSecond { traffic, used, ..second(ids[0], at) });
        instances.push(InstanceSecond {
            placement: ids[0],
            at,
            slot: Slot::Blue,
            instance: "blue-1".to_owned(),
            cpu_percent: if step == 30 { 300.0 } else { 10.0 },
            memory_bytes: 1000 + step,
            restarts: u16::from(step == 40),
        });
    }
    // Seconds of its neighbours are not of it.
    for at in [minute - 1, minute + 60] {
        rows.push(SlotSecond { traffic: traffic(9999, &[]), ..second(ids[0], at) });
    }
    samples::keep(&mut conn, node, &rows, &instances).await?;
    samples::roll_up(&mut conn, node, minute).await?;
    // The second that was missing comes late, out of the router's memory.
    let late = SlotSecond { traffic: traffic(1, &[(1000, 1)]), ..second(ids[0], minute + 59) };
    samples::keep(&mut conn, node, &[late], &[]).await?;

    samples::roll_up(&mut conn, node, minute).await?;
    samples::roll_up(&mut conn, node, minute).await?;

    let span = Span { from: minute, to: minute + 60, step: 60, grain: Grain::Minutes };
    let course = samples::course(&mut conn, ids[0], span).await?;
    let point = course.points[0].blue.expect("measured");
    assert_eq!((point.counted, point.requests, point.failures), (60, 159, 60));
    assert_eq!(point.p95_us, Some(500_000), "of all answers, not of the seconds");
    assert_eq!((point.metered, point.restarts, point.instances), (59, 1, 1));
    assert_eq!((point.cpu_percent, point.cpu_percent_most), (14.9, 300.0));
    assert_eq!((point.memory_bytes, point.memory_bytes_most), (1029, 1058));
    let by_instance = samples::instances(&mut conn, ids[0], span, 10).await?;
    assert_eq!(by_instance.len(), 1);
    assert_eq!((by_instance[0].restarts, by_instance[0].cpu_percent_most), (1, 300.0));
    let same = Span { grain: Grain::Seconds, step: 1, ..span };
    let of_seconds = samples::instances(&mut conn, ids[0], same, 10).await?;
    assert!((of_seconds[0].cpu_percent - by_instance[0].cpu_percent).abs() < 0.01);
    assert_eq!(of_seconds[0].memory_bytes_most, 1058);
    let kept = samples::kept_to(&mut conn, &ids).await?;
    assert_eq!(kept[&ids[0]].minute, Some(minute));
    assert_eq!(kept[&ids[1]], samples::KeptTo::default());

    // What is not made into a minute yet is read of its seconds, and nothing twice.
    let both = Span { from: minute - 60, to: minute + 120, ..span };
    let course = samples::course(&mut conn, ids[0], both).await?;
    let requests: Vec<_> = course.points.iter().map(|p| p.blue.map(|b| b.requests)).collect();
    assert_eq!(requests, [None, Some(159), Some(9999)]);

    // When its seconds are gone the minute stays.
    sqlx::query("delete from slot_seconds where at % 60 > 5").execute(&mut *conn).await?;
    samples::roll_up(&mut conn, node, minute).await?;
    let course = samples::course(&mut conn, ids[0], span).await?;
    assert_eq!(course.points[0].blue.expect("measured").requests, 159);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_old_goes_by_itself_and_so_does_what_a_wrong_clock_left(
    pool: PgPool,
) -> anyhow::Result<()> {
    let (node, ids) = world(&pool, 1).await?;
    let now = now(&pool).await?;
    let mut conn = pool.acquire().await?;
    let kept = SlotSecond { traffic: traffic(5, &[]), ..second(ids[0], now - 10) };
    samples::keep(&mut conn, node, &[kept], &[]).await?;
    let partitions = "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        join pg_class p on p.oid = i.inhparent where p.relname = $1 order by 1";
    let names = async |parent: &str| -> anyhow::Result<Vec<String>> {
        Ok(sqlx::query_scalar(partitions).bind(parent).fetch_all(&pool).await?)
    };
    let regular = names("slot_seconds").await?;
    assert_eq!(regular.len(), 4);
    // An hour and a quarter ago, just still within the hour, next year; eight days ago, and six.
    for (parent, width, moment) in [
        ("slot_seconds", 900, now - 3600 - 1800),
        ("slot_seconds", 900, now - 3600 + 900),
        ("slot_seconds", 900, now + 365 * 86_400),
        ("instance_minutes", 86_400, now - 8 * 86_400 - 3600),
        ("instance_minutes", 86_400, now - 6 * 86_400),
    ] {
        sqlx::query("select samples_add_partition($1, $2, $3)")
            .bind(parent)
            .bind(i64::from(width))
            .bind(moment)
            .execute(&mut *conn)
            .await?;
    }
    assert_eq!(names("slot_seconds").await?.len(), 7);

    samples::keep_house(&mut conn).await?;
    samples::keep_house(&mut conn).await?;

    let left = names("slot_seconds").await?;
    let within = format!("slot_seconds_{}", (now - 2700) / 900 * 900);
    assert_eq!(left.len(), 5, "{left:?}");
    assert!(left.contains(&within) && regular.iter().all(|name| left.contains(name)));
    assert_eq!(names("instance_minutes").await?.len(), 5);
    let span = Span::last(Range::Quarter, now);
    let course = samples::course(&mut conn, ids[0], span).await?;
    let requests: u64 = course.points.iter().filter_map(|p| p.blue).map(|p| p.requests).sum();
    assert_eq!(requests, 5, "what is new stays");
    Ok(())
}

/// Partitions are made by the owner: the application may not, and needs not.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_application_keeps_house_without_the_right_to_make_tables(
    pool: PgPool,
) -> anyhow::Result<()> {
    let (node, ids) = world(&pool, 1).await?;
    let at = now(&pool).await?;
    let mut conn = pool.acquire().await?;
    sqlx::query("set role pilothouse_app").execute(&mut *conn).await?;

    samples::keep_house(&mut conn).await?;
    let row = SlotSecond { traffic: traffic(1, &[]), ..second(ids[0], at) };
    assert_eq!(samples::keep(&mut conn, node, &[row], &[]).await?, 1);
    samples::roll_up(&mut conn, node, at / 60 * 60).await?;

    let refused = sqlx::query("select samples_add_partition('slot_seconds', 900, 0)")
        .execute(&mut *conn)
        .await;
    assert!(refused.is_err());
    let refused = sqlx::query("drop table slot_seconds").execute(&mut *conn).await;
    assert!(refused.is_err());
    Ok(())
}

/// What a second of fifty instances costs, and what is kept of an instance in a day. Figures for
/// OPERATING, from `tools/bench samples`.
#[sqlx::test(migrator = "store::MIGRATOR")]
#[ignore = "says figures instead of judging: tools/bench samples runs it"]
async fn figures_of_fifty_instances(pool: PgPool) -> anyhow::Result<()> {
    let (node, ids) = world(&pool, 50).await?;
    let begin = now(&pool).await? / 60 * 60 - 600;
    let mut conn = pool.acquire().await?;
    let latencies: Vec<_> = (0..12).map(|step| (1000 + 150 * step, 9)).collect();
    let mut took = Vec::new();
    for at in begin..begin + 600 {
        let slots: Vec<_> = ids
            .iter()
            .map(|id| SlotSecond {
                traffic: traffic(108, &latencies),
                used: Some(Used::read(12.5, 40 << 20, 1, 0)),
                ..second(*id, at)
            })
            .collect();
        let instances: Vec<_> = ids
            .iter()
            .map(|id| InstanceSecond {
                placement: *id,
                at,
                slot: Slot::Blue,
                instance: "blue-c19fc19f-1".to_owned(),
                cpu_percent: 12.5,
                memory_bytes: 40 << 20,
                restarts: 0,
            })
            .collect();
        let began = std::time::Instant::now();
        samples::keep(&mut conn, node, &slots, &instances).await?;
        took.push(began.elapsed());
    }
    took.sort();
    println!("a second of 50: p50 {:?}, p99 {:?}", took[300], took[594]);
    let began = std::time::Instant::now();
    for minute in (begin..begin + 600).step_by(60) {
        samples::roll_up(&mut conn, node, minute).await?;
    }
    println!("a minute of 50: {:?}", began.elapsed() / 10);
    for (parent, rows) in [
        ("slot_seconds", 30_000),
        ("instance_seconds", 30_000),
        ("slot_minutes", 500),
        ("instance_minutes", 500),
    ] {
        let bytes: i64 = sqlx::query_scalar(
            "select sum(pg_total_relation_size(inhrelid))::bigint from pg_inherits
             where inhparent = $1::regclass",
        )
        .bind(parent)
        .fetch_one(&pool)
        .await?;
        println!("{parent}: {} bytes a row", bytes / rows);
    }
    Ok(())
}
