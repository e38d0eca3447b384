//! Where the process stands in for `redis-server`: start scripts, log rotation, signals, systemd.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::{
    Client, DEADLINE, Finished, Process, Server, Value, broker_bin, error, eventually, free_port,
    ok, simple,
};
use rustix::process::{Pid, Signal, kill_process};

/// Runs the broker to its end.
async fn ended(arguments: &[&str]) -> Finished {
    Process::run(Command::new(broker_bin()).args(arguments), DEADLINE).await
}

async fn refused(arguments: &[&str], expected: &[&str]) {
    let Finished { code, stdout, stderr } = ended(arguments).await;
    assert_eq!(code, Some(1), "{arguments:?}: {stdout}{stderr}");
    for text in expected {
        assert!(stderr.contains(text), "{arguments:?}: {text:?} is not in\n{stderr}");
    }
}

#[tokio::test]
async fn the_version_is_read_as_redis_servers() {
    let line = ended(&["--version"]).await.stdout;
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..5], ["Redis", "server", "v=7.2.4", "sha=00000000:0", "malloc=mimalloc"]);
    assert!(words[5].starts_with("bits=") && words[6].starts_with("build="), "{line}");
    assert!(
        line.trim_end().ends_with(&format!("(broker {})", env!("CARGO_PKG_VERSION"))),
        "{line}"
    );
}

#[tokio::test]
async fn a_renamed_log_is_created_again_and_a_hang_up_does_not_end_the_server() {
    let mut server = Server::ours(&["--logfile", "log"]).await;
    let (log, old) = (server.dir().join("log"), server.dir().join("log.1"));
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    eventually(async || text(&log).contains("Ready to accept connections")).await;
    fs::rename(&log, &old).expect("the log is there");

    let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw).expect("it has an id");
    kill_process(pid, Signal::HUP).expect("it runs");
    eventually(async || text(&log).contains("Received SIGHUP")).await;
    assert_eq!(server.client().await.command(&["PING"]).await, simple("PONG"));
    assert_eq!(server.stop(DEADLINE).await, 0);
    assert!(text(&log).contains("bye bye"), "{}", text(&log));
    assert!(!text(&old).contains("bye bye"), "{}", text(&old));
}

/// Hangs up, and waits for a line of the log.
async fn reload(server: &Server, expected: &str) {
    let before = server.stdout().matches(expected).count();
    let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw).expect("it has an id");
    kill_process(pid, Signal::HUP).expect("it runs");
    eventually(async || server.stdout().matches(expected).count() > before).await;
}

#[tokio::test]
async fn config_reload_reads_the_file_again_and_tells_a_mistake() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, password) = (dir.path().join("broker.conf"), dir.path().join("password"));
    fs::write(&password, "first\n").expect("a file");
    let write = |timeout: &str| {
        let text = format!("requirepass-file {}\ntimeout {timeout}\n", password.display());
        fs::write(&path, text).expect("a file");
    };
    write("0");
    let server = Server::ours(&[path.to_str().expect("a path")]).await;
    let mut client = server.stranger().await;
    assert_eq!(client.command(&["AUTH", "first"]).await, ok());

    write("x");
    let error = client.command(&["CONFIG", "RELOAD"]).await;
    let place = format!("ERR mistake at {}:2: timeout", path.display());
    assert_eq!(error, harness::error(&place));
    let info = client.command(&["INFO", "server"]).await;
    assert!(info.text().contains("config_last_reload_status:err"), "{info:?}");

    write("60");
    fs::write(&password, "second\n").expect("a file");
    assert_eq!(client.command(&["CONFIG", "RELOAD"]).await, ok());
    let shown = client.command(&["CONFIG", "GET", "timeout", "requirepass"]).await;
    let values: Vec<&str> = shown.items().iter().map(Value::text).collect();
    assert_eq!(values, ["timeout", "60", "requirepass", "second"]);
    let mut stranger = server.stranger().await;
    assert!(stranger.command(&["AUTH", "first"]).await.is_error());
    assert_eq!(stranger.command(&["AUTH", "second"]).await, ok());
    // A client could read any file otherwise.
    let file = ["CONFIG", "SET", "requirepass-file", "/etc/hostname"];
    assert!(client.command(&file).await.is_error());

    // Without a file, only those of TLS may have changed.
    let server = Server::ours(&["--timeout", "7"]).await;
    let mut client = server.client().await;
    assert_eq!(client.command(&["CONFIG", "SET", "timeout", "8"]).await, ok());
    assert_eq!(client.command(&["CONFIG", "RELOAD"]).await, ok());
    let shown = client.command(&["CONFIG", "GET", "timeout"]).await;
    assert_eq!(shown.items()[1].text(), "8");
}

