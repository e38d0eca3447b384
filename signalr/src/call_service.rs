//! A call of a hub method as a request of a tower service.
//!
//! Layers wrap the innermost service, which reads the parameters and runs the method. A hub without
//! layers does not use services.

use std::{convert::Infallible, fmt, sync::Arc};

use tower::{Layer, Service, service_fn, util::BoxCloneSyncService};

use crate::{
    arguments::{Arguments, BindError, RawArguments},
    call::{CallContext, CallError},
    caller::Caller,
    error::HubError,
    handler::{Items, Method, Run},
    protocol::{Encoding, message::Payload},
};

/// The service that runs the methods of a hub, for [`Hub::layer`](crate::Hub::layer).
///
/// # Examples
///
/// See [`Call`].
pub type CallService = BoxCloneSyncService<Call, Outcome, Infallible>;

/// A call of a hub method, as layers see it.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::{Call, CallService, Hub, HubError, Outcome};
/// use tower::{layer::layer_fn, service_fn, util::ServiceExt as _};
///
/// /// Refuses methods that change data.
/// async fn read_only(service: CallService, call: Call) -> Result<Outcome, std::convert::Infallible> {
///     if call.method().starts_with("Delete") {
///         return Ok(Outcome::error(HubError::new("this server is read-only")));
///     }
///     service.oneshot(call).await
/// }
///
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone())
///     .method("Delete", |(): ()| async { Ok(()) })
///     .method("Read", |(): ()| async { Ok("text") })
///     .layer(layer_fn(|service: CallService| {
///         service_fn(move |call| read_only(service.clone(), call))
///     }));
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # assert_eq!(client.call("Read", json!([])).await["result"], "text");
/// # let refused = client.call("Delete", json!([])).await;
/// # assert!(refused["error"].as_str().unwrap().ends_with("this server is read-only"));
/// # Ok(()) }
/// ```
pub struct Call {
    context: CallContext,
    hub: Arc<str>,
    arguments: Payload,
    run: Run,
    encoding: Encoding,
}

impl Call {
    pub(crate) fn new(
        hub: &Arc<str>,
        method: &Method,
        context: CallContext,
        arguments: RawArguments<'_>,
        encoding: Encoding,
    ) -> Self {
        let (hub, run, arguments) = (Arc::clone(hub), method.run.clone(), arguments.to_payload());
        Self { context, hub, arguments, run, encoding }
    }

    /// Returns the name of the hub.
    #[must_use]
    pub fn hub(&self) -> &str {
        &self.hub
    }

    /// Returns the name of the method, as the application registered it.
    #[must_use]
    pub fn method(&self) -> &str {
        self.context.method()
    }

    /// Returns whether the method returns a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self.run, Run::Stream(_))
    }

    /// Returns the caller.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        self.context.caller()
    }

    /// Reads the arguments of the client, which the method still receives.
    ///
    /// # Errors
    ///
    /// Returns an error if the arguments do not fit the type.
    pub fn arguments<A: Arguments>(&self) -> Result<A, BindError> {
        A::bind(RawArguments::new(self.arguments.as_raw()))
    }

    /// Sets a value for this call. The method reads it with [`State`](crate::State), instead of the
    /// hub's value of this type.
    pub fn set_state<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.context.states.insert(value);
    }

    /// Reads the parameters and runs the method.
    async fn run(mut self) -> Outcome {
        let arguments = RawArguments::new(self.arguments.as_raw());
        match &self.run {
            Run::Call(start) => match start(&mut self.context, arguments, self.encoding) {
                Ok(running) => Outcome(running.await.map(Answer::Result)),
                Err(error) => Outcome(Err(error)),
            },
            Run::Stream(start) => match start(&mut self.context, arguments, self.encoding) {
                Ok(running) => Outcome(running.await.map(Answer::Items)),
                Err(error) => Outcome(Err(error)),
            },
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { context, hub, .. } = self;
        f.debug_struct("Call").field("hub", hub).field("context", context).finish_non_exhaustive()
    }
}

/// The result or the error of a call, as layers see it.
///
/// # Examples
///
/// ```
/// use signalr::{HubError, Outcome};
///
/// let outcome = Outcome::error(HubError::new("the room is closed"));
/// assert!(!outcome.is_ok());
/// ```
pub struct Outcome(pub(crate) Result<Answer, CallError>);

/// The result of a method.
pub(crate) enum Answer {
    Result(Payload),
    Items(Items),
}

impl Outcome {
    /// Returns a failed call.
    #[must_use]
    pub fn error(error: HubError) -> Self {
        Self(Err(CallError::Hub(error)))
    }

    /// Returns a call that the user may not make.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self(Err(CallError::Unauthorized))
    }

    /// Returns whether the method returned a result, or a stream that has yet to run.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.0.is_ok()
    }

    /// Returns the error.
    #[must_use]
    pub fn as_error(&self) -> Option<&CallError> {
        self.0.as_ref().err()
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outcome").field(&self.0.as_ref().map(|_| ())).finish()
    }
}

/// Wraps a service, or the innermost one, into a layer.
pub(crate) fn layered<L>(service: Option<CallService>, layer: &L) -> CallService
where
    L: Layer<CallService>,
    L::Service:
        Service<Call, Response = Outcome, Error = Infallible> + Clone + Send + Sync + 'static,
    <L::Service as Service<Call>>::Future: Send + 'static,
{
    let innermost = || CallService::new(service_fn(|call: Call| async { Ok(call.run().await) }));
    CallService::new(layer.layer(service.unwrap_or_else(innermost)))
}
