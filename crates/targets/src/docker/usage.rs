//! What instances use: one cheap round of samples, called once a second however many people watch.
//!
//! Where the engine is on this machine its control groups are read, some files for each instance
//! and no call. Elsewhere the engine's statistics are asked, one call for each.

mod cgroup;

use super::{DockerTarget, error, labels, seen::Container};
use crate::Result;
use bollard::{
    Docker,
    models::{ContainerStatsResponse, ContainerSummaryStateEnum},
    query_parameters::{InspectContainerOptions, StatsOptionsBuilder},
};
use cgroup::Group;
use domain::{
    id::PlacementId,
    target::{Place, Usage},
};
use futures::{StreamExt, stream};
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// How long the list of instances is used before the engine is asked for it again.
const LIST: Duration = Duration::from_secs(2);
/// Calls to the engine at once.
const AT_ONCE: usize = 16;

/// What is remembered from one round to the next.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    listed: Option<(Instant, Vec<Container>)>,
    sources: HashMap<String, Source>,
}

/// Where an instance is read, and its last reading.
#[derive(Debug)]
struct Source {
    group: Option<Group>,
    last: Option<(Instant, u64)>,
}

/// Figures of one moment. The use of a core is a sum since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reading {
    cpu_ns: u64,
    memory_bytes: u64,
    received_bytes: u64,
    sent_bytes: u64,
    processes: u32,
}

impl DockerTarget {
    /// `Target::usage`.
    pub(super) async fn sample(&self, places: &[Place]) -> Result<Vec<(PlacementId, Vec<Usage>)>> {
        let mut known = self.meter.0.lock().await;
        let running = self.running(&mut known).await?;
        let asked: HashSet<PlacementId> = places.iter().map(|place| place.placement).collect();
        let engine = self.engine().await?;

        let ids: HashSet<&str> = running.iter().map(|one| one.id.as_str()).collect();
        known.sources.retain(|id, _| ids.contains(id.as_str()));
        let wanted: Vec<&Container> =
            running.iter().filter(|one| asked.contains(&one.identity.placement)).collect();
        let strange: Vec<String> = wanted
            .iter()
            .map(|one| one.id.clone())
            .filter(|id| !known.sources.contains_key(id))
            .collect();
        let found: Vec<_> = stream::iter(strange)
            .map(|id| async move { source(engine, &id).await.map(|source| (id, source)) })
            .buffer_unordered(AT_ONCE)
            .filter_map(|found| async { found })
            .collect()
            .await;
        known.sources.extend(found);

        let readings = read_all(engine, &known.sources, &wanted).await;
        let mut used: HashMap<PlacementId, Vec<Usage>> =
            places.iter().map(|place| (place.placement, Vec::new())).collect();
        for one in wanted {
            let Some(&(at, reading)) = readings.get(&one.id) else {
                // It ended, or began again as another process: found anew in the next round.
                known.sources.remove(&one.id);
                continue;
            };
            let Some(source) = known.sources.get_mut(&one.id) else { continue };
            let last = source.last.replace((at, reading.cpu_ns));
            if let (Some(cpu_percent), Some(of)) =
                (percent(last, at, reading.cpu_ns), used.get_mut(&one.identity.placement))
            {
                of.push(Usage {
                    instance: one.id.clone(),
                    cpu_percent,
                    memory_bytes: reading.memory_bytes,
                    memory_limit_bytes: one.identity.memory_bytes,
                    received_bytes: reading.received_bytes,
                    sent_bytes: reading.sent_bytes,
                    processes: reading.processes,
                });
            }
        }
        Ok(places
            .iter()
            .filter_map(|place| Some((place.placement, used.remove(&place.placement)?)))
            .collect())
    }

    /// All running instances of this installation, from a list that may be a little old.
    async fn running(&self, known: &mut Known) -> Result<Vec<Container>> {
        if let Some((at, listed)) = &known.listed
            && at.elapsed() < LIST
        {
            return Ok(listed.clone());
        }
        let ours = [(labels::INSTALLATION, self.options.installation.to_string())];
        let listed: Vec<_> = self
            .listed(ours)
            .await?
            .into_iter()
            .filter_map(|summary| self.ours(summary))
            .filter(|one| one.state == ContainerSummaryStateEnum::RUNNING)
            .collect();
        known.listed = Some((Instant::now(), listed.clone()));
        Ok(listed)
    }
}

