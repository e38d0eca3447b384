//! TLS: certificates, their changes, and hostile clients.

use std::net::Ipv4Addr;
use std::time::Instant;

use harness::{
    Certificates, Client, DEADLINE, SLOW_DEADLINE, Server, Tunnel, array, error, eventually,
    eventually_within, free_port, null, ok, request, simple, within,
};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A server with a plain port and one with TLS.
struct Secured {
    server: Server,
    certificates: Certificates,
    tls_port: u16,
    /// For clients with the certificate of the client.
    tunnel: Tunnel,
}

impl Secured {
    async fn start(arguments: &[&str]) -> Self {
        let (certificates, tls_port) = (Certificates::new(), free_port());
        let flags = certificates.flags(tls_port);
        let flags: Vec<&str> =
            flags.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        let server = Server::ours(&flags).await;
        let tunnel = certificates.tunnel(tls_port, Some("client")).await;
        Self { server, certificates, tls_port, tunnel }
    }

    /// Connects a client with TLS.
    async fn client(&self) -> Client {
        Client::connect(self.tunnel.port()).await
    }

    async fn set(&self, name: &str, value: &str) -> harness::Reply {
        self.server.client().await.command(&["CONFIG", "SET", name, value]).await
    }

    /// Returns a field of `INFO everything`.
    async fn info(&self, name: &str) -> String {
        let reply = self.server.client().await.command(&["INFO", "everything"]).await;
        let start = format!("{name}:");
        let field = reply.text().lines().find_map(|line| line.strip_prefix(start.as_str()));
        field.unwrap_or_else(|| panic!("{name} is not in {}", reply.text())).to_owned()
    }

    /// Waits for a line of the log.
    async fn logged(&self, line: &str) {
        eventually(async || self.server.stdout().contains(line)).await;
    }

    fn hang_up(&self) {
        let pid = Pid::from_raw(self.server.pid().cast_signed()).expect("a process id");
        kill_process(pid, Signal::HUP).expect("it runs");
    }
}

#[tokio::test]
async fn clients_with_and_without_tls_reach_each_other() {
    for threads in ["1", "2"] {
        let secured = Secured::start(&["--io-threads", threads]).await;
        let (mut one, mut two) = (secured.client().await, secured.client().await);
        let mut plain = secured.server.client().await;
        one.subscribe(&["news"]).await;
        plain.subscribe(&["news"]).await;
        assert_eq!(two.publish("news", "hello").await, 2);
        one.expect_message("news", "hello").await;
        plain.expect_message("news", "hello").await;
        // Much longer than a record, in both directions.
        let long = vec![b'x'; 1_000_000];
        assert_eq!(two.publish("news", &long).await, 2);
        one.expect_message("news", &long[..]).await;
    }
}

#[tokio::test]
async fn a_pipeline_gets_all_replies() {
    let secured = Secured::start(&[]).await;
    let mut client = secured.client().await;
    let count = 20_000;
    let replies = client.pipeline(&request(&["PING"]).repeat(count), count).await;
    assert!(replies.iter().all(|reply| *reply == simple("PONG")));
}

#[tokio::test]
async fn a_client_that_shuts_its_write_half_down_gets_its_replies() {
    let secured = Secured::start(&[]).await;
    for _ in 0..20 {
        let mut client = secured.client().await;
        client.send_raw(b"PING one\r\nPING two\r\n").await;
        client.close_writing().await;
        assert_eq!(client.read_to_close().await, "$3\r\none\r\n$3\r\ntwo\r\n");
    }
}

