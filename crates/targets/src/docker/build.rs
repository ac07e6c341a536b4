//! Images of commits, made by the container engine.
//!
//! ```text
//! build.rs       what is asked of the engine, and its answer
//!   context.rs   the folder that is sent
//!   http.rs      a connection for each build
//!   session.rs   what BuildKit asks of us: secrets
//!   wire.rs      BuildKit's messages
//!   steps.rs     progress -> events (pure)
//! ```
//!
//! `BuildKit` where the engine has it, else the classic builder: Podman, whose API of this kind is
//! always a plain one, and engines before API 1.39. The client of the engine's API that is used
//! elsewhere takes a context as a whole in memory, secrets from files or our own environment, and drops
//! the progress of builds with secrets; so this part of the API is spoken here.

mod context;
mod http;
mod session;
mod steps;
mod wire;

use super::{error, image};
use crate::{
    Error, Result,
    build::{BuildEvent, BuildFailure, BuildOrder, Builder, FetchEvent, Remote},
    git::{self, Git, driven},
    registry::Credentials,
};
use ::http::{Method, Request, StatusCode};
use anyhow::anyhow;
use async_trait::async_trait;
use base64::Engine as _;
use bollard::{
    Docker,
    query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder},
};
use bytes::BytesMut;
use context::Context;
use domain::{
    id::BuildId,
    name::{ImageReference, RegistryAddress},
    release::ImageFacts,
    source::{Folder, GitRef, Platform, Recipe, RecipeGuess, Refs},
};
use futures::{StreamExt, stream::BoxStream};
use http_body_util::{BodyExt, BodyStream, Limited, StreamBody};
use hyper::body::Frame;
use serde::Deserialize;
use session::{Offered, Session};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use steps::Steps;
use time::OffsetDateTime;
use tokio::{
    sync::{OnceCell, mpsc},
    task::JoinSet,
    time::timeout,
};
use uuid::Uuid;

/// The repository of the tags that spare images of builds until they are kept or forgotten.
const KEEP: &str = "pilothouse/build";

/// Which build made an image.
const BUILD: &str = "pilothouse.build";

/// The longest message of the engine's progress.
const MESSAGE: usize = 16 << 20;

/// The longest the engine may take for a question about images.
const QUESTION: Duration = Duration::from_secs(10);

/// How images are made on a machine.
#[derive(Clone, Debug)]
pub struct BuilderOptions {
    /// Socket of the container engine.
    pub engine_socket: PathBuf,
    /// Whose images these are.
    pub installation: Uuid,
    /// Never uses `BuildKit`, also where the engine has it.
    pub classic_only: bool,
    pub git: git::Options,
}

/// Makes images with Docker or Podman. Connects when it is first asked for something.
#[derive(Clone, Debug)]
pub struct DockerBuilder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: BuilderOptions,
    git: Git,
    engine: OnceCell<Docker>,
}

impl DockerBuilder {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(options: BuilderOptions) -> Self {
        let git = Git::new(options.git.clone());
        Self { inner: Arc::new(Inner { options, git, engine: OnceCell::new() }) }
    }
}

#[async_trait]
impl Builder for DockerBuilder {
    async fn refs(&self, from: &Remote) -> Result<Refs> {
        self.inner.git.refs(from).await
    }

