//! How an image is made: a repository is asked, a commit fetched, a recipe carried out.
//!
//! A builder does what it is told and says what happens. Which build comes next, how many run side
//! by side and what becomes of the image is decided above. Nothing above this crate knows git or the
//! engine's way of building.

use crate::{Result, registry::Credentials};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    id::BuildId,
    name::{ImageReference, RegistryAddress},
    release::ImageFacts,
    source::{Checkout, Folder, GitRef, GitUrl, Recipe, RecipeGuess, Refs},
};
use futures::stream::BoxStream;
use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};
use time::OffsetDateTime;

/// The longest a repository may take to say what it offers.
pub const REFS_DEADLINE: Duration = Duration::from_secs(20);

/// Makes images of commits.
///
/// Dropping a call or a stream ends it really: no process, no container and no directory of it is
/// left a second later. Errors are as everywhere in this crate: [`crate::Error::Unreachable`] may
/// work later, [`crate::Error::Refused`] will not without a change, and says which. Neither names a
/// login, a secret or the value of one.
#[async_trait]
pub trait Builder: fmt::Debug + Send + Sync {
    /// What the repository offers, within [`REFS_DEADLINE`].
    async fn refs(&self, from: &Remote) -> Result<Refs>;

    /// Fetches one commit, without its history, into `into`: a directory that is not there yet, in
    /// one that is and that nobody else can write to. Afterwards it holds the files, without git's own.
    ///
    /// The last event is [`FetchEvent::Done`], or an error is. With an error, or when the stream is
    /// dropped, the directory is removed. A directory that a killed process left is the caller's to
    /// remove: with everything beside it, before it fetches there again.
    fn fetch(
        &self,
        from: &Remote,
        wanted: &GitRef,
        into: &Path,
    ) -> BoxStream<'static, Result<FetchEvent>>;

    /// What a fetched `tree` seems to want. Reads files of bounded size, follows no link.
    async fn guess(&self, tree: &Path, folder: &Folder) -> Result<RecipeGuess>;

    /// Those of some registries that the recipe in a fetched `tree` names: whose credentials its build
    /// needs. Reads a file of bounded size, follows no link.
    async fn bases(
        &self,
        tree: &Path,
        recipe: &Recipe,
        of: &[RegistryAddress],
    ) -> Result<Vec<RegistryAddress>>;

    /// Makes the image. The last event is [`BuildEvent::Done`] or [`BuildEvent::Failed`], or an error
    /// is: then nothing is said about the recipe.
    ///
    /// The image carries [`BuildOrder::labels`], the build's id and this installation's, and a tag of
    /// the build that spares it from pruning until [`Builder::forget`].
    fn build(&self, order: BuildOrder) -> BoxStream<'static, Result<BuildEvent>>;

    /// The image that a build made, whoever carried it out: for a build whose engine died.
    async fn find(&self, build: BuildId) -> Result<Option<ImageFacts>>;

    /// Takes the build's tag away: once its image is kept otherwise ([`crate::Target::keep_image`]), or is
    /// not wanted. An image without another name goes, unless something uses it.
    async fn forget(&self, build: BuildId) -> Result<()>;
}

/// A repository with what one needs to read it.
#[derive(Clone, Debug)]
pub struct Remote {
    pub url: GitUrl,
    /// `None`: it is public.
    pub login: Option<Login>,
}

/// Who reads a repository. The token is sent to that one host, over TLS, and never written.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    pub token: Hidden,
}

/// A value that is never shown: `Debug` says only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. Where this is called it must not be written or logged.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// What comes while a commit is fetched.
#[derive(Clone, Debug)]
pub enum FetchEvent {
    /// A line of progress for people, of at most 1 KiB.
    Line(String),
    /// It is there.
    Done(Checkout),
}

/// What is to be built.
#[derive(Clone, Debug)]
pub struct BuildOrder {
    pub build: BuildId,
    /// The fetched tree: the recipe's folder lies in it.
    pub tree: PathBuf,
    pub recipe: Recipe,
    /// Mounted where the recipe asks for them (`RUN --mount=type=secret,id=NAME`) and nowhere else.
    /// Without `BuildKit` a build with secrets is refused.
    pub secrets: Vec<(String, Hidden)>,
    /// For base images: each is shown to its own registry, by the engine, and to nobody else.
    pub registries: Vec<(RegistryAddress, Credentials)>,
    /// Written on the image, beside our own.
    pub labels: Vec<(String, String)>,
    /// Names the image gets when it is made, beside the build's own tag.
    pub tags: Vec<ImageReference>,
    pub limits: BuildLimits,
}

/// Bounds of one build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildLimits {
    /// The most bytes of files that are sent to the engine.
    pub context_bytes: u64,
    /// The most files, directories and links of them.
    pub context_entries: u64,
    /// The longest the engine may work at it.
    pub time: Duration,
}

impl Default for BuildLimits {
    fn default() -> Self {
        Self {
            context_bytes: 1 << 30,
            context_entries: 100_000,
            time: Duration::from_secs(30 * 60),
        }
    }
}

/// What happens in a build. Steps run side by side where the engine can: each event names its own.
#[derive(Clone, Debug, PartialEq)]
pub enum BuildEvent {
    /// So many bytes of the context were sent. The last one says all.
    Context { bytes: u64, entries: u64 },
    /// A step begins. Numbers count up from 1 in the order of beginning.
    StepStarted {
        number: u32,
        /// How many are known by now; grows while the engine reads the recipe. 0: it did not say.
        total: u32,
        /// As the engine calls it, such as `[build 2/5] RUN make`.
        name: String,
        at: OffsetDateTime,
    },
    /// A line that a step wrote, without its end, with its colours, and at most
    /// [`domain::log::LINE_BYTES`] long.
    Line {
        step: u32,
        stderr: bool,
        at: OffsetDateTime,
        text: Bytes,
        /// How many bytes are missing because it was too long.
        left_out: u64,
    },
    /// A step is over. `error`: it failed, with the engine's reason.
    StepEnded {
        number: u32,
        cached: bool,
        took: Duration,
        error: Option<String>,
        at: OffsetDateTime,
    },
    /// The recipe did not come to its end: never worth another try unchanged.
    Failed(BuildFailure),
    /// The image is there, tagged and labelled.
    Done(ImageFacts),
}

/// Which step failed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFailure {
    /// `None`: before any step, for example because the recipe can not be read.
    pub step: Option<u32>,
    /// As the engine calls the step.
    pub name: Option<String>,
    /// What the step's command ended with, where it was one.
    pub exit_code: Option<i64>,
    /// A sentence: which step, why, what to do. At most 1 KiB, without the values of secrets.
    pub why: String,
    /// The last lines the step wrote, at most 10, each at most 300 bytes.
    pub last_lines: Vec<String>,
}
