//! Where in a text a field stands.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::read::{Limits, documents};
use crate::path::{Part, parts};

/// Deeper texts are not searched: each level costs twice the stack that reading does.
const DEPTH: usize = 32;

/// A part of a line of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Its line, from 1.
    pub line: u64,
    /// Its first letter, from 1.
    pub column: u64,
    /// How many letters it has; none for maps and lists, which may go on for many lines.
    pub letters: Option<usize>,
}

/// The line and column, from 1, of the field at a path such as `spec.components[2].type`, in the
/// document of this number, from 0 (empty documents do not count). If there is no such field, of the
/// innermost field above it that there is. None if the text cannot be searched.
pub fn position(text: &str, document: usize, path: &str) -> Option<(u64, u64)> {
    value_spot(text, document, path).map(|spot| (spot.line, spot.column))
}

/// The value of a field, as [`position`] finds it.
pub fn value_spot(text: &str, document: usize, path: &str) -> Option<Spot> {
    find(text, document, path).map(|found| found.value)
}

/// The name of a field, as [`position`] finds it; elements of lists have none, so that it is their value then.
pub fn key_spot(text: &str, document: usize, path: &str) -> Option<Spot> {
    find(text, document, path).map(|found| found.key.unwrap_or(found.value))
}

struct Found {
    key: Option<Spot>,
    value: Spot,
}

fn find(text: &str, document: usize, path: &str) -> Option<Found> {
    let limits = Limits {
        depth: DEPTH,
        ..Limits::default()
    };
    let places: Vec<Spanned<Place>> = documents(text, limits).ok()?;
    let (mut key, mut here) = (None, places.get(document)?);
    for part in parts(path) {
        let Some((name, next)) = here.value.child(&part) else {
            break;
        };
        (key, here) = (name, next);
    }
    let letters = matches!(here.value, Place::Scalar).then(|| letters_of(&here.referenced));
    Some(Found {
        key: key.map(|at| spot(at, Some(letters_of(at)))),
        value: spot(&here.referenced, letters),
    })
}

fn spot(at: &Location, letters: Option<usize>) -> Spot {
    Spot {
        line: at.line(),
        column: at.column(),
        letters,
    }
}

fn letters_of(at: &Location) -> usize {
    usize::try_from(at.span().len()).unwrap_or(0)
}

/// What stands at a place.
enum Place {
    Scalar,
    List(Vec<Spanned<Place>>),
    Map(Vec<(Spanned<String>, Spanned<Place>)>),
}

impl Place {
    /// What is in it by this name or number, with the place of the name.
    fn child(&self, part: &Part) -> Option<(Option<&Location>, &Spanned<Place>)> {
        match (self, part) {
            (Self::List(items), Part::Index(index)) => Some((None, items.get(*index)?)),
            (Self::Map(entries), _) => {
                let wanted = part.key();
                let mut entries = entries.iter();
                let (key, place) = entries.find(|(key, _)| key.value == wanted)?;
                Some((Some(&key.referenced), place))
            }
            _ => None,
        }
    }
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
