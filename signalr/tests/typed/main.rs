//! Tests of hubs whose methods and clients are traits.

#![cfg(feature = "macros")]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(dead_code, reason = "the server has more functions than these tests use")]

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use signalr::{Caller, Hub, HubError, HubStream, Upload, User};

use crate::server::{TestServer, backplane};

#[cfg(feature = "testing")]
mod caller;
#[path = "../hub/server.rs"]
mod server;

#[signalr::client]
pub(crate) trait ChatClient {
    /// Shows a message of a room.
    fn room_message(by: &str, text: &str);
    #[signalr(name = "typing")]
    fn is_typing(name: String);
    async fn confirm(question: &str) -> bool;
}

#[signalr::hub(client = ChatClient)]
pub(crate) trait ChatHub {
    #[signalr(connected)]
    async fn joined(&self, caller: &Caller<ChatClient>) -> Result<(), HubError>;

    async fn send_message(
        &self,
        caller: &Caller<ChatClient>,
        text: String,
    ) -> Result<u64, HubError>;

    #[signalr(name = "Counter")]
    fn count(&self, end: u32) -> HubStream<u32>;

    #[signalr(roles("admin"))]
    async fn kick(&self, user: &Option<User<()>>, name: String) -> Result<String, HubError>;

    async fn sum(&self, numbers: Upload<u32>, start: u32) -> Result<u32, HubError>;

    async fn delete(&self, caller: &Caller<ChatClient>) -> Result<&'static str, HubError>;

    async fn version(&self) -> Result<u32, HubError> {
        Ok(1)
    }
}

struct Chat {
    greeting: &'static str,
}

#[signalr::hub]
impl ChatHub for Chat {
    async fn joined(&self, caller: &Caller<ChatClient>) -> Result<(), HubError> {
        caller.groups().add("lobby").await?;
        Ok(())
    }

    async fn send_message(
        &self,
        caller: &Caller<ChatClient>,
        text: String,
    ) -> Result<u64, HubError> {
        let clients = caller.clients();
        clients.group("lobby").room_message(self.greeting, &text).await?;
        clients.all().except([caller.connection_id()]).is_typing("ann".to_owned()).await?;
        Ok(text.len() as u64)
    }

    fn count(&self, end: u32) -> HubStream<u32> {
        stream::iter((0..end).map(Ok)).boxed()
    }

    async fn kick(&self, user: &Option<User<()>>, name: String) -> Result<String, HubError> {
        let by = user.as_ref().map_or("a stranger", User::id);
        Ok(format!("{by} kicked {name}"))
    }

    async fn sum(&self, numbers: Upload<u32>, start: u32) -> Result<u32, HubError> {
        numbers.try_fold(start, |sum, number| async move { Ok(sum + number) }).await
    }

    async fn delete(&self, caller: &Caller<ChatClient>) -> Result<&'static str, HubError> {
        let is_sure = caller.clients().caller().confirm("Really?").await?;
        Ok(if is_sure { "deleted" } else { "kept" })
    }
}

#[tokio::test(start_paused = true)]
async fn methods_of_a_trait_have_names_of_dotnet_and_clients_those_of_javascript() {
    let server = serve(|hub| hub);
    let mut ann = server.connect().await;
    ann.send(r#"{"type":1,"invocationId":"1","target":"SendMessage","arguments":["hi"]}"#).await;
    let message = ann.receive().await;
    assert_eq!(message["target"], "roomMessage");
    assert_eq!(message["arguments"], json!(["hello", "hi"]));
    assert_eq!(ann.receive().await["result"], 2);
    assert_eq!(ann.call("Version", json!([])).await["result"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_can_be_set_on_both_sides() {
    let server = serve(|hub| hub);
    let (mut ann, mut bob) = (server.connect().await, server.connect().await);
    assert_eq!(bob.call("Version", json!([])).await["result"], 1);
    ann.send(r#"{"type":1,"target":"SendMessage","arguments":["hi"]}"#).await;
    assert_eq!(bob.receive().await["target"], "roomMessage");
    let typing = bob.receive().await;
    assert_eq!((&typing["target"], &typing["arguments"]), (&json!("typing"), &json!(["ann"])));
    ann.send(r#"{"type":4,"invocationId":"1","target":"Counter","arguments":[1]}"#).await;
    assert_eq!(ann.receive().await["target"], "roomMessage");
    assert_eq!(ann.receive().await["item"], 0);
    assert_eq!(ann.receive().await["type"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_method_with_roles_refuses_others() {
    let mut ann = serve(|hub| hub).connect().await;
    let refused = "Failed to invoke 'Kick' because user is unauthorized";
    assert_eq!(ann.call("Kick", json!(["bob"])).await, json!({"error": refused}));
    let server = serve(|hub| {
        hub.authenticate(|_| async { Ok(Some(User::new("ann", ()).with_role("admin"))) })
    });
    let mut ann = server.connect().await;
    assert_eq!(ann.call("Kick", json!(["bob"])).await["result"], "ann kicked bob");
}

#[tokio::test(start_paused = true)]
async fn an_upload_is_no_argument() {
    let mut ann = serve(|hub| hub).connect().await;
    ann.send(r#"{"type":1,"invocationId":"1","target":"Sum","arguments":[1],"streamIds":["2"]}"#)
        .await;
    ann.send(r#"{"type":2,"invocationId":"2","item":3}"#).await;
    ann.send(r#"{"type":3,"invocationId":"2"}"#).await;
    assert_eq!(ann.receive().await["result"], 4);
}

#[tokio::test(start_paused = true)]
async fn a_client_returns_a_typed_result() {
    let mut ann = serve(|hub| hub).connect().await;
    ann.send(r#"{"type":1,"invocationId":"1","target":"Delete","arguments":[]}"#).await;
    let question = ann.receive().await;
    assert_eq!(question["target"], "confirm");
    ann.send(json!({"type": 3, "invocationId": question["invocationId"], "result": true})).await;
    assert_eq!(ann.receive().await["result"], "deleted");
}

#[tokio::test(start_paused = true)]
async fn code_outside_of_calls_uses_the_interface_too() {
    let server = serve(|hub| hub);
    let mut ann = server.connect().await;
    assert_eq!(ann.call("Version", json!([])).await["result"], 1);
    let clients = server.hub.clients().typed::<ChatClient>();
    clients.groups(["lobby", "garden"]).room_message("server", "bye").await.unwrap();
    assert_eq!(ann.receive().await["arguments"], json!(["server", "bye"]));
}

fn serve(build: impl FnOnce(Hub) -> Hub) -> TestServer {
    let backplane = backplane();
    let hub = Hub::typed("ChatHub", backplane.clone(), Chat { greeting: "hello" });
    TestServer::serve(build(hub), backplane)
}
