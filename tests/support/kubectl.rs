//! The real kubectl, built by `make tools`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::conformance::workspace_root;
use crate::daemon::Daemon;

/// How long a command may take. A command that waits for ever is killed, and its exit code is -1.
const LIMIT: Duration = Duration::from_secs(90);

/// What a command printed.
#[derive(Debug)]
pub struct Output {
    /// Exit code.
    pub exit: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The standard output of a command that must succeed.
    pub fn ok(self) -> String {
        assert_eq!(
            self.exit, 0,
            "exit code {}: {}{}",
            self.exit, self.stdout, self.stderr
        );
        self.stdout
    }

    /// The standard error of a command that must fail.
    pub fn fails(self) -> String {
        assert_ne!(self.exit, 0, "it should have failed: {}", self.stdout);
        self.stderr
    }
}

/// kubectl with a daemon's administrator kubeconfig and a working folder of its own.
pub struct Kubectl {
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
}

impl Kubectl {
    /// For a running daemon.
    pub fn new(daemon: &Daemon) -> Self {
        Self::with_kubeconfig(daemon.kubeconfig())
    }

    /// For any API server.
    pub fn with_kubeconfig(kubeconfig: PathBuf) -> Self {
        Self {
            kubeconfig,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// The working folder: files that commands name lie here.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the working folder.
    pub fn file(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("the file can be written");
    }

    /// Runs a command line split at white space.
    pub fn run(&self, line: &str) -> Output {
        self.run_args(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs with arguments as given.
    pub fn run_args(&self, arguments: &[&str]) -> Output {
        finish(&mut self.command(arguments))
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &str) -> Output {
        self.file("manifest.yaml", manifest);
        self.run("apply -f manifest.yaml")
    }

    /// Reads an object, for instance `("app", "demo", "web")`.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let output = self.run_args(&[
            "get",
            kind,
            name,
            "-n",
            namespace,
            "-o",
            "json",
            "--ignore-not-found",
        ]);
        let text = output.ok();
        (!text.trim().is_empty()).then(|| serde_json::from_str(&text).expect("kubectl prints JSON"))
    }

    /// A command that is not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path());
        command
    }
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{} cannot be run: {error}", command.get_program().display())
        });
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let limit = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if Instant::now() > limit {
            child.kill().expect("a child can be killed");
        }
        thread::sleep(Duration::from_millis(5));
    };
    Output {
        exit: status.code().unwrap_or(-1),
        stdout: stdout.join().expect("a reader"),
        stderr: stderr.join().expect("a reader"),
    }
}

/// Reads a pipe to its end, beside the other one.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// kubectl as built by `make tools`, or as `KUBECTL_BIN` names it.
pub fn program() -> PathBuf {
    std::env::var_os("KUBECTL_BIN").map_or_else(
        || workspace_root().join(".tools/bin/kubectl"),
        PathBuf::from,
    )
}
