//! Why a pod does not come up, in words. Pure: what the cluster says of pods, events and
//! ReplicaSets comes in, a clause for people goes out.
//!
//! A clause begins small and has no full stop, so that it fits behind "blue-c19f-1: ".

use super::error::sentence;
use crate::death::ended;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Event, Pod},
};

/// The most of a program's last lines that is told.
const LAST_WORDS: usize = 200;

/// Why `pod` does not run, or is not ready; `None` while nothing is wrong with it. `events` are those
/// of the pod, in any order, or none where they may not be read.
pub(super) fn of_pod(pod: &Pod, events: &[Event]) -> Option<String> {
    let status = pod.status.as_ref();
    if let Some(why) = ended_as_a_whole(pod) {
        return Some(why);
    }
    if let Some(container) = container(pod) {
        if let Some(why) = of_container(container, memory_limit(pod), events) {
            return Some(why);
        }
        let is_up = container.state.as_ref().is_some_and(|state| state.running.is_some());
        return (is_up && !container.ready).then(|| unhealthy(events)).flatten();
    }
    let scheduled = status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = scheduled {
        return Some(unschedulable(condition.message.as_deref().unwrap_or_default()));
    }
    if status.and_then(|status| status.phase.as_deref()) == Some("Failed") {
        return Some("its pod failed, and the cluster does not say why".to_owned());
    }
    before_start(events)
}

/// Why the last run of the pod's container ended, whether it runs again or not.
pub(super) fn died(pod: &Pod) -> Option<String> {
    let container = container(pod)?;
    let ended = |state: &Option<ContainerState>| state.as_ref()?.terminated.clone();
    let last = ended(&container.state).or_else(|| ended(&container.last_state))?;
    Some(terminated(&last, memory_limit(pod)))
}

/// Why a slot's pods are not made at all, as its Deployment says.
pub(super) fn not_made(deployment: &Deployment) -> Option<String> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failure =
        conditions.iter().find(|one| one.type_ == "ReplicaFailure" && one.status == "True")?;
    Some(failed_create(failure.message.as_deref().unwrap_or_default()))
}

/// Why the API server did not let a pod be made.
fn failed_create(message: &str) -> String {
    if let Some(quota) = quota(message) {
        return quota;
    }
    if let Some(level) = between(message, "violates PodSecurity \"", "\"") {
        let what = message.split_once("\": ").map_or("", |(_, what)| what);
        return format!(
            "the namespace's Pod Security level {level} forbids it: {}",
            sentence(what)
        );
    }
    format!("the cluster did not let the pod be made: {}", sentence(message))
}

/// Of "exceeded quota: small, requested: limits.memory=64Mi, used: limits.memory=448Mi, limited:
/// limits.memory=480Mi". `None` for anything else.
fn quota(message: &str) -> Option<String> {
    let (_, said) = message.split_once("exceeded quota: ")?;
    let part = |from: &str, to: &str| {
        let (_, rest) = said.split_once(from)?;
        Some(rest.split_once(to).map_or(rest, |(part, _)| part).trim())
    };
    let name = said.split(',').next().unwrap_or_default();
    let (requested, used, limited) =
        (part("requested: ", ", used:")?, part("used: ", ", limited:")?, part("limited: ", "\n")?);
    Some(format!(
        "the namespace's quota {name} has no room: it asks for {requested}, {used} of {limited} is used"
    ))
}

/// The container that is the service's: pods of ours have one.
fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

fn memory_limit(pod: &Pod) -> Option<&str> {
    let container = pod.spec.as_ref()?.containers.first()?;
    Some(container.resources.as_ref()?.limits.as_ref()?.get("memory")?.0.as_str())
}

