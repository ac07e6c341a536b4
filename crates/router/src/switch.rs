//! `pilothouse-router switch`: the break-glass, for the hour in which the control plane is gone.

use crate::{cli::Switch, client::Client, state::file::StateDir, writer};
use anyhow::{Context, bail};
use domain::{
    route::{BreakGlass, Routed},
    slot::Slot,
};
use std::time::Duration;
use time::OffsetDateTime;

/// Switches through the router if it runs, else in its state file.
pub fn run(ask: &Switch) -> anyhow::Result<()> {
    let order =
        BreakGlass { of: ask.placement.clone(), live: ask.to.slot(), reason: ask.reason.clone() };
    let socket = ask.at.socket()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answered = runtime.block_on(async {
        match Client::connect(&socket).await? {
            Some(mut router) => router.post("/v1/break-glass", &order).await.map(Some),
            None => Ok(None),
        }
    })?;

    let (routed, how) = match answered {
        Some(routed) => (routed, "The router has switched"),
        None => (in_file(ask, &order)?, "No router runs: switched in its state file"),
    };
    let to = routed.live().map_or("no slot", Slot::as_str);
    println!("{how}: placement {} goes to {to}, revision {}.", routed.placement, routed.revision);
    Ok(())
}

fn in_file(ask: &Switch, order: &BreakGlass) -> anyhow::Result<Routed> {
    let Some(state_dir) = &ask.at.state_dir else {
        bail!("no router listens there; to switch in its state file give --state-dir");
    };
    if !state_dir.exists() {
        bail!("{} does not exist", state_dir.display());
    }
    let dir = StateDir::take(state_dir, Duration::ZERO)
        .context("a router holds the directory but does not answer")?;
    let now = OffsetDateTime::now_utc();
    let mut state = dir.load(now)?.state;
    let uid = rustix::process::getuid().as_raw();
    let routed = writer::break_glass(&mut state, dir.path(), order, uid, now)?;
    dir.save(&state)?;
    Ok(routed)
}
