//! `x-kubernetes-validations`: CEL rules.

use super::fields::undeclared;
use super::node::{Additional, Node};
use crate::field::{Error, ErrorKind, Errors, Path};
use kube_cel::{CompiledSchema, compile_schema, validate_compiled};
use serde_json::Value;
use std::fmt;

/// The rules of one node. The types below it are known, the rules below it are not: each node has its own.
pub(super) struct Rules {
    compiled: CompiledSchema,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("count", &self.compiled.validations.len())
            .finish()
    }
}

impl Rules {
    /// Compiles the rules of a node; `None` if it has none.
    pub(super) fn compile(schema: &Value, path: &str, errors: &mut Errors) -> Option<Self> {
        let rules = schema
            .get("x-kubernetes-validations")?
            .as_array()
            .filter(|r| !r.is_empty())?;
        let mut own = without_rules(schema);
        own["x-kubernetes-validations"] = rules.clone().into();
        let compiled = compile_schema(&own);
        let root = path.ends_with("openAPIV3Schema");
        for (i, result) in compiled.validations.iter().enumerate() {
            let fault = match result {
                Err(error) => Some(error.to_string()),
                Ok(compiled) => undeclared(compiled.program.expression(), schema, root)
                    .map(|field| format!("undefined field '{field}'")),
            };
            if let Some(fault) = fault {
                let rule = rules
                    .get(i)
                    .and_then(|r| r.get("rule"))
                    .cloned()
                    .unwrap_or_default();
                let at = format!("{path}.x-kubernetes-validations[{i}].rule");
                errors.push(Error::invalid(
                    at,
                    rule,
                    format!("compilation failed: {fault}"),
                ));
            }
        }
        Some(Self { compiled })
    }

    fn evaluate(&self, value: &Value, old: Option<&Value>, path: &Path<'_>, errors: &mut Errors) {
        let Err(found) = validate_compiled(&self.compiled, value, old) else {
            return;
        };
        let unchanged = old == Some(value);
        for failure in found.into_vec() {
            // Ratcheting: what did not change is judged only by rules on the change itself.
            if unchanged && !failure.rule.contains("oldSelf") {
                continue;
            }
            errors.push(to_error(&failure, path));
        }
    }
}

fn to_error(failure: &kube_cel::ValidationError, path: &Path<'_>) -> Error {
    let below = failure.field_path.trim_start_matches('.');
    let field = match (path.is_root(), below) {
        (_, "") => path.to_string(),
        (true, below) => below.to_owned(),
        (false, below) => format!("{path}.{below}"),
    };
    let kind = match failure.reason.as_deref() {
        Some("FieldValueForbidden") => ErrorKind::Forbidden,
        Some("FieldValueRequired") => ErrorKind::Required,
        Some("FieldValueDuplicate") => ErrorKind::Duplicate,
        _ => ErrorKind::Invalid,
    };
    Error {
        field,
        kind,
        bad_value: None,
        detail: failure.message.clone(),
    }
}

fn without_rules(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| *key != "x-kubernetes-validations")
            .map(|(key, inner)| (key.clone(), without_rules(inner)))
            .collect(),
        Value::Array(list) => list.iter().map(without_rules).collect(),
        other => other.clone(),
    }
}

/// Evaluates all rules.
pub(super) fn validate(object: &Value, old: Option<&Value>, root: &Node) -> Errors {
    let mut errors = Errors::new();
    walk(object, old, root, &Path::ROOT, &mut errors);
    errors
}

fn walk(value: &Value, old: Option<&Value>, node: &Node, path: &Path<'_>, errors: &mut Errors) {
    if !node.has_rules() || value.is_null() {
        return;
    }
    if let Some(rules) = &node.rules {
        rules.evaluate(value, old, path, errors);
    }
    match value {
        Value::Object(map) => {
            let is_map = matches!(node.additional, Additional::Of(_));
            for (name, child) in map {
                if let Some(inner) = node.child(name) {
                    let at = if is_map {
                        path.key(name)
                    } else {
                        path.field(name)
                    };
                    walk(child, old.and_then(|o| o.get(name)), inner, &at, errors);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &node.items {
                for (i, item) in list.iter().enumerate() {
                    walk(
                        item,
                        node.correlate(item, old),
                        items,
                        &path.index(i),
                        errors,
                    );
                }
            }
        }
        _ => {}
    }
}

/// Does the error keep CEL rules from being evaluated?
pub(super) fn blocks(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::NotSupported
            | ErrorKind::Required
            | ErrorKind::TooLong
            | ErrorKind::TooMany
            | ErrorKind::TypeInvalid
    )
}

/// What is said when the rules were not evaluated.
pub(super) fn not_checked() -> Error {
    Error::invalid(
        "<nil>",
        Value::Null,
        "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
    )
}
