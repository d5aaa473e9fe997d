//! What a health policy compares the workload with: a value that its kind cannot have is never there.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use caravel_core::engine::Position;
use regex::Regex;
use serde_json::{Value, json};

use super::problem::Problem;
use super::served::{Fault, Served};
use super::source::Source;

/// `context.output.spec.replicas == 3`, or a name for that field in its place.
static COMPARISON: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?P<side>[A-Za-z_][\w.]*)\s*(?:==|<=|>=|<|>)\s*(?P<value>"(?:[^"\\]|\\.)*"|-?\d+|true|false)"#).ok()
});

/// `replicas: context.output.spec.replicas`.
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?m)^\s*(?P<name>\w+):\s*context\.output\.(?P<path>[A-Za-z_][\w.]*)\s*$").ok()
});

/// The comparisons of a health policy that can never come true, because of the kind of the workload.
pub(super) fn impossible(source: &Source, served: &Served) -> Vec<Problem> {
    let definition = &source.definition;
    let policy = definition.status.health_policy.as_str();
    let workload = definition.workload.as_ref();
    let (Some(workload), Some(comparison), Some(name)) = (
        workload.filter(|said| !said.kind.is_empty()),
        COMPARISON.as_ref(),
        NAME.as_ref(),
    ) else {
        return Vec::new();
    };
    let names: BTreeMap<&str, &str> = name
        .captures_iter(policy)
        .filter_map(|found| Some((found.name("name")?.as_str(), found.name("path")?.as_str())))
        .collect();
    let bare = json!({"apiVersion": workload.api_version, "kind": workload.kind});
    let known = served.faults(&bare);
    let mut problems = Vec::new();
    for found in comparison.captures_iter(policy) {
        let (Some(side), Some(value)) = (found.name("side"), found.name("value")) else {
            continue;
        };
        let path = side.as_str().strip_prefix("context.output.");
        let Some(path) = path.or_else(|| names.get(side.as_str()).copied()) else {
            continue;
        };
        let Ok(value) = serde_json::from_str::<Value>(value.as_str()) else {
            continue;
        };
        let object = with(bare.clone(), path, value);
        let is_new = |fault: &Fault| known.iter().all(|one| one.message != fault.message);
        let Some(fault) = served.faults(&object).into_iter().find(is_new) else {
            continue;
        };
        let message = format!("the health policy can never be true: {}", fault.message);
        let problem = Problem::of_file(&source.file, message).warning();
        let place = place(policy, side.start()).and_then(|place| source.lift(&place));
        problems.push(match place {
            Some((line, column)) => problem.at(&source.text, line, column),
            None => problem,
        });
    }
    problems
}

/// The object with a value at a path of names.
fn with(mut object: Value, path: &str, value: Value) -> Value {
    let mut here = &mut object;
    for name in path.split('.') {
        here = &mut here[name];
    }
    *here = value;
    object
}

fn place(text: &str, offset: usize) -> Option<Position> {
    let before = text.get(..offset)?;
    let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1) + 1;
    Some(Position {
        file: "status/healthPolicy.cue".to_owned(),
        line: u32::try_from(before.matches('\n').count() + 1).ok()?,
        column: u32::try_from(column).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(policy: &str) -> Vec<String> {
        let object = json!({
            "apiVersion": "core.oam.dev/v1beta1", "kind": "ComponentDefinition", "metadata": {"name": "d"},
            "spec": {"workload": {"definition": {"apiVersion": "apps/v1", "kind": "Deployment"}},
                "status": {"healthPolicy": policy}, "schematic": {"cue": {"template": "output: {}"}}},
        });
        let source = Source::new("d.yaml", &policy.into(), object).expect("a definition");
        let problems = impossible(&source, &Served::default()).into_iter();
        problems
            .map(|one| format!("{}:{} {}", one.line, one.column, one.message))
            .collect()
    }

    #[test]
    fn values_that_the_kind_cannot_have_are_found() {
        for good in [
            "isHealth: context.output.spec.replicas == 3",
            "n: context.output.status.readyReplicas\nisHealth: n >= 1",
            "isHealth: parameter.replicas == \"three\"",
            "isHealth: context.output.metadata.name == \"a\"",
        ] {
            assert_eq!(said(good), [""; 0], "{good}");
        }
        let never = "the health policy can never be true: Deployment";
        assert_eq!(
            said("n: context.output.spec.replicas\nisHealth: n == \"three\""),
            [format!(
                "2:11 {never} takes a int32 in `spec.replicas`, and not a string"
            )]
        );
        assert_eq!(
            said("isHealth: context.output.status.readyReplica == 1"),
            [format!("1:11 {never} has no field `status.readyReplica`")]
        );
    }
}
