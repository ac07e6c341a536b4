//! Targets: clusters that an admin connected beside this machine, and their credentials.
//!
//! Whoever sees environments sees names of targets and whether they answer; how one is reached, and
//! changing anything, is for those who may edit targets. Credentials go in and never come out again:
//! they are read for what is wrong with them, sealed, and opened by the engine alone.

use crate::{Asked, Control, OrProblem, Place, changes};
use domain::{
    error::Problem,
    history::{Change, Deed, Origin, Subject},
    id::{InquiryId, TargetId},
    name::{ImageReference, Name},
    namespace::NamespacePattern,
    role::{Action, Protection, Scope},
    target::{
        cluster::{
            ClusterCard, ContextRead, CredentialsRead, MOST, TargetPage, TargetRow, TargetsPage,
            sealed_about,
        },
        entrance::Entrance,
    },
};
use store::{
    Conn, Tx,
    inquiries::Question,
    placements::hosts,
    targets::{self, Chosen, Cluster, Credentials, Known, New, Reach},
};
use uuid::Uuid;

impl Control {
    /// The page of all targets.
    pub async fn targets(&self, asked: &Asked) -> Result<TargetsPage, Problem> {
        let origin = &asked.origin;
        self.permit(asked, Action::View, &Place::everything()).await?;
        let mut conn = self.connection(origin).await?;
        let may_edit = may_edit(asked);
        let mut rows = Vec::new();
        for known in targets::all(&mut conn).await.or_problem(origin)? {
            rows.push(row(&mut conn, &known, may_edit).await.or_problem(origin)?);
        }
        Ok(TargetsPage { targets: rows, may_edit })
    }

    /// The page of one target.
    pub async fn target(&self, asked: &Asked, id: TargetId) -> Result<TargetPage, Problem> {
        let origin = &asked.origin;
        self.permit(asked, Action::View, &Place::everything()).await?;
        let mut conn = self.connection(origin).await?;
        let known = targets::load(&mut conn, id).await.or_problem(origin)?;
        let known = known.ok_or_else(|| Problem::not_found("target"))?;
        let may_edit = may_edit(asked);
        let row = row(&mut conn, &known, may_edit).await.or_problem(origin)?;
        let cluster = known.cluster().filter(|_| may_edit).map(|cluster| ClusterCard {
            has_credentials: cluster.credentials.is_some(),
            context: cluster.context.clone(),
            contexts: cluster.contexts.clone(),
            namespaces: cluster.namespaces.clone(),
            entrance: cluster.entrance.clone(),
            probe_image: cluster.probe_image.clone(),
            set_by: cluster.set_by.clone(),
            set_at: cluster.set_at,
        });
        let (version, asked_at) = (known.version, known.asked_at);
        Ok(TargetPage { row, version, asked_at, cluster, may_edit })
    }

