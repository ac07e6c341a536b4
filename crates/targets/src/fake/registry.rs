//! A registry in memory: what was sent there can be fetched, by tag while it points there and by
//! digest for ever.

use super::{Call, Fake, lost, machine::Machine, refused};
use crate::{
    Error, Result,
    registry::{Credentials, Push, Told},
};
use anyhow::anyhow;
use domain::{
    name::{ContentId, Digest, ImageReference, RegistryAddress, Repository},
    registry::{Progress, Standing},
    release::ImageFacts,
};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

/// The one there is, under every address.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// Who may use it. `None`: everybody.
    pub login: Option<(String, String)>,
    /// What it answers to everything, while it is not well.
    pub unwell: Option<Standing>,
    /// Transfers do not come to an end.
    pub held: bool,
    tags: HashMap<String, Digest>,
    there: HashMap<Digest, ImageFacts>,
    /// Which images are known on the machine to be where.
    known: HashSet<(ContentId, Repository, Digest)>,
}

impl Registry {
    pub fn standing(&self, credentials: Option<&Credentials>) -> Standing {
        if let Some(unwell) = &self.unwell {
            return unwell.clone();
        }
        match (&self.login, credentials) {
            (None, _) => Standing::Accepted,
            (Some(_), None) => Standing::WantsLogin,
            (Some((user, password)), Some(ours)) => {
                if ours.user.as_str() == user && ours.password() == password {
                    Standing::Accepted
                } else {
                    Standing::WrongPassword
                }
            }
        }
    }

    pub fn points_to(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<Digest, Standing> {
        match self.standing(credentials) {
            Standing::Accepted => {
                self.tags.get(reference.as_str()).cloned().ok_or(Standing::Missing)
            }
            other => Err(other),
        }
    }
}

impl Machine {
    pub fn digests_of(&self, image: &ContentId) -> Vec<(Repository, Digest)> {
        let mine = self.registry.known.iter().filter(|(known, ..)| known == image);
        mine.map(|(_, repository, digest)| (repository.clone(), digest.clone())).collect()
    }
}

fn failure(standing: &Standing, address: &RegistryAddress) -> Error {
    if standing.may_pass() {
        Error::Unreachable {
            target: format!("The registry {address}"),
            source: anyhow!(standing.sentence(address)),
        }
    } else {
        refused(standing.sentence(address))
    }
}

/// What the fake's registry calls an image. Never its content id.
fn digest_of(image: &ContentId) -> Result<Digest> {
    let turned: String = image.as_str()["sha256:".len()..].chars().rev().collect();
    format!("sha256:{turned}").parse().map_err(|_| lost("a content id has no digest"))
}

impl Fake {
    async fn transfer(&self) {
        while self.machine().registry.held {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) async fn send(&self, push: &Push<'_>, told: &Told) -> Result<Digest> {
        self.transfer().await;
        let mut machine = self.called(Call::Registry)?;
        match machine.registry.standing(push.credentials) {
            Standing::Accepted => {}
            other => return Err(failure(&other, &push.to.address())),
        }
        let facts = machine.images.iter().find(|facts| facts.id == *push.image).cloned();
        let facts = facts.ok_or_else(|| refused("the image is gone from this machine."))?;
        let digest = digest_of(push.image)?;
        told.send_replace(Progress {
            bytes: facts.size_bytes,
            of_bytes: facts.size_bytes,
            says: String::new(),
        });
        for tag in push.tags {
            machine.registry.tags.insert(push.to.tagged(tag).to_string(), digest.clone());
        }
        machine.registry.known.insert((push.image.clone(), push.to.clone(), digest.clone()));
        machine.registry.there.insert(digest.clone(), facts);
        Ok(digest)
    }

    pub(super) async fn fetch(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        told: &Told,
    ) -> Result<()> {
        self.transfer().await;
        let mut machine = self.called(Call::Registry)?;
        let repository =
            reference.repository().ok_or_else(|| refused("the reference names no registry."))?;
        let found = match reference.as_str().split_once('@') {
            Some((_, digest)) => match machine.registry.standing(credentials) {
                Standing::Accepted => digest.parse().map_err(|_| Standing::Missing),
                other => Err(other),
            },
            None => machine.registry.points_to(reference, credentials),
        };
        let digest: Digest = found.map_err(|why| failure(&why, &repository.address()))?;
        let facts = machine.registry.there.get(&digest).cloned();
        let facts = facts.ok_or_else(|| refused(format!("{reference} is not there.")))?;
        let (bytes, of_bytes) = (facts.size_bytes, facts.size_bytes);
        told.send_replace(Progress { bytes, of_bytes, says: String::new() });
        machine.registry.known.insert((facts.id.clone(), repository, digest));
        if !machine.images.iter().any(|there| there.id == facts.id) {
            let facts = ImageFacts { reference: reference.clone(), ..facts };
            machine.images.push(facts);
        }
        Ok(())
    }
}
