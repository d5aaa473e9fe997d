//! Which trackers an Application has, by name: a list of all trackers for each Application would cost the
//! square of their number.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use caravel_core::api::labels;
use futures::StreamExt as _;
use kube::Api;
use kube::core::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;

use crate::connect::{Cluster, Resource};

/// Namespace and name of an Application.
type Application = (String, String);

/// Names of trackers. What we write ourselves is in it at once; what others write, when the watch tells.
/// A name may be in it whose tracker is gone, never the other way round.
#[derive(Clone, Debug, Default)]
pub(super) struct Index(Arc<Mutex<Names>>);

#[derive(Debug, Default)]
struct Names {
    /// All trackers have been listed.
    is_complete: bool,
    by_application: HashMap<Application, BTreeSet<String>>,
}

impl Index {
    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The trackers of an Application; none while that is not known.
    pub(super) fn of(&self, namespace: &str, name: &str) -> Option<Vec<String>> {
        let names = self.names();
        let key = (namespace.to_owned(), name.to_owned());
        let known = names.by_application.get(&key);
        names
            .is_complete
            .then(|| known.into_iter().flatten().cloned().collect())
    }

    /// A tracker is about to be written, or was seen.
    pub(super) fn insert(&self, labels: &Value, tracker: &str) {
        if let Some(application) = application(|label| labels[label].as_str()) {
            self.put(application, tracker);
        }
    }

    fn put(&self, application: Application, tracker: &str) {
        let mut names = self.names();
        let known = names.by_application.entry(application).or_default();
        known.insert(tracker.to_owned());
    }

    /// A tracker is gone.
    pub(super) fn remove(&self, namespace: &str, name: &str, tracker: &str) {
        let mut names = self.names();
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(known) = names.by_application.get_mut(&key) {
            known.remove(tracker);
            if known.is_empty() {
                names.by_application.remove(&key);
            }
        }
    }

    /// Follows the trackers of a hub for as long as it is polled. Says of which Application somebody else
    /// deletes one.
    pub(super) async fn follow(
        &self,
        hub: &Cluster,
        resource: &Resource,
        on_lost: impl Fn(&str, &str),
    ) {
        let api: Api<DynamicObject> = Api::all_with(hub.client().clone(), &resource.api_resource());
        let mut events = watcher(api, watcher::Config::default())
            .default_backoff()
            .boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(tracker) | Event::InitApply(tracker)) => {
                    let is_deleting = tracker.metadata.deletion_timestamp.is_some();
                    if let Some((namespace, name)) = self.see(&tracker).filter(|_| is_deleting) {
                        on_lost(&namespace, &name);
                    }
                }
                // What we delete ourselves is not in the index any more.
                Ok(Event::Delete(tracker)) => {
                    if let Some((namespace, name)) = self.knows(&tracker) {
                        on_lost(&namespace, &name);
                    }
                }
                Ok(Event::InitDone) => self.names().is_complete = true,
                Ok(Event::Init) => {}
                Err(error) => tracing::warn!(%error, "the watch of ResourceTrackers begins anew"),
            }
        }
    }

    fn see(&self, tracker: &DynamicObject) -> Option<Application> {
        let application = owner(tracker)?;
        self.put(application.clone(), tracker.metadata.name.as_ref()?);
        Some(application)
    }

    /// The Application of a tracker, if the tracker is in the index.
    fn knows(&self, tracker: &DynamicObject) -> Option<Application> {
        let application = owner(tracker)?;
        let names = self.names();
        let known = names.by_application.get(&application)?;
        known
            .contains(tracker.metadata.name.as_ref()?)
            .then_some(application)
    }
}

fn owner(tracker: &DynamicObject) -> Option<Application> {
    let labels = tracker.metadata.labels.as_ref()?;
    application(|name| labels.get(name).map(String::as_str))
}

fn application<'a>(label: impl Fn(&str) -> Option<&'a str>) -> Option<Application> {
    Some((
        label(labels::APP_NAMESPACE)?.to_owned(),
        label(labels::APP_NAME)?.to_owned(),
    ))
}
