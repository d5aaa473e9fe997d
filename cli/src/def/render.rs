//! `caravel def render`: what one definition makes of parameters.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use caravel_core::check::unidentified;
use caravel_core::engine::{
    Call, Diagnostic, DiagnosticKind, Evaluator, Operation, Template, ValidateRequest,
    ValidateResult,
};
use caravel_core::yaml;
use serde_json::{Map, Value, json};

use super::ask::ask;
use super::parameter;
use super::problem::{self, Problem, Problems};
use super::source::{Source, read_one};
use super::trial::{Outcome, Trial};
use super::{CueEvaluator, Machine};
use crate::input;
use crate::locate::{self, Part, Site};

/// Renders one definition with parameters; calls (`#do`) are shown and not carried out.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def render my-component.cue --set image=nginx --set replicas=2\n  \
                  caravel def render my-trait.cue -p parameters.yaml --workload deployment.yaml"
)]
pub(crate) struct Args {
    /// The definition, in CUE or YAML.
    file: String,
    #[command(flatten)]
    input: Input,
    /// How the objects are written.
    #[arg(short, long, value_enum, default_value = "yaml")]
    output: Machine,
}

impl Args {
    pub(crate) fn data(&self) -> Option<Machine> {
        (self.output == Machine::Json).then_some(Machine::Json)
    }
}

/// What a definition is rendered with.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Input {
    /// Parameters, in YAML or JSON.
    #[arg(short, long, value_name = "FILE")]
    parameters: Option<String>,
    /// One parameter; a dot goes into an object (`--set cpu.max=2`). Goes before those of the file.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Name of the component; that of the definition unless given.
    #[arg(long)]
    name: Option<String>,
    /// What a trait is laid over: an object in YAML or JSON. Without it, a usual workload of the kind that the
    /// trait is for.
    #[arg(long, value_name = "FILE")]
    workload: Option<String>,
    /// What is different in `context`, in YAML or JSON.
    #[arg(long = "with-context", value_name = "FILE")]
    with_context: Option<String>,
    /// Results of calls, by the path of the call, in YAML or JSON.
    #[arg(long, value_name = "FILE")]
    returns: Option<String>,
    /// Which of CUE's evaluators reads the template.
    #[arg(long, value_enum, default_value = "v2")]
    cue_evaluator: CueEvaluator,
}

