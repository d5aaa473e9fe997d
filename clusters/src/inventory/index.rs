//! Which objects of a kind belong to an Application, by name: a list of all of them for each Application would
//! cost the square of their number.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt as _;
use kube::Api;
use kube::api::{DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};

/// Namespace and name of an Application.
pub type Application = (String, String);

/// Names of the objects of Applications. What we write ourselves is in it at once; what others write, when
/// the watch tells. A name may be in it whose object is gone, never the other way round. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Index(Arc<Mutex<Names>>);

#[derive(Debug, Default)]
struct Names {
    /// All objects have been listed.
    is_complete: bool,
    by_application: HashMap<Application, BTreeSet<String>>,
}

impl Index {
    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects of an Application; none while that is not known.
    pub fn of(&self, namespace: &str, name: &str) -> Option<Vec<String>> {
        let names = self.names();
        let key = (namespace.to_owned(), name.to_owned());
        let known = names.by_application.get(&key);
        names
            .is_complete
            .then(|| known.into_iter().flatten().cloned().collect())
    }

    /// An object is about to be written, or was seen.
    pub fn insert(&self, namespace: &str, name: &str, object: &str) {
        self.put((namespace.to_owned(), name.to_owned()), object);
    }

    fn put(&self, application: Application, object: &str) {
        let mut names = self.names();
        let known = names.by_application.entry(application).or_default();
        known.insert(object.to_owned());
    }

    /// An object is gone.
    pub fn remove(&self, namespace: &str, name: &str, object: &str) {
        let mut names = self.names();
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(known) = names.by_application.get_mut(&key) {
            known.remove(object);
            if known.is_empty() {
                names.by_application.remove(&key);
            }
        }
    }

    /// Follows the objects of an API for as long as it is polled; `owner` says whose they are. Says of
    /// which Application somebody else deletes one.
    pub async fn follow(
        &self,
        api: Api<PartialObjectMeta<DynamicObject>>,
        owner: impl Fn(&ObjectMeta) -> Option<Application>,
        on_lost: impl Fn(&str, &str),
    ) {
        let mut events = watcher(api, watcher::Config::default())
            .default_backoff()
            .boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => {
                    let (Some(application), Some(name)) =
                        (owner(&object.metadata), &object.metadata.name)
                    else {
                        continue;
                    };
                    self.put(application.clone(), name);
                    if object.metadata.deletion_timestamp.is_some() {
                        on_lost(&application.0, &application.1);
                    }
                }
                // What we delete ourselves is not in the index any more.
                Ok(Event::Delete(object)) => {
                    if let Some(application) =
                        owner(&object.metadata).filter(|one| self.has(one, &object.metadata))
                    {
                        on_lost(&application.0, &application.1);
                    }
                }
                Ok(Event::InitDone) => self.names().is_complete = true,
                Ok(Event::Init) => {}
                Err(error) => tracing::warn!(%error, "a watch of names begins anew"),
            }
        }
    }

    fn has(&self, application: &Application, object: &ObjectMeta) -> bool {
        let names = self.names();
        let known = names.by_application.get(application);
        let name = object.name.as_ref();
        known
            .zip(name)
            .is_some_and(|(known, name)| known.contains(name))
    }
}
