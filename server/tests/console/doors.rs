//! What every request and every answer has in common.

use super::{
    http::Ask,
    world::{Person, World},
};

/// One of each kind: a page, one that is none, a function, a file, a probe, a stream, an export.
const PATHS: [&str; 9] = [
    "/",
    "/sign-in",
    "/there/is/nothing",
    "/pkg/app.3.css",
    "/robots.txt",
    "/livez",
    "/readyz",
    "/live",
    "/history/export.csv",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_door_holds() {
    let world = World::start("doors").await;
    let admin = world.first_admin().await;

    every_answer_tells_the_browser_to_be_careful(&world).await;
    pages_run_only_our_scripts(&world, &admin).await;
    a_foreign_page_can_not_post(&world, &admin).await;
    a_foreign_name_is_not_answered(&world).await;
    a_number_leads_to_the_name_from_which_cookies_work(&world).await;
    a_body_has_a_limit(&world, &admin).await;
    files_are_kept_and_pages_are_not(&world, &admin).await;
    probes_tell_how_it_is(&world).await;
    the_link_is_gone_once_it_was_used(&world).await;
    without_a_database_it_says_so(&world, &admin).await;

    world.end().await;
}

async fn every_answer_tells_the_browser_to_be_careful(world: &World) {
    for path in PATHS {
        let answer = Ask::get(world.port, path).header("Accept", "text/html").send().await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}: {name}");
        }
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe-inline"), "{path}: {policy}");
        assert!(answer.header("x-request-id").is_some(), "{path}");
    }
}

async fn pages_run_only_our_scripts(world: &World, admin: &Person) {
    let page = world.get(admin, "/").header("Accept", "text/html").send().await;
    let again = world.get(admin, "/").header("Accept", "text/html").send().await;

    let policy = page.header("content-security-policy").unwrap();
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert_eq!(page.status, 200);
    assert!(page.body.contains(nonce), "its scripts have the nonce");
    assert!(
        !again.header("content-security-policy").unwrap().contains(nonce),
        "it is new each time"
    );
}

async fn a_foreign_page_can_not_post(world: &World, admin: &Person) {
    let function = || world.post(admin, "people/end-other-sessions", &[]);

    let foreign = [
        function().header("Sec-Fetch-Site", "cross-site"),
        function().header("Sec-Fetch-Site", "same-site"),
        function().header("Sec-Fetch-Site", ""),
        function().header("Sec-Fetch-Site", "").header("Origin", "https://evil.example"),
        function().header("Sec-Fetch-Site", "").header("Origin", "null"),
        function().header("Sec-Fetch-Site", "cross-site").method("DELETE"),
    ];
    for ask in foreign {
        let said = format!("{ask:?}");
        assert_eq!(ask.send().await.status, 403, "{said}");
    }
    let own = format!("http://localhost:{}", world.port);
    let ours = function().header("Sec-Fetch-Site", "").header("Origin", &own).send().await;
    assert_eq!(ours.status, 200, "{}", ours.body);
    let export = world.get(admin, "/history/export.csv").header("Sec-Fetch-Site", "cross-site");
    assert_eq!(export.send().await.status, 403, "an export is a row in somebody's name");
}

async fn a_foreign_name_is_not_answered(world: &World) {
    for host in
        ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:7300", "a@localhost"]
    {
        for path in PATHS {
            let answer = Ask::get(world.port, path).header("Host", host).send().await;
            assert_eq!(answer.status, 421, "{host} {path}");
        }
    }
    // HTTP wants one; a server of the library's answers 400 before we are asked.
    let nameless = Ask::get(world.port, "/livez").header("Host", "").send().await;
    assert!(matches!(nameless.status, 400 | 421), "{}", nameless.status);
}

async fn a_number_leads_to_the_name_from_which_cookies_work(world: &World) {
    let host = format!("127.0.0.1:{}", world.port);
    let ask = |path| Ask::get(world.port, path).header("Host", &host);

    let page = ask("/people?x=1").header("Accept", "text/html").send().await;
    let probe = ask("/livez").send().await;

    let there = format!("http://localhost:{}/people?x=1", world.port);
    assert_eq!((page.status, page.header("location")), (307, Some(there.as_str())));
    assert_eq!(probe.status, 200);
}

async fn a_body_has_a_limit(world: &World, admin: &Person) {
    let much = "x".repeat(300 * 1024);

    let form = world.post(admin, "people/add", &[("name", &much), ("password", "x")]);
    let answer = form.clone().send().await;
    assert_eq!(answer.status, 413, "{}", answer.body);

    for accept in ["application/json", "text/html"] {
        let without_length = form.clone().header("Transfer-Encoding", "chunked");
        let answer = without_length.header("Accept", accept).send().await;
        assert_eq!(answer.status, 413, "{accept}: {}", answer.body);
    }
}

async fn files_are_kept_and_pages_are_not(world: &World, admin: &Person) {
    let cached = |answer: super::http::Answer| answer.header("cache-control").unwrap().to_owned();

    let style = cached(Ask::get(world.port, "/pkg/app.3.css").send().await);
    let gone = cached(Ask::get(world.port, "/pkg/app.4.css").send().await);
    let page = cached(world.get(admin, "/").send().await);
    let hashes = Ask::get(world.port, "/hash.txt").send().await;

    assert_eq!(style, "public, max-age=31536000, immutable");
    assert_eq!(gone, "no-store");
    assert_eq!(page, "no-store");
    assert_eq!(hashes.status, 404);
}

async fn probes_tell_how_it_is(world: &World) {
    let ready = Ask::get(world.port, "/readyz").send().await;
    let figures = Ask::get(world.port, "/metrics").send().await;

    assert_eq!(ready.status, 200, "{}", ready.body);
    let said = ready.json();
    let parts = said["parts"].as_array().unwrap();
    for name in ["database", "history", "engine"] {
        let part = parts.iter().find(|part| part["name"] == name).expect(name);
        assert_eq!(part["ok"], true, "{part}");
    }
    assert!(figures.body.contains("pilothouse_history_head "), "{}", figures.body);
    assert!(
        !figures.body.contains("/there/is/nothing"),
        "counted by pattern, not by what is asked"
    );
}

async fn the_link_is_gone_once_it_was_used(world: &World) {
    let file = world.directory.join("data/first-admin-link");
    for _ in 0..50 {
        if !file.exists() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("it is still there");
}

async fn without_a_database_it_says_so(world: &World, admin: &Person) {
    world.pool.close().await;

    let page = world.get(admin, "/").header("Accept", "text/html").send().await;
    let ready = world.get(admin, "/readyz").send().await;

    assert_eq!(page.status, 503, "{}", page.body);
    assert!(page.body.contains("The database does not answer"), "{}", page.body);
    assert_eq!(page.header("refresh"), Some("5"));
    let id = page.header("x-request-id").unwrap();
    assert!(page.body.contains(id), "the page names the request");
    assert_eq!(ready.status, 503, "{}", ready.body);
}
