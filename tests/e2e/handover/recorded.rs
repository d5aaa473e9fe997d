//! Applications of all kinds that KubeVela made, as they were recorded.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use caravel_core::yaml;
use caravel_tests::kubectl::Kubectl;
use caravel_tests::object::as_applied;
use serde_json::{Map, Value, json};

use super::{as_kubevela_applies, set_status};

/// Kinds that belong to no namespace, or that end by themselves: another case may have one of the same name, or it is
/// gone by now.
const LEFT_OUT: [&str; 7] = [
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "Pod",
    "Job",
    "PersistentVolumeClaim",
    "Endpoints",
];

/// An Application that ran at its end, with one revision and one inventory.
pub(super) struct Recorded {
    pub(super) namespace: String,
    name: String,
    /// What was applied beside it.
    others: Vec<Value>,
    application: Value,
    status: Value,
    tracker: Value,
    revision: Value,
}

impl Recorded {
    /// Reads a case; none where it is of another kind.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let read = |file: &str| -> Option<Vec<Value>> {
            let text = fs::read_to_string(folder.join(file)).ok()?;
            let text = text
                .replace("<time>", "2026-01-01T00:00:00Z")
                .replace("<id>", "a1b2c3")
                .replace("<ip>", "10.0.0.1");
            let documents = yaml::parse(&text).ok()?.into_iter();
            Some(documents.filter(|one| !one.is_null()).collect())
        };
        let mut others = read("input.yaml")?;
        let at = others.iter().position(|one| one["kind"] == "Application")?;
        let application = others.remove(at);
        // What policies make of an Application is not among what is recorded of its revision.
        let is_more =
            |one: &Value| one["kind"] == "Application" || one["kind"] == "PolicyDefinition";
        if others.iter().any(is_more) {
            return None;
        }
        let mut ended = single(read("application.yaml")?)?;
        let status = ended["status"].take();
        let workflow = &status["workflow"];
        let has_run = status["status"] == "running" && workflow["status"] == "succeeded";
        let namespace = ended["metadata"]["namespace"].as_str()?.to_owned();
        let tracker = single(read("resourcetrackers.yaml")?)?;
        let resources = tracker["spec"]["managedResources"].as_array()?;
        let is_plain = |resource: &Value| {
            let is_here = resource["namespace"] == namespace.as_str();
            let kind = resource["kind"].as_str().unwrap_or_default();
            resource["raw"].is_object() && is_here && !LEFT_OUT.contains(&kind)
        };
        let is_known = has_run && !resources.is_empty() && resources.iter().all(is_plain);
        is_known.then_some(())?;
        Some(Self {
            name: ended["metadata"]["name"].as_str()?.to_owned(),
            namespace,
            others,
            application,
            status,
            tracker,
            revision: single(read("applicationrevisions.yaml")?)?,
        })
    }

    /// Kind and name of the object that its inventory lists first.
    pub(super) fn first_object(&self) -> (&str, &str) {
        let first = &self.tracker["spec"]["managedResources"][0];
        let text = |key: &str| first[key].as_str().unwrap_or_default();
        (text("kind"), text("name"))
    }

    /// Puts everything into a hub as KubeVela left it, with the Application held still. An error is what the hub does not
    /// take of it.
    pub(super) fn hand_over(
        &self,
        kubectl: &Kubectl,
        definitions: &mut Definitions,
    ) -> Result<(), String> {
        let create = |objects: &[Value]| -> Result<Vec<Value>, String> {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
            kubectl.file("objects.json", &list.to_string());
            let namespace = ["-n", &self.namespace];
            let arguments = [
                &namespace[..],
                &["create", "-f", "objects.json", "-o", "json"],
            ]
            .concat();
            let output = kubectl.run_args(&arguments);
            if output.exit != 0 {
                return Err(output.stderr);
            }
            let made = serde_json::Deserializer::from_str(&output.stdout).into_iter();
            Ok(made.map(|one| one.expect("kubectl prints JSON")).collect())
        };
        let place =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        create(&[place])?;
        if !self.others.is_empty() {
            create(&self.others)?;
        }
        let mut held = self.application.clone();
        held["metadata"]["namespace"] = self.namespace.as_str().into();
        held["metadata"]["labels"]["controller.core.oam.dev/pause"] = "true".into();
        let held = create(&[held])?.remove(0);
        let uid = held["metadata"]["uid"].clone();
        create(&[
            self.tracked(create, &uid)?,
            self.revised(&held, &uid, definitions, kubectl),
        ])?;
        set_status(kubectl, &self.namespace, &self.name, &self.status);
        Ok(())
    }

    /// The objects are made; the inventory that lists them.
    fn tracked(
        &self,
        create: impl Fn(&[Value]) -> Result<Vec<Value>, String>,
        uid: &Value,
    ) -> Result<Value, String> {
        let mut tracker = as_applied(self.tracker.clone());
        tracker["metadata"]["labels"]["app.oam.dev/uid"] = uid.clone();
        let resources = tracker["spec"]["managedResources"].as_array_mut();
        let resources = resources.expect("resources");
        let manifests: Vec<Value> = resources
            .iter()
            .map(|resource| as_kubevela_applies(resource["raw"].clone()))
            .collect();
        for (resource, live) in resources.iter_mut().zip(create(&manifests)?) {
            resource["uid"] = live["metadata"]["uid"].clone();
        }
        Ok(tracker)
    }

    /// The revision; its content is not recorded, but is what was applied, with the definitions in KubeVela's words.
    fn revised(
        &self,
        held: &Value,
        uid: &Value,
        definitions: &mut Definitions,
        kubectl: &Kubectl,
    ) -> Value {
        let mut revision = as_applied(self.revision.clone());
        revision["metadata"]["ownerReferences"][0]["uid"] = uid.clone();
        let mut application = as_applied(held.clone());
        application["metadata"]["labels"]
            .as_object_mut()
            .map(|labels| labels.remove("controller.core.oam.dev/pause"));
        let mut spec = json!({ "application": application, "compression": {} });
        for (field, kind, used) in self.used(held) {
            let found = used.into_iter().filter_map(|name| {
                let is_it =
                    |one: &&Value| one["kind"] == kind && one["metadata"]["name"] == name.as_str();
                let own = self.others.iter().find(is_it).cloned();
                let definition = own.or_else(|| definitions.get(kubectl, kind, &name))?;
                Some((name, definition))
            });
            let found: Map<String, Value> = found.collect();
            spec[field] = Value::Object(found);
        }
        for other in &self.others {
            match other["kind"].as_str() {
                Some("Workflow") => spec["workflow"] = other.clone(),
                Some("Policy") => {
                    let name = other["metadata"]["name"].as_str().unwrap_or_default();
                    let name = format!("{}/{name}", self.namespace);
                    spec["policies"][name] = other.clone();
                }
                _ => {}
            }
        }
        revision["spec"] = spec;
        revision
    }

    /// The names of the definitions that it is made with, by the revision's field and their kind.
    fn used(&self, held: &Value) -> [(&'static str, &'static str, Vec<String>); 3] {
        let list = |of: &Value| of.as_array().cloned().unwrap_or_default();
        let parts = list(&held["spec"]["components"]);
        let traits: Vec<Value> = parts
            .iter()
            .flat_map(|part| list(&part["traits"]))
            .collect();
        let steps = list(&self.status["workflow"]["steps"]);
        [
            ("componentDefinitions", "ComponentDefinition", types(&parts)),
            ("traitDefinitions", "TraitDefinition", types(&traits)),
            (
                "workflowStepDefinitions",
                "WorkflowStepDefinition",
                types(&steps),
            ),
        ]
    }
}

/// Built-in definitions, with other words than ours.
#[derive(Default)]
pub(super) struct Definitions(BTreeMap<(String, String), Option<Value>>);

impl Definitions {
    fn get(&mut self, kubectl: &Kubectl, kind: &str, name: &str) -> Option<Value> {
        let key = (kind.to_owned(), name.to_owned());
        let known = self.0.entry(key).or_insert_with(|| {
            let mut found = as_applied(kubectl.get(kind, "vela-system", name)?);
            let template = found.pointer_mut("/spec/schematic/cue/template")?;
            *template = format!("// In other words.\n{}", template.as_str()?).into();
            Some(found)
        });
        known.clone()
    }
}

fn types(parts: &[Value]) -> Vec<String> {
    parts
        .iter()
        .filter_map(|part| part["type"].as_str())
        .map(str::to_owned)
        .collect()
}

fn single(mut documents: Vec<Value>) -> Option<Value> {
    (documents.len() == 1).then(|| documents.remove(0))
}
