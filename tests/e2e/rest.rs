//! The REST API, as a program that is no Kubernetes client uses it.

use std::time::Duration;

use caravel_tests::daemon::Daemon;
use caravel_tests::wait::eventually;
use futures::StreamExt as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::place::{Place, application};

/// A client of the REST API of a daemon.
pub(crate) struct Rest {
    runtime: Runtime,
    client: reqwest::Client,
    base: String,
    token: String,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The body as a problem document (RFC 9457).
    fn problem(&self) -> Value {
        assert_eq!(
            self.headers[CONTENT_TYPE], "application/problem+json",
            "{}",
            self.body
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert!(
            problem["title"].is_string() && problem["detail"].is_string(),
            "{problem}"
        );
        problem
    }
}

impl Rest {
    /// With the daemon's own token.
    pub(crate) fn new(daemon: &Daemon) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            runtime,
            client: reqwest::Client::new(),
            base: daemon.http(),
            token: daemon.token(),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base))
            .timeout(Duration::from_secs(30))
    }

    fn send(&self, request: RequestBuilder) -> Answer {
        self.runtime.block_on(async {
            let response = request.send().await.expect("an answer");
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Answer {
                status,
                headers,
                body: response.text().await.expect("a body"),
            }
        })
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).bearer_auth(&self.token))
    }

    fn post(&self, path: &str) -> Answer {
        self.send(self.request(Method::POST, path).bearer_auth(&self.token))
    }

    fn anonymous(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path))
    }

    /// The text at an address that answers 200.
    pub(crate) fn text(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    fn object(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).expect("JSON")
    }
}

#[test]
fn applications_are_listed_in_pages_and_read_one_by_one() {
    let place = Place::shared("rest");
    let names = ["a", "b", "c"];
    for name in names {
        place
            .apply(&application(name, "worker", "{image: busybox:1}"))
            .ok();
    }
    for name in names {
        place.wait_until_running(name);
    }
    let rest = Rest::new(&place.daemon);

    let mut seen = Vec::new();
    let mut next = String::new();
    for _ in 0..names.len() {
        let page = rest.object(&format!(
            "/api/v1/namespaces/rest/applications?limit=1{next}"
        ));
        let items = page["items"].as_array().cloned().unwrap_or_default();
        assert_eq!(items.len(), 1, "{page:#}");
        assert_eq!(items[0]["phase"], "running");
        assert_eq!(items[0]["components"][0]["type"], "worker");
        seen.push(items[0]["name"].as_str().unwrap_or_default().to_owned());
        next = page["continue"]
            .as_str()
            .map_or(String::new(), |token| format!("&continue={token}"));
    }
    assert_eq!(seen, names);
    assert!(next.is_empty(), "the last page has no successor");
    let everywhere = rest.object("/api/v1/applications?limit=500");
    let everywhere = everywhere["items"].as_array().expect("items");
    assert!(
        everywhere
            .iter()
            .any(|item| item["namespace"] == "rest" && item["name"] == "a")
    );

    let one = "/api/v1/namespaces/rest/applications/a";
    assert_eq!(rest.object(one)["spec"]["components"][0]["name"], "a");
    assert_eq!(rest.object(&format!("{one}/status"))["status"], "running");
    let revisions = rest.object(&format!("{one}/revisions"));
    assert_eq!(revisions["items"][0]["name"], "a-v1");
    assert_eq!(revisions["items"][0]["succeeded"], true);

    let tree = rest.object(&format!("{one}/topology"));
    assert_eq!(
        (&tree["kind"], &tree["health"]),
        (&"Application".into(), &"healthy".into())
    );
    let component = &tree["children"][0];
    assert_eq!(
        (&component["kind"], &component["name"]),
        (&"Component".into(), &"a".into())
    );
    let deployment = &component["children"][0];
    assert_eq!(deployment["kind"], "Deployment");
    assert_eq!(deployment["health"], "healthy");
    assert_eq!(deployment["simulated"], true, "what is simulated says so");

    let events = eventually("the event that it is deployed", || {
        let events = rest.object(&format!("{one}/events"));
        events
            .to_string()
            .contains("\"Deployed\"")
            .then_some(events)
    });
    assert_eq!(events["items"][0]["type"], "Normal", "{events:#}");

    let missing = rest.get("/api/v1/namespaces/rest/applications/nobody");
    assert_eq!(missing.status, 404);
    assert_eq!(missing.problem()["reason"], "NotFound");
}

