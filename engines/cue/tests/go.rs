//! The tests of the Go module itself.

use std::path::Path;
use std::process::Command;

#[test]
fn the_go_module_passes_its_own_tests() {
    let output = Command::new(std::env::var_os("GO").unwrap_or_else(|| "go".into()))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("go"))
        .args(["test", "-mod=readonly", "./..."])
        .env("GOFLAGS", "")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
}
