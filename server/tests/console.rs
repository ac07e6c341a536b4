//! The console from outside, over HTTP, with a real Postgres and a machine in memory.

#[path = "console/doors.rs"]
mod doors;
#[path = "console/http.rs"]
mod http;
#[path = "console/stream.rs"]
mod stream;
#[path = "console/walk.rs"]
mod walk;
#[path = "console/world.rs"]
mod world;
