//! From an empty project to a chat on two servers, in ten minutes.
//!
//! # 1. A hub
//!
//! A hub holds the methods that clients call. Add `signalr`, `backplane`, `broker`, `axum` and
//! `tokio` to a project.
//!
//! ```no_run
//! use axum::Router;
//! use backplane::Backplane;
//! use broker::Broker;
//! use signalr::{Caller, Hub, HubError};
//! use tokio::{net::TcpListener, signal};
//!
//! async fn send(caller: Caller, (name, text): (String, String)) -> Result<(), HubError> {
//!     caller.clients().all().invoke("said", (name, text)).await?;
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let backplane = Backplane::embedded(&Broker::new(), "Chat");
//!     let hub = Hub::new("ChatHub", backplane).method("Send", send);
//!     let app = hub.mount(Router::new(), "/chatHub");
//!     let stop = async {
//!         let _ = signal::ctrl_c().await;
//!         hub.shutdown().await;
//!     };
//!     signalr::serve(TcpListener::bind("127.0.0.1:5001").await?, app, stop).await;
//!     Ok(())
//! }
//! ```
//!
//! [`serve`](crate::serve()) is `axum::serve` with limits for slow clients.
//!
//! The last parameter of a method is the tuple of the client's arguments. Parameters before it are
//! read from the call: see [`FromCall`](crate::FromCall). An error of
//! [`HubError::new`](crate::HubError::new) reaches the client. The text of any other error stays on
//! the server.
//!
//! # 2. A page
//!
//! Any SignalR client can connect. In a browser:
//!
//! ```html
//! <script src="https://cdn.jsdelivr.net/npm/@microsoft/signalr@10/dist/browser/signalr.min.js"></script>
//! <script>
//!   const connection = new signalR.HubConnectionBuilder()
//!     .withUrl("http://127.0.0.1:5001/chatHub")
//!     .withAutomaticReconnect()
//!     .build();
//!   connection.on("said", (name, text) => console.log(name, text));
//!   connection.start().then(() => connection.invoke("Send", "ann", "hello"));
//! </script>
//! ```
//!
//! Serve the page from the same app, or list its origin with
//! [`Options::allow_origin`](crate::Options::allow_origin).
//!
//! # 3. Groups
//!
//! A group is a set of connections with a name, such as a room. It begins with its first member
//! and ends with its last one.
//!
//! ```
//! use signalr::{Caller, HubError};
//!
//! async fn join_room(caller: Caller, (room,): (String,)) -> Result<(), HubError> {
//!     caller.groups().add(&room).await?;
//!     caller.clients().others_in_group(&room).invoke("joined", (caller.user(),)).await?;
//!     Ok(())
//! }
//! # fn check<M>(_: impl signalr::Handler<M>) {}
//! # fn main() { check(join_room); }
//! ```
//!
//! # 4. Users
//!
//! An authenticator reads each request and returns its user. The id of a user addresses all of its
//! connections.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::http::request::Parts;
//! use signalr::{AuthError, Hub, User, bearer_token};
//!
//! async fn authenticate(parts: Parts) -> Result<Option<User<()>>, AuthError> {
//!     match bearer_token(&parts).as_deref() {
//!         Some("the token of ann") => Ok(Some(User::new("ann", ()).with_role("admin"))),
//!         _ => Err(AuthError::Missing),
//!     }
//! }
//!
//! # let backplane = backplane();
//! let hub = Hub::new("ChatHub", backplane.clone())
//!     .authenticate(authenticate)
//!     .method("CloseRoom", |(_room,): (String,)| async { Ok("closed") })
//!     .authorize("CloseRoom", ["admin"]);
//! # let server = TestServer::serve(hub, backplane);
//! # let mut client = server.connect_with(&[("authorization", "Bearer the token of ann")]).await;
//! # assert_eq!(client.call("CloseRoom", json!(["red"])).await["result"], "closed");
//! # Ok(()) }
//! ```
//!
//! With the feature `jwt`, `jwt::bearer` is such an authenticator for JSON Web Tokens.
//!
//! # 5. The second server
//!
//! Start the broker of this project, or a Redis server, and connect each web server to it. Nothing
//! else changes: all invocations reach the clients of both servers.
//!
//! ```no_run
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use backplane::Backplane;
//!
//! let builder = Backplane::builder("Chat").server_channel(true);
//! let backplane = builder.connect("redis://:password@127.0.0.1:6379").await?;
//! # drop(backplane);
//! # Ok(()) }
//! ```
//!
//! The load balancer needs no sticky sessions: any server takes any request of a client. For that,
//! the servers reach each other through the broker, by the backplane's
//! [channel of servers](backplane::Builder::server_channel). They share the keys that sign the tokens
//! of connections; [`Options::token_keys`](crate::Options::token_keys) sets keys of your own.
//!
//! When a server crashes, its clients connect to another one. Those of a hub that is
//! [`resumable`](crate::Hub::resumable) name the cursor of their last message, and the other server sends
//! all that they have missed.
//!
//! # 6. Who is online, and signing out
//!
//! [`Hub::presence`](crate::Hub::presence) knows the members of groups and the users that are online,
//! and watches changes. [`Hub::disconnect`](crate::Hub::disconnect) ends the connections of a user
//! or a group, and tells their clients the reason. Both reach all servers. The backplane of each
//! server must have [`Builder::presence`](backplane::Builder::presence) for the first, and
//! [`Builder::server_channel`](backplane::Builder::server_channel) for the second.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use backplane::{Backplane, Target};
//! use broker::Broker;
//! use signalr::Hub;
//!
//! let builder = Backplane::builder("Chat").server_channel(true).presence(["room-*"]);
//! let hub = Hub::new("ChatHub", builder.embedded(&Broker::new())?);
//! for member in hub.presence().members("room-red") {
//!     println!("{:?} is in the room", member.user);
//! }
//! if hub.presence().is_online("ann") {
//!     hub.disconnect(Target::user("ann"), "signed out").await?;
//! }
//! # assert!(!hub.presence().is_online("ann"));
//! # Ok(()) }
//! ```
//!
//! A program without connections of its own, such as a worker, sends with an
//! [`Emitter`](backplane::Emitter). Clients that speak a protocol of their own, without hub messages,
//! connect to [`Hub::raw_router`](crate::Hub::raw_router).
//!
//! # 7. Names and types that the compiler checks
//!
//! `#[signalr::hub]` and `#[signalr::client]` replace the names in strings by two traits. A method
//! that a client lacks, or an argument of another type, is then an error of the compiler.
//!
//! # 8. Before the first user
//!
//! - Limit the calls of a connection or a user with [`CallLimit`](crate::CallLimit).
//! - Limit the connections with [`Options::connections_max`](crate::Options::connections_max).
//! - Let no client hold a socket for good. Serve the app with [`serve`](crate::serve()), or give the
//!   server of your choice the limits of the second table:
//!
//! | the hub itself limits | by |
//! |---|---|
//! | the time from the negotiation to the transport | [`Options::disconnect_timeout`](crate::Options::disconnect_timeout) |
//! | the time of the handshake | [`Options::handshake_timeout`](crate::Options::handshake_timeout) |
//! | the silence of a client with a session, except on a raw connection | [`Options::client_timeout`](crate::Options::client_timeout) |
//! | the time and the size of a POST | [`Options::poll_timeout`](crate::Options::poll_timeout), [`Options::post_bytes_max`](crate::Options::post_bytes_max) |
//! | the time of a write to a WebSocket, and of a session to its events and polls | [`Options::write_timeout`](crate::Options::write_timeout) |
//!
//! | the server around the hub limits | in [`serve`](crate::serve()) |
//! |---|---|
//! | the time and the size of the head of a request, and the time between two requests | 15 s, 32 KiB |
//! | the time in which a client takes nothing of a response, such as that of events | 30 s |
//! | the time of a TLS handshake | the listener's task |
//! | the time and the size of the requests of other routes | the app's task |
//! | the number of open sockets | the system's limit of open files |
//!
//! - A hub counts its own connections, and no sockets before the request for one. Set the limit of open
//!   files (`ulimit -n`, or `LimitNOFILE` of systemd) above `connections_max`, and let the proxy in
//!   front limit the sockets of one address.
//! - Call [`Hub::drain`](crate::Hub::drain) before the process ends, so clients move to other servers bit
//!   by bit. Let the readiness check fail while [`Hub::is_draining`](crate::Hub::is_draining).
