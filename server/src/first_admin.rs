//! The one-time link with which the first admin is made: said at start as long as there is none, and
//! gone from the disk once it was used.

use crate::config::public_url::PublicUrl;
use anyhow::Context;
use control::Control;
use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use store::Pool;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked whether the link was used.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Makes the link, if nobody can manage people yet, and says where it is.
pub async fn offer(control: &Control, url: &PublicUrl, file: &Path) -> anyhow::Result<bool> {
    let Some(token) = control.first_admin_link().await? else {
        remove(file);
        return Ok(false);
    };
    let link = url.link(&format!("/first-admin?token={token}"));
    write(file, &link).with_context(|| format!("writing {}", file.display()))?;
    tracing::info!("There is no admin yet. Make the first one here, once: {link}");
    Ok(true)
}

/// Takes the link away as soon as there is an admin.
pub async fn remove_when_used(pool: Pool, file: PathBuf) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        // The database may be away for a moment: the next look will tell.
        if matches!(is_there_an_admin(&pool).await, Ok(true)) {
            remove(&file);
            return;
        }
    }
}

async fn is_there_an_admin(pool: &Pool) -> store::Result<bool> {
    store::users::is_there_an_admin(&mut *pool.acquire().await?).await
}

fn write(file: &Path, link: &str) -> std::io::Result<()> {
    // A new file beside it: nobody ever reads half a link, or one with somebody else's rights.
    let new = file.with_extension("new");
    remove(&new);
    let mut options = OpenOptions::new();
    let mut open = options.write(true).create_new(true).mode(0o600).open(&new)?;
    writeln!(open, "{link}")?;
    open.sync_all()?;
    fs::rename(&new, file)
}

fn remove(file: &Path) {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(%error, "{} can not be removed; its link is void", file.display());
        }
        Ok(()) | Err(_) => {}
    }
}
