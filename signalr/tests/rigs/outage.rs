//! A broker that stops and returns while clients call.

use std::time::Duration;

use backplane::{Backplane, State};
use broker::{Broker, Config, Port, Server};
use serde_json::json;
use signalr::{Caller, Hub};

use crate::server::{TestServer, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_fail_with_a_text_and_clients_stay() {
    survive_outages(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: `cargo xtask long` runs it"]
async fn clients_stay_during_many_outages() {
    survive_outages(50).await;
}

/// Stops the broker, and starts it again with its memory. Calls that send fail meanwhile.
async fn survive_outages(outages: usize) {
    let broker = Broker::new();
    let mut running = start(&broker, Port::Any).await;
    let address = running.local_addrs()[0];
    let backplane = Backplane::builder("ChatApp").queue_age_max(Duration::from_millis(200));
    let backplane = backplane.connect(format!("redis://{address}")).await.unwrap();
    let server = TestServer::serve(chat(&backplane), backplane.clone());
    let (mut ann, mut bob) = (server.connect().await, server.connect().await);
    for round in 0..outages {
        running.shutdown().await;
        wait_for(&backplane, |state| matches!(state, State::Disconnected { .. })).await;
        let failed = ann.call("Say", json!([round])).await;
        assert!(failed["error"].as_str().is_some_and(|text| !text.is_empty()), "{failed}");
        assert_eq!(ann.call("Add", json!([1, 2])).await, json!({"result": 3}));

        running = start(&broker, address.port().into()).await;
        wait_for(&backplane, |state| *state == State::Connected).await;
        let said = json!({"type": 1, "target": "said", "arguments": [round]});
        ann.send(json!({"type": 1, "target": "Say", "arguments": [round]})).await;
        assert_eq!(ann.receive_past_pings().await, said);
        assert_eq!(bob.receive_past_pings().await, said);
    }
}

async fn start(broker: &Broker, port: Port) -> Server {
    let config = Config { port, ..Config::default() };
    Server::bind(broker.clone(), &config).await.unwrap()
}

fn chat(backplane: &Backplane) -> Hub {
    Hub::new("Hub", backplane.clone())
        .method("Say", |caller: Caller, (number,): (usize,)| async move {
            Ok(caller.clients().all().invoke("said", (number,)).await?)
        })
        .method("Add", |(one, two): (i64, i64)| async move { Ok(one + two) })
}

async fn wait_for(backplane: &Backplane, is_wanted: impl Fn(&State) -> bool) {
    within(backplane.state_changes().wait_for(is_wanted)).await.unwrap();
}
