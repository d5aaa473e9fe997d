//! From OpenAPI v3 to the merge schema. References are followed only when something reachable from
//! the root uses them, so that one kind costs what it needs and not the whole document.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::{
    Atom, DEDUCED, Field, ListType, MapType, PatchMeta, ScalarType, Schema, TypeId, TypeRef,
    UNTYPED, common_types, object_meta,
};

/// Why an OpenAPI schema cannot be used for merging.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {reason}")]
pub struct SchemaError {
    /// Where: a component's name and the fields below it.
    pub at: String,
    /// What is wrong and what is expected.
    pub reason: String,
}

/// Schemas nest at most this deep; deeper input is refused instead of overflowing the stack.
const MAX_DEPTH: usize = 200;

impl Schema {
    /// The schema of a component of an OpenAPI v3 document. `components` is the value of
    /// `components.schemas`; `name` the component, such as `io.k8s.api.apps.v1.Deployment`.
    ///
    /// # Errors
    /// When the component or one it refers to is missing, or an extension has no meaning.
    pub fn from_openapi(components: &Map<String, Value>, name: &str) -> Result<Self, SchemaError> {
        let mut compiler = Compiler::new(components);
        let root = compiler.component(name, name)?;
        Ok(compiler.finish(root))
    }

    /// The schema of a custom resource, from `spec.versions[].schema.openAPIV3Schema`. `apiVersion`,
    /// `kind` and `metadata` get the types that every object has, whatever the schema says.
    ///
    /// # Errors
    /// When an extension has no meaning, such as a list of type `map` without keys.
    pub fn for_custom_resource(schema: &Value) -> Result<Self, SchemaError> {
        let components = Map::new();
        let mut compiler = Compiler::new(&components);
        let mut root = schema.clone();
        if let Value::Object(map) = &mut root {
            // No `type` would mean "anything", and a resource is always an object.
            map.insert("type".to_owned(), "object".into());
            map.insert("x-kubernetes-embedded-resource".to_owned(), true.into());
        }
        let root = compiler.inline(&root, &Place::root("openAPIV3Schema"))?;
        Ok(compiler.finish(root))
    }
}

/// Where the compiler is, and what it inherits from above.
struct Place {
    at: String,
    depth: usize,
    /// `x-kubernetes-preserve-unknown-fields` holds for everything below, too.
    preserve: bool,
}

impl Place {
    fn root(at: &str) -> Self {
        Self {
            at: at.to_owned(),
            depth: 0,
            preserve: false,
        }
    }

    fn below(&self, name: &str, preserve: bool) -> Self {
        Self {
            at: format!("{}.{name}", self.at),
            depth: self.depth + 1,
            preserve,
        }
    }

    fn error(&self, reason: impl Into<String>) -> SchemaError {
        SchemaError {
            at: self.at.clone(),
            reason: reason.into(),
        }
    }
}

struct Compiler<'a> {
    components: &'a Map<String, Value>,
    types: Vec<Atom>,
    named: HashMap<String, TypeId>,
}

impl<'a> Compiler<'a> {
    fn new(components: &'a Map<String, Value>) -> Self {
        Self {
            components,
            types: common_types(),
            named: HashMap::new(),
        }
    }

    fn finish(self, root: TypeRef) -> Schema {
        Schema {
            types: self.types,
            root,
        }
    }

