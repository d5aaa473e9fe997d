//! The unmodified `vela` command commands a workflow: its recorded writes (`vela-cli/transcript.json` of the
//! conformance folder), sent to the daemon, which must come to the recorded states.

use std::time::{Duration, Instant};

use caravel_core::yaml;
use caravel_tests::conformance;
use caravel_tests::daemon::Daemon;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::play::Stage;

const PATIENCE: Duration = Duration::from_mins(1);

/// The Application of the transcript that has a workflow.
const APPLICATION: &str = "flow";

fn texts(value: &Value) -> Vec<&str> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

/// What was written to the Application, and how: `patch` or `update`.
fn write_of(command: &Value) -> Option<(&str, &str, &Value)> {
    let requests = command["requests"].as_array()?;
    requests.iter().find_map(|request| {
        let verb = request["verb"].as_str()?;
        let uri = request["uri"].as_str()?;
        let is_write = ["patch", "update"].contains(&verb);
        let is_meant = uri.contains(&format!("/applications/{APPLICATION}"));
        (is_write && is_meant).then_some((verb, uri, &request["body"]))
    })
}

/// The live Application with the workflow as it was written; ids and times are those of this run.
fn rewritten(live: &Value, body: &Value) -> Value {
    let mut next = live.clone();
    let written = &body["status"]["workflow"];
    if written.is_null() {
        next["status"].as_object_mut().unwrap().remove("workflow");
        return next;
    }
    let workflow = &mut next["status"]["workflow"];
    for field in ["suspend", "terminated", "finished"] {
        workflow[field] = written[field].clone();
    }
    for step in workflow["steps"].as_array_mut().unwrap() {
        let steps = written["steps"].as_array().unwrap();
        let written = steps.iter().find(|one| one["name"] == step["name"]);
        if let Some(written) = written {
            step["phase"] = written["phase"].clone();
            step["reason"] = written["reason"].clone();
        }
    }
    next
}

/// Phase and reason of each step that has begun.
fn steps(application: &Value) -> Value {
    let steps = application["status"]["workflow"]["steps"].as_array();
    let shown = |step: &Value| json!([step["name"], step["type"], step["phase"], step["reason"]]);
    steps.into_iter().flatten().map(shown).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vela_writes_is_obeyed() {
    let Some(folder) = conformance::folder() else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("vela-cli/transcript.json")).unwrap();
    let transcript: Value = serde_json::from_str(&text).unwrap();
    let daemon = Daemon::start(&["--local-runtime", "instant"]);
    let stage = Stage::new(&daemon, None).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vc"}});
    stage.apply(&namespace).await.unwrap();
    let file = transcript["files"]["flow.yaml"].as_str().unwrap();
    let application = yaml::parse(file).unwrap().remove(0);
    stage.apply(&application).await.unwrap();

    let live = async |holds: &dyn Fn(&Value) -> bool, what: &str| {
        let end = Instant::now() + PATIENCE;
        loop {
            let found = stage.get(&application).await.unwrap();
            if holds(&found) {
                return found;
            }
            assert!(Instant::now() < end, "{what}: {}", found["status"]);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (api, _) = stage.api(&application).unwrap();
    let mut written = 0;
    for command in transcript["commands"].as_array().unwrap() {
        if let [APPLICATION, phase] = texts(&command["wait"])[..] {
            live(&|found| found["status"]["status"] == phase, phase).await;
            continue;
        }
        let words = texts(&command["args"]);
        let Some((verb, uri, body)) = write_of(command) else {
            continue;
        };
        if !uri.ends_with("/status") {
            // The last one writes the specification again, having seen what the commands before came to.
            let recorded = steps(body);
            live(&|found| steps(found) == recorded, &recorded.to_string()).await;
            continue;
        }
        // It reads and writes; where somebody else wrote in between, it is called again.
        let sent = loop {
            let next = rewritten(&stage.get(&application).await.unwrap(), body);
            let sent = if verb == "patch" {
                let patch = Patch::Merge(&next);
                api.patch_status(APPLICATION, &PatchParams::default(), &patch)
                    .await
            } else {
                let object: DynamicObject = serde_json::from_value(next).unwrap();
                api.replace_status(APPLICATION, &PostParams::default(), &object)
                    .await
            };
            match sent {
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                other => break other,
            }
        };
        sent.unwrap_or_else(|error| panic!("{words:?}: {error}"));
        written += 1;
        if words.contains(&"restart") {
            // The run before had ended: what is waited for next must be the new one's.
            let is_anew = |found: &Value| found["status"]["status"] != "running";
            live(&is_anew, "it begins anew").await;
        }
    }
    assert_eq!(written, 6, "commands that write a status");
}
