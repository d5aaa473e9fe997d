//! Files: Rust files that no module names (they would never be compiled), and files longer than a
//! reader likes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Lines beyond which a source file has to be split.
const MOST_LINES: usize = 800;

/// All violations in the sources of the workspace.
pub(crate) fn check(root: &Path, metadata: &Value) -> Result<Vec<String>, String> {
    let mut violations = Vec::new();
    let mut reached = BTreeSet::new();
    let targets = local_targets(root, metadata);
    for target in targets.iter().chain(&fuzz_targets(root)) {
        follow(target, &mut reached);
    }
    for file in rust_files(root)? {
        let text = read(&file)?;
        let shown = file
            .strip_prefix(root)
            .unwrap_or(&file)
            .display()
            .to_string();
        if !reached.contains(&file) {
            violations.push(format!(
                "{shown}: no `mod` names it, so it is never compiled"
            ));
        }
        let lines = text.lines().count();
        let is_test = shown.contains("/tests/") || shown.ends_with("tests.rs");
        if lines > MOST_LINES && !is_test {
            violations.push(format!(
                "{shown}: {lines} lines; split it, {MOST_LINES} are the most a file may have"
            ));
        }
    }
    Ok(violations)
}

/// Root files of all targets (libraries, programs, tests, examples, build scripts) of the workspace.
fn local_targets(root: &Path, metadata: &Value) -> Vec<PathBuf> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .flat_map(|package| package["targets"].as_array().into_iter().flatten())
        .filter_map(|target| target["src_path"].as_str())
        .map(PathBuf::from)
        .filter(|path| path.starts_with(root))
        .collect()
}

/// Root files of the fuzz targets, which are no part of the workspace: they need another toolchain.
fn fuzz_targets(root: &Path) -> Vec<PathBuf> {
    let folder = root.join("fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    let named = manifest.lines().filter_map(|line| {
        let path = line.strip_prefix("path = \"")?.strip_suffix(".rs\"")?;
        Some(folder.join(format!("{path}.rs")))
    });
    named.chain([folder.join("src/lib.rs")]).collect()
}

/// Adds `file` and every file that its `mod` declarations reach.
fn follow(file: &Path, reached: &mut BTreeSet<PathBuf>) {
    if !reached.insert(file.to_owned()) {
        return;
    }
    let Ok(text) = std::fs::read_to_string(file) else {
        return;
    };
    let mut path_attribute = None;
    for line in text.lines().map(str::trim) {
        if let Some(path) = line
            .strip_prefix("#[path = \"")
            .and_then(|rest| rest.strip_suffix("\"]"))
        {
            path_attribute = Some(path.to_owned());
        } else if let Some(name) = declared_module(line) {
            for candidate in candidates(file, name, path_attribute.take().as_deref()) {
                if candidate.is_file() {
                    follow(&candidate, reached);
                }
            }
        }
    }
}

/// `name` of a line `[pub] mod name;`.
fn declared_module(line: &str) -> Option<&str> {
    let before = line.strip_suffix(';')?;
    let (visibility, name) = before.rsplit_once("mod ")?;
    let visibility = visibility.trim();
    let is_declaration = visibility.is_empty() || visibility.starts_with("pub");
    (is_declaration && name.chars().all(|c| c.is_alphanumeric() || c == '_')).then_some(name)
}

fn candidates(file: &Path, name: &str, path_attribute: Option<&str>) -> Vec<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new(""));
    if let Some(path) = path_attribute {
        return vec![folder.join(path)];
    }
    let stem = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let own = folder.join(stem);
    [folder, own.as_path()]
        .iter()
        .flat_map(|base| {
            [
                base.join(format!("{name}.rs")),
                base.join(name).join("mod.rs"),
            ]
        })
        .collect()
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|error| format!("{}: {error}", folder.display()))?
            .path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                files.extend(rust_files(&path)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
