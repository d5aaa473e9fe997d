//! Whole runs with scripted answers of the template engine: no Go, no cluster, a clock that the test moves.

mod crash;
mod steps;
mod world;
