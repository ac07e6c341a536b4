//! Repositories and builds with real git over https and the machine's real Docker.
//!
//! The repositories here are hostile where that is possible. Needs `git`, `openssl`, `node` and, for
//! steps, `busybox`; leaves nothing in Docker but its build cache.

mod source {
    pub mod place;
}

use domain::{
    id::BuildId,
    source::{Checkout, GitRef, Recipe},
};
use futures::{StreamExt, stream::BoxStream};
use source::place::{Place, git};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use targets::{
    Error, Result,
    build::{
        BuildEvent, BuildFailure, BuildLimits, BuildOrder, Builder, FetchEvent, Hidden, Login,
        Remote,
    },
    docker::DockerBuilder,
    git::Limits,
};
use tokio::time::timeout;
use uuid::Uuid;

async fn fetched(mut stream: BoxStream<'static, Result<FetchEvent>>) -> Result<Checkout> {
    let mut done = None;
    while let Some(event) = timeout(Duration::from_secs(60), stream.next()).await.expect("in time")
    {
        if let FetchEvent::Done(checkout) = event? {
            done = Some(checkout);
        }
    }
    Ok(done.expect("the last event is one"))
}

fn wanted(typed: &str) -> GitRef {
    typed.parse().expect("good")
}

fn refused(error: &Error, words: &str) {
    let said = error.to_string();
    assert!(matches!(error, Error::Refused { .. }) && said.contains(words), "{error:?}");
}

#[tokio::test]
async fn a_commit_is_fetched_by_branch_tag_and_id() {
    let place = Place::new();
    let repository = place.repository("api", &[("a.txt", "one"), ("sub/b.txt", "two")]);
    let first = repository.head();
    git(&repository.work, &["tag", "-a", "v1.0.0", "-m", "first"]);
    git(&repository.work, &["push", "--quiet", "origin", "v1.0.0"]);
    repository.commit(&[("a.txt", "three")], "A second\n\nwith more");
    let builder = place.builder();
    let from = place.remote("api");

    let refs = builder.refs(&from).await.expect("offered");
    assert_eq!(refs.default.expect("one").as_str(), "main");
    assert_eq!(refs.tags[0].commit.as_str(), first);

    for (typed, text, subject) in [
        ("main", "three", "A second"),
        ("v1.0.0", "one", "Begin"),
        (first.as_str(), "one", "Begin"),
    ] {
        let into = place.fresh();
        let done = fetched(builder.fetch(&from, &wanted(typed), &into)).await.expect(typed);
        assert_eq!(fs::read_to_string(into.join("a.txt")).expect("there"), text);
        assert_eq!((done.subject.as_str(), done.author.as_str()), (subject, "Ada Example"));
        assert!(!into.join(".git").exists());
        if typed != "main" {
            assert_eq!(done.tags[0].as_str(), "v1.0.0");
        }
        assert_eq!(done.branch.is_some(), typed == "main");
    }
    place.nothing_is_left();
}

#[tokio::test]
async fn what_is_not_there_or_not_ours_to_read_is_a_sentence_without_the_token() {
    let place = Place::new();
    place.repository("api", &[("a", "1")]);
    let builder = place.builder();
    let into = place.fresh();
    let fetch = async |name: &str, login: Option<&str>, typed: &str| {
        let mut from = place.remote(name);
        from.login =
            login.map(|token| Login { user: "reader".to_owned(), token: Hidden::new(token) });
        let done = fetched(builder.fetch(&from, &wanted(typed), &into)).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(done.is_ok(), into.exists());
        done
    };

    refused(&fetch("none", None, "main").await.expect_err("none"), "no such repository");
    refused(&fetch("api", None, "other").await.expect_err("none"), "no branch or tag other");
    refused(&fetch("api", None, &"a".repeat(40)).await.expect_err("none"), "branch, tag or commit");
    refused(
        &fetch("private/api", None, "main").await.expect_err("private"),
        "Give a user and a token",
    );
    let wrong = fetch("private/api", Some("wrong-token-17"), "main").await.expect_err("wrong");
    refused(&wrong, "token is wrong");
    assert!(!format!("{wrong:?}").contains("wrong-token-17"));
    fetch("private/api", Some("let-me-read"), "main").await.expect("the right one");
    place.nothing_is_left();
}

