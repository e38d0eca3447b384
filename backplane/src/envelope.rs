//! What stands on the channel: an invocation and its target, as one JSON object.
//!
//! `{"target":{"all":{}},"method":"broadcastMessage","arguments":["ann","hi"]}`

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::invocation::{Invocation, InvocationError};
use crate::target::Target;

#[derive(Serialize)]
struct Outgoing<'a> {
    target: &'a Target,
    method: &'a str,
    arguments: &'a RawValue,
}

#[derive(Deserialize)]
struct Incoming {
    target: Target,
    method: String,
    arguments: Box<RawValue>,
}

/// Why a payload is no envelope. Somebody else publishes on the app's channel.
#[derive(Debug, Error)]
pub(crate) enum EnvelopeError {
    #[error(transparent)]
    NoJson(#[from] serde_json::Error),
    #[error(transparent)]
    Arguments(#[from] InvocationError),
}

pub(crate) fn write(target: &Target, invocation: &Invocation) -> Bytes {
    let outgoing =
        Outgoing { target, method: invocation.method(), arguments: invocation.arguments() };
    serde_json::to_vec(&outgoing).expect("strings and raw JSON can be written").into()
}

pub(crate) fn read(payload: &[u8]) -> Result<(Target, Invocation), EnvelopeError> {
    let Incoming { target, method, arguments } = serde_json::from_slice(payload)?;
    Ok((target, Invocation::from_raw(method, arguments)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_readable_and_read_back() {
        let invocation = Invocation::new("broadcastMessage", ("ann", "hi \u{1f600}")).unwrap();
        for (target, expected) in [
            (Target::all(), r#"{"all":{}}"#),
            (Target::all().except(["c1"]), r#"{"all":{"except":["c1"]}}"#),
            (Target::group("room"), r#"{"group":{"name":"room"}}"#),
            (Target::user("ann"), r#"{"user":"ann"}"#),
            (Target::connection("c1"), r#"{"connection":"c1"}"#),
        ] {
            let payload = write(&target, &invocation);
            let arguments = "[\"ann\",\"hi \u{1f600}\"]";
            let text = format!(
                r#"{{"target":{expected},"method":"broadcastMessage","arguments":{arguments}}}"#
            );
            assert_eq!(payload, text);
            let (read_target, read_invocation) = read(&payload).unwrap();
            assert_eq!(read_target, target);
            assert_eq!(read_invocation.arguments().get(), arguments);
        }
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for payload in ["", "hello", "{}", r#"{"target":{"all":{}},"method":"m","arguments":1}"#] {
            assert!(read(payload.as_bytes()).is_err(), "{payload}");
        }
        assert!(read(b"\xff\xfe").is_err());
    }
}
