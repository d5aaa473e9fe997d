//! Definitions in files: reading them, and finding the place of a mistake in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use caravel_core::api::TerraformLanguage;
use caravel_core::appfile::{Definition, kind_of};
use caravel_core::check::{TEMPLATE, place_of_path};
use caravel_core::engine::{
    Diagnostic, Evaluator, Operation, ParseDefinitionRequest, ParsedDefinition, Position,
};
use caravel_core::yaml::{self, YamlError};
use serde_json::Value;

use super::ask::{Refusal, ask};
use super::problem::{Problem, Problems};
use crate::engine;
use crate::input;
use crate::locate::{self, Part, Site};
use crate::write::Refused;

/// A definition with the text that it stands in.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Name of the file, as given.
    pub(crate) file: String,
    /// Its text.
    pub(crate) text: Arc<str>,
    /// The Kubernetes object.
    pub(crate) object: Value,
    /// What the engine needs of it.
    pub(crate) definition: Definition,
    /// Where in a manifest it stands.
    pub(crate) site: Site,
    /// Where in CUE text the fields of its head stand.
    pub(crate) places: BTreeMap<String, Position>,
    /// Fields of the head of CUE text that mean nothing.
    pub(crate) unknown: Vec<Diagnostic>,
}

/// Reads definitions from files and folders; `-` is standard input. The error tells of all files that cannot be read.
pub(crate) fn read_all(paths: &[String]) -> Result<Vec<Source>> {
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for path in files(paths)? {
        match read(&path) {
            Ok(found) => sources.extend(found),
            Err(error) => problems.extend(of_file(&path, error).0),
        }
    }
    if !problems.is_empty() {
        return Err(Problems(problems).into());
    }
    if sources.is_empty() {
        bail!("there is no definition in {}", paths.join(", "));
    }
    Ok(sources)
}

/// Why a file cannot be read.
pub(crate) fn of_file(file: &str, error: anyhow::Error) -> Problems {
    error.downcast::<Problems>().unwrap_or_else(|error| {
        let said = format!("{error:#}");
        // The file is named anyway.
        let said = said.strip_prefix(&format!("{file} ")).unwrap_or(&said);
        Problem::of_file(file, said).into()
    })
}

/// Reads the one definition of a file.
pub(crate) fn read_one(path: &str) -> Result<Source> {
    if Path::new(path).is_dir() {
        bail!("{path} is a folder: name the file of one definition in it");
    }
    let mut sources = read(path)?;
    match (sources.pop(), sources.is_empty()) {
        (Some(source), true) => Ok(source),
        (Some(_), false) => bail!("{path} holds several definitions: one is needed"),
        (None, _) => bail!("there is no definition in {path}"),
    }
}

