//! The pool with programs that every system has, in place of real workers.

use std::time::Duration;

use caravel_core::engine::{Evaluator, FormatRequest, Operation};

use super::{Deadlines, Pool, PoolOptions};
use crate::{Engine, EngineError, Job};

fn pool(program: &str, arguments: &[&str]) -> Pool {
    let short = Duration::from_millis(200);
    Pool::start(PoolOptions {
        arguments: arguments.iter().map(Into::into).collect(),
        lanes: 2,
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
        assert_eq!(
            stopped,
            Err(EngineError::Deadline(Duration::from_millis(200)))
        );
    }
    let refused = pool.call(job("a")).await;
    assert!(
        matches!(refused, Err(EngineError::Quarantined { kills: 2, .. })),
        "{refused:?}"
    );
    let other = pool.call(job("b")).await;
    assert!(
        matches!(other, Err(EngineError::Deadline(_))),
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
    }) = died
    else {
        panic!("{died:?}")
    };
    assert_eq!(reason, "out of memory");
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