#[tokio::test]
async fn a_client_needs_a_certificate_of_the_authority_unless_the_settings_say_otherwise() {
    let secured = Secured::start(&[]).await;
    let stranger = Certificates::new();
    stranger
        .write("ca.crt", &std::fs::read_to_string(secured.certificates.path("ca.crt")).unwrap());
    let nameless = secured.certificates.tunnel(secured.tls_port, None).await;
    let foreign = stranger.tunnel(secured.tls_port, Some("client")).await;
    for (setting, without, with_foreign) in
        [("yes", false, false), ("optional", true, false), ("no", true, true)]
    {
        assert_eq!(secured.set("tls-auth-clients", setting).await, ok());
        assert_eq!(secured.client().await.command(&["PING"]).await, simple("PONG"));
        for (tunnel, is_served) in [(&nameless, without), (&foreign, with_foreign)] {
            let mut client = Client::connect(tunnel.port()).await;
            match is_served {
                true => assert_eq!(client.command(&["PING"]).await, simple("PONG"), "{setting}"),
                false => client.expect_closed().await,
            }
        }
    }
    let start = "Error accepting a client connection: ";
    eventually(async || secured.server.stdout().matches(start).count() >= 3).await;
    let log = secured.server.stdout();
    assert!(log.contains("(addr=127.0.0.1:"), "{log}");
}

#[tokio::test]
async fn a_revoked_certificate_is_refused() {
    let secured = Secured::start(&[]).await;
    secured.certificates.sign_with("revoked", Some(7));
    secured.certificates.revoke(&[7]);
    let revoked = secured.certificates.tunnel(secured.tls_port, Some("revoked")).await;
    let ping = async || Client::connect(revoked.port()).await.command(&["PING"]).await;
    assert_eq!(ping().await, simple("PONG"));
    let list = secured.certificates.file("crl.pem");
    assert_eq!(secured.set("tls-crl-file", &list).await, ok());
    Client::connect(revoked.port()).await.expect_closed().await;
    assert_eq!(secured.client().await.command(&["PING"]).await, simple("PONG"));
    // The client may learn of its end first.
    let reason = "invalid peer certificate: Revoked";
    eventually(async || secured.server.stdout().contains(reason)).await;
    assert_eq!(secured.set("tls-crl-file", "").await, ok());
    assert_eq!(ping().await, simple("PONG"));
}

#[tokio::test]
async fn protected_mode_explains_itself_after_the_handshake() {
    let secured = Secured::start(&[]).await;
    let far = Ipv4Addr::new(127, 0, 0, 2);
    let tunnel = secured.certificates.tunnel_from(far, secured.tls_port, Some("client")).await;
    let text = Client::connect(tunnel.port()).await.read_to_close().await;
    assert!(text.starts_with(b"-DENIED Redis is running in protected mode"), "{text:?}");
    assert_eq!(secured.info("rejected_connections").await, "1");
    assert_eq!(secured.set("protected-mode", "no").await, ok());
    let mut client = Client::connect(tunnel.port()).await;
    assert_eq!(client.command(&["PING"]).await, simple("PONG"));
}