/// Evicted, preempted, or refused by its node.
fn ended_as_a_whole(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let reason = status.reason.as_deref()?;
    if status.phase.as_deref() != Some("Failed") {
        return None;
    }
    let said = sentence(status.message.as_deref().unwrap_or("the cluster does not say more"));
    let said = said.trim_end_matches(['.', ' ']);
    Some(match reason {
        "Evicted" => format!("was evicted from its node: {said}"),
        "Preempted" | "Preempting" => format!("had to make room for others: {said}"),
        "NodeLost" | "NodeShutdown" | "Terminated" | "Shutdown" => {
            format!("its node went away: {said}")
        }
        "DeadlineExceeded" => format!("ran longer than it may: {said}"),
        other => format!("was refused by its node ({other}): {said}"),
    })
}

fn of_container(
    container: &ContainerStatus,
    memory: Option<&str>,
    events: &[Event],
) -> Option<String> {
    let state = container.state.as_ref()?;
    if let Some(ended) = &state.terminated {
        return Some(terminated(ended, memory));
    }
    let waiting = state.waiting.as_ref()?;
    let message = waiting.message.as_deref().unwrap_or_default();
    match waiting.reason.as_deref().unwrap_or_default() {
        "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" | "ImageInspectError" => {
            Some(not_pulled(&container.image, message, events))
        }
        "InvalidImageName" => Some(format!("its image {} is no name of an image", container.image)),
        "ErrImageNeverPull" => Some(format!(
            "its image {} is not on the node, and is not to be fetched",
            container.image
        )),
        "CreateContainerConfigError" => {
            Some(format!("can't be configured: {}", missing_object(message)))
        }
        "CreateContainerError" | "RunContainerError" | "StartError" => {
            Some(format!("could not be started: {}", started(message)))
        }
        "CrashLoopBackOff" => {
            let last = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
            Some(last.map_or_else(
                || "dies again and again, and the cluster does not say how".to_owned(),
                |last| terminated(last, memory),
            ))
        }
        // On its way, unless something before it fails all the time.
        "ContainerCreating" | "PodInitializing" | "" => before_start(events),
        other => Some(format!("waits ({other}): {}", sentence(message))),
    }
}

/// How a run ended: by which code, and with which last words.
fn terminated(run: &ContainerStateTerminated, memory: Option<&str>) -> String {
    let reason = run.reason.as_deref().unwrap_or_default();
    let message = run.message.as_deref().unwrap_or_default();
    if reason == "OOMKilled" {
        let limit = memory.map_or(String::new(), |limit| format!(" (limit {})", spoken(limit)));
        return format!("killed for memory{limit}");
    }
    if matches!(reason, "StartError" | "ContainerCannotRun") {
        return format!("could not be started: {}", started(message));
    }
    let code = match run.signal {
        // Some runtimes tell the signal apart, with a code of its own.
        Some(signal) if signal > 0 && run.exit_code == 0 => 128 + i64::from(signal),
        _ => i64::from(run.exit_code),
    };
    let how = ended(Some(code), false, 0);
    match last_words(message) {
        Some(words) => format!("{how}, its last lines: {words}"),
        None => how,
    }
}

/// `64Mi` as `64 MiB`; what is not understood as it is.
fn spoken(quantity: &str) -> String {
    for (short, long) in [("Ki", "KiB"), ("Mi", "MiB"), ("Gi", "GiB"), ("Ti", "TiB")] {
        if let Some(number) = quantity.strip_suffix(short) {
            return format!("{number} {long}");
        }
    }
    match quantity.parse::<u64>() {
        Ok(bytes) if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        Ok(bytes) => format!("{bytes} bytes"),
        Err(_) => quantity.to_owned(),
    }
}

/// The end of what a program wrote, in one line.
fn last_words(message: &str) -> Option<String> {
    let lines: Vec<_> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut words = String::new();
    for line in lines.iter().rev() {
        if !words.is_empty() && words.len() + line.len() > LAST_WORDS {
            break;
        }
        words = if words.is_empty() { (*line).to_owned() } else { format!("{line} / {words}") };
    }
    let begin = words.char_indices().rev().nth(LAST_WORDS).map_or(0, |(at, _)| at);
    if begin > 0 {
        words = format!("…{}", &words[begin..]);
    }
    let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    (!words.is_empty()).then_some(words)
}

