//! The unmodified client libraries redis-rs and fred, with our broker and with Redis.

use fred::prelude::{
    AclInterface, Builder, Client, ClientInterface, ClientLike, Config, ConfigInterface,
    EventInterface, FredResult, PubsubInterface, ReconnectPolicy, ServerInterface, TcpConfig,
    TransactionInterface,
};
use fred::types::client::{ClientKillFilter, ClientKillType};
use fred::types::config::UnresponsiveConfig;
use fred::types::{MessageKind, RespVersion};
use futures_util::StreamExt;
use harness::{DEADLINE, Kind, SLOW_DEADLINE, Server, eventually, within};
use redis::aio::{ConnectionManagerConfig, MultiplexedConnection};
use redis::{AsyncCommands, AsyncConnectionConfig, PushInfo, PushKind, RedisResult, Value};
use tokio::sync::mpsc;

const MESSAGES: usize = 200;

/// A payload that text codecs and line-based protocols would change.
const BINARY: &[u8] = b"\x00\xff\xfe\r\n$5\r\nhello\r\n\x80";

/// Runs a test once for each server, with a password.
async fn with_both<F: AsyncFn(&Server)>(test: F) {
    for kind in [Kind::Ours, Kind::Redis] {
        let server = Server::start(kind, &["--requirepass", "secret"]).await;
        within(SLOW_DEADLINE, test(&server)).await;
    }
}

#[tokio::test]
async fn redis_rs_receives_once_and_in_order() {
    with_both(async |server| {
        let client = redis_rs(server, "resp2");
        let mut publisher = connected(&client).await;
        let mut subscriber = client.get_async_pubsub().await.expect("it connects");
        subscriber.subscribe(&["news", "other"]).await.expect("it subscribes");
        subscriber.psubscribe("new?").await.expect("it subscribes to a pattern");
        for number in 0..MESSAGES {
            let receivers: usize = publisher.publish("news", number).await.expect("published");
            assert_eq!(receivers, 2);
        }
        let receivers: usize = publisher.publish("other", BINARY).await.expect("published");
        assert_eq!(receivers, 1);
        let mut messages = subscriber.on_message();
        let (mut direct, mut by_pattern) = (Vec::new(), Vec::new());
        while direct.len() <= MESSAGES || by_pattern.len() < MESSAGES {
            let message = messages.next().await.expect("the connection stands");
            let list = if message.from_pattern() { &mut by_pattern } else { &mut direct };
            list.push(message.get_payload_bytes().to_vec());
        }
        drop(messages);
        let mut expected: Vec<_> =
            (0..MESSAGES).map(|number| number.to_string().into_bytes()).collect();
        assert_eq!(by_pattern, expected);
        expected.push(BINARY.to_vec());
        assert_eq!(direct, expected);
        subscriber.punsubscribe("new?").await.expect("it unsubscribes");
        subscriber.unsubscribe(&["news", "other"]).await.expect("it unsubscribes");
        let receivers: usize = publisher.publish("news", "lost").await.expect("published");
        assert_eq!(receivers, 0);
    })
    .await;
}

#[tokio::test]
async fn redis_rs_receives_pushes_on_the_connection_it_publishes_on() {
    with_both(async |server| {
        let (sender, mut pushes) = mpsc::unbounded_channel();
        let config = timeouts().set_push_sender(sender);
        let client = redis_rs(server, "resp3");
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .expect("it connects");
        connection.subscribe("news").await.expect("it subscribes");
        connection.psubscribe("n*").await.expect("it subscribes to a pattern");
        let receivers: usize = connection.publish("news", BINARY).await.expect("published");
        assert_eq!(receivers, 2);
        let mut ssubscribe = redis::cmd("SSUBSCRIBE");
        let subscribed = ssubscribe.arg("shard-news").exec_async(&mut connection).await;
        subscribed.expect("it subscribes to a shard channel");
        let mut spublish = redis::cmd("SPUBLISH");
        let receivers: usize = spublish
            .arg("shard-news")
            .arg("hello")
            .query_async(&mut connection)
            .await
            .expect("published");
        assert_eq!(receivers, 1);
        let news = Value::BulkString(b"news".to_vec());
        let bytes = Value::BulkString(BINARY.to_vec());
        let pattern = Value::BulkString(b"n*".to_vec());
        assert_eq!(message(&mut pushes, PushKind::Message).await, [news.clone(), bytes.clone()]);
        assert_eq!(message(&mut pushes, PushKind::PMessage).await, [pattern, news, bytes]);
        let shard = [b"shard-news".to_vec(), b"hello".to_vec()].map(Value::BulkString);
        assert_eq!(message(&mut pushes, PushKind::SMessage).await, shard);
        connection.unsubscribe("news").await.expect("it unsubscribes");
        connection.punsubscribe("n*").await.expect("it unsubscribes");
    })
    .await;
}

