//! `/openapi.json`: what can be asked and sent, made from the table of routes and from what reads and writes.
//! <https://spec.openapis.org/oas/v3.1.1.html>

#![expect(clippy::indexing_slicing, reason = "the indices are names in objects that are made here")]

mod events;
mod operations;
mod parameters;

use axum::http::Method;
use serde_json::{Map, Value, json};

use crate::routes::{ROUTES, Route};

/// The document.
pub(crate) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (path, route) in ROUTES {
        let operations = paths.entry(*path).or_insert_with(|| json!({}));
        operations[method_name(*route)] = operations::operation(path, *route);
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "tailwater",
            "description": "What a flight recorder for hosts that run AI coding agents takes and answers.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}, {"password": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "where tokens are set"},
                "password": {"type": "http", "scheme": "basic", "description": "the same as a password; any name"},
            },
            "schemas": {"Event": events::schema(), "Problem": operations::problem()},
        },
    })
}

fn method_name(route: Route) -> &'static str {
    if route.method() == Method::POST { "post" } else { "get" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_there_with_what_it_is_for() {
        let document = document();
        for (path, route) in ROUTES {
            let operation = &document["paths"][*path][method_name(*route)];
            assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{path}");
            assert!(operation["operationId"].is_string(), "{path}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{path}");
        }
        let ids: Vec<&str> = ROUTES
            .iter()
            .map(|(path, route)| {
                document["paths"][*path][method_name(*route)]["operationId"].as_str().unwrap()
            })
            .collect();
        let distinct: std::collections::HashSet<&&str> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    }
}
