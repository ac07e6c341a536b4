//! A kubeconfig that somebody pasted: read piece by piece, so that what is wrong is named.
//!
//! It comes from a browser and is used on this machine. So it may not run programs, name files of
//! this machine, go through a proxy or trust whoever answers: a file with such a piece is refused as
//! a whole, before anything of it is stored. Nothing here connects to anybody.

use super::certificate;
use base64::Engine as _;
use domain::{
    name::Wrong,
    target::cluster::{CREDENTIALS_BYTES, ContextRead, CredentialsRead, MOST_CONTEXTS},
};
use kube::config::{AuthInfo, Cluster, KubeConfigOptions, Kubeconfig};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

/// Days are enough for who has to make new credentials.
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// How one gets a file that can be used.
const FLATTEN: &str =
    "“kubectl config view --raw --minify --flatten” prints one that stands alone.";

/// What a pasted kubeconfig holds, without anything secret.
///
/// # Errors
///
/// A sentence that names the piece that is wrong, and what to do.
pub fn read(text: &str, now: OffsetDateTime) -> Result<CredentialsRead, Wrong> {
    let parsed = parse(text)?;
    let seen = look_through(&parsed)?;
    for named in &parsed.auth_infos {
        if let Some(user) = &named.auth_info {
            check_time(&named.name, user, now)?;
        }
    }
    Ok(seen)
}

/// All of it, but for how long it is good.
fn look_through(parsed: &Kubeconfig) -> Result<CredentialsRead, Wrong> {
    for named in &parsed.clusters {
        if let Some(cluster) = &named.cluster {
            check_cluster(&named.name, cluster)?;
        }
    }
    for named in &parsed.auth_infos {
        if let Some(user) = &named.auth_info {
            check_user(&named.name, user)?;
        }
    }
    let mut contexts = Vec::new();
    for named in &parsed.contexts {
        let (name, Some(context)) = (&named.name, &named.context) else {
            return Err(wrong(format!("The context {} says nothing.", quoted(&named.name))));
        };
        check_word("context", name)?;
        let cluster = find_cluster(parsed, name, &context.cluster)?;
        let user = context.user.as_deref().unwrap_or_default();
        find_user(parsed, name, user)?;
        contexts.push(ContextRead {
            name: name.clone(),
            server: cluster.server.clone().unwrap_or_default(),
            user: user.to_owned(),
            namespace: context.namespace.clone(),
        });
    }
    if contexts.is_empty() {
        return Err(wrong(format!(
            "The kubeconfig has no context, so it does not say which cluster and which user belong \
             together. {FLATTEN}"
        )));
    }
    if contexts.len() > MOST_CONTEXTS {
        return Err(wrong(format!(
            "The kubeconfig has {} contexts, and {MOST_CONTEXTS} is the most. {FLATTEN}",
            contexts.len()
        )));
    }
    let current = parsed.current_context.clone().filter(|current| !current.is_empty());
    if let Some(current) = &current
        && !contexts.iter().any(|context| context.name == *current)
    {
        return Err(wrong(format!(
            "current-context is {}, and there is no context of that name.",
            quoted(current)
        )));
    }
    Ok(CredentialsRead { contexts, current })
}

/// How the cluster of a context is reached, after the same look. Of those in the file only the user
/// of the context must still be good: what expires beside it takes no target away.
///
/// # Errors
///
/// As [`read`]; and when the context is not there.
pub async fn config(
    text: &str,
    context: Option<&str>,
    now: OffsetDateTime,
) -> Result<kube::Config, Wrong> {
    let parsed = parse(text)?;
    let seen = look_through(&parsed)?;
    let chosen = match context {
        Some(wanted) => seen.contexts.iter().find(|context| context.name == wanted),
        None => seen.first(None),
    };
    let chosen = chosen.ok_or_else(|| {
        wrong(format!(
            "The credentials have no context {}. Choose another one on the page of the target.",
            quoted(context.unwrap_or_default())
        ))
    })?;
    check_time(&chosen.user, find_user(&parsed, &chosen.name, &chosen.user)?, now)?;
    let options =
        KubeConfigOptions { context: Some(chosen.name.clone()), cluster: None, user: None };
    let mut config = kube::Config::from_custom_kubeconfig(parsed, &options)
        .await
        .map_err(|error| wrong(format!("The kubeconfig can not be used: {error}.")))?;
    // Neither the file's, which has none, nor one of our own surroundings.
    config.proxy_url = None;
    Ok(config)
}

