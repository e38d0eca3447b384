//! Tests of applications: servers and clients in memory, without sockets.
//!
//! The servers of a [`TestFarm`] share a broker in the process. All of it runs on tokio's clock, so
//! a test with `start_paused = true` waits for no timeout. This needs the feature `testing`.
//!
//! # Examples
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use backplane::Backplane;
//! use signalr::{
//!     Caller, Hub,
//!     testing::{TestClient, TestFarm},
//! };
//!
//! fn chat(backplane: Backplane) -> Hub {
//!     Hub::new("ChatHub", backplane)
//!         .method("JoinRoom", |caller: Caller, (room,): (String,)| async move {
//!             caller.groups().add(&room).await?;
//!             Ok(())
//!         })
//!         .method("Send", |caller: Caller, (room, text): (String, String)| async move {
//!             let by = caller.user().unwrap_or("guest").to_owned();
//!             caller.clients().group(room).invoke("said", (by, text)).await?;
//!             Ok(1)
//!         })
//! }
//!
//! let farm = TestFarm::start(2, chat);
//! let mut ann = farm.server(0).connect(TestClient::messagepack().user("ann")).await;
//! let mut bob = farm.server(1).connect(TestClient::json().user("bob")).await;
//! ann.invoke::<()>("JoinRoom", ("red",)).await?;
//! assert_eq!(bob.invoke::<u64>("Send", ("red", "hi")).await?, 1);
//! ann.expect("said", ("bob", "hi")).await;
//! # Ok(()) }
//! ```

mod connection;
mod pipes;
mod wire;

