//! How the API types read JSON: as Go's decoder does, where `null` and a missing field both mean the
//! zero value, and where an empty string is as good as none.

use serde::{Deserialize, Deserializer};

/// Reads a value; `null` is its default.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads a string; `null` and `""` are no string.
pub(super) fn filled<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// For `skip_serializing_if`: Go's `omitempty` of a boolean.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
pub(super) fn is_false(value: &bool) -> bool {
    !*value
}

/// For `skip_serializing_if`: Go's `omitempty` of a number.
pub(super) fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
