//! What a Deployment was written with, held against what the cluster says of it now. Pure.
//!
//! What was written stands in an annotation, whole. The API server adds what it has a default for, so a
//! field that we did not write counts only where somebody else's name is on it.

use super::{
    changed::{foreign_owner, owned_by_others},
    objects::APPLIED,
    quantity,
};
use k8s_openapi::{
    api::apps::v1::Deployment,
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ManagedFieldsEntry},
};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The longest value that is told.
const LONGEST: usize = 80;

/// What a slot's pods are made with, as it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Applied {
    /// Of the Deployment and of its pods.
    pub labels: BTreeMap<String, String>,
    pub pod: Value,
}

impl Applied {
    /// As it is written into an annotation.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// `None`: somebody took it away, or it was written by a version that had none.
    pub fn read(deployment: &Deployment) -> Option<Self> {
        serde_json::from_str(deployment.annotations().get(APPLIED)?).ok()
    }

    /// What is not as it was written, as a part of a sentence, with whose hand it was.
    pub fn differs(&self, deployment: &Deployment) -> Option<String> {
        let fields = deployment.metadata.managed_fields.as_deref().unwrap_or_default();
        let template = &deployment.spec.as_ref()?.template;
        let of_pods = template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
        let own = deployment.metadata.labels.as_ref();
        for (labels, words, path) in [
            (own, "", &["f:metadata", "f:labels"][..]),
            (of_pods, " of its pods", &["f:spec", "f:template", "f:metadata", "f:labels"][..]),
        ] {
            if let Some(what) = labelled(&self.labels, labels, words) {
                return Some(format!("{what}{}", by(fields, path)));
            }
        }
        let is = serde_json::to_value(template.spec.as_ref()?).ok()?;
        let mut walk = Walk {
            path: vec!["f:spec".to_owned(), "f:template".to_owned(), "f:spec".to_owned()],
            words: String::new(),
            fields,
        };
        let what = walk.differs(&self.pod, &is)?;
        let path: Vec<&str> = walk.path.iter().map(String::as_str).collect();
        Some(format!("{what}{}", by(fields, &path)))
    }
}

/// Which label of ours is another now.
fn labelled(
    made: &BTreeMap<String, String>,
    is: Option<&BTreeMap<String, String>>,
    of: &str,
) -> Option<String> {
    made.iter().find_map(|(key, made)| match is.and_then(|is| is.get(key)) {
        Some(is) if is == made => None,
        Some(is) => Some(format!("the label {key}{of} is {is}, and was made as {made}")),
        None => Some(format!("the label {key}{of} was taken away")),
    })
}

/// Who has written a field last, or what is around it, if it was not us: `, by kubectl-edit at 14:03:22
/// UTC`. The closest of which that is known.
pub(super) fn by(fields: &[ManagedFieldsEntry], path: &[&str]) -> String {
    (2..=path.len())
        .rev()
        .find_map(|long| foreign_owner(fields, &path[..long]))
        .map_or_else(String::new, |owner| format!(", by {owner}"))
}

/// On the way down through an object: `path` as managed fields are called, `words` as people do.
struct Walk<'a> {
    path: Vec<String>,
    words: String,
    fields: &'a [ManagedFieldsEntry],
}

