//! The one action, always in the same place: what may be asked now, by the rule that also refuses on
//! the server.

use crate::components::{
    address::AddressText,
    ask::held,
    moves::{AskOf, Deploy, GoBack, way_back},
    when::Until,
};
use domain::{
    rollout::{self, Ask, Kind, Phase, State},
    view::RolloutPage as Page,
};
use leptos::prelude::*;

/// What the place of the action offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    /// Before the switch.
    Abort,
    /// After the switch: the same request, and it says what it does.
    RollBack,
    Promote,
    /// Retry, or abort.
    Errored,
    /// On its way back or being cleaned up: nothing is left to ask.
    Leaving(Phase),
    Ended(Phase),
}

fn offer(state: &State) -> Offer {
    match state.phase {
        phase if phase.is_end() => Offer::Ended(phase),
        _ if state.trouble.is_some() => Offer::Errored,
        Phase::AwaitingPromotion => Offer::Promote,
        phase @ (Phase::SwitchingBack | Phase::CleaningUp) => Offer::Leaving(phase),
        phase if phase.is_after_switch() => Offer::RollBack,
        _ => Offer::Abort,
    }
}

/// The sentence and the button.
#[component]
pub fn Actions(page: Page, state: Memo<State>) -> impl IntoView {
    // A dialog that is open stays, and says itself what has changed.
    let now = held(Memo::new(move |_| state.with(offer)));
    view! { <div class="actions">{move || drawn(&page, state, now.get())}</div> }
}

fn drawn(page: &Page, state: Memo<State>, offer: Offer) -> AnyView {
    let asked = page.asked.as_ref().map(|(what, by)| match what {
        Ask::Abort => format!("{by} asked to abort it"),
        Ask::Promote => format!("{by} promoted it"),
        Ask::Retry => format!("{by} asked to retry it"),
    });
    let old = page.card.from.as_ref().map(|from| from.name.clone());
    let after_switch = match (&old, page.card.state.pinned.and_then(|pinned| pinned.previous)) {
        (Some(old), Some(previous)) => {
            format!("all goes back to {old} in {} in one switch", previous.slot)
        }
        _ => "nothing was live before: it is withdrawn".to_owned(),
    };
    let hint = |words: &str| {
        let words = asked.clone().unwrap_or_else(|| words.to_owned());
        view! { <span class="soft hint">{words}</span> }
    };
    if page.card.kind == Kind::Remove {
        return removal(page, state, offer);
    }
    match offer {
        Offer::Abort => view! {
            {hint("the traffic has not moved")}
            {ask(page, state, Ask::Abort, "primary")}
        }
        .into_any(),
        Offer::RollBack => view! {
            {hint(&after_switch)}
            {ask(page, state, Ask::Abort, "primary")}
        }
        .into_any(),
        Offer::Promote => view! {
            <Preview page=page.clone() state />
            {ask(page, state, Ask::Abort, "")}
            {ask(page, state, Ask::Promote, "primary")}
        }
        .into_any(),
        Offer::Errored => view! {
            {hint("it waits for a person")}
            {ask(page, state, Ask::Abort, "")}
            {ask(page, state, Ask::Retry, "primary")}
        }
        .into_any(),
        Offer::Leaving(phase) => {
            let words = match phase {
                Phase::SwitchingBack => "the traffic is on its way back",
                _ => "what it made is being removed",
            };
            view! { {hint(words)} }.into_any()
        }
        Offer::Ended(phase) => ended(page, phase),
    }
}

/// Where what waits can be seen, and for how long it waits.
#[component]
fn Preview(page: Page, state: Memo<State>) -> impl IntoView {
    let asked = page.asked.as_ref().map(|(_, by)| format!("{by} asked already"));
    let until = Memo::new(move |_| state.with(|state| state.since) + page.card.policy.expire_after);
    view! {
        <span class="soft hint promote-at">
            {match asked {
                Some(asked) => asked.into_any(),
                None => {
                    view! {
                        "verified, and waits for a person until "
                        {move || view! { <Until at=until.get() /> }}
                        {page
                            .preview_address
                            .map(|address| {
                                view! {
                                    ". See it at "
                                    <AddressText address />
                                }
                            })}
                    }
                        .into_any()
                }
            }}
        </span>
    }
}

/// A removal is only kept from its end, or goes to it.
fn removal(page: &Page, state: Memo<State>, offer: Offer) -> AnyView {
    let back = page.card.from.as_ref().map(|from| from.name.clone());
    let said = match (&offer, back) {
        (Offer::Abort | Offer::RollBack, Some(back)) => {
            format!("nothing was ended yet: {back} can go on")
        }
        (Offer::Abort | Offer::RollBack, None) => "nothing was ended yet".to_owned(),
        (Offer::Errored | Offer::Promote, _) => "it waits for a person".to_owned(),
        (Offer::Leaving(Phase::SwitchingBack), _) => "it gets its requests back".to_owned(),
        (Offer::Leaving(_), _) => "its instances are being removed".to_owned(),
        (Offer::Ended(Phase::Succeeded), _) => "it is gone; its history stays".to_owned(),
        (Offer::Ended(_), _) => "it was not removed".to_owned(),
    };
    let hint = view! { <span class="soft hint">{said}</span> };
    match offer {
        Offer::Abort | Offer::RollBack => {
            view! { {hint} {ask(page, state, Ask::Abort, "primary")} }.into_any()
        }
        Offer::Errored => view! {
            {hint}
            {ask(page, state, Ask::Abort, "")}
            {ask(page, state, Ask::Retry, "primary")}
        }
        .into_any(),
        Offer::Promote | Offer::Leaving(_) | Offer::Ended(_) => hint.into_any(),
    }
}

