//! Serves one hub to clients of ASP.NET Core at `/chatHub`, and to clients of SignalR 2 at
//! `/signalr`, with their script at `/signalr/hubs`.
//!
//! `cargo run -p signalr --example classic -- 127.0.0.1:5000`

use axum::{Router, response::Html, routing};
use backplane::Backplane;
use broker::Broker;
use signalr::{Caller, Classic, Hub};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".to_owned());
    let backplane = Backplane::embedded(&Broker::new(), "ChatApp");
    let chat = Hub::new("ChatHub", backplane)
        .user_id(|request| request.uri.query()?.split('&').find_map(user))
        .method("Send", |caller: Caller, (name, message): (String, String)| async move {
            Ok(caller.clients().all().invoke("broadcastMessage", (name, message)).await?)
        })
        .method("JoinRoom", |caller: Caller, (room,): (String,)| async move {
            Ok(caller.groups().add(&room).await?)
        })
        .method("LeaveRoom", |caller: Caller, (room,): (String,)| async move {
            Ok(caller.groups().remove(&room).await?)
        })
        .method(
            "SendToRoom",
            |caller: Caller, (room, name, message): (String, String, String)| async move {
                let group = caller.clients().group(&*room);
                Ok(group.invoke("roomMessage", (&room, name, message)).await?)
            },
        )
        .method(
            "WhoAmI",
            |caller: Caller, ()| async move { Ok(caller.connection_id().to_owned()) },
        );
    let app = Router::new()
        .route("/", routing::get(|| async { Html(PAGE) }))
        .merge(chat.router("/chatHub"))
        .merge(Classic::new().hub(&chat).router("/signalr"));
    let listener = TcpListener::bind(&address).await?;
    println!("http://{}/", listener.local_addr()?);
    signalr::serve(listener, app, std::future::pending()).await;
    Ok(())
}

/// For the example only: a name in the query is no proof.
fn user(pair: &str) -> Option<String> {
    pair.strip_prefix("user=").map(str::to_owned)
}

const PAGE: &str = "<!DOCTYPE html><title>Classic</title><p>Load jQuery, jquery.signalR and \
                    <a href=\"/signalr/hubs\">/signalr/hubs</a>.";