impl Walk<'_> {
    /// The first difference. The path stays where it is.
    fn differs(&mut self, made: &Value, is: &Value) -> Option<String> {
        match (made, is) {
            (Value::Object(made), Value::Object(is)) => {
                for (key, made) in made {
                    let found =
                        self.below(format!("f:{key}"), &dotted(&self.words, key), |walk| match is
                            .get(key)
                        {
                            Some(is) => walk.differs(made, is),
                            None if is_nothing(made) => None,
                            None => Some(walk.told("was taken away")),
                        });
                    if found.is_some() {
                        return found;
                    }
                }
                is.keys().filter(|key| !made.contains_key(*key)).find_map(|key| {
                    self.below(format!("f:{key}"), &dotted(&self.words, key), Self::added)
                })
            }
            (Value::Array(made), Value::Array(is)) => self.lists(made, is),
            _ if same(made, is, &self.words) => None,
            _ if self.is_variable() => Some(self.told("was changed")),
            _ => Some(format!(
                "its {} is {}, and was made as {}",
                self.words,
                spoken(is),
                spoken(made)
            )),
        }
    }

    /// Lists of things that have names, and others in their order.
    fn lists(&mut self, made: &[Value], is: &[Value]) -> Option<String> {
        if !made.iter().chain(is).all(|one| name(one).is_some()) {
            if made.len() != is.len() {
                return Some(self.told(if made.len() < is.len() {
                    "has more"
                } else {
                    "has less"
                }));
            }
            let mut pairs = made.iter().zip(is);
            return pairs.find_map(|(made, is)| self.differs(made, is));
        }
        let found = |all: &[Value], wanted: &Value| {
            all.iter().find(|one| name(one) == name(wanted)).cloned()
        };
        for one in made {
            let (key, words) = self.named(one);
            let told = self.below(key, &words, |walk| match found(is, one) {
                Some(is) => walk.differs(one, &is),
                None => Some(walk.told("was taken away")),
            });
            if told.is_some() {
                return told;
            }
        }
        is.iter().filter(|one| found(made, one).is_none()).find_map(|one| {
            let (key, words) = self.named(one);
            self.below(key, &words, Self::added)
        })
    }

    /// One more step down. The path goes back up if nothing was found there.
    fn below<T>(
        &mut self,
        key: String,
        words: &str,
        look: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let before = std::mem::replace(&mut self.words, words.to_owned());
        self.path.push(key);
        let found = look(self);
        if found.is_none() {
            self.path.pop();
            self.words = before;
        }
        found
    }

    /// Something that we did not write: the API server's default, unless somebody's name is on it.
    fn added(&mut self) -> Option<String> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        owned_by_others(self.fields, &path).then(|| self.told("was added"))
    }

    fn told(&self, what: &str) -> String {
        if self.is_variable() {
            let (_, name) = self.words.rsplit_once('[').unwrap_or_default();
            let name = name.split(']').next().unwrap_or_default();
            return format!("its variable {name} {what}");
        }
        format!("its {} {what}", self.words)
    }

    /// What a variable is set to is never told: it may be a secret.
    fn is_variable(&self) -> bool {
        self.words.contains(".env[")
    }

    /// How an element of a list is called in managed fields, and by people.
    fn named(&self, one: &Value) -> (String, String) {
        let name = name(one).unwrap_or_default();
        let key = if self.words.ends_with("volumeMounts") {
            serde_json::json!({ "mountPath": one["mountPath"] })
        } else if self.words.ends_with("ports") {
            serde_json::json!({ "containerPort": one["containerPort"], "protocol": one["protocol"] })
        } else {
            serde_json::json!({ "name": name })
        };
        (format!("k:{key}"), format!("{}[{name}]", self.words))
    }
}

fn dotted(words: &str, key: &str) -> String {
    if words.is_empty() { key.to_owned() } else { format!("{words}.{key}") }
}

fn name(one: &Value) -> Option<&str> {
    one.get("name")?.as_str()
}

/// What is left out where it is empty.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Equal, or the same amount in other words.
fn same(made: &Value, is: &Value, words: &str) -> bool {
    if made == is {
        return true;
    }
    let amount = |value: &Value| quantity::thousandths(&Quantity(value.as_str()?.to_owned()));
    let counted = words.contains("resources") || words.ends_with("sizeLimit");
    counted && amount(made).is_some_and(|made| Some(made) == amount(is))
}

