//! Registries, as the container engine meets them: it logs in, sends and fetches, and says in its own
//! words what came of it. Those words are sorted here.
//!
//! The engine does the transfers, so it is asked whether they would work: a certificate that we
//! believe and it does not is of no use.

use super::{DockerTarget, error, in_time};
use crate::{
    DEADLINE, Error, PULL_DEADLINE, Result,
    outgoing::{Failure, Outgoing},
    registry::{ASK_DEADLINE, Credentials, PUSH_DEADLINE, Push, SILENCE, Told},
};
use anyhow::{Context, anyhow};
use bollard::{
    auth::DockerCredentials,
    models::ProgressDetail,
    query_parameters::{
        CreateImageOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptionsBuilder,
        TagImageOptionsBuilder,
    },
};
use bytes::Bytes;
use domain::{
    name::{ContentId, Digest, ImageReference, ImageTag, RegistryAddress, Repository},
    registry::{Progress, Standing},
};
use futures::{Stream, StreamExt};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use std::{collections::BTreeMap, pin::pin};
use tokio::net::UnixStream;

/// The longest answer to a login that is read.
const LONGEST_ANSWER: usize = 64 << 10;
/// Asked for to see whether who answers is a registry at all. That it is not there is an answer.
const NOWHERE: &str = "pilothouse/nothing-of-this-name:none";
/// How engines call the registry that needs no name.
const HUB: &str = "docker.io";
const HUB_LOGIN: &str = "https://index.docker.io/v1/";

/// Whether a registry may be asked at all: a name that a person typed must not lead the engine to
/// this machine itself. Whether it answers is the engine's to find out, by its own name server.
pub(super) async fn may_be_asked(
    outgoing: &Outgoing,
    address: &RegistryAddress,
) -> std::result::Result<(), String> {
    let (host, port) = match address.as_str() {
        HUB => ("registry-1.docker.io", 443),
        other => match other.split_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(443)),
            None => (other, 443),
        },
    };
    match outgoing.addresses(host, port).await {
        Err(Failure::Forbidden(why)) => Err(why),
        Ok(_) | Err(Failure::Unreachable(_)) => Ok(()),
    }
}

/// As engines call the server of an address when they sign in there.
pub(super) fn server_of(address: &RegistryAddress) -> &str {
    if address.as_str() == HUB { HUB_LOGIN } else { address.as_str() }
}

impl DockerTarget {
    /// `Target::try_registry`.
    pub(super) async fn stands(
        &self,
        address: &RegistryAddress,
        credentials: Option<&Credentials>,
    ) -> Result<Standing> {
        if let Err(said) = may_be_asked(&self.options.outgoing, address).await {
            return Ok(Standing::Forbidden { said });
        }
        let asked =
            tokio::time::timeout(ASK_DEADLINE, async {
                if let Some(credentials) = credentials {
                    let (status, said) = self.log_in(address, credentials).await?;
                    if !status.is_success() {
                        return Ok(standing(Some(status.as_u16()), &said));
                    }
                }
                let nothing = format!("{address}/{NOWHERE}");
                let asked = self.digest_of(&nothing, address, credentials).await?;
                Ok(match asked {
                    // Some registries say so of what is not there. The login itself was accepted.
                    Err(
                        Standing::WantsLogin | Standing::WrongPassword | Standing::Denied { .. },
                    ) if credentials.is_some() => Standing::Accepted,
                    Ok(_) | Err(Standing::Missing) => Standing::Accepted,
                    Err(other) => other,
                })
            });
        asked.await.unwrap_or(Ok(Standing::Slow))
    }

    /// `Target::points_to`.
    pub(super) async fn points(
        &self,
        reference: &ImageReference,
        address: &RegistryAddress,
        credentials: Option<&Credentials>,
    ) -> Result<Result<Digest, Standing>> {
        if let Err(said) = may_be_asked(&self.options.outgoing, address).await {
            return Ok(Err(Standing::Forbidden { said }));
        }
        let asked = self.digest_of(reference.as_str(), address, credentials);
        tokio::time::timeout(ASK_DEADLINE, asked).await.unwrap_or(Ok(Err(Standing::Slow)))
    }

