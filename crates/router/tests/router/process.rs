//! A router as a process of its own, and calls to its control socket.

use bytes::Bytes;
use domain::{
    id::PlacementId,
    route::{Hello, Put, Refusal, Route, Routed, Switch, traffic::Traffic},
    slot::Slot,
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

const BINARY: &str = env!("CARGO_BIN_EXE_pilothouse-router");

/// What a test waits for comes in this time on a busy machine, or never.
pub const SOON: Duration = Duration::from_secs(10);

/// The epoch of writes that are not about epochs.
pub const EPOCH: i64 = 1;

/// A directory that is gone with the test. Not made: the router does that.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new() -> Self {
        Self(std::env::temp_dir().join(format!("pilothouse-router-{}", Uuid::new_v4())))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        if !std::thread::panicking() {
            let _ = std::fs::remove_file(self.0.with_extension("log"));
        }
    }
}

/// A router that runs. Killed when dropped.
pub struct Router {
    process: Child,
    pub dir: PathBuf,
    pub address: SocketAddr,
}

impl Router {
    /// Starts one on `dir` and waits until it answers.
    pub async fn start(dir: &Path, more: &[&str]) -> Self {
        let process = serve(dir, more);
        let mut router = Self { process, dir: dir.to_owned(), address: ([0, 0, 0, 0], 0).into() };
        let pid = router.process.id();
        until("the router serves", async || {
            router.try_hello().await.is_some_and(|hello| Some(hello.pid) == pid)
        })
        .await;
        router.address = router.hello().await.listeners[0].address;
        router
    }

    /// What `kill -9` does.
    pub async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// What `kill` does: asks it to stop. The process is returned to be waited for.
    pub fn terminate(self) -> Child {
        let pid = rustix::process::Pid::from_raw(self.process.id().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.process
    }

    pub async fn hello(&self) -> Hello {
        self.get("/v1/hello").await
    }

    async fn try_hello(&self) -> Option<Hello> {
        UnixStream::connect(self.dir.join("control.sock")).await.ok()?;
        Some(self.hello().await)
    }

    pub async fn routed(&self, placement: PlacementId) -> Routed {
        self.get(&format!("/v1/routes/{placement}")).await
    }

    pub async fn traffic(&self, placement: PlacementId) -> Traffic {
        self.get(&format!("/v1/traffic/{placement}")).await
    }

    pub async fn put(
        &self,
        placement: PlacementId,
        replaces: i64,
        route: &Route,
    ) -> Result<Routed, Refusal> {
        let put = Put { epoch: EPOCH, replaces, route: route.clone() };
        self.call("PUT", &format!("/v1/routes/{placement}"), &put).await
    }

    pub async fn switch(
        &self,
        placement: PlacementId,
        replaces: i64,
        live: Option<Slot>,
    ) -> Result<Routed, Refusal> {
        let switch = Switch { epoch: EPOCH, replaces, rollout: None, live };
        self.call("POST", &format!("/v1/routes/{placement}/switch"), &switch).await
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        self.call("GET", path, &()).await.unwrap()
    }

    /// Calls the control socket. A refusal has the status of its code.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Refusal> {
        let stream = UnixStream::connect(self.dir.join("control.sock")).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let body = Full::new(Bytes::from(serde_json::to_vec(body).unwrap()));
        let request = Request::builder().method(method).uri(path).header("host", "router");
        let answer = sender.send_request(request.body(body).unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        if status == StatusCode::OK {
            return Ok(serde_json::from_slice(&body).unwrap());
        }
        let refusal: Refusal = serde_json::from_slice(&body).unwrap();
        assert_eq!(status.as_u16(), refusal.code.status());
        Err(refusal)
    }
}

/// Starts the binary to serve on `dir` and waits for nothing.
pub fn serve(dir: &Path, more: &[&str]) -> Child {
    // Beside the directory, for the router makes that itself. For who debugs a test that fails.
    let listen = if more.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"] };
    let log = File::create(dir.with_extension("log")).unwrap();
    Command::new(BINARY)
        .args(["serve", "--workers", "2", "--state-dir"])
        .arg(dir)
        .args(listen)
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Runs the binary to its end.
pub async fn run(args: &[&str]) -> Output {
    let running = Command::new(BINARY).args(args).kill_on_drop(true).output();
    timeout(SOON, running).await.expect("the command ends").unwrap()
}

/// Looks until it is so.
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let give_up = Instant::now() + SOON;
    while !so().await {
        assert!(Instant::now() < give_up, "never: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
