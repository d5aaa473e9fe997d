//! REST API, event stream, metrics.