#[tokio::test]
async fn a_variable_sets_the_password_unless_a_flag_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("broker.conf");
    fs::write(&path, "requirepass file\n").expect("a file");
    let file = path.to_str().expect("a path");
    for (flags, password) in [(&[][..], "a \"b\\"), (&["--requirepass", "flag"], "flag")] {
        let port = free_port();
        let mut command = Command::new(broker_bin());
        command.arg(file).args(["--port", &port.to_string()]).args(flags);
        let server = Process::start(command.env("BROKER_REQUIREPASS", "a \"b\\"));
        let ready = |text: &str| text.contains("Ready to accept").then_some(());
        server.stdout_with(DEADLINE, ready).await;
        let mut client = Client::connect(port).await;
        assert!(client.command(&["PING"]).await.is_error());
        assert_eq!(client.command(&["AUTH", password]).await, ok(), "{flags:?}");
        // The variable is to keep the password out of the file.
        for command in ["RELOAD", "REWRITE"] {
            assert_eq!(client.command(&["CONFIG", command]).await, ok());
        }
        let text = fs::read_to_string(&path).expect("the file");
        let kept = if flags.is_empty() { "requirepass file" } else { "requirepass flag" };
        assert!(text.starts_with(&format!("{kept}\n")) && !text.contains("a \\"), "{text}");
        assert!(client.command(&["PING"]).await == simple("PONG"));
    }
}

#[tokio::test]
async fn a_password_that_moves_into_a_file_is_not_written_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, password) = (dir.path().join("broker.conf"), dir.path().join("password"));
    fs::write(&path, "requirepass secret\n").expect("a file");
    let server = Server::ours(&[path.to_str().expect("a path")]).await;
    let mut client = server.stranger().await;
    assert_eq!(client.command(&["AUTH", "secret"]).await, ok());
    fs::write(&password, "secret").expect("a file");
    fs::write(&path, format!("requirepass-file {}\n", password.display())).expect("a file");
    for command in ["RELOAD", "REWRITE"] {
        assert_eq!(client.command(&["CONFIG", command]).await, ok());
    }
    let text = fs::read_to_string(&path).expect("the file");
    assert!(text.starts_with("requirepass-file ") && !text.contains("secret"), "{text}");
}

/// Settings that a program has made are no change of a file.
#[tokio::test]
async fn a_reload_keeps_the_settings_of_a_program() {
    let mut loaded = broker::ConfigFile::from_text("port any").expect("it is right");
    loaded.config.requirepass = Some(b"secret".to_vec());
    let server = broker::Server::bind_loaded(broker::Broker::new(), loaded).await.expect("a port");
    let port = server.local_addr().expect("it listens").port();
    let mut client = Client::connect(port).await;
    assert_eq!(client.command(&["AUTH", "secret"]).await, ok());
    assert_eq!(client.command(&["CONFIG", "RELOAD"]).await, ok());
    assert!(Client::connect(port).await.command(&["PING"]).await.is_error());
    // A program may replace what is read again.
    let other = broker::ConfigFile::from_text("port any\ntimeout 60").expect("it is right");
    server.reload(other).await.expect("it is put in force");
    assert_eq!(client.command(&["CONFIG", "RELOAD"]).await, ok());
    let timeout = client.command(&["CONFIG", "GET", "timeout"]).await;
    assert_eq!(timeout.items()[1].text(), "60");
    server.shutdown().await;
}

