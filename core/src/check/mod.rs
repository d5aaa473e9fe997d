//! What can be found wrong with an Application before anything of it runs: at admission and in a dry run.
//!
//! Sans-I/O, like rendering. A [`Check`] knows at once what needs no evaluation; it asks [`Question`]s about
//! parameters and conditions, whose answers come from a template engine; then it tries to render what is known
//! completely ([`Check::trials`]). What is known is checked even where something else is not: an unknown type is
//! a warning, and hides nothing.

mod before;
mod chart;
mod condition;
mod definition;
mod input;
mod made;
mod name;
mod order;
mod output;
mod overriding;
mod parameter;
mod place;
mod sample;
mod scoped;
mod selector;
mod step;
mod trial;
mod unfit;
mod unknown;
mod usage;
mod variant;

use std::collections::BTreeMap;

use crate::api::Application;
use crate::api::labels::annotations;
use crate::appfile::{Appfile, DefinitionSource, Finding, FindingKind, assemble_known, check};
use crate::engine::{Evaluator, Operation, Outcome};
use crate::path::is_inside;
use crate::render::{RenderError, RenderedComponent};

pub use definition::{DefinitionCheck, TEMPLATE, unidentified};
pub use name::is_subdomain;
pub use parameter::of_diagnostic;
pub use place::place_of_path;
pub use sample::{Extent, SAMPLE_NAME, sample};
pub use scoped::{PolicyTrial, is_of_author, unknown_output};
pub use trial::{Trial, of_render};
pub use unfit::is_for_known_workloads;
pub use unknown::{misshapen, unknown_fields};
pub(crate) use variant::applying_inputs;

use before::Before;
use usage::Usage;
use variant::Variant;

/// A check under way.
#[derive(Clone, Debug)]
pub struct Check {
    findings: Vec<Finding>,
    questions: Vec<Question>,
    appfile: Option<Appfile>,
    variants: Vec<Variant>,
    /// Something that is not known here changes components before they are rendered.
    is_changed_later: bool,
    /// The workloads that trials made of each component.
    made: BTreeMap<String, Vec<String>>,
}

/// Something that only an engine can say.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// What to carry out.
    pub operation: Operation,
    /// With which evaluator; the hub's where it does not matter.
    pub evaluator: Option<Evaluator>,
    about: About,
}

#[derive(Clone, Debug, PartialEq)]
enum About {
    Parameters(Box<Usage>),
    Condition(condition::Condition),
    Output(output::Output),
}

impl Check {
    /// Begins: names, references, shapes of policies, unknown types.
    pub fn new(app: &Application, source: &dyn DefinitionSource) -> Self {
        Self::of_update(app, None, source)
    }

    /// As [`Self::new`], for an Application that was there before: what is immutable must not have changed (row
    /// REN-032), unless an annotation allows it.
    pub fn of_update(
        app: &Application,
        before: Option<&Application>,
        source: &dyn DefinitionSource,
    ) -> Self {
        let annotations = app.metadata.annotations.as_ref();
        let forced = annotations.and_then(|all| all.get(annotations::FORCE_PARAM_MUTATIONS));
        let before = before
            .filter(|_| forced.is_none_or(|value| value != "true"))
            .map(|before| Before::new(before, source));
        let mut findings = check(app).findings;
        findings.extend(contradictions(app));
        findings.extend(name::misnamed(app));
        let (appfile, rejection) = assemble_known(app, source);
        findings.extend(rejection.findings);
        findings.extend(input::unfed(app, source));
        findings.extend(step::bad_durations(app));
        let variants = variant::variants(app, appfile.as_ref(), source);
        if let Some(appfile) = &appfile {
            findings.extend(overriding::findings(app, appfile));
        }
        let is_changed_later = appfile.as_ref().is_none_or(variant::is_changed_later);
        findings.extend(usage::unknown_components(app));
        for variant in &variants {
            findings.extend(unfit::misapplied(app, variant, source));
            let mut told = findings.iter();
            // An override without a type, of a component that is not there, is warned of by itself.
            let is_new = |found: &&Finding| {
                found.kind.may_resolve() && told.all(|known| known.path != found.path)
            };
            let unresolved: Vec<_> = variant.unresolved.iter().filter(is_new).cloned().collect();
            findings.extend(unresolved);
        }
        let usages = usage::usages(app, before.as_ref(), &variants, source);
        let of_charts = usages
            .iter()
            .map(|usage| (usage, chart::without_effect(usage)));
        let of_charts =
            of_charts.flat_map(|(usage, found)| found.into_iter().map(|one| usage.placed(one)));
        findings.extend(of_charts);
        let mut questions: Vec<Question> = usages.into_iter().map(Usage::question).collect();
        questions.extend(condition::questions(app));
        questions.extend(output::questions(app, source));
        Self {
            findings,
            questions,
            appfile,
            variants,
            is_changed_later,
            made: BTreeMap::new(),
        }
    }

