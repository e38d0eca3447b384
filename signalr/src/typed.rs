//! Hubs whose methods are those of a trait.
//!
//! `#[signalr::hub]` writes the implementations of [`TypedHub`].

use std::sync::Arc;

use backplane::Backplane;
use futures_util::stream::BoxStream;

use crate::{error::HubError, hub::Hub};

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
