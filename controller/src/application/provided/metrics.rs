//! Conditions on metrics (PRV-017): asks Prometheus. Since when they hold, the journal knows.

use caravel_core::engine::{Call, ExpressionRequest, Operation};
use serde_json::{Value, json};

use super::super::delivery::Delivery;
use super::required;
use crate::calls::{http, text};
use crate::engine::PortError;

impl Delivery {
    /// `metrics.#PromCheck`, as it stands now: whether the condition holds, and for which value.
    pub(super) async fn prometheus(&self, call: &Call) -> Result<Value, PortError> {
        let params = &call.params;
        let (query, condition) = (required(params, "query")?, required(params, "condition")?);
        let endpoint = text(params, "metricEndpoint")
            .unwrap_or("http://prometheus-server.o11y-system.svc:9090");
        let value = self.metric(endpoint, query).await?;
        let holds = self.holds(&value, condition).await?;
        Ok(json!({"holds": holds, "value": value}))
    }

    async fn metric(&self, endpoint: &str, query: &str) -> Result<String, PortError> {
        let address = format!("{}/api/v1/query", endpoint.trim_end_matches('/'));
        // As Prometheus' own clients do: a query may be longer than an address can be.
        let form = reqwest::Url::parse_with_params("http://form", [("query", query)])
            .map_err(|error| PortError::new(format!("query {query:?}: {error}")))?;
        let request = http::request(&json!({
            "method": "POST",
            "url": address,
            "request": {
                "body": form.query().unwrap_or_default(),
                "header": {"Content-Type": "application/x-www-form-urlencoded"},
            },
        }));
        let request =
            request.map_err(|why| PortError::new(format!("metricEndpoint {endpoint:?}: {why}")))?;
        let answer = http::send(&self.http, request)
            .await
            .map_err(|failure| PortError::new(failure.message))?;
        let body = answer["body"].as_str().unwrap_or_default();
        let body: Value = serde_json::from_str(body).map_err(|error| {
            PortError::new(format!("{address}: the answer is not JSON: {error}"))
        })?;
        if body["status"] != "success" {
            let why = text(&body, "error").unwrap_or("the query did not succeed");
            return Err(PortError::new(format!("{address}: {why}")));
        }
        let data = &body["data"];
        let sample = match data["resultType"].as_str() {
            Some("scalar") => &data["result"][1],
            _ => match data["result"].as_array().map(Vec::as_slice) {
                Some([one]) => &one["value"][1],
                Some(several) => {
                    return Err(PortError::new(format!(
                        "{address}: the query gives {} values, expected one",
                        several.len()
                    )));
                }
                None => &Value::Null,
            },
        };
        let sample = sample.as_str().map(str::to_owned);
        sample.ok_or_else(|| PortError::new(format!("{address}: the answer has no value")))
    }

    /// Whether a value fulfils a condition such as `>=0.95`: CUE compares.
    async fn holds(&self, value: &str, condition: &str) -> Result<bool, PortError> {
        if value.parse::<f64>().is_err() {
            return Ok(false);
        }
        let operation = Operation::Expression(ExpressionRequest {
            expression: format!("{value} {condition}"),
            ..ExpressionRequest::default()
        });
        let namespace = &self.appfile.namespace;
        let answer: Value = self
            .evaluation
            .call(namespace, operation)
            .await
            .map_err(|error| PortError::new(format!("condition {condition:?}: {error}")))?;
        answer
            .as_bool()
            .ok_or_else(|| PortError::new(format!("condition {condition:?} is no comparison")))
    }
}
