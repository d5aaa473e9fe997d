//! What `override` policies make of components (POL-008, TRAPS 31).

use regex::Regex;
use serde_json::{Map, Value};

use crate::api::{ApplicationComponent, ApplicationTrait};
use crate::appfile::{
    ComponentPatch, Override, Provenance, TraitPatch, traced_component, traced_override,
};

/// Applies one override.
///
/// A patch without a name is for all components (of its type). A name is a pattern: `*` stands for any
/// text, the rest is a regular expression that may match anywhere in the name. A match of another type is
/// replaced by the patch, its name included. A patch that matches nothing adds a component if its name
/// has a lower-case letter, and is without effect otherwise. The selector keeps components by the name
/// that they had before.
pub fn apply(components: &[ApplicationComponent], policy: &Override) -> Vec<ApplicationComponent> {
    let mut slots: Vec<Slot> = Vec::with_capacity(components.len());
    for component in components {
        // Of two components with one name the later one counts, in both places.
        for slot in slots.iter_mut().filter(|slot| slot.name == component.name) {
            slot.component = component.clone();
        }
        slots.push(Slot {
            name: component.name.clone(),
            component: component.clone(),
        });
    }
    for patch in &policy.components {
        patch_slots(&mut slots, patch);
    }
    let kept = |slot: &Slot| {
        policy
            .selector
            .as_ref()
            .is_none_or(|selector| selector.contains(&slot.name))
    };
    slots
        .into_iter()
        .filter(kept)
        .map(|slot| slot.component)
        .collect()
}

/// Applies overrides one after the other, each with the path of its policy, and says where the parts of each component
/// stand then.
///
/// Components and overrides with places in place of values go the same way: what comes of them is where the values come
/// from.
pub fn apply_all(
    components: &[ApplicationComponent],
    policies: &[(&str, &Override)],
) -> Vec<(ApplicationComponent, Provenance)> {
    let path = |index: usize| format!("spec.components[{index}]");
    if policies.is_empty() {
        let written = components.iter().cloned().enumerate();
        return written
            .map(|(index, component)| (component, Provenance::written(path(index))))
            .collect();
    }
    let traced = components.iter().enumerate();
    let mut traced: Vec<_> = traced
        .map(|(index, component)| traced_component(component, &path(index)))
        .collect();
    let mut patched = components.to_vec();
    for (path, policy) in policies {
        patched = apply(&patched, policy);
        traced = apply(&traced, &traced_override(policy, path));
    }
    let provenances = traced.into_iter().map(Provenance::overridden);
    patched.into_iter().zip(provenances).collect()
}

/// A component under the name that patches know it by.
struct Slot {
    name: String,
    component: ApplicationComponent,
}

fn patch_slots(slots: &mut Vec<Slot>, patch: &ComponentPatch) {
    if patch.name.is_empty() {
        let of_type =
            |slot: &&mut Slot| patch.type_.is_empty() || patch.type_ == slot.component.type_;
        for slot in slots.iter_mut().filter(of_type) {
            merge_component(&mut slot.component, patch);
        }
        return;
    }
    let mut matched = false;
    if let Some(pattern) = pattern(&patch.name) {
        for slot in slots.iter_mut().filter(|slot| pattern.is_match(&slot.name)) {
            matched = true;
            if patch.type_.is_empty() || patch.type_ == slot.component.type_ {
                merge_component(&mut slot.component, patch);
            } else {
                slot.component = new_component(patch);
            }
        }
    }
    if !matched
        && patch
            .name
            .contains(|letter: char| letter.is_ascii_lowercase())
    {
        slots.push(Slot {
            name: patch.name.clone(),
            component: new_component(patch),
        });
    }
}

fn pattern(name: &str) -> Option<Regex> {
    Regex::new(&name.replace('*', ".*")).ok()
}

/// Whether the name of a patch means a component.
pub(crate) fn names(patch: &str, component: &str) -> bool {
    pattern(patch).is_some_and(|pattern| pattern.is_match(component))
}

