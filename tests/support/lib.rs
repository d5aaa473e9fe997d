//! Scenarios, conformance, end-to-end tests, benchmarks.
