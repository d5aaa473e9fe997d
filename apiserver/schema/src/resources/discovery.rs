//! Discovery documents: the legacy ones (`APIVersions`, `APIGroupList`, `APIGroup`, `APIResourceList`) and the
//! aggregated ones (`APIGroupDiscoveryList`), made of built-in and custom resources.

use super::{Resource, compare_versions};
use serde_json::{Value, json};

/// Which form of aggregated discovery a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryVersion {
    /// `apidiscovery.k8s.io/v2`
    V2,
    /// `apidiscovery.k8s.io/v2beta1`, asked for by clients up to 0.36.
    V2Beta1,
}

impl DiscoveryVersion {
    /// The `v=` parameter of the media type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V2Beta1 => "v2beta1",
        }
    }

    /// The content type of a reply in this form.
    pub fn content_type(self) -> String {
        format!(
            "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList",
            self.as_str()
        )
    }
}

/// A version and its resources.
type Version<'a> = (&'a str, Vec<&'a Resource>);

/// A group and its versions.
type Group<'a> = (&'a str, Vec<Version<'a>>);

/// Writes the discovery documents of a set of resources.
///
/// Groups appear in the order of their first resource; versions of a group in Kubernetes' order of preference.
#[derive(Clone, Debug, Default)]
pub struct Discovery<'a> {
    groups: Vec<Group<'a>>,
}

impl<'a> Discovery<'a> {
    /// Groups the resources.
    pub fn new(resources: impl IntoIterator<Item = &'a Resource>) -> Self {
        let mut groups: Vec<Group<'a>> = Vec::new();
        for resource in resources {
            let versions =
                if let Some(at) = groups.iter_mut().position(|(g, _)| *g == resource.group) {
                    &mut groups[at].1
                } else {
                    groups.push((&resource.group, Vec::new()));
                    let last = groups.len() - 1;
                    &mut groups[last].1
                };
            match versions.iter_mut().find(|(v, _)| *v == resource.version) {
                Some((_, list)) => list.push(resource),
                None => versions.push((&resource.version, vec![resource])),
            }
        }
        for (_, versions) in &mut groups {
            versions.sort_by(|(a, _), (b, _)| compare_versions(a, b));
        }
        Self { groups }
    }

    /// `GET /api`. `address` is what clients of this server use, `host:port`.
    pub fn api_versions(&self, address: &str) -> Value {
        json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
        })
    }

    /// `GET /apis`.
    pub fn group_list(&self) -> Value {
        let groups: Vec<Value> = self
            .named_groups()
            .map(|(name, versions)| group_fields(name, versions))
            .collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    /// `GET /apis/{group}`; `None` if the group is not served.
    pub fn group(&self, name: &str) -> Option<Value> {
        let (name, versions) = self.named_groups().find(|(n, _)| *n == name)?;
        let mut doc = group_fields(name, versions);
        doc["kind"] = "APIGroup".into();
        doc["apiVersion"] = "v1".into();
        Some(doc)
    }

    /// `GET /api/v1`, `GET /apis/{group}/{version}`; `None` if it is not served.
    pub fn resource_list(&self, group: &str, version: &str) -> Option<Value> {
        let (_, versions) = self.groups.iter().find(|(g, _)| *g == group)?;
        let (_, resources) = versions.iter().find(|(v, _)| *v == version)?;
        let mut entries = Vec::new();
        for resource in resources {
            entries.push(legacy_resource(resource));
            entries.extend(
                resource
                    .subresources
                    .iter()
                    .map(|sub| legacy_subresource(resource, sub)),
            );
        }
        Some(json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": super::api_version(group, version),
            "resources": entries,
        }))
    }

    /// Aggregated `GET /api`.
    pub fn aggregated_core(&self, form: DiscoveryVersion) -> Value {
        self.aggregated(form, str::is_empty)
    }

    /// Aggregated `GET /apis`.
    pub fn aggregated_groups(&self, form: DiscoveryVersion) -> Value {
        self.aggregated(form, |group| !group.is_empty())
    }

    fn aggregated(&self, form: DiscoveryVersion, wanted: impl Fn(&str) -> bool) -> Value {
        let items: Vec<Value> = self
            .groups
            .iter()
            .filter(|(group, _)| wanted(group))
            .map(|(group, versions)| {
                let metadata = if group.is_empty() {
                    json!({})
                } else {
                    json!({"name": group})
                };
                let versions: Vec<Value> = versions
                    .iter()
                    .map(|(version, resources)| {
                        let resources: Vec<Value> =
                            resources.iter().map(|r| aggregated_resource(r)).collect();
                        json!({"version": version, "resources": resources, "freshness": "Current"})
                    })
                    .collect();
                json!({"metadata": metadata, "versions": versions})
            })
            .collect();
        json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": format!("apidiscovery.k8s.io/{}", form.as_str()),
            "metadata": {},
            "items": items,
        })
    }

    fn named_groups(&self) -> impl Iterator<Item = (&'a str, &[(&'a str, Vec<&'a Resource>)])> {
        self.groups
            .iter()
            .filter(|(g, _)| !g.is_empty())
            .map(|(g, v)| (*g, v.as_slice()))
    }
}

