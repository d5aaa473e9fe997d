//! The kinds that a target serves, and what they say against objects: fields and types.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use caravel_core::check::unidentified;
use caravel_core::render::ClusterVersion;
use caravel_core::yaml;
use caravel_schema::field::ErrorKind;
use caravel_schema::structural::{CustomVersion, default_crd, versions};
use caravel_schema::{decode, resources};
use kube::api::ListParams;
use serde_json::Value;

use crate::hub::{self, Hub, HubArgs, readable};
use crate::input;
use crate::locate;

/// How long a hub that nobody asked for is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Group, version, kind.
type Gvk = (String, String, String);

/// Kubernetes' own kinds, and custom ones.
#[derive(Debug)]
pub(crate) struct Served {
    custom: BTreeMap<Gvk, CustomVersion>,
    /// What templates see as the version of the cluster that has the kinds.
    pub(crate) version: ClusterVersion,
    /// These are all: a kind that is not among them is unknown there.
    is_complete: bool,
}

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    /// The field's path.
    pub(crate) path: String,
}

impl Default for Served {
    fn default() -> Self {
        let version = format!("v1.{}", caravel_apiserver::MINOR);
        Self {
            custom: BTreeMap::new(),
            version: ClusterVersion::parse(&version).unwrap_or_default(),
            is_complete: false,
        }
    }
}

impl Served {
    /// With the CRDs of files and folders: what the targets have besides Kubernetes' own kinds.
    pub(crate) fn of_files(paths: &[String]) -> Result<Self> {
        let mut served = Self {
            is_complete: true,
            ..Self::default()
        };
        for file in manifests(paths)? {
            let documents = yaml::parse(&input::read(&file)?)
                .map_err(|error| anyhow!("{file} cannot be read: {error}"))?;
            let objects = locate::objects(documents).into_iter();
            for crd in objects
                .map(|(object, _)| object)
                .filter(|object| object["kind"] == "CustomResourceDefinition")
            {
                served.add(crd).with_context(|| file.clone())?;
            }
        }
        if served.custom.is_empty() {
            bail!(
                "there is no CustomResourceDefinition in {}",
                paths.join(", ")
            );
        }
        Ok(served)
    }

    /// With those of the hub that the kubeconfig names; Kubernetes' own where no hub answers soon.
    pub(crate) async fn of_any_hub(args: &HubArgs) -> Self {
        let asked = async { Self::of_hub(&args.connect_for_templates().await?).await };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(served)) => served,
            _ => Self::default(),
        }
    }

    /// With those of a hub, where Applications are delivered.
    pub(crate) async fn of_hub(hub: &Hub) -> Result<Self> {
        let gvk = kube::core::GroupVersionKind::gvk(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
        );
        let resource =
            kube::api::ApiResource::from_gvk_with_plural(&gvk, "customresourcedefinitions");
        let api: kube::Api<kube::api::DynamicObject> =
            kube::Api::all_with(hub.client.clone(), &resource);
        let mut served = Self {
            is_complete: true,
            version: hub::version(&hub.client).await?,
            ..Self::default()
        };
        for crd in api.list(&ListParams::default()).await.map_err(readable)? {
            // What the hub itself took needs no second look.
            let _ = served.add(serde_json::to_value(crd)?);
        }
        Ok(served)
    }

    fn add(&mut self, mut crd: Value) -> Result<()> {
        default_crd(&mut crd);
        let name = crd["metadata"]["name"].as_str().unwrap_or_default();
        let versions = versions(&crd).map_err(|errors| {
            let first = errors.first().map(ToString::to_string);
            anyhow!(
                "the CRD {name} has no schema that can be used: {}",
                first.unwrap_or_default()
            )
        })?;
        for version in versions.into_iter().filter(|version| version.served) {
            let resource = &version.resource;
            let gvk = (
                resource.group.to_string(),
                resource.version.to_string(),
                resource.kind.to_string(),
            );
            self.custom.insert(gvk, version);
        }
        Ok(())
    }

    /// What a target would say against an object. Values are not judged: those of samples are ours.
    pub(crate) fn faults(&self, object: &Value) -> Vec<Fault> {
        if let Some(missing) = unidentified(object) {
            let message = format!("the object has no {missing}: it cannot be applied");
            return vec![fault(message, missing)];
        }
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let gvk = (group.to_owned(), version.to_owned(), kind.to_owned());
        if let Some(custom) = self.custom.get(&gvk) {
            return of_custom(custom, kind, object);
        }
        let known = resources::find_kind(group, version, kind);
        match known.and_then(|resource| resource.definition) {
            Some(definition) => of_builtin(definition, kind, object),
            None if known.is_none() && self.is_complete => vec![self.unknown(&gvk)],
            None => Vec::new(),
        }
    }

    fn unknown(&self, (group, version, kind): &Gvk) -> Fault {
        let mut others = self.custom.keys();
        let other = others.find(|known| known.0 == *group && known.2 == *kind);
        let message = match other {
            Some((_, served, _)) => {
                format!("{kind} of {group} is served as {served}, and not as {version}")
            }
            None => format!("the target does not know the kind {kind} of {group}/{version}"),
        };
        fault(message, "kind")
    }
}

