//! A world for the calls of workflow steps: objects in memory that stay as they were applied, and a record of what
//! was done. It has no controllers, so that nothing gets a status by itself, and one cluster, `local`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caravel_core::api::{AppPolicy, Application, ApplicationComponent};
use caravel_core::appfile::{Appfile, DefinitionSource, PolicyRule, assemble};
use caravel_core::engine::{Call, Evaluator, MergeRequest, Operation, Outcome, Request};
use caravel_core::plan::{Chosen, KnownCluster, PlacementRules, deliveries, place, replicate};
use caravel_core::render::{
    ClusterVersion, ComponentRender, Offline, RenderStage, RenderedComponent, Target, offline,
};
use serde_json::{Map, Value, json};

use crate::render::eval;

/// What came of a call.
#[derive(Debug)]
pub enum Called {
    /// The answer, as the template expects it.
    Answer(Value),
    /// The step waits.
    Wait(String),
    /// The call failed.
    Failed(String),
    /// The world does not know the call.
    Unknown,
}

/// How HTTP requests are answered: status, header `Content-Type` and body, by method, path and body.
pub type Answers = fn(&str, &str, &Value) -> (u16, String);

/// The world of one run.
pub struct World<'a> {
    /// The Application.
    pub app: Application,
    /// The same, parsed.
    pub appfile: Appfile,
    /// Where definitions come from.
    pub source: &'a dyn DefinitionSource,
    /// With which evaluator components are rendered.
    pub evaluator: Evaluator,
    /// Of the clusters.
    pub cluster_version: ClusterVersion,
    /// Whether components are healthy.
    pub healthy: bool,
    /// What HTTP servers say.
    pub http: Answers,
    /// The addresses that `query.#CollectServiceEndpoints` finds; none where it is null.
    pub endpoints: Value,
    /// What was done, in its order.
    pub actions: Vec<Value>,
    objects: BTreeMap<String, Value>,
    variables: BTreeMap<String, Value>,
}

impl<'a> World<'a> {
    /// A world with nothing in it.
    pub fn new(
        app: Application,
        appfile: Appfile,
        source: &'a dyn DefinitionSource,
        evaluator: Evaluator,
        http: Answers,
    ) -> Self {
        Self {
            app,
            appfile,
            source,
            evaluator,
            cluster_version: ClusterVersion::default(),
            healthy: true,
            http,
            endpoints: Value::Null,
            actions: Vec::new(),
            objects: BTreeMap::new(),
            variables: BTreeMap::new(),
        }
    }

    /// Puts an object there, as if somebody else had applied it.
    pub fn seed(&mut self, object: Value) {
        let object = Self::placed(object);
        self.objects.insert(key(&object), object);
    }

    /// Carries out a call of a step; those of `builtin` belong to the engine.
    pub fn call(&mut self, call: &Call) -> Called {
        let params = &call.params;
        let package = package(call);
        let legacy = call.provider == "op" || call.provider == "ql";
        match (package, call.action.as_str()) {
            ("builtin", "var") => self.variable(params),
            ("kube", "apply") => self.apply(text(params, "cluster"), &params["value"], legacy),
            ("kube", "apply-in-parallel") => self.apply_all(params, legacy),
            ("kube", "read") => self.read(&params["value"]),
            ("kube", "list") => self.list(params),
            ("kube", "delete") => self.delete(params),
            ("kube", "patch") => self.patch(params),
            ("http", "do") => self.request(params, legacy),
            ("metrics", "promCheck") => self.prometheus(params),
            ("util", "string") => converted(params),
            ("time", "now") => Called::Answer(json!({"timestamp": 1_800_000_000})),
            ("util", "log") => Called::Answer(Value::Null),
            ("config", "create" | "create-config") => self.create_config(params),
            ("config", "delete" | "delete-config") => self.delete_config(params),
            ("config", "read" | "read-config") => self.read_config(params),
            ("config", "list" | "list-config") => self.list_config(params),
            ("oam", "load") => self.components(false),
            ("oam", "load-comps-in-order") => self.components(true),
            ("oam", "load-policies") => self.policies(),
            ("oam", "component-apply") => self.apply_component(params),
            ("oam", "component-render") => self.render_component(params),
            ("multicluster", "deploy") => self.deploy(params),
            ("multicluster", "list-clusters") => {
                Called::Answer(json!({ "outputs": { "clusters": [] } }))
            }
            ("multicluster", action) if action.starts_with("get-placements") => {
                self.placements(params)
            }
            ("query", "collectServiceEndpoints") => {
                let found = self.endpoints.as_array().cloned().unwrap_or_default();
                Called::Answer(json!({ "list": found }))
            }
            ("terraform", "load-terraform-components") => {
                Called::Answer(json!({ "outputs": { "components": [] } }))
            }
            _ => Called::Unknown,
        }
    }

