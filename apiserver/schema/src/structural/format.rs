//! The `format`s that the API server checks. Others are ignored, as upstream ignores them.

use jiff::civil::Date;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Is the format checked?
pub(super) fn is_known(name: &str) -> bool {
    #[rustfmt::skip]
    let known = [
        "byte", "cidr", "date", "date-time", "datetime", "duration", "email", "hostname", "ipv4", "ipv6", "mac", "password",
        "uri", "uuid", "uuid3", "uuid4", "uuid5",
    ];
    known.contains(&name)
}

/// Does the text have the format? Formats that are not known hold for everything.
pub(super) fn holds(name: &str, text: &str) -> bool {
    match name {
        "date" => text.len() == 10 && text.parse::<Date>().is_ok(),
        "date-time" | "datetime" => is_date_time(text),
        "duration" => is_duration(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "byte" => is_base64(text),
        "hostname" => is_hostname(text),
        "email" => text
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && is_hostname(host)),
        "uri" => {
            text.starts_with('/')
                || text
                    .split_once(':')
                    .is_some_and(|(scheme, _)| is_scheme(scheme))
        }
        "uuid" | "uuid3" | "uuid4" | "uuid5" => is_uuid(name, text),
        _ => true,
    }
}

fn is_date_time(text: &str) -> bool {
    text.len() >= 20
        && text
            .as_bytes()
            .get(10)
            .is_some_and(|c| *c == b'T' || *c == b't')
        && text.parse::<jiff::Timestamp>().is_ok()
}

/// Go's durations: `1h30m`, `1.5s`, `-2ms`; also days and weeks, which upstream accepts.
fn is_duration(text: &str) -> bool {
    let mut rest = text.trim_start_matches(['-', '+']);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        if digits.len() == rest.len() {
            return false;
        }
        let digits = digits.trim_start();
        let unit_end = digits
            .find(|c: char| c.is_ascii_digit() || c == ' ')
            .unwrap_or(digits.len());
        let (unit, tail) = digits.split_at(unit_end);
        let known = [
            "ns", "us", "µs", "μs", "ms", "s", "m", "h", "d", "w", "days", "day", "weeks", "week",
            "hours", "hour", "minutes", "minute", "seconds", "second",
        ];
        if !known.contains(&unit) {
            return false;
        }
        rest = tail.trim_start();
    }
    true
}

fn is_cidr(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, bits)| {
        let max = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.parse::<u8>().is_ok_and(|b| b <= max)
    })
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    matches!(parts.len(), 6 | 8 | 20)
        && parts
            .iter()
            .all(|p| p.len() == 2 && p.chars().all(|c| c.is_ascii_hexdigit()))
}

fn is_base64(text: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .is_ok()
}

fn is_hostname(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.trim_end_matches('.').split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn is_uuid(name: &str, text: &str) -> bool {
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    let well_formed = hex.len() == 32 && hex.chars().all(|c| c.is_ascii_hexdigit());
    let version = hex.chars().nth(12);
    well_formed
        && name
            .strip_prefix("uuid")
            .is_none_or(|v| v.is_empty() || v.chars().next() == version)
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn formats_accept_and_refuse() {
        let good = [
            ("date-time", "2026-11-21T10:14:57Z"),
            ("date", "2026-11-21"),
            ("duration", "1h30m"),
            ("duration", "1.5s"),
            ("ipv4", "10.0.0.1"),
            ("cidr", "10.0.0.0/8"),
            ("uuid4", "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"),
            ("byte", "Yg=="),
            ("uri", "https://a/b"),
            ("hostname", "a.b-c.d"),
            ("email", "a@b.c"),
            ("mac", "00:1b:44:11:3a:b7"),
        ];
        for (format, text) in good {
            assert!(holds(format, text), "{format} {text}");
        }
        let bad = [
            ("date-time", "yesterday"),
            ("date", "2026-13-01"),
            ("duration", "1x"),
            ("ipv4", "10.0.0.256"),
            ("cidr", "10.0.0.0/33"),
            ("uuid4", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
            ("byte", "!"),
            ("hostname", "-a"),
        ];
        for (format, text) in bad {
            assert!(!holds(format, text), "{format} {text}");
        }
    }
}
