//! Where a test works: a daemon and a namespace in it.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use caravel_tests::daemon::{self, Daemon};
use caravel_tests::kubectl::{Kubectl, Output, finish};
use caravel_tests::wait::eventually;
use serde_json::Value;

/// The daemon that tests share. It goes with the last test that uses it.
static SHARED: Mutex<Weak<Daemon>> = Mutex::new(Weak::new());

/// A namespace of its own in a daemon.
pub(crate) struct Place {
    pub(crate) daemon: Arc<Daemon>,
    pub(crate) kubectl: Kubectl,
    pub(crate) namespace: String,
}

impl Place {
    /// In the daemon that tests share.
    pub(crate) fn shared(namespace: &str) -> Self {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let daemon = shared.upgrade().unwrap_or_else(|| {
            // Applications are unloaded soon, so that all tests see that nothing is lost by that.
            let daemon = Arc::new(Daemon::start(&["--unload-after", "0"]));
            *shared = Arc::downgrade(&daemon);
            daemon
        });
        drop(shared);
        Self::within(daemon, namespace)
    }

    /// In a daemon that nobody else uses.
    pub(crate) fn own(namespace: &str) -> Self {
        Self::within(Arc::new(Daemon::start(&[])), namespace)
    }

    /// In a daemon with further options and environment variables.
    pub(crate) fn with(namespace: &str, options: &[&str], environment: &[(&str, &str)]) -> Self {
        let daemon = Daemon::start_with(options, environment);
        Self::within(Arc::new(daemon), namespace)
    }

    fn within(daemon: Arc<Daemon>, namespace: &str) -> Self {
        let kubectl = Kubectl::new(&daemon);
        if namespace != "default" {
            kubectl.run(&format!("create namespace {namespace}")).ok();
        }
        Self {
            daemon,
            kubectl,
            namespace: namespace.to_owned(),
        }
    }

    /// Runs kubectl in the namespace.
    pub(crate) fn run(&self, line: &str) -> Output {
        let mut arguments = vec!["-n", &self.namespace];
        arguments.extend(line.split_whitespace());
        self.kubectl.run_args(&arguments)
    }

    /// Applies a manifest in the namespace.
    pub(crate) fn apply(&self, manifest: &str) -> Output {
        self.kubectl.file("manifest.yaml", manifest);
        self.run("apply -f manifest.yaml")
    }

    /// An object of the namespace.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Option<Value> {
        self.kubectl.get(kind, &self.namespace, name)
    }

    /// An object that must be there.
    pub(crate) fn object(&self, kind: &str, name: &str) -> Value {
        self.get(kind, name)
            .unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    /// Names of all objects of a kind in the namespace.
    pub(crate) fn names(&self, kind: &str) -> Vec<String> {
        let text = self.run(&format!("get {kind} -o name")).ok();
        text.lines()
            .filter_map(|line| line.split_once('/'))
            .map(|(_, name)| name.to_owned())
            .collect()
    }

    /// Waits until an Application is in a phase, and returns it.
    pub(crate) fn wait_for_phase(&self, application: &str, phase: &str) -> Value {
        let mut last = Value::Null;
        let what = format!("{application} becomes {phase}");
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(&what, || {
                last = self.object("app", application);
                is_observed(&last).then_some(())?;
                (last["status"]["status"] == phase).then(|| last.clone())
            })
        }));
        seen.unwrap_or_else(|_| {
            panic!(
                "{what}: it is {:#}\nthe daemon said:\n{}",
                last["status"],
                self.daemon.log()
            )
        })
    }

    /// Waits until an Application runs.
    pub(crate) fn wait_until_running(&self, application: &str) -> Value {
        self.wait_for_phase(application, "running")
    }

    /// Runs `caravel` against the daemon, in the namespace.
    pub(crate) fn caravel(&self, line: &str) -> Output {
        let mut command = Command::new(daemon::program());
        command
            .args(line.split_whitespace())
            .args(["-n", &self.namespace])
            .env("KUBECONFIG", self.daemon.kubeconfig())
            .current_dir(self.kubectl.folder());
        finish(&mut command)
    }
}

/// Whether the status speaks of the present specification.
fn is_observed(application: &Value) -> bool {
    let generation = application["metadata"]["generation"].as_i64();
    let observed = application["status"]["observedGeneration"].as_i64();
    observed >= generation
}

/// One field of all objects of a list of kinds such as `deploy,svc`, by kind and name.
pub(crate) fn fields(place: &Place, kinds: &str, pointer: &str) -> BTreeMap<String, Value> {
    let text = place.run(&format!("get {kinds} -o json")).ok();
    let list: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
    let objects = list["items"].as_array().cloned().unwrap_or_default();
    objects
        .iter()
        .map(|object| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let kind = object["kind"].as_str().unwrap_or_default();
            let field = object.pointer(pointer).cloned().unwrap_or_default();
            (format!("{kind}/{name}"), field)
        })
        .collect()
}

/// Generations of all objects of a list of kinds.
pub(crate) fn generations(place: &Place, kinds: &str) -> BTreeMap<String, Value> {
    fields(place, kinds, "/metadata/generation")
}

/// An Application with one component of a type. What follows may add to the component, by four spaces, or to the
/// specification, by two.
pub(crate) fn application(name: &str, type_: &str, properties: &str) -> String {
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: {name}}}\nspec:\n  components:\n\
         \x20 - name: {name}\n    type: {type_}\n    properties: {properties}\n"
    )
}
