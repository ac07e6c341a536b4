//! Whether the key of the data directory is the one that the secrets were sealed with.

use crate::Control;
use domain::history::{Deed, Subject};
use store::{canary, history::NewEntry};
use vault::Lost;

/// What the canary is sealed about, and says.
const ABOUT: &str = "canary";
const SAYS: &str = "alive";

impl Control {
    /// Asks the canary, at start. When the key it was sealed with is gone, that is a row of the
    /// history and the sentence that is returned; what was sealed with it has to be set anew, and
    /// everything else goes on.
    pub async fn check_key(&self) -> store::Result<Option<String>> {
        let mut tx = self.pool.begin().await?;
        let lost = match canary::lock(&mut tx).await? {
            Some(sealed) => match self.vault.unseal(ABOUT, &sealed) {
                Ok(plain) if plain.expose() == SAYS => return Ok(None),
                Ok(_) | Err(Lost::Broken) => Some("of the canary's value".to_owned()),
                Err(Lost::NoKey { key }) => Some(key),
            },
            None => None,
        };
        canary::put(&mut tx, &self.vault.seal(ABOUT, SAYS)).await?;
        let Some(lost) = lost else {
            tx.commit().await?;
            return Ok(None);
        };
        let new = self.vault.key();
        let row = NewEntry::engine(
            Subject::default(),
            Deed::KeyLost { lost: lost.clone(), new: new.clone() },
        );
        store::history::append_and_commit(tx, &[row]).await?;
        Ok(Some(format!(
            "The key {lost} is not in secrets.key: what was sealed with it can not be read and has to \
             be set anew. Bring the file back from a backup to read it again. New secrets are sealed \
             with {new}."
        )))
    }
}
