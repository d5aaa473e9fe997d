//! Built-in definitions: embedded CUE files keyed by kind and name.