/// The files that paths stand for. In folders those that can be definitions count, at any depth; tests,
/// examples and folders with a dot do not.
pub(crate) fn files(paths: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in paths {
        if path != "-" && Path::new(path).is_dir() {
            collect(Path::new(path), &mut found)?;
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let unreadable = || format!("{} cannot be read", folder.display());
    let entries = fs::read_dir(folder).with_context(unreadable)?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| Ok(entry.with_context(unreadable)?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    for path in paths {
        let name = path
            .file_name()
            .map_or("", |name| name.to_str().unwrap_or_default());
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            // A link may lead back to where it stands.
            if name != "tests" && !path.is_symlink() {
                collect(&path, found)?;
            }
        } else if may_define(name) && (input::is_cue(name) || defines(&path)?) {
            found.push(path.display().to_string());
        }
    }
    Ok(())
}

fn may_define(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    !stem.ends_with("_test") && !stem.ends_with(".example")
}

/// Whether a manifest in a folder holds definitions: other manifests there are not looked at. Packages that it holds
/// can be imported from now on.
fn defines(path: &Path) -> Result<bool> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    if !matches!(extension, Some("yaml" | "yml" | "json")) {
        return Ok(false);
    }
    // Whoever reads it tells why it cannot be read.
    let Ok(text) = fs::read(path) else {
        return Ok(true);
    };
    let text = String::from_utf8_lossy(&text);
    if !["Definition", "Package"]
        .iter()
        .any(|kind| text.contains(kind))
    {
        return Ok(false);
    }
    let Ok(documents) = yaml::parse(&text) else {
        // It may hold one: whoever reads it tells what is wrong.
        return Ok(text.contains("Definition"));
    };
    take_packages(&path.display().to_string(), &documents)?;
    let objects = locate::objects(documents);
    Ok(objects.iter().any(|(object, _)| is_definition(object)))
}

fn take_packages(file: &str, documents: &[Value]) -> Result<()> {
    for (object, _) in locate::objects(documents.to_vec()) {
        engine::take_package(&object)
            .map_err(|message| Problems::from(Problem::of_file(file, message)))?;
    }
    Ok(())
}

/// Takes the packages of files and folders, for the templates that import them.
pub(crate) fn learn_packages(paths: &[String]) -> Result<()> {
    for path in paths {
        if Path::new(path).is_dir() {
            collect(Path::new(path), &mut Vec::new())?;
            continue;
        }
        let documents = yaml::parse(&input::read(path)?)
            .map_err(|error| Problems::from(Problem::of_file(path, error.to_string())))?;
        let objects = locate::objects(documents.clone());
        if objects
            .iter()
            .all(|(object, _)| object["kind"] != "Package")
        {
            bail!("there is no Package in {path}");
        }
        take_packages(path, &documents)?;
    }
    Ok(())
}

fn is_definition(object: &Value) -> bool {
    object["kind"].as_str().and_then(kind_of).is_some()
}

/// Reads the definitions of one file.
///
/// # Errors
/// [`Problems`] where the text is wrong.
pub(crate) fn read(path: &str) -> Result<Vec<Source>> {
    parse(path, &input::read(path)?.into())
}

/// Whether a text is a manifest, and no CUE. A name without an ending counts as CUE unless the text looks like one.
pub(crate) fn is_manifest(file: &str, text: &str) -> bool {
    if input::ending(file).is_some() {
        return !input::is_cue(file);
    }
    let is_json = text.trim_start().starts_with('{');
    is_json || text.lines().any(|line| line.starts_with("apiVersion:"))
}

/// Reads the definitions of a text.
pub(crate) fn parse(file: &str, text: &Arc<str>) -> Result<Vec<Source>> {
    if !is_manifest(file, text) {
        return parse_cue(file, text).map(|source| vec![source]);
    }
    let documents =
        yaml::parse(text).map_err(|error| Problems::from(no_yaml(file, text, &error)))?;
    take_packages(file, &documents)?;
    let objects = locate::objects(documents).into_iter();
    let definitions = objects.filter(|(object, _)| is_definition(object));
    definitions
        .map(|(object, site)| {
            let source = Source::new(file, text, object)?;
            Ok(Source { site, ..source })
        })
        .collect()
}

/// What is wrong with YAML, at its place.
pub(crate) fn no_yaml(file: &str, text: &Arc<str>, error: &YamlError) -> Problem {
    let place = error
        .position
        .and_then(|(line, column)| Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?)));
    match place {
        Some((line, column)) => Problem::of_file(file, &error.message).at(text, line, column),
        None => Problem::of_file(file, &error.message),
    }
}

fn parse_cue(file: &str, text: &Arc<str>) -> Result<Source> {
    let request = ParseDefinitionRequest {
        file: file.to_owned(),
        source: text.to_string(),
    };
    let operation = Operation::ParseDefinition(request);
    match ask::<ParsedDefinition>(operation, Evaluator::default()) {
        Ok(parsed) => {
            let source = Source::new(file, text, parsed.object)?;
            Ok(Source {
                places: parsed.places,
                unknown: parsed.unknown,
                ..source
            })
        }
        Err(Refusal::Wrong(errors)) => {
            let problems = errors.iter().map(|error| {
                let problem = Problem::of(error, file);
                match error.positions.first() {
                    Some(place) => problem.at(text, place.line, place.column),
                    None => problem,
                }
            });
            Err(Problems(problems.collect()).into())
        }
        Err(Refusal::Calls(_)) => bail!("{file}: the engine asks for calls where there are none"),
        Err(Refusal::Fault(message)) => Err(Problems::from(Problem::of_file(file, message)).into()),
    }
}

impl Source {
    /// A definition object that stands in a text.
    pub(crate) fn new(file: &str, text: &Arc<str>, object: Value) -> Result<Self> {
        let mut definition = Definition::from_object(&object)
            .map_err(|message| Problems::from(Problem::of_file(file, message)))?;
        if let Some(module) = &mut definition.terraform {
            // An API server fills in the default (CRD-023); a file has passed none.
            module.type_.get_or_insert(TerraformLanguage::Hcl);
        }
        Ok(Self {
            file: file.to_owned(),
            text: Arc::clone(text),
            object,
            definition,
            site: Site::default(),
            places: BTreeMap::new(),
            unknown: Vec::new(),
        })
    }

