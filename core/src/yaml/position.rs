//! Where in a text a field stands.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::read::{Limits, documents};

/// Deeper texts are not searched: each level costs twice the stack that reading does.
const DEPTH: usize = 32;

/// The line and column, from 1, of the field at a path such as `spec.components[2].type`, in the
/// document of this number, from 0 (empty documents do not count). If there is no such field, of the
/// innermost field above it that there is. None if the text cannot be searched.
pub fn position(text: &str, document: usize, path: &str) -> Option<(u64, u64)> {
    let limits = Limits {
        depth: DEPTH,
        ..Limits::default()
    };
    let places: Vec<Spanned<Place>> = documents(text, limits).ok()?;
    let mut here = places.get(document)?;
    for part in parts(path) {
        let Some(next) = here.value.child(&part) else {
            break;
        };
        here = next;
    }
    Some((here.referenced.line(), here.referenced.column()))
}

/// What stands at a place.
enum Place {
    Scalar,
    List(Vec<Spanned<Place>>),
    Map(Vec<(String, Spanned<Place>)>),
}

impl Place {
    fn child(&self, part: &str) -> Option<&Spanned<Place>> {
        match self {
            Self::Scalar => None,
            Self::List(items) => items.get(part.parse::<usize>().ok()?),
            Self::Map(entries) => entries
                .iter()
                .find(|(key, _)| key == part)
                .map(|(_, place)| place),
        }
    }
}

/// The parts of a path; brackets hold an index or a key with dots.
fn parts(path: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Some(inner) = rest.strip_prefix('[') {
            let end = inner.find(']').unwrap_or(inner.len());
            parts.push(inner[..end].trim_matches(['"', '\'']).to_owned());
            rest = inner.get(end + 1..).unwrap_or_default();
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end > 0 {
                parts.push(rest[..end].to_owned());
            }
            rest = &rest[end..];
        }
    }
    parts
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlaceVisitor)
    }
}

struct PlaceVisitor;

impl<'de> Visitor<'de> for PlaceVisitor {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Place, E> {
        Ok(Place::Scalar)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Place, E> {
        Ok(Place::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Place, E> {
        Ok(Place::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Place, E> {
        Ok(Place::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Place, E> {
        Ok(Place::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Place, E> {
        Ok(Place::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Place, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Place::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Place, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Place::Map(map))
    }
}
