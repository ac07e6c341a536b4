//! A builder in memory, which does as it is told: for what really happens rarely, or not on command.

use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    id::BuildId,
    name::RegistryAddress,
    release::ImageFacts,
    source::{Checkout, Folder, GitRef, Recipe, RecipeGuess, Refs},
};
use futures::{StreamExt, stream, stream::BoxStream};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use targets::build::{BuildEvent, BuildFailure, BuildOrder, Builder, FetchEvent, Remote};
use time::OffsetDateTime;
use uuid::Uuid;

/// The registry that every recipe names.
pub const BASE: &str = "base.example.org";

/// How far it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum How {
    #[default]
    Well,
    /// Never ends to fetch.
    FetchesForEver,
    /// Never ends to build.
    BuildsForEver,
    /// The engine ends it, and nobody hears of it.
    BuildsUnheard,
    /// The second step fails.
    Fails,
}

#[derive(Clone, Debug, Default)]
pub struct Hand(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    how: How,
    images: HashMap<BuildId, ImageFacts>,
    /// What was begun and not yet dropped or done.
    open: usize,
    began: Vec<BuildId>,
    tree: Option<PathBuf>,
    from: Option<Remote>,
    order: Option<BuildOrder>,
}

/// Counts what is under way.
struct Open(Hand);

impl Open {
    fn new(hand: &Hand) -> Self {
        hand.state().open += 1;
        Self(hand.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.state().open -= 1;
    }
}

impl Hand {
    pub fn does(&self, how: How) {
        self.state().how = how;
    }

    pub fn open(&self) -> usize {
        self.state().open
    }

    pub fn began(&self) -> Vec<BuildId> {
        self.state().began.clone()
    }

    /// Where the last source was fetched to.
    pub fn tree(&self) -> Option<PathBuf> {
        self.state().tree.clone()
    }

    /// What was fetched last, with the login.
    pub fn from(&self) -> Option<Remote> {
        self.state().from.clone()
    }

    /// What was built last.
    pub fn order(&self) -> Option<BuildOrder> {
        self.state().order.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics with it")
    }
}

/// The image that a build makes.
pub fn facts(build: BuildId) -> ImageFacts {
    let hex = build.0.simple();
    ImageFacts {
        id: format!("sha256:{hex}{hex}").parse().expect("an id"),
        reference: format!("build:{hex}").parse().expect("a reference"),
        size_bytes: 600 << 20,
        platform: "linux/amd64".to_owned(),
        user: "1000".to_owned(),
        ports: vec![8080],
        command: Vec::new(),
        created_at: None,
    }
}

#[async_trait]
impl Builder for Hand {
    async fn refs(&self, _: &Remote) -> targets::Result<Refs> {
        Ok(Refs::default())
    }

    fn fetch(
        &self,
        from: &Remote,
        _: &GitRef,
        into: &Path,
    ) -> BoxStream<'static, targets::Result<FetchEvent>> {
        let how = self.state().how;
        self.state().tree = Some(into.to_owned());
        self.state().from = Some(from.clone());
        std::fs::create_dir(into).expect("a directory that is not there, in one that is");
        let open = Open::new(self);
        let line = FetchEvent::Line("Receiving objects: 41 %".to_owned());
        let begun = stream::iter([Ok(line)]);
        if how == How::FetchesForEver {
            let never = stream::pending().map(move |event| {
                let _held = &open;
                event
            });
            return begun.chain(never).boxed();
        }
        let done = FetchEvent::Done(Checkout {
            commit: "0123456789abcdef0123456789abcdef01234567".parse().expect("a commit"),
            subject: "Say hello".to_owned(),
            author: "Ana".to_owned(),
            at: OffsetDateTime::now_utc(),
            tags: vec!["v1.0".parse().expect("a tag")],
            branch: None,
        });
        begun
            .chain(stream::once(async move {
                drop(open);
                Ok(done)
            }))
            .boxed()
    }

    async fn guess(&self, _: &Path, _: &Folder) -> targets::Result<RecipeGuess> {
        Ok(RecipeGuess {
            recipe: None,
            because: "Nothing is there.".to_owned(),
            files: Vec::new(),
            stages: Vec::new(),
            arguments: Vec::new(),
        })
    }

    async fn bases(
        &self,
        _: &Path,
        _: &Recipe,
        of: &[RegistryAddress],
    ) -> targets::Result<Vec<RegistryAddress>> {
        Ok(of.iter().filter(|address| address.as_str() == BASE).cloned().collect())
    }

    fn build(&self, order: BuildOrder) -> BoxStream<'static, targets::Result<BuildEvent>> {
        let how = self.state().how;
        self.state().began.push(order.build);
        self.state().order = Some(order.clone());
        assert!(order.tree.is_dir(), "the source is there");
        let at = OffsetDateTime::now_utc();
        let begins = |number: u32, name: &str| BuildEvent::StepStarted {
            number,
            total: 2,
            name: name.to_owned(),
            at,
        };
        let ends = |number, cached, error: Option<&str>| BuildEvent::StepEnded {
            number,
            cached,
            took: Duration::from_millis(5),
            error: error.map(str::to_owned),
            at,
        };
        let line = |step, text: &str| BuildEvent::Line {
            step,
            stderr: false,
            at,
            text: Bytes::copy_from_slice(text.as_bytes()),
            left_out: 0,
        };
        let mut events = vec![
            BuildEvent::Context { bytes: 2048, entries: 3 },
            begins(1, "[1/2] FROM scratch"),
            ends(1, true, None),
            begins(2, "[2/2] RUN make"),
            line(2, "\u{1b}[32mcompiling\u{1b}[0m"),
        ];
        let open = Open::new(self);
        let facts = facts(order.build);
        match how {
            How::BuildsForEver | How::BuildsUnheard | How::FetchesForEver => {
                if how == How::BuildsUnheard {
                    self.state().images.insert(order.build, facts);
                }
                let never = stream::pending().map(move |event| {
                    let _held = &open;
                    event
                });
                return stream::iter(events.into_iter().map(Ok)).chain(never).boxed();
            }
            How::Fails => {
                events.push(ends(2, false, Some("exit code 2")));
                events.push(BuildEvent::Failed(BuildFailure {
                    step: Some(2),
                    name: Some("[2/2] RUN make".to_owned()),
                    exit_code: Some(2),
                    why: "make ended with 2.".to_owned(),
                    last_lines: Vec::new(),
                }));
            }
            How::Well => {
                self.state().images.insert(order.build, facts.clone());
                events.push(ends(2, false, None));
                events.push(BuildEvent::Done(facts));
            }
        }
        drop(open);
        stream::iter(events.into_iter().map(Ok)).boxed()
    }

    async fn find(&self, build: BuildId) -> targets::Result<Option<ImageFacts>> {
        Ok(self.state().images.get(&build).cloned())
    }

    async fn forget(&self, _: BuildId) -> targets::Result<()> {
        Ok(())
    }
}

/// A directory of a test, which goes with it.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Self {
        Self(std::env::temp_dir().join(format!("pilothouse-builds-{}", Uuid::now_v7())))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
