//! Nobody gives away rights that they do not have.

use serde_json::{Value, json};

use super::Auth;
use super::rbac::{GROUP, Rule, missing, role_rules, rules_of};
use crate::catalog::Kind;
use crate::core::Core;
use crate::identity::Identity;
use crate::request::Target;
use crate::status::{Result, Status};

const AGGREGATION: &str = "must have cluster-admin privileges to use the aggregationRule";

/// A role with all rights.
fn everything() -> Value {
    json!({"rules": [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]})
}

impl Auth {
    /// Refuses a role or binding that grants more than its writer has.
    pub(crate) fn check_escalation(
        &self,
        core: &Core,
        kind: &Kind,
        user: &Identity,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<()> {
        if kind.group() != GROUP || user.is_master() {
            return Ok(());
        }
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let (rules, verb, role) = match kind.plural() {
            "roles" | "clusterroles" => {
                let same = |field: &str| old.is_some_and(|old| old.get(field) == object.get(field));
                if object["aggregationRule"].is_object() && !same("aggregationRule") {
                    // Whoever labels a role could give it any right.
                    self.check_rules(
                        core,
                        kind,
                        user,
                        (namespace, name),
                        &rules_of(&everything()),
                    )
                    .map_err(|_| Status::forbidden(GROUP, kind.plural(), name, AGGREGATION))?;
                }
                if same("rules") {
                    return Ok(());
                }
                (rules_of(object), "escalate", (kind.plural(), name))
            }
            _ => {
                let same = |field: &str| old.is_some_and(|old| old.get(field) == object.get(field));
                if same("roleRef") && same("subjects") {
                    return Ok(());
                }
                let reference = &object["roleRef"];
                let role = if reference["kind"] == "ClusterRole" {
                    "clusterroles"
                } else {
                    "roles"
                };
                let Some(role_name) = reference["name"].as_str() else {
                    return Ok(());
                };
                let Some(rules) = role_rules(&core.store, namespace, reference) else {
                    return Err(Status::not_found(GROUP, role, role_name));
                };
                (rules, "bind", (role, role_name))
            }
        };
        let target = Target {
            verb,
            group: GROUP.to_owned(),
            version: "v1".to_owned(),
            resource: role.0.to_owned(),
            namespace: namespace.to_owned(),
            name: role.1.to_owned(),
            ..Target::default()
        };
        if self.decide(core, user, &target).allowed {
            return Ok(());
        }
        self.check_rules(core, kind, user, (namespace, name), &rules)
    }

    fn check_rules(
        &self,
        core: &Core,
        kind: &Kind,
        user: &Identity,
        (namespace, name): (&str, &str),
        rules: &[Rule],
    ) -> Result<()> {
        let missing = missing(rules, &self.rbac.rules(&core.store, user, namespace));
        if missing.is_empty() {
            return Ok(());
        }
        let quote = caravel_schema::field::quote;
        let groups: Vec<String> = user.groups.iter().map(|group| quote(group)).collect();
        let why = format!(
            "user {} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
            quote(&user.user),
            groups.join(" "),
            missing.join("\n")
        );
        Err(Status::forbidden(GROUP, kind.plural(), name, &why))
    }
}
