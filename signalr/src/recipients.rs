//! Sends an invocation to selected clients.
//!
//! An invocation without a result goes through the backplane. One with a result goes to a client of
//! this server directly.

use std::{sync::Arc, time::Duration};

use backplane::{Backplane, Invocation, InvocationError, SendError, Target};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    client_questions,
    farm::Farm,
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
    /// The client may be connected to any server of the app, if the backplane has its
    /// [channel of servers](backplane::Builder::server_channel), else to this one. The wait is at most
    /// [`Options::result_timeout`](crate::Options::result_timeout).
    ///
    /// # Errors
    ///
    /// Returns an error if the client is not connected, leaves, does not answer in time, answers with
    /// an error, or returns a value of another type. Also if its server leaves.
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
        let asker = links.askers.find(&self.connection_id);
        // The client runs its method after the invocations before it.
        let after = match sends {
            Some(sends) => {
                sends.settle().await?;
                sends.last()
            }
            None => None,
        };
        let (id, timeout) = (&self.connection_id, links.result_timeout);
        let result = match asker {
            Some(asker) => match asker.ask(&invocation, after, timeout).await? {
                Some(result) => result.as_raw().read(),
                // A client's method without a result returns null.
                None => serde_json::from_str("null").ok(),
            },
            None => {
                let asked = client_questions::ask(&links.farm, id, &invocation, after, timeout);
                serde_json::from_str(asked.await?.get()).ok()
            }
        };
        result.ok_or(InvokeError::ResultType)
    }
}

/// Reaches the clients of a hub: all of them, and those of this server.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) backplane: Backplane,
    pub(crate) farm: Arc<Farm>,
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
    /// The client that was asked for a result is not connected to a server that answers, or left.
    #[error("the client is not connected")]
    NotConnected,
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
