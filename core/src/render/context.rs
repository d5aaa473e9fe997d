//! What templates see under `context` (REN-101 … REN-104).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Target;
use crate::api::labels::annotations;
use crate::appfile::{AppComponent, Appfile};

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

fn base(appfile: &Appfile, name: &str, target: &Target) -> Map<String, Value> {
    let annotation = |key: &str| appfile.annotations.get(key).map_or("", String::as_str);
    let revision = target.revision_or(&appfile.revision);
    let namespace = match target.namespace.as_str() {
        "" => appfile.namespace.as_str(),
        placed => placed,
    };
    let components: Vec<_> = appfile.components.iter().map(|part| &part.spec).collect();
    let fields = json!({
        "name": name,
        "namespace": namespace,
        "appName": appfile.name,
        "appRevision": revision,
        "appRevisionNum": revision_number(revision),
        "appLabels": appfile.labels,
        "appAnnotations": appfile.annotations,
        "components": components,
        "cluster": target.cluster_in_context(),
        "clusterVersion": target.cluster_version.to_json(),
        "publishVersion": annotation(annotations::PUBLISH_VERSION),
        "workflowName": annotation(annotations::WORKFLOW_NAME),
        "replicaKey": target.replica_key,
        "revision": target.component_revision,
    });
    let mut context = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if let Some(custom) = &target.custom {
        context.insert("custom".to_owned(), custom.clone());
    }
    context
}

/// The context of a component and its traits.
pub(super) fn of_component(
    appfile: &Appfile,
    component: &AppComponent,
    target: &Target,
) -> Map<String, Value> {
    let mut context = base(appfile, &component.spec.name, target);
    context.insert(
        "componentType".to_owned(),
        component.resolved.type_name.as_str().into(),
    );
    context
}

/// The context of a policy that renders objects (REN-104).
pub(super) fn of_policy(
    appfile: &Appfile,
    policy: &str,
    target: &Target,
    artifacts: Value,
) -> Map<String, Value> {
    let mut context = base(appfile, policy, target);
    context.insert("artifacts".to_owned(), artifacts);
    context
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
