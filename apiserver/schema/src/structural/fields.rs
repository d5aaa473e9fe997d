//! What a CEL rule names must be declared: a rule on a field that no object can have would refuse them all.

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{EntryExpr, Expr};
use serde_json::Value;

/// Members that every object has, declared or not.
const OBJECT: &[&str] = &["apiVersion", "kind", "metadata"];

/// The first field that a rule names and the schema at which it stands does not declare. `root` says that the schema
/// is that of a whole object.
pub(super) fn undeclared(rule: &IdedExpr, schema: &Value, root: bool) -> Option<String> {
    Scope { schema, root }.check(rule)
}

struct Scope<'a> {
    schema: &'a Value,
    root: bool,
}

impl<'a> Scope<'a> {
    fn check(&self, at: &IdedExpr) -> Option<String> {
        let all = |list: &[IdedExpr]| list.iter().find_map(|inner| self.check(inner));
        match &at.expr {
            Expr::Select(select) => {
                let deeper = self.check(&select.operand);
                deeper.or_else(|| self.missing(&select.operand, &select.field))
            }
            Expr::Call(call) => {
                let target = call.target.as_ref().and_then(|target| self.check(target));
                target.or_else(|| all(&call.args))
            }
            Expr::List(list) => all(&list.elements),
            Expr::Map(map) => map
                .entries
                .iter()
                .find_map(|entry| self.check_entry(&entry.expr)),
            Expr::Struct(made) => made
                .entries
                .iter()
                .find_map(|entry| self.check_entry(&entry.expr)),
            Expr::Comprehension(each) => [
                &each.iter_range,
                &each.accu_init,
                &each.loop_cond,
                &each.loop_step,
                &each.result,
            ]
            .into_iter()
            .find_map(|inner| self.check(inner)),
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => None,
        }
    }

    fn check_entry(&self, entry: &EntryExpr) -> Option<String> {
        match entry {
            EntryExpr::StructField(field) => self.check(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.check(&entry.key).or_else(|| self.check(&entry.value))
            }
        }
    }

    /// The field, if what it is read from is known and has no such field.
    fn missing(&self, from: &IdedExpr, field: &str) -> Option<String> {
        let schema = self.schema_of(from)?;
        let properties = schema["properties"].as_object()?;
        let open = schema["x-kubernetes-preserve-unknown-fields"] == true
            || schema.get("additionalProperties").is_some();
        let whole = schema["x-kubernetes-embedded-resource"] == true
            || (self.root && std::ptr::eq(schema, self.schema));
        let known = open
            || (whole && OBJECT.contains(&field))
            || properties
                .keys()
                .any(|name| escaped(name) == field || name == field);
        (!known).then(|| field.to_owned())
    }

    /// The schema of a value, as far as it can be seen without evaluating anything.
    fn schema_of(&self, at: &IdedExpr) -> Option<&'a Value> {
        match &at.expr {
            Expr::Ident(name) if name == "self" || name == "oldSelf" => Some(self.schema),
            Expr::Select(select) if !select.test => {
                let properties = self.schema_of(&select.operand)?["properties"].as_object()?;
                properties
                    .iter()
                    .find(|(name, _)| escaped(name) == select.field || **name == select.field)
                    .map(|(_, schema)| schema)
            }
            _ => None,
        }
    }
}

/// How CEL rules write a name that is no identifier; reserved words are found by their own name, too.
fn escaped(name: &str) -> String {
    const RESERVED: &[&str] = &[
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    let mut out = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '_' => out.push_str("__"),
            '.' => out.push_str("__dot__"),
            '-' => out.push_str("__dash__"),
            '/' => out.push_str("__slash__"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube_cel::cel::Program;
    use serde_json::json;

    #[test]
    fn a_field_that_no_object_can_have_is_found_and_what_may_be_there_is_not() {
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "a": {"type": "integer"}, "my-name": {"type": "string"}, "in": {"type": "string"}, "x_y": {"type": "string"},
                "list": {"type": "array", "items": {"type": "object", "properties": {"v": {"type": "string"}}}},
                "map": {"type": "object", "additionalProperties": {"type": "string"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"k": {"type": "string"}}},
                "whole": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
            }},
        }});
        let check = |rule: &str| {
            let program = Program::compile(rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
            undeclared(program.expression(), &schema, true)
        };
        for good in [
            "self.spec.a > 0",
            "self.metadata.name == 'x' && self.kind == 'K'",
            "has(self.spec.a)",
            "self.spec.my__dash__name == '' || self.spec.__in__ == '' || self.spec.x__y == ''",
            "self.spec.list.all(item, item.v == 'a' && item.w == 'b')",
            "self.spec.map.anything == 'a'",
            "self.spec.free.other == 'a'",
            "self.spec.whole.metadata.name == 'a' && self.spec.whole.kind == 'b'",
            "!has(oldSelf.spec) || oldSelf.spec.a == self.spec.a",
            "self.spec.a in [1, 2] ? {'k': self.spec.a}.k == 1 : true",
        ] {
            assert_eq!(check(good), None, "{good}");
        }
        for (wrong, field) in [
            ("self.spec.nope == 1", "nope"),
            ("has(self.nope)", "nope"),
            ("true || oldSelf.spec.b > 1", "b"),
            ("self.spec.list.exists(item, item.v == self.spec.c)", "c"),
            ("size([self.spec.d]) == 1", "d"),
            ("self.spec.metadata.name == 'a'", "metadata"),
        ] {
            assert_eq!(check(wrong).as_deref(), Some(field), "{wrong}");
        }
    }
}
