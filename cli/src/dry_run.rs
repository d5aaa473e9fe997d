//! `caravel dry-run`: the objects that an Application would be delivered as, offline.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use caravel_core::appfile::{DefinitionSet, Finding, Layered, Rejection, read_application};
use caravel_core::engine::Evaluator;
use caravel_core::plan::{DryRunError, dry_run, render_group};
use caravel_core::render::{ClusterVersion, RenderError};
use caravel_core::yaml;
use miette::{LabeledSpan, MietteDiagnostic, NamedSource, Report};
use serde_json::Value;

use crate::engine;
use crate::locate::locate;

/// Arguments of `caravel dry-run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Manifests with Applications; what they refer to may stand in them too.
    #[arg(short = 'f', long = "file", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Definitions, policies, workflows: YAML or JSON manifests, or definitions in CUE; a folder stands
    /// for all such files in it.
    #[arg(short = 'd', long = "definition", value_name = "FILE|DIR")]
    definitions: Vec<PathBuf>,
    /// Version of the cluster that templates see.
    #[arg(long, value_name = "VERSION", value_parser = ClusterVersion::parse)]
    cluster_version: Option<ClusterVersion>,
    /// Which of CUE's evaluators reads the templates.
    #[arg(long, value_enum, default_value = "v2")]
    cue_evaluator: CueEvaluator,
    /// How the objects are written: a stream of documents, or one array.
    #[arg(short = 'o', long, value_enum, default_value = "yaml")]
    output: Format,
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
    let objects = match objects(args) {
        Ok(objects) => objects,
        Err(reports) => {
            for report in reports {
                let _ = writeln!(std::io::stderr(), "{report:?}");
            }
            return ExitCode::FAILURE;
        }
    };
    let text = match args.output {
        Format::Yaml => yaml::stream(&objects),
        Format::Json => format!("{:#}\n", Value::Array(objects)),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// An Application and where it comes from.
struct Manifest {
    object: Value,
    file: String,
    text: String,
    /// Which document of the file it is.
    document: usize,
}

fn objects(args: &Args) -> Result<Vec<Value>, Vec<Report>> {
    let one = |report: Report| vec![report];
    let mut set = DefinitionSet::default();
    for path in &args.definitions {
        for file in files_of(path).map_err(one)? {
            read_definitions(&file, &mut set).map_err(one)?;
        }
    }
    let mut manifests = Vec::new();
    for file in &args.files {
        manifests.extend(read_manifests(file, &mut set).map_err(one)?);
    }
    if manifests.is_empty() {
        let names: Vec<_> = args
            .files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        return Err(one(plain(
            &format!("there is no Application in {}", names.join(", ")),
            "a manifest with `kind: Application` is needed",
        )));
    }
    let source = Layered::new(set, engine::builtin).listing(engine::builtin_names);
    let mut objects = Vec::new();
    for manifest in &manifests {
        let rendered = render(args, manifest, &source);
        if let Some(problem) = source.problems().first() {
            return Err(one(plain(problem, "this is a fault of Caravel itself")));
        }
        objects.extend(rendered?);
    }
    Ok(objects)
}

fn render(
    args: &Args,
    manifest: &Manifest,
    source: &Layered<'_>,
) -> Result<Vec<Value>, Vec<Report>> {
    let rejected = |rejection: Rejection| -> Vec<Report> {
        rejection
            .findings
            .iter()
            .map(|finding| manifest.finding(finding))
            .collect()
    };
    let app = read_application(&manifest.object).map_err(rejected)?;
    let groups = dry_run(&app, source).map_err(rejected)?;
    let version = args.cluster_version.clone().unwrap_or_default();
    let evaluator = match args.cue_evaluator {
        CueEvaluator::V2 => Evaluator::V2,
        CueEvaluator::V3 => Evaluator::V3,
    };
    let mut objects = Vec::new();
    for group in &groups {
        let rendered = render_group(group, &version, evaluator, &mut engine::eval);
        match rendered {
            Ok(rendered) => {
                objects.extend(rendered.objects().map(|object| object.object.clone()));
            }
            Err(DryRunError::Render(error)) => return Err(manifest.render_error(&error)),
            Err(DryRunError::Calls { component, calls }) => {
                return Err(vec![manifest.calls(&component, &calls)]);
            }
        }
    }
    Ok(objects)
}

impl Manifest {
    fn report(&self, message: String, path: &str, label: String, help: &str) -> Report {
        let mut diagnostic = MietteDiagnostic::new(message);
        if !help.is_empty() {
            diagnostic = diagnostic.with_help(help);
        }
        let Some(range) = locate(&self.text, self.document, path) else {
            let message = format!("{}: {}", self.file, diagnostic.message);
            diagnostic.message = message;
            return Report::new(diagnostic);
        };
        let span = LabeledSpan::new_with_span(Some(label), range);
        Report::new(diagnostic.with_label(span))
            .with_source_code(NamedSource::new(&self.file, self.text.clone()))
    }

    fn finding(&self, finding: &Finding) -> Report {
        let label = match (finding.expected.is_empty(), finding.found.is_empty()) {
            (false, false) => format!("expected {}, found {}", finding.expected, finding.found),
            (false, true) => format!("expected {}", finding.expected),
            _ => "here".to_owned(),
        };
        let message = format!("{}: {}", finding.path, finding.message);
        self.report(message, &finding.path, label, &finding.hint)
    }

    fn render_error(&self, error: &RenderError) -> Vec<Report> {
        if error.problems.is_empty() {
            let message = format!("component `{}`: {}", error.component, error.message);
            return vec![self.report(message, &error.path, "here".to_owned(), "")];
        }
        let what = error.trait_type.as_ref().map_or_else(
            || format!("component `{}`", error.component),
            |type_| format!("trait `{type_}` of component `{}`", error.component),
        );
        error
            .problems
            .iter()
            .map(|problem| {
                let diagnostic = &problem.diagnostic;
                let label = match (diagnostic.expected.is_empty(), diagnostic.found.is_empty()) {
                    (false, false) => {
                        format!(
                            "expected {}, found {}",
                            diagnostic.expected, diagnostic.found
                        )
                    }
                    (false, true) => format!("expected {}", diagnostic.expected),
                    _ => "here".to_owned(),
                };
                let mut help = diagnostic.hint.clone();
                if let Some(at) = diagnostic.positions.first() {
                    let place = format!("the template: {}:{}:{}", at.file, at.line, at.column);
                    help = if help.is_empty() {
                        place
                    } else {
                        format!("{help}\n{place}")
                    };
                }
                let message = format!("{}: {what}: {}", problem.path, diagnostic.message);
                self.report(message, &problem.path, label, &help)
            })
            .collect()
    }

    fn calls(&self, component: &str, calls: &[caravel_core::engine::Call]) -> Report {
        let wanted: Vec<String> = calls
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
                "{}: the objects of `{component}` depend on calls, which a dry run does not carry \
                 out:\n  {}",
                self.file,
                wanted.join("\n  ")
            ),
            "deliver the Application to see what they give",
        )
    }
}

