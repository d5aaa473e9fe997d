//! The built-in definitions of Caravel: one CUE file each, embedded into the program.
//!
//! A file `<kind>/<name>.cue` is a definition in the source format of row REN-001. Its text is ours; names,
//! parameters, defaults and what it renders are those of KubeVela (rows BD-001 to BD-091). Beside it lies an
//! example Application, `<kind>/<name>.example.yaml`.

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
#[include = "component/*"]
#[include = "trait/*"]
#[include = "policy/*"]
#[include = "workflow-step/*"]
struct Files;

/// A built-in definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Of which kind it is.
    pub kind: DefinitionKind,
    /// Its name, for instance `webservice`.
    pub name: String,
    /// Its file, for instance `component/webservice.cue`, for positions in messages.
    pub file: String,
    /// Its CUE text (row REN-001).
    pub source: Cow<'static, str>,
    /// An Application that uses it, in YAML; policies share one.
    pub example: Option<Cow<'static, str>>,
}

/// All built-in definitions: components, traits, policies, workflow steps; by name within a kind.
pub fn all() -> impl Iterator<Item = Definition> {
    KINDS.into_iter().flat_map(|(kind, folder)| {
        let mut names: Vec<String> = Files::iter()
            .filter_map(|file| {
                let name = file.strip_prefix(folder)?.strip_prefix('/')?;
                Some(name.strip_suffix(".cue")?.to_owned())
            })
            .collect();
        names.sort_unstable();
        names.into_iter().filter_map(move |name| get(kind, &name))
    })
}

/// The built-in definition of this kind and name. There are none of kind `workload`.
pub fn get(kind: DefinitionKind, name: &str) -> Option<Definition> {
    let (_, folder) = KINDS.into_iter().find(|(k, _)| *k == kind)?;
    let file = format!("{folder}/{name}.cue");
    let source = text(&file)?;
    let example = text(&format!("{folder}/{name}.example.yaml"));
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