#[tokio::test]
async fn a_server_can_not_send_us_elsewhere_or_lead_us_to_this_machine() {
    let place = Place::new();
    place.repository("api", &[("a", "1")]);
    let listed = place.builder();
    let strict =
        place.builder_with(|options| options.outgoing = targets::outgoing::Outgoing::default());

    let away = place.encoded("https://127.0.0.1:1");
    let error =
        listed.refs(&place.remote(&format!("to/{away}/api"))).await.expect_err("a redirect");
    refused(&error, "not followed");
    let same = place.encoded(&place.url());
    let error =
        listed.refs(&place.remote(&format!("to/{same}/api"))).await.expect_err("a redirect");
    refused(&error, "not followed");

    refused(&strict.refs(&place.remote("api")).await.expect_err("a name"), "localhost leads");
    for host in ["127.0.0.1:443", "169.254.169.254", "[::1]:8443", "[::ffff:169.254.169.254]"] {
        let from = Remote {
            url: format!("https://{host}/latest/x.git").parse().expect("good"),
            login: None,
        };
        refused(&strict.refs(&from).await.expect_err(host), "outgoing_allow");
        refused(&listed.refs(&from).await.expect_err(host), "outgoing_allow");
    }
    assert!(
        place.asked().iter().filter(|line| line.starts_with("GET /to/")).count() == 2,
        "{:?}",
        place.asked()
    );
    place.nothing_is_left();
}

#[tokio::test]
async fn a_repository_brings_neither_hooks_nor_filters_nor_modules() {
    let place = Place::new();
    let proof = place.directory.join("proof");
    let touch = format!("touch {}", proof.display());
    let repository = place.repository(
        "evil",
        &[
            (".gitattributes", "* filter=evil\n*.txt filter=lfs diff=lfs merge=lfs -text\n"),
            ("a.txt", "version https://git-lfs.github.com/spec/v1\n"),
            (".gitmodules", "[submodule \"m\"]\n\tpath = m\n\turl = --upload-pack=touch\n"),
            (".gitconfig", &format!("[filter \"evil\"]\n\tsmudge = {touch}\n")),
            (".githooks/post-checkout", &format!("#!/bin/sh\n{touch}\n")),
        ],
    );
    for hook in ["post-checkout", "upload-pack", "pre-receive", "reference-transaction"] {
        let path = repository.served.join("hooks").join(hook);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(&path, format!("#!/bin/sh\n{touch}\n")).expect("written");
    }
    git(&repository.served, &["config", "core.fsmonitor", &touch]);
    let into = place.fresh();

    fetched(place.builder().fetch(&place.remote("evil"), &wanted("main"), &into))
        .await
        .expect("harmless");

    assert!(!proof.exists());
    assert!(into.join("a.txt").exists() && !into.join("m/.git").exists());
    place.nothing_is_left();
}

