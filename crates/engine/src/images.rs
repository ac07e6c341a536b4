//! Images that must not be pruned keep a tag of ours; others lose it. And what the target says of
//! itself is noted for its page.

use crate::{chain, context::Context};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tracing::{debug, warn};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(60);
/// The target is asked how it is so often.
const CHECK: Duration = Duration::from_secs(5);

/// Keeps until the engine stops.
pub(crate) async fn run(context: Arc<Context>) {
    let mut left = Duration::ZERO;
    loop {
        if let Err(error) = check(&context).await {
            warn!(error = format!("{error:#}"), "What the target says could not be noted");
        }
        if left.is_zero() {
            left = ROUND;
            if let Err(error) = keep(&context).await {
                warn!(error = format!("{error:#}"), "Images could not be kept from pruning");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(CHECK) => left = left.saturating_sub(CHECK),
            () = context.stopping.cancelled() => return,
        }
    }
}

async fn check(context: &Context) -> anyhow::Result<()> {
    let (answers, says) = match context.target.check().await {
        Ok(facts) => {
            let refused = facts
                .findings
                .iter()
                .find(|finding| finding.verdict == domain::target::Verdict::Refuse);
            match refused {
                Some(finding) => (false, format!("{}: {}", finding.question, finding.detail)),
                None => (true, facts.summary),
            }
        }
        Err(error) => (false, chain(&error)),
    };
    let mut conn = context.pool.acquire().await?;
    for target in store::targets::all(&mut conn).await? {
        store::targets::note(&mut conn, target.id, answers, &says).await?;
    }
    Ok(())
}

/// What is kept is read from the target, so that a tag outlives nobody who knew of it.
async fn keep(context: &Context) -> anyhow::Result<()> {
    let kept: BTreeSet<_> = match context.target.kept_images().await {
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
        if let Err(error) = context.target.keep_image(image).await {
            debug!(image = image.short(), error = chain(&error), "An image could not be kept");
        }
    }
    for image in kept.difference(&keepers) {
        if let Err(error) = context.target.release_image(image).await {
            debug!(image = image.short(), error = chain(&error), "An image could not be let go");
        }
    }
    Ok(())
}