    fn variable(&mut self, params: &Value) -> Called {
        let path = text(params, "path").to_owned();
        if params["method"] == "Put" {
            self.variables.insert(path, params["value"].clone());
            return Called::Answer(Value::Null);
        }
        match self.variables.get(&path) {
            Some(value) => Called::Answer(json!({ "value": value })),
            None => Called::Failed(format!(
                "failed to lookup value: var(path={path}) not exist"
            )),
        }
    }

    // -- objects

    /// What has no namespace is in `default`, as KubeVela's operations have it.
    fn placed(mut object: Value) -> Value {
        let namespace = &mut object["metadata"]["namespace"];
        if namespace.as_str().is_none_or(str::is_empty) {
            *namespace = "default".into();
        }
        object
    }

    fn owned(&self, object: &Value) -> Value {
        let mut object = Self::placed(object.clone());
        let labels = &mut object["metadata"]["labels"];
        labels["app.oam.dev/name"] = self.appfile.name.clone().into();
        labels["app.oam.dev/namespace"] = self.appfile.namespace.clone().into();
        object
    }

    fn apply(&mut self, cluster: &str, value: &Value, _legacy: bool) -> Called {
        if value["kind"].as_str().is_none_or(str::is_empty) {
            return Called::Failed("Object 'Kind' is missing in '{}'".to_owned());
        }
        let object = self.owned(value);
        self.record("apply", cluster, &object);
        self.objects.insert(key(&object), object.clone());
        Called::Answer(json!({ "value": object }))
    }

    fn apply_all(&mut self, params: &Value, legacy: bool) -> Called {
        let cluster = text(params, "cluster").to_owned();
        for value in params["value"].as_array().into_iter().flatten() {
            if let Called::Failed(why) = self.apply(&cluster, value, legacy) {
                return Called::Failed(why);
            }
        }
        Called::Answer(Value::Null)
    }

    fn record(&mut self, op: &str, cluster: &str, object: &Value) {
        self.actions.push(json!({
            "op": op, "cluster": cluster, "owner": "workflow", "object": object,
        }));
    }

    fn read(&self, value: &Value) -> Called {
        if value["kind"].as_str().is_none_or(str::is_empty) {
            return Called::Failed("Object 'Kind' is missing in '{}'".to_owned());
        }
        let wanted = Self::placed(value.clone());
        Called::Answer(match self.objects.get(&key(&wanted)) {
            Some(object) => json!({ "value": object }),
            None => json!({ "err": not_found(&wanted) }),
        })
    }

