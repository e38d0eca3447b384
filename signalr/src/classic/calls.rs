//! Runs the methods of hubs for clients of SignalR 2.
//!
//! All that this server needs of a hub's methods is here: their names, and the result or the
//! failure of one call. The texts of failures are SignalR 2's.

use std::{collections::VecDeque, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::{
    arguments::{BindError, RawArguments},
    call::{CallContext, CallError},
    caller::Caller,
    dispatch,
    error::HubError,
    handler::Run,
    hub::Hub,
    metrics::Outcome,
    protocol::{Encoding, classic::Failure, message::Payload},
};

/// Runs a method and returns its result.
///
/// # Errors
///
/// Returns the text for the client if the method is unknown, refuses the arguments or fails.
pub(super) async fn run(
    hub: &Hub,
    caller: Caller,
    name: &str,
    arguments: &RawValue,
) -> Result<Box<RawValue>, Failure> {
    let Some(method) = hub.find(name) else {
        hub.metrics().unknown_method().ended(Outcome::Refused, Duration::ZERO);
        let text = format!("'{name}' method could not be resolved. {NO_METHOD}");
        return Err(detail(hub, name, text));
    };
    let Run::Call(start) = &method.run else {
        method.metrics.ended(Outcome::Refused, Duration::ZERO);
        return Err(detail(hub, name, format!("'{name}' returns a stream.")));
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
        let result = match hub.start_layered(method, &mut context, arguments, Encoding::Json) {
            Some(running) => dispatch::result(running.await),
            None => match start(&mut context, arguments, Encoding::Json) {
                Ok(running) => running.await,
                Err(error) => {
                    outcome = Outcome::Refused;
                    return Err(unread(hub, name, error));
                }
            },
        };
        match result {
            Ok(Payload::Json(result)) => Ok(result),
            Ok(Payload::MessagePack(_)) => unreachable!("the result is encoded as JSON"),
            Err(error) => {
                outcome = Outcome::Error;
                Err(unread(hub, name, error))
            }
        }
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
