//! TLS, Unix sockets, users, databases and client names.

use backplane::{Backplane, Builder, ConnectError, Target};
use harness::{
    Certificates, Chat, Client, Cluster, Kind, SLOW_DEADLINE, Sentinel, Server, array,
    eventually_within, free_port, within,
};

use crate::farm::{builder, is_connected, is_disconnected, join, join_with, receive, send};
use crate::observer::kill_clients;

const APP: &str = "ChatApp";

#[tokio::test]
async fn a_unix_socket_works() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("redis.sock");
    let path = path.to_str().expect("text");
    let _server = Server::redis(&["--unixsocket", path]).await;
    sends_and_receives(&join(&format!("unix:{path}"), APP).await).await;
}

#[tokio::test]
async fn user_database_and_client_name_come_from_the_url() {
    let server = Server::redis(&[]).await;
    let mut client = server.client().await;
    let rules = ["ACL", "SETUSER", "ann", "on", ">p@ss", "~ChatApp", "&ChatApp", "+@all"];
    client.command(&rules).await;
    let url = format!("redis://ann:p%40ss@127.0.0.1:{}/3?client_name=web-1", server.port());
    // Kept open, since its connections are counted below.
    let one = join(&url, APP).await;
    sends_and_receives(&one).await;
    let list = client.command(&["CLIENT", "LIST"]).await.text().to_owned();
    let ours: Vec<_> = list.lines().filter(|line| line.contains("name=web-1")).collect();
    assert_eq!(ours.len(), 2, "{list}");
    assert!(ours.iter().all(|line| line.contains("user=ann")), "{list}");
    client.command(&["SELECT", "3"]).await;
    assert!(!client.command(&["GET", APP]).await.text().is_empty());
}

#[tokio::test]
async fn a_missing_permission_is_reported_in_redis_words() {
    let server = Server::redis(&[]).await;
    let mut client = server.client().await;
    let rules = ["ACL", "SETUSER", "ann", "on", ">p", "~*", "resetchannels", "+@all"];
    client.command(&rules).await;
    let url = format!("redis://ann:p@127.0.0.1:{}", server.port());
    let error =
        within(SLOW_DEADLINE, Backplane::builder(APP).connect(&url)).await.expect_err("refused");
    assert!(error.to_string().contains("NOPERM"), "{error}");
}

/// The permissions that the documentation of `Address` lists.
const RIGHTS: [&str; 12] = [
    "~ChatApp",
    "&ChatApp",
    "+subscribe",
    "+evalsha",
    "+eval",
    "+script|load",
    "+script|exists",
    "+publish",
    "+incr",
    "+incrby",
    "+get",
    "+set",
];

