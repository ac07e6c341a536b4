//! Reads new rows of the history, once for everybody, and tells them to the hub.

use crate::{context::Context, live::Place};
use domain::live::Message;
use std::{sync::Arc, time::Duration};
use tracing::warn;

/// Rows read at a time.
const BATCH: i64 = 500;
/// After an error.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Follows the history from its head until the engine stops.
pub(crate) async fn run(context: Arc<Context>) {
    let mut last = None;
    loop {
        match read(&context, &mut last).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                warn!(error = format!("{error:#}"), "The history could not be followed");
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
        tokio::select! {
            () = context.hub.rows() => {}
            () = context.stopping.cancelled() => return,
        }
    }
}

/// Tells the rows after `last`. True: there may be more.
async fn read(context: &Context, last: &mut Option<i64>) -> anyhow::Result<bool> {
    let mut conn = context.pool.acquire().await?;
    let Some(from) = *last else {
        *last = Some(store::history::head(&mut conn).await?.number);
        return Ok(false);
    };
    let rows = store::history::after(&mut conn, from, BATCH).await?;
    for stored in &rows {
        let place =
            Place { project: stored.project.clone(), environment: stored.environment.clone() };
        match stored.row() {
            Ok(row) => context.hub.tell(place, stored.visibility, Message::Row(row)),
            // A row of a newer program: whoever can read it finds it in the history.
            Err(error) => warn!(%error, "Row {} can not be told", stored.number),
        }
        *last = Some(stored.number);
    }
    Ok(i64::try_from(rows.len()).is_ok_and(|read| read == BATCH))
}