    /// What an engine is to say, in any order.
    pub fn questions(&self) -> Vec<Question> {
        self.questions.clone()
    }

    /// Takes an answer. What the engine could not do is no fault of the Application.
    pub fn answer(&mut self, question: &Question, outcome: Outcome) {
        let found: Vec<Finding> = match &question.about {
            About::Parameters(usage) => {
                let found = parameter::findings(usage, outcome, self.is_changed_later).into_iter();
                found.map(|finding| usage.placed(finding)).collect()
            }
            About::Condition(asked) => condition::findings(asked, outcome),
            About::Output(asked) => output::findings(asked, outcome).into_iter().collect(),
        };
        for finding in found {
            self.add(finding);
        }
    }

    /// What can be tried after all answers: components that are known with all their traits, and that nothing
    /// was found wrong with but that something is missing.
    pub fn trials(&self) -> Vec<Trial> {
        let Some(appfile) = self.appfile.as_ref().filter(|_| !self.is_changed_later) else {
            return Vec::new();
        };
        trial::trials(appfile, &self.variants, &self.findings)
    }

    /// Takes what a trial came to: the objects, or why there are none. What it was done without is not needed, as KubeVela has it.
    pub fn tried(&mut self, trial: &Trial, outcome: Result<&RenderedComponent, &RenderError>) {
        match outcome {
            Ok(rendered) => {
                let missing = self
                    .findings
                    .iter_mut()
                    .filter(|finding| finding.kind == FindingKind::Missing && trial.has(finding));
                for finding in missing {
                    finding.kind = FindingKind::Omitted;
                }
                let of_one = self.made.entry(trial.subject().to_owned()).or_default();
                let copied = trial
                    .is_copy()
                    .then(|| made::same_workload(trial.component(), rendered, of_one))
                    .flatten();
                let found = made::findings(trial.component(), rendered).into_iter();
                for finding in found.chain(copied) {
                    self.add(finding);
                }
            }
            // What is missing was told of, and by its name.
            Err(_) if self.lacks(trial) => {}
            Err(error) => {
                for finding in trial.failed(error) {
                    self.add(finding);
                }
            }
        }
    }

    fn lacks(&self, trial: &Trial) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.kind == FindingKind::Missing && trial.has(finding))
    }

    /// Everything that was found, in the order of the Application.
    pub fn findings(mut self) -> Vec<Finding> {
        let refused = |finding: &&Finding| !finding.kind.is_warning();
        let refused: Vec<String> = self
            .findings
            .iter()
            .filter(refused)
            .map(|finding| finding.path.clone())
            .collect();
        // What is not declared inside of a value of another shape follows from that.
        self.findings.retain(|finding| {
            let follows = |outer: &String| is_inside(&finding.path, outer);
            finding.kind != FindingKind::Undeclared || !refused.iter().any(follows)
        });
        order::sort(&mut self.findings);
        self.findings
    }

    /// One word for one mistake: several components may come from one place, and what the first look at a
    /// policy found needs no second word.
    fn add(&mut self, finding: Finding) {
        let is_known = self.findings.iter().any(|known| {
            let is_same = known.message == finding.message
                || (known.kind == finding.kind && !finding.found.is_empty());
            let is_told = finding.kind == FindingKind::Undeclared && !known.kind.is_warning();
            // The shape of properties that a decoder reads, before their definition is asked.
            let is_read = known.kind == FindingKind::Invalid && known.definition.is_empty();
            let is_again = is_read && known.kind == finding.kind;
            let is_same = is_same && known.found == finding.found;
            known.path == finding.path && (is_told || is_again || is_same)
        });
        if !is_known {
            self.findings.push(finding);
        }
    }
}

/// Two annotations that contradict each other (OPS-203).
fn contradictions(app: &Application) -> Option<Finding> {
    let all = app.metadata.annotations.as_ref()?;
    let pinned = all
        .get(annotations::PUBLISH_VERSION)
        .filter(|version| !version.is_empty())?;
    let follows = all.get(annotations::AUTO_UPDATE)?;
    (follows == "true").then(|| {
        Finding::new(
            FindingKind::Invalid,
            format!("metadata.annotations[{}]", annotations::AUTO_UPDATE),
            "an Application cannot follow its definitions and be pinned to a version at once",
        )
        .expected(
            "one of the two annotations",
            format!("{}: {pinned} besides", annotations::PUBLISH_VERSION),
        )
        .hint(format!(
            "remove {} or {}",
            annotations::AUTO_UPDATE,
            annotations::PUBLISH_VERSION
        ))
    })
}
