//! What happens to a build next: one match, a line for each thing that can be seen.
//!
//! The caller saves the phase before it performs the command, so a crash between the two shows as a
//! build whose engine died, and is weighed here like any other.

use super::{Ending, Phase};

/// What came of the last thing that was done, or what was asked meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There was room, and a node took it.
    Taken,
    /// The files of the commit are here.
    Fetched,
    /// There is an image.
    Built,
    /// The image is in the repository.
    Pushed,
    /// It can not be done.
    Failed(Ending),
    /// A person asked that it stops.
    Cancelled { by: String },
    /// Its node died; and whether the image that it was to make is there.
    Lost { image: bool },
}

/// What is to be done now that the phase is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Fetch,
    Build,
    Push,
}

/// Where a build stands next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub phase: Phase,
    /// With every end but success.
    pub ending: Option<Ending>,
    /// With every phase that is not an end.
    pub command: Option<Command>,
}

/// Takes one step. `None`: what was seen has nothing to say to this phase, so nothing moves.
///
/// `pushes`: the service names a repository for its images.
#[must_use]
pub fn step(phase: Phase, pushes: bool, seen: &Seen) -> Option<Step> {
    let built = || match pushes {
        true => go(Phase::Pushing, Command::Push),
        false => end(Phase::Succeeded, None),
    };
    Some(match (phase, seen) {
        // What has ended never moves again.
        (Phase::Succeeded | Phase::Failed | Phase::Cancelled | Phase::Interrupted, _) => {
            return None;
        }

        (_, Seen::Cancelled { by }) => {
            end(Phase::Cancelled, Some(Ending { step: None, why: format!("{by} cancelled it") }))
        }

        (Phase::Queued, Seen::Taken) => go(Phase::Fetching, Command::Fetch),
        // Nobody had it: it waits as before.
        (
            Phase::Queued,
            Seen::Fetched | Seen::Built | Seen::Pushed | Seen::Failed(_) | Seen::Lost { .. },
        ) => return None,

        (Phase::Fetching | Phase::Building | Phase::Pushing, Seen::Failed(ending)) => {
            end(Phase::Failed, Some(ending.clone()))
        }

        (Phase::Fetching, Seen::Fetched) => go(Phase::Building, Command::Build),
        // The recipe was not begun, so there is no image of this build.
        (Phase::Fetching, Seen::Lost { .. }) => interrupted("fetched the source"),
        (Phase::Fetching, Seen::Taken | Seen::Built | Seen::Pushed) => return None,

        (Phase::Building, Seen::Built | Seen::Lost { image: true }) => built(),
        (Phase::Building, Seen::Lost { image: false }) => interrupted("built the image"),
        (Phase::Building, Seen::Taken | Seen::Fetched | Seen::Pushed) => return None,

        (Phase::Pushing, Seen::Pushed) => end(Phase::Succeeded, None),
        // What is there already is not sent again.
        (Phase::Pushing, Seen::Lost { image: true }) => go(Phase::Pushing, Command::Push),
        (Phase::Pushing, Seen::Lost { image: false }) => interrupted("pushed the image"),
        (Phase::Pushing, Seen::Taken | Seen::Fetched | Seen::Built) => return None,
    })
}

fn go(phase: Phase, command: Command) -> Step {
    Step { phase, ending: None, command: Some(command) }
}

fn end(phase: Phase, ending: Option<Ending>) -> Step {
    Step { phase, ending, command: None }
}

fn interrupted(did: &str) -> Step {
    let why = format!(
        "Pilothouse stopped while it {did}, and left no image. Nothing was released: build again."
    );
    end(Phase::Interrupted, Some(Ending { step: None, why }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_seen() -> Vec<Seen> {
        let ending = Ending { step: Some("[1/2] RUN false".to_owned()), why: "no".to_owned() };
        vec![
            Seen::Taken,
            Seen::Fetched,
            Seen::Built,
            Seen::Pushed,
            Seen::Failed(ending),
            Seen::Cancelled { by: "Ana".to_owned() },
            Seen::Lost { image: true },
            Seen::Lost { image: false },
        ]
    }

    fn everything() -> impl Iterator<Item = (Phase, bool, Seen, Option<Step>)> {
        Phase::ALL.into_iter().flat_map(|phase| {
            [false, true].into_iter().flat_map(move |pushes| {
                all_seen().into_iter().map(move |seen| {
                    let next = step(phase, pushes, &seen);
                    (phase, pushes, seen, next)
                })
            })
        })
    }

    #[test]
    fn what_has_ended_never_moves_again() {
        for (phase, _, seen, next) in everything() {
            assert!(!phase.is_end() || next.is_none(), "{phase} {seen:?} {next:?}");
        }
    }

    #[test]
    fn who_goes_on_has_something_to_do_and_who_ends_says_why() {
        for (phase, _, seen, next) in everything() {
            let Some(next) = next else { continue };
            assert_eq!(next.command.is_some(), !next.phase.is_end(), "{phase} {seen:?}");
            let unhappy = next.phase.is_end() && next.phase != Phase::Succeeded;
            assert_eq!(next.ending.is_some(), unhappy, "{phase} {seen:?}");
        }
    }

    #[test]
    fn nothing_goes_backwards() {
        for (phase, _, seen, next) in everything() {
            let Some(next) = next else { continue };
            assert!(next.phase >= phase, "{phase} {seen:?} {next:?}");
            assert_ne!(next.phase, Phase::Queued);
        }
    }

    #[test]
    fn a_person_can_stop_whatever_has_not_ended() {
        for (phase, _, seen, next) in everything() {
            if matches!(seen, Seen::Cancelled { .. }) {
                let ends = next.map(|next| next.phase);
                assert_eq!(ends, (!phase.is_end()).then_some(Phase::Cancelled), "{phase}");
            }
        }
    }

    #[test]
    fn no_build_succeeds_without_an_image_nor_without_the_push_it_owes() {
        for (phase, pushes, seen, next) in everything() {
            if next.is_none_or(|next| next.phase != Phase::Succeeded) {
                continue;
            }
            match phase {
                Phase::Building => {
                    assert!(!pushes, "{seen:?}");
                    assert!(matches!(seen, Seen::Built | Seen::Lost { image: true }), "{seen:?}");
                }
                Phase::Pushing => assert_eq!(seen, Seen::Pushed),
                other => panic!("{other} {seen:?}"),
            }
        }
    }

    #[test]
    fn a_build_whose_node_died_is_found_again_or_said_to_be_interrupted() {
        for (phase, pushes, seen, next) in everything() {
            let Seen::Lost { image } = seen else { continue };
            let next = next.map(|next| next.phase);
            let expected = match phase {
                Phase::Fetching => Some(Phase::Interrupted),
                Phase::Building | Phase::Pushing if !image => Some(Phase::Interrupted),
                Phase::Building if pushes => Some(Phase::Pushing),
                Phase::Building => Some(Phase::Succeeded),
                Phase::Pushing => Some(Phase::Pushing),
                _ => None,
            };
            assert_eq!(next, expected, "{phase} {image}");
        }
    }
}
