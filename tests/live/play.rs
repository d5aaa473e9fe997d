//! Playing a case: apply, run, wait, compare.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use caravel_tests::daemon::Daemon;
use caravel_tests::kubectl;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Discovery, Scope};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::case::{Case, Command, Step};
use crate::compare::{differences, lasting, lost};
use crate::shape;
use crate::sink::{self, Sink};
use crate::vela::{Request, Vela};

/// How long an Application may take until it stands as KubeVela left it. Generous: machines that build share
/// their cores, and only a failing case takes so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a case that is known to differ may stand unchanged before it counts as settled.
const SETTLED: Duration = Duration::from_secs(2);

/// How long until a definition is known to what judges Applications: it sees them by a watch.
const NOTICED: Duration = Duration::from_millis(500);

const PAUSE: Duration = Duration::from_millis(200);

/// What came of a case.
pub(crate) struct Played {
    pub(crate) case: String,
    pub(crate) steps: usize,
    pub(crate) differences: Vec<String>,
    /// What the first step that was left out needs.
    pub(crate) left_out: Option<String>,
}

impl Played {
    /// The case and its differences, for people.
    pub(crate) fn told(&self) -> String {
        let lines = self.differences.iter().map(|line| format!("\n    {line}"));
        format!("{}:{}", self.case, lines.collect::<String>())
    }
}

/// The daemon as cases use it.
pub(crate) struct Stage {
    client: Client,
    discovery: Discovery,
    kubeconfig: PathBuf,
    sink: Option<Sink>,
}

