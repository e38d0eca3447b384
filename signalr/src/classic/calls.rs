//! Runs the methods of hubs for clients of SignalR 2.
//!
//! All that this server needs of a hub's methods is here: their names, and the result or the
//! failure of one call. The texts of failures are SignalR 2's.

use std::{collections::VecDeque, panic::AssertUnwindSafe, time::Duration};

use futures_util::{FutureExt, StreamExt};
use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::place::{Answer, Place, Recipient};
use crate::{
    arguments::{BindError, RawArguments},
    call::{CallContext, CallError},
    caller::Caller,
    dispatch,
    error::HubError,
    handler::{Items, Run},
    hub::Hub,
    metrics::Outcome,
    protocol::{
        Encoding,
        classic::{self, Failure},
        message::Payload,
    },
};

/// Runs a method and returns its result. The items of a stream go to `progress`, one after the
/// other.
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
) -> Result<Box<RawValue>, Failure> {
    let Some(method) = hub.find(name) else {
        hub.metrics().unknown_method().ended(Outcome::Refused, Duration::ZERO);
        let text = format!("'{name}' method could not be resolved. {NO_METHOD}");
        return Err(detail(hub, name, text));
    };
    if let Err(error) = method.authorize(&caller) {
        method.metrics.ended(Outcome::Refused, Duration::ZERO);
        return Err(unread(hub, name, error));
    }
    let begin = Instant::now();
    let mut outcome = Outcome::Ok;
    let run = async {
        let mut context = CallContext {
            caller,
            method: method.name.clone(),
            cancelled: CancellationToken::new(),
            states: hub.states().clone(),
            uploads: VecDeque::new(),
        };
        let arguments = RawArguments::json(arguments);
        let layered = hub.start_layered(method, &mut context, arguments, Encoding::Json);
        let result = match (&method.run, layered) {
            (Run::Call(_), Some(running)) => dispatch::result(running.await).map(json),
            (Run::Stream(_), Some(running)) => match dispatch::items(running.await) {
                Ok(items) => report(items, progress).await,
                Err(error) => Err(error),
            },
            (Run::Call(start), None) => match start(&mut context, arguments, Encoding::Json) {
                Ok(running) => running.await.map(json),
                Err(error) => {
                    outcome = Outcome::Refused;
                    return Err(unread(hub, name, error));
                }
            },
            (Run::Stream(start), None) => match start(&mut context, arguments, Encoding::Json) {
                Ok(running) => match running.await {
                    Ok(items) => report(items, progress).await,
                    Err(error) => Err(error),
                },
                Err(error) => {
                    outcome = Outcome::Refused;
                    return Err(unread(hub, name, error));
                }
            },
        };
        result.map_err(|error| {
            outcome = Outcome::Error;
            unread(hub, name, error)
        })
    };
    let result = AssertUnwindSafe(run).catch_unwind().await;
    if result.is_err() {
        outcome = Outcome::Panicked;
    }
    method.metrics.ended(outcome, begin.elapsed());
    result.unwrap_or_else(|_| {
        error!(method = name, "hub method panicked");
        Err(failed(hub, name))
    })
}

/// Reports all items of a stream as progress. SignalR 2 has no streams, so the call has no result.
async fn report(mut items: Items, progress: Progress<'_>) -> Result<Box<RawValue>, CallError> {
    while let Some(item) = items.next().await {
        progress.report(&json(item?)).await;
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

fn of_method(hub: &Hub, name: &str, error: &HubError) -> Failure {
    match error.message() {
        Some(text) => Failure { text: text.to_owned(), is_public: true },
        None => {
            let details = error.details();
            error!(method = name, error = details, "hub method failed");
            detail(hub, name, details)
        }
    }
}

/// Returns the failure of a call whose parameters cannot be read.
fn unread(hub: &Hub, name: &str, error: CallError) -> Failure {
    match error {
        CallError::Binding(error) => unbound(hub, name, error),
        CallError::Hub(error) => of_method(hub, name, &error),
        CallError::Streams { .. } => {
            detail(hub, name, format!("'{name}' reads a stream, which SignalR 2 does not have."))
        }
        error @ CallError::Missing(_) => of_method(hub, name, &error.into_hub_error()),
        CallError::Unauthorized => Failure {
            text: format!(
                "Caller is not authorized to invoke the {name} method on {}.",
                hub.name()
            ),
            is_public: true,
        },
    }
}

/// Returns the names of a hub's methods as they were registered.
pub(super) fn method_names(hub: &Hub) -> &[String] {
    hub.method_names()
}

/// Returns the failure of a call whose arguments do not fit.
fn unbound(hub: &Hub, name: &str, error: BindError) -> Failure {
    let text = match error {
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
    };
    detail(hub, name, text)
}

/// Returns a failure with its cause, if clients may read causes.
fn detail(hub: &Hub, name: &str, text: String) -> Failure {
    debug!(method = name, error = text, "call failed");
    match hub.options().detailed_errors {
        true => Failure { text, is_public: false },
        false => failed(hub, name),
    }
}

fn failed(hub: &Hub, name: &str) -> Failure {
    let text = format!("There was an error invoking Hub method '{}.{name}'.", hub.name());
    Failure { text, is_public: false }
}

const NO_METHOD: &str = "No method found with that name.";
