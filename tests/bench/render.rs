//! Rendering: a webservice with two traits that patch it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use caravel_core::appfile::{Definition, DefinitionSet, Layered, read_application};
use caravel_core::engine::{
    DefinitionKind, Evaluator, Operation, ParseDefinitionRequest, ParsedDefinition, Reply, Request,
};
use caravel_core::plan::{dry_run, render_group};
use caravel_core::render::ClusterVersion;
use caravel_engines::{Cached, Direct, Engine as _, Job};
use serde_json::json;

use crate::table::{Table, percentile, time};

const ROUNDS: usize = 200;
const WARM_UP: usize = 10;

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let requests = requests()?;
    let engine = Direct::new(caravel_cue::call);
    let mut samples = Vec::new();
    for round in 0..WARM_UP + ROUNDS {
        let begin = Instant::now();
        for operation in &requests {
            engine.call_blocking(job(operation))?;
        }
        if round >= WARM_UP {
            samples.push(begin.elapsed());
        }
    }
    row(
        table,
        "render webservice + 2 patch traits, evaluated",
        &mut samples,
    );

    let cached = Cached::new(Direct::new(caravel_cue::call), 64 << 20);
    samples.clear();
    for round in 0..WARM_UP + ROUNDS {
        let begin = Instant::now();
        for operation in &requests {
            cached.call(job(operation)).await?;
        }
        if round >= WARM_UP {
            samples.push(begin.elapsed());
        }
    }
    row(table, "the same, result cached", &mut samples);
    Ok(())
}

fn row(table: &mut Table, name: &str, samples: &mut [Duration]) {
    let (half, most) = (percentile(samples, 0.5), percentile(samples, 0.99));
    table.row(name, format!("p50 {}, p99 {}", time(half), time(most)));
}

fn job(operation: &Operation) -> Job {
    Job::new(operation.clone(), Evaluator::default(), "default")
}

/// What the engine is asked for one render.
fn requests() -> Result<Vec<Operation>> {
    let application = json!({
        "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
        "metadata": {"name": "bench", "namespace": "default"},
        "spec": {"components": [{
            "name": "web", "type": "webservice",
            "properties": {"image": "nginx:1.27", "ports": [{"port": 80, "expose": true}]},
            "traits": [
                {"type": "scaler", "properties": {"replicas": 2}},
                {"type": "labels", "properties": {"tier": "front"}},
            ],
        }]},
    });
    let rejected = |text: String| anyhow!("the Application of the benchmark is refused: {text}");
    let application = read_application(&application).map_err(|r| rejected(r.kubevela_text()))?;
    let source = Layered::new(DefinitionSet::default(), builtin);
    let groups = dry_run(&application, &source).map_err(|r| rejected(r.kubevela_text()))?;
    let mut seen = Vec::new();
    for group in &groups {
        let mut eval = |request: &Request| {
            seen.push(request.operation.clone());
            evaluate(request)
        };
        render_group(
            group,
            &ClusterVersion::default(),
            Evaluator::default(),
            &mut eval,
        )
        .map_err(|_| anyhow!("the Application of the benchmark cannot be rendered"))?;
    }
    Ok(seen)
}

fn evaluate(request: &Request) -> Reply {
    let bytes = serde_json::to_vec(request).expect("a request is JSON");
    serde_json::from_slice(&caravel_cue::call(&bytes)).expect("the engine answers in JSON")
}

fn builtin(kind: DefinitionKind, name: &str) -> Option<Result<Definition, String>> {
    let found = caravel_definitions::get(kind, name)?;
    let parse = || -> Result<Definition> {
        let operation = Operation::ParseDefinition(ParseDefinitionRequest {
            file: found.file.clone(),
            source: found.source.clone().into_owned(),
        });
        let job = Job::new(operation, Evaluator::default(), "");
        let parsed: ParsedDefinition = Direct::new(caravel_cue::call)
            .call_blocking(job)
            .and_then(caravel_engines::Answer::done)
            .context("a built-in definition")?;
        Definition::from_object(&parsed.object).map_err(|problem| anyhow!(problem))
    };
    Some(parse().map_err(|error| error.to_string()))
}
