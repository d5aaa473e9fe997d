//! The checked shape of a workflow: its steps in one list, and what waits for what as a graph.

use std::collections::HashMap;
use std::time::Duration;

use caravel_core::api::{ExecuteMode, WorkflowMode, WorkflowStep, WorkflowSubStep};
use caravel_core::api::{StepInput, StepOutput};
use caravel_core::appfile::step_alias;
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::duration::{InvalidDuration, parse_duration};

/// A step of a [`Dag`], by its place in [`Dag::steps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepRef(pub u32);

impl StepRef {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// When a step whose turn has come runs (WF-004).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// If nothing before it failed.
    Default,
    /// Always.
    Always,
    /// If this CUE expression is true.
    Expression(String),
}

/// A step or sub-step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Unique name.
    pub name: String,
    /// The WorkflowStepDefinition.
    pub type_: String,
    /// Its `if`.
    pub when: When,
    /// Its `timeout`. A text that is no duration makes the step fail (measured trap 4 is fixed so).
    pub timeout: Option<Result<Duration, InvalidDuration>>,
    /// Steps that must be over before.
    pub depends_on: Vec<StepRef>,
    /// Values that it needs.
    pub inputs: Vec<StepInput>,
    /// Values that it gives.
    pub outputs: Vec<StepOutput>,
    /// Its parameters.
    pub properties: Value,
    /// The group that it is in.
    pub group: Option<StepRef>,
    /// The steps in it, where it is a group.
    pub members: Vec<StepRef>,
    /// Whether it is a group (type `step-group`).
    pub is_group: bool,
    /// Order of `members`.
    pub mode: ExecuteMode,
}

/// A node of the graph. A group has two, so that its members lie between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// The begin of a step, and its end unless it is a group.
    Begin(StepRef),
    /// The end of a group.
    End(StepRef),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    DependsOn,
    Input,
    Order,
    Contains,
}

/// What makes a workflow unusable, in words that say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A step without a name.
    #[error("steps[{0}]: a step has no name; give it one")]
    Unnamed(usize),
    /// A name that is used twice.
    #[error("step {0}: the name is used twice; names must be unique, sub-steps included")]
    Duplicate(String),
    /// A dependency on a step that does not exist.
    #[error("step {step}: dependsOn names {dependency}, which is not a step of this workflow")]
    UnknownDependency {
        /// The step.
        step: String,
        /// What it names.
        dependency: String,
    },
    /// Steps that wait for each other.
    #[error("steps wait for each other: {}", .0.join(", "))]
    Cycle(Vec<String>),
    /// Sub-steps in a step that is not a group.
    #[error("step {step}: only a step of type step-group can have subSteps, this one is {type_}")]
    NotAGroup {
        /// The step.
        step: String,
        /// Its type.
        type_: String,
    },
}

/// A workflow that can be run: names are unique, dependencies exist, nothing waits for itself.
#[derive(Clone, Debug)]
pub struct Dag {
    steps: Vec<Step>,
    top: Vec<StepRef>,
    mode: ExecuteMode,
    sub_mode: ExecuteMode,
    names: HashMap<String, StepRef>,
    graph: DiGraph<Node, Edge>,
    begin: Vec<NodeIndex>,
    end: Vec<NodeIndex>,
}

impl PartialEq for Dag {
    fn eq(&self, other: &Self) -> bool {
        // The graph follows from the steps.
        self.steps == other.steps && self.mode == other.mode && self.sub_mode == other.sub_mode
    }
}

impl Dag {
    /// Checks a workflow. All faults are reported, not only the first.
    pub fn build(steps: &[WorkflowStep], mode: WorkflowMode) -> Result<Self, Vec<Fault>> {
        let sub_mode = mode.sub_steps.unwrap_or(ExecuteMode::Dag);
        let mut dag = Self {
            steps: Vec::new(),
            top: Vec::new(),
            mode: mode.steps.unwrap_or(ExecuteMode::StepByStep),
            sub_mode,
            names: HashMap::new(),
            graph: DiGraph::new(),
            begin: Vec::new(),
            end: Vec::new(),
        };
        let mut faults = Vec::new();
        let mut dependencies = Vec::new();
        for (place, step) in steps.iter().enumerate() {
            dag.add(step, place, &mut dependencies, &mut faults);
        }
        dag.resolve(&dependencies, &mut faults);
        if faults.is_empty() {
            dag.connect();
            faults.extend(dag.cycle());
        }
        if faults.is_empty() {
            Ok(dag)
        } else {
            Err(faults)
        }
    }

