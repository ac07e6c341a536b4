//! What every driver must pass: each promise of [`Target`] as a test over a [`Harness`].
//!
//! A driver's tests make a harness, a machine of their own with nothing on it, and write
//! `targets::contract!(make)`, where `make` is an async function that returns one. Some promises are
//! of targets that route by host names and see each request ([`routes`]), or that keep images; a
//! driver that promises neither writes `targets::contract!(make; every)`.

pub mod entering;
pub mod logs;
pub mod routes;
pub mod seen;
pub mod slots;
pub mod stopping;
pub mod strangers;

use crate::{Error, Result, Target, fake::sample};
use async_trait::async_trait;
use domain::{
    slot::{PerSlot, Slot},
    target::{Claim, Instance, InstanceState, Observed, Place, Plan, Probe, RouteSeen},
};
use std::time::{Duration, Instant};

/// How long anything that was begun may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A machine under a driver, and everything that happens to it behind the driver's back.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The driver.
    fn target(&self) -> &dyn Target;

    /// Another installation's driver for the same engine. It may have a router of its own.
    fn other(&self) -> &dyn Target;

    /// A plan that serves: answers 200 at `/health`.
    fn plan(&self, place: &Place, size: u16) -> Plan;

    /// A plan that serves, whose instances need one or two seconds from their start until they do.
    fn slow_plan(&self, place: &Place, size: u16) -> Plan;

    /// A plan whose instances die with exit code 1 soon after they started.
    fn dying_plan(&self, place: &Place) -> Plan;

    /// A plan whose instances would run as root.
    fn root_plan(&self, place: &Place) -> Plan;

    /// A plan whose image is not to be had, and a word of the refusal that says so.
    fn gone_plan(&self, place: &Place) -> (Plan, &'static str) {
        let mut plan = self.plan(place, 1);
        plan.image = format!("sha256:{}", "0".repeat(64)).parse().expect("a content id");
        (plan, "gone")
    }

    /// What preflight refuses when the image is not to be had, and when the plan is far too large
    /// for the machine.
    fn refused_questions(&self) -> (&'static [&'static str], &'static [&'static str]) {
        (
            &["Image is there, same content"],
            &["CPU limit fits the machine", "Room for both slots, memory"],
        )
    }

    /// Whether the target by itself puts another instance in the place of one that is gone. Where it
    /// does not, the same one is started again, or one is made by the driver.
    fn replaces(&self) -> bool {
        false
    }

    /// What the target says of whose hand moved the traffic, and whether it knows the reason.
    fn hand(&self) -> (&'static str, bool) {
        ("uid", true)
    }

    /// Sends a request as a client does. Which slot answered? `None`: 503, or nobody.
    async fn served_by(&self, place: &Place) -> Option<Slot>;

    /// An instance dies, and the machine starts it again.
    async fn restart(&self, instance: &Instance);

    /// An instance writes to its standard output.
    async fn write(&self, instance: &Instance, bytes: &[u8]);

    /// Somebody gives an instance another memory limit.
    async fn change_by_hand(&self, instance: &Instance);

    /// Somebody removes an instance.
    async fn remove_by_hand(&self, instance: &Instance);

    /// Somebody has a container with the name that the first instance of `plan` in `slot` would get.
    async fn occupy(&self, plan: &Plan, slot: Slot);

    /// Whether that container is as it was.
    async fn stranger_is_there(&self) -> bool;

    /// Somebody moves the traffic on the machine itself.
    async fn switch_by_hand(&self, place: &Place, live: Option<Slot>, reason: &str);

    /// The router is killed and started again.
    async fn restart_router(&self);

    /// The router is killed, loses its file, and is started again.
    async fn lose_routes(&self);

    /// Whether the engine answers.
    async fn set_reachable(&self, reachable: bool);
}

