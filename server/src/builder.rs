//! What makes images on this machine, as the settings say.

use crate::config::Settings;
use domain::id::TargetId;
use targets::{
    docker::{BuilderOptions, DockerBuilder},
    git::{self, Limits},
    outgoing::Outgoing,
};

/// For the same installation as the target of that id.
#[must_use]
pub fn of(settings: &Settings, target: TargetId) -> DockerBuilder {
    let received_bytes = settings.git.received_bytes;
    let tree_bytes = received_bytes.saturating_mul(2);
    DockerBuilder::new(BuilderOptions {
        engine_socket: settings.docker.clone(),
        installation: target.0,
        classic_only: false,
        git: git::Options {
            outgoing: Outgoing::new(settings.outgoing_allow.clone()),
            ca_file: settings.git.ca_file.clone(),
            paths: settings.git.paths.clone(),
            // Cleared at the next start after a crash, with all that builds left.
            work_dir: settings.data_dir.join("builds/git"),
            limits: Limits { received_bytes, tree_bytes, ..Limits::default() },
        },
    })
}
