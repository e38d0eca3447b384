//! Calls of one client on a broker in another process, or at least behind a socket.

use std::time::Duration;

use backplane::Backplane;
use broker::{Broker, Config, Port, Server};
use serde_json::json;
use signalr::{Caller, Hub};
use tokio_tungstenite::tungstenite::Message;

use crate::server::TestServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_over_a_socket_follow_their_messages_in_order() {
    let broker = listen().await;
    let server = serve(&broker).await;
    let mut client = server.connect().await;
    let calls = (0..200).map(|number| {
        let id = number.to_string();
        json!({"type": 1, "invocationId": id, "target": "Send", "arguments": [id]})
    });
    let calls: String = calls.map(|call| format!("{call}\u{1e}")).collect();
    client.send_frame(Message::text(calls)).await;
    let (mut messages, mut results) = (0, 0);
    while results < 200 {
        let received = client.receive_past_pings().await;
        if received["type"] == 1 {
            assert_eq!(received["arguments"][0], messages.to_string());
            messages += 1;
        } else {
            assert_eq!(
                received,
                json!({"type": 3, "invocationId": results.to_string(), "result": null})
            );
            results += 1;
        }
        assert!(results <= messages, "{received}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_message_was_not_sent_fails() {
    let broker = listen().await;
    let server = serve(&broker).await;
    let mut client = server.connect().await;
    assert_eq!(client.call("Echo", json!(["before"])).await, json!({"result": "before"}));
    broker.shutdown().await;
    let failed = client.call("Send", json!(["lost"])).await;
    let error = "An unexpected error occurred invoking 'Send' on the server.";
    assert_eq!(failed, json!({"error": error}));
    // The connection goes on.
    assert_eq!(client.call("Echo", json!(["after"])).await, json!({"result": "after"}));
}

async fn listen() -> Server {
    let config = Config { port: Port::Any, ..Config::default() };
    Server::bind(Broker::new(), &config).await.unwrap()
}

async fn serve(broker: &Server) -> TestServer {
    let url = format!("redis://{}", broker.local_addr().unwrap());
    let builder = Backplane::builder("ChatApp").queue_age_max(Duration::from_millis(100));
    let backplane = builder.connect(&url).await.unwrap();
    let hub = Hub::new("Hub", backplane.clone())
        .method("Echo", |(text,): (String,)| async move { Ok(text) })
        .method("Send", |caller: Caller, (text,): (String,)| async move {
            caller.clients().all().invoke("said", (text,)).await?;
            Ok(())
        });
    TestServer::serve(hub, backplane)
}
