//! The one binary: caravel serve and everything else.

fn main() {}
