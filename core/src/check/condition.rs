//! The `if` of steps: at run time a broken one fails the step.

use super::{About, Question};
use crate::api::Application;
use crate::appfile::{Finding, FindingKind};
use crate::engine::{FormatRequest, Operation, Outcome};

/// Asks whether each condition is an expression.
pub(super) fn questions(app: &Application) -> Vec<Question> {
    let steps = app.spec.workflow.iter().flat_map(|flow| &flow.steps);
    let mut found = Vec::new();
    for (index, step) in steps.enumerate() {
        let path = format!("spec.workflow.steps[{index}]");
        found.extend(step.if_.as_deref().map(|text| (path.clone(), text)));
        for (at, sub_step) in step.sub_steps.iter().enumerate() {
            let path = format!("{path}.subSteps[{at}]");
            found.extend(sub_step.if_.as_deref().map(|text| (path, text)));
        }
    }
    let question = |(path, text): (String, &str)| Question {
        // No parentheses: CUE reads a comma where a line ends in them.
        operation: Operation::Format(FormatRequest {
            file: "if".to_owned(),
            source: format!("if_: {text}\n"),
        }),
        evaluator: None,
        about: About::Condition {
            path: format!("{path}.if"),
            text: text.to_owned(),
        },
    };
    found.into_iter().map(question).collect()
}

pub(super) fn findings(path: &str, text: &str, outcome: Outcome) -> Option<Finding> {
    let Outcome::Error(error) = outcome else {
        return None;
    };
    let said = error
        .errors
        .first()
        .map(|first| format!(": {}", first.message))
        .unwrap_or_default();
    Some(
        Finding::new(
            FindingKind::Invalid,
            path,
            format!("this condition is no CUE expression{said}"),
        )
        .expected("an expression such as `status.build.succeeded`", text)
        .hint("write `if: always` to run the step in any case"),
    )
}
