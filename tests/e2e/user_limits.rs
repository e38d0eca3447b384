//! `user-limits`: clients, subscriptions, sizes and rates of single users.

use harness::{Client, Server, array, error, ok};

use super::server;

const USER: [&str; 9] =
    ["--user", "chat", "on", ">secret", "~*", "&*", "+@all", "--user-limits", "chat"];

async fn with(limits: &[&str]) -> Server {
    server(&[&USER[..], limits].concat()).await
}

async fn log_in(client: &mut Client) -> harness::Reply {
    client.command(&["AUTH", "chat", "secret"]).await
}

fn quota(limit: &str) -> harness::Value {
    error(&format!("QUOTA user 'chat' has the limit {limit}"))
}

#[tokio::test]
async fn a_user_has_a_number_of_clients() {
    for threads in ["1", "4"] {
        let server = with(&["clients", "2", "--io-threads", threads]).await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(server.client().await);
        }
        for client in &mut clients[..2] {
            assert_eq!(log_in(client).await, ok());
            assert_eq!(log_in(client).await, ok(), "the own place counts");
        }
        assert_eq!(log_in(&mut clients[2]).await, quota("clients 2"));
        let hello = ["HELLO", "3", "AUTH", "chat", "secret"];
        assert_eq!(clients[2].command(&hello).await, quota("clients 2"));
        assert_eq!(clients[2].command(&["ACL", "WHOAMI"]).await, "default");
        // A place is free again by a logout, and by an end.
        clients[0].command(&["RESET"]).await;
        assert_eq!(log_in(&mut clients[2]).await, ok());
        assert_eq!(log_in(&mut clients[0]).await, quota("clients 2"));
        clients.remove(1).command(&["QUIT"]).await;
        harness::eventually(async || log_in(&mut clients[0]).await == ok()).await;
    }
}

#[tokio::test]
async fn a_client_has_a_number_of_subscriptions() {
    let server = with(&["subscriptions", "3"]).await;
    let mut client = server.client().await;
    log_in(&mut client).await;
    client.subscribe(&["a", "b"]).await;
    client.psubscribe(&["a*"]).await;
    for request in [["SUBSCRIBE", "c"], ["PSUBSCRIBE", "c"], ["SSUBSCRIBE", "c"]] {
        assert_eq!(client.command(&request).await, quota("subscriptions 3"), "{request:?}");
    }
    client.command(&["UNSUBSCRIBE", "a"]).await;
    assert_eq!(client.command(&["SSUBSCRIBE", "c"]).await, array!["ssubscribe", "c", 1]);
}

#[tokio::test]
async fn messages_have_a_size_and_a_rate_on_each_way() {
    let server = with(&["message-bytes", "10", "messages", "5"]).await;
    let mut client = server.client().await;
    log_in(&mut client).await;
    let large = quota("message-bytes 10");
    for command in ["PUBLISH", "SPUBLISH"] {
        assert_eq!(client.command(&[command, "a", "12345678901"]).await, large);
    }
    assert_eq!(client.command(&["MULTI"]).await, ok());
    assert_eq!(client.command(&["PUBLISH", "a", "12345678901"]).await, large);
    assert!(client.command(&["EXEC"]).await.is_error());
    let script = "return redis.call('PUBLISH', 'a', ARGV[1])";
    let reply = client.command(&["EVAL", script, "0", "12345678901"]).await;
    assert!(reply.text().starts_with("QUOTA user 'chat'"), "{reply:?}");

    let rate = quota("messages 5");
    harness::eventually(async || client.command(&["PUBLISH", "a", "x"]).await == rate).await;
    let mut other = server.client().await;
    for _ in 0..20 {
        assert_eq!(other.publish("a", "12345678901").await, 0, "another user has no limit");
    }
    // The next second has its own messages.
    harness::eventually(async || !client.command(&["PUBLISH", "a", "x"]).await.is_error()).await;
}

#[tokio::test]
async fn limits_can_be_changed_and_mistakes_are_refused() {
    let server = with(&["clients", "1"]).await;
    let mut client = server.client().await;
    let set = async |client: &mut Client, limits: &str| {
        client.command(&["CONFIG", "SET", "user-limits", limits]).await
    };
    for wrong in ["chat", "chat nothing 5", "chat clients", "chat clients x", "chat clients 1 ann"]
    {
        assert!(set(&mut client, wrong).await.is_error(), "{wrong}");
    }
    let get = ["CONFIG", "GET", "user-limits"];
    assert_eq!(client.command(&get).await, array!["user-limits", "chat clients 1"]);
    let limits = "chat message-bytes 1kb ann clients 2 messages 3";
    assert_eq!(set(&mut client, limits).await, ok());
    let shown = "chat message-bytes 1024 ann clients 2 messages 3";
    assert_eq!(client.command(&get).await, array!["user-limits", shown]);
    assert_eq!(set(&mut client, "").await, ok());
    assert_eq!(client.command(&get).await, array!["user-limits", ""]);
}

#[tokio::test]
async fn a_transaction_has_the_limits_of_its_requests() {
    let server = with(&["subscriptions", "2", "messages", "3"]).await;
    let mut client = server.client().await;
    client.decode_as(harness::Protocol::Resp3);
    client.command(&["HELLO", "3", "AUTH", "chat", "secret"]).await;
    let exec = async |client: &mut Client, requests: &[[&str; 2]]| {
        assert_eq!(client.command(&["MULTI"]).await, ok());
        for request in requests {
            client.command(request).await;
        }
        client.command(&["EXEC"]).await
    };
    let mut refused = 0;
    // A second may begin within a transaction, so one of them shows it.
    while refused == 0 {
        assert_eq!(client.command(&["MULTI"]).await, ok());
        for _ in 0..7 {
            client.command(&["PUBLISH", "a", "x"]).await;
        }
        let reply = client.command(&["EXEC"]).await;
        assert_eq!(reply.items().len(), 7);
        refused = reply.items().iter().filter(|item| **item == quota("messages 3")).count();
    }

    let names = ["a", "b", "c", "d"];
    exec(&mut client, &names.map(|name| ["SUBSCRIBE", name])).await;
    let mut counter = server.client().await;
    let channels = counter.command(&["PUBSUB", "CHANNELS"]).await;
    assert_eq!(channels.items().len(), 2, "{channels:?}");
    // A name that the client has takes no further place.
    let mut again = server.client().await;
    log_in(&mut again).await;
    again.subscribe(&["a", "b"]).await;
    assert_eq!(again.command(&["SUBSCRIBE", "a"]).await, array!["subscribe", "a", 2]);
    assert_eq!(again.command(&["SUBSCRIBE", "c"]).await, quota("subscriptions 2"));
}

#[tokio::test]
async fn a_user_may_have_the_name_of_a_limit() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    let limits = "u clients 3 clients messages 3 messages clients 4";
    assert_eq!(client.command(&["CONFIG", "SET", "user-limits", limits]).await, ok());
    let get = ["CONFIG", "GET", "user-limits"];
    assert_eq!(client.command(&get).await, array!["user-limits", limits]);
}
