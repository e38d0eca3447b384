//! Nothing of a connection stays after its end.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
    response::Response,
};
use backplane::Backplane;
use broker::Broker;
use futures_util::StreamExt;
use tokio::time::{self, Duration};
use tower::ServiceExt;

use crate::Hub;

const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";

#[tokio::test(start_paused = true)]
async fn nothing_is_left_after_the_end() {
    let server = Server::start();
    for end in [End::Delete, End::Close, End::Silence] {
        server.poll_until(end).await;
    }
    for sends_close in [true, false] {
        server.events_until(sends_close).await;
    }
    // A connection that only POSTs have used.
    assert_eq!(server.post(&server.token().await, HANDSHAKE).await, 200);
    assert_eq!(server.hub.negotiated().counts().0, 1);
    time::sleep(Duration::from_secs(16)).await; // on the paused clock
    assert_eq!(server.hub.negotiated().counts().0, 0);
    assert_eq!(server.hub.sessions().len(), 0);

    // The next connection forgets the tokens of all others.
    time::sleep(Duration::from_secs(16)).await;
    server.get(&server.token().await, "").await;
    assert_eq!(server.hub.negotiated().counts(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn refused_requests_leave_nothing() {
    let server = Server::start();
    for number in 0..10_000 {
        assert_eq!(server.post(&format!("unknown{number}"), HANDSHAKE).await, 404);
    }
    let token = server.token().await;
    assert_eq!(server.send("DELETE", &token, "", "").await.status(), 400);
    assert_eq!(server.send("PUT", &token, "", "").await.status(), 405);
    assert_eq!(server.hub.negotiated().counts(), (0, 0));
}

/// The end of a connection of long polling.
enum End {
    Delete,
    Close,
    Silence,
}

struct Server {
    hub: Hub,
    router: Router,
}

impl Server {
    fn start() -> Self {
        let hub = Hub::new("Hub", Backplane::embedded(&Broker::new(), "ChatApp"));
        let router = hub.router("/hub");
        Self { hub, router }
    }

    async fn poll_until(&self, end: End) {
        let token = self.token().await;
        self.get(&token, "").await;
        assert_eq!(self.post(&token, HANDSHAKE).await, 200);
        assert_eq!(body(self.get(&token, "").await).await, "{}\u{1e}");
        assert_eq!((self.hub.negotiated().counts().0, self.hub.sessions().len()), (1, 1));
        match end {
            End::Delete => {
                assert_eq!(self.send("DELETE", &token, "", "").await.status(), 202);
            }
            End::Close => {
                assert_eq!(self.post(&token, "{\"type\":7}\u{1e}").await, 200);
                assert_eq!(body(self.get(&token, "").await).await, "{\"type\":7}\u{1e}");
                assert_eq!(self.get(&token, "").await.status(), 204);
            }
            End::Silence => time::sleep(Duration::from_secs(16)).await,
        }
        self.expect_no_connection().await;
    }

    async fn events_until(&self, sends_close: bool) {
        let token = self.token().await;
        let events = self.get(&token, "text/event-stream").await;
        let mut events = events.into_body().into_data_stream();
        assert_eq!(events.next().await.unwrap().unwrap(), ":\r\n");
        assert_eq!(self.post(&token, HANDSHAKE).await, 200);
        assert_eq!(events.next().await.unwrap().unwrap(), "data: {}\u{1e}\r\n\r\n");
        assert_eq!((self.hub.negotiated().counts().0, self.hub.sessions().len()), (1, 1));
        if sends_close {
            assert_eq!(self.post(&token, "{\"type\":7}\u{1e}").await, 200);
            while events.next().await.is_some() {}
        }
        drop(events);
        self.expect_no_connection().await;
    }

    async fn expect_no_connection(&self) {
        let ended = async {
            while self.hub.negotiated().counts().0 > 0 || !self.hub.sessions().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        time::timeout(Duration::from_secs(60), ended).await.unwrap();
    }

    async fn token(&self) -> String {
        let negotiation = self.request("POST", "/hub/negotiate?negotiateVersion=1", "", "").await;
        let negotiated: serde_json::Value = serde_json::from_str(&body(negotiation).await).unwrap();
        negotiated["connectionToken"].as_str().unwrap().to_owned()
    }

    async fn get(&self, token: &str, accept: &str) -> Response {
        self.send("GET", token, accept, "").await
    }

    async fn post(&self, token: &str, body: &'static str) -> u16 {
        self.send("POST", token, "", body).await.status().as_u16()
    }

    async fn send(&self, method: &str, token: &str, accept: &str, body: &'static str) -> Response {
        self.request(method, &format!("/hub?id={token}"), accept, body).await
    }

    async fn request(
        &self,
        method: &str,
        path: &str,
        accept: &str,
        body: &'static str,
    ) -> Response {
        let request = Request::builder().method(method).uri(path).header("accept", accept);
        self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    }
}

async fn body(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}
