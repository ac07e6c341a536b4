//! The contract, against a machine in memory.

use async_trait::async_trait;
use domain::{
    log::Source,
    release::ImageFacts,
    slot::Slot,
    target::{Instance, Place, Plan, Second},
};
use std::time::Duration;
use targets::{
    Target,
    contract::Harness,
    fake::{Behaviour, Fake, sample},
    names,
};
use time::OffsetDateTime;

struct Memory {
    fake: Fake,
    other: Fake,
    rooted: String,
}

async fn memory() -> Memory {
    let fake = Fake::new();
    let other = fake.other_installation();
    let rooted = format!("sha256:{}", "b".repeat(64));
    let image = |id: &str, user: &str| ImageFacts {
        id: id.parse().expect("a content id"),
        reference: "hello:1.0.0".parse().expect("a reference"),
        size_bytes: 1,
        platform: "linux/amd64".into(),
        user: user.into(),
        ports: vec![8080],
        command: vec![],
        created_at: None,
    };
    fake.add_image(image(sample::plan(&sample::place("any"), 1).image.as_str(), "65532"));
    fake.add_image(image(&rooted, ""));
    Memory { fake, other, rooted }
}

#[async_trait]
impl Harness for Memory {
    fn target(&self) -> &dyn Target {
        &self.fake
    }

    fn other(&self) -> &dyn Target {
        &self.other
    }

    fn plan(&self, place: &Place, size: u16) -> Plan {
        sample::plan(place, size)
    }

    fn slow_plan(&self, place: &Place, size: u16) -> Plan {
        let plan = sample::plan(place, size);
        let ready_after = Duration::from_millis(1500);
        self.fake.behave(plan.release, Behaviour { ready_after, ..Behaviour::default() });
        plan
    }

    fn dying_plan(&self, place: &Place) -> Plan {
        let plan = sample::plan(place, 1);
        let dies_after = Some((Duration::from_millis(50), "exit code 1".to_owned()));
        self.fake.behave(plan.release, Behaviour { dies_after, ..Behaviour::default() });
        plan
    }

    fn root_plan(&self, place: &Place) -> Plan {
        Plan { image: self.rooted.parse().expect("a content id"), ..sample::plan(place, 1) }
    }

    async fn served_by(&self, place: &Place) -> Option<Slot> {
        let slot = self.fake.serves(&place.host_names[0])?;
        let at = OffsetDateTime::now_utc().unix_timestamp();
        let latencies = vec![(1000, 1)];
        self.fake.count(
            place.placement,
            slot,
            Second { at, requests: 1, latencies, ..Second::default() },
        );
        Some(slot)
    }

    async fn restart(&self, instance: &Instance) {
        self.fake.restart(&instance.id);
    }

    async fn write(&self, instance: &Instance, bytes: &[u8]) {
        self.fake.write(&instance.id, Source::Out, bytes);
    }

    async fn change_by_hand(&self, instance: &Instance) {
        self.fake
            .change_by_hand(&instance.id, "its memory limit is 48 MiB, and was made with 32 MiB");
    }

    async fn remove_by_hand(&self, instance: &Instance) {
        self.fake.remove_by_hand(&instance.id);
    }

    async fn occupy(&self, plan: &Plan, slot: Slot) {
        let prefix = "pilothouse".parse().expect("a name");
        let instance = names::instance(slot, plan.maker, 1);
        self.fake.occupy(names::container(&prefix, &plan.place, &instance));
    }

    async fn stranger_is_there(&self) -> bool {
        // The driver has no way to touch one.
        true
    }

    async fn switch_by_hand(&self, place: &Place, live: Option<Slot>, reason: &str) {
        self.fake.switch_by_hand(place.placement, live, reason);
    }

    async fn restart_router(&self) {
        self.fake.restart_router();
    }

    async fn lose_routes(&self) {
        self.fake.lose_routes();
    }

    async fn set_reachable(&self, reachable: bool) {
        self.fake.set_unreachable(!reachable);
    }
}

targets::contract!(memory);

#[tokio::test]
async fn a_write_that_was_held_up_loses_and_one_whose_answer_was_lost_can_be_repeated() {
    let Memory { fake, .. } = memory().await;
    let place = sample::place("api");
    let plan = sample::plan(&place, 1);
    let claim =
        domain::target::Claim { placement: place.placement, epoch: 1, rollout: Some(plan.maker) };
    fake.ensure(&claim, Slot::Blue, &plan).await.expect("filled");
    let revision = fake.observe(&place).await.expect("seen").route.expect("a route").revision;

    fake.hold_next_route();
    assert!(fake.route(&claim, &place, revision, Some(Slot::Blue)).await.is_err());
    fake.lose_next_answer();
    assert!(fake.route(&claim, &place, revision, Some(Slot::Blue)).await.is_err());
    let seen = fake.route(&claim, &place, revision, Some(Slot::Blue)).await.expect("repeated");
    let none = fake.route(&claim, &place, seen.revision, None).await.expect("moved on");

    assert!(fake.deliver().is_err(), "it comes too late");
    assert_eq!(fake.observe(&place).await.expect("seen").route, Some(none));
}
