//! Heartbeat and claims: how placements become ours, and stop being so.

use crate::{context::Context, placement};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use store::nodes::{HEARTBEAT, LEASE};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

/// How often free placements are looked for, besides being told of them.
const LOOK: Duration = Duration::from_secs(1);

/// Beats, claims and starts a task for each placement that is ours.
///
/// A heart that could not be renewed for the length of the lease stops everything: others may have
/// claimed what we held. Their epoch refuses us anyway; this saves the target the late calls.
pub(crate) async fn run(context: Arc<Context>) {
    let mut tasks = JoinSet::new();
    let mut beaten = Instant::now();
    let mut due = Instant::now();
    while !context.stopping.is_cancelled() {
        if Instant::now() >= due {
            match tokio::time::timeout(LEASE / 2, beat(&context)).await {
                Ok(Ok(())) => {
                    beaten = Instant::now();
                    due = beaten + HEARTBEAT;
                }
                Ok(Err(error)) => warn!(error = crate::chain(&*error), "The heart did not beat"),
                Err(_) => warn!("The heart did not beat: the database does not answer"),
            }
        }
        if beaten.elapsed() > LEASE && !tasks.is_empty() {
            error!("The lease has lapsed: everything is left as it is until the database answers");
            tasks.shutdown().await;
            context.forget_all();
        }
        if beaten.elapsed() < LEASE {
            // With a deadline, so that a database that says nothing can not hide the lease's end.
            match tokio::time::timeout(LEASE / 2, claim(&context, &mut tasks)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    warn!(error = crate::chain(&*error), "Free placements could not be looked for");
                }
                Err(_) => warn!("Free placements could not be looked for: no answer"),
            }
        }
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            () = context.work.notified() => {}
            () = context.stopping.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    // Begun steps end by themselves: each looks at `stopping` before the next.
    while tasks.join_next().await.is_some() {}
}

async fn beat(context: &Context) -> anyhow::Result<()> {
    let mut conn = context.pool.acquire().await?;
    if store::nodes::beat(&mut conn, context.node).await?.is_none() {
        store::nodes::register(&mut conn, context.node, None).await?;
    }
    Ok(())
}

async fn claim(context: &Arc<Context>, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
    let mut conn = context.pool.acquire().await?;
    let claimed = store::placements::claims::claim(&mut conn, context.node, LEASE).await?;
    if !claimed.is_empty() {
        info!(placements = claimed.len(), "Claimed {} placements", claimed.len());
    }
    for holding in store::placements::claims::held(&mut conn, context.node).await? {
        let id = holding.held.placement;
        if let Some(wake) = context.begin(id) {
            tasks.spawn(placement::drive(context.clone(), id, wake));
        } else if holding.waiting.is_some() && holding.active.is_none() {
            // Its notification was lost, or is on its way.
            context.wake_one(id);
        }
    }
    Ok(())
}
