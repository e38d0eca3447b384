//! Asks the clients of other servers for results.
//!
//! The server that has the client invokes its method, and answers with the result as JSON.

use std::{borrow::Cow, sync::Arc, time::Duration};

use backplane::{Cursor, Invocation};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    farm::Farm,
    results::{AskError, Askers},
};

/// An invocation on its way to the server that has the client.
#[derive(Debug, Deserialize, Serialize)]
struct ClientQuestion<'a> {
    connection_id: Cow<'a, str>,
    method: Cow<'a, str>,
    arguments: Cow<'a, RawValue>,
    /// The last message that the asker has sent before.
    after: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum ClientAnswer {
    Result(Box<RawValue>),
    Error(String),
    TimedOut,
    Ended,
}

/// Asks a client of another server, and returns its result.
pub(crate) async fn ask(
    farm: &Farm,
    connection_id: &str,
    invocation: &Invocation,
    after: Option<Cursor>,
    timeout: Duration,
) -> Result<Box<RawValue>, AskError> {
    let answers = farm.ask_others::<bool>(HAS_CLIENT, connection_id).await;
    let (owner, _) = answers.into_iter().next().ok_or(AskError::Ended)?;
    let question = ClientQuestion {
        connection_id: connection_id.into(),
        method: invocation.method().into(),
        arguments: Cow::Borrowed(invocation.arguments()),
        after: after.map(|after| after.to_string()),
    };
    match farm.ask(owner, ASK_CLIENT, &question, timeout + ANSWER_GRACE).await {
        Some(ClientAnswer::Result(result)) => Ok(result),
        Some(ClientAnswer::Error(error)) => Err(AskError::Client(error)),
        Some(ClientAnswer::TimedOut) => Err(AskError::TimedOut),
        // The owner is gone, too.
        Some(ClientAnswer::Ended) | None => Err(AskError::Ended),
    }
}

/// Lets other servers ask the clients of this one.
pub(crate) fn answer(farm: &Farm, askers: &Arc<Askers>, timeout: Duration) {
    let of = Arc::clone(askers);
    farm.answer(HAS_CLIENT, move |_, id: String| std::future::ready(of.find(&id).map(|_| true)));
    let askers = Arc::clone(askers);
    farm.answer(ASK_CLIENT, move |_, question: ClientQuestion<'static>| {
        let askers = Arc::clone(&askers);
        async move { Some(ask_here(&askers, &question, timeout).await) }
    });
}

async fn ask_here(
    askers: &Askers,
    question: &ClientQuestion<'_>,
    timeout: Duration,
) -> ClientAnswer {
    let Some(asker) = askers.find(&question.connection_id) else { return ClientAnswer::Ended };
    let Ok(invocation) = Invocation::new(&*question.method, &*question.arguments) else {
        return ClientAnswer::Ended;
    };
    let after = question.after.as_ref().and_then(|after| after.parse().ok());
    match asker.ask(&invocation, after, timeout).await {
        // A client's method without a result returns null.
        Ok(None) => ClientAnswer::Result(RawValue::NULL.to_owned()),
        Ok(Some(result)) => match result.as_raw().read::<serde_json::Value>() {
            Some(value) => match serde_json::value::to_raw_value(&value) {
                Ok(value) => ClientAnswer::Result(value),
                Err(_) => ClientAnswer::Ended,
            },
            None => ClientAnswer::Error("the result is no JSON".to_owned()),
        },
        Err(AskError::Client(error)) => ClientAnswer::Error(error),
        Err(AskError::TimedOut) => ClientAnswer::TimedOut,
        Err(AskError::Ended) => ClientAnswer::Ended,
    }
}

/// The question which server has a client.
const HAS_CLIENT: &str = "has_client";
/// The question to a client.
const ASK_CLIENT: &str = "ask_client";
/// The time for which the answer of the owner may travel.
const ANSWER_GRACE: Duration = Duration::from_secs(1);
