//! Replays with the real kubectl what was recorded against a real kube-apiserver, and compares output,
//! exit code and Status bodies.

mod normalize;
mod transcript;

use caravel_tests::conformance;
use caravel_tests::daemon::Daemon;
use caravel_tests::kubectl::Kubectl;
use normalize::Said;
use transcript::{Command, LeftOut, Transcript};

/// Fewer comparisons than this would mean that the list of what is left out has grown too long.
const LEAST_COMPARED: usize = 80;

#[test]
fn kubectl_sees_what_it_sees_of_a_real_kube_apiserver() {
    let Some(folder) = conformance::folder() else { return };
    let transcript = Transcript::read(&folder.join("kubectl/transcript.json"));
    let left_out = LeftOut::read();
    let daemon = Daemon::start(&[]);
    let kubectl = Kubectl::new(&daemon);
    for (name, text) in &transcript.files {
        kubectl.file(name, text);
    }

    let mut compared = 0;
    let mut differences = Vec::new();
    for (number, command) in transcript.commands.iter().enumerate() {
        let found = run(&kubectl, command);
        if left_out.reason(number).is_some() {
            continue;
        }
        compared += 1;
        let expected = Said::recorded(command);
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
    assert!(compared >= LEAST_COMPARED, "only {compared} commands compared");
}

fn run(kubectl: &Kubectl, command: &Command) -> Said {
    // At this level kubectl also prints the Status object that it got, as it did when the transcript was
    // recorded.
    let mut arguments: Vec<&str> = command.args.iter().map(String::as_str).collect();
    let verbosity = arguments.iter().position(|a| *a == "--").unwrap_or(arguments.len());
    arguments.insert(verbosity, "-v=8");
    Said::now(&command.args, kubectl.run_args(&arguments))
}
