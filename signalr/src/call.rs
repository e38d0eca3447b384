//! One call of a hub method, and what its parameters read from it.

use std::{collections::VecDeque, sync::Arc};

use axum::http::Extensions;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    arguments::BindError,
    caller::Caller,
    clients::TypedClient,
    connection_info::ConnectionInfo,
    error::HubError,
    protocol::message::Payload,
    user::{Authenticated, User},
};

/// A call of a hub method, before its parameters are read.
///
/// Parameters in front of the arguments read it by [`FromCall`].
///
/// # Examples
///
/// ```
/// use signalr::{CallContext, CallError, FromCall};
///
/// /// The name of the method that runs.
/// struct MethodName(String);
///
/// impl FromCall for MethodName {
///     fn from_call(call: &mut CallContext) -> Result<Self, CallError> {
///         Ok(Self(call.method().to_owned()))
///     }
/// }
/// ```
#[derive(Debug)]
pub struct CallContext {
    pub(crate) caller: Caller,
    pub(crate) method: Arc<str>,
    pub(crate) cancelled: CancellationToken,
    /// The values of the application.
    pub(crate) states: Extensions,
    /// The streams that the client sends, in order.
    pub(crate) uploads: VecDeque<Parts>,
}

impl CallContext {
    /// Returns the context of a hook.
    pub(crate) fn of_hook(caller: Caller, states: &Extensions) -> Self {
        Self {
            caller,
            method: "".into(),
            cancelled: CancellationToken::new(),
            states: states.clone(),
            uploads: VecDeque::new(),
        }
    }

    /// Returns the context, and leaves one without streams.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            caller: self.caller.clone(),
            method: Arc::clone(&self.method),
            cancelled: self.cancelled.clone(),
            states: self.states.clone(),
            uploads: std::mem::take(&mut self.uploads),
        }
    }

    /// Returns the name of the method, as the application registered it.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the caller.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// A parameter of a hub method that is read from the call instead of the client's arguments.
///
/// # Examples
///
/// See [`CallContext`].
pub trait FromCall: Sized + Send + 'static {
    /// Number of streams that the parameter takes from the client.
    #[doc(hidden)]
    const STREAMS: usize = 0;
    /// Whether the parameter reads the HTTP request that began the connection.
    #[doc(hidden)]
    const NEEDS_REQUEST: bool = false;

    /// Reads the parameter.
    ///
    /// # Errors
    ///
    /// An error fails the call. The method does not run.
    fn from_call(call: &mut CallContext) -> Result<Self, CallError>;
}

impl<C: TypedClient> FromCall for Caller<C> {
    fn from_call(call: &mut CallContext) -> Result<Self, CallError> {
        Ok(call.caller.typed())
    }
}

impl<T: Send + Sync + 'static> FromCall for User<T> {
    fn from_call(call: &mut CallContext) -> Result<Self, CallError> {
        let user = call.caller.peer().user().ok_or(CallError::Unauthorized)?;
        user.downcast().ok_or(CallError::Unauthorized)
    }
}

impl<T: Send + Sync + 'static> FromCall for Option<User<T>> {
    fn from_call(call: &mut CallContext) -> Result<Self, CallError> {
        Ok(call.caller.peer().user().and_then(Authenticated::downcast))
    }
}

impl FromCall for ConnectionInfo {
    const NEEDS_REQUEST: bool = true;

    fn from_call(call: &mut CallContext) -> Result<Self, CallError> {
        let peer = call.caller.peer();
        let request = peer.request.clone().ok_or(CallError::Missing("the HTTP request"))?;
        Ok(Self::new(request, peer.transport))
    }
}

/// Tells a method that its result is no longer expected.
///
/// The token is cancelled when the client cancels the call or the stream, and when its connection
/// ends.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::{Cancelled, Hub};
///
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone()).method(
///     "Wait",
///     |Cancelled(token): Cancelled, (): ()| async move {
///         token.cancelled().await;
///         Ok("cancelled")
///     },
/// );
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # client.send(r#"{"type":1,"invocationId":"1","target":"Wait","arguments":[]}"#).await;
/// # client.send(r#"{"type":5,"invocationId":"1"}"#).await;
/// # assert_eq!(client.receive().await["result"], "cancelled");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Cancelled(pub CancellationToken);

impl FromCall for Cancelled {
    fn from_call(call: &mut CallContext) -> Result<Self, CallError> {
        Ok(Self(call.cancelled.clone()))
    }
}

/// The reason why the parameters of a method cannot be read.
///
/// # Examples
///
/// ```
/// use signalr::{CallError, HubError};
///
/// let error = CallError::from(HubError::new("the room is closed"));
/// assert!(matches!(error, CallError::Hub(_)));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The arguments do not fit the method.
    Binding(BindError),
    /// The client sends more or fewer streams than the method takes.
    Streams {
        /// Number of streams in the call.
        found: usize,
        /// Number of streams that the method takes.
        expected: usize,
    },
    /// The user may not call the method.
    Unauthorized,
    /// The application has given the hub no value of this type.
    Missing(&'static str),
    /// Any other error.
    Hub(HubError),
}

impl CallError {
    /// Returns the error for a hook, which has no arguments.
    pub(crate) fn into_hub_error(self) -> HubError {
        match self {
            Self::Hub(error) => error,
            Self::Missing(what) => Missing(what).into(),
            Self::Unauthorized => HubError::new("the user is unauthorized"),
            Self::Binding(error) => error.into(),
            Self::Streams { .. } => HubError::new("a hook has no streams"),
        }
    }
}

/// The application provides no value for a parameter.
#[derive(Debug, thiserror::Error)]
#[error("the hub has no {0}")]
pub(crate) struct Missing(pub(crate) &'static str);

impl From<BindError> for CallError {
    fn from(error: BindError) -> Self {
        Self::Binding(error)
    }
}

impl From<HubError> for CallError {
    fn from(error: HubError) -> Self {
        Self::Hub(error)
    }
}

/// One part of a stream that the client sends.
#[derive(Debug)]
pub(crate) enum Part {
    Item(Payload),
    /// The end, with the client's error.
    End(Result<(), String>),
}

/// The parts of one stream, as the method receives them.
pub(crate) type Parts = mpsc::Receiver<Part>;
