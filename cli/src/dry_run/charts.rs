//! Charts of a dry run. What they read are the objects that are given in files, and those of a hub where one is wanted.

use std::cell::RefCell;
use std::sync::Arc;

use caravel_clusters::connect::{Cluster, Clusters};
use caravel_core::api::Application;
use caravel_core::appfile::{DefinitionSet, Finding, FindingKind};
use caravel_core::charts::{ChartCall, ChartHook, Lookup, RenderedChart, as_stored};
use caravel_core::render::ClusterVersion;
use caravel_engines::Charts;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::Args;
use crate::def::definitions_of;
use crate::hub::readable;

/// What there is besides the definitions that are given: the hub, and what charts are rendered with.
pub(super) struct World {
    program: Charts,
    runtime: Runtime,
    hub: Option<Arc<Cluster>>,
    /// Empty without a hub.
    hub_version: String,
    /// Namespace of Applications that name none.
    pub(super) namespace: Option<String>,
    /// The version that is asked for.
    version: Option<ClusterVersion>,
    /// Objects of the files.
    given: Vec<Value>,
    /// What the hub defines.
    pub(super) definitions: DefinitionSet,
}

impl World {
    pub(super) fn of(args: &Args) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut world = Self {
            program: args.charts.program(),
            runtime,
            hub: None,
            hub_version: String::new(),
            namespace: args.hub.namespace.clone(),
            version: args.cluster_version.clone(),
            given: Vec::new(),
            definitions: DefinitionSet::default(),
        };
        if args.with_hub {
            let hub = world.runtime.block_on(args.hub.connect_for_templates())?;
            // Whether it answers is told once, and not as a fault of some chart.
            let version = world.runtime.block_on(hub.client.apiserver_version());
            world.hub_version = version.map_err(readable)?.git_version;
            world.definitions = world.runtime.block_on(definitions_of(&hub))?;
            world.namespace = Some(hub.namespace);
            world.hub = Some(Clusters::new(hub.client).hub()?);
        }
        Ok(world)
    }

    /// Takes an object that charts may read.
    pub(super) fn give(&mut self, object: Value) {
        self.given.push(as_stored(object));
    }

    /// The object, or the list, where it is known; none else. `namespace` is that of objects that name none.
    async fn look_up(&self, wanted: &Lookup, namespace: &str) -> Result<Option<Value>, String> {
        let given = self.given.iter();
        let mut given = given.filter(|object| wanted.is_for(object, namespace));
        if !wanted.name.is_empty()
            && let Some(found) = given.next()
        {
            return Ok(Some(found.clone()));
        }
        let served = match &self.hub {
            None => None,
            Some(hub) => hub
                .look_up(wanted)
                .await
                .map_err(|error| error.to_string())?,
        };
        let given: Vec<&Value> = given.collect();
        Ok(if given.is_empty() {
            served
        } else {
            Some(with_given(served, &given, wanted))
        })
    }
}

/// A list with the objects that are given, instead of those that are there.
fn with_given(served: Option<Value>, given: &[&Value], wanted: &Lookup) -> Value {
    let mut list = served.unwrap_or_else(
        || json!({"apiVersion": wanted.api_version, "kind": format!("{}List", wanted.kind)}),
    );
    let mut items = list["items"].as_array().cloned().unwrap_or_default();
    let name = |object: &Value| object["metadata"]["name"].clone();
    items.retain(|item| given.iter().all(|given| name(given) != name(item)));
    items.extend(given.iter().copied().cloned());
    list["items"] = items.into();
    list
}

/// The hooks of a chart.
#[derive(PartialEq)]
pub(super) struct Hooks {
    /// Whose they are.
    subject: String,
    in_order: Vec<ChartHook>,
    skip: bool,
}

impl Hooks {
    /// A line for each, in the order of their weights.
    pub(super) fn told(&self) -> String {
        let lines = self
            .in_order
            .iter()
            .map(|hook| match hook.left_out(self.skip) {
                Some(why) => format!("\n  {hook}: left out, because {why}"),
                None => format!("\n  {hook}: delivered with the other objects"),
            });
        format!("{} has hooks:{}", self.subject, lines.collect::<String>())
    }

    /// The same for programs.
    pub(super) fn to_json(&self) -> Value {
        let hooks = self.in_order.iter().map(|hook| {
            json!({
                "kind": hook.object["kind"],
                "name": hook.object["metadata"]["name"],
                "events": hook.events,
                "weight": hook.weight,
                "leftOut": hook.left_out(self.skip),
            })
        });
        json!({"subject": self.subject, "hooks": hooks.collect::<Vec<_>>()})
    }
}

/// The charts of one Application.
pub(super) struct OfApplication<'a> {
    world: &'a World,
    namespace: String,
    components: Vec<String>,
    /// What cannot be shown as it will be.
    pub(super) findings: Vec<Finding>,
    pub(super) hooks: Vec<Hooks>,
}

