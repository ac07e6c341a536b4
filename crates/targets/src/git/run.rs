//! Runs git: as a list of words, without a shell, and without anything of this machine's own.

use super::{Git, Limits, proxy::Proxy, scratch::Scratch};
use crate::{
    Error, Result,
    build::{FetchEvent, Login, Remote},
    outgoing::Failure,
};
use anyhow::anyhow;
use base64::Engine as _;
use domain::source::GitUrl;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    sync::mpsc,
    time::Instant,
};

/// The most of what git complains about that is kept, in bytes.
const COMPLAINT: usize = 8 * 1024;

/// One conversation with one repository: its settings, its way out, and its deadline.
pub(super) struct Session {
    scratch: Scratch,
    proxy: Option<Proxy>,
    login: Option<(String, String)>,
    /// As people call the other side.
    target: String,
    protocol: &'static str,
    pub address: String,
    deadline: Instant,
}

impl Session {
    /// Opens the way out, and writes down how git behaves.
    pub async fn open(git: &Git, from: &Remote, bytes: u64, until: Instant) -> Result<Self> {
        let scratch = Scratch::make(&git.options.work_dir)?;
        let (proxy, target, protocol) = match &from.url {
            GitUrl::Https { host, port, .. } => {
                let proxy = Proxy::open(git.options.outgoing.clone(), host, *port, bytes).await;
                let proxy = proxy.map_err(|source| Error::Unreachable {
                    target: "git".to_owned(),
                    source: source.into(),
                })?;
                (Some(proxy), format!("The git server {host}"), "https")
            }
            GitUrl::Local(path) => {
                git.check_path(path)?;
                (None, format!("The repository {path}"), "file")
            }
        };
        let login = match (&from.login, from.url.remote()) {
            (Some(login), Some(_)) => Some((scope(&from.url), authorization(login))),
            _ => None,
        };
        let session = Self {
            proxy,
            login,
            target,
            protocol,
            address: from.url.to_string(),
            deadline: until,
            scratch,
        };
        let config = session.config(git, &from.url);
        std::fs::write(session.path("config"), config).map_err(|source| session.failed(source))?;
        Ok(session)
    }

