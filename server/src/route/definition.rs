//! Definitions of all four kinds.

use axum::Json;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use caravel_core::engine::DefinitionKind;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Problem;
use crate::hub::Caller;
use crate::page::{Page, PageQuery};
use crate::view::DefinitionView;

/// Which kind of definition is asked for.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct KindQuery {
    /// `component` (unless said otherwise), `trait`, `policy` or `workflow-step`.
    #[serde(default)]
    #[param(value_type = String)]
    kind: DefinitionKind,
}

/// Definitions of one kind in all namespaces.
#[utoipa::path(
    get,
    path = "/api/v1/definitions",
    tag = "definitions",
    params(KindQuery, PageQuery),
    responses((status = OK, body = Page<DefinitionView>), (status = FORBIDDEN, body = Problem))
)]
pub(crate) async fn list_all(
    Caller(client): Caller,
    Query(of): Query<KindQuery>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<DefinitionView>>, Problem> {
    let api = Api::all_with(client, &resource(of.kind));
    page(api, of.kind, &query.page()).await
}

/// Definitions of one kind in a namespace.
#[utoipa::path(
    get,
    path = "/api/v1/namespaces/{namespace}/definitions",
    tag = "definitions",
    params(("namespace" = String, Path), KindQuery, PageQuery),
    responses((status = OK, body = Page<DefinitionView>), (status = FORBIDDEN, body = Problem))
)]
pub(crate) async fn list(
    Caller(client): Caller,
    Path(namespace): Path<String>,
    Query(of): Query<KindQuery>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<DefinitionView>>, Problem> {
    let api = Api::namespaced_with(client, &namespace, &resource(of.kind));
    page(api, of.kind, &query.page()).await
}

async fn page(
    api: Api<DynamicObject>,
    kind: DefinitionKind,
    query: &PageQuery,
) -> Result<Json<Page<DefinitionView>>, Problem> {
    let list = api.list(&query.list_params()).await?;
    Ok(Json(Page::of(list, |object| view(kind, &object))))
}

/// One definition with its template and the schema of its parameters.
#[utoipa::path(
    get,
    path = "/api/v1/namespaces/{namespace}/definitions/{kind}/{name}",
    tag = "definitions",
    params(("namespace" = String, Path), ("kind" = String, Path), ("name" = String, Path)),
    responses((status = OK, body = DefinitionView), (status = NOT_FOUND, body = Problem))
)]
pub(crate) async fn read(
    Caller(client): Caller,
    Path((namespace, kind, name)): Path<(String, String, String)>,
) -> Result<Json<DefinitionView>, Problem> {
    let kind = serde_json::from_value(kind.clone().into()).map_err(|_| {
        Problem::new(
            StatusCode::NOT_FOUND,
            format!("there is no kind of definition {kind:?}"),
        )
        .hint("component, trait, policy or workflow-step")
    })?;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource(kind));
    let object = api.get(&name).await?;
    let mut definition = view(kind, &object);
    definition.template = object.data["spec"]["schematic"]["cue"]["template"]
        .as_str()
        .map(str::to_owned);
    if let Some(config_map) = object.data["status"]["configMapRef"].as_str() {
        let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
        let data = api.get_opt(config_map).await?.and_then(|found| found.data);
        let text = data.and_then(|mut data| data.remove("openapi-v3-json-schema"));
        definition.schema = text.and_then(|text| serde_json::from_str(&text).ok());
    }
    Ok(Json(definition))
}

fn view(kind: DefinitionKind, object: &DynamicObject) -> DefinitionView {
    let annotations = object.metadata.annotations.as_ref();
    DefinitionView {
        kind: name_of(kind).to_owned(),
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        description: annotations
            .and_then(|map| map.get("definition.oam.dev/description"))
            .cloned(),
        revision: object.data["status"]["latestRevision"]["name"]
            .as_str()
            .map(str::to_owned),
        template: None,
        schema: None,
    }
}

fn name_of(kind: DefinitionKind) -> &'static str {
    match kind {
        DefinitionKind::Component => "component",
        DefinitionKind::Trait => "trait",
        DefinitionKind::Policy => "policy",
        DefinitionKind::WorkflowStep => "workflow-step",
        DefinitionKind::Workload => "workload",
    }
}

fn resource(kind: DefinitionKind) -> ApiResource {
    let (kind, plural) = match kind {
        DefinitionKind::Component => ("ComponentDefinition", "componentdefinitions"),
        DefinitionKind::Trait => ("TraitDefinition", "traitdefinitions"),
        DefinitionKind::Policy => ("PolicyDefinition", "policydefinitions"),
        DefinitionKind::WorkflowStep => ("WorkflowStepDefinition", "workflowstepdefinitions"),
        DefinitionKind::Workload => ("WorkloadDefinition", "workloaddefinitions"),
    };
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("core.oam.dev", "v1beta1", kind),
        plural,
    )
}

/// [`PageQuery`] beside `kind`: each reads its own names of the same query.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListQuery {
    limit: Option<u32>,
    #[serde(rename = "continue")]
    continue_: Option<String>,
    label_selector: Option<String>,
}

impl ListQuery {
    fn page(self) -> PageQuery {
        PageQuery::new(self.limit, self.continue_, self.label_selector)
    }
}
