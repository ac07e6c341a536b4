//! Signing in and out, and who is behind a cookie.
//!
//! The cookie holds a secret, the database its hash. It is new at each sign-in and at each change of
//! rights. An unknown name, a wrong password and a disabled person get one answer, in the same time.

use crate::{
    Actor, Asked, Control, OrProblem, hex,
    passwords::{self, Compared, Turn},
};
use domain::{
    error::Problem,
    history::{By, Deed, Origin, Subject},
    id::{SessionId, UserId},
    name::PersonName,
    role::{Action, Protection, Scope},
    view::{AccountPage, GrantRow, SessionRow, Viewer},
};
use store::{Conn, Tx, failures, grants, history::NewEntry, sessions, users};
use uuid::Uuid;

/// Failures that are allowed for an account in five minutes, and for an address in one.
const ACCOUNT_FAILURES: i64 = 5;
const ADDRESS_FAILURES: i64 = 30;

/// A new session. The secret goes into the cookie and nowhere else: this can not be printed.
pub struct SignedIn {
    pub secret: String,
    pub session: SessionId,
    pub user: UserId,
    pub name: String,
}

/// Who is behind a cookie.
pub struct Authenticated {
    pub actor: Actor,
    /// The rights have changed: the answer sets the cookie to this.
    pub renewed: Option<String>,
}

impl Control {
    /// Signs somebody in.
    pub async fn sign_in(
        &self,
        origin: &Origin,
        name: &str,
        password: &str,
    ) -> Result<SignedIn, Problem> {
        let name = typed_name(name);
        let (turn, known) = self.known(origin, &name).await?;
        let stored = known.as_ref().map(|known| known.password.as_str());
        let (turn, compared) = turn.compare(cut(password), stored).await?;

        let Some(known) = known.filter(|known| compared.right && !known.disabled) else {
            // The turn is kept until the failure is counted, so many at once can not outrun the limit.
            self.note_failure(origin, By::Nobody, &name).await?;
            drop(turn);
            return Err(Problem::WrongPassword);
        };
        drop(turn);
        self.begin_session(origin, known, compared).await
    }

    /// Looks somebody up, within the limits, and takes a turn for comparing his password.
    async fn known(
        &self,
        origin: &Origin,
        name: &str,
    ) -> Result<(Turn, Option<users::Known>), Problem> {
        // Once before the queue, so that whoever is over the limit does not stand in it; once after
        // it, because others failed meanwhile.
        self.check_limits(origin, name).await?;
        let turn = self.passwords.turn().await?;
        self.check_limits(origin, name).await?;
        let mut conn = self.connection(origin).await?;
        let known = users::by_name(&mut conn, name).await.or_problem(origin)?;
        Ok((turn, known))
    }

    async fn check_limits(&self, origin: &Origin, name: &str) -> Result<(), Problem> {
        let mut conn = self.connection(origin).await?;
        let count = failures::count(&mut conn, name, &origin.address).await.or_problem(origin)?;
        let mut seconds = 0;
        if count.account >= ACCOUNT_FAILURES {
            seconds = count.account_seconds;
        }
        if count.address >= ADDRESS_FAILURES {
            seconds = seconds.max(count.address_seconds);
        }
        match u32::try_from(seconds) {
            Ok(0) | Err(_) => Ok(()),
            Ok(seconds) => Err(Problem::TooMany { seconds }),
        }
    }

    async fn note_failure(&self, origin: &Origin, by: By, name: &str) -> Result<(), Problem> {
        let mut tx = self.begin(origin).await?;
        let times = failures::note(&mut tx, name, &origin.address).await.or_problem(origin)?;
        match u32::try_from(times) {
            Ok(times) if times > 0 => {
                let deed = Deed::SignInFailed { name: name.to_owned(), times };
                let mut row = NewEntry::new(by, Subject::default(), deed);
                row.origin = Some(origin.clone());
                self.commit(tx, origin, &[row]).await
            }
            _ => tx.commit().await.map_err(store::Error::from).or_problem(origin),
        }
    }

    async fn begin_session(
        &self,
        origin: &Origin,
        known: users::Known,
        compared: Compared,
    ) -> Result<SignedIn, Problem> {
        let mut tx = self.begin(origin).await?;
        // Disabled, or given another password, between the look and now.
        let still = users::locked(&mut tx, known.id).await.or_problem(origin)?;
        if still.is_none_or(|now| now.disabled || now.password != known.password) {
            return Err(Problem::WrongPassword);
        }
        failures::forget(&mut tx, &known.name).await.or_problem(origin)?;
        if let Some(new) = compared.rehashed {
            users::rehash(&mut tx, known.id, &known.password, &new).await.or_problem(origin)?;
        }
        let (signed_in, row) =
            open_session(&mut tx, origin, known.id, known.name).await.or_problem(origin)?;
        self.commit(tx, origin, &[row]).await?;
        Ok(signed_in)
    }

