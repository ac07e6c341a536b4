//! A restart, one by one, carried out: `domain::restart` decides, the driver acts, and each step that
//! is done is a row. What is left to do is stored before anything is touched.

use super::stop;
use crate::{
    chain, fetching, perform,
    placement::{Next as Turns, Turn},
};
use domain::{
    history::Deed,
    restart::{Next, Restart},
    target::{InstanceState, Observed},
};
use std::time::{Duration, Instant};
use store::{
    history::NewEntry,
    placements::{self, Live},
};
use targets::Error;

/// Between two looks.
const SOON: Duration = Duration::from_millis(200);
/// What an instance gets to end and to start, besides the time that its check gives it to get ready.
const GRACE: Duration = Duration::from_secs(20);

/// What the process knows of the step it is at. Losing it begins the step's time anew.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Which step, in words, and since when nothing has changed.
    at: Option<(String, Instant)>,
}

impl Memory {
    /// For how long this step has lasted.
    fn lasts(&mut self, step: &str) -> Duration {
        match &self.at {
            Some((at, since)) if at == step => since.elapsed(),
            _ => {
                self.at = Some((step.to_owned(), Instant::now()));
                Duration::ZERO
            }
        }
    }
}

/// One turn of a restart.
pub(super) async fn go(
    mut turn: Turn<'_>,
    observed: &Observed,
    live: Live,
    restart: Restart,
) -> anyhow::Result<Turns> {
    let wanted = turn.placement.size.count();
    let next = restart.next(live.maker, observed.slots.of(live.slot), wanted);
    let (done, of) = restart.progress().unwrap_or_default();
    match next {
        Next::Begin(plan) => {
            let begun = Restart { plan: Some(plan), ..restart.clone() };
            save(&turn, &restart, Some(&begun), None).await
        }
        Next::Through(through) => {
            let mut further = restart.clone();
            if let Some(plan) = &mut further.plan {
                plan.left.retain(|left| left.instance != through.instance);
            }
            turn.memory.settled.restart = Memory::default();
            turn.memory.settled.draining = None;
            let deed = Deed::InstanceRestarted { instance: through.name, done: done + 1, of };
            save(&turn, &restart, Some(&further), Some(deed)).await
        }
        Next::Over => {
            turn.memory.settled.short_since = None;
            save(&turn, &restart, None, None).await
        }
        Next::Elsewhere => {
            let why = "another release is live by now".to_owned();
            save(&turn, &restart, None, Some(Deed::RestartStopped { done, of, why })).await
        }
        Next::TakeOut(instance) => {
            turn.memory.settled.draining = None;
            stop(&mut turn, live, &restart, &instance).await
        }
        Next::End(instance) => {
            if !stop::drained(&mut turn, live.slot).await {
                return Ok(Turns::In(SOON));
            }
            let within = turn.placement.policy.drain_for + GRACE * 3;
            if turn.memory.settled.restart.lasts("ends") > within {
                let why = format!("it did not end within {} s", within.as_secs());
                return give_up(&turn, &restart, why).await;
            }
            stop(&mut turn, live, &restart, &instance).await
        }
        Next::Spare => fill(turn, observed, live, restart, "starts another one").await,
        Next::Fill => fill(turn, observed, live, restart, "comes up").await,
    }
}

async fn stop(
    turn: &mut Turn<'_>,
    live: Live,
    restart: &Restart,
    instance: &str,
) -> anyhow::Result<Turns> {
    turn.fence().await?;
    let claim = turn.held.claim(None);
    let target = &turn.target;
    match target.stop(&claim, &turn.placement.place, live.slot, instance).await {
        Ok(()) => Ok(Turns::In(SOON)),
        Err(Error::Refused { reason, .. }) => give_up(turn, restart, reason).await,
        Err(error) => Err(error.into()),
    }
}

/// Starts what ended, and lets in who is ready. For an only instance that is one more than wanted: it
/// goes again by itself once the restart is over.
async fn fill(
    mut turn: Turn<'_>,
    observed: &Observed,
    live: Live,
    restart: Restart,
    step: &str,
) -> anyhow::Result<Turns> {
    let mut conn = turn.context.pool.acquire().await?;
    let parts = store::releases::plan_parts(&mut conn, live.pair).await?;
    drop(conn);
    let Some(parts) = parts else {
        return give_up(&turn, &restart, "what is live is not stored".to_owned()).await;
    };
    let budget = parts.release.spec.readiness.budget();
    let within = budget.min(turn.placement.policy.verify_within) + GRACE;
    if turn.memory.settled.restart.lasts(step) > within {
        let why = unready(&turn, observed, live).await;
        return give_up(&turn, &restart, why).await;
    }
    let told = crate::told::told(turn.context, &parts.configuration).await?;
    let variables = match told.whole() {
        Ok(variables) => variables,
        Err(lost) => return give_up(&turn, &restart, lost).await,
    };
    turn.fence().await?;
    let size = turn.placement.size.count().max(2);
    let plan = perform::plan(&turn, parts, variables, live.maker, size, true);
    let plan = match fetching::with_pull(&mut turn, plan).await {
        Ok(plan) => plan,
        Err(error) => {
            return give_up(&turn, &restart, crate::registries::said(&error)).await;
        }
    };
    let claim = turn.held.claim(None);
    match turn.target.ensure(&claim, live.slot, &plan).await {
        Err(Error::Refused { reason, .. } | Error::Full { reason, .. }) => {
            give_up(&turn, &restart, reason).await
        }
        // Not reached, or cut off: asked again, within the same time.
        Ok(()) | Err(_) => Ok(Turns::In(SOON)),
    }
}

/// What the first instance that does not answer says.
async fn unready(turn: &Turn<'_>, observed: &Observed, live: Live) -> String {
    let instances = observed.slots.of(live.slot);
    for one in instances.iter().filter(|one| one.maker == live.maker && !one.in_route) {
        if let InstanceState::Exited { why } = &one.state {
            return format!("{}: {why}", one.name);
        }
        let Some(probe) = turn.memory.probes.get(&one.release) else { continue };
        let place = &turn.placement.place;
        let answers = turn.target.probe(place, live.slot, live.maker, probe).await;
        match answers {
            Ok(answers) => {
                let said =
                    answers.iter().find(|answer| answer.instance == one.id && !answer.passed);
                if let Some(answer) = said {
                    return format!("{}: {}", one.name, answer.said);
                }
            }
            Err(error) => return chain(&error),
        }
    }
    "not all instances were ready in time".to_owned()
}

/// Stops the restart: the others are left as they are, and a row says why.
async fn give_up(turn: &Turn<'_>, restart: &Restart, why: String) -> anyhow::Result<Turns> {
    let (done, of) = restart.progress().unwrap_or_default();
    let failed = Restart { failed: Some(why.clone()), ..restart.clone() };
    save(turn, restart, Some(&failed), Some(Deed::RestartStopped { done, of, why })).await
}

async fn save(
    turn: &Turn<'_>,
    before: &Restart,
    after: Option<&Restart>,
    row: Option<Deed>,
) -> anyhow::Result<Turns> {
    let mut tx = turn.context.pool.begin().await?;
    if !placements::set_restart(&mut tx, &turn.held, before, after).await? {
        return Ok(Turns::Now);
    }
    match row {
        Some(deed) => {
            let row = NewEntry::engine(turn.placement.subject(None), deed);
            store::history::append_and_commit(tx, &[row]).await?;
        }
        None => tx.commit().await?,
    }
    Ok(Turns::Now)
}
