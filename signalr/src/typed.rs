//! Hubs whose methods are those of a trait.
//!
//! `#[signalr::hub]` writes the implementations of [`TypedHub`], and callers for clients that
//! implement [`CallHub`].

use std::sync::Arc;

use backplane::Backplane;
use futures_util::stream::BoxStream;
use serde::{Serialize, de::DeserializeOwned};

use crate::{error::HubError, hub::Hub, upload::Upload};

impl Hub {
    /// Creates a hub with the methods of a trait, as `#[signalr::hub]` has registered them.
    ///
    /// More methods, hooks and options can be added.
    ///
    /// # Examples
    ///
    /// See [`TypedHub`].
    #[must_use]
    pub fn typed(name: &str, backplane: Backplane, methods: impl TypedHub) -> Self {
        Arc::new(methods).register(Self::new(name, backplane))
    }
}

/// The items of a stream that a method of a trait returns.
///
/// # Examples
///
/// ```
/// use futures_util::{StreamExt, stream};
/// use signalr::HubStream;
///
/// fn count(end: u32) -> HubStream<u32> {
///     stream::iter((0..end).map(Ok)).boxed()
/// }
/// # drop(count(3));
/// ```
pub type HubStream<T> = BoxStream<'static, Result<T, HubError>>;

/// The methods of a hub, as `#[signalr::hub]` reads them from the implementation of a trait.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::{Hub, HubError};
///
/// #[signalr::hub]
/// trait Calculator {
///     async fn add(&self, a: u32, b: u32) -> Result<u32, HubError>;
/// }
///
/// struct Simple;
///
/// #[signalr::hub]
/// impl Calculator for Simple {
///     async fn add(&self, a: u32, b: u32) -> Result<u32, HubError> {
///         a.checked_add(b).ok_or_else(|| HubError::new("the sum is too large"))
///     }
/// }
///
/// # let backplane = backplane();
/// let hub = Hub::typed("Calculator", backplane.clone(), Simple);
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # assert_eq!(client.call("Add", json!([1, 2])).await["result"], 3);
/// # Ok(()) }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no typed hub",
    note = "add `#[signalr::hub]` to the `impl` of its trait"
)]
pub trait TypedHub: Send + Sync + 'static {
    /// Adds the methods to a hub.
    #[doc(hidden)]
    fn register(self: Arc<Self>, hub: Hub) -> Hub;
}

/// A connection of a client that can call methods of a hub.
///
/// `#[signalr::hub(caller)]` adds the struct `ChatHubCaller` to the trait `ChatHub`. It wraps such
/// a connection, and has the methods of the trait with their names and types. A method with an
/// [`Upload`] takes the items of the stream, and one with a [`HubStream`] returns them.
///
/// `testing::TestConnection` implements this trait, for tests of applications. Another client of
/// SignalR can implement it as well.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "testing")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::{
///     Hub, HubError,
///     testing::{TestClient, TestFarm},
/// };
///
/// #[signalr::hub(caller)]
/// trait Calculator {
///     async fn add(&self, a: u32, b: u32) -> Result<u32, HubError>;
/// }
///
/// struct Simple;
///
/// #[signalr::hub]
/// impl Calculator for Simple {
///     async fn add(&self, a: u32, b: u32) -> Result<u32, HubError> {
///         a.checked_add(b).ok_or_else(|| HubError::new("the sum is too large"))
///     }
/// }
///
/// let farm = TestFarm::start(1, |backplane| Hub::typed("Calculator", backplane, Simple));
/// let client = farm.server(0).connect(TestClient::json()).await;
/// let mut calculator = CalculatorCaller::from(client);
/// assert_eq!(calculator.add(1, 2).await?, 3);
/// assert!(calculator.add(u32::MAX, 1).await.is_err());
/// calculator.connection.cut();
/// # Ok(()) }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
///
/// A call with another type does not compile:
///
/// ```compile_fail,E0308
/// #[signalr::hub(caller)]
/// trait Calculator {
///     async fn double(&self, a: u32) -> Result<u32, signalr::HubError>;
/// }
///
/// async fn double<C: signalr::CallHub>(mut calculator: CalculatorCaller<C>) {
///     let _ = calculator.double("2").await;
/// }
/// ```
pub trait CallHub {
    /// The error of a call.
    type Error;

    /// Calls a method, and waits for its result.
    fn invoke<R: DeserializeOwned>(
        &mut self,
        method: &str,
        arguments: impl Serialize,
    ) -> impl Future<Output = Result<R, Self::Error>>;

    /// Calls a method, and waits for the items of its stream.
    fn stream<T: DeserializeOwned>(
        &mut self,
        method: &str,
        arguments: impl Serialize,
    ) -> impl Future<Output = Result<Vec<T>, Self::Error>>;

    /// Calls a method with a stream of the client, and waits for its result.
    fn upload<R: DeserializeOwned>(
        &mut self,
        method: &str,
        arguments: impl Serialize,
        items: impl IntoIterator<Item = impl Serialize>,
    ) -> impl Future<Output = Result<R, Self::Error>>;
}

/// The type that a method of a hub returns.
#[doc(hidden)]
pub trait MethodOutput {
    /// The result, or an item of the stream.
    type Value;
}

impl<T, E> MethodOutput for Result<T, E> {
    type Value = T;
}

impl<T> MethodOutput for HubStream<T> {
    type Value = T;
}

/// The type of a parameter for a stream of the client.
#[doc(hidden)]
pub trait MethodInput {
    /// An item of the stream.
    type Item;
}

impl<T> MethodInput for Upload<T> {
    type Item = T;
}
