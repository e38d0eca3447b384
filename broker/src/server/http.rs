//! The HTTP port: metrics for Prometheus, checks for those who watch the process, and a console page
//! with the calls that it needs.
//!
//! It has a thread of its own. A scrape asks one worker for the figures of the keys, and costs clients
//! no more than `INFO`. The console page is a client like others.

mod calls;
mod console;
mod json;
mod local_client;
mod words;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, http};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use locks::Mutex;
use subtle::ConstantTimeEq;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tracing::{debug, info, warn};

use crate::commands::metrics::metrics;
use crate::keyspace::Report;
use crate::server::accept::tune;
use crate::server::worker::WorkerHandle;
use crate::session::server_state::ServerState;

/// The HTTP port of a server. Dropping this value closes it.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) addresses: Vec<SocketAddr>,
    /// Dropping it ends the thread.
    _running: oneshot::Sender<Infallible>,
}

/// The sources of responses.
pub(super) struct Sources {
    server: Arc<ServerState>,
    workers: Arc<[WorkerHandle]>,
    /// Places for streams. They leave others for checks and metrics.
    streams: Arc<Semaphore>,
    /// Bytes of requests that arrive at once, until the broker has them.
    requests: Arc<Semaphore>,
    /// The last known figures of the keys, for the time in which a script is late.
    keys: Mutex<Option<Arc<Report>>>,
}

/// The connection of a request.
#[derive(Clone)]
struct Connection {
    /// The client's address and our own.
    ends: (SocketAddr, SocketAddr),
    /// The steps of a stream on this connection. While it makes some, it may live longer than
    /// [`CONNECTION_TIME_MAX`].
    steps: Arc<AtomicU64>,
}

/// Connections at once. Further ones wait in the backlog of the kernel.
const CONNECTIONS_MAX: usize = 256;
/// Time that a client has to establish TLS.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Maximum wait for the head of a request, and for the next request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(3);
/// Maximum size of the head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// A connection is closed after this time, so that no client holds one for good. Monitoring systems
/// open another one. One with a stream of messages lives as long as its client.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(60);
/// Streams at once.
const STREAMS_MAX: usize = 64;
/// Bytes of requests at once. Further ones wait.
const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Maximum wait for the figures of the keys. Then the last ones serve.
const REPORT_TIME_MAX: Duration = Duration::from_secs(1);
/// A thread that does not answer in this time is stuck. A script that has not become late may hold
/// all threads for `busy-reply-threshold`, 5 seconds by default.
const TURN_TIME_MAX: Duration = Duration::from_secs(8);
const EXPECTED_TOKEN: &str = "expected the token of http-token";
/// The pause after a failure to accept a connection, as without descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Http {
    /// Serves HTTP on open listeners.
    pub(crate) fn start(
        listeners: Vec<(TcpListener, SocketAddr)>,
        server: Arc<ServerState>,
        workers: Arc<[WorkerHandle]>,
    ) -> io::Result<Self> {
        let addresses = listeners.iter().map(|(_, address)| *address).collect();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let scheme = if server.settings.get().http.tls { "https" } else { "http" };
        let sources = Sources {
            server: server.clone(),
            workers,
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            requests: Arc::new(Semaphore::new(REQUEST_BYTES_MAX)),
            keys: Mutex::default(),
        };
        let app = Router::new()
            .route("/metrics", get(show_metrics))
            .route("/healthz", get(check))
            .route("/readyz", get(check_ready))
            .route("/command", post(calls::run_command))
            .route("/stream", post(calls::run_stream))
            .merge(console::pages())
            .with_state(Arc::new(sources));
        let (running, ended) = oneshot::channel::<Infallible>();
        thread::Builder::new().name("http".to_owned()).spawn(move || {
            runtime.block_on(async {
                let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
                for (listener, address) in listeners {
                    info!("serving a console page and metrics on {scheme}://{address}");
                    match tokio::net::TcpListener::from_std(listener) {
                        Ok(listener) => {
                            let (app, places) = (app.clone(), places.clone());
                            tokio::spawn(accept(listener, app, places, server.clone()));
                        }
                        Err(error) => warn!(%error, "cannot serve HTTP on {address}"),
                    }
                }
                let _ = ended.await;
            });
        })?;
        Ok(Self { addresses, _running: running })
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    app: Router,
    places: Arc<Semaphore>,
    server: Arc<ServerState>,
) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let app = app.clone();
                let server = server.clone();
                tokio::spawn(async move {
                    serve(stream, app, server).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection for HTTP");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, app: Router, server: Arc<ServerState>) {
    let config = server.settings.get();
    // It is served without these options as well.
    let _ = tune(&stream, &config);
    let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { return };
    let connection = Connection { ends: (peer, local), steps: Arc::default() };
    if !config.http.tls {
        return converse(stream, connection, app).await;
    }
    let Some(material) = server.tls.material() else { return };
    let handshake = TlsAcceptor::from(material.http.clone()).accept(stream);
    match timeout(HANDSHAKE_TIME_MAX, handshake).await {
        Ok(Ok(stream)) => converse(stream, connection, app).await,
        Ok(Err(error)) => debug!(%error, "http handshake failed"),
        Err(_) => debug!("http handshake took too long"),
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: Connection,
    app: Router,
) {
    let steps = connection.steps.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection.clone());
        app.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut is_ending = false;
    loop {
        let before = steps.load(Ordering::Relaxed);
        match timeout(CONNECTION_TIME_MAX, connection.as_mut()).await {
            // A stream goes on.
            Err(_) if steps.load(Ordering::Relaxed) != before => {}
            // A request that has begun gets its response.
            Err(_) if !is_ending => {
                connection.as_mut().graceful_shutdown();
                is_ending = true;
            }
            Err(_) | Ok(Ok(())) => return,
            Ok(Err(error)) => return debug!(%error, "http connection failed"),
        }
    }
}

async fn show_metrics(State(sources): State<Arc<Sources>>, request: Request) -> Response {
    let config = sources.server.settings.get();
    if let Some(token) = &config.http.token
        && !has_token(request.headers(), token)
    {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, challenge, format!("{EXPECTED_TOKEN}\n"))
            .into_response();
    }
    let Some(keys) = sources.keys().await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "a script is running\n").into_response();
    };
    let content = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content, metrics(&sources.server, &config, &keys)).into_response()
}