/// Makes a test of each promise. `$make` is an async function that returns a [`Harness`].
#[macro_export]
macro_rules! contract {
    ($make:path) => {
        $crate::contract!($make; every);
        $crate::contract!($make; router);
        $crate::contract!($make; images);
    };
    ($make:path; router) => {
        $crate::contract!(@ $make;
            routes: a_router_that_restarts_keeps_its_routes,
            routes: names_are_refreshed_without_moving_traffic,
            seen: every_second_is_counted_once,
            strangers: a_host_name_has_one_placement,
        );
    };
    ($make:path; images) => {
        $crate::contract!(@ $make;
            seen: an_image_is_looked_up_kept_and_released,
        );
    };
    ($make:path; every) => {
        $crate::contract!(@ $make;
            slots: a_place_nobody_filled_is_empty,
            slots: a_slot_is_filled_once_however_often_it_is_asked,
            slots: only_instances_of_the_maker_are_asked,
            slots: the_slot_that_has_the_traffic_is_never_removed,
            slots: the_slot_that_has_the_traffic_is_never_filled_by_another_rollout,
            slots: the_idle_slot_is_emptied_and_the_live_one_goes_on,
            slots: strays_of_another_maker_are_removed_and_never_routed_to,
            slots: a_rollout_never_shrinks_the_live_slot_and_a_settled_placement_may,
            slots: an_image_that_runs_as_root_or_is_gone_is_refused_with_a_sentence,
            entering: what_runs_in_an_idle_slot_is_in_the_route_whenever_the_call_was_cut,
            entering: what_was_removed_by_hand_from_an_idle_slot_is_made_again_at_its_address,
            entering: a_live_slot_that_grows_sends_requests_only_to_who_is_ready,
            entering: what_was_removed_from_the_live_slot_comes_back_into_the_route_when_it_is_ready,
            entering: a_live_slot_of_which_nothing_is_left_gets_requests_once_it_is_ready,
            stopping: an_instance_leaves_the_route_before_it_ends_and_comes_back_when_it_is_ready,
            stopping: the_last_one_that_answers_is_not_stopped,
            routes: traffic_goes_where_the_route_says,
            routes: a_route_write_names_what_it_replaces,
            routes: traffic_is_never_sent_to_an_empty_slot,
            routes: a_late_switch_to_a_removed_slot_loses,
            routes: an_older_claim_is_refused_everywhere,
            routes: a_router_that_lost_its_routes_says_so_and_is_given_them_back,
            routes: a_switch_by_hand_is_seen_with_its_reason,
            routes: a_switch_by_hand_stays_known_until_we_move_the_traffic,
            routes: a_withdrawn_route_is_gone_and_its_instances_can_follow,
            seen: a_dead_instance_is_seen_with_its_reason,
            seen: an_instance_that_restarts_keeps_its_address,
            seen: why_an_instance_died_is_known_when_it_runs_again,
            seen: what_somebody_changed_on_an_instance_is_seen,
            seen: a_target_that_is_away_is_an_error_and_never_empty,
            seen: what_instances_use_is_seen_from_the_second_round_on,
            seen: a_change_is_hinted_at,
            logs: what_an_instance_writes_is_read_and_followed,
            logs: every_byte_is_visible_and_a_long_line_is_cut_and_marked,
            logs: what_an_instance_wrote_before_it_died_is_still_there,
            logs: only_instances_of_the_place_are_read,
            logs: following_ends_with_the_instance,
            strangers: a_name_that_is_taken_is_refused_and_the_stranger_left_alone,
            strangers: two_installations_do_not_see_each_other,
            strangers: preflight_says_who_can_unblock_each_refusal,
        );
    };
    (@ $make:path; $($part:ident: $rule:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $rule() {
            let harness = $make().await;
            $crate::contract::$part::$rule(&harness).await;
        }
    )*};
}

/// The claim of a rollout, the maker of `plan`.
#[must_use]
pub fn claim(plan: &Plan, epoch: i64) -> Claim {
    Claim { placement: plan.place.placement, epoch, rollout: Some(plan.maker) }
}

/// The claim of the settled placement.
#[must_use]
pub fn settled(place: &Place, epoch: i64) -> Claim {
    Claim { placement: place.placement, epoch, rollout: None }
}

