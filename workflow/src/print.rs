//! A workflow for people: as a tree, and as a graph in the DOT language.

use std::fmt::Write as _;

use caravel_core::api::ExecuteMode;

use crate::dag::{Dag, Step, StepRef, When};
use crate::state::State;

/// The workflow as a tree of text; with a state, how each step stands.
pub fn tree(dag: &Dag, state: Option<&State>) -> String {
    let mut text = format!("workflow ({})\n", dag.mode_text());
    let last = dag.top().len().saturating_sub(1);
    for (place, step) in dag.top().iter().enumerate() {
        branch(dag, state, *step, "", place == last, &mut text);
    }
    text
}

fn branch(
    dag: &Dag,
    state: Option<&State>,
    step: StepRef,
    indent: &str,
    last: bool,
    text: &mut String,
) {
    let shape = dag.step(step);
    let (corner, stem) = if last {
        ("└─ ", "   ")
    } else {
        ("├─ ", "│  ")
    };
    let _ = write!(text, "{indent}{corner}{} ({})", shape.name, shape.type_);
    let _ = write!(text, "{}", notes(dag, shape));
    if let Some((phase, reason, message)) = state.and_then(|state| state.standing(step)) {
        let _ = write!(text, ": {}", phase.as_str());
        if let Some(reason) = reason {
            let _ = write!(text, " [{}]", reason.as_str());
        }
        if let Some(line) = message.lines().next() {
            let _ = write!(text, " {line}");
        }
    }
    text.push('\n');
    let end = shape.members.len().saturating_sub(1);
    for (place, member) in shape.members.iter().enumerate() {
        branch(
            dag,
            state,
            *member,
            &format!("{indent}{stem}"),
            place == end,
            text,
        );
    }
}

fn notes(dag: &Dag, step: &Step) -> String {
    let mut text = String::new();
    if !step.depends_on.is_empty() {
        let names: Vec<&str> = step
            .depends_on
            .iter()
            .map(|one| dag.step(*one).name.as_str())
            .collect();
        let _ = write!(text, " after {}", names.join(", "));
    }
    if !step.inputs.is_empty() {
        let names: Vec<&str> = step
            .inputs
            .iter()
            .map(|input| input.from.as_str())
            .collect();
        let _ = write!(text, " needs {}", names.join(", "));
    }
    match &step.when {
        When::Default => {}
        When::Always => text.push_str(" if always"),
        When::Expression(expression) => {
            let _ = write!(text, " if {expression}");
        }
    }
    if step.is_group && step.mode == ExecuteMode::StepByStep {
        text.push_str(" step by step");
    }
    text
}

/// The workflow in the DOT language of Graphviz: solid for `dependsOn`, dashed for a value that is passed, dotted for order.
pub fn dot(dag: &Dag) -> String {
    let mut text = String::from("digraph workflow {\n  rankdir=LR;\n  node [shape=box];\n");
    for step in dag.refs() {
        let shape = dag.step(step);
        let label = format!("{}\\n{}", quoted(&shape.name), quoted(&shape.type_));
        let _ = writeln!(text, "  n{} [label=\"{label}\"];", step.0);
    }
    for step in dag.refs() {
        let shape = dag.step(step);
        for dependency in &shape.depends_on {
            let _ = writeln!(text, "  n{} -> n{};", dependency.0, step.0);
        }
        for member in &shape.members {
            let _ = writeln!(text, "  n{} -> n{} [arrowhead=none];", step.0, member.0);
        }
        if shape.mode == ExecuteMode::StepByStep {
            ordered(&shape.members, &mut text);
        }
        for consumer in dag.consumers(step) {
            if !dag.step(consumer).depends_on.contains(&step) {
                let _ = writeln!(text, "  n{} -> n{} [style=dashed];", step.0, consumer.0);
            }
        }
    }
    if dag.mode() == ExecuteMode::StepByStep {
        ordered(dag.top(), &mut text);
    }
    text.push_str("}\n");
    text
}

fn ordered(steps: &[StepRef], text: &mut String) {
    for pair in steps.windows(2) {
        let _ = writeln!(text, "  n{} -> n{} [style=dotted];", pair[0].0, pair[1].0);
    }
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
