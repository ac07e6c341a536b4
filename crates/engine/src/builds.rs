//! Builds: taken from the queue while there is room, carried out, and made into releases.
//!
//! ```text
//! drive.rs    one build from its claim to its end: fetch, build, push, release
//! given.rs    what it is given and leaves nowhere: secrets and logins
//! book.rs     what it writes, for those who follow and for the database
//! follow.rs   those who follow
//! deploy.rs   "build and deploy": the rollouts that a release was wanted for
//! ```
//!
//! Which phase follows is decided by `domain::build::step`. A build is held like a placement: by a
//! node whose heart beats. When it stops, another node takes the build and looks whether its image is
//! there. Only files of a build that is under way lie in the directory.

mod book;
mod deploy;
mod drive;
mod follow;
pub(crate) mod given;

pub use follow::{BuildLogs, BuildViewer};

use crate::context::Context;
use domain::{build::Phase, history::Deed, id::BuildId};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use store::{
    builds::claims::{self, Claimed},
    history::NewEntry,
};
use targets::build::Builder;
use tokio::{sync::watch, task::JoinSet};
use tracing::{info, warn};

/// How builds are carried out.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who speaks to git, and has images made.
    pub builder: Arc<dyn Builder>,
    /// How many run side by side, of all nodes together. Others wait, and are shown as waiting.
    pub at_once: u32,
    /// How long one may take.
    pub within: Duration,
    /// Where sources lie while they are built. All in it is ours.
    pub directory: PathBuf,
}

/// In the directory of builds: what a builder needs while git runs.
const GIT: &str = "git";
/// How often one looks for builds to take and to stop, besides being woken.
const LOOK: Duration = Duration::from_secs(1);
/// How long builds that are dropped with the engine may take to leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

/// The builds that this process is at.
#[derive(Default)]
struct Running {
    tasks: JoinSet<BuildId>,
    /// Says to each who asked that it stops.
    stops: HashMap<BuildId, watch::Sender<Option<String>>>,
}

/// Takes builds and carries them out until the engine stops.
pub(crate) async fn run(context: Arc<Context>, work: Arc<Settings>) {
    let mut running = Running::default();
    while !context.stopping.is_cancelled() {
        while let Some(ended) = running.tasks.try_join_next() {
            running.forget(ended);
        }
        if let Err(error) = look(&context, &work, &mut running).await {
            warn!(error = format!("{error:#}"), "Builds could not be looked for");
        }
        tokio::select! {
            () = context.work.notified() => {}
            () = context.stopping.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
            Some(ended) = running.tasks.join_next() => running.forget(ended),
        }
    }
    // Each sees that the engine stops, stores what was written, and leaves. Whoever has the build
    // next says what became of it.
    let left = async { while running.tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(LEAVE_WITHIN, left).await.is_err() {
        running.tasks.shutdown().await;
    }
}

impl Running {
    fn forget(&mut self, ended: Result<BuildId, tokio::task::JoinError>) {
        match ended {
            Ok(build) => drop(self.stops.remove(&build)),
            // Its claim is found again as one that nobody is at.
            Err(error) => {
                warn!(%error, "A build ended in a fault");
                self.stops.retain(|_, stop| !stop.is_closed());
            }
        }
    }

    fn begin(
        &mut self,
        context: &Arc<Context>,
        work: &Arc<Settings>,
        claimed: Claimed,
        lost: bool,
    ) {
        let build = claimed.held.build;
        let (stop, stopped) = watch::channel(claimed.cancel_asked_by.clone());
        self.stops.insert(build, stop);
        let (context, work) = (context.clone(), work.clone());
        self.tasks.spawn(async move {
            drive::drive(context, work, claimed, lost, stopped).await;
            build
        });
    }
}

async fn look(
    context: &Arc<Context>,
    work: &Arc<Settings>,
    running: &mut Running,
) -> anyhow::Result<()> {
    let mut conn = context.pool.acquire().await?;
    for (build, by) in claims::to_stop(&mut conn, context.node).await? {
        if let Some(stop) = running.stops.get(&build) {
            stop.send_if_modified(|asked| {
                let new = asked.is_none();
                asked.get_or_insert(by);
                new
            });
        }
    }
    loop {
        let at: Vec<BuildId> = running.stops.keys().copied().collect();
        let Some(claimed) = claims::lost(&mut conn, context.node, &at).await? else { break };
        warn!(build.id = %claimed.held.build, "Build {} was left behind", claimed.held.build.short());
        running.begin(context, work, claimed, true);
    }
    drop(conn);
    while let Some(claimed) = take(context, work.at_once).await? {
        running.begin(context, work, claimed, false);
    }
    while deploy::next(context).await? {}
    Ok(())
}

/// Takes the build that waits longest, if there is room.
async fn take(context: &Context, at_once: u32) -> anyhow::Result<Option<Claimed>> {
    let mut tx = context.pool.begin().await?;
    let Some(claimed) = claims::next(&mut tx, context.node, at_once).await? else {
        return Ok(None);
    };
    let build = claimed.held.build;
    let deed = Deed::BuildEntered {
        build,
        number: claimed.number,
        phase: Phase::Fetching,
        outcome: String::new(),
    };
    store::history::append_and_commit(tx, &[NewEntry::engine(claimed.subject(), deed)]).await?;
    info!(build.id = %build, "Build {} is fetching", build.short());
    Ok(Some(claimed))
}

/// What a process left that died lies there for nobody.
pub(crate) async fn clear(directory: &Path) {
    let mut left = match tokio::fs::read_dir(directory).await {
        Ok(left) => left,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => {
            warn!(%error, "The directory of builds could not be read");
            return;
        }
    };
    while let Ok(Some(entry)) = left.next_entry().await {
        // Only what is named as a build or as a look at a repository is ours, and what git needed.
        let is_ours = |name: &str| name == GIT || name.parse::<BuildId>().is_ok();
        if entry.file_name().to_str().is_some_and(is_ours) {
            remove(&entry.path()).await;
        }
    }
}

/// Removes what a build left. A link in it is removed, never followed.
pub(crate) async fn remove(path: &Path) {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            warn!(%error, "The files of a build could not be removed");
        }
        _ => {}
    }
}

/// Clears the place of a source, in a directory that nobody else can read.
pub(crate) async fn place_for(directory: &Path) -> std::io::Result<()> {
    if let Some(all) = directory.parent() {
        tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(all).await?;
    }
    match tokio::fs::remove_dir_all(directory).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
