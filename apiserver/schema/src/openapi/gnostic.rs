//! The OpenAPI v2 document as the protocol buffers that client-go asks for (`openapi.v2.Document` of gnostic).
//! What clients look at is written: definitions whole, of operations their parameters, media types and extensions.

use serde_json::{Map, Value};

/// Fields that are texts, numbers or flags of a schema, with their tags.
const TEXTS: &[(&str, u32)] = &[
    ("$ref", 1),
    ("format", 2),
    ("title", 3),
    ("description", 4),
    ("pattern", 13),
];
const NUMBERS: &[(&str, u32)] = &[("multipleOf", 6), ("maximum", 7), ("minimum", 9)];
const FLAGS: &[(&str, u32)] = &[
    ("exclusiveMaximum", 8),
    ("exclusiveMinimum", 10),
    ("uniqueItems", 16),
];
const COUNTS: &[(&str, u32)] = &[
    ("maxLength", 11),
    ("minLength", 12),
    ("maxItems", 14),
    ("minItems", 15),
    ("maxProperties", 17),
    ("minProperties", 18),
];
const METHODS: &[(&str, u32)] = &[
    ("get", 2),
    ("put", 3),
    ("post", 4),
    ("delete", 5),
    ("patch", 8),
];

/// Encodes a document of v2.
pub fn encode(document: &Value) -> Vec<u8> {
    let mut info = Message::default();
    info.text(1, &document["info"]["title"]);
    info.text(2, &document["info"]["version"]);
    let mut paths = Message::default();
    for (path, item) in members(&document["paths"]) {
        paths.message(2, named(path, path_item(item)));
    }
    let mut definitions = Message::default();
    for (name, definition) in members(&document["definitions"]) {
        definitions.message(1, named(name, schema(definition)));
    }
    let mut out = Message::default();
    out.text(1, &document["swagger"]);
    out.message(2, info);
    out.message(8, paths);
    out.message(9, definitions);
    out.0
}

