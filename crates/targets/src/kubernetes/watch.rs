//! What changes, as hints.

use super::KubernetesTarget;
use crate::Hint;
use futures::stream::{self, BoxStream, StreamExt};
use std::time::Duration;

/// How often everything may have changed.
const OFTEN: Duration = Duration::from_millis(500);

/// `Target::watch`.
pub(super) fn watch(_target: &KubernetesTarget) -> BoxStream<'static, Hint> {
    stream::unfold(true, |first| async move {
        if !first {
            tokio::time::sleep(OFTEN).await;
        }
        Some((Hint::All, false))
    })
    .boxed()
}
