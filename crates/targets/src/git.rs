//! Repositories: what they offer, and one commit of them as files.
//!
//! ```text
//! git.rs        asking, fetching, looking at what was fetched
//!   run.rs      one process: its words, its environment, its end
//!   proxy.rs    its only way out
//!   guess.rs    which recipe a tree seems to want
//!   scratch.rs  directories that go by themselves
//! ```
//!
//! A repository is a stranger's. So: no shell, words in a list and operands after `--`; no hooks,
//! filters, submodules or settings that it brings along; nothing of this machine's own settings and
//! logins; no redirects; bytes, files and time are counted while they are used.

mod guess;
mod proxy;
mod run;
mod scratch;

use crate::{
    Error, Result,
    build::{FetchEvent, REFS_DEADLINE, Remote},
    outgoing::Outgoing,
};
use domain::{
    name::Wrong,
    source::{Checkout, Commit, Folder, GitRef, Offered, RecipeGuess, RefName, Refs, SUBJECT_KEPT},
};
use futures::stream::BoxStream;
use run::Session;
use scratch::Scratch;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{sync::mpsc, time::Instant};

/// The longest list of branches and tags that is read, in bytes. Over the network, before it is
/// parsed, the same.
const LISTING: usize = 32 << 20;

/// How repositories are read.
#[derive(Clone, Debug)]
pub struct Options {
    pub outgoing: Outgoing,
    /// Authorities that are trusted instead of the system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Directories of this machine whose repositories may be built.
    pub paths: Vec<PathBuf>,
    /// For what is needed while git runs. Made if it is not there.
    pub work_dir: PathBuf,
    pub limits: Limits,
}

/// Bounds of one fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What the server may send.
    pub received_bytes: u64,
    /// The files of the commit together.
    pub tree_bytes: u64,
    /// How many there may be.
    pub tree_entries: u64,
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            received_bytes: 1 << 30,
            tree_bytes: 2 << 30,
            tree_entries: 200_000,
            time: Duration::from_secs(10 * 60),
        }
    }
}

/// Reads repositories.
#[derive(Clone, Debug)]
pub struct Git {
    options: Arc<Options>,
}

impl Git {
    /// Starts nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options: Arc::new(options) }
    }

    /// [`crate::build::Builder::refs`].
    pub async fn refs(&self, from: &Remote) -> Result<Refs> {
        let until = Instant::now() + REFS_DEADLINE;
        let session = Session::open(self, from, LISTING as u64, until).await?;
        Ok(self.listed(&session).await?.refs)
    }

    async fn listed(&self, session: &Session) -> Result<Listing> {
        let words = ["ls-remote", "--quiet", "--symref", "--", &session.address];
        Ok(Listing::parse(&session.read(&words, None, LISTING).await?))
    }

    /// [`crate::build::Builder::fetch`].
    pub fn fetch(
        &self,
        from: &Remote,
        wanted: &GitRef,
        into: &Path,
    ) -> BoxStream<'static, Result<FetchEvent>> {
        let (git, from, wanted, into) =
            (self.clone(), from.clone(), wanted.clone(), into.to_owned());
        driven(async move |tell| {
            let tree = Scratch::at(&into)?;
            let done = git.fetched(&from, &wanted, &tree.path, &tell).await?;
            tree.hand_over();
            // Nobody listens any more only if the stream was dropped, and then this is too.
            let _ = tell.send(FetchEvent::Done(done)).await;
            Ok(())
        })
    }

    async fn fetched(
        &self,
        from: &Remote,
        wanted: &GitRef,
        tree: &Path,
        tell: &mpsc::Sender<FetchEvent>,
    ) -> Result<Checkout> {
        let limits = self.options.limits;
        let session = Session::open(self, from, limits.received_bytes, limits.deadline()).await?;
        let say = |line: String| tell.send(FetchEvent::Line(line));
        let _ = say(format!("Asking {} for {}", from.url, wanted.short())).await;
        let listing = self.listed(&session).await?;
        let name = listing.resolve(wanted).ok_or_else(|| {
            session.refused(format!(
                "it has no branch or tag {}. Choose one it offers.",
                wanted.short()
            ))
        })?;

        let git_dir = session.path("git");
        let git_dir = git_dir.to_str().ok_or_else(|| {
            session.refused("the directory for builds has a name that is no text.")
        })?;
        session
            .read(&["init", "--quiet", "--bare", "--template=", "--", git_dir], None, 4096)
            .await?;
        let words = [
            "--git-dir",
            git_dir,
            "fetch",
            "--progress",
            "--depth=1",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
            "--",
            &session.address,
            &name,
        ];
        session.run(&words, None, |_| Ok(()), Some(tell)).await?;

        let format = "--format=%H%x00%s%x00%an%x00%cI";
        let words = [
            "--git-dir",
            git_dir,
            "log",
            "-1",
            "--no-color",
            "--encoding=UTF-8",
            format,
            "FETCH_HEAD",
            "--",
        ];
        let log = session.read(&words, None, 1 << 20).await?;
        let mut checkout = described(&log).map_err(|wrong| session.refused(wrong.0))?;
        checkout.tags = listing.tags_at(&checkout.commit);
        checkout.branch = name.strip_prefix("refs/heads/").and_then(|name| name.parse().ok());
        let commit = checkout.commit.as_str();

        // Counted before a file is written: a small pack can unfold into millions of files.
        let mut count = Count { limits, entries: 0, bytes: 0, line: Vec::new() };
        let words = ["--git-dir", git_dir, "ls-tree", "-r", "-l", "-z", "--full-tree", commit];
        let out = |some: &[u8]| count.push(some).map_err(|wrong| session.refused(wrong.0));
        session.run(&words, None, out, None).await?;
        let _ = say(format!(
            "Writing {} files, {} KiB, of {}",
            count.entries,
            count.bytes.div_ceil(1024),
            checkout.commit.short()
        ))
        .await;

        let words =
            ["checkout", "--quiet", "--force", "--detach", "--no-recurse-submodules", commit];
        session.run(&words, Some(tree), |_| Ok(()), Some(tell)).await?;
        Ok(checkout)
    }

    /// [`crate::build::Builder::guess`].
    pub async fn guess(&self, tree: &Path, folder: &Folder) -> Result<RecipeGuess> {
        let (tree, folder) = (tree.to_owned(), folder.clone());
        let looked = tokio::task::spawn_blocking(move || guess::look(&tree, &folder)).await;
        looked.map_err(|source| Error::Unreachable {
            target: "The fetched tree".to_owned(),
            source: source.into(),
        })
    }

    /// Whether an admin allowed a repository of this machine. Links are followed first.
    fn check_path(&self, path: &str) -> Result<()> {
        let refused = || {
            Error::Refused {
            target: format!("The repository {path}"),
            reason: "it lies on this machine, in no directory that an admin allowed. An admin can list one in the setting git_paths.".to_owned(),
        }
        };
        let real = std::fs::canonicalize(path).map_err(|_| refused())?;
        let allowed = self.options.paths.iter().filter_map(|path| std::fs::canonicalize(path).ok());
        if allowed.into_iter().any(|allowed| real.starts_with(allowed)) {
            Ok(())
        } else {
            Err(refused())
        }
    }
}

