use super::*;
use serde_json::{Value, json};

fn pod(status: Value) -> Pod {
    let pod = json!({
        "metadata": { "name": "api-blue-1" },
        "spec": { "containers": [{
            "name": "service",
            "resources": { "limits": { "memory": "64Mi" } },
        }] },
        "status": status,
    });
    serde_json::from_value(pod).expect("a pod")
}

fn container(state: Value) -> Value {
    json!({ "containerStatuses": [{
        "name": "service", "image": "registry/api@sha256:abc", "imageID": "", "ready": false,
        "restartCount": 0, "state": state,
    }] })
}

fn waiting(reason: &str, message: &str) -> Pod {
    pod(container(json!({ "waiting": { "reason": reason, "message": message } })))
}

fn terminated_with(state: Value) -> Pod {
    pod(container(json!({ "terminated": state })))
}

fn event(reason: &str, message: &str, at: &str) -> Event {
    let event = json!({
        "metadata": { "name": "e" }, "involvedObject": {},
        "reason": reason, "message": message, "lastTimestamp": at,
    });
    serde_json::from_value(event).expect("an event")
}

fn why(pod: &Pod, events: &[Event]) -> String {
    of_pod(pod, events).expect("a reason")
}

const AT: &str = "2026-11-21T12:00:00Z";

#[test]
fn an_image_that_is_not_fetched_says_why() {
    let back_off = waiting("ImagePullBackOff", "Back-off pulling image \"registry/api\"");
    let because = |said: &str| {
        let said = format!("Failed to pull image \"registry/api\": {said}");
        why(&back_off, &[event("Failed", &said, AT)])
    };

    for (said, told) in [
        (
            "rpc error: code = NotFound desc = failed to pull and unpack image \"r/api\": r/api: not found",
            "not found in its registry",
        ),
        ("pulling from host r failed with status code [manifests]: 401 Unauthorized", "the login"),
        ("pull access denied, repository does not exist or may require authorization", "the login"),
        ("dial tcp: lookup r on 10.0.0.1:53: no such host", "resolve the registry's name"),
        ("dial tcp 10.0.0.9:5000: connect: connection refused", "nobody answers"),
        ("http: server gave HTTP response to HTTPS client", "certificate"),
        ("x509: certificate signed by unknown authority", "certificate"),
        ("write /var/lib: no space left on device", "disk is full"),
        ("429 Too Many Requests", "so often"),
        ("dial tcp 10.0.0.9:5000: i/o timeout", "in time"),
        ("no match for platform in manifest", "processor"),
    ] {
        let why = because(said);
        assert!(why.starts_with("its image registry/api@sha256:abc can't be pulled: "), "{why}");
        assert!(why.contains(told), "{said} -> {why}");
    }
    assert!(because("what nobody ever saw").ends_with("what nobody ever saw"));
    assert!(why(&back_off, &[]).ends_with("the cluster does not say why"));
    let first = waiting("ErrImagePull", "rpc error: code = NotFound desc = r/api: not found");
    assert!(why(&first, &[]).contains("not found in its registry"));
}

#[test]
fn the_newest_event_counts() {
    let pod = waiting("ErrImagePull", "");
    let events = [
        event("Failed", "Failed to pull image \"a\": not found", "2026-11-21T12:00:05Z"),
        event("Failed", "Failed to pull image \"a\": connection refused", "2026-11-21T12:00:01Z"),
    ];

    assert!(why(&pod, &events).contains("not found in its registry"));
}

