//! Events of Applications: only when something changed (decision on trap 20 of the reference).

use caravel_core::api::Application;
use caravel_core::api::phase::EventReason;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use kube::api::{Api, PostParams};
use tracing::debug;

use crate::FIELD_MANAGER;

/// The longest message that the API takes.
const LONGEST: usize = 1024;

/// Writes an event. One that cannot be written is only logged: nothing depends on it.
pub(crate) async fn record(
    client: &Client,
    application: &Application,
    reason: EventReason,
    message: &str,
    now: Timestamp,
) {
    let namespace = application.metadata.namespace.clone().unwrap_or_default();
    let event = event(application, reason, message, now);
    let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
    if let Err(error) = api.create(&PostParams::default(), &event).await {
        debug!(%error, "an event could not be written");
    }
}

fn event(application: &Application, reason: EventReason, message: &str, now: Timestamp) -> Event {
    let metadata = &application.metadata;
    let name = metadata.name.clone().unwrap_or_default();
    let is_warning = reason.as_str().contains("Failed");
    let mut event = Event {
        involved_object: ObjectReference {
            api_version: Some("core.oam.dev/v1beta1".to_owned()),
            kind: Some("Application".to_owned()),
            name: Some(name.clone()),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            ..ObjectReference::default()
        },
        reason: Some(reason.as_str().to_owned()),
        message: Some(shortened(message)),
        type_: Some(if is_warning { "Warning" } else { "Normal" }.to_owned()),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        source: Some(EventSource {
            component: Some(FIELD_MANAGER.to_owned()),
            host: None,
        }),
        reporting_component: Some(FIELD_MANAGER.to_owned()),
        ..Event::default()
    };
    // Unique and sortable, as client-go makes such names.
    event.metadata.name = Some(format!(
        "{name}.{:x}.{}",
        now.as_nanosecond(),
        reason.as_str().to_lowercase()
    ));
    event.metadata.namespace.clone_from(&metadata.namespace);
    event
}

fn shortened(message: &str) -> String {
    if message.len() <= LONGEST {
        return message.to_owned();
    }
    let end = (0..=LONGEST - 3)
        .rev()
        .find(|&end| message.is_char_boundary(end))
        .unwrap_or(0);
    format!("{}...", &message[..end])
}
