//! Both slots side by side: who is in them, how each instance is, how much of the traffic each has.

use crate::{
    clock::clock,
    components::{placement::by_state, slot::SlotMark},
    format,
    live::{Seconds, live},
};
use domain::{
    live::{Health, InstanceSample},
    rollout::State,
    slot::Slot,
    view::RolloutPage as Page,
};
use leptos::prelude::*;

/// The old slot at the left, the new one at the right.
#[component]
pub fn Columns(page: Page, state: Memo<State>, order: Signal<[Slot; 2]>) -> impl IntoView {
    let seconds = live().samples(page.placement);
    let traffic = seconds.clone();
    view! {
        <div class="slots">
            {move || {
                order
                    .get()
                    .map(|slot| {
                        view! { <Column page=page.clone() state slot_of=slot seconds=seconds.clone() /> }
                    })
                    .into_iter()
                    .collect_view()
            }}
        </div>
        <Traffic seconds=traffic />
    }
}

#[component]
fn Column(
    page: Page,
    state: Memo<State>,
    slot_of: Slot,
    seconds: ArcRwSignal<Seconds>,
) -> impl IntoView {
    let slot = slot_of;
    let settled = page.cell.live.as_ref().map(|live| live.slot);
    let drawn_live = by_state(&page.card.state, settled);
    let live_now = {
        let seconds = seconds.clone();
        Memo::new(move |_| {
            seconds.with(|seconds| seconds.back().map_or(drawn_live, |last| last.live))
        })
    };
    let release = {
        let page = page.clone();
        move || release_in(&page, &state.get(), slot).unwrap_or_else(|| "–".to_owned())
    };
    let standing = {
        let warm = page.cell.warm.as_ref().map(|warm| warm.slot);
        Memo::new(move |_| {
            let phase = state.with(|state| state.phase);
            let new = state.with(|state| state.pinned.is_some_and(|pinned| pinned.new == slot));
            match live_now.get() {
                Some(live) if live == slot => "live",
                _ if warm == Some(slot) => "warm",
                _ if new && !phase.is_end() => phase.as_words(),
                _ if phase.is_after_switch() => "warm",
                _ => "idle",
            }
        })
    };
    let share = {
        let seconds = seconds.clone();
        move || seconds.with(|seconds| share(seconds, slot, drawn_live))
    };
    let in_flight = {
        let seconds = seconds.clone();
        move || {
            seconds.with(|seconds| {
                let last = seconds.back().and_then(|last| last.slots.of(slot).in_flight);
                last.map_or_else(
                    || "– in flight".to_owned(),
                    |count| format!("{} in flight", format::count(count.into())),
                )
            })
        }
    };
    let size = page.cell.size.count();
    let idle = move || standing.get() != "live";
    let expected = move || standing.get() != "idle";
    let class = match slot {
        Slot::Blue => "slotcard blue",
        Slot::Green => "slotcard green",
    };
    view! {
        <section class=class class:idle=idle aria-label=slot.as_str()>
            <header>
                {move || {
                    let is = standing.get();
                    view! { <SlotMark of=slot idle={is != "live"} is /> }
                }}
                <span class="mono">{release}</span>
            </header>
            <p class="share">
                {share}
                " "
                <small>"of traffic · " {in_flight}</small>
            </p>
            <Instances slot_of=slot seconds size expected />
        </section>
    }
}

/// What is in a slot, as far as this page knows.
fn release_in(page: &Page, state: &State, slot: Slot) -> Option<String> {
    let pinned = state.pinned.as_ref().filter(|_| !state.phase.is_end());
    if pinned.is_some_and(|pinned| pinned.new == slot) {
        return Some(page.card.release.name.clone());
    }
    let live = page.cell.live.as_ref().filter(|live| live.slot == slot).map(|live| &live.release);
    let warm = page.cell.warm.as_ref().filter(|warm| warm.slot == slot).map(|warm| &warm.release);
    let old = pinned
        .and_then(|pinned| pinned.previous)
        .filter(|previous| previous.slot == slot)
        .and(page.card.from.as_ref());
    old.or(live).or(warm).map(|release| release.name.clone())
}

/// The slot's part of the last second's requests; without any, new ones would go to the live slot.
fn share(seconds: &Seconds, slot: Slot, drawn_live: Option<Slot>) -> String {
    let Some(last) = seconds.back() else {
        return if drawn_live == Some(slot) { "100 %" } else { "0 %" }.to_owned();
    };
    let all = last.slots.blue.requests + last.slots.green.requests;
    match last.slots.of(slot).requests {
        _ if all == 0 => if last.live == Some(slot) { "100 %" } else { "0 %" }.to_owned(),
        some => format!("{:.0} %", f64::from(some) * 100.0 / f64::from(all)),
    }
}

