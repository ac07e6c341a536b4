//! Everywhere this installation runs something: this machine, and clusters that an admin connected.
//!
//! Rows say which there are. Each is opened once, again when its row changes, and closed when it is
//! not used any more. What can not be opened is a target that does not answer, with the sentence why:
//! nobody above has to know the difference. Each is listened to and checked by a task of its own, so
//! that one that is silent holds up no other.

use crate::{chain, context::Context};
use anyhow::Context as _;
use domain::{
    history::{Deed, Subject},
    id::{PlacementId, TargetId},
    namespace::NamespacePattern,
    target::{
        Verdict,
        cluster::{Home, sealed_about},
    },
};
use futures::{StreamExt, future};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use store::{
    Pool,
    history::NewEntry,
    targets::{Cluster, Kind, Known},
};
use targets::{
    Hint, Target,
    open::{OPEN_WITHIN, Open, Reached},
    silent::Silent,
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vault::{Plain, Vault};

/// Each is asked how it is so often.
const CHECK: Duration = Duration::from_secs(5);
/// The longest a target may take to say it.
const CHECK_WITHIN: Duration = Duration::from_secs(4);
/// How often it is looked for changed rows, besides being woken.
const LOOK: Duration = Duration::from_secs(2);
/// What could not be opened is tried again so often: a name may lead somewhere by then.
const AGAIN: Duration = Duration::from_secs(10);
/// What comes and goes is told at most so often.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// All targets of this installation.
#[derive(Debug)]
pub(crate) struct Targets {
    pool: Pool,
    vault: Arc<Vault>,
    machine: Arc<dyn Target>,
    /// `None`: this node has no part in clusters.
    elsewhere: Option<Arc<dyn Open>>,
    opened: Mutex<HashMap<TargetId, Opened>>,
}

/// A target that is in use.
#[derive(Clone, Debug)]
struct Opened {
    version: i32,
    target: Arc<dyn Target>,
    /// When it is to be tried again: it could not be opened.
    again: Option<Instant>,
    /// Ends what listens to it.
    closed: CancellationToken,
}

impl Targets {
    pub fn new(
        pool: Pool,
        vault: Arc<Vault>,
        machine: Arc<dyn Target>,
        elsewhere: Option<Arc<dyn Open>>,
    ) -> Self {
        Self { pool, vault, machine, elsewhere, opened: Mutex::default() }
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, HashMap<TargetId, Opened>> {
        // Every critical section is a plain map access: a poisoned map is still whole.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The target of that id, or one that says that it is not there.
    pub fn of(&self, id: TargetId) -> Arc<dyn Target> {
        let found = self.opened().get(&id).map(|opened| opened.target.clone());
        found.unwrap_or_else(|| {
            let why = "it is not connected yet, or not used any more".to_owned();
            Arc::new(Silent::new("The target".to_owned(), why))
        })
    }

    /// Which version of its row a target was opened by.
    pub fn version_of(&self, id: TargetId) -> Option<i32> {
        self.opened().get(&id).map(|opened| opened.version)
    }

    /// Where a placement runs.
    pub async fn of_placement(&self, placement: PlacementId) -> Arc<dyn Target> {
        let found = async {
            let mut conn = self.pool.acquire().await.map_err(store::Error::from)?;
            store::targets::of_placement(&mut conn, placement).await
        };
        let why = match found.await {
            Ok(Some(id)) => return self.of(id),
            Ok(None) => "what runs there is not known any more".to_owned(),
            Err(error) => chain(&error),
        };
        Arc::new(Silent::new("The target".to_owned(), why))
    }

    /// Opens what is new or changed, closes what is not used any more, and says who is new.
    async fn refresh(&self) -> anyhow::Result<Vec<(TargetId, Opened)>> {
        let mut conn = self.pool.acquire().await?;
        let versions: HashMap<_, _> =
            store::targets::versions(&mut conn).await?.into_iter().collect();
        self.opened().retain(|id, opened| {
            let stays = versions.contains_key(id);
            if !stays {
                opened.closed.cancel();
            }
            stays
        });
        let now = Instant::now();
        let is_due = |id: &TargetId, version: i32| {
            self.opened().get(id).is_none_or(|opened| {
                opened.version != version || opened.again.is_some_and(|again| again <= now)
            })
        };
        if !versions.iter().any(|(id, version)| is_due(id, *version)) {
            return Ok(Vec::new());
        }
        let mut due = store::targets::all(&mut conn).await?;
        drop(conn);
        due.retain(|known| is_due(&known.id, known.version));
        let opening = due.iter().map(|known| async move { (known, self.open(known).await) });
        let mut fresh = Vec::new();
        for (known, came) in future::join_all(opening).await {
            let (target, again) = match came {
                Ok(target) => (target, None),
                Err(why) => {
                    let silent = Silent::new(known.name.clone(), why);
                    (Arc::new(silent) as Arc<dyn Target>, Some(Instant::now() + AGAIN))
                }
            };
            let closed = CancellationToken::new();
            let opened = Opened { version: known.version, target, again, closed };
            if let Some(before) = self.opened().insert(known.id, opened.clone()) {
                before.closed.cancel();
            }
            fresh.push((known.id, opened));
        }
        Ok(fresh)
    }

    async fn open(&self, known: &Known) -> Result<Arc<dyn Target>, String> {
        let cluster = match &known.kind {
            Kind::Machine => return Ok(self.machine.clone()),
            Kind::Cluster(cluster) => cluster,
        };
        let elsewhere = self.elsewhere()?;
        let plain = self.unseal(known.id, cluster)?;
        let reached = reached(&known.name, cluster, plain.as_ref(), &[]);
        let opened = timeout(OPEN_WITHIN, elsewhere.open(&reached)).await;
        opened.map_err(|_| "It took too long to find its address.".to_owned())?
    }

    /// Asks a cluster now what is there.
    pub async fn look(&self, id: TargetId) -> anyhow::Result<domain::target::cluster::ClusterSeen> {
        let mut conn = self.pool.acquire().await?;
        let known = store::targets::load(&mut conn, id).await?;
        let known = known.context("The target was archived meanwhile.")?;
        let cluster = known.cluster().context("This machine is checked by itself.")?;
        let homes = store::targets::homes(&mut conn, id).await?;
        drop(conn);
        let used = used(&homes, &cluster.namespaces);
        let looked = async {
            let elsewhere = self.elsewhere()?;
            let plain = self.unseal(id, cluster)?;
            let reached = reached(&known.name, cluster, plain.as_ref(), &used);
            let looked = timeout(OPEN_WITHIN, elsewhere.look(&reached)).await;
            looked.map_err(|_| "It did not answer in time.".to_owned())?
        };
        let mut seen = looked.await.map_err(anyhow::Error::msg)?;
        seen.homes = homes;
        Ok(seen)
    }

    fn elsewhere(&self) -> Result<&Arc<dyn Open>, String> {
        self.elsewhere.as_ref().ok_or_else(|| "This node has no part in clusters.".to_owned())
    }

    fn unseal(&self, id: TargetId, cluster: &Cluster) -> Result<Option<Plain>, String> {
        let Some(sealed) = &cluster.credentials else { return Ok(None) };
        self.vault.unseal(&sealed_about(id), sealed).map(Some).map_err(|_| {
            "Its credentials can not be read with the key of this installation any more. Set them \
             anew under Targets."
                .to_owned()
        })
    }
}

/// The namespaces of those who live there. Where nobody does yet, of those who could: what they need
/// has to be granted first.
fn used(homes: &[Home], pattern: &NamespacePattern) -> Vec<String> {
    let somebody = homes.iter().any(|home| home.is_here);
    let mut used = Vec::new();
    for home in homes.iter().filter(|home| home.is_here || !somebody) {
        if let Ok(namespace) = pattern.fill(&home.project, &home.environment)
            && !used.contains(&namespace)
        {
            used.push(namespace);
        }
    }
    used
}

fn reached<'a>(
    name: &'a str,
    cluster: &'a Cluster,
    plain: Option<&'a Plain>,
    used: &'a [String],
) -> Reached<'a> {
    Reached {
        name,
        credentials: plain.map(Plain::expose),
        context: cluster.context.as_deref(),
        namespaces: &cluster.namespaces,
        entrance: cluster.entrance.as_ref(),
        probe_image: cluster.probe_image.as_ref(),
        used,
    }
}

/// Opens what is there before anything is driven. What can not be reached does not hold it up.
pub(crate) async fn begin(context: &Arc<Context>) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    let fresh = context.targets.refresh().await.context("opening the targets")?;
    attend(context, &mut tasks, fresh);
    Ok(tasks)
}