#[tokio::test]
async fn redis_rs_subscribes_again_after_client_kill() {
    with_both(async |server| {
        let client = redis_rs(server, "resp3");
        let mut publisher = connected(&client).await;
        let (sender, mut pushes) = mpsc::unbounded_channel();
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(DEADLINE))
            .set_connection_timeout(Some(DEADLINE))
            .set_push_sender(sender)
            .set_automatic_resubscription();
        let mut manager =
            client.get_connection_manager_with_config(config).await.expect("it connects");
        manager.subscribe("news").await.expect("it subscribes");
        let id: u64 = client_command(&mut manager, &["ID"]).await.expect("an id");

        let id = id.to_string();
        let killed: u64 =
            client_command(&mut publisher, &["KILL", "ID", &id]).await.expect("killed");
        assert_eq!(killed, 1);

        eventually(async || {
            // The manager connects again when a command fails.
            let again: RedisResult<u64> = client_command(&mut manager, &["ID"]).await;
            let numbers: Vec<(String, usize)> = pubsub(&mut publisher, &["NUMSUB", "news"]).await;
            again.is_ok_and(|again| again.to_string() != id) && numbers == [("news".into(), 1)]
        })
        .await;
        let _: usize = publisher.publish("news", "after").await.expect("published");
        let found = message(&mut pushes, PushKind::Message).await;
        assert_eq!(found[1], Value::BulkString(b"after".to_vec()));
    })
    .await;
}

#[tokio::test]
async fn redis_rs_publishes_in_pipelines_and_transactions() {
    with_both(async |server| {
        for protocol in ["resp2", "resp3"] {
            let client = redis_rs(server, protocol);
            let mut connection = connected(&client).await;
            // A channel of its own, since the subscriber before may still be leaving.
            let mut subscriber = client.get_async_pubsub().await.expect("it connects");
            subscriber.subscribe(protocol).await.expect("it subscribes");
            for mut pipeline in [redis::pipe(), redis::pipe().atomic().clone()] {
                for number in 0..20 {
                    pipeline.publish(protocol, number);
                }
                let receivers: Vec<usize> =
                    pipeline.query_async(&mut connection).await.expect("published");
                assert_eq!(receivers, [1; 20]);
            }
            let messages = subscriber.on_message().take(40);
            let numbers: Vec<usize> = messages
                .map(|message| message.get_payload::<usize>().expect("a number"))
                .collect()
                .await;
            assert_eq!(numbers, (0..20).chain(0..20).collect::<Vec<_>>());
        }
    })
    .await;
}

#[tokio::test]
async fn redis_rs_runs_scripts() {
    with_both(async |server| {
        for protocol in ["resp2", "resp3"] {
            let mut connection = connected(&redis_rs(server, protocol)).await;
            let script = redis::Script::new("return {KEYS[1], ARGV[1] + 1}");
            for _ in 0..2 {
                let found: (String, i64) = script
                    .key("k")
                    .arg(41)
                    .invoke_async(&mut connection)
                    .await
                    .expect("the script is loaded if need be");
                assert_eq!(found, ("k".to_owned(), 42));
                let flushed: String = redis::cmd("SCRIPT")
                    .arg("FLUSH")
                    .query_async(&mut connection)
                    .await
                    .expect("scripts are forgotten");
                assert_eq!(flushed, "OK");
            }
            let wrong = redis::Script::new("return redis.call('nosuch')");
            let found: RedisResult<()> = wrong.invoke_async(&mut connection).await;
            assert!(found.is_err_and(|error| error.to_string().contains("Unknown Redis command")));
        }
    })
    .await;
}