    async fn digest_of(
        &self,
        reference: &str,
        address: &RegistryAddress,
        credentials: Option<&Credentials>,
    ) -> Result<Result<Digest, Standing>> {
        let engine = self.engine().await?;
        let login = credentials.map(|credentials| of_bollard(address, credentials));
        match engine.inspect_registry_image(reference, login).await {
            Ok(found) => {
                let digest = found.descriptor.digest.unwrap_or_default();
                Ok(digest.parse().map_err(|_| Standing::NotARegistry))
            }
            Err(failed) => Ok(Err(why(&failed).ok_or_else(|| error::unreachable(failed))?)),
        }
    }

    /// The engine's own login, which is more than the two lines of a client: it finds out how the
    /// registry wants to be told. Not among the calls of the client library.
    async fn log_in(
        &self,
        address: &RegistryAddress,
        credentials: &Credentials,
    ) -> Result<(StatusCode, String)> {
        let server = server_of(address);
        let body = serde_json::json!({
            "username": credentials.user.as_str(),
            "password": credentials.password(),
            "serveraddress": server,
        });
        let asked = async {
            let socket = UnixStream::connect(&self.options.engine_socket).await?;
            let (mut sender, connection) = handshake(TokioIo::new(socket)).await?;
            let connection = tokio::spawn(connection);
            let request = Request::builder()
                .method(Method::POST)
                .uri("/auth")
                .header(header::HOST, "localhost")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(Bytes::from(body.to_string())))?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let read = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
            connection.abort();
            let bytes = read.map_err(|error| anyhow!(error))?.to_bytes();
            let said: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let said = said["message"].as_str().unwrap_or_default().to_owned();
            anyhow::Ok((status, said))
        };
        asked.await.context("asking the engine to log in").map_err(error::unreachable)
    }

    /// `Target::push`.
    pub(super) async fn send(&self, push: &Push<'_>, told: &Told) -> Result<Digest> {
        self.check(&push.to.address()).await?;
        let tagged = in_time(self.tag_for(push)).await?;
        let sent = tokio::time::timeout(PUSH_DEADLINE, self.send_all(push, told)).await;
        let sent = sent.unwrap_or_else(|_| Err(slow(push.to)));
        if let Err(error) = in_time(self.untag(push, &tagged)).await {
            tracing::debug!(%error, "Tags of a push could not be taken away");
        }
        sent
    }

    async fn check(&self, address: &RegistryAddress) -> Result<()> {
        let asked = may_be_asked(&self.options.outgoing, address).await;
        asked.map_err(|said| error::refused(Standing::Forbidden { said }.sentence(address)))
    }

    /// Gives the image the names it is sent by. Returns those it did not have before.
    async fn tag_for(&self, push: &Push<'_>) -> Result<Vec<ImageTag>> {
        let engine = self.engine().await?;
        let gone = || {
            error::refused(format!(
                "the image {} is gone from this machine, so it can not be pushed.",
                push.image.short()
            ))
        };
        let there = self.inspected_image(push.image.as_str()).await?.ok_or_else(gone)?;
        let had = there.repo_tags.unwrap_or_default();
        let mut made = Vec::new();
        for tag in push.tags {
            if had.contains(&push.to.tagged(tag).to_string()) {
                continue;
            }
            let options =
                TagImageOptionsBuilder::default().repo(push.to.as_str()).tag(tag.as_str());
            match engine.tag_image(push.image.as_str(), Some(options.build())).await {
                Err(missing) if error::is_gone(&missing) => return Err(gone()),
                other => other?,
            }
            made.push(tag.clone());
        }
        Ok(made)
    }

    /// Takes away the names that were only needed on the way, unless they are the image's last.
    async fn untag(&self, push: &Push<'_>, made: &[ImageTag]) -> Result<()> {
        let Some(there) = self.inspected_image(push.image.as_str()).await? else { return Ok(()) };
        let ours: Vec<_> = made.iter().map(|tag| push.to.tagged(tag).to_string()).collect();
        let has = there.repo_tags.unwrap_or_default();
        if has.iter().all(|tag| ours.contains(tag)) {
            return Ok(());
        }
        for tag in ours {
            let options = RemoveImageOptionsBuilder::default().build();
            match self.engine().await?.remove_image(&tag, Some(options), None).await {
                Err(gone) if error::is_gone(&gone) => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// Each tag is a push of its own; after the first the registry has all layers already.
    async fn send_all(&self, push: &Push<'_>, told: &Told) -> Result<Digest> {
        let address = push.to.address();
        let engine = self.engine().await?;
        let mut digest = None;
        let mut layers = Layers::default();
        for tag in push.tags {
            let options = PushImageOptionsBuilder::default().tag(tag.as_str()).build();
            let login = push.credentials.map(|credentials| of_bollard(&address, credentials));
            let sending = engine.push_image(push.to.as_str(), Some(options), login);
            let mut sending = pin!(sending);
            while let Some(said) = next(&mut sending, push.to).await? {
                let said = said.map_err(|failed| failure(&failed, &address, push.to.as_str()))?;
                let status = said.status.unwrap_or_default();
                if let Some(sent) = digest_said(&status) {
                    digest = Some(sent);
                }
                if status == "Pushing" {
                    layers.note(None, said.progress_detail.as_ref());
                }
                told.send_replace(layers.progress(&status, "Pushing"));
            }
        }
        digest.ok_or_else(|| {
            error::unreachable(anyhow!("{address} took the image and did not say its digest"))
        })
    }

    /// `Target::pull`.
    pub(super) async fn fetch(
        &self,
        reference: &ImageReference,
        repository: &Repository,
        credentials: Option<&Credentials>,
        told: &Told,
    ) -> Result<()> {
        let address = repository.address();
        self.check(&address).await?;
        let mut options = CreateImageOptionsBuilder::default().from_image(reference.as_str());
        if reference.tag().is_none() && !reference.as_str().contains('@') {
            // Without a tag the engine would fetch all of them.
            options = options.tag("latest");
        }
        let login = credentials.map(|credentials| of_bollard(&address, credentials));
        let work = async {
            let engine = self.engine().await?;
            let mut fetching = pin!(engine.create_image(Some(options.build()), None, login));
            let mut layers = Layers::default();
            while let Some(said) = next(&mut fetching, repository).await? {
                let said = said.map_err(|failed| failure(&failed, &address, reference.as_str()))?;
                let status = said.status.unwrap_or_default();
                if status == "Downloading" {
                    layers.note(said.id, said.progress_detail.as_ref());
                }
                told.send_replace(layers.progress(&status, "Downloading"));
            }
            Ok(())
        };
        tokio::time::timeout(PULL_DEADLINE, work).await.unwrap_or_else(|_| Err(slow(repository)))
    }

    /// `Target::digests`.
    pub(super) async fn repo_digests(
        &self,
        image: &ContentId,
    ) -> Result<Vec<(Repository, Digest)>> {
        let found = self.inspected_image(image.as_str()).await?;
        let all = found.and_then(|found| found.repo_digests).unwrap_or_default();
        Ok(all.iter().filter_map(|one| repo_digest(one)).collect())
    }
}

/// The next thing that is said, unless nothing is for too long.
async fn next<T>(
    said: &mut (impl Stream<Item = T> + Unpin),
    repository: &Repository,
) -> Result<Option<T>> {
    tokio::time::timeout(SILENCE, said.next()).await.map_err(|_| slow(repository))
}

fn slow(repository: &Repository) -> Error {
    let address = repository.address();
    Error::Unreachable {
        target: format!("The registry {address}"),
        source: anyhow!(Standing::Slow.sentence(&address)),
    }
}

fn of_bollard(address: &RegistryAddress, credentials: &Credentials) -> DockerCredentials {
    DockerCredentials {
        username: Some(credentials.user.to_string()),
        password: Some(credentials.password().to_owned()),
        serveraddress: Some(server_of(address).to_owned()),
        ..DockerCredentials::default()
    }
}

/// `REPOSITORY@DIGEST`. What names no registry is the hub's.
fn repo_digest(written: &str) -> Option<(Repository, Digest)> {
    let (name, digest) = written.split_once('@')?;
    let first = name.split('/').next()?;
    let names_it = name.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let repository = match (names_it, name.contains('/')) {
        (true, _) => name.parse().ok()?,
        (false, true) => format!("{HUB}/{name}").parse().ok()?,
        (false, false) => format!("{HUB}/library/{name}").parse().ok()?,
    };
    Some((repository, digest.parse().ok()?))
}

/// `1.0.0: digest: sha256:… size: 528`: both engines end a push with this line. The digest is the
/// registry's; what is kept locally may have another one.
fn digest_said(status: &str) -> Option<Digest> {
    let (_, rest) = status.split_once("digest: ")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// How far each layer is. A push does not name its layers in the client library, so they are told
/// apart by their size: two of exactly one size count once.
#[derive(Debug, Default)]
struct Layers(BTreeMap<(String, i64), i64>);

impl Layers {
    fn note(&mut self, layer: Option<String>, detail: Option<&ProgressDetail>) {
        let Some(detail) = detail else { return };
        let (Some(current), Some(total)) = (detail.current, detail.total) else { return };
        if total <= 0 {
            return;
        }
        let far = self.0.entry((layer.unwrap_or_default(), total)).or_default();
        *far = current.clamp(*far, total);
    }

    fn progress(&self, status: &str, moving: &str) -> Progress {
        let sum = |numbers: &mut dyn Iterator<Item = i64>| {
            numbers.fold(0_u64, |sum, n| sum.saturating_add(u64::try_from(n).unwrap_or(0)))
        };
        Progress {
            bytes: sum(&mut self.0.values().copied()),
            of_bytes: sum(&mut self.0.keys().map(|(_, total)| *total)),
            // The engine repeats this many times a second.
            says: if status == moving { String::new() } else { error::sentence(status) },
        }
    }
}

/// What a registry said through the engine. `None`: the engine itself did not answer.
fn why(failed: &bollard::errors::Error) -> Option<Standing> {
    match failed {
        bollard::errors::Error::DockerResponseServerError { status_code, message } => {
            Some(standing(Some(*status_code), message))
        }
        bollard::errors::Error::DockerStreamError { error } => Some(standing(None, error)),
        _ => None,
    }
}

/// What a transfer came to, for who asked for it.
fn failure(failed: &bollard::errors::Error, address: &RegistryAddress, what: &str) -> Error {
    match why(failed) {
        None => error::unreachable(anyhow!("{failed}")),
        Some(Standing::Missing) => error::refused(format!(
            "{what} is not there, or {address} does not show it to us. Check its name, and the login \
             that is stored for {address}."
        )),
        Some(standing) if standing.may_pass() => Error::Unreachable {
            target: format!("The registry {address}"),
            source: anyhow!(standing.sentence(address)),
        },
        Some(standing) => error::refused(standing.sentence(address)),
    }
}

/// Sorts the words of an engine about a registry. They are Go's and the registry's; the order
/// matters, because one message may hold several signs.
fn standing(status: Option<u16>, message: &str) -> Standing {
    let low = message.to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| low.contains(sign));
    let said = || error::sentence(message).trim_end_matches('.').to_owned();
    if has(&["x509:", "tls:", "server gave http response to https client", "certificate"]) {
        return Standing::Tls { said: said() };
    }
    if has(&["no basic auth credentials"]) {
        return Standing::WantsLogin;
    }
    if has(&["status: 401", "incorrect username or password", "unauthorized"]) {
        return Standing::WrongPassword;
    }
    if has(&["deadline exceeded", "timeout", "timed out"]) {
        return Standing::Slow;
    }
    if has(&["dial tcp", "no such host", "connection re", "no route to host", "eof"]) {
        return Standing::Gone { said: said() };
    }
    if has(&[
        "manifest unknown",
        "not found: manifest",
        "name unknown",
        "repository does not exist",
    ]) {
        return Standing::Missing;
    }
    if has(&["denied", "status: 403", "forbidden"]) {
        return Standing::Denied { said: said() };
    }
    if has(&["toomanyrequests", "too many requests"]) {
        return Standing::Failing { said: said() };
    }
    if has(&["invalid character", "error parsing http", "status: 404", "status: 405"]) {
        return Standing::NotARegistry;
    }
    if has(&["status: 5", "status code 5", "server error", "service unavailable", "bad gateway"])
        || has(&["no space left", "unknown: unknown error", "http status: 5"])
    {
        return Standing::Failing { said: said() };
    }
    match status {
        Some(401) => Standing::WrongPassword,
        Some(403) => Standing::Denied { said: said() },
        Some(404) => Standing::Missing,
        _ => Standing::Other { said: said() },
    }
}

/// Nobody is waited for longer than a question may take.
const _: () = assert!(DEADLINE.as_secs() < ASK_DEADLINE.as_secs());

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of Docker 20.10, 28 and Podman 4.9 as they came.
    #[test]
    fn what_an_engine_says_of_a_registry_is_sorted() {
        let kind = |status, said| match standing(status, said) {
            Standing::Accepted => "accepted",
            Standing::WantsLogin => "wants login",
            Standing::WrongPassword => "password",
            Standing::Denied { .. } => "denied",
            Standing::Gone { .. } => "gone",
            Standing::Forbidden { .. } => "forbidden",
            Standing::Slow => "slow",
            Standing::Tls { .. } => "tls",
            Standing::NotARegistry => "no registry",
            Standing::Failing { .. } => "failing",
            Standing::Missing => "missing",
            Standing::Other { .. } => "other",
        };
        for (status, said, expected) in [
            (
                Some(500),
                "login attempt to http://r:1/v2/ failed with status: 401 Unauthorized",
                "password",
            ),
            (Some(401), "unauthorized: authentication required", "password"),
            (None, "unauthorized: authentication required", "password"),
            (Some(500), "Get \"http://r:1/v2/\": no basic auth credentials", "wants login"),
            (
                Some(500),
                "Get \"http://r:9/v2/\": dial tcp 127.0.0.1:9: connect: connection refused",
                "gone",
            ),
            (
                Some(500),
                "Get \"https://r/v2/\": dial tcp: lookup r on 10.0.0.1:53: no such host",
                "gone",
            ),
            (Some(500), "Get \"https://r/v2/\": net/http: TLS handshake timeout", "slow"),
            (
                Some(500),
                "Get \"https://r/v2/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                "slow",
            ),
            (Some(500), "Get \"https://r/v2/\": dial tcp 10.0.0.1:443: i/o timeout", "slow"),
            (
                Some(500),
                "Get \"https://r/v2/\": x509: certificate signed by unknown authority",
                "tls",
            ),
            (
                Some(500),
                "Get \"https://r/v2/\": tls: failed to verify certificate: x509: certificate has expired",
                "tls",
            ),
            (
                Some(500),
                "Get \"https://r:1/v2/\": http: server gave HTTP response to HTTPS client",
                "tls",
            ),
            (
                Some(500),
                "login attempt to http://r:1/v2/ failed with status: 404 Not Found",
                "no registry",
            ),
            (
                Some(500),
                "error unmarshalling content: invalid character '<' looking for beginning of value",
                "no registry",
            ),
            (Some(404), "manifest unknown: manifest unknown", "missing"),
            (
                Some(404),
                "manifest for r/a:1 not found: manifest unknown: manifest unknown",
                "missing",
            ),
            (Some(403), "denied: requested access to the resource is denied", "denied"),
            (None, "received unexpected HTTP status: 500 Internal Server Error", "failing"),
            (None, "received unexpected HTTP status: 503 Service Unavailable", "failing"),
            (None, "toomanyrequests: You have reached your pull rate limit", "failing"),
            (None, "something else", "other"),
        ] {
            assert_eq!(kind(status, said), expected, "{said}");
        }
    }

    #[test]
    fn the_digest_is_the_one_that_the_push_ends_with() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let line = format!("1.0.0: digest: {digest} size: 528");
        assert_eq!(digest_said(&line).map(String::from), Some(digest));
        assert_eq!(digest_said("Pushed"), None);
        assert_eq!(digest_said("1: digest: sha256:short size: 1"), None);
    }

    #[test]
    fn a_digest_belongs_to_its_repository_and_what_has_no_registry_is_the_hubs() {
        let of = |name: &str| {
            let (repository, _) = repo_digest(&format!("{name}@sha256:{}", "a".repeat(64)))?;
            Some(repository.to_string())
        };
        assert_eq!(of("127.0.0.1:5000/demo/a").as_deref(), Some("127.0.0.1:5000/demo/a"));
        assert_eq!(of("postgres").as_deref(), Some("docker.io/library/postgres"));
        assert_eq!(of("team/api").as_deref(), Some("docker.io/team/api"));
        assert_eq!(repo_digest("<none>@<none>"), None);
    }

    #[test]
    fn layers_are_counted_once_and_never_beyond_their_size() {
        let mut layers = Layers::default();
        let detail = |current, total| ProgressDetail { current: Some(current), total: Some(total) };
        for (current, total) in [(10, 100), (50, 100), (40, 100), (7, 20), (120, 100), (5, 0)] {
            layers.note(None, Some(&detail(current, total)));
        }
        let progress = layers.progress("Pushing", "Pushing");
        assert_eq!((progress.bytes, progress.of_bytes, progress.says.as_str()), (107, 120, ""));
    }

    #[test]
    fn a_password_is_in_no_debug_output() {
        let credentials = Credentials::new("robot".parse().expect("good"), "hunter2");
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