fn parse(text: &str) -> Result<Kubeconfig, Wrong> {
    if text.trim().is_empty() {
        return Err(wrong("Paste a kubeconfig, or choose its file."));
    }
    if text.len() > CREDENTIALS_BYTES {
        return Err(wrong(format!(
            "The kubeconfig has {} KiB, and {} KiB is the most. {FLATTEN}",
            text.len() / 1024,
            CREDENTIALS_BYTES / 1024
        )));
    }
    let parsed = Kubeconfig::from_yaml(text).map_err(|error| {
        // Its own words may quote a line, and a secret may stand there: only the place is told.
        let place = place_of(&error).map_or(String::new(), |place| format!(" ({place})"));
        wrong(format!(
            "This is not a kubeconfig: it can not be read as YAML of that form{place}. Was all of \
             it copied?"
        ))
    })?;
    let is_one = parsed.kind.as_deref().is_none_or(|kind| kind == "Config");
    let has_any =
        !(parsed.clusters.is_empty() && parsed.auth_infos.is_empty() && parsed.contexts.is_empty());
    if is_one && (has_any || parsed.kind.is_some()) {
        return Ok(parsed);
    }
    let kind = parsed.kind.map_or(String::new(), |kind| format!(", but of kind {}", quoted(&kind)));
    Err(wrong(format!(
        "This is YAML, but no kubeconfig: it is not of kind Config with clusters, users and \
         contexts{kind}."
    )))
}

/// “line 3 column 7”, if the parser's words end with such.
fn place_of(error: &dyn std::error::Error) -> Option<String> {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        said = format!("{said} {source}");
        next = source.source();
    }
    let number_after = |word: &str| {
        let rest = &said[said.find(word)? + word.len()..];
        let digits: String =
            rest.trim_start_matches([' ', ':']).chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then_some(digits)
    };
    let line = number_after("line")?;
    Some(match number_after("column") {
        Some(column) => format!("line {line}, column {column}"),
        None => format!("line {line}"),
    })
}

fn find_cluster<'a>(
    parsed: &'a Kubeconfig,
    context: &str,
    name: &str,
) -> Result<&'a Cluster, Wrong> {
    let found = parsed.clusters.iter().find(|cluster| cluster.name == name);
    found.and_then(|named| named.cluster.as_ref()).ok_or_else(|| {
        wrong(format!(
            "The context {} names the cluster {}, which is not in the kubeconfig.",
            quoted(context),
            quoted(name)
        ))
    })
}

fn find_user<'a>(parsed: &'a Kubeconfig, context: &str, name: &str) -> Result<&'a AuthInfo, Wrong> {
    let found = parsed.auth_infos.iter().find(|user| user.name == name);
    found.and_then(|named| named.auth_info.as_ref()).ok_or_else(|| {
        wrong(format!(
            "The context {} names the user {}, which is not in the kubeconfig.",
            quoted(context),
            quoted(name)
        ))
    })
}

fn check_cluster(name: &str, cluster: &Cluster) -> Result<(), Wrong> {
    let of = format!("of the cluster {}", quoted(name));
    let server = cluster.server.as_deref().unwrap_or_default();
    if server.is_empty() {
        return Err(wrong(format!("The server {of} is missing.")));
    }
    // First of all, and what is no address is never repeated: a password may be somewhere in it.
    let parsed = server.parse::<http::Uri>().ok();
    let authority = parsed.as_ref().map(|url| url.authority().map_or("", |it| it.as_str()));
    if authority.unwrap_or(server).contains('@') {
        return Err(wrong(format!(
            "The server {of} has a user name or a password in its address. Leave it out."
        )));
    }
    let url = parsed.ok_or_else(|| {
        wrong(format!(
            "The server {of} is no address. It looks like https://cluster.example.org:6443."
        ))
    })?;
    if url.scheme_str() != Some("https") || url.host().is_none_or(str::is_empty) {
        let host = url.host().map_or(String::new(), |host| format!(", on {},", quoted(host)));
        return Err(wrong(format!(
            "The server {of}{host} must begin with https://: what is sent there are credentials."
        )));
    }
    if cluster.insecure_skip_tls_verify == Some(true) {
        return Err(wrong(format!(
            "The kubeconfig says insecure-skip-tls-verify {of}: whoever answers would be given the \
             credentials. Put the cluster's authority into certificate-authority-data instead."
        )));
    }
    if is_set(cluster.proxy_url.as_deref()) {
        return Err(wrong(format!(
            "The kubeconfig says proxy-url {of}, and clusters are not reached through a proxy. \
             Leave it out."
        )));
    }
    if is_set(cluster.certificate_authority.as_deref()) {
        return Err(names_a_file("certificate-authority", &of));
    }
    if let Some(data) = &cluster.certificate_authority_data {
        pem(data, "CERTIFICATE")
            .ok_or_else(|| no_pem("certificate-authority-data", &of, "certificate"))?;
    }
    Ok(())
}

