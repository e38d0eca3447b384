//! Users with access tokens. A page logs in, and its SignalR client sends the token.
//!
//! ```text
//! cargo run -p signalr --example login
//! curl -X POST http://127.0.0.1:5001/login/ann
//! ```
//!
//! The page passes the token with `withUrl("/chatHub", { accessTokenFactory: () => token })`. The
//! tokens here are random and kept in memory. The example `jwt` has signed tokens.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Path, State},
    http::request::Parts,
    routing,
};
use backplane::Backplane;
use broker::Broker;
use signalr::{AuthError, Caller, Hub, HubError, User, bearer_token};
use tokio::net::TcpListener;

/// The names of the users that have logged in, by token.
#[derive(Clone, Default)]
struct Tokens(Arc<Mutex<HashMap<String, String>>>);

/// The application's own data of a user.
struct Profile {
    greeting: String,
}

/// A real application checks a password here.
async fn log_in(State(Tokens(tokens)): State<Tokens>, Path(name): Path<String>) -> String {
    let token = format!("{:032x}", rand::random::<u128>());
    tokens.lock().expect("no thread panics with it").insert(token.clone(), name);
    token
}

async fn authenticate(tokens: Tokens, parts: Parts) -> Result<Option<User<Profile>>, AuthError> {
    let token = bearer_token(&parts).ok_or(AuthError::Missing)?;
    let name = tokens
        .0
        .lock()
        .expect("no thread panics with it")
        .get(&token)
        .cloned()
        .ok_or(AuthError::Missing)?;
    let user = User::new(&name, Profile { greeting: format!("hello {name}") });
    Ok(Some(if name == "ann" { user.with_role("admin") } else { user }))
}

async fn greet(user: User<Profile>, (): ()) -> Result<String, HubError> {
    Ok(user.greeting.clone())
}

async fn announce(caller: Caller, (text,): (String,)) -> Result<(), HubError> {
    caller.clients().all().invoke("announced", (text,)).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokens = Tokens::default();
    let backplane = Backplane::embedded(&Broker::new(), "Chat");
    let known = tokens.clone();
    let hub = Hub::new("ChatHub", backplane)
        .authenticate(move |parts| authenticate(known.clone(), parts))
        .method("Greet", greet)
        .method("Announce", announce)
        .authorize("Announce", ["admin"]);
    let app = Router::new().route("/login/{name}", routing::post(log_in)).with_state(tokens);
    let listener = TcpListener::bind("127.0.0.1:5001").await?;
    println!("http://{}/chatHub", listener.local_addr()?);
    signalr::serve(listener, hub.mount(app, "/chatHub"), std::future::pending()).await;
    Ok(())
}
