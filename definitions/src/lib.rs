//! The definitions that come with Caravel: one CUE file each, embedded into the program.
//!
//! A file `<kind>/<name>.cue` is a definition in the source format of row REN-001. Its text is ours; names,
//! parameters, defaults and what it renders are those of KubeVela (rows BD-001 to BD-091). Beside it lies an
//! example Application, `<kind>/<name>.example.yaml`.
//!
//! The folder `samples` holds a second set of the same form (rows BD-092 to BD-101). It is not installed by default,
//! because its objects need controllers that a cluster has seldom; `caravel def apply --sample NAME` installs one of it.

use std::borrow::Cow;

use caravel_core::engine::DefinitionKind;
use rust_embed::RustEmbed;

#[cfg(test)]
mod tests;

/// The kinds that have built-in definitions, in the order of [`all`].
const KINDS: [(DefinitionKind, &str); 4] = [
    (DefinitionKind::Component, "component"),
    (DefinitionKind::Trait, "trait"),
    (DefinitionKind::Policy, "policy"),
    (DefinitionKind::WorkflowStep, "workflow-step"),
];

#[derive(RustEmbed)]
#[folder = "."]
#[include = "*.cue"]
#[include = "*.example.yaml"]
struct Files;

/// Where the samples lie.
const SAMPLES: &str = "samples/";

/// A definition that comes with Caravel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Of which kind it is.
    pub kind: DefinitionKind,
    /// Its name, for instance `webservice`.
    pub name: String,
    /// Its file, for instance `component/webservice.cue` or `samples/trait/route.cue`, for positions in messages.
    pub file: String,
    /// Its CUE text (row REN-001).
    pub source: Cow<'static, str>,
    /// An Application that uses it, in YAML.
    pub example: Option<Cow<'static, str>>,
}

/// All built-in definitions: components, traits, policies, workflow steps; by name within a kind.
pub fn all() -> impl Iterator<Item = Definition> {
    within("")
}

/// The built-in definition of this kind and name. There are none of kind `workload`.
pub fn get(kind: DefinitionKind, name: &str) -> Option<Definition> {
    read("", kind, name)
}

/// The samples, in the order of [`all`]. Nobody has them unless they install them; some have the name of a
/// built-in definition and take its place then.
pub fn samples() -> impl Iterator<Item = Definition> {
    within(SAMPLES)
}

/// The sample of this kind and name.
pub fn sample(kind: DefinitionKind, name: &str) -> Option<Definition> {
    read(SAMPLES, kind, name)
}

fn within(set: &'static str) -> impl Iterator<Item = Definition> {
    KINDS.into_iter().flat_map(move |(kind, folder)| {
        let mut names: Vec<String> = Files::iter()
            .filter_map(|file| {
                let name = file
                    .strip_prefix(set)?
                    .strip_prefix(folder)?
                    .strip_prefix('/')?;
                Some(name.strip_suffix(".cue")?.to_owned())
            })
            .collect();
        names.sort_unstable();
        names
            .into_iter()
            .filter_map(move |name| read(set, kind, &name))
    })
}

fn read(set: &str, kind: DefinitionKind, name: &str) -> Option<Definition> {
    let (_, folder) = KINDS.into_iter().find(|(k, _)| *k == kind)?;
    let file = format!("{set}{folder}/{name}.cue");
    let source = text(&file)?;
    let example = text(&format!("{set}{folder}/{name}.example.yaml"));
    Some(Definition {
        kind,
        name: name.to_owned(),
        file,
        source,
        example,
    })
}

/// An embedded file as text; the tests prove that each one is UTF-8.
fn text(path: &str) -> Option<Cow<'static, str>> {
    match Files::get(path)?.data {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}
