//! The Application on whose behalf objects are written, and what marks them as its own.

use caravel_core::api::labels::{self, annotations};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::key::{group_of, text};

/// A longer text is left out: the API server takes 256 KiB of annotations in all.
const MAX_LAST_APPLIED: usize = 200 << 10;

/// The Application that owns objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its unique id.
    pub uid: String,
    /// The generation that is being delivered.
    pub generation: i64,
    /// The value of `app.oam.dev/publishVersion`, if it has one.
    pub publish_version: Option<String>,
    /// Name of the ApplicationRevision that is being delivered.
    pub revision: Option<String>,
}

impl Owner {
    /// `namespace/name`, as the annotation of shared objects lists it.
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Whether the owner labels of an object name this Application.
    pub fn owns(&self, object: &Value) -> bool {
        owner_labels(object) == Some((&self.namespace, &self.name))
    }
}

/// Namespace and name of the Application that the labels of an object name.
pub fn owner_labels(object: &Value) -> Option<(&str, &str)> {
    let labels = &object["metadata"]["labels"];
    let (namespace, name) = (
        text(&labels[labels::APP_NAMESPACE]),
        text(&labels[labels::APP_NAME]),
    );
    (!namespace.is_empty() && !name.is_empty()).then_some((namespace, name))
}

/// The manifest as it is kept in the inventory: with the labels that name its owner and cluster.
pub fn label(mut manifest: Value, owner: &Owner, cluster: Option<&str>) -> Value {
    let labels = object_at(&mut manifest, "labels");
    labels.insert(labels::APP_NAME.to_owned(), owner.name.clone().into());
    labels.insert(
        labels::APP_NAMESPACE.to_owned(),
        owner.namespace.clone().into(),
    );
    labels.insert(
        labels::APP_CLUSTER.to_owned(),
        cluster.unwrap_or_default().into(),
    );
    manifest
}

/// The manifest as it is written to the cluster: with the marks by which KubeVela could take it back
/// (APP-046).
pub fn stamp(manifest: &Value) -> Value {
    let mut stamped = manifest.clone();
    let hash = render_hash(manifest);
    object_at(&mut stamped, "labels").insert(labels::RENDER_HASH.to_owned(), hash.into());
    if keeps_last_applied(manifest) {
        let applied = without_last_applied(&stamped).to_string();
        if applied.len() <= MAX_LAST_APPLIED {
            object_at(&mut stamped, "annotations").insert(
                annotations::LAST_APPLIED_CONFIGURATION.to_owned(),
                applied.into(),
            );
        }
    }
    stamped
}

/// The labels that name the revision by which an object was written. A new revision alone is no reason to
/// write it again.
const REVISION: [&str; 2] = [labels::APP_REVISION, labels::APP_REVISION_HASH];

/// A label value that changes when what the manifest says does; the revision that says it does not count.
/// Not the number that KubeVela would compute (TRAP-001).
fn render_hash(manifest: &Value) -> String {
    use std::fmt::Write as _;
    let mut said = manifest.clone();
    for label in REVISION {
        object_at(&mut said, "labels").remove(label);
    }
    // Maps are sorted, so equal manifests have equal text.
    let digest = Sha256::digest(said.to_string());
    digest.iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The stamped manifest with the marks that stand on the live object, if all that they would change by is the
/// revision, or who made them: a changed annotation would begin a new generation of a Deployment.
pub(crate) fn as_applied(stamped: &Value, live: &Value) -> Value {
    let mut stamped = stamped.clone();
    let live = &live["metadata"];
    let mark = annotations::LAST_APPLIED_CONFIGURATION;
    let Some(found) = live["annotations"].get(mark) else {
        return stamped;
    };
    let hash = &live["labels"][labels::RENDER_HASH];
    let ours = &stamped["metadata"]["labels"][labels::RENDER_HASH];
    if hash != ours && !says_the_same(text(found), &stamped) {
        return stamped;
    }
    object_at(&mut stamped, "labels").insert(labels::RENDER_HASH.to_owned(), hash.clone());
    if let Some(wanted) = stamped["metadata"]["annotations"].get_mut(mark) {
        *wanted = found.clone();
    }
    stamped
}

/// Whether a last applied text says what a stamped manifest does, hash and revision apart: KubeVela computes
/// another hash of the same manifest (TRAP-001).
fn says_the_same(last_applied: &str, stamped: &Value) -> bool {
    let bare = |mut manifest: Value| {
        let marks = object_at(&mut manifest, "labels");
        for label in REVISION.iter().chain(&[labels::RENDER_HASH]) {
            marks.remove(*label);
        }
        without_last_applied(&manifest)
    };
    serde_json::from_str(last_applied).is_ok_and(|last| bare(last) == bare(stamped.clone()))
}

/// Secrets, ConfigMaps and CRDs would hold everything twice; `-` and `skip` switch it off.
fn keeps_last_applied(manifest: &Value) -> bool {
    let kind = (
        group_of(text(&manifest["apiVersion"])),
        text(&manifest["kind"]),
    );
    if let ("", "Secret" | "ConfigMap") | ("apiextensions.k8s.io", "CustomResourceDefinition") =
        kind
    {
        return false;
    }
    let mark = &manifest["metadata"]["annotations"][annotations::LAST_APPLIED_CONFIGURATION];
    !matches!(mark.as_str(), Some("-" | "skip"))
}

fn without_last_applied(manifest: &Value) -> Value {
    let mut manifest = manifest.clone();
    // Indexing with `[]` would write a null where there is nothing.
    let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) else {
        return manifest;
    };
    if let Some(map) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        map.remove(annotations::LAST_APPLIED_CONFIGURATION);
        if map.is_empty() {
            metadata.remove("annotations");
        }
    }
    manifest
}