    fn fetch(
        &self,
        from: &Remote,
        wanted: &GitRef,
        into: &Path,
    ) -> BoxStream<'static, Result<FetchEvent>> {
        self.inner.git.fetch(from, wanted, into)
    }

    async fn guess(&self, tree: &Path, folder: &Folder) -> Result<RecipeGuess> {
        self.inner.git.guess(tree, folder).await
    }

    async fn bases(
        &self,
        tree: &Path,
        recipe: &Recipe,
        of: &[RegistryAddress],
    ) -> Result<Vec<RegistryAddress>> {
        let (tree, recipe, of) = (tree.to_owned(), recipe.clone(), of.to_vec());
        let looked = tokio::task::spawn_blocking(move || context::bases(&tree, &recipe, &of)).await;
        looked.map_err(error::unreachable)?
    }

    fn build(&self, order: BuildOrder) -> BoxStream<'static, Result<BuildEvent>> {
        let inner = self.inner.clone();
        driven(async move |tell| {
            let limit = order.limits.time;
            match timeout(limit, inner.built(order, &tell)).await {
                Ok(ended) => ended,
                Err(_) => {
                    let why = format!(
                        "The engine worked longer than {} min, so the build was stopped. Make it smaller, or allow more time.",
                        limit.as_secs().div_ceil(60)
                    );
                    tell_all(&tell, [BuildEvent::Failed(before_any_step(why))]).await;
                    Ok(())
                }
            }
        })
    }

    async fn find(&self, build: BuildId) -> Result<Option<ImageFacts>> {
        in_time(self.inner.found(build)).await
    }

    async fn forget(&self, build: BuildId) -> Result<()> {
        in_time(async {
            let tag = self.inner.tag(build);
            let options = RemoveImageOptionsBuilder::default().build();
            match self.inner.engine().await?.remove_image(&tag, Some(options), None).await {
                Err(gone) if error::is_gone(&gone) => Ok(()),
                other => Ok(other.map(drop)?),
            }
        })
        .await
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(QUESTION, work)
        .await
        .unwrap_or_else(|_| Err(error::unreachable(anyhow!("no answer in {QUESTION:?}"))))
}

async fn tell_all(tell: &mpsc::Sender<BuildEvent>, events: impl IntoIterator<Item = BuildEvent>) {
    for event in events {
        // Nobody listens any more only when this is dropped, too.
        let _ = tell.send(event).await;
    }
}

fn before_any_step(why: String) -> BuildFailure {
    BuildFailure { step: None, name: None, exit_code: None, why, last_lines: Vec::new() }
}

impl Inner {
    async fn engine(&self) -> Result<&Docker> {
        self.engine
            .get_or_try_init(|| async {
                let socket = &self.options.engine_socket;
                let path = socket.to_str().ok_or_else(|| {
                    error::unreachable(anyhow!("{} is no text", socket.display()))
                })?;
                let engine = Docker::connect_with_unix(path, 60, bollard::API_DEFAULT_VERSION)
                    .map_err(error::unreachable)?;
                engine.negotiate_version().await.map_err(error::unreachable)
            })
            .await
    }

    /// Of this installation and this build: two that share an engine never meet.
    fn tag(&self, build: BuildId) -> String {
        let installation = self.options.installation.simple().to_string();
        format!("{KEEP}:{}-{}", &installation[installation.len() - 8..], build.0.simple())
    }

    async fn has_buildkit(&self) -> Result<bool> {
        let version = in_time(async { Ok(self.engine().await?.version().await?) }).await?;
        let is_podman =
            version.components.iter().flatten().any(|part| part.name.contains("Podman"));
        let api = version.api_version.unwrap_or_default();
        let minor = api.strip_prefix("1.").and_then(|minor| minor.parse::<u32>().ok()).unwrap_or(0);
        Ok(!self.options.classic_only && !is_podman && minor >= 39)
    }

