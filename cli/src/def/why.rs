//! `caravel def why`: which line of which template made a field.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use caravel_core::appfile::{
    Appfile, Definition, DefinitionSet, Layered, Policy, Rejection, did_you_mean, kind_of,
    read_application,
};
use caravel_core::engine::{
    DefinitionKind, Evaluator, ExplainRequest, ExplainResult, Operation, Origin, OriginParameter,
    Position, RenderRequest, Request,
};
use caravel_core::plan::scoped::APPLICATION_SCOPE;
use caravel_core::plan::{DryRunGroup, dry_run, is_late};
use caravel_core::render::{
    ClusterVersion, ComponentRender, Offline, PolicyRender, Render, RenderStage, RenderedComponent,
    RenderedObject, Target, object, offline,
};
use caravel_core::yaml;
use miette::{LabeledSpan, MietteDiagnostic, Report, Severity};
use serde_json::{Value, json};

use super::Machine;
use super::ask::{Refusal, ask};
use super::check::short;
use super::field;
use super::groups::{Ungrouped, groups};
use super::impact::World;
use super::problem::{Problem, Problems, span};
use super::render::{Input as Given, problems};
use super::source::{Source, read_all, read_one};
use crate::engine;
use crate::hub::HubArgs;
use crate::input;
use crate::locate::{self, Part, Site};
use crate::snippet::Snippet;

/// Tells which line of which template made a field, under which conditions, and from which parameter.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def why -f app.yaml spec.replicas --object Deployment\n  caravel def why \
                  my-component.cue -p parameters.yaml spec.template.spec.containers[0].image"
)]
pub(crate) struct Args {
    /// The field, for instance `spec.template.spec.containers[0].image`; before it a definition file, unless -f
    /// names an Application.
    #[arg(required = true, num_args = 1..=2, value_name = "[FILE] FIELD")]
    target: Vec<String>,
    /// An Application; what it refers to may stand in the same file.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    application: Option<String>,
    /// Definitions that the Application uses.
    #[arg(short, long = "definition", value_name = "FILE|DIR")]
    definitions: Vec<String>,
    /// Take the definitions of the hub.
    #[arg(long)]
    hub: bool,
    /// Only objects of this component or policy.
    #[arg(long)]
    component: Option<String>,
    /// Only this object.
    #[arg(long, value_name = "KIND[/NAME]")]
    object: Option<String>,
    #[command(flatten)]
    given: Given,
    /// The answer as data.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Machine>,
}

/// An Application with the texts that answers point into.
struct Case {
    groups: Vec<DryRunGroup>,
    sources: Vec<Source>,
    /// The manifest, to show where a parameter is given.
    manifest: Option<(String, Arc<str>, Site)>,
    evaluator: Evaluator,
}

/// An object, and the request that made it.
struct Candidate<'a> {
    appfile: &'a Appfile,
    /// Which component of the Appfile; none for a policy.
    component: Option<usize>,
    owner: String,
    made: RenderedObject,
    request: RenderRequest,
    evaluator: Evaluator,
}

