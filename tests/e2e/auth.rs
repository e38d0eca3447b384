//! Passwords: requests refused before login, and the commands that log in.

use harness::{Client, Value, array, error, ok, simple};

use super::server;

const NOAUTH: &str = "NOAUTH Authentication required.";
const WRONGPASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";

#[tokio::test]
async fn other_commands_are_refused_before_the_password() {
    let server = server(&["--requirepass", "secret"]).await;
    let mut stranger = server.stranger().await;
    for command in [
        ["PING"].as_slice(),
        &["ECHO", "x"],
        &["SELECT", "0"],
        &["SUBSCRIBE", "news"],
        &["PSUBSCRIBE", "*"],
        &["UNSUBSCRIBE"],
        &["PUBLISH", "news", "x"],
        &["PUBSUB", "CHANNELS"],
        &["CLIENT", "ID"],
        &["COMMAND"],
        &["INFO"],
    ] {
        assert_eq!(stranger.command(command).await, error(NOAUTH), "{command:?}");
    }
    let hello = stranger.command(&["HELLO", "2"]).await;
    // The rest of the sentence differs between versions of Redis.
    let expected = "NOAUTH HELLO must be called with the client already authenticated, otherwise";
    assert!(hello.is_error() && hello.text().starts_with(expected), "{hello:?}");
    assert_eq!(stranger.command(&["QUIT"]).await, ok());
    stranger.expect_closed().await;
}

#[tokio::test]
async fn a_refused_subscriber_receives_no_message() {
    let server = server(&["--requirepass", "secret"]).await;
    let (mut stranger, mut publisher) = (server.stranger().await, server.client().await);
    assert_eq!(stranger.command(&["SUBSCRIBE", "news"]).await, error(NOAUTH));

    assert_eq!(publisher.publish("news", "x").await, 0);

    assert_eq!(stranger.command(&["AUTH", "secret"]).await, ok());
    stranger.expect_silence().await;
}

#[tokio::test]
async fn a_name_of_a_user_may_have_any_bytes() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    let name = b"\xff\xfe".as_slice();
    let rules = [b"ACL".as_slice(), b"SETUSER", name, b"on", b"nopass", b"+@all"];
    assert_eq!(client.command(&rules).await, ok());
    assert_eq!(client.command(&[b"AUTH".as_slice(), name, b"x"]).await, ok());
    let info = client.command(&["CLIENT", "INFO"]).await;
    let Value::Bulk(shown) = Value::from(info) else { panic!("not a text") };
    let field = [b" user=", name, b" "].concat();
    assert!(shown.windows(field.len()).any(|part| part == field), "{shown:?}");
}

#[tokio::test]
async fn both_forms_of_auth_are_accepted() {
    let server = server(&["--requirepass", "secret"]).await;
    for command in [["AUTH", "secret"].as_slice(), &["auth", "default", "secret"]] {
        let mut client = server.stranger().await;
        assert_eq!(client.command(command).await, ok());
        assert_eq!(client.command(&["PING"]).await, simple("PONG"));
    }
}

#[tokio::test]
async fn a_wrong_password_does_not_change_whether_a_client_is_logged_in() {
    let server = server(&["--requirepass", "secret"]).await;
    let mut client = server.stranger().await;
    for command in [
        ["AUTH", "wrong"].as_slice(),
        &["AUTH", ""],
        &["AUTH", "secre"],
        &["AUTH", "secret1"],
        &["AUTH", "nobody", "secret"],
        &["HELLO", "2", "AUTH", "default", "wrong"],
    ] {
        assert_eq!(client.command(command).await, error(WRONGPASS), "{command:?}");
    }
    assert_eq!(client.command(&["PING"]).await, error(NOAUTH));

    assert_eq!(client.command(&["AUTH", "secret"]).await, ok());
    assert_eq!(client.command(&["AUTH", "wrong"]).await, error(WRONGPASS));
    assert_eq!(client.command(&["PING"]).await, simple("PONG"));
}

#[tokio::test]
async fn hello_authenticates_the_client_and_sets_its_name() {
    let server = server(&["--requirepass", "secret"]).await;
    let mut client = server.stranger().await;

    let hello =
        client.command(&["HELLO", "2", "AUTH", "default", "secret", "SETNAME", "ann"]).await;

    let items = hello.items();
    let field = |name: &str| {
        let at = items.iter().position(|item| *item == name.into());
        items[at.unwrap_or_else(|| panic!("no {name} in {hello:?}")) + 1].clone()
    };
    assert_eq!(field("server"), "redis".into());
    assert!(field("version").text().starts_with("7."), "{hello:?}");
    assert_eq!(field("proto"), 2.into());
    assert_eq!(field("mode"), "standalone".into());
    assert_eq!(field("role"), "master".into());
    assert_eq!(field("modules"), array![]);
    assert_eq!(client.command(&["CLIENT", "GETNAME"]).await, "ann");
    assert_eq!(client.command(&["CLIENT", "ID"]).await, field("id"));
}

#[tokio::test]
async fn auth_without_a_configured_password_is_an_error() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    let expected = "ERR AUTH <password> called without any password configured for the default \
                    user. Are you sure your configuration is correct?";
    assert_eq!(client.command(&["AUTH", "secret"]).await, error(expected));
    assert_eq!(client.command(&["AUTH", "default", "anything"]).await, ok());
    assert_eq!(client.command(&["PING"]).await, simple("PONG"));
}

#[tokio::test]
async fn a_client_without_login_has_smaller_limits() {
    let server = server(&["--requirepass", "secret"]).await;
    check(server.stranger().await, "*11\r\n", "unauthenticated multibulk length").await;
    check(server.stranger().await, "*1\r\n$16385\r\n", "unauthenticated bulk length").await;

    let mut client = server.client().await;
    client.send_raw(b"*2\r\n$4\r\nECHO\r\n$16385\r\n").await;
    client.send_raw(&[b'x'; 16385]).await;
    client.send_raw(b"\r\n").await;
    assert_eq!(client.read_reply().await.text().len(), 16385);

    async fn check(mut client: Client, sent: &str, expected: &str) {
        client.send_raw(sent.as_bytes()).await;
        let expected = format!("-ERR Protocol error: {expected}\r\n");
        assert_eq!(client.read_to_close().await, expected, "{sent:?}");
    }
}

#[tokio::test]
async fn a_client_without_login_that_does_not_read_is_closed() {
    let server = server(&["--requirepass", "secret"]).await;
    let mut stranger = server.stranger().await;
    stranger.send_until_closed(&b"PING\r\n".repeat(10_000)).await;
}
