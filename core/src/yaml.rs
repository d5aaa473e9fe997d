//! YAML, as Kubernetes reads and writes it.
//!
//! One module, so that a manifest means the same everywhere: in the CLI, the API server and the tests.
//! Reading follows `sigs.k8s.io/yaml`: YAML 1.1 booleans and octal numbers, and numbers as JSON has
//! them (`1.0` is `1`, what does not fit into 64 bits is a float). It differs only for scalars that nobody
//! writes: words in mixed case (`yEs` is true here, text there), underscores in floats or twice in a row
//! (text here, a number there), and numbers beyond a float (an error here, text there). Writing follows `kubectl -o yaml`:
//! sorted keys, block style, every string that YAML 1.1 or 1.2 could misread in quotes.

mod position;
mod read;
mod words;
mod write;

#[cfg(test)]
mod tests;

pub use position::{Spot, key_spot, position, value_spot};
pub use read::{Limits, YamlError, parse, parse_one, parse_with};
pub use write::{stream, to_string};