    fn matching(&self, like: &Value, filter: &Value) -> Vec<String> {
        let namespace = text(filter, "namespace");
        let labels = filter["matchingLabels"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let fits = |object: &Value| {
            object["kind"] == like["kind"]
                && object["apiVersion"] == like["apiVersion"]
                && (namespace.is_empty() || object["metadata"]["namespace"] == namespace)
                && labels
                    .iter()
                    .all(|(key, value)| object["metadata"]["labels"][key] == *value)
        };
        let found = self.objects.iter().filter(|(_, object)| fits(object));
        found.map(|(key, _)| key.clone()).collect()
    }

    fn list(&self, params: &Value) -> Called {
        let like = if params["resource"].is_null() {
            &params["value"]
        } else {
            &params["resource"]
        };
        let found = self.matching(like, &params["filter"]);
        let items: Vec<&Value> = found.iter().map(|key| &self.objects[key]).collect();
        Called::Answer(json!({ "values": { "items": items } }))
    }

    fn delete(&mut self, params: &Value) -> Called {
        if !params["filter"].is_null() {
            for key in self.matching(&params["value"], &params["filter"]) {
                self.objects.remove(&key);
            }
            return Called::Answer(Value::Null);
        }
        let object = Self::placed(params["value"].clone());
        self.objects.remove(&key(&object));
        self.record("delete", text(params, "cluster"), &object);
        Called::Answer(Value::Null)
    }

    fn patch(&mut self, params: &Value) -> Called {
        let wanted = Self::placed(params["value"].clone());
        let Some(base) = self.objects.get(&key(&wanted)) else {
            return Called::Failed(not_found(&wanted));
        };
        let operation = Operation::Merge(MergeRequest {
            base: base.to_string(),
            patch: text(params, "patch").to_owned(),
        });
        let request = Request {
            id: 1,
            evaluator: self.evaluator,
            operation,
        };
        match eval(&request).outcome {
            Outcome::Ok(merged) => match self.apply(text(params, "cluster"), &merged, false) {
                Called::Answer(answer) => Called::Answer(json!({ "result": answer["value"] })),
                other => other,
            },
            other => Called::Failed(format!("{other:?}")),
        }
    }

    // -- HTTP

    fn request(&mut self, params: &Value, legacy: bool) -> Called {
        let method = Some(text(params, "method")).filter(|method| !method.is_empty());
        let method = method.unwrap_or("GET").to_owned();
        let url = text(params, "url");
        let path = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = path.find('/').map_or("/", |at| &path[at..]).to_owned();
        let request = &params["request"];
        let body = text(request, "body");
        let body = serde_json::from_str(body).unwrap_or_else(|_| body.into());
        let header = |name: &str| {
            let headers = request["header"].as_object();
            let mut headers = headers.into_iter().flatten();
            let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
            found
                .and_then(|(_, value)| value.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        // A request without any header gets one.
        let none = request["header"].as_object().is_none_or(Map::is_empty);
        let content_type = if none {
            "application/json".to_owned()
        } else {
            header("Content-Type")
        };
        self.actions.push(json!({
            "op": "http", "method": method, "path": path, "body": body,
            "contentType": content_type, "xHeader": header("X-Golden"),
        }));
        let (status, text) = (self.http)(&method, &path, &body);
        let answer = json!({
            "body": text, "statusCode": status,
            "header": { "Content-Type": ["application/json"] }, "trailer": {},
        });
        Called::Answer(if legacy {
            json!({ "response": answer })
        } else {
            answer
        })
    }

    fn prometheus(&mut self, params: &Value) -> Called {
        let url = text(params, "metricEndpoint");
        let path = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = format!(
            "{}/api/v1/query",
            path.find('/').map_or("", |at| &path[at..])
        );
        let body = json!(format!("query={}&time=TIME", text(params, "query")));
        self.actions.push(json!({
            "op": "http", "method": "POST", "path": path, "body": body,
            "contentType": "application/x-www-form-urlencoded", "xHeader": "",
        }));
        let (status, text) = (self.http)("POST", &path, &body);
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        if status >= 400 || answer["status"] != "success" {
            return Called::Failed("the answer is none of Prometheus".to_owned());
        }
        Called::Answer(json!({ "result": true, "failed": false }))
    }

    // -- configurations

    fn create_config(&mut self, params: &Value) -> Called {
        let data = STANDARD.encode(params["config"].to_string());
        let object = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": params["name"], "namespace": params["namespace"],
                "annotations": { "config.oam.dev/alias": "", "config.oam.dev/description": "" },
                "labels": {
                    "app.oam.dev/name": self.appfile.name,
                    "app.oam.dev/namespace": self.appfile.namespace,
                    "config.oam.dev/catalog": "velacore-config",
                    "config.oam.dev/type": text(params, "template"),
                },
            },
            "data": { "input-properties": data },
        });
        self.actions
            .push(json!({ "op": "dispatch-config", "object": object }));
        self.objects.insert(key(&object), object);
        Called::Answer(Value::Null)
    }

    fn config_key(params: &Value) -> String {
        key(&Self::placed(json!({
            "kind": "Secret",
            "metadata": { "name": params["name"], "namespace": params["namespace"] },
        })))
    }

    fn delete_config(&mut self, params: &Value) -> Called {
        match self.objects.remove(&Self::config_key(params)) {
            Some(_) => Called::Answer(Value::Null),
            None => Called::Failed("the config is not found".to_owned()),
        }
    }

    fn read_config(&self, params: &Value) -> Called {
        match self.objects.get(&Self::config_key(params)) {
            Some(secret) => Called::Answer(json!({ "config": config_of(secret) })),
            None => Called::Failed(format!("secrets \"{}\" not found", text(params, "name"))),
        }
    }

    fn list_config(&self, params: &Value) -> Called {
        let filter = json!({
            "namespace": params["namespace"],
            "matchingLabels": {
                "config.oam.dev/catalog": "velacore-config",
                "config.oam.dev/type": params["template"],
            },
        });
        let found = self.matching(&json!({ "apiVersion": "v1", "kind": "Secret" }), &filter);
        let configs = found.iter().map(|key| {
            let secret = &self.objects[key];
            json!({ "name": secret["metadata"]["name"], "config": config_of(secret) })
        });
        Called::Answer(json!({ "configs": configs.collect::<Value>() }))
    }

