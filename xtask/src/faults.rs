//! Planted faults: each breaks one invariant of the design, and the tests that guard it must go red.
//!
//! A test that never fails proves nothing. Each fault is one line of the program, changed in a copy of the tree; a fault that no test
//! notices, and a line that is not there any more, are violations.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A fault that is planted.
struct Fault {
    /// Which invariant of the design it breaks.
    invariant: u8,
    /// What goes wrong.
    what: &'static str,
    /// Where.
    file: &'static str,
    /// Text that is in the file once.
    find: &'static str,
    /// What stands there instead.
    plant: &'static str,
    /// The package whose unit tests guard the invariant, and which of them.
    package: &'static str,
    tests: &'static str,
}

const FAULTS: &[Fault] = &[
    Fault {
        invariant: 1,
        what: "templates see something that is different each time",
        file: "core/src/render/context.rs",
        find: r#".insert("name".to_owned(), name.into());"#,
        plant: r#".insert("name".to_owned(), format!("{name}{:?}", std::time::Instant::now()).into());"#,
        package: "caravel-core",
        tests: "the_same_input_is_asked_in_the_same_bytes",
    },
    Fault {
        invariant: 2,
        what: "an object that the run applied is deleted",
        file: "clusters/src/prune/plan.rs",
        find: "let stays = applied.contains(key)",
        plant: "let stays = applied.is_empty()",
        package: "caravel-clusters",
        tests: "prune::tests",
    },
    Fault {
        invariant: 3,
        what: "objects are applied before they are recorded",
        file: "clusters/src/dispatch/mod.rs",
        find: "ledger.commit(&self.store).await?;\n        (self.probe)",
        plant: "(self.probe)",
        package: "caravel-clusters",
        tests: "who_dies_after_a_write_has_recorded_it_before",
    },
    Fault {
        invariant: 3,
        what: "an object that replaced the recorded one is deleted",
        file: "clusters/src/prune/act.rs",
        find: "if item.entry.uid.as_deref() != Some(uid) {",
        plant: "if false {",
        package: "caravel-clusters",
        tests: "an_object_that_was_replaced_by_another_is_left_alone",
    },
    Fault {
        invariant: 3,
        what: "an object without our labels is deleted",
        file: "clusters/src/prune/act.rs",
        find: "if !owner.owns(live) {",
        plant: "if false {",
        package: "caravel-clusters",
        tests: "an_object_whose_labels_were_taken_off_is_left_alone",
    },
    Fault {
        invariant: 4,
        what: "a recorded request is sent again",
        file: "controller/src/engine/http.rs",
        find: "work.recorded.get(&call.key)?",
        plant: "work.recorded.get(&call.key).filter(|_| false)?",
        package: "caravel-controller",
        tests: "a_recorded_request_is_never_sent_again",
    },
    Fault {
        invariant: 5,
        what: "slow templates may have all lanes",
        file: "engines/src/pool/queue.rs",
        find: "slow_lanes: (lanes / 2).max(1),",
        plant: "slow_lanes: lanes + 1,",
        package: "caravel-engines",
        tests: "slow_jobs_come_after_quick_ones",
    },
    Fault {
        invariant: 6,
        what: "a refusal of admission is not heard",
        file: "apiserver/src/registry/mod.rs",
        find: "warnings.extend(decider.admit(attributes).await.map_err(|denial| denial.0)?);",
        plant: "warnings.extend(decider.admit(attributes).await.unwrap_or_default());",
        package: "caravel-apiserver",
        tests: "what_admission_refuses_changes_nothing",
    },
    Fault {
        invariant: 7,
        what: "secrets are written to the journal as they are",
        file: "store/src/seal.rs",
        find: ".seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut content)",
        plant: ".seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut plain.to_vec())",
        package: "caravel-store",
        tests: "secrets_are_not_readable_on_the_disk",
    },
    Fault {
        invariant: 8,
        what: "that another writer was faster is not heard",
        file: "clusters/src/inventory/store.rs",
        find: "Err(InventoryError::Conflict { name })\n            }\n            Err(error) => Err(error.into()),",
        plant: "Ok(())\n            }\n            Err(error) => Err(error.into()),",
        package: "caravel-clusters",
        tests: "a_second_writer_is_noticed",
    },
];

/// Plants each fault in a copy of the tree and runs the tests that guard against it.
///
/// # Errors
/// If files cannot be copied, or cargo cannot be started.
pub(crate) fn check(root: &Path, target: &Path, say: impl Fn(&str)) -> Result<Vec<String>, String> {
    let tree = target.join("planted-faults");
    copy(root, &tree)?;
    let mut violations = Vec::new();
    for fault in FAULTS {
        let name = format!("invariant {}: {}", fault.invariant, fault.what);
        match plant(&tree, target, fault)? {
            None => say(&format!("noticed: {name}")),
            Some(why) => violations.push(format!("{}: {name}: {why}", fault.file)),
        }
    }
    Ok(violations)
}

/// Plants one fault and takes it out again; says why it was not noticed.
fn plant(tree: &Path, target: &Path, fault: &Fault) -> Result<Option<String>, String> {
    let file = tree.join(fault.file);
    let sound = std::fs::read_to_string(&file).map_err(|error| told(&file, &error))?;
    if sound.matches(fault.find).count() != 1 {
        let why = format!("`{}` is not there once: plant it elsewhere", fault.find);
        return Ok(Some(why));
    }
    let write = |text: &str| std::fs::write(&file, text).map_err(|error| told(&file, &error));
    write(&sound.replace(fault.find, fault.plant))?;
    let outcome = test(tree, target, fault);
    write(&sound)?;
    Ok(unnoticed(&outcome?))
}

fn test(tree: &Path, target: &Path, fault: &Fault) -> Result<Output, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    Command::new(cargo)
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", target)
        .args(["test", "--quiet", "--locked", "--lib", "-p", fault.package])
        .args(["--", fault.tests])
        .output()
        .map_err(|error| format!("cargo test could not be started: {error}"))
}

/// Why a fault was not noticed; nothing if a test failed.
fn unnoticed(outcome: &Output) -> Option<String> {
    let said = String::from_utf8_lossy(&outcome.stdout);
    if said.contains("test result: FAILED") {
        return None;
    }
    if said.contains("running 0 tests") || said.contains(" 0 passed") {
        return Some("there are no such tests".to_owned());
    }
    if outcome.status.success() {
        return Some("the tests are green with it".to_owned());
    }
    let error = String::from_utf8_lossy(&outcome.stderr);
    Some(format!("it does not compile: {error}"))
}

/// Copies the files that are in the repository; those that have not changed keep their times, so that they are not compiled again.
fn copy(root: &Path, tree: &Path) -> Result<(), String> {
    let listed = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .map_err(|error| format!("git could not be started: {error}"))?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in listed.lines() {
        let (from, to) = (root.join(name), tree.join(name));
        let Ok(content) = std::fs::read(&from) else {
            // Listed and deleted.
            continue;
        };
        if std::fs::read(&to).is_ok_and(|known| known == content) {
            continue;
        }
        let folder = to.parent().map(PathBuf::from).unwrap_or_default();
        std::fs::create_dir_all(&folder).map_err(|error| told(&folder, &error))?;
        std::fs::write(&to, content).map_err(|error| told(&to, &error))?;
    }
    Ok(())
}

fn told(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
