//! The worker program under the pool: templates that never end or eat memory cost their own caller an
//! error, and nobody else anything (reference `cue-engine` section 3.5).

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use caravel_core::engine::{Evaluator, Operation, RenderRequest, Template};
use caravel_engines::{Answer, Deadlines, Engine, EngineError, Job, Pool, PoolOptions};
use serde_json::json;

const WORKER: &str = env!("CARGO_BIN_EXE_caravel-cue-worker");

/// Shorter than in the daemon, so that the tests are; the margin is the daemon's.
const DEADLINE: Duration = Duration::from_secs(3);
const MARGIN: Duration = Duration::from_secs(1);

fn pool(lanes: usize) -> Pool {
    let deadlines = Deadlines {
        check: DEADLINE,
        render: DEADLINE,
        schema: DEADLINE,
    };
    Pool::start(PoolOptions {
        lanes,
        deadlines,
        ..PoolOptions::new(WORKER)
    })
    .unwrap()
}

fn render(namespace: &str, source: &str) -> Job {
    let component = Template {
        name: "demo".to_owned(),
        source: source.to_owned(),
        parameters: json!({"n": 3}),
    };
    let request = RenderRequest {
        component: Some(component),
        ..RenderRequest::default()
    };
    Job::new(Operation::Render(request), Evaluator::V2, namespace)
}

const GOOD: &str = "output: {kind: \"ConfigMap\", data: n: \"\\(parameter.n)\"}\nparameter: n: int";

fn object(body: &str) -> String {
    format!("output: {{kind: \"ConfigMap\", data: result}}\n{body}")
}

/// Every row of the reference: source and what it does.
fn bombs() -> Vec<(&'static str, String)> {
    let mut disjunctions = String::from("result: {\n");
    for index in 0..16 {
        writeln!(disjunctions, "{{a{index}: 1}} | {{b{index}: 1}}").unwrap();
    }
    disjunctions.push('}');
    let mut lists = String::from("import \"list\"\nl0: [0, 1, 2, 3, 4, 5, 6, 7]\n");
    let mut strings = String::from("s0: \"0123456789\"\n");
    let mut structs = String::from("d0: {a: \"0123456789\"}\n");
    for index in 1..=24 {
        let before = index - 1;
        writeln!(lists, "l{index}: list.Concat([l{before}, l{before}])").unwrap();
        writeln!(strings, "s{index}: s{before} + s{before}").unwrap();
        writeln!(structs, "d{index}: {{x: d{before}, y: d{before}}}").unwrap();
    }
    writeln!(lists, "result: l24").unwrap();
    for index in 25..=30 {
        let before = index - 1;
        writeln!(strings, "s{index}: s{before} + s{before}").unwrap();
    }
    writeln!(strings, "result: s30").unwrap();
    writeln!(structs, "result: d24").unwrap();
    let repeat =
        "import \"strings\"\nresult: strings.Repeat(strings.Repeat(\"a\", 100000), 100000)";
    vec![
        ("disjunctions", object(&disjunctions)),
        ("lists", object(&lists)),
        ("strings", object(&strings)),
        ("structs", object(&structs)),
        ("repeat", object(repeat)),
        (
            "brackets",
            object(&format!("result: {}", "[".repeat(500_000))),
        ),
        (
            "negations",
            object(&format!("result: {}true", "!".repeat(900_000))),
        ),
        (
            "chain",
            object(&format!("result: {}1", "a: ".repeat(300_000))),
        ),
    ]
}

fn fix_imports(source: &str) -> String {
    // Imports come first in CUE.
    let (imports, rest): (Vec<_>, Vec<_>) =
        source.lines().partition(|line| line.starts_with("import "));
    [imports, rest].concat().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bomb_is_a_clear_error_within_its_deadline() {
    let pool = pool(2);
    for (name, source) in bombs() {
        let start = Instant::now();
        let result = pool.call(render("bombs", &fix_imports(&source))).await;
        let took = start.elapsed();
        assert!(took < DEADLINE + MARGIN, "{name} took {took:?}: {result:?}");
        match result {
            Err(
                EngineError::Deadline(_) | EngineError::Exhausted { .. } | EngineError::Limit(_),
            ) => {}
            other => panic!(
                "{name}: {}",
                format!("{other:?}").chars().take(500).collect::<String>()
            ),
        }
        let good = pool.call(render("good", GOOD)).await;
        assert!(good.is_ok(), "after {name}: {good:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_template_renders_while_eight_bombs_explode() {
    let pool = Arc::new(pool(2));
    pool.call(render("good", GOOD)).await.unwrap();
    let (_, bomb) = bombs().swap_remove(0);
    let mut exploding = Vec::new();
    for index in 0..8 {
        let pool = Arc::clone(&pool);
        let job = render(&format!("bombs-{index}"), &format!("{bomb}\n// {index}"));
        exploding.push(tokio::spawn(async move { pool.call(job).await }));
    }
    for _ in 0..20 {
        pool.call(render("good", GOOD)).await.unwrap();
    }
    let waiting = exploding.iter().filter(|bomb| !bomb.is_finished()).count();
    assert!(
        waiting >= 7,
        "twenty good ones were done before the second bomb: {waiting}"
    );
    for handle in &exploding {
        handle.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_replaced_after_its_calls_and_answers_stay_the_same() {
    let options = PoolOptions {
        lanes: 1,
        recycle_calls: 3,
        ..PoolOptions::new(WORKER)
    };
    let pool = Pool::start(options).unwrap();
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(pool.call(render("a", GOOD)).await.unwrap());
    }
    let expected = json!({"output": {"kind": "ConfigMap", "data": {"n": "3"}}, "outputs": []});
    assert!(
        answers
            .iter()
            .all(|answer| *answer == Answer::Done(expected.clone())),
        "{answers:?}"
    );
    assert_eq!(pool.stats().started, 4);
}

#[test]
fn a_worker_ends_with_its_daemon_even_while_it_evaluates() {
    let mut worker = Command::new(WORKER)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (_, bomb) = bombs().swap_remove(0);
    let frame = serde_json::to_vec(&render("a", &bomb).into_request(1)).unwrap();
    let mut input = worker.stdin.take().unwrap();
    input
        .write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes())
        .unwrap();
    input.write_all(&frame).unwrap();
    input.flush().unwrap();
    // As when the daemon dies: its end of the pipe closes. The worker closes its output by ending.
    drop(input);
    let mut rest = Vec::new();
    worker
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut rest)
        .unwrap();
    assert!(worker.wait().unwrap().success());
    assert!(rest.is_empty(), "it did not wait for the evaluation");
}

#[test]
fn a_worker_has_no_files_network_or_new_privileges() {
    let mut worker = Command::new(WORKER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let ping = br#"{"id":1,"op":"ping"}"#;
    let mut input = worker.stdin.take().unwrap();
    input
        .write_all(&u32::try_from(ping.len()).unwrap().to_be_bytes())
        .unwrap();
    input.write_all(ping).unwrap();
    let mut reply = [0; 4];
    worker
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut reply)
        .unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", worker.id())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    for task in fs::read_dir(format!("/proc/{}/task", worker.id())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(
            status.contains("Seccomp:\t2"),
            "a thread without a filter: {status}"
        );
    }
    drop(input);
    assert!(worker.wait().unwrap().success());
}
