//! The chat in headless Chromium: two pages, one on each server, and pages over a load balancer.

use harness::{
    Chat, ChatFarm, Finished, Kind, Process, SLOW_DEADLINE, Server, eventually_within, free_port,
    node, workspace_dir,
};
use serde_json::{Value, json};

use crate::redis_cli;

/// The default name of the app, which is also the name of its channel.
const APP: &str = "ChatApp";

/// Enough messages to show a wrong order, and few enough for a slow machine.
const MESSAGES: usize = 10;

#[tokio::test]
async fn each_page_shows_every_message_once_and_in_order_over_our_broker() {
    let server = Server::ours(&["--requirepass", "secret"]).await;
    exchange(&Chat::at(&server.url()).await, server.port()).await;
}

#[tokio::test]
async fn each_page_shows_every_message_once_and_in_order_over_redis_server() {
    let server = Server::redis(&["--requirepass", "secret"]).await;
    exchange(&Chat::at(&server.url()).await, server.port()).await;
}

#[tokio::test]
async fn each_page_shows_every_message_once_and_in_order_with_the_broker_of_the_chat() {
    let port = free_port();
    let options = ["--broker-port", &port.to_string(), "--password", "secret"];
    let chat = Chat::start(&options).await;
    assert!(chat.log().contains(&format!("redis-cli -p {port}")));
    exchange(&chat, port).await;
}

#[tokio::test]
async fn the_pages_of_both_clients_exchange_messages_on_every_screen() {
    let packages = workspace_dir().join("tests/clients/node");
    let (port, packages) = (free_port().to_string(), packages.display().to_string());
    let chat = Chat::start(&["--broker-port", &port, "--scripts", &packages]).await;
    let mut browsers = node("both_pages.mjs");
    browsers.args(chat.pages());

    let result = result_of(&Process::run(&mut browsers, 4 * SLOW_DEADLINE).await);

    for page in [0, 1] {
        let shown = texts(&result["messages"][page]);
        assert_eq!(shown.len(), 4, "page {page} shows {shown:?}");
        for (text, name) in shown.iter().zip(["core", "classic", "core", "classic"]) {
            assert!(text.starts_with(name), "page {page} shows {shown:?}");
        }
        let server = result["servers"][page].as_str().unwrap_or_default();
        assert!(!server.is_empty() && chat.pages()[page].contains(server), "{result}");
    }
    assert_eq!(texts(&result["faults"]), [] as [&str; 0]);
}

#[tokio::test]
async fn the_history_after_a_reconnect_neither_loses_nor_doubles_messages_of_a_page() {
    let finished = Process::run(&mut node("conversation.mjs"), SLOW_DEADLINE).await;
    assert_eq!(finished.stdout, "ok\n", "{finished:?}");
}

#[tokio::test]
async fn people_on_two_servers_behind_a_balancer_use_every_feature() {
    let server = Server::ours(&["--requirepass", "secret"]).await;
    let farm = ChatFarm::start(&server.url(), &[]).await;
    let mut browsers = node("chat_features.mjs");
    browsers.arg(farm.page());

    let result = result_of(&Process::run(&mut browsers, 6 * SLOW_DEADLINE).await);

    assert_ne!(result["servers"][0], result["servers"][1], "both people are on one server");
    let shown = &result["shown"];
    assert_eq!(shown["people"], json!([["ann", "bob"], ["ann", "bob"]]));
    let markup = r#"ann: <img src=x onerror="window.hacked = true"><b>bold</b>"#;
    assert_eq!(shown["history"], json!(["bob: hello from bob", markup]));
    assert_eq!(shown["hacked"], false);
    assert_eq!(shown["private"], json!(["bob: for ann only", "ann: answer"]));
    assert_eq!(shown["conversations"], json!(["Everyone", "red"]));
    assert_eq!(shown["left"], json!(["Everyone", "red", "bob"]));
    assert_eq!(shown["refused"], "Too many calls; try again later");
    let quick = (0..20).map(|number| format!("carol: quick {number}"));
    let last: Vec<_> =
        ["bob: hello from bob".to_owned(), markup.to_owned()].into_iter().chain(quick).collect();
    for page in 0..3 {
        let mut found = texts(&shown["last"][page]);
        // The message that was refused at first may come last or in its place.
        found.sort_unstable();
        let mut expected: Vec<_> = last.iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "page {page}");
    }
    assert_eq!(texts(&result["faults"]), [] as [&str; 0]);
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_a_server_behind_a_balancer_is_killed() {
    const EACH: usize = 40;
    let server = Server::ours(&["--requirepass", "secret"]).await;
    let mut farm = ChatFarm::start(&server.url(), &["--message-limit", "1000"]).await;
    let mut browsers = node("chat_kill.mjs");
    browsers.args([farm.page(), &EACH.to_string()]);
    browsers.args(farm.servers().iter().map(|(at, process)| format!("{at}={}", process.pid())));

    let result = result_of(&Process::run(&mut browsers, 6 * SLOW_DEADLINE).await);

    assert_ne!(result["servers"][0], result["servers"][1], "the page is on the killed server");
    let shown = [texts(&result["shown"][0]), texts(&result["shown"][1])];
    assert_eq!(shown[0], shown[1], "the pages show different orders");
    for name in ["ann", "bob"] {
        let found: Vec<_> = shown[0].iter().filter(|text| text.starts_with(name)).collect();
        let expected: Vec<_> = (0..EACH).map(|number| format!("{name}: {name} {number}")).collect();
        assert_eq!(found, expected.iter().collect::<Vec<_>>());
    }
}

