//! One build, from its claim to its end: look, decide, save, act.
//!
//! What is done is dropped when a person says stop, when it takes too long, when the engine stops and
//! when the build is not ours any more; dropping it is what ends it, on this machine and in the
//! container engine. A database that does not answer is waited for: what was built is not thrown away.

use super::{
    Settings,
    book::{Book, TELL_EVERY},
    given::given,
    place_for, remove,
};
use crate::{chain, context::Context, registries};
use domain::{
    build::{
        Ending, Phase, StepCount, name_for,
        step::{Command, Seen, Step, step},
    },
    history::Deed,
    id::ReleaseId,
    log::{LogLine, Source, text::shown},
    registry::{Progress, tags::BuiltFrom},
    release::{ImageFacts, Release},
    source::{Checkout, GitRef},
};
use futures::StreamExt;
use std::{future::Future, path::PathBuf, pin::pin, sync::Arc, time::Duration};
use store::{
    builds::{
        Saved,
        claims::{self, Claimed},
    },
    history::NewEntry,
};
use targets::{
    Error,
    build::{BuildEvent, BuildLimits, BuildOrder, Builder, FetchEvent, Remote},
};
use time::OffsetDateTime;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{info, warn};
use uuid::Uuid;

/// Between two tries to reach a database or a container engine that does not answer.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The longest one question about an image that may be there.
const FIND_WITHIN: Duration = Duration::from_secs(5);
/// How long a container engine is waited for that does not answer whether it is.
const FIND_FOR: Duration = Duration::from_secs(60);
/// The longest one image may take to be let go.
const FORGET_WITHIN: Duration = Duration::from_secs(10);
/// What a build is at that has not come to its first step.
const FETCH: &str = "fetch";
/// What it is at that has come past its last step.
const PUSH: &str = "push";

/// A build in the hands of this process.
struct Job {
    context: Arc<Context>,
    claimed: Claimed,
    book: Book,
    phase: Phase,
    /// Who asked that it stops.
    stop: watch::Receiver<Option<String>>,
    /// Until when it must have ended, and how long that is.
    until: Instant,
    within: Duration,
    directory: PathBuf,
    builder: Arc<dyn Builder>,
    checkout: Option<Checkout>,
    /// The tag that names the release.
    tag: Option<String>,
    facts: Option<ImageFacts>,
}

/// It is left as it is: the engine stops, or somebody else has it.
struct Leave;

/// What ended a piece of work before its own end.
enum Cut {
    Saw(Seen),
    Leave,
}

/// What came of saving a step.
enum Saving {
    Done,
    /// Somebody asked that it stops, or it is not ours any more.
    NotNow,
    /// There can be no release of it.
    Refused(String),
}

/// Carries out a build that was just taken, or one whose node died.
pub(super) async fn drive(
    context: Arc<Context>,
    work: Arc<Settings>,
    claimed: Claimed,
    lost: bool,
    stop: watch::Receiver<Option<String>>,
) {
    let build = claimed.held.build;
    let Some(job) = Job::open(context, &work, claimed, stop).await else { return };
    let directory = job.directory.clone();
    if job.run(lost).await.is_err() {
        info!(build.id = %build, "Build {} is left to whoever has it next", build.short());
    }
    remove(&directory).await;
}

impl Job {
    /// `None`: the engine stops before the database answers.
    async fn open(
        context: Arc<Context>,
        work: &Settings,
        claimed: Claimed,
        stop: watch::Receiver<Option<String>>,
    ) -> Option<Self> {
        let build = claimed.held.build;
        let directory = work.directory.join(build.to_string());
        let chunks = loop {
            let read = async {
                let mut conn = context.pool.acquire().await?;
                store::builds::logs::chunks(&mut conn, build).await
            };
            match read.await {
                Ok(chunks) => break chunks,
                Err(error) => {
                    warn!(build.id = %build, error = chain(&error), "A log could not be read")
                }
            }
            tokio::select! {
                () = context.stopping.cancelled() => return None,
                () = sleep(TRY_AGAIN) => {}
            }
        };
        let took = (OffsetDateTime::now_utc() - claimed.started_at).try_into().unwrap_or_default();
        let left = work.within.saturating_sub(took);
        let book = Book::open(&claimed, context.build_logs.of_writer(build), chunks);
        Some(Self {
            phase: claimed.phase,
            book,
            stop,
            until: Instant::now() + left,
            within: work.within,
            directory,
            builder: work.builder.clone(),
            checkout: None,
            tag: claimed.tag.clone(),
            facts: None,
            context,
            claimed,
        })
    }

