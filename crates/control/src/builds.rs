//! Builds: asked for, one or all of a project, and stopped; and where a service's code is.
//!
//! Nothing here touches git or an engine. What only they know ("which branches?", "what would be
//! built?") is an inquiry, and a build is a row that a node takes.

mod given;
mod logs;
mod page;

pub use logs::{LogFile, LogWish};

use crate::{Asked, Control, OrProblem, Permit, changes, places};
use domain::{
    build::{Ending, Phase, Source},
    error::Problem,
    history::Deed,
    id::{BatchId, BuildId, InquiryId, PlacementId, ServiceId},
    name::Name,
    role::Action,
    source::{Folder, GitRef, GitUrl},
};
use store::{
    Tx,
    builds::{self, New},
    inquiries::Question,
    projects::Project,
    services::Service,
};
use uuid::Uuid;

/// How many builds of one service may be under way or wait. More would only make the others wait.
const MOST_OPEN: i64 = 20;
/// How many services "build all" builds with one click.
const MOST_AT_ONCE: usize = 200;

/// What a build is asked for with.
#[derive(Clone, Debug, Default)]
pub struct BuildWish {
    /// `None`: the service's default.
    pub at: Option<GitRef>,
    /// Whatever the service says otherwise.
    pub no_cache: bool,
    /// Where the release is rolled out when it is there.
    pub deploy_to: Vec<PlacementId>,
}

fn missing() -> Problem {
    Problem::not_found("service")
}

impl Control {
    /// Says where the code of a service is and how it is built, for its next build.
    pub async fn edit_source(
        &self,
        asked: &Asked,
        service: ServiceId,
        source: Source,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let source = source.checked().map_err(|wrong| Problem::invalid("size_budget", wrong))?;
        let tx = self.begin(origin).await?;
        let (tx, known) = self.lock_service(tx, asked, service).await?;
        let place = places::of_service(&known, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::ServiceEdit, &place).await?;
        let before = builds::source(&mut tx, service).await.or_problem(origin)?;
        let changes = changes::of_source(before.as_ref(), &source);
        if changes.is_empty() {
            return Ok(());
        }

        builds::set_source(&mut tx, service, &source).await.or_problem(origin)?;
        let row = asked.entry(&permit, places::subject_of(&known), Deed::SourceChanged);
        self.commit(tx, origin, &[row.with_changes(changes)]).await
    }

    /// Asks which branches and tags there are: at the service's address, or at another one for who
    /// may put it there.
    pub async fn look_up_refs(
        &self,
        asked: &Asked,
        service: ServiceId,
        url: Option<GitUrl>,
    ) -> Result<InquiryId, Problem> {
        let (tx, known, url) = self.source_to_ask(asked, service, url).await?;
        self.ask_git(tx, asked, &known, Question::Refs { url, service: Some(service) }).await
    }

    /// Asks what would be built of a folder, and why.
    pub async fn guess_recipe(
        &self,
        asked: &Asked,
        service: ServiceId,
        url: Option<GitUrl>,
        at: GitRef,
        folder: Folder,
    ) -> Result<InquiryId, Problem> {
        let (tx, known, url) = self.source_to_ask(asked, service, url).await?;
        let question = Question::Recipe { url, at, folder, service: Some(service) };
        self.ask_git(tx, asked, &known, question).await
    }

    async fn source_to_ask(
        &self,
        asked: &Asked,
        service: ServiceId,
        url: Option<GitUrl>,
    ) -> Result<(Tx, Service, GitUrl), Problem> {
        let origin = &asked.origin;
        let mut tx = self.begin(origin).await?;
        let known = store::services::load(&mut tx, service)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let place = places::of_service(&known, "service");
        let stored = builds::source(&mut tx, service).await.or_problem(origin)?;
        let stored = stored.map(|source| source.url);
        // What somebody types is asked for only if he could have stored it.
        let action = match &url {
            Some(url) if Some(url) != stored.as_ref() => Action::ServiceEdit,
            _ => Action::BuildStart,
        };
        let (tx, _permit) = self.permit_in(tx, asked, action, &place).await?;
        let url = url.or(stored).ok_or_else(|| no_source(&known.name))?;
        Ok((tx, known, url))
    }

    async fn ask_git(
        &self,
        mut tx: Tx,
        asked: &Asked,
        known: &Service,
        question: Question,
    ) -> Result<InquiryId, Problem> {
        let machine = store::targets::machine(&mut tx).await.or_problem(&asked.origin)?;
        let Some(machine) = machine else {
            let sentence = "There is no target yet that could build anything.".to_owned();
            return Err(Problem::Unavailable { sentence });
        };
        self.inquire(tx, asked, &question, machine, Some((known.project, known.id))).await
    }

