//! What the built-in definitions make of parameters and workloads that their examples do not show.

use caravel_core::appfile::DefinitionSet;
use caravel_core::engine::Evaluator;
use serde_json::{Value, json};

use crate::rendering::render;

mod containers;
mod networking;
mod steps;
mod volumes;

/// A component named `web` with traits.
struct Component {
    type_: &'static str,
    properties: Value,
    traits: Vec<Value>,
    version: &'static str,
}

fn component(type_: &'static str, properties: Value) -> Component {
    Component {
        type_,
        properties,
        traits: Vec::new(),
        version: "v1.31.0",
    }
}

/// A workload of somebody else: its container is not named like the component.
fn foreign(containers: Value) -> Component {
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": { "template": { "spec": { "containers": containers } } },
    });
    component("k8s-objects", json!({ "objects": [deployment] }))
}

impl Component {
    /// With a further trait.
    fn with(mut self, type_: &str, properties: Value) -> Self {
        self.traits
            .push(json!({ "type": type_, "properties": properties }));
        self
    }

    fn render(&self, evaluator: Evaluator) -> Result<Vec<Value>, String> {
        let application = json!({
            "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
            "metadata": { "name": "app", "namespace": "prod" },
            "spec": { "components": [{
                "name": "web", "type": self.type_, "properties": self.properties, "traits": self.traits,
            }] },
        });
        render(
            &application,
            DefinitionSet::default(),
            self.version,
            evaluator,
        )
    }

    /// The objects, the same under both evaluators.
    #[track_caller]
    fn objects(&self) -> Vec<Value> {
        let [v2, v3] = [Evaluator::V2, Evaluator::V3].map(|evaluator| {
            self.render(evaluator)
                .unwrap_or_else(|error| panic!("{evaluator:?}: {error}"))
        });
        assert_eq!(v2, v3, "the evaluators differ");
        v2
    }

    /// The object of this kind.
    #[track_caller]
    fn object(&self, kind: &str) -> Value {
        let mut found = self.objects();
        found.retain(|object| object["kind"] == kind);
        assert_eq!(found.len(), 1, "{kind}: {found:?}");
        found.swap_remove(0)
    }

    /// What the workload says of its pods.
    #[track_caller]
    fn pod(&self) -> Value {
        self.objects().swap_remove(0)["spec"]["template"]["spec"].take()
    }

    /// Fails under both evaluators, with one mistake, which has this in its words.
    #[track_caller]
    fn fails_with_one(&self, with: &str) {
        self.fails(with);
        for evaluator in [Evaluator::V2, Evaluator::V3] {
            let error = self.render(evaluator).unwrap_err();
            let mistakes = error.lines().filter(|line| line.starts_with("  "));
            assert_eq!(mistakes.count(), 1, "{evaluator:?} says {error}");
        }
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
