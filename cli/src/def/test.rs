//! `caravel def test`: tests beside definitions.
//!
//! Two forms. A golden folder `tests/<definition>/<case>/` holds what goes in (`parameter.yaml`, and as needed
//! `context.yaml`, `workload.yaml`, `returns.yaml`) and what comes out: `expected.yaml` with the objects, or `error.txt`
//! with a text that the error holds. A file `<definition>_test.cue` holds cases as fields, whose `expect` is a CUE pattern:
//! what it does not name may be anything, what it names must be there.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use caravel_core::appfile::did_you_mean;
use caravel_core::engine::{Diagnostic, DiagnosticKind, Evaluator, ExpressionRequest, Operation};
use caravel_core::yaml;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ask::{Refusal, ask};
use super::field;
use super::impact::unified;
use super::problem::Problem;
use super::source::{Source, read_all};
use super::trial::{Outcome, Trial};
use super::{Machine, render};
use crate::input;

/// Runs the tests beside definitions: golden folders (tests/<definition>/<case>/) and <definition>_test.cue files.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def test definitions/\n  caravel def test definitions/ --update\n\nA golden folder \
                  tests/<definition>/<case>/ holds parameter.yaml (and context.yaml, workload.yaml,\nreturns.yaml as needed) \
                  and expected.yaml or error.txt. A file <definition>_test.cue holds cases:\n\n  \"three pods\": {\n    \
                  parameter: replicas: 3\n    expect: output: spec: replicas: >=3\n  }"
)]
pub(crate) struct Args {
    /// Folders or files with definitions.
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<String>,
    /// Write what comes out into the golden folders.
    #[arg(long)]
    update: bool,
    /// Only cases whose name holds this text.
    #[arg(long = "run", value_name = "TEXT")]
    only: Option<String>,
    /// The results as data.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Machine>,
}

