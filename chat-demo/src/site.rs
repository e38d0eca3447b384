//! One web server: the page, the status and the hub.
//!
//! Each web server has a backplane of its own, as on a machine of its own.

use std::{io, net::SocketAddr, time::Duration};

use axum::{Router, middleware::map_response};
use backplane::Backplane;
use signalr::{Classic, Hub};
use tokio::{net::TcpListener, task::JoinHandle, time};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    classic::{self, Scripts},
    metrics, page, status,
};

/// A running web server.
pub(crate) struct Site {
    address: SocketAddr,
    backplane: Backplane,
    hub: Hub,
    /// The time over which a shutdown spreads the closes.
    drain: Duration,
    /// From its cancellation on, the server is not ready.
    draining: CancellationToken,
    stopping: CancellationToken,
    serving: JoinHandle<()>,
}

impl Site {
    /// Serves the chat on the listener.
    ///
    /// # Errors
    ///
    /// Returns an error if the listener has no local address.
    pub(crate) fn start(
        listener: TcpListener,
        hub: Hub,
        backplane: Backplane,
        scripts: Option<Scripts>,
        drain: Duration,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let draining = CancellationToken::new();
        let status = status::router(address.to_string(), backplane.clone(), draining.clone());
        let app = app(&hub, &backplane, status, scripts);
        let stopping = CancellationToken::new();
        let stopped = stopping.clone().cancelled_owned();
        let serving = tokio::spawn(signalr::serve(listener, app, stopped));
        info!(%address, "web server ready");
        Ok(Self { address, hub, drain, draining, stopping, serving, backplane })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the hub connections, answers the requests in progress, and leaves the backplane.
    ///
    /// The closes begin when load balancers have noticed that the server is not ready, and are spread
    /// over the time of `--drain`. With [`Ending::AtOnce`], the shutdown waits
    /// a second for them.
    pub(crate) async fn shutdown(self, ending: Ending) {
        self.draining.cancel();
        match ending {
            Ending::Drain => self.hub.drain(self.drain).await,
            Ending::AtOnce => {
                let _ = time::timeout(AT_ONCE, self.hub.shutdown()).await;
            }
        }
        self.stopping.cancel();
        let aborted = self.serving.abort_handle();
        if time::timeout(REQUESTS_TIMEOUT, self.serving).await.is_err() {
            aborted.abort();
        }
        self.backplane.shutdown().await;
    }
}

/// How a server shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Clients move to other servers one after the other.
    Drain,
    /// A user waits at the terminal.
    AtOnce,
}

/// Returns the routes of a web server. All responses carry the headers that protect browsers.
fn app(hub: &Hub, backplane: &Backplane, status: Router, scripts: Option<Scripts>) -> Router {
    let app = Router::new()
        .merge(page::router())
        .merge(classic::router(scripts))
        .merge(status)
        .merge(metrics::router(hub, backplane));
    let app = hub.mount(app, "/chatHub");
    Classic::new().hub(hub).mount(app, "/signalr").layer(map_response(page::protect))
}

/// Maximum wait of a shutdown for the requests in progress.
const REQUESTS_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum wait of a shutdown at once for the hub connections.
const AT_ONCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use broker::Broker;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn every_response_is_protected_and_keeps_its_own_caching() {
        let backplane = Backplane::embedded(&Broker::new(), "ChatApp");
        let hub = Hub::new("ChatHub", backplane.clone());
        let status =
            status::router("here:1".to_owned(), backplane.clone(), CancellationToken::new());
        let app = app(&hub, &backplane, status, None);
        for (request, caching) in [
            (Request::get("/"), "no-cache"),
            (Request::get("/classic"), "no-cache"),
            (Request::get("/nowhere"), "no-cache"),
            (Request::get("/status"), "no-store"),
            (Request::get("/healthz"), "no-store"),
            (Request::get("/readyz"), "no-store"),
            (Request::get("/metrics"), "no-cache"),
            (Request::post("/chatHub/negotiate"), "no-cache"),
            (Request::get("/signalr/negotiate"), "no-store"),
        ] {
            let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
            assert_eq!(response.headers()["cache-control"], caching);
        }
    }
}
