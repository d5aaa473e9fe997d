//! Objects that a component of type `ref-objects` refers to: read from clusters or addresses, and put in the place of the
//! references (row REN-036).

use std::time::Duration;

use caravel_apiserver::simulator::SIMULATED;
use caravel_clusters::connect::{Cluster, Clusters, Resource};
use caravel_core::appfile::{AppComponent, Appfile, REF_OBJECTS};
use caravel_core::yaml;
use futures::StreamExt as _;
use kube::discovery::verbs;
use serde_json::{Map, Value};

use super::Context;
use super::delivery::{Delivery, DeliveryError};

/// How long an address may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much it may answer.
const LARGEST: usize = 4 << 20;

/// What an API server writes into the metadata of an object, and what binds it to where it was.
const OWN_METADATA: [&str; 10] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "ownerReferences",
    "selfLink",
    "namespace",
];

/// A reference.
#[derive(Default)]
struct Reference<'a> {
    resource: &'a str,
    group: &'a str,
    name: &'a str,
    namespace: &'a str,
    cluster: &'a str,
    labels: Option<&'a Map<String, Value>>,
}

impl<'a> Reference<'a> {
    fn of(value: &'a Value, component: &'a str) -> Result<Self, DeliveryError> {
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        let labels = value["labelSelector"].as_object();
        let resource = text("resource");
        if resource.is_empty() {
            return Err(unusable(
                "resource is not set: say which resource is meant, for instance `resource: deployment`; apiVersion and \
                 kind are no longer accepted here",
            ));
        }
        if labels.is_some() && !text("name").is_empty() {
            return Err(unusable(
                "name and labelSelector are both set: leave one of them out",
            ));
        }
        let name = if labels.is_none() && text("name").is_empty() {
            component
        } else {
            text("name")
        };
        Ok(Self {
            resource,
            group: text("group"),
            name,
            namespace: text("namespace"),
            cluster: text("cluster"),
            labels,
        })
    }
}

impl Delivery {
    /// The component with the objects themselves; none if it refers to none.
    pub(super) async fn with_referred(
        &self,
        component: &AppComponent,
    ) -> Result<Option<AppComponent>, DeliveryError> {
        let look = Look {
            clusters: &self.clusters,
            http: &self.http,
            namespace: &self.appfile.namespace,
        };
        look.with_referred(component).await
    }
}

/// Whether everything is there that components refer to. What inputs give is not known yet.
pub(super) async fn check(context: &Context, appfile: &Appfile) -> Result<(), DeliveryError> {
    let look = Look {
        clusters: &context.clusters,
        http: &context.http,
        namespace: &appfile.namespace,
    };
    let known = appfile
        .components
        .iter()
        .filter(|one| one.spec.inputs.is_empty());
    for component in known {
        look.with_referred(component).await?;
    }
    Ok(())
}

/// Where references are looked up.
struct Look<'a> {
    clusters: &'a Clusters,
    http: &'a reqwest::Client,
    /// Where objects are whose reference names no namespace.
    namespace: &'a str,
}

impl Look<'_> {
    async fn with_referred(
        &self,
        component: &AppComponent,
    ) -> Result<Option<AppComponent>, DeliveryError> {
        if component.resolved.definition.name != REF_OBJECTS {
            return Ok(None);
        }
        let properties = component.spec.properties.clone().unwrap_or_default();
        let mut objects = Vec::new();
        for value in properties["objects"].as_array().into_iter().flatten() {
            let reference = Reference::of(value, &component.spec.name)?;
            objects.extend(self.referred(&reference).await?);
        }
        for url in properties["urls"].as_array().into_iter().flatten() {
            objects.extend(self.fetched(url.as_str().unwrap_or_default()).await?);
        }
        if objects.is_empty() {
            return Err(unusable(
                "it refers to no object: give `objects` or `urls`, or labels that an object has",
            ));
        }
        for object in &mut objects {
            strip(object);
        }
        let mut resolved = component.clone();
        resolved.spec.properties = Some(serde_json::json!({ "objects": objects }));
        Ok(Some(resolved))
    }

    /// What a reference finds, in the order of the names.
    async fn referred(&self, reference: &Reference<'_>) -> Result<Vec<Value>, DeliveryError> {
        let cluster = self.clusters.get(reference.cluster)?;
        let resource = resource_of(&cluster, reference).await?;
        let namespace = if reference.namespace.is_empty() {
            self.namespace
        } else {
            reference.namespace
        };
        if let Some(labels) = reference.labels {
            let selector: Vec<String> = labels
                .iter()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            let found = cluster
                .list(&resource, Some(namespace), &selector.join(","))
                .await?;
            return Ok(found);
        }
        let object = serde_json::json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": { "name": reference.name, "namespace": namespace },
        });
        let found = cluster.get(&cluster.target(&object).await?).await?;
        let found = found.ok_or_else(|| {
            let Resource { kind, plural, .. } = &resource;
            let name = reference.name;
            unusable(format!(
                "failed to load ref object {kind} {namespace}/{name}: {plural} {name:?} not found"
            ))
        })?;
        Ok(vec![found])
    }

    /// The objects in a file at an address.
    async fn fetched(&self, url: &str) -> Result<Vec<Value>, DeliveryError> {
        let failed = |why: String| {
            unusable(format!(
                "failed to load Kubernetes objects from url {url}: {why}"
            ))
        };
        let answer = self.http.get(url).timeout(PATIENCE).send().await;
        let answer = answer
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| failed(causes(&error.without_url())))?;
        let mut body = Vec::new();
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.map_err(|error| failed(error.to_string()))?);
            if body.len() > LARGEST {
                return Err(failed(format!("it is larger than {LARGEST} bytes")));
            }
        }
        let text = String::from_utf8(body).map_err(|_| failed("it is no text".to_owned()))?;
        let objects = yaml::parse(&text).map_err(|error| failed(error.to_string()))?;
        let objects: Vec<Value> = objects.into_iter().filter(|one| !one.is_null()).collect();
        if objects.iter().any(|object| !object["kind"].is_string()) {
            return Err(failed(
                "what is there is no Kubernetes object: kind is missing".to_owned(),
            ));
        }
        Ok(objects)
    }
}