/// Hundredths of a core between two readings. `None` for the first, and after a new start.
#[allow(clippy::cast_precision_loss)] // Nanoseconds of a second, rounded for a picture.
fn percent(last: Option<(Instant, u64)>, at: Instant, cpu_ns: u64) -> Option<f32> {
    let (then, before) = last?;
    let used = cpu_ns.checked_sub(before)?;
    let passed = at.checked_duration_since(then)?.as_nanos();
    (passed > 0).then(|| (used as f64 / passed as f64 * 100.0) as f32)
}

/// Where a container is read. `None`: it is gone, or the engine did not say; asked again later.
async fn source(engine: &Docker, id: &str) -> Option<Source> {
    let found = engine.inspect_container(id, None::<InspectContainerOptions>).await.ok()?;
    let pid = found.state?.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0)?;
    Some(Source { group: Group::of(pid, id), last: None })
}

/// Reads all that can be read now, with the moment of each reading.
async fn read_all(
    engine: &Docker,
    sources: &HashMap<String, Source>,
    wanted: &[&Container],
) -> HashMap<String, (Instant, Reading)> {
    let mut files = Vec::new();
    let mut calls = Vec::new();
    for id in wanted.iter().map(|one| &one.id) {
        match sources.get(id) {
            Some(Source { group: Some(group), .. }) => files.push((id.clone(), group.clone())),
            Some(Source { group: None, .. }) => calls.push(id.clone()),
            None => {}
        }
    }
    // The kernel answers from memory, but hundreds of files would still hold up a worker.
    let read = tokio::task::spawn_blocking(move || {
        let read = |(id, group): (String, Group)| Some((id, (Instant::now(), group.read()?)));
        files.into_iter().filter_map(read).collect::<Vec<_>>()
    });
    let asked = stream::iter(calls)
        .map(|id| async move {
            let reading = asked(engine, &id).await?;
            Some((id, (Instant::now(), reading)))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(|read| async { read })
        .collect::<Vec<_>>();
    let (read, asked) = tokio::join!(read, asked);
    read.unwrap_or_default().into_iter().chain(asked).collect()
}

/// Asks the engine for one reading, without waiting for a second one.
async fn asked(engine: &Docker, id: &str) -> Option<Reading> {
    let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
    match engine.stats(id, Some(options)).next().await? {
        Ok(said) => reading(&said),
        Err(error) => {
            if !error::is_gone(&error) {
                tracing::debug!(container = %id, %error, "No statistics of an instance");
            }
            None
        }
    }
}

fn reading(said: &ContainerStatsResponse) -> Option<Reading> {
    let memory = said.memory_stats.as_ref();
    let cache = memory.and_then(|memory| memory.stats.as_ref()).and_then(|stats| {
        stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")).copied()
    });
    let networks = || said.networks.iter().flat_map(HashMap::values);
    Some(Reading {
        cpu_ns: said.cpu_stats.as_ref()?.cpu_usage.as_ref()?.total_usage?,
        memory_bytes: memory?.usage?.saturating_sub(cache.unwrap_or(0)),
        received_bytes: networks().filter_map(|network| network.rx_bytes).sum(),
        sent_bytes: networks().filter_map(|network| network.tx_bytes).sum(),
        processes: said
            .pids_stats
            .as_ref()
            .and_then(|pids| pids.current)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_own_statistics_are_read_the_same_way() {
        let said = r#"{"pids_stats":{"current":3},"cpu_stats":{"cpu_usage":{"total_usage":1234}},
            "memory_stats":{"usage":5000,"stats":{"total_inactive_file":1000}},
            "networks":{"eth0":{"rx_bytes":10,"tx_bytes":20},"eth1":{"rx_bytes":1,"tx_bytes":2}}}"#;

        let reading = reading(&serde_json::from_str(said).expect("statistics"));

        let expected = Reading {
            cpu_ns: 1234,
            memory_bytes: 4000,
            received_bytes: 11,
            sent_bytes: 22,
            processes: 3,
        };
        assert_eq!(reading, Some(expected));
        assert_eq!(super::reading(&ContainerStatsResponse::default()), None, "it does not run");
    }

    #[test]
    fn a_core_in_full_use_is_a_hundred() {
        let then = Instant::now();
        let now = then + Duration::from_secs(2);

        assert_eq!(percent(Some((then, 1_000)), now, 2_000_001_000), Some(100.0));
        assert_eq!(percent(Some((then, 5)), now, 5), Some(0.0));
        assert_eq!(percent(None, now, 5), None);
        assert_eq!(percent(Some((then, 5)), now, 4), None, "it began again");
    }
}
