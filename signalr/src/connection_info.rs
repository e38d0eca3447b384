//! The HTTP request that began a connection.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap, Uri, request::Parts},
};

use crate::{query, transport_kind::TransportKind};

/// A parameter of hub methods and hooks: the connection's transport and its first HTTP request.
///
/// Connections of a hub keep their request only if a method or hook of the hub reads it.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::{ConnectionInfo, Hub};
///
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone()).method(
///     "Host",
///     |info: ConnectionInfo, (): ()| async move {
///         Ok(info.headers()["host"].to_str()?.to_owned())
///     },
/// );
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # assert_eq!(client.call("Host", json!([])).await["result"], "server");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    request: Arc<FirstRequest>,
    transport: TransportKind,
}

impl ConnectionInfo {
    pub(crate) fn new(request: Arc<FirstRequest>, transport: TransportKind) -> Self {
        Self { request, transport }
    }

    /// Returns the transport of the connection.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        self.transport
    }

    /// Returns the headers of the request that began the connection.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.request.headers
    }

    /// Returns the URI of the request that began the connection. Its query has the connection
    /// token, so do not log it.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.request.uri
    }

    /// Returns a parameter of the query, or `None` if it is missing. The case of its name is
    /// ignored.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        query::find(&self.request.uri, name)
    }

    /// Returns the address of the client, or of the last proxy. It is known if the app is served
    /// with axum's `into_make_service_with_connect_info::<SocketAddr>()`.
    #[must_use]
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.request.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
    }

    /// Returns the time of the request that began the connection.
    #[must_use]
    pub fn started(&self) -> SystemTime {
        self.request.time
    }
}

/// The parts of a connection's first request that methods can read.
#[derive(Debug)]
pub(crate) struct FirstRequest {
    headers: HeaderMap,
    uri: Uri,
    extensions: Extensions,
    time: SystemTime,
}

impl FirstRequest {
    /// Returns a value that a layer added to the request.
    pub(crate) fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.extensions.get().cloned()
    }

    pub(crate) fn new(parts: &Parts) -> Self {
        Self {
            headers: parts.headers.clone(),
            uri: parts.uri.clone(),
            extensions: parts.extensions.clone(),
            time: SystemTime::now(),
        }
    }
}