/// The check of `plan`.
///
/// # Panics
///
/// When it takes no requests.
#[must_use]
pub fn probe(plan: &Plan) -> Probe {
    let port = plan.spec.exposure.port().expect("the plan takes requests");
    Probe { port, check: plan.spec.readiness.clone() }
}

/// Asks again until it is so.
///
/// # Panics
///
/// When it is not within [`PATIENCE`].
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, ask: impl FnMut() -> F) -> T {
    within(PATIENCE, what, ask).await
}

/// Asks again until it is so, for as long as a target may take for it.
///
/// # Panics
///
/// When it takes longer.
pub async fn within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(begun.elapsed() < patience, "not in {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What is there.
///
/// # Panics
///
/// When the target does not answer.
pub async fn observed(h: &dyn Harness, place: &Place) -> Observed {
    h.target().observe(place).await.expect("the target answers")
}

/// The route that is there.
///
/// # Panics
///
/// When there is none.
pub async fn route_of(h: &dyn Harness, place: &Place) -> RouteSeen {
    observed(h, place).await.route.expect("there is a route")
}

/// Fills a slot, and waits until all its instances pass.
///
/// # Panics
///
/// When they do not.
pub async fn fill(h: &dyn Harness, claim: &Claim, slot: Slot, plan: &Plan) -> Vec<Instance> {
    until("the slot is filled", || async {
        h.target().ensure(claim, slot, plan).await.expect("the slot is filled");
        let answers =
            h.target().probe(&plan.place, slot, plan.maker, &probe(plan)).await.expect("asked");
        let passed = answers.iter().filter(|answer| answer.passed).count();
        let instances = observed(h, &plan.place).await.slots.of(slot).clone();
        let all = instances.iter().all(|one| one.maker == plan.maker);
        let done = all && passed == instances.len() && passed == usize::from(plan.size);
        done.then_some(instances)
    })
    .await
}

/// Fills a slot and gives it the traffic.
///
/// # Panics
///
/// When that does not come to pass.
pub async fn make_live(h: &dyn Harness, slot: Slot, plan: &Plan) -> RouteSeen {
    fill(h, &claim(plan, 1), slot, plan).await;
    let seen = route_of(h, &plan.place).await;
    h.target()
        .route(&claim(plan, 1), &plan.place, seen.revision, Some(slot))
        .await
        .expect("the traffic moves")
}

/// Empties a slot, and waits until nothing is in it.
async fn empty(h: &dyn Harness, claim: &Claim, place: &Place, slot: Slot) {
    until("the slot is empty", || async {
        h.target().remove(claim, place, slot).await.expect("the slot is emptied");
        observed(h, place).await.slots.of(slot).is_empty().then_some(())
    })
    .await;
}

fn running(instances: &[Instance]) -> usize {
    instances.iter().filter(|one| one.state == InstanceState::Running).count()
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    match outcome {
        Err(Error::Refused { reason, .. }) => {
            assert!(reason.ends_with('.'), "a sentence: {reason}");
            reason
        }
        other => panic!("should be refused: {other:?}"),
    }
}

#[track_caller]
fn assert_stale<T: std::fmt::Debug>(outcome: Result<T>) {
    assert!(matches!(outcome, Err(Error::Stale { .. })), "should be stale: {outcome:?}");
}

#[track_caller]
fn assert_unreachable<T: std::fmt::Debug>(outcome: Result<T>) {
    assert!(matches!(outcome, Err(Error::Unreachable { .. })), "should be away: {outcome:?}");
}

/// A maker in one slot.
fn maker_in(slot: Slot, plan: &Plan) -> crate::Makers {
    let mut makers = PerSlot::default();
    *makers.of_mut(slot) = Some(plan.maker);
    makers
}

/// A place and a plan of one instance.
fn story(h: &dyn Harness, service: &str) -> (Place, Plan) {
    let place = sample::place(service);
    let plan = h.plan(&place, 1);
    (place, plan)
}
