//! Who owns whom, and what follows for an object: pure.
//!
//! The rules are those of Kubernetes' garbage collector: an object goes when none of its owners is
//! left; an owner that is deleted in the foreground waits for the dependents that block it; one that
//! is orphaned waits until no dependent names it.

use std::collections::{BTreeSet, HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PropagationPolicy;
use kube::core::ObjectMeta;

pub(super) const ORPHAN: &str = "orphan";
pub(super) const FOREGROUND: &str = "foregroundDeletion";

pub(super) type Uid = String;

/// An object, as far as garbage collection looks at it. `R` says what kind it is of.
#[derive(Clone, Debug)]
pub(super) struct Node<R> {
    pub(super) resource: R,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) version: Option<String>,
    owners: Vec<OwnerReference>,
    finalizers: Vec<String>,
    deleting: bool,
}

impl<R> Node<R> {
    pub(super) fn new(resource: R, metadata: &ObjectMeta) -> Self {
        Self {
            resource,
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
            version: metadata.resource_version.clone(),
            owners: metadata.owner_references.clone().unwrap_or_default(),
            finalizers: metadata.finalizers.clone().unwrap_or_default(),
            deleting: metadata.deletion_timestamp.is_some(),
        }
    }

    fn has(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|name| name == finalizer)
    }

    /// The owner references that are left without some.
    pub(super) fn owners_without(&self, gone: &BTreeSet<Uid>) -> Vec<&OwnerReference> {
        self.owners
            .iter()
            .filter(|owner| !gone.contains(&owner.uid))
            .collect()
    }

    pub(super) fn finalizers_without(&self, gone: &str) -> Vec<&String> {
        self.finalizers
            .iter()
            .filter(|name| *name != gone)
            .collect()
    }
}

/// What follows for an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing.
    Stay,
    /// Find out whether this owner exists, and judge again.
    LookUp(OwnerReference),
    /// It goes.
    Delete(PropagationPolicy),
    /// It stays, and these owners do not count any more.
    Disown(BTreeSet<Uid>),
    /// It is being deleted, and this finalizer has done its work.
    Release(&'static str),
}

/// All objects that are known, and who owns them.
pub(super) struct Graph<R> {
    nodes: HashMap<Uid, Node<R>>,
    dependents: HashMap<Uid, BTreeSet<Uid>>,
    /// Owners that were looked up and found, though no watch has shown them.
    found: HashSet<Uid>,
    /// Owners that were looked up and do not exist. A uid never comes back.
    absent: HashSet<Uid>,
}

impl<R> Default for Graph<R> {
    fn default() -> Self {
        Self {
            nodes: HashMap::new(),
            dependents: HashMap::new(),
            found: HashSet::new(),
            absent: HashSet::new(),
        }
    }
}

impl<R> Graph<R> {
    pub(super) fn get(&self, uid: &str) -> Option<&Node<R>> {
        self.nodes.get(uid)
    }

    /// Takes in an object as it is now. Returns the objects to judge.
    pub(super) fn set(&mut self, uid: Uid, node: Node<R>) -> Vec<Uid> {
        let before = self.unlink(&uid);
        for owner in &node.owners {
            self.dependents
                .entry(owner.uid.clone())
                .or_default()
                .insert(uid.clone());
        }
        let mut affected = vec![uid.clone()];
        // One that it does not name any more may have waited for that.
        affected.extend(before);
        if node.deleting && (node.has(FOREGROUND) || node.has(ORPHAN)) {
            affected.extend(self.dependents_of(&uid));
        }
        if node.deleting {
            // An owner that waits may wait for this one.
            affected.extend(node.owners.iter().map(|owner| owner.uid.clone()));
        }
        self.found.remove(&uid);
        self.nodes.insert(uid, node);
        affected
    }

    /// Takes out an object that does not exist any more. Returns the objects to judge.
    pub(super) fn remove(&mut self, uid: &str) -> Vec<Uid> {
        let mut affected = self.dependents_of(uid);
        affected.extend(self.unlink(uid));
        self.nodes.remove(uid);
        self.found.remove(uid);
        affected
    }

