//! Patterns in scripts that match for very long. They block a `redis-server` until they end.

use harness::{eventually, ok};

use super::server;

#[tokio::test]
async fn a_script_with_an_endless_pattern_can_be_killed() {
    let server = server(&[]).await;
    let script = "return string.find(string.rep('a', 100), string.rep('a-', 50) .. 'b')";
    let mut operator = server.client().await;
    operator.command(&["CONFIG", "SET", "busy-reply-threshold", "100"]).await;
    let mut runner = server.client().await;
    runner.send(&["EVAL", script, "0"]).await;
    eventually(async || operator.command(&["PING"]).await.text().starts_with("BUSY")).await;
    assert_eq!(operator.command(&["SCRIPT", "KILL"]).await, ok());
    let reply = runner.read_reply().await;
    assert!(reply.text().starts_with("ERR Script killed by user"), "{reply:?}");
}
