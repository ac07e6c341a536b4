//! Wakes: who waits for work, for history or for changed grants hears of it at once, and is woken
//! now and then in any case. A wake is a hint to look, never the news itself, so one that is lost
//! costs a second and nothing else.

use crate::{Conn, Pool, Result};
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
    /// A placement or an inquiry.
    Work,
    /// The history has more rows.
    History,
    /// Grants or people changed.
    Access,
}

/// Channels in the order of [`Wake`].
const CHANNELS: [(&str, Wake); 3] = [
    ("pilothouse_work", Wake::Work),
    ("pilothouse_history", Wake::History),
    ("pilothouse_access", Wake::Access),
];

/// The poll besides listening: also how long a lost notification can matter.
const POLL: Duration = Duration::from_secs(1);
/// How many wakes a slow listener may be behind. It then looks once for all of them.
const BEHIND: usize = 64;

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
    CHANNELS
        .into_iter()
        .find(|(channel, _)| *channel == notification.channel())
        .map(|(_, wake)| wake)
}

/// Wakes the engines once the transaction commits. The payload is a placement's id or `inquiry`.
pub async fn work(conn: &mut Conn, payload: &str) -> Result<()> {
    sqlx::query!(r#"select pg_notify('pilothouse_work', $1) as "done?: ()""#, payload)
        .execute(conn)
        .await?;
    Ok(())
}
