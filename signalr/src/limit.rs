//! A ready-made layer that limits the calls of each connection or user.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{self, Either, Ready},
};
use locks::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::{
    call_service::{Call, CallService, Outcome},
    error::HubError,
};

/// Limits the calls of each connection or user. A call above the limit fails and its method does not
/// run.
///
/// Several limits of one hub count separately. Each server counts for itself.
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
#[derive(Clone, Debug)]
pub struct CallLimit {
    id: u64,
    window: Duration,
    /// Time that one call uses of the window.
    cost: Duration,
    /// Set for a limit of users.
    users: Option<Arc<Mutex<Users>>>,
    /// The names of the limited methods, in lower case. Empty for all methods.
    methods: Arc<[String]>,
    /// Whether connections without a user have no limit.
    spares_guests: bool,
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
        let methods = Arc::default();
        Self { id, window, cost: window / calls, users: None, methods, spares_guests: false }
    }

    /// Allows `calls` calls of all connections of a user together, as
    /// [`per_connection`](Self::per_connection) does for one connection.
    ///
    /// A connection without a user has a limit of its own. The limit counts the connections of this
    /// server.
    ///
    /// # Panics
    ///
    /// Panics if `calls` is 0.
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
    ///     .user_id(|request| Some(request.headers.get("x-user")?.to_str().ok()?.to_owned()))
    ///     .method("Send", |(): ()| async { Ok("sent") })
    ///     .method("Read", |(): ()| async { Ok("read") })
    ///     .layer(CallLimit::per_user(1, Duration::from_secs(3_600)).only(["Send"]));
    /// # let server = TestServer::serve(hub, backplane);
    /// # let mut tab = server.connect_with(&[("x-user", "ann")]).await;
    /// # let mut other_tab = server.connect_with(&[("x-user", "ann")]).await;
    /// # assert_eq!(tab.call("Send", json!([])).await["result"], "sent");
    /// # let refused = other_tab.call("Send", json!([])).await;
    /// # assert!(refused["error"].as_str().unwrap().ends_with("too many calls; try again later"));
    /// # assert_eq!(other_tab.call("Read", json!([])).await["result"], "read");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn per_user(calls: u32, window: Duration) -> Self {
        Self { users: Some(Arc::default()), ..Self::per_connection(calls, window) }
    }

    /// Limits only these methods, together. The case of their names is ignored.
    ///
    /// # Examples
    ///
    /// See [`per_user`](Self::per_user).
    #[must_use]
    pub fn only<T: AsRef<str>>(mut self, methods: impl IntoIterator<Item = T>) -> Self {
        self.methods = methods.into_iter().map(|name| name.as_ref().to_lowercase()).collect();
        self
    }

    /// Limits only connections with a user. Others may be programs that call at any rate.
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
    ///     .user_id(|request| Some(request.headers.get("x-user")?.to_str().ok()?.to_owned()))
    ///     .method("Send", |(): ()| async { Ok("sent") })
    ///     .layer(CallLimit::per_user(1, Duration::from_secs(3_600)).spare_guests());
    /// # let server = TestServer::serve(hub, backplane);
    /// # let (mut guest, mut ann) = (server.connect().await, server.connect_with(&[("x-user", "ann")]).await);
    /// # for _ in 0..3 {
    /// #     assert_eq!(guest.call("Send", json!([])).await["result"], "sent");
    /// # }
    /// # assert_eq!(ann.call("Send", json!([])).await["result"], "sent");
    /// # assert!(ann.call("Send", json!([])).await["error"].is_string());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn spare_guests(mut self) -> Self {
        self.spares_guests = true;
        self
    }

    /// Takes note of a call, and returns whether it is within the limit.
    fn admit(&self, call: &Call) -> bool {
        if self.spares_guests && call.caller().user().is_none() {
            return true;
        }
        if !self.methods.is_empty() && !self.methods.contains(&call.method().to_lowercase()) {
            return true;
        }
        let now = Instant::now();
        if let (Some(users), Some(user)) = (&self.users, call.caller().user()) {
            let mut users = users.lock();
            return self.use_up(users.free_at(user, now), now);
        }
        let limits = call.caller().peer().local::<Limits>();
        self.use_up(limits.free_at.lock().entry(self.id).or_insert(now), now)
    }

    /// Adds the cost of a call to the time at which all calls are allowed again, if it is within the
    /// limit.
    fn use_up(&self, free_at: &mut Instant, now: Instant) -> bool {
        let used = free_at.saturating_duration_since(now) + self.cost;
        let is_allowed = used <= self.window;
        if is_allowed {
            *free_at = now + used;
        }
        is_allowed
    }
}

/// The users that have called lately: the time at which all calls are allowed again, by user.
#[derive(Debug)]
struct Users {
    free_at: HashMap<Box<str>, Instant>,
    /// Number of users at which those without recent calls are forgotten.
    users_max: usize,
}

impl Users {
    fn free_at(&mut self, user: &str, now: Instant) -> &mut Instant {
        if self.free_at.len() >= self.users_max {
            self.free_at.retain(|_, free_at| *free_at > now);
            self.users_max = (2 * self.free_at.len()).max(USERS_MIN);
        }
        self.free_at.entry(user.into()).or_insert(now)
    }
}

impl Default for Users {
    fn default() -> Self {
        Self { free_at: HashMap::new(), users_max: USERS_MIN }
    }
}

/// Users that are kept without a look at the times of their calls.
const USERS_MIN: usize = 1_024;

/// The limits of one connection. On another server, they begin anew.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Limits {
    /// The time at which all calls are allowed again, by limit.
    #[serde(skip)]
    free_at: Mutex<HashMap<u64, Instant>>,
}

impl Layer<CallService> for CallLimit {
    type Service = Limited;

    fn layer(&self, service: CallService) -> Limited {
        Limited { limit: self.clone(), service }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn users_without_recent_calls_are_forgotten() {
        let limit = CallLimit::per_user(1, Duration::from_secs(1));
        let mut users = Users::default();
        for number in 0..3 * USERS_MIN {
            let now = Instant::now();
            assert!(limit.use_up(users.free_at(&number.to_string(), now), now));
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert!(users.free_at.len() <= USERS_MIN, "{}", users.free_at.len());
        let now = Instant::now();
        let last = (3 * USERS_MIN - 1).to_string();
        assert!(!limit.use_up(users.free_at(&last, now), now), "it has called lately");
    }
}
