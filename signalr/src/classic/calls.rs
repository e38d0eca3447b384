//! Runs the methods of hubs for clients of SignalR 2.
//!
//! All that this server needs of a hub's methods is here: their names, and the result or the
//! failure of one call. The texts of failures are SignalR 2's.

use std::{collections::VecDeque, sync::Arc};

use futures_util::StreamExt;
use serde_json::value::RawValue;
use tokio::{select, time::Instant};
use tokio_util::sync::CancellationToken;

use super::place::{Answer, Place, Recipient};
use crate::{
    arguments::{BindError, RawArguments},
    call::{CallContext, CallError, Missing},
    caller::Caller,
    dispatch::{self, RunningStream, Started},
    error::HubError,
    handler::Method,
    hub::Hub,
    metrics::Outcome,
    protocol::{
        Encoding,
        classic::{self, Failure},
        message::Payload,
    },
};

/// Runs a method and returns its result. The items of a stream go to `progress`, one after the
/// other, until the client is `gone`.
///
/// # Errors
///
/// Returns the text for the client if the method is unknown, refuses the arguments or fails.
pub(super) async fn run(
    hub: &Hub,
    caller: Caller,
    name: &str,
    arguments: &RawValue,
    progress: Progress<'_>,
    gone: &CancellationToken,
) -> Result<Box<RawValue>, Failure> {
    let method = hub.find(name);
    let metrics = match method {
        Some(method) => Arc::clone(&method.metrics),
        None => hub.metrics().unknown_method(),
    };
    let begin = Instant::now();
    let context = CallContext {
        caller,
        method: "".into(),
        cancelled: gone.child_token(),
        states: hub.states().clone(),
        uploads: VecDeque::new(),
    };
    // A client of SignalR 2 calls a method with a stream as any other.
    let is_stream = method.is_some_and(Method::is_stream);
    let arguments = RawArguments::json(arguments);
    let started = dispatch::start(hub, method, context, arguments, is_stream, Encoding::Json);
    let result = match started {
        Ok(Started::Call(running)) => dispatch::finish(running).await.map(json),
        Ok(Started::Stream(running)) => report(running, progress, gone).await,
        Err(failure) => Err(failure),
    };
    let outcome = match &result {
        Ok(_) if is_stream && gone.is_cancelled() => Outcome::Cancelled,
        Ok(_) => Outcome::Ok,
        Err(failure) => failure.outcome(),
    };
    metrics.ended(outcome, begin.elapsed());
    result.map_err(|failure| failed(hub, name, &failure))
}

/// Reports all items of a stream as progress, until the client is gone. SignalR 2 has no streams, so
/// the call has no result.
async fn report(
    running: RunningStream,
    progress: Progress<'_>,
    gone: &CancellationToken,
) -> Result<Box<RawValue>, dispatch::Failure> {
    let reporting = async {
        let mut items = dispatch::guarded(dispatch::finish(running).await?);
        // A client without a connection receives no items, so the stream is started and dropped.
        while progress.place.is_some()
            && let Some(item) = items.next().await
        {
            progress.report(&json(item?)).await;
        }
        Ok::<_, dispatch::Failure>(())
    };
    select! {
        biased;
        () = gone.cancelled() => {}
        reported = reporting => reported?,
    }
    Ok(serde_json::value::to_raw_value(&()).expect("null is JSON"))
}

/// Reports the progress of one call.
#[derive(Clone, Copy)]
pub(super) struct Progress<'a> {
    /// `None` if the client has no connection, so it receives no progress.
    pub(super) place: Option<&'a Place>,
    /// `None` if the client expects no result either.
    pub(super) call: Option<&'a str>,
}

impl Progress<'_> {
    /// Reports a value behind the messages that the method has sent.
    async fn report(self, value: &RawValue) {
        if let (Some(place), Some(call)) = (self.place, self.call) {
            let to = Recipient::Progress(classic::progress(call, value));
            place.answer(Answer { to, after: place.last_sent() }).await;
        }
    }
}

fn json(payload: Payload) -> Box<RawValue> {
    match payload {
        Payload::Json(value) => value,
        Payload::MessagePack(_) => unreachable!("values are encoded as JSON"),
    }
}

/// Returns the failure for the client, with the texts of SignalR 2.
fn failed(hub: &Hub, name: &str, failure: &dispatch::Failure) -> Failure {
    failure.log(name);
    let text = match failure {
        dispatch::Failure::UnknownMethod => {
            format!("'{name}' method could not be resolved. {NO_METHOD}")
        }
        dispatch::Failure::Parameters(CallError::Binding(error)) => unbound(hub, name, error),
        dispatch::Failure::Parameters(CallError::Streams { .. }) => {
            format!("'{name}' reads a stream, which SignalR 2 does not have.")
        }
        dispatch::Failure::Parameters(CallError::Unauthorized) => {
            let hub = hub.name();
            let text = format!("Caller is not authorized to invoke the {name} method on {hub}.");
            return Failure::public(text, None);
        }
        dispatch::Failure::Parameters(CallError::Missing(what)) => {
            HubError::from(Missing(what)).details()
        }
        dispatch::Failure::Hub(error) | dispatch::Failure::Parameters(CallError::Hub(error)) => {
            match error.message() {
                Some(text) => {
                    return Failure::public(text.to_owned(), error.data().map(ToOwned::to_owned));
                }
                None => error.details(),
            }
        }
        dispatch::Failure::Streaming
        | dispatch::Failure::NotStreaming
        | dispatch::Failure::Panicked => return unexpected(hub, name),
    };
    match hub.options().detailed_errors {
        true => Failure::new(text),
        false => unexpected(hub, name),
    }
}

/// Returns the names of a hub's methods as they were registered.
pub(super) fn method_names(hub: &Hub) -> &[String] {
    hub.method_names()
}

/// Returns the text for arguments that do not fit.
fn unbound(hub: &Hub, name: &str, error: &BindError) -> String {
    match error {
        // SignalR 2 also lists the names and types of the parameters, which closures do not have.
        BindError::Count { expected, .. } => {
            let names = method_names(hub).iter();
            let known = names.into_iter().find(|known| known.to_lowercase() == name.to_lowercase());
            let known = known.map_or(name, String::as_str);
            format!(
                "'{name}' method could not be resolved. Potential candidates are: \n\
                 {known}({expected} argument(s))"
            )
        }
        BindError::Type => error.to_string(),
    }
}

/// Returns a failure without its cause.
fn unexpected(hub: &Hub, name: &str) -> Failure {
    let text = format!("There was an error invoking Hub method '{}.{name}'.", hub.name());
    Failure::new(text)
}

const NO_METHOD: &str = "No method found with that name.";
