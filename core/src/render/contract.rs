//! The contract of rendered objects: names, namespaces, labels, annotations (REN-008 … REN-010,
//! REN-020 … REN-022, reference sections 2.9 and 2.10).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::name::generated_name;
use super::object::{self, merge_texts, remove_texts, set_metadata};
use super::{RenderedObject, Role, Target};
use crate::api::LOCAL_CLUSTER;
use crate::api::labels::{self, annotations};
use crate::appfile::{AppComponent, Appfile};

type Texts = BTreeMap<String, String>;

/// Annotations that are never copied from the Application.
const PRIVATE_ANNOTATIONS: [&str; 4] = [
    "app.oam.dev/inplace-upgrade",
    annotations::FILTER_ANNOTATION_KEYS,
    annotations::FILTER_LABEL_KEYS,
    annotations::KUBECTL_LAST_APPLIED,
];

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> Texts {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Applies the contract to the objects of one component.
pub(super) struct Contract<'a> {
    appfile: &'a Appfile,
    component: &'a AppComponent,
    target: &'a Target,
}

impl<'a> Contract<'a> {
    pub(super) fn new(
        appfile: &'a Appfile,
        component: &'a AppComponent,
        target: &'a Target,
    ) -> Self {
        Self {
            appfile,
            component,
            target,
        }
    }

    fn component_name(&self) -> &str {
        &self.component.spec.name
    }

    fn revision(&self) -> &str {
        self.target.revision_or(&self.appfile.revision)
    }

    /// What every object carries before it is named: it counts for generated names, but for the
    /// revision.
    fn first_labels(&self) -> Texts {
        texts([
            (labels::APP_NAME, &self.appfile.name),
            (labels::APP_COMPONENT, self.component_name()),
            (labels::APP_REVISION, self.revision()),
        ])
    }

    /// The Application's own labels, then those of the contract, without the filtered ones.
    fn common_labels(&self) -> Texts {
        let mut common = self.appfile.labels.clone();
        common.extend(self.first_labels());
        common.insert(
            labels::APP_NAMESPACE.to_owned(),
            self.appfile.namespace.clone(),
        );
        for key in self.filtered(annotations::FILTER_LABEL_KEYS) {
            common.remove(key);
        }
        common
    }

