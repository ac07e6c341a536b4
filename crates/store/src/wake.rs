//! Wakes: who waits for work, for history or for changed grants hears of it at once, and is woken
//! now and then in any case. A wake is a hint to look, never the news itself, so one that is lost
//! costs a second and nothing else.

use crate::{Conn, Pool, Result};
use domain::id::PlacementId;
use sqlx::postgres::{PgListener, PgNotification};
use std::time::Duration;
use tokio::{
    sync::broadcast,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

/// What there may be to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A placement, or anything else there may be to do.
    Work(Of),
    /// The history has more rows.
    History,
    /// Grants or people changed.
    Access,
}

/// Which placement there may be something to do in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Any of them: nobody knows what was missed.
    All,
    One(PlacementId),
    /// None: an inquiry, or another thing that is looked for by its own loop.
    Other,
}

/// Channels, and what is heard on each when nobody says more.
const CHANNELS: [(&str, Wake); 3] = [
    ("pilothouse_work", Wake::Work(Of::All)),
    ("pilothouse_history", Wake::History),
    ("pilothouse_access", Wake::Access),
];

/// The poll besides listening: also how long a lost notification can matter.
const POLL: Duration = Duration::from_secs(1);
/// How many wakes a slow listener may be behind. It then looks once for all of them.
const BEHIND: usize = 256;

/// Listens on one connection for everybody in this process. Ends when it is dropped.
#[derive(Debug)]
pub struct Wakes {
    sender: broadcast::Sender<Wake>,
    task: JoinHandle<()>,
}

impl Wakes {
    /// Begins to listen. Reconnects by itself, and polls meanwhile.
    #[must_use]
    pub fn listen(pool: Pool) -> Self {
        let (sender, _) = broadcast::channel(BEHIND);
        let task = tokio::spawn(run(pool, sender.clone()));
        Self { sender, task }
    }

    /// Hears every wake from now on.
    #[must_use]
    pub fn subscribe(&self) -> Sleeper {
        Sleeper { receiver: self.sender.subscribe() }
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sleeps until there may be something.
#[derive(Debug)]
pub struct Sleeper {
    receiver: broadcast::Receiver<Wake>,
}

impl Sleeper {
    /// Waits for work, or a poll's time. What came at once is told at once, each placement by its name.
    /// Empty: nothing was heard, it is only time to look.
    pub async fn work(&mut self) -> Vec<Of> {
        use broadcast::error::{RecvError, TryRecvError};
        let poll = Instant::now() + POLL;
        let mut heard = Vec::new();
        while heard.is_empty() {
            match timeout_at(poll, self.receiver.recv()).await {
                Ok(Ok(Wake::Work(of))) => heard.push(of),
                Ok(Ok(Wake::History | Wake::Access)) => {}
                // So much at once that nobody knows what was among it.
                Ok(Err(RecvError::Lagged(_))) => heard.push(Of::All),
                Ok(Err(RecvError::Closed)) => {
                    // The program stops. Whoever still sleeps goes on at the pace of a poll.
                    tokio::time::sleep_until(poll).await;
                    break;
                }
                Err(_) => break,
            }
        }
        loop {
            match self.receiver.try_recv() {
                Ok(Wake::Work(of)) if heard.contains(&of) => {}
                Ok(Wake::Work(of)) => heard.push(of),
                Ok(Wake::History | Wake::Access) => {}
                Err(TryRecvError::Lagged(_)) => heard.push(Of::All),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return heard,
            }
        }
    }

    /// Waits until `wake`, or a poll's time. Several wakes are one. True: it was heard; false: it is
    /// only time to look.
    pub async fn until(&mut self, wake: Wake) -> bool {
        let poll = Instant::now() + POLL;
        let heard = loop {
            match timeout_at(poll, self.receiver.recv()).await {
                Ok(Ok(heard)) if heard != wake => {}
                Ok(Err(broadcast::error::RecvError::Closed)) => {
                    // The program stops. Whoever still sleeps goes on at the pace of a poll.
                    tokio::time::sleep_until(poll).await;
                    return false;
                }
                // Heard it, or so much at once that it may have been among them.
                Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) => break true,
                Err(_) => break false,
            }
        };
        // What came meanwhile is the same news.
        while !matches!(
            self.receiver.try_recv(),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed)
        ) {}
        heard
    }
}

async fn run(pool: Pool, sender: broadcast::Sender<Wake>) {
    loop {
        match listen(&pool, &sender).await {
            Ok(never) => match never {},
            Err(error) => {
                tracing::warn!(%error, "Not listening to the database; polling instead");
                tokio::time::sleep(POLL).await;
            }
        }
    }
}

/// Listens until the connection breaks. Nobody knows what was missed while it was not there, so
/// everybody is woken first.
async fn listen(pool: &Pool, sender: &broadcast::Sender<Wake>) -> Result<std::convert::Infallible> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen_all(CHANNELS.map(|(channel, _)| channel)).await?;
    loop {
        for (_, wake) in CHANNELS {
            // Nobody listening is no error.
            let _ = sender.send(wake);
        }
        while let Some(notification) = listener.try_recv().await? {
            if let Some(wake) = wake_of(&notification) {
                let _ = sender.send(wake);
            }
        }
        // The connection was lost and comes back with the next `try_recv`.
    }
}

fn wake_of(notification: &PgNotification) -> Option<Wake> {
    let (_, wake) = CHANNELS.into_iter().find(|(channel, _)| *channel == notification.channel())?;
    Some(match wake {
        Wake::Work(_) => Wake::Work(of(notification.payload())),
        other => other,
    })
}

/// Whom a payload means.
fn of(payload: &str) -> Of {
    match payload.parse() {
        Ok(placement) => Of::One(placement),
        // Written by whoever added placements, or by nobody who says more.
        Err(_) if payload.is_empty() => Of::All,
        Err(_) => Of::Other,
    }
}

/// Wakes the engines once the transaction commits. The payload is a placement's id, a word for what is
/// none (`inquiry`), or empty for all.
pub async fn work(conn: &mut Conn, payload: &str) -> Result<()> {
    sqlx::query!(r#"select pg_notify('pilothouse_work', $1) as "done?: ()""#, payload)
        .execute(conn)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_means_one_placement_none_or_all() {
        let id = PlacementId(uuid::Uuid::from_u128(7));

        assert_eq!(of(&id.to_string()), Of::One(id));
        assert_eq!(of("inquiry"), Of::Other);
        assert_eq!(of(""), Of::All);
    }
}