#[tokio::test]
async fn a_certificate_logs_in_the_user_that_it_names() {
    let secured = Secured::start(&["--tls-auth-clients-user", "CN"]).await;
    let mut stranger = secured.client().await;
    assert_eq!(stranger.command(&["ACL", "WHOAMI"]).await, array!["default"].items()[0]);
    let log = stranger.command(&["ACL", "LOG"]).await;
    assert!(format!("{log:?}").contains("tls-cert"), "{log:?}");
    assert_eq!(secured.info("acl_access_denied_tls_cert").await, "1");
    let rules = ["ACL", "SETUSER", "client", "on", "resetpass", "&*", "+@all"];
    assert_eq!(stranger.command(&rules).await, ok());
    let mut known = secured.client().await;
    assert_eq!(known.command(&["ACL", "WHOAMI"]).await, array!["client"].items()[0]);
    assert_eq!(stranger.command(&["ACL", "SETUSER", "client", "off"]).await, ok());
    assert_eq!(
        secured.client().await.command(&["ACL", "WHOAMI"]).await,
        array!["default"].items()[0]
    );
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_changes_nothing() {
    let secured = Secured::start(&[]).await;
    let serial = secured.info("tls_server_cert_serial").await;
    for (name, value, logged) in [
        ("tls-cert-file", "/nowhere", "Failed to load certificate: /nowhere: No such file"),
        ("tls-key-file", "", "No tls-key-file configured!"),
        ("tls-ca-cert-file", "", "Either tls-ca-cert-file or tls-ca-cert-dir must be"),
        ("tls-protocols", "TLSv1.1", "TLS below 1.2 is not offered"),
        ("tls-ciphers", "AES128-SHA", "Failed to configure ciphers: AES128-SHA"),
    ] {
        let expected = format!(
            "ERR CONFIG SET failed (possibly related to argument '{name}') - Unable to update TLS \
             configuration. Check server logs."
        );
        assert_eq!(secured.set(name, value).await, error(&expected));
        eventually(async || secured.server.stdout().contains(logged)).await;
    }
    let refused = secured.set("tls-auth-clients", "maybe").await;
    assert!(refused.text().contains("one of the following: no, yes, optional"), "{refused:?}");
    assert_eq!(secured.info("tls_server_cert_serial").await, serial);
    assert_eq!(secured.client().await.command(&["PING"]).await, simple("PONG"));
}

#[tokio::test]
async fn new_files_come_into_force_without_a_restart() {
    let secured = Secured::start(&[]).await;
    let mut old = secured.client().await;
    assert_eq!(old.command(&["PING"]).await, simple("PONG"));
    let first = secured.info("tls_server_cert_serial").await;

    secured.certificates.sign("server");
    secured.hang_up();
    eventually(async || secured.info("tls_server_cert_serial").await != first).await;
    secured.logged("TLS materials reloaded successfully").await;
    let second = secured.info("tls_server_cert_serial").await;

    secured.certificates.sign("server");
    let certificate = secured.certificates.file("server.crt");
    assert_eq!(secured.set("tls-cert-file", &certificate).await, ok());
    let third = secured.info("tls_server_cert_serial").await;
    assert_ne!(third, second);

    secured.certificates.sign("server");
    assert_eq!(secured.set("tls-auto-reload-interval", "0").await, ok());
    let fourth = secured.info("tls_server_cert_serial").await;
    assert_ne!(fourth, third);
    assert_eq!(secured.set("tls-auto-reload-interval", "1").await, ok());
    secured.certificates.sign("server");
    eventually_within(SLOW_DEADLINE, async || {
        secured.info("tls_server_cert_serial").await != fourth
    })
    .await;

    assert_eq!(old.command(&["PING"]).await, simple("PONG"));
    assert_eq!(secured.client().await.command(&["PING"]).await, simple("PONG"));
}

#[tokio::test]
async fn a_key_of_another_certificate_keeps_the_old_pair_in_force() {
    let secured = Secured::start(&[]).await;
    let serial = secured.info("tls_server_cert_serial").await;
    let other = std::fs::read_to_string(secured.certificates.path("client.key")).unwrap();
    secured.certificates.write("server.key", &other);
    secured.hang_up();
    eventually(async || secured.info("tls_last_reload_status").await == "err").await;
    secured.logged("Background TLS reload failed").await;
    assert_eq!(secured.info("tls_server_cert_serial").await, serial);
    assert_eq!(secured.client().await.command(&["PING"]).await, simple("PONG"));
}

#[tokio::test]
async fn the_port_moves_while_the_server_runs() {
    let secured = Secured::start(&[]).await;
    let mut old = secured.client().await;
    let port = free_port();
    assert_eq!(secured.set("tls-port", &port.to_string()).await, ok());
    assert!(secured.info("listener2").await.starts_with("name=tls,"));
    let tunnel = secured.certificates.tunnel(port, Some("client")).await;
    assert_eq!(Client::connect(tunnel.port()).await.command(&["PING"]).await, simple("PONG"));
    assert!(within(DEADLINE, TcpStream::connect(("127.0.0.1", secured.tls_port))).await.is_err());
    assert_eq!(old.command(&["PING"]).await, simple("PONG"));
    assert_eq!(secured.set("tls-port", "0").await, ok());
    assert!(within(DEADLINE, TcpStream::connect(("127.0.0.1", port))).await.is_err());
    let mut plain = secured.server.client().await;
    assert_eq!(plain.command(&["CONFIG", "SET", "port", "0"]).await, ok());
    assert_eq!(plain.command(&["CONFIG", "SET", "tls-port", &port.to_string()]).await, ok());
    assert_eq!(Client::connect(tunnel.port()).await.command(&["PING"]).await, simple("PONG"));
    assert_eq!(plain.command(&["GET", "nothing"]).await, null());
}

#[tokio::test]
async fn a_subscriber_that_stops_reading_is_closed_and_others_are_not() {
    let secured = Secured::start(&["--client-output-buffer-limit", "pubsub 1mb 0 0"]).await;
    let (mut stuck, mut reader) = (secured.client().await, secured.client().await);
    stuck.subscribe(&["news"]).await;
    reader.subscribe(&["news"]).await;
    let mut publisher = secured.server.client().await;
    let payload = vec![b'x'; 64 * 1024];
    // More than all buffers on the way to the client hold.
    for _ in 0..1_000 {
        publisher.publish("news", &payload).await;
        reader.expect_message("news", &payload[..]).await;
    }
    assert_eq!(secured.info("client_output_buffer_limit_disconnections").await, "1");
}

#[tokio::test]
async fn a_subscriber_that_pauses_misses_nothing() {
    let secured = Secured::start(&["--client-output-buffer-limit", "pubsub 0 0 0"]).await;
    let mut reader = secured.client().await;
    reader.subscribe(&["news"]).await;
    let mut publisher = secured.server.client().await;
    let payload = |number: u8| vec![number; 100_000];
    // More than all buffers on the way to the client hold.
    for number in 0..200 {
        assert_eq!(publisher.publish("news", payload(number)).await, 1);
    }
    for number in 0..200 {
        reader.expect_message("news", &payload(number)[..]).await;
    }
    assert_eq!(publisher.publish("news", "end").await, 1);
    reader.expect_message("news", "end").await;
}

#[tokio::test]
async fn clients_that_never_establish_tls_are_closed_and_keep_no_other_one_out() {
    let secured = Secured::start(&[]).await;
    let mut silent = Vec::new();
    for index in 0..100 {
        let mut stream = TcpStream::connect(("127.0.0.1", secured.tls_port)).await.unwrap();
        if index % 2 == 0 {
            // The begin of a handshake record.
            stream.write_all(&[22, 3, 1, 2]).await.unwrap();
        }
        silent.push(stream);
    }
    assert_eq!(secured.client().await.command(&["PING"]).await, simple("PONG"));
    for mut stream in silent {
        let mut byte = [0];
        let read = within(3 * DEADLINE, stream.read(&mut byte)).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    let places = async || secured.info("connected_clients").await == "1";
    eventually(places).await;
    let log = secured.server.stdout();
    // At most ten lines a second.
    assert!(log.matches("Error accepting a client connection: ").count() < 100, "{log}");
    assert_eq!(secured.client().await.command(&["PING"]).await, simple("PONG"));
}

/// As many handshakes as the server has at once, and some more.
#[tokio::test]
async fn the_oldest_handshake_gives_its_place_to_a_new_client() {
    // Most systems allow 1024.
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).expect("the limit of the system");
    let secured = Secured::start(&[]).await;
    let begin = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..1100 {
        silent.push(TcpStream::connect(("127.0.0.1", secured.tls_port)).await.unwrap());
    }
    assert_eq!(secured.client().await.command(&["PING"]).await, simple("PONG"));
    let is_open = |stream: &TcpStream| {
        let read = stream.try_read(&mut [0]);
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    let oldest = within(DEADLINE, silent[0].read(&mut [0])).await;
    assert!(matches!(oldest, Ok(0) | Err(_)), "{oldest:?}");
    // Only the oldest had to end, as long as the time of the others is not over.
    let open = silent.iter().filter(|stream| is_open(stream)).count();
    assert!(open > 900 || begin.elapsed().as_secs() > 8, "{open}");
}

#[tokio::test]
async fn bytes_that_are_no_tls_end_the_connection() {
    let secured = Secured::start(&[]).await;
    let mut record = vec![22, 3, 3, 0x40, 0];
    record.resize(5 + 0x4000, 0);
    for bytes in [&b"PING\r\n"[..], &[0; 1024], &[0xff; 100_000], &record.repeat(5)] {
        let mut client = Client::connect(secured.tls_port).await;
        client.send_raw(&bytes[..bytes.len().min(1000)]).await;
        client.send_until_closed(bytes).await;
    }
    assert_eq!(secured.client().await.command(&["PING"]).await, simple("PONG"));
}

#[tokio::test]
async fn a_client_beyond_the_limit_is_closed_before_tls() {
    let secured = Secured::start(&["--maxclients", "1"]).await;
    let _plain = secured.server.client().await;
    let mut client = Client::connect(secured.tls_port).await;
    assert_eq!(client.read_to_close().await, "");
}

#[tokio::test]
async fn a_shutdown_sends_the_last_messages_and_its_end() {
    let mut secured = Secured::start(&[]).await;
    let mut reader = secured.client().await;
    reader.subscribe(&["news"]).await;
    let mut publisher = secured.server.client().await;
    for number in 0..100 {
        publisher.publish("news", number.to_string()).await;
    }
    assert_eq!(secured.server.stop(SLOW_DEADLINE).await, 0);
    for number in 0..100 {
        reader.expect_message("news", number.to_string()).await;
    }
    reader.expect_closed().await;
}

#[tokio::test]
async fn a_replica_follows_its_master_over_tls() {
    let secured = Secured::start(&[]).await;
    let mut client = secured.server.client().await;
    client.command(&["SET", "large", &"x".repeat(3 << 20)]).await;
    let of = format!("127.0.0.1 {}", secured.tls_port);
    let file = |name: &str| secured.certificates.file(name);
    let (ca, certificate, key) = (file("ca.crt"), file("client.crt"), file("client.key"));
    let link = ["--replicaof", &of, "--tls-replication", "yes"];
    let authority = ["--tls-ca-cert-file", &ca];
    let own = ["--tls-cert-file", &certificate, "--tls-key-file", &key];
    let replica = Server::ours(&[&link[..], &authority, &own].concat()).await;
    let mut there = replica.client().await;
    let length = async |there: &mut Client| there.command(&["STRLEN", "large"]).await.integer();
    eventually(async || length(&mut there).await == 3 << 20).await;
    client.command(&["APPEND", "large", "y"]).await;
    assert_eq!(client.command(&["WAIT", "1", "10000"]).await.integer(), 1);
    assert_eq!(length(&mut there).await, (3 << 20) + 1);

    // Without a certificate the master refuses it, and it refuses a master of another authority.
    let other = Certificates::new();
    let stranger = other.file("ca.crt");
    for (arguments, reason) in [
        (&[&link[..], &authority].concat(), "no link to the master"),
        (
            &[&link[..], &["--tls-ca-cert-file", &stranger], &own].concat(),
            "invalid peer certificate",
        ),
        (&link.to_vec(), "Either tls-ca-cert-file or tls-ca-cert-dir must be specified"),
    ] {
        let replica = Server::ours(arguments).await;
        eventually(async || replica.stdout().contains(reason)).await;
        let mut there = replica.client().await;
        let info = there.command(&["INFO", "replication"]).await;
        assert!(info.text().contains("master_link_status:down"), "{reason}");
    }
}