#[tokio::test]
async fn a_reload_during_a_late_script_is_a_failed_one() {
    let server = Server::ours(&["--busy-reply-threshold", "1"]).await;
    let (mut busy, mut client) = (server.client().await, server.client().await);
    // Both are served.
    for client in [&mut busy, &mut client] {
        assert_eq!(client.command(&["PING"]).await, simple("PONG"));
    }
    busy.send(&["EVAL", "while true do end", "0"]).await;
    eventually(async || client.command(&["PING"]).await.is_error()).await;
    reload(&server, "no setting changed: a script is late").await;
    assert_eq!(client.command(&["SCRIPT", "KILL"]).await, ok());
    // The script ends a moment later.
    eventually(async || {
        let info = client.command(&["INFO", "server"]).await;
        info.text().contains("config_last_reload_status:err")
    })
    .await;
}

#[tokio::test]
async fn a_hang_up_puts_changed_lines_of_the_file_in_force() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("broker.conf");
    let write = |text: &str| fs::write(&path, text).expect("a file");
    write("maxclients 70\ntimeout 0\nrequirepass old\n");
    // A flag wins, also later.
    let file = path.to_str().expect("a path");
    let server = Server::ours(&[file, "--tcp-keepalive", "77"]).await;
    let mut client = server.stranger().await;
    assert_eq!(client.command(&["AUTH", "old"]).await, ok());
    let mut get = async |name: &str| {
        let shown = client.command(&["CONFIG", "GET", name]).await;
        shown.items()[1].text().to_owned()
    };
    assert_eq!(get("maxclients").await, "70");

    write("maxclients 60\ntimeout 0\nrequirepass new\ntcp-keepalive 5\ndatabases 4\n");
    reload(&server, "settings that need a restart: databases").await;
    assert_eq!(get("maxclients").await, "60");
    assert_eq!(get("tcp-keepalive").await, "77");
    assert_eq!(get("requirepass").await, "new");
    let mut stranger = server.stranger().await;
    assert!(stranger.command(&["AUTH", "old"]).await.is_error());
    assert_eq!(stranger.command(&["AUTH", "new"]).await, ok());

    // The value of a client stays until its line changes.
    assert_eq!(stranger.command(&["CONFIG", "SET", "timeout", "9"]).await, ok());
    write("maxclients 50\ntimeout 0\nrequirepass new\n");
    reload(&server, "settings changed: maxclients\n").await;
    assert_eq!((get("maxclients").await, get("timeout").await), ("50".to_owned(), "9".to_owned()));

    for (text, reason, status) in [
        ("maxclients 40\ntimeout x\n", "no setting changed: ", "err"),
        ("maxclients 4000000000\n", "settings changed: maxclients", "ok"),
        ("maxclients 40\nloadmodule x\n", "no setting changed: ", "err"),
    ] {
        write(text);
        reload(&server, reason).await;
        assert_ne!(get("maxclients").await, "40", "{text}");
        let info = stranger.command(&["INFO", "server"]).await;
        let field = format!("config_last_reload_status:{status}\r\nconfig_last_reload_time:");
        assert!(info.text().contains(&field), "{text} {info:?}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn flags_with_a_password_are_not_in_the_list_of_processes() {
    let server = Server::ours(&["--requirepass", "topsecret"]).await;
    let command_line = fs::read(format!("/proc/{}/cmdline", server.pid())).expect("it runs");
    let shown = String::from_utf8_lossy(&command_line);
    assert!(!shown.contains("topsecret"), "{shown}");
    assert!(shown.contains(&format!(":{}", server.port())), "{shown}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_in_the_background_keeps_the_name_it_was_started_by() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let link = dir.path().join("redis-server");
    std::os::unix::fs::symlink(broker_bin(), &link).expect("a link");
    let [pid_file, socket] = ["pid", "sock"].map(|name| dir.path().join(name));
    let mut command = Command::new(&link);
    command.args(["--port", "0", "--daemonize", "yes", "--requirepass", "topsecret"]);
    command.arg("--pidfile").arg(&pid_file).arg("--unixsocket").arg(&socket);
    assert_eq!(Process::run(&mut command, DEADLINE).await.code, Some(0));

    let mut pid = None;
    eventually(async || {
        pid = fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse::<i32>().ok());
        pid.is_some()
    })
    .await;
    let pid = pid.expect("it is written");
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).expect("it runs");
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).expect("it runs");
    kill_process(Pid::from_raw(pid).expect("it has an id"), Signal::TERM).expect("it runs");
    eventually(async || !pid_file.exists()).await;
    assert_eq!(name, "redis-server\n");
    let title = format!("{} unixsocket:{}", link.display(), socket.display());
    assert_eq!(String::from_utf8_lossy(&command_line).trim_end_matches('\0'), title);
}

