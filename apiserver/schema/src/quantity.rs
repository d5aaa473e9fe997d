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

/// The canonical form, in which the real server stores quantities: `1000m` → `1`, `0.5Gi` → `512Mi`, `1500` → `1500`.
/// `None` if the text is malformed.
pub fn canonical(text: &str) -> Option<String> {
    let nano = parse(text)?;
    let suffix =
        text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    let (sign, magnitude) = (if nano < 0 { "-" } else { "" }, nano.checked_abs()?);
    if magnitude == 0 {
        return Some("0".to_owned());
    }
    let is_binary = matches!(multiplier(suffix)?, Multiplier::Binary(_));
    if is_binary && magnitude % NANO == 0 && magnitude / NANO >= 1024 {
        let (mut whole, mut power) = (magnitude / NANO, 0);
        while whole % 1024 == 0 && power < 6 {
            whole /= 1024;
            power += 1;
        }
        return Some(format!(
            "{sign}{whole}{}",
            ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]
        ));
    }
    let (mut mantissa, mut power) = (magnitude, 0);
    while mantissa % 1000 == 0 && power < 9 {
        mantissa /= 1000;
        power += 1;
    }
    let exponent = suffix.starts_with(['e', 'E']) && suffix.len() > 1;
    let suffix = if exponent && power != 3 {
        format!("e{}", (i32::try_from(power).ok()? - 3) * 3)
    } else {
        ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][power].to_owned()
    };
    Some(format!("{sign}{mantissa}{suffix}"))
}

const NANO: i128 = 1_000_000_000;

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
    fn canonical_forms_are_those_of_kubernetes() {
        let cases = [
            ("1000m", "1"),
            ("100m", "100m"),
            ("0.1", "100m"),
            ("1.5", "1500m"),
            ("1500", "1500"),
            ("1000", "1k"),
            ("12000", "12k"),
            ("0.5Gi", "512Mi"),
            ("1Gi", "1Gi"),
            ("1024Mi", "1Gi"),
            ("1536Mi", "1536Mi"),
            ("0.5Ki", "512"),
            ("1.1Ki", "1126400m"),
            ("2e3", "2e3"),
            ("0", "0"),
            ("-1500m", "-1500m"),
            ("1e0", "1"),
            ("128Mi", "128Mi"),
            ("1G", "1G"),
        ];
        for (text, form) in cases {
            assert_eq!(canonical(text).as_deref(), Some(form), "{text}");
            assert_eq!(canonical(form).as_deref(), Some(form), "{form} is stable");
        }
    }

    #[test]
    fn malformed_texts_are_refused() {
        for text in ["", "x", "1x", "1..2", ".", "1Kib", "e3"] {
            assert!(!is_valid(text), "{text}");
        }
    }
}
