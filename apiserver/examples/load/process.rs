//! The server in a process of its own.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use caravel_apiserver::{ApiServer, Config, Identity, controllers, simulator::SystemClock};
use tokio_util::sync::CancellationToken;

use crate::{Result, objects};

/// Serves a folder until standard input ends. Says on standard output when it is ready.
pub(crate) async fn serve(folder: &Path) -> Result<()> {
    let started = Instant::now();
    let server = ApiServer::open(Config::folder(folder)).await?;
    let opened = started.elapsed();
    let socket = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("https://{}", socket.local_addr()?);
    server.write_kubeconfig(&folder.join("kubeconfig"), &url)?;
    objects::define(&server.client(Identity::admin("load"))).await?;
    let shutdown = CancellationToken::new();
    tokio::spawn(controllers::run(
        server.client(Identity::admin("system:kube-controller-manager")),
        std::sync::Arc::new(SystemClock),
        controllers::Options {
            authority: Some(server.authority().to_owned()),
            ..controllers::Options::default()
        },
        shutdown.clone(),
    ));
    let serving = {
        let (server, shutdown) = (server.clone(), shutdown.clone());
        tokio::spawn(async move { server.serve(socket, &[], shutdown).await })
    };
    let mut output = std::io::stdout();
    writeln!(output, "ready {}", opened.as_micros())?;
    output.flush()?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    shutdown.cancel();
    serving.await??;
    server.close().await;
    Ok(())
}

/// A running server. It ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
    /// How long it took to read what was stored.
    pub(crate) opened: Duration,
}

impl Server {
    /// Starts a server on a folder, and waits until it is ready.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)?;
        let micros = line
            .strip_prefix("ready ")
            .map(str::trim)
            .unwrap_or_default();
        let opened = Duration::from_micros(
            micros
                .parse()
                .map_err(|_| "the server did not start; its words are above")?,
        );
        Ok(Self {
            child,
            folder: folder.to_owned(),
            opened,
        })
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The processor time that it has used.
    pub(crate) fn processor(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name may hold spaces; what follows it does not.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = |at: usize| {
            fields
                .get(at)
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0)
        };
        Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10))
    }

    /// The memory that it holds, in KiB: now, and at most.
    pub(crate) fn memory(&self) -> Result<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
                .unwrap_or(0)
        };
        Ok((of("VmRSS:"), of("VmHWM:")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