#[component]
fn Instances(
    slot_of: Slot,
    seconds: ArcRwSignal<Seconds>,
    size: u16,
    /// Whether there should be instances: then their lines are kept free until they are known.
    expected: impl Fn() -> bool + Send + Sync + Clone + 'static,
) -> impl IntoView {
    let clock = clock();
    let instances = move || {
        seconds.with(|seconds| seconds.back().map(|last| last.slots.of(slot_of).instances.clone()))
    };
    let rows = move || {
        let known = instances();
        let count = known.as_ref().map_or(0, Vec::len);
        let kept = if expected() { usize::from(size).saturating_sub(count) } else { 0 };
        let known = known.unwrap_or_default().into_iter().map(Some);
        let rows: Vec<Option<InstanceSample>> =
            known.chain(std::iter::repeat_n(None, kept)).collect();
        if rows.is_empty() {
            let none = view! {
                <tr>
                    <td class="faint" colspan="6">
                        "nothing runs here"
                    </td>
                </tr>
            };
            return none.into_any();
        }
        rows.into_iter().map(|row| instance_row(row, clock.now_ms())).collect_view().into_any()
    };
    view! {
        <table class="instances">
            <thead>
                <tr>
                    <th scope="col">"Instance"</th>
                    <th scope="col">"Health"</th>
                    <th scope="col" class="n">"CPU"</th>
                    <th scope="col" class="n">"Memory"</th>
                    <th scope="col" class="n">"Restarts"</th>
                    <th scope="col" class="n">"Up"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
}

fn instance_row(instance: Option<InstanceSample>, now_ms: i64) -> AnyView {
    let Some(instance) = instance else {
        return view! {
            <tr class="faint">
                <td class="mono">"…"</td>
                <td>"–"</td>
                <td class="n">"–"</td>
                <td class="n">"–"</td>
                <td class="n">"–"</td>
                <td class="n">"–"</td>
            </tr>
        }
        .into_any();
    };
    let up = instance.started_at.map(|at| format::seconds(now_ms - crate::clock::ms(at)));
    let (class, word, why) = health(&instance.health);
    let limit = format!("of {}", format::bytes(instance.memory_limit_bytes));
    let restarted = instance.restarts > 0;
    view! {
        <tr>
            <td class="mono" title=instance.id>
                {instance.name}
            </td>
            <td>
                <span class=class title=why>
                    {word}
                </span>
            </td>
            <td class="n">{format::load(instance.cpu_percent)}</td>
            <td class="n" title=limit>
                {format::bytes(instance.memory_bytes)}
            </td>
            <td class="n">
                <span class:flag=restarted>{instance.restarts}</span>
            </td>
            <td class="n faint">{up.unwrap_or_else(|| "–".to_owned())}</td>
        </tr>
    }
    .into_any()
}

/// Class, word and reason.
fn health(health: &Health) -> (&'static str, String, Option<String>) {
    match health {
        Health::Starting => ("soft", "starting".to_owned(), None),
        Health::Ready => ("", "ready".to_owned(), None),
        Health::Slow { ms } => {
            ("flag", format!("slow, {}", format::duration(i64::from(*ms))), None)
        }
        Health::NotReady { why } => ("bad", "not ready".to_owned(), Some(why.clone())),
        Health::Exited { why } => ("bad", "exited".to_owned(), Some(why.clone())),
    }
}

/// The last second's requests as one bar of two colours. The shares above say the same.
#[component]
fn Traffic(seconds: ArcRwSignal<Seconds>) -> impl IntoView {
    let parts = move || {
        seconds.with(|seconds| {
            let Some(last) = seconds.back() else {
                return (0.0, 0.0);
            };
            let (blue, green) = (last.slots.blue.requests, last.slots.green.requests);
            let all = f64::from(blue + green);
            if all > 0.0 {
                (f64::from(blue) * 100.0 / all, f64::from(green) * 100.0 / all)
            } else {
                match last.live {
                    Some(Slot::Blue) => (100.0, 0.0),
                    Some(Slot::Green) => (0.0, 100.0),
                    None => (0.0, 0.0),
                }
            }
        })
    };
    let blue = {
        let parts = parts.clone();
        move || format!("{:.1}", parts().0)
    };
    let green = {
        let parts = parts.clone();
        move || format!("{:.1}", parts().1)
    };
    view! {
        <svg class="traffic" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
            <rect class="whole" width="100" height="10" />
            <rect class="b" width=blue height="10" />
            <rect class="g" x=move || format!("{:.1}", 100.0 - parts().1) width=green height="10" />
        </svg>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        id::PlacementId,
        live::{Sample, SlotSample},
        slot::PerSlot,
    };

    #[test]
    fn without_requests_the_live_slot_has_all_of_the_traffic() {
        let mut sample = Sample {
            placement: PlacementId(Default::default()),
            at: 1,
            live: Some(Slot::Green),
            slots: PerSlot::<SlotSample>::default(),
            trouble: None,
        };
        let of = |sample: &Sample, slot| share(&[sample.clone()].into_iter().collect(), slot, None);

        assert_eq!(
            (of(&sample, Slot::Green), of(&sample, Slot::Blue)),
            ("100 %".into(), "0 %".into())
        );
        sample.slots.blue.requests = 1;
        sample.slots.green.requests = 3;
        assert_eq!(
            (of(&sample, Slot::Green), of(&sample, Slot::Blue)),
            ("75 %".into(), "25 %".into())
        );
        assert_eq!(share(&Seconds::default(), Slot::Blue, Some(Slot::Blue)), "100 %");
    }
}