    /// Where a field of the object stands, as far as it is not the template; what is not there is found at what it
    /// would be in. In the source format `spec` is called `attributes`.
    pub(crate) fn place_of_path(&self, path: &str) -> Option<(u32, u32)> {
        if !input::is_cue(&self.file) {
            return locate::place(&self.text, &self.site, path, Part::Key);
        }
        let mut path = match path.strip_prefix("spec.") {
            Some(rest) => format!("attributes.{rest}"),
            None => path.trim_start_matches("metadata.").to_owned(),
        };
        loop {
            if let Some(place) = self.places.get(&path) {
                return Some((place.line, place.column));
            }
            path.truncate(path.rfind(['.', '['])?);
        }
    }

    /// What the engine says about the definition, at its place in the file.
    pub(crate) fn problem(&self, diagnostic: &Diagnostic) -> Problem {
        let problem = Problem::of(diagnostic, &self.file);
        let mut places = diagnostic.positions.iter();
        match places.find_map(|place| self.lift(place)) {
            Some((line, column)) => problem.at(&self.text, line, column),
            None => problem,
        }
    }

    /// Why the hub does not take it, each mistake at its place in the file; what is told in one piece is the error.
    pub(crate) fn refused(&self, error: anyhow::Error) -> anyhow::Error {
        let findings = match error.downcast_ref::<Refused>() {
            Some(refusal) if !refusal.findings.is_empty() => &refusal.findings,
            _ => return error.context(self.file.clone()),
        };
        let problems = findings.iter().map(|finding| {
            let mut problem = Problem::of_file(&self.file, &finding.message).hint(&finding.hint);
            problem.expected.clone_from(&finding.expected);
            problem.found.clone_from(&finding.found);
            let in_template = finding.positions.iter().find_map(|place| self.lift(place));
            match in_template.or_else(|| self.place_of_path(&finding.path)) {
                Some((line, column)) => problem.at(&self.text, line, column),
                None => problem,
            }
        });
        Problems(problems.collect()).into()
    }

    /// What the hub warns of, at its place in the file.
    pub(crate) fn warning(&self, text: &str) -> Problem {
        let whole = || Problem::of_file(&self.file, text).warning();
        let Some((message, rest)) = text
            .strip_prefix(TEMPLATE)
            .and_then(|rest| rest.strip_prefix(": ")?.split_once(", in "))
        else {
            return whole();
        };
        // Who and where stand before what to do: `output, web line 4, column 8; do this`.
        let (place, hint) = rest.split_once("; ").unwrap_or((rest, ""));
        let numbers = place
            .rsplit_once(" line ")
            .and_then(|(_, numbers)| numbers.split_once(", column "));
        let place = numbers.and_then(|(line, column)| {
            self.lift(&Position {
                file: "template.cue".to_owned(),
                line: line.parse().ok()?,
                column: column.parse().ok()?,
            })
        });
        match place {
            Some((line, column)) => Problem::of_file(&self.file, message)
                .warning()
                .hint(hint)
                .at(&self.text, line, column),
            None => whole(),
        }
    }

    /// Where the template gives the field at a path a value, in the file.
    pub(crate) fn place_in_template(&self, path: &str) -> Option<(u32, u32)> {
        let template = &self.definition.template;
        let (line, column) = place_of_path(template, path)?;
        lift(&self.text, template, line, column)
    }

    /// The place in the file of a place in this definition's template, as findings have it.
    pub(crate) fn in_file(&self, at: &Position) -> Option<Position> {
        let (kind, name) = at.object()?;
        let is_own = self.object["kind"] == kind && self.definition.name == name;
        if !is_own {
            return None;
        }
        let (line, column) = self.lift_part(&self.definition.template, at)?;
        Some(Position {
            file: self.file.clone(),
            line,
            column,
        })
    }

    /// Where a place of the template or of a status text stands in the file. The template begins at the
    /// left in the object, but not in the file.
    pub(crate) fn lift(&self, place: &Position) -> Option<(u32, u32)> {
        let status = &self.definition.status;
        let part = match place.file.as_str() {
            file if file == self.file => return Some((place.line, place.column)),
            "status/healthPolicy.cue" => &status.health_policy,
            "status/customStatus.cue" => &status.custom_status,
            "status/details.cue" => &status.details,
            // The name of a versioned definition in an Application is that of its revision.
            file if input::is_cue(file) => &self.definition.template,
            _ => return None,
        };
        self.lift_part(part, place)
    }

    fn lift_part(&self, part: &str, place: &Position) -> Option<(u32, u32)> {
        // In a manifest only the text of the field is looked at: other documents may have such a line too.
        let Some((first, column)) = self.scalar(part) else {
            return lift(&self.text, part, place.line, place.column);
        };
        let line = usize::try_from(first).ok()?.checked_sub(1)?;
        let start: usize = self
            .text
            .split_inclusive('\n')
            .take(line)
            .map(str::len)
            .sum();
        let rest = self.text.get(start..)?;
        let is_quoted = |text: &str| {
            let skipped = usize::try_from(column)
                .ok()
                .and_then(|column| column.checked_sub(1));
            let first = skipped.and_then(|skipped| text.chars().nth(skipped));
            matches!(first, Some('"' | '\''))
        };
        if is_quoted(rest) {
            return Some((first, column));
        }
        let (line, column) = lift(rest, part, place.line, place.column)?;
        Some((line + first - 1, column))
    }

