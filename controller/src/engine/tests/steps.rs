use std::sync::atomic::Ordering;

use caravel_store::{DeliveryQuery, RunId};
use caravel_workflow::{Command, RunPhase};
use serde_json::json;
use wiremock::matchers::{header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::world::{Bench, head, shown};
use crate::engine::RunError;

#[tokio::test]
async fn values_pass_from_step_to_step() {
    let bench = Bench::new();
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": "hello"}});
    let run = bench
        .begin(json!([
            {"name": "a", "type": "apply", "properties": {"value": config},
             "outputs": [{"name": "k", "valueFrom": "replay.apply.value.data.k"}]},
            {"name": "b", "type": "message", "inputs": [{"from": "k", "parameterKey": "message"}]},
            {"name": "put", "type": "put"},
            {"name": "c", "type": "get", "properties": {"path": "a.b"},
             "outputs": [{"name": "seven", "valueFrom": "replay.get.value"}, {"name": "nil", "valueFrom": "no.such"}]},
        ]))
        .await;
    let end = bench.over(&run).await;
    assert_eq!(end.phase, RunPhase::Succeeded);
    assert_eq!(
        shown(&end),
        [
            "a=succeeded",
            "b=succeeded hello",
            "put=succeeded",
            "c=succeeded failed to get output from no.such: not there"
        ]
    );
    assert_eq!(end.values["seven"], json!(7));
    assert_eq!(end.values["nil"], json!(null));
    assert!(
        bench
            .world
            .objects
            .lock()
            .unwrap()
            .contains_key("ConfigMap/c")
    );

    let history = bench
        .store
        .deliveries(&DeliveryQuery::default())
        .await
        .unwrap();
    assert_eq!(history.items[0].result, "succeeded");
    let delivery = bench
        .store
        .delivery(&RunId("run-1".into()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(delivery.steps.len(), 4);
    assert!(delivery.ended.is_some());
    assert!(
        bench
            .store
            .latest(&head().app)
            .await
            .unwrap()
            .unwrap()
            .closed
    );
}

/// What was not evaluated did not fail: the step waits, however often, says why, and goes on.
#[tokio::test]
async fn a_step_whose_evaluation_is_put_off_waits_and_goes_on() {
    let mut step = json!({"name": "a", "type": "message", "properties": {"message": "hello"}});
    let bench = Bench::new();
    bench.world.quarantined.store(30, Ordering::SeqCst);
    let run = bench.begin(json!([step])).await;
    let waits = |text: &str| {
        text.starts_with("a=running/Wait the template exceeded its evaluation limits 2 times")
    };
    bench
        .until(&run, |now| shown(now).iter().any(|text| waits(text)))
        .await;
    let end = bench.over(&run).await;
    assert_eq!(shown(&end), ["a=succeeded hello"]);

    step["if"] = json!("true");
    let bench = Bench::new();
    bench.world.quarantined.store(3, Ordering::SeqCst);
    let run = bench.begin(json!([step])).await;
    let end = bench.over(&run).await;
    assert_eq!(
        shown(&end),
        ["a=succeeded hello"],
        "its condition waits, too"
    );
}

/// Who may read Applications need not know the address that a Secret holds.
#[tokio::test]
async fn a_url_is_not_told_once_a_secret_was_read() {
    let bench = Bench::new();
    bench
        .world
        .put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook"}}));
    let url = "http://127.0.0.1:1/services/SECRET";
    let run = bench
        .begin(json!([{"name": "a", "type": "notify", "properties": {"url": url}}]))
        .await;
    let failed = |now: &crate::engine::Snapshot| shown(now)[0].starts_with("a=failed");
    let now = bench.until(&run, failed).await;
    let told = &shown(&now)[0];
    assert!(told.contains("POST http://127.0.0.1:1: "), "{told}");
    assert!(!told.contains("SECRET"), "{told}");
}

/// Objects of late traits come when the step would be done; only who needs one of them waits.
#[tokio::test]
async fn an_output_that_is_still_to_come_is_waited_for() {
    for (output, attempts) in [("output.spec.image", 1), ("no.such", 2)] {
        let bench = Bench::new();
        bench.world.incomplete.store(1, Ordering::SeqCst);
        let run = bench
            .begin(
                json!([{"name": "a", "type": "apply-component", "properties": {"component": "web"},
                "outputs": [{"name": "o", "valueFrom": output}]}]),
            )
            .await;
        let end = bench.over(&run).await;
        assert_eq!(end.phase, RunPhase::Succeeded);
        let applied = bench.world.components.lock().unwrap().len();
        assert_eq!(applied, attempts, "{output}");
    }
}

#[tokio::test]
async fn a_component_is_waited_for_and_gives_its_outputs() {
    let bench = Bench::new();
    bench.world.unhealthy.store(1, Ordering::SeqCst);
    let run = bench
        .begin(json!([{"name": "a", "type": "apply-component",
            "properties": {"component": "web", "cluster": "c1", "value": {"properties": {"cpu": 1}}},
            "outputs": [{"name": "image", "valueFrom": "output.spec.image"}]}]))
        .await;
    let waiting = bench
        .until(&run, |now| {
            now.status.steps.iter().any(|step| step.message.is_some())
        })
        .await;
    assert_eq!(shown(&waiting), ["a=running/Wait wait healthy"]);
    // What a watch sees ends the wait at once: no time passes here.
    run.nudge().await.unwrap();
    let end = bench.over(&run).await;
    assert_eq!(end.values["image"], json!("x:1"));
    let asked = bench.world.components.lock().unwrap();
    assert_eq!(
        (
            asked.len(),
            asked[0].component.as_str(),
            asked[0].cluster.as_str()
        ),
        (2, "web", "c1")
    );
    assert_eq!(asked[0].value, Some(json!({"properties": {"cpu": 1}})));
}

#[tokio::test]
async fn deploy_waits_in_the_words_of_its_port() {
    let bench = Bench::new();
    bench.world.unhealthy.store(1, Ordering::SeqCst);
    let run = bench
        .begin(json!([{"name": "d", "type": "deploy", "properties": {"policies": ["p"], "parallelism": 2}}]))
        .await;
    let waiting = bench
        .until(&run, |now| {
            now.status.steps.iter().any(|step| step.message.is_some())
        })
        .await;
    assert_eq!(shown(&waiting), ["d=running/Wait web is not healthy"]);
    assert_eq!(bench.over(&run).await.phase, RunPhase::Succeeded);
    let asked = bench.world.deployments.lock().unwrap();
    assert_eq!(
        (
            asked[0].policies.clone(),
            asked[0].parallelism,
            asked[0].ignore_terraform
        ),
        (vec!["p".to_owned()], 2, true)
    );
}

#[tokio::test]
async fn suspend_waits_for_a_person_or_for_its_time() {
    let bench = Bench::new();
    let run = bench
        .begin(json!([
            {"name": "ask", "type": "suspend", "properties": {"message": "ship it?"}},
            {"name": "pause", "type": "suspend", "properties": {"duration": "30s"}},
            {"name": "go", "type": "message", "properties": {"message": "gone"}},
        ]))
        .await;
    let asked = bench.until(&run, |now| now.status.suspend).await;
    assert_eq!(shown(&asked), ["ask=suspending/Suspend ship it?"]);
    assert_eq!(asked.phase, RunPhase::Suspending);
    run.command(Command::Resume { step: None }, "alice")
        .await
        .unwrap();
    let paused = bench
        .until(&run, |now| {
            now.status.suspend && now.status.steps.len() == 2
        })
        .await;
    assert_eq!(
        shown(&paused),
        [
            "ask=succeeded",
            "pause=suspending/Suspend Suspended by field suspend"
        ]
    );
    let end = bench.over(&run).await;
    assert_eq!(
        shown(&end),
        ["ask=succeeded", "pause=succeeded", "go=succeeded gone"]
    );
    let late = run.command(Command::Resume { step: None }, "alice").await;
    assert!(matches!(late, Err(RunError::Ended)));
}

#[tokio::test]
async fn what_is_not_supported_is_refused_by_its_name() {
    let bench = Bench::new();
    let run = bench.begin(json!([{"name": "a", "type": "strange"}, {"name": "b", "type": "unknown", "if": "always"}])).await;
    let end = bench.over(&run).await;
    let shown = shown(&end);
    assert!(
        shown[0].starts_with(
            "a=failed/FailedAfterRetries function call error for mail: pigeon.send is not supported"
        ),
        "{shown:?}"
    );
    assert!(
        shown[1].contains("there is no WorkflowStepDefinition \"unknown\""),
        "{shown:?}"
    );
}

#[tokio::test]
async fn failures_and_conditions_decide_what_runs() {
    let bench = Bench::new();
    let run = bench
        .begin(json!([
            {"name": "a", "type": "apply-component", "properties": {"component": "ghost"}},
            {"name": "b", "type": "message"},
            {"name": "c", "type": "message", "if": "status.a.failed", "properties": {"message": "saw it"}},
            {"name": "d", "type": "message", "if": "number"},
        ]))
        .await;
    let end = bench.over(&run).await;
    assert_eq!(
        shown(&end),
        [
            "a=failed/FailedAfterRetries component ghost not found",
            "b=skipped/Skip",
            "c=succeeded saw it",
            "d=failed/Rendering pre check error: invalid if value: expected true or false, found 5 (if: number)"
        ]
    );
}

#[tokio::test]
async fn break_ends_and_an_endless_template_fails() {
    let bench = Bench::new();
    let run = bench
        .begin(
            json!([{"name": "a", "type": "break"}, {"name": "b", "type": "message"},
                      {"name": "c", "type": "loop", "if": "true"}]),
        )
        .await;
    let end = bench.over(&run).await;
    assert_eq!(
        shown(&end),
        [
            "a=succeeded/Terminate enough",
            "b=skipped/Skip",
            "c=failed/FailedAfterRetries the template asks again for what was answered"
        ]
    );
}

#[tokio::test]
async fn a_request_tells_status_header_and_body() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200)
        .insert_header("x-request-id", "7")
        .set_body_string("{\"n\":1}");
    Mock::given(method("GET"))
        .and(header("X-Test", "1"))
        .respond_with(answer)
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .respond_with(ResponseTemplate::new(500))
        .mount(&server)
        .await;
    let bench = Bench::new();
    let run = bench
        .begin(json!([
            {"name": "a", "type": "request", "properties": {"method": "GET", "url": server.uri()},
             "outputs": [{"name": "r", "valueFrom": "response"}]},
            {"name": "b", "type": "request", "properties": {"method": "PUT", "url": server.uri()}},
            {"name": "c", "type": "request", "if": "always", "properties": {"method": "GET", "url": "ftp://x/"}},
        ]))
        .await;
    let end = bench.over(&run).await;
    assert_eq!(end.values["r"]["statusCode"], json!(200));
    assert_eq!(end.values["r"]["body"], json!("{\"n\":1}"));
    assert_eq!(end.values["r"]["header"]["X-Request-Id"], json!(["7"]));
    let shown = shown(&end);
    assert_eq!(shown[1], "b=failed/Action is fail: 500");
    assert!(
        shown[2].contains("only http and https are supported"),
        "{shown:?}"
    );
}

#[tokio::test]
async fn a_step_of_a_run_that_is_over_can_be_restarted() {
    let bench = Bench::new();
    let run = bench
        .begin(json!([{"name": "a", "type": "get", "properties": {"path": "later"}}]))
        .await;
    let end = bench.over(&run).await;
    assert_eq!(
        shown(&end),
        [
            "a=failed/FailedAfterRetries function call error for get: failed to lookup value: var(path=later) not exist"
        ]
    );
    drop(run);
    let runner = bench.runner(std::sync::Arc::new(super::world::StopAt::default()));
    let restart = Command::RestartStep { step: "a".into() };
    let again = runner
        .steer(head(), restart, "alice", bench.world.clone())
        .await
        .unwrap();
    assert!(!again.snapshot().phase.is_over());
    assert_eq!(bench.over(&again).await.phase, RunPhase::Failed);
}

#[tokio::test]
async fn a_large_workflow_goes_through_the_journal() {
    let steps: Vec<_> = (0..600_usize)
        .map(|index| {
            let before: Vec<String> = if index == 0 {
                vec![]
            } else {
                vec![format!("s{}", index / 3)]
            };
            json!({"name": format!("s{index}"), "type": "message", "dependsOn": before})
        })
        .collect();
    let bench = Bench::new();
    let mut made = super::world::spec(json!(steps));
    made.mode.steps = Some(caravel_core::api::ExecuteMode::Dag);
    let runner = bench.runner(std::sync::Arc::new(super::world::StopAt::default()));
    let run = runner
        .begin(head(), made, bench.world.clone())
        .await
        .unwrap();
    let end = bench.over(&run).await;
    assert_eq!(end.phase, RunPhase::Succeeded);
    assert_eq!(end.status.steps.len(), 600);
    let rebuilt = bench.store.rebuild(&head().id).await.unwrap();
    assert_eq!(rebuilt.state.status(), end.status);
}