fn check_user(name: &str, user: &AuthInfo) -> Result<(), Wrong> {
    let of = format!("of the user {}", quoted(name));
    if user.exec.is_some() {
        return Err(wrong(format!(
            "The credentials {of} are made by a program (exec), and no program of a kubeconfig is \
             run here. Use a token of a service account, or a client certificate."
        )));
    }
    if user.auth_provider.is_some() {
        return Err(wrong(format!(
            "The credentials {of} come from an auth-provider, which is not offered. Use a token of \
             a service account, or a client certificate."
        )));
    }
    let files = [
        ("client-certificate", &user.client_certificate),
        ("client-key", &user.client_key),
        ("tokenFile", &user.token_file),
    ];
    for (piece, file) in files {
        if is_set(file.as_deref()) {
            return Err(names_a_file(piece, &of));
        }
    }
    let written = serde_json::to_value(user).unwrap_or_default();
    let text = |piece: &str| written.get(piece).and_then(serde_json::Value::as_str);
    match (&user.client_certificate_data, text("client-key-data")) {
        (Some(data), Some(key)) => {
            pem(data, "CERTIFICATE")
                .ok_or_else(|| no_pem("client-certificate-data", &of, "certificate"))?;
            pem(key, "PRIVATE KEY").ok_or_else(|| no_pem("client-key-data", &of, "private key"))?;
        }
        (Some(_), None) => {
            return Err(wrong(format!("client-key-data {of} is missing beside its certificate.")));
        }
        (None, Some(_)) => {
            return Err(wrong(format!("client-certificate-data {of} is missing beside its key.")));
        }
        (None, None) => {}
    }
    let says_who =
        text("token").is_some() || text("password").is_some() || text("client-key-data").is_some();
    if !says_who {
        return Err(wrong(format!(
            "The kubeconfig has nothing by which the cluster would know us {of}: no token and no \
             client certificate. “kubectl config view” leaves them out; add --raw."
        )));
    }
    Ok(())
}

/// Whether a user's certificate and token are still good.
fn check_time(name: &str, user: &AuthInfo, now: OffsetDateTime) -> Result<(), Wrong> {
    let of = format!("of the user {}", quoted(name));
    let certificate = user.client_certificate_data.as_deref();
    let certificate = certificate.and_then(|data| pem(data, "CERTIFICATE"));
    let until = certificate.and_then(|found| certificate::good_until(&found));
    if let Some(until) = until.filter(|until| *until <= now) {
        return Err(expired(&format!("The client certificate {of}"), until));
    }
    let written = serde_json::to_value(user).unwrap_or_default();
    let token = written.get("token").and_then(serde_json::Value::as_str);
    if let Some(until) = token.and_then(token_until).filter(|until| *until <= now) {
        return Err(expired(&format!("The token {of}"), until));
    }
    Ok(())
}

/// Until when a token is good that says so itself.
fn token_until(token: &str) -> Option<OffsetDateTime> {
    let middle = token.split('.').nth(1)?;
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(middle).ok()?;
    let says: serde_json::Value = serde_json::from_slice(&json).ok()?;
    OffsetDateTime::from_unix_timestamp(says.get("exp")?.as_i64()?).ok()
}

/// The bytes of the first block of that kind, out of base64 over PEM.
fn pem(data: &str, kind: &str) -> Option<Vec<u8>> {
    let text = base64::engine::general_purpose::STANDARD.decode(data.trim()).ok()?;
    let text = std::str::from_utf8(&text).ok()?;
    // A key is of several kinds: "EC PRIVATE KEY" is one.
    let begin = text.find("-----BEGIN ")?;
    let (head, rest) = text[begin..].split_once('\n')?;
    if !head.trim_end().strip_suffix("-----")?.ends_with(kind) {
        return None;
    }
    let body: String =
        rest.split("-----END").next()?.chars().filter(|c| !c.is_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(body).ok()
}

fn is_set(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

/// A name that fits into a row and onto a page.
fn check_word(what: &str, name: &str) -> Result<(), Wrong> {
    let good = (1..=253).contains(&name.len()) && !name.chars().any(char::is_control);
    good.then_some(()).ok_or_else(|| {
        wrong(format!("The name of a {what} has 1 to 253 characters, and no line break."))
    })
}

fn names_a_file(piece: &str, of: &str) -> Wrong {
    wrong(format!(
        "{piece} {of} names a file, and files of this machine are not read for a kubeconfig. \
         {FLATTEN}"
    ))
}

fn no_pem(piece: &str, of: &str, what: &str) -> Wrong {
    wrong(format!(
        "{piece} {of} is no {what}: it must be PEM, written in base64. Was all of it copied?"
    ))
}

fn expired(what: &str, until: OffsetDateTime) -> Wrong {
    let day = until.format(&DAY).unwrap_or_default();
    wrong(format!("{what} was good until {day}. Make a new one, and paste that."))
}

/// As it stands in a sentence: what is typed may be long.
fn quoted(text: &str) -> String {
    let short: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    format!("“{short}”")
}

fn wrong(sentence: impl Into<String>) -> Wrong {
    Wrong::new(sentence)
}

#[cfg(test)]
mod tests;
