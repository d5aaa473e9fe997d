//! Requests for resources.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Form, bytes, json as json_answer, warn};
use super::{Frontend, Incoming, body, compress, reviews};
use crate::catalog::Kind;
use crate::kinds::{self, Include};
use crate::registry::{
    self, Answer, Call, DeleteOptions, FieldValidation, ListOptions, Options, Outcome, Page,
    PatchType,
};
use crate::request::Query;
use crate::simulator::SIMULATED;
use crate::status::{Result, Status};
use crate::store::Object;

/// Answers a request for a resource.
pub(super) async fn serve(
    frontend: &Arc<Frontend>,
    incoming: Incoming,
    body: Body,
) -> Result<Response> {
    let kind = find(frontend, &incoming)?;
    let body = body::read(body).await?;
    let options = options(&incoming.query)?;
    let target = &incoming.target;
    let call = Call {
        core: Arc::clone(&frontend.core),
        kind,
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        subresource: target.subresource.clone(),
        user: incoming.user.clone(),
        options: Options {
            field_manager: field_manager(&incoming),
            ..options
        },
    };
    if target.verb == "create" && is_question(&call) {
        let (mut question, _) = body::object(&incoming.parts.headers, &body)?;
        if let Some(outcome) = reviews::answer(&call, &mut question) {
            return finish(&call, &incoming, outcome?, Vec::new());
        }
    }
    match (target.verb, target.subresource.as_str()) {
        (_, "scale") => scale(&call, &incoming, &body).await,
        ("get", "" | "status") => get(&call, &incoming),
        ("list", "") => list(&call, &incoming).await,
        ("create", "") if target.name.is_empty() => create(&call, &incoming, &body).await,
        ("update", "" | "status" | "finalize") => {
            let (object, warnings) = decode(&call, &incoming, &body)?;
            finish(
                &call,
                &incoming,
                registry::replace(&call, object).await?,
                warnings,
            )
        }
        ("patch", "" | "status") => patch(&call, &incoming, &body).await,
        ("delete", "") => {
            let options = delete_options(&incoming, &body)?;
            let call = dry(call, &options);
            finish(
                &call,
                &incoming,
                registry::delete(&call, &options).await?,
                Vec::new(),
            )
        }
        ("deletecollection", "") => {
            let select = ListOptions::parse(&incoming.query, &call.kind, "")?;
            let options = delete_options(&incoming, &body)?;
            let call = dry(call, &options);
            let outcome = registry::delete_collection(&call, &select, &options).await?;
            finish(&call, &incoming, outcome, Vec::new())
        }
        (_, "") => Err(Status::method_not_allowed()),
        _ => Err(unserved(&call)),
    }
}

/// The refusal of a subresource that needs what this server does not have: nodes, most of all.
fn unserved(call: &Call) -> Status {
    let (group, plural, subresource) = (call.kind.group(), call.kind.plural(), &call.subresource);
    let Some(object) = call.core.store.get(&call.key()) else {
        return Status::not_found(group, plural, &call.name);
    };
    let on_node = ["log", "exec", "attach", "portforward", "proxy"].contains(&subresource.as_str());
    if call.kind.is("", "pods") && on_node {
        let name = &call.name;
        let simulated = object.value()["metadata"]["annotations"][SIMULATED] == "true";
        return Status::bad_request(if simulated {
            format!("pod {name} is simulated: no container of it runs, so it has no {subresource}")
        } else {
            format!("pod {name} does not have a host assigned")
        });
    }
    let message = format!("this server does not serve the subresource {plural}/{subresource}");
    Status::new(StatusCode::NOT_IMPLEMENTED, "", message)
}

/// Is it answered from what is known, and never stored?
fn is_question(call: &Call) -> bool {
    !call.kind.resource.is_stored() || call.subresource == "token"
}

/// The kind that a request is for, if it has the verb.
pub(super) fn find(frontend: &Frontend, incoming: &Incoming) -> Result<Arc<Kind>> {
    let target = &incoming.target;
    let catalog = frontend.core.catalog.load();
    let kind = catalog
        .find(&target.group, &target.version, &target.resource)
        .cloned()
        .ok_or_else(Status::no_such_path)?;
    if !kind.resource.namespaced && !target.namespace.is_empty() && !kind.is("", "namespaces") {
        return Err(Status::no_such_path());
    }
    let verbs = if target.subresource.is_empty() {
        kind.resource.verbs
    } else {
        kind.resource
            .subresource(&target.subresource)
            .ok_or_else(Status::no_such_path)?
            .verbs
    };
    let all_namespaces = kind.resource.namespaced && target.namespace.is_empty();
    if all_namespaces
        && matches!(
            target.verb,
            "create" | "get" | "update" | "patch" | "delete"
        )
    {
        return Err(Status::no_such_path());
    }
    if verbs.contains(&target.verb) {
        Ok(kind)
    } else {
        Err(Status::method_not_allowed())
    }
}

