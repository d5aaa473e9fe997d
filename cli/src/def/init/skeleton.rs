//! What a definition of each kind looks like.

use super::{Draft, Word};

/// A definition that works, to be changed.
pub(super) fn draft(kind: Word) -> Draft {
    let (imports, attributes, template): (&[&str], &str, &str) = match kind {
        Word::Component => (&[], COMPONENT_ATTRIBUTES, COMPONENT),
        Word::Trait => (&[], TRAIT_ATTRIBUTES, TRAIT),
        Word::Policy => (&[], "{}", POLICY),
        Word::WorkflowStep => (&["vela/kube"], "{}", STEP),
    };
    Draft {
        imports: imports.iter().map(|one| (*one).to_owned()).collect(),
        attributes: attributes.to_owned(),
        template: template.to_owned(),
    }
}

const COMPONENT_ATTRIBUTES: &str = r##"{
	workload: definition: {
		apiVersion: "apps/v1"
		kind:       "Deployment"
	}
	status: {
		customStatus: #"""
			ready: *0 | int
			if context.output.status.readyReplicas != _|_ {
				ready: context.output.status.readyReplicas
			}
			message: "\(ready) of \(context.output.spec.replicas) pods are ready"
			"""#
		healthPolicy: #"""
			ready: *0 | int
			if context.output.status.readyReplicas != _|_ {
				ready: context.output.status.readyReplicas
			}
			isHealth: ready == context.output.spec.replicas
			"""#
	}
}"##;

const COMPONENT: &str = r#"
output: {
	apiVersion: "apps/v1"
	kind:       "Deployment"
	spec: {
		replicas: parameter.replicas
		selector: matchLabels: "app.oam.dev/component": context.name
		template: {
			metadata: labels: "app.oam.dev/component": context.name
			spec: containers: [{
				name:  context.name
				image: parameter.image
				if parameter.env != _|_ {
					env: [for key, text in parameter.env {
						name:  key
						value: text
					}]
				}
			}]
		}
	}
}
parameter: {
	// +usage=The container image
	image: string
	// +usage=The number of pods
	replicas: *1 | int
	// +usage=Environment variables
	env?: [string]: string
}
"#;

const TRAIT_ATTRIBUTES: &str = r#"{
	podDisruptive: true
	appliesToWorkloads: ["deployments.apps", "statefulsets.apps", "daemonsets.apps"]
}"#;

const TRAIT: &str = r"
patch: spec: template: metadata: annotations: parameter.annotations
parameter: {
	// +usage=Annotations of the pods
	annotations: [string]: string
}
";

const POLICY: &str = r#"
output: {
	apiVersion: "v1"
	kind:       "ConfigMap"
	metadata: name: context.name
	data: owner: parameter.owner
}
parameter: {
	// +usage=Who is asked about the Application
	owner: string
}
"#;

const STEP: &str = r#"
apply: kube.#Apply & {
	$params: {
		cluster: parameter.cluster
		value: {
			apiVersion: "v1"
			kind:       "ConfigMap"
			metadata: {
				name:      parameter.name
				namespace: context.namespace
			}
			data: parameter.data
		}
	}
}
parameter: {
	// +usage=Name of the ConfigMap
	name: string
	// +usage=What is in it
	data: [string]: string
	// +usage=The cluster; that of the hub where empty
	cluster: *"" | string
}
"#;
