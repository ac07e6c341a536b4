//! Reads words of `domain` from text columns. A word that no parser could have made is a damaged
//! row, and is said to be one.

use crate::{Error, Result};
use domain::{rollout::Kind, slot::Slot};
use std::{error::Error as Wrong, str::FromStr};

/// The word in a column.
pub(crate) fn word<T: FromStr<Err: Wrong>>(text: &str) -> Result<T> {
    text.parse().map_err(|wrong| Error::unreadable("word", format!("“{text}”: {wrong}")))
}

/// The words of an array.
pub(crate) fn words<T: FromStr<Err: Wrong>>(texts: &[String]) -> Result<Vec<T>> {
    texts.iter().map(|text| word(text)).collect()
}

/// The slot in a column that may be empty.
pub(crate) fn slot(text: Option<&str>) -> Result<Option<Slot>> {
    text.map(word).transpose()
}

/// The kind of a rollout.
pub(crate) fn kind(text: &str) -> Result<Kind> {
    [Kind::Deploy, Kind::Rollback, Kind::Remove]
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| Error::unreadable("kind of rollout", text))
}
