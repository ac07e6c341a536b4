//! People, permits, sessions and the history, as a person meets them.

#[path = "people/history.rs"]
mod history;
#[path = "people/inviting.rs"]
mod inviting;
#[path = "people/key.rs"]
mod key;
#[path = "people/rights.rs"]
mod rights;
#[path = "people/signing_in.rs"]
mod signing_in;
#[path = "people/world.rs"]
mod world;