    /// Who is behind a cookie. None: nobody, or not any more.
    pub async fn authenticate(
        &self,
        origin: &Origin,
        secret: &str,
    ) -> Result<Option<Authenticated>, Problem> {
        let Some(stored) = hex::stored(secret) else { return Ok(None) };
        let found = sessions::find(&self.pool, &stored).await.or_problem(origin)?;
        let Some(found) = found else { return Ok(None) };
        if found.stale {
            sessions::touch(&self.pool, found.session).await.or_problem(origin)?;
        }
        let mut renewed = None;
        if found.renew {
            let (new, hash) = hex::secret();
            let mut conn = self.connection(origin).await?;
            let first = sessions::renew(&mut conn, found.session, &stored, &hash).await;
            renewed = first.or_problem(origin)?.then_some(new);
        }
        let actor = Actor {
            id: found.user,
            name: found.name,
            session: found.session,
            held: found.grants.into(),
        };
        Ok(Some(Authenticated { actor, renewed }))
    }

    /// Ends the session that asks.
    pub async fn sign_out(&self, asked: &Asked) -> Result<(), Problem> {
        let mut tx = self.begin(&asked.origin).await?;
        let ended = sessions::end(&mut tx, asked.actor.id, asked.actor.session).await;
        if !ended.or_problem(&asked.origin)? {
            return Ok(());
        }
        grants::tell(&mut tx, asked.actor.id).await.or_problem(&asked.origin)?;
        let row = asked.row(None, Subject::default(), Deed::SignedOut);
        self.commit(tx, &asked.origin, &[row]).await
    }

    /// Ends one of one's own sessions.
    pub async fn end_session(&self, asked: &Asked, session: SessionId) -> Result<(), Problem> {
        let mut tx = self.begin(&asked.origin).await?;
        let ended = sessions::end(&mut tx, asked.actor.id, session).await;
        if !ended.or_problem(&asked.origin)? {
            return Err(Problem::not_found("session"));
        }
        grants::tell(&mut tx, asked.actor.id).await.or_problem(&asked.origin)?;
        let row = asked.row(None, Subject::default(), Deed::SessionEnded { session });
        self.commit(tx, &asked.origin, &[row]).await
    }

    /// Ends all of one's own sessions but the one that asks.
    pub async fn end_other_sessions(&self, asked: &Asked) -> Result<(), Problem> {
        let mut tx = self.begin(&asked.origin).await?;
        let rows = end_others(&mut tx, asked).await.or_problem(&asked.origin)?;
        if rows.is_empty() {
            return Ok(());
        }
        self.commit(tx, &asked.origin, &rows).await
    }

    /// Changes one's own password. Ends all other sessions; this one gets the secret that is given
    /// back for its cookie.
    pub async fn change_password(
        &self,
        asked: &Asked,
        current: &str,
        password: &str,
        again: &str,
    ) -> Result<String, Problem> {
        let (origin, actor) = (&asked.origin, &asked.actor);
        passwords::same(password, again)?;
        passwords::accept("password", password, &actor.name)?;
        let (turn, known) = self.known(origin, &actor.name).await?;
        let known = known.ok_or(Problem::SignedOut)?;
        let (turn, compared) = turn.compare(cut(current), Some(&known.password)).await?;
        if !compared.right {
            let by = By::Person { id: actor.id, name: actor.name.clone(), role: None };
            self.note_failure(origin, by, &actor.name).await?;
            return Err(Problem::invalid("current", "This is not your password of now."));
        }
        drop(turn);
        let hash = self.passwords.hash(password).await?;

        let mut tx = self.begin(origin).await?;
        let still = users::locked(&mut tx, actor.id).await.or_problem(origin)?;
        if still.is_none_or(|now| now.disabled || now.password != known.password) {
            return Err(Problem::conflict("Your password was changed meanwhile. Sign in again."));
        }
        users::set_password(&mut tx, actor.id, &hash).await.or_problem(origin)?;
        let mut rows = vec![asked.row(None, Subject::default(), Deed::PasswordChanged)];
        rows.extend(end_others(&mut tx, asked).await.or_problem(origin)?);
        let (secret, stored) = hex::secret();
        sessions::replace(&mut tx, actor.session, &stored).await.or_problem(origin)?;
        self.commit(tx, origin, &rows).await?;
        Ok(secret)
    }