    async fn run(mut self, lost: bool) -> Result<(), Leave> {
        let mut command = None;
        let mut seen = None;
        if lost {
            self.book.say("Pilothouse was stopped here, and looks what became of this build.");
            seen = Some(self.find().await?);
        } else if self.claimed.requester_enabled {
            command = Some(Command::Fetch);
        } else {
            let why = format!("{}, who asked for it, was disabled.", self.claimed.requester_name);
            seen = Some(failed(None::<String>, why));
        }
        loop {
            if let Some(seen) = seen.take() {
                command = self.advance(&seen).await?;
            }
            seen = Some(match command.take() {
                Some(Command::Fetch) => self.fetch().await?,
                Some(Command::Build) => self.build().await?,
                Some(Command::Push) => self.push().await?,
                None => {
                    self.let_images_go().await;
                    return Ok(());
                }
            });
        }
    }

    /// An image that became no release is not wanted, and of very old builds only those that run.
    async fn let_images_go(&self) {
        let (build, service) = (self.claimed.held.build, self.claimed.service);
        let gone = match (self.phase, &self.facts) {
            (Phase::Succeeded, _) => async {
                let mut conn = self.context.pool.acquire().await?;
                store::builds::outlived(&mut conn, service).await
            }
            .await
            .unwrap_or_default(),
            (_, Some(_)) => vec![build],
            (_, None) => Vec::new(),
        };
        for build in gone {
            if !matches!(timeout(FORGET_WITHIN, self.builder.forget(build)).await, Ok(Ok(()))) {
                warn!(build.id = %build, "The image of build {} could not be let go", build.short());
            }
        }
    }

    /// Saves where it goes from here. What is to be done then; nothing at the end.
    async fn advance(&mut self, seen: &Seen) -> Result<Option<Command>, Leave> {
        // What was done is never told to a phase that has nothing to do with it.
        let mut next = step(self.phase, self.claimed.pushes, seen).ok_or(Leave)?;
        if next.phase.is_end() {
            self.book.end_steps(OffsetDateTime::now_utc());
            if let Some(ending) = &next.ending {
                self.book.say(last_words(next.phase, ending));
            }
            self.book.tell(&self.context);
        }
        if !self.book.store(&self.context).await {
            return Err(Leave);
        }
        loop {
            let saved = match self.save(&next).await {
                Ok(saved) => saved,
                Err(error) => {
                    warn!(build.id = %self.claimed.held.build, error = format!("{error:#}"), "A build could not be saved yet");
                    self.wait().await?;
                    continue;
                }
            };
            match saved {
                Saving::Done => break,
                Saving::Refused(why) => {
                    next = step(self.phase, self.claimed.pushes, &failed(None::<String>, why))
                        .ok_or(Leave)?;
                }
                Saving::NotNow => {
                    let by = self.asked_to_stop().await?;
                    if next.phase == Phase::Cancelled {
                        return Err(Leave);
                    }
                    let cancelled = Seen::Cancelled { by };
                    next = step(self.phase, self.claimed.pushes, &cancelled).ok_or(Leave)?;
                }
            }
        }
        let now = OffsetDateTime::now_utc();
        self.phase = next.phase;
        self.book.enters(next.phase, now);
        self.book.tell(&self.context);
        let build = self.claimed.held.build;
        info!(build.id = %build, phase = next.phase.as_str(), "Build {} is {}", build.short(), next.phase);
        Ok(next.command)
    }

