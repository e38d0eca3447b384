//! Who opens a connection, and where it begins.

use axum::{
    http::{StatusCode, request::Parts},
    response::Response,
};

use crate::{
    hub::Hub,
    metrics::Reason,
    peer::Visitor,
    query::query,
    refusal::{because, refusal},
    resumption::{Resumption, ResumptionError},
};

/// Returns the visitor of a request that opens a connection. On a resumable hub, a client names its
/// place in the query.
///
/// # Errors
///
/// Returns the refusal of a client that cannot go on there.
pub(super) async fn visitor(hub: &Hub, parts: &Parts) -> Result<Visitor, Response> {
    let mut visitor = hub.visitor(parts);
    if !hub.is_resumable() {
        return Ok(visitor);
    }
    let Some(cursor) = query(parts, "cursor") else { return Ok(visitor) };
    let groups = query(parts, "groups").unwrap_or_default();
    let user_id = visitor.user_id.as_deref();
    let tokens = hub.farm().tokens();
    let read = || Resumption::read(tokens, hub.name(), user_id, (&cursor, &groups));
    let mut resumption = read();
    if matches!(resumption, Err(ResumptionError::UnknownKey)) {
        hub.farm().exchange_keys().await;
        resumption = match read() {
            // All servers that had the key have ended.
            Err(ResumptionError::UnknownKey) => Ok(Resumption::Lost),
            read => read,
        };
    }
    match resumption {
        Ok(resumption) => {
            match resumption {
                Resumption::New => {}
                Resumption::Lost => hub.metrics().resumed("lost"),
                Resumption::At(..) => hub.metrics().resumed("ok"),
            }
            visitor.resumption = Some(Box::new(resumption));
            Ok(visitor)
        }
        Err(error) => {
            hub.metrics().resumed("refused");
            let status = match error {
                ResumptionError::Cursor(_) => StatusCode::BAD_REQUEST,
                ResumptionError::UnknownKey | ResumptionError::Token => StatusCode::FORBIDDEN,
            };
            Err(because(Reason::Token, refusal(status, error.to_string())))
        }
    }
}
