//! `caravel dry-run`: the objects that an Application would be delivered as, offline.

mod charts;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use caravel_core::api::Application;
use caravel_core::appfile::{DefinitionSet, Finding, FindingKind, Layered, read_application};
use caravel_core::check::{Check, misshapen, of_render};
use caravel_core::engine::{Call, Evaluator, Reply, Request};
use caravel_core::plan::{
    DryRunError, DryRunGroup, OpenCalls, dry_run_of, render_group, scoped, show_group,
};
use caravel_core::render::{
    Answers, ClusterVersion, Offline, RenderError, Scoped, ScopedRender, Target, offline,
};
use caravel_core::yaml;
use miette::{MietteDiagnostic, Report, Severity};
use serde_json::{Map, Value, json};

use crate::def::Source;
use crate::engine;
use crate::hub::HubArgs;
use crate::locate::Site;
use crate::manifest::{self, Manifest, Near, STANDARD_INPUT, files_of, is_cue, plain, read_text};
use crate::serve::ChartArgs;
use charts::{Hooks, OfApplication, World};

/// Arguments of `caravel dry-run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Manifests with Applications; what they refer to may stand in them too, and what their charts read. A folder stands
    /// for all in it, and `-` for standard input.
    #[arg(
        short = 'f',
        long = "file",
        required = true,
        value_name = "FILE|DIR|URL"
    )]
    files: Vec<PathBuf>,
    /// Definitions, policies, workflows: YAML or JSON manifests, or definitions in CUE; a folder stands
    /// for all such files in it.
    #[arg(short = 'd', long = "definition", value_name = "FILE|DIR|URL")]
    definitions: Vec<PathBuf>,
    /// Version of the cluster that templates see.
    #[arg(long, value_name = "VERSION", value_parser = ClusterVersion::parse)]
    cluster_version: Option<ClusterVersion>,
    /// Which of CUE's evaluators reads the templates.
    #[arg(long, value_enum, default_value = "v2")]
    cue_evaluator: CueEvaluator,
    #[command(flatten)]
    charts: ChartArgs,
    /// Results of the calls that templates make (`path: result`, YAML or JSON): a dry run does not carry them out.
    #[arg(long, value_name = "FILE")]
    returns: Option<PathBuf>,
    /// The definitions and their revisions, policies and workflows of the hub are known too; what is given goes before. Charts
    /// read what they need from it, as its user: what their templates look up, `valuesFrom`, logins. They are rendered for
    /// its version, unless --cluster-version is given.
    #[arg(long = "hub")]
    with_hub: bool,
    #[command(flatten)]
    hub: HubArgs,
    /// How the objects are written: a stream of documents, or one array.
    #[arg(short = 'o', long, value_enum, default_value = "yaml")]
    output: Format,
    /// Show all that the evaluator says of an error, not only what can be acted on.
    #[arg(short, long)]
    verbose: bool,
}

