//! The control socket: who may speak, and the calls of [`domain::route`].

use crate::{
    bell::Bell,
    journal::JournalFile,
    state::{Write, refusal},
    worker::Crew,
    writer::Writer,
};
use anyhow::{Context, bail};
use bytes::Bytes;
use domain::{
    id::PlacementId,
    route::{
        BreakGlass, Close, Closed, Fence, Hello, Listener, PROTOCOL, Put, Refusal, RefusalCode,
        Remove, Routed, Routes, Switch,
        traffic::{AllTraffic, Traffic},
    },
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    convert::Infallible,
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use time::OffsetDateTime;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};
use tracing::{debug, warn};
use uuid::Uuid;

/// A body of a call, at most: a route with every bound exhausted is smaller.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// For a body to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// A connection without a call is closed after this.
const IDLE_WITHIN: Duration = Duration::from_secs(60);

/// Connections that may be open at once.
const MAX_CONNECTIONS: usize = 64;

/// What the calls are about.
#[derive(Debug)]
pub struct Control {
    pub boot: Uuid,
    pub started_at: OffsetDateTime,
    pub listeners: Vec<Listener>,
    pub lost_routes: bool,
    pub draining: AtomicBool,
    pub crew: Arc<Crew>,
    pub writer: Writer,
    pub journal: JournalFile,
    /// Rung when a newer router has taken over: stop as if told to.
    pub taken_over: Bell,
}

