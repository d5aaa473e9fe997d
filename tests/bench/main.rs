//! The figures of `docs/benchmarks.md`: `make bench` prints them and writes nothing. `BENCH_AT_ONCE` is the number of
//! Applications that are applied at once, `BENCH_AT_REST` of those that are left alone.

mod delivery;
mod memory;
mod record;
mod render;
mod replay;
mod rest;
mod table;

use std::process::ExitCode;

use table::Table;

/// Applications that are delivered one after the other.
const ONE_BY_ONE: usize = 100;
/// Applications that are applied at once, unless the environment says otherwise.
const AT_ONCE: usize = 500;
/// Applications that are left alone, unless the environment says otherwise.
const AT_REST: usize = 3_000;

#[tokio::main]
async fn main() -> ExitCode {
    let mut table = Table::default();
    match run(&mut table).await {
        Ok(()) => {
            table.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            table.print();
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(table: &mut Table) -> anyhow::Result<()> {
    // One part is enough for whoever works on it.
    let only = std::env::args().nth(1);
    let is_wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    if is_wanted("render") {
        render::measure(table).await?;
    }
    if is_wanted("rest") {
        rest::measure(table, number("BENCH_AT_REST", AT_REST)?).await?;
    }
    if !is_wanted("delivery") {
        return Ok(());
    }
    let at_once = number("BENCH_AT_ONCE", AT_ONCE)?;
    let recorded = delivery::measure(table, ONE_BY_ONE, at_once).await?;
    replay::measure(table, recorded).await
}

/// A number that the environment may give.
fn number(variable: &str, usual: usize) -> anyhow::Result<usize> {
    std::env::var(variable).map_or(Ok(usual), |text| Ok(text.parse()?))
}