impl Args {
    fn evaluator(&self) -> Evaluator {
        match self.cue_evaluator {
            CueEvaluator::V2 => Evaluator::V2,
            CueEvaluator::V3 => Evaluator::V3,
        }
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum CueEvaluator {
    V2,
    V3,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Yaml,
    Json,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let (objects, is_whole) = match objects(args) {
        Ok(found) => found,
        Err(failure) => {
            failure.tell(args);
            return ExitCode::FAILURE;
        }
    };
    let text = match args.output {
        Format::Yaml => yaml::stream(&objects),
        Format::Json => format!("{:#}\n", Value::Array(objects)),
    };
    let written = crate::written(std::io::stdout().write_all(text.as_bytes()));
    if is_whole { written } else { ExitCode::FAILURE }
}

/// The objects, and whether these are all.
fn objects(args: &Args) -> Result<(Vec<Value>, bool), Failure> {
    let one = |report: Report| Failure::from(vec![report]);
    let mut world = World::of(args).map_err(|error| one(plain(&format!("{error:#}"), "")))?;
    let mut given = Given {
        set: std::mem::take(&mut world.definitions),
        ..Given::default()
    };
    for path in &args.definitions {
        for file in files_of(path).map_err(one)? {
            read_definitions(&file, &mut given).map_err(one)?;
        }
    }
    let mut manifests = Vec::new();
    for path in &args.files {
        for file in files_of(path).map_err(one)? {
            manifests.extend(read_manifests(&file, &mut given, &mut world).map_err(one)?);
        }
    }
    if manifests.is_empty() {
        let names: Vec<_> = args
            .files
            .iter()
            .map(|file| match file.to_str() {
                Some("-") => STANDARD_INPUT.to_owned(),
                _ => file.display().to_string(),
            })
            .collect();
        return Err(one(plain(
            &format!("there is no Application in {}", names.join(", ")),
            "a manifest with `kind: Application` is needed",
        )));
    }
    let near = Arc::new(given.near);
    for manifest in &mut manifests {
        manifest.near = Arc::clone(&near);
    }
    let source = Layered::new(given.set, engine::builtin).listing(engine::builtin_names);
    let returns = read_returns(args).map_err(one)?;
    let (mut objects, mut is_whole) = (Vec::new(), true);
    let mut failed: Option<Failure> = None;
    for manifest in &manifests {
        let rendered = render(args, manifest, &source, &returns, &world);
        if let Some(problem) = source.problems().first() {
            return Err(one(plain(problem, "this is a fault of Caravel itself")));
        }
        let Shown {
            objects: shown,
            open,
            hooks,
            is_refused,
        } = match rendered {
            Ok(shown) => shown,
            // What is wrong with the others is told too.
            Err(failure) => {
                failed = Some(match failed {
                    Some(before) => before.and(failure),
                    None => failure,
                });
                continue;
            }
        };
        objects.extend(shown);
        is_whole &= !is_refused;
        manifest.tell_hooks(args.output, &hooks);
        if !open.is_empty() {
            is_whole = false;
            manifest.tell_open(args.output, &open);
        }
    }
    match failed {
        Some(failure) => Err(failure),
        None => Ok((objects, is_whole)),
    }
}

fn render(
    args: &Args,
    manifest: &Manifest,
    source: &Layered<'_>,
    returns: &Map<String, Value>,
    world: &World,
) -> Result<Shown, Failure> {
    let version = args.cluster_version.clone().unwrap_or_default();
    let evaluator = args.evaluator();
    if let Some(finding) = of_another_version(&manifest.object) {
        return Err(manifest.failure(vec![finding]));
    }
    let misshapen = misshapen(&manifest.object);
    let written = read_application(&manifest.object)
        .map_err(|rejection| manifest.failure(merged(misshapen.clone(), rejection.findings)))?;
    let mut local = Local {
        charts: OfApplication::new(world, &written),
        returns,
    };
    let mut check = checked(&written, source, evaluator);
    try_all(&mut check, &version, evaluator);
    let mut findings = merged(misshapen, check.findings());
    let made = changed_by_policies(manifest, &written, source, evaluator, &mut local)?;
    let groups = match dry_run_of(&made, source) {
        // What admission lets pass because it may mend itself cannot be shown either.
        Err(rejection) => {
            let is_new = |found: &Finding| !findings.iter().any(|known| known.path == found.path);
            let rest: Vec<Finding> = rejection.findings.into_iter().filter(is_new).collect();
            findings.extend(rest);
            return Err(manifest.failure(findings));
        }
        // What is wrong with steps keeps nobody from seeing the objects.
        Ok(groups) if findings.iter().any(is_of_objects) => {
            let mut failure = manifest.failure(findings);
            if args.verbose {
                failure.all = all_that_is_said(&groups, &version, evaluator);
            }
            return Err(failure);
        }
        Ok(groups) => groups,
    };
    let mut shown = Shown::default();
    for group in groups {
        match show_group(&group, &version, evaluator, &mut local) {
            Ok(rendered) => {
                let objects = rendered.objects().map(|object| object.object.clone());
                shown.objects.extend(objects);
                findings.extend(rendered.late.iter().flat_map(|error| late(error)));
                findings.extend(rendered.fed.iter().map(|error| fed(error)));
                shown.open.extend(rendered.open);
            }
            Err(error) => {
                if findings.iter().all(|finding| finding.kind.is_warning()) {
                    findings.retain(|finding| finding.kind != FindingKind::Unchecked);
                    findings.extend(of_render(&error).into_iter().map(without_objects));
                }
                findings.extend(local.charts.findings);
                let mut failure = manifest.failure(findings);
                failure.all = error.kubevela_text;
                return Err(failure);
            }
        }
    }
    findings.extend(local.charts.findings);
    shown.hooks = local.charts.hooks;
    shown.is_refused = findings
        .iter()
        .any(|finding| !manifest::is_warning(finding));
    manifest.warn(args.output, &manifest.in_order(findings));
    Ok(shown)
}

/// A delivery tries again what was not evaluated to its end; here it is why there are no objects.
fn without_objects(finding: Finding) -> Finding {
    match finding.kind {
        FindingKind::Unchecked => Finding {
            kind: FindingKind::Template,
            ..finding
        },
        _ => finding,
    }
}

/// What is wrong with the shape, and what else is; a value that has the wrong shape, or is missing, is told of once.
fn merged(mut misshapen: Vec<Finding>, others: Vec<Finding>) -> Vec<Finding> {
    misshapen.retain(|found| others.iter().all(|other| other.path != found.path));
    misshapen.extend(others);
    misshapen
}

/// An Application of a version that nobody serves.
fn of_another_version(object: &Value) -> Option<Finding> {
    const SERVED: &str = "core.oam.dev/v1beta1";
    let found = object["apiVersion"].as_str().unwrap_or_default();
    (found != SERVED).then(|| {
        let message = "this is no version of Applications that is served";
        Finding::new(FindingKind::Invalid, "apiVersion", message)
            .expected(SERVED, found)
            .hint(format!("write apiVersion: {SERVED}"))
    })
}

/// What can be shown of an Application.
#[derive(Default)]
struct Shown {
    objects: Vec<Value>,
    /// What depends on calls, which nobody carried out.
    open: Vec<OpenCalls>,
    /// Of its charts.
    hooks: Vec<Hooks>,
    /// Admission would refuse it.
    is_refused: bool,
}

/// The Application as policies of scope `Application` make it: those that it names, and global ones among the definitions
/// that are given.
fn changed_by_policies(
    manifest: &Manifest,
    app: &Application,
    source: &Layered<'_>,
    evaluator: Evaluator,
    local: &mut Local<'_>,
) -> Result<Scoped, Failure> {
    let policies = scoped::of_set(app, source.set(), source)
        .map_err(|finding| manifest.failure(vec![*finding]))?;
    let mut render = ScopedRender::new(app, &policies, &[], evaluator);
    match offline(&mut render, local) {
        Ok(Offline::Done(made)) => Ok(made),
        Ok(Offline::Calls(calls)) => {
            let open = OpenCalls {
                subject: "its policies".to_owned(),
                calls,
            };
            Err(vec![manifest.calls(&open)].into())
        }
        Err(error) => Err(manifest.failure(of_render(&error))),
    }
}

/// What is said of a trait that waits for the live workload.
fn late(error: &RenderError) -> Vec<Finding> {
    let why = |message: &str| match message.split_once("parameters: ") {
        Some((_, why)) => why.to_owned(),
        None => message.to_owned(),
    };
    let of = |finding: Finding| Finding {
        kind: FindingKind::Unchecked,
        message: format!(
            "the trait is rendered when the workload is healthy, and cannot be shown: {}",
            why(&finding.message)
        ),
        hint: "deliver the Application to see its objects".to_owned(),
        ..finding
    };
    of_render(error).into_iter().map(of).collect()
}

/// What is said of a component that lacks what others give it.
fn fed(error: &RenderError) -> Finding {
    let message = format!(
        "the component `{}` takes values from others, without which it cannot be shown",
        error.component
    );
    Finding::new(FindingKind::Unchecked, &error.path, message)
        .hint("deliver the Application to see its objects")
}

/// What answers a dry run: the engine in this process, and Helm charts.
struct Local<'a> {
    charts: OfApplication<'a>,
    /// Results of calls by their paths.
    returns: &'a Map<String, Value>,
}

impl Answers for Local<'_> {
    fn eval(&mut self, request: &Request) -> Reply {
        engine::eval(request)
    }

