//! Images on their way to registries: taken by whichever node is first, sent by the target, noted while
//! it lasts, and told when it is over.

use crate::{context::Context, registries};
use domain::{history::Deed, name::Digest, registry::Progress};
use std::{sync::Arc, time::Duration};
use store::{
    history::NewEntry,
    pushes::{self, Taken},
};
use targets::registry::{Push, Told};
use tokio::{sync::watch, task::JoinSet};
use tracing::{info, warn};

/// How many are sent at the same time. Others wait, and are shown as waiting.
const AT_ONCE: usize = 2;
/// How often one looks, besides being woken.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is noted how far a push is.
const NOTE: Duration = Duration::from_millis(500);
/// A push that takes nodes down with it is not tried for ever.
const MOST_ATTEMPTS: i32 = 3;

/// Pushes until the engine stops.
pub(crate) async fn run(context: Arc<Context>) {
    let mut under_way = JoinSet::new();
    while !context.stopping.is_cancelled() {
        while under_way.try_join_next().is_some() {}
        let taken = if under_way.len() < AT_ONCE { take(&context).await } else { None };
        if let Some(taken) = taken {
            under_way.spawn(carry_out(context.clone(), taken));
            continue;
        }
        tokio::select! {
            () = context.work.notified() => {}
            () = context.stopping.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    // A transfer is dropped with us; whoever comes next sends again what is missing.
    under_way.shutdown().await;
}

async fn take(context: &Context) -> Option<Taken> {
    let mut conn = context.pool.acquire().await.ok()?;
    match pushes::take(&mut conn, context.node).await {
        Ok(taken) => taken,
        Err(error) => {
            warn!(%error, "Pushes could not be looked for");
            None
        }
    }
}

async fn carry_out(context: Arc<Context>, taken: Taken) {
    let came = if taken.attempt > MOST_ATTEMPTS {
        Err(format!("it was begun {MOST_ATTEMPTS} times and never came to an end. Push it again."))
    } else {
        match send(&context, &taken).await {
            Some(came) => came,
            None => return,
        }
    };
    if let Err(error) = end(&context, &taken, &came).await {
        warn!(push.id = %taken.id, error = format!("{error:#}"), "The end of a push could not be kept");
    }
}

/// Sends it, and notes how far it is. `None`: it is somebody else's by now.
async fn send(context: &Context, taken: &Taken) -> Option<Result<Digest, String>> {
    let (told, mut progress) = watch::channel(Progress::default());
    let mut sending = Box::pin(transfer(context, taken, &told));
    let mut noting = tokio::time::interval(NOTE);
    loop {
        tokio::select! {
            came = &mut sending => return Some(came.map_err(|error| registries::said(&error))),
            _ = noting.tick() => {
                let now = progress.borrow_and_update().clone();
                let Ok(mut conn) = context.pool.acquire().await else { continue };
                match pushes::note(&mut conn, taken.id, context.node, &now).await {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => warn!(push.id = %taken.id, %error, "How far a push is could not be noted"),
                }
            }
        }
    }
}

async fn transfer(context: &Context, taken: &Taken, told: &Told) -> anyhow::Result<Digest> {
    let credentials = registries::credentials_of(context, taken.registry).await?;
    let push = Push {
        image: &taken.image,
        to: &taken.repository,
        tags: &taken.tags,
        credentials: credentials.as_ref(),
    };
    Ok(context.machine.push(&push, told).await?)
}

/// The end and its row, and by which digest the image can be fetched from now on, in one transaction.
async fn end(
    context: &Context,
    taken: &Taken,
    came: &Result<Digest, String>,
) -> anyhow::Result<()> {
    let mut tx = context.pool.begin().await?;
    let ended = came.as_ref().map_err(String::as_str);
    if !pushes::end(&mut tx, taken.id, context.node, ended).await? {
        return Ok(());
    }
    let (release, repository) = (taken.release.clone(), taken.repository.clone());
    let deed = match came {
        Ok(digest) => {
            pushes::remember_digest(&mut tx, &taken.image, &repository, digest, "pushed").await?;
            let (tags, digest) = (taken.tags.clone(), digest.clone());
            Deed::ImagePushed { release, repository, tags, digest }
        }
        Err(why) => Deed::PushFailed { release, repository, why: why.clone() },
    };
    store::history::append_and_commit(tx, &[NewEntry::engine(taken.subject.clone(), deed)]).await?;
    info!(push.id = %taken.id, pushed = came.is_ok(), "Push {} is over", taken.id.short());
    Ok(())
}