#[tokio::test]
async fn redis_rs_reads_info_settings_and_clients() {
    with_both(async |server| {
        for protocol in ["resp2", "resp3"] {
            let mut connection = connected(&redis_rs(server, protocol)).await;
            let pong: String = connection.ping().await.expect("an answer");
            assert_eq!(pong, "PONG");
            let info: redis::InfoDict =
                redis::cmd("INFO").query_async(&mut connection).await.expect("sections");
            assert_eq!(info.get::<String>("redis_mode").as_deref(), Some("standalone"));
            assert_eq!(info.get::<u16>("tcp_port"), Some(server.port()));
            let limit: std::collections::HashMap<String, usize> = redis::cmd("CONFIG")
                .arg("GET")
                .arg("maxclients")
                .query_async(&mut connection)
                .await
                .expect("a map");
            assert_eq!(limit["maxclients"], 10_000);
            let () = client_command(&mut connection, &["SETNAME", "ann"]).await.expect("named");
            let list: String = client_command(&mut connection, &["LIST"]).await.expect("a list");
            assert!(list.contains(" name=ann "), "{list}");
            let user: String = connection.acl_whoami().await.expect("a name");
            assert_eq!(user, "default");
            let channels: Vec<String> = pubsub(&mut connection, &["CHANNELS", "*"]).await;
            assert!(channels.is_empty());
            let patterns: usize = pubsub(&mut connection, &["NUMPAT"]).await;
            assert_eq!(patterns, 0);
        }
        let stranger = redis::Client::open(server.url_with_password("wrong")).expect("a URL");
        let refused = stranger.get_multiplexed_async_connection_with_config(&timeouts()).await;
        let error = refused.map(drop).expect_err("a wrong password is refused");
        assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed, "{error}");
    })
    .await;
}

fn redis_rs(server: &Server, protocol: &str) -> redis::Client {
    redis::Client::open(format!("{}/?protocol={protocol}", server.url())).expect("a URL")
}

/// Returns longer timeouts than the default of half a second.
fn timeouts() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_response_timeout(Some(DEADLINE))
        .set_connection_timeout(Some(DEADLINE))
}

async fn connected(client: &redis::Client) -> MultiplexedConnection {
    let timeouts = timeouts();
    let connected = client.get_multiplexed_async_connection_with_config(&timeouts);
    connected.await.expect("it connects")
}

async fn client_command<T: redis::FromRedisValue>(
    connection: &mut impl redis::aio::ConnectionLike,
    words: &[&str],
) -> RedisResult<T> {
    redis::cmd("CLIENT").arg(words).query_async(connection).await
}

async fn pubsub<T: redis::FromRedisValue>(
    connection: &mut MultiplexedConnection,
    words: &[&str],
) -> T {
    redis::cmd("PUBSUB").arg(words).query_async(connection).await.expect("an answer")
}

/// Returns the next push of this kind.
async fn message(pushes: &mut mpsc::UnboundedReceiver<PushInfo>, kind: PushKind) -> Vec<Value> {
    within(DEADLINE, async {
        loop {
            let push = pushes.recv().await.expect("the connection is open");
            if push.kind == kind {
                return push.data;
            }
        }
    })
    .await
}

