//! Starts the application's methods and hooks, and names their failures.
//!
//! A client learns that a method failed. It learns the cause only if the method returned a
//! `HubError::new`, or if detailed errors are on. The texts are ASP.NET Core's.

use std::panic::{self, AssertUnwindSafe};

use futures_util::{FutureExt, Stream, StreamExt};
use tracing::{debug, error};

use crate::{
    arguments::RawArguments,
    call::{CallContext, CallError, Missing},
    call_service::{self, Answer},
    caller::Caller,
    error::HubError,
    handler::{Items, Method, Run, Running},
    hub::Hub,
    metrics::Outcome,
    protocol::{Encoding, message::Payload},
};

/// A method that has begun.
pub(crate) enum Started {
    Call(Running<Result<Payload, CallError>>),
    Stream(RunningStream),
}

pub(crate) type RunningStream = Running<Result<Items, CallError>>;

/// Reads the parameters of a call and starts its method.
///
/// `is_stream` tells whether the client expects a stream.
///
/// # Errors
///
/// Returns the reason why the method does not run.
pub(crate) fn start(
    hub: &Hub,
    method: Option<&Method>,
    mut context: CallContext,
    arguments: RawArguments<'_>,
    is_stream: bool,
    encoding: Encoding,
) -> Result<Started, Failure> {
    let method = method.ok_or(Failure::UnknownMethod)?;
    context.method = method.name.clone();
    method.authorize(&context.caller)?;
    match (&method.run, is_stream) {
        (Run::Call(_), true) => return Err(Failure::NotStreaming),
        (Run::Stream(_), false) => return Err(Failure::Streaming),
        _ => {}
    }
    // A panic fails one call only. The connection goes on, so `on_disconnected` still runs.
    let start = || {
        if let Some(running) = hub.start_layered(method, &mut context, arguments, encoding) {
            return Ok(match is_stream {
                false => Started::Call(Box::pin(async { result(running.await) })),
                true => Started::Stream(Box::pin(async { items(running.await) })),
            });
        }
        Ok(match &method.run {
            Run::Call(start) => Started::Call(start(&mut context, arguments, encoding)?),
            Run::Stream(start) => Started::Stream(start(&mut context, arguments, encoding)?),
        })
    };
    panic::catch_unwind(AssertUnwindSafe(start)).unwrap_or(Err(Failure::Panicked))
}

/// Waits for a method that has begun.
///
/// # Errors
///
/// Returns an error if the method failed or panicked.
pub(crate) async fn finish<T>(running: Running<Result<T, CallError>>) -> Result<T, Failure> {
    match AssertUnwindSafe(running).catch_unwind().await {
        Ok(result) => result.map_err(Failure::Parameters),
        Err(_) => Err(Failure::Panicked),
    }
}

/// Returns the result of a call that passed the layers of its hub.
fn result(call_service::Outcome(outcome): call_service::Outcome) -> Result<Payload, CallError> {
    match outcome? {
        Answer::Result(result) => Ok(result),
        Answer::Items(_) => Err(HubError::new(OTHER_OUTCOME).into()),
    }
}

/// Returns the items of a stream that passed the layers of its hub.
fn items(call_service::Outcome(outcome): call_service::Outcome) -> Result<Items, CallError> {
    match outcome? {
        Answer::Items(items) => Ok(items),
        Answer::Result(_) => Err(HubError::new(OTHER_OUTCOME).into()),
    }
}

/// Returns the items of a stream. A panic is its last item.
pub(crate) fn guarded(items: Items) -> impl Stream<Item = Result<Payload, Failure>> + Unpin + Send {
    AssertUnwindSafe(items).catch_unwind().map(|item| match item {
        Ok(item) => item.map_err(Failure::Hub),
        Err(_) => Err(Failure::Panicked),
    })
}

