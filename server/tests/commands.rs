//! The program itself: started, killed, asked for help, and told to stop.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pilothouse");

/// A data directory with a server that may run in it.
struct Home {
    directory: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl Home {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("ph-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("site/pkg")).unwrap();
        fs::write(directory.join("site/hash.txt"), "js: 1\nwasm: 2\ncss: 3\n").unwrap();
        // Free a moment ago. The program must know it before it starts, because links name it.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        Self { directory, port, server: None }
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("PILOTHOUSE_DATA_DIR", self.data())
            .env("PILOTHOUSE_SITE_DIR", self.directory.join("site"))
            .env("PILOTHOUSE_LISTEN", format!("127.0.0.1:{}", self.port))
            // Nothing is deployed here: an engine that is not there will do.
            .env("PILOTHOUSE_DOCKER", self.directory.join("no-docker.sock"));
        command
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn serve(&mut self) {
        let log = fs::File::create(self.directory.join("log")).unwrap();
        let mut command = self.command(&["serve", "--log-format", "json"]);
        self.server = Some(command.stderr(log).stdin(Stdio::null()).spawn().unwrap());
        let began = Instant::now();
        while !self.is_ready() {
            assert!(began.elapsed() < Duration::from_secs(60), "not ready: {}", self.log());
            let ended = self.server.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", self.log());
            sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn postgres(&self) -> Option<rustix::process::Pid> {
        let text = fs::read_to_string(self.data().join("postgres/postmaster.pid")).ok()?;
        rustix::process::Pid::from_raw(text.lines().next()?.parse().ok()?)
    }

    /// Sends a signal and waits for the end.
    fn end(&mut self, signal: rustix::process::Signal) -> (Duration, std::process::ExitStatus) {
        let mut server = self.server.take().unwrap();
        let began = Instant::now();
        let pid = rustix::process::Pid::from_child(&server);
        rustix::process::kill_process(pid, signal).unwrap();
        let status = server.wait().unwrap();
        (began.elapsed(), status)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
        if let Some(pid) = self.postgres() {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn sql(socket: &Path, statement: &str) {
    let done = Command::new("psql")
        .arg("-h")
        .arg(socket)
        .args(["-U", "postgres", "pilothouse", "-v", "ON_ERROR_STOP=1", "-c", statement])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
}

#[test]
fn it_lives_through_a_kill_gives_back_access_and_stops_in_time() {
    let mut home = Home::new("life");
    home.serve();
    let link = fs::read_to_string(home.data().join("first-admin-link")).unwrap();
    assert!(
        link.starts_with(&format!("http://localhost:{}/first-admin?token=", home.port)),
        "{link}"
    );
    assert!(home.log().contains("There is no admin yet"), "{}", home.log());
    let postgres = home.postgres().expect("a private Postgres");

    // A second server on the same directory is refused, with a sentence.
    let mut second = home.command(&["serve"]);
    let second = second.env("PILOTHOUSE_LISTEN", "127.0.0.1:0").output().unwrap();
    assert!(!second.status.success());
    assert!(text(&second.stderr).contains("Another server uses"), "{}", text(&second.stderr));

    home.end(rustix::process::Signal::KILL);
    home.serve();
    assert_eq!(home.postgres(), Some(postgres), "Postgres was used on");

    // While the server runs.
    let recovered = home.run(&["admin", "recover", "--name", "Ada"], "a long enough sentence 7\n");
    assert!(recovered.status.success(), "{}", text(&recovered.stderr));
    let weak = home.run(&["admin", "recover"], "short\n");
    assert!(!weak.status.success() && text(&weak.stderr).contains("12"), "{}", text(&weak.stderr));
    sleep(Duration::from_millis(1500));
    assert!(!home.data().join("first-admin-link").exists(), "there is an admin now");
    let whole = home.run(&["history", "verify"], "");
    assert!(text(&whole.stdout).starts_with("whole: "), "{}", text(&whole.stdout));

    let (took, status) = home.end(rustix::process::Signal::TERM);
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
    assert!(home.postgres().is_none(), "Postgres was stopped with it");

    // Without a server it starts Postgres itself, and stops it again.
    let whole = home.run(&["history", "verify"], "");
    assert!(whole.status.success(), "{}{}", text(&whole.stdout), text(&whole.stderr));
    assert!(home.postgres().is_none());

    // Whoever gets at the table past all grants and triggers is found out.
    home.serve();
    sql(
        &home.data().join("postgres/socket"),
        "set session_replication_role = replica; \
         update history set body = convert_to(replace(convert_from(body, 'UTF8'), 'Ada', 'Eve'), 'UTF8') \
         where number = 4; \
         update history set body = body || ' '::bytea where number = 4",
    );
    let broken = home.run(&["history", "verify"], "");
    assert_eq!(broken.status.code(), Some(1));
    assert!(text(&broken.stdout).contains("row 4 "), "{}", text(&broken.stdout));
}

#[test]
fn a_start_that_makes_no_sense_is_refused_with_a_sentence() {
    let home = Home::new("refused");
    let refused = |change: &dyn Fn(&mut Command)| {
        let mut command = home.command(&["serve"]);
        change(&mut command);
        let output = command.output().unwrap();
        assert!(!output.status.success());
        text(&output.stderr)
    };

    let open = refused(&|command| _ = command.env("PILOTHOUSE_LISTEN", "0.0.0.0:7300"));
    let misspelt = refused(&|command| _ = command.env("PILOTHOUSE_LISEN", "x"));
    let no_file = refused(&|command| _ = command.args(["--config", "/there/is/none.toml"]));
    let flag = refused(&|command| _ = command.arg("--lisen"));
    let remote = refused(&|command| {
        command.env_remove("PILOTHOUSE_DOCKER").env("DOCKER_HOST", "tcp://10.0.0.1:2375");
    });

    assert!(open.contains("listen: 0.0.0.0:7300 can be reached from other machines"), "{open}");
    assert!(misspelt.contains("PILOTHOUSE_LISEN: There is no such setting"), "{misspelt}");
    assert!(no_file.contains("config: There is no file /there/is/none.toml"), "{no_file}");
    assert!(flag.contains("--lisen"), "{flag}");
    assert!(remote.contains("docker: DOCKER_HOST is tcp://10.0.0.1:2375"), "{remote}");
    assert!(!home.data().exists(), "nothing was made");
}

#[test]
fn what_needs_no_settings_does_not_fail_for_a_wrong_one() {
    let version =
        Command::new(PROGRAM).arg("version").env("PILOTHOUSE_NONE", "x").output().unwrap();
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();

    assert!(text(&version.stdout).starts_with("pilothouse "));
    assert!(text(&help.stdout).contains("--trusted-proxy"), "{}", text(&help.stdout));
}

#[test]
fn a_command_in_the_wrong_directory_makes_nothing_there() {
    let home = Home::new("elsewhere");
    fs::create_dir_all(home.data()).unwrap();

    let proof = home.run(&["history", "verify"], "");
    let recovery = home.run(&["admin", "recover", "--name", "ana"], "nine cold pebbles\n");

    for refused in [proof, recovery] {
        assert!(!refused.status.success(), "{refused:?}");
        let why = text(&refused.stderr);
        assert!(why.contains("There is no Pilothouse in "), "{why}");
    }
    assert_eq!(fs::read_dir(home.data()).unwrap().count(), 0);
}
