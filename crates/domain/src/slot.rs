//! Blue and green: the two places a placement has for instances. At most one of them is live.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One of the two slots of a placement.
///
/// Not a table: which slot is live is read from the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    Blue,
    Green,
}

impl Slot {
    /// Both, in the order they are drawn.
    pub const ALL: [Self; 2] = [Self::Blue, Self::Green];

    /// The slot that is not this one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }

    /// The word on screen, in labels and in names of containers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }

    /// 0 for blue, 1 for green: for arrays that hold something of both.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Blue => 0,
            Self::Green => 1,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Any other word than `blue` and `green`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("A slot is blue or green.")]
pub struct NotASlot;

impl std::str::FromStr for Slot {
    type Err = NotASlot;

    fn from_str(word: &str) -> Result<Self, NotASlot> {
        match word {
            "blue" => Ok(Self::Blue),
            "green" => Ok(Self::Green),
            _ => Err(NotASlot),
        }
    }
}

/// Something of each slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerSlot<T> {
    pub blue: T,
    pub green: T,
}

impl<T> PerSlot<T> {
    /// What belongs to `slot`.
    pub const fn of(&self, slot: Slot) -> &T {
        match slot {
            Slot::Blue => &self.blue,
            Slot::Green => &self.green,
        }
    }

    /// What belongs to `slot`, to be changed.
    pub const fn of_mut(&mut self, slot: Slot) -> &mut T {
        match slot {
            Slot::Blue => &mut self.blue,
            Slot::Green => &mut self.green,
        }
    }
}