#[tokio::test]
async fn too_much_is_refused_while_it_comes() {
    let place = Place::new();
    let repository = place.repository("big", &[("a", "1")]);
    let many: Vec<String> = (0..50).map(|n| format!("d/{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "x")).collect();
    repository.commit(&many, "many");
    let noise: Vec<u8> = (0..3_000_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).rotate_left(13).to_le_bytes())
        .collect();
    fs::write(repository.work.join("large"), noise).expect("written");
    repository.commit(&[], "large");
    let with = |limits: Limits| place.builder_with(|options| options.limits = limits);
    let fetch = async |builder: &DockerBuilder, typed: &str| {
        fetched(builder.fetch(&place.remote("big"), &wanted(typed), &place.fresh())).await
    };

    let few = with(Limits { tree_entries: 20, ..Limits::default() });
    refused(&fetch(&few, "main").await.expect_err("too many"), "more than 20 files");
    let small = with(Limits { tree_bytes: 1 << 20, ..Limits::default() });
    refused(&fetch(&small, "main").await.expect_err("too large"), "larger than 1 MiB");
    let narrow = with(Limits { received_bytes: 1 << 20, ..Limits::default() });
    refused(&fetch(&narrow, "main").await.expect_err("too much sent"), "sends more than is taken");

    let begun = Instant::now();
    let error = place.builder().refs(&place.remote("endless/api")).await.expect_err("without end");
    refused(&error, "more than");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    place.nothing_is_left();
}

#[tokio::test]
async fn a_server_that_trickles_or_is_silent_is_left_in_time() {
    let place = Place::new();
    let hasty = place.builder_with(|options| options.limits.time = Duration::from_secs(2));
    for name in ["trickle/api", "silent/api"] {
        let begun = Instant::now();
        let error =
            fetched(hasty.fetch(&place.remote(name), &wanted("main"), &place.fresh())).await;
        assert!(matches!(error, Err(Error::Unreachable { .. })), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{name}: {:?}", begun.elapsed());
    }
    place.nothing_is_left();
}

#[tokio::test]
async fn a_fetch_that_is_dropped_leaves_no_process_and_no_directory() {
    let place = Place::new();
    let builder = place.builder();
    let into = place.fresh();
    let mut stream = builder.fetch(&place.remote("silent/api"), &wanted("main"), &into);
    let first = stream.next().await.expect("a line").expect("good");
    assert!(matches!(first, FetchEvent::Line(_)));
    // It is in the middle of the conversation once the server was asked.
    let asking = timeout(Duration::from_secs(10), async {
        while place.asked().is_empty() {
            let _ = timeout(Duration::from_millis(50), stream.next()).await;
        }
    });
    asking.await.expect("asked");
    assert!(place.gits() > 0);

    drop(stream);

    place.settles().await;
    assert!(!into.exists());
    place.nothing_is_left();
}

#[tokio::test]
async fn only_a_path_that_an_admin_allowed_is_read() {
    let place = Place::new();
    let repository = place.repository("local", &[("a", "1")]);
    let link = place.directory.join("link.git");
    symlink(&repository.served, &link).expect("made");
    let from = |path: &Path| Remote {
        url: path.to_str().expect("text").parse().expect("good"),
        login: None,
    };

    let error = place.builder().refs(&from(&repository.served)).await.expect_err("not allowed");
    refused(&error, "git_paths");
    let served = repository.served.parent().expect("a parent").to_owned();
    let allowing = place.builder_with(|options| options.paths = vec![served]);
    let into = place.fresh();
    fetched(allowing.fetch(&from(&repository.served), &wanted("main"), &into))
        .await
        .expect("allowed");
    assert!(into.join("a").exists());
    let elsewhere =
        place.builder_with(|options| options.paths = vec![place.fresh(), "/srv".into()]);
    refused(&elsewhere.refs(&from(&link)).await.expect_err("a link to it"), "git_paths");
    place.nothing_is_left();
}

/// A tree as it would be fetched, whose steps have a shell.
fn tree(place: &Place, recipe: &str) -> PathBuf {
    let tree = place.fresh();
    fs::create_dir_all(&tree).expect("made");
    let busybox =
        ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    fs::copy(busybox.expect("busybox: see tools/setup gate"), tree.join("busybox"))
        .expect("copied");
    let shell = "FROM scratch AS shell\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\n";
    fs::write(tree.join("Dockerfile"), format!("{shell}{recipe}")).expect("written");
    tree
}

fn order(tree: &Path) -> BuildOrder {
    BuildOrder {
        build: BuildId(Uuid::now_v7()),
        tree: tree.to_owned(),
        recipe: Recipe::default(),
        secrets: Vec::new(),
        registries: Vec::new(),
        labels: vec![("org.example.who".to_owned(), "a & b=c".to_owned())],
        tags: Vec::new(),
        limits: BuildLimits::default(),
    }
}

async fn built(builder: &DockerBuilder, order: BuildOrder) -> Vec<BuildEvent> {
    let mut stream = builder.build(order);
    let mut events = Vec::new();
    while let Some(event) = timeout(Duration::from_secs(60), stream.next()).await.expect("in time")
    {
        events.push(event.expect("no trouble"));
    }
    events
}

fn log_of(events: &[BuildEvent]) -> String {
    let lines = events.iter().filter_map(|event| match event {
        BuildEvent::Line { text, .. } => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn failure(events: &[BuildEvent]) -> &BuildFailure {
    match events.last() {
        Some(BuildEvent::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_image_is_built_found_and_forgotten_with_either_builder() {
    let place = Place::new();
    for classic in [false, true] {
        let builder = place.builder_of_kind(classic);
        let recipe = "ARG GREETING\nRUN busybox printf 'hi \\033[31m%s\\033[0m\\n' $GREETING\nFROM shell\nCOPY kept.txt /\nENTRYPOINT [\"/bin/sh\"]\nUSER 7:7\nEXPOSE 81\n";
        let tree = tree(&place, recipe.replace("FROM shell", "FROM shell AS last").as_str());
        fs::write(tree.join("kept.txt"), place.directory.display().to_string()).expect("written");
        fs::write(tree.join("left.env"), "out").expect("written");
        fs::write(tree.join(".dockerignore"), "*.env\n").expect("written");
        let mut order = order(&tree);
        order.recipe.no_cache = true;
        order.recipe.arguments.insert("GREETING".parse().expect("good"), "to you".to_owned());
        // BuildKit leaves out the stage that nothing needs.
        order.recipe.stage = Some("shell".parse().expect("good"));
        let build = order.build;

        let events = built(&builder, order.clone()).await;

        let Some(BuildEvent::Done(facts)) = events.last() else { panic!("{events:?}") };
        assert!(facts.size_bytes > 100_000, "{facts:?}");
        assert!(log_of(&events).contains("hi \u{1b}[31mto\u{1b}[0m"), "{events:?}");
        let (begun, ended) = (
            events.iter().filter(|event| matches!(event, BuildEvent::StepStarted { .. })).count(),
            events
                .iter()
                .filter(|event| matches!(event, BuildEvent::StepEnded { error: None, .. }))
                .count(),
        );
        assert!(begun >= 3 && begun == ended, "{begun} {ended} {events:?}");
        assert_eq!(builder.find(build).await.expect("asked").as_ref(), Some(facts));
        assert_eq!(builder.find(BuildId(Uuid::now_v7())).await.expect("asked"), None);
        assert_eq!(place.stranger().find(build).await.expect("asked"), None);

        // Again, whole: the last stage, with what is not ignored, and what was done before.
        order.build = BuildId(Uuid::now_v7());
        order.recipe.stage = None;
        order.recipe.no_cache = false;
        let events = built(&builder, order.clone()).await;
        let Some(BuildEvent::Done(whole)) = events.last() else { panic!("{events:?}") };
        assert_eq!(
            (whole.user.as_str(), &whole.ports[..], &whole.command[..]),
            ("7:7", &[81][..], &["/bin/sh".to_owned()][..])
        );
        assert!(
            events.iter().any(|event| matches!(event, BuildEvent::StepEnded { cached: true, .. })),
            "{events:?}"
        );
        assert!(
            events.iter().any(|event| matches!(event, BuildEvent::Context { entries: 4, .. })),
            "{events:?}"
        );

        for build in [build, order.build] {
            builder.forget(build).await.expect("forgotten");
            builder.forget(build).await.expect("again");
            assert_eq!(builder.find(build).await.expect("asked"), None);
        }
    }
}

#[tokio::test]
async fn a_failed_build_says_which_step_and_why_with_either_builder() {
    let place = Place::new();
    for classic in [false, true] {
        let builder = place.builder_of_kind(classic);
        let tree = tree(
            &place,
            "RUN busybox echo fine\nRUN busybox echo the reason >&2; exit 42\nRUN busybox echo never\n",
        );
        let mut order = order(&tree);
        order.recipe.no_cache = true;

        let events = built(&builder, order.clone()).await;

        let failure = failure(&events);
        assert_eq!(failure.exit_code, Some(42), "{failure:?}");
        assert!(
            failure.name.as_deref().is_some_and(|name| name.contains("exit 42")),
            "{failure:?}"
        );
        assert_eq!(failure.last_lines, ["the reason"], "{failure:?}");
        assert!(!log_of(&events).contains("never"));
        assert_eq!(builder.find(order.build).await.expect("asked"), None);

        fs::write(tree.join("Dockerfile"), "FROM scratch\nNONSENSE\n").expect("written");
        let broken = builder.build(order).collect::<Vec<_>>().await;
        let said = format!("{:?}", broken.last());
        assert!(said.to_lowercase().contains("nonsense"), "{said}");
    }
}

#[tokio::test]
async fn a_secret_is_mounted_and_is_in_neither_image_nor_history_nor_log() {
    let place = Place::new();
    let secret = format!("s3cr3t-{}", Uuid::now_v7());
    let recipe = "RUN --mount=type=secret,id=token busybox wc -c < /run/secrets/token && busybox cat /run/secrets/token && busybox cat /run/secrets/token >&2 && exit 0\nRUN busybox ls /run\n";
    let tree = tree(&place, recipe);
    let mut order = order(&tree);
    order.secrets = vec![("token".to_owned(), Hidden::new(secret.clone()))];
    order.recipe.no_cache = true;
    let builder = place.builder();

    let events = built(&builder, order.clone()).await;

    let Some(BuildEvent::Done(facts)) = events.last() else { panic!("{events:?}") };
    assert!(log_of(&events).contains(&secret.len().to_string()), "it was mounted: {events:?}");
    assert!(log_of(&events).contains("•••"));
    assert!(!format!("{events:?}").contains(&secret));
    let saved = place.directory.join("image.tar");
    source::place::run(
        "docker",
        &["save", "--output", saved.to_str().expect("text"), facts.id.as_str()],
    );
    let image = fs::read(&saved).expect("saved");
    assert!(!image.windows(secret.len()).any(|window| window == secret.as_bytes()));
    let history = source::place::run("docker", &["history", "--no-trunc", facts.id.as_str()]);
    assert!(history.contains("type=secret") || history.contains("busybox wc"), "{history}");
    assert!(!history.contains(&secret));
    builder.forget(order.build).await.expect("forgotten");

    let classic = place.builder_of_kind(true);
    let error = classic.build(order).next().await.expect("an answer").expect_err("no BuildKit");
    refused(&error, "no BuildKit");
    assert!(!format!("{error:?}").contains(&secret));
}

#[tokio::test]
async fn a_build_that_is_dropped_ends_its_step_with_either_builder() {
    let place = Place::new();
    for classic in [false, true] {
        let builder = place.builder_of_kind(classic);
        let mark = 100_000 + u64::from(Uuid::now_v7().as_u64_pair().1 as u32);
        let tree = tree(&place, &format!("RUN busybox echo begun && busybox sleep {mark}\n"));
        let mut order = order(&tree);
        order.recipe.no_cache = true;
        let mut stream = builder.build(order.clone());
        loop {
            let event = timeout(Duration::from_secs(30), stream.next()).await.expect("in time");
            match event.expect("more").expect("no trouble") {
                BuildEvent::Line { text, .. } if text.starts_with(b"begun") => break,
                _ => {}
            }
        }
        let runs = || source::place::process_with(&mark.to_string());
        let echoed = Instant::now();
        while !runs() {
            assert!(echoed.elapsed() < Duration::from_secs(5), "the step sleeps");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }

        let dropped = Instant::now();
        drop(stream);

        while runs() {
            assert!(dropped.elapsed() < Duration::from_secs(5), "classic: {classic}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        eprintln!("classic: {classic}, the step was gone after {:?}", dropped.elapsed());
        assert_eq!(builder.find(order.build).await.expect("asked"), None);
        let mut late = order;
        late.limits.time = Duration::from_secs(3);
        let events = built(&builder, late).await;
        assert!(failure(&events).why.contains("stopped"), "{events:?}");
        tokio::time::sleep(Duration::from_millis(1000)).await;
        assert!(!runs());
    }
}

#[tokio::test]
async fn a_line_of_100_mb_is_cut_and_a_link_out_is_never_sent() {
    let place = Place::new();
    let builder = place.builder();
    let tree = tree(
        &place,
        "RUN busybox dd if=/dev/zero bs=1M count=100 2>/dev/null | busybox tr '\\000' x\n",
    );
    let mut large = order(&tree);
    large.recipe.no_cache = true;
    let events = built(&builder, large.clone()).await;
    assert!(matches!(events.last(), Some(BuildEvent::Done(_))), "{:?}", events.last());
    let longest = events.iter().filter_map(|event| match event {
        BuildEvent::Line { text, .. } => Some(text.len()),
        _ => None,
    });
    assert!(longest.max().expect("a line") <= 16 * 1024);
    builder.forget(large.build).await.expect("forgotten");

    symlink("/etc", tree.join("out")).expect("made");
    let error = builder.build(order(&tree)).next().await.expect("an answer").expect_err("refused");
    refused(&error, "the link out leads out");
}

#[tokio::test]
async fn a_fetch_that_is_dropped_while_the_pack_comes_or_files_are_written_leaves_nothing() {
    let place = Place::new();
    let repository = place.repository("big", &[("a", "1")]);
    let noise: Vec<u8> = (0..3_000_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).rotate_left(13).to_le_bytes())
        .collect();
    fs::write(repository.work.join("large"), noise).expect("written");
    let many: Vec<String> = (0..3000).map(|n| format!("d{}/{n}", n % 40)).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "x")).collect();
    repository.commit(&many, "large and many");
    let builder = place.builder();

    // `slow` answers a few hundred KiB a second: the pack is on its way for half a minute.
    for (name, sign, writes) in [("slow/big", "Receiving objects", false), ("big", "Writing", true)]
    {
        let into = place.fresh();
        let mut stream = builder.fetch(&place.remote(name), &wanted("main"), &into);
        let begins = timeout(Duration::from_secs(30), async {
            let received = || {
                let packs = |path: &Path| {
                    fs::read_dir(path).map_or(0, |all| {
                        all.flatten()
                            .filter_map(|one| one.metadata().ok())
                            .map(|one| one.len())
                            .sum::<u64>()
                    })
                };
                let sessions = fs::read_dir(place.directory.join("work")).expect("there").flatten();
                sessions.map(|one| packs(&one.path().join("git/objects/pack"))).sum::<u64>()
            };
            loop {
                match timeout(Duration::from_millis(20), stream.next()).await {
                    Ok(Some(Ok(FetchEvent::Line(line)))) if writes && line.starts_with(sign) => {
                        return;
                    }
                    Ok(event) => {
                        assert!(matches!(event, Some(Ok(FetchEvent::Line(_)))), "{event:?}")
                    }
                    Err(_) if !writes && received() > 100_000 => return,
                    Err(_) => {}
                }
            }
        });
        begins.await.expect(sign);
        if writes {
            // Polled on, so that git really writes.
            let is_writing = || fs::read_dir(&into).is_ok_and(|mut all| all.next().is_some());
            let writing = timeout(Duration::from_secs(30), async {
                while !is_writing() {
                    if let Ok(event) = timeout(Duration::from_millis(1), stream.next()).await {
                        assert!(matches!(event, Some(Ok(FetchEvent::Line(_)))), "{event:?}");
                    }
                }
            });
            writing.await.expect("it writes");
        }
        assert!(place.gits() > 0 || writes, "{sign}");

        let dropped = Instant::now();
        drop(stream);

        place.settles().await;
        assert!(!into.exists(), "{sign}");
        place.nothing_is_left();
        eprintln!("{sign}: nothing was left after {:?}", dropped.elapsed());
    }
}

#[tokio::test]
async fn a_build_that_is_dropped_while_its_context_is_sent_is_read_by_nobody_any_more() {
    let place = Place::new();
    for classic in [false, true] {
        let tree = tree(&place, "RUN busybox echo never\n");
        let large = fs::File::create(tree.join("large")).expect("made");
        // Holes: nothing on the disk, and a minute of sending.
        large.set_len(900 << 20).expect("stretched");
        let builder = place.builder_of_kind(classic);
        let order = order(&tree);
        let is_read = || {
            let open = fs::read_dir("/proc/self/fd").expect("there").flatten();
            open.filter_map(|one| fs::read_link(one.path()).ok())
                .any(|path| path.starts_with(&tree))
        };
        drop(large);
        let mut stream = builder.build(order.clone());
        let sends = timeout(Duration::from_secs(20), async {
            while !is_read() {
                let _ = timeout(Duration::from_millis(10), stream.next()).await;
            }
        });
        sends.await.expect("it is read");

        let dropped = Instant::now();
        drop(stream);

        while is_read() {
            assert!(dropped.elapsed() < Duration::from_secs(5), "classic: {classic}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        eprintln!("classic: {classic}, nobody read it after {:?}", dropped.elapsed());
        assert_eq!(builder.find(order.build).await.expect("asked"), None);
        fs::remove_dir_all(&tree).expect("nobody holds it");
    }
}

#[tokio::test]
async fn a_cache_mount_is_there_again_in_the_next_build_and_in_no_image() {
    let place = Place::new();
    let builder = place.builder();
    let id = Uuid::now_v7();
    let recipe = format!(
        "ARG TURN\nRUN --mount=type=cache,id={id},target=/cache busybox echo turn $TURN after $(busybox cat /cache/turns 2>/dev/null) && busybox echo $TURN >> /cache/turns\nRUN busybox ls /cache\n"
    );
    let tree = tree(&place, &recipe);
    let mut logs = Vec::new();
    for turn in ["one", "two"] {
        let mut order = order(&tree);
        order.recipe.arguments.insert("TURN".parse().expect("good"), turn.to_owned());
        let events = built(&builder, order.clone()).await;
        assert!(matches!(events.last(), Some(BuildEvent::Done(_))), "{:?}", events.last());
        logs.push(log_of(&events));
        builder.forget(order.build).await.expect("forgotten");
    }

    assert!(logs[1].contains("turn two after one"), "{logs:?}");
    assert!(!logs.iter().any(|log| log.contains("turns")), "it is mounted, not kept: {logs:?}");
}

#[tokio::test]
async fn the_machines_own_platform_is_built_and_a_foreign_one_is_refused_in_words() {
    let place = Place::new();
    let (own, foreign) = match std::env::consts::ARCH {
        "aarch64" => ("linux/arm64", "linux/amd64"),
        _ => ("linux/amd64", "linux/arm64"),
    };
    for classic in [false, true] {
        let tree = tree(&place, "RUN busybox echo built\n");
        let builder = place.builder_of_kind(classic);
        let mut order = order(&tree);
        order.recipe.no_cache = true;
        order.recipe.platform = Some(own.parse().expect("good"));
        let events = built(&builder, order.clone()).await;
        let Some(BuildEvent::Done(facts)) = events.last() else { panic!("{:?}", events.last()) };
        assert!(facts.platform.starts_with(own), "{facts:?}");
        builder.forget(order.build).await.expect("forgotten");

        // A program of the other machine: the same with another word in its header.
        let shell = tree.join("busybox");
        let mut program = fs::read(&shell).expect("there");
        program[18] = if foreign == "linux/arm64" { 0xb7 } else { 0x3e };
        fs::write(&shell, program).expect("written");
        order.recipe.platform = Some(foreign.parse().expect("good"));
        let events: Vec<_> = builder.build(order.clone()).collect().await;
        let said = format!("{:?}", events.last());
        assert!(!said.contains("Done"), "classic: {classic}: {said}");
        assert!(
            said.contains(foreign) && said.contains("this machine"),
            "classic: {classic}: {said}"
        );
    }
}
