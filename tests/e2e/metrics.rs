//! The HTTP port: metrics for Prometheus, and checks for those who watch the process.

use harness::{Certificates, Client, Value, eventually, free_port, ok, request, simple};
use tokio::net::TcpStream;

use super::http_site::HttpSite;

impl HttpSite {
    /// Returns the value of a metric with its labels, such as `redis_db_keys{db="db0"}`.
    async fn metric(&self, name: &str) -> Option<f64> {
        let (head, body) = self.get("/metrics", "").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let line = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(|value| value.parse().expect("a number"))
    }
}

#[tokio::test]
async fn metrics_are_the_figures_of_info() {
    let watched = HttpSite::start(&["--maxclients", "77"]).await;
    let mut client = watched.server.client().await;
    assert_eq!(client.command(&["SET", "k", "v", "EX", "100"]).await, ok());
    assert_eq!(client.command(&["SELECT", "3"]).await, ok());
    assert_eq!(client.command(&["SET", "k", "v"]).await, ok());
    assert!(client.command(&["SET", "k"]).await.is_error());
    let mut subscriber = watched.server.client().await;
    subscriber.subscribe(&["news"]).await;
    assert_eq!(client.publish("news", "x").await, 1);
    for (name, expected) in [
        ("redis_up", 1.0),
        ("redis_connected_clients", 2.0),
        ("redis_max_clients", 77.0),
        ("redis_pubsub_channels", 1.0),
        ("redis_db_keys{db=\"db0\"}", 1.0),
        ("redis_db_keys_expiring{db=\"db0\"}", 1.0),
        ("redis_db_keys{db=\"db3\"}", 1.0),
        ("redis_commands_total{cmd=\"set\"}", 2.0),
        ("redis_commands_rejected_calls_total{cmd=\"set\"}", 1.0),
        ("redis_commands_latencies_usec_count{cmd=\"set\"}", 2.0),
        ("redis_commands_latencies_usec_bucket{cmd=\"set\",le=\"+Inf\"}", 2.0),
        ("redis_latency_percentiles_usec_count{cmd=\"set\"}", 2.0),
        ("redis_errors_total{err=\"ERR\"}", 1.0),
        ("broker_messages_published_total", 1.0),
        ("broker_messages_delivered_total", 1.0),
    ] {
        assert_eq!(watched.metric(name).await, Some(expected), "{name}");
    }
    assert!(watched.metric("redis_memory_used_rss_bytes").await > Some(1e6));
    assert!(watched.metric("broker_worker_busy_seconds_total{worker=\"0\"}").await > Some(0.0));
    assert_eq!(watched.metric("broker_reload_success").await, Some(1.0));
    let ends = async |reason| {
        watched.metric(&format!("broker_disconnections_total{{reason=\"{reason}\"}}")).await
    };
    // Some come from the start of the server.
    let (quit, closed) = (ends("quit").await, ends("closed").await.expect("a number"));
    assert_eq!(quit, Some(0.0));
    assert_eq!(client.command(&["QUIT"]).await, ok());
    drop(subscriber);
    let expected = (Some(1.0), Some(closed + 1.0));
    eventually(async || (ends("quit").await, ends("closed").await) == expected).await;
}

#[tokio::test]
async fn handshakes_of_tls_are_counted_by_their_result() {
    let (certificates, tls_port) = (Certificates::new(), free_port());
    let flags = certificates.flags(tls_port);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let watched = HttpSite::start(&flags).await;
    let count = async |result| {
        watched.metric(&format!("broker_tls_handshakes_total{{result=\"{result}\"}}")).await
    };
    let before = count("failed").await.expect("a number");
    let tunnel = certificates.tunnel(tls_port, Some("client")).await;
    let mut client = Client::connect(tunnel.port()).await;
    assert_eq!(client.command(&["PING"]).await, simple("PONG"));
    Client::connect(tls_port).await.send_until_closed(b"PING\r\n").await;
    let expected = (Some(1.0), Some(before + 1.0));
    eventually(async || (count("established").await, count("failed").await) == expected).await;
}

/// Each metric has a help text and a kind once, before its values, and each value is a number.
#[tokio::test]
async fn metrics_have_the_format_of_prometheus() {
    let watched = HttpSite::start(&["--slowlog-log-slower-than", "0"]).await;
    let mut client = watched.server.client().await;
    assert_eq!(client.command(&["CONFIG", "SET", "latency-monitor-threshold", "1"]).await, ok());
    // The first word of an error becomes a label.
    let failing = ["EVAL", "return redis.error_reply('A\"B\\\\C text')", "0"];
    assert!(client.command(&failing).await.is_error());
    let (head, body) = watched.get("/metrics", "").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let mut known: Vec<&str> = Vec::new();
    let mut lines = body.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').expect("a help text");
            assert!(!known.contains(&name) && text.ends_with('.'), "{line}");
            known.push(name);
            let kind = lines.next().expect("a kind");
            let kind = kind.strip_prefix(&format!("# TYPE {name} ")).expect("a kind");
            assert!(["counter", "gauge", "histogram", "summary"].contains(&kind), "{kind}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = name.split('{').next().expect("a name");
        let current = known.last().expect("a help text");
        let rest = name.strip_prefix(current).expect("the name of the help text");
        assert!(["", "_bucket", "_sum", "_count"].contains(&rest), "{line}");
    }
    assert!(known.len() > 80, "{known:?}");
}

