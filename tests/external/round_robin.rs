//! Unmodified SignalR clients behind a load balancer without affinity: their requests reach two
//! servers in turn.
//!
//! The clients go through the steps of `signalr_clients`. Both servers close each connection after
//! its response, so also two requests in a row reach different servers.

use std::process::Command;

use harness::{Balancer, Process, Server, node, python};

use crate::signalr_clients::{finish, url};

/// One test for each client, transport and encoding: it goes through all of its steps.
macro_rules! goes_through_its_steps_with {
    ($($name:ident: $program:expr, $arguments:expr;)*) => {$(
        #[tokio::test]
        #[ignore = "run by cargo xtask long, since a busy machine fails it now and then"]
        async fn $name() {
            goes_through_its_steps($program, &$arguments).await;
        }
    )*};
}

goes_through_its_steps_with! {
    microsoft_signalr_on_websockets_in_json: node("signalr_suite.mjs"), ["WebSockets", "json"];
    microsoft_signalr_on_websockets_in_messagepack:
        node("signalr_suite.mjs"), ["WebSockets", "messagepack"];
    microsoft_signalr_on_events_in_json:
        node("signalr_suite.mjs"), ["ServerSentEvents", "json"];
    microsoft_signalr_on_long_polling_in_json:
        node("signalr_suite.mjs"), ["LongPolling", "json"];
    microsoft_signalr_on_long_polling_in_messagepack:
        node("signalr_suite.mjs"), ["LongPolling", "messagepack"];
    microsoft_signalr_without_a_hub_protocol: node("signalr_connection.mjs"), [];
    aspnet_signalr_on_websockets_in_json: node("aspnet_signalr.mjs"), ["WebSockets", "json"];
    aspnet_signalr_on_events_in_json: node("aspnet_signalr.mjs"), ["ServerSentEvents", "json"];
    aspnet_signalr_on_long_polling_in_messagepack:
        node("aspnet_signalr.mjs"), ["LongPolling", "messagepack"];
    signalr_no_jquery_on_websockets: node("signalr_no_jquery.mjs"), ["webSockets"];
    signalr_no_jquery_on_events: node("signalr_no_jquery.mjs"), ["serverSentEvents"];
    signalr_no_jquery_on_long_polling: node("signalr_no_jquery.mjs"), ["longPolling"];
    microsoft_signalr_in_chromium: node("signalr_chromium.mjs"), [];
    signalr_2_in_chromium: node("classic_chromium.mjs"), [];
    signalrcore_on_long_polling_in_json: python("signalrcore_client.py"), ["LongPolling", "json"];
    aiosignalr_on_events_in_json: python("aiosignalr_client.py"), ["ServerSentEvents", "json"];
    aiosignalr_on_long_polling_in_messagepack:
        python("aiosignalr_client.py"), ["LongPolling", "messagepack"];
}

async fn goes_through_its_steps(mut command: Command, arguments: &[&str]) {
    let broker = Server::ours(&[]).await;
    let (first, second) = (start(&broker), start(&broker));
    let ports = vec![port(&first).await, port(&second).await];
    let balancer = Balancer::before(ports).await;
    command.arg(format!("http://127.0.0.1:{}", balancer.port())).args(arguments);
    finish(command, || format!("{}{}", first.transcript(), second.transcript())).await;
    assert!(balancer.connections().into_iter().all(|count| count > 1), "one server has all");
}

/// Starts one of the servers.
pub(crate) fn start(broker: &Server) -> Process {
    let mut server = Command::new(env!("CARGO_BIN_EXE_signalr-server"));
    Process::start(server.args(["--broker", &broker.url()]))
}

pub(crate) async fn port(server: &Process) -> u16 {
    let url = url(server).await;
    let port = url.rsplit(':').next().expect("a URL has a colon");
    port.parse().expect("a URL ends in its port")
}
