//! An HTTP server that counts what it is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Counts requests by path and answers each with 200 and a small JSON document.
pub struct Sink {
    address: SocketAddr,
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
}

/// What was sent to a path.
#[derive(Default)]
struct Seen {
    count: usize,
    /// Values of `Idempotency-Key`.
    keys: BTreeSet<String>,
}

impl Sink {
    /// Starts on a free port of loopback. Its thread ends with the process.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen: Arc<Mutex<BTreeMap<String, Seen>>> = Arc::default();
        let sees = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sees = Arc::clone(&sees);
                thread::spawn(move || answer(stream, &sees));
            }
        });
        Self { address, seen }
    }

    /// Where a path of this server is.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often a path was asked for.
    pub fn count(&self, path: &str) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(path).map_or(0, |seen| seen.count)
    }

    /// How many different `Idempotency-Key`s a path was sent.
    pub fn keys(&self, path: &str) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(path).map_or(0, |seen| seen.keys.len())
    }
}

fn answer(mut stream: TcpStream, seen: &Mutex<BTreeMap<String, Seen>>) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let (mut length, mut key) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "idempotency-key" => key = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    reader
        .by_ref()
        .take(length)
        .read_to_end(&mut Vec::new())
        .ok()?;
    {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(path).or_default();
        seen.count += 1;
        seen.keys.extend(key);
    }
    let body = r#"{"value":"from-sink"}"#;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .ok()
}
