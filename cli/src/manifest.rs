//! Objects of files, and what is wrong with them at its place in the file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use caravel_core::appfile::{Finding, FindingKind};
use caravel_core::yaml::{self, YamlError};
use miette::{LabeledSpan, MietteDiagnostic, Report, Severity};
use serde_json::{Value, json};

use crate::def::Source;
use crate::input;
use crate::locate::{self, Part, Site, offset};
use crate::snippet::Snippet;

/// What is called standard input in messages.
pub(crate) const STANDARD_INPUT: &str = "standard input";

/// An object and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) object: Value,
    /// What messages call the file.
    pub(crate) file: String,
    pub(crate) text: Arc<str>,
    /// Where it stands in the text.
    pub(crate) site: Site,
    /// What was given with it.
    pub(crate) near: Arc<Near>,
}

/// What was given with an object, and findings about the object may be about.
#[derive(Debug, Default)]
pub(crate) struct Near {
    /// Definitions: what is decided in them stands in their files.
    pub(crate) definitions: Vec<Source>,
    /// Workflows and policies that it refers to.
    pub(crate) objects: Vec<Manifest>,
}

/// A message without a place.
pub(crate) fn plain(message: &str, help: &str) -> Report {
    let diagnostic = MietteDiagnostic::new(message);
    Report::new(if help.is_empty() {
        diagnostic
    } else {
        diagnostic.with_help(help)
    })
}

/// The file itself, or the manifests and definitions in a folder, by name.
pub(crate) fn files_of(path: &Path) -> Result<Vec<PathBuf>, Report> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |error| plain(&format!("{}: {error}", path.display()), "");
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let known = file.extension().and_then(|extension| extension.to_str());
        // Tests lie beside the definitions that they are about (`caravel def test`).
        let is_test = file
            .file_stem()
            .is_some_and(|stem| stem.to_string_lossy().ends_with("_test"));
        if matches!(known, Some("yaml" | "yml" | "json" | "cue")) && !is_test && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The name of a file for people, and its text; `-` is standard input.
pub(crate) fn read_text(file: &Path) -> Result<(String, String), Report> {
    let name = file.display().to_string();
    let text = input::read(&name).map_err(|error| {
        let io = error.root_cause().downcast_ref::<std::io::Error>();
        let help = match io.map(std::io::Error::kind) {
            Some(std::io::ErrorKind::InvalidData) => "save the file as UTF-8",
            Some(_) if !input::is_address(&name) => "check the name and your permissions",
            _ => "",
        };
        plain(&format!("{error:#}"), help)
    })?;
    let is_standard = name == input::STANDARD;
    let name = if is_standard {
        STANDARD_INPUT.to_owned()
    } else {
        name
    };
    Ok((name, text))
}

/// Whether a name is that of CUE text.
pub(crate) fn is_cue(file: &Path) -> bool {
    file.to_str().is_some_and(input::is_cue)
}

/// The objects of a text, which is called `file`.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Manifest>, Report> {
    let documents = yaml::parse(text).map_err(|error| no_yaml(file, text, &error))?;
    let text: Arc<str> = text.into();
    Ok(locate::objects(documents)
        .into_iter()
        .map(|(object, site)| Manifest {
            object,
            file: file.to_owned(),
            text: Arc::clone(&text),
            site,
            near: Arc::default(),
        })
        .collect())
}

/// Why a text is no YAML, at its place.
fn no_yaml(file: &str, text: &str, error: &YamlError) -> Report {
    let Some(at) = error
        .position
        .and_then(|(line, column)| offset(text, line, column))
    else {
        return plain(&format!("{file}: {error}"), error.hint);
    };
    let mut diagnostic = MietteDiagnostic::new(error.message.clone());
    if !error.hint.is_empty() {
        diagnostic = diagnostic.with_help(error.hint);
    }
    let span = LabeledSpan::new_with_span(Some("here".to_owned()), at);
    Report::new(diagnostic.with_label(span)).with_source_code(Snippet::new(file, &text.into()))
}

/// A failure for programs: what it says, and where, as far as that is known.
pub(crate) fn failure_to_json(report: &Report) -> Value {
    let mut fields = json!({"kind": "unreadable", "message": report.to_string()});
    if let Some(help) = report.help() {
        fields["hint"] = help.to_string().into();
    }
    let label = report.labels().and_then(|mut labels| labels.next());
    let place = report.source_code().zip(label);
    let place = place.and_then(|(source, label)| source.read_span(label.inner(), 0, 0).ok());
    if let Some(place) = place {
        fields["kind"] = "syntax".into();
        fields["file"] = place.name().into();
        fields["line"] = (place.line() + 1).into();
        fields["column"] = (place.column() + 1).into();
    }
    fields
}

/// Which part of a field a finding is about: its name, where that is what is wrong.
fn part(finding: &Finding) -> Part {
    match finding.kind {
        FindingKind::UnknownField | FindingKind::Undeclared => Part::Key,
        _ => Part::Value,
    }
}

