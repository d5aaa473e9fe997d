//! The reconcilers, the asynchronous workflow engine, admission.