    /// The account page of whoever asks.
    pub async fn account(&self, asked: &Asked) -> Result<AccountPage, Problem> {
        let (origin, actor) = (&asked.origin, &asked.actor);
        let mut conn = self.connection(origin).await?;
        let mine = sessions::of(&mut conn, actor.id).await.or_problem(origin)?;
        let held = grants::of(&mut conn, Some(actor.id)).await.or_problem(origin)?;
        Ok(AccountPage {
            name: actor.name.clone(),
            sessions: mine
                .into_iter()
                .map(|session| SessionRow {
                    id: session.id,
                    current: session.id == actor.session,
                    address: session.address,
                    agent: session.agent,
                    started_at: session.started_at,
                    seen_at: session.seen_at,
                })
                .collect(),
            grants: held.into_iter().map(grant_row).collect(),
        })
    }

    /// Removes what has ended, and tells of failures that wait to be told. To be called each minute.
    pub async fn sweep(&self) -> store::Result<()> {
        let mut tx = self.pool.begin().await?;
        sessions::sweep(&mut tx).await?;
        store::idempotency::sweep(&mut tx).await?;
        store::invitations::sweep(&mut tx).await?;
        store::logs::sweep(&mut tx).await?;
        let (keep, most) = (self.settings.build_logs_for, self.settings.build_logs_bytes);
        store::builds::logs::sweep(&mut tx, keep, most).await?;
        let untold = failures::untold(&mut tx).await?;
        failures::sweep(&mut tx).await?;
        if untold.is_empty() {
            return Ok(tx.commit().await?);
        }
        let rows = untold
            .into_iter()
            .map(|peer| {
                let times = u32::try_from(peer.times).unwrap_or(u32::MAX);
                let deed = Deed::SignInFailed { name: peer.name, times };
                let mut row = NewEntry::new(By::Nobody, Subject::default(), deed);
                row.origin = Some(Origin {
                    request: String::new(),
                    address: peer.address,
                    agent: String::new(),
                });
                row
            })
            .collect::<Vec<_>>();
        store::history::append_and_commit(tx, &rows).await.map(drop)
    }
}

impl Actor {
    /// Who looks, for every page.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        let everywhere = |action| self.may(action, Scope::Everything, Protection::Open);
        Viewer {
            id: self.id,
            name: self.name.clone(),
            history: self.may_somewhere(Action::View),
            people: everywhere(Action::PeopleManage),
            environments: self.may_somewhere(Action::EnvironmentEdit),
            services: self.may_somewhere(Action::ServiceEdit),
        }
    }
}

/// A new session, and the row that tells of it.
pub(crate) async fn open_session(
    tx: &mut Tx,
    origin: &Origin,
    user: UserId,
    name: String,
) -> store::Result<(SignedIn, NewEntry)> {
    let session = SessionId(Uuid::now_v7());
    let (secret, stored) = hex::secret();
    sessions::begin(tx, session, &stored, user, &origin.address, &origin.agent).await?;
    let by = By::Person { id: user, name: name.clone(), role: None };
    let mut row = NewEntry::new(by, Subject::default(), Deed::SignedIn { session });
    row.origin = Some(origin.clone());
    Ok((SignedIn { secret, session, user, name }, row))
}

/// Ends the other sessions of whoever asks, with a row for each.
async fn end_others(conn: &mut Conn, asked: &Asked) -> store::Result<Vec<NewEntry>> {
    let ended = sessions::end_others(conn, asked.actor.id, Some(asked.actor.session)).await?;
    grants::tell(conn, asked.actor.id).await?;
    let row = |session| asked.row(None, Subject::default(), Deed::SessionEnded { session });
    Ok(ended.into_iter().map(row).collect())
}

/// Adds somebody, or says that the name is taken.
pub(crate) async fn add_user(
    conn: &mut Conn,
    origin: &Origin,
    id: UserId,
    name: &PersonName,
    hash: &str,
) -> Result<(), Problem> {
    match users::add(conn, id, name.as_str(), hash).await {
        Err(error) if error.is_refused_by("users_name") => {
            Err(Problem::invalid("name", "Somebody has this name already. Choose another."))
        }
        other => other.or_problem(origin),
    }
}

/// A grant in words.
pub(crate) fn grant_row(grant: grants::Grant) -> GrantRow {
    GrantRow {
        id: grant.id,
        role: grant.role,
        scope: grant.scope,
        scope_words: crate::permit::scope_words(
            grant.project.as_deref(),
            grant.environment.as_deref(),
        ),
        by: grant.by.unwrap_or_else(|| "the machine".to_owned()),
        given_at: grant.given_at,
    }
}

/// A name as it was typed, without what no name can have. For looking up and for the history.
fn typed_name(name: &str) -> String {
    name.trim().chars().filter(|c| !c.is_control()).take(40).collect()
}

/// No password is longer, so what follows can not make it right.
fn cut(password: &str) -> &str {
    password.char_indices().nth(129).map_or(password, |(end, _)| &password[..end])
}