fn options(query: &Query) -> Result<Options> {
    let mut dry_run = false;
    for value in query.all("dryRun").filter(|value| !value.is_empty()) {
        if value != "All" {
            let error =
                caravel_schema::field::Error::not_supported("dryRun", json!([value]), &["All"]);
            return Err(Status::invalid(
                "meta.k8s.io",
                "CreateOptions",
                "",
                &[error],
            ));
        }
        dry_run = true;
    }
    let field_validation = match query.text("fieldValidation") {
        None => FieldValidation::default(),
        Some("Ignore") => FieldValidation::Ignore,
        Some("Warn") => FieldValidation::Warn,
        Some("Strict") => FieldValidation::Strict,
        Some(other) => {
            let valid = ["", "Ignore", "Strict", "Warn"];
            let error =
                caravel_schema::field::Error::not_supported("fieldValidation", other, &valid);
            return Err(Status::invalid(
                "meta.k8s.io",
                "CreateOptions",
                "",
                &[error],
            ));
        }
    };
    Ok(Options {
        dry_run,
        field_validation,
        force: query.flag("force"),
        field_manager: String::new(),
    })
}

/// The manager that a write is booked on: the one that was named, else the program of `User-Agent`.
fn field_manager(incoming: &Incoming) -> String {
    if let Some(manager) = incoming.query.text("fieldManager") {
        return manager.to_owned();
    }
    let apply = body::media_type(&incoming.parts.headers) == "application/apply-patch+yaml";
    if apply {
        return String::new();
    }
    let agent = incoming
        .parts
        .headers
        .get(http::header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    let program = agent
        .unwrap_or_default()
        .split('/')
        .next()
        .unwrap_or_default();
    if program.is_empty() {
        "unknown".to_owned()
    } else {
        program.chars().take(128).collect()
    }
}

/// Decodes the object of a body; unknown and repeated fields are refused or warned of, as asked.
fn decode(call: &Call, incoming: &Incoming, body: &[u8]) -> Result<(Value, Vec<String>)> {
    let (mut object, repeated) = body::object(&incoming.parts.headers, body)?;
    let validation = call.options.field_validation;
    if !repeated.is_empty() && validation == FieldValidation::Strict {
        return Err(kinds::strict_error(&call.kind, &repeated));
    }
    let mut warnings = if validation == FieldValidation::Warn {
        repeated
    } else {
        Vec::new()
    };
    if call.subresource.is_empty() || call.subresource == "status" {
        warnings.extend(kinds::check_fields(&call.kind, &mut object, validation)?);
    }
    Ok((object, warnings))
}

async fn create(call: &Call, incoming: &Incoming, body: &[u8]) -> Result<Response> {
    let (object, warnings) = decode(call, incoming, body)?;
    let outcome = registry::create(call, object).await?;
    finish(call, incoming, outcome, warnings)
}

async fn patch(call: &Call, incoming: &Incoming, body: &[u8]) -> Result<Response> {
    let media_type = body::media_type(&incoming.parts.headers);
    let form = PatchType::of(&media_type, call.kind.custom.is_some())?;
    finish(
        call,
        incoming,
        registry::patch(call, form, body).await?,
        Vec::new(),
    )
}

async fn scale(call: &Call, incoming: &Incoming, body: &[u8]) -> Result<Response> {
    match incoming.target.verb {
        "get" => {
            let form = incoming.accept.form()?;
            let scale = Answer::Value(registry::read_scale(call)?);
            show(call, incoming, form, scale, StatusCode::OK)
        }
        "update" => {
            let (scale, warnings) = body::object(&incoming.parts.headers, body)?;
            finish(
                call,
                incoming,
                registry::replace_scale(call, scale).await?,
                warnings,
            )
        }
        "patch" => {
            let media_type = body::media_type(&incoming.parts.headers);
            let form = PatchType::of(&media_type, call.kind.custom.is_some())?;
            finish(
                call,
                incoming,
                registry::patch_scale(call, form, body).await?,
                Vec::new(),
            )
        }
        _ => Err(Status::method_not_allowed()),
    }
}

fn delete_options(incoming: &Incoming, body: &[u8]) -> Result<DeleteOptions> {
    let value = if body.is_empty() {
        Value::Null
    } else {
        body::object(&incoming.parts.headers, body)?.0
    };
    DeleteOptions::parse(&value, &incoming.query)
}

fn dry(mut call: Call, options: &DeleteOptions) -> Call {
    call.options.dry_run |= !options.dry_run.is_empty();
    call
}

fn get(call: &Call, incoming: &Incoming) -> Result<Response> {
    let form = incoming.accept.form()?;
    let not_found = || Status::not_found(call.kind.group(), call.kind.plural(), &call.name);
    let object = call.core.store.get(&call.key()).ok_or_else(not_found)?;
    show(
        call,
        incoming,
        form,
        kinds::answer(&call.kind, object),
        StatusCode::OK,
    )
}

/// The answer to a write.
fn finish(
    call: &Call,
    incoming: &Incoming,
    outcome: Outcome,
    mut warnings: Vec<String>,
) -> Result<Response> {
    let form = incoming.accept.form.unwrap_or(Form::Object);
    let code = if outcome.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    warnings.extend(outcome.warnings);
    let mut response = show(call, incoming, form, outcome.object, code)?;
    warn(&mut response, &warnings);
    Ok(response)
}

fn show(
    call: &Call,
    incoming: &Incoming,
    form: Form,
    object: Answer,
    code: StatusCode,
) -> Result<Response> {
    match (form, object) {
        (Form::Object, Answer::Stored(object)) => Ok(bytes(code, object.body())),
        (Form::Object, Answer::Value(value)) => Ok(json_answer(code, &value)),
        (_, Answer::Value(value)) if value["kind"] == "Status" => Ok(json_answer(code, &value)),
        (Form::Table, object) => {
            let include = Include::parse(&incoming.query)?;
            let object = object.into_value();
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            let now = (call.core.clock)();
            let table = kinds::table(&call.kind, vec![object], metadata, include, now);
            Ok(json_answer(code, &table))
        }
        (Form::Metadata, object) => Ok(json_answer(code, &kinds::partial(object.into_value()))),
    }
}

async fn list(call: &Call, incoming: &Incoming) -> Result<Response> {
    let form = incoming.accept.form()?;
    let options = ListOptions::parse(&incoming.query, &call.kind, "")?;
    if incoming.query.get("sendInitialEvents").is_some() {
        let detail = "sendInitialEvents is forbidden for list";
        return Err(registry::invalid_list(
            caravel_schema::field::Error::forbidden("sendInitialEvents", detail),
        ));
    }
    let page = registry::list(&call.core, &call.kind, &call.namespace, &options)?;
    let metadata = list_metadata(&page);
    let body = match form {
        Form::Object => encode_list(&call.kind, &page, &metadata),
        Form::Table => {
            let include = Include::parse(&incoming.query)?;
            let now = (call.core.clock)();
            encode(&kinds::table(
                &call.kind,
                values(&call.kind, page),
                metadata,
                include,
                now,
            ))
        }
        Form::Metadata => {
            let head = r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1""#;
            enumerate(head, &page, &metadata, |out, object| {
                out.extend_from_slice(&kinds::encode_partial(object));
            })
        }
    };
    Ok(compress::json(&incoming.parts.headers, body).await)
}

fn encode(value: &Value) -> Bytes {
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

fn values(kind: &Kind, page: Page) -> Vec<Value> {
    page.objects
        .into_iter()
        .map(|object| kinds::answer(kind, object).into_value())
        .collect()
}

fn list_metadata(page: &Page) -> Value {
    let mut metadata = json!({"resourceVersion": page.version.to_string()});
    if let Some(next) = &page.next {
        metadata["continue"] = json!(next);
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = json!(remaining);
    }
    metadata
}

/// A list of objects that are encoded already.
fn encode_list(kind: &Kind, page: &Page, metadata: &Value) -> Bytes {
    let resource = &kind.resource;
    let head = format!(
        r#"{{"kind":{},"apiVersion":{}"#,
        json!(resource.list_kind),
        json!(resource.api_version())
    );
    enumerate(&head, page, metadata, |out, object| {
        if let Some(body) = kinds::as_stored(kind, object) {
            out.extend_from_slice(&body);
        } else {
            let value = kinds::answer(kind, Arc::clone(object)).into_value();
            out.extend_from_slice(value.to_string().as_bytes());
        }
    })
}

/// A list that begins with `head`, of objects as `encode` writes them.
fn enumerate(
    head: &str,
    page: &Page,
    metadata: &Value,
    encode: impl Fn(&mut Vec<u8>, &Arc<Object>),
) -> Bytes {
    let size: usize = page.objects.iter().map(|object| object.size() + 1).sum();
    let mut out = Vec::with_capacity(size + 256);
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(format!(r#","metadata":{metadata},"items":["#).as_bytes());
    for (index, object) in page.objects.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        encode(&mut out, object);
    }
    out.extend_from_slice(b"]}\n");
    Bytes::from(out)
}
