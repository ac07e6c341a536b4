//! A command of a step, carried out on the target. What comes back is weighed by the next step;
//! nothing is decided here.

use crate::{chain, fetching, placement::Turn, registries, told::told};
use domain::{
    id::RolloutId,
    release::is_version_of,
    rollout::{
        Kind, Rollout, State,
        step::{Command, Reply, Routed},
    },
    slot::Slot,
    target::{Answer, Finding, Plan, PlanVariables, Probe, Verdict},
};
use std::time::Instant;
use store::{releases::PlanParts, rollouts::Current};
use targets::Error;
use tracing::debug;

/// Carries a command out. `None`: it was cut off, or has nothing to say; it is asked for again.
pub(crate) async fn perform(
    turn: &mut Turn<'_>,
    current: &Current,
    state: &State,
    command: Command,
) -> Option<Reply> {
    let done = match command {
        Command::Preflight => return preflight(turn, current).await,
        Command::Fill(slot) => fill(turn, current, state, slot).await,
        Command::Probe(slot) => return ready(turn, current, state, slot).await,
        Command::Gates => return gates(turn, current, state).await,
        Command::Route(to) => {
            let claim = turn.held.claim(Some(current.rollout.id));
            let revision = turn.revision();
            let sent = Instant::now();
            match turn.target.route(&claim, &turn.placement.place, revision, to).await {
                Ok(route) => {
                    let routed = Routed {
                        live: route.live,
                        applied_at: route.applied_at,
                        took: sent.elapsed(),
                    };
                    let arriving = route.arriving;
                    turn.memory.route = Some(route);
                    // Written, and not yet followed: the next look tells.
                    return (!arriving).then_some(Reply::Routed(routed));
                }
                Err(error) => Err(error.into()),
            }
        }
        Command::CloseStreams(slot) => {
            let claim = turn.held.claim(Some(current.rollout.id));
            let target = &turn.target;
            match target.close_streams(&claim, &turn.placement.place, slot).await {
                Ok(goodbye) => return Some(Reply::Goodbye(goodbye)),
                Err(error) => Err(error.into()),
            }
        }
        Command::Withdraw => match withdraw(turn, current).await {
            Ok(()) => return Some(Reply::Withdrawn),
            Err(error) => Err(error),
        },
        Command::Empty(slot) => {
            turn.memory.logs.finish().await;
            let claim = turn.held.claim(Some(current.rollout.id));
            turn.target.remove(&claim, &turn.placement.place, slot).await.map_err(Into::into)
        }
    };
    match done {
        Ok(()) => None,
        Err(error) => refusal(&error),
    }
}

/// A refusal is an answer. Everything else is asked again, after another look.
fn refusal(error: &anyhow::Error) -> Option<Reply> {
    match error.downcast_ref::<Error>() {
        Some(Error::Refused { reason, .. }) => Some(Reply::Refused(reason.clone())),
        Some(Error::Full { reason, .. }) => Some(Reply::NoRoom(reason.clone())),
        _ => {
            debug!(error = format!("{error:#}"), "A command was cut off");
            None
        }
    }
}

/// Takes the route away, and what belonged to nothing but it.
async fn withdraw(turn: &Turn<'_>, current: &Current) -> anyhow::Result<()> {
    let claim = turn.held.claim(Some(current.rollout.id));
    let (target, place) = (&turn.target, &turn.placement.place);
    target.withdraw(&claim, place).await?;
    // Of empty slots no instance is removed, but what these shared goes with the last of them. Which
    // was the last, nobody knows by now.
    for slot in Slot::ALL {
        target.remove(&claim, place, slot).await?;
    }
    Ok(())
}

async fn fill(
    turn: &mut Turn<'_>,
    current: &Current,
    state: &State,
    slot: Slot,
) -> anyhow::Result<()> {
    let pinned = state.pinned.ok_or_else(|| anyhow::anyhow!("nothing is pinned"))?;
    let claim = turn.held.claim(Some(current.rollout.id));
    // What was live may run again as it did: a policy edited since does not close the way back.
    let plan = match pinned.previous.filter(|previous| previous.slot == slot) {
        Some(previous) => {
            let mut conn = turn.context.pool.acquire().await?;
            let parts = store::releases::plan_parts(&mut conn, previous.pair).await?;
            let parts = parts.ok_or_else(|| anyhow::anyhow!("the previous pair is not stored"))?;
            drop(conn);
            let variables = variables(turn, &parts).await?;
            plan(turn, parts, variables, previous.maker, pinned.size, true)
        }
        None => {
            let root =
                current.rollout.policy.root_allowed || current.rollout.kind == Kind::Rollback;
            let variables = variables(turn, &current.parts).await?;
            plan(turn, current.parts.clone(), variables, pinned.maker, pinned.size, root)
        }
    };
    let plan = fetching::with_pull(turn, plan).await?;
    turn.target.ensure(&claim, slot, &plan).await?;
    Ok(())
}

