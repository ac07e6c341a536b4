//! What is taken of a pasted kubeconfig, and each piece that is not.

use super::*;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

/// One that can be used; `cluster` and `user` are put in the place of what stands there.
fn file(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: staging\n\
         clusters:\n- name: c1\n  cluster: {{{cluster}}}\n\
         users:\n- name: robot\n  user: {{{user}}}\n\
         contexts:\n- name: staging\n  context: {{cluster: c1, user: robot, namespace: shop}}\n"
    )
}

const SERVER: &str = "server: 'https://cluster.example.org:6443'";
const TOKEN: &str = "token: hunter2-hunter2";

fn refused(text: &str) -> String {
    let why = read(text, NOW).expect_err("refused").0;
    assert!(!why.contains("hunter2"), "{why}");
    why
}

fn base64(text: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn pem_of(kind: &str, der: &[u8]) -> String {
    base64(format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", base64(der)))
}

/// As much of a certificate as is read, good until a day of 2026.
fn certificate_until(month: u8) -> String {
    let wrap = |tag: u8, content: &[u8]| {
        [&[tag, u8::try_from(content.len()).expect("short")], content].concat()
    };
    let until = format!("26{month:02}01000000Z");
    let times = [wrap(0x17, b"250101000000Z"), wrap(0x17, until.as_bytes())].concat();
    let parts = [wrap(2, &[7]), wrap(0x30, &[]), wrap(0x30, &[]), wrap(0x30, &times)].concat();
    pem_of("CERTIFICATE", &wrap(0x30, &wrap(0x30, &parts)))
}

#[tokio::test]
async fn a_whole_one_is_read_and_nothing_secret_is_told() {
    let text = file(SERVER, TOKEN);
    let seen = read(&text, NOW).expect("good");

    assert_eq!(seen.current.as_deref(), Some("staging"));
    assert_eq!(seen.contexts.len(), 1);
    assert_eq!(seen.contexts[0].server, "https://cluster.example.org:6443");
    assert_eq!(seen.contexts[0].namespace.as_deref(), Some("shop"));
    assert!(!format!("{seen:?}").contains("hunter2"));
    let config = config(&text, Some("staging"), NOW).await.expect("good");
    assert_eq!(config.cluster_url.host(), Some("cluster.example.org"));
    assert!(config.proxy_url.is_none() && !config.accept_invalid_certs);
}

#[tokio::test]
async fn a_context_that_is_not_there_any_more_is_told() {
    let why = config(&file(SERVER, TOKEN), Some("gone"), NOW).await.expect_err("gone").0;

    assert!(why.contains("no context “gone”"), "{why}");
}

#[test]
fn what_is_no_kubeconfig_is_told_so() {
    assert!(refused("").contains("Paste a kubeconfig"));
    let cut = file(SERVER, "token: hunter2-hunter2, client-key: [");
    assert!(refused(&cut).contains("can not be read as YAML"));
    assert!(refused("just words").contains("can not be read as YAML"));
    let pod = refused("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n");
    assert!(pod.contains("no kubeconfig") && pod.contains("“Pod”"), "{pod}");
    let long = format!("# {}\n{}", "a".repeat(CREDENTIALS_BYTES), file(SERVER, TOKEN));
    assert!(refused(&long).contains("256 KiB is the most"));
}

#[test]
fn contexts_must_name_what_is_there() {
    let text = file(SERVER, TOKEN);

    let none = &text[..text.find("contexts:").expect("there")];
    assert!(refused(none).contains("has no context"));
    let cluster = refused(&text.replace("cluster: c1,", "cluster: c2,"));
    assert!(cluster.contains("names the cluster “c2”"), "{cluster}");
    let user = refused(&text.replace("user: robot,", "user: nobody,"));
    assert!(user.contains("names the user “nobody”"), "{user}");
    let current = refused(&text.replace("current-context: staging", "current-context: other"));
    assert!(current.contains("current-context is “other”"), "{current}");
}

#[test]
fn a_cluster_is_refused_by_the_piece_that_is_wrong() {
    let cases = [
        ("insecure-skip-tls-verify: false", "server of the cluster “c1” is missing"),
        ("server: 'http://cluster.example.org'", "must begin with https://"),
        ("server: 'cluster.example.org:6443'", "must begin with https://"),
        ("server: 'https://a b'", "is no address"),
        ("server: 'https://me:hunter2@cluster.example.org'", "a user name or a password in its"),
        ("server: 'http://me:hunter2@cluster.example.org'", "a user name or a password in its"),
        ("server: 'http://me:hunter2 @cluster.example.org'", "a user name or a password in its"),
        ("server: 'https://cluster.example.org:hunter2 /'", "is no address"),
        ("server: 'http://cluster.example.org/?token=hunter2'", "must begin with https://"),
        ("server: 'https://c', insecure-skip-tls-verify: true", "insecure-skip-tls-verify"),
        ("server: 'https://c', proxy-url: 'http://proxy'", "proxy-url"),
        ("server: 'https://c', certificate-authority: /etc/ca.crt", "names a file"),
        ("server: 'https://c', certificate-authority-data: '%%'", "is no certificate"),
    ];
    for (cluster, says) in cases {
        let why = refused(&file(cluster, TOKEN));
        assert!(why.contains(says) && why.contains("c1"), "{cluster}: {why}");
    }
}

#[test]
fn a_user_is_refused_by_the_piece_that_is_wrong() {
    let key = pem_of("EC PRIVATE KEY", b"key");
    let certificate = certificate_until(12);
    let alone = format!("client-certificate-data: {certificate}");
    let no_certificate = format!("client-key-data: {key}");
    let swapped = format!("client-certificate-data: {key}, client-key-data: {certificate}");
    let cases = [
        ("exec: {apiVersion: v1, command: /bin/sh, args: [-c, id]}", "made by a program (exec)"),
        ("auth-provider: {name: gcp}", "auth-provider"),
        ("client-certificate: /home/me/c.crt", "client-certificate of the user"),
        ("client-key: ../key", "client-key of the user"),
        ("tokenFile: /etc/shadow", "tokenFile of the user"),
        ("username: me", "nothing by which the cluster would know us"),
        (alone.as_str(), "client-key-data of the user"),
        (no_certificate.as_str(), "client-certificate-data of the user"),
        (swapped.as_str(), "is no certificate"),
    ];
    for (user, says) in cases {
        let why = refused(&file(SERVER, user));
        assert!(why.contains(says) && why.contains("robot"), "{user}: {why}");
    }
}

#[test]
fn a_program_is_refused_though_no_context_names_it() {
    let text = file(SERVER, TOKEN)
        .replace("users:\n", "users:\n- name: other\n  user: {exec: {command: id}}\n");

    assert!(refused(&text).contains("of the user “other”"));
}

#[test]
fn what_has_expired_is_told_with_its_day() {
    let key = pem_of("PRIVATE KEY", b"key");
    let user = |month| {
        let certificate = certificate_until(month);
        format!("client-certificate-data: {certificate}, client-key-data: {key}")
    };
    let why = refused(&file(SERVER, &user(3)));
    assert!(why.contains("client certificate") && why.contains("2026-03-01"), "{why}");
    read(&file(SERVER, &user(12)), NOW).expect("good until December");

    let why = refused(&file(SERVER, &token_until(NOW.unix_timestamp() - 1)));
    assert!(why.contains("The token") && why.contains("2026-11-21"), "{why}");
    read(&file(SERVER, &token_until(NOW.unix_timestamp() + 60)), NOW).expect("good for a minute");
}

/// A token that says how long it is good.
fn token_until(until: i64) -> String {
    let says = format!("{{\"exp\":{until}}}");
    let says = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(says);
    format!("token: a.{says}.b")
}

#[tokio::test]
async fn of_what_is_stored_only_the_user_of_the_context_must_be_good() {
    let over = token_until(NOW.unix_timestamp() - 1);
    let text = file(SERVER, TOKEN)
        .replace("users:\n", &format!("users:\n- name: other\n  user: {{{over}}}\n"))
        .replace("contexts:\n", "contexts:\n- name: old\n  context: {cluster: c1, user: other}\n");

    config(&text, Some("staging"), NOW).await.expect("its own user is good");
    config(&text, None, NOW).await.expect("so is that of the current context");
    let why = config(&text, Some("old"), NOW).await.expect_err("over").0;
    assert!(why.contains("of the user “other” was good until 2026-11-21"), "{why}");
    // Who pastes it anew can leave it out.
    assert!(refused(&text).contains("of the user “other”"));
}