/// Opens and closes until the engine stops.
pub(crate) async fn run(context: Arc<Context>, mut tasks: JoinSet<()>) {
    loop {
        while tasks.try_join_next().is_some() {}
        match context.targets.refresh().await {
            Ok(fresh) => attend(&context, &mut tasks, fresh),
            Err(error) => {
                warn!(error = format!("{error:#}"), "Targets could not be looked for");
            }
        }
        tokio::select! {
            () = context.work.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
            () = context.stopping.cancelled() => return,
        }
    }
}

/// Begins to listen to those who are new, and to ask them how they are.
fn attend(context: &Arc<Context>, tasks: &mut JoinSet<()>, fresh: Vec<(TargetId, Opened)>) {
    for (id, opened) in fresh {
        if opened.again.is_none() {
            info!(target.id = %id, "Target {} is opened", id.short());
        }
        let context = context.clone();
        tasks.spawn(async move {
            let attending = async {
                tokio::join!(listen(&context, id, &opened.target), check(&context, id, &opened))
            };
            tokio::select! {
                _ = attending => {}
                () = opened.closed.cancelled() => {}
                () = context.stopping.cancelled() => {}
            }
        });
    }
}

/// Passes on a target's hints that something of ours changed.
async fn listen(context: &Context, id: TargetId, target: &Arc<dyn Target>) {
    let mut hints = target.watch();
    while let Some(hint) = hints.next().await {
        match hint {
            Hint::All => context.wake_all_on(id),
            Hint::Of(placement) => context.wake_one(placement),
        }
    }
}

