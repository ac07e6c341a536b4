//! Where a build stands on its way: the phases as a line, with figures that were counted. Pure.

use crate::{clock::ms, format, phases::Standing};
use domain::build::{
    BuildStep, Phase,
    view::{BuildPhaseTime, BuildRow},
};

/// One stop of the line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stop {
    pub words: &'static str,
    pub is: Standing,
    /// From 0 to 1.
    pub done: f64,
    pub note: String,
}

/// What is known when the line is drawn.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub row: &'a BuildRow,
    pub entered: &'a [BuildPhaseTime],
    pub steps: &'a [BuildStep],
    pub progress: Option<&'a str>,
    pub now_ms: i64,
}

/// The stops from the first to the last.
pub(super) fn stops(seen: &Seen) -> Vec<Stop> {
    let now = seen.row.phase;
    let entered = |phase| seen.entered.iter().any(|entered| entered.phase == phase);
    let broke = now.is_end() && now != Phase::Succeeded;
    let mut line = vec![Phase::Queued, Phase::Fetching, Phase::Building];
    if entered(Phase::Pushing) || now == Phase::Pushing {
        line.push(Phase::Pushing);
    }
    if broke {
        line.retain(|phase| entered(*phase));
    } else {
        line.push(Phase::Succeeded);
    }
    let present = line.iter().position(|phase| *phase == now);
    let last = line.len().saturating_sub(1);
    line.iter()
        .enumerate()
        .map(|(index, &phase)| {
            let is = match present {
                _ if broke && index == last => Standing::Broken,
                _ if now.is_end() => Standing::Done,
                Some(at) if index < at => Standing::Done,
                Some(at) if index == at => Standing::Now,
                _ => Standing::Ahead,
            };
            let done = match is {
                Standing::Done | Standing::Broken => 1.0,
                Standing::Now if phase == Phase::Building => share(seen.steps),
                Standing::Now | Standing::Stuck | Standing::Ahead => 0.0,
            };
            Stop { words: words(phase), is, done, note: note(seen, phase, is) }
        })
        .collect()
}

/// One sentence for a list: "building [3/5] RUN make".
pub(super) const fn words(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "queued",
        Phase::Fetching => "fetching",
        Phase::Building => "building",
        Phase::Pushing => "pushing",
        Phase::Succeeded => "release",
        Phase::Failed | Phase::Cancelled | Phase::Interrupted => "",
    }
}

fn note(seen: &Seen, phase: Phase, is: Standing) -> String {
    let row = seen.row;
    let took = took_ms(seen, phase);
    match (is, phase) {
        (Standing::Ahead, _) => String::new(),
        (Standing::Now, Phase::Queued) => match row.before_it {
            Some(0) | None => "is next".to_owned(),
            Some(before) => format!("{} before it", format::count(before.into())),
        },
        (Standing::Now, Phase::Building) => {
            let (over, all) = counted(seen.steps);
            let elapsed = format::seconds(elapsed_ms(seen));
            match all {
                0 => seen.progress.map_or_else(|| elapsed.clone(), ToOwned::to_owned),
                _ => format!("{over} of {all} steps · {elapsed}"),
            }
        }
        (Standing::Now, _) => {
            let elapsed = format::seconds(elapsed_ms(seen));
            seen.progress.map_or(elapsed.clone(), |said| format!("{said} · {elapsed}"))
        }
        (_, Phase::Succeeded) => {
            row.release.as_ref().map(|release| release.name.clone()).unwrap_or_default()
        }
        (_, Phase::Building) if row.count.steps > 0 => {
            let count = row.count;
            let cached = format!("{} of {} cached", count.cached, count.steps);
            took.map_or(cached.clone(), |ms| format!("{cached} · {}", format::duration(ms)))
        }
        _ => took.map(format::duration).unwrap_or_default(),
    }
}

fn elapsed_ms(seen: &Seen) -> i64 {
    (seen.now_ms - ms(seen.row.since)).max(0)
}

/// How long a phase that is over took.
fn took_ms(seen: &Seen, phase: Phase) -> Option<i64> {
    let at = seen.entered.iter().rposition(|entered| entered.phase == phase)?;
    let ended = seen.entered.get(at + 1).map(|next| next.at).or(seen.row.ended_at)?;
    Some((ms(ended) - ms(seen.entered[at].at)).max(0))
}