    /// The type of a component, compiled at its first use. Its number is given before it is
    /// compiled, because a type may contain itself.
    fn component(&mut self, name: &str, at: &str) -> Result<TypeRef, SchemaError> {
        if let Some(id) = self.named.get(name) {
            return Ok((*id).into());
        }
        let place = Place::root(name);
        let Some(schema) = self.components.get(name) else {
            return Err(SchemaError {
                at: at.to_owned(),
                reason: format!("refers to {name:?}, which is not among the components"),
            });
        };
        let id = self.reserve();
        self.named.insert(name.to_owned(), id);
        let atom = match name {
            // A quantity may be written as a number or as a text.
            "io.k8s.apimachinery.pkg.api.resource.Quantity" => Atom {
                scalar: Some(ScalarType::Untyped),
                ..Atom::default()
            },
            "io.k8s.apimachinery.pkg.runtime.RawExtension" => self.types[UNTYPED.0].clone(),
            // Any JSON, though some documents say that it is an object.
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON" => {
                self.types[DEDUCED.0].clone()
            }
            _ => self.atom(schema, &place)?,
        };
        self.types[id.0] = Atom {
            name: Some(name.to_owned()),
            ..atom
        };
        Ok(id.into())
    }

    fn reserve(&mut self) -> TypeId {
        self.types.push(Atom::default());
        TypeId(self.types.len() - 1)
    }

    /// A place that uses a type: by reference, or with the type written out.
    fn inline(&mut self, schema: &Value, place: &Place) -> Result<TypeRef, SchemaError> {
        if place.depth > MAX_DEPTH {
            return Err(place.error(format!(
                "the schema is nested deeper than {MAX_DEPTH} levels"
            )));
        }
        if let Some(name) = reference(schema) {
            let mut used = self.component(name, &place.at)?;
            used.atomic = map_relation(schema, place)?;
            return Ok(used);
        }
        let id = self.reserve();
        let atom = self.atom(schema, place)?;
        self.types[id.0] = atom;
        Ok(id.into())
    }

    fn atom(&mut self, schema: &Value, place: &Place) -> Result<Atom, SchemaError> {
        let preserve = place.preserve || flag(schema, "x-kubernetes-preserve-unknown-fields");
        match kind_of(schema) {
            "" => Ok(Atom {
                scalar: Some(ScalarType::Untyped),
                list: Some(self.list(schema, place, preserve)?),
                map: Some(self.map(schema, place, preserve)?),
                name: None,
            }),
            "object" => Ok(Atom {
                map: Some(self.map(schema, place, preserve)?),
                ..Atom::default()
            }),
            "array" => Ok(Atom {
                list: Some(self.list(schema, place, preserve)?),
                ..Atom::default()
            }),
            kind => Ok(Atom {
                scalar: Some(scalar(kind, schema, place)?),
                ..Atom::default()
            }),
        }
    }

    fn map(
        &mut self,
        schema: &Value,
        place: &Place,
        preserve: bool,
    ) -> Result<MapType, SchemaError> {
        let mut fields = BTreeMap::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let field = Field {
                of: self.inline(property, &place.below(name, preserve))?,
                default: property.get("default").filter(|v| !v.is_null()).cloned(),
                patch: patch_meta(property),
            };
            fields.insert(name.clone(), field);
        }
        let others = match schema.get("additionalProperties") {
            None if preserve || fields.is_empty() => Some(DEDUCED.into()),
            None | Some(Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Some(DEDUCED.into()),
            Some(of) => Some(self.inline(of, &place.below("*", preserve))?),
        };
        if flag(schema, "x-kubernetes-embedded-resource") {
            self.embed(&mut fields)?;
        }
        Ok(MapType {
            fields,
            others,
            atomic: map_relation(schema, place)?.unwrap_or(false),
        })
    }

    /// Gives a map the fields that every object has.
    fn embed(&mut self, fields: &mut BTreeMap<String, Field>) -> Result<(), SchemaError> {
        let text = serde_json::json!({"type": "string"});
        let metadata = object_meta::schema();
        for (name, schema) in [
            ("apiVersion", &text),
            ("kind", &text),
            ("metadata", &metadata),
        ] {
            let field = Field {
                of: self.inline(schema, &Place::root(name))?,
                default: None,
                patch: PatchMeta::default(),
            };
            fields.insert(name.to_owned(), field);
        }
        Ok(())
    }

    fn list(
        &mut self,
        schema: &Value,
        place: &Place,
        preserve: bool,
    ) -> Result<ListType, SchemaError> {
        let (atomic, keys) = list_relation(schema, place)?;
        let items = match schema.get("items") {
            Some(items @ Value::Object(_)) => self.inline(items, &place.below("[]", preserve))?,
            _ => UNTYPED.into(),
        };
        Ok(ListType {
            items,
            atomic,
            keys,
        })
    }
}

fn reference(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref");
    let wrapped = || match schema.get("allOf")?.as_array()?.as_slice() {
        [only] => only.get("$ref"),
        _ => None,
    };
    let target = direct.or_else(wrapped)?.as_str()?;
    target.rsplit('/').next().filter(|name| !name.is_empty())
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

/// The one type that a schema names; empty when it allows several or says nothing.
fn kind_of(schema: &Value) -> &str {
    if flag(schema, "x-kubernetes-int-or-string") {
        return "";
    }
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        // JSON Schema writes an optional value as `["string", "null"]`.
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds
                .iter()
                .filter_map(Value::as_str)
                .filter(|k| *k != "null");
            match (kinds.next(), kinds.next()) {
                (Some(only), None) => only,
                _ => "",
            }
        }
        _ => "",
    }
}

fn scalar(kind: &str, schema: &Value, place: &Place) -> Result<ScalarType, SchemaError> {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or("");
    match (kind, format) {
        ("integer" | "number", _) => Ok(ScalarType::Numeric),
        ("boolean", _) => Ok(ScalarType::Boolean),
        ("string", "" | "byte") => Ok(ScalarType::Text),
        ("string", _) => Ok(ScalarType::Untyped),
        _ => Err(place.error(format!(
            "unknown type {kind:?}: expected one of object, array, integer, number, boolean, string"
        ))),
    }
}

