//! The OpenAPI 3.1 document, made from the handlers themselves.
//!
//! `schemas/openapi.json` holds it as text; a test compares the two and
//! `UPDATE_GOLDEN=1 cargo test --workspace --lib openapi` rewrites the file.

use std::sync::LazyLock;

use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};
use utoipa::{Modify, OpenApi, ToResponse};

use crate::problem::ProblemBody;

/// The document as pretty JSON with a newline at the end.
pub fn openapi_json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| {
        let mut json = Document::openapi()
            .to_pretty_json()
            .expect("the document is made of constants that serialize");
        json.push('\n');
        json
    });
    &JSON
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "linkfunnel",
        description = "Where link journeys stop, live: events in, funnels out. Every refusal is RFC 9457 problem+json.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        crate::events::events,
        crate::funnels::query,
        crate::funnels::subjects,
        crate::paths::paths,
        crate::drivers::drivers,
        crate::funnels::list,
        crate::funnels::one,
        crate::funnels::save,
        crate::funnels::delete,
        crate::funnel_result::result,
        crate::experiments::list,
        crate::experiments::one,
        crate::experiments::save,
        crate::experiments::delete,
        crate::experiment_results::results,
        crate::journeys::one,
        crate::success_rates::success_rates,
        crate::surfaces::surfaces,
        crate::never_succeeded::never_succeeded,
        crate::effort::effort,
        crate::experiment_plan::plan,
        crate::sql::sql,
        crate::dead_letters::list,
        crate::dead_letters::replay,
        crate::operations::healthz,
        crate::operations::readyz,
        crate::operations::caught_up,
        crate::operations::openapi_json,
        crate::metrics::metrics,
    ),
    components(responses(Refused), schemas(ProblemBody<'static>)),
    tags(
        (name = "events", description = "Events in"),
        (name = "questions", description = "Answers out"),
        (name = "definitions", description = "Funnels and experiments with an id"),
        (name = "repair", description = "Messages that could not be taken"),
        (name = "operations", description = "For those who run it"),
    ),
    security(("key" = []), ()),
    modifiers(&Finish),
)]
struct Document;

/// Any refusal, in one form.
pub(crate) struct Refused;

impl<'r> ToResponse<'r> for Refused {
    fn response() -> (&'r str, RefOr<Response>) {
        let problem = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(problem)).build();
        let response = ResponseBuilder::new()
            .description("Refused: the code says what, the pointer where")
            .content("application/problem+json", content);
        ("Refused", response.build().into())
    }
}

/// What the macro cannot say.
struct Finish;

impl Modify for Finish {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let Some(components) = document.components.as_mut() else {
            return;
        };
        let key = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A key of the configuration. A server without keys takes none and reads the tenant \
                 from the header Linkfunnel-Tenant (default `default`).",
            ))
            .build();
        components.add_security_scheme("key", SecurityScheme::Http(key));
        let problem = components.schemas.get_mut("Problem");
        if let Some(RefOr::T(Schema::Object(problem))) = problem {
            problem.description = Some("What went wrong (RFC 9457)".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_openapi_document_is_the_one_in_schemas() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/openapi.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
            std::fs::write(path, openapi_json()).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == openapi_json(),
            "schemas/openapi.json is not what the handlers say; \
             look at the difference after UPDATE_GOLDEN=1 cargo test --workspace --lib openapi"
        );
    }

    #[test]
    fn every_reference_of_the_document_resolves_and_every_operation_has_a_name_of_its_own() {
        let document: serde_json::Value = serde_json::from_str(openapi_json()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let paths = document["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| path.as_object().unwrap().values());
        let mut ids: Vec<_> = operations
            .map(|o| o["operationId"].as_str().unwrap())
            .collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
        let mut pending = vec![&document];
        let mut found = 0;
        while let Some(value) = pending.pop() {
            match value {
                serde_json::Value::Object(map) => {
                    if let Some(reference) = map.get("$ref").and_then(|r| r.as_str()) {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                        found += 1;
                    }
                    pending.extend(map.values());
                }
                serde_json::Value::Array(values) => pending.extend(values),
                _ => {}
            }
        }
        assert!(found > 20, "{found}");
    }
}
