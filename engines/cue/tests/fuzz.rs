//! A short run of the fuzz targets over mutated seeds, always the same ones. `FUZZ_ROUNDS` asks for more.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

#[path = "../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is the library of the fuzz targets, too")]
mod targets;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// How many mutations there are of each seed.
const ROUNDS: usize = 6;

/// What makes mutations that get further than noise does.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\(",
    "'",
    "`",
    ":",
    ",",
    "...",
    "_|_",
    "&",
    "|",
    "*",
    "#",
    "//",
    "\n",
    "\n---\n",
    "\t",
    "- ",
    "? ",
    "<<: ",
    "&a ",
    "*a",
    "!!binary ",
    "null",
    "true",
    "0x1F",
    "1e999",
    "-0",
    "9223372036854775808",
    "\u{feff}",
    "\u{0}",
    "\u{202e}",
    "\"\"\"\n",
    "#\"\"\"#",
    "import \"list\"\n",
    "let x = x\n",
    "for a in b {",
    "if x {",
    "spec:",
    "components:",
    "type:",
    "properties:",
    "traits:",
    "template: {",
    "attributes: {",
    "status: {",
    "parameter: ",
    "output: ",
    "\"op\":\"render\"",
    "\"body\":",
    "\"evaluator\":\"v3\"",
];

/// `SplitMix64`: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap()
    }

    /// A range of a text of this length, short more often than long.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let start = self.below(length + 1);
        let longest = (length - start).min(1 << self.below(9));
        (start, start + self.below(longest + 1))
    }
}

fn mutate(seed: &[u8], others: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.below(4) {
        let (start, end) = random.range(data.len());
        match random.below(6) {
            0 => drop(data.drain(start..end)),
            1 => {
                let copied = data[start..end].to_vec();
                let at = random.below(data.len() + 1);
                data.splice(at..at, copied);
            }
            2 => {
                if let Some(byte) = data.get_mut(start) {
                    *byte ^= 1 << random.below(8);
                }
            }
            3 => {
                let other = &others[random.below(others.len())];
                let (from, to) = random.range(other.len());
                data.splice(start..end, other[from..to].iter().copied());
            }
            _ => {
                let word = WORDS[random.below(WORDS.len())];
                data.splice(start..start, word.bytes());
            }
        }
    }
    data
}

/// Feeds each seed and mutations of it to a target. What breaks it is shown whole.
fn run(target: fn(&[u8]), seeds: &[Vec<u8>]) {
    assert!(seeds.len() > 50, "{} seeds", seeds.len());
    let rounds = std::env::var("FUZZ_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS);
    let mut random = Random(20_261_121);
    for seed in seeds {
        for round in 0..=rounds {
            let data = if round == 0 {
                seed.clone()
            } else {
                mutate(seed, seeds, &mut random)
            };
            if let Err(cause) = panic::catch_unwind(AssertUnwindSafe(|| target(&data))) {
                eprintln!("input:\n{}", String::from_utf8_lossy(&data));
                panic::resume_unwind(cause);
            }
        }
    }
}

/// Files of the built-in definitions.
fn files(extension: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../definitions");
    let mut found = Vec::new();
    for kind in ["component", "trait", "policy", "workflow-step"] {
        for entry in fs::read_dir(root.join(kind)).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().ends_with(extension) {
                let bytes = fs::read(&path).unwrap();
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn definitions() {
    let seeds: Vec<Vec<u8>> = files(".cue").into_iter().map(|(_, bytes)| bytes).collect();
    run(targets::definition, &seeds);
}

#[test]
fn applications() {
    let seeds: Vec<Vec<u8>> = files(".yaml").into_iter().map(|(_, bytes)| bytes).collect();
    run(targets::application, &seeds);
}

#[test]
fn frames() {
    let mut seeds = Vec::new();
    for (index, (path, bytes)) in files(".cue").into_iter().enumerate() {
        let source = String::from_utf8(bytes).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let parse = json!({"file": name, "source": source});
        let reply = caravel_cue::call(
            json!({"id": 1, "op": "parseDefinition", "body": parse})
                .to_string()
                .as_bytes(),
        );
        let reply: Value = serde_json::from_slice(&reply).unwrap();
        let spec = &reply["body"]["object"]["spec"];
        let text = &spec["schematic"]["cue"]["template"];
        let template = json!({"name": name, "source": text, "parameters": {"image": "x", "name": "y", "n": 1}});
        let context = json!({"name": "web", "namespace": "prod"});
        let (op, body) = match index % 7 {
            0 => ("render", json!({"component": template, "context": context})),
            1 => ("step", json!({"template": template, "context": context})),
            2 => ("policy", json!({"template": template, "context": context})),
            3 => (
                "validate",
                json!({"kind": "trait", "template": template, "status": spec["status"]}),
            ),
            4 => (
                "status",
                json!({"healthPolicy": "isHealth: context.output.n > 1", "details": "a: 1", "context": {"output": {"n": 2}}}),
            ),
            5 => (
                "expression",
                json!({"expression": "context.name + \"x\"", "scope": {"context": context}}),
            ),
            _ => (
                "merge",
                json!({"base": "a: [{name: \"x\"}]", "patch": "// +patchKey=name\na: [{name: \"x\", b: 1}]"}),
            ),
        };
        let request = json!({"id": index, "evaluator": "v3", "op": op, "body": body});
        seeds.push(request.to_string().into_bytes());
        seeds.push(reply.to_string().into_bytes());
    }
    run(targets::frame, &seeds);
}
