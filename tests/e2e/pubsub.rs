//! Publish and subscribe as clients see it, with Redis' words and order of replies.

use harness::{Client, array, error, null, ok, request, simple};

use super::server;

#[tokio::test]
async fn a_message_reaches_every_subscriber_of_its_channel_and_no_other() {
    let server = server(&[]).await;
    let (mut ann, mut bob) = (server.client().await, server.client().await);
    let (mut eve, mut publisher) = (server.client().await, server.client().await);
    ann.subscribe(&["news"]).await;
    bob.subscribe(&["sport", "news"]).await;
    eve.subscribe(&["New", "news ", "NEWS"]).await;

    assert_eq!(publisher.publish("news", "hello").await, 2);

    ann.expect_message("news", "hello").await;
    bob.expect_message("news", "hello").await;
    ann.expect_silence().await;
    bob.expect_silence().await;
    eve.expect_silence().await;
}

#[tokio::test]
async fn a_publish_without_subscribers_returns_zero() {
    let server = server(&[]).await;
    assert_eq!(server.client().await.publish("news", "hello").await, 0);
}

#[tokio::test]
async fn confirmations_count_channels_and_patterns_together() {
    let server = server(&[]).await;
    let mut client = server.client().await;

    client.send(&["SUBSCRIBE", "a", "b", "a"]).await;
    assert_eq!(client.read_reply().await, array!["subscribe", "a", 1]);
    assert_eq!(client.read_reply().await, array!["subscribe", "b", 2]);
    assert_eq!(client.read_reply().await, array!["subscribe", "a", 2]);
    client.send(&["PSUBSCRIBE", "x*", "x*"]).await;
    assert_eq!(client.read_reply().await, array!["psubscribe", "x*", 3]);
    assert_eq!(client.read_reply().await, array!["psubscribe", "x*", 3]);
    client.send(&["UNSUBSCRIBE", "never", "a"]).await;
    assert_eq!(client.read_reply().await, array!["unsubscribe", "never", 3]);
    assert_eq!(client.read_reply().await, array!["unsubscribe", "a", 2]);
    assert_eq!(client.command(&["PUNSUBSCRIBE", "x*"]).await, array!["punsubscribe", "x*", 1]);
}

#[tokio::test]
async fn unsubscribing_without_a_name_leaves_all_channels_or_all_patterns() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    client.subscribe(&["a", "b"]).await;
    client.psubscribe(&["x*"]).await;

    client.send(&["UNSUBSCRIBE"]).await;
    let (first, second) = (client.read_reply().await, client.read_reply().await);
    let mut names = [first.items()[1].text(), second.items()[1].text()];
    names.sort_unstable();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(first, array!["unsubscribe", first.items()[1].clone(), 2]);
    assert_eq!(second, array!["unsubscribe", second.items()[1].clone(), 1]);
    assert_eq!(client.command(&["PUNSUBSCRIBE"]).await, array!["punsubscribe", "x*", 0]);

    assert_eq!(client.command(&["UNSUBSCRIBE"]).await, array!["unsubscribe", null(), 0]);
    assert_eq!(client.command(&["PUNSUBSCRIBE"]).await, array!["punsubscribe", null(), 0]);
}

#[tokio::test]
async fn no_message_comes_after_the_confirmation_of_an_unsubscribe() {
    let server = server(&[]).await;
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe(&["news", "sport"]).await;
    assert_eq!(publisher.publish("news", "before").await, 1);

    subscriber.send(&["UNSUBSCRIBE", "news"]).await;
    subscriber.expect_message("news", "before").await;
    assert_eq!(subscriber.read_reply().await, array!["unsubscribe", "news", 1]);

    assert_eq!(publisher.publish("news", "after").await, 0);
    assert_eq!(publisher.publish("sport", "still").await, 1);
    subscriber.expect_message("sport", "still").await;
    subscriber.expect_silence().await;
}

#[tokio::test]
async fn a_channel_and_two_matching_patterns_give_three_messages() {
    let server = server(&[]).await;
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.psubscribe(&["n?ws", "sport*", "n[a-f]*"]).await;
    subscriber.subscribe(&["news"]).await;

    assert_eq!(publisher.publish("news", "x").await, 3);

    subscriber.expect_message("news", "x").await;
    let (first, second) = (subscriber.read_reply().await, subscriber.read_reply().await);
    let mut patterns = [first.items()[1].text(), second.items()[1].text()];
    patterns.sort_unstable();
    assert_eq!(patterns, ["n?ws", "n[a-f]*"]);
    assert_eq!(first, array!["pmessage", first.items()[1].clone(), "news", "x"]);
    assert_eq!(second, array!["pmessage", second.items()[1].clone(), "news", "x"]);
    subscriber.expect_silence().await;
}

