//! A worker process on its own; `caravel` has the same behind a hidden subcommand.

fn main() {
    caravel_cue::worker_main()
}
