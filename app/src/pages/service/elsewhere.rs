//! Where a service is not, and could be placed.

use crate::{
    api::acts::PlaceService,
    components::{
        ask::Actions,
        form::{Form, Send},
    },
};
use domain::view::ServicePage as Page;
use leptos::prelude::*;

/// Lays the actions of these forms ready for a page.
pub fn provide() {
    Actions::<PlaceService>::provide();
}

/// A line for each environment, with the button.
#[component]
pub fn Elsewhere(page: Page) -> impl IntoView {
    if page.elsewhere.is_empty() {
        return ().into_any();
    }
    let home = format!("/projects/{}/services/{}", page.project, page.name);
    view! {
        <section aria-labelledby="elsewhere">
            <h2 id="elsewhere">"Not placed in"</h2>
            <ul class="elsewhere">
                {page
                    .elsewhere
                    .into_iter()
                    .map(|(environment, name)| {
                        let hidden = vec![
                            ("service", page.id.to_string()),
                            ("environment", environment.to_string()),
                            ("back", home.clone()),
                        ];
                        let action = Actions::<PlaceService>::of(&environment.to_string());
                        view! {
                            <li>
                                <b>{name.to_string()}</b>
                                <Form action hidden class="inline">
                                    <Send
                                        label=format!("Place it in {name}")
                                        sending="Asking …"
                                        class="small"
                                    />
                                </Form>
                            </li>
                        }
                    })
                    .collect_view()}
            </ul>
        </section>
    }
    .into_any()
}
