//! Conversions (PRV-018, PRV-020).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::required;
use crate::calls::text;
use crate::engine::PortError;

/// `util.#ConvertString`: bytes are base64 in JSON.
pub(super) fn string(params: &Value) -> Result<Value, PortError> {
    let encoded = params.get("bt").and_then(Value::as_str);
    let encoded = encoded.ok_or_else(|| PortError::new("bt is missing"))?;
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|error| PortError::new(format!("bt is not base64: {error}")))?;
    Ok(json!({"str": String::from_utf8_lossy(&bytes)}))
}

/// Layouts of Go by name or by example, as `strftime` has them.
fn layout(params: &Value) -> Result<String, PortError> {
    const RFC_3339: &str = "2006-01-02T15:04:05Z07:00";
    // The longer ones first: `2006` is no `20` and a `06`.
    const PARTS: [(&str, &str); 18] = [
        ("January", "%B"),
        ("Monday", "%A"),
        ("2006", "%Y"),
        ("-07:00", "%:z"),
        ("Z07:00", "%:z"),
        ("-0700", "%z"),
        ("Jan", "%b"),
        ("Mon", "%a"),
        ("MST", "%Z"),
        ("01", "%m"),
        ("02", "%d"),
        ("15", "%H"),
        ("03", "%I"),
        ("04", "%M"),
        ("05", "%S"),
        ("06", "%y"),
        ("PM", "%p"),
        ("_2", "%e"),
    ];
    let go = text(params, "layout").unwrap_or(RFC_3339);
    if go.contains('%') {
        return Err(PortError::new(format!("layout {go:?} is not supported")));
    }
    let mut rest = go;
    let mut found = String::new();
    'next: while !rest.is_empty() {
        for (part, written) in PARTS {
            if let Some(after) = rest.strip_prefix(part) {
                found.push_str(written);
                rest = after;
                continue 'next;
            }
        }
        let mut letters = rest.chars();
        found.extend(letters.next());
        rest = letters.as_str();
    }
    Ok(found)
}

/// `time.#DateToTimestamp`: seconds since 1970.
pub(super) fn timestamp(params: &Value) -> Result<Value, PortError> {
    let date = required(params, "date")?;
    let wrong = |error: jiff::Error| PortError::new(format!("date {date:?}: {error}"));
    if let Ok(instant) = date.parse::<Timestamp>() {
        return Ok(json!({"timestamp": instant.as_second()}));
    }
    let layout = layout(params)?;
    let parsed = jiff::fmt::strtime::parse(&layout, date).map_err(wrong)?;
    if let Ok(instant) = parsed.to_timestamp() {
        return Ok(json!({"timestamp": instant.as_second()}));
    }
    // Without a zone it is UTC, as in Go.
    let civil = match parsed.to_datetime() {
        Ok(civil) => civil,
        Err(_) => parsed.to_date().map_err(wrong)?.at(0, 0, 0, 0),
    };
    let instant = civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(wrong)?;
    let instant = instant.timestamp();
    Ok(json!({"timestamp": instant.as_second()}))
}

/// `time.#TimestampToDate`: in UTC.
pub(super) fn date(params: &Value) -> Result<Value, PortError> {
    let second = params.get("timestamp").and_then(Value::as_i64);
    let second = second.ok_or_else(|| PortError::new("timestamp is missing"))?;
    let instant = Timestamp::from_second(second)
        .map_err(|error| PortError::new(format!("timestamp {second}: {error}")))?;
    if text(params, "layout").is_none() {
        return Ok(json!({"date": instant.to_string()}));
    }
    let zoned = instant.to_zoned(jiff::tz::TimeZone::UTC);
    let date = jiff::fmt::strtime::format(layout(params)?, &zoned)
        .map_err(|error| PortError::new(format!("timestamp {second}: {error}")))?;
    Ok(json!({"date": date}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_text() {
        assert_eq!(
            string(&json!({"bt": "aGVsbG8="})),
            Ok(json!({"str": "hello"}))
        );
        assert!(string(&json!({"bt": "?"})).is_err());
    }

    #[test]
    fn times_are_read_and_written_in_layouts_of_go() {
        let at = |date: &str, layout: &str| timestamp(&json!({"date": date, "layout": layout}));
        assert_eq!(
            at("2021-11-07T01:47:51Z", ""),
            Ok(json!({"timestamp": 1_636_249_671}))
        );
        assert_eq!(
            at("2021-11-07 01:47:51", "2006-01-02 15:04:05"),
            Ok(json!({"timestamp": 1_636_249_671}))
        );
        assert_eq!(
            at("2021-11-07", "2006-01-02"),
            Ok(json!({"timestamp": 1_636_243_200}))
        );
        assert!(at("tomorrow", "2006-01-02").is_err());
        let shown = |layout: &str| date(&json!({"timestamp": 1_636_249_671, "layout": layout}));
        assert_eq!(shown(""), Ok(json!({"date": "2021-11-07T01:47:51Z"})));
        assert_eq!(
            shown("Mon, 02 Jan 2006"),
            Ok(json!({"date": "Sun, 07 Nov 2021"}))
        );
    }
}
