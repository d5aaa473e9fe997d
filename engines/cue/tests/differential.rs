//! Remembered templates change nothing but the time: the same requests, with templates remembered, forgotten at
//! random and never remembered, get the same bytes. The requests are those of all built-in definitions' examples,
//! and mutations of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use caravel_core::yaml;
use serde_json::{Map, Value, json};

/// What the daemon remembers.
const REMEMBERED: usize = 512 << 10;

/// How many mutations there are of each request; `DIFFERENTIAL_ROUNDS` asks for more.
const ROUNDS: usize = 2;

/// `SplitMix64`: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }
}

fn evaluate(request: &Value) -> Vec<u8> {
    caravel_cue::call(request.to_string().as_bytes())
}

/// Every built-in definition by kind folder and name, as its object.
fn definitions() -> BTreeMap<(String, String), (Value, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../definitions");
    let mut found = BTreeMap::new();
    for kind in ["component", "trait", "policy", "workflow-step"] {
        for entry in fs::read_dir(root.join(kind)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "cue") {
                continue;
            }
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let body = json!({"file": name, "source": fs::read_to_string(&path).unwrap()});
            let reply = evaluate(&json!({"id": 1, "op": "parseDefinition", "body": body}));
            let mut reply: Value = serde_json::from_slice(&reply).unwrap();
            let object = reply["body"]["object"].take();
            found.insert((kind.to_owned(), name), (object, path));
        }
    }
    assert!(found.len() > 80, "{} definitions", found.len());
    found
}