/// What instances of this pair are told. A value that is lost is refused: asking again brings it not
/// back.
async fn variables(turn: &Turn<'_>, parts: &PlanParts) -> anyhow::Result<PlanVariables> {
    let told = told(turn.context, &parts.configuration).await?;
    told.whole().map_err(|reason| Error::Refused { target: "the vault".to_owned(), reason }.into())
}

/// What a slot is filled with.
pub(crate) fn plan(
    turn: &Turn<'_>,
    parts: PlanParts,
    variables: PlanVariables,
    maker: RolloutId,
    size: u16,
    root_allowed: bool,
) -> Plan {
    Plan {
        place: turn.placement.place.clone(),
        maker,
        release: parts.release.id,
        release_name: parts.release.name,
        configuration: parts.configuration.id,
        image: parts.release.image,
        image_user: parts.user,
        pull: None,
        spec: parts.release.spec,
        variables,
        limits: parts.configuration.limits,
        size,
        root_allowed,
    }
}

async fn preflight(turn: &mut Turn<'_>, current: &Current) -> Option<Reply> {
    let rollout = &current.rollout;
    let live = turn.memory.route.as_ref().and_then(|route| route.live);
    let told = told(turn.context, &current.parts.configuration)
        .await
        .map_err(|error| debug!(error = chain(&error), "The secrets could not be read"))
        .ok()?;
    let secrets = told.finding(holds(turn, rollout).is_some());
    // Whether there is room is asked without what instances are told.
    let plan = plan(
        turn,
        current.parts.clone(),
        PlanVariables::default(),
        rollout.id,
        turn.placement.size.count(),
        rollout.policy.root_allowed,
    );
    let plan = fetching::with_pull(turn, plan)
        .await
        .map_err(|error| debug!(error = format!("{error:#}"), "Where the image is was not found"))
        .ok()?;
    let brought = if turn.target.fetches_images() {
        let mut finding = fetching::finding(&plan);
        if holds(turn, rollout).is_some() && finding.verdict == Verdict::Refuse {
            // Its instances run already: traffic goes back to them whatever a registry has.
            finding.verdict = Verdict::Warn;
        }
        Some(finding)
    } else {
        // Dropped for something that goes first: it is begun again where it stopped.
        match registries::bring(turn, current, &plan.image).await {
            Ok(brought) => brought,
            Err(registries::Interrupted) => return None,
        }
    };
    let findings = match rollout.kind {
        // What is there already is asked nothing, and what is not is fetched.
        Kind::Rollback if turn.target.fetches_images() => Some(Vec::new()),
        Kind::Rollback => image_only(turn, &plan).await,
        Kind::Deploy | Kind::Remove => turn
            .target
            .preflight(&plan, live)
            .await
            .map_err(|error| debug!(error = chain(&error), "Preflight was cut off"))
            .ok(),
    };
    let mut findings = findings?;
    findings.extend(secrets);
    if let Some(brought) = brought {
        // What is said first is why it failed, where it did.
        findings.insert(0, brought);
    }
    if current.parts.retired && rollout.kind == Kind::Deploy {
        findings.push(Finding {
            question: "The release may be deployed".to_owned(),
            verdict: Verdict::Refuse,
            detail: "it was retired; choose another release".to_owned(),
        });
    }
    // A deploy of ours keeps its image from being pruned from here on.
    if let Err(error) = turn.context.machine.keep_image(&plan.image).await {
        debug!(error = chain(&error), "The image could not be kept");
    }
    let warm_ready = match holds(turn, rollout) {
        Some((slot, maker)) => {
            let probe = probe_of(&plan.spec)?;
            let size = usize::from(turn.placement.size.count());
            match turn.target.probe(&turn.placement.place, slot, maker, &probe).await {
                Ok(answers) => unready(&answers, size).is_none(),
                Err(_) => false,
            }
        }
        None => false,
    };
    Some(Reply::Findings { findings, warm_ready })
}

/// The slot in which a rollback's pair is already, and whose instances these are: the warm one, or
/// the live one where traffic is put back.
fn holds(turn: &Turn<'_>, rollout: &Rollout) -> Option<(Slot, RolloutId)> {
    if rollout.kind != Kind::Rollback {
        return None;
    }
    let live = turn.placement.live.filter(|live| live.pair == rollout.pair);
    let warm = turn.placement.warm.filter(|warm| warm.pair == rollout.pair);
    live.map(|live| (live.slot, live.maker)).or(warm.map(|warm| (warm.slot, warm.maker)))
}

