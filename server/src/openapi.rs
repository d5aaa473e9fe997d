//! The description of the API, made from the code.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Context;
use crate::route::{application, definition, delivery, stream, workflow};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Caravel",
        description = "Applications of a Caravel hub: what they are made of, how they stand, and their workflows.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A token of the hub; its RBAC decides what the caller may do.",
            ))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// All routes of the API with their description.
pub(crate) fn router() -> OpenApiRouter<Context> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(application::list_all))
        .routes(routes!(application::list))
        .routes(routes!(application::read))
        .routes(routes!(application::status))
        .routes(routes!(application::revisions))
        .routes(routes!(application::topology))
        .routes(routes!(application::events))
        .routes(routes!(delivery::list))
        .routes(routes!(delivery::read))
        .routes(routes!(workflow::operate))
        .routes(routes!(definition::list_all))
        .routes(routes!(definition::list))
        .routes(routes!(definition::read))
        .routes(routes!(stream::applications))
}

/// The description as it is served at `/api/v1/openapi.json`.
pub fn document() -> utoipa::openapi::OpenApi {
    router().into_openapi()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn generated_document_is_fresh() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        let now = serde_json::to_string_pretty(&super::document()).expect("JSON") + "\n";
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&path, &now).expect("docs/openapi.json can be written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == now,
            "docs/openapi.json is stale: `make generate` writes it"
        );
    }
}
