//! `broker ping`: its exit status, and the reason of a failure.

use std::net::TcpListener;
use std::process::Command;

use harness::{Finished, Process, SLOW_DEADLINE, Server, broker_bin, free_port};

#[tokio::test]
async fn the_exit_status_tells_whether_a_server_answers() {
    let server = Server::ours(&["--requirepass", "secret"]).await;
    let (port, away) = (server.port().to_string(), free_port().to_string());
    let refused = "NOAUTH Authentication required.";
    for (options, code, text) in [
        (&["-p", &*port, "-a", "secret"][..], 0, "PONG\n"),
        (&["-h", "localhost", "-p", &port, "-a", "secret"], 0, "PONG\n"),
        (&["-p", &port, "-a", "wrong"], 1, "WRONGPASS"),
        (&["-p", &port], 1, refused),
        (&["-p", &away], 1, "refused"),
        (&["-p", "x"], 1, "invalid value 'x'"),
        (&["--help"], 0, "The exit status is 0 if it answers"),
    ] {
        let Finished { code: found, stdout, stderr } = ping(options, "").await;
        assert_eq!(found, Some(code), "{options:?}: {stdout}{stderr}");
        assert!((stdout.clone() + &stderr).contains(text), "{options:?}: {stdout}{stderr}");
    }
    assert_eq!(ping(&["-p", &port], "secret").await.code, Some(0));
}

#[tokio::test]
async fn a_silent_server_is_no_server() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = silent.local_addr().expect("it is bound").port().to_string();
    let finished = ping(&["-p", &port], "").await;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("no reply within 5 seconds"), "{finished:?}");
}

async fn ping(options: &[&str], variable: &str) -> Finished {
    let mut command = Command::new(broker_bin());
    command.arg("ping").args(options).env_remove("REDISCLI_AUTH");
    if !variable.is_empty() {
        command.env("REDISCLI_AUTH", variable);
    }
    Process::run(&mut command, SLOW_DEADLINE).await
}