/// The requests that the examples ask for: renders, steps, schemas, checks, health.
fn requests() -> Vec<Value> {
    let definitions = definitions();
    let template = |kind: &str, used: &Value| {
        let name = used["type"].as_str()?;
        let (object, _) = definitions.get(&(kind.to_owned(), name.to_owned()))?;
        let source = object["spec"]["schematic"]["cue"]["template"].as_str()?;
        Some(json!({"name": name, "source": source, "parameters": used["properties"]}))
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for (object, path) in definitions.values() {
        let source = &object["spec"]["schematic"]["cue"]["template"];
        if source.is_string() {
            found.push(json!({"op": "schema", "body": {"name": "demo", "source": source}}));
        }
        let Ok(example) = fs::read_to_string(path.with_extension("example.yaml")) else {
            continue;
        };
        for document in yaml::parse(&example).unwrap() {
            for component in list(&document["spec"]["components"]) {
                let traits: Vec<Value> = list(&component["traits"])
                    .iter()
                    .filter_map(|used| template("trait", used))
                    .collect();
                let context = json!({
                    "name": component["name"], "appName": "app", "namespace": "prod", "appRevision": "app-v1",
                    "cluster": "local", "clusterVersion": {"major": "1", "minor": 29},
                });
                let Some(component) = template("component", &component) else {
                    continue;
                };
                let check = json!({"kind": "component", "template": component});
                found.push(json!({"op": "validate", "body": check}));
                let body = json!({"component": component, "traits": traits, "context": context});
                found.push(json!({"op": "render", "body": body}));
            }
            for step in list(&document["spec"]["workflow"]["steps"]) {
                if let Some(template) = template("workflow-step", &step) {
                    let context = json!({"name": "app", "namespace": "prod", "stepName": "one"});
                    found.push(
                        json!({"op": "step", "body": {"template": template, "context": context}}),
                    );
                }
            }
        }
        let status = &object["spec"]["status"];
        if let Some(status) = status.as_object() {
            let live = json!({"metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": {"readyReplicas": 2}});
            let mut body = Map::from_iter(status.clone());
            body.insert("context".to_owned(), json!({"output": live, "name": "x"}));
            found.push(json!({"op": "status", "body": body}));
        }
    }
    found
}

/// Puts something else in one place of a value.
fn mutate(value: &mut Value, random: &mut Random) {
    match value {
        Value::Object(map) if !map.is_empty() && random.below(4) > 0 => {
            let key = map.keys().nth(random.below(map.len())).unwrap().clone();
            match random.below(6) {
                0 => {
                    map.remove(&key);
                }
                1 => {
                    map.insert(format!("{key}x"), json!(1));
                }
                _ => mutate(map.get_mut(&key).unwrap(), random),
            }
        }
        Value::Array(items) if !items.is_empty() && random.below(4) > 0 => {
            let index = random.below(items.len());
            match random.below(4) {
                0 => {
                    items.remove(index);
                }
                1 => items.push(items[index].clone()),
                _ => mutate(&mut items[index], random),
            }
        }
        other => {
            let choices = [
                json!(null),
                json!(true),
                json!(-7),
                json!(1.5),
                json!("ünïcode \"quoted\" \\ and\nlines"),
                json!([1, "a"]),
                json!({"a": {"b": 1}}),
                json!({}),
                json!("x"),
            ];
            *other = choices[random.below(choices.len())].clone();
        }
    }
}

/// Changes a template: drops, doubles, cuts or extends its lines.
fn mutate_source(source: &mut Value, random: &mut Random) {
    let text = source.as_str().unwrap_or_default().to_owned();
    let mut lines: Vec<&str> = text.lines().collect();
    let at = random.below(lines.len());
    let additions = [
        "// a comment that ends the template",
        "extra:",
        "x: y &",
        "}",
        "parameter: image: string",
        "context: name: \"other\"",
        "let parameter = 1",
        "\"emb\\(context.name)\": 1",
        "// +patchKey=name",
        "#Hidden: {a: 1}\n#Hidden",
        "package some",
        "error: \"no\"",
        "both: [1] + [2]",
    ];
    match random.below(5) {
        0 if !lines.is_empty() => {
            lines.remove(at);
        }
        1 if !lines.is_empty() => lines.insert(at, lines[at]),
        2 if !lines.is_empty() => {
            let cut = lines[at].char_indices().map(|(index, _)| index);
            let cut = cut.clone().nth(random.below(cut.count())).unwrap_or(0);
            lines[at] = &lines[at][..cut];
        }
        3 => lines.insert(0, additions[random.below(additions.len())]),
        _ => lines.push(additions[random.below(additions.len())]),
    }
    *source = lines.join("\n").into();
}

fn mutation(request: &Value, random: &mut Random) -> Value {
    let mut request = request.clone();
    let body = &mut request["body"];
    let templates = ["/component", "/template", "/traits/0", ""];
    let pick = templates[random.below(templates.len())];
    if let Some(template) = body.pointer_mut(pick).filter(|found| found.is_object()) {
        match random.below(3) {
            0 if template["source"].is_string() => {
                mutate_source(&mut template["source"], random);
            }
            1 if pick.is_empty() => mutate(&mut template["context"], random),
            _ if !pick.is_empty() => mutate(&mut template["parameters"], random),
            _ => {}
        }
    }
    request
}

#[test]
fn replies_are_the_same_whatever_is_remembered() {
    let rounds = std::env::var("DIFFERENTIAL_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS);
    let mut random = Random(20_261_121);
    let originals = requests();
    assert!(originals.len() > 150, "{} requests", originals.len());
    let mut all = Vec::new();
    for (index, original) in originals.iter().enumerate() {
        // The generator of schemas is slow, and reads its template as the others do.
        if original["op"] == "schema" && index % 4 > 0 {
            continue;
        }
        for round in 0..=rounds {
            let mut request = if round == 0 {
                original.clone()
            } else {
                mutation(original, &mut random)
            };
            request["id"] = json!(index);
            if request["op"] == "schema" && round > 0 {
                continue;
            }
            request["evaluator"] = json!(if random.below(3) == 0 { "v3" } else { "v2" });
            all.push(request);
        }
    }

    caravel_cue::remember_templates(0);
    let expected: Vec<Vec<u8>> = all.iter().map(evaluate).collect();
    let kinds = |status: &str| {
        let text = format!("\"status\":\"{status}\"");
        let has = |reply: &&Vec<u8>| String::from_utf8_lossy(reply).contains(&text);
        expected.iter().filter(has).count()
    };
    assert!(
        kinds("ok") > 100 && kinds("error") > 50 && kinds("need") > 10,
        "{} ok, {} errors, {} needs: the requests are worth little",
        kinds("ok"),
        kinds("error"),
        kinds("need")
    );

    caravel_cue::remember_templates(REMEMBERED);
    // The second time all of them are known; the third time templates come and go.
    for pass in ["first", "again", "forgetting"] {
        for (request, expected) in all.iter().zip(&expected) {
            if pass == "forgetting" && random.below(3) == 0 {
                let bytes = [0, 2_000, 40_000, REMEMBERED][random.below(4)];
                caravel_cue::remember_templates(bytes);
            }
            let found = evaluate(request);
            assert!(
                found == *expected,
                "{pass}: the reply differs\nrequest  {request}\nwithout {}\nwith    {}",
                String::from_utf8_lossy(expected),
                String::from_utf8_lossy(&found)
            );
        }
    }
    caravel_cue::remember_templates(REMEMBERED);
}
