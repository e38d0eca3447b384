//! Serves HTTP connections within limits of time and size.
//!
//! `axum::serve` has no limits: a client that never completes a request, or that does not read its
//! response, would keep its connection for good. Enough such clients would use up the descriptors
//! of the process.

use std::{any::Any, pin::pin, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, serve::Listener};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, select};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::debug;

use crate::timed_stream::TimedStream;

/// Serves an app over HTTP/1.1 until `shutdown` completes and all requests in progress are
/// answered.
///
/// It is `axum::serve` with limits, so that no client holds a connection for good:
///
/// | client | limit |
/// |---|---|
/// | sends no whole head of a request, or no further request | closed after 15 s |
/// | sends a head above 32 KiB | status 431 |
/// | does not read its response | closed after 30 s without a byte taken |
///
/// A proxy should keep idle connections for less than 15 s, so that it is the proxy that closes
/// them. Bodies of requests have no limit here. The hub limits those of its own requests, and an
/// app has to limit those of its other routes, for example with `tower_http::timeout`.
///
/// Requests have the extension [`ConnectInfo`] with the client's address. A TCP connection sends
/// small messages at once (`TCP_NODELAY`). A listener for TLS should make its handshakes in tasks of
/// their own, within a limit of time.
///
/// # Cancel safety
///
/// Dropping the future ends the listener. Open connections are served on.
///
/// # Examples
///
/// ```
/// # async fn example(hub: signalr::Hub) -> std::io::Result<()> {
/// use axum::Router;
/// use tokio::{net::TcpListener, signal};
///
/// let app = hub.mount(Router::new(), "/chatHub");
/// let stop = async {
///     let _ = signal::ctrl_c().await;
///     hub.shutdown().await;
/// };
/// signalr::serve(TcpListener::bind("127.0.0.1:5001").await?, app, stop).await;
/// # Ok(()) }
/// ```
pub async fn serve<L>(mut listener: L, app: Router, shutdown: impl Future<Output = ()>)
where
    L: Listener,
    L::Addr: Clone + Sync + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    let (stopping, connections) = (CancellationToken::new(), TaskTracker::new());
    let mut shutdown = pin!(shutdown);
    loop {
        let (mut stream, address) = select! {
            () = shutdown.as_mut() => break,
            accepted = listener.accept() => accepted,
        };
        if let Some(tcp) = (&mut stream as &mut dyn Any).downcast_mut::<TcpStream>() {
            // Otherwise a small message waits until the client acknowledges the one before.
            let _ = tcp.set_nodelay(true);
        }
        let app = app.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(address.clone()));
            app.clone().oneshot(request)
        });
        let stream = TokioIo::new(TimedStream::new(stream, STALL_TIMEOUT));
        let connection = http.serve_connection(stream, service).with_upgrades();
        let stopping = stopping.clone();
        connections.spawn(async move {
            let mut connection = pin!(connection);
            let served = select! {
                served = connection.as_mut() => served,
                () = stopping.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                debug!(%error, "http connection failed");
            }
        });
    }
    drop(listener);
    stopping.cancel();
    connections.close();
    connections.wait().await;
}

/// Maximum wait for the whole head of a request, the first one and each later one. It bounds the
/// time for which clients without a request hold descriptors.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum size of the head of a request. It is Kestrel's.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Maximum time in which a client takes no byte of its response.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