    /// All steps; sub-steps follow their group.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The steps that are in no group.
    pub fn top(&self) -> &[StepRef] {
        &self.top
    }

    /// Order of the steps.
    pub fn mode(&self) -> ExecuteMode {
        self.mode
    }

    /// The mode as `status.workflow.mode` writes it, for example `StepByStep-DAG` (TRAP-007).
    pub fn mode_text(&self) -> String {
        format!("{}-{}", self.mode.as_str(), self.sub_mode.as_str())
    }

    /// A step.
    pub fn step(&self, step: StepRef) -> &Step {
        &self.steps[step.index()]
    }

    /// A step by its name.
    pub fn find(&self, name: &str) -> Option<StepRef> {
        self.names.get(name).copied()
    }

    /// References to all steps, in the order of [`Dag::steps`].
    pub fn refs(&self) -> impl Iterator<Item = StepRef> + use<> {
        (0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX)).map(StepRef)
    }

    /// The steps that name this one in `dependsOn`.
    pub fn dependents(&self, step: StepRef) -> impl Iterator<Item = StepRef> + '_ {
        self.followers(step, |edge| edge == Edge::DependsOn)
    }

    /// The steps that wait for this one, by `dependsOn` or because they take one of its outputs.
    pub fn consumers(&self, step: StepRef) -> impl Iterator<Item = StepRef> + '_ {
        self.followers(step, |edge| matches!(edge, Edge::DependsOn | Edge::Input))
    }

    /// All steps, each after everything that it waits for.
    pub fn in_order(&self) -> Vec<StepRef> {
        let nodes = petgraph::algo::toposort(&self.graph, None).unwrap_or_default();
        let ends = nodes.into_iter().filter_map(|node| match self.graph[node] {
            Node::End(step) => Some(step),
            Node::Begin(step) if !self.step(step).is_group => Some(step),
            Node::Begin(_) => None,
        });
        ends.collect()
    }

    fn followers(
        &self,
        step: StepRef,
        wanted: fn(Edge) -> bool,
    ) -> impl Iterator<Item = StepRef> + '_ {
        self.graph
            .edges_directed(self.end[step.index()], Direction::Outgoing)
            .filter(move |edge| wanted(*edge.weight()))
            .map(|edge| self.graph[edge.target()])
            .map(|node| match node {
                Node::Begin(step) | Node::End(step) => step,
            })
    }

    fn add(
        &mut self,
        step: &WorkflowStep,
        place: usize,
        dependencies: &mut Vec<(StepRef, Vec<String>)>,
        faults: &mut Vec<Fault>,
    ) {
        let is_group = step.type_ == "step-group";
        let as_sub = WorkflowSubStep {
            name: step.name.clone(),
            type_: step.type_.clone(),
            meta: None,
            if_: step.if_.clone(),
            timeout: step.timeout.clone(),
            depends_on: step.depends_on.clone(),
            inputs: step.inputs.clone(),
            outputs: step.outputs.clone(),
            properties: step.properties.clone(),
        };
        let group = self.push(&as_sub, None, place, dependencies, faults);
        self.top.push(group);
        self.steps[group.index()].is_group = is_group;
        self.steps[group.index()].mode = step.mode.unwrap_or(self.sub_mode);
        if !is_group && !step.sub_steps.is_empty() {
            faults.push(Fault::NotAGroup {
                step: step.name.clone(),
                type_: step.type_.clone(),
            });
        }
        for sub in &step.sub_steps {
            let member = self.push(sub, Some(group), place, dependencies, faults);
            self.steps[group.index()].members.push(member);
        }
    }

    fn push(
        &mut self,
        step: &WorkflowSubStep,
        group: Option<StepRef>,
        place: usize,
        dependencies: &mut Vec<(StepRef, Vec<String>)>,
        faults: &mut Vec<Fault>,
    ) -> StepRef {
        let me = StepRef(u32::try_from(self.steps.len()).unwrap_or(u32::MAX));
        if step.name.is_empty() {
            faults.push(Fault::Unnamed(place));
        } else if self.names.insert(step.name.clone(), me).is_some() {
            faults.push(Fault::Duplicate(step.name.clone()));
        }
        dependencies.push((me, step.depends_on.clone()));
        self.steps.push(Step {
            name: step.name.clone(),
            type_: step.type_.clone(),
            when: match step.if_.as_deref().map(str::trim) {
                None | Some("") => When::Default,
                Some("always") => When::Always,
                Some(expression) => When::Expression(expression.to_owned()),
            },
            timeout: step
                .timeout
                .as_deref()
                .filter(|text| !text.is_empty())
                .map(parse_duration),
            depends_on: Vec::new(),
            inputs: step.inputs.clone(),
            outputs: step.outputs.clone(),
            properties: step.properties.clone().unwrap_or(Value::Null),
            group,
            members: Vec::new(),
            is_group: false,
            mode: self.sub_mode,
        });
        me
    }

    /// The step that is known by a name, or else the first that is known by what it applies.
    fn known_as(&self, name: &str) -> Option<StepRef> {
        let is_it = |step: &StepRef| {
            let step = self.step(*step);
            step_alias(&step.type_, &step.properties) == Some(name)
        };
        self.find(name).or_else(|| self.refs().find(is_it))
    }

    fn resolve(&mut self, dependencies: &[(StepRef, Vec<String>)], faults: &mut Vec<Fault>) {
        for (step, names) in dependencies {
            for name in names {
                match self.known_as(name) {
                    Some(found) => {
                        let list = &mut self.steps[step.index()].depends_on;
                        if !list.contains(&found) {
                            list.push(found);
                        }
                    }
                    None => faults.push(Fault::UnknownDependency {
                        step: self.step(*step).name.clone(),
                        dependency: name.clone(),
                    }),
                }
            }
        }
    }

    fn connect(&mut self) {
        for me in self.refs() {
            let begin = self.graph.add_node(Node::Begin(me));
            let end = if self.step(me).is_group {
                self.graph.add_node(Node::End(me))
            } else {
                begin
            };
            self.begin.push(begin);
            self.end.push(end);
        }
        let mut providers: HashMap<&str, Vec<StepRef>> = HashMap::new();
        for (step, me) in self.steps.iter().zip(self.refs()) {
            for output in &step.outputs {
                let of_name = providers.entry(&output.name).or_default();
                if !of_name.contains(&me) {
                    of_name.push(me);
                }
            }
        }
        let mut edges = Vec::new();
        let order = |list: &[StepRef], edges: &mut Vec<_>| {
            for pair in list.windows(2) {
                edges.push((
                    self.end[pair[0].index()],
                    self.begin[pair[1].index()],
                    Edge::Order,
                ));
            }
        };
        if self.mode == ExecuteMode::StepByStep {
            order(&self.top, &mut edges);
        }
        for (step, me) in self.steps.iter().zip(self.refs()) {
            let (begin, end) = (self.begin[me.index()], self.end[me.index()]);
            for dependency in &step.depends_on {
                edges.push((self.end[dependency.index()], begin, Edge::DependsOn));
            }
            for input in &step.inputs {
                // A value that several steps give is there as soon as one of them is done.
                if let Some([one]) = provider(&providers, &input.from) {
                    edges.push((self.end[one.index()], begin, Edge::Input));
                }
            }
            if step.is_group {
                edges.push((begin, end, Edge::Contains));
            }
            for member in &step.members {
                edges.push((begin, self.begin[member.index()], Edge::Contains));
                edges.push((self.end[member.index()], end, Edge::Contains));
            }
            if step.is_group && step.mode == ExecuteMode::StepByStep {
                order(&step.members, &mut edges);
            }
        }
        for (from, to, edge) in edges {
            self.graph.add_edge(from, to, edge);
        }
    }

    /// The steps of one cycle, in the order in which they wait, the first repeated at the end.
    fn cycle(&self) -> Option<Fault> {
        let component = petgraph::algo::tarjan_scc(&self.graph)
            .into_iter()
            .find(|nodes| nodes.len() > 1 || self.graph.find_edge(nodes[0], nodes[0]).is_some())?;
        let mut path = vec![component[0]];
        loop {
            let last = *path.last()?;
            let next = self
                .graph
                .neighbors_directed(last, Direction::Incoming)
                .find(|node| component.contains(node))?;
            if let Some(start) = path.iter().position(|node| *node == next) {
                path.drain(..start);
                path.push(next);
                break;
            }
            path.push(next);
        }
        let say = |from: NodeIndex, to: NodeIndex| {
            let name = |node| match self.graph[node] {
                Node::Begin(step) | Node::End(step) => self.step(step).name.as_str(),
            };
            // `from` waits for `to`.
            let why = match self.graph.find_edge(to, from).map(|edge| self.graph[edge]) {
                Some(Edge::DependsOn) => "depends on",
                Some(Edge::Input) => "takes an input from",
                Some(Edge::Order) => "comes after",
                _ if matches!(self.graph[to], Node::Begin(_))
                    && matches!(self.graph[from], Node::Begin(_)) =>
                {
                    "is in the group"
                }
                _ => "is the group of",
            };
            format!("{} {why} {}", name(from), name(to))
        };
        Some(Fault::Cycle(
            path.windows(2).map(|pair| say(pair[0], pair[1])).collect(),
        ))
    }
}

