//! Serves HTTP connections within limits of time and size.
//!
//! `axum::serve` has no limits: a client that never completes a request would keep its connection
//! for good. Enough such clients would use up the descriptors of the process.

use std::{pin::pin, time::Duration};

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, select};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

/// Serves the app until `stopping` is cancelled and all requests in progress are answered.
pub(crate) async fn serve(mut listener: TcpListener, app: Router, stopping: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    let connections = TaskTracker::new();
    loop {
        let (stream, _) = select! {
            () = stopping.cancelled() => break,
            accepted = Listener::accept(&mut listener) => accepted,
        };
        // Otherwise a small message waits until the client acknowledges the one before.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(app.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
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
    connections.close();
    connections.wait().await;
}

/// Maximum wait for the whole head of a request, the first one and each later one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum size of the head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::{self, Instant},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_whole_request_is_closed() {
        let address = start().await;
        for sent in ["", "GET / HTTP/1.1\r\nHost: here\r\n", "GET / HTTP/1.1\r\nHost: here\r\n\r\n"]
        {
            let start = Instant::now();
            request(address, sent.as_bytes()).await;
            assert_eq!(start.elapsed().as_secs(), 15, "{sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_head_is_refused() {
        let head = format!("GET / HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
        let response = request(start().await, head.as_bytes()).await;
        assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
    }

    async fn start() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Router::new(), CancellationToken::new()));
        address
    }

    /// Sends bytes and returns the response once the server has closed the connection.
    async fn request(address: SocketAddr, bytes: &[u8]) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut response = String::new();
        let end = socket.read_to_string(&mut response);
        time::timeout(Duration::from_secs(60), end).await.expect("an end").unwrap();
        response
    }
}