pub(crate) fn run(args: &Args, namespace: Option<&str>) -> Result<ExitCode> {
    let source = read_one(&args.file)?;
    let given = args.input.parameters(&source)?;
    let trial = args.input.trial(&source, given.value.clone(), namespace)?;
    let said = judged(&source, &given, args.input.evaluator());
    for warning in problems(&source, &given, &said.warnings).0 {
        problem::print(&warning.warning());
    }
    let outcome = match trial.render() {
        // What is missing a step reads all the same, as a value that nobody gave.
        Ok(Outcome::Step { .. }) if !said.errors.is_empty() => {
            let errors = with_causes(said.errors, Vec::new());
            return Err(problems(&source, &given, &errors).into());
        }
        Ok(outcome) => {
            for warning in problems(&source, &given, &with_causes(said.errors, Vec::new())).0 {
                problem::print(&warning.warning());
            }
            outcome
        }
        Err(errors) => {
            let errors = with_causes(said.errors, errors);
            return Err(problems(&source, &given, &errors).into());
        }
    };
    let (documents, complete) = shown(&outcome);
    let text = match args.output {
        Machine::Yaml => yaml::stream(&documents),
        Machine::Json => format!("{:#}\n", Value::Array(documents)),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    if complete {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("the objects depend on these calls: give their results with --returns FILE")
}

/// What is wrong with the parameters by themselves, and which of them have no effect.
fn judged(source: &Source, given: &Given, evaluator: Evaluator) -> ValidateResult {
    let definition = &source.definition;
    if definition.template.is_empty() {
        return ValidateResult::default();
    }
    let request = ValidateRequest {
        kind: definition.kind,
        template: Template {
            name: definition.name.clone(),
            source: definition.template.clone(),
            parameters: given.value.clone(),
        },
        ..ValidateRequest::default()
    };
    ask(
        Operation::Validate(request),
        definition.evaluator.unwrap_or(evaluator),
    )
    .unwrap_or_default()
}

/// Errors of a render behind those of the parameters: what is missing there is missing wherever it is used.
fn with_causes(mut causes: Vec<Diagnostic>, errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let is_told = |error: &Diagnostic, causes: &[Diagnostic]| {
        let is_missing = |one: &Diagnostic| one.kind == DiagnosticKind::Missing;
        causes
            .iter()
            .any(|cause| cause.path == error.path || (is_missing(cause) && is_missing(error)))
    };
    for error in errors {
        if !is_told(&error, &causes) {
            causes.push(error);
        }
    }
    for cause in &mut causes {
        if let Some(name) = cause
            .hint
            .strip_suffix("` in the properties")
            .and_then(|hint| hint.strip_prefix("set `"))
        {
            cause.hint = format!("give it with `--set {name}=…`, or in the file of --parameters");
        }
    }
    causes
}

/// What is printed, and whether it is all that there is.
fn shown(outcome: &Outcome) -> (Vec<Value>, bool) {
    let as_values = |calls: &[Call]| calls.iter().map(call).collect::<Vec<_>>();
    match outcome {
        Outcome::Objects(objects) => {
            let objects = objects.iter().map(|shown| shown.object.clone());
            (objects.collect(), true)
        }
        Outcome::Step { calls, value } if calls.is_empty() => (vec![value.clone()], true),
        Outcome::Step { calls, .. } => (as_values(calls), true),
        Outcome::Calls(calls) => (as_values(calls), false),
        Outcome::Application(value) => (vec![value.clone()], true),
    }
}

/// A call as people read it.
pub(crate) fn call(call: &Call) -> Value {
    json!({
        "do": call.action,
        "provider": call.provider,
        "path": call.path,
        "params": call.params,
    })
}

/// Parameters and where they come from.
pub(crate) struct Given {
    pub(crate) file: String,
    pub(crate) text: Arc<str>,
    pub(crate) value: Value,
}

impl Input {
    /// The parameters of file and options.
    pub(crate) fn parameters(&self, source: &Source) -> Result<Given> {
        let (file, text, mut value) = match &self.parameters {
            Some(file) => {
                let text = input::read(file)?;
                let value = one_document(file, &text)?;
                (file.clone(), text, value)
            }
            None => (String::new(), String::new(), json!({})),
        };
        if !self.set.is_empty() {
            // Where a text is wanted, `--set cpu=1` means one.
            let known = parameter::of(source).unwrap_or_default();
            let texts = texts(&known);
            for assignment in &self.set {
                set(&mut value, assignment, &texts)?;
            }
        }
        Ok(Given {
            file,
            text: text.into(),
            value,
        })
    }

    /// Which evaluator is asked for.
    pub(crate) fn evaluator(&self) -> Evaluator {
        self.cue_evaluator.into()
    }

    /// The definition with everything that the options say.
    pub(crate) fn trial<'a>(
        &self,
        source: &'a Source,
        parameters: Value,
        namespace: Option<&str>,
    ) -> Result<Trial<'a>> {
        let object = |file: &Option<String>| -> Result<Map<String, Value>> {
            match file {
                None => Ok(Map::new()),
                Some(file) => match one_document(file, &input::read(file)?)? {
                    Value::Object(fields) => Ok(fields),
                    _ => bail!("{file} must hold an object"),
                },
            }
        };
        let mut trial = Trial::new(&source.definition, parameters);
        trial.context = object(&self.with_context)?;
        trial.returns = object(&self.returns)?;
        if let Some(file) = &self.workload {
            let workload = Value::Object(object(&self.workload)?);
            if let Some(missing) = unidentified(&workload) {
                bail!(
                    "{file} must hold the object that the trait is laid over: it has no {missing}"
                );
            }
            trial.workload = Some(workload);
        }
        if let Some(name) = &self.name {
            trial.name.clone_from(name);
        }
        if let Some(namespace) = namespace {
            namespace.clone_into(&mut trial.namespace);
        }
        trial.evaluator = self.cue_evaluator.into();
        Ok(trial)
    }
}

/// The paths of parameters that are texts; those of maps of texts end with `.*`.
fn texts(parameters: &[parameter::Parameter]) -> Vec<String> {
    let all = parameter::flat(parameters).into_iter();
    all.filter_map(|one| match one.type_.as_str() {
        "string" => Some(one.path.clone()),
        "map[string]string" => Some(format!("{}.*", one.path)),
        _ => None,
    })
    .collect()
}