/// What came of a case.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    definition: String,
    case: String,
    file: String,
    ok: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    updated: bool,
    /// Why not: a diff, or a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut verdicts = Vec::new();
    let sources = read_all(&args.paths)?;
    for source in &sources {
        verdicts.extend(of_definition(args, source)?);
    }
    if args.only.is_none() {
        verdicts.extend(strays(args, &sources));
    }
    if verdicts.is_empty() {
        bail!(
            "there are no tests in {}: `caravel def test --help` says how they are written",
            args.paths.join(", ")
        );
    }
    let failed = verdicts.iter().filter(|one| !one.ok).count();
    if let Some(format) = args.output {
        super::print_data(&json!({ "ok": failed == 0, "tests": verdicts }), format)?;
    } else {
        tell(&verdicts, failed)?;
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell(verdicts: &[Verdict], failed: usize) -> Result<()> {
    let mut out = std::io::stdout();
    for one in verdicts {
        let word = match (one.ok, one.updated) {
            (true, true) => crate::paint::wait("written"),
            (true, false) => crate::paint::good("ok  "),
            (false, _) => crate::paint::bad("FAIL"),
        };
        writeln!(out, "{word} {}: {}", one.definition, one.case)?;
        for line in one.reason.lines() {
            writeln!(out, "    {line}")?;
        }
        for problem in &one.problems {
            writeln!(out, "{:?}", problem.report())?;
        }
    }
    let count = verdicts.len();
    let plural = if count == 1 { "" } else { "s" };
    writeln!(out, "{count} test{plural}, {failed} failed")?;
    Ok(())
}

fn of_definition(args: &Args, source: &Source) -> Result<Vec<Verdict>> {
    let wanted = |case: &str| {
        args.only
            .as_ref()
            .is_none_or(|only| case.contains(only.as_str()))
    };
    let mut verdicts = Vec::new();
    for folder in golden_folders(source) {
        if wanted(&name_of(&folder)) {
            let verdict = golden(args, source, &folder);
            verdicts.push(verdict.unwrap_or_else(|error| Verdict {
                reason: format!("{error:#}"),
                ..of_folder(source, &folder)
            }));
        }
    }
    let path = Path::new(&source.file);
    let name = &source.definition.name;
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or(name);
    let mut seen = Vec::new();
    for stem in [stem, name.as_str()] {
        let file = path.with_file_name(format!("{stem}_test.cue"));
        if file.is_file() && !seen.contains(&file) {
            verdicts.extend(of_cue(source, &file, &wanted)?);
            seen.push(file);
        }
    }
    Ok(verdicts)
}

/// Tests of definitions that are not there: they would never run.
fn strays(args: &Args, sources: &[Source]) -> Vec<Verdict> {
    let mut known: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for source in sources
        .iter()
        .filter(|source| !args.paths.contains(&source.file))
    {
        let path = Path::new(&source.file);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let names = known.entry(folder).or_default();
        names.push(source.definition.name.clone());
        names.extend(stem.map(str::to_owned));
    }
    let mut verdicts = Vec::new();
    for (folder, names) in &known {
        let suites = entries(&folder.join("tests")).into_iter();
        let suites = suites.filter(|suite| entries(suite).iter().any(|case| is_case(case)));
        let of_cases = suites.map(|suite| (name_of(&suite), suite));
        let files = entries(folder).into_iter();
        let of_files = files.filter_map(|file| {
            let name = name_of(&file).strip_suffix("_test.cue")?.to_owned();
            Some((name, file))
        });
        let strays = of_cases.chain(of_files);
        verdicts.extend(
            strays
                .filter(|(name, _)| !names.contains(name))
                .map(|(name, path)| Verdict {
                    case: name_of(&path),
                    file: path.display().to_string(),
                    reason: format!("there is no definition {name} beside it"),
                    definition: name,
                    ..Verdict::default()
                }),
        );
    }
    verdicts
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn is_case(folder: &Path) -> bool {
    CASE_FILES.iter().any(|name| folder.join(name).is_file())
}

fn name_of(folder: &Path) -> String {
    folder
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// What a case says of what goes in.
#[derive(Default)]
struct Given {
    parameter: Value,
    context: Map<String, Value>,
    workload: Option<Value>,
    returns: Map<String, Value>,
}

fn outcome(source: &Source, given: Given) -> Result<Outcome, Vec<Diagnostic>> {
    let parameters = match given.parameter {
        Value::Null => json!({}),
        parameters => parameters,
    };
    let mut trial = Trial::new(&source.definition, parameters);
    let text = |key: &str| {
        given
            .context
            .get(key)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    if let Some(name) = text("name") {
        trial.name = name;
    }
    if let Some(namespace) = text("namespace") {
        trial.namespace = namespace;
    }
    trial.context = given.context;
    trial.workload = given.workload;
    trial.returns = given.returns;
    trial.render()
}

/// The cases of a definition: `tests/<definition>/<case>/`.
fn golden_folders(source: &Source) -> Vec<PathBuf> {
    let root = Path::new(&source.file)
        .with_file_name("tests")
        .join(&source.definition.name);
    let folders = entries(&root).into_iter();
    folders.filter(|path| path.is_dir()).collect()
}

/// The files of a golden folder.
const CASE_FILES: [&str; 6] = [
    "parameter.yaml",
    "context.yaml",
    "workload.yaml",
    "returns.yaml",
    "expected.yaml",
    "error.txt",
];

/// A file that would never be read.
fn unread(folder: &Path) -> Option<String> {
    let names = entries(folder).into_iter().map(|path| name_of(&path));
    let looks_meant = |name: &String| {
        [".yaml", ".yml", ".json", ".txt"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let mut names = names.filter(|name| looks_meant(name) && !CASE_FILES.contains(&name.as_str()));
    let name = names.next()?;
    let hint = did_you_mean(&name, CASE_FILES)
        .unwrap_or_else(|| format!("the files of a case are {}", CASE_FILES.join(", ")));
    Some(format!("{name} is not read; {hint}"))
}

fn of_folder(source: &Source, folder: &Path) -> Verdict {
    Verdict {
        definition: source.definition.name.clone(),
        case: name_of(folder),
        file: folder.display().to_string(),
        ..Verdict::default()
    }
}

fn golden(args: &Args, source: &Source, folder: &Path) -> Result<Verdict> {
    let mut verdict = of_folder(source, folder);
    if let Some(reason) = unread(folder) {
        verdict.reason = reason;
        return Ok(verdict);
    }
    let given = Given {
        parameter: value(folder, "parameter.yaml")?.unwrap_or_default(),
        context: fields(value(folder, "context.yaml")?),
        workload: value(folder, "workload.yaml")?,
        returns: fields(value(folder, "returns.yaml")?),
    };
    let wrong = fs::read_to_string(folder.join("error.txt")).ok();
    let outcome = outcome(source, given);
    if let Some(wanted) = wrong {
        judge_error(source, &mut verdict, wanted.trim(), outcome);
        return Ok(verdict);
    }
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(errors) => {
            "it does not render".clone_into(&mut verdict.reason);
            verdict.problems = errors.iter().map(|error| source.problem(error)).collect();
            return Ok(verdict);
        }
    };
    let found = yaml::stream(&documents(&outcome));
    let file = folder.join("expected.yaml");
    if !file.is_file() && !args.update {
        "there is no expected.yaml: --update writes it".clone_into(&mut verdict.reason);
        return Ok(verdict);
    }
    let wanted = fs::read_to_string(&file).unwrap_or_default();
    let wanted = match yaml::parse(&wanted) {
        Ok(documents) => yaml::stream(documents.iter().filter(|one| !one.is_null())),
        Err(error) => {
            verdict.reason = format!("{}: {error}", file.display());
            return Ok(verdict);
        }
    };
    verdict.ok = wanted == found;
    if !verdict.ok && args.update {
        fs::write(&file, &found).with_context(|| file.display().to_string())?;
        verdict.ok = true;
        verdict.updated = true;
    }
    if !verdict.ok {
        verdict.reason = unified(&wanted, &found, "expected.yaml", "rendered");
    }
    Ok(verdict)
}

/// A case that must fail.
fn judge_error(
    source: &Source,
    verdict: &mut Verdict,
    wanted: &str,
    outcome: Result<Outcome, Vec<Diagnostic>>,
) {
    match outcome {
        Ok(_) => verdict.reason = format!("it renders, and {wanted:?} was expected"),
        Err(errors) => {
            let problems: Vec<Problem> = errors.iter().map(|error| source.problem(error)).collect();
            let texts: Vec<String> = problems
                .iter()
                .map(|one| format!("{}: {one}", one.path))
                .collect();
            verdict.ok = texts.iter().any(|text| text.contains(wanted));
            if !verdict.ok {
                verdict.reason = format!("the error does not hold {wanted:?}");
                verdict.problems = problems;
            }
        }
    }
}

/// What came out as documents, for files.
fn documents(outcome: &Outcome) -> Vec<Value> {
    match outcome {
        Outcome::Objects(objects) => objects.iter().map(|one| one.object.clone()).collect(),
        Outcome::Step { calls, value } if calls.is_empty() => vec![value.clone()],
        Outcome::Step { calls, .. } | Outcome::Calls(calls) => {
            calls.iter().map(render::call).collect()
        }
        Outcome::Application(value) => vec![value.clone()],
    }
}

/// What came out by name, for patterns.
fn named(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Objects(objects) => {
            let mut whole = json!({});
            for one in objects {
                if one.name == "output" {
                    whole["output"] = one.object.clone();
                } else {
                    whole["outputs"][&one.name] = one.object.clone();
                }
            }
            whole
        }
        Outcome::Step { calls, value } => {
            let calls: Vec<Value> = calls.iter().map(render::call).collect();
            json!({ "calls": calls, "value": value })
        }
        Outcome::Calls(calls) => {
            let calls: Vec<Value> = calls.iter().map(render::call).collect();
            json!({ "calls": calls })
        }
        Outcome::Application(value) => json!({ "output": value }),
    }
}

fn value(folder: &Path, name: &str) -> Result<Option<Value>> {
    let file = folder.join(name);
    if !file.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let documents = yaml::parse(&text).with_context(|| file.display().to_string())?;
    Ok(documents.into_iter().find(|one| !one.is_null()))
}

fn fields(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// Under which name expressions know the text of a file of cases, and positions too.
const CASES: &str = "cases";

/// What is rendered, for patterns. It is a definition, and so nothing can be added to it: what a pattern names must be there.
const RENDERED: &str = "#rendered";

/// A file of cases in CUE.
struct Cases {
    file: String,
    text: Arc<str>,
}

impl Cases {
    fn read(file: &Path) -> Result<Self> {
        let name = file.display().to_string();
        let text = input::read(&name)?.into();
        Ok(Self { file: name, text })
    }

    /// Evaluates something about the cases.
    fn ask(&self, expression: &str, scope: Map<String, Value>) -> Result<Value, Vec<Diagnostic>> {
        let request = ExpressionRequest {
            expression: expression.to_owned(),
            scope,
            texts: BTreeMap::from([(CASES.to_owned(), self.text.to_string())]),
        };
        let told = |message: &str| {
            vec![Diagnostic {
                message: message.to_owned(),
                ..Diagnostic::default()
            }]
        };
        ask(Operation::Expression(request), Evaluator::default()).map_err(|refusal| match refusal {
            Refusal::Wrong(errors) => errors,
            Refusal::Calls(_) => told("tests cannot call"),
            Refusal::Fault(message) => told(&message),
        })
    }

    fn problem(&self, diagnostic: &Diagnostic) -> Problem {
        let mut problem = Problem::of(diagnostic, &self.file);
        problem.path = diagnostic
            .path
            .split_once('.')
            .filter(|(first, _)| first.starts_with("zz_"))
            .map_or_else(|| diagnostic.path.clone(), |(_, rest)| rest.to_owned());
        let of_text = diagnostic
            .positions
            .iter()
            .filter(|place| place.file == CASES);
        match of_text.max_by_key(|place| (place.line, place.column)) {
            Some(place) => problem.at(&self.text, place.line, place.column),
            None => problem,
        }
    }

    /// Why what is rendered does not fit a pattern.
    fn misfit(&self, diagnostic: &Diagnostic, rendered: &Value) -> Problem {
        let mut problem = self.problem(diagnostic);
        let path = field::parts(&problem.path);
        let is_rendered = path.is_ok_and(|path| field::get(rendered, &path).is_some());
        if diagnostic.kind == DiagnosticKind::Unknown && !is_rendered {
            "this is expected, and not rendered".clone_into(&mut problem.message);
            let field = problem.path.rsplit('.').next().unwrap_or_default();
            problem.hint = format!("to expect that it is not there, write `{field}?: _|_`");
        }
        problem
    }
}

/// Everything of a case but the pattern, which need not be concrete.
const INPUTS: &str = "{for name, case in cases {\"\\(name)\": {\n\
    for key in [\"parameter\", \"context\", \"workload\", \"returns\", \"error\"] if case[key] != _|_ {\"\\(key)\": case[key]}\n\
    hasExpect: case.expect != _|_\n\
    if (case & {...}) != _|_ {fields: [for key, _ in case {key}]}\n}}}";

/// What a case may have.
const CASE_FIELDS: [&str; 6] = [
    "parameter",
    "context",
    "workload",
    "returns",
    "error",
    "expect",
];

fn of_cue(source: &Source, file: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Verdict>> {
    let cases = Cases::read(file)?;
    let verdict = |case: &str| Verdict {
        definition: source.definition.name.clone(),
        case: case.to_owned(),
        file: cases.file.clone(),
        ..Verdict::default()
    };
    let inputs = match cases.ask(INPUTS, Map::new()) {
        Ok(inputs) => inputs,
        Err(errors) => {
            return Ok(vec![Verdict {
                reason: "the file cannot be read".to_owned(),
                problems: errors.iter().map(|error| cases.problem(error)).collect(),
                ..verdict(&name_of(file))
            }]);
        }
    };
    let inputs: BTreeMap<String, Value> = serde_json::from_value(inputs).unwrap_or_default();
    let mut verdicts = Vec::new();
    for (case, input) in inputs.iter().filter(|(case, _)| wanted(case)) {
        let mut verdict = verdict(case);
        judge(source, &cases, case, input, &mut verdict);
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

fn judge(source: &Source, cases: &Cases, case: &str, input: &Value, verdict: &mut Verdict) {
    let fields_of_case = input["fields"].as_array().into_iter().flatten();
    let mut names = fields_of_case.filter_map(Value::as_str);
    if let Some(name) = names.find(|name| !CASE_FIELDS.contains(name)) {
        let hint = did_you_mean(name, CASE_FIELDS)
            .unwrap_or_else(|| format!("its fields are {}", CASE_FIELDS.join(", ")));
        verdict.reason = format!("a case has no field `{name}`; {hint}");
        return;
    }
    let given = Given {
        parameter: input["parameter"].clone(),
        context: fields(input.get("context").cloned()),
        workload: input.get("workload").cloned(),
        returns: fields(input.get("returns").cloned()),
    };
    let outcome = outcome(source, given);
    if let Some(wanted) = input["error"].as_str() {
        judge_error(source, verdict, wanted, outcome);
        return;
    }
    if input["hasExpect"] != true {
        "the case has neither `expect` nor `error`".clone_into(&mut verdict.reason);
        return;
    }
    match outcome {
        Ok(outcome) => {
            let rendered = named(&outcome);
            let scope = Map::from_iter([(RENDERED.to_owned(), rendered.clone())]);
            let pattern = format!("{CASES}[{}].expect & {RENDERED}", Value::from(case));
            match cases.ask(&pattern, scope) {
                Ok(_) => verdict.ok = true,
                Err(errors) => {
                    "what is rendered does not fit `expect`".clone_into(&mut verdict.reason);
                    verdict.problems = errors
                        .iter()
                        .map(|error| cases.misfit(error, &rendered))
                        .collect();
                }
            }
        }
        Err(errors) => {
            "it does not render".clone_into(&mut verdict.reason);
            verdict.problems = errors.iter().map(|error| source.problem(error)).collect();
        }
    }
}
