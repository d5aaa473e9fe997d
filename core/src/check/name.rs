//! Names that become names of objects and values of labels.

use serde_json::Value;

use crate::api::{Application, labels};
use crate::appfile::{Finding, FindingKind, own_revision};

/// What a revision's name adds to that of its Application, at least: `-v1`.
const REVISION: usize = 3;
/// Longest name of an object.
const SUBDOMAIN: usize = 253;

/// Whether most kinds of objects can have this name (RFC 1123: parts of a-z, 0-9 and `-` between dots).
pub fn is_subdomain(text: &str) -> bool {
    let is_part = |part: &str| {
        let inner = part
            .trim_start_matches(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        inner.is_empty() && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= SUBDOMAIN && text.split('.').all(is_part)
}

/// Whether it can be the name of a container: one part of [`is_subdomain`], and short.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= labels::LONGEST_VALUE && !text.contains('.') && is_subdomain(text)
}

/// The names of the components of an Application.
pub(super) fn names_of_components(app: &Application) -> Vec<&str> {
    let components = app.spec.components.iter();
    components
        .map(|component| component.name.as_str())
        .collect()
}

/// Names that nothing can be delivered under: every object carries them in its labels.
pub(super) fn misnamed(app: &Application) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = app.metadata.name.as_deref().unwrap_or_default();
    let is_generated = app.metadata.generate_name.is_some();
    if name.is_empty() && !is_generated {
        findings.push(missing("metadata.name", "the Application has no name"));
    } else if !name.is_empty() && !is_subdomain(name) {
        findings.push(no_name(name));
    } else if name.len() + REVISION > labels::LONGEST_VALUE {
        let revision = format!("{name}-v1");
        findings.push(too_long("Application", name, &revision, REVISION));
    }
    for (index, component) in app.spec.components.iter().enumerate() {
        let path = format!("spec.components[{index}].name");
        if component.name.is_empty() {
            findings.push(missing(&path, "the component has no name"));
        } else if !labels::is_value(&component.name) {
            findings.push(wrong(
                &path,
                "this cannot be the name of a component: it becomes the value of a label",
                &component.name,
            ));
        }
    }
    findings
}

/// Names and keys of a definition that no API server takes, or that none of its revisions could have.
pub(super) fn misnamed_definition(object: &Value) -> Vec<Finding> {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let revision = own_revision(object).unwrap_or_else(|| format!("{name}-v1"));
    let mut findings = Vec::new();
    if !name.is_empty() && !is_subdomain(name) {
        findings.push(no_name(name));
    } else if revision.len() > labels::LONGEST_VALUE {
        let more = revision.len() - name.len();
        findings.push(too_long("definition", name, &revision, more));
    }
    for field in ["labels", "annotations"] {
        for (key, value) in metadata[field].as_object().into_iter().flatten() {
            let path = format!("metadata.{field}[{key}]");
            let value = value.as_str().unwrap_or_default();
            if !labels::is_key(key) {
                findings.push(no_key(path, key));
            } else if field == "labels" && !labels::is_value(value) {
                findings.push(wrong(&path, "this cannot be the value of a label", value));
            }
        }
    }
    findings
}

fn no_key(path: String, key: &str) -> Finding {
    const CUSTOM: &str = "custom.definition.oam.dev/";
    let expected =
        "a name of at most 63 letters, digits, `-`, `_` and `.`, perhaps behind a domain and `/`";
    let finding = Finding::new(
        FindingKind::Invalid,
        path,
        "this cannot be the key of a label or an annotation",
    )
    .expected(expected, key);
    if key.starts_with(CUSTOM) {
        return finding.hint(format!(
            "in the source format keys are written without a domain: they get `{CUSTOM}`"
        ));
    }
    finding
}

/// A name whose revisions, which are longer by `more`, are no values of labels.
fn too_long(what: &str, name: &str, revision: &str, more: usize) -> Finding {
    let message = format!(
        "the name is too long: the revisions of the {what}, `{revision}` and so on, are values of labels"
    );
    let longest = labels::LONGEST_VALUE - more;
    Finding::new(FindingKind::Invalid, "metadata.name", message)
        .expected(
            format!("at most {longest} characters"),
            name.len().to_string(),
        )
        .hint(format!("give the {what} a shorter name"))
}

