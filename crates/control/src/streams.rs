//! What a stream that is open asks again and again: whether the one who listens still may.

use crate::{Actor, Control};
use store::sessions;

impl Control {
    /// The actor as he is now. `None`: his session is over, or he was disabled.
    pub async fn still(&self, actor: &Actor) -> store::Result<Option<Actor>> {
        let found = sessions::again(&self.pool, actor.session).await?;
        Ok(found.map(|found| Actor {
            id: found.user,
            name: found.name,
            session: found.session,
            held: found.grants.into(),
        }))
    }
}