#[test]
fn without_a_token_there_is_nothing_but_health() {
    let place = Place::shared("rest-auth");
    let rest = Rest::new(&place.daemon);
    for path in [
        "/api/v1/applications",
        "/api/v1/namespaces/default/applications/x/status",
        "/api/v1/definitions",
        "/api/v1/stream/applications",
        "/metrics",
    ] {
        let answer = rest.anonymous(path);
        assert_eq!(answer.status, 401, "{path}: {}", answer.body);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert!(answer.problem()["hint"].is_string());
        let wrong = rest.send(rest.request(Method::GET, path).bearer_auth("guess"));
        assert_eq!(wrong.status, 401, "{path}");
        // A token in the address is none.
        assert_eq!(
            rest.anonymous(&format!("{path}?token={}", rest.token))
                .status,
            401
        );
    }
    assert_eq!(rest.anonymous("/healthz").status, 200);
    assert_eq!(rest.anonymous("/readyz").status, 200);
    assert!(rest.text("/metrics").contains("caravel_turns"));
}

#[test]
fn a_delivery_is_counted_with_its_end() {
    let place = Place::shared("rest-metrics");
    place
        .apply(&application("web", "webservice", "{image: nginx:1}"))
        .ok();
    place.wait_until_running("web");
    let rest = Rest::new(&place.daemon);
    let text = eventually("deliveries are counted", || {
        let text = rest.text("/metrics");
        let counted = text.contains("caravel_deliveries_total{result=\"succeeded\"}");
        counted.then_some(text)
    });
    assert!(!text.contains("result=\"executing\""), "{text}");
}

#[test]
fn a_user_of_the_hub_can_do_what_its_rbac_allows() {
    let place = Place::shared("rest-rbac");
    place.run("create serviceaccount reader").ok();
    place
        .run("create role reader --verb=get,list --resource=applications.core.oam.dev")
        .ok();
    place
        .run("create rolebinding reader --role=reader --serviceaccount=rest-rbac:reader")
        .ok();
    let token = place.run("create token reader").ok();
    let mut rest = Rest::new(&place.daemon);
    token.trim().clone_into(&mut rest.token);
    assert_eq!(
        rest.get("/api/v1/namespaces/rest-rbac/applications").status,
        200
    );
    let refused = rest.get("/api/v1/namespaces/default/applications");
    assert_eq!(refused.status, 403);
    assert_eq!(refused.problem()["reason"], "Forbidden");
}

#[test]
fn a_workflow_is_steered() {
    let place = Place::shared("rest-workflow");
    let gated = application("gated", "worker", "{image: busybox:1}")
        + "  workflow: {steps: [{name: gate, type: suspend}, {name: go, type: apply-component, properties: {component: gated}}]}\n";
    place.apply(&gated).ok();
    place.wait_for_phase("gated", "workflowSuspending");
    let rest = Rest::new(&place.daemon);
    let workflow = "/api/v1/namespaces/rest-workflow/applications/gated/workflow";

    let answer = rest.post(&format!("{workflow}/resume"));
    assert_eq!(answer.status, 202, "{}", answer.body);
    place.wait_until_running("gated");
    let again = rest.post(&format!("{workflow}/resume"));
    assert_eq!(again.status, 409, "{}", again.body);
    again.problem();
    assert_eq!(rest.post(&format!("{workflow}/restart")).status, 202);
    place.wait_for_phase("gated", "workflowSuspending");
    assert_eq!(rest.post(&format!("{workflow}/terminate")).status, 202);
    place.wait_for_phase("gated", "workflowTerminated");
    assert_eq!(rest.post(&format!("{workflow}/dance")).status, 404);
    assert_eq!(
        rest.post("/api/v1/namespaces/rest-workflow/applications/nobody/workflow/resume")
            .status,
        404
    );
}

#[test]
fn definitions_and_the_description_of_the_api_are_served() {
    let place = Place::shared("rest-definitions");
    let rest = Rest::new(&place.daemon);
    let list = rest.object("/api/v1/definitions?limit=500");
    let names: Vec<&str> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["name"].as_str())
        .collect();
    assert!(
        names.contains(&"webservice") && names.contains(&"worker"),
        "{names:?}"
    );
    let traits = rest
        .object("/api/v1/definitions?kind=trait&limit=500")
        .to_string();
    assert!(traits.contains("\"scaler\""));
    let one = eventually("the definition has its schema", || {
        let one = rest.object("/api/v1/namespaces/vela-system/definitions/component/webservice");
        one["schema"].is_object().then_some(one)
    });
    assert!(
        one["template"]
            .as_str()
            .is_some_and(|text| text.contains("parameter"))
    );
    assert!(
        one["schema"]["properties"]["image"].is_object(),
        "{:#}",
        one["schema"]
    );

    let description = rest.object("/api/v1/openapi.json");
    assert!(
        description["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1"))
    );
    assert!(description["paths"]["/api/v1/applications"]["get"].is_object());
}