#[tokio::test]
async fn fred_receives_once_and_in_order() {
    with_both(async |server| {
        for version in [RespVersion::RESP2, RespVersion::RESP3] {
            let publisher = fred(server, version.clone()).build().expect("a client");
            let subscriber = fred(server, version).build_subscriber_client().expect("a client");
            publisher.init().await.expect("it connects");
            subscriber.init().await.expect("it connects");
            let mut messages = subscriber.message_rx();
            subscriber.subscribe("news").await.expect("it subscribes");
            subscriber.psubscribe("new?").await.expect("it subscribes to a pattern");
            until_received_by(&publisher, 2).await;
            for number in 0..MESSAGES {
                let text = number.to_string();
                let receivers: i64 = publisher.publish("news", text).await.expect("published");
                assert_eq!(receivers, 2);
            }
            let receivers: i64 = publisher.publish("news", BINARY).await.expect("published");
            assert_eq!(receivers, 2);
            for number in 0..=MESSAGES {
                let text = number.to_string().into_bytes();
                let expected = if number < MESSAGES { text.as_slice() } else { BINARY };
                for kind in [MessageKind::Message, MessageKind::PMessage] {
                    let message = messages.recv().await.expect("the connection stands");
                    assert_eq!(message.kind, kind);
                    assert_eq!(message.value.as_bytes(), Some(expected));
                }
            }
            subscriber.unsubscribe("news").await.expect("it unsubscribes");
            subscriber.punsubscribe("new?").await.expect("it unsubscribes");
            until_received_by(&publisher, 0).await;
            let receivers: i64 = publisher.publish("news", "lost").await.expect("published");
            assert_eq!(receivers, 0);
            quit(&publisher).await;
            quit(&subscriber).await;
        }
    })
    .await;
}

/// Waits for a change of subscriptions. To fred it is done once written, so the server may not have
/// read it yet.
async fn until_received_by(publisher: &Client, receivers: i64) {
    eventually(async || {
        let channel: Vec<(String, i64)> = publisher.pubsub_numsub("news").await.expect("numbers");
        let patterns: i64 = publisher.pubsub_numpat().await.expect("a number");
        channel.iter().map(|(_, clients)| clients).sum::<i64>() + patterns == receivers
    })
    .await;
}

#[tokio::test]
async fn fred_subscribes_again_after_client_kill() {
    with_both(async |server| {
        for version in [RespVersion::RESP2, RespVersion::RESP3] {
            let publisher = fred(server, version.clone()).build().expect("a client");
            let subscriber = fred(server, version).build_subscriber_client().expect("a client");
            publisher.init().await.expect("it connects");
            subscriber.init().await.expect("it connects");
            let managed = subscriber.manage_subscriptions();
            let mut messages = subscriber.message_rx();
            subscriber.subscribe("news").await.expect("it subscribes");
            subscriber.psubscribe("n*").await.expect("it subscribes to a pattern");
            subscriber.ssubscribe("shard-news").await.expect("it subscribes to a shard channel");
            let mut reconnected = subscriber.reconnect_rx();
            until_received_by(&publisher, 2).await;

            let filter = vec![ClientKillFilter::Type(ClientKillType::Pubsub)];
            let killed: i64 = publisher.client_kill(filter).await.expect("killed");
            assert_eq!(killed, 1);
            reconnected.recv().await.expect("it connects again");

            eventually(async || {
                let one: Vec<(String, i64)> =
                    publisher.pubsub_numsub("news").await.expect("numbers");
                let shard: Vec<(String, i64)> =
                    publisher.pubsub_shardnumsub("shard-news").await.expect("numbers");
                let patterns: i64 = publisher.pubsub_numpat().await.expect("a number");
                one[0].1 == 1 && shard[0].1 == 1 && patterns == 1
            })
            .await;
            let receivers: i64 = publisher.publish("news", "after").await.expect("published");
            assert_eq!(receivers, 2);
            let receivers: i64 =
                publisher.spublish("shard-news", "after").await.expect("published");
            assert_eq!(receivers, 1);
            for kind in [MessageKind::Message, MessageKind::PMessage, MessageKind::SMessage] {
                let message = messages.recv().await.expect("the connection stands");
                assert_eq!((message.kind, message.value.as_str()), (kind, Some("after".into())));
            }
            managed.abort();
            quit(&publisher).await;
            quit(&subscriber).await;
        }
    })
    .await;
}

