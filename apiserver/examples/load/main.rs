//! Loads the API server over HTTPS, as clients do, and says how it bears that.
//!
//! ```text
//! cargo run --release -p caravel-apiserver --example load -- writes  [CLIENTS=64]  [SECONDS=10]
//! cargo run --release -p caravel-apiserver --example load -- watches [WATCHERS=100] [RATE=200] [SECONDS=10]
//! cargo run --release -p caravel-apiserver --example load -- start   [APPLICATIONS=10000]
//! ```
//!
//! The server runs in a process of its own (this program again, as `serve FOLDER`), so that its processor time and its
//! memory are its own. Both share the processors of the machine.

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "it says what it measured, to a few digits"
)]

mod client;
mod objects;
mod process;
mod start;
mod watches;
mod writes;

// As the daemon does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: usize| match arguments.get(at) {
        Some(text) => text
            .parse::<usize>()
            .map_err(|_| format!("`{text}` is no number")),
        None => Ok(otherwise),
    };
    let seconds =
        |at: usize| number(at, 10).map(|seconds| std::time::Duration::from_secs(seconds as u64));
    match arguments.first().map(String::as_str) {
        Some("serve") => {
            process::serve(arguments.get(1).ok_or("serve: which folder?")?.as_ref()).await
        }
        Some("fill") => {
            let folder = arguments.get(1).ok_or("fill: which folder?")?;
            start::fill(folder.as_ref(), number(2, 10_000)?).await
        }
        Some("writes") => writes::run(number(1, 64)?, seconds(2)?).await,
        Some("watches") => watches::run(number(1, 100)?, number(2, 200)?, seconds(3)?).await,
        Some("start") => start::run(number(1, 10_000)?).await,
        _ => Err("which load? one of: writes, watches, start".into()),
    }
}