#[test]
fn other_states_before_the_start_are_told() {
    let says = |reason, message| why(&waiting(reason, message), &[]);

    assert!(says("InvalidImageName", "").contains("no name of an image"));
    assert!(says("ErrImageNeverPull", "").contains("is not on the node"));
    assert_eq!(
        says("CreateContainerConfigError", "secret \"api-1a2b\" not found"),
        "can't be configured: secret \"api-1a2b\" not found"
    );
    assert!(
        says(
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root (pod: \"x\", container: y)"
        )
        .contains("runs as root, and may not")
    );
    assert!(
        says(
            "CreateContainerConfigError",
            "container has runAsNonRoot and image has non-numeric user (app), cannot verify"
        )
        .contains("as a number")
    );
    assert_eq!(
        says(
            "RunContainerError",
            "failed to create containerd task: OCI runtime create failed: unable to start \
             container process: exec: \"/nope\": stat /nope: no such file or directory: unknown"
        ),
        "could not be started: there is no /nope in the image"
    );
    assert_eq!(of_pod(&waiting("ContainerCreating", ""), &[]), None, "it is on its way");
}

#[test]
fn a_crash_says_its_code_and_its_last_lines() {
    let crashed = terminated_with(json!({
        "exitCode": 1, "reason": "Error",
        "message": "starting\nDATABASE_URL is not set\n",
    }));
    assert_eq!(
        why(&crashed, &[]),
        "exit code 1, its last lines: starting / DATABASE_URL is not set"
    );
    let silent = terminated_with(json!({ "exitCode": 139, "reason": "Error" }));
    assert_eq!(why(&silent, &[]), "ended by SIGSEGV (exit code 139)");
    let done = terminated_with(json!({ "exitCode": 0, "reason": "Completed" }));
    assert_eq!(why(&done, &[]), "ended by itself (exit code 0)");
}

#[test]
fn last_lines_are_bounded_and_are_text() {
    let long = format!("{}\nthe end\u{1b}[31m", "x".repeat(100_000));
    let words = last_words(&long).expect("some");
    assert_eq!(words, "the end [31m");

    let one = last_words(&"ä".repeat(10_000)).expect("some");
    assert!(one.starts_with('…') && one.chars().count() <= LAST_WORDS + 2, "{one}");
    assert_eq!(last_words(" \n\n"), None);
}

#[test]
fn a_crash_loop_tells_the_last_death_and_not_the_waiting() {
    let mut status = container(json!({ "waiting": { "reason": "CrashLoopBackOff" } }));
    status["containerStatuses"][0]["lastState"] =
        json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
    let pod = pod(status);

    assert_eq!(why(&pod, &[]), "killed for memory (limit 64 MiB)");
    assert_eq!(died(&pod).as_deref(), Some("killed for memory (limit 64 MiB)"));
}

#[test]
fn what_runs_again_still_says_why_it_died() {
    let mut status = container(json!({ "running": { "startedAt": AT } }));
    status["containerStatuses"][0]["ready"] = json!(true);
    status["containerStatuses"][0]["lastState"] =
        json!({ "terminated": { "exitCode": 143, "reason": "Error" } });
    let pod = pod(status);

    assert_eq!(of_pod(&pod, &[]), None, "nothing is wrong with it now");
    assert_eq!(died(&pod).as_deref(), Some("ended by SIGTERM (exit code 143)"));
}

#[test]
fn a_failing_check_tells_its_answer() {
    let running = pod(container(json!({ "running": { "startedAt": AT } })));
    let says = |message: &str| of_pod(&running, &[event("Unhealthy", message, AT)]);

    assert_eq!(
        says("Readiness probe failed: HTTP probe failed with statuscode: 503").as_deref(),
        Some("its readiness check fails: HTTP 503")
    );
    assert_eq!(
        says(
            "Liveness probe failed: Get \"http://10.244.0.7:8080/health\": dial tcp \
              10.244.0.7:8080: connect: connection refused"
        )
        .as_deref(),
        Some("its liveness check fails: refused")
    );
    assert_eq!(
        says("Readiness probe failed: Get \"http://10.244.0.7:8080/\": context deadline exceeded")
            .as_deref(),
        Some("its readiness check fails: no answer in time")
    );
    assert_eq!(of_pod(&running, &[]), None, "it may only be starting");
}

#[test]
fn a_check_that_failed_once_is_nothing_against_who_is_ready_now() {
    let mut status = container(json!({ "running": { "startedAt": AT } }));
    status["containerStatuses"][0]["ready"] = json!(true);
    let before = event("Unhealthy", "Readiness probe failed: connection refused", AT);

    assert_eq!(of_pod(&pod(status), &[before]), None);
}

#[test]
fn a_pod_that_no_node_takes_says_why_for_each() {
    let unscheduled = |message: &str| {
        pod(json!({ "phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        }] }))
    };

    assert_eq!(
        why(
            &unscheduled(
                "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are \
                 available: 1 No preemption victims found for incoming pod."
            ),
            &[]
        ),
        "no node takes it (of 1 node): 1 × not enough memory"
    );
    assert_eq!(
        why(
            &unscheduled(
                "0/3 nodes are available: 1 node(s) had untolerated taint \
                 {node-role.kubernetes.io/control-plane: }, 2 Insufficient cpu."
            ),
            &[]
        ),
        "no node takes it (of 3 nodes): 1 × kept for others \
         (node-role.kubernetes.io/control-plane), 2 × not enough CPU"
    );
    assert!(why(&unscheduled("no nodes available to schedule pods"), &[]).contains("no nodes"));
}

#[test]
fn a_pod_that_was_put_out_says_so() {
    let evicted = pod(json!({
        "phase": "Failed", "reason": "Evicted",
        "message": "The node was low on resource: memory. ",
    }));

    assert_eq!(
        why(&evicted, &[]),
        "was evicted from its node: The node was low on resource: memory"
    );
}

#[test]
fn a_volume_that_is_missing_is_told() {
    let creating = waiting("ContainerCreating", "");
    let events = [event(
        "FailedMount",
        "MountVolume.SetUp failed for volume \"c\": secret \"c\" not found",
        AT,
    )];

    assert!(why(&creating, &events).starts_with("a volume is not there: MountVolume"));
}

#[test]
fn pods_that_are_not_made_name_the_quota_with_its_figures() {
    let set = json!({
        "metadata": { "name": "api-blue-1" },
        "status": { "replicas": 0, "conditions": [{
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "pods \"api-blue-1-x\" is forbidden: exceeded quota: small, requested: \
                limits.memory=64Mi,pods=1, used: limits.memory=448Mi,pods=7, limited: \
                limits.memory=480Mi,pods=7",
        }] },
    });
    let set: Deployment = serde_json::from_value(set).expect("a Deployment");

    assert_eq!(
        not_made(&set).as_deref(),
        Some(
            "the namespace's quota small has no room: it asks for limits.memory=64Mi,pods=1, \
             limits.memory=448Mi,pods=7 of limits.memory=480Mi,pods=7 is used"
        )
    );
    assert_eq!(not_made(&Deployment::default()), None);
    assert_eq!(quota("something else"), None);
}

#[test]
fn pods_that_are_not_made_name_the_pod_security_level() {
    let why = failed_create(
        "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": \
         allowPrivilegeEscalation != false (container \"a\" must set ...)",
    );

    assert_eq!(
        why,
        "the namespace's Pod Security level restricted:latest forbids it: \
         allowPrivilegeEscalation != false (container \"a\" must set ...)"
    );
}
