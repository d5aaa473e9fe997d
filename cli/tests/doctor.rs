//! `caravel doctor` as people run it: what it finds of the workers of this very program.

#![cfg(target_os = "linux")]

use std::process::Command;

/// Whoever starts the program has a file open, as a shell or a supervisor may. A worker must not get it.
#[test]
fn workers_get_no_files_of_whoever_started_the_program() {
    let script = format!(
        "exec 9</etc/passwd; exec {} doctor --data-dir /nowhere --kube-listen 127.0.0.1:0 --http-listen 127.0.0.1:0",
        env!("CARGO_BIN_EXE_caravel")
    );
    let output = Command::new("/bin/sh")
        .args(["-c", &script])
        .env("NO_COLOR", "1")
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let files = text.lines().find(|line| line.contains("worker files"));
    let files = files.unwrap_or_default();
    assert!(files.contains("nothing that whoever started"), "{text}");
}