#[tokio::test]
async fn patterns_match_as_in_redis() {
    let server = server(&[]).await;
    let mut publisher = server.client().await;
    for (pattern, channel, receivers) in [
        ("*", "", 0),
        ("*", "anything", 1),
        ("h?llo", "hello", 1),
        ("h?llo", "hllo", 0),
        ("h*llo", "heeeello", 1),
        ("h[ae]llo", "hallo", 1),
        ("h[ae]llo", "hillo", 0),
        ("h[^e]llo", "hallo", 1),
        ("h[^e]llo", "hello", 0),
        ("h[c-a]llo", "hbllo", 1),
        (r"h\*llo", "h*llo", 1),
        (r"h\*llo", "hello", 0),
        ("HELLO", "hello", 0),
    ] {
        let mut subscriber = server.client().await;
        subscriber.psubscribe(&[pattern]).await;
        let found = publisher.publish(channel, "x").await;
        assert_eq!(found, receivers, "pattern {pattern:?}, channel {channel:?}");
        if receivers == 1 {
            let message = subscriber.read_reply().await;
            assert_eq!(message, array!["pmessage", pattern, channel, "x"]);
        }
        subscriber.expect_silence().await;
        subscriber.send(&["PUNSUBSCRIBE"]).await;
        assert_eq!(subscriber.read_reply().await, array!["punsubscribe", pattern, 0]);
    }
}

#[tokio::test]
async fn channels_and_payloads_may_contain_any_bytes() {
    let server = server(&[]).await;
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    let all: Vec<u8> = (0..=255).collect();
    let confirmation = subscriber.command(&[b"SUBSCRIBE", all.as_slice()]).await;
    assert_eq!(confirmation, array!["subscribe", all.as_slice(), 1]);

    for payload in [all.clone(), Vec::new(), b"\r\n".to_vec(), vec![b'x'; 1024 * 1024]] {
        let receivers = publisher.command(&[b"PUBLISH", all.as_slice(), &payload]).await;
        assert_eq!(receivers, 1);
        let message = subscriber.read_reply().await;
        assert!(message == array!["message", all.as_slice(), payload.as_slice()]);
    }
}

#[tokio::test]
async fn introspection_lists_and_counts_subscriptions() {
    let server = server(&[]).await;
    let (mut ann, mut bob) = (server.client().await, server.client().await);
    let mut asker = server.client().await;
    ann.subscribe(&["news", "sport"]).await;
    bob.subscribe(&["news"]).await;
    bob.psubscribe(&["n*", "s*"]).await;
    ann.psubscribe(&["n*"]).await;

    let mut channels = asker.command(&["PUBSUB", "CHANNELS"]).await.items().to_vec();
    channels.sort_by(|a, b| a.text().cmp(b.text()));
    assert_eq!(channels, ["news".into(), "sport".into()]);
    assert_eq!(asker.command(&["pubsub", "channels", "n*"]).await, array!["news"]);
    assert_eq!(asker.command(&["PUBSUB", "CHANNELS", "x*"]).await, array![]);
    let counts = asker.command(&["PUBSUB", "NUMSUB", "sport", "nobody", "news"]).await;
    assert_eq!(counts, array!["sport", 1, "nobody", 0, "news", 2]);
    assert_eq!(asker.command(&["PUBSUB", "NUMSUB"]).await, array![]);
    assert_eq!(asker.command(&["PUBSUB", "NUMPAT"]).await, 2);
}

#[tokio::test]
async fn a_disconnected_client_has_no_subscriptions_left() {
    let server = server(&[]).await;
    let (mut leaver, mut asker) = (server.client().await, server.client().await);
    leaver.subscribe(&["news"]).await;
    leaver.psubscribe(&["n*"]).await;

    assert_eq!(leaver.command(&["QUIT"]).await, ok());
    leaver.expect_closed().await;

    assert_eq!(asker.command(&["PUBSUB", "CHANNELS"]).await, array![]);
    assert_eq!(asker.command(&["PUBSUB", "NUMPAT"]).await, 0);
    assert_eq!(asker.publish("news", "x").await, 0);
}

#[tokio::test]
async fn replies_come_in_the_order_of_a_pipeline() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    let mut pipeline = Vec::new();
    for number in 0..10_000 {
        pipeline.extend(request(&["ECHO", &number.to_string()]));
    }
    let replies = client.pipeline(&pipeline, 10_000).await;
    for (number, reply) in replies.iter().enumerate() {
        assert_eq!(*reply, number.to_string());
    }
}

#[tokio::test]
async fn a_request_may_arrive_byte_by_byte() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    for byte in request(&["ECHO", "hello"]) {
        client.send_raw(&[byte]).await;
    }
    assert_eq!(client.read_reply().await, "hello");
}