pub(crate) async fn run(args: &Args, hub: &HubArgs) -> Result<ExitCode> {
    let namespace = hub.namespace.as_deref();
    let (case, wanted) = match (&args.application, args.target.as_slice()) {
        (Some(file), [wanted]) => (of_application(args, file, hub).await?, wanted),
        (None, [file, wanted]) => (of_definition(args, file, namespace)?, wanted),
        (Some(_), _) => {
            bail!("with -f only the field is named: the definitions are found by themselves")
        }
        (None, _) => bail!("name a definition file before the field, or an Application with -f"),
    };
    let (candidates, absent) = case.candidates();
    let (candidate, path) = match choose(args, &candidates, wanted) {
        Ok(chosen) => chosen,
        // Perhaps it is a field of what cannot be shown.
        Err(why) if absent.is_empty() => return Err(why),
        Err(_) if candidates.is_empty() => bail!("{}", lines(&absent)),
        Err(why) => bail!("{why}\n{}", lines(&absent)),
    };
    let request = ExplainRequest {
        render: candidate.request.clone(),
        output: candidate.made.output_name.clone(),
        trait_index: candidate.made.trait_index,
        path: path.clone(),
    };
    let result: ExplainResult = match ask(Operation::Explain(request), candidate.evaluator) {
        Ok(result) => result,
        Err(Refusal::Fault(message)) => bail!("{message}"),
        Err(_) => bail!("the object cannot be rendered once more"),
    };
    let value = field::get(&candidate.made.object, &path)
        .cloned()
        .unwrap_or_default();
    let answer = Answer {
        case: &case,
        candidate,
        path: field::text(&path),
        value,
        origins: &result.origins,
    };
    match args.output {
        Some(format) => super::print_data(&answer.to_json(), format)?,
        None => answer.tell()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(errors: &[anyhow::Error]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The Application of a file.
async fn of_application(args: &Args, file: &str, hub: &HubArgs) -> Result<Case> {
    let mut set = DefinitionSet::default();
    if args.hub {
        set = World::load(&hub.connect_for_templates().await?)
            .await?
            .definitions()
            .clone();
    }
    let mut sources = Vec::new();
    if !args.definitions.is_empty() {
        sources = read_all(&args.definitions)?;
    }
    let text: Arc<str> = input::read(file)?.into();
    let documents = yaml::parse(&text)
        .map_err(|error| Problems::from(Problem::of_file(file, error.to_string())))?;
    let mut application = None;
    for (document, site) in locate::objects(documents) {
        if document["kind"] == "Application" {
            application.get_or_insert((document, site));
            continue;
        }
        if document["kind"].as_str().and_then(kind_of).is_some() {
            let source = Source::new(file, &text, document)?;
            sources.push(Source { site, ..source });
        } else {
            set.add(&document, "default")
                .map_err(|problem| anyhow!("{file}: {problem}"))?;
        }
    }
    let Some((application, site)) = application else {
        bail!("there is no Application in {file}");
    };
    for source in &sources {
        set.add(&source.object, "default")
            .map_err(|problem| anyhow!("{}: {problem}", source.file))?;
    }
    let rejected = |rejection: Rejection| -> anyhow::Error {
        let problems = rejection.findings.iter().map(|finding| {
            let mut problem = Problem::of_file(file, finding.message.clone()).hint(&finding.hint);
            problem.path.clone_from(&finding.path);
            match locate::place(&text, &site, &finding.path, Part::Value) {
                Some((line, column)) => problem.at(&text, line, column),
                None => problem,
            }
        });
        Problems(problems.collect()).into()
    };
    let app = read_application(&application).map_err(rejected)?;
    let behind = Layered::new(set, engine::builtin).listing(engine::builtin_names);
    let evaluator = args.given.evaluator();
    let groups = groups(&app, &behind, evaluator).map_err(|why| match why {
        Ungrouped::Wrong(findings) => rejected(Rejection { findings }),
        Ungrouped::Policy(error) => anyhow!("{error}"),
        Ungrouped::Calls => {
            anyhow!("its policies depend on calls, which are not carried out here")
        }
    })?;
    Ok(Case {
        groups,
        sources,
        manifest: Some((file.to_owned(), text, site)),
        evaluator,
    })
}

/// The smallest Application that uses the definition of a file.
fn of_definition(args: &Args, file: &str, namespace: Option<&str>) -> Result<Case> {
    let source = read_one(file)?;
    if source.definition.kind == DefinitionKind::WorkflowStep {
        bail!(
            "a workflow step makes no object: `caravel def render` shows the calls that it makes"
        );
    }
    if source.definition.scope == APPLICATION_SCOPE {
        bail!(
            "a policy of scope {APPLICATION_SCOPE} makes no object: `caravel def render` shows what it gives the Application"
        );
    }
    let given = args.given.parameters(&source)?;
    let trial = args.given.trial(&source, given.value.clone(), namespace)?;
    // What is wrong with the parameters is said as a render says it.
    trial
        .render()
        .map_err(|errors| problems(&source, &given, &errors))?;
    let wrong = |rejection: Rejection| anyhow!("{rejection}");
    let app = read_application(&trial.application()).map_err(wrong)?;
    let behind = Layered::new(trial.set(), engine::builtin);
    let groups = dry_run(&app, &behind).map_err(wrong)?;
    let evaluator = trial.evaluator;
    Ok(Case {
        groups,
        sources: vec![source],
        manifest: None,
        evaluator,
    })
}

impl Case {
    /// All objects that can be shown, and what is to be said of the others.
    fn candidates(&self) -> (Vec<Candidate<'_>>, Vec<anyhow::Error>) {
        let (mut found, mut absent) = (Vec::new(), Vec::new());
        // Groups differ in where they go; what is in several is shown once.
        for group in self.groups.iter().take(1) {
            let mut components = Vec::new();
            for (index, component) in group.appfile.components.iter().enumerate() {
                match self.component(group, index) {
                    Ok((done, asked)) => {
                        let owner = (Some(index), component.spec.name.as_str());
                        found.extend(candidates(group, owner, &asked, done.objects.clone()));
                        components.push(done);
                    }
                    Err(why) => absent.push(why),
                }
            }
            for policy in &group.appfile.policies {
                match self.policy(group, policy, &components) {
                    Ok((done, asked)) => {
                        found.extend(candidates(
                            group,
                            (None, policy.name.as_str()),
                            &asked,
                            done,
                        ));
                    }
                    Err(why) => absent.push(why),
                }
            }
        }
        (found, absent)
    }

    fn component(&self, group: &DryRunGroup, index: usize) -> Result<(RenderedComponent, Asked)> {
        let component = &group.appfile.components[index];
        let at = |stage| {
            let mut render = ComponentRender::new(
                &group.appfile,
                component,
                target(group),
                stage,
                self.evaluator,
            );
            carry_out(&component.spec.name, &mut render)
        };
        match at(RenderStage::All) {
            // What a trait reads of the live workload is not there; the rest is.
            Err(error)
                if error
                    .downcast_ref()
                    .is_some_and(|error| is_late(component, error)) =>
            {
                at(RenderStage::Dispatch)
            }
            outcome => outcome,
        }
    }

    fn policy(
        &self,
        group: &DryRunGroup,
        policy: &Policy,
        components: &[RenderedComponent],
    ) -> Result<(Vec<RenderedObject>, Asked)> {
        let evaluator = self.evaluator;
        let render =
            PolicyRender::new(&group.appfile, policy, components, target(group), evaluator);
        match render {
            Some(mut render) => carry_out(&policy.name, &mut render),
            None => Ok((Vec::new(), Asked::default())),
        }
    }

    /// The text of a definition: a file of the user's, a built-in one, or the template alone.
    fn source(&self, definition: &Definition) -> Source {
        let mine = self.sources.iter().find(|source| {
            source.definition.kind == definition.kind && source.definition.name == definition.name
        });
        if let Some(source) = mine {
            return source.clone();
        }
        let builtin = caravel_definitions::get(definition.kind, &definition.name).filter(|known| {
            // A definition of the hub may have the name of a built-in one.
            known.source.contains(
                definition
                    .template
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .trim(),
            )
        });
        let (file, text) = match builtin {
            Some(known) => (
                format!("{} (built in)", known.file),
                known.source.into_owned(),
            ),
            None => (
                format!(
                    "{} {} (template)",
                    super::kind::Kind::of(definition.kind).word,
                    definition.name
                ),
                definition.template.clone(),
            ),
        };
        Source {
            file,
            text: text.into(),
            object: Value::Null,
            definition: definition.clone(),
            site: Site::default(),
            places: BTreeMap::new(),
            unknown: Vec::new(),
        }
    }
}

fn target(group: &DryRunGroup) -> Target {
    Target {
        custom: group.custom.clone(),
        ..Target::dry_run(ClusterVersion::default())
    }
}

fn candidates<'a>(
    group: &'a DryRunGroup,
    (component, owner): (Option<usize>, &str),
    asked: &Asked,
    objects: Vec<RenderedObject>,
) -> impl Iterator<Item = Candidate<'a>> {
    objects.into_iter().map(move |made| Candidate {
        appfile: &group.appfile,
        component,
        owner: owner.to_owned(),
        made,
        request: asked.request.clone(),
        evaluator: asked.evaluator,
    })
}

/// What the engine was asked for.
#[derive(Default)]
struct Asked {
    request: RenderRequest,
    evaluator: Evaluator,
}

/// Renders, and keeps the last request: that with all results of calls.
fn carry_out<R: Render>(owner: &str, render: &mut R) -> Result<(R::Output, Asked)> {
    let mut last = Asked::default();
    let mut eval = |request: &Request| {
        if let Operation::Render(asked) = &request.operation {
            last = Asked {
                request: asked.clone(),
                evaluator: request.evaluator,
            };
        }
        engine::eval(request)
    };
    match offline(render, &mut eval) {
        Ok(Offline::Done(done)) => Ok((done, last)),
        Ok(Offline::Calls(_)) => {
            bail!("the objects of {owner} depend on calls, which are not carried out here")
        }
        Err(error) => Err((*error).into()),
    }
}

/// The object that has the field.
fn choose<'a, 'b>(
    args: &Args,
    candidates: &'b [Candidate<'a>],
    wanted: &str,
) -> Result<(&'b Candidate<'a>, Vec<String>)> {
    let parts = field::parts(wanted)?;
    let selected: Vec<&Candidate<'_>> = candidates
        .iter()
        .filter(|one| {
            args.component
                .as_ref()
                .is_none_or(|name| *name == one.owner)
        })
        .filter(|one| {
            args.object
                .as_ref()
                .is_none_or(|name| is_object(&one.made.object, name))
        })
        .collect();
    let all = || {
        candidates
            .iter()
            .map(Candidate::title)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let with: Vec<(&Candidate<'_>, Vec<String>)> = selected
        .iter()
        .filter_map(|one| Some((*one, field::resolve(&one.made.object, &parts)?)))
        .collect();
    match with.as_slice() {
        [(one, path)] => Ok((one, path.clone())),
        [] => match selected.as_slice() {
            [] => bail!("there is no such object; there are {}", all()),
            several => {
                let hints: Vec<String> = several.iter().map(|one| nearest(one, &parts)).collect();
                bail!("no object has {wanted}: {}", hints.join("; "))
            }
        },
        several => {
            let titles: Vec<String> = several.iter().map(|(one, _)| one.title()).collect();
            bail!(
                "several objects have {wanted}: {}; choose with --object KIND/NAME or --component",
                titles.join(", ")
            )
        }
    }
}

/// What there is in place of a field that is not there.
fn nearest(candidate: &Candidate<'_>, parts: &[String]) -> String {
    let mut depth = parts.len();
    let (there, value) = loop {
        depth = depth.saturating_sub(1);
        if depth == 0 {
            break (Vec::new(), &candidate.made.object);
        }
        if let Some(path) = field::resolve(&candidate.made.object, &parts[..depth])
            && let Some(value) = field::get(&candidate.made.object, &path)
        {
            break (path, value);
        }
    };
    let place = if there.is_empty() {
        candidate.title()
    } else {
        format!("{} of {}", field::text(&there), candidate.title())
    };
    let names: Vec<&str> = match value {
        Value::Object(fields) => fields.keys().map(String::as_str).collect(),
        Value::Array(list) => return format!("{place} has {} elements", list.len()),
        other => return format!("{place} is {other}"),
    };
    let meant = parts
        .get(depth)
        .and_then(|wrong| did_you_mean(wrong, names.iter().copied()));
    match meant {
        Some(meant) => format!("{place} has none; {meant}"),
        None => format!("{place} has {}", names.join(", ")),
    }
}

fn is_object(object: &Value, wanted: &str) -> bool {
    let (kind, name) = wanted.split_once('/').unwrap_or((wanted, ""));
    object::kind(object).eq_ignore_ascii_case(kind)
        && (name.is_empty() || object::name(object) == name)
}

impl Candidate<'_> {
    fn title(&self) -> String {
        let made = &self.made.object;
        format!("{}/{}", object::kind(made), object::name(made))
    }

    /// The definition whose template a line stands in.
    fn definition(&self, trait_index: Option<usize>) -> Option<&Definition> {
        let Some(component) = self.component else {
            let policy = self
                .appfile
                .policies
                .iter()
                .find(|policy| policy.name == self.owner)?;
            return match &policy.rule {
                caravel_core::appfile::PolicyRule::Custom(resolved) => Some(&resolved.definition),
                _ => None,
            };
        };
        let component = self.appfile.components.get(component)?;
        Some(match trait_index {
            Some(index) => &component.traits.get(index)?.resolved.definition,
            None => &component.resolved.definition,
        })
    }

    /// Where a parameter of a template stands in the Application.
    fn given(&self, trait_index: Option<usize>, parameter: &str) -> Option<String> {
        let component = self.appfile.components.get(self.component?)?;
        let inner = parameter.strip_prefix("parameter")?;
        Some(component.provenance.place(&match trait_index {
            Some(index) => format!("traits[{index}].properties{inner}"),
            None => format!("properties{inner}"),
        }))
    }
}

struct Answer<'a> {
    case: &'a Case,
    candidate: &'a Candidate<'a>,
    path: String,
    value: Value,
    origins: &'a [Origin],
}