    fn call(&mut self, call: &Call) -> Option<Result<Value, String>> {
        if let Some(known) = self.returns.get(&call.path) {
            return Some(Ok(known.clone()));
        }
        let is_chart = (call.provider.as_str(), call.action.as_str()) == ("helm", "render");
        is_chart.then(|| self.charts.render(&call.params))
    }
}

/// The evaluator's own words about the first component that does not render.
fn all_that_is_said(
    groups: &[DryRunGroup],
    version: &ClusterVersion,
    evaluator: Evaluator,
) -> String {
    let mut rendered = groups
        .iter()
        .map(|group| render_group(group, version, evaluator, &mut engine::eval));
    rendered
        .find_map(|outcome| match outcome {
            Err(DryRunError::Render(error)) => Some(error.kubevela_text),
            _ => None,
        })
        .unwrap_or_default()
}

/// Whether a finding is an error that concerns what is rendered. What an unknown field was meant to do nobody knows.
fn is_of_objects(finding: &Finding) -> bool {
    let sections = ["spec.components", "spec.policies"];
    let mut sections = sections.iter();
    finding.kind == FindingKind::UnknownField
        || !finding.kind.is_warning() && sections.any(|section| finding.path.starts_with(section))
}

/// What admission would say.
pub(crate) fn admission(
    app: &Application,
    source: &Layered<'_>,
    evaluator: Evaluator,
) -> Vec<Finding> {
    let mut check = checked(app, source, evaluator);
    try_all(&mut check, &ClusterVersion::default(), evaluator);
    check.findings()
}

