//! What people ask of services, releases and rollouts, in a real database. The engine's part is
//! played by the store's own functions: no target is near.

mod builds;
mod configurations;
mod pages;
mod roles;
mod rollouts;
mod samples;
mod services;
mod targets;
mod world;