fn no_name(name: &str) -> Finding {
    wrong(
        "metadata.name",
        "this cannot be the name of an object",
        name,
    )
    .expected(
        "letters a-z, digits, `-` and `.`, a letter or digit first and last",
        name,
    )
}

fn missing(path: &str, message: &str) -> Finding {
    Finding::new(FindingKind::Missing, path, message).hint("give it one, such as `web`")
}

fn wrong(path: &str, message: &str, found: &str) -> Finding {
    let finding = Finding::new(FindingKind::Invalid, path, message).expected(
        "at most 63 letters, digits, `-`, `_` and `.`, a letter or digit first and last",
        found,
    );
    match proper(found).as_str() {
        "" => finding,
        proper => finding.hint(format!("for instance `{proper}`")),
    }
}

/// The most similar name that everything can have; empty where there is none.
pub(super) fn proper(name: &str) -> String {
    let letters: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(labels::LONGEST_VALUE - REVISION)
        .collect();
    letters.trim_matches('-').to_owned()
}

/// The names that an expression reads from something: `a` of `inputs.a`, `b.c` of `inputs["b.c"]`. What stands in texts
/// is none.
pub(super) fn names_in(expression: &str, of: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let mut found = Vec::new();
    let (mut before, mut quote) = (' ', None);
    for (at, letter) in expression.char_indices() {
        match quote {
            Some(end) if letter == end && before != '\\' => quote = None,
            None if matches!(letter, '"' | '\'') => quote = Some(letter),
            None if !is_word(before) && before != '.' => {
                let rest = expression[at..].strip_prefix(of).unwrap_or_default();
                let name = match rest.strip_prefix('.') {
                    Some(rest) => rest.split(|c| !is_word(c)).next(),
                    None => rest
                        .strip_prefix("[\"")
                        .and_then(|rest| rest.split('"').next()),
                };
                found.extend(name.filter(|name| !name.is_empty()).map(str::to_owned));
            }
            _ => {}
        }
        before = letter;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_no_definition_can_be_called_is_told() {
        let paths = |name: &str, annotation: &str, version: &str| {
            let object = json!({"metadata": {"name": name, "annotations": {annotation: "x"}}, "spec": {"version": version}});
            let findings = misnamed_definition(&object).into_iter();
            findings.map(|one| one.path).collect::<Vec<_>>()
        };
        assert_eq!(paths("web", "a.b/c", ""), [""; 0]);
        assert_eq!(paths("x y", "a", ""), ["metadata.name"]);
        assert_eq!(paths("T_Bad", "a", ""), ["metadata.name"]);
        assert_eq!(paths(&"n".repeat(60), "a", ""), [""; 0]);
        assert_eq!(paths(&"n".repeat(60), "a", "1.2.0"), ["metadata.name"]);
        assert_eq!(
            paths("web", "custom.definition.oam.dev/a.b/c", ""),
            ["metadata.annotations[custom.definition.oam.dev/a.b/c]"]
        );
    }

    #[test]
    fn names_of_objects_and_values_of_labels() {
        for (text, is_name, is_value) in [
            ("web", true, true),
            ("a-1.b", true, true),
            ("Web_1", false, true),
            ("web 2", false, false),
            ("-web", false, false),
            ("", false, true),
            ("a..b", false, true),
        ] {
            assert_eq!(is_subdomain(text), is_name, "{text}");
            assert_eq!(labels::is_value(text), is_value, "{text}");
        }
        assert!(!labels::is_value(&"n".repeat(64)));
        assert!(is_subdomain(&"n".repeat(64)));
    }

    #[test]
    fn names_are_read_from_expressions_but_not_from_their_texts() {
        let text = r#"inputs.a == "inputs.b" && inputs["c.d"].e && my.inputs.f && !inputs.g_1[0] && xinputs.h"#;
        assert_eq!(names_in(text, "inputs"), ["a", "c.d", "g_1"]);
        assert_eq!(names_in("inputs", "inputs"), Vec::<String>::new());
    }
}