fn text<'v>(schema: &'v Value, name: &str) -> Option<&'v str> {
    schema.get(name).and_then(Value::as_str)
}

fn patch_meta(schema: &Value) -> PatchMeta {
    PatchMeta {
        strategies: text(schema, "x-kubernetes-patch-strategy")
            .map(|all| all.split(',').map(str::to_owned).collect())
            .unwrap_or_default(),
        merge_key: text(schema, "x-kubernetes-patch-merge-key")
            .unwrap_or_default()
            .to_owned(),
    }
}

/// Whether the map is atomic, if it says so.
fn map_relation(schema: &Value, place: &Place) -> Result<Option<bool>, SchemaError> {
    match text(schema, "x-kubernetes-map-type") {
        None => Ok(None),
        Some("atomic") => Ok(Some(true)),
        Some("granular") => Ok(Some(false)),
        Some(other) => Err(place.error(format!(
            "x-kubernetes-map-type is {other:?}: expected atomic or granular"
        ))),
    }
}

/// Whether the list is atomic, and the key fields of its items if not.
fn list_relation(schema: &Value, place: &Place) -> Result<(bool, Vec<String>), SchemaError> {
    match text(schema, "x-kubernetes-list-type") {
        Some("atomic") => return Ok((true, Vec::new())),
        Some("set") => return Ok((false, Vec::new())),
        Some("map") => {
            let keys = schema
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array)
                .ok_or_else(|| {
                    place.error("a list of type map needs x-kubernetes-list-map-keys")
                })?;
            let keys = keys.iter().filter_map(Value::as_str).map(str::to_owned);
            return Ok((false, keys.collect()));
        }
        Some(other) => {
            return Err(place.error(format!(
                "x-kubernetes-list-type is {other:?}: expected atomic, set or map"
            )));
        }
        None => {}
    }
    match text(schema, "x-kubernetes-patch-strategy") {
        Some("merge" | "merge,retainKeys") => {
            let key = text(schema, "x-kubernetes-patch-merge-key");
            Ok((false, key.into_iter().map(str::to_owned).collect()))
        }
        _ => Ok((true, Vec::new())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(schema: &Value) -> String {
        Schema::for_custom_resource(schema).unwrap_err().to_string()
    }

    #[test]
    fn extensions_without_meaning_are_refused_with_their_place() {
        let list = |list: Value| json!({"properties": {"spec": {"type": "object", "properties": {"l": list}}}});
        assert_eq!(
            refused(&list(
                json!({"type": "array", "x-kubernetes-list-type": "bag"})
            )),
            "openAPIV3Schema.spec.l: x-kubernetes-list-type is \"bag\": expected atomic, set or map"
        );
        assert_eq!(
            refused(&list(
                json!({"type": "array", "x-kubernetes-list-type": "map"})
            )),
            "openAPIV3Schema.spec.l: a list of type map needs x-kubernetes-list-map-keys"
        );
        assert_eq!(
            refused(&list(
                json!({"type": "object", "x-kubernetes-map-type": "set"})
            )),
            "openAPIV3Schema.spec.l: x-kubernetes-map-type is \"set\": expected atomic or granular"
        );
        assert_eq!(
            refused(&list(json!({"type": "text"}))),
            "openAPIV3Schema.spec.l: unknown type \"text\": expected one of object, array, integer, number, boolean, string"
        );
        assert_eq!(
            refused(&list(json!({"$ref": "#/x/Nowhere"}))),
            "openAPIV3Schema.spec.l: refers to \"Nowhere\", which is not among the components"
        );
    }

    #[test]
    fn a_schema_that_is_nested_without_end_is_refused() {
        let mut schema = json!({"type": "object"});
        for _ in 0..100 {
            schema =
                json!({"type": "object", "properties": {"a": {"type": "array", "items": schema}}});
        }
        let last = json!({"type": "object", "properties": {"a": schema}});
        assert!(refused(&last).contains("nested deeper than 200 levels"));
    }

    #[test]
    fn a_type_may_contain_itself() {
        let components = json!({"Node": {"type": "object", "properties": {
            "next": {"allOf": [{"$ref": "#/components/schemas/Node"}]}, "v": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"}}},
            "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string"}});
        let schema = Schema::from_openapi(components.as_object().unwrap(), "Node").unwrap();
        let value = json!({"next": {"next": {"v": 1}}});
        assert!(crate::typed::validate(&schema, &value, crate::typed::Duplicates::Refused).is_ok());
    }
}