/// Why an image was not fetched. The status forgets it while it waits; the event knows.
fn not_pulled(image: &str, message: &str, events: &[Event]) -> String {
    let told = newest(events, |event| {
        let said = event.message.as_deref().unwrap_or_default();
        event.reason.as_deref() == Some("Failed") && said.starts_with("Failed to pull image")
    });
    let said = told.and_then(|event| event.message.as_deref()).unwrap_or(message);
    let lower = said.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let why = if has(&[
        "401",
        "403 ",
        "unauthorized",
        "authentication required",
        "authorization failed",
        "denied",
        "forbidden",
    ]) {
        "the registry did not accept the login. Check the registry's credentials".to_owned()
    } else if has(&["not found", "manifest unknown", "name unknown", "404"]) {
        "it is not found in its registry. Push it again".to_owned()
    } else if has(&["no such host", "server misbehaving"]) {
        "the node can't resolve the registry's name".to_owned()
    } else if has(&["connection refused"]) {
        "nobody answers at the registry's address".to_owned()
    } else if has(&["x509", "certificate", "server gave http response to https client"]) {
        "the node does not trust the registry's certificate, or it has none".to_owned()
    } else if has(&["no space left"]) {
        "the node's disk is full".to_owned()
    } else if has(&["toomanyrequests", "too many requests", "429", "rate limit"]) {
        "the registry lets nobody fetch so often (429)".to_owned()
    } else if has(&["timeout", "timed out", "deadline exceeded", "i/o timeout"]) {
        "the registry did not answer the node in time".to_owned()
    } else if has(&["no match for platform", "exec format"]) {
        "it is not made for the node's processor".to_owned()
    } else if said.is_empty() || lower.starts_with("back-off pulling image") {
        "the cluster does not say why".to_owned()
    } else {
        sentence(said.rsplit_once("rpc error: ").map_or(said, |(_, cause)| cause))
    };
    format!("its image {image} can't be pulled: {why}")
}

/// Of "0/3 nodes are available: 1 Insufficient memory, 2 node(s) had untolerated taint
/// {a: b}. preemption: 0/3 nodes are available: …".
fn unschedulable(message: &str) -> String {
    let first = message.split(" preemption:").next().unwrap_or_default();
    let Some((count, reasons)) = first.split_once(" nodes are available: ") else {
        return format!("no node takes it: {}", sentence(message));
    };
    let of = count.split_once('/').map_or(count, |(_, all)| all);
    let nodes = if of == "1" { "1 node".to_owned() } else { format!("{of} nodes") };
    let whys: Vec<String> = reasons
        .trim_end_matches(['.', ' '])
        .split(", ")
        .map(|why| why.trim_end_matches('.'))
        .filter(|why| !why.is_empty())
        .map(one_node)
        .collect();
    format!("no node takes it (of {nodes}): {}", whys.join(", "))
}

/// Of "1 Insufficient memory" or "2 node(s) were unschedulable".
fn one_node(why: &str) -> String {
    let Some((count, what)) = why.split_once(' ') else { return why.to_owned() };
    if count.parse::<u32>().is_err() {
        return why.to_owned();
    }
    let what = what.strip_prefix("node(s) ").unwrap_or(what);
    let what = match what {
        "Insufficient memory" => "not enough memory".to_owned(),
        "Insufficient cpu" => "not enough CPU".to_owned(),
        "Insufficient pods" | "Too many pods" => "no room for another pod".to_owned(),
        "were unschedulable" => "closed for new pods".to_owned(),
        "didn't match Pod's node affinity/selector" => {
            "not the kind of node it asks for".to_owned()
        }
        "didn't match pod topology spread constraints" => "not spread as asked".to_owned(),
        other => match between(other, "had untolerated taint {", "}") {
            Some(taint) => format!("kept for others ({})", taint.trim_end_matches(": ")),
            None => other.to_owned(),
        },
    };
    format!("{count} × {what}")
}