#[tokio::test]
async fn inline_requests_are_split_and_unquoted() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    check(&mut client, "PING\r\n", b"+PONG\r\n").await;
    check(&mut client, "\r\n\r\nPING\n", b"+PONG\r\n").await;
    check(&mut client, "  ping   hello \r\n", b"$5\r\nhello\r\n").await;
    check(&mut client, "ECHO \"a b\\x21\\n\"\r\n", b"$5\r\na b!\n\r\n").await;
    check(&mut client, "ECHO 'a \\' b'\r\n", b"$5\r\na ' b\r\n").await;
    check(&mut client, "PUBLISH news \"\"\r\n", b":0\r\n").await;

    async fn check(client: &mut Client, sent: &str, expected: &[u8]) {
        client.send_raw(sent.as_bytes()).await;
        assert_eq!(client.read_reply().await.raw(), expected, "{sent:?}");
    }
}

#[tokio::test]
async fn a_subscribed_client_may_run_few_other_commands() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    client.subscribe(&["news"]).await;

    assert_eq!(client.command(&["PING"]).await, array!["pong", ""]);
    assert_eq!(client.command(&["PING", "hi"]).await, array!["pong", "hi"]);
    let refused = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
                   this context";
    for (command, name) in
        [(["PUBLISH", "news", "x"].as_slice(), "publish"), (&["ECHO", "x"], "echo")]
    {
        let expected = error(&format!("ERR Can't execute '{name}': {refused}"));
        assert_eq!(client.command(command).await, expected);
    }
    assert_eq!(client.command(&["UNSUBSCRIBE", "news"]).await, array!["unsubscribe", "news", 0]);
    assert_eq!(client.command(&["PING"]).await, simple("PONG"));
    assert_eq!(client.publish("news", "x").await, 0);
}

#[tokio::test]
async fn errors_have_redis_words_and_the_connection_goes_on() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    for (command, expected) in [
        (["SUBSCRIBE"].as_slice(), "ERR wrong number of arguments for 'subscribe' command"),
        (&["Publish", "news"], "ERR wrong number of arguments for 'publish' command"),
        (&["ECHO"], "ERR wrong number of arguments for 'echo' command"),
        (&["PING", "a", "b"], "ERR wrong number of arguments for 'ping' command"),
        (&["PUBSUB"], "ERR wrong number of arguments for 'pubsub' command"),
        (
            &["PUBSUB", "CHANNELS", "a", "b"],
            "ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.",
        ),
        (&["PUBSUB", "nosuch"], "ERR unknown subcommand 'nosuch'. Try PUBSUB HELP."),
        (&["nosuch"], "ERR unknown command 'nosuch', with args beginning with: "),
        (
            &["nosuch", "a", "b c"],
            "ERR unknown command 'nosuch', with args beginning with: 'a' 'b c' ",
        ),
        (&["SELECT", "x"], "ERR value is not an integer or out of range"),
        (&["SELECT", "99"], "ERR DB index is out of range"),
        (&["HELLO", "x"], "ERR Protocol version is not an integer or out of range"),
        (&["HELLO", "9"], "NOPROTO unsupported protocol version"),
        (
            &["CLIENT", "SETNAME", "a b"],
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ),
    ] {
        assert_eq!(client.command(command).await, error(expected), "{command:?}");
    }
    assert_eq!(client.command(&["PING"]).await, simple("PONG"));
}

#[tokio::test]
async fn clients_have_a_name_and_an_id() {
    let server = server(&[]).await;
    let (mut ann, mut bob) = (server.client().await, server.client().await);
    let (first, second) =
        (ann.command(&["CLIENT", "ID"]).await, bob.command(&["CLIENT", "ID"]).await);
    assert!(first.integer() < second.integer(), "{first:?} {second:?}");

    assert_eq!(ann.command(&["CLIENT", "GETNAME"]).await, null());
    assert_eq!(ann.command(&["CLIENT", "SETNAME", "ann"]).await, ok());
    assert_eq!(ann.command(&["CLIENT", "GETNAME"]).await, "ann");
    assert_eq!(bob.command(&["CLIENT", "GETNAME"]).await, null());
    assert_eq!(ann.command(&["CLIENT", "SETNAME", ""]).await, ok());
    assert_eq!(ann.command(&["CLIENT", "GETNAME"]).await, null());
}

#[tokio::test]
async fn info_names_the_version_port_and_process_of_the_server() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    let info = client.command(&["INFO", "server"]).await;
    let field = |name: &str| {
        let line = info.text().lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.unwrap_or_else(|| panic!("no {name} in {info:?}")).to_owned()
    };
    assert!(info.text().starts_with("# Server\r\n"), "{info:?}");
    assert!(field("redis_version").starts_with("7."), "{info:?}");
    // Clients parse each version as numbers.
    for line in info.text().lines() {
        let Some((name, version)) = line.split_once("_version:") else { continue };
        assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{name}: {version}");
    }
    assert_eq!(field("tcp_port"), server.port().to_string());
    assert_eq!(field("process_id"), server.pid().to_string());
}
