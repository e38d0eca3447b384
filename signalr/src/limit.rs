//! A ready-made layer that limits the calls of each connection.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{self, Either, Ready},
};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::{
    call_service::{Call, CallService, Outcome},
    error::HubError,
};

/// Limits the calls of each connection. A call above the limit fails and its method does not run.
///
/// Several limits of one hub count separately.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use signalr::{CallLimit, Hub};
///
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone())
///     .method("Send", |(text,): (String,)| async move { Ok(text) })
///     .layer(CallLimit::per_connection(2, Duration::from_secs(3_600)));
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # assert_eq!(client.call("Send", json!(["one"])).await["result"], "one");
/// # assert_eq!(client.call("Send", json!(["two"])).await["result"], "two");
/// # let refused = client.call("Send", json!(["three"])).await;
/// # assert!(refused["error"].as_str().unwrap().ends_with("too many calls; try again later"));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CallLimit {
    id: u64,
    window: Duration,
    /// Time that one call uses of the window.
    cost: Duration,
}

impl CallLimit {
    /// Allows `calls` calls at once, and then as many within each `window`.
    ///
    /// A limit of 20 calls in one second allows one more call each 50 ms.
    ///
    /// # Panics
    ///
    /// Panics if `calls` is 0.
    ///
    /// # Examples
    ///
    /// See [`CallLimit`].
    #[must_use]
    pub fn per_connection(calls: u32, window: Duration) -> Self {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        assert!(calls > 0, "the limit must allow at least one call");
        let id = LAST_ID.fetch_add(1, Ordering::Relaxed);
        Self { id, window, cost: window / calls }
    }

    /// Takes note of a call, and returns whether it is within the limit.
    fn admit(&self, call: &Call) -> bool {
        let limits = call.caller().peer().local::<Limits>();
        let mut limits = limits.0.lock();
        let now = Instant::now();
        let free_at = limits.entry(self.id).or_insert(now);
        let used = free_at.saturating_duration_since(now) + self.cost;
        let is_allowed = used <= self.window;
        if is_allowed {
            *free_at = now + used;
        }
        is_allowed
    }
}

/// The limits of one connection: the time at which all calls are allowed again, by limit.
#[derive(Debug, Default)]
struct Limits(Mutex<HashMap<u64, Instant>>);

impl Layer<CallService> for CallLimit {
    type Service = Limited;

    fn layer(&self, service: CallService) -> Limited {
        Limited { limit: *self, service }
    }
}

/// The service of a [`CallLimit`].
///
/// # Examples
///
/// See [`CallLimit`].
#[derive(Clone, Debug)]
pub struct Limited {
    limit: CallLimit,
    service: CallService,
}

impl Service<Call> for Limited {
    type Response = Outcome;
    type Error = Infallible;
    type Future =
        Either<<CallService as Service<Call>>::Future, Ready<Result<Outcome, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        if self.limit.admit(&call) {
            return self.service.call(call).left_future();
        }
        let error = HubError::new("too many calls; try again later");
        future::ready(Ok(Outcome::error(error))).right_future()
    }
}