    /// Who asked that it stops, where that is why it could not be saved.
    async fn asked_to_stop(&mut self) -> Result<String, Leave> {
        loop {
            let asked = async {
                let mut conn = self.context.pool.acquire().await?;
                claims::still(&mut conn, &self.claimed.held).await
            };
            match asked.await {
                Ok(asked) => return asked.flatten().ok_or(Leave),
                Err(_) => self.wait().await?,
            }
        }
    }

    async fn wait(&self) -> Result<(), Leave> {
        tokio::select! {
            () = self.context.stopping.cancelled() => Err(Leave),
            () = sleep(TRY_AGAIN) => Ok(()),
        }
    }

    /// Saves a step with all that follows from it, in one transaction: with success, the release.
    async fn save(&self, next: &Step) -> anyhow::Result<Saving> {
        let claimed = &self.claimed;
        let (build, number) = (claimed.held.build, claimed.number);
        let subject = claimed.subject();
        let mut tx = self.context.pool.begin().await?;
        let mut rows = Vec::new();
        let mut outcome = match (&next.ending, &self.checkout) {
            (Some(Ending { step: Some(step), why }), _) => format!("{step}: {why}"),
            (Some(Ending { step: None, why }), _) => why.clone(),
            (None, Some(checkout)) if next.phase == Phase::Building => {
                let tag = self.tag.as_ref().map(|tag| format!(", tag {tag}"));
                format!("commit {}{}", checkout.commit.short(), tag.unwrap_or_default())
            }
            (None, _) => String::new(),
        };
        let mut release = None;
        if next.phase == Phase::Succeeded {
            match self.release(&mut tx).await? {
                Ok(made) => {
                    outcome = format!("release {}, {}", made.name, self.figures());
                    release = Some(made.id);
                    rows.push(Deed::ReleaseMade {
                        release: made.id,
                        name: made.name,
                        image: made.image,
                    });
                }
                Err(why) => return Ok(Saving::Refused(why)),
            }
        }
        let saved = Saved {
            commit: self.checkout.as_ref().map(|checkout| &checkout.commit),
            tag: self.tag.as_deref(),
            subject: self.checkout.as_ref().map(|checkout| checkout.subject.as_str()),
            facts: self.facts.as_ref(),
            release,
            ending: next.ending.as_ref(),
            steps: &self.book.steps,
            lines_written: self.book.written,
            lines_left_out: self.book.left_out,
        };
        let held = &claimed.held;
        if !store::builds::advance(&mut tx, held, self.phase, next.phase, &saved).await? {
            return Ok(Saving::NotNow);
        }
        rows.push(Deed::BuildEntered { build, number, phase: next.phase, outcome });
        store::wake::work(&mut tx, "build").await?;
        let rows: Vec<_> =
            rows.into_iter().map(|deed| NewEntry::engine(subject.clone(), deed)).collect();
        store::history::append_and_commit(tx, &rows).await?;
        Ok(Saving::Done)
    }

    /// Makes the release, with the service's spec as it is now. Or why there can be none.
    async fn release(&self, conn: &mut store::Conn) -> anyhow::Result<Result<Release, String>> {
        let claimed = &self.claimed;
        let Some(facts) = &self.facts else {
            return Ok(Err("The engine did not say what the image is.".to_owned()));
        };
        store::services::lock(conn, claimed.service).await?;
        let Some(service) = store::services::load(conn, claimed.service).await? else {
            return Ok(Err("The service is not there any more.".to_owned()));
        };
        let taken = store::releases::names(conn, claimed.service).await?;
        let fetched = self.checkout.as_ref().map(|checkout| &checkout.commit);
        let Some(commit) = fetched.or(claimed.commit.as_ref()) else {
            return Ok(Err("Nobody knows any more which commit it was built from.".to_owned()));
        };
        let name = match name_for(self.tag.as_deref(), commit, &taken) {
            Ok(name) => name,
            Err(wrong) => return Ok(Err(wrong.to_string())),
        };
        let release = Release {
            id: ReleaseId(Uuid::now_v7()),
            service: claimed.service,
            name,
            image: facts.id.clone(),
            reference: facts.reference.clone(),
            spec: service.spec,
            made_at: store::now(conn).await?,
        };
        let (by, name) = (claimed.requester, &claimed.requester_name);
        let build = claimed.held.build;
        store::releases::add_built(conn, &release, facts, by, name, build).await?;
        Ok(Ok(release))
    }

