//! What has to be watched: the kinds of all objects of all Applications, each counted.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use caravel_clusters::observe::WatchedKind;
use caravel_clusters::{ObjectKey, ResourcePolicies, inventory};

use super::session::Key;

/// What is watched for an Application.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    /// The kinds of its objects.
    kinds: BTreeSet<WatchedKind>,
    /// Objects that carry no label of ours.
    only_read: BTreeSet<ObjectKey>,
}

impl Watched {
    /// What an inventory lists.
    pub(crate) fn of(inventory: &inventory::Inventory, policies: &ResourcePolicies) -> Self {
        let mut watched = Self::default();
        for entry in inventory.trackers().flat_map(inventory::Tracker::entries) {
            watched.kinds.insert(WatchedKind::of_entry(entry));
            let raw = entry.raw.as_ref();
            if raw.is_some_and(|raw| policies.rules_for(raw).read_only) {
                watched.only_read.insert(ObjectKey::of_entry(entry));
            }
        }
        watched
    }
}

/// What is watched for all Applications. A change costs what it changes, however many there are.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    applications: HashMap<Key, Watched>,
    kinds: BTreeMap<WatchedKind, usize>,
    only_read: BTreeMap<ObjectKey, usize>,
}

/// What has to be watched now, where that is something else than before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) kinds: Option<BTreeSet<WatchedKind>>,
    pub(crate) only_read: Option<BTreeSet<ObjectKey>>,
}

impl Watching {
    /// Puts what an Application needs in place of what it needed; none if it is gone.
    pub(crate) fn put(&mut self, key: Key, watched: Option<Watched>) -> Changed {
        if self.applications.get(&key) == watched.as_ref() {
            return Changed::default();
        }
        let before = self.applications.remove(&key).unwrap_or_default();
        let none = Watched::default();
        let after = watched.as_ref().unwrap_or(&none);
        let kinds = recount(&mut self.kinds, &before.kinds, &after.kinds);
        let only_read = recount(&mut self.only_read, &before.only_read, &after.only_read);
        if let Some(watched) = watched {
            self.applications.insert(key, watched);
        }
        Changed {
            // What is only read decides how its kind is watched.
            kinds: (kinds || only_read).then(|| self.kinds.keys().cloned().collect()),
            only_read: only_read.then(|| self.only_read.keys().cloned().collect()),
        }
    }

    /// The Applications that have objects of a kind.
    pub(crate) fn having(&self, kind: &WatchedKind) -> Vec<Key> {
        let all = self.applications.iter();
        let having = all.filter(|(_, watched)| watched.kinds.contains(kind));
        having.map(|(key, _)| key.clone()).collect()
    }
}

/// Counts what comes and what goes; whether something came for the first time or went for the last.
fn recount<T: Ord + Clone>(
    counts: &mut BTreeMap<T, usize>,
    before: &BTreeSet<T>,
    after: &BTreeSet<T>,
) -> bool {
    let mut changed = false;
    for new in after.difference(before) {
        let count = counts.entry(new.clone()).or_default();
        *count += 1;
        changed |= *count == 1;
    }
    for old in before.difference(after) {
        if let Some(count) = counts.get_mut(old) {
            *count -= 1;
            if *count == 0 {
                counts.remove(old);
                changed = true;
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> WatchedKind {
        WatchedKind {
            cluster: "local".to_owned(),
            api_version: "v1".to_owned(),
            kind: name.to_owned(),
        }
    }

    fn of(names: &[&str]) -> Watched {
        Watched {
            kinds: names.iter().map(|name| kind(name)).collect(),
            only_read: BTreeSet::new(),
        }
    }

    fn app(name: &str) -> Key {
        Key {
            namespace: "demo".to_owned(),
            name: name.to_owned(),
        }
    }

    fn kinds(changed: Changed) -> Option<Vec<String>> {
        let kinds = changed.kinds?;
        Some(kinds.into_iter().map(|kind| kind.kind).collect())
    }

    #[test]
    fn only_the_first_and_the_last_of_a_kind_change_what_is_watched() {
        let mut all = Watching::default();
        assert_eq!(
            kinds(all.put(app("a"), Some(of(&["Service"])))),
            Some(vec!["Service".into()])
        );
        assert_eq!(kinds(all.put(app("b"), Some(of(&["Service"])))), None);
        assert_eq!(kinds(all.put(app("b"), Some(of(&["Service"])))), None);
        assert_eq!(
            kinds(all.put(app("a"), Some(of(&["Job"])))),
            Some(vec!["Job".into(), "Service".into()])
        );
        assert_eq!(all.having(&kind("Service")), [app("b")]);
        assert_eq!(kinds(all.put(app("b"), None)), Some(vec!["Job".into()]));
        assert_eq!(kinds(all.put(app("b"), None)), None);
        assert_eq!(kinds(all.put(app("a"), None)), Some(vec![]));
    }
}
