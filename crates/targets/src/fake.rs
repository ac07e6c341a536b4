//! A target in memory, for tests: the same promises as the real ones, and everything that goes
//! wrong on demand.
//!
//! A [`Fake`] is an installation's hand on a [`machine`]; clones, and other installations on the
//! same machine, share it. What a test does to the machine behind the driver's back stands in
//! `fake/behind.rs`.

mod behind;
mod logs;
mod machine;
mod preflight;
mod registry;
mod router;
pub mod sample;

pub use behind::{Behaviour, Call, Load};

use crate::{
    Error, Hint, Makers, Result, Target,
    registry::{Credentials, Push, Told},
};
use anyhow::anyhow;
use async_trait::async_trait;
use domain::{
    id::{PlacementId, RolloutId},
    log::{LogLine, LogWish},
    name::{ContentId, Digest, ImageReference, Name, RegistryAddress, Repository},
    registry::Standing,
    release::ImageFacts,
    slot::{PerSlot, Slot},
    target::{
        Answer, Claim, Finding, Goodbye, InstanceState, Observed, Place, Plan, Probe, RouteSeen,
        TargetFacts, Traffic, Usage, Verdict,
    },
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use machine::Machine;
use router::Route;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;
use uuid::Uuid;

/// How the fake is called in sentences.
pub(super) const NAME: &str = "The fake target";

/// One installation's target in memory.
#[derive(Clone, Debug)]
pub struct Fake {
    machine: Arc<Mutex<Machine>>,
    changed: Arc<watch::Sender<u64>>,
    installation: Uuid,
    prefix: Name,
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}

impl Fake {
    /// A machine without anything on it: 2 cores, 8 GiB.
    ///
    /// # Panics
    ///
    /// Never: the prefix is a name.
    #[must_use]
    pub fn new() -> Self {
        Self {
            machine: Arc::default(),
            changed: Arc::new(watch::Sender::new(0)),
            installation: sample::id(),
            prefix: "pilothouse".parse().expect("a name"),
        }
    }

    /// Another installation on the same machine.
    ///
    /// # Panics
    ///
    /// Never: the prefix is a name.
    #[must_use]
    pub fn other_installation(&self) -> Self {
        let prefix = "other".parse().expect("a name");
        Self { installation: sample::id(), prefix, ..self.clone() }
    }

    /// The machine as it is now, and a hint that it may change.
    fn machine(&self) -> MutexGuard<'_, Machine> {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        machine.live();
        machine
    }

    /// Comes back unless the machine is mute.
    async fn heard(&self) {
        let mute = self.machine().mute;
        if mute {
            std::future::pending::<()>().await;
        }
    }

    /// The same for a call of the driver, which a machine may not answer.
    fn called(&self, call: Call) -> Result<MutexGuard<'_, Machine>> {
        let mut machine = self.machine();
        if machine.unreachable {
            return Err(unreachable());
        }
        let reads =
            matches!(call, Call::Observe(_) | Call::Probe(..) | Call::Traffic(_) | Call::Logs);
        machine.calls.push(call);
        if !reads {
            self.changed.send_modify(|count| *count += 1);
        }
        Ok(machine)
    }
}

fn unreachable() -> Error {
    lost("it was switched off")
}

/// The machine does not have what it must have had.
fn lost(what: &'static str) -> Error {
    Error::Unreachable { target: NAME.to_owned(), source: anyhow!(what) }
}

fn refused(reason: impl Into<String>) -> Error {
    Error::Refused { target: NAME.to_owned(), reason: reason.into() }
}

fn stale(reason: impl Into<String>) -> Error {
    Error::Stale { target: NAME.to_owned(), reason: reason.into() }
}

#[async_trait]
impl Target for Fake {
    fn fetches_images(&self) -> bool {
        self.machine().fetches_images
    }

    async fn check(&self) -> Result<TargetFacts> {
        self.heard().await;
        let machine = self.called(Call::Check)?;
        Ok(TargetFacts {
            summary: "A machine in memory, 2 cores, 8 GiB".to_owned(),
            cores: machine.cores,
            memory_bytes: machine.memory_bytes,
            findings: vec![Finding {
                question: "Engine answers".to_owned(),
                verdict: Verdict::Pass,
                detail: "in memory".to_owned(),
            }],
        })
    }

    async fn preflight(&self, plan: &Plan, live: Option<Slot>) -> Result<Vec<Finding>> {
        let machine = self.called(Call::Preflight(plan.place.placement))?;
        Ok(preflight::questions(&machine, self.installation, &self.prefix, plan, live))
    }

    async fn fence(&self, claim: &Claim, place: &Place) -> Result<()> {
        self.called(Call::Fence(place.placement, claim.epoch))?.fence(claim)
    }

