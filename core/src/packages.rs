//! Packages of CUE that users register (`Package` objects, rows CRD-012, PRV-045), and which of them a template needs.

use std::collections::BTreeMap;

use crate::api::{Package, SYSTEM_NAMESPACE};
use crate::engine::{self, Endpoint, Operation};

/// Namespace and name.
type Place = (String, String);

/// Whether a template seems to import packages that are neither ours nor plainly CUE's own: a quick answer, which errs on the
/// side of yes.
pub fn imports_others(template: &str) -> bool {
    let is_other = |path: &str| {
        path.contains('/') && !path.starts_with("vela/") && !path.starts_with("encoding/")
    };
    let mut inside = false;
    template.lines().map(str::trim).any(|line| {
        let begins = line.strip_prefix("import");
        let imports = begins.unwrap_or(line);
        let is_import = inside || begins.is_some();
        if begins.is_some_and(|rest| rest.trim_start().starts_with('(')) {
            inside = true;
        }
        if line.contains(')') {
            inside = false;
        }
        // What stands in quotes.
        is_import && imports.split('"').skip(1).step_by(2).any(is_other)
    })
}

/// All packages that there are. They may be imported from everywhere; of two with one path that of the Application's
/// namespace goes before that of the system's, and that before all others.
#[derive(Clone, Debug, Default)]
pub struct Packages(BTreeMap<Place, engine::Package>);

impl Packages {
    /// Adds a package, or takes its new form.
    pub fn insert(&mut self, package: Package) {
        self.0.insert(place(&package), read(package));
    }

    /// Adds a package unless there is one of its name and namespace.
    pub fn insert_unless_known(&mut self, package: Package) {
        let place = place(&package);
        self.0.entry(place).or_insert_with(|| read(package));
    }

    /// Forgets a package.
    pub fn remove(&mut self, package: &Package) {
        self.0.remove(&place(package));
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Puts the packages that an operation's templates import beside them.
    pub fn attach(&self, namespace: &str, operation: &mut Operation) {
        if self.0.is_empty() {
            return;
        }
        let (sources, packages) = match operation {
            Operation::Render(request) => {
                let templates = request.component.iter().chain(&request.traits);
                let sources = templates.map(|one| one.source.as_str()).collect();
                (sources, &mut request.packages)
            }
            Operation::Explain(request) => {
                let render = &mut request.render;
                let templates = render.component.iter().chain(&render.traits);
                let sources = templates.map(|one| one.source.as_str()).collect();
                (sources, &mut render.packages)
            }
            Operation::Policy(request) => (vec![&*request.template.source], &mut request.packages),
            Operation::Config(request) => (vec![&*request.template.source], &mut request.packages),
            Operation::Step(request) => (vec![&*request.template.source], &mut request.packages),
            Operation::Schema(request) => (vec![&*request.source], &mut request.packages),
            Operation::Validate(request) => {
                (vec![&*request.template.source], &mut request.packages)
            }
            _ => return,
        };
        *packages = self.imported(namespace, sources);
    }

    /// The packages that texts import, and those that these import.
    fn imported<'a>(&'a self, namespace: &str, mut texts: Vec<&'a str>) -> Vec<engine::Package> {
        let mut in_order: Vec<(&Place, &engine::Package)> = self.0.iter().collect();
        in_order.sort_by_key(|((place, _), _)| (place != namespace, place != SYSTEM_NAMESPACE));
        let mut found: BTreeMap<&str, &engine::Package> = BTreeMap::new();
        while let Some(text) = texts.pop() {
            for (_, package) in &in_order {
                let is_named = text.contains(&format!("\"{}\"", package.path));
                if is_named && !found.contains_key(package.path.as_str()) {
                    found.insert(&package.path, package);
                    texts.extend(package.files.values().map(String::as_str));
                }
            }
        }
        found.into_values().cloned().collect()
    }
}

fn place(package: &Package) -> Place {
    let metadata = &package.metadata;
    (
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}

/// Annotation of a Package: the authority that the certificate of its server is of, as PEM.
const CA_BUNDLE: &str = "caravel.dev/ca-bundle";

fn read(package: Package) -> engine::Package {
    let annotations = package.metadata.annotations.unwrap_or_default();
    let ca = annotations.get(CA_BUNDLE).cloned().unwrap_or_default();
    engine::Package {
        name: package.metadata.name.unwrap_or_default(),
        path: package.spec.path,
        files: package.spec.templates,
        endpoint: package.spec.provider.map(|provider| Endpoint {
            protocol: provider.protocol,
            address: provider.endpoint,
            ca,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::{RenderRequest, Template};

    fn package(namespace: &str, name: &str, path: &str, text: &str) -> Package {
        serde_json::from_value(json!({
            "apiVersion": "cue.oam.dev/v1alpha1", "kind": "Package",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"path": path, "templates": {"a.cue": text},
                     "provider": {"protocol": "http", "endpoint": "http://127.0.0.1:9"}},
        }))
        .expect("a Package")
    }

    #[test]
    fn a_server_may_have_an_authority_of_its_own() {
        let mut package = package("a", "b", "c", "");
        let annotations = [(CA_BUNDLE.to_owned(), "PEM".to_owned())];
        package.metadata.annotations = Some(annotations.into());
        let endpoint = read(package).endpoint.expect("a server");
        assert_eq!(endpoint.ca, "PEM");
    }

    #[test]
    fn imports_of_others_are_noticed() {
        for (template, expected) in [
            ("import \"ext/greeter\"\nx: 1", true),
            ("import (\n\t\"strings\"\n\tg \"ext/greeter\"\n)\n", true),
            ("import (\"vela/kube\", \"ext/greeter\")\n", true),
            (
                "import (\n\t\"vela/kube\"\n\t\"encoding/json\"\n)\nurl: \"a/b\"\n",
                false,
            ),
            ("import \"strings\"\noutput: {image: \"a/b\"}", false),
        ] {
            assert_eq!(imports_others(template), expected, "{template}");
        }
    }

    #[test]
    fn only_what_is_imported_goes_along_and_the_own_namespace_goes_first() {
        let mut packages = Packages::default();
        for one in [
            package("vela-system", "greet", "ext/greet", "import \"ext/base\""),
            package("prod", "greet", "ext/greet", "package greet // ours"),
            package("vela-system", "base", "ext/base", "package base"),
            package("vela-system", "other", "ext/other", "package other"),
        ] {
            packages.insert(one);
        }
        let attached = |namespace: &str| {
            let mut operation = Operation::Render(RenderRequest {
                component: Some(Template {
                    source: "import \"ext/greet\"".to_owned(),
                    ..Template::default()
                }),
                ..RenderRequest::default()
            });
            packages.attach(namespace, &mut operation);
            let Operation::Render(request) = operation else {
                return Vec::new();
            };
            request
                .packages
                .into_iter()
                .map(|one| (one.path, one.files.into_values().collect::<String>()))
                .collect()
        };
        let own = ("ext/greet".to_owned(), "package greet // ours".to_owned());
        assert_eq!(attached("prod"), [own]);
        let paths: Vec<String> = attached("demo").into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["ext/base", "ext/greet"]);
    }
}