impl<'a> OfApplication<'a> {
    pub(super) fn new(world: &'a World, app: &Application) -> Self {
        let components = app.spec.components.iter();
        Self {
            world,
            namespace: app.namespace().unwrap_or_default(),
            components: components.map(|component| component.name.clone()).collect(),
            findings: Vec::new(),
            hooks: Vec::new(),
        }
    }

    /// What a `helm.#Render` comes to.
    pub(super) fn render(&mut self, params: &Value) -> Result<Value, String> {
        let mut call = ChartCall::read(params, &self.namespace)?;
        let name = params["context"]["name"].as_str();
        let at = self
            .components
            .iter()
            .position(|one| Some(one.as_str()) == name);
        let at = at.map(|index| format!("spec.components[{index}].properties"));
        let at = at.unwrap_or_else(|| "spec.components".to_owned());
        self.fill(&mut call, &at)?;
        let skip = call.skip_hooks;
        let rendered = self.rendered(call, &at)?;
        if !rendered.hooks.is_empty() {
            let (chart, version) = (&rendered.name, &rendered.version);
            self.note_hooks(Hooks {
                subject: format!("{}: chart {chart} {version}", name.unwrap_or(chart)),
                in_order: rendered.hooks.clone(),
                skip,
            });
        }
        Ok(rendered.returns(skip))
    }

    fn rendered(&mut self, call: ChartCall, at: &str) -> Result<RenderedChart, String> {
        let world = self.world;
        let mut request = call.request;
        request.chart.local = true;
        let unknown = RefCell::new(Vec::new());
        let look_up = |wanted: Lookup| {
            let (unknown, namespace) = (&unknown, self.namespace.as_str());
            async move {
                let found = world.look_up(&wanted, namespace).await?;
                if found.is_none() && world.hub.is_none() {
                    unknown.borrow_mut().push(wanted.to_string());
                }
                Ok(found)
            }
        };
        let rendered = world.runtime.block_on(async {
            let version = world.version.clone().unwrap_or_default();
            request.kube_version = version.git_version;
            if let (Some(hub), None) = (&world.hub, &world.version) {
                request.kube_version.clone_from(&world.hub_version);
                let served = hub.served().await;
                request.api_versions = served.map_err(|error| error.to_string())?;
            }
            let rendered = world.program.render(request, look_up).await;
            rendered.map_err(|error| unfit(error.to_string()))
        });
        let unknown = unknown.into_inner();
        if !unknown.is_empty() {
            let message = format!(
                "the chart looks up what is not known here, and finds nothing: {}",
                unknown.join(", ")
            );
            self.finding(format!("{at}.chart"), message);
        }
        rendered
    }

    /// Reads what the chart is fetched and rendered with.
    fn fill(&mut self, call: &mut ChartCall, at: &str) -> Result<(), String> {
        if let Some(place) = call.login_at()? {
            match self.read(&place)? {
                Some(secret) => call.sign_in(&secret)?,
                None => self.finding(
                    format!("{at}.chart.auth.secretRef"),
                    format!("there is no {place}: the chart is fetched without signing in"),
                ),
            }
        }
        let mut layers = Vec::new();
        for (index, from) in call.values_from.iter().enumerate() {
            let place = call.values_at(from)?;
            let object = self.read(&place)?.unwrap_or_default();
            if let Some(values) = from.values(&object)? {
                layers.push(values);
                continue;
            }
            let without = "the chart is rendered without these values";
            let missing = from.missing(&place);
            let message = if from.optional {
                format!("{missing}: {without}, which are optional")
            } else {
                format!("{missing}: {without}, but a delivery fails until they are there")
            };
            if !(from.optional && self.world.hub.is_some()) {
                self.finding(format!("{at}.valuesFrom[{index}]"), message);
            }
        }
        call.lay_below(layers);
        Ok(())
    }

    fn read(&self, place: &Lookup) -> Result<Option<Value>, String> {
        let found = self.world.look_up(place, &self.namespace);
        self.world.runtime.block_on(found)
    }

    fn finding(&mut self, path: String, message: String) {
        let hint = if self.world.hub.is_some() {
            "apply the object, or give it with -f FILE"
        } else {
            "give the object with -f FILE, or read it from a hub with --hub"
        };
        let finding = Finding::new(FindingKind::Unchecked, path, message).hint(hint);
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn note_hooks(&mut self, hooks: Hooks) {
        if !self.hooks.contains(&hooks) {
            self.hooks.push(hooks);
        }
    }
}

/// Tells how to render a chart for another cluster than the one that is assumed.
fn unfit(error: String) -> String {
    if error.contains("chart requires kubeVersion:") {
        error + "; --cluster-version gives the version of the cluster that it is meant for"
    } else {
        error
    }
}