    /// Asks for a build. A node takes it when there is room; who asked for more than one service has
    /// room for is told so.
    pub async fn start_build(
        &self,
        asked: &Asked,
        service: ServiceId,
        wish: BuildWish,
    ) -> Result<BuildId, Problem> {
        let origin = &asked.origin;
        let tx = self.begin(origin).await?;
        let (tx, known) = self.lock_service(tx, asked, service).await?;
        let place = places::of_service(&known, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::BuildStart, &place).await?;
        if let Some(made) = self.made_before(&mut tx, asked, "builds/start").await? {
            return Ok(made);
        }
        let mut source = builds::source(&mut tx, service)
            .await
            .or_problem(origin)?
            .ok_or_else(|| no_source(&known.name))?;
        source.recipe.no_cache |= wish.no_cache;

        let mut deploys = Vec::new();
        for placement in wish.deploy_to {
            let placement = store::placements::load(&mut tx, placement)
                .await
                .or_problem(origin)?
                .filter(|placement| placement.service == service)
                .ok_or_else(missing)?;
            let place = places::of_placement(&placement, "service");
            let permitted = self.permit_in(tx, asked, Action::RolloutStart, &place).await?;
            tx = permitted.0;
            let standing =
                store::rollouts::standing(&mut tx, placement.id).await.or_problem(origin)?;
            let newest = standing.first().map(|newest| newest.id);
            deploys.push((placement.id, placement.place.environment, newest));
        }

        let at = wish.at.unwrap_or_else(|| source.default_ref.clone());
        let asking = Asking { asked, permit: &permit, service: &known, batch: None };
        let names = deploys.iter().map(|(_, environment, _)| environment.clone()).collect();
        let (id, row) = self.queue_build(&mut tx, &asking, &at, &source, names).await?;
        for (placement, _, newest) in deploys {
            builds::deploys::add(&mut tx, id, placement, newest).await.or_problem(origin)?;
        }
        self.remember(&mut tx, asked, "builds/start", &id).await?;
        store::wake::work(&mut tx, "build").await.or_problem(origin)?;
        self.commit(tx, origin, &[row]).await?;
        Ok(id)
    }

    /// Asks for a build of every service of a project that has a source, at its default.
    pub async fn build_all(&self, asked: &Asked, project: &Name) -> Result<BatchId, Problem> {
        let origin = &asked.origin;
        let missing = || Problem::not_found("project");
        let mut tx = self.begin(origin).await?;
        let id = store::projects::by_name(&mut tx, project)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let place = places::of_project(&Project { id, name: project.clone() });
        let (mut tx, permit) = self.permit_in(tx, asked, Action::BuildStart, &place).await?;
        if let Some(made) = self.made_before(&mut tx, asked, "builds/start-all").await? {
            return Ok(made);
        }
        let all = builds::buildable(&mut tx, &[id]).await.or_problem(origin)?;
        let all: Vec<_> = all
            .into_iter()
            .filter_map(|one| Some((one.service, one.source?)))
            .take(MOST_AT_ONCE)
            .collect();
        if all.is_empty() {
            let sentence =
                format!("No service of {project} says where its code is: give one a source first.");
            return Err(Problem::invalid("project", sentence));
        }

        let batch = BatchId(Uuid::now_v7());
        let mut rows = Vec::new();
        for (service, source) in all {
            // Always in the order of their names, so that two clicks can not wait for each other.
            let (locked, known) = self.lock_service(tx, asked, service).await?;
            tx = locked;
            if rows.is_empty() {
                // Whoever clicked at the same time is behind this lock.
                let last = builds::pages::batch(&mut tx, id, None).await.or_problem(origin)?;
                if let Some(last) = last.filter(|last| last.open > 0) {
                    return Err(Problem::conflict(format!(
                        "{} asked for all of {project} already, and {} of them have not ended. \
                         Nothing was started by this click.",
                        last.by, last.open
                    )));
                }
            }
            let at = source.default_ref.clone();
            let asking = Asking { asked, permit: &permit, service: &known, batch: Some(batch) };
            let (_, row) = self.queue_build(&mut tx, &asking, &at, &source, Vec::new()).await?;
            rows.push(row);
        }
        self.remember(&mut tx, asked, "builds/start-all", &batch).await?;
        store::wake::work(&mut tx, "build").await.or_problem(origin)?;
        self.commit(tx, origin, &rows).await?;
        Ok(batch)
    }

