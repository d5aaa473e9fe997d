//! Path elements: how a child is chosen inside its parent, and their text in `FieldsV1`.

use std::fmt;

use serde_json::Value;

use crate::value::{self, Datum};

/// Chooses a child of a map or list. The order is that of Kubernetes: fields, keys, values, indexes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathElement {
    /// A field of a map (`f:name`).
    Field(String),
    /// The item of an associative list whose key fields have these values (`k:{"name":"a"}`).
    /// Sorted by field name.
    Key(Vec<(String, Datum)>),
    /// The item of a set with this value (`v:"a"`).
    Value(Datum),
    /// The item of a list at this position (`i:0`).
    Index(i64),
}

/// Why a text is no path element.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathElementError {
    /// The type letter is none that we know. Such entries are ignored when sets are read.
    #[error("unknown path element type in {0:?}: expected one of f:, k:, v:, i:")]
    UnknownType(String),
    /// The letter is known, the rest does not fit.
    #[error("path element {text:?} is malformed: {reason}")]
    Malformed {
        /// The whole text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl PathElement {
    /// A field of a map.
    pub fn field(name: impl Into<String>) -> Self {
        Self::Field(name.into())
    }

    /// The text of the element as it stands in `FieldsV1`.
    pub fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Value(Datum(value)) => format!("v:{}", value::go_json(value)),
            Self::Index(index) => format!("i:{index}"),
            Self::Key(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, Datum(value))| {
                        format!("{}:{}", Value::from(name.as_str()), value::go_json(value))
                    })
                    .collect();
                format!("k:{{{}}}", fields.join(","))
            }
        }
    }

    /// Reads the text of an element as it stands in `FieldsV1`.
    pub fn decode(text: &str) -> Result<Self, PathElementError> {
        let malformed = |reason: String| PathElementError::Malformed {
            text: text.to_owned(),
            reason,
        };
        let Some((kind, rest)) = text.split_at_checked(2) else {
            return Err(malformed("shorter than two characters".to_owned()));
        };
        match kind {
            "f:" => Ok(Self::Field(rest.to_owned())),
            "v:" => serde_json::from_str(rest)
                .map(|value| Self::Value(Datum(value)))
                .map_err(|error| malformed(error.to_string())),
            "i:" => rest
                .parse()
                .map(Self::Index)
                .map_err(|_| malformed(format!("{rest:?} is not an integer"))),
            "k:" => serde_json::from_str::<serde_json::Map<String, Value>>(rest)
                .map(|map| Self::Key(map.into_iter().map(|(k, v)| (k, Datum(v))).collect()))
                .map_err(|error| malformed(error.to_string())),
            _ if kind.ends_with(':') => Err(PathElementError::UnknownType(text.to_owned())),
            _ => Err(malformed("the second character is not a colon".to_owned())),
        }
    }
}

/// As Kubernetes prints it in messages: `.spec`, `[name="a"]`, `[="v"]`, `[0]`.
impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Value(Datum(value)) => write!(f, "[={}]", value::display(value)),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, Datum(value))| format!("{name}={}", value::display(value)))
                    .collect();
                write!(f, "[{}]", fields.join(","))
            }
        }
    }
}

/// A place inside an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(
    /// From the root to the place.
    pub Vec<PathElement>,
);

impl Path {
    /// A path of plain fields.
    pub fn of_fields(names: &[&str]) -> Self {
        Self(names.iter().map(|name| PathElement::field(*name)).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| element.fmt(f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_keep_their_text() {
        for text in [
            "f:spec",
            "f:app.kubernetes.io/name",
            r#"k:{"containerPort":80,"protocol":"TCP"}"#,
            r#"v:"finalizer.example.com""#,
            "v:1",
            "i:3",
            r#"k:{"name":"\u003ca\u003e"}"#,
        ] {
            assert_eq!(PathElement::decode(text).unwrap().encode(), text);
        }
    }

    #[test]
    fn elements_print_as_in_messages() {
        let path: Vec<_> = [
            "f:spec",
            "f:ports",
            r#"k:{"port":80,"protocol":"TCP"}"#,
            r#"v:"x""#,
            "i:2",
        ]
        .into_iter()
        .map(|text| PathElement::decode(text).unwrap())
        .collect();
        assert_eq!(
            Path(path).to_string(),
            r#".spec.ports[port=80,protocol="TCP"][="x"][2]"#
        );
    }

    #[test]
    fn malformed_elements_say_why() {
        assert!(matches!(
            PathElement::decode("z:1"),
            Err(PathElementError::UnknownType(_))
        ));
        for text in ["", "f", "fx", "v:{", "i:x", "k:[]", "é"] {
            assert!(
                matches!(
                    PathElement::decode(text),
                    Err(PathElementError::Malformed { .. })
                ),
                "{text}"
            );
        }
    }
}