/// What admission would say before it renders anything.
fn checked(app: &Application, source: &Layered<'_>, evaluator: Evaluator) -> Check {
    let mut check = Check::new(app, source);
    for question in check.questions() {
        let reply = engine::eval(&Request {
            id: 0,
            evaluator: question.evaluator.unwrap_or(evaluator),
            operation: question.operation.clone(),
        });
        check.answer(&question, reply.outcome);
    }
    check
}

/// Renders for a trial, as admission does.
fn try_all(check: &mut Check, version: &ClusterVersion, evaluator: Evaluator) {
    for trial in check.trials() {
        let mut render = trial.render(Target::dry_run(version.clone()), evaluator);
        match offline(&mut render, &mut engine::eval) {
            Ok(Offline::Done(rendered)) => check.tried(&trial, Ok(&rendered)),
            Ok(Offline::Calls(_)) => {}
            Err(error) => check.tried(&trial, Err(&error)),
        }
    }
}

/// Why there is nothing to show.
struct Failure {
    reports: Vec<Report>,
    /// The same for programs.
    json: Value,
    /// All that the evaluator says, where the reports are a part of it.
    all: String,
}

impl From<Vec<Report>> for Failure {
    fn from(reports: Vec<Report>) -> Self {
        let errors: Vec<_> = reports.iter().map(manifest::failure_to_json).collect();
        Self {
            reports,
            json: json!({"errors": errors, "warnings": []}),
            all: String::new(),
        }
    }
}

impl Failure {
    /// Both.
    fn and(mut self, other: Self) -> Self {
        self.reports.extend(other.reports);
        for kind in ["errors", "warnings"] {
            let more = other.json[kind].as_array().cloned().unwrap_or_default();
            match self.json[kind].as_array_mut() {
                Some(known) => known.extend(more),
                None => self.json[kind] = more.into(),
            }
        }
        let both = [self.all, other.all];
        self.all = both
            .into_iter()
            .filter(|all| !all.is_empty())
            .collect::<Vec<_>>()
            .join("\n");
        self
    }

    fn tell(&self, args: &Args) {
        let mut out = std::io::stderr();
        if matches!(args.output, Format::Json) {
            let _ = writeln!(out, "{:#}", self.json);
            return;
        }
        for report in &self.reports {
            let _ = writeln!(out, "{report:?}");
        }
        if args.verbose && !self.all.is_empty() {
            let _ = writeln!(out, "All that the evaluator says:\n{}", self.all);
        }
    }
}

impl Manifest {
    /// What is wrong, each finding at its place.
    fn failure(&self, findings: Vec<Finding>) -> Failure {
        let findings = self.in_order(findings);
        Failure {
            reports: findings.iter().map(|one| self.report(one)).collect(),
            json: self.to_json(&findings),
            all: String::new(),
        }
    }

    /// What works, but is probably not meant: beside the objects, on standard error.
    fn warn(&self, format: Format, findings: &[Finding]) {
        let mut out = std::io::stderr();
        if matches!(format, Format::Json) && !findings.is_empty() {
            let _ = writeln!(out, "{:#}", self.to_json(findings));
            return;
        }
        for finding in findings {
            let _ = writeln!(out, "{:?}", self.report(finding));
        }
    }

    fn calls(&self, open: &OpenCalls) -> Report {
        let wanted: Vec<String> = open
            .calls
            .iter()
            .map(|call| {
                format!(
                    "{}.{} with {} (at {})",
                    call.provider, call.action, call.params, call.path
                )
            })
            .collect();
        plain(
            &format!(
                "{}: the objects of `{}` depend on calls, which a dry run does not carry out:\n  {}",
                self.file,
                open.subject,
                wanted.join("\n  ")
            ),
            "give the results with --returns FILE (`path: result`), or deliver the Application to see what they give",
        )
    }