/// The steps that give the value which an input names: the whole name, or the part before a dot.
fn provider<'a>(providers: &'a HashMap<&str, Vec<StepRef>>, from: &str) -> Option<&'a [StepRef]> {
    providers
        .get(from)
        .or_else(|| providers.get(from.split('.').next().unwrap_or(from)))
        .map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn build(mode: &str, steps: Value) -> Result<Dag, Vec<Fault>> {
        let steps: Vec<WorkflowStep> = serde_json::from_value(steps).unwrap();
        let mode = serde_json::from_value(json!({"steps": mode, "subSteps": "DAG"})).unwrap();
        Dag::build(&steps, mode)
    }

    fn said(result: Result<Dag, Vec<Fault>>) -> String {
        let faults = result.unwrap_err();
        faults
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn a_cycle_is_spelled_out() {
        let faults = said(build(
            "DAG",
            json!([
                {"name": "free", "type": "t"},
                {"name": "a", "type": "t", "dependsOn": ["b"]},
                {"name": "b", "type": "t", "inputs": [{"from": "x.y"}]},
                {"name": "c", "type": "t", "outputs": [{"name": "x", "valueFrom": "v"}], "dependsOn": ["a"]},
            ]),
        ));
        for part in [
            "a depends on b",
            "b takes an input from c",
            "c depends on a",
        ] {
            assert!(faults.contains(part), "{faults}");
        }
        assert!(!faults.contains("free"), "{faults}");
    }

    #[test]
    fn one_by_one_a_step_cannot_wait_for_a_later_one() {
        let steps =
            json!([{"name": "a", "type": "t", "dependsOn": ["b"]}, {"name": "b", "type": "t"}]);
        assert!(build("DAG", steps.clone()).is_ok());
        let faults = said(build("StepByStep", steps));
        assert!(faults.contains("b comes after a"), "{faults}");
    }

    #[test]
    fn a_member_cannot_wait_for_its_group() {
        let faults = said(build(
            "DAG",
            json!([{"name": "g", "type": "step-group", "subSteps": [
                {"name": "m", "type": "t", "dependsOn": ["g"]}]}]),
        ));
        assert!(
            faults.contains("m depends on g") && faults.contains("g is the group of m"),
            "{faults}"
        );
    }

    #[test]
    fn every_fault_is_reported() {
        insta::assert_snapshot!(said(build(
            "DAG",
            json!([
                {"name": "a", "type": "t", "dependsOn": ["ghost"]},
                {"name": "a", "type": "t"},
                {"type": "t"},
                {"name": "s", "type": "suspend", "subSteps": [{"name": "x", "type": "t"}]},
            ]),
        )), @r"
        step a: the name is used twice; names must be unique, sub-steps included
        steps[2]: a step has no name; give it one
        step s: only a step of type step-group can have subSteps, this one is suspend
        step a: dependsOn names ghost, which is not a step of this workflow
        ");
    }
}