/// `metadata.<field>` of a manifest, made if it is not there.
pub(crate) fn object_at<'a>(
    manifest: &'a mut Value,
    field: &str,
) -> &'a mut serde_json::Map<String, Value> {
    let metadata = as_object(as_object(manifest).entry("metadata").or_insert(Value::Null));
    as_object(metadata.entry(field).or_insert(Value::Null))
}

/// The map that a value holds; a value of another type becomes an empty one.
fn as_object(value: &mut Value) -> &mut serde_json::Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("the line above made it a map"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MARK: &str = annotations::LAST_APPLIED_CONFIGURATION;

    /// A manifest with the owner's labels, with no annotations.
    fn manifest(revision: &str) -> Value {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "web",
                "labels": {"app.oam.dev/name": "shop", labels::APP_REVISION: revision},
            },
            "spec": {"replicas": 2},
        })
    }

    /// The object as KubeVela applied it: its own hash, and the text of what it applied.
    fn as_kubevela_applied(mut manifest: Value) -> Value {
        object_at(&mut manifest, "labels").insert(labels::RENDER_HASH.to_owned(), "d14c5b".into());
        let applied = manifest.to_string();
        object_at(&mut manifest, "annotations").insert(MARK.to_owned(), applied.into());
        manifest
    }

    #[test]
    fn the_last_applied_text_says_nothing_that_the_manifest_does_not() {
        let stamped = stamp(&manifest("shop-v1"));
        let applied = text(&stamped["metadata"]["annotations"][MARK]);
        let applied: Value = serde_json::from_str(applied).unwrap();
        let mut expected = manifest("shop-v1");
        expected["metadata"]["labels"][labels::RENDER_HASH] =
            stamped["metadata"]["labels"][labels::RENDER_HASH].clone();
        assert_eq!(applied, expected);
    }

    #[test]
    fn an_object_that_kubevela_applied_keeps_its_marks() {
        let live = as_kubevela_applied(manifest("shop-v1"));
        let wanted = as_applied(&stamp(&manifest("shop-v1")), &live);
        assert_eq!(wanted, live);
    }

    #[test]
    fn another_revision_alone_changes_no_mark() {
        let live = stamp(&manifest("shop-v1"));
        let wanted = as_applied(&stamp(&manifest("shop-v2")), &live);
        let marks = |object: &Value| object["metadata"]["annotations"].clone();
        assert_eq!(marks(&wanted), marks(&live));
        assert_eq!(
            wanted["metadata"]["labels"][labels::APP_REVISION],
            "shop-v2"
        );
    }

    #[test]
    fn an_object_that_says_something_else_gets_new_marks() {
        let live = as_kubevela_applied(manifest("shop-v1"));
        let mut changed = manifest("shop-v1");
        changed["spec"]["replicas"] = 3.into();
        let stamped = stamp(&changed);
        assert_eq!(as_applied(&stamped, &live), stamped);
    }
}