/// Binds the socket, 0600, in a directory in which nobody else can put one. One that a dead router
/// left is replaced; a living one is an error.
pub fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        crate::state::file::make_private_dir(dir)?;
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => bail!("another router listens at {}", path.display()),
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(_) => fs::remove_file(path)
            .with_context(|| format!("removing the dead socket {}", path.display()))?,
    }
    let listener =
        UnixListener::bind(path).with_context(|| format!("listening at {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers calls until the task is dropped.
pub async fn serve(control: Arc<Control>, listener: UnixListener) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let control = control.clone();
                tokio::spawn(async move {
                    serve_connection(control, stream).await;
                    drop(permit);
                });
            }
            Err(e) => {
                warn!(error = %e, "A call could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection(control: Arc<Control>, stream: UnixStream) {
    let uid = match stream.peer_cred() {
        Ok(peer) => peer.uid(),
        Err(e) => return warn!(error = %e, "A caller without credentials was refused"),
    };
    let allowed = uid == 0 || uid == rustix::process::geteuid().as_raw();
    if !allowed {
        warn!(uid, "A call of another user was refused");
    }
    let service = service_fn(move |request| {
        let control = control.clone();
        async move {
            let answer = if allowed {
                control.answer(request, uid).await
            } else {
                Err(refusal(RefusalCode::Forbidden, "Only the router's own user may call."))
            };
            Ok::<_, Infallible>(answer.unwrap_or_else(refused))
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_WITHIN)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(e) = served {
        debug!(error = %e, "A caller's connection ended badly");
    }
}

type Answer = Result<Response<Full<Bytes>>, Refusal>;

impl Control {
    async fn answer(&self, request: Request<Incoming>, uid: u32) -> Answer {
        let (head, body) = request.into_parts();
        let path: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
        let query = head.uri.query().unwrap_or_default();
        let (get, post) = (head.method == Method::GET, head.method == Method::POST);

        match path.as_slice() {
            ["v1", "hello"] if get => json(&self.hello()),
            ["v1", "routes"] if get => json(&self.routes()),
            ["v1", "routes", id] => {
                let id = placement(id)?;
                match head.method {
                    Method::GET => json(&self.writer.applied().of(id)),
                    Method::PUT => self.write(id, Write::Put(read::<Put>(body).await?)).await,
                    Method::DELETE => {
                        self.write(id, Write::Remove(read::<Remove>(body).await?)).await
                    }
                    _ => unknown_call(),
                }
            }
            ["v1", "routes", id, verb] if post => {
                let id = placement(id)?;
                match *verb {
                    "switch" => self.write(id, Write::Switch(read::<Switch>(body).await?)).await,
                    "fence" => self.write(id, Write::Fence(read::<Fence>(body).await?)).await,
                    "close" => json(&self.close(id, &read::<Close>(body).await?)?),
                    _ => unknown_call(),
                }
            }
            ["v1", "traffic"] if get => json(&self.all_traffic(number(query, "since")?)),
            ["v1", "traffic", id] if get => {
                json(&self.traffic(placement(id)?, number(query, "since")?)?)
            }
            ["v1", "journal"] if get => {
                let after = u64::try_from(number(query, "after")?).unwrap_or(0);
                let page = self.journal.after(after).map_err(|e| {
                    refusal(RefusalCode::NotDurable, format!("The journal can not be read: {e:#}"))
                })?;
                json(&page)
            }
            ["v1", "break-glass"] if post => {
                let ask = read::<BreakGlass>(body).await?;
                json(&self.writer.break_glass(ask, uid).await?)
            }
            ["v1", "hand-over"] if post => {
                self.draining.store(true, Ordering::SeqCst);
                // Given free already: by an attempt to take over that did not come to its end.
                let _ = self.writer.hand_over().await;
                json(&self.hello())
            }
            ["v1", "taken-over"] if post => {
                self.taken_over.ring();
                json(&self.hello())
            }
            _ => unknown_call(),
        }
    }

    async fn write(&self, placement: PlacementId, write: Write) -> Answer {
        json(&self.writer.write(placement, write).await?)
    }

    fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot: self.boot,
            started_at: self.started_at,
            now: OffsetDateTime::now_utc(),
            pid: std::process::id(),
            listeners: self.listeners.clone(),
            lost_routes: self.lost_routes,
            draining: self.draining.load(Ordering::SeqCst),
        }
    }

    fn routes(&self) -> Routes {
        Routes { routes: self.writer.applied().routes.values().cloned().collect() }
    }

    fn close(&self, placement: PlacementId, close: &Close) -> Result<Closed, Refusal> {
        let current = self.writer.applied().of(placement);
        let refuse = |code, message: &str, current: Routed| {
            Err(Refusal {
                code,
                message: message.to_owned(),
                current: Some(Box::new(current)),
                owner: None,
            })
        };
        if close.epoch < current.epoch {
            return refuse(RefusalCode::StaleEpoch, "A newer epoch holds the placement.", current);
        }
        if current.live() == Some(close.slot) {
            return refuse(RefusalCode::SlotIsLive, "The live slot is not closed.", current);
        }
        let table = self.crew.proxy.table.load();
        let told = table.placed(placement).map_or(0, |placed| placed.witness.close(close.slot));
        Ok(Closed { told })
    }

    fn traffic(&self, id: PlacementId, since: i64) -> Result<Traffic, Refusal> {
        let routed = self.writer.applied().of(id);
        let table = self.crew.proxy.table.load();
        let placed = table.placed(id).ok_or_else(|| {
            refusal(RefusalCode::UnknownPlacement, "The router never heard of the placement.")
        })?;
        Ok(placed.witness.read(id, self.boot, routed.revision, routed.live(), since))
    }

    fn all_traffic(&self, since: i64) -> AllTraffic {
        let applied = self.writer.applied();
        let with_route = applied.routes.values().filter(|routed| routed.route.is_some());
        let placements =
            with_route.filter_map(|routed| self.traffic(routed.placement, since).ok()).collect();
        AllTraffic { placements }
    }
}

fn placement(id: &str) -> Result<PlacementId, Refusal> {
    id.parse().map_err(|_| refusal(RefusalCode::Malformed, format!("{id:?} is no placement's id.")))
}

/// A whole number in the query, 0 if it is not there.
fn number(query: &str, name: &str) -> Result<i64, Refusal> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.map_or(Ok(0), |value| {
        value.parse().map_err(|_| {
            refusal(RefusalCode::Malformed, format!("{name}={value} is no whole number."))
        })
    })
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Refusal> {
    let malformed = |why: String| refusal(RefusalCode::Malformed, why);
    let bytes = timeout(BODY_WITHIN, Limited::new(body, MAX_BODY_BYTES).collect())
        .await
        .map_err(|_| malformed("The body did not arrive in time.".into()))?
        .map_err(|e| malformed(format!("The body could not be read: {e}")))?
        .to_bytes();
    serde_json::from_slice(&bytes).map_err(|e| malformed(format!("The body is wrong: {e}")))
}

fn json(value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).map_err(|e| {
        refusal(RefusalCode::Malformed, format!("The answer could not be written: {e}"))
    })?;
    Ok(response(StatusCode::OK, body))
}

fn unknown_call() -> Answer {
    Err(refusal(RefusalCode::UnknownCall, "There is no such call."))
}

fn refused(refusal: Refusal) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(refusal.code.status());
    let body = serde_json::to_vec(&refusal).unwrap_or_default();
    response(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body)
}

fn response(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
