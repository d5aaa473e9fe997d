//! Who may know whom. The numbers stand in `[workspace.metadata.layers]` of the root manifest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Crates that must stay pure: none of [`IMPURE`] may be in their trees.
const PURE: [&str; 5] = [
    "caravel-core",
    "caravel-workflow",
    "caravel-definitions",
    "caravel-merge",
    "caravel-schema",
];
/// Crates that do input and output or bring an async runtime.
const IMPURE: [&str; 8] = [
    "tokio",
    "hyper",
    "kube-client",
    "kube-runtime",
    "axum",
    "sqlx",
    "reqwest",
    "rand",
];
/// Crates whose tests must not need Go: the CUE bridge must not be in their trees, development
/// dependencies included.
const WITHOUT_GO: [&str; 4] = [
    "caravel-controller",
    "caravel-apiserver",
    "caravel-clusters",
    "caravel-store",
];
/// The crate that links Go.
const GO: &str = "caravel-cue";

/// All violations of the layering.
pub(crate) fn check(metadata: &Value) -> Result<Vec<String>, String> {
    let graph = Graph::read(metadata)?;
    let layers = layer_numbers(metadata)?;
    let mut violations = Vec::new();
    for member in &graph.members {
        let name = graph.name(member);
        if name == "xtask" {
            continue;
        }
        let Some(layer) = layers.get(name) else {
            violations.push(format!(
                "{name} has no layer: add it to [workspace.metadata.layers] in Cargo.toml"
            ));
            continue;
        };
        for dependency in graph.normal.get(member).into_iter().flatten() {
            let other = graph.name(dependency);
            if layers.get(other).is_some_and(|lower| lower >= layer) {
                violations.push(format!(
                    "{name} (layer {layer}) depends on {other} (layer {}): only lower layers may \
                     be used",
                    layers[other]
                ));
            }
        }
    }
    for (names, forbidden, edges) in [
        (&PURE[..], &IMPURE[..], &graph.normal),
        (&WITHOUT_GO[..], &[GO][..], &graph.all),
    ] {
        for name in names {
            for found in graph
                .reachable(name, edges)
                .intersection(&forbidden.iter().copied().collect())
            {
                violations.push(format!(
                    "{name} must not depend on {found}: `cargo tree -p {name} -i {found}` shows how \
                     it came in"
                ));
            }
        }
    }
    Ok(violations)
}

fn layer_numbers(metadata: &Value) -> Result<BTreeMap<String, u64>, String> {
    let layers = metadata["metadata"]["layers"]
        .as_object()
        .ok_or("Cargo.toml has no [workspace.metadata.layers]")?;
    Ok(layers
        .iter()
        .filter_map(|(name, layer)| Some((name.clone(), layer.as_u64()?)))
        .collect())
}

/// The resolved dependency graph, by package id.
struct Graph<'a> {
    names: BTreeMap<&'a str, &'a str>,
    members: Vec<&'a str>,
    /// Dependencies of the built program.
    normal: BTreeMap<&'a str, Vec<&'a str>>,
    /// The same with development and build dependencies.
    all: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Graph<'a> {
    fn read(metadata: &'a Value) -> Result<Self, String> {
        let list = |value: &'a Value, what: &str| {
            value
                .as_array()
                .ok_or_else(|| format!("cargo metadata has no {what}"))
        };
        let names = list(&metadata["packages"], "packages")?
            .iter()
            .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
            .collect();
        let members = list(&metadata["workspace_members"], "workspace_members")?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut normal = BTreeMap::new();
        let mut all = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"], "resolve.nodes")? {
            let Some(id) = node["id"].as_str() else {
                continue;
            };
            let mut normal_of_node = Vec::new();
            let mut all_of_node = Vec::new();
            for dependency in list(&node["deps"], "deps")? {
                let Some(package) = dependency["pkg"].as_str() else {
                    continue;
                };
                all_of_node.push(package);
                let kinds = list(&dependency["dep_kinds"], "dep_kinds")?;
                if kinds.iter().any(|kind| kind["kind"].is_null()) {
                    normal_of_node.push(package);
                }
            }
            normal.insert(id, normal_of_node);
            all.insert(id, all_of_node);
        }
        Ok(Self {
            names,
            members,
            normal,
            all,
        })
    }

    fn name(&self, id: &str) -> &'a str {
        self.names.get(id).copied().unwrap_or("?")
    }

    /// Names of everything below a workspace member: the first step along `edges`, then along normal
    /// dependencies (what a dependency needs for its own tests is not built here).
    fn reachable(&self, name: &str, edges: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
        let Some(start) = self.members.iter().find(|id| self.name(id) == name) else {
            return BTreeSet::new();
        };
        let mut queue: Vec<&str> = edges.get(start).into_iter().flatten().copied().collect();
        let mut seen = BTreeSet::new();
        let mut names = BTreeSet::new();
        while let Some(id) = queue.pop() {
            if seen.insert(id) {
                names.insert(self.name(id));
                queue.extend(self.normal.get(id).into_iter().flatten());
            }
        }
        names
    }
}
