//! What one can do to a placement: deploy, roll back, abort, promote, retry. Each is a form that asks
//! once; what is open and undone easily is one click.

use super::{
    ask::{Actions, Sent},
    ask_form::AskForm,
    field::{Checkbox, TextField},
    form::{Form, Send},
};
use crate::api::rollouts::{AskRollout, RollBack, StartRollout};
use domain::{
    id::RolloutId,
    rollout::{Ask as What, Kind, Phase},
    view::{Cell, ReleaseName, RolloutCard},
};
use leptos::prelude::*;

/// Lays the actions of these forms ready for a page.
pub fn provide() {
    Sent::provide();
    Actions::<StartRollout>::provide();
    Actions::<RollBack>::provide();
    Actions::<AskRollout>::provide();
    super::daily::provide();
}

/// Why it is asked for; `why` says what would help a reader of the history.
pub fn reason_field(why: &'static str) -> impl IntoView {
    view! {
        <TextField
            name="reason"
            label="Reason"
            hint="Optional. It stands in the history."
            rows=2
            check=|typed| crate::api::typed::reason(typed).err().map(|wrong| wrong.to_string())
            placeholder=why
        />
    }
}

/// Deploys `release`: one click where the environment is open, nothing is active or warm, and this
/// very release was not just found to be bad; else asked.
#[component]
pub fn Deploy(
    service: String,
    cell: Cell,
    release: ReleaseName,
    /// Classes of the button.
    #[prop(optional)]
    class: &'static str,
) -> impl IntoView {
    let hidden = vec![
        ("placement", cell.placement.to_string()),
        ("release", release.id.to_string()),
        ("newest", newest(&cell)),
    ];
    let name = format!("deploy-{}-{}", cell.placement, release.id);
    let action = Actions::<StartRollout>::of(&name);
    let is_bad = found_bad(&cell, &release).is_some();
    let again = if is_bad { " again" } else { "" };
    let label = format!("Deploy {}{again}", release.name);
    let is_plain = !cell.protected && cell.active.is_none() && cell.warm.is_none();
    if is_plain && !is_bad {
        return view! {
            <Form action hidden class="inline">
                <Send label=label sending="Asking …" class=class />
            </Form>
        }
        .into_any();
    }

    let title = format!("Deploy {service} {} to {}", release.name, cell.environment_name);
    let effect = deploy_effect(&cell, &release);
    let replaces = cell.active.clone();
    view! {
        <AskForm
            action
            hidden
            id=name
            trigger=label.clone()
            title
            effect
            yes=label
            class
            protected=cell.protected
        >
            {replaces
                .map(|active| {
                    view! {
                        <Checkbox
                            name="replace"
                            label=format!("Abort {} first", named(&active))
                            hint=format!(
                                "{} asked for it. Without this the new one waits for its end.",
                                active.by,
                            )
                        />
                    }
                })} {reason_field("why this release, why now")}
        </AskForm>
    }
    .into_any()
}

/// Where the one button back leads: to where a foreign hand took the traffic from, else to the warm
/// slot.
pub fn way_back(cell: &Cell) -> Option<ReleaseName> {
    cell.put_back.clone().or_else(|| cell.warm.as_ref().map(|warm| warm.release.clone()))
}

/// Puts the traffic back on the warm slot or where a foreign hand took it from, or makes an earlier
/// pair live again.
#[component]
pub fn GoBack(
    service: String,
    cell: Cell,
    /// Which release it leads to.
    to: ReleaseName,
    /// Of an earlier pair. Empty: the warm one.
    #[prop(optional, into)]
    configuration: String,
    /// It is up: one switch.
    warm: bool,
    /// The address asks for it.
    #[prop(optional, into)]
    opens: Signal<bool>,
    #[prop(optional, into)] trigger: String,
    #[prop(optional)] class: &'static str,
) -> impl IntoView {
    let release = if configuration.is_empty() { String::new() } else { to.id.to_string() };
    let hidden = vec![
        ("placement", cell.placement.to_string()),
        ("release", release),
        ("configuration", configuration.clone()),
        ("newest", newest(&cell)),
    ];
    let name = format!("back-{}-{}-{configuration}", cell.placement, to.id);
    let action = Actions::<RollBack>::of(&name);
    let puts_back = configuration.is_empty() && cell.put_back.is_some();
    let (label, title) = if puts_back {
        let title = format!(
            "Put the traffic of {service} in {} back to {}",
            cell.environment_name, to.name
        );
        ("Put it back".to_owned(), title)
    } else {
        let title = format!("Roll {service} back to {} in {}", to.name, cell.environment_name);
        (format!("Roll back to {}", to.name), title)
    };
    let trigger = if trigger.is_empty() || puts_back { label.clone() } else { trigger };
    let mut effect = if puts_back && cell.changed {
        format!(
            "Past Pilothouse, {}. {} is started anew in the idle slot as it was made and checked, then \
             all new requests go there in one switch.",
            cell.drift.as_deref().unwrap_or("an instance was changed"),
            to.name
        )
    } else if puts_back {
        format!(
            "Past Pilothouse, {}. All new requests go to {} again: in one switch if it is ready, \
             else after it was started and checked.",
            cell.drift.as_deref().unwrap_or("the traffic was moved"),
            to.name
        )
    } else if warm {
        format!(
            "{} is up and warm: all new requests go to it in one switch, within a second. Nothing \
             has to be started.",
            to.name
        )
    } else {
        format!(
            "{} is started first in the idle slot and checked. Then all new requests go to it in \
             one switch.",
            to.name
        )
    };
    if let Some(active) = &cell.active {
        effect.push_str(&format!(" {} is asked to abort.", sentence_case(&named(active))));
    }
    view! {
        <AskForm
            action
            hidden
            id=name
            trigger
            title
            effect
            yes=label
            class
            protected=cell.protected
            opens
        >
            {reason_field(if puts_back { "why it goes back" } else { "what is wrong with the live one" })}
        </AskForm>
    }
}

