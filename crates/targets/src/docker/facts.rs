//! What the machine is, for the target's page and for preflight.

use super::{DockerTarget, router::Failure};
use crate::Result;
use bollard::models::{SystemInfo, SystemVersion};
use domain::{
    route::{Hello, PROTOCOL},
    target::{Finding, TargetFacts, Verdict},
};

impl DockerTarget {
    /// `Target::check`.
    pub(super) async fn facts(&self) -> Result<TargetFacts> {
        let engine = self.engine().await?;
        let (version, info) = tokio::try_join!(engine.version(), engine.info())?;
        let router = self.router.hello().await;
        let cores = info.ncpu.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        let memory_bytes = info.mem_total.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let name = product(&version);
        let host = info.name.as_deref().unwrap_or("an unnamed machine");
        let plural = if cores == 1 { "" } else { "s" };
        let summary = format!("{name} on {host}, {cores} core{plural}, {}", gib(memory_bytes));
        let mut findings = vec![finding("Engine answers", Verdict::Pass, name)];
        findings.push(limits(&info));
        findings.push(survival(&info));
        findings.extend(router_findings(&router));
        Ok(TargetFacts { summary, cores, memory_bytes, findings })
    }
}

/// A finding in three words.
pub(super) fn finding(
    question: impl Into<String>,
    verdict: Verdict,
    detail: impl Into<String>,
) -> Finding {
    Finding { question: question.into(), verdict, detail: detail.into() }
}

/// "Docker 20.10.24", "Podman 4.3.1".
fn product(version: &SystemVersion) -> String {
    let podman = version.components.iter().flatten().any(|part| part.name.contains("Podman"));
    let number = version.version.as_deref().unwrap_or("of an unknown version");
    format!("{} {number}", if podman { "Podman" } else { "Docker" })
}

fn limits(info: &SystemInfo) -> Finding {
    let missing: Vec<_> = [
        ("memory", info.memory_limit),
        ("CPU", info.cpu_cfs_quota),
        ("processes", info.pids_limit),
    ]
    .into_iter()
    .filter(|(_, works)| *works == Some(false))
    .map(|(what, _)| what)
    .collect();
    if missing.is_empty() {
        finding("Limits hold", Verdict::Pass, "memory, CPU and processes")
    } else {
        let detail =
            format!("the kernel does not limit {}: enable that cgroup", missing.join(", "));
        finding("Limits hold", Verdict::Warn, detail)
    }
}

fn survival(info: &SystemInfo) -> Finding {
    let question = "Services live on while the engine restarts";
    match info.live_restore_enabled {
        Some(true) => finding(question, Verdict::Pass, "live-restore is on"),
        Some(false) => finding(
            question,
            Verdict::Warn,
            "an engine restart ends all containers: set \"live-restore\": true in its daemon.json",
        ),
        None => finding(question, Verdict::Pass, "this engine has no daemon that owns them"),
    }
}

/// What there is to say about the router, reached or not.
pub(super) fn router_findings(router: &Result<Hello, Failure>) -> Vec<Finding> {
    let question = "Router reachable and ours";
    let hello = match router {
        Ok(hello) => hello,
        Err(Failure::NotOurs(reason)) => return vec![finding(question, Verdict::Refuse, reason)],
        Err(Failure::Refused(refusal)) => {
            return vec![finding(question, Verdict::Refuse, &refusal.message)];
        }
        Err(Failure::Unreachable(error)) => {
            let detail = format!(
                "{error}. Somebody with access to the machine must start pilothouse-router"
            );
            return vec![finding(question, Verdict::Refuse, detail)];
        }
    };
    if hello.protocol != PROTOCOL {
        let detail = format!(
            "it speaks protocol {}, this program {PROTOCOL}: install both from one version",
            hello.protocol
        );
        return vec![finding(question, Verdict::Refuse, detail)];
    }
    let addresses: Vec<_> =
        hello.listeners.iter().map(|listener| listener.address.to_string()).collect();
    let detail = format!("version {}, listens on {}", hello.version, addresses.join(", "));
    let mut findings = vec![finding(question, Verdict::Pass, detail)];
    if hello.draining {
        findings.push(finding(
            "Router takes changes",
            Verdict::Warn,
            "it is being replaced; the new one answers in a moment",
        ));
    }
    if hello.lost_routes {
        findings.push(finding(
            "Router has its routes",
            Verdict::Warn,
            "its file was lost; each placement gives its route back",
        ));
    }
    findings
}

/// `23.5 GiB`, `512 MiB`.
#[allow(clippy::cast_precision_loss)] // Rounded to a tenth anyway.
pub(crate) fn gib(bytes: u64) -> String {
    if bytes < 1 << 30 {
        return format!("{} MiB", bytes >> 20);
    }
    let gib = format!("{:.1}", bytes as f64 / (1_u64 << 30) as f64);
    format!("{} GiB", gib.strip_suffix(".0").unwrap_or(&gib))
}
