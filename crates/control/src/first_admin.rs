//! The first admin: made with a link that works once. There is no default account.

use crate::{
    Control, OrProblem, SignedIn, hex, passwords,
    sessions::{add_user, open_session},
};
use domain::{
    error::Problem,
    history::{By, Deed, Origin, Subject},
    id::{GrantId, UserId},
    name::PersonName,
    role::{Role, Scope},
};
use store::{grants, history::NewEntry, users};
use uuid::Uuid;

impl Control {
    /// Makes the one-time link's token, if nobody can manage people yet. An older link is void.
    pub async fn first_admin_link(&self) -> store::Result<Option<String>> {
        let mut conn = self.pool.acquire().await?;
        if users::is_there_an_admin(&mut conn).await? {
            return Ok(None);
        }
        let (token, stored) = hex::secret();
        users::renew_first_admin(&mut conn, &stored).await?;
        Ok(Some(token))
    }

    /// Makes the first admin with the one-time link, and signs him in.
    pub async fn make_first_admin(
        &self,
        origin: &Origin,
        token: &str,
        name: &str,
        password: &str,
        again: &str,
    ) -> Result<SignedIn, Problem> {
        let void = || {
            Problem::invalid(
                "token",
                "This link was used, or a newer one was printed. Start Pilothouse again to get a new one.",
            )
        };
        let stored = hex::stored(token.trim()).ok_or_else(void)?;
        let mut conn = self.connection(origin).await?;
        let known = users::is_first_admin(&mut conn, &stored).await.or_problem(origin)?;
        if !known || users::is_there_an_admin(&mut conn).await.or_problem(origin)? {
            return Err(void());
        }
        drop(conn);
        let name: PersonName = name.parse().map_err(|wrong| Problem::invalid("name", wrong))?;
        passwords::same(password, again)?;
        passwords::accept("password", password, name.as_str())?;
        let hash = self.passwords.hash(password).await?;

        let mut tx = self.begin(origin).await?;
        let used = users::use_first_admin(&mut tx, &stored).await.or_problem(origin)?;
        // Somebody was made admin on the machine meanwhile: the link is for the first one only.
        if !used || users::is_there_an_admin(&mut tx).await.or_problem(origin)? {
            return Err(void());
        }
        let person = UserId(Uuid::now_v7());
        add_user(&mut tx, origin, person, &name, &hash).await?;
        let grant = GrantId(Uuid::now_v7());
        grants::give(&mut tx, grant, person, Role::Admin, Scope::Everything, None)
            .await
            .or_problem(origin)?;
        let deed = Deed::FirstAdminMade { person, name: name.to_string() };
        let mut made = NewEntry::new(By::Nobody, Subject::default(), deed);
        made.origin = Some(origin.clone());
        let (signed_in, row) =
            open_session(&mut tx, origin, person, name.into()).await.or_problem(origin)?;
        self.commit(tx, origin, &[made, row]).await?;
        Ok(signed_in)
    }
}