    async fn built(&self, order: BuildOrder, tell: &mpsc::Sender<BuildEvent>) -> Result<()> {
        order.recipe.check().map_err(|wrong| error::refused(wrong.0))?;
        let buildkit = self.has_buildkit().await?;
        if !buildkit && !order.secrets.is_empty() {
            return Err(error::refused(
                "it has no BuildKit, and without it a secret would be kept in the image. Build without secrets, or with Docker 18.09 or newer.",
            ));
        }
        for (address, _) in &order.registries {
            super::registry::may_be_asked(&self.options.git.outgoing, address)
                .await
                .map_err(error::refused)?;
        }
        let (tree, recipe, limits) = (order.tree.clone(), order.recipe.clone(), order.limits);
        let looked =
            tokio::task::spawn_blocking(move || Context::look(&tree, &recipe, &limits)).await;
        let context = looked.map_err(error::unreachable)??;
        let (bytes, entries) = (context.bytes, context.count());

        let mut tasks = JoinSet::new();
        let id = format!(
            "{}-{}",
            order.build.0.simple(),
            OffsetDateTime::now_utc().unix_timestamp_nanos()
        );
        let socket = &self.options.engine_socket;
        let _session = match buildkit {
            true => {
                let (secrets, registries) = (order.secrets.clone(), order.registries.clone());
                Some(Session::open(socket, &id, Offered { secrets, registries }).await?)
            }
            false => None,
        };
        let mut sender = http::connect(socket, &mut tasks).await?;
        let target = format!(
            "/build{}",
            http::query(&self.parameters(&order, &context.file, buildkit.then_some(&id))?)
        );
        let (to, from) = mpsc::channel(16);
        // Ends when the connection does, because then nobody takes what it reads.
        tokio::task::spawn_blocking(move || context.send(to));
        let pieces =
            futures::stream::unfold(
                from,
                |mut from| async move { Some((from.recv().await?, from)) },
            );
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(target)
            .header("host", "localhost")
            .header("content-type", "application/x-tar");
        if !buildkit && !order.registries.is_empty() {
            request = request.header("x-registry-config", logins(&order.registries));
        }
        let request = request
            .body(BodyExt::boxed(StreamBody::new(pieces.map(|piece| piece.map(Frame::data)))))
            .map_err(error::unreachable)?;
        let response = sender.send_request(request).await.map_err(error::unreachable)?;
        tell_all(tell, [BuildEvent::Context { bytes, entries }]).await;
        if response.status() != StatusCode::OK {
            return Err(refusal(response).await);
        }

        let mut follow = Follow { steps: Steps::new(&order.secrets), ended: None };
        let mut body = BodyStream::new(response.into_body());
        let mut held = BytesMut::new();
        while let Some(frame) = body.next().await {
            let Ok(some) = frame.map_err(error::unreachable)?.into_data() else { continue };
            held.extend_from_slice(&some);
            // Each message ends with a line break.
            while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                let message = held.split_to(end + 1);
                tell_all(tell, follow.take(&message)).await;
            }
            if held.len() > MESSAGE {
                return Err(error::unreachable(anyhow!("a message of its progress has no end")));
            }
        }
        tell_all(tell, follow.take(&held)).await;
        let mut events = Vec::new();
        let now = OffsetDateTime::now_utc();
        let last_word = follow.ended.take();
        follow.steps.end_current(now, last_word.as_deref(), &mut events);
        tell_all(tell, events).await;
        if let Some(last_word) = last_word {
            let mut failure = follow.steps.failure(&last_word);
            if let Some(platform) = &order.recipe.platform {
                explain_foreign(&mut failure, platform, &last_word);
            }
            tell_all(tell, [BuildEvent::Failed(failure)]).await;
            return Ok(());
        }
        match in_time(self.found(order.build)).await? {
            Some(facts) => tell_all(tell, [BuildEvent::Done(facts)]).await,
            None => {
                return Err(error::unreachable(anyhow!(
                    "the build ended, but its image is not there"
                )));
            }
        }
        Ok(())
    }

    /// What the engine is asked, as its API names it.
    fn parameters(
        &self,
        order: &BuildOrder,
        file: &str,
        session: Option<&String>,
    ) -> Result<Vec<(&'static str, String)>> {
        let json =
            |map: &HashMap<&str, &str>| serde_json::to_string(map).map_err(error::unreachable);
        let recipe = &order.recipe;
        let (build, installation) =
            (order.build.to_string(), self.options.installation.to_string());
        let mut labels: HashMap<&str, &str> =
            order.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        labels.insert(BUILD, &build);
        labels.insert(super::labels::INSTALLATION, &installation);
        let arguments =
            recipe.arguments.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();

        let mut all = vec![
            ("t", self.tag(order.build)),
            ("dockerfile", file.to_owned()),
            ("labels", json(&labels)?),
            ("buildargs", json(&arguments)?),
            ("rm", "1".to_owned()),
            ("forcerm", "1".to_owned()),
        ];
        all.extend(order.tags.iter().map(|tag| ("t", tag.to_string())));
        all.extend(recipe.stage.iter().map(|stage| ("target", stage.to_string())));
        all.extend(recipe.platform.iter().map(|platform| ("platform", platform.to_string())));
        if recipe.no_cache {
            all.push(("nocache", "1".to_owned()));
        }
        if let Some(session) = session {
            all.extend([
                ("version", "2".to_owned()),
                ("session", session.clone()),
                ("buildid", session.clone()),
            ]);
        }
        Ok(all)
    }

    async fn found(&self, build: BuildId) -> Result<Option<ImageFacts>> {
        let engine = self.engine().await?;
        let installation = self.options.installation.to_string();
        let filters = super::labels::filter([
            (BUILD, build.to_string()),
            (super::labels::INSTALLATION, installation),
        ]);
        let listed = engine
            .list_images(Some(ListImagesOptionsBuilder::default().filters(&filters).build()))
            .await?;
        let Some(first) = listed.into_iter().next() else { return Ok(None) };
        let found = match engine.inspect_image(&first.id).await {
            Ok(found) => found,
            Err(gone) if error::is_gone(&gone) => return Ok(None),
            Err(other) => return Err(other.into()),
        };
        let reference: ImageReference = self.tag(build).parse().map_err(error::unreachable)?;
        image::facts(&reference, found).map(Some)
    }
}

