//! What a person is told when the database fails, and what the log is told.

use domain::{error::Problem, history::Origin};
use std::error::Error;

/// Turns a failure of the store into what the person is told. Logs it: this is where it ends.
pub trait OrProblem<T> {
    /// The failure goes to the log with the request's id, which the person can quote.
    fn or_problem(self, origin: &Origin) -> Result<T, Problem>;
}

impl<T> OrProblem<T> for store::Result<T> {
    fn or_problem(self, origin: &Origin) -> Result<T, Problem> {
        self.map_err(|error| problem(&error, origin))
    }
}

fn problem(error: &store::Error, origin: &Origin) -> Problem {
    let request = &origin.request;
    let chain = chain(error);
    match error {
        store::Error::Unreachable(_) => {
            tracing::warn!(request, error = chain, "The database did not answer");
            let sentence = "The database does not answer. Nothing was changed. Try again soon.";
            Problem::Unavailable { sentence: sentence.to_owned() }
        }
        store::Error::NotWritten(_) => {
            tracing::error!(request, error = chain, "The history could not be written");
            let sentence = "The history could not be written, so nothing was done. Try again soon.";
            Problem::Unavailable { sentence: sentence.to_owned() }
        }
        store::Error::Refused { .. }
        | store::Error::Unreadable { .. }
        | store::Error::Newer { .. }
        | store::Error::NotMigrated(_)
        | store::Error::Failed(_) => {
            tracing::error!(request, error = chain, "A request failed on our side");
            Problem::Internal { request: request.clone() }
        }
    }
}

/// An error with its sources, in one line.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        line.push_str(": ");
        line.push_str(&source.to_string());
        next = source.source();
    }
    line
}
