//! Checks of the house that cargo and clippy do not make. `cargo run -p xtask -- check` runs those that
//! are quick, `… -- faults` plants faults that the tests must notice. Both print every violation with the place and what to do.

mod faults;
mod layers;
mod sources;

use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (outcome, fine) = match arguments[..] {
        ["check"] => (check(), "layers, orphaned files, file sizes: in order"),
        ["faults"] => (plant_faults(), "every planted fault is noticed"),
        _ => {
            say("usage: cargo run -p xtask -- check|faults");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(violations) if violations.is_empty() => {
            say(fine);
            ExitCode::SUCCESS
        }
        Ok(violations) => {
            for violation in &violations {
                say(violation);
            }
            say(&format!("{} violation(s)", violations.len()));
            ExitCode::FAILURE
        }
        Err(message) => {
            say(&message);
            ExitCode::FAILURE
        }
    }
}

fn plant_faults() -> Result<Vec<String>, String> {
    let metadata = cargo_metadata()?;
    let folder = |key: &str| {
        metadata[key]
            .as_str()
            .map(Path::new)
            .ok_or(format!("cargo metadata has no {key}"))
    };
    faults::check(folder("workspace_root")?, folder("target_directory")?, say)
}

fn check() -> Result<Vec<String>, String> {
    let metadata = cargo_metadata()?;
    let root = metadata["workspace_root"]
        .as_str()
        .ok_or("cargo metadata has no workspace_root")?;
    let mut violations = layers::check(&metadata)?;
    violations.extend(sources::check(Path::new(root), &metadata)?);
    Ok(violations)
}

/// The dependency graph of the workspace, with features resolved.
fn cargo_metadata() -> Result<Value, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .output()
        .map_err(|error| format!("cargo metadata could not be started: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

#[expect(
    clippy::print_stdout,
    reason = "the one place where this program speaks"
)]
fn say(line: &str) {
    println!("{line}");
}
