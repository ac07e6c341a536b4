//! What pods wrote.

use super::KubernetesTarget;
use crate::Result;
use domain::{
    log::{LogLine, LogWish},
    target::Place,
};
use futures::stream::{self, BoxStream, StreamExt};

/// `Target::logs`.
pub(super) fn logs(
    target: &KubernetesTarget,
    _place: &Place,
    instance: &str,
    _wish: LogWish,
) -> BoxStream<'static, Result<LogLine>> {
    let refused = target.errors.refused(format!("{instance} is not there."));
    stream::iter([Err(refused)]).boxed()
}
