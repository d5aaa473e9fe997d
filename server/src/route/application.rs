//! Applications: lists, one of them, its status, revisions, objects and events.

use axum::Json;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use caravel_core::api::{Application, ApplicationRevision, ApplicationStatus};
use k8s_openapi::api::core::v1::Event;
use kube::Client;
use kube::api::Api;
use serde_json::Value;

use crate::Problem;
use crate::hub::Caller;
use crate::page::{Page, PageQuery};
use crate::route::topology::{self, Node};
use crate::view::{ApplicationView, EventView, RevisionView};

/// Namespace and name of an Application.
type Address = Path<(String, String)>;

/// Applications of all namespaces.
#[utoipa::path(
    get,
    path = "/api/v1/applications",
    tag = "applications",
    params(PageQuery),
    responses(
        (status = OK, body = Page<ApplicationView>),
        (status = UNAUTHORIZED, body = Problem),
        (status = FORBIDDEN, body = Problem),
        (status = GONE, body = Problem, description = "the `continue` token is too old: begin again"),
    )
)]
pub(crate) async fn list_all(
    Caller(client): Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ApplicationView>>, Problem> {
    page(Api::all(client), &query).await
}

/// Applications of a namespace.
#[utoipa::path(
    get,
    path = "/api/v1/namespaces/{namespace}/applications",
    tag = "applications",
    params(("namespace" = String, Path), PageQuery),
    responses((status = OK, body = Page<ApplicationView>), (status = FORBIDDEN, body = Problem))
)]
pub(crate) async fn list(
    Caller(client): Caller,
    Path(namespace): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ApplicationView>>, Problem> {
    page(Api::namespaced(client, &namespace), &query).await
}

async fn page(
    api: Api<Application>,
    query: &PageQuery,
) -> Result<Json<Page<ApplicationView>>, Problem> {
    let list = api.list(&query.list_params()).await?;
    Ok(Json(Page::of(list, |application| {
        ApplicationView::from(&application)
    })))
}

/// The Application as the hub stores it.
#[utoipa::path(
    get,
    path = "/api/v1/namespaces/{namespace}/applications/{name}",
    tag = "applications",
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = OK, body = Object), (status = NOT_FOUND, body = Problem))
)]
pub(crate) async fn read(
    Caller(client): Caller,
    Path((namespace, name)): Address,
) -> Result<Json<Value>, Problem> {
    let mut application = get(client, &namespace, &name).await?;
    application.metadata.managed_fields = None;
    Ok(Json(to_json(&application)?))
}

/// How the Application stands: `status` of the object, with all its conditions, services and steps.
#[utoipa::path(
    get,
    path = "/api/v1/namespaces/{namespace}/applications/{name}/status",
    tag = "applications",
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = OK, body = Object), (status = NOT_FOUND, body = Problem))
)]
pub(crate) async fn status(
    Caller(client): Caller,
    Path((namespace, name)): Address,
) -> Result<Json<Value>, Problem> {
    let application = get(client, &namespace, &name).await?;
    let status: ApplicationStatus = application.status.unwrap_or_default();
    Ok(Json(to_json(&status)?))
}

/// The revisions of the Application that are kept, in the hub's order.
#[utoipa::path(
    get,
    path = "/api/v1/namespaces/{namespace}/applications/{name}/revisions",
    tag = "applications",
    params(("namespace" = String, Path), ("name" = String, Path), PageQuery),
    responses((status = OK, body = Page<RevisionView>), (status = NOT_FOUND, body = Problem))
)]
pub(crate) async fn revisions(
    Caller(client): Caller,
    Path((namespace, name)): Address,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<RevisionView>>, Problem> {
    // A misspelt name is an error, not an empty list.
    get(client.clone(), &namespace, &name).await?;
    let api: Api<ApplicationRevision> = Api::namespaced(client, &namespace);
    let mut parameters = query.list_params();
    parameters.label_selector = Some(format!("app.oam.dev/name={name}"));
    let list = api.list(&parameters).await?;
    Ok(Json(Page::of(list, |revision| {
        RevisionView::from(&revision)
    })))
}

/// The objects that the Application owns, as a tree with their health.
#[utoipa::path(
    get,
    path = "/api/v1/namespaces/{namespace}/applications/{name}/topology",
    tag = "applications",
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = OK, body = Node), (status = NOT_FOUND, body = Problem))
)]
pub(crate) async fn topology(
    Caller(client): Caller,
    Path((namespace, name)): Address,
) -> Result<Json<Node>, Problem> {
    let application = get(client.clone(), &namespace, &name).await?;
    topology::tree(&client, &application).await.map(Json)
}

/// What happened to the Application.
#[utoipa::path(
    get,
    path = "/api/v1/namespaces/{namespace}/applications/{name}/events",
    tag = "applications",
    params(("namespace" = String, Path), ("name" = String, Path), PageQuery),
    responses((status = OK, body = Page<EventView>), (status = NOT_FOUND, body = Problem))
)]
pub(crate) async fn events(
    Caller(client): Caller,
    Path((namespace, name)): Address,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<EventView>>, Problem> {
    get(client.clone(), &namespace, &name).await?;
    let api: Api<Event> = Api::namespaced(client, &namespace);
    let mut parameters = query.list_params();
    parameters.field_selector = Some(format!(
        "involvedObject.kind=Application,involvedObject.name={name}"
    ));
    let list = api.list(&parameters).await?;
    Ok(Json(Page::of(list, |event| EventView::from(&event))))
}

/// Reads an Application as the caller.
pub(crate) async fn get(
    client: Client,
    namespace: &str,
    name: &str,
) -> Result<Application, Problem> {
    Ok(Api::namespaced(client, namespace).get(name).await?)
}

/// A typed object as JSON.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<Value, Problem> {
    serde_json::to_value(value).map_err(|error| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the object cannot be shown: {error}"),
        )
    })
}