    /// A path in the directory that goes when the session does.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path.join(name)
    }

    /// Everything git is told, in one file: its own of this machine and of its users are not read.
    fn config(&self, git: &Git, url: &GitUrl) -> String {
        let mut config = String::from(
            "[core]\n\thooksPath = /dev/null\n\tfsmonitor = false\n\taskPass = \"\"\n\tbigFileThreshold = 16m\n\
             [init]\n\ttemplateDir = \"\"\n\tdefaultBranch = main\n\
             [credential]\n\thelper = \"\"\n\
             [submodule]\n\trecurse = false\n\
             [fetch]\n\trecurseSubmodules = false\n\tunpackLimit = 1\n\
             [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n\
             [pack]\n\tthreads = 1\n\
             [log]\n\tshowSignature = false\n\
             [protocol]\n\tallow = never\n",
        );
        let _ = writeln!(config, "[protocol \"{}\"]\n\tallow = always", self.protocol);
        if let Some(proxy) = &self.proxy {
            let _ = write!(
                config,
                "[http]\n\tfollowRedirects = false\n\tsslVerify = true\n\tlowSpeedLimit = 500\n\tlowSpeedTime = 60\n\
                 \tproxy = http://127.0.0.1:{}\n\tnoProxy = \"\"\n",
                proxy.port
            );
            if let Some(file) = &git.options.ca_file {
                let _ = writeln!(config, "\tsslCAInfo = {}", quoted(file));
            }
        }
        if let GitUrl::Local(path) = url {
            // Which user it belongs to was the admin's to judge.
            let _ = writeln!(
                config,
                "[safe]\n\tdirectory = {0}\n\tdirectory = {1}",
                quoted(Path::new(path)),
                quoted(&Path::new(path).join(".git"))
            );
        }
        config
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", &self.scratch.path)
            .env("XDG_CONFIG_HOME", &self.scratch.path)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.path("config"))
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "")
            .env("GIT_ALLOW_PROTOCOL", self.protocol)
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            // No single piece of a hostile repository takes more memory than this.
            .env("GIT_ALLOC_LIMIT", "512m")
            .env("GIT_CEILING_DIRECTORIES", "/")
            .current_dir(&self.scratch.path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let speaks = words.iter().any(|word| matches!(*word, "ls-remote" | "fetch"));
        if let (Some((scope, header)), true) = (&self.login, speaks) {
            // In the environment, which only this user's processes can read; words everybody can.
            command
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", format!("http.{scope}.extraHeader"))
                .env("GIT_CONFIG_VALUE_0", header);
        }
        command
    }

    /// Runs git to its end. `out` takes what it prints, `tell` each line of its progress.
    ///
    /// `tree`: the directory of the files, for what needs one.
    pub async fn run(
        &self,
        words: &[&str],
        tree: Option<&Path>,
        mut out: impl FnMut(&[u8]) -> Result<()>,
        tell: Option<&mpsc::Sender<FetchEvent>>,
    ) -> Result<()> {
        let mut command = self.command(words);
        if let Some(tree) = tree {
            command.env("GIT_DIR", self.path("git")).env("GIT_WORK_TREE", tree).current_dir(tree);
        }
        let mut running = Running::start(&mut command).map_err(|source| Error::Unreachable {
            target: "git".to_owned(),
            source: anyhow!(source)
                .context("git is not installed on this machine, or does not start"),
        })?;
        let (mut stdout, mut stderr) = (running.child.stdout.take(), running.child.stderr.take());
        let (mut printed, mut said) = (vec![0; 64 * 1024], vec![0; 4 * 1024]);
        let mut complaint = Complaint::default();
        while stdout.is_some() || stderr.is_some() {
            tokio::select! {
                n = read(&mut stdout, &mut printed) => match n {
                    0 => stdout = None,
                    n => out(&printed[..n])?,
                },
                n = read(&mut stderr, &mut said) => match n {
                    0 => stderr = None,
                    n => for line in complaint.push(&said[..n]) {
                        if let Some(tell) = tell {
                            // Whoever does not listen any more drops this, too.
                            let _ = tell.send(FetchEvent::Line(line)).await;
                        }
                    },
                },
                () = tokio::time::sleep_until(self.deadline) => return Err(self.too_long()),
            }
        }
        let ended = tokio::select! {
            ended = running.child.wait() => ended.map_err(|source| self.failed(source))?,
            () = tokio::time::sleep_until(self.deadline) => return Err(self.too_long()),
        };
        running.is_over = true;
        if ended.success() { Ok(()) } else { Err(self.explained(&complaint.whole())) }
    }

    /// Runs git and keeps at most `most` bytes of what it prints.
    pub async fn read(&self, words: &[&str], tree: Option<&Path>, most: usize) -> Result<String> {
        let mut printed = Vec::new();
        let target = &self.target;
        let out = |some: &[u8]| {
            printed.extend_from_slice(some);
            if printed.len() > most {
                return Err(refused(
                    target,
                    "it says more than a repository of a sensible size would.",
                ));
            }
            Ok(())
        };
        self.run(words, tree, out, None).await?;
        Ok(String::from_utf8_lossy(&printed).into_owned())
    }

    pub fn refused(&self, reason: impl Into<String>) -> Error {
        refused(&self.target, reason)
    }

    pub fn failed(&self, source: impl Into<anyhow::Error>) -> Error {
        Error::Unreachable { target: self.target.clone(), source: source.into() }
    }

    fn too_long(&self) -> Error {
        self.failed(anyhow!("it did not come to an end in time"))
    }

    /// What git complained about, as what the reader does next.
    fn explained(&self, complaint: &str) -> Error {
        if let Some(proxy) = &self.proxy {
            if proxy.had_too_much() {
                return self.refused("it sends more than is taken. Build from a smaller repository, or raise git_max_mib.");
            }
            match proxy.failure() {
                Some(Failure::Forbidden(why)) => return self.refused(why),
                Some(Failure::Unreachable(why)) => return self.failed(anyhow!(why)),
                None => {}
            }
        }
        let has = |sign: &str| complaint.contains(sign);
        if has("error: 30") || has("redirect") {
            self.refused("it sends us to another address, and that is not followed. Use the repository's final address.")
        } else if has("Authentication failed")
            || has("could not read Username")
            || has("error: 401")
            || has("error: 403")
        {
            self.refused(if self.login.is_some() {
                "the user or token is wrong, or may not read this repository. Check them."
            } else {
                "it does not show this repository to everybody. Give a user and a token that may read it."
            })
        } else if has("not found")
            || has("does not appear to be a git repository")
            || has("error: 404")
        {
            self.refused("there is no such repository, or it is not shown to us. Check the address, and the login.")
        } else if has("couldn't find remote ref")
            || has("not our ref")
            || has("no such remote ref")
            || has("unadvertised object")
        {
            self.refused("it does not have that branch, tag or commit. Choose one it offers.")
        } else if has("certificate") || has("SSL") {
            self.refused("its certificate is not trusted. Name its authority's file in the setting git_ca_file.")
        } else if has("attempting to allocate") {
            self.refused("it holds something too large to be taken.")
        } else {
            self.failed(anyhow!(self.cleaned(complaint)))
        }
    }

    /// The last line git said, without paths of ours.
    fn cleaned(&self, complaint: &str) -> String {
        let scratch = self.scratch.path.display().to_string();
        let fatal =
            complaint.lines().rev().find(|line| line.contains("fatal:") || line.contains("error:"));
        let line = fatal.or(complaint.lines().last()).unwrap_or("git ended without a word");
        line.replace(&scratch, "…").chars().take(300).collect()
    }
}