    // -- the Application

    fn components(&self, in_order: bool) -> Called {
        let components = &self.app.spec.components;
        let value = |one: &ApplicationComponent| serde_json::to_value(one).unwrap_or_default();
        let value = if in_order {
            components.iter().map(value).collect()
        } else {
            let named = components.iter().map(|one| (one.name.clone(), value(one)));
            Value::Object(named.collect())
        };
        Called::Answer(json!({ "value": value }))
    }

    fn policies(&self) -> Called {
        let named = |one: &AppPolicy| {
            let value = serde_json::to_value(one).unwrap_or_default();
            (one.name.clone(), value)
        };
        let value: Map<String, Value> = self.app.spec.policies.iter().map(named).collect();
        Called::Answer(json!({ "value": value }))
    }

    fn apply_component(&mut self, params: &Value) -> Called {
        let cluster = text(params, "cluster").to_owned();
        let namespace = text(params, "namespace").to_owned();
        let rendered = match self.rendered(&params["value"], &cluster, &namespace) {
            Ok(rendered) => rendered,
            Err(why) => return Called::Failed(why),
        };
        let name = text(&params["value"], "name").to_owned();
        let answer = self.delivered(&name, &rendered, &cluster, &namespace, "");
        let wait = params["waitHealthy"].as_bool().unwrap_or(true);
        if wait && !self.healthy {
            return Called::Wait("wait healthy".to_owned());
        }
        Called::Answer(answer)
    }

    fn render_component(&self, params: &Value) -> Called {
        let (cluster, namespace) = (text(params, "cluster"), text(params, "namespace"));
        match self.rendered(&params["value"], cluster, namespace) {
            Ok(rendered) => Called::Answer(live(&rendered)),
            Err(why) => Called::Failed(why),
        }
    }

    fn delivered(
        &mut self,
        component: &str,
        rendered: &RenderedComponent,
        cluster: &str,
        namespace: &str,
        replica: &str,
    ) -> Value {
        let objects: Vec<Value> = rendered
            .objects
            .iter()
            .map(|one| one.object.clone())
            .collect();
        let mut action = json!({
            "op": "apply-component", "component": component, "cluster": cluster,
            "overrideNamespace": namespace, "objects": objects,
        });
        if !replica.is_empty() {
            action["replicaKey"] = replica.into();
        }
        self.actions.push(action);
        for object in objects {
            self.objects.insert(key(&object), object);
        }
        live(rendered)
    }

    /// Renders a component as a step gives it.
    fn rendered(
        &self,
        value: &Value,
        cluster: &str,
        namespace: &str,
    ) -> Result<RenderedComponent, String> {
        let component: ApplicationComponent =
            serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        let name = component.name.clone();
        let mut app = self.app.clone();
        match app.spec.components.iter_mut().find(|one| one.name == name) {
            Some(place) => *place = component,
            None => app.spec.components.push(component),
        }
        self.rendered_of(&app, &name, cluster, namespace, "")
    }

    fn rendered_of(
        &self,
        app: &Application,
        name: &str,
        cluster: &str,
        namespace: &str,
        replica: &str,
    ) -> Result<RenderedComponent, String> {
        let appfile = assemble(app, self.source).map_err(|error| error.kubevela_text())?;
        let found = appfile.components.iter().find(|one| one.spec.name == name);
        let component = found.ok_or_else(|| format!("component {name} not found"))?;
        let target = Target {
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
            replica_key: replica.to_owned(),
            revision: format!("{}-v1", self.appfile.name),
            ..Target::dry_run(self.cluster_version.clone())
        };
        let stage = RenderStage::All;
        let mut render = ComponentRender::new(&appfile, component, target, stage, self.evaluator);
        match offline(&mut render, &mut eval) {
            Ok(Offline::Done(done)) => Ok(done),
            Ok(Offline::Calls(calls)) => Err(format!("calls {}", calls[0].path)),
            Err(error) => Err(error.kubevela_text.clone()),
        }
    }

    fn deploy(&mut self, params: &Value) -> Called {
        match self.deployed(params) {
            Ok(()) if self.healthy => Called::Answer(Value::Null),
            Ok(()) => Called::Wait("wait healthy".to_owned()),
            Err(why) => Called::Failed(why),
        }
    }