    /// Lists the hooks of charts, whether they are among the objects or not.
    fn tell_hooks(&self, format: Format, all: &[Hooks]) {
        let mut out = std::io::stderr();
        if matches!(format, Format::Json) {
            if !all.is_empty() {
                let charts: Vec<Value> = all.iter().map(Hooks::to_json).collect();
                let _ = writeln!(out, "{:#}", json!({"file": self.file, "charts": charts}));
            }
            return;
        }
        for hooks in all {
            let note = MietteDiagnostic::new(hooks.told()).with_severity(Severity::Advice);
            let _ = writeln!(out, "{:?}", Report::new(note));
        }
    }

    /// Says what is not among the objects.
    fn tell_open(&self, format: Format, open: &[OpenCalls]) {
        let mut out = std::io::stderr();
        if matches!(format, Format::Json) {
            let calls: Vec<Value> = open
                .iter()
                .map(|open| json!({"subject": open.subject, "calls": open.calls}))
                .collect();
            let _ = writeln!(out, "{:#}", json!({"file": self.file, "open": calls}));
            return;
        }
        for one in open {
            let _ = writeln!(out, "{:?}", self.calls(one));
        }
    }
}

/// Results of calls, by the paths of the calls.
fn read_returns(args: &Args) -> Result<Map<String, Value>, Report> {
    let Some(file) = &args.returns else {
        return Ok(Map::new());
    };
    let (name, text) = read_text(file)?;
    match manifest::parse(&name, &text)?.into_iter().next() {
        Some(Manifest {
            object: Value::Object(returns),
            ..
        }) => Ok(returns),
        _ => Err(plain(
            &format!("{name}: no results of calls"),
            "write each under the path of its call: `path: result`",
        )),
    }
}

/// The definitions and what else Applications refer to, as far as files give them.
#[derive(Default)]
struct Given {
    set: DefinitionSet,
    /// The same with the texts that they stand in.
    near: Near,
}

fn read_definitions(file: &Path, given: &mut Given) -> Result<(), Report> {
    let (name, text) = read_text(file)?;
    if is_cue(file) {
        let parsed =
            engine::parse_definition(&name, text.clone()).map_err(|problem| plain(&problem, ""))?;
        for unknown in parsed.unknown.iter().map(engine::describe) {
            let warning = MietteDiagnostic::new(unknown).with_severity(Severity::Warning);
            let _ = writeln!(std::io::stderr(), "{:?}", Report::new(warning));
        }
        given.take(Manifest {
            object: parsed.object,
            file: name,
            text: text.into(),
            site: Site::default(),
            near: Arc::default(),
        })?;
        return Ok(());
    }
    for manifest in manifest::parse(&name, &text)? {
        given.take(manifest)?;
    }
    Ok(())
}

impl Given {
    /// Takes what Applications refer to; what is of another kind is given back.
    fn take(&mut self, manifest: Manifest) -> Result<Option<Value>, Report> {
        let object = manifest.object.clone();
        let wrong = |problem| plain(&format!("{}: {problem}", manifest.file), "");
        let is_taken = engine::take_package(&object).map_err(wrong)?
            || self.set.register(&object, "default").map_err(wrong)?;
        if !is_taken {
            return Ok(Some(object));
        }
        let site = manifest.site.clone();
        match Source::new(&manifest.file, &manifest.text, object) {
            Ok(source) => self.near.definitions.push(Source { site, ..source }),
            Err(_) => self.near.objects.push(manifest),
        }
        Ok(None)
    }
}

/// The Applications of a file; what else is in it goes to the set, or is what charts may read.
fn read_manifests(
    file: &Path,
    given: &mut Given,
    world: &mut World,
) -> Result<Vec<Manifest>, Report> {
    if is_cue(file) {
        read_definitions(file, given)?;
        return Ok(Vec::new());
    }
    let (name, text) = read_text(file)?;
    let (mut applications, others): (Vec<_>, Vec<_>) = manifest::parse(&name, &text)?
        .into_iter()
        .partition(|manifest| manifest.object["kind"] == "Application");
    for other in others {
        if let Some(object) = given.take(other)? {
            world.give(object);
        }
    }
    if let Some(namespace) = &world.namespace {
        for application in &mut applications {
            let metadata = &mut application.object["metadata"];
            if metadata.is_object() && metadata["namespace"].is_null() {
                metadata["namespace"] = namespace.as_str().into();
            }
        }
    }
    Ok(applications)
}
