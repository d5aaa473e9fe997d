//! The real daemon, started as a user starts it, in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long the daemon may take until it is ready. Generous: machines that build share their cores.
const START: Duration = Duration::from_mins(1);

/// The program under test: beside this executable, or one folder above, where tests lie in `deps`.
///
/// # Panics
/// If it has not been built: `cargo test --workspace` does it before any test runs.
pub fn program() -> PathBuf {
    let this = std::env::current_exe().expect("a program knows its own path");
    let mut folders = this
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("caravel"));
    folders
        .find(|program| program.is_file())
        .expect("caravel is not built: cargo build -p caravel")
}

/// A running daemon. It is killed, and its folder removed, when the value is dropped.
pub struct Daemon {
    child: Child,
    data: TempDir,
    options: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Daemon {
    /// Starts with further options and waits until it is ready.
    pub fn start(options: &[&str]) -> Self {
        Self::start_with(options, &[])
    }

    /// Starts with further options and environment variables (fault points).
    pub fn start_with(options: &[&str], environment: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        let options: Vec<String> = options.iter().map(|&o| o.to_owned()).collect();
        let environment: Vec<(String, String)> = environment
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        let child = spawn(data.path(), &options, &environment);
        let mut daemon = Self {
            child,
            data,
            options,
            environment,
        };
        daemon.wait_until_ready();
        daemon
    }

    /// Starts again in the same folder, after [`Self::kill`] or [`Self::terminate`].
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// Starts again in the same folder with another environment.
    pub fn restart_with(&mut self, environment: &[(&str, &str)]) {
        self.environment = environment
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        // The old file must not be taken for a sign of readiness.
        let _ = std::fs::remove_file(self.data.path().join("endpoints.json"));
        self.child = spawn(self.data.path(), &self.options, &self.environment);
        self.wait_until_ready();
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("the daemon runs");
        self.child.wait().expect("the daemon ends");
    }

    /// SIGTERM, as a service manager ends it; the exit status and how long it took.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        let sent = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .expect("kill can be run");
        assert!(sent.success());
        let status = self.child.wait().expect("the daemon ends");
        (status, started.elapsed())
    }

    /// Waits until the daemon has ended by itself (fault points abort it).
    pub fn wait_for_end(&mut self, within: Duration) -> ExitStatus {
        let limit = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("the daemon can be waited for") {
                return status;
            }
            assert!(
                Instant::now() < limit,
                "the daemon still runs after {within:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("test-log.txt")).unwrap_or_default()
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data.path().join("kubeconfig")
    }

    /// Address of the REST API, for instance `http://127.0.0.1:41234`.
    pub fn http(&self) -> String {
        self.endpoint("http")
    }

    /// Address of the Kubernetes API.
    pub fn kubernetes(&self) -> String {
        self.endpoint("kubernetes")
    }

    /// The bearer token of the REST API.
    pub fn token(&self) -> String {
        let path = self.data.path().join("http-token");
        std::fs::read_to_string(&path)
            .expect("http-token")
            .trim()
            .to_owned()
    }

    fn endpoint(&self, name: &str) -> String {
        let path = self.data.path().join("endpoints.json");
        let text = std::fs::read_to_string(&path).expect("endpoints.json");
        let endpoints: Value = serde_json::from_str(&text).expect("endpoints.json is JSON");
        endpoints[name].as_str().expect("an address").to_owned()
    }

    fn wait_until_ready(&mut self) {
        let limit = Instant::now() + START;
        let ready = self.data.path().join("endpoints.json");
        while !ready.is_file() {
            if let Some(status) = self.child.try_wait().expect("the daemon can be waited for") {
                panic!(
                    "the daemon ended with {status} before it was ready: {}",
                    self.log()
                );
            }
            assert!(
                Instant::now() < limit,
                "the daemon is not ready after {START:?}: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(data: &Path, options: &[String], environment: &[(String, String)]) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(data.join("test-log.txt"))
        .expect("the log can be written");
    let mut command = Command::new(program());
    command.arg("serve").arg("--data-dir").arg(data);
    // Free ports, unless the test wants others.
    for listener in ["--kube-listen", "--http-listen"] {
        if !options.iter().any(|option| option == listener) {
            command.args([listener, "127.0.0.1:0"]);
        }
    }
    command
        .args(options)
        .envs(environment.iter().map(|(k, v)| (k, v)))
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("the daemon can be started")
}
