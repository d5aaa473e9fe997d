//! Dates (PRV-018). Layouts are those of Go; the engine's `time` package understands them.

use caravel_core::engine::{ExpressionRequest, Operation};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::delivery::Delivery;
use super::required;
use crate::calls::text;
use crate::engine::PortError;

const RFC_3339: &str = "2006-01-02T15:04:05Z07:00";

impl Delivery {
    /// `time.#DateToTimestamp`: seconds since 1970; without a zone a date is in UTC.
    pub(super) async fn timestamp(&self, params: &Value) -> Result<Value, PortError> {
        let date = required(params, "date")?;
        let wrong = |error: String| PortError::new(format!("date {date:?}: {error}"));
        let scope = json!({"date": date, "layout": layout(params)});
        let found = self.moment("time.Parse(layout, date)", scope).await;
        let instant: Timestamp = found
            .map_err(&wrong)?
            .parse()
            .map_err(|error: jiff::Error| wrong(error.to_string()))?;
        Ok(json!({"timestamp": instant.as_second()}))
    }

    /// `time.#TimestampToDate`: in UTC.
    pub(super) async fn date(&self, params: &Value) -> Result<Value, PortError> {
        let second = params.get("timestamp").and_then(Value::as_i64);
        let second = second.ok_or_else(|| PortError::new("timestamp is missing"))?;
        let scope = json!({"second": second, "layout": layout(params)});
        let date = self
            .moment("time.FormatString(layout, time.Unix(second, 0))", scope)
            .await
            .map_err(|error| PortError::new(format!("timestamp {second}: {error}")))?;
        Ok(json!({"date": date}))
    }

    async fn moment(&self, expression: &str, scope: Value) -> Result<String, String> {
        let Value::Object(scope) = scope else {
            return Err("there are no values".to_owned());
        };
        let operation = Operation::Expression(ExpressionRequest {
            expression: format!("import \"time\"\n{expression}"),
            scope,
            ..ExpressionRequest::default()
        });
        let found = self.evaluation.call(&self.appfile.namespace, operation);
        found.await.map_err(|error| {
            let text = error.to_string();
            // What CUE says before it is about the expression above.
            match text.find("parsing time") {
                Some(start) => text[start..].to_owned(),
                None => text,
            }
        })
    }
}

/// The layout of a date; RFC 3339 unless given.
fn layout(params: &Value) -> &str {
    text(params, "layout").unwrap_or(RFC_3339)
}
