//! The board with nothing on it says what to do next, with the button.

use leptos::prelude::*;

/// Nobody has added a service yet, or none that this person may see.
#[component]
pub fn Welcome(may_add: bool) -> impl IntoView {
    if !may_add {
        return view! {
            <h1>"Board"</h1>
            <div class="empty">
                <h2>"There is nothing here for you yet"</h2>
                <p>
                    "You are signed in, but no service is shown to you. An admin can give you a role in a project or an environment."
                </p>
                <a class="button" href="/account">
                    "See which roles you have"
                </a>
            </div>
        }
        .into_any();
    }
    view! {
        <h1>"Board"</h1>
        <div class="empty">
            <h2>"Bring your first service here"</h2>
            <ol class="steps">
                <li>
                    <b>"Add a service"</b>
                    " from an image: a name, a port, a path that says whether it is well."
                </li>
                <li>
                    <b>"Make a release"</b>
                    ": the image is looked up and pinned by its content."
                </li>
                <li>
                    <b>"Deploy it"</b>
                    " and open it in the browser. The next release comes without losing a request, and goes back with one click."
                </li>
            </ol>
            <p>
                "Nothing of your own at hand? "
                <span class="mono">"make example"</span>
                " builds the images "
                <span class="mono">"hello:1.0.0"</span>
                " and "
                <span class="mono">"hello:1.1.0"</span>
                " without any registry."
            </p>
            <a class="button primary" href="/services/new">
                "Add a service"
            </a>
        </div>
    }
    .into_any()
}

/// The filter leaves nothing over.
#[component]
pub fn NothingShown(across: usize) -> impl IntoView {
    view! {
        <tr>
            <td class="cell" colspan=across>
                <div class="empty">
                    <p>"No service is like that now. That may be good news."</p>
                    <a class="button small" href="/">
                        "Show everything"
                    </a>
                </div>
            </td>
        </tr>
    }
}