    /// Connects a cluster, and asks what is there. Without credentials it is spoken to as the service
    /// account that we run as.
    pub async fn add_target(
        &self,
        asked: &Asked,
        name: &Name,
        own_account: bool,
        credentials: &str,
    ) -> Result<(TargetId, Option<InquiryId>), Problem> {
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::TargetEdit, &Place::everything()).await?;
        let mut tx = self.begin(origin).await?;
        if let Some(made) = self.made_before(&mut tx, asked, "targets/add").await? {
            return Ok((made, None));
        }
        let now = store::now(&mut tx).await.or_problem(origin)?;
        let id = TargetId(Uuid::now_v7());
        let taken = self.taken(id, own_account, credentials, None, now)?;
        let namespaces = NamespacePattern::default();
        let new = New {
            id,
            name,
            credentials: taken.sealed.as_deref(),
            context: taken.context.as_deref(),
            contexts: &taken.contexts,
            namespaces: &namespaces,
            by: permit.actor(),
            by_name: &asked.actor.name,
        };
        match targets::add_cluster(&mut tx, &new).await {
            Err(error) if error.is_refused_by("targets_one_name") => {
                return Err(Problem::invalid("name", format!("There is a target {name} already.")));
            }
            added => {
                if !added.or_problem(origin)? {
                    let sentence = format!("There are {MOST} targets. Archive one first.");
                    return Err(Problem::conflict(sentence));
                }
            }
        }
        let question = Question::Cluster { target: id };
        let inquiry = self.queue_inquiry(&mut tx, asked, &question, id, None).await?;
        self.remember(&mut tx, asked, "targets/add", &id).await?;
        let changes = vec![
            changes::one("reached as", None, Some(taken.words)),
            changes::one("namespaces", None, Some(namespaces.to_string())),
        ];
        let deed = Deed::TargetAdded { target: id, name: name.to_string() };
        let row = asked.entry(&permit, Subject::default(), deed);
        self.commit(tx, origin, &[row.with_changes(changes)]).await?;
        Ok((id, Some(inquiry)))
    }

    /// Puts other credentials in the place of those that are there, and asks what is there now.
    pub async fn replace_credentials(
        &self,
        asked: &Asked,
        id: TargetId,
        own_account: bool,
        credentials: &str,
    ) -> Result<InquiryId, Problem> {
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::TargetEdit, &Place::everything()).await?;
        let mut tx = self.begin(origin).await?;
        let (known, cluster) = locked(&mut tx, origin, id).await?;
        let now = store::now(&mut tx).await.or_problem(origin)?;
        let taken = self.taken(id, own_account, credentials, cluster.context.as_deref(), now)?;
        let new = Credentials {
            sealed: taken.sealed.as_deref(),
            context: taken.context.as_deref(),
            contexts: &taken.contexts,
            by: permit.actor(),
            by_name: &asked.actor.name,
        };
        targets::set_credentials(&mut tx, id, &new).await.or_problem(origin)?;
        let question = Question::Cluster { target: id };
        let inquiry = self.queue_inquiry(&mut tx, asked, &question, id, None).await?;
        let changes = vec![changes::one("reached as", Some(words(&cluster)), Some(taken.words))];
        let deed = Deed::TargetChanged { target: id, name: known.name };
        let row = asked.entry(&permit, Subject::default(), deed);
        self.commit(tx, origin, &[row.with_changes(changes)]).await?;
        Ok(inquiry)
    }

    /// Chooses the context, how namespaces are called, what the witness is made of, and how requests
    /// come in from outside: the host names of what is there follow at once.
    ///
    /// `based_on` is the version that the page showed; if there is another by now the later of two
    /// people is refused. `None`: whatever is so now.
    pub async fn choose_target(
        &self,
        asked: &Asked,
        id: TargetId,
        wish: &Wish<'_>,
        based_on: Option<i32>,
    ) -> Result<(), Problem> {
        let Wish { context, namespaces, probe_image, entrance } = *wish;
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::TargetEdit, &Place::everything()).await?;
        let mut tx = self.begin(origin).await?;
        let (known, cluster) = locked(&mut tx, origin, id).await?;
        if based_on.is_some_and(|version| version != known.version) {
            return Err(Problem::conflict(
                "Somebody changed this target since the page was drawn. That was kept and yours was not \
                 saved. Load the page again, and change it as it is now.",
            ));
        }
        let context = context.or(cluster.context.as_deref());
        if let Some(context) = context
            && !cluster.contexts.iter().any(|known| known.name == context)
        {
            let sentence = "The credentials have no such context. Load the page again.";
            return Err(Problem::invalid("context", sentence));
        }
        let mut changes: Vec<Change> = Vec::new();
        let mut note = |what: &str, before: Option<String>, after: Option<String>| {
            if before != after {
                changes.push(changes::one(what, before, after));
            }
        };
        note("context", cluster.context.clone(), context.map(str::to_owned));
        note("namespaces", Some(cluster.namespaces.to_string()), Some(namespaces.to_string()));
        let image = |image: Option<&ImageReference>| image.map(ToString::to_string);
        note("image of the witness", image(cluster.probe_image.as_ref()), image(probe_image));
        for ((what, before), (_, after)) in
            parts_of(cluster.entrance.as_ref()).into_iter().zip(parts_of(entrance))
        {
            note(what, before, after);
        }
        if changes.is_empty() {
            return Ok(());
        }
        if cluster.namespaces != *namespaces
            && !targets::environments(&mut tx, id).await.or_problem(origin)?.is_empty()
        {
            let sentence = "Environments are on this target, and what runs there would be looked \
                            for in other namespaces. Connect the cluster a second time instead.";
            return Err(Problem::conflict(sentence));
        }
        let chosen = Chosen { context, namespaces, probe_image, entrance };
        targets::choose(&mut tx, id, &chosen).await.or_problem(origin)?;
        let hosts = |entrance: Option<&Entrance>| entrance.map(|entrance| entrance.hosts.clone());
        if hosts(cluster.entrance.as_ref()) != hosts(entrance) {
            self.rename_all(&mut tx, origin, id, namespaces, entrance).await?;
        }
        let deed = Deed::TargetChanged { target: id, name: known.name };
        let row = asked.entry(&permit, Subject::default(), deed);
        self.commit(tx, origin, &[row.with_changes(changes)]).await
    }

    /// Asks what is there and what may be done: a use of the credentials, so it is a row.
    pub async fn look_at_target(&self, asked: &Asked, id: TargetId) -> Result<InquiryId, Problem> {
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::TargetEdit, &Place::everything()).await?;
        let mut tx = self.begin(origin).await?;
        let (known, _) = locked(&mut tx, origin, id).await?;
        let question = Question::Cluster { target: id };
        let inquiry = self.queue_inquiry(&mut tx, asked, &question, id, None).await?;
        let deed = Deed::TargetLookedAt { target: id, name: known.name };
        self.commit(tx, origin, &[asked.entry(&permit, Subject::default(), deed)]).await?;
        Ok(inquiry)
    }

    /// Uses a cluster no more, and forgets its credentials.
    pub async fn archive_target(&self, asked: &Asked, id: TargetId) -> Result<(), Problem> {
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::TargetEdit, &Place::everything()).await?;
        let mut tx = self.begin(origin).await?;
        let (known, _) = locked(&mut tx, origin, id).await?;
        let users = targets::environments(&mut tx, id).await.or_problem(origin)?;
        if !users.is_empty() {
            let names: Vec<_> = users.into_iter().map(|(_, name)| name).collect();
            return Err(Problem::conflict(format!(
                "{} runs on it. A target is archived when no environment uses it.",
                names.join(", ")
            )));
        }
        targets::archive(&mut tx, id).await.or_problem(origin)?;
        let deed = Deed::TargetArchived { target: id, name: known.name };
        self.commit(tx, origin, &[asked.entry(&permit, Subject::default(), deed)]).await
    }

    /// Gives everything on a cluster the host names of its new pattern.
    async fn rename_all(
        &self,
        tx: &mut Tx,
        origin: &Origin,
        id: TargetId,
        namespaces: &NamespacePattern,
        entrance: Option<&Entrance>,
    ) -> Result<(), Problem> {
        let all = hosts::on_target(tx, id, None, MOST_RENAMED + 1).await.or_problem(origin)?;
        if i64::try_from(all.len()).is_ok_and(|count| count > MOST_RENAMED) {
            let sentence = format!(
                "More than {MOST_RENAMED} services are on this target: that many are not renamed at \
                 once."
            );
            return Err(Problem::conflict(sentence));
        }
        hosts::clear(tx, id).await.or_problem(origin)?;
        let reach = Reach::Cluster { namespaces: namespaces.clone(), entrance: entrance.cloned() };
        for named in &all {
            let invalid = |wrong: domain::name::Wrong| Problem::invalid("hosts", wrong.0);
            let names = self.names_of(&reach, named).map_err(invalid)?;
            self.set_hosts_there(tx, origin, named.placement, id, &names, "hosts").await?;
        }
        Ok(())
    }

    /// Reads what was pasted, and seals it.
    fn taken(
        &self,
        id: TargetId,
        own_account: bool,
        credentials: &str,
        wanted: Option<&str>,
        now: time::OffsetDateTime,
    ) -> Result<Taken, Problem> {
        if own_account {
            if !credentials.trim().is_empty() {
                let sentence = "Either a kubeconfig or our own service account: empty this, or \
                                uncheck the box.";
                return Err(Problem::invalid("secret", sentence));
            }
            return Ok(Taken {
                sealed: None,
                context: None,
                contexts: Vec::new(),
                words: OWN_ACCOUNT.to_owned(),
            });
        }
        let read: CredentialsRead = (self.settings.read_credentials)(credentials, now)
            .map_err(|wrong| Problem::invalid("secret", wrong))?;
        let first = read.first(wanted).ok_or_else(|| Problem::not_found("context"))?;
        Ok(Taken {
            sealed: Some(self.vault.seal(&sealed_about(id), credentials)),
            words: format!("{} at {}", first.user, first.server),
            context: Some(first.name.clone()),
            contexts: read.contexts,
        })
    }
}

