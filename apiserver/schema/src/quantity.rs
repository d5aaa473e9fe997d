//! Quantities such as `500m`, `1.5Gi`, `2e3`.

use std::cmp::Ordering;

/// What Kubernetes says of a text that is not a quantity.
pub const MALFORMED: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// Is the text a quantity?
pub fn is_valid(text: &str) -> bool {
    parse(text).is_some()
}

/// The value in billionths, rounded up, capped at the range of `i128`. `None` if the text is malformed.
pub fn parse(text: &str) -> Option<i128> {
    let digits_end = text
        .char_indices()
        .find(|(i, c)| !(c.is_ascii_digit() || *c == '.' || (*i == 0 && matches!(c, '+' | '-'))))
        .map_or(text.len(), |(i, _)| i);
    let (number, suffix) = text.split_at(digits_end);
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let nano = match multiplier(suffix)? {
        Multiplier::Binary(power) => scale(whole, fraction, 9)?.checked_mul(1_i128 << (10 * power)),
        Multiplier::Decimal(exponent) => scale(whole, fraction, exponent + 9),
    };
    let nano = nano.unwrap_or(i128::MAX);
    Some(if negative { -nano } else { nano })
}

enum Multiplier {
    /// 1024 to the power.
    Binary(u32),
    /// 10 to the power.
    Decimal(i32),
}

fn multiplier(suffix: &str) -> Option<Multiplier> {
    Some(match suffix {
        "n" => Multiplier::Decimal(-9),
        "u" => Multiplier::Decimal(-6),
        "m" => Multiplier::Decimal(-3),
        "" => Multiplier::Decimal(0),
        "k" => Multiplier::Decimal(3),
        "M" => Multiplier::Decimal(6),
        "G" => Multiplier::Decimal(9),
        "T" => Multiplier::Decimal(12),
        "P" => Multiplier::Decimal(15),
        "E" => Multiplier::Decimal(18),
        "Ki" => Multiplier::Binary(1),
        "Mi" => Multiplier::Binary(2),
        "Gi" => Multiplier::Binary(3),
        "Ti" => Multiplier::Binary(4),
        "Pi" => Multiplier::Binary(5),
        "Ei" => Multiplier::Binary(6),
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            Multiplier::Decimal(digits.parse::<i32>().ok().filter(|e| e.abs() <= 300)?)
        }
    })
}

/// `whole.fraction` times ten to the exponent, rounded up.
fn scale(whole: &str, fraction: &str, exponent: i32) -> Option<i128> {
    let mut value: i128 = 0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value
            .checked_mul(10)?
            .checked_add(i128::from(digit.to_digit(10)?))?;
    }
    let shift = exponent - i32::try_from(fraction.len()).ok()?;
    for _ in 0..shift.unsigned_abs() {
        value = if shift > 0 {
            value.checked_mul(10)?
        } else {
            value / 10 + i128::from(value % 10 != 0)
        };
    }
    Some(value)
}

/// Compares two quantities; `None` if one is malformed.
pub fn compare(a: &str, b: &str) -> Option<Ordering> {
    Some(parse(a)?.cmp(&parse(b)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_compare_by_value() {
        assert_eq!(compare("1", "1000m"), Some(Ordering::Equal));
        assert_eq!(compare("1Gi", "1024Mi"), Some(Ordering::Equal));
        assert_eq!(compare("1.5k", "1500"), Some(Ordering::Equal));
        assert_eq!(compare("2e3", "2k"), Some(Ordering::Equal));
        assert_eq!(compare("-1", "0"), Some(Ordering::Less));
        assert_eq!(compare("1Ki", "1k"), Some(Ordering::Greater));
        assert_eq!(parse("0.5n"), Some(1));
    }

    #[test]
    fn malformed_texts_are_refused() {
        for text in ["", "x", "1x", "1..2", ".", "1Kib", "e3"] {
            assert!(!is_valid(text), "{text}");
        }
    }
}
