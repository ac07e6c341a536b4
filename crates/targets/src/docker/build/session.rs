//! The other half of a build with `BuildKit`: a connection by which the engine asks *us*.
//!
//! It asks for the secrets that a step mounts, for the credentials of the registry that a base image
//! is in, and every second whether we are still there. The
//! connection is turned around after an upgrade: HTTP/2, with us as the server. It ends with the
//! build, and a build does not outlive it.

use super::{context::HUB, http, wire};
use crate::{Result, build::Hidden, docker::error, registry::Credentials};
use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use anyhow::anyhow;
use bytes::{BufMut, Bytes, BytesMut};
use domain::name::RegistryAddress;
use futures::stream;
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{convert::Infallible, path::Path, sync::Arc};
use tokio::task::JoinSet;

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const CREDENTIALS: &str = "/moby.filesync.v1.Auth/Credentials";
/// As the engine asks for the registry that needs no name.
const HUB_HOST: &str = "registry-1.docker.io";

/// Codes of gRPC's specification.
const NOT_FOUND: u8 = 5;
const UNIMPLEMENTED: u8 = 12;

/// The longest question of the engine.
const QUESTION: usize = 64 * 1024;

/// Answers until it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    _tasks: JoinSet<()>,
}

/// What may be asked for: each secret by its id, the credentials of each registry by its host.
#[derive(Debug)]
pub(super) struct Offered {
    pub secrets: Vec<(String, Hidden)>,
    pub registries: Vec<(RegistryAddress, Credentials)>,
}

impl Session {
    pub async fn open(socket: &Path, id: &str, offered: Offered) -> Result<Self> {
        let mut tasks = JoinSet::new();
        let mut sender = http::connect(socket, &mut tasks).await?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/session")
            .header("host", "localhost")
            .header("connection", "Upgrade")
            .header("upgrade", "h2c")
            .header("x-docker-expose-session-uuid", id)
            .header("x-docker-expose-session-name", "pilothouse");
        for method in [HEALTH, SECRET, CREDENTIALS] {
            request = request.header("x-docker-expose-session-grpc-method", method);
        }
        let empty = Full::new(Bytes::new()).map_err(|never| match never {}).boxed();
        let request = request.body(empty).map_err(error::unreachable)?;
        let mut response = sender.send_request(request).await.map_err(error::unreachable)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(error::unreachable(anyhow!(
                "it opens no session for a build: {}",
                response.status()
            )));
        }
        let turned = hyper::upgrade::on(&mut response).await.map_err(error::unreachable)?;
        let offered = Arc::new(offered);
        tasks.spawn(async move {
            // Without the sender the connection would end before it is turned around.
            let _sender = sender;
            let answer = service_fn(move |request| answer(request, offered.clone()));
            let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(turned, answer);
            // The engine ends it when the build is over.
            let _ = serving.await;
        });
        Ok(Self { _tasks: tasks })
    }
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(
    request: Request<Incoming>,
    offered: Arc<Offered>,
) -> std::result::Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        // 1: it serves.
        HEALTH => good(&wire::number(1, 1)),
        SECRET => {
            let wanted = first_word(request).await;
            match offered.secrets.iter().find(|(name, _)| Some(name.as_str()) == wanted.as_deref())
            {
                Some((_, value)) => good(&wire::message(1, value.expose().as_bytes())),
                None => bad(NOT_FOUND),
            }
        }
        CREDENTIALS => {
            let host = first_word(request).await.unwrap_or_default();
            let host = if host == HUB_HOST { HUB } else { &host };
            match offered.registries.iter().find(|(address, _)| address.as_str() == host) {
                Some((_, known)) => {
                    let mut both = wire::message(1, known.user.as_str().as_bytes());
                    both.extend(wire::message(2, known.password().as_bytes()));
                    good(&both)
                }
                // Without a login, as anybody.
                None => good(&[]),
            }
        }
        _ => bad(UNIMPLEMENTED),
    })
}

/// The id in a `GetSecretRequest`, the host in a `CredentialsRequest`: after the five bytes that come
/// before each message.
async fn first_word(request: Request<Incoming>) -> Option<String> {
    let question = Limited::new(request.into_body(), QUESTION).collect().await.ok()?.to_bytes();
    let id = wire::Fields(question.get(5..)?).find_map(|field| match field {
        (1, wire::Value::Bytes(id)) => Some(id),
        _ => None,
    })?;
    String::from_utf8(id.to_vec()).ok()
}

fn good(message: &[u8]) -> Answer {
    let mut data = BytesMut::with_capacity(message.len() + 5);
    data.put_u8(0);
    data.put_u32(u32::try_from(message.len()).unwrap_or(0));
    data.put_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Ok(Frame::data(data.freeze())), Ok(Frame::trailers(trailers))];
    grpc(StreamBody::new(stream::iter(frames)).boxed())
}

fn bad(code: u8) -> Answer {
    let mut answer = grpc(Full::new(Bytes::new()).boxed());
    answer.headers_mut().insert("grpc-status", HeaderValue::from(u16::from(code)));
    answer
}

fn grpc(body: BoxBody<Bytes, Infallible>) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    answer
}

/// Only so that the type of the connection is named once.
pub(super) type Io = TokioIo<tokio::net::UnixStream>;
