//! Where a service is not, and could be placed.

use crate::{
    api::{Answer, acts::PlaceService},
    components::{
        ask::Actions,
        form::{Form, Send},
    },
};
use domain::view::ServicePage as Page;
use leptos::prelude::*;

/// Lays the actions of these forms ready for a page. It does not follow a placement that it has not
/// seen yet, so what is placed asks for it again.
pub fn provide(page: Resource<Answer<Page>>) {
    Actions::<PlaceService>::provide();
    provide_context(Placed(page));
}

#[derive(Clone, Copy)]
struct Placed(Resource<Answer<Page>>);

/// A line for each environment, with the button.
#[component]
pub fn Elsewhere(page: Page) -> impl IntoView {
    if page.elsewhere.is_empty() {
        return ().into_any();
    }
    let Placed(page_here) = expect_context();
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
                        Effect::new(move |_| {
                            if action.value().with(|placed| matches!(placed, Some(Ok(_)))) {
                                page_here.refetch();
                            }
                        });
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