/// What a repository listed, by full names.
#[derive(Debug, Default)]
struct Listing {
    refs: Refs,
    /// Full names that can be asked for.
    names: std::collections::HashSet<String>,
    /// Tags with the commit they lead to, however many.
    tags: Vec<Offered>,
}

impl Listing {
    fn parse(printed: &str) -> Self {
        let (mut default, mut branches) = (None, Vec::new());
        let mut tags: std::collections::BTreeMap<RefName, Commit> =
            std::collections::BTreeMap::new();
        let mut names = std::collections::HashSet::new();
        let mut odd = 0;
        for line in printed.lines() {
            let Some((first, name)) = line.split_once('\t') else { continue };
            if let (Some(leads), "HEAD") = (first.strip_prefix("ref: "), name) {
                default = leads.strip_prefix("refs/heads/").and_then(|name| name.parse().ok());
                continue;
            }
            let Ok(commit) = first.parse::<Commit>() else { continue };
            if let Some(branch) = name.strip_prefix("refs/heads/") {
                match branch.parse() {
                    Ok(short) => {
                        names.insert(name.to_owned());
                        branches.push(Offered { name: short, commit });
                    }
                    Err(_) => odd += 1,
                }
            } else if let Some(tag) = name.strip_prefix("refs/tags/") {
                // What an annotated tag leads to comes after it, and is what is built.
                match tag.strip_suffix("^{}").unwrap_or(tag).parse::<RefName>() {
                    Ok(short) => {
                        names.insert(format!("refs/tags/{short}"));
                        tags.insert(short, commit);
                    }
                    Err(_) => odd += 1,
                }
            }
        }
        let tags: Vec<_> =
            tags.into_iter().map(|(name, commit)| Offered { name, commit }).collect();
        let mut refs = Refs::new(default, branches, tags.clone());
        refs.left_out += odd;
        Self { refs, names, tags }
    }