/// Runs the application's `on_connected`.
///
/// # Errors
///
/// Returns the cause, for clients with details, if the application refuses the connection.
pub(crate) async fn connected(hub: &Hub, caller: Caller) -> Result<(), String> {
    let Some(hook) = hub.on_connected_hook() else { return Ok(()) };
    let mut context = CallContext::of_hook(caller, hub.states());
    let run = async { hook(&mut context).map_err(CallError::into_hub_error)?.await };
    let refused = match AssertUnwindSafe(run).catch_unwind().await {
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
    let mut context = CallContext::of_hook(caller, hub.states());
    let run = async {
        match hook(&mut context) {
            Ok(running) => running.await,
            Err(error) => {
                error!(error = error.into_hub_error().details(), "on_disconnected failed");
            }
        }
    };
    if AssertUnwindSafe(run).catch_unwind().await.is_err() {
        error!("on_disconnected panicked");
    }
}

/// Runs the application's `on_refreshed`.
pub(crate) async fn refreshed(hub: &Hub, caller: Caller) {
    let Some(hook) = hub.on_refreshed_hook() else { return };
    let mut context = CallContext::of_hook(caller, hub.states());
    let run = async {
        match hook(&mut context) {
            Ok(running) => running.await,
            Err(error) => {
                error!(error = error.into_hub_error().details(), "on_refreshed failed");
            }
        }
    };
    if AssertUnwindSafe(run).catch_unwind().await.is_err() {
        error!("on_refreshed panicked");
    }
}

/// The reason why a call has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    UnknownMethod,
    NotStreaming,
    Streaming,
    Parameters(CallError),
    Hub(HubError),
    Panicked,
}

impl Failure {
    /// Returns the outcome for metrics and traces.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Hub(_) | Self::Parameters(CallError::Hub(_)) => Outcome::Error,
            Self::UnknownMethod | Self::NotStreaming | Self::Streaming | Self::Parameters(_) => {
                Outcome::Refused
            }
            Self::Panicked => Outcome::Panicked,
        }
    }

    /// Returns the error text for the client.
    pub(crate) fn text(&self, target: &str, detailed: bool) -> String {
        let not_invoked = format!("Failed to invoke '{target}' due to an error on the server.");
        let failed = format!("An unexpected error occurred invoking '{target}' on the server.");
        match self {
            Self::UnknownMethod => format!("{not_invoked} HubException: Method does not exist."),
            Self::NotStreaming => format!(
                "The client attempted to invoke the non-streaming '{target}' method with a \
                 streaming invocation."
            ),
            Self::Streaming => format!(
                "The client attempted to invoke the streaming '{target}' method with a \
                 non-streaming invocation."
            ),
            Self::Parameters(CallError::Streams { found, expected }) => format!(
                "{failed} HubException: Client sent {found} stream(s), Hub method expects \
                 {expected}."
            ),
            Self::Parameters(CallError::Unauthorized) => {
                format!("Failed to invoke '{target}' because user is unauthorized")
            }
            Self::Parameters(CallError::Missing(what)) => {
                with_cause(&failed, &Missing(what).into(), detailed)
            }
            Self::Parameters(CallError::Binding(error)) if detailed => {
                format!("{not_invoked} InvalidDataException: {error}")
            }
            Self::Parameters(CallError::Binding(_)) => not_invoked,
            Self::Hub(error) | Self::Parameters(CallError::Hub(error)) => {
                with_cause(&failed, error, detailed)
            }
            Self::Panicked => failed,
        }
    }

    /// Returns the error text for a stream that has begun.
    pub(crate) fn text_in_stream(&self, detailed: bool) -> String {
        let failed = "An error occurred on the server while streaming results.";
        match self {
            Self::Hub(error) => with_cause(failed, error, detailed),
            _ => failed.to_owned(),
        }
    }

    pub(crate) fn log(&self, target: &str) {
        match self {
            Self::Hub(error) | Self::Parameters(CallError::Hub(error))
                if error.message().is_none() =>
            {
                error!(method = target, error = error.details(), "hub method failed");
            }
            Self::Panicked => error!(method = target, "hub method panicked"),
            Self::Parameters(CallError::Missing(what)) => {
                error!(method = target, missing = what, "a parameter of a hub method is missing");
            }
            client_at_fault => {
                debug!(method = target, error = client_at_fault.text(target, true), "call failed");
            }
        }
    }
}

fn with_cause(text: &str, error: &HubError, detailed: bool) -> String {
    match error.message() {
        Some(message) => format!("{text} HubException: {message}"),
        None if detailed => format!("{text} {}", error.details()),
        None => text.to_owned(),
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Parameters(error)
    }
}

/// A layer can store an outcome and return it later.
const OTHER_OUTCOME: &str = "a layer returned the outcome of another call";