    fn deployed(&mut self, params: &Value) -> Result<(), String> {
        let mut app = self.app.clone();
        let appfile = self.appfile.clone();
        let names: Vec<String> = texts(&params["policies"]).map(str::to_owned).collect();
        let chosen = Chosen::of(&appfile, &names).map_err(|error| error.kubevela_text)?;
        let overridden = chosen.overridden(&app.spec.components);
        (app.spec.components, _) = overridden.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        let placements = self.place(&chosen.topologies)?;
        let copies = replicate(&app.spec.components, &chosen.replications);
        for delivery in deliveries(&copies, &placements) {
            let (at, copy) = (&delivery.placement, &delivery.copy);
            let (name, replica) = (copy.component.name.as_str(), copy.replica_key.as_str());
            let rendered = self.rendered_of(&app, name, &at.cluster, &at.namespace, replica)?;
            self.delivered(name, &rendered, &at.cluster, &at.namespace, replica);
        }
        Ok(())
    }

    fn place(
        &self,
        topologies: &[(&str, &caravel_core::appfile::Topology)],
    ) -> Result<Vec<caravel_core::plan::Placement>, String> {
        let clusters: [KnownCluster; 0] = [];
        let rules = PlacementRules {
            clusters: &clusters,
            app_namespace: &self.appfile.namespace,
            cross_namespace: true,
        };
        place(topologies, rules).map_err(|finding| finding.kubevela_text.clone())
    }

    fn placements(&self, params: &Value) -> Called {
        let named = texts(&params["policies"]);
        let topologies = named.filter_map(|name| {
            let policy = self
                .appfile
                .policies
                .iter()
                .find(|policy| policy.name == name)?;
            match &policy.rule {
                PolicyRule::Topology(topology) => Some((name, topology)),
                _ => None,
            }
        });
        match self.place(&topologies.collect::<Vec<_>>()) {
            Ok(placements) => {
                let placements = placements
                    .iter()
                    .map(|one| json!({ "cluster": one.cluster, "namespace": one.namespace }));
                Called::Answer(json!({ "placements": placements.collect::<Value>() }))
            }
            Err(why) => Called::Failed(why),
        }
    }
}

/// The package of a call; the legacy ones have the operations of several under one name.
pub fn package(call: &Call) -> &str {
    match (call.provider.as_str(), call.action.as_str()) {
        ("op", "wait" | "suspend" | "break" | "fail" | "message" | "var") => "builtin",
        ("op" | "ql", "apply" | "read" | "list" | "delete" | "patch" | "apply-in-parallel") => {
            "kube"
        }
        ("op", "do") => "http",
        ("op", "string" | "log") => "util",
        ("op", "create-config" | "delete-config" | "read-config" | "list-config") => "config",
        (
            "op",
            "component-apply"
            | "component-render"
            | "load"
            | "load-comps-in-order"
            | "load-policies",
        ) => "oam",
        ("op", "load-terraform-components") => "terraform",
        ("op", "deploy" | "list-clusters") => "multicluster",
        ("op", action) if action.starts_with("get-placements") => "multicluster",
        (provider, _) => provider,
    }
}

fn live(rendered: &RenderedComponent) -> Value {
    let mut objects = rendered.objects.iter();
    let workload = objects
        .next()
        .map(|one| one.object.clone())
        .unwrap_or_default();
    let others: Map<String, Value> = objects
        .map(|one| {
            let label = &one.object["metadata"]["labels"]["trait.oam.dev/resource"];
            (
                label.as_str().unwrap_or_default().to_owned(),
                one.object.clone(),
            )
        })
        .collect();
    json!({ "output": workload, "outputs": others })
}

fn config_of(secret: &Value) -> Value {
    let data = text(&secret["data"], "input-properties");
    let bytes = STANDARD.decode(data).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn converted(params: &Value) -> Called {
    let bytes = STANDARD.decode(text(params, "bt")).unwrap_or_default();
    Called::Answer(json!({ "str": String::from_utf8_lossy(&bytes) }))
}

fn key(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!(
        "{}/{}/{}",
        text(object, "kind"),
        text(metadata, "namespace"),
        text(metadata, "name")
    )
}

fn not_found(object: &Value) -> String {
    let group = text(object, "apiVersion")
        .split_once('/')
        .map_or("", |(group, _)| group);
    let dot = if group.is_empty() { "" } else { "." };
    let kind = text(object, "kind").to_lowercase();
    format!(
        "{kind}s{dot}{group} \"{}\" not found",
        text(&object["metadata"], "name")
    )
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
