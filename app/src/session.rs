//! Who is signed in, for every page: asked once, asked again after signing in or out.

use crate::api::{ApiError, people};
use domain::view::Viewer;
use leptos::prelude::*;
use server_fn::ServerFn;

/// The one who looks. In the context of everything inside the app.
#[derive(Clone, Copy)]
pub struct Session(Resource<Result<Option<Viewer>, ApiError>>);

/// Asks who looks, before the first byte of a page is sent.
pub fn provide() {
    provide_context(Session(Resource::new_blocking(|| (), |()| people::viewer())));
}

/// The session of this tab.
#[must_use]
pub fn session() -> Session {
    expect_context()
}

impl Session {
    /// The viewer, `None` if nobody is signed in or it is not known yet. Reactive; to be read inside
    /// a `Transition`.
    #[must_use]
    pub fn viewer(self) -> Option<Viewer> {
        self.0.get().and_then(Result::ok).flatten()
    }

    /// Whether it is known that nobody is signed in. Reactive.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self.0.get(), Some(Ok(None)))
    }

    /// Waits for the answer.
    pub async fn known(self) -> Option<Viewer> {
        self.0.await.ok().flatten()
    }

    /// Asks again each time `action`, which signs somebody in or out, went well.
    pub fn follow<S>(self, action: ServerAction<S>)
    where
        S: ServerFn<Output = (), Error = ApiError> + Clone + Send + Sync + 'static,
    {
        Effect::new(move |_| {
            if matches!(action.value().get(), Some(Ok(()))) {
                self.ask_again();
            }
        });
    }

    /// Asks again: somebody signed in or out.
    pub fn ask_again(self) {
        self.0.refetch();
    }
}