fn spoken(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::objects;
    use serde_json::json;

    /// As the API server has it, with what it adds by itself.
    fn there() -> Value {
        let mut made = objects::sample();
        let pod = &mut made["spec"]["template"]["spec"];
        pod["dnsPolicy"] = json!("ClusterFirst");
        pod["containers"][0]["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] = json!("v1");
        made
    }

    fn said(change: impl FnOnce(&mut Value)) -> Option<String> {
        let mut there = there();
        change(&mut there);
        let there: Deployment = serde_json::from_value(there).expect("a Deployment");
        Applied::read(&there).expect("it is written").differs(&there)
    }

    /// By `kubectl-edit`, who owns one field of the pods.
    fn edited(there: &mut Value, field: &str, owned: &Value) {
        let mut fields = owned.clone();
        for above in
            [field, "k:{\"name\":\"app\"}", "f:containers", "f:spec", "f:template", "f:spec"]
        {
            fields = json!({ above: fields });
        }
        there["metadata"]["managedFields"] = json!([{
            "manager": "kubectl-edit", "time": "2026-11-21T14:03:22Z", "fieldsV1": fields,
        }]);
    }

    const BY: &str = ", by kubectl-edit at 14:03:22 UTC on 21 November";

    #[test]
    fn what_the_api_server_adds_and_writes_otherwise_is_no_change() {
        assert_eq!(said(|_| ()), None);
        let same = said(|it| {
            it["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] =
                json!("0.05");
        });
        assert_eq!(same, None);
    }

    #[test]
    fn a_field_is_told_with_what_it_is_and_was_and_by_whom() {
        let probe = said(|it| {
            let app = &mut it["spec"]["template"]["spec"]["containers"][0];
            app["readinessProbe"]["periodSeconds"] = json!(77);
            let owned = json!({ "f:periodSeconds": {} });
            edited(it, "f:readinessProbe", &owned);
        });
        let told = probe.expect("seen");
        let field = "its containers[app].readinessProbe.periodSeconds is 77, and was made as ";
        assert!(told.starts_with(field) && told.ends_with(BY), "{told}");

        let user = said(|it| {
            it["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] = json!(false);
        });
        let told = "its securityContext.runAsNonRoot is false, and was made as true";
        assert_eq!(user.as_deref(), Some(told));
    }

    #[test]
    fn a_variable_is_told_by_its_name_and_never_by_its_value() {
        let added = said(|it| {
            let app = &mut it["spec"]["template"]["spec"]["containers"][0];
            let env = app["env"].as_array_mut().expect("variables");
            env.push(json!({ "name": "LEVEL", "value": "hunter2" }));
            let owned = json!({ "k:{\"name\":\"LEVEL\"}": { ".": {}, "f:value": {} } });
            edited(it, "f:env", &owned);
        });
        assert_eq!(added, Some(format!("its variable LEVEL was added{BY}")));

        let changed = said(|it| {
            let app = &mut it["spec"]["template"]["spec"]["containers"][0];
            let env = app["env"].as_array_mut().expect("variables");
            let one = env.iter_mut().find(|one| one["name"] == "PILOTHOUSE_RELEASE");
            one.expect("there")["value"] = json!("hunter2");
        });
        assert_eq!(changed.as_deref(), Some("its variable PILOTHOUSE_RELEASE was changed"));
    }

    #[test]
    fn a_check_that_was_added_counts_only_with_a_name_on_it() {
        let mut owned = false;
        let mut with = || {
            said(|it| {
                let app = &mut it["spec"]["template"]["spec"]["containers"][0];
                app["livenessProbe"] = json!({ "httpGet": { "path": "/", "port": 80 } });
                if owned {
                    edited(it, "f:livenessProbe", &json!({ "f:httpGet": {} }));
                }
                owned = true;
            })
        };

        assert_eq!(with(), None);
        assert_eq!(with(), Some(format!("its containers[app].livenessProbe was added{BY}")));
    }

    #[test]
    fn labels_are_told_of_the_deployment_and_of_its_pods() {
        let own = said(|it| it["metadata"]["labels"]["pilothouse/slot"] = json!("green"));
        assert_eq!(
            own.as_deref(),
            Some("the label pilothouse/slot is green, and was made as blue")
        );
        let of_pods = said(|it| {
            let labels = it["spec"]["template"]["metadata"]["labels"].as_object_mut();
            labels.expect("there").remove("pilothouse/maker");
        });
        let told = "the label pilothouse/maker of its pods was taken away";
        assert_eq!(of_pods.as_deref(), Some(told));
    }
}
