//! Sends an invocation to selected clients.
//!
//! An invocation without a result goes through the backplane. One with a result goes to a client of
//! this server directly, and to the client of another server by the channel between the servers.

use std::{sync::Arc, time::Duration};

use backplane::{Backplane, Cursor, Invocation, InvocationError, ResultError, SendError, Target};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    results::{AskError, Askers},
    sends::Sends,
};

/// The clients that receive one invocation.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = TestServer::start(|hub| hub);
/// # let mut client = server.connect().await;
/// # let hub = &server.hub;
///
/// let everyone = hub.clients().all();
/// everyone.clone().invoke("news", ("one",)).await?;
/// everyone.invoke("news", ("two",)).await?;
/// # assert_eq!(client.receive().await["arguments"], json!(["one"]));
/// # assert_eq!(client.receive().await["arguments"], json!(["two"]));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before invoke"]
pub struct Recipients {
    links: Arc<Links>,
    target: Target,
    sends: Option<Arc<Sends>>,
}

impl Recipients {
    pub(crate) fn new(links: Arc<Links>, target: Target, sends: Option<Arc<Sends>>) -> Self {
        Self { links, target, sends }
    }

    /// Excludes connections.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = TestServer::start(|hub| {
    /// #     hub.user_id(|_| Some("ann".to_owned()))
    /// #         .method("Id", |caller: signalr::Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
    /// # });
    /// # let (mut phone, mut laptop) = (server.connect().await, server.connect().await);
    /// # let id = phone.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    /// # laptop.call("Id", json!([])).await;
    /// # let hub = &server.hub;
    /// hub.clients().users(["ann", "bob"]).except([id]).invoke("read", (7,)).await?;
    /// # hub.clients().all().invoke("end", ()).await?;
    /// # assert_eq!(phone.receive().await["target"], "end");
    /// # assert_eq!(laptop.receive().await["target"], "read");
    /// # Ok(()) }
    /// ```
    pub fn except<T: Into<String>>(mut self, ids: impl IntoIterator<Item = T>) -> Self {
        self.target = self.target.except(ids);
        self
    }

    /// Invokes a method of the clients. The arguments are a tuple or a `Vec`, or `()` for none.
    ///
    /// Returns after the backplane has accepted the invocation. Clients send no result.
    ///
    /// The clients of a [`Caller`](crate::Caller) have their invocations pipelined: within a call
    /// `invoke` returns when the invocation has its place in the order. The result of the call then
    /// waits until the backplane has accepted all of them. If it does not accept one of them, a later
    /// `invoke` or the call fails.
    ///
    /// Arguments travel as JSON, which has no form for NaN and infinity. Such a number arrives as
    /// `null`.
    ///
    /// # Errors
    ///
    /// Returns an error if the arguments do not serialize to a JSON array, or if the backplane does
    /// not accept the invocation.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = TestServer::start(|hub| hub);
    /// # let mut client = server.connect().await;
    /// # let hub = &server.hub;
    ///
    /// hub.clients().all().invoke("moved", ("rook", 3, 7)).await?;
    /// # assert_eq!(client.receive().await["arguments"], json!(["rook", 3, 7]));
    /// # Ok(()) }
    /// ```
    pub async fn invoke(
        self,
        method: impl Into<String>,
        arguments: impl Serialize,
    ) -> Result<(), InvokeError> {
        let invocation = Invocation::new(method, arguments)?;
        let Self { links, target, sends } = self;
        match sends {
            Some(sends) => {
                let sending = async move { links.backplane.send_placed(target, invocation).await };
                sends.send(sending).await?;
            }
            None => links.backplane.send(target, invocation).await?,
        }
        Ok(())
    }
}

