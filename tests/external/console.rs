//! The broker's console page in headless Chromium.

use harness::{Process, SLOW_DEADLINE, Server, eventually_within, free_port, node, ok};
use serde_json::Value;

use crate::browsers::{result_of, texts};

#[tokio::test]
async fn an_operator_watches_and_changes_the_broker_on_every_screen() {
    let port = free_port().to_string();
    let flags =
        ["--requirepass", "secret", "--http-port", &port, "--http-token", "open-sesame", "default"];
    let server = Server::ours(&flags).await;
    let mut victim = server.client().await;
    assert_eq!(victim.command(&["CLIENT", "SETNAME", "victim"]).await, ok());
    let mut browser = node("console.mjs");
    browser.args([&format!("http://127.0.0.1:{port}/"), "open-sesame", "victim"]);

    let result = result_of(&Process::run(&mut browser, 4 * SLOW_DEADLINE).await);

    assert!(texts(&result["rows"]).contains(&"ChatApp"), "{result}");
    let lines = texts(&result["lines"]);
    let message = r#"{"id":12345678901234567890,"text":"<b>hello</b> Donau"#;
    assert!(lines.iter().all(|line| line.contains(message)), "{lines:?}");
    assert_eq!(result["markup"], Value::from(0));
    let errors = texts(&result["errors"]);
    assert!(errors[0].starts_with("ERR ") && errors[0] == errors[1], "{errors:?}");
    assert_eq!(result["answer"], "maxclients is set");
    assert_eq!(texts(&result["faults"]), [] as [&str; 0]);
    victim.expect_closed().await;
    let mut client = server.client().await;
    eventually_within(SLOW_DEADLINE, async || {
        client.command(&["CONFIG", "GET", "maxclients"]).await.items()[1].text() == "77"
    })
    .await;
}
