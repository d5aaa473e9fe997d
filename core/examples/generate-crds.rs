//! Writes the `CustomResourceDefinitions` to `deploy/crds`, or to the folder that is given.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let default = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/crds"));
    let folder = std::env::args_os().nth(1).map_or(default, PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    for crd in caravel_core::api::crds() {
        let file = folder.join(caravel_core::api::crd_file_name(&crd));
        std::fs::write(file, caravel_core::yaml::to_string(&crd))?;
    }
    Ok(())
}
