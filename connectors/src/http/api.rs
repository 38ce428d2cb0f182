//! The OpenAPI document, from the code: routes bring their own description, this adds what is said once.
//!
//! *In*: what [`routes`](super::routes) collected from the attributes of the handlers. *Out*: the document `/openapi.json` serves.
//! Parameters that several routes take are in `params`, answers that several give in `answers`, and what data looks like that
//! writes itself (rows, posts, alerts) in `shapes`. Examples are in `examples.json`, by method and path, so that handlers stay
//! readable; every one is checked against the schema it illustrates.

pub(super) mod answers;
pub(super) mod params;
pub(super) mod shapes;

use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// What the document says before any route.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Groundswell API",
        description = "Vote-weighted sentiment views, posts and alerts of a running pipeline. Every answer is consistent at one \
                       tick, metadata.at. Unknown parameters are refused. Times are UTC.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(answers::ErrorBody)),
    security((), ("bearer" = []), ("key" = [])),
    modifiers(&Credentials)
)]
pub(super) struct Head;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let key = ApiKeyValue::with_description("X-API-Key", "An API key of serve.auth.keys.");
        components.add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(key)));
        let mut token = Http::new(HttpAuthScheme::Bearer);
        token.description = Some("An API key, or a JSON web token (serve.auth.jwt).".to_owned());
        components.add_security_scheme("bearer", SecurityScheme::Http(token));
    }
}

/// Examples by `METHOD path`, and by `METHOD path request` for what is sent.
pub(super) fn examples() -> BTreeMap<String, Value> {
    // The file is part of the program, and a test reads it.
    serde_json::from_str(include_str!("api/examples.json")).unwrap_or_default()
}

/// The whole document as JSON, with its examples.
pub(super) fn finish(document: &Document) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    for (place, example) in examples() {
        if let Some(content) = content(&mut document, &place) {
            content["example"] = example;
        }
    }
    document
}

/// The first content of what a place names: a route's good answer, or its request.
fn content<'a>(document: &'a mut Value, place: &str) -> Option<&'a mut Value> {
    let mut words = place.split(' ');
    let (method, path) = (words.next()?.to_lowercase(), words.next()?);
    let operation = document.get_mut("paths")?.get_mut(path)?.get_mut(method)?;
    let holder = if words.next().is_some() {
        operation.get_mut("requestBody")?
    } else {
        let answers = operation.get_mut("responses")?.as_object_mut()?;
        answers.values_mut().next()?
    };
    holder.get_mut("content")?.as_object_mut()?.values_mut().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::docs;

    #[test]
    fn every_example_has_its_place_and_every_json_answer_its_example() {
        let examples: BTreeMap<String, Value> =
            serde_json::from_str(include_str!("api/examples.json")).expect("the examples are JSON");
        let mut document = docs::document().clone();
        for place in examples.keys() {
            assert!(
                content(&mut document, place).is_some(),
                "nothing has the example of {place}"
            );
        }
        let paths = document["paths"].as_object().expect("paths");
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().expect("operations") {
                let answers = operation["responses"].as_object().expect("answers");
                let good = answers.values().next().expect("an answer");
                let is_json = good["content"].get("application/json").is_some();
                let place = format!("{} {path}", method.to_uppercase());
                assert!(
                    !is_json || examples.contains_key(&place) || path == "/openapi.json",
                    "{place} has no example"
                );
            }
        }
    }

    #[test]
    fn every_example_is_what_its_schema_says() {
        let mut wrong = Vec::new();
        for place in examples().keys() {
            let mut document = docs::document().clone();
            let content = content(&mut document, place).expect("a place").clone();
            let mut schema = content["schema"].clone();
            schema["components"] = document["components"].clone();
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            wrong.extend(
                validator
                    .iter_errors(&content["example"])
                    .map(|error| format!("{place}: {error} at {}", error.instance_path())),
            );
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn nothing_is_referred_to_that_is_not_there() {
        let text = docs::document().to_string();
        let references = text
            .split("\"$ref\":\"#")
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        for reference in references {
            assert!(docs::document().pointer(reference).is_some(), "{reference}");
        }
    }
}
