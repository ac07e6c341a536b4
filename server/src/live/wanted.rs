//! What a stream was opened for, and whether an event is for it: by topic, and by permit.

use domain::{
    id::{BuildId, PlacementId, RolloutId},
    live::Message,
    log::Which,
};
use engine::live::Event;
use std::collections::HashSet;
use store::history::Window;

/// The topics of a stream. History rows come to everybody who may see them; states of rollouts and
/// samples only to those who asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    board: bool,
    placements: HashSet<PlacementId>,
    rollouts: HashSet<RolloutId>,
    logs: Option<(PlacementId, Which)>,
    all_builds: bool,
    builds: HashSet<BuildId>,
    build_log: Option<(BuildId, u64)>,
}

/// A page shows less than this; a longer list is somebody trying things out.
const MOST: usize = 200;

impl Topics {
    /// From `board,placement:ID,rollout:ID,builds,build:ID`, and of `logs:ID:WHICH` and
    /// `build-log:ID:AFTER` one each. `None`: that is no list of topics.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut topics = Self::default();
        for (count, topic) in text.split(',').filter(|topic| !topic.is_empty()).enumerate() {
            match topic.split_once(':') {
                _ if count >= MOST => return None,
                None if topic == "board" => topics.board = true,
                Some(("placement", id)) => drop(topics.placements.insert(id.parse().ok()?)),
                None if topic == "builds" => topics.all_builds = true,
                Some(("build", id)) => drop(topics.builds.insert(id.parse().ok()?)),
                Some(("build-log", of)) if topics.build_log.is_none() => {
                    let (build, after) = of.split_once(':').unwrap_or((of, "0"));
                    topics.build_log = Some((build.parse().ok()?, after.parse().ok()?));
                }
                Some(("rollout", id)) => drop(topics.rollouts.insert(id.parse().ok()?)),
                Some(("logs", of)) if topics.logs.is_none() => {
                    let (placement, which) = of.split_once(':').unwrap_or((of, ""));
                    topics.logs = Some((placement.parse().ok()?, which.parse().ok()?));
                }
                Some(_) | None => return None,
            }
        }
        Some(topics)
    }

    /// Whether the page shows what the event is about.
    #[must_use]
    pub fn want(&self, event: &Event) -> bool {
        let placement = || event.placement.is_some_and(|id| self.placements.contains(&id));
        let rollout = || event.rollout.is_some_and(|id| self.rollouts.contains(&id));
        match event.message {
            Message::Row(_) => true,
            Message::Rollout { .. } | Message::Sample(_) => self.board || placement() || rollout(),
            Message::Build { build, .. } => self.all_builds || self.builds.contains(&build),
            // These are said by the stream itself.
            Message::Hello { .. }
            | Message::BuildLog(_)
            | Message::Samples { .. }
            | Message::Log(_)
            | Message::LogInstances(_)
            | Message::Reset
            | Message::Goodbye => false,
        }
    }

    /// Of which placement the page shows what instances write, and of which instances.
    #[must_use]
    pub fn logs(&self) -> Option<(PlacementId, &Which)> {
        self.logs.as_ref().map(|(placement, which)| (*placement, which))
    }

    /// Which build's lines the page shows, and after which line they go on.
    #[must_use]
    pub const fn build_log(&self) -> Option<(BuildId, u64)> {
        self.build_log
    }

    /// How densely the page draws a placement's last minutes: every so many seconds. A page about
    /// the placement has charts, the board a line of a few points.
    #[must_use]
    pub fn density(&self, placement: PlacementId) -> usize {
        if self.placements.contains(&placement) { 1 } else { 6 }
    }
}

/// Whether it may be heard of through any of these windows: the same rule as for the row, or the
/// page, that shows it.
#[must_use]
pub fn may_hear(windows: &[Window], event: &Event) -> bool {
    let (project, environment) =
        (event.place.project.as_deref(), event.place.environment.as_deref());
    windows.iter().any(|window| window.shows_at(event.visibility, project, environment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_topic_is_refused() {
        let id = "0198f3c0-0000-7000-8000-000000000001";

        assert_eq!(Topics::parse(""), Some(Topics::default()));
        assert!(Topics::parse(&format!("board,placement:{id},rollout:{id}")).is_some());
        let logs = Topics::parse(&format!("placement:{id},logs:{id}:slot.blue"));
        assert!(logs.is_some_and(|topics| topics.logs().is_some()));
        let build = Topics::parse(&format!("builds,build:{id},build-log:{id}:12"));
        assert!(build.is_some_and(|topics| topics.build_log().is_some_and(|(_, at)| at == 12)));
        assert_eq!(Topics::parse(&format!("build-log:{id}:1,build-log:{id}:2")), None);
        assert_eq!(Topics::parse(&format!("build-log:{id}:-1")), None);
        assert_eq!(Topics::parse(&format!("logs:{id},logs:{id}")), None);
        assert_eq!(Topics::parse(&format!("logs:{id}:../..")), None);
        assert_eq!(Topics::parse("everything"), None);
        assert_eq!(Topics::parse("placement:1"), None);
        assert_eq!(Topics::parse(&format!("placement:{id},").repeat(MOST + 1)), None);
    }
}