    /// Where in YAML the text of a template or of a status begins.
    fn scalar(&self, part: &str) -> Option<(u32, u32)> {
        let (name, _) = self.file.split_once(" (").unwrap_or((&self.file, ""));
        if input::is_cue(name) {
            return None;
        }
        let fields = [
            "schematic.cue.template",
            "status.healthPolicy",
            "status.customStatus",
            "status.details",
        ];
        let field = fields.into_iter().find(|field| {
            let pointer = format!("/spec/{}", field.replace('.', "/"));
            self.object.pointer(&pointer).and_then(Value::as_str) == Some(part)
        })?;
        let path = format!("spec.{field}");
        locate::place(&self.text, &self.site, &path, Part::Value)
    }
}

/// Finds a line of a part in the whole, where the part is indented differently: the place where most
/// lines around it are the same.
fn lift(whole: &str, part: &str, line: u32, column: u32) -> Option<(u32, u32)> {
    let whole: Vec<&str> = whole.lines().collect();
    let part: Vec<&str> = part.lines().collect();
    let wanted = usize::try_from(line).ok()?.checked_sub(1)?;
    let text = part.get(wanted)?;
    if text.trim().is_empty() {
        return None;
    }
    let same = |above: usize, below: usize| whole[above].trim() == part[below].trim();
    let neighbours = |at: usize| {
        let up = (1..=wanted.min(at))
            .take_while(|n| same(at - n, wanted - n))
            .count();
        let room = (whole.len() - at).min(part.len() - wanted);
        let down = (1..room).take_while(|n| same(at + n, wanted + n)).count();
        up + down
    };
    let candidates = (0..whole.len()).filter(|at| whole[*at].contains(text.trim()));
    // Of equal ones `max_by_key` takes the last: the first is wanted.
    let found = candidates.rev().max_by_key(|at| neighbours(*at))?;
    let indent = text.len() - text.trim_start().len();
    let offset = whole[found].find(text.trim())?;
    let column = usize::try_from(column).ok()?;
    let column = (column + offset).saturating_sub(indent).max(1);
    Some((u32::try_from(found + 1).ok()?, u32::try_from(column).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Source, lift};

    #[test]
    fn a_place_of_the_template_is_found_in_the_file() {
        let whole = "\"x\": {\n\ttype: \"trait\"\n}\ntemplate: {\n\tpatch: {\n\t\tspec: a\n\t}\n\tparameter: {\n\t\tspec: a\n\t}\n}\n";
        let part = "patch: {\n\tspec: a\n}\nparameter: {\n\tspec: a\n}\n";
        assert_eq!(lift(whole, part, 2, 8), Some((6, 9)));
        assert_eq!(lift(whole, part, 5, 2), Some((9, 3)));
        assert_eq!(lift(whole, part, 7, 1), None);
    }

    #[test]
    fn a_warning_of_the_hub_is_shown_in_the_file() {
        let text =
            "d: type: \"trait\"\ntemplate: {\n\tpatch: spec: replicaz: 1\n\tparameter: {}\n}\n";
        let object = json!({"apiVersion": "core.oam.dev/v1beta1", "kind": "TraitDefinition", "metadata": {"name": "d"},
            "spec": {"schematic": {"cue": {"template": "patch: spec: replicaz: 1\nparameter: {}\n"}}}});
        let source = Source::new("d.cue", &text.into(), object).expect("a definition");
        let told = |text: &str| {
            let problem = source.warning(text);
            (problem.message, problem.line, problem.column, problem.hint)
        };
        assert_eq!(
            told(
                "spec.schematic.cue.template: Deployment has no field `spec.replicaz`, in patch, d line 1, column 13; ask kubectl"
            ),
            (
                "Deployment has no field `spec.replicaz`".to_owned(),
                3,
                14,
                "ask kubectl".to_owned()
            )
        );
        let other = "spec.version: this is odd, in d; mend it";
        assert_eq!(told(other), (other.to_owned(), 0, 0, String::new()));
    }

    #[test]
    fn a_template_on_one_line_is_found() {
        let whole = "\"x\": type: \"trait\"\ntemplate: {patch: spec: a}\n";
        assert_eq!(lift(whole, "patch: spec: a", 1, 14), Some((2, 25)));
    }
}
