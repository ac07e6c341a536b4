//! A whole console: a private Postgres, the engine, a machine in memory, and people.

use super::http::{Answer, Ask};
use server::{
    config::{Around, Given, Settings},
    database::{Database, lock::Lock},
    run,
};
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};
use targets::fake::Fake;
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;
use vault::Vault;

pub const PASSWORD: &str = "a long enough sentence 7";

/// A console that runs, and is gone after the test.
pub struct World {
    pub port: u16,
    pub target: Fake,
    pub pool: store::Pool,
    pub stop: CancellationToken,
    pub directory: PathBuf,
    running: Option<JoinHandle<()>>,
}

/// Somebody who is signed in, or nobody.
#[derive(Clone, Debug, Default)]
pub struct Person {
    pub cookie: String,
}

impl World {
    pub async fn start(name: &str) -> Self {
        Self::start_with(name, Given::default()).await
    }

    pub async fn start_with(name: &str, given: Given) -> Self {
        let directory = std::env::temp_dir().join(format!("ph-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let site = directory.join("site");
        std::fs::create_dir_all(site.join("pkg")).unwrap();
        std::fs::write(site.join("hash.txt"), "js: 1\nwasm: 2\ncss: 3\n").unwrap();
        std::fs::write(site.join("pkg/app.3.css"), "body {}").unwrap();
        std::fs::write(site.join("robots.txt"), "User-agent: *\nDisallow: /\n").unwrap();

        let given = Given {
            data_dir: Some(directory.join("data")),
            site_dir: Some(site),
            listen: Some("127.0.0.1:0".parse().unwrap()),
            policy: Some("observe_for=1s,passes=1,drain_for=1s,warm_for=60s".parse().unwrap()),
            ..Given::default()
        }
        .or(given);
        let around = Around { directory: "/".into(), program: "/x".into(), ..Around::default() };
        let settings = Settings::from_given(given, &around).unwrap();
        let target = Fake::new();
        let stop = CancellationToken::new();
        let listener = TcpListener::bind(settings.listen).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let pool = Arc::new(OnceLock::new());

        let (told, shared, machine) = (stop.clone(), pool.clone(), target.clone());
        let running = tokio::spawn(async move {
            let lock = Lock::take(&settings.data_dir).unwrap();
            let database = Database::open(&settings).await.unwrap();
            shared.set(database.pool.clone()).unwrap();
            let vault = Arc::new(Vault::open(&settings.data_dir).unwrap());
            let control = run::begin(&settings, &database, vault.clone()).await.unwrap();
            let machine = Arc::new(machine);
            let node = engine::Settings { node: lock.node, vault, builds: None, elsewhere: None };
            run::serve(&settings, &database, control, machine, listener, node, told).await.unwrap();
            database.close().await;
        });
        for _ in 0..600 {
            sleep(Duration::from_millis(50)).await;
            assert!(!running.is_finished(), "it did not start");
            if pool.get().is_some() && directory.join("data/first-admin-link").exists() {
                break;
            }
        }
        let pool = pool.get().cloned().expect("a database in time");
        Self { port, target, pool, stop, directory, running: Some(running) }
    }

    /// Stops it in order.
    pub async fn end(mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.unwrap();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }

    pub fn get(&self, who: &Person, path: &str) -> Ask {
        Ask::get(self.port, path).header("Cookie", &who.cookie)
    }

    pub fn post(&self, who: &Person, function: &str, form: &[(&str, &str)]) -> Ask {
        Ask::post(self.port, format!("/api/{function}"), form).header("Cookie", &who.cookie)
    }

    pub async fn first_admin(&self) -> Person {
        let file = self.directory.join("data/first-admin-link");
        let link = std::fs::read_to_string(file).unwrap();
        let (_, token) = link.trim().split_once("token=").unwrap();
        let form = [("token", token), ("name", "Ada"), ("password", PASSWORD), ("again", PASSWORD)];
        let made = self.post(&Person::default(), "people/make-first-admin", &form).send().await;
        signed_in(&made)
    }

    pub async fn sign_in(&self, name: &str) -> Person {
        let form = [("name", name), ("password", PASSWORD)];
        let answer = self.post(&Person::default(), "people/sign-in", &form).send().await;
        signed_in(&answer)
    }

    /// Adds somebody with a role, in an environment or everywhere, and signs him in.
    pub async fn person(&self, admin: &Person, name: &str, role: &str, place: &Place) -> Person {
        let form = [("name", name), ("password", PASSWORD)];
        let id = self.post(admin, "people/add", &form).send().await.id();
        self.grant(admin, &id, role, place).await;
        self.sign_in(name).await
    }

    pub async fn grant(&self, admin: &Person, id: &str, role: &str, place: &Place) -> String {
        let mut form = vec![("person", id), ("role", role)];
        if let Some(project) = &place.project {
            form.push(("project", project));
        }
        if let Some(environment) = &place.environment {
            form.push(("environment", environment));
        }
        self.post(admin, "people/give-grant", &form).send().await.id()
    }

    pub async fn board(&self, who: &Person) -> serde_json::Value {
        self.post(who, "services/board", &[]).send().await.json()
    }

    pub async fn add_service(&self, who: &Person, project: &str, name: &str) -> String {
        let form = [("project", project), ("name", name), ("size", "1")];
        self.post(who, "services/add", &form).send().await.id()
    }
}

fn signed_in(answer: &Answer) -> Person {
    let cookie = answer.cookie();
    let cookie = cookie.unwrap_or_else(|| panic!("not in: {} {}", answer.status, answer.body));
    Person { cookie }
}

/// Where a grant holds, by id.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub project: Option<String>,
    pub environment: Option<String>,
}

impl Drop for World {
    fn drop(&mut self) {
        // A test that failed did not end it: Postgres must not outlive the test.
        if let Some(running) = self.running.take() {
            running.abort();
        }
        let pid = self.directory.join("data/postgres/postmaster.pid");
        let pid = std::fs::read_to_string(pid).ok();
        let pid = pid.and_then(|text| text.lines().next()?.parse().ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}
