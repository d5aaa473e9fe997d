//! The folder of conformance inputs beside the project.

use std::path::{Path, PathBuf};

/// The folder that holds what KubeVela and a real kube-apiserver produced: `CARAVEL_CONFORMANCE_DIR`, or
/// `../shared/conformance` beside the workspace.
///
/// `None` only where `CONFORMANCE=skip` allows it; a missing folder is otherwise a failure, so that a
/// green run never means "nothing was compared".
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("CARAVEL_CONFORMANCE_DIR").map_or_else(
        || workspace_root().join("../shared/conformance"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    assert_eq!(
        std::env::var("CONFORMANCE").as_deref(),
        Ok("skip"),
        "{} is absent: set CARAVEL_CONFORMANCE_DIR to the conformance folder, or CONFORMANCE=skip to \
         go without it",
        folder.display()
    );
    None
}

/// The root of the workspace.
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the workspace")
}
