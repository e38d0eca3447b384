//! The words that install, start, stop and remove a service of Windows.

use std::fs;

use harness::{Client, SLOW_DEADLINE, eventually_within, free_port};

use crate::run;

#[tokio::test]
async fn a_service_is_installed_started_stopped_and_removed() {
    let dir = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let name = format!("Broker{port}");
    let folder = dir.path().display();
    let settings = format!("port {port}\nlogfile service.log\ndir {folder}\n");
    fs::write(dir.path().join("service.conf"), settings).expect("a file");
    let name = ["--service-name", &name];
    let ask = async |first: &str, rest: &[&str]| {
        // The name may stand behind other words.
        run(&[&[first], rest, &name[..]].concat(), dir.path()).await
    };

    let absent = ask("--service-start", &[]).await;
    assert_eq!(absent.code, Some(1), "{absent:?}");
    assert!(absent.stderr.starts_with("cannot start the service '"), "{absent:?}");
    let mistake = ask("--service-install", &["service.conf", "--prot", "1"]).await;
    assert_eq!(mistake.code, Some(1), "{mistake:?}");
    assert!(mistake.stderr.contains("did you mean 'port'?"), "{mistake:?}");

    for refused in [&["service.conf"][..], &["-"]] {
        let refused = ask("--service-stop", refused).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.starts_with("expected "), "{refused:?}");
    }

    let words = ["service.conf", "--timeout", "77"];
    for (word, rest, last_line) in [
        ("--service-install", &words[..], "Redis successfully installed as a service."),
        ("--service-start", &[], "Redis service successfully started."),
    ] {
        let finished = ask(word, rest).await;
        assert_eq!(finished.stdout.lines().last(), Some(last_line), "{finished:?}");
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }
    let mut client = Client::connect(port).await;
    let timeout = client.command(&["CONFIG", "GET", "timeout"]).await;
    assert_eq!(timeout.items()[1].text(), "77");

    // A second start says why it fails.
    let again = ask("--service-start", &[]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    let stopped = ask("--service-stop", &[]).await;
    assert_eq!(stopped.stdout.lines().last(), Some("Redis service successfully stopped."));
    client.expect_closed().await;
    let log = || fs::read_to_string(dir.path().join("service.log")).unwrap_or_default();
    eventually_within(SLOW_DEADLINE, async || log().contains("bye bye")).await;
    assert!(log().contains("Received SERVICE_CONTROL_STOP"), "{}", log());

    // It can be started again.
    let again = ask("--service-start", &[]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(ask("--service-stop", &[]).await.code, Some(0));
    let removed = ask("--service-uninstall", &[]).await;
    assert_eq!(removed.stdout.lines().last(), Some("Redis service successfully uninstalled."));
    assert_eq!(ask("--service-start", &[]).await.code, Some(1));
}
