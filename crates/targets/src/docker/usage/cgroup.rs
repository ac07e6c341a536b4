//! Control groups of the kernel, both versions, and the counters of a network namespace.

use super::Reading;
use std::{
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = "/sys/fs/cgroup";

/// Where the kernel counts what a container uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    version: Version,
    /// The file of the first process, which says what went over its network.
    network: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Version {
    /// One hierarchy for each controller.
    One {
        cpu: PathBuf,
        memory: PathBuf,
        pids: PathBuf,
    },
    Two(PathBuf),
}

impl Group {
    /// The group of container `id`, whose first process is `pid`: if that process is on this
    /// machine, and is that container's.
    pub fn of(pid: u32, id: &str) -> Option<Self> {
        let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let version = parse(&table, id)?;
        let group = Self { version, network: format!("/proc/{pid}/net/dev").into() };
        group.read().is_some().then_some(group)
    }

    /// Reads it. `None` when it is gone, or belongs to another process by now.
    pub fn read(&self) -> Option<Reading> {
        let (received_bytes, sent_bytes) = traffic(&fs::read_to_string(&self.network).ok()?);
        let (cpu_ns, memory, cache, pids) = match &self.version {
            Version::One { cpu, memory, pids } => (
                number(&cpu.join("cpuacct.usage"))?,
                number(&memory.join("memory.usage_in_bytes"))?,
                field(&memory.join("memory.stat"), "total_inactive_file")?,
                number(&pids.join("pids.current"))?,
            ),
            Version::Two(group) => (
                field(&group.join("cpu.stat"), "usage_usec")?.saturating_mul(1000),
                number(&group.join("memory.current"))?,
                field(&group.join("memory.stat"), "inactive_file")?,
                number(&group.join("pids.current"))?,
            ),
        };
        Some(Reading {
            cpu_ns,
            // The cache of files that nobody uses is given back when memory is short.
            memory_bytes: memory.saturating_sub(cache),
            received_bytes,
            sent_bytes,
            processes: u32::try_from(pids).unwrap_or(u32::MAX),
        })
    }
}

/// Reads `/proc/PID/cgroup`: lines of `number:controllers:path`.
fn parse(table: &str, id: &str) -> Option<Version> {
    let path = |controller: &str| {
        table.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let known = controllers.split(',').any(|one| one == controller);
            // Another path means another process under that number.
            (known && path.contains(id)).then(|| path.trim_start_matches('/'))
        })
    };
    let first = |controller| Some(Path::new(ROOT).join(controller).join(path(controller)?));
    match (first("cpuacct"), first("memory"), first("pids")) {
        (Some(cpu), Some(memory), Some(pids)) => Some(Version::One { cpu, memory, pids }),
        _ => Some(Version::Two(Path::new(ROOT).join(path("")?))),
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// A line `name value` of a file.
fn field(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Received and sent bytes of all interfaces but the loopback one.
fn traffic(table: &str) -> (u64, u64) {
    table
        .lines()
        .filter_map(|line| {
            let (name, counters) = line.split_once(':')?;
            let mut counters = counters.split_whitespace().map(|counter| counter.parse::<u64>());
            let received = counters.next()?.ok()?;
            let sent = counters.nth(7)?.ok()?;
            (name.trim() != "lo").then_some((received, sent))
        })
        .fold((0, 0), |(received, sent), (more_in, more_out)| {
            (received.saturating_add(more_in), sent.saturating_add(more_out))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_both_versions_are_found() {
        let one = "12:cpu,cpuacct:/docker/abc\n5:pids:/docker/abc\n4:memory:/docker/abc\n0::/\n";
        let two = "0::/system.slice/docker-abc.scope\n";

        assert_eq!(
            parse(one, "abc"),
            Some(Version::One {
                cpu: "/sys/fs/cgroup/cpuacct/docker/abc".into(),
                memory: "/sys/fs/cgroup/memory/docker/abc".into(),
                pids: "/sys/fs/cgroup/pids/docker/abc".into(),
            })
        );
        assert_eq!(
            parse(two, "abc"),
            Some(Version::Two("/sys/fs/cgroup/system.slice/docker-abc.scope".into()))
        );
    }

    #[test]
    fn another_process_with_the_same_number_is_not_read() {
        assert_eq!(parse("0::/system.slice/docker-abc.scope\n", "def"), None);
        assert_eq!(parse("4:memory:/user\n5:pids:/user\n6:cpuacct:/user\n0::/user\n", "abc"), None);
    }

    #[test]
    fn the_loopback_is_no_traffic() {
        let table = "Inter-|   Receive    |  Transmit\n face |bytes packets\n    \
                     lo: 500 5 0 0 0 0 0 0 500 5 0 0 0 0 0 0\n  \
                     eth0: 1000 9 0 0 0 0 0 0 2000 9 0 0 0 0 0 0\n";

        assert_eq!(traffic(table), (1000, 2000));
    }
}
