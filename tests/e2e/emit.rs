//! The program `backplane`: it sends one message to the clients of an app, and ends.

use std::process::Command;

use backplane::{Backplane, Builder, Connection, Dialect};
use harness::{Finished, Process, SLOW_DEADLINE, backplane_bin, eventually, free_port, within};

use super::server;

const APP: &str = "ChatApp";
const HUB: &str = "ChatHub";

#[tokio::test]
async fn it_reaches_the_clients_of_every_server() {
    let server = server(&["--requirepass", "secret"]).await;
    let builder = || Backplane::builder(APP).hub(HUB);
    let (one, two) = (join(&server.url(), builder()).await, join(&server.url(), builder()).await);
    let (mut ann, mut bob) = (one.attach("ann's", Some("ann")), two.attach("bob's", None));
    two.join("bob's", "room").await.expect("it is here");
    let emit = async |to: &[&str], arguments: &str| {
        let said = [&["--hub", HUB], to, &["say", arguments]].concat();
        let emitted = emit(&[&["--url", &server.url(), "--app", APP], &said[..]].concat()).await;
        assert_eq!((emitted.code, &*emitted.stderr), (Some(0), ""));
    };
    emit(&["--all"], "[1]").await;
    emit(&["--group", "room"], r#"["to the room", {"a": 1.10}]"#).await;
    emit(&["--user", "ann"], "[2]").await;
    emit(&["--all", "--except", "ann's"], "[3]").await;
    emit(&["--connection", "ann's", "--connection", "bob's"], "[]").await;
    assert_eq!(receive(&mut ann, 3).await, ["[1]", "[2]", "[]"]);
    assert_eq!(receive(&mut bob, 4).await, ["[1]", r#"["to the room",{"a": 1.10}]"#, "[3]", "[]"]);
}

#[tokio::test]
async fn it_reaches_the_clients_of_aspnetcore() {
    let server = server(&[]).await;
    let channel_prefix = "P:".to_owned();
    let builder = Backplane::builder(APP).dialect(Dialect::AspNetCore { channel_prefix });
    let one = join(&server.url(), builder.hub("App.ChatHub")).await;
    let mut ann = one.attach("ann's", Some("ann"));
    ann.listening().await;
    let options = ["--dialect", "aspnetcore", "--channel-prefix", "P:", "--hub", "App.ChatHub"];
    let emitted = emit(
        &[&["--url", &server.url(), "--app", APP, "--user", "ann"], &options[..], &["say", "[1]"]]
            .concat(),
    )
    .await;
    assert_eq!((emitted.code, &*emitted.stderr), (Some(0), ""));
    assert_eq!(receive(&mut ann, 1).await, ["[1]"]);
}

#[tokio::test]
async fn the_broker_runs_it_under_its_own_name() {
    let server = server(&[]).await;
    let one = join(&server.url(), Backplane::builder(APP).hub(HUB)).await;
    let mut ann = one.attach("ann's", None);
    let words = ["emit", "--url", &server.url(), "--app", APP, "--hub", HUB, "--all", "say", "[1]"];
    let run = async |words: &[&str]| {
        Process::run(Command::new(harness::broker_bin()).args(words), SLOW_DEADLINE).await
    };
    assert_eq!(run(&words).await.code, Some(0));
    assert_eq!(receive(&mut ann, 1).await, ["[1]"]);
    let mistaken = run(&["emit", "--nosuch"]).await;
    assert_eq!(mistaken.code, Some(1));
    assert!(mistaken.stderr.contains("unexpected argument '--nosuch'"), "{mistaken:?}");
}

/// So a signal for the one ends the other.
#[tokio::test]
async fn the_broker_becomes_the_program() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("redis://{}", silent.local_addr().expect("it is bound"));
    let words = ["emit", "--url", &url, "--app", APP, "--hub", HUB, "--all", "say", "[1]"];
    let process = Process::start(Command::new(harness::broker_bin()).args(words));
    let name = format!("/proc/{}/comm", process.pid());
    eventually(async || {
        std::fs::read_to_string(&name).is_ok_and(|name| name.trim() == "backplane")
    })
    .await;
}

#[tokio::test]
async fn a_mistake_is_one_clear_error() {
    let server = server(&["--requirepass", "secret"]).await;
    let port = server.port();
    let (right, open) = (server.url(), format!("redis://127.0.0.1:{port}"));
    let away = format!("redis://127.0.0.1:{}", free_port());
    for (url, options, error) in [
        (&right, &["--all", "say", "hi"][..], "the arguments expect a JSON array such as"),
        (&right, &["--all", "say", r#"{"a":1}"#], "the arguments expect a JSON array such as"),
        (&right, &["--room", "x", "say"], "unexpected argument '--room' found"),
        (&right, &["say", "[1]"], "--all|--group <NAME>|--user <NAME>|--connection <ID>"),
        (&right, &["--all", "--user", "ann", "say"], "cannot be used with"),
        (&right, &["--all"], "<METHOD>"),
        (&open, &["--all", "say"], "NOAUTH Authentication required."),
        (&away, &["--all", "say"], "connection refused"),
        (&"http://host".to_owned(), &["--all", "say"], "expected a URL such as redis://"),
    ] {
        let emitted = emit(&[&["--url", url, "--app", APP, "--hub", HUB], options].concat()).await;
        assert_eq!((emitted.code, &*emitted.stdout), (Some(1), ""), "{options:?}");
        assert!(emitted.stderr.contains(error), "{options:?}: {}", emitted.stderr);
    }
}

#[tokio::test]
async fn an_emitter_subscribes_to_nothing() {
    let server = server(&[]).await;
    let builder = Backplane::builder(APP).hub(HUB);
    let emitter = within(SLOW_DEADLINE, builder.emitter(&*server.url())).await.expect("connected");
    let invocation = backplane::Invocation::new("say", [1]).expect("an array");
    within(SLOW_DEADLINE, emitter.send(backplane::Target::all(), invocation)).await.expect("sent");
    let mut client = server.client().await;
    assert!(client.command(&["PUBSUB", "CHANNELS"]).await.items().is_empty());
    let list = client.command(&["CLIENT", "LIST"]).await.text().to_owned();
    assert_eq!(list.lines().count(), 2, "{list}");
}

async fn emit(options: &[&str]) -> Finished {
    let mut command = Command::new(backplane_bin());
    Process::run(command.arg("emit").args(options), SLOW_DEADLINE).await
}

async fn join(url: &str, builder: Builder) -> Backplane {
    within(SLOW_DEADLINE, builder.connect(url)).await.expect("connected")
}

async fn receive(connection: &mut Connection, count: usize) -> Vec<String> {
    let mut arguments = Vec::new();
    while arguments.len() < count {
        let received = within(SLOW_DEADLINE, connection.recv()).await.expect("attached");
        arguments.push(received.arguments().get().to_owned());
    }
    arguments
}
