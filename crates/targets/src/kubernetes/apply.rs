//! Reading and writing objects, and whom they belong to.

use super::{
    KubernetesTarget,
    active::taken,
    error::{answered, is_conflict, is_gone},
    names::{self, FIELD_MANAGER},
};
use crate::Result;
use domain::target::Place;
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Resource, ResourceExt,
    api::{
        DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Debug};

/// A kind of object that lives in a namespace.
pub(super) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

fn as_us() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

impl KubernetesTarget {
    /// The objects of one kind in the namespace of a place.
    pub(super) fn api<K: Kind>(&self, place: &Place) -> Result<Api<K>> {
        Ok(Api::namespaced(self.client.clone(), &self.namespace(place)?))
    }

    /// An object by its name, whoever made it.
    pub(super) async fn get<K: Kind>(&self, place: &Place, name: &str) -> Result<Option<K>> {
        let found = answered(self.api::<K>(place)?.get_opt(name)).await;
        found.map_err(|error| self.errors.sorted(error))
    }

    /// All that carry these labels.
    pub(super) async fn list<K: Kind>(&self, place: &Place, selector: &str) -> Result<Vec<K>> {
        let wanted = ListParams::default().labels(selector);
        let found = answered(self.api::<K>(place)?.list(&wanted)).await;
        Ok(found.map_err(|error| self.errors.sorted(error))?.items)
    }

    /// An error if it is not this placement's.
    pub(super) fn ours<K: Kind>(&self, place: &Place, found: Option<K>) -> Result<Option<K>> {
        let Some(found) = found else { return Ok(None) };
        let labels = Some(found.labels());
        if names::placement_of(labels, self.options.installation) == Some(place.placement) {
            return Ok(Some(found));
        }
        Err(taken(&self.errors, &K::kind(&()), &found.name_any(), found.meta()))
    }

    /// Makes an object that must not be there yet. [`crate::Error::Stale`] if it is by now.
    pub(super) async fn create<K: Kind>(&self, place: &Place, object: Value) -> Result<K> {
        let object: K =
            serde_json::from_value(object).map_err(|error| self.errors.unreachable(error))?;
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match answered(self.api::<K>(place)?.create(&params, &object)).await {
            Err(error) if is_conflict(&error) => Err(self.errors.stale(format!(
                "somebody made a {} {} in the same moment.",
                K::kind(&()),
                object.name_any()
            ))),
            other => other.map_err(|error| self.errors.sorted(error)),
        }
    }

    /// Server-side apply: what is there and of somebody else is not taken over.
    pub(super) async fn apply<K: Kind>(&self, place: &Place, object: &Value) -> Result<K> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        // Told what it does not know, the server refuses instead of leaving it out.
        let params = PatchParams::apply(FIELD_MANAGER).validation_strict();
        let patch = Patch::Apply(object);
        match answered(self.api::<K>(place)?.patch(name, &params, &patch)).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Err(self.errors.refused(format!(
                    "somebody else has written parts of the {} {name}, and they are left as they \
                     are: {}.",
                    K::kind(&()),
                    super::error::sentence(&status.message).trim_end_matches('.')
                )))
            }
            other => other.map_err(|error| self.errors.sorted(error)),
        }
    }

    /// Changes fields of an object. With a resourceVersion in `patch` it loses against who wrote it
    /// since: [`crate::Error::Stale`]. `None`: it is gone.
    pub(super) async fn change<K: Kind>(
        &self,
        place: &Place,
        name: &str,
        patch: &Value,
    ) -> Result<Option<K>> {
        let (api, patch) = (self.api::<K>(place)?, Patch::Merge(patch));
        match answered(api.patch(name, &as_us(), &patch)).await {
            Ok(changed) => Ok(Some(changed)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) if is_conflict(&error) => Err(self
                .errors
                .stale(format!("somebody wrote the {} {name} in the same moment.", K::kind(&())))),
            Err(other) => Err(self.errors.sorted(other)),
        }
    }

    /// Removes this very object, and what it owns with it. What is gone, or is another one by now,
    /// needs nothing.
    pub(super) async fn delete<K: Kind>(&self, place: &Place, object: &K) -> Result<()> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions {
                uid: object.uid(),
                // A pod's status changes all the time; which one it is does not.
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match answered(self.api::<K>(place)?.delete(&object.name_any(), &params)).await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) || is_conflict(&error) => Ok(()),
            Err(other) => Err(self.errors.sorted(other)),
        }
    }

    /// The labels that find a placement's objects.
    pub(super) fn of(&self, place: &Place) -> String {
        names::selector(&names::of_ours(self.options.installation, place.placement))
    }
}

/// An annotation, read.
pub(super) fn annotation<T: std::str::FromStr>(
    annotations: Option<&BTreeMap<String, String>>,
    key: &str,
) -> Option<T> {
    annotations?.get(key)?.parse().ok()
}
