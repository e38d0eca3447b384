//! Taps: the messages of other channels as lines of JSON, beside unchanged replies for all others.

use backplane::{Backplane, Builder, Dialect, Invocation, Target};
use harness::{Client, DEADLINE, Reply, Server, Value, array, error, ok, within};
use serde_json::Value as Json;

use super::server;

async fn with_threads(threads: &str) -> Server {
    server(&["--io-threads", threads]).await
}

/// Returns the parts of a message.
fn parts(reply: &Reply) -> Vec<String> {
    let (Value::Array(items) | Value::Push(items)) = reply.value() else {
        panic!("expected a message, found {reply:?}")
    };
    items.iter().map(|item| item.text().to_owned()).collect()
}

/// Returns the line of the next message.
async fn line(tap: &mut Client) -> Json {
    let reply = tap.read_reply().await;
    let parts = parts(&reply);
    let line = parts.last().unwrap_or_else(|| panic!("expected a line, found {reply:?}"));
    assert!(!line.contains('\n'), "{line}");
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[tokio::test]
async fn a_tap_shows_each_message_with_its_publisher() {
    for threads in ["1", "4"] {
        let server = with_threads(threads).await;
        let (mut tap, mut publisher) = (server.client().await, server.client().await);
        let (mut reader, mut other) = (server.client().await, server.client().await);
        tap.subscribe(&["__tap__:ChatApp"]).await;
        reader.subscribe(&["ChatApp"]).await;
        assert_eq!(publisher.command(&["CLIENT", "SETNAME", "web1"]).await, ok());
        let id = publisher.command(&["CLIENT", "ID"]).await.integer();
        assert_eq!(publisher.publish("Other", "no").await, 0);
        assert_eq!(publisher.publish("ChatApp", r#"{ "say": "hi" }"#).await, 1);
        let shown = line(&mut tap).await;
        assert_eq!(shown["channel"], "ChatApp");
        assert_eq!(shown["publisher"]["id"], id);
        assert_eq!(shown["publisher"]["name"], "web1");
        assert_eq!(shown["publisher"]["user"], "default");
        assert_eq!((&shown["bytes"], &shown["receivers"]), (&15.into(), &1.into()));
        assert_eq!((&shown["kind"], &shown["payload"]["say"]), (&"json".into(), &"hi".into()));
        assert_eq!(shown["lost"], 0);
        assert!(shown["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{shown}");
        // Scripts publish for their caller, and shards are shown as well.
        let script = "return redis.call('publish', 'ChatApp', 'from a script')";
        assert_eq!(publisher.command(&["EVAL", script, "0"]).await.integer(), 1);
        let shown = line(&mut tap).await;
        assert_eq!(
            (&shown["payload"], &shown["publisher"]["id"]),
            (&"from a script".into(), &id.into())
        );
        other.command(&["MULTI"]).await;
        other.command(&["PUBLISH", "ChatApp", "from a transaction"]).await;
        other.command(&["EXEC"]).await;
        assert_eq!(line(&mut tap).await["payload"], "from a transaction");
        other.command(&["SPUBLISH", "ChatApp", "to a shard"]).await;
        let shown = line(&mut tap).await;
        assert_eq!((&shown["payload"], &shown["shard"]), (&"to a shard".into(), &true.into()));
        assert_eq!(
            tap.command(&["UNSUBSCRIBE"]).await,
            array!["unsubscribe", "__tap__:ChatApp", 0]
        );
        assert_eq!(publisher.publish("ChatApp", "unseen").await, 1);
        tap.command(&["PING"]).await;
        tap.expect_silence().await;
    }
}

#[tokio::test]
async fn a_pattern_taps_all_matching_channels_in_both_forms_and_protocols() {
    let server = with_threads("2").await;
    let mut publisher = server.client().await;
    let mut channel = server.client().await;
    channel.subscribe(&["__tap__:news.*"]).await;
    let mut pattern = server.client().await;
    pattern.decode_as(harness::Protocol::Resp3);
    pattern.command(&["HELLO", "3"]).await;
    pattern.psubscribe(&["__tap__:news.*"]).await;
    assert_eq!(publisher.publish("news.1", "hi").await, 0);
    let reply = channel.read_reply().await;
    assert_eq!(parts(&reply)[..2], ["message", "__tap__:news.*"]);
    let reply = pattern.read_reply().await;
    assert!(matches!(reply.value(), Value::Push(_)), "{reply:?}");
    assert_eq!(parts(&reply)[..3], ["pmessage", "__tap__:news.*", "__tap__:news.1"]);
}

#[tokio::test]
async fn messages_of_signalr_servers_are_readable() {
    let server = with_threads("2").await;
    let mut tap = server.client().await;
    tap.subscribe(&["__tap__:*"]).await;
    let send = async |builder: Builder| {
        let emitter = builder.emitter(&server.url()).await.expect("connected");
        let said = Invocation::new("say", ["hi"]).expect("it serializes");
        emitter.send(Target::group("room"), said).await.expect("published");
    };
    send(Backplane::builder("ChatApp").hub("ChatHub")).await;
    let shown = line(&mut tap).await;
    assert_eq!((&shown["channel"], &shown["kind"]), (&"ChatApp".into(), &"signalr2".into()));
    let message = &shown["payload"]["messages"][0];
    assert_eq!(message["key"], "hg-ChatHub.room");
    assert_eq!((&message["value"]["M"], &message["value"]["A"][0]), (&"say".into(), &"hi".into()));
    let dialect = Dialect::AspNetCore { channel_prefix: String::new() };
    send(Backplane::builder("ChatApp").dialect(dialect).hub("App.ChatHub")).await;
    let shown = line(&mut tap).await;
    assert_eq!(shown["kind"], "signalr-core");
    let payload = &shown["payload"];
    assert_eq!((&payload["to"], &payload["name"]), (&"group".into(), &"room".into()));
    let message = &payload["message"];
    assert_eq!((&message["target"], &message["arguments"][0]), (&"say".into(), &"hi".into()));
}

/// All other clients observe the same with taps as without them.
#[tokio::test]
async fn other_clients_do_not_see_a_tap() {
    for threads in ["1", "4"] {
        let server = with_threads(threads).await;
        let mut asker = server.client().await;
        let mut all = server.client().await;
        all.psubscribe(&["*"]).await;
        let mut tap = server.client().await;
        tap.subscribe(&["__tap__:*", "__tap__:news"]).await;
        tap.psubscribe(&["__tap__:n*"]).await;
        assert_eq!(asker.publish("news", "hi").await, 1);
        assert_eq!(parts(&all.read_reply().await), ["pmessage", "*", "news", "hi"]);
        for _ in 0..3 {
            line(&mut tap).await;
        }
        assert_eq!(asker.command(&["PUBSUB", "CHANNELS"]).await, array![]);
        assert_eq!(asker.command(&["PUBSUB", "NUMPAT"]).await.integer(), 1);
        let counts = asker.command(&["PUBSUB", "NUMSUB", "news", "__tap__:news"]).await;
        assert_eq!(counts, array!["news", 0, "__tap__:news", 0]);
        assert_eq!(asker.publish("__tap__:news", "a channel as any other").await, 1);
        let info = asker.command(&["INFO", "stats"]).await;
        for line in ["pubsub_channels:0", "pubsub_patterns:1"] {
            assert!(info.text().contains(line), "{info:?}");
        }
        assert_eq!(asker.command(&["DBSIZE"]).await.integer(), 0);
        assert_eq!(parts(&all.read_reply().await)[2], "__tap__:news");
        all.command(&["PING"]).await;
        tap.command(&["PING"]).await;
    }
}

#[tokio::test]
async fn channels_of_the_server_itself_are_not_tapped() {
    let server = with_threads("1").await;
    let (mut tap, mut publisher) = (server.client().await, server.client().await);
    for name in ["__tap__:__tap__:a", "__tap__:__broker__:lost:1"] {
        let reply = tap.command(&["SUBSCRIBE", "fine", name]).await;
        let text = format!(
            "ERR channels of the server itself cannot be tapped, found '{}'",
            &name["__tap__:".len()..]
        );
        assert_eq!(reply, error(&text));
    }
    tap.subscribe(&["__tap__:*"]).await;
    publisher.publish("__tap__:a", "unseen").await;
    publisher.publish("a", "seen").await;
    assert_eq!(line(&mut tap).await["payload"], "seen");
}

#[tokio::test]
async fn a_tap_needs_a_rule_of_its_own() {
    const NO_CHANNEL: &str = "NOPERM No permissions to access a channel";
    let server = with_threads("2").await;
    let mut admin = server.client().await;
    for rules in [
        &["ann", "on", "nopass", "+subscribe", "+psubscribe", "allchannels"][..],
        &["bob", "on", "nopass", "+subscribe", "+psubscribe", "&__tap__:news", "&news"],
        &["eve", "on", "nopass", "+subscribe", "+@admin", "allchannels"],
    ] {
        assert_eq!(admin.command(&[&["ACL", "SETUSER"], rules].concat()).await, ok());
    }
    let mut client = server.client().await;
    for (user, name, is_allowed) in [
        ("ann", "__tap__:news", false),
        ("bob", "__tap__:old", false),
        ("bob", "__tap__:*", false),
        ("bob", "__tap__:news", true),
    ] {
        assert_eq!(client.command(&["AUTH", user, "x"]).await, ok());
        let reply = client.command(&["SUBSCRIBE", name]).await;
        assert_eq!(reply.is_error(), !is_allowed, "{user} {name}");
        let dry_run = admin.command(&["ACL", "DRYRUN", user, "SUBSCRIBE", name]).await;
        assert_eq!(dry_run == ok(), is_allowed, "{user} {name}");
        if !is_allowed {
            assert_eq!(reply, error(NO_CHANNEL));
        }
    }
    // Losing the right ends the tap, even if all channels stay.
    let mut eve = server.client().await;
    assert_eq!(eve.command(&["AUTH", "eve", "x"]).await, ok());
    eve.subscribe(&["__tap__:*"]).await;
    assert_eq!(admin.command(&["ACL", "SETUSER", "eve", "-@admin"]).await, ok());
    eve.expect_closed().await;
}

/// A tap that stops reading is not closed. It loses lines, others lose nothing, and its next line
/// has the number of the lost ones.
#[tokio::test]
async fn a_slow_tap_loses_lines_and_delays_no_other_client() {
    for threads in ["1", "4"] {
        let server = with_threads(threads).await;
        let (mut tap, mut publisher) = (server.client().await, server.client().await);
        let mut reader = server.client().await;
        tap.subscribe(&["__tap__:news"]).await;
        reader.subscribe(&["news"]).await;
        let payload = "x".repeat(4000);
        let mut published = 4_000;
        for _ in 0..published {
            assert_eq!(publisher.publish("news", &payload).await, 1);
            reader.expect_message("news", payload.as_str()).await;
        }
        let (mut shown, mut lost) = (0, 0);
        within(12 * DEADLINE, async {
            // The next line has the number of all that were lost before it.
            while shown + lost < published {
                let before = shown;
                count_lines(&mut tap, &mut shown, &mut lost).await;
                if shown == before {
                    publisher.publish("news", "one more").await;
                    published += 1;
                }
            }
        })
        .await;
        assert!(lost > 0, "the socket has taken {shown} lines");
        assert_eq!(shown + lost, published);
        tap.expect_silence().await;
    }
}

/// Reads the lines that the tap has received, and adds their number and that of the lost ones.
async fn count_lines(tap: &mut Client, shown: &mut u64, lost: &mut u64) {
    tap.send(&["PING", "end"]).await;
    loop {
        let reply = tap.read_reply().await;
        match parts(&reply).as_slice() {
            [kind, ..] if kind == "pong" => return,
            [.., line] => {
                let line: Json = serde_json::from_str(line).unwrap_or_default();
                *lost += line["lost"].as_u64().unwrap_or_else(|| panic!("no line: {line}"));
                *shown += 1;
            }
            [] => panic!("expected a message, found {reply:?}"),
        }
    }
}
