//! What commands read: files, standard input, and what stands at an address.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

/// What standard input is called in arguments.
pub(crate) const STANDARD: &str = "-";

/// How much is read of an address.
const LIMIT: usize = 32 << 20;
/// How long is waited for a server, and for all that it sends.
const CONNECTING: Duration = Duration::from_secs(10);
const READING: Duration = Duration::from_mins(1);

/// The text of a file, of standard input (`-`, which there is once), or of an address (`https://…`).
pub(crate) fn read(path: &str) -> Result<String> {
    let (name, bytes) = match path {
        STANDARD => ("standard input", standard()?),
        _ if is_address(path) => (path, fetch(path)?),
        _ => (
            path,
            fs::read(path).with_context(|| format!("{path} cannot be read"))?,
        ),
    };
    String::from_utf8(bytes).map_err(|error| {
        let read = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line = read.matches('\n').count() + 1;
        anyhow!("{name} is not text in UTF-8 (line {line} has another encoding): save it as UTF-8")
    })
}

/// Whether an argument is an address, and no file.
pub(crate) fn is_address(path: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| path.starts_with(scheme))
}

/// The ending of the name of a file, or of what stands at an address: what follows `?` or `#` there does not count.
pub(crate) fn ending(path: &str) -> Option<&str> {
    let end = path.find(['?', '#']).filter(|_| is_address(path));
    let name = Path::new(&path[..end.unwrap_or(path.len())]);
    name.extension()?.to_str()
}

/// Whether a name is that of CUE text.
pub(crate) fn is_cue(path: &str) -> bool {
    ending(path) == Some("cue")
}

fn standard() -> Result<Vec<u8>> {
    static IS_TAKEN: AtomicBool = AtomicBool::new(false);
    if IS_TAKEN.swap(true, Ordering::Relaxed) {
        bail!("standard input cannot be read twice: write one of the two to a file");
    }
    let mut bytes = Vec::new();
    std::io::stdin()
        .read_to_end(&mut bytes)
        .context("standard input cannot be read")?;
    Ok(bytes)
}

/// Reads an address. On a thread of its own: callers may be within a runtime, and cannot wait there.
fn fetch(address: &str) -> Result<Vec<u8>> {
    let fetched = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(download(address))
        });
        reader
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the download ended early")))
    });
    fetched.with_context(|| format!("{address} cannot be read"))
}

async fn download(address: &str) -> Result<Vec<u8>> {
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECTING)
        .timeout(READING)
        .user_agent(concat!("caravel/", env!("CARGO_PKG_VERSION")))
        .build()?;
    let mut answer = client.get(address).send().await.map_err(innermost)?;
    let status = answer.status();
    if !status.is_success() {
        bail!("the server answers {status}");
    }
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(innermost)? {
        if bytes.len() + part.len() > LIMIT {
            bail!("it is larger than {} MiB", LIMIT >> 20);
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// The last cause of an error: the others say the address again.
fn innermost(error: reqwest::Error) -> anyhow::Error {
    if error.is_timeout() {
        return anyhow!("the server does not answer in time");
    }
    let error = anyhow::Error::from(error.without_url());
    anyhow!("{}", error.root_cause())
}
