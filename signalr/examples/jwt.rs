//! Users with JSON Web Tokens. A page logs in, and its SignalR client sends the token.
//!
//! ```text
//! cargo run -p signalr --example jwt --features jwt
//! curl -X POST http://127.0.0.1:5001/login/ann
//! ```
//!
//! The page passes the token with `withUrl("/chatHub", { accessTokenFactory: () => token })`. A
//! request without a valid token gets status 401.
//!
//! Here the app itself issues the tokens, with a key of this process. With an identity provider,
//! the key is the provider's public key (`DecodingKey::from_rsa_pem`), and there is no `/login`.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::{Path, State},
    routing,
};
use backplane::Backplane;
use broker::Broker;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use signalr::{
    Caller, Hub, HubError, Options, User,
    jwt::{Algorithm, DecodingKey, Validation, bearer},
};
use tokio::net::TcpListener;

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    aud: String,
    roles: Vec<String>,
    greeting: String,
}

/// A real application checks a password here.
async fn log_in(State(key): State<Arc<EncodingKey>>, Path(name): Path<String>) -> String {
    let expiry = SystemTime::now() + Duration::from_secs(3600);
    let claims = Claims {
        exp: expiry.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        aud: AUDIENCE.to_owned(),
        roles: if name == "ann" { vec!["admin".to_owned()] } else { Vec::new() },
        greeting: format!("hello {name}"),
        sub: name,
    };
    encode(&Header::default(), &claims, &key).expect("texts and numbers always serialize")
}

async fn greet(user: User<Claims>, (): ()) -> Result<String, HubError> {
    Ok(user.greeting.clone())
}

async fn announce(caller: Caller, (text,): (String,)) -> Result<(), HubError> {
    caller.clients().all().invoke("announced", (text,)).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret: [u8; 32] = rand::random();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[AUDIENCE]);
    let mut options = Options::default();
    // A client with an expired token must come back with a new one.
    options.close_on_expiry = true;
    let backplane = Backplane::embedded(&Broker::new(), "Chat");
    let hub = Hub::new("ChatHub", backplane)
        .with_options(options)
        .authenticate(bearer::<Claims>(DecodingKey::from_secret(&secret)?, validation))
        .method("Greet", greet)
        .method("Announce", announce)
        .authorize("Announce", ["admin"]);
    let key = Arc::new(EncodingKey::from_secret(&secret)?);
    let app = Router::new().route("/login/{name}", routing::post(log_in)).with_state(key);
    let listener = TcpListener::bind("127.0.0.1:5001").await?;
    println!("http://{}/chatHub", listener.local_addr()?);
    signalr::serve(listener, hub.mount(app, "/chatHub"), std::future::pending()).await;
    Ok(())
}

const AUDIENCE: &str = "chat";
