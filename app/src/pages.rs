//! One file per route. A page loads its view, follows what it shows, and hands both to components.

pub mod access;
pub mod account;
pub mod board;
pub mod environment;
pub mod environments;
pub mod first_admin;
pub mod history;
pub mod invitation;
pub mod invitations;
pub mod logs;
pub mod new_release;
pub mod new_service;
pub mod not_found;
pub mod people;
pub mod person;
pub mod project;
pub mod projects;
pub mod registries;
pub mod release;
pub mod rollout;
pub mod search;
pub mod service;
pub mod service_edit;
pub mod sign_in;
