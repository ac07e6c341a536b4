//! How it is put together: settings, the database, the engine, and what is served over HTTP.
//!
//! The binary `pilothouse` is a thin call of [`run`] and [`commands`]. Nothing here decides what may
//! be done or what happens to a rollout: that is `control`'s and `engine`'s.

pub mod answer;
pub mod build_logs;
pub mod builder;
pub mod cli;
pub mod commands;
pub mod config;
mod container_logs;
pub mod database;
pub mod export;
pub mod files;
pub mod first_admin;
pub mod guard;
pub mod housekeeping;
pub mod live;
pub mod logs;
pub mod metrics;
pub mod pages;
pub mod peer;
pub mod probes;
pub mod routes;
pub mod run;
pub mod samples;
pub mod serve;
pub mod session;
pub mod state;