    async fn highest_epoch(&self, place: &Place) -> Result<Option<i64>> {
        let machine = self.called(Call::Observe(place.placement))?;
        let made = machine.of(self.installation, place.placement).map(|one| one.epoch).max();
        let routed = machine.routes.get(&place.placement).map(|route| route.epoch);
        Ok(routed.filter(|epoch| *epoch > 0).max(made))
    }

    async fn observe(&self, place: &Place) -> Result<Observed> {
        let machine = self.called(Call::Observe(place.placement))?;
        let mut slots: PerSlot<Vec<_>> = PerSlot::default();
        let route = machine.routes.get(&place.placement);
        for one in machine.of(self.installation, place.placement) {
            slots.of_mut(one.slot).push(one.instance(route));
        }
        for slot in Slot::ALL {
            slots.of_mut(slot).sort_by_key(|instance| (instance.number, instance.maker));
        }
        Ok(Observed { route: route.and_then(Route::seen), slots, changed: PerSlot::default() })
    }

    async fn ensure(&self, claim: &Claim, slot: Slot, plan: &Plan) -> Result<()> {
        let call = Call::Ensure(plan.place.placement, slot);
        self.called(call)?.fill(self.installation, &self.prefix, claim, slot, plan)
    }

    async fn probe(
        &self,
        place: &Place,
        slot: Slot,
        maker: RolloutId,
        probe: &Probe,
    ) -> Result<Vec<Answer>> {
        let machine = self.called(Call::Probe(place.placement, slot))?;
        let mut answers: Vec<_> = machine
            .of(self.installation, place.placement)
            .filter(|one| one.slot == slot && one.maker == maker)
            .map(|one| {
                let path = &probe.check.path;
                let outcome = match one.state() {
                    InstanceState::Running => Ok(machine.answer(one)),
                    InstanceState::Starting => Err("is not running yet".to_owned()),
                    InstanceState::Exited { why } => Err(format!("does not run: {why}")),
                };
                let (passed, said, body) = match outcome {
                    Ok((status, body)) => {
                        ((200..400).contains(&status), format!("GET {path} {status} in 1 ms"), body)
                    }
                    Err(said) => (false, said, String::new()),
                };
                let (instance, number) = (one.id.clone(), one.number);
                Answer { instance, number, passed, said, body, took: Duration::from_millis(1) }
            })
            .collect();
        answers.sort_by_key(|answer| answer.number);
        Ok(answers)
    }

    async fn route(
        &self,
        claim: &Claim,
        place: &Place,
        expected_revision: i64,
        live: Option<Slot>,
    ) -> Result<RouteSeen> {
        let call = Call::Route(place.placement, live);
        let mut machine = self.called(call)?;
        if machine.held.take_next() {
            machine.held.write = Some((*claim, expected_revision, live));
            return Err(unreachable());
        }
        let written = machine.switch(claim, expected_revision, live)?;
        if std::mem::take(&mut machine.lose_next_answer) { Err(unreachable()) } else { Ok(written) }
    }

    async fn refresh(&self, claim: &Claim, place: &Place, makers: &Makers) -> Result<RouteSeen> {
        let mut machine = self.called(Call::Refresh(place.placement))?;
        machine.fence(claim)?;
        let Some(route) = machine.routes.get(&place.placement).filter(|route| route.there) else {
            return Err(lost(
                "it has no route of this placement to refresh. It must be given back first.",
            ));
        };
        let (live, before) = (route.live, route.upstreams.clone());
        let mut upstreams = machine
            .upstreams(self.installation, place.placement, makers, |slot| before.of(slot).clone());
        if let Some(live) = live {
            let before = before.of(live);
            let there = upstreams.of_mut(live);
            if there.is_empty() {
                return Err(refused(format!(
                    "{live} gets the traffic and would be left without an instance."
                )));
            }
            there.retain(|address| before.contains(address));
            if there.is_empty() {
                there.clone_from(before);
            }
        }
        machine.put(claim, place, upstreams, live)
    }

    async fn restore(
        &self,
        claim: &Claim,
        place: &Place,
        expected_revision: i64,
        makers: &Makers,
        live: Option<Slot>,
    ) -> Result<RouteSeen> {
        let mut machine = self.called(Call::Restore(place.placement, live))?;
        machine.fence(claim)?;
        let revision = machine.routes.get(&place.placement).map_or(0, |route| route.revision);
        if revision != expected_revision {
            return Err(stale(format!(
                "its route has revision {revision}, not {expected_revision}."
            )));
        }
        let upstreams =
            machine.upstreams(self.installation, place.placement, makers, |_| Vec::new());
        if let Some(live) = live
            && upstreams.of(live).is_empty()
        {
            return Err(refused(format!(
                "no instance in {live} carries the labels of what was live there. Deploy again, \
                 or start the old containers."
            )));
        }
        machine.put(claim, place, upstreams, live)
    }

