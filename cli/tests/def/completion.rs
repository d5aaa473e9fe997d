//! What shells complete.

use std::fs;
use std::process::Command;

use super::{caravel, folder, text};

#[test]
fn shells_complete_commands_and_options() {
    for (shell, wanted) in [
        ("bash", "--from-terraform"),
        ("zsh", "--from-terraform"),
        ("fish", "from-terraform"),
    ] {
        let script = caravel(&["completion", shell], &folder())
            .output()
            .expect("the program starts");
        let script = text(&script.stdout);
        assert!(
            script.contains(wanted) && script.contains("gen-api"),
            "{shell}"
        );
    }
    let bash = caravel(&["completion", "bash"], &folder())
        .output()
        .expect("the program starts");
    let place = tempfile::tempdir().expect("a folder");
    let file = place.path().join("script");
    fs::write(&file, bash.stdout).expect("a file");
    let read = Command::new("bash").arg("-n").arg(&file).status();
    assert!(read.expect("bash starts").success());
}