    /// The full name to ask for. `None`: it is not there.
    fn resolve(&self, wanted: &GitRef) -> Option<String> {
        let full = match wanted {
            // Servers say only what they advertise; whether they have this one, the fetch will tell.
            GitRef::Commit(commit) => return Some(commit.to_string()),
            GitRef::Branch(_) | GitRef::Tag(_) => vec![wanted.to_string()],
            GitRef::Named(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
        };
        full.into_iter().find(|name| self.names.contains(name))
    }

    fn tags_at(&self, commit: &Commit) -> Vec<RefName> {
        let at = self.tags.iter().filter(|tag| tag.commit == *commit).cloned().collect();
        let sorted = Refs::new(None, Vec::new(), at).tags;
        sorted.into_iter().take(20).map(|tag| tag.name).collect()
    }
}

/// Reads what `git log` was asked for.
fn described(log: &str) -> std::result::Result<Checkout, Wrong> {
    let odd = || Wrong::new("it has a commit that can not be read.");
    let mut parts = log.trim_end_matches('\n').split('\0');
    let mut next = || parts.next().ok_or_else(odd);
    let commit = next()?.parse()?;
    let shown = |text: &str, most: usize| -> String {
        text.chars().filter(|c| !c.is_control()).take(most).collect()
    };
    let (subject, author) = (shown(next()?, SUBJECT_KEPT), shown(next()?, 100));
    let at = OffsetDateTime::parse(next()?, &Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    Ok(Checkout { commit, subject, author, at, tags: Vec::new(), branch: None })
}

/// Adds up a listing of files while it is printed.
struct Count {
    limits: Limits,
    entries: u64,
    bytes: u64,
    line: Vec<u8>,
}

impl Count {
    fn push(&mut self, some: &[u8]) -> std::result::Result<(), Wrong> {
        for byte in some {
            if *byte != 0 {
                // Only what comes before the path is of interest: mode, kind, id, size.
                if self.line.len() < 160 {
                    self.line.push(*byte);
                }
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).into_owned();
            self.line.clear();
            self.entries += 1;
            self.bytes +=
                line.split_whitespace().nth(3).and_then(|size| size.parse().ok()).unwrap_or(0);
        }
        let Limits { tree_bytes, tree_entries, .. } = self.limits;
        if self.entries > tree_entries {
            return Err(Wrong::new(format!("this commit has more than {tree_entries} files.")));
        }
        if self.bytes > tree_bytes {
            return Err(Wrong::new(format!(
                "this commit's files are larger than {} MiB together.",
                tree_bytes >> 20
            )));
        }
        Ok(())
    }
}

/// A stream of what `work` tells, which is worked on while the stream is read, and no longer.
pub(crate) fn driven<T: Send + 'static, F>(
    work: impl FnOnce(mpsc::Sender<T>) -> F,
) -> BoxStream<'static, Result<T>>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (tell, mut told) = mpsc::channel(64);
    let work = work(tell);
    Box::pin(async_stream::stream! {
        let mut work = Box::pin(work);
        let ended = loop {
            tokio::select! {
                biased;
                Some(event) = told.recv() => yield Ok(event),
                ended = &mut work => break ended,
            }
        };
        drop(work);
        while let Some(event) = told.recv().await {
            yield Ok(event);
        }
        if let Err(error) = ended {
            yield Err(error);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read_with_what_annotated_tags_lead_to() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let listing = Listing::parse(&format!(
            "ref: refs/heads/main\tHEAD\n{a}\tHEAD\n{a}\trefs/heads/main\n{b}\trefs/heads/-x\n{b}\trefs/tags/v1\n{a}\trefs/tags/v1^{{}}\n{a}\trefs/pull/1/head\n"
        ));

        assert_eq!(listing.refs.default.as_ref().map(RefName::as_str), Some("main"));
        assert_eq!((listing.refs.branches.len(), listing.refs.left_out), (1, 1));
        assert_eq!(listing.refs.tags[0].commit.as_str(), a);
        assert_eq!(listing.tags_at(&a.parse().expect("good"))[0].as_str(), "v1");
        let named = |typed: &str| listing.resolve(&typed.parse().expect("good"));
        assert_eq!(named("main").as_deref(), Some("refs/heads/main"));
        assert_eq!(named("v1").as_deref(), Some("refs/tags/v1"));
        assert_eq!(named("refs/heads/v1"), None);
    }

    #[test]
    fn files_are_counted_before_they_are_written() {
        let limits = Limits { tree_entries: 2, tree_bytes: 100, ..Limits::default() };
        let count = |listing: &[u8]| {
            let mut count = Count { limits, entries: 0, bytes: 0, line: Vec::new() };
            listing.chunks(7).try_for_each(|some| count.push(some))
        };
        assert!(count(b"100644 blob aa      60\ta\x00100644 blob bb      40\tb\0").is_ok());
        assert!(count(b"100644 blob aa      60\ta\x00100644 blob bb      41\tb\0").is_err());
        assert!(count(b"1 blob a 1\ta\x00001 blob b 1\tb\x00001 blob c 1\tc\0").is_err());
    }
}
