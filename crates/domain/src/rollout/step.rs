//! One step of a rollout.