/// Two users exchange messages, and redis-cli, subscribed to the channel of the app, prints them.
async fn exchange(chat: &Chat, broker_port: u16) {
    let watcher = redis_cli::subscribed(broker_port, "secret", APP).await;
    let mut browsers = node("browsers.mjs");
    browsers.args(chat.pages()).arg(MESSAGES.to_string());

    let finished = Process::run(&mut browsers, 4 * SLOW_DEADLINE).await;

    let result = result_of(&finished);
    for page in [0, 1] {
        let seen: Vec<&str> = texts(&result["seen"][page])
            .into_iter()
            .filter(|text| text.contains("message-") || text.contains("the-end."))
            .collect();
        assert_eq!(seen.len(), MESSAGES + 1, "page {page} shows {seen:?}");
        for (number, text) in seen[..MESSAGES].iter().enumerate() {
            let name = if number % 2 == 0 { "ann" } else { "bob" };
            let expected = format!("message-{number}.");
            assert!(text.contains(&expected) && text.contains(name), "page {page}: {seen:?}");
        }
        assert!(seen[MESSAGES].contains("the-end."), "page {page} shows {seen:?}");
        let server = result["servers"][page].as_str().unwrap_or_default();
        assert!(!server.is_empty(), "page {page} does not show its server");
    }
    assert_ne!(result["servers"][0], result["servers"][1], "both pages are on one server");

    watcher.stdout_with(SLOW_DEADLINE, |text| text.contains("the-end.").then_some(())).await;
    for number in 0..MESSAGES {
        let printed = watcher.stdout().matches(&format!("message-{number}.")).count();
        assert_eq!(printed, 1, "redis-cli printed\n{}", watcher.stdout());
    }
}

#[tokio::test]
async fn a_wrong_password_of_the_backplane_is_an_outage_on_the_page_and_a_cause_in_the_log_with_our_broker()
 {
    a_wrong_password_is_shown(Kind::Ours).await;
}

#[tokio::test]
async fn a_wrong_password_of_the_backplane_is_an_outage_on_the_page_and_a_cause_in_the_log_with_redis_server()
 {
    a_wrong_password_is_shown(Kind::Redis).await;
}

async fn a_wrong_password_is_shown(kind: Kind) {
    let server = Server::start(kind, &["--requirepass", "secret"]).await;
    let chat = Chat::at(&server.url_with_password("wrong")).await;
    for page in chat.pages() {
        let mut browser = node("browser_error.mjs");
        browser.args([page, "not reachable"]);
        let result = result_of(&Process::run(&mut browser, 3 * SLOW_DEADLINE).await);
        let shown = result["backplane"].as_str().unwrap_or_default();
        // The words of the broker are for the operator.
        assert!(!shown.contains("WRONGPASS"), "the page shows the cause: {shown}");
    }
    eventually_within(SLOW_DEADLINE, async || chat.log().contains("WRONGPASS")).await;
}

#[tokio::test]
async fn a_page_shows_that_the_broker_is_down_and_goes_on_after_its_restart() {
    let mut server = Server::ours(&["--requirepass", "secret"]).await;
    let chat = Chat::at(&server.url()).await;
    server.kill();
    let mut browser = node("browser_error.mjs");
    browser.args([&chat.pages()[0], "connect"]);
    result_of(&Process::run(&mut browser, 3 * SLOW_DEADLINE).await);

    server.restart().await;

    let mut asker = server.client().await;
    let mut both_are_back = async || {
        let counts = asker.command(&["PUBSUB", "NUMSUB", APP]).await;
        counts.items()[1] == 2.into()
    };
    eventually_within(SLOW_DEADLINE, &mut both_are_back).await;
    exchange(&chat, server.port()).await;
}

/// Returns the JSON of the last line that a script printed.
pub(crate) fn result_of(finished: &Finished) -> Value {
    assert_eq!(finished.code, Some(0), "{}\n{}", finished.stdout, finished.stderr);
    let line = finished.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON: {error}: {line}"))
}

/// Returns the texts of a list.
pub(crate) fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