/// One client, which can also return a result.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::{Caller, Hub};
///
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone()).method("Delete", |caller: Caller, ()| async move {
///     let is_sure: bool =
///         caller.clients().caller().invoke_with_result("confirm", ("Really?",)).await?;
///     Ok(if is_sure { "deleted" } else { "kept" })
/// });
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # client.send(r#"{"type":1,"invocationId":"1","target":"Delete","arguments":[]}"#).await;
/// # let question = client.receive().await;
/// # assert_eq!(question["arguments"], json!(["Really?"]));
/// # let id = &question["invocationId"];
/// # client.send(json!({"type": 3, "invocationId": id, "result": true}).to_string()).await;
/// # assert_eq!(client.receive().await["result"], "deleted");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before invoke"]
pub struct Recipient {
    recipients: Recipients,
    connection_id: String,
}

impl Recipient {
    pub(crate) fn new(recipients: Recipients, connection_id: String) -> Self {
        Self { recipients, connection_id }
    }

    /// Invokes a method of the client, as [`Recipients::invoke`].
    ///
    /// If the client is connected to this server and reads too slowly, waits until it has read
    /// some messages, at most for [`Options::write_timeout`](crate::Options::write_timeout).
    ///
    /// # Errors
    ///
    /// As [`Recipients::invoke`].
    ///
    /// # Examples
    ///
    /// See [`Clients::connection`](crate::Clients::connection).
    pub async fn invoke(
        self,
        method: impl Into<String>,
        arguments: impl Serialize,
    ) -> Result<(), InvokeError> {
        if let Some(asker) = self.recipients.links.askers.find(&self.connection_id) {
            asker.has_room(self.recipients.links.write_timeout).await;
        }
        self.recipients.invoke(method, arguments).await
    }

    /// Invokes a method of the client and waits for its result.
    ///
    /// The client may be connected to any server whose backplane has
    /// [`Builder::server_channel`](backplane::Builder::server_channel), and to this server in any case.
    /// The wait is at most [`Options::result_timeout`](crate::Options::result_timeout). It ends early
    /// if the client leaves or its server ends.
    ///
    /// # Errors
    ///
    /// Returns an error if the client is not connected, leaves, does not answer in time, answers with
    /// an error, or returns a value of another type, or if its server ends.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the client may still run its method. Its result is ignored.
    ///
    /// # Examples
    ///
    /// See [`Recipient`].
    pub async fn invoke_with_result<R: DeserializeOwned>(
        self,
        method: impl Into<String>,
        arguments: impl Serialize,
    ) -> Result<R, InvokeError> {
        let Recipients { links, sends, .. } = self.recipients;
        let invocation = Invocation::new(method, arguments)?;
        // The client runs its method after the invocations before it.
        let after = match sends {
            Some(sends) => {
                sends.settle().await?;
                sends.last()
            }
            None => None,
        };
        let Some(asker) = links.askers.find(&self.connection_id) else {
            return ask_elsewhere(&links, &self.connection_id, &invocation, after).await;
        };
        match asker.ask(&invocation, after, links.result_timeout).await? {
            Some(result) => result.as_raw().read(),
            // A client's method without a result returns null.
            None => serde_json::from_str("null").ok(),
        }
        .ok_or(InvokeError::ResultType)
    }
}

/// Asks a client of another server.
async fn ask_elsewhere<R: DeserializeOwned>(
    links: &Links,
    connection_id: &str,
    invocation: &Invocation,
    after: Option<Cursor>,
) -> Result<R, InvokeError> {
    let asked = links.backplane.ask_client::<Box<RawValue>>(connection_id, invocation);
    let asked = asked.within(links.result_timeout);
    let asked = match after {
        Some(place) => asked.after(place),
        None => asked,
    };
    match asked.await {
        Ok(result) => serde_json::from_str(result.get()).map_err(|_| InvokeError::ResultType),
        Err(ResultError::TimedOut) => Err(InvokeError::NoResult),
        Err(ResultError::Refused(reason)) => Err(InvokeError::Client(reason)),
        Err(ResultError::OwnerGone) => Err(InvokeError::ServerGone),
        Err(ResultError::Servers(backplane::AskError::Send(error))) => Err(error.into()),
        // Without a channel between servers, no other server can be asked.
        Err(ResultError::Servers(error)) if !matches!(error, backplane::AskError::Off) => {
            Err(InvokeError::Unanswered(error))
        }
        Err(_) => Err(InvokeError::NotConnected),
    }
}

/// Reaches the clients of a hub: all of them, and those of this server.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) backplane: Backplane,
    pub(crate) askers: Arc<Askers>,
    pub(crate) result_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) groups_max: usize,
}

impl From<AskError> for InvokeError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Ended => Self::NotConnected,
            AskError::TimedOut => Self::NoResult,
            AskError::Client(error) => Self::Client(error),
        }
    }
}

/// The reason why an invocation was not sent.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = TestServer::start(|hub| hub);
/// # let mut client = server.connect().await;
/// # let hub = &server.hub;
///
/// use signalr::InvokeError;
///
/// let refused = hub.clients().all().invoke("news", "no array").await;
/// assert!(matches!(refused, Err(InvokeError::Arguments(_))));
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// The arguments do not serialize to a JSON array.
    #[error(transparent)]
    Arguments(#[from] InvocationError),
    /// The backplane did not accept the invocation.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The client that was asked for a result is connected to no server that can be asked, or left.
    #[error("the client is not connected")]
    NotConnected,
    /// The server of the client that was asked for a result shut down or died.
    #[error("the server of the client is gone")]
    ServerGone,
    /// No server has the client that was asked for a result, but some did not answer.
    #[error(transparent)]
    Unanswered(backplane::AskError),
    /// The client did not return a result in time.
    #[error("the client returned no result in time")]
    NoResult,
    /// The client returned an error.
    #[error("{0}")]
    Client(String),
    /// The client's result has another type.
    #[error("the client's result has another type")]
    ResultType,
}
