//! The worker program under the pool: templates that never end or eat memory cost their own caller an
//! error, and nobody else anything (reference `cue-engine` section 3.5).

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::path::Path;
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
        ..Deadlines::default()
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

/// `count` declarations, each of two of the one before.
fn doublings(first: &str, count: usize, double: impl Fn(usize) -> String) -> String {
    let mut source = format!("{first}\n");
    for index in 1..=count {
        writeln!(source, "x{index}: {}", double(index - 1)).unwrap();
    }
    writeln!(source, "result: x{count}").unwrap();
    source
}

fn disjunctions(count: usize) -> String {
    let mut source = String::from("result: {\n");
    for index in 0..count {
        writeln!(source, "{{a{index}: 1}} | {{b{index}: 1}}").unwrap();
    }
    source.push('}');
    source
}

/// Every row of the reference: what it is, its source, and whether a fast machine may get to the end of it.
fn bombs() -> Vec<(&'static str, String, bool)> {
    let lists = |count| {
        let double = |before| format!("list.Concat([x{before}, x{before}])");
        doublings(
            "import \"list\"\nx0: [0, 1, 2, 3, 4, 5, 6, 7]",
            count,
            double,
        )
    };
    let strings = doublings("x0: \"0123456789\"", 30, |before| {
        format!("x{before} + x{before}")
    });
    let structs = |count| {
        let double = |before| format!("{{a: x{before}, b: x{before}}}");
        doublings("x0: {a: \"0123456789\"}", count, double)
    };
    let repeat = "import \"strings\"\nresult: strings.Repeat(\"a\", 200000000)";
    let repeat_twice =
        "import \"strings\"\nresult: strings.Repeat(strings.Repeat(\"a\", 100000), 100000)";
    vec![
        ("12 disjunctions", object(&disjunctions(12)), true),
        ("14 disjunctions", object(&disjunctions(14)), false),
        ("16 disjunctions", object(&disjunctions(16)), false),
        ("16 list doublings", object(&lists(16)), false),
        ("24 list doublings", object(&lists(24)), false),
        ("30 string doublings", object(&strings), false),
        ("20 struct doublings", object(&structs(20)), false),
        ("24 struct doublings", object(&structs(24)), false),
        ("a string repeated", object(repeat), false),
        ("a string repeated twice", object(repeat_twice), false),
        (
            "brackets",
            object(&format!("result: {}", "[".repeat(1_000_000))),
            false,
        ),
        (
            "negations",
            object(&format!("result: {}true", "!".repeat(900_000))),
            false,
        ),
        (
            "chain",
            object(&format!("result: {}1", "a: ".repeat(300_000))),
            false,
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
    for (name, source, may_end) in bombs() {
        let start = Instant::now();
        let result = pool.call(render("bombs", &fix_imports(&source))).await;
        let took = start.elapsed();
        assert!(took < DEADLINE + MARGIN, "{name} took {took:?}: {result:?}");
        match result {
            Err(
                EngineError::Deadline { .. }
                | EngineError::Exhausted { .. }
                | EngineError::Limit(_),
            ) => {}
            Ok(_) if may_end => {}
            other => panic!(
                "{name}: {}",
                format!("{other:?}").chars().take(500).collect::<String>()
            ),
        }
        let good = pool.call(render("good", GOOD)).await;
        assert!(good.is_ok(), "after {name}: {good:?}");
    }
}

/// A bomb of a namespace of its own; it goes off with the parameter that renders give, not when it is checked.
fn eight_bombs() -> Vec<Job> {
    let bomb = format!(
        "if parameter.n > 2 {{\n{}\n}}\nparameter: n: int\noutput: kind: \"ConfigMap\"",
        disjunctions(16)
    );
    let numbered = |index| render(&format!("bombs-{index}"), &format!("{bomb}\n// {index}"));
    (0..8).map(numbered).collect()
}

/// While eight bombs go off, others that nobody has seen before are rendered. What decides is the order, not the
/// clock: before the first bomb had its whole time, twenty others are done.
#[tokio::test(flavor = "multi_thread")]
async fn good_templates_render_while_eight_bombs_go_off() {
    let pool = Arc::new(pool(2));
    let mut exploding = Vec::new();
    for job in eight_bombs() {
        let pool = Arc::clone(&pool);
        exploding.push(tokio::spawn(async move { pool.call(job).await }));
    }
    // All of them are in, one way or the other, before the good ones come.
    while pool.stats().waiting < 6 {
        tokio::task::yield_now().await;
    }
    for index in 0..20 {
        let good = format!("{GOOD}\n// never seen {index}");
        pool.call(render("good", &good)).await.unwrap();
    }
    let over = exploding.iter().filter(|bomb| bomb.is_finished()).count();
    assert_eq!(over, 0, "bombs that were over before the good ones");
    for handle in &exploding {
        handle.abort();
    }
}

/// What takes longer than a moment is not stopped for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_template_has_its_time() {
    let deadlines = Deadlines {
        moment: Duration::from_micros(100),
        ..Deadlines::default()
    };
    let options = PoolOptions {
        lanes: 2,
        deadlines,
        ..PoolOptions::new(WORKER)
    };
    let pool = Arc::new(Pool::start(options).unwrap());
    let mut all = Vec::new();
    for index in 0..20 {
        let pool = Arc::clone(&pool);
        let job = render(&format!("ns-{}", index % 3), &format!("{GOOD}\n// {index}"));
        all.push(tokio::spawn(async move { pool.call(job).await }));
    }
    for one in all {
        one.await.unwrap().unwrap();
    }
    assert_eq!(pool.stats().stopped, 0);
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
    let bomb = object(&disjunctions(16));
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

/// The parent is killed and says nothing to anybody; the worker's input stays open, because the test holds it.
#[test]
fn a_worker_ends_with_its_parent_even_if_its_input_stays_open() {
    let script = format!("exec 3<&0; {WORKER} <&3 >/dev/null & echo $!; wait");
    let mut parent = Command::new("/bin/sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let status = format!("/proc/{}/status", line.trim());
    let running =
        || fs::read_to_string(&status).is_ok_and(|text| !text.contains("State:\tZ (zombie)"));
    // It asks the kernel for this right before it takes its filters.
    let end = Instant::now() + Duration::from_secs(30);
    while !fs::read_to_string(&status).is_ok_and(|text| text.contains("NoNewPrivs:\t1")) {
        assert!(Instant::now() < end, "the worker does not start");
        std::thread::yield_now();
    }
    let input = parent.stdin.take();
    parent.kill().unwrap();
    parent.wait().unwrap();
    while running() {
        assert!(Instant::now() < end, "the worker outlives its parent");
        std::thread::yield_now();
    }
    drop(input);
}

#[test]
fn a_worker_has_no_files_network_environment_or_new_privileges() {
    // As the daemon does first of all.
    caravel_cue::keep_inherited_files();
    let found = Pool::examine(&PoolOptions::new(WORKER)).unwrap();
    assert_eq!(found.engine.engine, "cue");
    assert_eq!(found.no_new_privileges, Some(true));
    assert_eq!(found.filtered, Some(true));
    assert_eq!(found.memory, Some(512 << 20));
    assert_eq!(found.open_files, Some(64));
    assert_eq!(found.no_environment, Some(true));
    assert_eq!(found.no_files, Some(true));
    assert_eq!(found.folder.as_deref(), Some(Path::new("/")));
}
