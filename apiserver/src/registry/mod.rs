//! What a write does to an object, whatever its kind.

mod addresses;
mod create;
mod delete;
mod lists;
mod meta;
mod names;
mod patch;
mod scale;
mod strategy;
mod update;

use std::sync::Arc;

use serde_json::Value;

pub(crate) use self::addresses::Addresses;
pub(crate) use self::create::create;
pub(crate) use self::delete::{DeleteOptions, delete, delete_collection};
pub(crate) use self::lists::{ListOptions, Page, VersionMatch, invalid as invalid_list, list};
pub(crate) use self::patch::{PatchType, patch};
pub(crate) use self::scale::{patch_scale, read_scale, replace_scale};
pub(crate) use self::strategy::has_status;
pub(crate) use self::update::{replace, update_with};

use caravel_merge::patch::MAX_DEPTH;

use crate::admission::{AdmissionAttributes, Operation};
use crate::catalog::Kind;
use crate::core::Core;
use crate::identity::Identity;
use crate::request::Target;
use crate::status::{Result, Status};
use crate::store::{Draft, Key, Object, WriteError};

/// The largest object that is stored.
pub(crate) const MAX_OBJECT: usize = 3 << 20;

/// How unknown and repeated fields are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// Dropped silently.
    Ignore,
    /// Dropped, with a warning.
    #[default]
    Warn,
    /// Refused.
    Strict,
}

/// Options of a write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) dry_run: bool,
    pub(crate) field_manager: String,
    pub(crate) field_validation: FieldValidation,
    pub(crate) force: bool,
}

/// One request for one resource: who, what, where.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) core: Arc<Core>,
    pub(crate) kind: Arc<Kind>,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
    pub(crate) user: Identity,
    pub(crate) options: Options,
}

/// What a write answers.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The object after it.
    pub(crate) object: Answer,
    /// Words for the client.
    pub(crate) warnings: Vec<String>,
    /// Is the object new?
    pub(crate) created: bool,
}

/// An object to answer with.
#[derive(Debug)]
pub(crate) enum Answer {
    /// As it is stored.
    Stored(Arc<Object>),
    /// Made up for the answer.
    Value(Value),
}

impl Answer {
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Stored(object) => object.value(),
            Self::Value(value) => value,
        }
    }
}

impl Call {
    pub(crate) fn key(&self) -> Key {
        self.key_of(&self.name)
    }

    fn key_of(&self, name: &str) -> Key {
        let namespace = if self.kind.resource.namespaced {
            self.namespace.as_str()
        } else {
            ""
        };
        Key::new(Arc::clone(&self.kind.stored_as), namespace, name)
    }

    fn not_found(&self) -> Status {
        Status::not_found(self.kind.group(), self.kind.plural(), &self.name)
    }

    fn conflict(&self, why: &str) -> Status {
        Status::conflict(self.kind.group(), self.kind.plural(), &self.name, why)
    }

    fn invalid(&self, name: &str, errors: &[caravel_schema::field::Error]) -> Status {
        Status::invalid(self.kind.group(), self.kind.kind(), name, errors)
    }

    fn encode(object: &Value) -> Result<Draft> {
        // Clients put it into lists, and many of them go no deeper than 128 levels: one object would hide all.
        if caravel_merge::patch::depth(object) > MAX_DEPTH {
            return Err(Status::bad_request(format!(
                "the object is nested deeper than {MAX_DEPTH} levels, its managedFields included"
            )));
        }
        let draft = Draft::encode(object).map_err(|error| {
            Status::bad_request(format!("the object cannot be stored: {error}"))
        })?;
        if draft.len() > MAX_OBJECT {
            return Err(Status::too_large(MAX_OBJECT));
        }
        Ok(draft)
    }

    /// Asks admission about a write.
    async fn admit(
        &self,
        operation: Operation,
        name: &str,
        object: &mut Value,
        old: &Value,
    ) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        for decider in self.core.admission.load_full().iter() {
            let attributes = AdmissionAttributes {
                operation,
                group: self.kind.group(),
                version: &self.kind.resource.version,
                kind: self.kind.kind(),
                resource: self.kind.plural(),
                subresource: &self.subresource,
                namespace: &self.namespace,
                name,
                object,
                old,
                user: &self.user,
                dry_run: self.options.dry_run,
            };
            warnings.extend(decider.admit(attributes).await.map_err(|denial| denial.0)?);
        }
        Ok(warnings)
    }

    /// Refuses a user who may change objects by this request but not create them.
    fn authorize_create(&self) -> Result<()> {
        let target = Target {
            verb: "create",
            group: self.kind.group().to_owned(),
            version: self.kind.resource.version.to_string(),
            resource: self.kind.plural().to_owned(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            ..Target::default()
        };
        self.core.auth.authorize(&self.core, &self.user, &target)
    }

    /// The failure of the store as the client sees it.
    fn failed(&self, name: &str, error: WriteError) -> Status {
        let (group, plural) = (self.kind.group(), self.kind.plural());
        match error {
            WriteError::Exists => Status::already_exists(group, plural, name),
            WriteError::Missing => Status::not_found(group, plural, name),
            WriteError::Changed(_) => Status::conflict(group, plural, name, MODIFIED),
            WriteError::Backend(why) => {
                Status::unavailable(format!("the write was not stored: {why}"))
            }
            WriteError::Closed => Status::unavailable("the server is shutting down"),
        }
    }

    /// Things that must follow a write before it is answered.
    fn written(&self) {
        if *self.kind.stored_as == *crate::catalog::CRDS {
            self.core.refresh_catalog();
        }
    }
}

/// Why an optimistic write failed.
const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";