/// A place in a file.
struct Spot {
    file: String,
    text: Arc<str>,
    line: u32,
    column: u32,
}

impl Spot {
    fn to_json(&self) -> Value {
        json!({"file": self.file, "line": self.line, "column": self.column})
    }
}

impl Answer<'_> {
    fn spot(&self, origin: &Origin, place: &Position) -> Option<Spot> {
        let definition = self.candidate.definition(origin.trait_index)?;
        let source = self.case.source(definition);
        let (line, column) = source.lift(place)?;
        Some(Spot {
            file: source.file,
            text: source.text,
            line,
            column,
        })
    }

    /// Where the Application gives a parameter.
    fn given(&self, origin: &Origin, parameter: &OriginParameter) -> Option<Spot> {
        let (file, text, site) = self.case.manifest.as_ref()?;
        let path = self.candidate.given(origin.trait_index, &parameter.path)?;
        let (line, column) = locate::place(text, site, &path, Part::Value)?;
        Some(Spot {
            file: file.clone(),
            text: Arc::clone(text),
            line,
            column,
        })
    }

    fn kind(&self, origin: &Origin) -> &'static str {
        let definition = self.candidate.definition(origin.trait_index);
        definition.map_or("template", |one| super::kind::Kind::of(one.kind).word)
    }

    fn tell(&self) -> Result<()> {
        let mut out = std::io::stdout();
        let title = self.candidate.title();
        writeln!(out, "{} of {title} is {}", self.path, short(&self.value))?;
        if self.origins.is_empty() {
            writeln!(
                out,
                "\nNo template makes this field: Caravel sets names, namespaces, labels and annotations itself."
            )?;
            return Ok(());
        }
        for (index, origin) in self.origins.iter().enumerate() {
            let report = self.report(origin, index + 1);
            writeln!(out, "\n{report:?}")?;
        }
        Ok(())
    }

    fn report(&self, origin: &Origin, number: usize) -> Report {
        let order = if self.origins.len() > 1 {
            format!("{number}. ")
        } else {
            String::new()
        };
        let message = format!(
            "{order}{} {}, in its {}: {}",
            self.kind(origin),
            origin.definition,
            origin.field,
            short(&origin.value)
        );
        let mut labels = Vec::new();
        let mut notes = Vec::new();
        let spot = self.spot(origin, &origin.position);
        let mut label = |place: &Position, text: String| {
            if let Some(at) = self.spot(origin, place)
                && let Some(range) = span(&at.text, at.line, at.column)
            {
                labels.push(LabeledSpan::new_with_span(Some(text), range));
            }
        };
        label(&origin.position, "this makes it".to_owned());
        for clause in &origin.conditions {
            let text = match clause.text.split(' ').next() {
                Some("if") => "because this holds",
                Some("for") => "for each of these",
                _ => "with this",
            };
            label(&clause.position, text.to_owned());
        }
        for parameter in &origin.parameters {
            match (parameter.given, self.given(origin, parameter)) {
                (true, Some(at)) => {
                    notes.push(format!(
                        "{} is given at {}:{}:{}",
                        parameter.path, at.file, at.line, at.column
                    ));
                }
                (true, None) => notes.push(format!("{} is given", parameter.path)),
                (false, _) => {
                    notes.push(format!(
                        "{} is not given: its default counts",
                        parameter.path
                    ));
                    if let Some(place) = parameter.positions.first() {
                        label(place, "the default".to_owned());
                    }
                }
            }
        }
        let mut diagnostic = MietteDiagnostic::new(message).with_severity(Severity::Advice);
        if !notes.is_empty() {
            diagnostic = diagnostic.with_help(notes.join("\n"));
        }
        match spot {
            Some(spot) => Report::new(diagnostic.with_labels(labels))
                .with_source_code(Snippet::new(spot.file, &spot.text)),
            None => Report::new(diagnostic),
        }
    }

    fn to_json(&self) -> Value {
        let made = &self.candidate.made.object;
        let origins = self.origins.iter().map(|origin| {
            let spot = |place: &Position| self.spot(origin, place).map(|spot| spot.to_json());
            let conditions = origin.conditions.iter();
            let conditions: Vec<Value> = conditions
                .map(|clause| json!({"text": clause.text, "at": spot(&clause.position)}))
                .collect();
            let parameters = origin.parameters.iter();
            let parameters: Vec<Value> = parameters
                .map(|parameter| {
                    json!({
                        "path": parameter.path,
                        "given": parameter.given,
                        "givenAt": self.given(origin, parameter).filter(|_| parameter.given).map(|spot| spot.to_json()),
                        "declaredAt": parameter.positions.first().and_then(spot),
                    })
                })
                .collect();
            json!({
                "kind": self.kind(origin),
                "definition": origin.definition,
                "field": origin.field,
                "text": origin.text,
                "at": spot(&origin.position),
                "value": origin.value,
                "conditions": conditions,
                "parameters": parameters,
            })
        });
        json!({
            "object": {
                "apiVersion": object::api_version(made),
                "kind": object::kind(made),
                "name": object::name(made),
                "owner": self.candidate.owner,
            },
            "path": self.path,
            "value": self.value,
            "setByCaravel": self.origins.is_empty(),
            "origins": origins.collect::<Vec<_>>(),
        })
    }
}