/// Replies with success if all threads that serve clients make turns.
async fn check(State(sources): State<Arc<Sources>>) -> Response {
    let turns = async {
        for worker in sources.workers.iter() {
            worker.turn().await?;
        }
        Some(())
    };
    match timeout(TURN_TIME_MAX, turns).await {
        Ok(Some(())) => "ok\n".into_response(),
        Ok(None) => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "a thread is stuck\n").into_response(),
    }
}

/// Replies as [`check`], but not with success during a drain: new clients are refused.
async fn check_ready(sources: State<Arc<Sources>>) -> Response {
    if sources.server.drain.is_under_way() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    check(sources).await
}

fn has_token(headers: &HeaderMap, token: &[u8]) -> bool {
    let given = headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes);
    let (scheme, given) = given.unwrap_or_default().split_at_checked(7).unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(given.ct_eq(token))
}

impl Connection {
    /// Notes that a stream on this connection goes on.
    fn progresses(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }
}

impl Sources {
    /// Returns the figures of the keys: the present ones, or the last ones while a script runs.
    async fn keys(&self) -> Option<Arc<Report>> {
        let present = timeout(REPORT_TIME_MAX, self.workers[0].report()).await;
        let mut last = self.keys.lock();
        if let Ok(Some(present)) = present {
            *last = Some(Arc::new(*present));
        }
        last.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_compared_whole() {
        let has = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, http::HeaderValue::from_static(value));
            has_token(&headers, b"secret")
        };
        assert!(has("Bearer secret") && has("bearer secret"));
        for wrong in ["", "secret", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets"] {
            assert!(!has(wrong), "{wrong}");
        }
        assert!(!has_token(&HeaderMap::new(), b"secret"));
    }
}
