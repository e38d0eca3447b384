//! Unmodified SignalR clients in many languages, connected to the hubs of `tests/signalr_server`.
//!
//! Each script in `tests/clients` goes through a list of steps: connect, call, stream, upload, return
//! results, reconnect. Its arguments are the server's URL, and the transport and the encoding if the
//! client has several. The scripts for Chromium go through all of them in one browser.
//!
//! The steps of the JavaScript clients are the behaviours that the functional tests of ASP.NET Core
//! and of SignalR 2 check, in our words. pysignalr's own tests come with its source package.

use std::process::Command;

use harness::{Finished, Process, SLOW_DEADLINE, node, python};

/// One test for each client, transport and encoding: it goes through all of its steps.
macro_rules! goes_through_its_steps_with {
    ($($name:ident: $program:expr, $arguments:expr;)*) => {$(
        #[tokio::test]
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
    aspnet_signalr_on_websockets_in_messagepack:
        node("aspnet_signalr.mjs"), ["WebSockets", "messagepack"];
    aspnet_signalr_on_events_in_json: node("aspnet_signalr.mjs"), ["ServerSentEvents", "json"];
    aspnet_signalr_on_long_polling_in_json: node("aspnet_signalr.mjs"), ["LongPolling", "json"];
    aspnet_signalr_on_long_polling_in_messagepack:
        node("aspnet_signalr.mjs"), ["LongPolling", "messagepack"];
    signalr_no_jquery_on_websockets: node("signalr_no_jquery.mjs"), ["webSockets"];
    signalr_no_jquery_on_events: node("signalr_no_jquery.mjs"), ["serverSentEvents"];
    signalr_no_jquery_on_long_polling: node("signalr_no_jquery.mjs"), ["longPolling"];
    microsoft_signalr_in_chromium: node("signalr_chromium.mjs"), [];
    signalr_2_in_chromium: node("classic_chromium.mjs"), [];
    pysignalr_in_its_own_tests: python("pysignalr_suite.py"), [];
    pysignalr_in_json: python("pysignalr_client.py"), ["json"];
    pysignalr_in_messagepack: python("pysignalr_client.py"), ["messagepack"];
    signalrcore_on_websockets_in_json: python("signalrcore_client.py"), ["WebSockets", "json"];
    signalrcore_on_websockets_in_messagepack:
        python("signalrcore_client.py"), ["WebSockets", "messagepack"];
    signalrcore_on_events_in_json: python("signalrcore_client.py"), ["ServerSentEvents", "json"];
    signalrcore_on_long_polling_in_json: python("signalrcore_client.py"), ["LongPolling", "json"];
    aiosignalr_on_websockets_in_json: python("aiosignalr_client.py"), ["WebSockets", "json"];
    aiosignalr_on_websockets_in_messagepack:
        python("aiosignalr_client.py"), ["WebSockets", "messagepack"];
    aiosignalr_on_events_in_json: python("aiosignalr_client.py"), ["ServerSentEvents", "json"];
    aiosignalr_on_long_polling_in_json: python("aiosignalr_client.py"), ["LongPolling", "json"];
    aiosignalr_on_long_polling_in_messagepack:
        python("aiosignalr_client.py"), ["LongPolling", "messagepack"];
}

#[tokio::test]
async fn microsoft_signalr_over_https() {
    let directory = tempfile::tempdir().expect("a directory");
    let certificate = directory.path().join("certificate.pem");
    for (transport, encoding) in
        [("WebSockets", "messagepack"), ("ServerSentEvents", "json"), ("LongPolling", "json")]
    {
        let mut server = Command::new(env!("CARGO_BIN_EXE_signalr-server"));
        server.arg("0").arg(&certificate);
        let mut client = node("signalr_suite.mjs");
        client.env("NODE_EXTRA_CA_CERTS", &certificate);
        go_through(&mut server, client, &[transport, encoding]).await;
    }
}

async fn goes_through_its_steps(command: Command, arguments: &[&str]) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_signalr-server"));
    go_through(&mut server, command, arguments).await;
}

async fn go_through(server: &mut Command, mut command: Command, arguments: &[&str]) {
    let server = Process::start(server);
    command.arg(url(&server).await).args(arguments);
    finish(command, String::new).await;
}

/// Runs a client to the end of its steps. `log` is what the servers have printed.
pub(crate) async fn finish(mut client: Command, log: impl Fn() -> String) {
    // Each step has a deadline of its own, and a browser goes through hundreds of steps.
    let Finished { code, stdout, stderr } = Process::run(&mut client, 10 * SLOW_DEADLINE).await;
    assert_eq!(code, Some(0), "{stdout}{stderr}{}", log());
    assert_eq!(stdout.lines().last(), Some("ok"), "{stdout}{stderr}{}", log());
}

/// Returns the URL of a server, once it has printed the whole line.
pub(crate) async fn url(server: &Process) -> String {
    let line = |text: &str| Some(text.strip_prefix("ready ")?.strip_suffix('\n')?.to_owned());
    server.stdout_with(SLOW_DEADLINE, line).await
}