    async fn traffic(&self, place: &Place, since: i64) -> Result<Traffic> {
        self.heard().await;
        let machine = self.called(Call::Traffic(place.placement))?;
        Ok(machine.traffic(place.placement, since))
    }

    async fn close_streams(&self, claim: &Claim, place: &Place, slot: Slot) -> Result<Goodbye> {
        let mut machine = self.called(Call::CloseStreams(place.placement, slot))?;
        machine.fence(claim)?;
        let Some(route) = machine.routes.get_mut(&place.placement) else {
            return Ok(Goodbye::Told);
        };
        if route.there && route.live == Some(slot) {
            return Err(refused(format!("{slot} gets the traffic.")));
        }
        route.traffic.of_mut(slot).in_flight.take();
        Ok(Goodbye::Told)
    }

    async fn remove(&self, claim: &Claim, place: &Place, slot: Slot) -> Result<()> {
        let call = Call::Remove(place.placement, slot);
        self.called(call)?.empty(self.installation, claim, place, slot)
    }

    async fn stop(&self, claim: &Claim, place: &Place, slot: Slot, instance: &str) -> Result<()> {
        let call = Call::Stop(place.placement, slot);
        self.called(call)?.stop(self.installation, claim, slot, instance)
    }

    async fn withdraw(&self, claim: &Claim, place: &Place) -> Result<()> {
        let mut machine = self.called(Call::Withdraw(place.placement))?;
        machine.fence(claim)?;
        machine.withdraw(place.placement);
        Ok(())
    }

    async fn usage(&self, places: &[Place]) -> Result<Vec<(PlacementId, Vec<Usage>)>> {
        self.heard().await;
        let machine = self.called(Call::Usage)?;
        let used = |place: &Place| {
            machine
                .of(self.installation, place.placement)
                .filter(|one| one.state() == InstanceState::Running)
                .map(|one| Usage {
                    instance: one.id.clone(),
                    cpu_percent: 1.0,
                    memory_bytes: 8 << 20,
                    memory_limit_bytes: one.memory_bytes,
                    received_bytes: 0,
                    sent_bytes: 0,
                    processes: 1,
                })
                .collect()
        };
        Ok(places.iter().map(|place| (place.placement, used(place))).collect())
    }

    fn watch(&self) -> BoxStream<'static, Hint> {
        let mut changed = self.changed.subscribe();
        changed.mark_changed();
        stream::unfold(changed, |mut changed| async move {
            if changed.changed().await.is_err() {
                // The machine is gone with all its hands. A watch never ends.
                std::future::pending::<()>().await;
            }
            Some((Hint::All, changed))
        })
        .boxed()
    }

    fn logs(
        &self,
        place: &Place,
        instance: &str,
        wish: LogWish,
    ) -> BoxStream<'static, Result<LogLine>> {
        self.lines(place.placement, instance, wish)
    }

    async fn image(&self, reference: &ImageReference) -> Result<ImageFacts> {
        let machine = self.called(Call::Image)?;
        let same = |facts: &&ImageFacts| {
            facts.reference == *reference || facts.id.as_str() == reference.as_str()
        };
        machine.images.iter().find(same).cloned().ok_or_else(|| {
            refused(format!("{reference} is not on this machine. Build or load it there."))
        })
    }

    async fn pull(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        told: &Told,
    ) -> Result<()> {
        self.fetch(reference, credentials, told).await
    }

    async fn push(&self, push: &Push<'_>, told: &Told) -> Result<Digest> {
        self.send(push, told).await
    }

    async fn try_registry(
        &self,
        _address: &RegistryAddress,
        credentials: Option<&Credentials>,
    ) -> Result<Standing> {
        Ok(self.called(Call::Registry)?.registry.standing(credentials))
    }

    async fn points_to(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<Result<Digest, Standing>> {
        Ok(self.called(Call::Registry)?.registry.points_to(reference, credentials))
    }

    async fn digests(&self, image: &ContentId) -> Result<Vec<(Repository, Digest)>> {
        Ok(self.called(Call::Image)?.digests_of(image))
    }

    async fn keep_image(&self, image: &ContentId) -> Result<()> {
        let mut machine = self.called(Call::KeepImage)?;
        if !machine.images.iter().any(|facts| facts.id == *image) {
            return Err(refused(format!(
                "the image {} is gone. Load or pull it again.",
                image.short()
            )));
        }
        machine.kept.insert((self.installation, image.clone()));
        Ok(())
    }

    async fn kept_images(&self) -> Result<Vec<ContentId>> {
        let machine = self.called(Call::KeptImages)?;
        let ours =
            machine.kept.iter().filter(|(installation, _)| *installation == self.installation);
        Ok(ours.map(|(_, image)| image.clone()).collect())
    }

    async fn release_image(&self, image: &ContentId) -> Result<()> {
        let mut machine = self.called(Call::ReleaseImage)?;
        machine.kept.remove(&(self.installation, image.clone()));
        Ok(())
    }
}
