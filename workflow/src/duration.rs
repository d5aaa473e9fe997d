//! Durations of steps.

use std::time::Duration;

pub use caravel_core::api::duration::DurationError as InvalidDuration;

/// Reads `timeout` of a step or `duration` of a suspension. A negative one has passed already, as for KubeVela.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let parsed = caravel_core::api::duration::parse(text.trim())?;
    Ok(Duration::try_from(parsed).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_duration_has_passed() {
        assert_eq!(parse_duration("-3s"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_mins(90)));
        assert!(
            parse_duration("soon")
                .unwrap_err()
                .to_string()
                .contains("soon")
        );
    }
}