/// The kind behind the name of a resource: plural, singular or short. Without a group the core group goes first, then
/// the others in the order of their names.
async fn resource_of(
    cluster: &Cluster,
    reference: &Reference<'_>,
) -> Result<Resource, DeliveryError> {
    let client = cluster.client();
    let unanswered = |error: kube::Error| {
        unusable(format!(
            "cluster {:?} does not say what it serves: {error}",
            cluster.name()
        ))
    };
    let mut versions = Vec::new();
    if reference.group.is_empty() {
        versions.push("v1".to_owned());
    }
    let groups = client.list_api_groups().await.map_err(unanswered)?.groups;
    let wanted = |name: &str| reference.group.is_empty() || reference.group == name;
    for group in groups.into_iter().filter(|group| wanted(&group.name)) {
        let preferred = group
            .preferred_version
            .or_else(|| group.versions.into_iter().next());
        versions.extend(preferred.map(|version| version.group_version));
    }
    for version in versions {
        let list = if version == "v1" {
            client.list_core_api_resources(&version).await
        } else {
            client.list_api_group_resources(&version).await
        };
        // A group whose server is away is not what is looked for.
        let Ok(list) = list else { continue };
        let named = list.resources.into_iter().find(|resource| {
            let short = resource.short_names.iter().flatten();
            let mut names = [&resource.name, &resource.singular_name]
                .into_iter()
                .chain(short);
            names.any(|name| name.eq_ignore_ascii_case(reference.resource))
                && resource.verbs.iter().any(|verb| verb == verbs::GET)
        });
        if let Some(found) = named {
            return Ok(Resource {
                api_version: version,
                kind: found.kind,
                plural: found.name,
                namespaced: found.namespaced,
            });
        }
    }
    let (group, resource) = (reference.group, reference.resource);
    Err(unusable(format!(
        "no matches for {group}/, Resource={resource}"
    )))
}

/// Leaves out what belongs to the object where it was.
fn strip(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| !OWN_METADATA.contains(&key.as_str()));
        // A copy in another cluster may be real.
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.remove(SIMULATED);
        }
    }
    if object["kind"] == "Service"
        && let Some(spec) = object["spec"].as_object_mut()
        // A headless Service says so with its address.
        && spec.get("clusterIP").is_some_and(|address| address != "None")
    {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
}

/// An error with what caused it: of a request, the outermost says nothing.
fn causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        told = format!("{told}: {inner}");
        cause = inner.source();
    }
    told
}

fn unusable(why: impl Into<String>) -> DeliveryError {
    DeliveryError::Referred(why.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_belongs_to_the_place_is_left_out() {
        let mut service = json!({
            "apiVersion": "v1", "kind": "Service", "status": {"loadBalancer": {}},
            "metadata": {"name": "a", "namespace": "b", "uid": "c", "labels": {"x": "y"},
                         "annotations": {"caravel.dev/simulated": "true", "n": "o"}},
            "spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": []},
        });
        strip(&mut service);
        let stripped = json!({
            "apiVersion": "v1", "kind": "Service", "spec": {"ports": []},
            "metadata": {"name": "a", "labels": {"x": "y"}, "annotations": {"n": "o"}},
        });
        assert_eq!(service, stripped);
        let headless = json!({"kind": "Service", "spec": {"clusterIP": "None"}});
        let mut same = headless.clone();
        strip(&mut same);
        assert_eq!(same["spec"], headless["spec"]);
    }

    #[test]
    fn a_reference_says_what_it_means() {
        let told = |value: Value| match Reference::of(&value, "web") {
            Ok(reference) => reference.name.to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(told(json!({"resource": "deployment"})), "web");
        assert_eq!(told(json!({"resource": "deployment", "name": "x"})), "x");
        assert!(
            told(json!({"apiVersion": "v1", "kind": "ConfigMap"})).contains("resource is not set")
        );
        let both = json!({"resource": "pod", "name": "x", "labelSelector": {"a": "b"}});
        assert!(told(both).contains("both set"));
    }
}
