use serde_json::{Value, json};

use super::*;

fn node(metadata: &Value) -> Node<&'static str> {
    Node::new("thing", &serde_json::from_value(metadata.clone()).unwrap())
}

fn owned_by(owners: &[(&str, bool)]) -> Value {
    let owners: Vec<_> = owners
        .iter()
        .map(|(uid, block)| json!({"apiVersion": "v1", "kind": "K", "name": uid, "uid": uid, "blockOwnerDeletion": block}))
        .collect();
    json!({"name": "d", "ownerReferences": owners})
}

fn deleting(finalizer: &str) -> Value {
    json!({"name": "o", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [finalizer, "other"]})
}

fn set(of: &[&str]) -> BTreeSet<Uid> {
    of.iter().map(|uid| (*uid).to_owned()).collect()
}

#[test]
fn an_object_goes_when_its_last_owner_is_gone() {
    let mut graph = Graph::default();
    graph.set("a".to_owned(), node(&json!({"name": "a"})));
    graph.set("b".to_owned(), node(&json!({"name": "b"})));
    graph.set("d".to_owned(), node(&owned_by(&[("a", true), ("b", true)])));
    assert_eq!(graph.judge("d"), Verdict::Stay);
    assert_eq!(graph.remove("a"), ["d"]);
    assert!(
        matches!(graph.judge("d"), Verdict::LookUp(owner) if owner.uid == "a"),
        "it is never deleted on a guess"
    );
    graph.looked_up("a".to_owned(), false);
    assert_eq!(graph.judge("d"), Verdict::Disown(set(&["a"])));
    graph.remove("b");
    graph.looked_up("b".to_owned(), false);
    assert_eq!(
        graph.judge("d"),
        Verdict::Delete(PropagationPolicy::Background)
    );
}

#[test]
fn an_owner_that_no_watch_shows_counts_when_it_was_found() {
    let mut graph = Graph::default();
    graph.set("d".to_owned(), node(&owned_by(&[("x", true)])));
    assert!(matches!(graph.judge("d"), Verdict::LookUp(_)));
    graph.looked_up("x".to_owned(), true);
    assert_eq!(graph.judge("d"), Verdict::Stay);
}

#[test]
fn a_foreground_deletion_waits_for_those_that_block_it() {
    let mut graph = Graph::default();
    graph.set("d".to_owned(), node(&owned_by(&[("o", true)])));
    graph.set("free".to_owned(), node(&owned_by(&[("o", false)])));
    graph.set("dd".to_owned(), node(&owned_by(&[("d", true)])));
    let affected = graph.set("o".to_owned(), node(&deleting(FOREGROUND)));
    assert_eq!(affected, ["o", "d", "free"]);
    assert_eq!(graph.judge("o"), Verdict::Stay);
    assert_eq!(
        graph.judge("d"),
        Verdict::Delete(PropagationPolicy::Foreground),
        "it has dependents of its own"
    );
    assert_eq!(
        graph.judge("free"),
        Verdict::Delete(PropagationPolicy::Background)
    );
    assert_eq!(graph.remove("d"), ["dd", "o"]);
    assert_eq!(
        graph.judge("o"),
        Verdict::Release(FOREGROUND),
        "the one that is left does not block"
    );
    assert_eq!(
        graph.get("o").unwrap().finalizers_without(FOREGROUND),
        ["other"]
    );
}

#[test]
fn another_owner_keeps_a_dependent_of_a_foreground_deletion() {
    let mut graph = Graph::default();
    graph.set("o".to_owned(), node(&deleting(FOREGROUND)));
    graph.set("p".to_owned(), node(&json!({"name": "p"})));
    graph.set("d".to_owned(), node(&owned_by(&[("o", true), ("p", true)])));
    assert_eq!(graph.judge("d"), Verdict::Disown(set(&["o"])));
}

#[test]
fn orphans_are_disowned_before_their_owner_goes() {
    let mut graph = Graph::default();
    graph.set("d".to_owned(), node(&owned_by(&[("o", true)])));
    graph.set("o".to_owned(), node(&deleting(ORPHAN)));
    assert_eq!(graph.judge("o"), Verdict::Stay);
    assert_eq!(graph.judge("d"), Verdict::Disown(set(&["o"])));
    assert_eq!(graph.set("d".to_owned(), node(&owned_by(&[]))), ["d", "o"]);
    assert_eq!(graph.judge("o"), Verdict::Release(ORPHAN));
    assert_eq!(graph.judge("d"), Verdict::Stay);
}