fn new_component(patch: &ComponentPatch) -> ApplicationComponent {
    ApplicationComponent {
        name: patch.name.clone(),
        type_: patch.type_.clone(),
        external_revision: some_text(&patch.external_revision),
        properties: patch.properties.clone(),
        traits: patch.traits.iter().map(TraitPatch::to_trait).collect(),
        ..ApplicationComponent::default()
    }
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn merge_component(component: &mut ApplicationComponent, patch: &ComponentPatch) {
    component.properties = Some(merge_properties(
        component.properties.take(),
        patch.properties.as_ref(),
    ));
    if let Some(revision) = some_text(&patch.external_revision) {
        component.external_revision = Some(revision);
    }
    merge_traits(&mut component.traits, &patch.traits);
}

fn merge_traits(traits: &mut Vec<ApplicationTrait>, patches: &[TraitPatch]) {
    // Traits of one type are one to KubeVela: the last of them counts, in the place of each.
    for index in 0..traits.len() {
        if let Some(last) = traits
            .iter()
            .rposition(|other| other.type_ == traits[index].type_)
        {
            traits[index] = traits[last].clone();
        }
    }
    for patch in patches {
        let known = traits.iter().any(|part| part.type_ == patch.type_);
        match (known, patch.disable) {
            (true, true) => traits.retain(|part| part.type_ != patch.type_),
            (true, false) => {
                for part in traits.iter_mut().filter(|part| part.type_ == patch.type_) {
                    let base = part.properties.take();
                    part.properties = Some(merge_properties(base, patch.properties.as_ref()));
                }
            }
            (false, true) => {}
            (false, false) => traits.push(patch.to_trait()),
        }
    }
}

fn merge_properties(base: Option<Value>, patch: Option<&Value>) -> Value {
    let mut merged = match base {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    if let Some(Value::Object(patch)) = patch {
        merge(&mut merged, patch);
    }
    Value::Object(merged)
}

/// Objects are merged field by field, everything else replaces what was there.
fn merge(base: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match (base.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn components(names: &[(&str, &str)]) -> Vec<ApplicationComponent> {
        names
            .iter()
            .map(|(name, type_)| ApplicationComponent {
                name: (*name).to_owned(),
                type_: (*type_).to_owned(),
                properties: Some(json!({"image": "a", "labels": {"x": "1"}, "cmd": ["a", "b"]})),
                ..ApplicationComponent::default()
            })
            .collect()
    }

    fn policy(value: Value) -> Override {
        serde_json::from_value(value).unwrap()
    }

    fn shown(components: &[ApplicationComponent]) -> Vec<(&str, &str)> {
        components
            .iter()
            .map(|part| (part.name.as_str(), part.type_.as_str()))
            .collect()
    }

    #[test]
    fn objects_are_merged_and_lists_replaced() {
        let patch = json!({"components": [
            {"properties": {"labels": {"y": "2"}, "cmd": ["c"], "image": null}},
        ]});
        let patched = apply(&components(&[("web", "worker")]), &policy(patch));
        assert_eq!(
            patched[0].properties,
            Some(json!({"image": null, "labels": {"x": "1", "y": "2"}, "cmd": ["c"]}))
        );
    }

    #[test]
    fn a_name_matches_anywhere_and_another_type_replaces_the_component() {
        let base = components(&[("web", "worker"), ("my-web-2", "worker"), ("api", "task")]);
        let patched = apply(
            &base,
            &policy(json!({"components": [
                {"name": "web", "type": "webservice"},
            ]})),
        );
        assert_eq!(
            shown(&patched),
            [
                ("web", "webservice"),
                ("web", "webservice"),
                ("api", "task")
            ]
        );
    }

    #[test]
    fn a_name_that_matches_nothing_adds_a_component_if_it_can_be_one() {
        let base = components(&[("api", "task")]);
        let patched = apply(
            &base,
            &policy(json!({"components": [
                {"name": "we[b", "type": "x"}, {"name": "123", "type": "x"}, {"name": "UP*"},
            ]})),
        );
        assert_eq!(shown(&patched), [("api", "task"), ("we[b", "x")]);
    }

    #[test]
    fn what_is_overridden_stands_in_the_override() {
        let mut base = components(&[("dropped", "t"), ("web", "t")]);
        base[1].traits = vec![ApplicationTrait {
            type_: "scaler".into(),
            properties: Some(json!({"replicas": 1})),
        }];
        let first = policy(json!({"selector": ["web"], "components": [
            {"name": "web", "properties": {"labels": {"a.b/c": 1, "y": 2}, "cmd": [1]}},
        ]}));
        let second = policy(json!({"components": [
            {"traits": [{"type": "scaler", "properties": {"min": 1}}, {"type": "env"}]},
            {"name": "new", "type": "u", "properties": {"image": "a"}},
        ]}));
        let made = apply_all(&base, &[("P1", &first), ("Policy x", &second)]);
        let places = |index: usize, inner: &[&str]| -> Vec<String> {
            inner.iter().map(|one| made[index].1.place(one)).collect()
        };
        assert_eq!(
            places(
                0,
                &[
                    "",
                    "type",
                    "properties.image",
                    "properties.missing",
                    "properties.labels.x",
                    "properties.labels.y",
                    "properties.labels.\"a.b/c\"",
                    "properties.cmd[0].name"
                ]
            ),
            [
                "spec.components[1]",
                "spec.components[1].type",
                "spec.components[1].properties.image",
                "spec.components[1].properties.missing",
                "spec.components[1].properties.labels.x",
                "P1.properties.components[0].properties.labels.y",
                "P1.properties.components[0].properties.labels.\"a.b/c\"",
                "P1.properties.components[0].properties.cmd[0].name"
            ]
        );
        assert_eq!(
            places(
                0,
                &[
                    "traits[0].type",
                    "traits[0].properties.replicas",
                    "traits[0].properties.min",
                    "traits[1].type",
                    "traits[1].properties.name"
                ]
            ),
            [
                "spec.components[1].traits[0].type",
                "spec.components[1].traits[0].properties.replicas",
                "Policy x.properties.components[0].traits[0].properties.min",
                "Policy x.properties.components[0].traits[1].type",
                "Policy x.properties.components[0].traits[1].properties.name"
            ]
        );
        assert_eq!(
            places(1, &["", "type", "properties.image", "properties.cpu"]),
            [
                "Policy x.properties.components[1]",
                "Policy x.properties.components[1].type",
                "Policy x.properties.components[1].properties.image",
                "Policy x.properties.components[1].properties.cpu"
            ]
        );
        let moved = made[0].1.relocate("spec.components[1].properties.cmd");
        assert_eq!(moved, "P1.properties.components[0].properties.cmd");
    }

    #[test]
    fn the_selector_keeps_components_in_their_own_order() {
        let base = components(&[("a", "t"), ("b", "t"), ("c", "t")]);
        let kept = apply(&base, &policy(json!({"selector": ["c", "a"]})));
        assert_eq!(shown(&kept), [("a", "t"), ("c", "t")]);
        assert_eq!(apply(&base, &policy(json!({"selector": []}))), []);
    }

    #[test]
    fn traits_are_merged_by_type_and_can_be_disabled() {
        let mut base = components(&[("a", "t")]);
        base[0].traits = vec![
            ApplicationTrait {
                type_: "scaler".into(),
                properties: Some(json!({"replicas": 1})),
            },
            ApplicationTrait {
                type_: "env".into(),
                properties: None,
            },
        ];
        let patched = apply(
            &base,
            &policy(json!({"components": [{"name": "a", "traits": [
                {"type": "scaler", "properties": {"replicas": 3}},
                {"type": "env", "disable": true},
                {"type": "labels", "properties": {"a": "b"}},
            ]}]})),
        );
        let traits: Vec<_> = patched[0]
            .traits
            .iter()
            .map(|part| {
                (
                    part.type_.as_str(),
                    part.properties.clone().unwrap_or_default(),
                )
            })
            .collect();
        assert_eq!(
            traits,
            [
                ("scaler", json!({"replicas": 3})),
                ("labels", json!({"a": "b"}))
            ]
        );
    }
}
