//! Names of objects that a template left unnamed (REN-008).
//!
//! `<component>-<trait type>-<hash>`: the hash is 32-bit FNV-1a over the object as Go's `go-spew`
//! prints it (`%#v`, sorted keys), in the letters that Kubernetes uses for generated names. Objects
//! that KubeVela made keep their names only if every byte is the same.

use std::fmt::{self, Write};

use serde_json::{Number, Value};

/// The alphabet of Kubernetes' `rand.SafeEncodeString`: no vowels, no look-alikes.
const SAFE_LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Name of an object of a trait that did not name it. An empty type stands for `trait`.
pub fn generated_name(component: &str, trait_type: &str, object: &Value) -> String {
    let middle = match trait_type {
        "" | "dummy" => "trait".to_owned(),
        named => named.to_lowercase(),
    };
    format!("{component}-{middle}-{}", object_hash(object))
}

/// The hash in a generated name.
fn object_hash(object: &Value) -> String {
    let mut hasher = Fnv1a::default();
    // Writing into the hasher cannot fail.
    let _ = hasher
        .write_str("(unstructured.Unstructured){Object:")
        .and_then(|()| write_spew(&mut hasher, object))
        .and_then(|()| hasher.write_str("}"));
    safe_encode(&hasher.0.to_string())
}

fn safe_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| char::from(SAFE_LETTERS[usize::from(byte) % SAFE_LETTERS.len()]))
        .collect()
}

/// 32-bit FNV-1a as a text sink.
struct Fnv1a(u32);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Write for Fnv1a {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
        Ok(())
    }
}

/// Prints a value as spew's `%#v` does for what Go's JSON decoder makes of it.
fn write_spew(out: &mut impl Write, value: &Value) -> fmt::Result {
    match value {
        Value::Null => out.write_str("(interface {})<nil>"),
        Value::Bool(flag) => write!(out, "(bool){flag}"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write!(out, "(string){text}"),
        Value::Array(items) => {
            out.write_str("([]interface {})[")?;
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.write_char(' ')?;
                }
                write_spew(out, item)?;
            }
            out.write_char(']')
        }
        Value::Object(fields) => {
            out.write_str("(map[string]interface {})map[")?;
            for (index, (key, field)) in fields.iter().enumerate() {
                if index > 0 {
                    out.write_char(' ')?;
                }
                write!(out, "{key}:")?;
                write_spew(out, field)?;
            }
            out.write_char(']')
        }
    }
}

fn write_number(out: &mut impl Write, number: &Number) -> fmt::Result {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => write!(out, "(int64){whole}"),
        (None, Some(real)) => write!(out, "(float64){}", go_shortest(real)),
        (None, None) => write!(out, "(float64){number}"),
    }
}

/// `strconv.FormatFloat(x, 'g', -1, 64)`: an exponent below 1e-4 and from 1e6 on, of at least two
/// digits.
fn go_shortest(real: f64) -> String {
    let scientific = format!("{real:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{real}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hash_is_the_one_that_kubevela_gives() {
        // From the golden `own/def-outputs-order`.
        let object = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "labels": {
                "app.oam.dev/component": "cc",
                "app.oam.dev/name": "own-outputs-order",
                "trait.oam.dev/resource": "m-1",
                "trait.oam.dev/type": "AuxiliaryWorkload",
            }},
        });
        assert_eq!(
            generated_name("cc", "AuxiliaryWorkload", &object),
            "cc-auxiliaryworkload-5d7fcc4d8c"
        );
    }

    #[test]
    fn values_are_printed_as_spew_prints_them() {
        let mut text = String::new();
        let value = json!({"b": [1, 2.5, null, true, []], "a": "x"});
        write_spew(&mut text, &value).unwrap();
        assert_eq!(
            text,
            "(map[string]interface {})map[a:(string)x b:([]interface {})[(int64)1 (float64)2.5 \
             (interface {})<nil> (bool)true ([]interface {})[]]]"
        );
    }

    #[test]
    fn floats_are_printed_as_go_prints_them() {
        assert_eq!(go_shortest(1.0), "1");
        assert_eq!(go_shortest(1e6), "1e+06");
        assert_eq!(go_shortest(123_456_789.5), "1.234567895e+08");
        assert_eq!(go_shortest(0.0001), "0.0001");
        assert_eq!(go_shortest(0.000_01), "1e-05");
        assert_eq!(go_shortest(1.5e300), "1.5e+300");
    }
}