/// The names in the alerts and the dashboard exist.
#[tokio::test]
async fn alerts_and_the_dashboard_use_metrics_that_exist() {
    let watched = HttpSite::start(&[]).await;
    let (_, body) = watched.get("/metrics", "").await;
    let known = |name: &str| body.contains(&format!("# TYPE {name} "));
    let mut found = 0;
    for file in [
        include_str!("../../packaging/prometheus/broker.rules.yml"),
        include_str!("../../packaging/grafana/broker.json"),
    ] {
        let words = file.split(|each: char| !each.is_ascii_alphanumeric() && each != '_');
        for name in words.filter(|word| word.starts_with("redis_") || word.starts_with("broker_")) {
            // Without TLS, there is no certificate.
            assert!(known(name) || name.starts_with("redis_tls_"), "{name}");
            found += 1;
        }
    }
    assert!(found > 20, "{found}");
}

#[tokio::test]
async fn metrics_need_the_token_of_the_settings() {
    let watched = HttpSite::start(&["--http-token", "secret"]).await;
    for (headers, status) in [
        ("", "401"),
        ("authorization: Bearer wrong\r\n", "401"),
        ("authorization: Basic secret\r\n", "401"),
        ("authorization: Bearer secret\r\n", "200"),
    ] {
        let (head, body) = watched.get("/metrics", headers).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(body.contains("redis_up 1"), status == "200");
    }
    for path in ["/healthz", "/readyz"] {
        assert!(watched.get(path, "").await.0.starts_with("HTTP/1.1 200 "), "{path}");
    }
    assert!(watched.get("/other", "").await.0.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn a_late_script_keeps_neither_metrics_nor_checks_waiting() {
    let watched = HttpSite::start(&["--busy-reply-threshold", "1"]).await;
    let mut client = watched.server.client().await;
    assert_eq!(client.command(&["SET", "k", "v"]).await, ok());
    assert_eq!(watched.metric("redis_db_keys{db=\"db0\"}").await, Some(1.0));
    client.send_raw(&request(&["EVAL", "while true do end", "0"])).await;
    let mut operator = watched.server.client().await;
    eventually(async || operator.command(&["PING"]).await.is_error()).await;
    assert_eq!(watched.metric("redis_connected_clients").await, Some(2.0));
    assert_eq!(watched.metric("redis_db_keys{db=\"db0\"}").await, Some(1.0));
    assert!(watched.get("/healthz", "").await.0.starts_with("HTTP/1.1 200 "));
    assert_eq!(operator.command(&["SCRIPT", "KILL"]).await, ok());
}

#[tokio::test]
async fn the_port_is_a_setting_of_the_start() {
    let watched = HttpSite::start(&[]).await;
    let mut client = watched.server.client().await;
    let shown = client.command(&["CONFIG", "GET", "http-port", "http-bind", "http-token"]).await;
    let port = watched.port.to_string();
    for field in [("http-port", port.as_str()), ("http-bind", "127.0.0.1 -::1"), ("http-token", "")]
    {
        let known: Vec<&str> = shown.items().iter().map(Value::text).collect();
        assert!(known.chunks(2).any(|pair| pair == [field.0, field.1]), "{known:?}");
    }
    assert!(client.command(&["CONFIG", "SET", "http-port", "0"]).await.is_error());
    assert_eq!(client.command(&["CONFIG", "SET", "http-token", "t"]).await, ok());
    assert!(watched.get("/metrics", "").await.0.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn a_drain_is_not_ready_and_alive() {
    let watched = HttpSite::start(&[]).await;
    let mut operator = watched.server.client().await;
    for (command, ready, draining) in
        [(&["SHUTDOWN", "DRAIN", "4000000"][..], "503", 1.0), (&["SHUTDOWN", "ABORT"], "200", 0.0)]
    {
        assert_eq!(operator.command(command).await, ok());
        let (head, _) = watched.get("/readyz", "").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {ready} ")), "{head}");
        assert!(watched.get("/healthz", "").await.0.starts_with("HTTP/1.1 200 "));
        assert_eq!(watched.metric("broker_draining").await, Some(draining));
    }
}

/// More silent sockets than the port serves at once: each is closed after a limit of time.
#[tokio::test]
async fn silent_sockets_do_not_keep_the_port_for_good() {
    let watched = HttpSite::start(&[]).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(("127.0.0.1", watched.port)).await.expect("the port"));
    }
    assert!(watched.get("/healthz", "").await.0.starts_with("HTTP/1.1 200 "));
    let mut client = watched.server.client().await;
    assert_eq!(client.command(&["PING"]).await, simple("PONG"));
}
