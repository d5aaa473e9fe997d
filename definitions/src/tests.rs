use std::collections::BTreeSet;

use super::*;

/// Every `.cue` file on disk is embedded and found: a file that is not UTF-8 or lies in a wrong folder would be lost.
#[test]
fn every_file_is_a_definition() {
    let embedded = Files::iter().filter(|f| f.ends_with(".cue")).count();
    assert_eq!(all().count() + samples().count(), embedded);
    assert_eq!(
        all().count(),
        BUILTIN.iter().map(|(_, names)| names.len()).sum::<usize>()
    );
    assert_eq!(samples().count(), 10, "rows BD-092 to BD-101");
}

#[test]
fn kinds_come_in_order_and_names_are_sorted() {
    let listed: Vec<_> = all().map(|d| (d.kind, d.name)).collect();
    let rank = |kind| KINDS.iter().position(|(k, _)| *k == kind);
    let mut sorted = listed.clone();
    sorted.sort_by(|a, b| (rank(a.0), &a.1).cmp(&(rank(b.0), &b.1)));
    assert_eq!(listed, sorted);
    let unique: BTreeSet<_> = listed.iter().collect();
    assert_eq!(unique.len(), listed.len());
}

#[test]
fn what_a_file_says_agrees_with_its_place() {
    for d in all().chain(samples()) {
        let folder = d
            .file
            .trim_start_matches(SAMPLES)
            .split('/')
            .next()
            .unwrap();
        assert!(
            d.source.contains(&format!("\n\ttype: \"{folder}\"\n")),
            "{}: type is not {folder}",
            d.file
        );
        let quoted = format!("\"{}\": {{\n", d.name);
        let starts = d.source.starts_with(&quoted) || d.source.contains(&format!("\n{quoted}"));
        assert!(starts, "{}: does not define {}", d.file, d.name);
        assert!(
            d.source.contains("\ntemplate: {"),
            "{}: has no template",
            d.file
        );
        assert!(
            d.source.contains("\n\tdescription: \""),
            "{}: has no description",
            d.file
        );
    }
}

#[test]
fn each_example_belongs_to_a_definition_and_uses_it() {
    for file in Files::iter().filter(|f| f.ends_with(".example.yaml")) {
        let (folder, name) = file
            .strip_suffix(".example.yaml")
            .unwrap()
            .rsplit_once('/')
            .unwrap();
        let (set, folder) = folder.split_at(folder.rfind('/').map_or(0, |at| at + 1));
        let kind = KINDS.iter().find(|(_, f)| *f == folder).unwrap().0;
        let definition =
            read(set, kind, name).unwrap_or_else(|| panic!("{file} belongs to no definition"));
        let example = definition.example.unwrap();
        // KubeVela's definition and the policy that it describes are spelled differently.
        let used = if name == "envbinding" {
            "env-binding"
        } else {
            name
        };
        assert!(
            example.contains(&format!("type: {used}\n")),
            "{file} does not use {name}"
        );
    }
    for d in all().chain(samples()) {
        assert!(d.example.is_some(), "{} has no example", d.file);
    }
}

/// The names of rows BD-001 to BD-091.
const BUILTIN: [(DefinitionKind, &[&str]); 4] = [
    (
        DefinitionKind::Component,
        &[
            "cron-task",
            "daemon",
            "helmchart",
            "k8s-objects",
            "raw",
            "ref-objects",
            "statefulset",
            "task",
            "webservice",
            "worker",
        ],
    ),
    (
        DefinitionKind::Trait,
        &[
            "affinity",
            "annotations",
            "command",
            "configmap",
            "container-image",
            "container-ports",
            "cpuscaler",
            "env",
            "expose",
            "gateway",
            "hostalias",
            "hpa",
            "ingress",
            "ingress-1-20",
            "init-container",
            "json-merge-patch",
            "json-patch",
            "k8s-update-strategy",
            "labels",
            "lifecycle",
            "nocalhost",
            "node-affinity",
            "podsecuritycontext",
            "pure-ingress",
            "pvc",
            "resource",
            "scaler",
            "securitycontext",
            "service-account",
            "service-binding",
            "sidecar",
            "startup-probe",
            "storage",
            "topologyspreadconstraints",
            "volumes",
        ],
    ),
    (
        DefinitionKind::Policy,
        &[
            "apply-once",
            "envbinding",
            "garbage-collect",
            "override",
            "read-only",
            "replication",
            "resource-update",
            "shared-resource",
            "take-over",
            "topology",
        ],
    ),
    (
        DefinitionKind::WorkflowStep,
        &[
            "apply-application",
            "apply-application-in-parallel",
            "apply-component",
            "apply-deployment",
            "apply-object",
            "apply-remaining",
            "apply-terraform-config",
            "apply-terraform-provider",
            "build-push-image",
            "check-metrics",
            "clean-jobs",
            "collect-service-endpoints",
            "create-config",
            "delete-config",
            "depends-on-app",
            "deploy",
            "deploy-cloud-resource",
            "deploy2env",
            "deploy2runtime",
            "export-data",
            "export-service",
            "export2config",
            "export2secret",
            "generate-jdbc-connection",
            "list-config",
            "notification",
            "print-message-in-status",
            "read-config",
            "read-object",
            "request",
            "restart-workflow",
            "share-cloud-resource",
            "step-group",
            "suspend",
            "vela-cli",
            "webhook",
        ],
    ),
];

#[test]
fn every_definition_of_kubevela_is_here_and_no_other() {
    for (kind, names) in BUILTIN {
        let here: Vec<String> = all().filter(|d| d.kind == kind).map(|d| d.name).collect();
        assert_eq!(here, names);
    }
}

#[test]
fn samples_are_not_built_in() {
    let route = sample(DefinitionKind::Trait, "route").unwrap();
    assert_eq!(route.file, "samples/trait/route.cue");
    assert_eq!(get(DefinitionKind::Trait, "route"), None);
    assert!(all().all(|d| !d.file.starts_with(SAMPLES)));
    let (ours, theirs) = (
        get(DefinitionKind::Trait, "hpa"),
        sample(DefinitionKind::Trait, "hpa"),
    );
    assert_ne!(ours.unwrap().source, theirs.unwrap().source);
}

#[test]
fn an_unknown_name_is_none() {
    assert_eq!(get(DefinitionKind::Component, "nosuch"), None);
    assert_eq!(get(DefinitionKind::Workload, "webservice"), None);
    assert_eq!(get(DefinitionKind::Trait, "../component/webservice"), None);
}
