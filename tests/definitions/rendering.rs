//! Templates as users of KubeVela write them, the odd ones too: each case is a component, its traits, and what a dry
//! run must make of them, under both evaluators.

use caravel_core::appfile::{DefinitionSet, Layered, read_application};
use caravel_core::engine::{Evaluator, Request};
use caravel_core::plan::{DryRunError, dry_run, render_group};
use caravel_core::render::ClusterVersion;
use caravel_tests::render::{builtin, eval};
use serde_json::{Value, json};

mod context;
mod cue;
mod outputs;
mod patches;

/// The objects of a dry run, or KubeVela's words for why there are none.
pub(crate) fn render(
    application: &Value,
    definitions: DefinitionSet,
    version: &str,
    evaluator: Evaluator,
) -> Result<Vec<Value>, String> {
    let app = read_application(application).map_err(|error| error.kubevela_text())?;
    let source = Layered::new(definitions, builtin);
    let groups = dry_run(&app, &source).map_err(|error| error.kubevela_text())?;
    let version = ClusterVersion::parse(version).unwrap();
    let mut objects = Vec::new();
    for group in &groups {
        match render_group(group, &version, evaluator, &mut |request: &Request| {
            eval(request)
        }) {
            Ok(rendered) => {
                objects.extend(rendered.objects().map(|object| object.object.clone()));
            }
            Err(DryRunError::Render(error)) => return Err(error.kubevela_text),
            Err(other) => return Err(format!("{other:?}")),
        }
    }
    Ok(objects)
}

/// A component with traits, each with a template of its own.
struct Case {
    component: &'static str,
    properties: Value,
    traits: Vec<(&'static str, Value, Value)>,
    metadata: Value,
}

/// A component with this template.
fn component(template: &'static str, properties: Value) -> Case {
    Case {
        component: template,
        properties,
        traits: Vec::new(),
        metadata: json!({}),
    }
}

/// A ConfigMap-like thing that holds a value as its `spec`.
fn thing(template: &'static str) -> Case {
    component(template, json!({}))
}

impl Case {
    /// With a further trait.
    fn with(self, template: &'static str, properties: Value) -> Self {
        self.with_attributes(template, properties, json!({}))
    }

    /// With a further trait whose definition has attributes.
    fn with_attributes(mut self, template: &'static str, properties: Value, spec: Value) -> Self {
        self.traits.push((template, properties, spec));
        self
    }

    /// With labels or annotations of the Application.
    fn of(mut self, metadata: Value) -> Self {
        self.metadata = metadata;
        self
    }

    fn application(&self) -> Value {
        let traits = self.traits.iter().enumerate();
        let traits = traits.map(|(index, (_, properties, _))| {
            json!({ "type": format!("trait-{index}"), "properties": properties })
        });
        let mut metadata = self.metadata.clone();
        metadata["name"] = "app".into();
        metadata["namespace"] = "prod".into();
        json!({
            "apiVersion": "core.oam.dev/v1beta1", "kind": "Application", "metadata": metadata,
            "spec": { "components": [{
                "name": "web", "type": "thing", "properties": self.properties,
                "traits": traits.collect::<Value>(),
            }] },
        })
    }

    fn definitions(&self) -> DefinitionSet {
        let mut set = DefinitionSet::default();
        let mut add = |kind: &str, name: &str, template: &str, mut spec: Value| {
            spec["schematic"]["cue"]["template"] = template.into();
            let metadata = json!({ "name": name, "namespace": "vela-system" });
            let object = json!({
                "apiVersion": "core.oam.dev/v1beta1", "kind": kind, "metadata": metadata, "spec": spec,
            });
            set.add(&object, "default").unwrap();
        };
        let workload = json!({ "workload": { "type": "autodetects.core.oam.dev" } });
        add("ComponentDefinition", "thing", self.component, workload);
        for (index, (template, _, spec)) in self.traits.iter().enumerate() {
            add(
                "TraitDefinition",
                &format!("trait-{index}"),
                template,
                spec.clone(),
            );
        }
        set
    }

    fn render(&self, evaluator: Evaluator) -> Result<Vec<Value>, String> {
        render(
            &self.application(),
            self.definitions(),
            "v1.31.2",
            evaluator,
        )
    }

    /// The objects, the same under both evaluators.
    #[track_caller]
    fn objects(&self) -> Vec<Value> {
        let v2 = self
            .render(Evaluator::V2)
            .unwrap_or_else(|error| panic!("v2: {error}"));
        let v3 = self
            .render(Evaluator::V3)
            .unwrap_or_else(|error| panic!("v3: {error}"));
        assert_eq!(v2, v3, "the evaluators differ");
        v2
    }

    /// The `spec` of the workload.
    #[track_caller]
    fn spec(&self) -> Value {
        self.objects().swap_remove(0)["spec"].take()
    }

    /// Fails under both evaluators, with this in its words.
    #[track_caller]
    fn fails(&self, with: &str) {
        for evaluator in [Evaluator::V2, Evaluator::V3] {
            match self.render(evaluator) {
                Err(error) => assert!(error.contains(with), "{evaluator:?} says {error}"),
                Ok(objects) => panic!("{evaluator:?} renders {objects:?}"),
            }
        }
    }
}
