//! Our broker starts with the unchanged configuration file of Debian's redis-server package.

use harness::{DEADLINE, Server, ok, simple};

const DEBIAN_CONF: &str = "/etc/redis/redis.conf";

#[tokio::test]
async fn debians_redis_conf_starts_the_broker_unchanged() {
    let file = std::fs::read(DEBIAN_CONF);
    assert!(file.is_ok(), "cannot read {DEBIAN_CONF}: {file:?}; run `cargo xtask setup`");

    // Flags override only the settings that would touch the machine's own Redis, such as its port.
    let mut server = Server::ours(&[DEBIAN_CONF, "--daemonize", "no", "--logfile", ""]).await;

    let mut client = server.client().await;
    assert_eq!(client.command(&["PING"]).await, simple("PONG"));
    assert_eq!(client.command(&["CLIENT", "SETNAME", "ann"]).await, ok());
    client.subscribe(&["news"]).await;
    assert_eq!(server.client().await.publish("news", "x").await, 1);
    client.expect_message("news", "x").await;
    // The last line that the server logs at its start.
    let ready = |text: &str| text.contains("Ready to accept").then(|| text.to_owned());
    let log = server.process().stdout_with(DEADLINE, ready).await;
    for name in ["appendonly", "dbfilename", "hash-max-listpack-entries"] {
        assert_eq!(log.lines().filter(|line| line.contains(name)).count(), 1, "{name}:\n{log}");
    }
}
