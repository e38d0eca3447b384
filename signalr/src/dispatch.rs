//! Runs the application's methods and hooks for the messages of a client.
//!
//! A client learns that a method failed. It learns the cause only if the method returned a
//! `HubError::new`, or if detailed errors are on. The texts are ASP.NET Core's.

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::value::RawValue;
use tracing::{debug, error};

use crate::{
    arguments::BindError,
    caller::Caller,
    disconnect::Disconnect,
    error::HubError,
    hub::Hub,
    protocol::json::{self, Call, ClientMessage},
};

/// Handles one message and returns the reply, if there is one.
///
/// # Errors
///
/// Returns an error if the message ends the connection.
pub(crate) async fn message(
    hub: &Hub,
    caller: &Caller,
    message: ClientMessage<'_>,
) -> Result<Option<Bytes>, Disconnect> {
    match message {
        ClientMessage::Invocation(call) => {
            let outcome = invoke(hub, caller, &call).await;
            Ok(answer(hub, &call, outcome.as_deref()))
        }
        ClientMessage::StreamInvocation(call) => {
            let failure = match hub.find(&call.target) {
                Some(_) => Failure::NotStreaming,
                None => Failure::UnknownMethod,
            };
            Ok(answer(hub, &call, Err(&failure)))
        }
        ClientMessage::Close => Err(Disconnect::Client),
        ClientMessage::Ping | ClientMessage::Other => Ok(None),
    }
}

/// Runs the application's `on_connected`.
///
/// # Errors
///
/// Returns the cause, for clients with details, if the application refuses the connection.
pub(crate) async fn connected(hub: &Hub, caller: Caller) -> Result<(), String> {
    let Some(hook) = hub.on_connected_hook() else { return Ok(()) };
    let refused = match AssertUnwindSafe(async { hook(caller).await }).catch_unwind().await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.details(),
        Err(_) => "panicked".to_owned(),
    };
    error!(error = refused, "on_connected failed");
    Err(refused)
}

/// Runs the application's `on_disconnected`.
pub(crate) async fn disconnected(hub: &Hub, caller: Caller) {
    let Some(hook) = hub.on_disconnected_hook() else { return };
    if AssertUnwindSafe(async { hook(caller).await }).catch_unwind().await.is_err() {
        error!("on_disconnected panicked");
    }
}

async fn invoke(hub: &Hub, caller: &Caller, call: &Call<'_>) -> Result<Box<RawValue>, Failure> {
    let method = hub.find(&call.target).ok_or(Failure::UnknownMethod)?;
    if call.stream_count > 0 {
        return Err(Failure::UnexpectedStreams(call.stream_count));
    }
    let run = async { method(caller.clone(), call.arguments)?.await.map_err(Failure::Hub) };
    // A panic fails one invocation only. The connection goes on, so `on_disconnected` still runs.
    AssertUnwindSafe(run).catch_unwind().await.unwrap_or(Err(Failure::Panicked))
}

fn answer(hub: &Hub, call: &Call<'_>, outcome: Result<&RawValue, &Failure>) -> Option<Bytes> {
    if let Err(failure) = outcome {
        failure.log(&call.target);
    }
    let id = call.id.as_deref()?;
    Some(match outcome {
        Ok(result) => json::completion(id, Ok(result)),
        Err(failure) => {
            let text = failure.text(&call.target, hub.options().detailed_errors);
            json::completion(id, Err(&text))
        }
    })
}

/// The reason why an invocation has no result.
#[derive(Debug)]
enum Failure {
    UnknownMethod,
    NotStreaming,
    UnexpectedStreams(usize),
    Binding(BindError),
    Hub(HubError),
    Panicked,
}

impl Failure {
    /// Returns the error text for the client.
    fn text(&self, target: &str, detailed: bool) -> String {
        let not_invoked = format!("Failed to invoke '{target}' due to an error on the server.");
        let failed = format!("An unexpected error occurred invoking '{target}' on the server.");
        match self {
            Self::UnknownMethod => format!("{not_invoked} HubException: Method does not exist."),
            Self::NotStreaming => format!(
                "The client attempted to invoke the non-streaming '{target}' method with a \
                 streaming invocation."
            ),
            Self::UnexpectedStreams(count) => format!(
                "{failed} HubException: Client sent {count} stream(s), Hub method expects 0."
            ),
            Self::Binding(error) if detailed => {
                format!("{not_invoked} InvalidDataException: {error}")
            }
            Self::Binding(_) => not_invoked,
            Self::Hub(error) => match error.message() {
                Some(message) => format!("{failed} HubException: {message}"),
                None if detailed => format!("{failed} {}", error.details()),
                None => failed,
            },
            Self::Panicked => failed,
        }
    }

    fn log(&self, target: &str) {
        match self {
            Self::Hub(error) if error.message().is_none() => {
                error!(method = target, error = error.details(), "hub method failed");
            }
            Self::Panicked => error!(method = target, "hub method panicked"),
            client_at_fault => {
                debug!(method = target, error = client_at_fault.text(target, true), "call failed");
            }
        }
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::Binding(error)
    }
}
