//! Names and dependencies: no name twice, nothing unknown, nothing that waits for itself (traps 3, 6).

use std::collections::{BTreeMap, HashMap};

use crate::api::{Application, StepInput, StepOutput};

use super::error::{Finding, FindingKind, did_you_mean};

/// Something with a name that may wait for others.
pub(super) struct Node<'a> {
    /// Its name.
    pub name: &'a str,
    /// What else it is known by, where nothing else has that name.
    pub alias: Option<&'a str>,
    /// What it waits for.
    pub depends_on: &'a [String],
    /// Where it stands in the Application.
    pub path: String,
}

fn plural(what: &str) -> String {
    match what.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{what}s"),
    }
}

/// Names that occur twice.
pub(super) fn duplicates(what: &str, nodes: &[Node<'_>]) -> Vec<Finding> {
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    let mut findings = Vec::new();
    for node in nodes.iter().filter(|node| !node.name.is_empty()) {
        if let Some(earlier) = first.get(node.name) {
            findings.push(
                Finding::new(
                    FindingKind::Duplicate,
                    format!("{}.name", node.path),
                    format!("there are two {} named `{}`", plural(what), node.name),
                )
                .expected("a name of its own", format!("the name of {earlier}"))
                .hint("rename one of them")
                .kubevela(format!("duplicated {what} name {}", node.name)),
            );
        } else {
            first.insert(node.name, &node.path);
        }
    }
    findings
}

/// Dependencies on what is not there.
pub(super) fn unknown_dependencies(what: &str, nodes: &[Node<'_>]) -> Vec<Finding> {
    let names: Vec<&str> = nodes.iter().map(|node| node.name).collect();
    let mut findings = Vec::new();
    for node in nodes {
        for (index, wanted) in node.depends_on.iter().enumerate() {
            let is_known =
                |other: &Node<'_>| [Some(other.name), other.alias].contains(&Some(wanted.as_str()));
            if nodes.iter().any(is_known) {
                continue;
            }
            let hint = did_you_mean(wanted, names.iter().copied())
                .unwrap_or_else(|| format!("the {} are: {}", plural(what), names.join(", ")));
            findings.push(
                Finding::new(
                    FindingKind::UnknownReference,
                    format!("{}.dependsOn[{index}]", node.path),
                    format!(
                        "`{}` depends on the {what} `{wanted}`, which is not there",
                        node.name
                    ),
                )
                .expected(format!("the name of a {what}"), wanted.clone())
                .hint(hint),
            );
        }
    }
    findings
}

/// The first cycle of each group of nodes that wait for each other, spelled out.
pub(super) fn cycles(what: &str, nodes: &[Node<'_>]) -> Vec<Finding> {
    let mut index: HashMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .map(|(at, node)| (node.name, at))
        .collect();
    for (at, node) in nodes.iter().enumerate() {
        if let Some(alias) = node.alias {
            index.entry(alias).or_insert(at);
        }
    }
    let mut search = Search {
        nodes,
        index,
        state: vec![State::New; nodes.len()],
        path: Vec::new(),
    };
    let mut findings = Vec::new();
    for start in 0..nodes.len() {
        let Some(cycle) = search.visit(start) else {
            continue;
        };
        let names: Vec<&str> = cycle.iter().map(|at| nodes[*at].name).collect();
        findings.push(
            Finding::new(
                FindingKind::Cycle,
                format!("{}.dependsOn", nodes[cycle[0]].path),
                if let [name] = names[..] {
                    format!("the {what} `{name}` waits for itself")
                } else {
                    let circle = names.join(" → ");
                    let all = plural(what);
                    format!("these {all} wait for each other: {circle} → {}", names[0])
                },
            )
            .hint("take one of these dependencies away"),
        );
    }
    findings
}

/// Components that wait for each other by what they take from each other.
pub(super) fn starving(app: &Application) -> Vec<Finding> {
    let components = &app.spec.components;
    let steps = app.spec.workflow.iter().flat_map(|flow| &flow.steps);
    let of_steps = steps.flat_map(|step| {
        let inner = step.sub_steps.iter();
        std::iter::once(&step.outputs[..]).chain(inner.map(|sub| &sub.outputs[..]))
    });
    let givers: Vec<(&str, &[StepOutput])> = components
        .iter()
        .map(|one| (one.name.as_str(), &one.outputs[..]))
        .chain(of_steps.map(|outputs| ("", outputs)))
        .collect();
    let waits: Vec<Vec<String>> = components
        .iter()
        .map(|one| {
            let taken = one.inputs.iter().filter_map(|input| giver(&givers, input));
            one.depends_on.iter().cloned().chain(taken).collect()
        })
        .collect();
    let nodes: Vec<_> = components
        .iter()
        .zip(&waits)
        .enumerate()
        .map(|(index, (one, waits))| Node {
            name: &one.name,
            alias: None,
            depends_on: waits,
            path: format!("spec.components[{index}]"),
        })
        .collect();
    let of_inputs = |finding: Finding| Finding {
        path: finding.path.replace(".dependsOn", ".inputs"),
        hint: "take away what one of them waits for".to_owned(),
        ..finding
    };
    let found = cycles("component", &nodes).into_iter();
    found.map(of_inputs).collect()
}

/// Who alone gives what an input names: where several do, the first one that is done is enough.
pub(super) fn giver(givers: &[(&str, &[StepOutput])], input: &StepInput) -> Option<String> {
    let is_named = |output: &StepOutput| {
        let rest = input.from.strip_prefix(output.name.as_str());
        !output.name.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let mut found = givers
        .iter()
        .filter(|(_, outputs)| outputs.iter().any(is_named));
    let only = found.next().filter(|_| found.next().is_none())?;
    Some(only.0.to_owned())
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

struct Search<'a> {
    nodes: &'a [Node<'a>],
    index: HashMap<&'a str, usize>,
    state: Vec<State>,
    path: Vec<usize>,
}

impl Search<'_> {
    /// Depth first, without recursion, because an Application may have thousands of steps.
    fn visit(&mut self, start: usize) -> Option<Vec<usize>> {
        if self.state[start] != State::New {
            return None;
        }
        let mut next = vec![0_usize];
        self.enter(start);
        while let (Some(&at), Some(position)) = (self.path.last(), next.last_mut()) {
            let Some(wanted) = self.nodes[at].depends_on.get(*position) else {
                self.state[at] = State::Done;
                self.path.pop();
                next.pop();
                continue;
            };
            *position += 1;
            match self
                .index
                .get(wanted.as_str())
                .map(|to| (*to, self.state[*to]))
            {
                Some((to, State::Open)) => return Some(self.close(to)),
                Some((to, State::New)) => {
                    self.enter(to);
                    next.push(0);
                }
                _ => {}
            }
        }
        None
    }

    fn enter(&mut self, at: usize) {
        self.state[at] = State::Open;
        self.path.push(at);
    }

    /// The open part of the path from `to` on is the cycle; everything open is done with.
    fn close(&mut self, to: usize) -> Vec<usize> {
        let from = self
            .path
            .iter()
            .position(|at| *at == to)
            .unwrap_or_default();
        let cycle = self.path[from..].to_vec();
        for at in self.path.drain(..) {
            self.state[at] = State::Done;
        }
        cycle
    }
}