/// Going back asks for the image and nothing else: not for room, names or a policy.
async fn image_only(turn: &Turn<'_>, plan: &Plan) -> Option<Vec<Finding>> {
    let question = "The image is there, with the same content".to_owned();
    let reference = plan.image.as_str().parse().ok()?;
    match turn.target.image(&reference).await {
        Ok(facts) if facts.id == plan.image => {
            let detail = plan.image.short().to_owned();
            Some(vec![Finding { question, verdict: Verdict::Pass, detail }])
        }
        Ok(_) | Err(Error::Refused { .. }) => {
            let detail = format!(
                "{} is not on the target any more; choose another release",
                plan.image.short()
            );
            Some(vec![Finding { question, verdict: Verdict::Refuse, detail }])
        }
        Err(error) => {
            debug!(error = chain(&error), "The image could not be asked for");
            None
        }
    }
}

/// The readiness question of a service with a port.
pub(crate) fn probe_of(spec: &domain::service::ServiceSpec) -> Option<Probe> {
    Some(Probe { port: spec.exposure.port()?, check: spec.readiness.clone() })
}

/// Whose instances are in `slot`, and by which spec they are asked.
async fn asked(
    turn: &Turn<'_>,
    current: &Current,
    state: &State,
    slot: Slot,
) -> Option<(RolloutId, Probe, u16)> {
    let pinned = state.pinned?;
    match pinned.previous.filter(|previous| previous.slot == slot) {
        Some(previous) => {
            let mut conn = turn.context.pool.acquire().await.ok()?;
            let parts = store::releases::plan_parts(&mut conn, previous.pair).await.ok()??;
            Some((previous.maker, probe_of(&parts.release.spec)?, pinned.size))
        }
        None => Some((pinned.maker, probe_of(&current.parts.release.spec)?, pinned.size)),
    }
}

async fn ready(turn: &Turn<'_>, current: &Current, state: &State, slot: Slot) -> Option<Reply> {
    let (maker, probe, size) = asked(turn, current, state, slot).await?;
    let answers = turn.target.probe(&turn.placement.place, slot, maker, &probe).await;
    match answers {
        Ok(answers) => {
            turn.context.healths.note(&answers);
            Some(Reply::Ready { unready: unready(&answers, usize::from(size)) })
        }
        Err(error) => {
            debug!(error = chain(&error), "Readiness could not be asked");
            None
        }
    }
}

/// Why a slot is not ready: an instance is missing, or what the first bad one said.
pub(crate) fn unready(answers: &[Answer], size: usize) -> Option<String> {
    if let Some(bad) = answers.iter().find(|answer| !answer.passed) {
        return Some(format!("instance {}: {}", bad.number, bad.said));
    }
    (answers.len() < size).then(|| format!("{} of {size} instances answered", answers.len()))
}

/// The release's own checks: what health reports must be the version that was deployed.
async fn gates(turn: &Turn<'_>, current: &Current, state: &State) -> Option<Reply> {
    let spec = &current.parts.release.spec;
    let Some(field) = &spec.version_field else { return Some(Reply::Gates(Vec::new())) };
    let pinned = state.pinned?;
    let (maker, probe, _) = asked(turn, current, state, pinned.new).await?;
    let answers = turn.target.probe(&turn.placement.place, pinned.new, maker, &probe).await.ok()?;
    let wanted = current.parts.release.name.as_str();
    let path = probe.check.path;
    let mut gate = Finding {
        question: format!("{path} says version {wanted}"),
        verdict: Verdict::Pass,
        detail: format!("{} of {} instances", answers.len(), pinned.size),
    };
    for answer in &answers {
        if !answer.passed {
            // It was ready a moment ago. Whether it is again is for verifying to find out.
            return Some(Reply::Ready { unready: unready(&answers, usize::from(pinned.size)) });
        }
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let said = match body.get(field.as_str()) {
            Some(serde_json::Value::String(said)) => said.clone(),
            Some(other) => other.to_string(),
            None => {
                gate.verdict = Verdict::Refuse;
                gate.detail = format!("its answer has no field “{}”", field.as_str());
                break;
            }
        };
        let release = &current.parts.release;
        if !is_version_of(&said, &release.name, &release.reference) {
            gate.verdict = Verdict::Refuse;
            gate.detail = format!("instance {} says {said}", answer.number);
            break;
        }
    }
    Some(Reply::Gates(vec![gate]))
}