/// What is wished of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// `None`: the one that is used now.
    pub context: Option<&'a str>,
    pub namespaces: &'a NamespacePattern,
    pub probe_image: Option<&'a ImageReference>,
    pub entrance: Option<&'a Entrance>,
}

/// The most services whose names change at once.
pub(crate) const MOST_RENAMED: i64 = 1000;

const OWN_ACCOUNT: &str = "the service account that Pilothouse runs as";

/// Credentials that were read and sealed.
struct Taken {
    sealed: Option<Vec<u8>>,
    context: Option<String>,
    contexts: Vec<ContextRead>,
    /// As whom, where: for the history, without anything secret.
    words: String,
}

/// An entrance as the history tells it.
fn parts_of(entrance: Option<&Entrance>) -> [(&'static str, Option<String>); 3] {
    let class = entrance.and_then(|entrance| entrance.class.as_ref());
    let certificate = entrance.and_then(|entrance| entrance.certificate.as_ref());
    [
        ("host names", entrance.map(|entrance| entrance.hosts.to_string())),
        ("class of the entrance", class.map(ToString::to_string)),
        ("certificate of the entrance", certificate.map(ToString::to_string)),
    ]
}

fn words(cluster: &Cluster) -> String {
    match (&cluster.credentials, &cluster.context) {
        (Some(_), Some(context)) => format!("the context {context}"),
        (Some(_), None) => "stored credentials".to_owned(),
        (None, _) => OWN_ACCOUNT.to_owned(),
    }
}

fn may_edit(asked: &Asked) -> bool {
    asked.actor.may(Action::TargetEdit, Scope::Everything, Protection::Open)
}

/// A target as it is shown. Environments are told to those who may edit targets, because not
/// everybody sees every environment.
async fn row(conn: &mut Conn, known: &Known, may_edit: bool) -> store::Result<TargetRow> {
    let environments = if may_edit {
        let users = targets::environments(conn, known.id).await?;
        users.into_iter().map(|(_, name)| name).collect()
    } else {
        Vec::new()
    };
    Ok(TargetRow {
        id: known.id,
        name: known.name.clone(),
        is_cluster: known.cluster().is_some(),
        answers: known.answers,
        says: known.says.clone(),
        environments,
    })
}

/// A cluster as it is now, and stays until the transaction ends.
async fn locked(
    conn: &mut Conn,
    origin: &Origin,
    id: TargetId,
) -> Result<(Known, Cluster), Problem> {
    targets::lock(conn, id).await.or_problem(origin)?;
    let known = targets::load(conn, id).await.or_problem(origin)?;
    let known = known.ok_or_else(|| Problem::not_found("target"))?;
    let cluster = known.cluster().cloned().ok_or_else(|| {
        Problem::conflict("This machine is set up in the settings of the server, not here.")
    })?;
    Ok((known, cluster))
}
