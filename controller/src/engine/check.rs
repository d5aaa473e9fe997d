//! Conditions on metrics that have to hold for a while (PRV-017). Since when one holds, or does not, is in the journal: a
//! daemon that starts again goes on counting.

use std::time::Duration;

use caravel_core::engine::Call;
use caravel_workflow::{Event, parse_duration};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::attempt::{Attempt, Called, Unwanted, Work};
use super::calls::{failed, refusal, text};
use crate::calls::digest;

/// How long a condition has to hold, or not to hold, until that is the result.
struct Patience {
    holding: Duration,
    failing: Duration,
}

impl Patience {
    fn of(params: &Value) -> Result<Self, String> {
        let given = |key: &str, usual: &str| {
            let given = text(params, key).unwrap_or(usual);
            parse_duration(given).map_err(|error| format!("{key}: {error}"))
        };
        Ok(Self {
            holding: given("duration", "5m")?,
            failing: given("failDuration", "2m")?,
        })
    }

    /// The answer, where the condition has come out like this for so long.
    fn answer(&self, params: &Value, holds: bool, value: &Value, lasted: Duration) -> Value {
        let (result, failed) = (
            holds && lasted >= self.holding,
            !holds && lasted >= self.failing,
        );
        let seconds = lasted.as_secs();
        let value = value.as_str().unwrap_or_default();
        let message = match (holds, result || failed) {
            (true, true) => "The healthy condition is met".to_owned(),
            (true, false) => format!("The healthy condition has been maintained for {seconds} s"),
            (false, true) => format!(
                "The healthy condition could not be met for {seconds} s; the value is {value}"
            ),
            (false, false) => {
                let condition = text(params, "condition").unwrap_or_default();
                format!("The value {value} does not meet the condition {condition}")
            }
        };
        json!({"result": result, "failed": failed, "message": message})
    }
}

impl Attempt {
    /// `metrics.#PromCheck`: done when the condition held for `duration`, failed when it did not for `failDuration`.
    pub(super) async fn check_metric(&self, work: &Work, call: &Call) -> Result<Called, Unwanted> {
        let patience = match Patience::of(&call.params) {
            Ok(patience) => patience,
            Err(why) => return Ok(failed(call, why)),
        };
        let seen = match self.ports.other(call).await {
            Ok(Some(seen)) => seen,
            Ok(None) => return Ok(failed(call, refusal(call))),
            Err(error) => return Ok(failed(call, error)),
        };
        let holds = seen["holds"] == true;
        let now = self.parts.clock.now();
        let since = self.since(work, call, holds, now).await?;
        let lasted = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        let answer = patience.answer(&call.params, holds, &seen["value"], lasted);
        Ok(Called::Answer(answer))
    }

    /// Since when a condition has come out like this without a break. Only a change is written down.
    async fn since(
        &self,
        work: &Work,
        call: &Call,
        holds: bool,
        now: Timestamp,
    ) -> Result<Timestamp, Unwanted> {
        let key = format!("{}@since", call.key);
        let digest = digest(&call.params);
        let recorded = work.recorded.get(&key);
        let recorded = recorded.filter(|one| one.digest == digest && one.value["holds"] == holds);
        let since = recorded.and_then(|one| one.value["since"].as_str()?.parse().ok());
        if let Some(since) = since {
            return Ok(since);
        }
        self.tell(Event::Answer {
            step: self.step,
            attempt: self.number,
            call: key,
            digest,
            value: json!({"holds": holds, "since": now.to_string()}),
            keep: true,
        })
        .await?;
        Ok(now)
    }
}