/// Asks something of an active rollout.
#[component]
pub fn AskOf(
    rollout: RolloutId,
    what: What,
    /// The word on the button: "Abort", "Roll back", "Promote", "Retry".
    #[prop(into)]
    label: Signal<String>,
    #[prop(into)] title: Signal<String>,
    #[prop(into)] effect: Signal<String>,
    protected: bool,
    #[prop(optional)] class: &'static str,
    /// Why it can not be asked now.
    #[prop(optional, into)]
    dark: Signal<Option<String>>,
) -> impl IntoView {
    let word = match what {
        What::Abort => "abort",
        What::Promote => "promote",
        What::Retry => "retry",
    };
    let hidden = vec![("rollout", rollout.to_string()), ("ask", word.to_owned())];
    let name = format!("{word}-{rollout}");
    let action = Actions::<AskRollout>::of(&name);
    view! {
        <AskForm
            action
            hidden
            id=name
            trigger=label
            title
            effect
            yes=label
            class
            protected
            dark
        >
            {reason_field("what you saw")}
        </AskForm>
    }
}

fn newest(cell: &Cell) -> String {
    cell.newest.map(|rollout| rollout.to_string()).unwrap_or_default()
}

/// "the rollout of 1.8.2".
fn named(card: &RolloutCard) -> String {
    match card.kind {
        Kind::Rollback => format!("the rollback to {}", card.release.name),
        Kind::Deploy => format!("the rollout of {}", card.release.name),
        Kind::Remove => "the removal".to_owned(),
    }
}

fn sentence_case(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Why the last rollout here, which was of this very release, did not succeed. What a person
/// aborted was not found to be bad.
fn found_bad<'a>(cell: &'a Cell, release: &ReleaseName) -> Option<&'a str> {
    let failed = cell.failed.as_ref().filter(|failed| failed.release.id == release.id)?;
    let bad = matches!(failed.state.phase, Phase::Failed | Phase::RolledBack);
    bad.then(|| failed.state.ending.as_ref().map_or("", |ending| ending.why.as_str()))
}

/// What a deploy will do, and what it ends.
fn deploy_effect(cell: &Cell, release: &ReleaseName) -> String {
    let size = u64::from(cell.size.count());
    let slot = cell.live.as_ref().map(|live| live.slot.other().as_str()).unwrap_or("an empty slot");
    let meanwhile = match &cell.stopped {
        Some(stopped) => {
            format!("; it is stopped now, by {}. Then it gets the requests", stopped.by)
        }
        None => {
            " while the traffic stays where it is. Then all new requests move in one switch".into()
        }
    };
    let mut effect = format!(
        "{} {} {} started in {slot} and checked{meanwhile}.",
        crate::format::counted(size, "instance", "instances"),
        format_args!("of {}", release.name),
        if size == 1 { "is" } else { "are" },
    );
    if let Some(warm) = &cell.warm {
        effect.push_str(&format!(
            " The instant way back to {} ends: its slot is needed.",
            warm.release.name
        ));
    }
    if let Some(active) = &cell.active {
        effect.push_str(&format!(" Now {} is active, asked by {}.", named(active), active.by));
    }
    if let Some(why) = found_bad(cell, release) {
        effect.push_str(&format!(" The last try failed: {why}."));
    }
    effect
}
