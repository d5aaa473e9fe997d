//! A definition of Kubernetes objects: the values that people usually change become parameters.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::cue::{Field, expression, literal, parameter, string};
use super::{Draft, Word};

/// Fields that become parameters, with their usage.
const KNOBS: [(&str, &str); 8] = [
    ("replicas", "The number of pods"),
    ("image", "The container image"),
    ("schedule", "When it runs, as cron writes it"),
    ("host", "The host name"),
    ("storage", "How much storage is asked for"),
    ("storageClassName", "The class of the storage"),
    ("minReplicas", "The least number of pods"),
    ("maxReplicas", "The greatest number of pods"),
];

pub(super) fn draft(kind: Word, objects: &[Value]) -> Result<Draft> {
    let mut knobs = Knobs {
        names: names(objects),
        ..Knobs::default()
    };
    let mut texts = Vec::new();
    for object in objects {
        for field in ["apiVersion", "kind"] {
            if object[field].as_str().is_none_or(str::is_empty) {
                bail!("an object has no {field}");
            }
        }
        let object = cleaned(object);
        let text = expression(&object, &mut Vec::new(), &mut |path, value| {
            knobs.replace(path, value, &object)
        });
        texts.push((output_name(&object, &texts), text));
    }
    let mut template = String::new();
    let mut imports = Vec::new();
    match kind {
        Word::Component | Word::Policy => {
            for (index, (name, text)) in texts.iter().enumerate() {
                if index == 0 {
                    template.extend([format!("output: {text}\n")]);
                } else {
                    template.extend([format!("outputs: {name}: {text}\n")]);
                }
            }
        }
        Word::Trait => {
            for (name, text) in &texts {
                template.extend([format!("outputs: {name}: {text}\n")]);
            }
        }
        Word::WorkflowStep => {
            imports.push("vela/kube".to_owned());
            for (name, text) in &texts {
                template.extend([format!(
                    "{name}: kube.#Apply & {{\n$params: value: {text}\n}}\n"
                )]);
            }
        }
    }
    template.push_str(&parameter(&knobs.fields));
    Ok(Draft {
        imports,
        attributes: attributes(kind, &objects[0]),
        template,
    })
}

fn attributes(kind: Word, first: &Value) -> String {
    let value = match kind {
        Word::Component => json!({
            "workload": {"definition": {"apiVersion": first["apiVersion"], "kind": first["kind"]}},
        }),
        Word::Trait => json!({"podDisruptive": false, "appliesToWorkloads": ["*"]}),
        _ => json!({}),
    };
    literal(&value)
}

/// Without what a server notes, and without what Caravel sets.
fn cleaned(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in [
            "creationTimestamp",
            "generation",
            "managedFields",
            "namespace",
            "ownerReferences",
            "resourceVersion",
            "selfLink",
            "uid",
        ] {
            metadata.remove(field);
        }
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    object
}

/// `service` for a Service, `service2` for the next one.
fn output_name(object: &Value, known: &[(String, String)]) -> String {
    let kind = object["kind"].as_str().unwrap_or("object").to_lowercase();
    let mut name = kind.clone();
    let mut number = 1;
    while known.iter().any(|(one, _)| *one == name) {
        number += 1;
        name = format!("{kind}{number}");
    }
    name
}

/// The parameters that were found.
#[derive(Default)]
struct Knobs {
    fields: Vec<Field>,
    used: BTreeMap<String, usize>,
    /// What stands for the names of the objects.
    names: BTreeMap<String, String>,
}

impl Knobs {
    /// The expression for a value: a parameter, the name of the component, or nothing special.
    fn replace(&mut self, path: &[String], value: &Value, object: &Value) -> Option<String> {
        if let Some(text) = value.as_str()
            && names_something(path)
            && let Some(expression) = self.names.get(text)
        {
            return Some(expression.clone());
        }
        let key = path.last()?;
        let (_, usage) = KNOBS.iter().find(|(knob, _)| knob == key)?;
        let type_ = match value {
            Value::String(text) => format!("*{} | string", string(text)),
            Value::Number(number) if number.is_i64() => format!("*{number} | int"),
            _ => return None,
        };
        let parameter = self.name(key, path, object);
        self.fields.push(Field {
            name: parameter.clone(),
            usage: (*usage).to_owned(),
            type_,
            optional: false,
        });
        Some(format!("parameter.{parameter}"))
    }

    /// A name that no other parameter has: the second image is that of its container.
    fn name(&mut self, key: &str, path: &[String], object: &Value) -> String {
        let mut name = key.to_owned();
        if self.used.contains_key(&name) {
            let mut parents = path[..path.len() - 1].iter();
            let parent = parents.try_fold(object, |value, part| match value {
                Value::Array(list) => list.get(part.parse::<usize>().ok()?),
                other => other.get(part),
            });
            let owner = parent
                .and_then(|parent| parent["name"].as_str())
                .unwrap_or_default();
            let owner = super::super::gen_api::type_name(owner);
            let mut letters = owner.chars();
            if let Some(first) = letters.next().filter(char::is_ascii_alphabetic) {
                let rest: String = letters.filter(char::is_ascii_alphanumeric).collect();
                let key = super::super::gen_api::type_name(key);
                name = format!("{}{rest}{key}", first.to_ascii_lowercase());
            }
        }
        let count = self.used.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            format!("{name}{count}")
        } else {
            name
        }
    }
}

/// The first object has the name of the component; names that begin with it follow it.
fn names(objects: &[Value]) -> BTreeMap<String, String> {
    let mut all = objects
        .iter()
        .filter_map(|object| object["metadata"]["name"].as_str());
    let Some(first) = all.next() else {
        return BTreeMap::new();
    };
    let mut names = BTreeMap::from([(first.to_owned(), "context.name".to_owned())]);
    for name in all {
        if let Some(rest) = name
            .strip_prefix(first)
            .filter(|rest| rest.starts_with('-'))
        {
            names.insert(name.to_owned(), format!("\"\\(context.name){rest}\""));
        }
    }
    names
}

/// Whether a value at a path is a name or chooses by one: a text elsewhere only looks like it.
fn names_something(path: &[String]) -> bool {
    let is_name = path
        .last()
        .is_some_and(|key| key.to_lowercase().ends_with("name"));
    is_name
        || path
            .iter()
            .any(|part| matches!(part.as_str(), "labels" | "matchLabels" | "selector"))
}