/// An event of a stream.
#[derive(Debug)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Rest {
    /// Reads events of a stream until one is wanted.
    fn stream(&self, last: Option<&str>, until: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut request = self
            .client
            .get(format!(
                "{}/api/v1/stream/applications?namespace=rest-stream",
                self.base
            ))
            .bearer_auth(&self.token);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let reading = async {
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status(), 200);
            let mut bytes = response.bytes_stream();
            let (mut text, mut events) = (String::new(), Vec::new());
            while let Some(chunk) = bytes.next().await {
                text.push_str(std::str::from_utf8(&chunk.expect("a chunk")).expect("UTF-8"));
                while let Some((block, rest)) = text.split_once("\n\n") {
                    let event = parse(block);
                    text = rest.to_owned();
                    let Some(event) = event else { continue };
                    let wanted = until(&event);
                    events.push(event);
                    if wanted {
                        return events;
                    }
                }
            }
            panic!("the stream ended: {events:?}")
        };
        self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_mins(1), reading)
                .await
                .expect("the event comes")
        })
    }
}

fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| {
        block
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(|value| value.trim_start().to_owned())
    };
    let data = field("data:")?;
    Some(Event {
        id: field("id:").unwrap_or_default(),
        name: field("event:").unwrap_or_default(),
        data: serde_json::from_str(&data).expect("JSON"),
    })
}

#[test]
fn the_stream_of_changes_resumes_where_it_was_left() {
    let place = Place::shared("rest-stream");
    let rest = Rest::new(&place.daemon);
    let first = rest.stream(None, |event| event.name == "reset");
    let last = first.last().expect("a reset").id.clone();

    // While nobody listens, an Application comes, changes and goes.
    place
        .apply(&application("short", "worker", "{image: busybox:1}"))
        .ok();
    place.wait_until_running("short");
    place.run("delete app short --timeout=60s").ok();

    let missed = rest.stream(Some(&last), |event| event.name == "delete");
    assert!(
        missed.iter().all(|event| event.name != "reset"),
        "nothing was too old: {missed:?}"
    );
    let phases: Vec<&str> = missed
        .iter()
        .filter_map(|event| event.data["phase"].as_str())
        .collect();
    assert!(phases.contains(&"running"), "{phases:?}");
    assert_eq!(missed.last().expect("a delete").data["name"], "short");
    // Resuming at an event gives what follows it, not the event itself.
    let from = &missed[0].id;
    let rest_of_it = rest.stream(Some(from), |event| event.name == "delete");
    assert_eq!(rest_of_it.len(), missed.len() - 1);
}

#[test]
fn what_was_delivered_is_kept_and_shown() {
    let place = Place::shared("rest-deliveries");
    place
        .apply(&application("web", "worker", "{image: busybox:1}"))
        .ok();
    place.wait_until_running("web");
    place
        .apply(&application("web", "worker", "{image: busybox:2}"))
        .ok();
    eventually("the second revision runs", || {
        let status = &place.object("app", "web")["status"];
        (status["latestRevision"]["revision"] == 2 && status["status"] == "running").then_some(())
    });
    let rest = Rest::new(&place.daemon);
    let base = "/api/v1/namespaces/rest-deliveries/applications/web/deliveries";
    let first = rest.get(&format!("{base}?limit=1")).json();
    assert_eq!(first["items"][0]["revision"], "web-v2");
    assert_eq!(first["items"][0]["result"], "succeeded");
    assert!(first["items"][0]["seconds"].is_number(), "{first}");
    let next = first["continue"].as_str().expect("there is another");
    let second = rest.get(&format!("{base}?limit=1&continue={next}")).json();
    assert_eq!(second["items"][0]["revision"], "web-v1");
    assert_eq!(second["items"][1], Value::Null);
    let run = second["items"][0]["run"].as_str().expect("its run");
    let one = rest.get(&format!("{base}/{run}")).json();
    assert_eq!(one["steps"][0]["name"], "web");
    assert_eq!(one["steps"][0]["phase"], "succeeded");
    let problem = rest.get(&format!("{base}?continue=nonsense")).problem();
    assert_eq!(problem["status"], 400);
    assert_eq!(rest.get(&format!("{base}/nosuch")).problem()["status"], 404);
}
