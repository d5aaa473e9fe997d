//! The pool with programs that every system has, in place of real workers.

use std::time::Duration;

use caravel_core::engine::{Evaluator, FormatRequest, Operation};

use super::{Deadlines, Pool, PoolOptions};
use crate::{Engine, EngineError, Job};

fn pool(program: &str, arguments: &[&str]) -> Pool {
    pool_of(program, arguments, 2)
}

fn pool_of(program: &str, arguments: &[&str], lanes: usize) -> Pool {
    let short = Duration::from_millis(200);
    Pool::start(PoolOptions {
        arguments: arguments.iter().map(Into::into).collect(),
        lanes,
        deadlines: Deadlines {
            check: short,
            render: short,
            schema: short,
            moment: short,
        },
        ..PoolOptions::new(program)
    })
    .unwrap()
}

fn job(source: &str) -> Job {
    let request = FormatRequest {
        file: String::new(),
        source: source.to_owned(),
    };
    Job::new(Operation::Format(request), Evaluator::V2, "default")
}

#[tokio::test]
async fn a_worker_that_does_not_answer_is_stopped_and_its_template_quarantined() {
    let pool = pool("/bin/sleep", &["1000"]);
    for _ in 0..2 {
        let stopped = pool.call(job("a")).await;
        let Err(EngineError::Deadline { whose, after }) = stopped else {
            panic!("{stopped:?}")
        };
        assert_eq!(
            (whose.as_str(), after),
            ("the template", Duration::from_millis(200))
        );
    }
    let refused = pool.call(job("a")).await;
    assert!(
        matches!(refused, Err(EngineError::Quarantined { kills: 2, .. })),
        "{refused:?}"
    );
    let other = pool.call(job("b")).await;
    assert!(
        matches!(other, Err(EngineError::Deadline { .. })),
        "another template still has its chance"
    );
    let stats = pool.stats();
    assert_eq!(
        (stats.answered, stats.stopped, stats.quarantined),
        (0, 3, 1)
    );
}

#[tokio::test]
async fn a_worker_that_dies_while_it_evaluates_says_why() {
    let script = "head -c 5 >/dev/null; echo 'fatal error: out of memory' >&2; exit 2";
    let pool = pool("/bin/sh", &["-c", script]);
    let died = pool.call(job("a")).await;
    let Err(EngineError::Exhausted {
        reason,
        memory_mb: 512,
        ..
    }) = died
    else {
        panic!("{died:?}")
    };
    assert_eq!(reason, "out of memory");
}

/// The program is another one from the second start on: the first was killed from outside.
#[tokio::test]
async fn a_worker_that_is_killed_from_outside_is_not_the_templates_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("started");
    let answer = r#"{"id":1,"status":"ok","body":"fine"}"#;
    let script = format!(
        "head -c 5 >/dev/null; [ -e {mark} ] || {{ : >{mark}; kill -9 $$; }}; \
         printf '\\000\\000\\000\\{length:o}%s' '{answer}'; sleep 1000",
        mark = mark.display(),
        length = answer.len(),
    );
    let pool = pool_of("/bin/sh", &["-c", &script], 1);
    let answer = pool.call(job("a")).await.unwrap();
    assert_eq!(answer.done::<String>().unwrap(), "fine");
    assert_eq!(pool.stats().stopped, 0);
}

#[tokio::test]
async fn workers_that_are_killed_time_and_again_are_told_as_such() {
    let pool = pool("/bin/sh", &["-c", "head -c 5 >/dev/null; kill -9 $$"]);
    let killed = pool.call(job("a")).await;
    let Err(error @ EngineError::Killed { .. }) = killed else {
        panic!("{killed:?}")
    };
    assert!(
        error.to_string().contains("not the template's doing"),
        "{error}"
    );
}

#[tokio::test]
async fn a_request_that_no_worker_takes_is_refused_in_words() {
    let pool = pool("/bin/sleep", &["1000"]);
    let refused = pool.call(job(&"a".repeat(3 << 20))).await;
    let Err(EngineError::Limit(message)) = refused else {
        panic!("{refused:?}")
    };
    assert!(message.contains("3072 KiB"), "{message}");
    assert_eq!(pool.stats().stopped, 0);
}

#[tokio::test]
async fn a_reply_that_is_not_of_the_protocol_is_a_fault() {
    let pool = pool("/bin/cat", &[]);
    let answer = pool.call(job("a")).await;
    let Err(EngineError::Fault(message)) = answer else {
        panic!("{answer:?}")
    };
    assert!(message.contains("not of the protocol"), "{message}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let pool = pool("/no/such/worker", &[]);
    let answer = pool.call(job("a")).await;
    let Err(EngineError::Fault(message)) = answer else {
        panic!("{answer:?}")
    };
    assert!(message.contains("/no/such/worker"), "{message}");
}
