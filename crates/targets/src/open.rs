//! How a target that is not this machine is opened: from what is stored of it to a driver.

use crate::Target;
use async_trait::async_trait;
use domain::{
    name::ImageReference,
    namespace::NamespacePattern,
    target::{cluster::ClusterSeen, entrance::Entrance},
};
use std::{fmt, sync::Arc, time::Duration};

/// The longest an opening or a look may take.
pub const OPEN_WITHIN: Duration = Duration::from_secs(8);

/// A cluster, with its credentials in the clear.
#[derive(Clone, Copy)]
pub struct Reached<'a> {
    /// As people call it.
    pub name: &'a str,
    /// `None`: the service account that we run as.
    pub credentials: Option<&'a str>,
    pub context: Option<&'a str>,
    pub namespaces: &'a NamespacePattern,
    pub probe_image: Option<&'a ImageReference>,
    /// `None`: nothing comes in from outside.
    pub entrance: Option<&'a Entrance>,
    /// Namespaces in which it is asked what may be done. Empty: the one that the credentials name.
    pub used: &'a [String],
}

impl fmt::Debug for Reached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reached").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Opens clusters. Errors are sentences for people.
#[async_trait]
pub trait Open: fmt::Debug + Send + Sync {
    /// A driver for it. Asks the cluster nothing: whether it answers is for [`Target::check`].
    async fn open(&self, reached: &Reached<'_>) -> Result<Arc<dyn Target>, String>;

    /// What is there and what may be done, asked now. Changes nothing.
    async fn look(&self, reached: &Reached<'_>) -> Result<ClusterSeen, String>;
}