#[tokio::test]
async fn a_user_with_minimal_permissions_keeps_the_subscription() {
    let server = Server::redis(&[]).await;
    let mut client = server.client().await;
    client.command(&[&["ACL", "SETUSER", "ann", "on", ">p"], &RIGHTS[..]].concat()).await;
    let url = format!("redis://ann:p@127.0.0.1:{}", server.port());
    let one = join(&url, APP).await;
    let id = |list: &str| list.split_whitespace().next().map(str::to_owned);
    let before = client.command(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
    // Each `SUBSCRIBE` comes with a `PING`, which this user may not send.
    let asked = async |client: &mut Client| {
        let stats = client.command(&["INFO", "commandstats"]).await.text().to_owned();
        let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_subscribe:calls="));
        calls.and_then(|calls| calls.split(',').next()?.parse().ok()).unwrap_or(0)
    };
    eventually_within(SLOW_DEADLINE, async || asked(&mut client).await >= 3).await;
    let after = client.command(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
    assert_eq!(id(after.text()), id(before.text()), "it was given up");
    sends_and_receives(&one).await;
}

#[tokio::test]
async fn a_user_without_permission_to_restore_the_counter_reconnects() {
    let server = Server::redis(&[]).await;
    let mut client = server.client().await;
    for missing in ["-eval", "-set", "-get"] {
        let rules = [&["ACL", "SETUSER", "ann", "reset", "on", ">p"], &RIGHTS[..], &[missing]];
        client.command(&rules.concat()).await;
        let url = format!("redis://ann:p@127.0.0.1:{}", server.port());
        let one = join(&url, APP).await;
        sends_and_receives(&one).await;
        kill_clients(&mut client, "normal").await;
        is_disconnected(&one).await;
        is_connected(&one).await;
        sends_and_receives(&one).await;
    }
}

#[tokio::test]
async fn a_sentinel_may_have_its_own_password() {
    let sentinel = Sentinel::start().await;
    let mut client = sentinel.client().await;
    let reply = client.command(&["ACL", "SETUSER", "default", "resetpass", ">watch"]).await;
    assert!(!reply.is_error(), "{reply:?}");
    let url = sentinel.url();
    let error =
        within(SLOW_DEADLINE, Backplane::builder(APP).connect(&url)).await.expect_err("refused");
    assert!(error.to_string().contains("NOAUTH"), "{error}");
    sends_and_receives(&join(&format!("{url}?sentinel_password=watch"), APP).await).await;
}

#[tokio::test]
async fn redis_and_a_server_ask_each_other_for_certificates() {
    tls_asks_for_certificates_on_both_sides(Kind::Redis).await;
}

#[tokio::test]
async fn our_broker_and_a_server_ask_each_other_for_certificates() {
    tls_asks_for_certificates_on_both_sides(Kind::Ours).await;
}

async fn tls_asks_for_certificates_on_both_sides(kind: Kind) {
    let certificates = Certificates::new();
    let port = free_port();
    let flags = certificates.flags(port);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let _server = Server::start(kind, &flags).await;
    let url = format!("rediss://localhost:{port}");
    sends_and_receives(&join_with(&url, with_certificates(&certificates)).await).await;

    let in_url = format!(
        "{url}?ca={}&cert={}&key={}",
        certificates.file("ca.crt"),
        certificates.file("client.crt"),
        certificates.file("client.key")
    );
    sends_and_receives(&join(&in_url, APP).await).await;

    for incomplete in [
        url.clone(),
        format!("{url}?ca={}", certificates.file("ca.crt")),
        in_url.replace("localhost", "127.0.0.2"),
    ] {
        let joined = within(SLOW_DEADLINE, Backplane::builder(APP).connect(&incomplete)).await;
        assert!(matches!(joined, Err(ConnectError::Failed { .. })), "{incomplete}: {joined:?}");
    }
    let missing = format!("{url}?ca=/nowhere.crt");
    let error = Backplane::builder(APP).connect(&missing).await.expect_err("no such file");
    assert!(error.to_string().starts_with("cannot use /nowhere.crt for TLS: "), "{error}");
}

#[tokio::test]
async fn the_chat_takes_every_address() {
    let (sentinel, cluster) = (Sentinel::start().await, Cluster::start().await);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("redis.sock");
    let path = path.to_str().expect("text");
    let server = Server::redis(&["--unixsocket", path]).await;
    let owner = cluster.nodes()[cluster.owner(APP).await].port();
    for (address, port, count) in [
        (format!("unix:{path}"), server.port(), "NUMSUB"),
        (sentinel.url(), sentinel.master().await, "NUMSUB"),
        (cluster.url(), owner, "SHARDNUMSUB"),
    ] {
        let _chat = Chat::at(&address).await;
        let mut client = Client::connect(port).await;
        eventually_within(SLOW_DEADLINE, async || {
            client.command(&["PUBSUB", count, APP]).await == array![APP, 2]
        })
        .await;
    }
}

async fn sends_and_receives(backplane: &Backplane) {
    let mut ann = backplane.attach("ann", None);
    send(backplane, Target::all(), 1).await;
    assert_eq!(receive(&mut ann, 1).await, [1]);
}

/// Returns a builder for a server with these certificates.
fn with_certificates(certificates: &Certificates) -> Builder {
    let [ca, certificate, key] =
        ["ca.crt", "client.crt", "client.key"].map(|name| certificates.path(name));
    builder(APP).tls_ca(ca).tls_identity(certificate, key)
}