use std::{collections::HashMap, fmt, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use backplane::Backplane;
use broker::Broker;
use locks::Mutex;
use tokio::{
    io::{DuplexStream, copy_bidirectional, duplex},
    select,
    sync::mpsc,
};
use tokio_tungstenite::{client_async, tungstenite::client::IntoClientRequest};
use tokio_util::sync::CancellationToken;

use crate::{
    hub::Hub,
    user::{Authenticated, User},
};

use pipes::Pipes;
use wire::Wire;

pub use connection::{TestConnection, TestError};

/// Servers of one application that share a broker.
///
/// # Examples
///
/// See the [module](self).
#[derive(Debug)]
pub struct TestFarm {
    /// A killed server is `None`.
    servers: Vec<Option<TestServer>>,
}

impl TestFarm {
    /// Starts servers. `build` returns the hub of each one.
    ///
    /// # Panics
    ///
    /// Panics without a tokio runtime.
    pub fn start(servers: usize, build: impl Fn(Backplane) -> Hub) -> Self {
        let broker = Broker::new();
        let start = |_| Some(TestServer::start(build(Backplane::embedded(&broker, "Test"))));
        Self { servers: (0..servers).map(start).collect() }
    }

    /// Returns a server, by a number from 0.
    ///
    /// # Panics
    ///
    /// Panics if the farm has no such server, or if it was killed.
    #[must_use]
    pub fn server(&self, index: usize) -> &TestServer {
        self.servers[index].as_ref().expect("the server was killed")
    }

    /// Kills a server: its clients lose their connections without a Close message.
    ///
    /// Methods that run go on, and the hooks for the ends of the connections run, since the server
    /// is no process of its own.
    ///
    /// # Panics
    ///
    /// Panics if the farm has no such server, or if it was killed before.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use signalr::{
    ///     Hub,
    ///     testing::{TestClient, TestFarm},
    /// };
    ///
    /// let mut farm = TestFarm::start(2, |backplane| Hub::new("Hub", backplane));
    /// let ann = farm.server(0).connect(TestClient::json()).await;
    /// farm.kill(0);
    /// ann.expect_lost().await;
    /// farm.server(1).connect(TestClient::json()).await;
    /// # }
    /// ```
    pub fn kill(&mut self, index: usize) {
        let server = self.servers[index].take().expect("the server was killed before");
        server.killed.cancel();
    }
}

/// One server of a [`TestFarm`].
///
/// # Examples
///
/// See the [module](self).
pub struct TestServer {
    hub: Hub,
    dial: mpsc::UnboundedSender<DuplexStream>,
    users: Users,
    killed: CancellationToken,
}

/// The users of clients that have connected.
type Users = Arc<Mutex<HashMap<String, Authenticated>>>;

impl TestServer {
    fn start(hub: Hub) -> Self {
        let (dial, calls) = mpsc::unbounded_channel();
        let users = Users::default();
        let add_user = middleware::from_fn_with_state(Arc::clone(&users), add_user);
        let serve = axum::serve(Pipes(calls), hub.router("/hub").layer(add_user));
        tokio::spawn(serve.into_future());
        Self { hub, dial, users, killed: CancellationToken::new() }
    }

    /// Returns the hub.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Connects a client over a WebSocket.
    ///
    /// # Panics
    ///
    /// Panics if the server refuses the connection.
    pub async fn connect(&self, client: TestClient) -> TestConnection {
        let TestClient { wire, user, headers } = client;
        let mut request = "ws://server/hub".into_client_request().expect("the address is valid");
        for (name, value) in headers {
            let name = axum::http::HeaderName::try_from(name).expect("a valid name of a header");
            request.headers_mut().insert(name, value.parse().expect("a valid value of a header"));
        }
        if let Some(user) = user {
            let key = format!("{:x}", rand::random::<u128>());
            request.headers_mut().insert(USER, key.parse().expect("hexadecimal digits"));
            self.users.lock().insert(key, user);
        }
        let socket = connection::within(client_async(request, self.pipe())).await;
        let (socket, _) = socket.unwrap_or_else(|error| panic!("connection refused: {error}"));
        TestConnection::begin(socket, wire).await
    }

    /// Opens a pipe to the server, which breaks when the server is killed.
    fn pipe(&self) -> DuplexStream {
        let (ours, mut near) = duplex(PIPE_BYTES);
        let (mut far, theirs) = duplex(PIPE_BYTES);
        let killed = self.killed.clone();
        tokio::spawn(async move {
            select! {
                () = killed.cancelled() => {}
                _ = copy_bidirectional(&mut near, &mut far) => {}
            }
        });
        // Fails if the server has ended. The client then finds a broken pipe.
        let _ = self.dial.send(theirs);
        ours
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer").finish_non_exhaustive()
    }
}

/// A client that is to connect to a [`TestServer`].
///
/// # Examples
///
/// See the [module](self).
#[derive(Debug)]
pub struct TestClient {
    wire: Wire,
    user: Option<Authenticated>,
    headers: Vec<(String, String)>,
}

impl TestClient {
    /// Returns a client that uses JSON.
    #[must_use]
    pub fn json() -> Self {
        Self { wire: Wire::Json, user: None, headers: Vec::new() }
    }

    /// Returns a client that uses MessagePack. Its messages hold values that JSON has, too.
    #[must_use]
    pub fn messagepack() -> Self {
        Self { wire: Wire::MessagePack, ..Self::json() }
    }

    /// Sets the id of the user. The hub's authenticator does not run.
    #[must_use]
    pub fn user(self, id: impl Into<String>) -> Self {
        self.authenticated(User::new(id, ()))
    }

    /// Sets the user. The hub's authenticator does not run.
    #[must_use]
    pub fn authenticated<T: Send + Sync + 'static>(mut self, user: User<T>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Adds a header to the request, such as a token for the hub's authenticator.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Adds the user of a test client to its request.
async fn add_user(State(users): State<Users>, mut request: Request, next: Next) -> Response {
    let key = request.headers_mut().remove(USER);
    let user = key.and_then(|key| users.lock().remove(key.to_str().ok()?));
    if let Some(user) = user {
        request.extensions_mut().insert(user);
    }
    next.run(request).await
}

/// The header that names the user of a test client.
const USER: &str = "x-signalr-test-user";
const PIPE_BYTES: usize = 64 * 1024;