fn one_document(file: &str, text: &str) -> Result<Value> {
    let documents = yaml::parse(text).with_context(|| file.to_owned())?;
    let mut documents = documents.into_iter().filter(|document| !document.is_null());
    match (documents.next(), documents.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Ok(json!({})),
        (Some(_), Some(_)) => bail!("{file} holds several documents: one is needed"),
    }
}

/// Sets `a.b[0].c=value`; the value is a text where the parameter is one of `texts`.
fn set(target: &mut Value, assignment: &str, texts: &[String]) -> Result<()> {
    let parts = assignment.split_once('=');
    let Some((path, text)) = parts.filter(|(path, _)| !path.is_empty()) else {
        bail!("--set {assignment}: expected KEY=VALUE, for instance --set image=nginx");
    };
    let value = if is_text(path, texts) {
        Value::from(text)
    } else {
        plain(text)
    };
    let mut here = target;
    for part in path.split('.') {
        let (name, indexes) = part.split_once('[').map_or((part, None), |(name, rest)| {
            (name, Some(rest.trim_end_matches(']')))
        });
        here = field(here, name);
        for index in indexes.into_iter().flat_map(|rest| rest.split("][")) {
            let Ok(index) = index.parse::<usize>() else {
                bail!("--set {assignment}: {index:?} is no index of a list");
            };
            here = match element(here, index) {
                Some(element) => element,
                None => bail!("--set {assignment}: element {index} would leave a gap in the list"),
            };
        }
    }
    *here = value;
    Ok(())
}

/// A value as people mean it: YAML has more words for true than people know.
fn plain(text: &str) -> Value {
    let is_data = text.starts_with(['{', '[', '"', '\'']);
    match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) if is_data => yaml::parse_one(text).unwrap_or_else(|_| Value::from(text)),
        Err(_) => Value::from(text),
    }
}

/// Whether a path such as `ports[0].name` is that of a text, known as `ports[].name`.
fn is_text(path: &str, texts: &[String]) -> bool {
    let general: String = path
        .chars()
        .filter(|letter| !letter.is_ascii_digit())
        .collect();
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    texts
        .iter()
        .any(|text| *text == path || *text == general || text.strip_suffix(".*") == Some(parent))
}

fn field<'a>(value: &'a mut Value, name: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = json!({});
    }
    &mut value[name]
}

fn element(value: &mut Value, index: usize) -> Option<&mut Value> {
    if !value.is_array() {
        *value = json!([]);
    }
    let list = value.as_array_mut()?;
    if index == list.len() {
        list.push(Value::Null);
    }
    list.get_mut(index)
}

/// Errors of a render: those of parameters at their place in the file of the parameters.
pub(crate) fn problems(source: &Source, given: &Given, errors: &[Diagnostic]) -> Problems {
    let problems = errors.iter().map(|error| {
        let Some(path) = error.path.strip_prefix("parameter") else {
            return source.problem(error);
        };
        let path = path.trim_start_matches('.');
        // What nobody gave stands where it is declared.
        if given.file.is_empty() || error.kind == DiagnosticKind::Missing {
            return source.problem(error);
        }
        let problem = Problem::of(error, &given.file);
        let part = match error.kind {
            DiagnosticKind::Unknown | DiagnosticKind::Undeclared => Part::Key,
            _ => Part::Value,
        };
        match locate::place(&given.text, &Site::default(), path, part) {
            Some((line, column)) => problem.at(&given.text, line, column),
            None => problem,
        }
    });
    Problems(problems.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_along_their_path() {
        let mut value = json!({"image": "a"});
        let texts = ["cpu.min", "ports[].name", "tags.*"].map(str::to_owned);
        for assignment in [
            "image=b",
            "ports[0].port=80",
            "ports[0].name=80",
            "cpu.max=0.5",
            "cpu.min=0.5",
            "tags.a=true",
            "word=y",
            "debug=true",
            "empty=",
        ] {
            set(&mut value, assignment, &texts).expect(assignment);
        }
        assert_eq!(
            value,
            json!({"image": "b", "ports": [{"port": 80, "name": "80"}], "cpu": {"max": 0.5, "min": "0.5"},
                "debug": true, "empty": "", "tags": {"a": "true"}, "word": "y"})
        );
        assert!(set(&mut value, "image", &[]).is_err());
        assert!(set(&mut value, "ports[7].port=1", &[]).is_err());
    }
}