#[tokio::test]
async fn a_second_start_that_fails_leaves_the_files_of_the_first_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("pid");
    let shown = path.display().to_string();
    let mut first = Server::ours(&["--pidfile", &shown]).await;
    let own = format!("{}\n", first.pid());
    eventually(async || fs::read_to_string(&path).is_ok_and(|text| text == own)).await;

    let port = first.port().to_string();
    refused(&["--port", &port, "--pidfile", &shown], &["in use"]).await;
    assert_eq!(fs::read_to_string(&path).expect("it is left"), own);
    assert_eq!(first.stop(DEADLINE).await, 0);
    assert!(!path.exists(), "the server leaves its own file");
}

#[tokio::test]
async fn a_second_start_on_another_port_leaves_counters_and_socket_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (counters, socket, damaged) = (path("counters"), path("sock"), path("damaged"));
    fs::write(&damaged, "damaged\n").expect("a file");
    let first = ["--counters-file", &counters, "--unixsocket", &socket];
    let mut server = Server::ours(&first).await;
    assert_eq!(server.client().await.command(&["SET", "id", "5"]).await, ok());
    let id = |path: &str| fs::metadata(path).expect("it is left").ino();
    let before = (id(&counters), id(&socket));

    let same = ["--port", "any", "--counters-file", &counters];
    refused(&same, &["another server uses this counters file"]).await;
    let no_users = [&same[..], &["--aclfile", "/nowhere"]].concat();
    refused(&no_users, &["opening file"]).await;
    let other = ["--port", "any", "--unixsocket", &socket, "--counters-file", &damaged];
    refused(&other, &["expected a counters file"]).await;

    assert_eq!((id(&counters), id(&socket)), before);
    for _ in 0..3 {
        server.client().await.command(&["INCR", "id"]).await;
    }
    server.restart().await;
    assert!(server.client().await.command(&["INCR", "id"]).await.integer() > 8);
}

#[tokio::test]
async fn a_server_leaves_the_socket_file_of_its_successor() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("sock");
    let shown = path.display().to_string();
    let mut first = Server::ours(&["--unixsocket", &shown]).await;
    let mut second = Server::ours(&["--unixsocket", &shown]).await;
    assert_eq!(first.stop(DEADLINE).await, 0);
    assert!(path.exists(), "the first server removed the file of the second");
    assert_eq!(second.stop(DEADLINE).await, 0);
    assert!(!path.exists(), "the socket file is left");
}

#[tokio::test]
async fn systemd_is_notified_of_start_and_stop() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let next = || {
        let mut text = [0; 200];
        let length = socket.recv(&mut text).expect("a notification");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let port = free_port().to_string();
    let mut command = Command::new(broker_bin());
    command.args(["--port", &port]).env("NOTIFY_SOCKET", &path);
    let mut process = Process::start(&mut command);
    let ready = next();
    assert!(ready.contains("READY=1") && ready.contains("STATUS=Ready"), "{ready}");
    process.terminate();
    let stopping = next();
    assert!(stopping.contains("STOPPING=1") && stopping.contains("STATUS="), "{stopping}");
    assert_eq!(process.exited(DEADLINE).await.code(), Some(0));
}

