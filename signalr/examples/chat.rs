//! A chat with rooms. Two servers that share a broker serve one chat.
//!
//! ```text
//! cargo run -p signalr --example chat
//! ```

use axum::Router;
use backplane::Backplane;
use broker::Broker;
use signalr::{Caller, Hub, HubError};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // With a broker in its own process, use `Backplane::use_redis` on each server instead.
    let broker = Broker::new();
    let first = serve(Backplane::embedded(&broker, "Chat"), "127.0.0.1:5001");
    let second = serve(Backplane::embedded(&broker, "Chat"), "127.0.0.1:5002");
    tokio::try_join!(first, second)?;
    Ok(())
}

async fn serve(backplane: Backplane, address: &str) -> std::io::Result<()> {
    let hub = Hub::new("ChatHub", backplane)
        .method("JoinRoom", join_room)
        .method("SendMessage", send_message)
        .on_connected(greet);
    let app: Router = hub.mount(Router::new(), "/chatHub");
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/chatHub", listener.local_addr()?);
    signalr::serve(listener, app, std::future::pending()).await;
    Ok(())
}

async fn greet(caller: Caller) -> Result<(), HubError> {
    caller.clients().caller().invoke("welcome", (caller.connection_id(),)).await?;
    Ok(())
}

async fn join_room(caller: Caller, (room, name): (String, String)) -> Result<(), HubError> {
    caller.groups().add(&room).await?;
    caller.clients().others_in_group(&room).invoke("joined", (name,)).await?;
    Ok(())
}

async fn send_message(
    caller: Caller,
    (room, name, text): (String, String, String),
) -> Result<(), HubError> {
    if text.is_empty() {
        return Err(HubError::new("the message is empty"));
    }
    caller.clients().group(&room).invoke("roomMessage", (name, text)).await?;
    Ok(())
}
