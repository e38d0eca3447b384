//! Parameters in the query of a request.

use axum::{
    extract::Query,
    http::{Uri, request::Parts},
};

/// Returns the first value of a parameter. The case of its name is ignored.
pub(crate) fn query(parts: &Parts, name: &str) -> Option<String> {
    find(&parts.uri, name)
}

/// Returns the first value of a parameter in the query of a URI. The case of its name is ignored.
pub(crate) fn find(uri: &Uri, name: &str) -> Option<String> {
    let query: Query<Vec<(String, String)>> = Query::try_from_uri(uri).ok()?;
    let found = query.0.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}
