//! A git server over https with its own authority, repositories on it, and builders that may ask it.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};
use targets::{
    build::Remote,
    docker::{BuilderOptions, DockerBuilder},
    git,
    outgoing::Outgoing,
};
use uuid::Uuid;

pub struct Place {
    pub directory: PathBuf,
    server: Child,
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    count: RefCell<u32>,
    installation: Uuid,
}

pub struct Repository {
    pub work: PathBuf,
    pub served: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("pilothouse-source-{}", Uuid::now_v7()));
        fs::create_dir_all(directory.join("served")).expect("made");
        certificates(&directory);
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../end2end/support/git-server.mjs");
        let mut server = Command::new("node")
            .arg(script)
            .args([directory.join("served"), directory.join("cert.pem"), directory.join("key.pem")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node");
        let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines();
        let port = lines.next().expect("a line").expect("text").parse().expect("a port");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = asked.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                told.lock().expect("whole").push(line);
            }
        });
        Self {
            directory,
            server,
            port,
            asked,
            count: RefCell::new(0),
            installation: Uuid::now_v7(),
        }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// An address as one part of a path.
    pub fn encoded(&self, url: &str) -> String {
        url.replace(':', "%3A").replace('/', "%2F")
    }

    pub fn remote(&self, name: &str) -> Remote {
        Remote { url: format!("{}/{name}.git", self.url()).parse().expect("good"), login: None }
    }

    /// A path at which nothing is yet.
    pub fn fresh(&self) -> PathBuf {
        *self.count.borrow_mut() += 1;
        self.directory.join(format!("tree-{}", self.count.borrow()))
    }

    pub fn builder(&self) -> DockerBuilder {
        self.builder_with(|_| {})
    }

    pub fn builder_with(&self, change: impl FnOnce(&mut git::Options)) -> DockerBuilder {
        let mut options = self.options();
        change(&mut options.git);
        DockerBuilder::new(options)
    }

    pub fn builder_of_kind(&self, classic_only: bool) -> DockerBuilder {
        DockerBuilder::new(BuilderOptions { classic_only, ..self.options() })
    }

    /// Of another installation on the same engine.
    pub fn stranger(&self) -> DockerBuilder {
        DockerBuilder::new(BuilderOptions { installation: Uuid::now_v7(), ..self.options() })
    }

    fn options(&self) -> BuilderOptions {
        BuilderOptions {
            engine_socket: socket(),
            installation: self.installation,
            classic_only: false,
            git: git::Options {
                outgoing: Outgoing::new(vec![
                    format!("localhost:{}", self.port).parse().expect("good"),
                ]),
                ca_file: Some(self.directory.join("ca.pem")),
                paths: Vec::new(),
                work_dir: self.directory.join("work"),
                limits: git::Limits::default(),
            },
        }
    }

    pub fn repository(&self, name: &str, files: &[(&str, &str)]) -> Repository {
        let repository = Repository {
            work: self.directory.join("made").join(name),
            served: self.directory.join("served").join(format!("{name}.git")),
        };
        fs::create_dir_all(&repository.work).expect("made");
        git(&repository.work, &["init", "--quiet", "--initial-branch=main"]);
        let served = repository.served.to_str().expect("text");
        git(&repository.work, &["init", "--quiet", "--bare", "--initial-branch=main", served]);
        git(&repository.work, &["remote", "add", "origin", served]);
        repository.commit(files, "Begin");
        repository
    }

    /// What the server was asked so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("whole").clone()
    }

    /// Processes that work in our directory for git.
    pub fn gits(&self) -> usize {
        let ours = self.directory.join("work");
        let all = fs::read_dir("/proc").expect("there").flatten();
        all.filter(|entry| {
            fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&ours))
        })
        .count()
    }

    /// Waits until what was ended is gone, which takes no second.
    pub async fn settles(&self) {
        for _ in 0..100 {
            let left = fs::read_dir(self.directory.join("work")).map_or(0, Iterator::count);
            if self.gits() == 0 && left == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn nothing_is_left(&self) {
        let work = self.directory.join("work");
        for _ in 0..100 {
            if self.gits() == 0 && fs::read_dir(&work).map_or(0, Iterator::count) == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!(
            "{} processes, {:?}",
            self.gits(),
            fs::read_dir(work).expect("there").collect::<Vec<_>>()
        );
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Repository {
    pub fn commit(&self, files: &[(&str, &str)], message: &str) {
        for (name, text) in files {
            let path = self.work.join(name);
            fs::create_dir_all(path.parent().expect("inside")).expect("made");
            fs::write(path, text).expect("written");
        }
        git(&self.work, &["add", "--all", "--force"]);
        git(&self.work, &["commit", "--quiet", "--allow-empty", "-m", message]);
        git(&self.work, &["push", "--quiet", "origin", "main"]);
    }

    pub fn head(&self) -> String {
        git(&self.work, &["rev-parse", "HEAD"]).trim().to_owned()
    }
}

/// The engine of this machine, or the one that the environment names, as the engines' own programs do.
fn socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST");
    let host = host.unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    host.trim_start_matches("unix://").into()
}

pub fn git(directory: &Path, words: &[&str]) -> String {
    let who = [
        "-c",
        "user.name=Ada Example",
        "-c",
        "user.email=ada@example.org",
        "-c",
        "core.hooksPath=/dev/null",
    ];
    run("git", &[&["-C", directory.to_str().expect("text")], &who[..], words].concat())
}

pub fn run(program: &str, words: &[&str]) -> String {
    let done = Command::new(program).args(words).output().expect("started");
    assert!(
        done.status.success(),
        "{program} {words:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Whether a process of this machine has that word.
pub fn process_with(word: &str) -> bool {
    let all = fs::read_dir("/proc").expect("there").flatten();
    all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| line.split(|byte| *byte == 0).any(|part| part == word.as_bytes()))
}

fn certificates(directory: &Path) {
    let at = |name: &str| directory.join(name).to_str().expect("text").to_owned();
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let (ca_key, ca, key, csr, cert, names) =
        (at("ca.key"), at("ca.pem"), at("key.pem"), at("csr.pem"), at("cert.pem"), at("names"));
    let authority = ["-days", "2", "-subj", "/CN=Test authority", "-keyout", &ca_key, "-out", &ca];
    run("openssl", &[&["req", "-x509"], &curve[..], &authority].concat());
    run(
        "openssl",
        &[&["req"], &curve[..], &["-subj", "/CN=localhost", "-keyout", &key, "-out", &csr]]
            .concat(),
    );
    fs::write(&names, "subjectAltName=DNS:localhost\n").expect("written");
    let signed =
        ["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-extfile", &names, "-out", &cert];
    run("openssl", &[&["x509", "-req", "-days", "2", "-in", &csr], &signed[..]].concat());
}
