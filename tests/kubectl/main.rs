//! Replays with the real kubectl what was recorded against a real kube-apiserver, and compares output,
//! exit code and Status bodies.
//!
//! `CARAVEL_TEST_KUBECONFIG` names a server that runs already (with Caravel's CRDs); otherwise a daemon is
//! started.

mod normalize;
mod transcript;

use std::time::{Duration, Instant};

use caravel_tests::conformance;
use caravel_tests::daemon::Daemon;
use caravel_tests::kubectl::Kubectl;
use normalize::Said;
use transcript::{Command, LeftOut, Transcript};

/// Fewer comparisons than this would mean that the list of what is left out has grown too long.
const LEAST_COMPARED: usize = 80;

/// How long controllers may take.
const CONTROLLERS: Duration = Duration::from_secs(5);

#[test]
fn kubectl_sees_what_it_sees_of_a_real_kube_apiserver() {
    let Some(folder) = conformance::folder() else {
        return;
    };
    let transcript = Transcript::read(&folder.join("kubectl/transcript.json"));
    let left_out = LeftOut::read();
    let running = std::env::var_os("CARAVEL_TEST_KUBECONFIG");
    let daemon = running.is_none().then(|| Daemon::start(&[]));
    let kubectl = match &daemon {
        Some(daemon) => Kubectl::new(daemon),
        None => Kubectl::with_kubeconfig(running.unwrap_or_default().into()),
    };
    for (name, text) in &transcript.files {
        kubectl.file(name, text);
    }

    let mut compared = 0;
    let mut differences = Vec::new();
    for (number, command) in transcript.commands.iter().enumerate() {
        if left_out.reason(number).is_some() {
            run(&kubectl, command);
            continue;
        }
        compared += 1;
        let expected = Said::recorded(command);
        let found = run_until(&kubectl, command, &expected);
        if found != expected {
            differences.push(format!(
                "{number}: kubectl {}\n--- a real kube-apiserver\n{expected}\n--- Caravel\n{found}\n",
                command.args.join(" ")
            ));
        }
    }
    eprintln!(
        "kubectl transcript: {} commands, {compared} compared, {} equal, {} left out with a reason",
        transcript.commands.len(),
        compared - differences.len(),
        left_out.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(
        compared >= LEAST_COMPARED,
        "only {compared} commands compared"
    );
}

/// Commands that only read are repeated for a while: what they show is also the work of controllers, which write in
/// their own time.
fn run_until(kubectl: &Kubectl, command: &Command, expected: &Said) -> Said {
    let end = Instant::now() + CONTROLLERS;
    loop {
        let found = run(kubectl, command);
        let reads = ["get", "describe"].contains(&command.args[0].as_str());
        if found == *expected || !reads || Instant::now() > end {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn run(kubectl: &Kubectl, command: &Command) -> Said {
    // At this level kubectl also prints the Status object that it got, as it did when the transcript was
    // recorded.
    let mut arguments: Vec<&str> = command.args.iter().map(String::as_str).collect();
    let verbosity = arguments
        .iter()
        .position(|a| *a == "--")
        .unwrap_or(arguments.len());
    arguments.insert(verbosity, "-v=8");
    Said::now(&command.args, kubectl.run_args(&arguments))
}
