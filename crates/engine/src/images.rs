//! Images on this machine that must not be pruned keep a tag of ours; others lose it.

use crate::{chain, context::Context};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tracing::{debug, warn};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(60);

/// Keeps until the engine stops.
pub(crate) async fn run(context: Arc<Context>) {
    loop {
        if let Err(error) = keep(&context).await {
            warn!(error = format!("{error:#}"), "Images could not be kept from pruning");
        }
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            () = context.stopping.cancelled() => return,
        }
    }
}

/// What is kept is read from the target, so that a tag outlives nobody who knew of it.
async fn keep(context: &Context) -> anyhow::Result<()> {
    let kept: BTreeSet<_> = match context.machine.kept_images().await {
        Ok(kept) => kept.into_iter().collect(),
        // The next round asks again.
        Err(error) => {
            debug!(error = chain(&error), "It could not be asked which images are kept");
            return Ok(());
        }
    };
    // After it was asked: what a rollout has kept meanwhile is among the keepers.
    let mut conn = context.pool.acquire().await?;
    let keepers: BTreeSet<_> = store::rollouts::keepers(&mut conn).await?.into_iter().collect();
    drop(conn);
    for image in keepers.difference(&kept) {
        if let Err(error) = context.machine.keep_image(image).await {
            debug!(image = image.short(), error = chain(&error), "An image could not be kept");
        }
    }
    for image in kept.difference(&keepers) {
        if let Err(error) = context.machine.release_image(image).await {
            debug!(image = image.short(), error = chain(&error), "An image could not be let go");
        }
    }
    Ok(())
}
