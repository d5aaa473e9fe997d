//! Conflicts of an apply: fields that another manager owns with another value.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::managed::Manager;
use crate::path::Path;
use crate::set::FieldSet;

/// A field that another manager owns with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub(crate) manager: Manager,
    /// The field.
    pub path: Path,
}

impl Conflict {
    /// The manager as messages name it: `"kubectl" with subresource "scale" using apps/v1`.
    pub fn manager(&self) -> String {
        self.manager.describe()
    }
}

/// All conflicts of an apply; never empty. Shown as the message of the API server's 409.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Conflicts(
    /// By manager, then by path.
    pub Vec<Conflict>,
);

impl Conflicts {
    /// The value of `details.causes` in the API server's 409.
    pub fn causes(&self) -> Vec<Value> {
        self.0
            .iter()
            .map(|conflict| {
                json!({
                    "reason": "FieldManagerConflict",
                    "message": format!("conflict with {}", conflict.manager()),
                    "field": conflict.path.to_string(),
                })
            })
            .collect()
    }

    /// The conflicts whose field is not in the set.
    pub(crate) fn without(&self, allowed: &FieldSet) -> Option<Self> {
        let left: Vec<_> = self
            .0
            .iter()
            .filter(|conflict| !allowed.contains(&conflict.path.0))
            .cloned()
            .collect();
        (!left.is_empty()).then_some(Self(left))
    }
}

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return write!(
                f,
                "Apply failed with 1 conflict: conflict with {}: {}",
                only.manager(),
                only.path
            );
        }
        let mut by_manager: BTreeMap<String, Vec<&Conflict>> = BTreeMap::new();
        for conflict in &self.0 {
            let key = conflict.manager.identifier();
            by_manager.entry(key).or_default().push(conflict);
        }
        write!(f, "Apply failed with {} conflicts: ", self.0.len())?;
        for (position, conflicts) in by_manager.values().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            if let Some(first) = conflicts.first() {
                write!(f, "conflicts with {}:", first.manager())?;
            }
            for conflict in conflicts {
                write!(f, "\n- {}", conflict.path)?;
            }
        }
        Ok(())
    }
}