fn group_fields(name: &str, versions: &[(&str, Vec<&Resource>)]) -> Value {
    let all: Vec<Value> = versions
        .iter()
        .map(|(v, _)| json!({"groupVersion": format!("{name}/{v}"), "version": v}))
        .collect();
    json!({"name": name, "preferredVersion": all.first(), "versions": all})
}

fn legacy_resource(r: &Resource) -> Value {
    let mut entry = json!({
        "name": r.plural, "singularName": r.singular, "namespaced": r.namespaced, "kind": r.kind, "verbs": r.verbs,
    });
    if !r.short_names.is_empty() {
        entry["shortNames"] = json!(r.short_names);
    }
    if !r.categories.is_empty() {
        entry["categories"] = json!(r.categories);
    }
    entry
}

fn legacy_subresource(r: &Resource, sub: &super::Subresource) -> Value {
    let mut entry = json!({
        "name": format!("{}/{}", r.plural, sub.name), "singularName": "", "namespaced": r.namespaced,
        "kind": sub.kind.as_ref().unwrap_or(&r.kind), "verbs": sub.verbs,
    });
    if let Some(group) = &sub.group {
        entry["group"] = json!(group);
    }
    if let Some(version) = &sub.version {
        entry["version"] = json!(version);
    }
    entry
}

fn aggregated_resource(r: &Resource) -> Value {
    let builtin = r.definition.is_some();
    // The real server leaves group and version of its own kinds empty and fills them for custom ones.
    let own = |kind: &str| {
        if builtin {
            json!({"group": "", "version": "", "kind": kind})
        } else {
            json!({"group": r.group, "version": r.version, "kind": kind})
        }
    };
    let mut entry = json!({
        "resource": r.plural,
        "responseKind": own(&r.kind),
        "scope": if r.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": r.singular,
        "verbs": r.verbs,
    });
    if !r.short_names.is_empty() {
        entry["shortNames"] = json!(r.short_names);
    }
    if !r.categories.is_empty() {
        entry["categories"] = json!(r.categories);
    }
    if !r.subresources.is_empty() {
        let subs: Vec<Value> = r
            .subresources
            .iter()
            .map(|sub| {
                let kind = match (&sub.group, &sub.version, &sub.kind) {
                    (Some(g), Some(v), Some(k)) => json!({"group": g, "version": v, "kind": k}),
                    (_, _, kind) => own(kind.as_ref().unwrap_or(&r.kind)),
                };
                json!({"subresource": sub.name, "responseKind": kind, "verbs": sub.verbs})
            })
            .collect();
        entry["subresources"] = Value::Array(subs);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::super::builtins;
    use super::*;

    #[test]
    fn aggregated_documents_begin_as_the_real_servers_do() {
        let discovery = Discovery::new(builtins());
        let core = discovery.aggregated_core(DiscoveryVersion::V2);
        assert_eq!(core["items"][0]["metadata"], json!({}));
        assert_eq!(
            core["items"][0]["versions"][0]["resources"][0],
            json!({"resource": "bindings", "responseKind": {"group": "", "version": "", "kind": "Binding"},
                   "scope": "Namespaced", "singularResource": "binding", "verbs": ["create"]})
        );
        let groups = discovery.aggregated_groups(DiscoveryVersion::V2Beta1);
        assert_eq!(groups["apiVersion"], "apidiscovery.k8s.io/v2beta1");
        assert_eq!(
            groups["items"][0]["metadata"]["name"],
            "apiregistration.k8s.io"
        );
    }

    #[test]
    fn legacy_documents_list_subresources_and_preferred_versions() {
        let discovery = Discovery::new(builtins());
        let apps = discovery.resource_list("apps", "v1").expect("served");
        let scale = apps["resources"]
            .as_array()
            .expect("list")
            .iter()
            .find(|r| r["name"] == "deployments/scale");
        assert_eq!(
            scale,
            Some(
                &json!({"name": "deployments/scale", "singularName": "", "namespaced": true, "group": "autoscaling",
                         "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]})
            )
        );
        let group = discovery.group("autoscaling").expect("served");
        assert_eq!(group["preferredVersion"]["version"], "v2");
        assert!(discovery.group("nosuch").is_none());
        assert!(discovery.resource_list("apps", "v9").is_none());
    }
}
