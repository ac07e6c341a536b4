//! Server functions: each is a thin door to a verb of `control`.
//!
//! A function reads what was typed with the types of `domain`, asks the verb, and says where to go
//! next. It decides nothing: who may do what, and what becomes a row of the history, is `control`'s.
//! All of them can be posted by a plain form, so their arguments are flat words.

pub mod acts;
pub mod builds;
pub mod configurations;
pub mod context;
pub mod environments;
pub mod history;
pub mod invitations;
pub mod kept;
pub mod logs;
pub mod palette;
pub mod people;
pub mod policy_form;
pub mod projects;
pub mod registries;
pub mod releases;
pub mod rollouts;
pub mod samples;
pub mod service_form;
pub mod services;
pub mod targets;
pub mod typed;
pub mod variable_rows;

use domain::error::Problem;
use serde::{Deserialize, Serialize};
use server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};

/// A [`Problem`] on its way to the browser.
///
/// Making one from a problem also gives the answer its HTTP status, so it is made where the answer
/// is made: in a server function, and nowhere earlier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error(transparent)]
#[serde(transparent)]
pub struct ApiError(pub Problem);

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        #[cfg(feature = "ssr")]
        context::answer_with(&problem);
        Self(problem)
    }
}

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    /// What goes wrong between the form and the function, said as a problem like any other.
    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        use ServerFnErrorErr::{Args, Deserialization, MissingArg, Request, Response};
        match error {
            Args(said) | MissingArg(said) => typed::not_a_form(&said).into(),
            Request(_) => Problem::Unavailable {
                sentence: "The server could not be reached, so nothing was changed. What you \
                           typed is still here: try again."
                    .to_owned(),
            }
            .into(),
            Deserialization(_) | Response(_) => Problem::Unavailable {
                sentence: "The server's answer was not understood. Load the page again; it may \
                           be of an older version."
                    .to_owned(),
            }
            .into(),
            other => {
                Problem::Unavailable { sentence: format!("The question was not asked: {other}.") }
                    .into()
            }
        }
    }
}

/// What every server function returns.
pub type Answer<T> = Result<T, ApiError>;
