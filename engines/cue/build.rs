//! Builds the Go module in `go/` into a C archive and links it.
//!
//! Go is an ordinary tool here: its modules come through the ordinary client, pinned by `go.sum`.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What `go.mod` asks for; an older toolchain is refused in words instead of by a compiler error.
const OLDEST_GO: (u32, u32) = (1, 25);

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            for line in reason.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let source = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("go");
    let out = PathBuf::from(variable("OUT_DIR")?);
    watch(&source)?;
    for name in ["GO", "CC", "GOPROXY", "GOMODCACHE", "GOCACHE"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let go = env::var_os("GO").unwrap_or_else(|| OsString::from("go"));
    check_version(&go)?;

    let archive = out.join("libcuebridge.a");
    let compiler = cc::Build::new().cargo_metadata(false).get_compiler();
    let output = Command::new(&go)
        .current_dir(&source)
        .args([
            "build",
            "-buildmode=c-archive",
            "-mod=readonly",
            "-trimpath",
            "-buildvcs=false",
        ])
        .args(["-ldflags", "-s -w", "-o"])
        .arg(&archive)
        .arg(".")
        .env("CC", compiler.path())
        .env("CGO_ENABLED", "1")
        .env("GOARCH", go_arch()?)
        .env("GOFLAGS", "")
        .env("GOOS", go_os()?)
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .output()
        .map_err(|error| format!("`go build` could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "`go build` of engines/cue/go failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-lib=static=cuebridge");
    if variable("CARGO_CFG_TARGET_OS")? == "macos" {
        println!("cargo::rustc-link-lib=framework=CoreFoundation");
        println!("cargo::rustc-link-lib=framework=Security");
        println!("cargo::rustc-link-lib=resolv");
    }
    Ok(())
}

/// Asks cargo to run this again when a file of the module changes. Folders are named too, because a new
/// file changes only them.
fn watch(folder: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = folder
        .read_dir()
        .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            watch(&path)?;
        } else {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    Ok(())
}

fn check_version(go: &OsString) -> Result<(), String> {
    let (major, minor) = OLDEST_GO;
    let wanted = format!(
        "Caravel evaluates CUE with its original implementation, which is written in Go. Install Go \
         {major}.{minor} or newer (https://go.dev/dl/), or name its program in the environment variable GO."
    );
    let output = Command::new(go)
        .args(["env", "GOVERSION"])
        .env("GOTOOLCHAIN", "local")
        .output()
        .map_err(|error| format!("Go was not found ({}: {error}). {wanted}", go.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut numbers = text
        .trim_start_matches("go")
        .split(['.', 'r', 'b', '-'])
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(found_major)), Some(Ok(found_minor)))
            if (found_major, found_minor) >= OLDEST_GO =>
        {
            Ok(())
        }
        _ => Err(format!(
            "the Go toolchain is {text:?}, which is too old. {wanted}"
        )),
    }
}

fn go_arch() -> Result<&'static str, String> {
    match variable("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => Err(format!(
            "the CUE bridge is not built for the architecture {other}"
        )),
    }
}

fn go_os() -> Result<&'static str, String> {
    let os = variable("CARGO_CFG_TARGET_OS")?;
    match os.as_str() {
        // A Go archive in a static musl program crashes before main (golang/go#13492).
        "linux" if variable("CARGO_CFG_TARGET_ENV")? == "musl" => {
            Err("the CUE bridge needs glibc; it cannot be linked into a musl program".to_owned())
        }
        "linux" => Ok("linux"),
        "macos" => Ok("darwin"),
        _ => Err(format!("the CUE bridge is not built for {os}")),
    }
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("cargo did not set {name}"))
}