/// A message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn key(&mut self, tag: u32, wire: u8) {
        self.varint(u64::from(tag) << 3 | u64::from(wire));
    }

    fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        self.key(tag, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, tag: u32, message: Self) {
        self.bytes(tag, &message.0);
    }

    fn text(&mut self, tag: u32, value: &Value) {
        if let Some(text) = value.as_str() {
            self.bytes(tag, text.as_bytes());
        }
    }

    fn flag(&mut self, tag: u32, value: &Value) {
        if value == &Value::Bool(true) {
            self.key(tag, 0);
            self.varint(1);
        }
    }

    /// A value of any shape, which clients read as YAML.
    fn any(&mut self, tag: u32, value: &Value) {
        let mut any = Self::default();
        any.bytes(2, value.to_string().as_bytes());
        self.message(tag, any);
    }

    /// The members that begin with `x-`.
    fn extensions(&mut self, tag: u32, map: &Map<String, Value>) {
        for (name, value) in map.iter().filter(|(name, _)| name.starts_with("x-")) {
            let mut entry = Self::default();
            entry.bytes(1, name.as_bytes());
            entry.any(2, value);
            self.message(tag, entry);
        }
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn named(name: &str, value: Message) -> Message {
    let mut out = Message::default();
    out.bytes(1, name.as_bytes());
    out.message(2, value);
    out
}

fn schema(source: &Value) -> Message {
    let mut out = Message::default();
    let Some(map) = source.as_object() else {
        return out;
    };
    for (name, tag) in TEXTS {
        out.text(*tag, &source[*name]);
    }
    for (name, tag) in NUMBERS {
        if let Some(number) = source[*name].as_f64() {
            out.key(*tag, 1);
            out.0.extend_from_slice(&number.to_le_bytes());
        }
    }
    for (name, tag) in FLAGS {
        out.flag(*tag, &source[*name]);
    }
    for (name, tag) in COUNTS {
        if let Some(count) = source[*name].as_u64() {
            out.key(*tag, 0);
            out.varint(count);
        }
    }
    for required in source["required"].as_array().into_iter().flatten() {
        out.text(19, required);
    }
    for value in source["enum"].as_array().into_iter().flatten() {
        out.any(20, value);
    }
    match &source["additionalProperties"] {
        Value::Null => {}
        Value::Bool(any) => {
            let mut item = Message::default();
            item.key(2, 0);
            item.varint(u64::from(*any));
            out.message(21, item);
        }
        values => {
            let mut item = Message::default();
            item.message(1, schema(values));
            out.message(21, item);
        }
    }
    if source["type"].is_string() {
        let mut kind = Message::default();
        kind.text(1, &source["type"]);
        out.message(22, kind);
    }
    if source["items"].is_object() {
        let mut items = Message::default();
        items.message(1, schema(&source["items"]));
        out.message(23, items);
    }
    if map.contains_key("properties") {
        let mut properties = Message::default();
        for (name, property) in members(&source["properties"]) {
            properties.message(1, named(name, schema(property)));
        }
        out.message(25, properties);
    }
    out.extensions(31, map);
    out
}

fn path_item(source: &Value) -> Message {
    let mut out = Message::default();
    for (method, tag) in METHODS {
        if let Some(map) = source[*method].as_object() {
            out.message(*tag, operation(&source[*method], map));
        }
    }
    for shared in source["parameters"].as_array().into_iter().flatten() {
        out.message(9, parameter(shared));
    }
    out
}

fn operation(source: &Value, map: &Map<String, Value>) -> Message {
    let mut out = Message::default();
    out.text(5, &source["operationId"]);
    for (name, tag) in [("produces", 6), ("consumes", 7)] {
        for media_type in source[name].as_array().into_iter().flatten() {
            out.text(tag, media_type);
        }
    }
    for own in source["parameters"].as_array().into_iter().flatten() {
        out.message(8, parameter(own));
    }
    let mut responses = Message::default();
    for (code, response) in members(&source["responses"]) {
        let mut body = Message::default();
        body.message(1, schema(&response["schema"]));
        let mut answer = Message::default();
        answer.text(1, &response["description"]);
        answer.message(2, body);
        let mut value = Message::default();
        value.message(1, answer);
        responses.message(1, named(code, value));
    }
    out.message(9, responses);
    out.extensions(13, map);
    out
}

/// A parameter, in the three messages that it is wrapped in.
fn parameter(source: &Value) -> Message {
    let mut inner = Message::default();
    let mut parameter = Message::default();
    match source["in"].as_str() {
        Some("body") => {
            inner.text(2, &source["name"]);
            inner.text(3, &source["in"]);
            inner.flag(4, &source["required"]);
            inner.message(5, schema(&source["schema"]));
            parameter.message(1, inner);
        }
        place => {
            let (of, kind) = match place {
                Some("path") => (4, 5),
                _ => (3, 6),
            };
            inner.flag(1, &source["required"]);
            inner.text(2, &source["in"]);
            inner.text(4, &source["name"]);
            inner.text(kind, &source["type"]);
            let mut other = Message::default();
            other.message(of, inner);
            parameter.message(2, other);
        }
    }
    let mut item = Message::default();
    item.message(1, parameter);
    item
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn methods_have_their_tags() {
        // 6 and 7 are `options` and `head`.
        let item = json!({"get": {}, "put": {}, "post": {}, "delete": {}, "patch": {}});
        let empty: [u8; 2] = [9 << 3 | 2, 0];
        let expected: Vec<u8> = [2_u8, 3, 4, 5, 8]
            .iter()
            .flat_map(|tag| [&[tag << 3 | 2, 2][..], &empty].concat())
            .collect();
        assert_eq!(path_item(&item).0, expected);
    }

    #[test]
    fn a_document_is_encoded_field_by_field() {
        let document = json!({
            "swagger": "2.0", "info": {"title": "T", "version": "1"},
            "paths": {"/a": {"patch": {
                "operationId": "o", "consumes": ["c"],
                "parameters": [{"name": "q", "in": "query", "type": "string"}],
                "responses": {"200": {"description": "OK", "schema": {}}},
                "x-k": {"a": 1},
            }}},
            "definitions": {"D": {
                "type": "object", "required": ["a"],
                "properties": {"a": {"type": "array", "items": {"$ref": "#/definitions/D"}, "maxItems": 300}},
                "additionalProperties": {"type": "string"}, "x-e": true,
            }},
        });
        let encoded: String = encode(&document).escape_ascii().to_string();
        for part in [
            r"\n\x032.0\x12\x06\n\x01T\x12\x011",
            r"\n\x02/a",
            r"*\x01o",
            r":\x01c",
            r#"\n\x03x-k\x12\t\x12\x07{\"a\":1}"#,
            r"\n\x01D",
            r"\x9a\x01\x01a",
            r"p\xac\x02",
            r"\xb2\x01\x08\n\x06object",
            r"\n\x0f#/definitions/D",
            r"\n\x03x-e\x12\x06\x12\x04true",
        ] {
            assert!(encoded.contains(part), "{part} in {encoded}");
        }
    }
}
