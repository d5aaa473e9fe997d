use std::collections::BTreeSet;

use super::*;

/// Every `.cue` file on disk is embedded and found: a file that is not UTF-8 or lies in a wrong folder would be lost.
#[test]
fn every_file_is_a_definition() {
    let embedded = Files::iter().filter(|f| f.ends_with(".cue")).count();
    assert_eq!(all().count(), embedded);
    assert!(embedded > 0);
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
    for d in all() {
        let folder = d.file.split('/').next().unwrap();
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
            .split_once('/')
            .unwrap();
        let kind = KINDS.iter().find(|(_, f)| *f == folder).unwrap().0;
        let definition =
            get(kind, name).unwrap_or_else(|| panic!("{file} belongs to no definition"));
        let example = definition.example.unwrap();
        assert!(
            example.contains(&format!("type: {name}\n")),
            "{file} does not use {name}"
        );
    }
    for d in all().filter(|d| d.kind != DefinitionKind::Policy) {
        assert!(d.example.is_some(), "{} has no example", d.file);
    }
}

#[test]
fn an_unknown_name_is_none() {
    assert_eq!(get(DefinitionKind::Component, "nosuch"), None);
    assert_eq!(get(DefinitionKind::Workload, "webservice"), None);
    assert_eq!(get(DefinitionKind::Trait, "../component/webservice"), None);
}
