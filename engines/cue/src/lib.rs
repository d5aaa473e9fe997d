//! The CUE bridge: a Go C archive linked through a small C interface; the only unsafe code of the workspace.
