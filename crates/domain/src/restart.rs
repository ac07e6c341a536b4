//! A restart, one by one: each instance of the live slot leaves the route, drains, ends, starts,
//! proves itself and comes back into the route, while the others answer.
//!
//! What is left to do is stored on the placement, so a restart survives whoever drives it. Which
//! instance has been through is told by its start, as the target says it: no two clocks are compared.
//! [`Restart::next`] decides and is pure; the engine carries out.

use crate::{
    id::RolloutId,
    target::{Instance, InstanceState},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A restart that is under way, or that could not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Who asked, by the name of that moment.
    pub by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// `None`: nobody has looked yet which instances there are.
    pub plan: Option<Plan>,
    /// Why it stopped. It stays to be read until the next restart or rollout.
    pub failed: Option<String>,
}

/// Which instances are to be restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Whose instances they are: another rollout's are new anyway.
    pub maker: RolloutId,
    pub of: u16,
    /// Those that were not through yet, in their order.
    pub left: Vec<Left>,
}

/// An instance before its restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    pub instance: String,
    pub name: String,
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// These are the instances: to be stored before anything is touched.
    Begin(Plan),
    /// There is no second instance to answer meanwhile: one more is started first.
    Spare,
    /// It leaves the route. The others are there.
    TakeOut(String),
    /// It is out of the route and still runs: it is told to end once it has finished what it has.
    End(String),
    /// What does not run is started, and what is ready comes in.
    Fill,
    /// The first of those left is through: to be stored, with a row.
    Through(Left),
    /// All are.
    Over,
    /// The slot is another rollout's by now.
    Elsewhere,
}

impl Restart {
    /// Asked for just now.
    #[must_use]
    pub const fn asked(by: String, at: OffsetDateTime) -> Self {
        Self { by, at, plan: None, failed: None }
    }

    /// How many are through, of how many. `None`: not known yet.
    #[must_use]
    pub fn progress(&self) -> Option<(u16, u16)> {
        let plan = self.plan.as_ref()?;
        let left = u16::try_from(plan.left.len()).unwrap_or(u16::MAX);
        Some((plan.of.saturating_sub(left), plan.of))
    }

    /// Decides by the live slot's instances as the target shows them. `wanted`: the placement's size.
    #[must_use]
    pub fn next(&self, maker: RolloutId, instances: &[Instance], wanted: u16) -> Next {
        let ours: Vec<&Instance> = instances.iter().filter(|one| one.maker == maker).collect();
        let Some(plan) = &self.plan else {
            let left: Vec<_> = ours.iter().filter(|one| one.number <= wanted).map(left).collect();
            let of = u16::try_from(left.len()).unwrap_or(u16::MAX);
            return Next::Begin(Plan { maker, of, left });
        };
        if plan.maker != maker {
            return Next::Elsewhere;
        }
        let Some(now) = plan.left.first() else { return Next::Over };
        // Gone: what is made in its place is new.
        let Some(one) = ours.iter().find(|one| one.id == now.instance) else {
            return Next::Through(now.clone());
        };
        let runs = one.state == InstanceState::Running;
        if one.started_at != now.started_at {
            return if runs && one.in_route { Next::Through(now.clone()) } else { Next::Fill };
        }
        if !runs {
            return Next::Fill;
        }
        if !one.in_route {
            return Next::End(now.instance.clone());
        }
        let others = ours
            .iter()
            .filter(|other| other.id != one.id)
            .filter(|other| other.in_route && other.state == InstanceState::Running)
            .count();
        match usize::from(wanted.saturating_sub(1)) {
            0 if others == 0 => Next::Spare,
            // All the others, not just one: a slot of three never answers with one.
            needed if others < needed => Next::Fill,
            _ => Next::TakeOut(now.instance.clone()),
        }
    }
}

fn left(one: &&Instance) -> Left {
    Left { instance: one.id.clone(), name: one.name.clone(), started_at: one.started_at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ConfigurationId, ReleaseId};
    use time::{Duration, macros::datetime};
    use uuid::Uuid;

    const START: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

    fn maker() -> RolloutId {
        RolloutId(Uuid::from_u128(1))
    }

    fn instance(number: u16) -> Instance {
        Instance {
            id: format!("id-{number}"),
            name: format!("blue-{number}"),
            number,
            maker: maker(),
            release: ReleaseId(Uuid::nil()),
            configuration: ConfigurationId(Uuid::nil()),
            state: InstanceState::Running,
            in_route: true,
            started_at: Some(START),
            restarts: 0,
            died: None,
            changed: None,
        }
    }

    /// A target in a few lines: each command has its effect at once.
    fn whole_restart(size: u16) -> (Vec<Next>, usize) {
        let mut slot: Vec<_> = (1..=size).map(instance).collect();
        let mut restart = Restart::asked("Ana".to_owned(), START);
        let (mut done, mut fewest) = (Vec::new(), usize::MAX);
        for turn in 0..100 {
            let next = restart.next(maker(), &slot, size);
            done.push(next.clone());
            match next {
                Next::Begin(plan) => restart.plan = Some(plan),
                Next::Spare => slot.push(instance(size + 1)),
                Next::TakeOut(id) => find(&mut slot, &id).in_route = false,
                Next::End(id) => {
                    find(&mut slot, &id).state = InstanceState::Exited { why: "asked".to_owned() };
                }
                Next::Fill => {
                    for one in &mut slot {
                        if one.state != InstanceState::Running {
                            one.state = InstanceState::Running;
                            one.started_at = Some(START + Duration::seconds(turn));
                        } else {
                            one.in_route = true;
                        }
                    }
                }
                Next::Through(_) => {
                    if let Some(plan) = &mut restart.plan {
                        plan.left.remove(0);
                    }
                }
                Next::Over => return (done, fewest),
                Next::Elsewhere => panic!("it is ours"),
            }
            let serving = slot.iter().filter(|o| o.in_route && o.state == InstanceState::Running);
            fewest = fewest.min(serving.count());
        }
        panic!("it never ends: {done:?}")
    }

    fn find<'a>(slot: &'a mut [Instance], id: &str) -> &'a mut Instance {
        slot.iter_mut().find(|one| one.id == id).expect("there")
    }

    #[test]
    fn each_instance_is_restarted_once_while_all_the_others_answer() {
        for size in 1..5 {
            let (done, fewest) = whole_restart(size);

            let count = |is: fn(&Next) -> bool| done.iter().filter(|next| is(next)).count();
            assert_eq!(count(|next| matches!(next, Next::End(_))), usize::from(size));
            assert_eq!(count(|next| matches!(next, Next::Through(_))), usize::from(size));
            assert_eq!(count(|next| *next == Next::Spare), usize::from(size == 1));
            assert_eq!(fewest, usize::from(size.saturating_sub(1).max(1)), "{size}: {done:?}");
        }
    }

    #[test]
    fn nobody_is_taken_out_while_another_one_is_missing() {
        let plan = Plan { maker: maker(), of: 3, left: vec![left(&&instance(1))] };
        let restart = Restart { plan: Some(plan), ..Restart::asked("Ana".to_owned(), START) };
        let mut slot = vec![instance(1), instance(2), instance(3)];
        slot[2].in_route = false;

        assert_eq!(restart.next(maker(), &slot, 3), Next::Fill);
        slot[2].in_route = true;
        assert_eq!(restart.next(maker(), &slot, 3), Next::TakeOut("id-1".to_owned()));
        assert_eq!(restart.next(RolloutId(Uuid::from_u128(2)), &slot, 3), Next::Elsewhere);
    }
}
