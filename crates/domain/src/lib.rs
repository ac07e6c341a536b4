//! What is true: values and pure functions. No clock, no randomness, no I/O; runs in the browser too.
//!
//! Time and observations come in as arguments. The button in the browser and the refusal on the
//! server call the same function of this crate.

pub mod access;
pub mod build;
pub mod configuration;
pub mod duration;
pub mod environment;
pub mod error;
pub mod history;
pub mod id;
pub mod invitation;
pub mod live;
pub mod log;
pub mod name;
pub mod namespace;
pub mod observing;
pub mod outgoing;
pub mod palette;
pub mod policy;
pub mod registry;
pub mod release;
pub mod restart;
pub mod role;
pub mod rollout;
pub mod route;
pub mod samples;
pub mod service;
pub mod slot;
pub mod source;
pub mod target;
pub mod view;
pub mod witness;