#[tokio::test]
async fn fred_publishes_in_pipelines_and_transactions() {
    with_both(async |server| {
        let client = fred(server, RespVersion::RESP3).build().expect("a client");
        let subscriber = fred(server, RespVersion::RESP3).build().expect("a client");
        client.init().await.expect("it connects");
        subscriber.init().await.expect("it connects");
        let mut messages = subscriber.message_rx();
        subscriber.subscribe("news").await.expect("it subscribes");
        until_received_by(&client, 1).await;

        let pipeline = client.pipeline();
        let transaction = client.multi();
        for number in 0..20 {
            let text = number.to_string();
            let () = pipeline.publish("news", text.clone()).await.expect("queued");
            let () = transaction.publish("news", text).await.expect("queued");
        }
        let receivers: Vec<i64> = pipeline.all().await.expect("published");
        assert_eq!(receivers, [1; 20]);
        let receivers: Vec<i64> = transaction.exec(true).await.expect("published");
        assert_eq!(receivers, [1; 20]);

        for number in (0..20).chain(0..20) {
            let message = messages.recv().await.expect("the connection stands");
            assert_eq!(message.value.as_i64(), Some(number));
        }
        quit(&client).await;
        quit(&subscriber).await;
    })
    .await;
}

#[tokio::test]
async fn fred_reads_info_settings_and_clients() {
    with_both(async |server| {
        for version in [RespVersion::RESP2, RespVersion::RESP3] {
            let client = fred(server, version).build().expect("a client");
            client.init().await.expect("it connects");
            let pong: String = client.ping(None).await.expect("an answer");
            assert_eq!(pong, "PONG");
            let info: String = client.info(None).await.expect("sections");
            assert!(info.contains("\r\nredis_mode:standalone\r\n"), "{info}");
            client.client_setname("ann").await.expect("named");
            let name: String = client.client_getname().await.expect("a name");
            assert_eq!(name, "ann");
            let id: i64 = client.client_id().await.expect("an id");
            let line: String = client.client_info().await.expect("a line");
            assert!(line.contains(&format!("id={id} ")), "{line}");
            let limit: std::collections::HashMap<String, String> =
                client.config_get("maxclients").await.expect("a map");
            assert_eq!(limit["maxclients"], "10000");
            client.config_set("timeout", 0).await.expect("set");
            let unknown: FredResult<()> = client.config_set("nosuchdirective", 1).await;
            assert!(unknown.is_err());
            let user: String = client.acl_whoami().await.expect("a name");
            assert_eq!(user, "default");
            let users: Vec<String> = client.acl_list().await.expect("a list");
            assert!(users[0].starts_with("user default on"), "{users:?}");
            let size: i64 = client.dbsize().await.expect("a number");
            assert_eq!(size, 0);
            quit(&client).await;
        }
        let mut config = Config::from_url(&server.url_with_password("wrong")).expect("a URL");
        config.fail_fast = true;
        let stranger = Builder::from_config(config).build().expect("a client");
        let error = stranger.init().await.expect_err("a wrong password is refused");
        assert_eq!(*error.kind(), fred::error::ErrorKind::Auth, "{error}");
    })
    .await;
}

#[tokio::test]
async fn fred_monitors_the_requests_of_others() {
    with_both(async |server| {
        let config = Config::from_url(&server.url()).expect("a URL");
        let mut watcher = fred::monitor::run(config).await.expect("it connects");
        let client = fred(server, RespVersion::RESP2).build().expect("a client");
        client.init().await.expect("it connects");
        let _: i64 = client.publish("news", "hello").await.expect("published");
        let seen = loop {
            let seen = watcher.next().await.expect("the connection stands");
            if seen.command.eq_ignore_ascii_case("publish") {
                break seen;
            }
        };
        assert_eq!(seen.args, ["news", "hello"].map(fred::types::Value::from));
        assert_eq!(seen.db, 0);
        quit(&client).await;
    })
    .await;
}

fn fred(server: &Server, version: RespVersion) -> Builder {
    let mut config = Config::from_url(&server.url()).expect("a URL");
    config.version = version;
    let mut builder = Builder::from_config(config);
    builder
        .set_policy(ReconnectPolicy::new_constant(0, 20))
        .with_performance_config(|config| config.broadcast_channel_capacity = 4 * MESSAGES)
        .with_connection_config(|config| {
            config.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
            config.unresponsive = UnresponsiveConfig::default();
        });
    builder
}

async fn quit(client: &impl ClientLike) {
    client.quit().await.expect("the server confirms QUIT");
}
