//! What instances answered when they were asked last. Whoever asks, rollout or sampler, notes it
//! here, so that nobody asks twice.

use domain::{
    live::Health,
    target::{Answer, Instance, InstanceState},
};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// An answer that took longer is worth a word, though it is a pass.
const SLOW: Duration = Duration::from_secs(1);
/// What was heard so long ago says nothing any more.
const FORGET: Duration = Duration::from_secs(60);

/// By instance id.
#[derive(Debug, Default)]
pub(crate) struct Healths(Mutex<HashMap<String, (Health, Instant)>>);

impl Healths {
    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Health, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes answers.
    pub fn note(&self, answers: &[Answer]) {
        let now = Instant::now();
        let mut map = self.map();
        for answer in answers {
            let health = match answer {
                Answer { passed: true, took, .. } if *took > SLOW => {
                    Health::Slow { ms: u32::try_from(took.as_millis()).unwrap_or(u32::MAX) }
                }
                Answer { passed: true, .. } => Health::Ready,
                Answer { said, .. } => Health::NotReady { why: said.clone() },
            };
            map.insert(answer.instance.clone(), (health, now));
        }
        map.retain(|_, (_, at)| now.duration_since(*at) < FORGET);
    }

    /// How long ago an instance answered. `None`: never.
    pub fn age(&self, instance: &str) -> Option<Duration> {
        self.map().get(instance).map(|(_, at)| at.elapsed())
    }

    /// An instance's health, as far as its state and its last answer tell.
    pub fn of(&self, instance: &Instance) -> Health {
        match &instance.state {
            InstanceState::Exited { why } => Health::Exited { why: why.clone() },
            InstanceState::Starting => Health::Starting,
            InstanceState::Running => {
                self.map().get(&instance.id).map_or(Health::Starting, |(health, _)| health.clone())
            }
        }
    }
}
