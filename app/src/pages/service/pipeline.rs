//! The environments from left to right, each with what runs there and what can be done.

use crate::{
    api::{
        rollouts::{LiftHold, StartRollout},
        services::EditPlacement,
    },
    components::{
        address::AddressText,
        ask::{Actions, Ask, came_back, done},
        ask_form::AskForm,
        daily::{Acts, Standing},
        field::{Checkbox, Choice, Field, TextField},
        form::{Form, Send},
        moves::{GoBack, reason_field, way_back},
        placement::{Facts, Failed, LiveMark, Rolls, observed},
        warmth::StillWarm,
        when::Ago,
    },
    format,
};
use domain::{
    service::placed,
    view::{Cell, Earlier, PlacementCard, ReleaseRow, ServicePage as Page},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Lays the actions of these forms ready for a page.
pub fn provide() {
    Actions::<LiftHold>::provide();
    Actions::<EditPlacement>::provide();
}

/// A card for each placement.
#[component]
pub fn Pipeline(page: Page) -> impl IntoView {
    let service = page.name.to_string();
    let home = format!("/projects/{}/services/{service}", page.project);
    // One primary action on the page: the first place that has nothing yet.
    let first = page.placements.iter().find(|card| card.cell.live.is_none() && card.cell.may.start);
    let first = first.map(|card| card.cell.placement);
    let releases = StoredValue::new(page.releases);
    view! {
        <section aria-label="Environments">
            <ol class="pipeline">
                {page
                    .placements
                    .into_iter()
                    .enumerate()
                    .map(|(at, card)| {
                        let first = first == Some(card.cell.placement);
                        // What could be next in the first environment comes from no other one.
                        let bring = at > 0;
                        view! {
                            <Card
                                home=home.clone()
                                service=service.clone()
                                card
                                bring
                                releases
                                first
                            />
                        }
                    })
                    .collect_view()}
            </ol>
        </section>
    }
}

#[component]
fn Card(
    home: String,
    service: String,
    card: PlacementCard,
    /// There is an environment before it.
    bring: bool,
    releases: StoredValue<Vec<ReleaseRow>>,
    /// Its deploy is the page's primary action.
    first: bool,
) -> impl IntoView {
    let cell = card.cell.clone();
    let environment = cell.environment_name.to_string();
    let goes_back = asked_by_address("roll-back", &environment);
    let id = format!("in-{environment}");
    let live = cell.live.clone();
    let active = cell.active.clone();
    let warm = cell.warm.clone();
    let logs = format!("{home}/logs?in={environment}");
    view! {
        <li class="placement" class:protected=cell.protected aria-labelledby=id.clone()>
            <header>
                <h2 id=id.clone()>
                    <a href=format!("/environments/{environment}")>{environment.clone()}</a>
                </h2>
                {cell.protected.then(|| view! { <span class="soft">"protected"</span> })}
                <span class="spacer"></span>
                <LiveMark cell=cell.clone() is="live" />
            </header>
            <p class="now">
                <Now cell=cell.clone() />
            </p>
            {live
                .clone()
                .filter(|_| cell.stopped.is_none())
                .map(|running| view! { <Facts cell=cell.clone() running /> })}
            <Standing cell=cell.clone() />
            <Address card=card.clone() />
            <Odd card=card.clone() />
            {active
                .clone()
                .map(|active| {
                    view! { <Rolls service=service.clone() cell=cell.clone() active /> }
                })}
            {cell
                .waiting
                .clone()
                .map(|waiting| {
                    view! {
                        <p class="said">
                            <a href=format!("/rollouts/{}", waiting.id)>
                                <b>{waiting.release.name}</b>
                                " waits for its turn"
                            </a>
                        </p>
                    }
                })}
            {cell
                .failed
                .clone()
                .filter(|_| active.is_none())
                .map(|failed| view! { <Failed failed /> })}
            {warm
                .clone()
                .map(|warm| {
                    view! {
                        <StillWarm placement=cell.placement warm may_extend=cell.may.roll_back />
                    }
                })}
            <div class="act">
                {cell
                    .next
                    .clone()
                    .filter(|_| bring)
                    .map(|next| {
                        view! {
                            <a
                                class="button"
                                href=format!(
                                    "{home}/promote/{}?release={}",
                                    cell.environment_name,
                                    next.id,
                                )
                            >
                                {format!("Bring {} here", next.name)}
                            </a>
                        }
                    })}
                <DeployAny service=service.clone() card=card.clone() releases first />
                {way_back(&cell)
                    .filter(|_| cell.may.roll_back && active.is_none())
                    .map(|to| {
                        view! {
                            <GoBack
                                service=service.clone()
                                cell=cell.clone()
                                to
                                warm=true
                                opens=goes_back
                            />
                        }
                    })}
            </div>
            <EarlierPairs service=service.clone() card=card.clone() />
            <Acts service=service.clone() cell=cell.clone() home=home.clone() />
            <footer>
                <span class="faint">
                    {format::counted(u64::from(cell.size.count()), "instance", "instances")}
                </span>
                {cell
                    .may
                    .logs
                    .then(|| {
                        view! {
                            <a class="button small plain" href=logs>
                                "Logs"
                            </a>
                        }
                    })}
                {cell.may.configure.then(|| view! { <EditPlace service card /> })}
            </footer>
        </li>
    }
}

/// The release that has the traffic. While a switch is observed that is the new one, and the one
/// before is said to be that.
#[component]
fn Now(cell: Cell) -> impl IntoView {
    let observed = observed(&cell);
    let live = cell.live;
    move || match (observed.get(), &live) {
        (Some((release, _)), before) => {
            let before = before.as_ref().filter(|before| before.release.id != release.id);
            let says = match before {
                Some(before) => format!(" observed; before it {}", before.release.name),
                None => " observed".to_owned(),
            };
            view! {
                <a class="mono v" href=format!("/releases/{}", release.id)>
                    {release.name}
                </a>
                <span class="faint">{says}</span>
            }
            .into_any()
        }
        (None, Some(live)) => view! {
            <a class="mono v" href=format!("/releases/{}", live.release.id)>
                {live.release.name.clone()}
            </a>
            <span class="faint">{format!(" with configuration {}", live.configuration)}</span>
        }
        .into_any(),
        (None, None) => view! { <span class="faint">"not deployed"</span> }.into_any(),
    }
}

/// Whether the address asks to have this confirmed, in this environment.
fn asked_by_address(act: &'static str, environment: &str) -> Signal<bool> {
    let (query, environment) = (use_query_map(), environment.to_owned());
    Memo::new(move |_| query.with(|query| query.get_str(act) == Some(environment.as_str()))).into()
}

/// Where it is reached, and the idle slot beside it.
#[component]
fn Address(card: PlacementCard) -> impl IntoView {
    let has_idle = card.cell.warm.is_some() || card.cell.active.is_some();
    view! {
        {card.address.map(|address| view! { <p class="address"><AddressText address /></p> })}
        {card
            .preview_address
            .filter(|_| has_idle)
            .map(|address| {
                view! {
                    <p class="address faint">"idle slot: " <AddressText address /></p>
                }
            })}
    }
}

/// Drift and hold, with what lifts it.
#[component]
fn Odd(card: PlacementCard) -> impl IntoView {
    let cell = card.cell;
    let placement = cell.placement.to_string();
    view! {
        {cell.drift.map(|drift| view! { <p class="flag">{drift}</p> })}
        {cell
            .held
            .then(|| {
                let action = Actions::<LiftHold>::of(&placement);
                view! {
                    <div class="held">
                        <p class="flag">"held since the last rollback: nothing deploys by itself"</p>
                        {cell
                            .may
                            .start
                            .then(|| {
                                view! {
                                    <Form action hidden=vec![("placement", placement)] class="inline">
                                        <Send
                                            label="Lift the hold"
                                            sending="Asking …"
                                            class="small"
                                        />
                                    </Form>
                                }
                            })}
                    </div>
                }
            })}
    }
}

/// Any release, with a reason, in place of what is active if it must be.
#[component]
fn DeployAny(
    service: String,
    card: PlacementCard,
    releases: StoredValue<Vec<ReleaseRow>>,
    first: bool,
) -> impl IntoView {
    let cell = card.cell;
    let opens = asked_by_address("deploy", cell.environment_name.as_str());
    let releases = releases.get_value();
    if !cell.may.start || releases.is_empty() {
        return ().into_any();
    }
    let newest = cell.newest.map(|rollout| rollout.to_string()).unwrap_or_default();
    let hidden = vec![("placement", cell.placement.to_string()), ("newest", newest)];
    let name = format!("deploy-to-{}", cell.placement);
    let action = Actions::<StartRollout>::of(&name);
    let live = cell.live.as_ref().map(|live| live.release.id);
    let offered = cell.next.as_ref().map(|next| next.id).unwrap_or(releases[0].release.id);
    let options = releases
        .iter()
        .map(|row| {
            let is_live = if live == Some(row.release.id) { ", live now" } else { "" };
            (row.release.id.to_string(), format!("{}{is_live}", row.release.name))
        })
        .collect::<Vec<_>>();
    let mut effect = match &cell.live {
        Some(live) => format!(
            "It is started in {} and checked while {} goes on. Then all new requests move in one \
             switch; {} stays warm for {}.",
            live.slot.other(),
            live.release.name,
            live.slot,
            format::age(i64::try_from(card.policy.warm_for.as_millis()).unwrap_or(i64::MAX)),
        ),
        None => "It is started and checked, then it gets the requests.".to_owned(),
    };
    if let Some(stopped) = &cell.stopped {
        effect = format!(
            "It is stopped now, by {}: this starts it. The release is started and checked, then it \
             gets the requests.",
            stopped.by
        );
    }
    if let Some(warm) = &cell.warm {
        effect.push_str(&format!(
            " The instant way back to {} ends: its slot is needed.",
            warm.release.name
        ));
    }
    let active = cell.active.clone();
    let came_back = came_back::<StartRollout>(&hidden);
    view! {
        <Ask
            id=name
            trigger=if live.is_none() { "Deploy" } else { "Deploy another release" }
            class=if first { "primary" } else { "" }
            opens
            title=format!("Deploy {service} to {}", cell.environment_name)
            effect
            protected=cell.protected
            came_back
            done=done(action)
        >
            <Form action hidden>
                <Choice name="release" label="Release" options value=offered.to_string() />
                {active
                    .map(|active| {
                        view! {
                            <Checkbox
                                name="replace"
                                label=format!("Abort the rollout of {} first", active.release.name)
                                hint=format!(
                                    "{} asked for it. Without this the new one waits for its end.",
                                    active.by,
                                )
                            />
                        }
                    })}
                {reason_field("why this release, why now")}
                <div class="buttons">
                    <Send label="Deploy" sending="Asking …" class="primary" />
                </div>
            </Form>
        </Ask>
    }
    .into_any()
}

/// Pairs that were live before: any of them can come back.
#[component]
fn EarlierPairs(service: String, card: PlacementCard) -> impl IntoView {
    let cell = card.cell;
    let earlier: Vec<Earlier> = card.earlier.into_iter().filter(|pair| !pair.warm).collect();
    if earlier.is_empty() {
        return ().into_any();
    }
    let may = cell.may.roll_back;
    view! {
        <details class="earlier">
            <summary>"Was live before"</summary>
            <ul>
                {earlier
                    .into_iter()
                    .map(|pair| {
                        view! {
                            <li>
                                <span class="mono">{pair.release.name.clone()}</span>
                                <span class="faint">
                                    {format!("configuration {}, until ", pair.configuration_number)}
                                    <Ago at=pair.live_until />
                                    " ago"
                                </span>
                                {may
                                    .then(|| {
                                        view! {
                                            <GoBack
                                                service=service.clone()
                                                cell=cell.clone()
                                                to=pair.release
                                                configuration=pair.configuration.to_string()
                                                warm=false
                                                trigger="Roll back"
                                                class="small"
                                            />
                                        }
                                    })}
                            </li>
                        }
                    })
                    .collect_view()}
            </ul>
        </details>
    }
    .into_any()
}

/// How many instances, and under which names.
#[component]
fn EditPlace(service: String, card: PlacementCard) -> impl IntoView {
    let cell = card.cell;
    let placement = cell.placement.to_string();
    let action = Actions::<EditPlacement>::of(&placement);
    let hosts = card.host_names.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let (trigger, effect) = if card.names_follow {
        (
            "Size",
            "Another size is carried out at once; what is added gets requests once it is ready. Host \
             names follow from the target.",
        )
    } else {
        (
            "Size and host names",
            "Host names hold from now on. Another size is carried out at once; what is added gets \
             requests once it is ready.",
        )
    };
    view! {
        <AskForm
            action
            hidden=vec![
                ("placement", placement.clone()),
                ("based_on", placed(cell.size, &card.host_names)),
            ]
            id=format!("place-{placement}")
            trigger
            class="small plain"
            title=format!("Where {service} runs in {}", cell.environment_name)
            effect
            yes="Save"
            protected=cell.protected
        >
            <Field
                name="size"
                label="Instances"
                value=cell.size.count().to_string()
                hint="1 to 50, in each slot"
                inputmode="numeric"
                required=true
                check=|typed: &str| {
                    crate::components::spec_fields::said(crate::api::service_form::size(typed))
                }
            />
            {(!card.names_follow)
                .then(|| {
                    view! {
                        <TextField
                            name="host_names"
                            label="Host names"
                            value=hosts
                            hint="One a line, one at least. The first one is shown."
                            mono=true
                            check=host_names
                        />
                    }
                })}
        </AskForm>
    }
}

fn host_names(typed: &str) -> Option<String> {
    let wrong = |line: &str| line.parse::<domain::name::HostName>().err();
    crate::api::typed::lines(typed).find_map(wrong).map(|wrong| wrong.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_host_names_is_checked() {
        assert_eq!(host_names("a.example\n\nb.example"), None);
        assert!(host_names("a.example\nhttp://b").is_some());
    }
}
