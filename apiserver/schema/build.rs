//! Derives the table of protobuf tags from the sources of crate `k8s-pb`.
//!
//! `k8s-pb` is named as a dependency that no target enables: cargo locks and fetches it, but nobody compiles its
//! forty thousand lines. Only the field attributes are read here. The table goes to `OUT_DIR`:
//!
//! ```text
//! M api.apps.v1.DeploymentSpec
//! F 1 replicas int32 one
//! F 2 selector message one apimachinery.pkg.apis.meta.v1.LabelSelector
//! ```

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a build script reports its faults by failing the build"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let root = source_of("k8s-pb").join("src");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut table = String::new();
    visit(&root, &mut Vec::new(), &mut table);
    assert!(
        table.lines().count() > 1500,
        "the sources of k8s-pb have a shape that this build script does not know"
    );
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("tags.txt");
    fs::write(out, table).expect("OUT_DIR is writable");
}

/// The folder of a locked dependency, as cargo knows it: the registry's, or a vendored one.
fn source_of(package: &str) -> PathBuf {
    let metadata = metadata(true)
        .or_else(|| metadata(false))
        .expect("`cargo metadata` works in this workspace");
    // No unit of the build depends on the package, so a new version is seen in the lock file only.
    if let Some(root) = metadata["workspace_root"].as_str() {
        println!("cargo::rerun-if-changed={root}/Cargo.lock");
    }
    let packages = metadata["packages"]
        .as_array()
        .expect("`cargo metadata` lists packages");
    let manifest = packages
        .iter()
        .find(|p| p["name"] == package)
        .and_then(|p| p["manifest_path"].as_str())
        .unwrap_or_else(|| panic!("{package} is not among the locked packages; run `cargo fetch`"));
    Path::new(manifest)
        .parent()
        .expect("a manifest lies in a folder")
        .to_owned()
}

fn metadata(offline: bool) -> Option<serde_json::Value> {
    let mut command = Command::new(env::var_os("CARGO")?);
    command
        .args(["metadata", "--format-version", "1"])
        .current_dir(env::var_os("CARGO_MANIFEST_DIR")?);
    if offline {
        command.arg("--offline");
    }
    let output = command.output().ok()?;
    output
        .status
        .success()
        .then(|| serde_json::from_slice(&output.stdout).ok())?
}

/// Walks the module tree; the folders are the modules.
fn visit(folder: &Path, module: &mut Vec<String>, table: &mut String) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is readable")
        .filter_map(|e| Some(e.ok()?.path()))
        .collect();
    entries.sort();
    for path in entries {
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default()
            .to_owned();
        if path.is_dir() {
            if is_served(&name) {
                module.push(name);
                visit(&path, module, table);
                module.pop();
            }
        } else if name == "mod.rs" {
            let text = fs::read_to_string(&path).expect("the file is readable");
            scan(&text, module, table);
        }
    }
}

/// Versions that are not stable, and the metrics API, are not served.
fn is_served(name: &str) -> bool {
    !name.contains("alpha") && !name.contains("beta") && name != "metrics" && name != "testapigroup"
}

/// Reads the structs of one file: an attribute, then the field that it belongs to.
fn scan(text: &str, module: &[String], table: &mut String) {
    let mut attribute: Option<String> = None;
    let mut declaration: Option<String> = None;
    for line in text.lines().map(str::trim).filter(|l| !l.starts_with("//")) {
        if let Some(rest) = line.strip_prefix("pub struct ") {
            let name = rest.split([' ', '{', ';']).next().unwrap_or_default();
            writeln!(table, "M {}.{name}", module.join(".")).expect("a string accepts text");
        } else if let Some(part) = declaration.as_mut() {
            part.push_str(line);
        } else if line.starts_with("#[prost(") {
            attribute = Some(line.to_owned());
            continue;
        } else if line.starts_with("pub ") && attribute.is_some() {
            declaration = Some(line.to_owned());
        } else if let Some(text) = attribute.as_mut().filter(|t| !t.ends_with(")]")) {
            text.push_str(line);
            continue;
        }
        if let (Some(text), Some(field)) =
            (&attribute, declaration.as_ref().filter(|d| is_complete(d)))
        {
            write_field(text, field, module, table);
            attribute = None;
            declaration = None;
        }
    }
}

fn is_complete(declaration: &str) -> bool {
    declaration.ends_with(',')
        && declaration.matches('<').count() == declaration.matches('>').count()
}

fn write_field(attribute: &str, declaration: &str, module: &[String], table: &mut String) {
    let inner = attribute
        .trim_start_matches("#[prost(")
        .trim_end_matches(")]");
    let tag = between(inner, "tag = \"", "\"");
    let (name, kind) = declaration
        .trim_start_matches("pub ")
        .split_once(':')
        .expect("a field has a type");
    let name = name.trim_start_matches("r#");
    let (element, cardinality) = match inner.split([',', '(']).next().unwrap_or_default().trim() {
        map if map.starts_with("btree_map") || map.starts_with("map") => {
            (between(inner, "\"string, ", "\""), "map")
        }
        bytes if bytes.starts_with("bytes") => ("bytes", cardinality(inner)),
        scalar => (scalar, cardinality(inner)),
    };
    write!(table, "F {tag} {name} {element} {cardinality}").expect("a string accepts text");
    if element == "message" {
        write!(table, " {}", resolve(kind, module)).expect("a string accepts text");
    }
    table.push('\n');
}

fn cardinality(attribute: &str) -> &'static str {
    if attribute.contains("repeated") {
        "many"
    } else {
        "one"
    }
}

/// The message that a type names, as a path from the root of the crate: the last path in the type.
fn resolve(kind: &str, module: &[String]) -> String {
    let path = kind
        .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .rfind(|t| !t.is_empty() && *t != ":")
        .expect("a type names a path");
    let mut base = module.to_vec();
    let mut rest = path;
    while let Some(up) = rest.strip_prefix("super::") {
        base.pop();
        rest = up;
    }
    base.extend(rest.split("::").map(str::to_owned));
    base.join(".")
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text
        .split_once(start)
        .unwrap_or_else(|| panic!("`{start}` expected in `{text}`"))
        .1;
    rest.split_once(end)
        .unwrap_or_else(|| panic!("`{end}` expected in `{rest}`"))
        .0
}
