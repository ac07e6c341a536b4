//! What somebody changed on a container of ours: what it was made with stands in its labels, and is
//! compared with what the engine says of it now. Pure.
//!
//! Values of variables are kept as a sum only. Whoever may read labels may read them anyway; but a
//! list of containers is copied into more places than one of variables.

use bollard::models::{ContainerCreateBody, ContainerInspectResponse, RestartPolicyNameEnum};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, fmt::Write as _};

const IMAGE: &str = "pilothouse.made.image";
const CPUS: &str = "pilothouse.made.cpus";
const MEMORY: &str = "pilothouse.made.memory";
const PIDS: &str = "pilothouse.made.pids";
const NAMES: &str = "pilothouse.made.variables";
const VALUES: &str = "pilothouse.made.values";

/// Writes into the labels what the container is made with.
pub(super) fn mark(mut body: ContainerCreateBody) -> ContainerCreateBody {
    let env = body.env.clone().unwrap_or_default();
    let host = body.host_config.as_ref();
    let number = |value: Option<i64>| value.unwrap_or(0).to_string();
    let marks = [
        (IMAGE, body.image.clone().unwrap_or_default()),
        (CPUS, number(host.and_then(|host| host.nano_cpus))),
        (MEMORY, number(host.and_then(|host| host.memory))),
        (PIDS, number(host.and_then(|host| host.pids_limit))),
        (NAMES, env.iter().map(|line| name(line)).collect::<Vec<_>>().join(",")),
        (VALUES, sum(env.iter().map(String::as_str).collect())),
    ];
    let labels = body.labels.get_or_insert_default();
    labels.extend(marks.map(|(key, value)| (key.to_owned(), value)));
    body
}

/// What is not as it was made, as a part of a sentence. What was made before there were such labels
/// is as it is.
pub(super) fn found(
    labels: &HashMap<String, String>,
    inspected: &ContainerInspectResponse,
    expected_name: &str,
) -> Option<String> {
    let called = inspected.name.as_deref().map(|name| name.trim_start_matches('/'));
    if let Some(called) = called.filter(|called| !called.is_empty() && *called != expected_name) {
        return Some(format!("it was renamed to {called}"));
    }
    let host = inspected.host_config.as_ref();
    if let (Some(made), Some(is)) = (labels.get(IMAGE), &inspected.image)
        && made != is
    {
        return Some(format!("it runs the image {}, and was made of {}", short(is), short(made)));
    }
    let limit = |key: &str, is: Option<i64>| {
        let made: i64 = labels.get(key)?.parse().ok()?;
        let is = is.unwrap_or(0);
        (made != is).then_some((is, made))
    };
    if let Some((is, made)) = limit(MEMORY, host.and_then(|host| host.memory)) {
        let (is, made) = (mebibytes(is), mebibytes(made));
        return Some(format!("its memory limit is {is}, and was made with {made}"));
    }
    if let Some((is, made)) = limit(CPUS, host.and_then(|host| host.nano_cpus)) {
        let cores = |nano: i64| nano as f64 / 1e9;
        return Some(format!("it may use {} cores, and was made with {}", cores(is), cores(made)));
    }
    if let Some((is, made)) = limit(PIDS, host.and_then(|host| host.pids_limit)) {
        return Some(format!("it may have {is} processes, and was made with {made}"));
    }
    let policy = host.and_then(|host| host.restart_policy.as_ref()?.name);
    if policy.is_some_and(|policy| policy != RestartPolicyNameEnum::UNLESS_STOPPED)
        && labels.contains_key(IMAGE)
    {
        return Some("its restart policy was changed".to_owned());
    }
    let (Some(names), Some(made)) = (labels.get(NAMES), labels.get(VALUES)) else { return None };
    let env = inspected.config.as_ref().and_then(|config| config.env.as_deref()).unwrap_or(&[]);
    // The image's own variables are among them, which are not ours to compare.
    let ours = names.split(',').filter(|name| !name.is_empty());
    let ours = ours.filter_map(|wanted| env.iter().find(|line| name(line) == wanted));
    let is = sum(ours.map(String::as_str).collect());
    (is != *made).then(|| "its variables are not those it was made with".to_owned())
}

fn name(line: &str) -> &str {
    line.split_once('=').map_or(line, |(name, _)| name)
}

/// The sum of lines in whatever order they come.
fn sum(mut lines: Vec<&str>) -> String {
    lines.sort_unstable();
    let mut sum = Sha256::new();
    for line in lines {
        sum.update(line.len().to_be_bytes());
        sum.update(line);
    }
    sum.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing into a string never fails.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn short(image: &str) -> &str {
    let hex = image.trim_start_matches("sha256:");
    hex.get(..12).unwrap_or(hex)
}

fn mebibytes(bytes: i64) -> String {
    if bytes == 0 { "none".to_owned() } else { format!("{} MiB", bytes >> 20) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::{ContainerConfig, HostConfig, RestartPolicy};

    fn made() -> (HashMap<String, String>, ContainerInspectResponse) {
        let host = HostConfig {
            memory: Some(64 << 20),
            nano_cpus: Some(500_000_000),
            pids_limit: Some(64),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        };
        let image = format!("sha256:{}", "a".repeat(64));
        let body = mark(ContainerCreateBody {
            image: Some(image.clone()),
            env: Some(vec!["B=2".to_owned(), "A=1".to_owned()]),
            host_config: Some(host.clone()),
            ..ContainerCreateBody::default()
        });
        // As an engine says it: in its own order, with what the image brought.
        let env = vec!["PATH=/bin".to_owned(), "A=1".to_owned(), "B=2".to_owned()];
        let inspected = ContainerInspectResponse {
            name: Some("/web".to_owned()),
            image: Some(image),
            host_config: Some(host),
            config: Some(ContainerConfig { env: Some(env), ..ContainerConfig::default() }),
            ..ContainerInspectResponse::default()
        };
        (body.labels.expect("marked"), inspected)
    }

    #[test]
    fn what_is_as_it_was_made_is_not_changed_and_every_change_is_told() {
        let (labels, there) = made();
        assert_eq!(found(&labels, &there, "web"), None);

        let said = |change: fn(&mut ContainerInspectResponse)| {
            let mut there = there.clone();
            change(&mut there);
            found(&labels, &there, "web").unwrap_or_default()
        };
        assert!(said(|it| it.name = Some("/other".to_owned())).contains("renamed to other"));
        assert!(said(|it| it.image = Some("sha256:bbb".to_owned())).contains("the image bbb"));
        let more = said(|it| it.host_config.as_mut().expect("there").memory = Some(128 << 20));
        assert_eq!(more, "its memory limit is 128 MiB, and was made with 64 MiB");
        let cores =
            said(|it| it.host_config.as_mut().expect("there").nano_cpus = Some(2_000_000_000));
        assert_eq!(cores, "it may use 2 cores, and was made with 0.5");
        assert!(said(|it| it.host_config.as_mut().expect("there").pids_limit = None).contains("0"));
        let env = said(|it| {
            let config = it.config.as_mut().expect("there");
            config.env = Some(vec!["A=1".to_owned(), "B=3".to_owned()]);
        });
        assert!(env.contains("variables"), "{env}");
    }

    #[test]
    fn what_was_made_before_there_were_marks_is_as_it_is() {
        let (_, there) = made();

        assert_eq!(found(&HashMap::new(), &there, "web"), None);
    }
}
