//! The spans of connections and calls.
//!
//! They have the names and attributes of .NET 9. A call is no child of its connection, which may
//! last for days: it follows from it. The parent of a call is the span of the client, which the
//! field `traceparent` names.

use tracing::{Span, debug_span, field::Empty};

use crate::protocol::message::Call;

/// Returns the span of a connection.
pub(crate) fn connection(hub: &str, connection_id: &str) -> Span {
    debug_span!(
        "connection",
        otel.kind = "server",
        rpc.system = "signalr",
        rpc.service = hub,
        connection.id = connection_id,
    )
}

/// Returns the span of a call of a registered method.
pub(crate) fn call(hub: &str, method: &str, connection_id: &str, call: &Call<'_>) -> Span {
    let span = debug_span!(
        parent: None,
        "call",
        otel.name = %format_args!("{hub}/{method}"),
        otel.kind = "server",
        rpc.system = "signalr",
        rpc.service = hub,
        rpc.method = method,
        connection.id = connection_id,
        traceparent = traceparent(call),
        error.type = Empty,
    );
    if !span.is_disabled() {
        span.follows_from(Span::current());
    }
    span
}

/// Returns the span of the client, if it is valid in the form of W3C Trace Context. No other text of
/// a client gets into a log.
fn traceparent<'a>(call: &'a Call<'_>) -> Option<&'a str> {
    let mut headers = call.headers.iter();
    let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case("traceparent"))?;
    is_traceparent(value).then_some(value)
}

fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut next_is_hex = |digits: usize| {
        let part = parts.next().unwrap_or_default();
        part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let has_form = next_is_hex(2) && next_is_hex(32) && next_is_hex(16) && next_is_hex(2);
    has_form && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_traceparent_has_four_parts_of_hex_digits() {
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true);
        check("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false);
        check("access_token=secret", false);
        check("", false);
    }

    fn check(text: &str, expected: bool) {
        assert_eq!(super::is_traceparent(text), expected, "{text:?}");
    }
}
