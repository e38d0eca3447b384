//! The methods of a hub, and the layers around their calls.

use std::convert::Infallible;

use futures_util::{FutureExt, Stream};
use serde::Serialize;
use tower::{Layer, Service, ServiceExt};

use super::Hub;
use crate::{
    arguments::RawArguments,
    call::CallContext,
    call_service::{self, Call, CallService, Outcome},
    error::HubError,
    handler::{Handler, Method},
    protocol::Encoding,
};

impl Hub {
    /// Adds a method. Its return value is the result of `invoke` at the client.
    ///
    /// The last parameter of the method is the tuple of the client's arguments. Parameters before
    /// it, such as [`Caller`](crate::Caller), implement [`FromCall`](crate::FromCall).
    ///
    /// The client receives the result after the invocations that the method sent to it through
    /// [`Caller::clients`](crate::Caller::clients).
    ///
    /// The methods of one connection run one at a time, in the order of the calls, unless
    /// [`Options::parallel_calls_max`](crate::Options::parallel_calls_max) allows more. A method that takes an
    /// [`Upload`](crate::Upload) delays no other. A running method is never dropped. If the
    /// connection ends, [`Cancelled`](crate::Cancelled) tells it.
    ///
    /// # Panics
    ///
    /// Panics if the hub already has a method with this name, ignoring case.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Caller, Hub, HubError};
    ///
    /// async fn divide(_: Caller, (a, b): (i32, i32)) -> Result<i32, HubError> {
    ///     a.checked_div(b).ok_or_else(|| HubError::new("the divisor is 0"))
    /// }
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone()).method("Divide", divide);
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # assert_eq!(client.call("Divide", json!([6, 2])).await, json!({"result": 3}));
    /// # assert!(client.call("Divide", json!([6, 0])).await["error"].is_string());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn method<M, H>(self, name: &str, method: H) -> Self
    where
        H: Handler<M>,
        H::Output: Serialize + 'static,
    {
        let metrics = self.metrics.method(name);
        self.with_method(H::NEEDS_REQUEST, Method::call(name, method, metrics))
    }

    /// Adds a method that returns a stream. Clients read it with `stream`.
    ///
    /// The stream ends early if the client cancels it or leaves. An error ends it as well, and
    /// the client receives it. While the client reads too slowly, no item is taken from the stream.
    ///
    /// # Panics
    ///
    /// Panics if the hub already has a method with this name, ignoring case.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::stream;
    /// use signalr::{Caller, Hub};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .stream("Count", |_: Caller, (end,): (u32,)| async move { Ok(stream::iter((0..end).map(Ok))) });
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # client.send(r#"{"type":4,"invocationId":"1","target":"Count","arguments":[2]}"#).await;
    /// # assert_eq!(client.receive().await["item"], 0);
    /// # assert_eq!(client.receive().await["item"], 1);
    /// # assert_eq!(client.receive().await["type"], 3);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stream<M, H, T>(self, name: &str, method: H) -> Self
    where
        H: Handler<M>,
        H::Output: Stream<Item = Result<T, HubError>> + Send + 'static,
        T: Serialize + 'static,
    {
        let metrics = self.metrics.method(name);
        self.with_method(H::NEEDS_REQUEST, Method::stream(name, method, metrics))
    }

    /// Allows a method only for users with at least one of these roles.
    ///
    /// # Panics
    ///
    /// Panics if the hub has no method with this name.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Hub, User};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .authenticate(|_| async { Ok(Some(User::new("ann", ()).with_role("writer"))) })
    ///     .method("Write", |(): ()| async { Ok("written") })
    ///     .authorize("Write", ["writer", "admin"])
    ///     .method("Kick", |(): ()| async { Ok(()) })
    ///     .authorize("Kick", ["admin"]);
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # assert_eq!(client.call("Write", json!([])).await["result"], "written");
    /// # let refused = client.call("Kick", json!([])).await;
    /// # assert_eq!(refused["error"], "Failed to invoke 'Kick' because user is unauthorized");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn authorize<T: Into<String>>(
        mut self,
        method: &str,
        roles: impl IntoIterator<Item = T>,
    ) -> Self {
        let found = self.methods.get_mut(&method.to_lowercase());
        let found = found.unwrap_or_else(|| panic!("the hub has no method named {method:?}"));
        found.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a tower layer around all methods. The last layer is the outermost.
    ///
    /// Hooks do not pass layers.
    ///
    /// # Examples
    ///
    /// See [`Call`](crate::Call) and [`CallLimit`](crate::CallLimit).
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<CallService>,
        L::Service:
            Service<Call, Response = Outcome, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<Call>>::Future: Send + 'static,
    {
        self.service = Some(call_service::layered(self.service.take(), &layer));
        self
    }

    /// Starts a method within the layers of the hub. Returns `None` if the hub has no layers.
    pub(crate) fn start_layered(
        &self,
        method: &Method,
        context: &mut CallContext,
        arguments: RawArguments<'_>,
        encoding: Encoding,
    ) -> Option<impl Future<Output = Outcome> + Send + 'static> {
        let service = self.service.clone()?;
        let context = context.take();
        let call = Call::new(&self.name, method, context, arguments, encoding);
        Some(service.oneshot(call).map(|outcome| match outcome {
            Ok(outcome) => outcome,
            Err(never) => match never {},
        }))
    }

    fn with_method(mut self, needs_request: bool, method: Method) -> Self {
        self.keeps_requests |= needs_request;
        let name = method.name.clone();
        let previous = self.methods.insert(name.to_lowercase(), method);
        assert!(previous.is_none(), "the hub already has a method named {name:?}");
        self.method_names.push(name.to_string());
        self
    }

    pub(crate) fn method_names(&self) -> &[String] {
        &self.method_names
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Method> {
        self.methods.get(&name.to_lowercase())
    }
}