    /// Forgets the edges from an object to its owners, and names these.
    fn unlink(&mut self, uid: &str) -> Vec<Uid> {
        let owners = self.nodes.get(uid).map(|node| &node.owners);
        let owners: Vec<Uid> = owners
            .into_iter()
            .flatten()
            .map(|owner| owner.uid.clone())
            .collect();
        for owner in &owners {
            if let Some(dependents) = self.dependents.get_mut(owner) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(owner);
                    self.absent.remove(owner);
                }
            }
        }
        owners
    }

    fn dependents_of(&self, uid: &str) -> Vec<Uid> {
        self.dependents
            .get(uid)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Takes in what a look-up of an owner found.
    pub(super) fn looked_up(&mut self, owner: Uid, exists: bool) {
        if exists {
            self.found.insert(owner);
        } else {
            self.absent.insert(owner);
        }
    }

    /// The objects that have owners or wait for dependents.
    pub(super) fn all(&self) -> Vec<Uid> {
        let relevant = |node: &Node<R>| !node.owners.is_empty() || node.deleting;
        let nodes = self.nodes.iter().filter(|(_, node)| relevant(node));
        nodes.map(|(uid, _)| uid.clone()).collect()
    }

    /// The objects of some kind.
    pub(super) fn of(&self, matches: impl Fn(&R) -> bool) -> HashSet<Uid> {
        let nodes = self
            .nodes
            .iter()
            .filter(|(_, node)| matches(&node.resource));
        nodes.map(|(uid, _)| uid.clone()).collect()
    }

    /// What follows for an object.
    pub(super) fn judge(&self, uid: &str) -> Verdict {
        let Some(node) = self.nodes.get(uid) else {
            return Verdict::Stay;
        };
        if node.deleting {
            return self.judge_owner(uid, node);
        }
        if node.owners.is_empty() {
            return Verdict::Stay;
        }
        let (mut solid, mut waiting, mut gone) = (false, BTreeSet::new(), BTreeSet::new());
        for owner in &node.owners {
            match self.nodes.get(&owner.uid) {
                Some(other) if other.deleting && other.has(ORPHAN) => {
                    return Verdict::Disown([owner.uid.clone()].into());
                }
                Some(other) if other.deleting && other.has(FOREGROUND) => {
                    waiting.insert(owner.uid.clone());
                }
                Some(_) => solid = true,
                None if self.found.contains(&owner.uid) => solid = true,
                None if self.absent.contains(&owner.uid) => {
                    gone.insert(owner.uid.clone());
                }
                None => return Verdict::LookUp(owner.clone()),
            }
        }
        if solid {
            gone.append(&mut waiting);
            return if gone.is_empty() {
                Verdict::Stay
            } else {
                Verdict::Disown(gone)
            };
        }
        let policy =
            if !waiting.is_empty() && self.dependents.contains_key(uid) || node.has(FOREGROUND) {
                PropagationPolicy::Foreground
            } else if node.has(ORPHAN) {
                PropagationPolicy::Orphan
            } else {
                PropagationPolicy::Background
            };
        Verdict::Delete(policy)
    }

    /// Whether an object that is being deleted can go on.
    fn judge_owner(&self, uid: &str, node: &Node<R>) -> Verdict {
        let mut dependents = self.dependents.get(uid).into_iter().flatten();
        if node.has(ORPHAN) {
            return if dependents.next().is_none() {
                Verdict::Release(ORPHAN)
            } else {
                Verdict::Stay
            };
        }
        if !node.has(FOREGROUND) {
            return Verdict::Stay;
        }
        let blocks = |dependent: &Uid| {
            self.nodes.get(dependent).is_some_and(|dependent| {
                dependent
                    .owners
                    .iter()
                    .any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
            })
        };
        if dependents.any(blocks) {
            Verdict::Stay
        } else {
            Verdict::Release(FOREGROUND)
        }
    }
}

#[cfg(test)]
mod tests;
