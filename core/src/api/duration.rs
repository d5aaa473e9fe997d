//! Durations as Go writes and reads them: `300ms`, `1h15m30.918273645s`, `-1.5h`.

use jiff::SignedDuration;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is not written as a duration.
    #[error(
        "\"{text}\" is not a duration: write numbers with units, for example \"90s\" or \"1h30m\" (units: ns, us, ms, s, m, h)"
    )]
    Syntax {
        /// What was written.
        text: String,
    },
    /// A number has no unit, or one that is not known.
    #[error("\"{text}\" is not a duration: {problem} (units: ns, us, ms, s, m, h)")]
    Unit {
        /// What was written.
        text: String,
        /// What is wrong with the unit.
        problem: String,
    },
    /// It does not fit into 64 bits of nanoseconds.
    #[error("\"{text}\" is too long a duration: at most about 292 years are possible")]
    TooLong {
        /// What was written.
        text: String,
    },
}

/// Reads a duration as Go's `time.ParseDuration` does.
///
/// # Errors
/// If the text is not a duration.
pub fn parse(text: &str) -> Result<SignedDuration, DurationError> {
    let syntax = || DurationError::Syntax {
        text: text.to_owned(),
    };
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(syntax());
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let whole_end = digits(rest);
        let (whole, mut after) = rest.split_at(whole_end);
        let mut fraction = "";
        if let Some(tail) = after.strip_prefix('.') {
            let (digits, tail) = tail.split_at(digits(tail));
            (fraction, after) = (digits, tail);
        }
        if whole.is_empty() && fraction.is_empty() {
            return Err(syntax());
        }
        let unit_end = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, tail) = after.split_at(unit_end);
        let scale = unit_nanos(unit).ok_or_else(|| DurationError::Unit {
            text: text.to_owned(),
            problem: if unit.is_empty() {
                format!("\"{whole}\" has no unit")
            } else {
                format!("the unit \"{unit}\" is not known")
            },
        })?;
        let too_long = || DurationError::TooLong {
            text: text.to_owned(),
        };
        let whole: i128 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| too_long())?
        };
        let part = whole.checked_mul(scale).ok_or_else(too_long)? + fraction_nanos(fraction, scale);
        nanos = nanos.checked_add(part).ok_or_else(too_long)?;
        if nanos > i128::from(i64::MAX) + i128::from(negative) {
            return Err(too_long());
        }
        rest = tail;
    }
    let nanos = if negative { -nanos } else { nanos };
    i64::try_from(nanos)
        .map(SignedDuration::from_nanos)
        .map_err(|_| DurationError::TooLong {
            text: text.to_owned(),
        })
}

/// How many bytes at the beginning are digits.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Nanoseconds of a fraction of a unit, rounded down. More than 15 digits cannot matter.
fn fraction_nanos(fraction: &str, scale: i128) -> i128 {
    let (mut value, mut divisor) = (0_i128, 1_i128);
    for digit in fraction.bytes().take(15) {
        value = value * 10 + i128::from(digit - b'0');
        divisor *= 10;
    }
    value * scale / divisor
}

/// Nanoseconds of a unit.
fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanos) in [
            ("0", 0_i64),
            ("-0", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("-1.5h", -5_400_000_000_000),
            ("1h15m30.918273645s", 4_530_918_273_645),
            (".5m", 30_000_000_000),
            ("5.s", 5_000_000_000),
            ("10µs", 10_000),
            ("10μs", 10_000),
            ("1.0000000000000000000001ns", 1),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(parse(text), Ok(SignedDuration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "",
            "-",
            "s",
            ".",
            ".s",
            "3",
            "1d",
            "1h 2m",
            "10",
            "1hh",
            "9223372036854775808ns",
            "99999999999999999999h",
            "１s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(
            parse("1d").unwrap_err().to_string(),
            "\"1d\" is not a duration: the unit \"d\" is not known (units: ns, us, ms, s, m, h)"
        );
    }
}