    /// "141 MiB, 7 steps, 3 of them from an earlier build, in 41 s".
    fn figures(&self) -> String {
        let count = StepCount::of(&self.book.steps);
        let size = self.facts.as_ref().map_or(0, |facts| facts.size_bytes) >> 20;
        let took = (OffsetDateTime::now_utc() - self.claimed.started_at).whole_seconds();
        let steps = if count.steps == 1 { "step" } else { "steps" };
        format!(
            "{size} MiB, {} {steps}, {} of them from an earlier build, in {took} s",
            count.steps, count.cached
        )
    }

    /// Whether the image is there of a build whose node died.
    async fn find(&mut self) -> Result<Seen, Leave> {
        let build = self.claimed.held.build;
        let give_up = Instant::now() + FIND_FOR;
        while self.phase != Phase::Fetching {
            if let Some(by) = self.stop.borrow().clone() {
                return Ok(Seen::Cancelled { by });
            }
            let why = match timeout(FIND_WITHIN, self.builder.find(build)).await {
                Ok(Ok(found)) => {
                    let image = found.is_some();
                    self.facts = found;
                    return Ok(Seen::Lost { image });
                }
                Ok(Err(error)) => reason(&error),
                Err(_) => "it does not answer".to_owned(),
            };
            if Instant::now() >= give_up {
                self.book.say(format!("The container engine could not be asked: {why}"));
                break;
            }
            self.wait().await?;
        }
        Ok(Seen::Lost { image: false })
    }

    async fn fetch(&mut self) -> Result<Seen, Leave> {
        let (url, at) = (self.claimed.source.url.clone(), self.claimed.asked.clone());
        if let Err(error) = place_for(&self.directory).await {
            let why = format!("There is no place for the source on this machine: {error}.");
            return Ok(failed(Some(FETCH), why));
        }
        self.book.say(format!("Fetching {} of {url}", at.short()));
        let number = self.claimed.number;
        let context = self.context.clone();
        let what = format!("to fetch build {number}");
        let opened = super::given::login(&context, self.claimed.service, &url, what);
        let login = match self.until_cut(opened).await {
            Err(Cut::Saw(seen)) => return Ok(seen),
            Err(Cut::Leave) => return Err(Leave),
            Ok(Err(error)) => return Ok(failed(Some(FETCH), registries::said(&error))),
            Ok(Ok(login)) => login,
        };
        let from = Remote { url, login };
        let mut events = self.builder.fetch(&from, &at, &self.directory);
        loop {
            let event = match self.until_cut(events.next()).await {
                Err(Cut::Saw(seen)) => return Ok(seen),
                Err(Cut::Leave) => return Err(Leave),
                Ok(event) => event,
            };
            match event {
                None => {
                    let why = "git ended without saying what it fetched.".to_owned();
                    return Ok(failed(Some(FETCH), why));
                }
                Some(Err(error)) => return Ok(failed(Some(FETCH), reason(&error))),
                Some(Ok(FetchEvent::Line(line))) => {
                    self.book.progress(&line);
                    self.book.say(line);
                }
                Some(Ok(FetchEvent::Done(checkout))) => {
                    self.book.say(format!("At commit {}", checkout.commit));
                    self.tag = tag_of(&at, &checkout);
                    self.checkout = Some(checkout);
                    return Ok(Seen::Fetched);
                }
            }
        }
    }