    fn filtered(&self, annotation: &str) -> impl Iterator<Item = &'a str> {
        let list = self.appfile.annotations.get(annotation);
        list.map(String::as_str)
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
    }

    /// Finishes the workload.
    pub(super) fn workload(&self, mut object: Value) -> RenderedObject {
        let mut first = self.first_labels();
        first.insert(
            labels::WORKLOAD_TYPE.to_owned(),
            self.component.resolved.type_name.clone(),
        );
        merge_texts(&mut object, "labels", &first);
        if object::name(&object).is_empty() {
            set_metadata(&mut object, "name", self.component_name());
        }
        self.set_namespace(&mut object);
        self.finish(&mut object, labels::WORKLOAD);
        self.place(&mut object);
        RenderedObject {
            managed_elsewhere: self.component.workload_is_managed(),
            ..RenderedObject::new(object, Role::Workload)
        }
    }

    /// Finishes an object of `outputs`: of the component itself, or of its trait with that index.
    ///
    /// # Errors
    /// If the workload cannot be referred to at the trait's `workloadRefPath`.
    pub(super) fn output(
        &self,
        mut object: Value,
        output_name: &str,
        trait_index: Option<usize>,
        workload: &Value,
    ) -> Result<RenderedObject, String> {
        let owner = trait_index.and_then(|index| self.component.traits.get(index));
        let trait_type = owner.map_or(labels::AUXILIARY_WORKLOAD, |part| {
            part.resolved.type_name.as_str()
        });
        let mut first = self.first_labels();
        first.insert(labels::TRAIT_TYPE.to_owned(), trait_type.to_owned());
        if !output_name.is_empty() {
            first.insert(labels::TRAIT_RESOURCE.to_owned(), output_name.to_owned());
        }
        merge_texts(&mut object, "labels", &first);
        self.set_name(&mut object, trait_type);
        self.finish(&mut object, labels::TRAIT);
        self.set_namespace(&mut object);
        let mut rendered = RenderedObject {
            output_name: output_name.to_owned(),
            ..RenderedObject::new(object, Role::Auxiliary)
        };
        if let Some(part) = owner {
            let definition = &part.resolved.definition;
            rendered.role = Role::Trait;
            rendered.trait_type = Some(trait_type.to_owned());
            rendered.trait_index = trait_index;
            rendered.stage = definition.stage;
            if !definition.workload_ref_path.is_empty() {
                let reference = json!({
                    "apiVersion": object::api_version(workload),
                    "kind": object::kind(workload),
                    "name": object::name(workload),
                });
                object::set_path(
                    &mut rendered.object,
                    &definition.workload_ref_path,
                    reference,
                )?;
            }
        }
        self.place(&mut rendered.object);
        if let Some(part) = owner.filter(|_| self.target.dispatch) {
            self.dispatch_of_trait(part, &mut rendered);
        }
        Ok(rendered)
    }

    fn set_name(&self, object: &mut Value, trait_type: &str) {
        if !object::name(object).is_empty() {
            return;
        }
        let mut hashed = object.clone();
        remove_texts(&mut hashed, "labels", [labels::APP_REVISION]);
        let name = generated_name(self.component_name(), trait_type, &hashed);
        set_metadata(object, "name", name);
    }

    /// Kind Namespace has none; everything else gets one, cluster-scoped kinds too (TRAPS 6): who
    /// applies it knows the scopes of the target and takes it off.
    fn set_namespace(&self, object: &mut Value) {
        let is_namespace =
            object::kind(object) == "Namespace" && object::api_version(object) == "v1";
        if !is_namespace && object::namespace(object).is_empty() {
            set_metadata(object, "namespace", self.appfile.namespace.as_str());
        }
    }

    fn finish(&self, object: &mut Value, resource_type: &str) {
        let mut common = self.common_labels();
        common
            .entry(labels::RESOURCE_TYPE.to_owned())
            .or_insert_with(|| resource_type.to_owned());
        merge_texts(object, "labels", &common);
        merge_texts(object, "annotations", &self.appfile.annotations);
        let filtered = self.filtered(annotations::FILTER_ANNOTATION_KEYS);
        remove_texts(
            object,
            "annotations",
            PRIVATE_ANNOTATIONS.into_iter().chain(filtered),
        );
    }

    /// What only a real dispatch adds: hash of the revision, cluster, the placement's namespace.
    fn place(&self, object: &mut Value) {
        if !self.target.dispatch {
            return;
        }
        let mut added = texts([(labels::APP_REVISION_HASH, &self.target.revision_hash)]);
        if object::label(object, labels::APP_CLUSTER).is_none_or(str::is_empty) {
            added.insert(labels::APP_CLUSTER.to_owned(), self.target.cluster.clone());
        }
        merge_texts(object, "labels", &added);
        if !self.target.namespace.is_empty() && !object::namespace(object).is_empty() {
            set_metadata(object, "namespace", self.target.namespace.as_str());
        }
    }

    fn dispatch_of_trait(&self, part: &crate::appfile::AppTrait, rendered: &mut RenderedObject) {
        let definition = &part.resolved.definition;
        if definition.manage_workload {
            let managed = texts([(labels::MANAGE_WORKLOAD, "true")]);
            merge_texts(&mut rendered.object, "labels", &managed);
        }
        if definition.control_plane_only {
            let local = texts([(labels::APP_CLUSTER, LOCAL_CLUSTER)]);
            merge_texts(&mut rendered.object, "labels", &local);
            set_metadata(
                &mut rendered.object,
                "namespace",
                self.appfile.namespace.as_str(),
            );
            rendered.control_plane_only = true;
        }
    }
}

/// The labels of objects that policies render (TRAPS 5): no more than these.
pub(super) fn label_policy_object(
    object: &mut Value,
    appfile: &Appfile,
    policy: &str,
    revision: &str,
) {
    let own = texts([
        (labels::APP_NAME, &appfile.name),
        (labels::APP_COMPONENT, policy),
        (labels::APP_REVISION, revision),
    ]);
    merge_texts(object, "labels", &own);
    if object::name(object).is_empty() {
        set_metadata(object, "name", policy);
    }
    if object::namespace(object).is_empty() {
        set_metadata(object, "namespace", appfile.namespace.as_str());
    }
}
