//! "Build and deploy": starts the rollouts that a release was wanted for, as the act of the one who
//! asked.
//!
//! He was allowed when he asked. That he still is, and that nobody did anything else there since, is
//! asked again here: what was right half an hour ago may be wrong now, and nobody looks.

use crate::context::Context;
use domain::{
    history::{By, Deed},
    id::RolloutId,
    release::Pair,
    role::{Action, Granted, allowed},
    rollout::{Ending, Kind, Phase},
};
use store::{
    Conn,
    builds::deploys::{self, Due},
    history::NewEntry,
    placements::Placement,
    rollouts::{self, New},
};
use tracing::info;
use uuid::Uuid;

/// Starts the next rollout that is due, or says why not. False: there is none.
pub(super) async fn next(context: &Context) -> anyhow::Result<bool> {
    let mut tx = context.pool.begin().await?;
    let Some(due) = deploys::due(&mut tx).await? else { return Ok(false) };
    let rows = match start(&mut tx, &due).await? {
        Ok(rows) => rows,
        Err(why) => {
            deploys::refuse(&mut tx, due.build, due.placement, &why).await?;
            let deed = Deed::BuildNotDeployed { build: due.build, number: due.number, why };
            vec![NewEntry::engine(due.subject.clone(), deed)]
        }
    };
    store::history::append_and_commit(tx, &rows).await?;
    info!(build.id = %due.build, "What build {} was wanted for is on its way", due.build.short());
    Ok(true)
}

/// Queues the rollout. The rows that tell of it, or why there is none.
async fn start(conn: &mut Conn, due: &Due) -> anyhow::Result<Result<Vec<NewEntry>, String>> {
    let by = &due.requester_name;
    let place = match store::placements::lock(conn, due.placement).await? {
        true => store::placements::load(conn, due.placement).await?,
        false => None,
    };
    let Some(place) = place else {
        return Ok(Err("the place it was to go to is not there any more".to_owned()));
    };
    let environment = &place.place.environment;
    let Some(role) = role_of(conn, due, &place).await? else {
        return Ok(Err(format!("{by} may not roll out in {environment} any more")));
    };
    let standing = rollouts::standing(conn, place.id).await?;
    if place.held {
        return Ok(Err(format!("deploys in {environment} are held since it was rolled back")));
    }
    if let Some(newest) = standing.first().filter(|newest| Some(newest.id) != due.newest) {
        return Ok(Err(format!(
            "{} asked for {} in {environment} meanwhile: deploy the release from its page",
            newest.by_name, newest.release
        )));
    }
    let waiting = standing.iter().find(|one| one.state.phase == Phase::Queued);
    if let Some(back) = waiting.filter(|waiting| waiting.kind == Kind::Rollback) {
        return Ok(Err(format!(
            "{} asked to roll {environment} back to {}, and no deploy takes that place",
            back.by_name, back.release
        )));
    }
    let Some(configuration) = store::configurations::newest(conn, place.id).await? else {
        return Ok(Err(format!("there is no configuration in {environment}")));
    };
    let pair = Pair { release: due.release, configuration: configuration.id };
    let Some(parts) = store::releases::plan_parts(conn, pair).await? else {
        return Ok(Err("the release is not there any more".to_owned()));
    };
    let from = match place.live {
        Some(live) => store::releases::plan_parts(conn, live.pair).await?,
        None => None,
    };

    let who = By::Person { id: due.requester, name: by.clone(), role: Some(role) };
    let reason = format!("build {}", due.number);
    let row = |rollout, deed| {
        NewEntry::new(who.clone(), place.subject(Some(rollout)), deed).with_reason(&reason)
    };
    let mut rows = Vec::new();
    if let Some(waiting) = waiting {
        let why = format!("{by} asked for {}", parts.release.name);
        let ending = Ending { end: Phase::Superseded, why: why.clone() };
        rollouts::end_waiting(conn, waiting, ending).await?;
        rows.push(row(
            waiting.id,
            Deed::RolloutEntered {
                phase: Phase::Superseded,
                release: waiting.release.clone(),
                from: waiting.from.clone(),
                outcome: why,
                kind: waiting.kind,
            },
        ));
    }
    let new = New {
        id: RolloutId(Uuid::now_v7()),
        kind: Kind::Deploy,
        pair,
        by: due.requester,
        by_name: by,
        reason: Some(&reason),
    };
    rollouts::queue(conn, &place, &new).await?;
    deploys::started(conn, due.build, place.id, new.id).await?;
    store::wake::work(conn, &place.id.to_string()).await?;
    rows.push(row(
        new.id,
        Deed::RolloutQueued {
            kind: Kind::Deploy,
            release: parts.release.name,
            from: from.map(|from| from.release.name),
            configuration: parts.configuration.number,
        },
    ));
    Ok(Ok(rows))
}

/// The role by which the one who asked may roll out there now, in words.
async fn role_of(conn: &mut Conn, due: &Due, place: &Placement) -> anyhow::Result<Option<String>> {
    if !due.requester_enabled {
        return Ok(None);
    }
    let grants = store::grants::of(conn, Some(due.requester)).await?;
    let by = grants.into_iter().find(|grant| {
        let granted = Granted { role: grant.role, scope: grant.scope };
        allowed(&[granted], Action::RolloutStart, place.scope(), place.protection())
    });
    Ok(by.map(|grant| {
        let scope = [grant.project, grant.environment].into_iter().flatten().collect::<Vec<_>>();
        let scope = if scope.is_empty() { "everything".to_owned() } else { scope.join(" in ") };
        format!("{} in {scope}", grant.role)
    }))
}