fn refused(target: &str, reason: impl Into<String>) -> Error {
    Error::Refused { target: target.to_owned(), reason: reason.into() }
}

/// The part of the address that a login is for.
fn scope(url: &GitUrl) -> String {
    let whole = url.to_string();
    let end = whole.match_indices('/').nth(2).map_or(whole.len(), |(at, _)| at + 1);
    whole[..end].to_owned()
}

fn authorization(login: &Login) -> String {
    let plain = format!("{}:{}", login.user, login.token.expose());
    format!("Authorization: Basic {}", base64::engine::general_purpose::STANDARD.encode(plain))
}

/// As a value in git's configuration.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

async fn read(from: &mut Option<impl AsyncRead + Unpin>, into: &mut [u8]) -> usize {
    match from {
        // A pipe that can not be read any more is one that ended.
        Some(from) => from.read(into).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// A process with all that it started. Killed when it is dropped before its end.
struct Running {
    child: Child,
    group: Option<Pid>,
    is_over: bool,
}

impl Running {
    fn start(command: &mut Command) -> std::io::Result<Self> {
        let child = command.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self { child, group, is_over: false })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let (false, Some(group)) = (self.is_over, self.group) {
            // It may be gone by itself already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What comes on standard error: progress, which overwrites itself, and complaints.
#[derive(Default)]
struct Complaint {
    kept: Vec<u8>,
    line: Vec<u8>,
}

impl Complaint {
    /// The lines that are over now.
    fn push(&mut self, some: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in some {
            match byte {
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    if *byte == b'\n' && self.kept.len() + line.len() < COMPLAINT {
                        self.kept.extend_from_slice(&line);
                        self.kept.push(b'\n');
                    }
                    if *byte == b'\n' && !line.is_empty() {
                        lines.push(domain::log::text::shown(&line));
                    }
                }
                byte if self.line.len() < 1024 => self.line.push(*byte),
                _ => {}
            }
        }
        lines
    }

    fn whole(&self) -> String {
        let mut all = self.kept.clone();
        all.extend_from_slice(&self.line);
        domain::log::text::shown(&all).replace("\\n", "\n")
    }
}

impl Limits {
    /// When a fetch that begins now must be over.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.time
    }
}
