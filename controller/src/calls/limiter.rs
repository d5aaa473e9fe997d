//! `ratelimiter` of requests (PRV-014): so many to one address at once, and one more after each period.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use caravel_workflow::parse_duration;
use jiff::Timestamp;
use reqwest::Request;
use serde_json::Value;

/// Addresses that are remembered. Those that were used longest ago are forgotten: they are free again, as after a restart.
const REMEMBERED: usize = 1_024;

/// Counts requests by method and address, for all Applications of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limiter {
    buckets: Arc<Mutex<HashMap<String, Bucket>>>,
}

/// A token bucket.
#[derive(Debug)]
struct Bucket {
    limit: u32,
    period: Duration,
    tokens: f64,
    filled: Timestamp,
}

impl Bucket {
    fn new(limit: u32, period: Duration, now: Timestamp) -> Self {
        Self {
            limit,
            period,
            tokens: f64::from(limit),
            filled: now,
        }
    }

    fn take(&mut self, now: Timestamp) -> bool {
        // A clock that was put back fills nothing.
        let passed = now.duration_since(self.filled).as_secs_f64().max(0.0);
        let periods = passed / self.period.as_secs_f64();
        self.tokens = (self.tokens + periods).min(f64::from(self.limit));
        self.filled = now;
        let is_free = self.tokens >= 1.0;
        if is_free {
            self.tokens -= 1.0;
        }
        is_free
    }
}

impl Limiter {
    /// Counts a request, if its parameters limit it.
    ///
    /// # Errors
    /// There were too many; or the limit is not one.
    pub(crate) fn count(
        &self,
        params: &Value,
        request: &Request,
        now: Timestamp,
    ) -> Result<(), String> {
        let Some(declared) = params.pointer("/request/ratelimiter") else {
            return Ok(());
        };
        let (limit, period) = read(declared)?;
        let mut url = request.url().clone();
        url.set_query(None);
        let key = format!("{} {url}", request.method());
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets
            .entry(key)
            .or_insert_with(|| Bucket::new(limit, period, now));
        if (bucket.limit, bucket.period) != (limit, period) {
            *bucket = Bucket::new(limit, period, now);
        }
        let is_free = bucket.take(now);
        if buckets.len() > REMEMBERED {
            let oldest = buckets.iter().min_by_key(|(_, bucket)| bucket.filled);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                buckets.remove(&key);
            }
        }
        if is_free {
            Ok(())
        } else {
            Err(format!(
                "request exceeds the rate limiter: {limit} at once, one more each {period:?}"
            ))
        }
    }
}

fn read(declared: &Value) -> Result<(u32, Duration), String> {
    let limit = declared.get("limit").and_then(Value::as_u64);
    let limit = limit.and_then(|limit| u32::try_from(limit).ok());
    let limit = limit
        .filter(|limit| *limit > 0)
        .ok_or("ratelimiter.limit: expected a number of requests, at least 1")?;
    let period = declared
        .get("period")
        .and_then(Value::as_str)
        .ok_or("ratelimiter.period is missing: a duration like 1m")?;
    let period = parse_duration(period).map_err(|invalid| format!("ratelimiter: {invalid}"))?;
    if period.is_zero() {
        return Err("ratelimiter.period: expected more than nothing".to_owned());
    }
    Ok((limit, period))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn get(url: &str) -> Request {
        let url = url.parse().expect("an address");
        Request::new(reqwest::Method::GET, url)
    }

    #[test]
    fn so_many_at_once_and_one_more_after_each_period() {
        let limiter = Limiter::default();
        let start = Timestamp::UNIX_EPOCH;
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let params = json!({"request": {"ratelimiter": {"limit": 2, "period": "10s"}}});
        let ask = |url: &str, at: Timestamp| limiter.count(&params, &get(url), at).is_ok();
        let here = "http://h/a?q=1";
        assert_eq!(
            [0, 0, 1, 9].map(|at| ask(here, after(at))),
            [true, true, false, false]
        );
        assert!(
            !ask("http://h/a?q=2", after(9)),
            "the query tells no addresses apart"
        );
        assert!(ask("http://h/b", after(9)), "another address");
        assert_eq!([10, 11].map(|at| ask(here, after(at))), [true, false]);
        assert_eq!(
            [60, 60, 60].map(|at| ask(here, after(at))),
            [true, true, false]
        );
        for wrong in [
            json!({"limit": 0, "period": "1s"}),
            json!({"limit": 1, "period": "soon"}),
            json!({"limit": 1, "period": "0s"}),
            json!({"limit": 1}),
        ] {
            let params = json!({"request": {"ratelimiter": wrong}});
            assert!(
                limiter.count(&params, &get(here), start).is_err(),
                "{params}"
            );
        }
    }
}