/// Whether a finding keeps nobody from anything.
pub(crate) fn is_warning(finding: &Finding) -> bool {
    finding.kind.is_warning() && !finding.kind.may_resolve()
}

impl Manifest {
    /// Its kind and name.
    pub(crate) fn title(&self) -> String {
        let kind = self.object["kind"].as_str().unwrap_or("object");
        let name = self.object["metadata"]["name"].as_str();
        format!("{kind} {}", name.unwrap_or("without a name"))
    }

    /// A finding with the places of its definition as they are in a file that was given.
    fn lifted(&self, finding: &Finding) -> Finding {
        let mut finding = finding.clone();
        for at in &mut finding.positions {
            let mut sources = self.near.definitions.iter();
            let lifted = sources.find_map(|source| source.in_file(at));
            if let Some(lifted) = lifted {
                *at = lifted;
            }
        }
        self.as_written(finding)
    }

    /// A number as it is written: YAML reads `012` as 10, and quotes around 10 would say something else.
    fn as_written(&self, mut finding: Finding) -> Finding {
        let (home, path) = self.home(&finding.path);
        let written = locate::locate(&home.text, &home.site, path, Part::Value);
        let written = written.and_then(|range| home.text.get(range));
        let is_number = serde_json::from_str::<serde_json::Number>(&finding.found).is_ok();
        if let Some(written) = written.filter(|written| is_number && **written != finding.found) {
            let hint = |value: &str| format!("write \"{value}\" with quotes");
            if finding.hint == hint(&finding.found) {
                finding.hint = hint(written);
            }
            finding.found = format!("{written}, which is {}", finding.found);
        }
        finding
    }

    /// The object that a path leads into, and the path there: `Workflow release.steps[0]` is not in the Application.
    fn home<'a>(&'a self, path: &'a str) -> (&'a Self, &'a str) {
        let inner = |one: &Self| path.strip_prefix(&one.title())?.strip_prefix('.');
        let mut objects = self.near.objects.iter();
        let found = objects.find_map(|one| Some((one, inner(one)?)));
        found.unwrap_or((self, path))
    }

    /// A finding at its place.
    pub(crate) fn report(&self, finding: &Finding) -> Report {
        let finding = &self.lifted(finding);
        let severity = if is_warning(finding) {
            Severity::Warning
        } else {
            Severity::Error
        };
        let message = if finding.path.is_empty() || finding.message.contains(&finding.path) {
            finding.message.clone()
        } else {
            format!("{}: {}", finding.path, finding.message)
        };
        let mut diagnostic = MietteDiagnostic::new(message).with_severity(severity);
        let decided = match finding.place() {
            place if place.is_empty() => String::new(),
            place if finding.definition.is_empty() => format!("in {place}"),
            place => format!("decided in {place}"),
        };
        let help = [finding.hint.clone(), decided];
        let help: Vec<String> = help.into_iter().filter(|line| !line.is_empty()).collect();
        if !help.is_empty() {
            diagnostic = diagnostic.with_help(help.join("\n"));
        }
        let (home, path) = self.home(&finding.path);
        let range = locate::locate(&home.text, &home.site, path, part(finding));
        let Some(range) = range else {
            diagnostic.message = format!("{}: {}", self.file, diagnostic.message);
            return Report::new(diagnostic);
        };
        let label = match (finding.expected.is_empty(), finding.found.is_empty()) {
            (false, false) => format!("expected {}, found {}", finding.expected, finding.found),
            (false, true) => format!("expected {}", finding.expected),
            _ => "here".to_owned(),
        };
        let span = LabeledSpan::new_with_span(Some(label), range);
        Report::new(diagnostic.with_label(span))
            .with_source_code(Snippet::new(&home.file, &home.text))
    }

    /// Findings in the order in which the file is read.
    pub(crate) fn in_order(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        findings.sort_by_cached_key(|finding| {
            let (home, path) = self.home(&finding.path);
            let range = locate::locate(&home.text, &home.site, path, part(finding));
            range.map_or(usize::MAX, |range| range.start)
        });
        findings
    }

    /// Findings for programs: all their fields, and their place in the file.
    pub(crate) fn to_json(&self, findings: &[Finding]) -> Value {
        let (warnings, errors): (Vec<_>, Vec<_>) = findings.iter().partition(|one| is_warning(one));
        let placed = |finding: &&Finding| {
            let mut fields = json!(self.lifted(finding));
            let (home, path) = self.home(&finding.path);
            fields["file"] = home.file.as_str().into();
            let place = locate::place(&home.text, &home.site, path, part(finding));
            if let Some((line, column)) = place {
                fields["line"] = line.into();
                fields["column"] = column.into();
            }
            fields
        };
        json!({
            "errors": errors.iter().map(placed).collect::<Vec<_>>(),
            "warnings": warnings.iter().map(placed).collect::<Vec<_>>(),
        })
    }
}