fn fault(message: impl Into<String>, path: &str) -> Fault {
    Fault {
        message: message.into(),
        path: path.to_owned(),
    }
}

fn of_custom(custom: &CustomVersion, kind: &str, object: &Value) -> Vec<Fault> {
    let mut pruned = object.clone();
    let unknown = custom.schema.prune(&mut pruned);
    let mut faults: Vec<Fault> = unknown
        .iter()
        .map(|path| fault(format!("{kind} has no field `{path}`"), path))
        .collect();
    for error in custom.schema.validate(&pruned, None) {
        match error.kind {
            ErrorKind::Required => {
                let message = format!("{kind} needs the field `{}`", error.field);
                let outer = error.field.rsplit_once('.').map_or("", |(outer, _)| outer);
                faults.push(fault(message, outer));
            }
            ErrorKind::TypeInvalid => {
                let message = format!("{kind}: `{}`: {}", error.field, error.detail);
                faults.push(fault(message, &error.field));
            }
            _ => {}
        }
    }
    faults
}

fn of_builtin(definition: &str, kind: &str, object: &Value) -> Vec<Fault> {
    let why = decode::check_types(object, definition).err();
    // json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32
    let words = why.as_ref().and_then(|why| {
        let (found, rest) = why.split_once(" into Go struct field ")?;
        Some((found.rsplit(' ').next()?, rest.split_once(" of type ")?))
    });
    // What else is said is about values, such as a quantity: those of samples are ours, not the author's.
    if let Some((found, (path, type_))) = words {
        let path = path.split_once('.').map_or(path, |(_, path)| path);
        let message = format!("{kind} takes a {type_} in `{path}`, and not a {found}");
        return vec![fault(message, path)];
    }
    let mut pruned = object.clone();
    decode::prune_unknown(&mut pruned, definition)
        .iter()
        .map(|path| fault(format!("{kind} has no field `{path}`"), path))
        .collect()
}

/// The manifests that paths stand for.
fn manifests(paths: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in paths {
        if !Path::new(path).is_dir() {
            found.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| format!("{path} cannot be read"))?;
        let mut inner = Vec::new();
        for entry in entries {
            inner.push(entry?.path());
        }
        inner.sort();
        for one in inner {
            let ending = one.extension().and_then(|ending| ending.to_str());
            let name = one.display().to_string();
            if one.is_dir() && !one.is_symlink() {
                found.extend(manifests(&[name])?);
            } else if matches!(ending, Some("yaml" | "yml" | "json")) {
                found.push(name);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn served() -> Served {
        let mut served = Served {
            is_complete: true,
            ..Served::default()
        };
        served
            .add(json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "certificates.cert-manager.io"},
                "spec": {
                    "group": "cert-manager.io", "scope": "Namespaced",
                    "names": {"kind": "Certificate", "plural": "certificates"},
                    "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                        "type": "object", "properties": {"spec": {
                            "type": "object", "required": ["secretName"], "properties": {
                                "secretName": {"type": "string"},
                                "revisionHistoryLimit": {"type": "integer"},
                                "config": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                            }}}}}}],
                },
            }))
            .expect("a CRD");
        served
    }

    fn said(object: &Value) -> Vec<String> {
        let faults = served().faults(object);
        faults.into_iter().map(|one| one.message).collect()
    }

    #[test]
    fn fields_and_types_of_kinds_are_checked() {
        let deployment =
            |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec});
        assert_eq!(said(&deployment(json!({"replicas": 1}))), [""; 0]);
        assert_eq!(
            said(&deployment(json!({"replica": 1}))),
            ["Deployment has no field `spec.replica`"]
        );
        assert_eq!(
            said(&deployment(json!({"replicas": "1"}))),
            ["Deployment takes a int32 in `spec.replicas`, and not a string"]
        );
        let certificate = |spec: Value| json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "spec": spec});
        let good = json!({"secretName": "x", "config": {"any": 1}});
        assert_eq!(said(&certificate(good)), [""; 0]);
        let bad = json!({"secret": "x", "revisionHistoryLimit": "3"});
        assert_eq!(
            said(&certificate(bad)).len(),
            3,
            "an unknown field, a missing one, and a type"
        );
        let old = json!({"apiVersion": "cert-manager.io/v1alpha2", "kind": "Certificate"});
        assert_eq!(
            said(&old),
            ["Certificate of cert-manager.io is served as v1, and not as v1alpha2"]
        );
        let other = json!({"apiVersion": "example.com/v1", "kind": "Thing"});
        assert_eq!(
            said(&other),
            ["the target does not know the kind Thing of example.com/v1"]
        );
        assert_eq!(Served::default().faults(&other), []);
    }
}