impl Stage {
    pub(crate) async fn new(daemon: &Daemon, sink: Option<Sink>) -> Self {
        let kubeconfig = daemon.kubeconfig();
        let read = Kubeconfig::read_from(&kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(read, &options)
            .await
            .unwrap();
        let client = Client::try_from(config).unwrap();
        let discovery = Discovery::new(client.clone()).run().await.unwrap();
        Self {
            client,
            discovery,
            kubeconfig,
            sink,
        }
    }

    /// Plays a case up to its first difference. A case that is known to differ is not waited for long.
    pub(crate) async fn play(&self, case: Case, is_patient: bool) -> Played {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": case.name}});
        self.apply(&namespace).await.unwrap();
        let mut played = Played {
            case: case.name.clone(),
            steps: 0,
            differences: Vec::new(),
            left_out: None,
        };
        let mut applications = Vec::new();
        for step in &case.steps {
            let commands = match step.commands() {
                Ok(commands) => commands,
                Err(line) => {
                    played.left_out = Some(format!("`{line}`"));
                    break;
                }
            };
            played.steps += 1;
            let names = step
                .documents
                .iter()
                .filter(|one| one["kind"] == "Application");
            for name in names.filter_map(|one| one["metadata"]["name"].as_str()) {
                if !applications.iter().any(|known| known == name) {
                    applications.push(name.to_owned());
                }
            }
            let mut found = self.act(&case.name, step, &commands).await;
            if found.is_empty() {
                found = self
                    .settle(&case.name, step, &applications, is_patient)
                    .await;
            }
            let label = |line: String| {
                if step.label.is_empty() {
                    line
                } else {
                    format!("{}: {line}", step.label)
                }
            };
            played.differences.extend(found.into_iter().map(label));
            if !played.differences.is_empty() {
                break;
            }
        }
        self.clean(&case.name).await;
        played
    }

    /// Applies the documents of a step, or runs its command; what was answered otherwise.
    async fn act(&self, namespace: &str, step: &Step, commands: &[Command]) -> Vec<String> {
        for command in commands {
            match command {
                Command::Shell(text) => self.run(namespace, text).await,
                Command::Vela(vela) => self.send(namespace, vela).await,
            }
        }
        if !commands.is_empty() {
            return Vec::new();
        }
        let answers = step.answers();
        let mut differences = Vec::new();
        let mut has_defined = false;
        for (index, document) in step.documents.iter().enumerate() {
            let mut document = document.clone();
            let is_namespaced = self
                .resource(&document)
                .is_some_and(|(_, scope)| scope == Scope::Namespaced);
            if is_namespaced && document["metadata"]["namespace"].is_null() {
                document["metadata"]["namespace"] = json!(namespace);
            }
            let is_application = document["kind"] == "Application";
            if is_application && std::mem::take(&mut has_defined) {
                tokio::time::sleep(NOTICED).await;
            }
            let kind = document["kind"].as_str().unwrap_or_default();
            has_defined |= kind.ends_with("Definition");
            let found = self.apply(&document).await;
            let was_taken = answers.get(index).copied().unwrap_or(true);
            match found {
                Err(message) if was_taken => differences.push(format!(
                    "{} is refused: {message}",
                    shape::live_identity(&document)
                )),
                Ok(()) if !was_taken => {
                    differences.push(format!(
                        "{} is not refused",
                        shape::live_identity(&document)
                    ));
                }
                _ => {}
            }
        }
        differences
    }

    /// Server-side apply, as one who may.
    pub(crate) async fn apply(&self, document: &Value) -> Result<(), String> {
        let (api, _) = self.api(document).ok_or("the kind is not served")?;
        let name = document["metadata"]["name"].as_str().ok_or("no name")?;
        let parameters = PatchParams::apply("conformance").force();
        let patched = api.patch(name, &parameters, &Patch::Apply(document)).await;
        patched.map(drop).map_err(|error| error.to_string())
    }

    async fn run(&self, namespace: &str, command: &str) {
        let tools = kubectl::program().parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let folder = tempfile::tempdir().unwrap();
        let mut child = tokio::process::Command::new("bash");
        child
            .args(["-c", command])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("NS", namespace)
            .env("PATH", format!("{tools}:{path}"))
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .kill_on_drop(true);
        // What the command prints is kubectl's affair; what it leads to is compared.
        tokio::time::timeout(Duration::from_mins(1), child.output())
            .await
            .unwrap()
            .unwrap();
    }

    /// Does what the `vela` command does to the Application `app`.
    async fn send(&self, namespace: &str, vela: &Vela) {
        let key = json!({"apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
                         "metadata": {"name": "app", "namespace": namespace}});
        let (api, _) = self.api(&key).unwrap();
        // It reads and writes; where somebody else wrote in between, it is called again.
        for _ in 0..20 {
            let Some(found) = self.get(&key).await else {
                return;
            };
            let sent = match vela.request(&found) {
                None => return,
                Some(Request::PatchStatus(body)) => {
                    let parameters = PatchParams::default();
                    api.patch_status("app", &parameters, &Patch::Merge(body))
                        .await
                        .map(drop)
                }
                Some(Request::PutStatus(body)) => {
                    let object: DynamicObject = serde_json::from_value(body).unwrap();
                    let parameters = kube::api::PostParams::default();
                    api.replace_status("app", &parameters, &object)
                        .await
                        .map(drop)
                }
                Some(Request::Delete { finalizers }) => {
                    let before = found["metadata"]["finalizers"]
                        .as_array()
                        .cloned()
                        .unwrap_or_default();
                    let all: Vec<Value> = before
                        .into_iter()
                        .chain(finalizers.iter().map(|one| json!(one)))
                        .collect();
                    let patch = Patch::Merge(json!({"metadata": {"finalizers": all}}));
                    api.patch("app", &PatchParams::default(), &patch)
                        .await
                        .unwrap();
                    api.delete("app", &kube::api::DeleteParams::default())
                        .await
                        .map(drop)
                }
            };
            match sent {
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                other => return other.unwrap(),
            }
        }
        panic!("{vela:?}: the Application does not stand still");
    }

    /// Waits until all stands as it was recorded, or does not move any more; what differs.
    async fn settle(
        &self,
        namespace: &str,
        step: &Step,
        applications: &[String],
        is_patient: bool,
    ) -> Vec<String> {
        let golden = Golden::read(step, applications);
        let end = Instant::now() + PATIENCE;
        let mut last = (Value::Null, Instant::now());
        loop {
            let live = self.look(namespace, &golden).await;
            let found = golden.differences(&live);
            // One that is known to differ may pass through the recorded state.
            if found.is_empty() && is_patient {
                return found;
            }
            let state = json!([live.applications, live.trackers]);
            if state != last.0 {
                last = (state, Instant::now());
            }
            let is_settled = !is_patient && last.1.elapsed() > SETTLED;
            if is_settled || Instant::now() > end {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn look(&self, namespace: &str, golden: &Golden) -> Live {
        let mut live = Live::default();
        for name in golden.applications.keys() {
            let key = json!({"apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
                             "metadata": {"name": name, "namespace": namespace}});
            let found = self.get(&key).await;
            let shape = found.as_ref().map_or(Value::Null, shape::application);
            live.applications.insert(name.clone(), shape);
        }
        live.trackers = shape::trackers(&self.trackers(namespace).await);
        if let Some(sink) = &self.sink {
            live.requests = sink.requests_of(namespace);
        }
        for (identity, object) in &golden.objects {
            if let Some(found) = self.get(object).await {
                live.objects.insert(identity.clone(), found);
            }
        }
        live
    }

    async fn trackers(&self, namespace: &str) -> Vec<Value> {
        let key = json!({"apiVersion": "core.oam.dev/v1beta1", "kind": "ResourceTracker"});
        let (api, _) = self.api(&key).unwrap();
        let labels = ListParams::default().labels(&format!("app.oam.dev/namespace={namespace}"));
        let found = api
            .list(&labels)
            .await
            .map(|list| list.items)
            .unwrap_or_default();
        found
            .iter()
            .map(|one| serde_json::to_value(one).unwrap())
            .collect()
    }

    pub(crate) async fn get(&self, object: &Value) -> Option<Value> {
        let (api, _) = self.api(object)?;
        let name = object["metadata"]["name"].as_str()?;
        let found = api.get_opt(name).await.ok()??;
        serde_json::to_value(found).ok()
    }

    /// Takes the Applications away, so that they do not disturb what comes after.
    async fn clean(&self, namespace: &str) {
        let key = json!({"apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
                         "metadata": {"namespace": namespace}});
        let (api, _) = self.api(&key).unwrap();
        let all = api
            .list(&ListParams::default())
            .await
            .map(|list| list.items)
            .unwrap_or_default();
        for one in all {
            let _ = api
                .delete(&one.name_any(), &kube::api::DeleteParams::default())
                .await;
        }
    }

    pub(crate) fn api(&self, object: &Value) -> Option<(Api<DynamicObject>, Scope)> {
        let (resource, scope) = self.resource(object)?;
        let namespace = object["metadata"]["namespace"].as_str();
        let api = match (&scope, namespace) {
            (Scope::Namespaced, Some(namespace)) => {
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
            (Scope::Namespaced, None) => {
                Api::default_namespaced_with(self.client.clone(), &resource)
            }
            (Scope::Cluster, _) => Api::all_with(self.client.clone(), &resource),
        };
        Some((api, scope))
    }

    fn resource(&self, object: &Value) -> Option<(ApiResource, Scope)> {
        let (group, version) = match object["apiVersion"].as_str()?.split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", object["apiVersion"].as_str()?),
        };
        let kind = GroupVersionKind::gvk(group, version, object["kind"].as_str()?);
        let (resource, capabilities) = self.discovery.resolve_gvk(&kind)?;
        Some((resource, capabilities.scope))
    }
}

/// How things stand with us.
#[derive(Default)]
struct Live {
    applications: BTreeMap<String, Value>,
    trackers: Value,
    objects: BTreeMap<String, Value>,
    requests: Value,
}

/// How KubeVela left them.
struct Golden {
    applications: BTreeMap<String, Value>,
    trackers: Value,
    /// What the server of the test received, where it was recorded.
    requests: Option<Value>,
    /// Live objects by identity.
    objects: BTreeMap<String, Value>,
    /// What was applied of them.
    manifests: BTreeMap<String, Value>,
}

impl Golden {
    fn read(step: &Step, applications: &[String]) -> Self {
        let recorded = step.recorded("application.yaml");
        let of = |name: &String| {
            let found = recorded
                .iter()
                .find(|one| one["metadata"]["name"] == *name.as_str());
            (name.clone(), found.map_or(Value::Null, shape::application))
        };
        let trackers = step.recorded("resourcetrackers.yaml");
        let objects = step.recorded("objects.yaml");
        Self {
            applications: applications.iter().map(of).collect(),
            trackers: shape::trackers(&trackers),
            requests: step.requests().as_deref().map(sink::recorded),
            objects: objects
                .into_iter()
                .filter(|one| {
                    // One whose name is made up in each run is found in the tracker alone.
                    let name = one["metadata"]["name"].as_str().unwrap_or_default();
                    lasting(name) == name
                })
                .map(|one| (shape::live_identity(&one), one))
                .collect(),
            manifests: shape::manifests(&trackers),
        }
    }

    fn differences(&self, live: &Live) -> Vec<String> {
        let mut all = Vec::new();
        for (name, recorded) in &self.applications {
            let found = live.applications.get(name).unwrap_or(&Value::Null);
            all.extend(differences(name, recorded, found));
        }
        all.extend(differences("trackers", &self.trackers, &live.trackers));
        if let Some(recorded) = &self.requests {
            all.extend(differences("requests", recorded, &live.requests));
        }
        for (identity, recorded) in &self.objects {
            let Some(found) = live.objects.get(identity) else {
                all.push(format!("{identity} is not there"));
                continue;
            };
            let labels = format!("{identity} labels");
            all.extend(differences(
                &labels,
                &shape::labels(recorded),
                &shape::labels(found),
            ));
            if let Some(manifest) = self.manifests.get(identity) {
                all.extend(lost(identity, manifest, recorded, found));
            }
        }
        all
    }
}
