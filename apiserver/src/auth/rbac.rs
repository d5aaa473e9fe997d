//! Role-based access control: which rules a user has, and what they allow.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::identity::Identity;
use crate::request::Target;
use crate::store::{Key, Range, Store};

pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";
const KINDS: [&str; 4] = [
    "clusterroles",
    "clusterrolebindings",
    "roles",
    "rolebindings",
];

/// What is allowed: all combinations of what it lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Rule {
    pub(crate) verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) api_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub(crate) non_resource_urls: Vec<String>,
}

fn any(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

impl Rule {
    /// Does the rule allow the request?
    pub(crate) fn allows(&self, target: &Target) -> bool {
        if !any(&self.verbs, target.verb) {
            return false;
        }
        if !target.is_resource() {
            return self
                .non_resource_urls
                .iter()
                .any(|url| match url.strip_suffix('*') {
                    Some(prefix) => target.path.starts_with(prefix),
                    None => *url == target.path,
                });
        }
        any(&self.api_groups, &target.group)
            && self.allows_resource(&target.resource, &target.subresource)
            && (self.resource_names.is_empty() || self.resource_names.contains(&target.name))
    }

    fn allows_resource(&self, resource: &str, subresource: &str) -> bool {
        if subresource.is_empty() {
            return any(&self.resources, resource);
        }
        let (exact, every) = (
            format!("{resource}/{subresource}"),
            format!("*/{subresource}"),
        );
        self.resources
            .iter()
            .any(|item| item == "*" || *item == exact || *item == every)
    }

    /// The smallest parts of the rule: one verb, one group, one resource, one name.
    fn parts(&self) -> Vec<Self> {
        let mut parts = Vec::new();
        let one = |value: &String| vec![value.clone()];
        for verb in &self.verbs {
            for url in &self.non_resource_urls {
                parts.push(Self {
                    verbs: one(verb),
                    non_resource_urls: one(url),
                    ..Self::default()
                });
            }
            for group in &self.api_groups {
                for resource in &self.resources {
                    let part = Self {
                        verbs: one(verb),
                        api_groups: one(group),
                        resources: one(resource),
                        ..Self::default()
                    };
                    if self.resource_names.is_empty() {
                        parts.push(part);
                        continue;
                    }
                    parts.extend(self.resource_names.iter().map(|name| Self {
                        resource_names: one(name),
                        ..part.clone()
                    }));
                }
            }
        }
        parts
    }

    /// Does one of `rules` allow all that this smallest part allows?
    fn is_covered_by(&self, rules: &[Self]) -> bool {
        rules.iter().any(|rule| {
            let verb = self.verbs.iter().all(|verb| any(&rule.verbs, verb));
            if !self.non_resource_urls.is_empty() {
                return verb
                    && self
                        .non_resource_urls
                        .iter()
                        .all(|url| covers_url(&rule.non_resource_urls, url));
            }
            verb && self
                .api_groups
                .iter()
                .all(|group| any(&rule.api_groups, group))
                && self
                    .resources
                    .iter()
                    .all(|resource| covers_resource(&rule.resources, resource))
                && (rule.resource_names.is_empty()
                    || (!self.resource_names.is_empty()
                        && self
                            .resource_names
                            .iter()
                            .all(|name| rule.resource_names.contains(name))))
        })
    }

    /// The rule as Kubernetes prints it in refusals.
    fn to_text(&self) -> String {
        let list = |values: &[String]| {
            let quoted: Vec<String> = values
                .iter()
                .map(|value| caravel_schema::field::quote(value))
                .collect();
            format!("[{}]", quoted.join(" "))
        };
        let mut parts = Vec::new();
        for (title, values) in [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("ResourceNames", &self.resource_names),
            ("NonResourceURLs", &self.non_resource_urls),
            ("Verbs", &self.verbs),
        ] {
            if !values.is_empty() {
                parts.push(format!("{title}:{}", list(values)));
            }
        }
        format!("{{{}}}", parts.join(", "))
    }
}

fn covers_url(owned: &[String], wanted: &str) -> bool {
    owned.iter().any(|url| {
        url == "*"
            || url == wanted
            || url
                .strip_suffix('*')
                .is_some_and(|prefix| wanted.starts_with(prefix))
    })
}

fn covers_resource(owned: &[String], wanted: &str) -> bool {
    let every = wanted
        .split_once('/')
        .map(|(_, subresource)| format!("*/{subresource}"));
    owned
        .iter()
        .any(|item| item == "*" || item == wanted || Some(item) == every.as_ref())
}

/// What of `wanted` is not covered by `owned`, as text.
pub(crate) fn missing(wanted: &[Rule], owned: &[Rule]) -> Vec<String> {
    let mut texts: Vec<String> = wanted
        .iter()
        .flat_map(Rule::parts)
        .filter(|part| !part.is_covered_by(owned))
        .map(|part| part.to_text())
        .collect();
    texts.sort();
    texts.dedup();
    texts
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Subject {
    kind: String,
    name: String,
    namespace: String,
}

impl Subject {
    fn is(&self, user: &Identity) -> bool {
        match self.kind.as_str() {
            "User" => self.name == user.user,
            "Group" => user.groups.contains(&self.name),
            "ServiceAccount" => {
                user.user == format!("system:serviceaccount:{}:{}", self.namespace, self.name)
            }
            _ => false,
        }
    }

    fn to_text(&self) -> String {
        let name = if self.kind == "ServiceAccount" {
            format!("{}/{}", self.name, self.namespace)
        } else {
            self.name.clone()
        };
        format!("{} {}", self.kind, caravel_schema::field::quote(&name))
    }
}

/// A binding of subjects to the rules of a role.
#[derive(Debug)]
struct Binding {
    name: String,
    role: String,
    subjects: Vec<Subject>,
    rules: Arc<Vec<Rule>>,
}

/// All bindings, resolved.
#[derive(Debug, Default)]
struct Index {
    cluster: Vec<Binding>,
    by_namespace: HashMap<String, Vec<Binding>>,
}

/// Rules of the objects in the store; read again when one of these changes.
#[derive(Default)]
pub(crate) struct Rbac {
    cached: ArcSwapOption<([u64; 4], Index)>,
}

impl Rbac {
    fn index(&self, store: &Store) -> Arc<([u64; 4], Index)> {
        let now = KINDS.map(|kind| store.changed(&stored(kind)));
        if let Some(cached) = self.cached.load_full().filter(|cached| cached.0 == now) {
            return cached;
        }
        let fresh = Arc::new((now, Index::read(store)));
        self.cached.store(Some(Arc::clone(&fresh)));
        fresh
    }

    /// Why the request is allowed; `None` if it is not.
    pub(crate) fn allows(&self, store: &Store, user: &Identity, target: &Target) -> Option<String> {
        let index = self.index(store);
        index
            .1
            .bindings(user, &target.namespace)
            .find_map(|(binding, subject, kind)| {
                let allowed = binding.rules.iter().any(|rule| rule.allows(target));
                allowed.then(|| {
                    let quote = caravel_schema::field::quote;
                    let name = if kind == "RoleBinding" {
                        format!("{}/{}", binding.name, target.namespace)
                    } else {
                        binding.name.clone()
                    };
                    format!(
                        "RBAC: allowed by {kind} {} of {} to {}",
                        quote(&name),
                        binding.role,
                        subject.to_text()
                    )
                })
            })
    }

    /// The rules that a user has in a namespace (everywhere, if it is empty).
    pub(crate) fn rules(&self, store: &Store, user: &Identity, namespace: &str) -> Vec<Rule> {
        let index = self.index(store);
        index
            .1
            .bindings(user, namespace)
            .flat_map(|(binding, _, _)| binding.rules.as_ref().clone())
            .collect()
    }
}

impl Index {
    fn read(store: &Store) -> Self {
        let objects = |kind: &str| {
            let listed = store.list(&stored(kind), &Range::default(), |_| true);
            listed.map(|listed| listed.objects).unwrap_or_default()
        };
        let mut index = Self::default();
        for object in objects("clusterrolebindings") {
            index
                .cluster
                .extend(binding(store, "", &object.key.name, &object.value()));
        }
        for object in objects("rolebindings") {
            let namespace = &object.key.namespace;
            let binding = binding(store, namespace, &object.key.name, &object.value());
            index
                .by_namespace
                .entry(namespace.to_string())
                .or_default()
                .extend(binding);
        }
        index
    }

    fn bindings<'a>(
        &'a self,
        user: &'a Identity,
        namespace: &str,
    ) -> impl Iterator<Item = (&'a Binding, &'a Subject, &'static str)> {
        let local = self
            .by_namespace
            .get(namespace)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let cluster = self
            .cluster
            .iter()
            .map(|binding| (binding, "ClusterRoleBinding"));
        cluster
            .chain(local.iter().map(|binding| (binding, "RoleBinding")))
            .filter_map(move |(binding, kind)| {
                let subject = binding.subjects.iter().find(|subject| subject.is(user))?;
                Some((binding, subject, kind))
            })
    }
}

fn stored(kind: &str) -> String {
    format!("{kind}.{GROUP}")
}

fn binding(store: &Store, namespace: &str, name: &str, object: &Value) -> Option<Binding> {
    let mut subjects: Vec<Subject> =
        serde_json::from_value(object.get("subjects")?.clone()).ok()?;
    for subject in &mut subjects {
        if subject.kind == "ServiceAccount" && subject.namespace.is_empty() {
            namespace.clone_into(&mut subject.namespace);
        }
    }
    let rules = role_rules(store, namespace, &object["roleRef"])?;
    let role = format!(
        "{} {}",
        object["roleRef"]["kind"].as_str()?,
        caravel_schema::field::quote(object["roleRef"]["name"].as_str()?)
    );
    Some(Binding {
        name: name.to_owned(),
        role,
        subjects,
        rules: Arc::new(rules),
    })
}

/// The rules of the role that a binding refers to.
pub(crate) fn role_rules(store: &Store, namespace: &str, reference: &Value) -> Option<Vec<Rule>> {
    let name = reference["name"].as_str()?;
    let key = match reference["kind"].as_str()? {
        "ClusterRole" => Key::new(stored("clusterroles"), "", name),
        "Role" => Key::new(stored("roles"), namespace, name),
        _ => return None,
    };
    Some(rules_of(&store.get(&key)?.value()))
}

/// The rules of a role.
pub(crate) fn rules_of(role: &Value) -> Vec<Rule> {
    role.get("rules")
        .and_then(|rules| serde_json::from_value(rules.clone()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> Rule {
        let own = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
        Rule {
            verbs: own(verbs),
            api_groups: own(groups),
            resources: own(resources),
            resource_names: own(names),
            non_resource_urls: Vec::new(),
        }
    }

    fn target(verb: &'static str, resource: &str, subresource: &str, name: &str) -> Target {
        Target {
            verb,
            resource: resource.into(),
            subresource: subresource.into(),
            name: name.into(),
            ..Target::default()
        }
    }

    #[test]
    fn rules_allow_what_they_list_and_nothing_else() {
        let pods = rule(&["get"], &[""], &["pods", "*/scale"], &[]);
        assert!(pods.allows(&target("get", "pods", "", "a")));
        assert!(!pods.allows(&target("get", "pods", "log", "a")));
        assert!(pods.allows(&target("get", "deployments", "scale", "a")));
        assert!(!pods.allows(&target("delete", "pods", "", "a")));
        let named = rule(&["*"], &["*"], &["*"], &["only"]);
        assert!(named.allows(&target("get", "pods", "log", "only")));
        assert!(!named.allows(&target("list", "pods", "", "")));
        let urls = Rule {
            non_resource_urls: vec!["/healthz".into(), "/apis/*".into()],
            ..rule(&["get"], &[], &[], &[])
        };
        let path = |path: &str| Target {
            verb: "get",
            path: path.into(),
            ..Target::default()
        };
        assert!(
            urls.allows(&path("/apis/apps"))
                && urls.allows(&path("/healthz"))
                && !urls.allows(&path("/metrics"))
        );
    }

    #[test]
    fn what_is_not_held_is_named() {
        let owned = [
            rule(&["get", "list"], &[""], &["pods"], &[]),
            rule(&["*"], &["apps"], &["*"], &["mine"]),
        ];
        assert!(missing(&[rule(&["get"], &[""], &["pods"], &["x"])], &owned).is_empty());
        assert!(
            missing(
                &[rule(&["patch"], &["apps"], &["deployments"], &["mine"])],
                &owned
            )
            .is_empty()
        );
        assert_eq!(
            missing(&[rule(&["get", "delete"], &[""], &["pods"], &[])], &owned),
            [r#"{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}"#]
        );
        assert_eq!(
            missing(&[rule(&["get"], &["apps"], &["deployments"], &[])], &owned).len(),
            1
        );
    }
}
