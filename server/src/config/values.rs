//! Values of settings that have a shape of their own. Each says in a sentence what is wrong with it.

use serde::Deserialize;
use std::{net::Ipv4Addr, time::Duration};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// A private network that is cut into pieces of /24.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AddressPool {
    pub start: Ipv4Addr,
    /// From 8 to 24.
    pub bits: u8,
}

impl Default for AddressPool {
    fn default() -> Self {
        Self { start: Ipv4Addr::new(10, 211, 0, 0), bits: 16 }
    }
}

impl std::str::FromStr for AddressPool {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sentence = || {
            format!(
                "\"{text}\" is no private network with room for /24s. Use one like 10.211.0.0/16."
            )
        };
        let (start, bits) = text.split_once('/').ok_or_else(sentence)?;
        let start: Ipv4Addr = start.parse().map_err(|_| sentence())?;
        let bits: u8 = bits.parse().map_err(|_| sentence())?;
        let is_start = (8..=24).contains(&bits) && start.to_bits() << bits == 0;
        if is_start && start.is_private() { Ok(Self { start, bits }) } else { Err(sentence()) }
    }
}

impl TryFrom<String> for AddressPool {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A time, as people write it: `500ms`, `2s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(at);
        let number: u64 = number.parse().map_err(|_| Self::sentence(text))?;
        let ms = match unit {
            "ms" => Some(number),
            "s" => number.checked_mul(1000),
            "m" => number.checked_mul(60_000),
            "h" => number.checked_mul(3_600_000),
            _ => None,
        };
        ms.map(|ms| Self(Duration::from_millis(ms))).ok_or_else(|| Self::sentence(text))
    }
}

impl Span {
    fn sentence(text: &str) -> String {
        format!("\"{text}\" is no time. Write a whole number and ms, s, m or h, like 90s.")
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