    /// Asks that a build stops. One that still waits is cancelled at once: no node had it.
    pub async fn cancel_build(&self, asked: &Asked, build: BuildId) -> Result<(), Problem> {
        let origin = &asked.origin;
        let missing = || Problem::not_found("build");
        let mut tx = self.begin(origin).await?;
        let standing =
            builds::lock(&mut tx, build).await.or_problem(origin)?.ok_or_else(missing)?;
        let known = store::services::load(&mut tx, standing.service)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let place = places::of_service(&known, "build");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::BuildCancel, &place).await?;
        let number = standing.number;
        if standing.phase.is_end() {
            let sentence = format!(
                "Build {number} has {}. There is nothing to cancel.",
                ended(standing.phase)
            );
            return Err(Problem::conflict(sentence));
        }
        if let Some(by) = standing.cancel_asked_by {
            let sentence = format!("{by} has asked for that already; build {number} is stopping.");
            return Err(Problem::conflict(sentence));
        }

        let name = &asked.actor.name;
        let subject = places::subject_of(&known);
        let cancel = Deed::BuildCancelAsked { build, number };
        let mut rows = vec![asked.entry(&permit, subject.clone(), cancel)];
        if standing.phase == Phase::Queued {
            let why = format!("{name} cancelled it before it began");
            let ending = Ending { step: None, why: why.clone() };
            builds::end_queued(&mut tx, build, Phase::Cancelled, &ending)
                .await
                .or_problem(origin)?;
            let deed = Deed::BuildEntered { build, number, phase: Phase::Cancelled, outcome: why };
            rows.push(asked.entry(&permit, subject, deed));
        } else {
            builds::ask_cancel(&mut tx, build, name).await.or_problem(origin)?;
        }
        store::wake::work(&mut tx, "build").await.or_problem(origin)?;
        self.commit(tx, origin, &rows).await
    }

    /// Locks a service: numbers of its builds and its source stay.
    pub(super) async fn lock_service(
        &self,
        mut tx: Tx,
        asked: &Asked,
        id: ServiceId,
    ) -> Result<(Tx, Service), Problem> {
        let origin = &asked.origin;
        store::services::lock(&mut tx, id).await.or_problem(origin)?;
        let known = store::services::load(&mut tx, id).await.or_problem(origin)?;
        known.map(|known| (tx, known)).ok_or_else(missing)
    }

    async fn queue_build(
        &self,
        tx: &mut Tx,
        asking: &Asking<'_>,
        at: &GitRef,
        source: &Source,
        deploy_to: Vec<Name>,
    ) -> Result<(BuildId, store::history::NewEntry), Problem> {
        let (asked, origin) = (asking.asked, &asking.asked.origin);
        let service = asking.service;
        if builds::open_of(tx, service.id).await.or_problem(origin)? >= MOST_OPEN {
            return Err(Problem::conflict(format!(
                "{} has {MOST_OPEN} builds that have not ended. Wait for them, or cancel some.",
                service.name
            )));
        }
        let new = New {
            id: BuildId(Uuid::now_v7()),
            service: service.id,
            batch: asking.batch,
            asked: at,
            source,
            pushes: self.pushes(tx, asked, service.id).await?,
            by: asked.actor.id,
            by_name: &asked.actor.name,
        };
        let number = builds::queue(tx, &new).await.or_problem(origin)?;
        let deed =
            Deed::BuildAsked { build: new.id, number, asked: at.short().to_owned(), deploy_to };
        let row = asked.entry(asking.permit, places::subject_of(service), deed);
        Ok((new.id, row))
    }

    /// Whether the image of the next build goes to a repository. Pinned when it is asked for.
    async fn pushes(
        &self,
        tx: &mut Tx,
        asked: &Asked,
        service: ServiceId,
    ) -> Result<bool, Problem> {
        let rule = store::registries::rule(tx, service).await.or_problem(&asked.origin)?;
        Ok(rule.is_some_and(|rule| rule.after_build))
    }
}

/// Who asks for a build of what.
struct Asking<'a> {
    asked: &'a Asked,
    permit: &'a Permit,
    service: &'a Service,
    batch: Option<BatchId>,
}

fn no_source(service: &Name) -> Problem {
    let sentence =
        format!("Nobody said yet where the code of {service} is: give it a source first.");
    Problem::invalid("url", sentence)
}

fn ended(phase: Phase) -> String {
    match phase {
        Phase::Succeeded | Phase::Failed => phase.to_string(),
        other => format!("been {other}"),
    }
}