/// Notes again and again how a target is, for its page and for the board.
async fn check(context: &Context, id: TargetId, opened: &Opened) {
    let (mut said, mut silence_told) = (None, None::<Instant>);
    loop {
        let (answers, says) = ask(opened.target.as_ref()).await;
        let may_tell = answers || silence_told.is_none_or(|told| told.elapsed() >= TELL_AGAIN);
        match note(context, id, opened.version, (answers, &says), said, may_tell).await {
            Ok(now) => {
                if now == Some(false) && said != now {
                    silence_told = Some(Instant::now());
                }
                said = now;
            }
            Err(error) => {
                warn!(target.id = %id, %error, "What a target says could not be noted");
            }
        }
        tokio::time::sleep(CHECK).await;
    }
}

/// Notes it, and tells each environment that is there, by a row, when it is another answer than was
/// `said` last. Returns what is said now; `None`: nothing yet.
async fn note(
    context: &Context,
    id: TargetId,
    version: i32,
    (answers, says): (bool, &str),
    said: Option<bool>,
    may_tell: bool,
) -> store::Result<Option<bool>> {
    let mut tx = context.pool.begin().await.map_err(store::Error::from)?;
    let before = store::targets::note(&mut tx, id, version, answers, says).await?;
    let now = said.or(before);
    let mut rows = Vec::new();
    if before.is_some() && now != Some(answers) && may_tell {
        let known = store::targets::load(&mut tx, id).await?;
        let name = known.map(|known| known.name).unwrap_or_default();
        for (_, environment) in store::targets::environments(&mut tx, id).await? {
            let Ok(environment) = environment.parse() else { continue };
            let subject = Subject { environment: Some(environment), ..Subject::default() };
            let (name, says) = (name.clone(), says.to_owned());
            let deed = if answers {
                Deed::TargetAnswers { name, says }
            } else {
                Deed::TargetSilent { name, says }
            };
            rows.push(NewEntry::engine(subject, deed));
        }
    }
    if rows.is_empty() {
        tx.commit().await.map_err(store::Error::from)?;
        return Ok(if may_tell && before.is_some() { Some(answers) } else { now });
    }
    store::history::append_and_commit(tx, &rows).await?;
    Ok(Some(answers))
}

/// Whether it answers, and what it says. What is refused there is all of it ([`Target::check`]).
async fn ask(target: &dyn Target) -> (bool, String) {
    match timeout(CHECK_WITHIN, target.check()).await {
        Ok(Ok(facts)) => {
            let refused = facts.findings.iter().find(|one| one.verdict == Verdict::Refuse);
            match refused {
                Some(finding) => (false, format!("{}: {}", finding.question, finding.detail)),
                None => (true, facts.summary),
            }
        }
        Ok(Err(error)) => (false, chain(&error)),
        Err(_) => (false, format!("It did not answer in {} s.", CHECK_WITHIN.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_anybody_lives_there_it_is_asked_where_all_would() {
        let home = |project: &str, environment: &str, is_here| Home {
            project: project.parse().expect("a name"),
            environment: environment.parse().expect("a name"),
            is_here,
        };
        let pattern = "{environment}".parse().expect("a pattern");
        let mut homes = [
            home("shop", "staging", false),
            home("blog", "staging", false),
            home("shop", "production", false),
        ];

        assert_eq!(used(&homes, &pattern), ["staging", "production"]);
        homes[2].is_here = true;
        assert_eq!(used(&homes, &pattern), ["production"]);
        assert_eq!(used(&[], &pattern), Vec::<String>::new());
    }
}