/// How many steps are over, of as many as their names say there are: `[3/5]`, `[stage 3/5]`.
///
/// Steps without such a name (a look at the recipe, the context) are not counted: nobody knows how
/// many of them there will be.
fn counted(steps: &[BuildStep]) -> (u32, u32) {
    let mut stages: Vec<(&str, u32)> = Vec::new();
    let mut over = 0;
    for step in steps {
        let Some((stage, all)) = named(&step.name) else { continue };
        if !stages.iter().any(|(known, _)| *known == stage) {
            stages.push((stage, all));
        }
        if step.took_ms.is_some() {
            over += 1;
        }
    }
    let all = stages.iter().map(|(_, all)| all).sum::<u32>();
    (over.min(all), all)
}

fn named(name: &str) -> Option<(&str, u32)> {
    let inside = name.strip_prefix('[')?.split_once(']')?.0;
    let (stage, figures) = inside.rsplit_once(' ').unwrap_or(("", inside));
    let (_, all) = figures.split_once('/')?;
    Some((stage, all.parse().ok().filter(|all| (1..=1000).contains(all))?))
}

fn share(steps: &[BuildStep]) -> f64 {
    let (over, all) = counted(steps);
    if all == 0 { 0.0 } else { f64::from(over) / f64::from(all) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::build::{StepCount, view::BuildMay};
    use time::macros::datetime;

    fn row(phase: Phase) -> BuildRow {
        let at = datetime!(2026-11-21 12:00 UTC);
        BuildRow {
            id: domain::id::BuildId(Default::default()),
            number: 12,
            project: "shop".parse().unwrap(),
            service: "web".parse().unwrap(),
            service_id: domain::id::ServiceId(Default::default()),
            asked: "main".to_owned(),
            commit: None,
            subject: None,
            tag: None,
            phase,
            since: at,
            before_it: None,
            cancel_asked_by: None,
            by: "Ana".to_owned(),
            asked_at: at,
            started_at: Some(at),
            ended_at: phase.is_end().then_some(at),
            count: StepCount::default(),
            size_bytes: None,
            size_budget_bytes: 0,
            release: None,
            ending: None,
            batch: None,
            may: BuildMay::default(),
        }
    }

    fn step(number: u32, name: &str, over: bool) -> BuildStep {
        BuildStep {
            number,
            name: name.to_owned(),
            started_at: datetime!(2026-11-21 12:00 UTC),
            took_ms: over.then_some(10),
            cached: false,
            failed: None,
        }
    }

    fn line(row: &BuildRow, entered: &[Phase], steps: &[BuildStep]) -> Vec<Stop> {
        let entered: Vec<_> =
            entered.iter().map(|&phase| BuildPhaseTime { phase, at: row.since }).collect();
        let now_ms = ms(row.since) + 4000;
        stops(&Seen { row, entered: &entered, steps, progress: None, now_ms })
    }

    #[test]
    fn one_stop_is_now_those_before_are_done_and_those_after_are_ahead() {
        for phase in [Phase::Queued, Phase::Fetching, Phase::Building, Phase::Pushing] {
            let line = line(&row(phase), &[], &[]);

            let now = line.iter().position(|stop| stop.is == Standing::Now).expect("one is now");
            assert_eq!(line[now].words, words(phase));
            assert!(line[..now].iter().all(|stop| stop.is == Standing::Done));
            assert!(line[now + 1..].iter().all(|stop| stop.is == Standing::Ahead));
        }
    }

    #[test]
    fn what_did_not_succeed_ends_where_it_broke() {
        for phase in [Phase::Failed, Phase::Cancelled, Phase::Interrupted] {
            let line = line(&row(phase), &[Phase::Queued, Phase::Fetching, phase], &[]);

            assert_eq!(line.len(), 2);
            assert_eq!(
                line.last().map(|stop| (stop.words, stop.is)),
                Some(("fetching", Standing::Broken))
            );
        }
        assert!(
            line(&row(Phase::Succeeded), &[], &[]).iter().all(|stop| stop.is == Standing::Done)
        );
    }

    #[test]
    fn the_steps_of_all_stages_are_counted_and_those_without_a_figure_are_not() {
        let steps = [
            step(1, "load build definition from Dockerfile", true),
            step(2, "[build 1/4] FROM rust", true),
            step(3, "[build 2/4] COPY . .", false),
            step(4, "[stage-1 1/2] FROM debian", true),
        ];
        assert_eq!(counted(&steps), (2, 6));
        assert_eq!(counted(&[step(1, "[internal] load", true)]), (0, 0));

        let line = line(&row(Phase::Building), &[], &steps);
        let now = line.iter().find(|stop| stop.is == Standing::Now).expect("now");
        assert_eq!(now.note, "2 of 6 steps · 4 s");
    }
}
