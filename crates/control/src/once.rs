//! Sending a form twice does it once: a verb that makes something remembers what it made, under the
//! key that the request carried.

use crate::{Asked, Control, OrProblem};
use domain::error::Problem;
use std::str::FromStr;
use store::Tx;

impl Control {
    /// What the same verb made for the same key before. Asked after the check, so that a key gives
    /// nobody what he may not have. Whoever is told `None` must [`Control::remember`].
    pub(crate) async fn made_before<T: FromStr>(
        &self,
        tx: &mut Tx,
        asked: &Asked,
        verb: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(key) = &asked.idempotency_key else { return Ok(None) };
        let made = store::idempotency::earlier(tx, asked.actor.id, verb, key)
            .await
            .or_problem(&asked.origin)?;
        Ok(made.and_then(|id| id.parse().ok()))
    }

    /// Keeps what was made, in the transaction that made it.
    pub(crate) async fn remember<T: ToString + Sync>(
        &self,
        tx: &mut Tx,
        asked: &Asked,
        verb: &str,
        made: &T,
    ) -> Result<(), Problem> {
        let Some(key) = &asked.idempotency_key else { return Ok(()) };
        store::idempotency::remember(tx, asked.actor.id, verb, key, &made.to_string())
            .await
            .or_problem(&asked.origin)
    }
}
