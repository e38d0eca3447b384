//! A hub whose methods are those of a trait. Names and types are checked by the compiler.
//!
//! ```text
//! cargo run -p signalr --example typed_hub
//! ```

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::Router;
use backplane::Backplane;
use broker::Broker;
use signalr::{Caller, Hub, HubError};
use tokio::net::TcpListener;

/// Methods of the clients. The JavaScript of a page adds them with `connection.on("said", ..)`.
#[signalr::client]
trait ChatClient {
    fn said(by: &str, text: &str);
    async fn confirm(question: &str) -> bool;
}

/// Methods of the hub. A page calls them with `connection.invoke("Send", ..)`.
#[signalr::hub(client = ChatClient)]
trait ChatHub {
    #[signalr(connected)]
    async fn joined(&self, caller: &Caller<ChatClient>) -> Result<(), HubError>;
    async fn send(&self, caller: &Caller<ChatClient>, text: String) -> Result<u64, HubError>;
    async fn leave(&self, caller: &Caller<ChatClient>) -> Result<bool, HubError>;
}

#[derive(Default)]
struct Chat {
    messages: AtomicU64,
}

#[signalr::hub]
impl ChatHub for Chat {
    async fn joined(&self, caller: &Caller<ChatClient>) -> Result<(), HubError> {
        caller.clients().caller().said("server", "Welcome!").await?;
        Ok(())
    }

    async fn send(&self, caller: &Caller<ChatClient>, text: String) -> Result<u64, HubError> {
        caller.clients().all().said(caller.connection_id(), &text).await?;
        Ok(self.messages.fetch_add(1, Relaxed) + 1)
    }

    async fn leave(&self, caller: &Caller<ChatClient>) -> Result<bool, HubError> {
        let is_sure = caller.clients().caller().confirm("Leave the chat?").await?;
        if is_sure {
            caller.abort();
        }
        Ok(is_sure)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backplane = Backplane::embedded(&Broker::new(), "Chat");
    let hub = Hub::typed("ChatHub", backplane, Chat::default());
    let listener = TcpListener::bind("127.0.0.1:5001").await?;
    println!("http://{}/chatHub", listener.local_addr()?);
    signalr::serve(listener, hub.mount(Router::new(), "/chatHub"), std::future::pending()).await;
    Ok(())
}