    async fn build(&mut self) -> Result<Seen, Leave> {
        let Some(checkout) = self.checkout.clone() else { return Err(Leave) };
        let (context, builder) = (self.context.clone(), self.builder.clone());
        let (claimed, tree) = (self.claimed.clone(), self.directory.clone());
        let opened = given(&context, &claimed, &*builder, &tree);
        let given = match self.until_cut(opened).await {
            Err(Cut::Saw(seen)) => return Ok(seen),
            Err(Cut::Leave) => return Err(Leave),
            Ok(Err(error)) => return Ok(failed(None::<String>, registries::said(&error))),
            Ok(Ok(given)) => given,
        };
        let label = |name: &str, value: String| (format!("org.opencontainers.image.{name}"), value);
        let order = BuildOrder {
            build: self.claimed.held.build,
            tree: self.directory.clone(),
            recipe: self.claimed.source.recipe.clone(),
            secrets: given.secrets,
            registries: given.registries,
            labels: vec![
                label("revision", checkout.commit.to_string()),
                label("source", self.claimed.source.url.to_string()),
            ],
            tags: Vec::new(),
            limits: BuildLimits {
                time: self.until.saturating_duration_since(Instant::now()),
                ..BuildLimits::default()
            },
        };
        let mut events = self.builder.build(order);
        let mut step = None;
        loop {
            let event = match self.until_cut(events.next()).await {
                Err(Cut::Saw(seen)) => return Ok(seen),
                Err(Cut::Leave) => return Err(Leave),
                Ok(event) => event,
            };
            match event {
                None => {
                    let why = "The container engine ended without saying what it built.";
                    return Ok(failed(self.name_of(step), why.to_owned()));
                }
                Some(Err(error)) => return Ok(failed(self.name_of(step), reason(&error))),
                Some(Ok(BuildEvent::Failed(failure))) => {
                    let name = failure.name.or_else(|| self.name_of(failure.step));
                    return Ok(failed(name, failure.why));
                }
                Some(Ok(BuildEvent::Done(facts))) => {
                    self.facts = Some(facts);
                    return Ok(Seen::Built);
                }
                Some(Ok(BuildEvent::Context { bytes, entries })) => {
                    self.book
                        .progress(&format!("{entries} files sent, {} KiB", bytes.div_ceil(1024)));
                }
                Some(Ok(BuildEvent::StepStarted { number, name, at, .. })) => {
                    self.book.progress("");
                    self.book.step_begins(number, &name, at);
                    step = Some(number);
                }
                Some(Ok(BuildEvent::Line { step, stderr, at, text, left_out })) => {
                    let line = LogLine {
                        at_ns: i64::try_from(at.unix_timestamp_nanos()).unwrap_or(0),
                        source: if stderr { Source::Err } else { Source::Out },
                        text: shown(&text),
                        left_out,
                    };
                    self.book.line(Some(step), line);
                }
                Some(Ok(BuildEvent::StepEnded { number, cached, took, error, .. })) => {
                    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                    self.book.step_ends(number, took_ms, cached, error.as_deref());
                }
            }
        }
    }

    /// Sends the image to where the service's images go. That it is there is no release yet.
    async fn push(&mut self) -> Result<Seen, Leave> {
        let Some(image) = self.facts.as_ref().map(|facts| facts.id.clone()) else {
            let why = "The engine did not say what the image is.".to_owned();
            return Ok(failed(Some(PUSH), why));
        };
        let fetched = self.checkout.as_ref().map(|checkout| &checkout.commit);
        let Some(commit) = fetched.or(self.claimed.commit.as_ref()) else {
            let why = "Nobody knows any more which commit it was built from.".to_owned();
            return Ok(failed(Some(PUSH), why));
        };
        let branch = match (&self.checkout, &self.claimed.asked) {
            (Some(Checkout { branch: Some(branch), .. }), _) | (_, GitRef::Branch(branch)) => {
                Some(branch.to_string())
            }
            _ => None,
        };
        let built = BuiltFrom { commit: commit.short().to_owned(), branch, tag: self.tag.clone() };
        let context = self.context.clone();
        let goes = registries::destination(&context, self.claimed.service, &built).await;
        let goes = match goes {
            Ok(Some(goes)) => goes,
            Ok(None) => {
                self.book.say("None of the service's tags fits this commit: nothing is pushed.");
                return Ok(Seen::Pushed);
            }
            Err(error) => return Ok(failed(Some(PUSH), registries::said(&error))),
        };
        self.book.say(format!("Pushing to {goes}"));
        let (told, mut progress) = watch::channel(Progress::default());
        let mut pushing = pin!(registries::push_built(&context, &image, &goes, &told));
        loop {
            let next = async {
                tokio::select! {
                    done = &mut pushing => Some(done),
                    _ = progress.changed() => None,
                }
            };
            match self.until_cut(next).await {
                Err(Cut::Saw(seen)) => return Ok(seen),
                Err(Cut::Leave) => return Err(Leave),
                Ok(None) => {
                    let now = progress.borrow_and_update().clone();
                    let (kib, of) = (now.bytes.div_ceil(1024), now.of_bytes.div_ceil(1024));
                    self.book.progress(&format!("{kib} of {of} KiB sent {}", now.says));
                }
                Ok(Some(Ok(digest))) => {
                    self.book.progress("");
                    self.book.say(format!("Pushed, digest {digest}"));
                    return Ok(Seen::Pushed);
                }
                Ok(Some(Err(error))) => {
                    return Ok(failed(Some(PUSH), registries::said(&error)));
                }
            }
        }
    }

