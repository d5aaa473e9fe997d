//! What an object asks of the simulator, by the annotation `caravel.dev/simulate`.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

/// The annotation by which an object asks for trouble: `fail`, `stall` or `slow=<duration>`. It
/// counts on the object and, for workloads, on the pod template.
pub const SIMULATE: &str = "caravel.dev/simulate";

/// How the simulated runtime treats an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It works.
    #[default]
    Work,
    /// It fails for good.
    Fail,
    /// It starts and never becomes ready.
    Stall,
    /// It works, after this time.
    Slow(Duration),
}

/// A wish that nobody understands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "annotation {SIMULATE} is {0:?}: expected fail, stall or slow=<duration>, such as slow=30s"
)]
pub(crate) struct UnknownWish(String);

impl Wish {
    pub(crate) fn parse(text: &str) -> Result<Self, UnknownWish> {
        match text.trim() {
            "fail" => return Ok(Self::Fail),
            "stall" => return Ok(Self::Stall),
            _ => {}
        }
        let slow = text.trim().strip_prefix("slow=");
        slow.and_then(|duration| duration.trim().parse::<SignedDuration>().ok())
            .and_then(|duration| Duration::try_from(duration).ok())
            .map(Self::Slow)
            .ok_or_else(|| UnknownWish(text.to_owned()))
    }

    /// The wish of an object; `None` if it has none.
    pub(crate) fn of(object: &Value) -> Option<Result<Self, UnknownWish>> {
        [
            "/metadata/annotations",
            "/spec/template/metadata/annotations",
        ]
        .iter()
        .find_map(|place| object.pointer(place)?.get(SIMULATE)?.as_str())
        .map(Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wishes_are_read_from_the_object_or_its_template() {
        let object =
            json!({"spec": {"template": {"metadata": {"annotations": {SIMULATE: "slow=1m30s"}}}}});
        assert_eq!(
            Wish::of(&object),
            Some(Ok(Wish::Slow(Duration::from_secs(90))))
        );
        let object =
            json!({"metadata": {"annotations": {SIMULATE: "fail"}}, "spec": object["spec"]});
        assert_eq!(Wish::of(&object), Some(Ok(Wish::Fail)));
        assert_eq!(Wish::of(&json!({})), None);
    }

    #[test]
    fn an_unknown_wish_says_what_is_expected() {
        for text in ["", "slow", "slow=", "slow=soon", "slow=-5s", "Fail"] {
            let error = Wish::parse(text).unwrap_err().to_string();
            assert!(
                error.contains("expected fail, stall or slow=<duration>"),
                "{error}"
            );
        }
    }
}
