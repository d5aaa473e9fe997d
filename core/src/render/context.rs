//! What templates see under `context` (REN-101 … REN-104).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Target;
use crate::api::labels::annotations;
use crate::appfile::{AppComponent, Appfile};
use crate::reads::Reads;

/// Version of a cluster, as its `/version` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterVersion {
    /// Major number.
    pub major: String,
    /// Minor number; some vendors append a `+`.
    pub minor: String,
    /// The whole version, for example `v1.29.0`.
    pub git_version: String,
    /// Operating system and processor.
    pub platform: String,
}

impl ClusterVersion {
    /// Reads a version as people write it: `v1.29.0`, `1.29`.
    ///
    /// # Errors
    /// If there is no major and minor number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let mut parts = numbers.split('.');
        let digits = |part: Option<&str>| {
            let part = part.unwrap_or_default();
            let end = part
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(part.len());
            (end > 0).then(|| part[..end].to_owned())
        };
        match (digits(parts.next()), digits(parts.next())) {
            (Some(major), Some(minor)) => Ok(Self {
                git_version: format!("v{numbers}"),
                platform: "linux/amd64".to_owned(),
                major,
                minor,
            }),
            _ => Err(format!(
                "`{text}` is no cluster version: expected one like v1.29.0"
            )),
        }
    }

    fn minor_number(&self) -> i64 {
        let digits = self
            .minor
            .trim()
            .trim_end_matches(['.', '+', '-', '/', '?', '!']);
        digits.parse().unwrap_or_default()
    }

    /// As templates see it (`context.clusterVersion`).
    pub fn to_json(&self) -> Value {
        json!({
            "major": self.major,
            "minor": self.minor_number(),
            "gitVersion": self.git_version,
            "platform": self.platform,
        })
    }
}

/// The number in `<application>-v<number>`; 0 where there is none.
fn revision_number(revision: &str) -> i64 {
    let last = revision.rsplit_once('-').map_or("", |(_, last)| last);
    last.strip_prefix('v')
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_default()
}

/// A context that is being made of what templates read of it.
struct Context<'a> {
    reads: &'a Reads,
    fields: Map<String, Value>,
}

impl Context<'_> {
    /// Adds a field; it is made only if it is read.
    fn put<T: Serialize>(&mut self, key: &str, value: impl FnOnce() -> T) {
        if let Some(reads) = self.reads.at(key) {
            let value = reads.project(&json!(value()));
            self.fields.insert(key.to_owned(), value);
        }
    }
}

fn base<'a>(appfile: &Appfile, name: &str, target: &Target, reads: &'a Reads) -> Context<'a> {
    let annotation = |key: &str| appfile.annotations.get(key).map_or("", String::as_str);
    let revision = target.revision_or(&appfile.revision);
    let namespace = match target.namespace.as_str() {
        "" => appfile.namespace.as_str(),
        placed => placed,
    };
    let mut context = Context {
        reads,
        fields: Map::new(),
    };
    // Errors are told by this name.
    context.fields.insert("name".to_owned(), name.into());
    context.put("namespace", || namespace);
    context.put("appName", || &appfile.name);
    context.put("appRevision", || revision);
    context.put("appRevisionNum", || revision_number(revision));
    context.put("appLabels", || &appfile.labels);
    context.put("appAnnotations", || &appfile.annotations);
    context.put("components", || -> Vec<_> {
        let parts = appfile.components.iter();
        parts.map(|part| &part.spec).collect()
    });
    context.put("cluster", || target.cluster_in_context());
    context.put("clusterVersion", || target.cluster_version.to_json());
    context.put("publishVersion", || {
        annotation(annotations::PUBLISH_VERSION)
    });
    context.put("workflowName", || annotation(annotations::WORKFLOW_NAME));
    context.put("replicaKey", || &target.replica_key);
    context.put("revision", || &target.component_revision);
    if let Some(custom) = &target.custom {
        context.put("custom", || custom);
    }
    context
}

/// The context of a component and its traits, as far as their templates read it.
pub(super) fn of_component<'a>(
    appfile: &Appfile,
    component: &AppComponent,
    target: &Target,
    templates: impl IntoIterator<Item = &'a String>,
) -> Map<String, Value> {
    let reads = Reads::of("context", templates);
    let mut context = base(appfile, &component.spec.name, target, &reads);
    context.put("componentType", || &component.resolved.type_name);
    context.put("parameter", || &component.spec.properties);
    context.fields
}

/// The context of a policy that renders objects (REN-104), as far as its template reads it.
pub(super) fn of_policy(
    appfile: &Appfile,
    policy: &str,
    target: &Target,
    artifacts: Value,
    template: &String,
) -> Map<String, Value> {
    let reads = Reads::of("context", [template]);
    let mut context = base(appfile, policy, target, &reads);
    context.put("artifacts", || artifacts);
    context.fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_people_write_them() {
        let version = ClusterVersion::parse("1.29").unwrap();
        assert_eq!((version.major.as_str(), version.minor_number()), ("1", 29));
        assert_eq!(
            ClusterVersion::parse("v1.27.3-gke.100").unwrap().minor,
            "27"
        );
        assert!(ClusterVersion::parse("latest").is_err());
    }

    #[test]
    fn a_vendor_plus_does_not_hide_the_minor_number() {
        let version = ClusterVersion {
            minor: "21+".to_owned(),
            ..ClusterVersion::default()
        };
        assert_eq!(version.minor_number(), 21);
        assert_eq!(ClusterVersion::default().minor_number(), 0);
    }

    #[test]
    fn revisions_are_numbered_by_their_end() {
        assert_eq!(revision_number("my-app-v12"), 12);
        assert_eq!(revision_number("my-app"), 0);
        assert_eq!(revision_number(""), 0);
    }
}