fn plain(message: &str, help: &str) -> Report {
    let diagnostic = MietteDiagnostic::new(message);
    Report::new(if help.is_empty() {
        diagnostic
    } else {
        diagnostic.with_help(help)
    })
}

/// The file itself, or the manifests and definitions in a folder, by name.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, Report> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |error| plain(&format!("{}: {error}", path.display()), "");
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let known = file.extension().and_then(|extension| extension.to_str());
        if matches!(known, Some("yaml" | "yml" | "json" | "cue")) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read_text(file: &Path) -> Result<String, Report> {
    fs::read_to_string(file).map_err(|error| {
        plain(
            &format!("{}: {error}", file.display()),
            "check the name and your permissions",
        )
    })
}

fn read_documents(file: &Path, text: &str) -> Result<Vec<Value>, Report> {
    yaml::parse(text).map_err(|error| plain(&format!("{}: {error}", file.display()), ""))
}

fn read_definitions(file: &Path, set: &mut DefinitionSet) -> Result<(), Report> {
    let text = read_text(file)?;
    let name = file.display().to_string();
    let documents = if file.extension().is_some_and(|extension| extension == "cue") {
        vec![engine::parse_definition(&name, text).map_err(|problem| plain(&problem, ""))?]
    } else {
        read_documents(file, &text)?
    };
    for mut object in documents {
        default_terraform(&mut object);
        set.add(&object, "default")
            .map_err(|problem| plain(&format!("{name}: {problem}"), ""))?;
    }
    Ok(())
}

/// The Applications of a file; what else is in it goes to the set.
fn read_manifests(file: &Path, set: &mut DefinitionSet) -> Result<Vec<Manifest>, Report> {
    let text = read_text(file)?;
    let name = file.display().to_string();
    let mut manifests = Vec::new();
    let documents = read_documents(file, &text)?
        .into_iter()
        .filter(|object| !object.is_null());
    for (document, mut object) in documents.enumerate() {
        if object["kind"] == "Application" {
            manifests.push(Manifest {
                object,
                file: name.clone(),
                text: text.clone(),
                document,
            });
            continue;
        }
        default_terraform(&mut object);
        set.add(&object, "default")
            .map_err(|problem| plain(&format!("{name}: {problem}"), ""))?;
    }
    Ok(manifests)
}

/// The default of `schematic.terraform.type`, which an API server would fill in (CRD-023).
fn default_terraform(object: &mut Value) {
    let module = object
        .pointer_mut("/spec/schematic/terraform")
        .and_then(Value::as_object_mut);
    if let Some(module) = module {
        module.entry("type").or_insert_with(|| "hcl".into());
    }
}
