//! In whose name an Application acts (MC-015, MC-016).
//!
//! With authentication, whoever writes an Application is recorded in its annotations, and all that it reads and writes while it is
//! delivered is asked for in that name: nobody gets with an Application what he could not get without. Without it, an annotation may
//! name a service account for the hub.

use caravel_apiserver::Identity;
use caravel_clusters::connect::ActingAs;
use caravel_core::api::Application;
use caravel_core::api::labels::annotations::{GROUP, SERVICE_ACCOUNT_NAME, USERNAME};
use kube::ResourceExt as _;
use serde_json::{Value, json};

/// The daemon's own user. What it writes into an Application changes no author.
pub const DAEMON: &str = "system:caravel";

/// Applications act with their author's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// Which of the author's groups count: `*` stands for any text.
    pub group_pattern: String,
    /// The user for Applications that nobody is known to have written.
    pub default_user: String,
}

impl Default for Authentication {
    fn default() -> Self {
        Self {
            group_pattern: "*".to_owned(),
            default_user: "kubevela:vela-core".to_owned(),
        }
    }
}

impl Authentication {
    /// Records who writes an Application, whatever the manifest says.
    ///
    /// # Errors
    /// In KubeVela's words, if the Application names a service account.
    pub(crate) fn stamp(&self, user: &Identity, object: &mut Value) -> Result<(), &'static str> {
        if user.user == DAEMON && user.is_master() {
            return Ok(());
        }
        if object["metadata"]["annotations"][SERVICE_ACCOUNT_NAME].is_string() {
            return Err("service-account annotation is not permitted when authentication enabled");
        }
        // A comma separates groups: a name with one would be read as several.
        let counts = |group: &&String| !group.contains(',') && matches(&self.group_pattern, group);
        let groups: Vec<&str> = user
            .groups
            .iter()
            .filter(counts)
            .map(String::as_str)
            .collect();
        if !object["metadata"]["annotations"].is_object() {
            object["metadata"]["annotations"] = json!({});
        }
        let annotations = &mut object["metadata"]["annotations"];
        annotations[USERNAME] = user.user.as_str().into();
        annotations[GROUP] = groups.join(",").into();
        Ok(())
    }
}

/// Who an Application acts as; none for the daemon itself.
pub(crate) fn acting_as(
    application: &Application,
    authentication: Option<&Authentication>,
) -> Option<ActingAs> {
    let annotation = |name: &str| {
        let annotations = application.annotations();
        annotations.get(name).filter(|text| !text.is_empty())
    };
    match authentication {
        None => annotation(SERVICE_ACCOUNT_NAME).map(|account| {
            let namespace = application.namespace().unwrap_or_default();
            ActingAs {
                user: format!("system:serviceaccount:{namespace}:{account}"),
                groups: Vec::new(),
                on_hub_only: true,
            }
        }),
        Some(authentication) => {
            let groups = annotation(GROUP).map(|text| text.split(',').map(str::to_owned).collect());
            let user = annotation(USERNAME).unwrap_or(&authentication.default_user);
            Some(ActingAs {
                user: user.clone(),
                groups: groups.unwrap_or_default(),
                on_hub_only: false,
            })
        }
    }
}

/// Whether a text has a form in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(start) else {
        return false;
    };
    let mut ends = text.char_indices().map(|(at, _)| at).collect::<Vec<_>>();
    ends.push(text.len());
    ends.into_iter().any(|at| matches(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(annotations: &Value) -> Application {
        serde_json::from_value(json!({
            "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
            "metadata": {"name": "a", "namespace": "demo", "annotations": annotations},
            "spec": {"components": []},
        }))
        .expect("an Application")
    }

    #[test]
    fn the_author_is_who_writes_not_who_is_named() {
        let rules = Authentication {
            group_pattern: "kubevela:*".to_owned(),
            ..Authentication::default()
        };
        let groups = [
            "kubevela:dev",
            "system:masters",
            "kubevela:a,system:masters",
        ];
        let ann = Identity::new("ann", groups);
        let mut object =
            json!({"metadata": {"annotations": {USERNAME: "root", GROUP: "system:masters"}}});
        assert_eq!(rules.stamp(&ann, &mut object), Ok(()));
        assert_eq!(
            object["metadata"]["annotations"],
            json!({USERNAME: "ann", GROUP: "kubevela:dev"})
        );
        let before = object.clone();
        let daemon = Identity::admin(DAEMON);
        assert_eq!(rules.stamp(&daemon, &mut object), Ok(()));
        assert_eq!(object, before);
        let impostor = Identity::new(DAEMON, ["kubevela:x"]);
        assert_eq!(rules.stamp(&impostor, &mut object), Ok(()));
        assert_eq!(object["metadata"]["annotations"][GROUP], "kubevela:x");
        object["metadata"]["annotations"][SERVICE_ACCOUNT_NAME] = "sa".into();
        assert!(rules.stamp(&ann, &mut object).is_err());
    }

    #[test]
    fn who_acts_depends_on_authentication() {
        let rules = Authentication::default();
        let written = application(&json!({USERNAME: "ann", GROUP: "dev,ops"}));
        let ann = acting_as(&written, Some(&rules)).expect("an author");
        assert_eq!((ann.user.as_str(), ann.groups.len()), ("ann", 2));
        let nobody = acting_as(&application(&json!({})), Some(&rules)).expect("a default");
        assert_eq!(nobody.user, "kubevela:vela-core");
        assert_eq!(acting_as(&written, None), None);
        let account = application(&json!({SERVICE_ACCOUNT_NAME: "deployer"}));
        let account = acting_as(&account, None).expect("a service account");
        assert_eq!(account.user, "system:serviceaccount:demo:deployer");
        assert!(account.on_hub_only);
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("kubevela:*", "kubevela:dev", true),
            ("kubevela:*", "dev", false),
            ("*:dev", "kubevela:dev", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("dev", "dev", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