#[tokio::test]
async fn settings_with_a_promise_of_security_or_other_servers_are_refused() {
    for (arguments, expected) in [
        (&["--cluster-enabled", "yes"][..], "'cluster-enabled' is refused: there is no cluster"),
        (&["--loadmodule", "/x.so"], "'loadmodule' is refused: modules cannot be loaded"),
    ] {
        refused(arguments, &["FATAL CONFIG FILE ERROR", expected]).await;
    }
    refused(&["--tls-key-file-pass", "x"], &["keys with a password cannot be read"]).await;
    refused(&["--sentinel"], &["this program is no Sentinel"]).await;
    refused(&["--port", "0"], &["configured to listen nowhere"]).await;
}

#[tokio::test]
async fn a_promise_that_is_not_kept_is_a_warning_and_an_error_of_config_set() {
    let mut server = Server::ours(&["--appendonly", "yes", "--loglevel", "warning"]).await;
    let mut client = server.client().await;
    let warned = |text: &str| text.contains("'appendonly").then(|| text.to_owned());
    let log = server.process().stdout_with(Duration::from_secs(10), warned).await;
    assert!(log.contains("keys are lost at a restart"), "{log}");

    for name in ["save", "appendonly"] {
        let value = client.command(&["CONFIG", "GET", name]).await;
        let expected = if name == "save" { "" } else { "no" };
        assert_eq!(value, harness::array![name, expected]);
    }
    let reply = client.command(&["CONFIG", "SET", "appendonly", "yes"]).await;
    assert!(reply.is_error() && format!("{reply:?}").contains("nothing is written to disk"));
}

#[tokio::test]
async fn a_socket_file_that_cannot_be_opened_is_no_error_of_the_port() {
    let arguments = ["--port", "any", "--unixsocket", "/nowhere/sock"];
    let Finished { code, stdout, stderr } = ended(&arguments).await;
    assert_eq!(code, Some(1));
    let expected = "cannot listen on /nowhere/sock: no such file or directory";
    assert!(stderr.contains(expected), "{stderr}");
    assert!(!stdout.contains("Failed listening on port"), "{stdout}");
}

#[tokio::test]
async fn an_error_in_the_users_is_shown_as_it_is() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("users.acl");
    fs::write(&file, "# comment\nuser ann on\nuser ann off\n").expect("a file");
    let Finished { code, stderr, .. } =
        ended(&["--port", "any", "--aclfile", &file.display().to_string()]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("WARNING: Duplicate user 'ann' found on line 3."), "{stderr}");
}

#[tokio::test]
async fn keys_that_are_not_loaded_or_saved_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("dump.rdb"), "REDIS0011").expect("a file");
    let server = Server::ours(&["--dir", &dir.path().display().to_string()]).await;
    let warning = "/dump.rdb are not loaded: nothing is written to disk";
    eventually(async || server.stdout().contains(warning)).await;
    let mut client = server.client().await;
    let refused = client.command(&["SHUTDOWN", "SAVE"]).await;
    assert_eq!(refused, error("ERR Errors trying to SHUTDOWN. Check logs."));
    let refused = client.command(&["SHUTDOWN", "ABORT"]).await;
    assert_eq!(refused, error("ERR No shutdown in progress."));
    let reason = "without counters-file nothing can be saved";
    eventually(async || server.stdout().contains(reason)).await;
    assert!(!server.stdout().contains("aborted"), "{}", server.stdout());
}

#[tokio::test]
async fn config_get_returns_each_setting_once_however_many_patterns_match_it() {
    let server = Server::ours(&[]).await;
    let mut client = server.client().await;
    let all = client.command(&["CONFIG", "GET", "*"]).await;
    let mut words = vec!["CONFIG", "GET", "max*", "MAXCLIENTS", "*"];
    words.resize(10_000, "*");
    let same = client.command(&words).await;
    let names = |reply: harness::Reply| {
        let names = reply.items().chunks(2).map(|two| two[0].text().to_ascii_lowercase());
        names.collect::<BTreeSet<_>>()
    };
    assert_eq!(same.items().len(), all.items().len());
    assert_eq!(names(same), names(all));
}
