//! Values of the application, of one request and of one connection, as parameters of methods.

use std::{any, ops::Deref, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::call::{CallContext, CallError, FromCall};

/// A parameter of hub methods and hooks: a value that the application gave to
/// [`Hub::state`](crate::Hub::state).
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::{Hub, State};
///
/// #[derive(Clone)]
/// struct Greeting(&'static str);
///
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone()).state(Greeting("hello")).method(
///     "Greet",
///     |State(Greeting(text)): State<Greeting>, (name,): (String,)| async move {
///         Ok(format!("{text} {name}"))
///     },
/// );
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # assert_eq!(client.call("Greet", json!(["ann"])).await["result"], "hello ann");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<T: Clone + Send + Sync + 'static> FromCall for State<T> {
    fn from_call(call: &mut CallContext) -> Result<Self, CallError> {
        let value = call.states.get::<T>().cloned();
        value.map(Self).ok_or_else(|| CallError::Missing(any::type_name::<T>()))
    }
}

/// A parameter of hub methods and hooks: the connection's own value of a type.
///
/// It begins as `T::default()`. All calls of a connection share it, so a value that changes needs a
/// type such as `Mutex` or `AtomicU32`.
///
/// A stateful connection takes it along to another server, as JSON, so the type has serde's traits. A
/// field that has no meaning there is marked with `#[serde(skip)]`.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// use signalr::{Hub, Local};
///
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone())
///     .method("Count", |calls: Local<AtomicU32>, (): ()| async move {
///         Ok(calls.fetch_add(1, Relaxed) + 1)
///     });
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # assert_eq!(client.call("Count", json!([])).await["result"], 1);
/// # assert_eq!(client.call("Count", json!([])).await["result"], 2);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Local<T>(Arc<T>);

impl<T> Deref for Local<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> FromCall for Local<T>
where
    T: Default + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn from_call(call: &mut CallContext) -> Result<Self, CallError> {
        Ok(Self(call.caller.peer().local()))
    }
}

/// A parameter of hub methods and hooks: a value that a layer of the application added to the HTTP
/// request.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::Router;
/// use signalr::{Extension, Hub};
///
/// #[derive(Clone)]
/// struct Tenant(String);
///
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone())
///     .method("Tenant", |Extension(Tenant(name)): Extension<Tenant>, (): ()| async move { Ok(name) });
/// let app: Router =
///     hub.router("/chatHub").layer(axum::Extension(Tenant("contoso".to_owned())));
/// # drop(app);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<T: Clone + Send + Sync + 'static> FromCall for Extension<T> {
    const NEEDS_REQUEST: bool = true;

    fn from_call(call: &mut CallContext) -> Result<Self, CallError> {
        let request = call.caller.peer().request.as_ref();
        let value = request.and_then(|request| request.extension());
        value.map(Self).ok_or_else(|| CallError::Missing(any::type_name::<T>()))
    }
}