/// What a node says when it can't start a container.
fn started(message: &str) -> String {
    if let Some(program) = between(message, "exec: \"", "\"") {
        if message.contains("permission denied") {
            return format!("{program} may not be executed");
        }
        if message.contains("not found") || message.contains("no such file") {
            return format!("there is no {program} in the image");
        }
    }
    if message.contains("exec format error") {
        return "its program is not made for the node's processor".to_owned();
    }
    if message.contains("runAsNonRoot") {
        return root(message);
    }
    sentence(message)
}

/// Of "secret \"x\" not found", "couldn't find key A in ConfigMap ns/x", and a root image.
fn missing_object(message: &str) -> String {
    if message.contains("runAsNonRoot") {
        return root(message);
    }
    sentence(message)
}

fn root(message: &str) -> String {
    if message.contains("non-numeric user") {
        "its image names its user by a word, and the cluster can't tell whether that is root. Set \
         the service's user as a number"
            .to_owned()
    } else {
        "its image runs as root, and may not. Set a user in the image or in the service".to_owned()
    }
}

/// What keeps a container from being started, by the events of its pod.
fn before_start(events: &[Event]) -> Option<String> {
    let failed = newest(events, |event| {
        matches!(
            event.reason.as_deref(),
            Some(
                "FailedMount"
                    | "FailedAttachVolume"
                    | "FailedCreatePodSandBox"
                    | "FailedScheduling"
            )
        )
    })?;
    let said = failed.message.as_deref().unwrap_or_default();
    Some(match failed.reason.as_deref() {
        Some("FailedMount" | "FailedAttachVolume") => {
            format!("a volume is not there: {}", sentence(tail(said)))
        }
        Some("FailedScheduling") => unschedulable(said),
        _ => format!("its node can't make the pod's network: {}", sentence(tail(said))),
    })
}

/// The cause behind a chain of "rpc error: code = …: desc = …".
fn tail(said: &str) -> &str {
    said.rsplit_once("desc = ").map_or(said, |(_, cause)| cause)
}

/// What a check of the cluster got for an answer.
fn unhealthy(events: &[Event]) -> Option<String> {
    let event = newest(events, |event| event.reason.as_deref() == Some("Unhealthy"))?;
    let said = event.message.as_deref().unwrap_or_default();
    let (which, answer) = said.split_once(" probe failed: ")?;
    let check = match which {
        "Liveness" => "its liveness check",
        "Startup" => "its start check",
        _ => "its readiness check",
    };
    Some(format!("{check} fails: {}", probed(answer)))
}

/// Of "HTTP probe failed with statuscode: 503" and "Get \"http://…\": dial tcp …: connection refused".
fn probed(answer: &str) -> String {
    if let Some((_, code)) = answer.split_once("statuscode: ") {
        return format!("HTTP {}", code.trim());
    }
    let lower = answer.to_ascii_lowercase();
    if lower.contains("connection refused") {
        "refused".to_owned()
    } else if lower.contains("deadline exceeded") || lower.contains("timeout") {
        "no answer in time".to_owned()
    } else if lower.ends_with("eof") || lower.contains("connection reset") {
        "it ended the connection".to_owned()
    } else {
        sentence(answer)
    }
}

/// The newest of the events that are meant.
fn newest(events: &[Event], is_meant: impl Fn(&Event) -> bool) -> Option<&Event> {
    let when = |event: &&Event| {
        let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
        let exact = series.or(event.event_time.as_ref()).map(|time| time.0);
        exact.or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
    };
    events.iter().filter(|event| is_meant(event)).max_by_key(when)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

#[cfg(test)]
mod tests;
