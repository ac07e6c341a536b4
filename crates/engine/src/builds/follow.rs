//! Those who follow what a build writes: from this process's memory where it is at it, else from the
//! database, which another node writes, or which this one will when the build's turn has come.

use super::book::Shared;
use domain::{build::log::BuildLine, id::BuildId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use store::Pool;
use tracing::debug;

/// How often the database is asked, for builds of other nodes.
const LOOK: Duration = Duration::from_millis(700);
/// How many builds may be followed at a time that this process is not at.
const MOST: usize = 200;

/// What builds write, for those who may read it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BuildLogs {
    pool: Pool,
    followed: Arc<Mutex<HashMap<BuildId, Weak<Shared>>>>,
}

impl BuildLogs {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool, followed: Arc::default() }
    }

    /// Follows a build from after a line on. `None`: too many others are followed.
    #[must_use]
    pub fn follow(&self, build: BuildId, after: u64) -> Option<BuildViewer> {
        // A number that no log reaches is of nobody's page.
        let after = after.min(i64::MAX as u64);
        let shared = self.shared(build, after, MOST)?;
        if !std::mem::replace(&mut shared.state().looked, true) {
            tokio::spawn(look(self.pool.clone(), Arc::downgrade(&shared)));
        }
        Some(BuildViewer { shared, told: after })
    }

    /// What is shared of a build, for the one who writes it.
    pub(super) fn of_writer(&self, build: BuildId) -> Arc<Shared> {
        self.shared(build, 0, usize::MAX).unwrap_or_else(|| Arc::new(Shared::new(build, 0)))
    }

    fn shared(&self, build: BuildId, last: u64, most: usize) -> Option<Arc<Shared>> {
        // Every change of it is whole, so a panic elsewhere leaves it whole.
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.retain(|_, shared| shared.strong_count() > 0);
        if let Some(shared) = followed.get(&build).and_then(Weak::upgrade) {
            return Some(shared);
        }
        if followed.len() >= most {
            return None;
        }
        let shared = Arc::new(Shared::new(build, last));
        followed.insert(build, Arc::downgrade(&shared));
        Some(shared)
    }
}

/// Somebody who follows. Whatever he is not shown, he does not wait for.
#[derive(Debug)]
pub struct BuildViewer {
    shared: Arc<Shared>,
    told: u64,
}

impl BuildViewer {
    /// The next message for him, if there is one now.
    pub fn take(&mut self) -> Option<Arc<str>> {
        let (last, json) = self.shared.after(self.told)?;
        self.told = last;
        Some(json)
    }
}

/// Looks into the database while nobody here writes, as long as somebody follows.
async fn look(pool: Pool, shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(shared) = shared.upgrade() else { return };
        let (last, here) = {
            let state = shared.state();
            (state.last, state.here)
        };
        if here {
            continue;
        }
        match read(&pool, shared.build, last).await {
            Ok((lines, over)) => {
                let nothing = lines.is_empty();
                shared.push(lines);
                if over && nothing {
                    shared.state().looked = false;
                    return;
                }
            }
            Err(error) => {
                debug!(build.id = %shared.build, %error, "What a build wrote could not be read");
            }
        }
    }
}

/// The lines after one, and whether there will be no more.
async fn read(pool: &Pool, build: BuildId, last: u64) -> store::Result<(Vec<BuildLine>, bool)> {
    let mut conn = pool.acquire().await?;
    let over = store::builds::has_ended(&mut conn, build).await?;
    Ok((store::builds::logs::after(&mut conn, build, last).await?, over))
}
