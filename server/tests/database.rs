//! A real private Postgres: made, found again after a crash, and stopped.

use server::{
    config::{Around, Given, Settings},
    database::{Database, lock::Lock, private},
};
use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// A data directory that is gone after the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ph-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Some(pid) = pid(&self.0) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        }
        if let Ok(elsewhere) = std::fs::read_link(self.0.join("postgres")) {
            let _ = std::fs::remove_dir_all(elsewhere);
        }
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn settings(data_dir: &Path) -> Settings {
    let given = Given { data_dir: Some(data_dir.to_owned()), ..Given::default() };
    let around = Around { directory: "/".into(), program: "/x".into(), ..Around::default() };
    Settings::from_given(given, &around).unwrap()
}

fn pid(data_dir: &Path) -> Option<rustix::process::Pid> {
    let text = std::fs::read_to_string(data_dir.join("postgres/postmaster.pid")).ok()?;
    rustix::process::Pid::from_raw(text.lines().next()?.parse().ok()?)
}

fn runs(pid: rustix::process::Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    // A zombie of this very process does not run.
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn it_is_made_used_on_after_a_crash_and_stopped() {
    let directory = Directory::new("private");
    let settings = settings(&directory.0);

    // A server that is killed leaves it running: nobody stops it, nobody watches it any more.
    let crashing = tokio::runtime::Runtime::new().unwrap();
    crashing.block_on(async {
        let first = Database::open(&settings).await.unwrap();
        let mut conn = first.pool.acquire().await.unwrap();
        assert!(store::history::grants_protect_history(&mut conn).await.unwrap());
        std::mem::forget((conn, first));
    });
    crashing.shutdown_background();
    let made = pid(&directory.0).expect("it runs");
    assert!(runs(made));
    for place in ["", "postgres", "postgres/socket"] {
        let mode = std::fs::metadata(directory.0.join(place)).unwrap().mode();
        assert_eq!(mode & 0o007, 0, "{place} is open to others");
    }
    assert!(private::running(&directory.0).unwrap().is_some());

    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let second = Database::open(&settings).await.unwrap();
        assert_eq!(pid(&directory.0), Some(made), "it was used on");
        store::now(&mut second.pool.acquire().await.unwrap()).await.unwrap();
        second.close().await;
    });
    assert!(!runs(made));
    assert!(private::running(&directory.0).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_back_when_it_was_killed_itself() {
    let directory = Directory::new("killed");
    let settings = settings(&directory.0);
    let database = Database::open(&settings).await.unwrap();
    let before = pid(&directory.0).expect("it runs");

    rustix::process::kill_process(before, rustix::process::Signal::KILL).unwrap();

    let mut came_back = false;
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let answers = async { store::now(&mut *database.pool.acquire().await?).await };
        if pid(&directory.0).is_some_and(|pid| pid != before) && answers.await.is_ok() {
            came_back = true;
            break;
        }
    }
    assert!(came_back);
    database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_newer_than_the_program_is_refused_with_a_sentence() {
    let directory = Directory::new("newer");
    let settings = settings(&directory.0);
    let database = Database::open(&settings).await.unwrap();
    let program = std::process::Command::new("psql")
        .args(["-h", directory.0.join("postgres/socket").to_str().unwrap()])
        .args(["-U", "pilothouse_owner", "pilothouse", "-c"])
        .arg(
            "insert into _sqlx_migrations \
             (version, description, success, checksum, execution_time) \
             values (99999999999999, 'of tomorrow', true, '\\x00', 0)",
        )
        .output()
        .unwrap();
    assert!(program.status.success(), "{}", String::from_utf8_lossy(&program.stderr));
    database.close().await;

    let refused = Database::open(&settings).await.expect_err("refused");

    assert!(format!("{refused:#}").contains("newer Pilothouse"), "{refused:#}");
    assert!(private::running(&directory.0).unwrap().is_none(), "it was stopped again");
}

#[test]
fn a_data_directory_has_one_server_and_a_restart_is_the_same_node() {
    let directory = Directory::new("lock");
    let first = Lock::take(&directory.0).unwrap();

    let second = Lock::take(&directory.0).unwrap_err().to_string();

    assert!(second.starts_with("Another server uses "), "{second}");
    let node = first.node;
    drop(first);
    // A process that another test begins at this moment may hold a copy of the file for a blink.
    let again = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        Lock::take(&directory.0).ok()
    });
    assert_eq!(again.expect("free again").node, node);
}