/// What the kernel says of a program for another machine names neither of them.
fn explain_foreign(failure: &mut BuildFailure, platform: &Platform, last_word: &str) {
    let mut said = failure.last_lines.iter().map(String::as_str).chain([last_word]);
    if said.any(|line| line.contains("exec format error")) {
        failure.why = format!(
            "A step runs a program for {platform}, and this machine can not. Leave the platform empty, set up emulation (binfmt) here, or let the recipe cross-compile."
        );
    }
}

/// Credentials as the classic builder takes them: by the address of their registry.
fn logins(of: &[(RegistryAddress, Credentials)]) -> String {
    let all: serde_json::Map<_, _> = of
        .iter()
        .map(|(address, known)| {
            let server = super::registry::server_of(address);
            let login = serde_json::json!({
                "username": known.user.as_str(),
                "password": known.password(),
            });
            (server.to_owned(), login)
        })
        .collect();
    let all = serde_json::Value::Object(all).to_string();
    base64::engine::general_purpose::URL_SAFE.encode(all)
}

/// The engine understood the request and will not carry it out, or is not well.
async fn refusal(response: ::http::Response<hyper::body::Incoming>) -> Error {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    let status = response.status();
    let body = Limited::new(response.into_body(), 64 * 1024).collect().await;
    let body = body.map(|all| all.to_bytes()).unwrap_or_default();
    let said = serde_json::from_slice::<Said>(&body)
        .map_or_else(|_| status.to_string(), |said| said.message);
    if status.is_client_error() {
        error::refused(error::sentence(&said))
    } else {
        error::unreachable(anyhow!(error::sentence(&said)))
    }
}

/// Reads the engine's answer, message by message.
struct Follow {
    steps: Steps,
    /// What it ended with, where that was no image.
    ended: Option<String>,
}

/// One message of the engine's progress.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    id: String,
    #[serde(default)]
    stream: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    aux: Option<serde_json::Value>,
}

impl Follow {
    fn take(&mut self, message: &[u8]) -> Vec<BuildEvent> {
        let Ok(message) = serde_json::from_slice::<Message>(message) else { return Vec::new() };
        if let Some(error) = message.error {
            self.ended = Some(error);
            return Vec::new();
        }
        if message.id == "moby.buildkit.trace" {
            let decoded = message.aux.as_ref().and_then(serde_json::Value::as_str);
            let decoded = decoded
                .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
            return decoded
                .map_or_else(Vec::new, |bytes| self.steps.take(&wire::Status::read(&bytes)));
        }
        let now = OffsetDateTime::now_utc();
        match (message.stream, message.status) {
            (Some(text), _) => self.steps.take_text(&text, now),
            // A base image that is fetched.
            (None, Some(status)) => {
                self.steps.take_text(&format!("{} {status}\n", message.id), now)
            }
            (None, None) => Vec::new(),
        }
    }
}