    fn name_of(&self, step: Option<u32>) -> Option<String> {
        let failed = self.book.steps.iter().find(|step| step.failed.is_some());
        let step = failed.or_else(|| self.book.steps.iter().find(|one| Some(one.number) == step));
        step.map(|step| step.name.clone())
    }

    /// Waits for the next thing, and writes down what is due meanwhile.
    async fn until_cut<T>(&mut self, next: impl Future<Output = T>) -> Result<T, Cut> {
        let mut next = pin!(next);
        let mut stop = self.stop.clone();
        loop {
            if Instant::now().into_std() >= self.book.due() && !self.book.turn(&self.context).await
            {
                return Err(Cut::Leave);
            }
            let due = Instant::from_std(self.book.due()).max(Instant::now() + TELL_EVERY / 10);
            tokio::select! {
                biased;
                by = asked(&mut stop) => return Err(Cut::Saw(Seen::Cancelled { by })),
                () = self.context.stopping.cancelled() => {
                    self.book.tell(&self.context);
                    self.book.store(&self.context).await;
                    return Err(Cut::Leave);
                }
                () = sleep_until(self.until) => {
                    let minutes = self.within.as_secs().div_ceil(60);
                    let why = format!("It took longer than {minutes} min, which is the most a build may take here.");
                    let step = self.book.steps.iter().rev().find(|step| step.took_ms.is_none());
                    return Err(Cut::Saw(failed(step.map(|step| step.name.clone()), why)));
                }
                done = &mut next => return Ok(done),
                () = sleep_until(due) => {}
            }
        }
    }
}

/// Waits until somebody asks that it stops.
async fn asked(stop: &mut watch::Receiver<Option<String>>) -> String {
    match stop.wait_for(Option::is_some).await.map(|by| by.clone()) {
        Ok(Some(by)) => by,
        // Nobody can ask any more.
        _ => std::future::pending().await,
    }
}

fn failed(step: Option<impl Into<String>>, why: String) -> Seen {
    Seen::Failed(Ending { step: step.map(Into::into), why })
}

/// What a person is told of an error.
fn reason(error: &Error) -> String {
    match error {
        Error::Refused { reason, .. } => reason.clone(),
        other => chain(other),
    }
}

/// The tag that names the release: the one that was asked for, else the newest at the commit.
fn tag_of(asked: &GitRef, checkout: &Checkout) -> Option<String> {
    let tag = match asked {
        GitRef::Tag(name) => Some(name),
        GitRef::Named(name) if checkout.tags.contains(name) => Some(name),
        GitRef::Named(_) | GitRef::Branch(_) | GitRef::Commit(_) => checkout.tags.first(),
    };
    tag.map(ToString::to_string)
}

/// The last line of a log.
fn last_words(phase: Phase, ending: &Ending) -> String {
    match &ending.step {
        Some(step) => format!("The build {phase} at {step}: {}", ending.why),
        None => format!("The build {}: {}", is(phase), ending.why),
    }
}

fn is(phase: Phase) -> String {
    match phase {
        Phase::Failed => phase.to_string(),
        other => format!("was {other}"),
    }
}