/// After the end the way back is a rollout of its own, and so is another try.
fn ended(page: &Page, phase: Phase) -> AnyView {
    let service = page.service.to_string();
    let cell = page.cell.clone();
    let ours_is_live =
        cell.live.as_ref().is_some_and(|live| live.release.id == page.card.release.id);
    if cell.active.as_ref().is_some_and(|active| active.id == page.card.id) {
        // The stream told of the end, and the page is still of before it: a moment later it is not.
        return ().into_any();
    }
    if let Some(active) = cell.active.as_ref().or(cell.waiting.as_ref()) {
        return view! {
            <span class="soft hint">"another rollout holds this place now"</span>
            <a class="button" href=format!("/rollouts/{}", active.id)>
                "Open it"
            </a>
        }
        .into_any();
    }
    // Going back from a rollback would lead to what was just left: the service's page offers it.
    let forward = page.card.kind == Kind::Deploy;
    if phase == Phase::Succeeded && forward && ours_is_live && cell.may.roll_back {
        let warm = cell.warm.clone();
        let to = way_back(&cell).or_else(|| page.card.from.clone());
        let hint = if warm.is_some() { "the way back is warm: one switch" } else { "" };
        // After the first one here there is no way back, and the place stays empty.
        return to.map(|to| {
            view! {
                <span class="soft hint">{hint}</span>
                <GoBack service cell to warm=warm.is_some() trigger="Roll back" class="primary" />
            }
        })
        .into_any();
    }
    let failed = matches!(phase, Phase::Failed | Phase::Aborted | Phase::RolledBack);
    if failed && !ours_is_live && cell.may.start {
        let release = page.card.release.clone();
        return view! { <Deploy service cell release class="" /> }.into_any();
    }
    ().into_any()
}

fn ask(page: &Page, state: Memo<State>, what: Ask, class: &'static str) -> AnyView {
    let allowed = match what {
        Ask::Abort => page.may.abort,
        Ask::Promote => page.may.promote,
        // Whoever may start it may let it go on.
        Ask::Retry => page.may.start,
    };
    let asked = page.asked.as_ref().map(|(what, _)| *what);
    let dark = Signal::derive(move || {
        if !allowed {
            return Some("You may not do this here.".to_owned());
        }
        state.with(|state| rollout::accept(state, asked, what)).err().map(|why| why.to_string())
    });
    let name = format!("{} {} in {}", page.service, page.card.release.name, page.environment);
    let after = Memo::new(move |_| state.with(|state| state.phase.is_after_switch()));
    let kind = page.card.kind;
    let label = Signal::derive(move || label(kind, what, after.get()).to_owned());
    let title = Signal::derive(move || format!("{} {name}?", label.get()));
    let asks = page.clone();
    let effect = Signal::derive(move || effect(&asks, what, after.get()));
    view! {
        <AskOf rollout=page.card.id what label title effect protected=page.protected class dark />
    }
    .into_any()
}

/// The word on the button. To abort after the switch is to roll back, and is called so.
const fn label(kind: Kind, what: Ask, after_switch: bool) -> &'static str {
    match (what, after_switch) {
        (Ask::Abort, _) if matches!(kind, Kind::Remove) => "Keep it",
        (Ask::Abort, false) => "Abort",
        (Ask::Abort, true) => "Roll back",
        (Ask::Promote, _) => "Promote",
        (Ask::Retry, _) => "Retry",
    }
}

/// What a yes does.
fn effect(page: &Page, what: Ask, after_switch: bool) -> String {
    let old = page.card.from.as_ref().map(|from| from.name.as_str());
    match (what, after_switch, old) {
        (Ask::Abort, ..) if page.card.kind == Kind::Remove => {
            "Nothing more of it is ended. If nothing was ended yet, all new requests go to it again."
                .to_owned()
        }
        (Ask::Promote, ..) => format!(
            "All new requests in {} go to {} in one switch. Requests in flight end where they began.",
            page.environment, page.card.release.name
        ),
        (Ask::Retry, ..) => {
            "It goes on from the phase it stopped in. What is already done is not done twice."
                .to_owned()
        }
        (Ask::Abort, true, Some(old)) => format!(
            "All new requests go back to {old} in one switch. The instances of {} finish what they have and are removed.",
            page.card.release.name
        ),
        (Ask::Abort, true, None) => format!(
            "Nothing was live before, so requests are answered 503 until something is deployed. The instances of {} are removed.",
            page.card.release.name
        ),
        (Ask::Abort, _, Some(old)) => format!(
            "The instances of {} are removed. The traffic stays on {old}.",
            page.card.release.name
        ),
        (Ask::Abort, _, None) => {
            format!("The instances of {} are removed.", page.card.release.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::rollout::Trouble;
    use time::macros::datetime;

    #[test]
    fn what_is_offered_is_never_refused_by_the_rule() {
        for phase in Phase::ALL {
            for errored in [false, true] {
                let mut state = State::queued(datetime!(2026-11-21 12:00 UTC));
                state.phase = phase;
                state.trouble =
                    errored.then(|| Trouble::Unreachable { why: "no answer".to_owned() });
                let asks: &[Ask] = match offer(&state) {
                    Offer::Abort | Offer::RollBack => &[Ask::Abort],
                    Offer::Promote => &[Ask::Abort, Ask::Promote],
                    Offer::Errored => &[Ask::Abort, Ask::Retry],
                    Offer::Leaving(_) | Offer::Ended(_) => &[],
                };
                for ask in asks {
                    assert_eq!(rollout::accept(&state, None, *ask), Ok(()), "{phase} {ask:?}");
                }
            }
        }
    }
}
