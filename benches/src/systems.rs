//! The systems under test: the servers that are measured.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use crate::protocol::Protocol;
use crate::subprotocol::Subprotocol;
use crate::tls::Tls;

/// A server that the tool can start.
#[derive(Clone, Debug)]
pub(crate) struct SystemUnderTest {
    pub(crate) name: String,
    /// The words of the command; `{port}` and `{payload}` are replaced.
    pub(crate) command: Vec<String>,
    pub(crate) protocol: Protocol,
    /// The texts of its WebSocket clients; `None` for a server of channels.
    pub(crate) subprotocol: Option<Subprotocol>,
    /// A server that this one uses. The tool starts it first; `{companion}` is its port.
    pub(crate) companion: Option<Box<Self>>,
    /// The certificate of a server that speaks TLS.
    pub(crate) tls: Option<Tls>,
    /// Whether this is a relay that parses nothing.
    pub(crate) is_baseline: bool,
    /// Whether its threads are pinned to one processor.
    pub(crate) is_pinned: bool,
}

/// The servers to measure.
pub(crate) struct Choice<'a> {
    /// The path of our program.
    pub(crate) broker: Option<&'a Path>,
    /// The folder with the programs of other servers; `None` leaves them out.
    pub(crate) peers: Option<&'a Path>,
    /// Whether our server with two threads also runs on one processor.
    pub(crate) full: bool,
    /// Whether the servers speak TLS. Only those of Redis' protocol can.
    pub(crate) tls: bool,
}

/// Returns the servers, first the one that the others are compared with. Other servers than these
/// are left out if their programs are missing.
///
/// A server with two threads on two processors has more processor time, so it waits more often and
/// handles fewer messages per wake-up. The `full` measurement therefore adds the same server on one
/// processor, which shows the cost of the second thread alone.
pub(crate) fn all(choice: &Choice<'_>) -> io::Result<Vec<SystemUnderTest>> {
    let &Choice { broker, peers, full, tls } = choice;
    let own = env::current_exe()?;
    let broker = broker.map_or_else(|| own.with_file_name("broker"), Path::to_path_buf);
    let (broker, own) = (broker.display().to_string(), own.display().to_string());
    let ours = |name: &str, threads: &str| ours(name, &broker, threads);
    let redis = |program: &str| {
        let words = [program, "--port", "{port}", "--save", "", "--appendonly", "no"];
        words.into_iter().chain(LIMITS).map(str::to_owned).collect::<Vec<_>>()
    };
    let baseline = [&own, "--baseline-port", "{port}", "--baseline-payload", "{payload}"];
    let mut all = vec![system("redis", redis("redis-server"))];
    if let Some(dir) = peers {
        if let Some(program) = program(dir, "redis-server-8.2", None) {
            all.push(system("redis-8", redis(&program)));
        }
        if let Some(program) = program(dir, "valkey-server-9.1", Some("valkey-server")) {
            let threads = ["--io-threads", "2"].map(str::to_owned);
            let two = [redis(&program), threads.to_vec()].concat();
            all.push(system("valkey", redis(&program)));
            all.push(SystemUnderTest { is_pinned: false, ..system("valkey-2", two) });
        }
        if let Some(program) = program(dir, "nats-server-2.15", Some("nats-server")) {
            let words = [&program, "-a", "127.0.0.1", "-p", "{port}"];
            all.push(system("nats", words.map(str::to_owned).to_vec()));
        }
    }
    all.push(ours("ours", "1"));
    if full {
        all.push(ours("ours-2-pinned", "2"));
    }
    all.push(SystemUnderTest { is_pinned: false, ..ours("ours-2", "2") });
    if tls {
        all.retain(|system| system.protocol == Protocol::Redis);
        let tls = Tls::new()?;
        for system in &mut all {
            system.command.extend(tls.words());
            system.tls = Some(tls.clone());
        }
        return Ok(all);
    }
    all.push(SystemUnderTest {
        is_baseline: true,
        ..system("baseline", baseline.map(str::to_owned).to_vec())
    });
    all.extend(hubs(&own, ours("broker", "1")));
    Ok(all)
}

/// Returns our broker with this number of threads.
pub(crate) fn ours(name: &str, broker: &str, threads: &str) -> SystemUnderTest {
    let words = [broker, "--port", "{port}", "--io-threads", threads, "--loglevel", "nothing"];
    system(name, words.into_iter().chain(LIMITS).map(str::to_owned).collect())
}

/// Returns a server of WebSocket clients.
pub(crate) fn hub(name: &str, subprotocol: Subprotocol, words: &[&str]) -> SystemUnderTest {
    let words = words.iter().copied().map(str::to_owned).collect();
    SystemUnderTest { subprotocol: Some(subprotocol), ..system(name, words) }
}

/// Returns the servers of a hub, and those that are compared with them. Servers for Node.js are left
/// out if Node.js or their packages are missing.
fn hubs(own: &str, broker: SystemUnderTest) -> Vec<SystemUnderTest> {
    let floor = |name, kind| {
        let words = [own, "--floor-port", "{port}", "--floor", kind];
        SystemUnderTest { is_baseline: true, ..hub(name, Subprotocol::Relay, &words) }
    };
    let over_broker =
        [own, "--hub-port", "{port}", "--hub-broker", "redis://127.0.0.1:{companion}"];
    let mut all = vec![
        floor("floor-plain", "plain"),
        floor("floor-gathering", "gathering"),
        hub("ours-embedded", Subprotocol::SignalR, &[own, "--hub-port", "{port}"]),
        SystemUnderTest {
            companion: Some(Box::new(broker)),
            ..hub("ours-broker", Subprotocol::SignalR, &over_broker)
        },
    ];
    let packages = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = packages.with_file_name("tests").join("clients/node/node_modules");
    let scripts = [
        ("ws", "ws.mjs", Subprotocol::Relay),
        ("socket.io", "socketio.mjs", Subprotocol::SocketIo),
    ];
    for (package, script, subprotocol) in scripts {
        if packages.join(package).is_dir()
            && let Some(node) = installed("node")
        {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script);
            let words = [&node, &*script.to_string_lossy(), "{port}"];
            all.push(hub(package, subprotocol, &words));
        }
    }
    all
}

/// Settings of all servers with Redis' directives. Limits of output and clients would end some
/// scenarios early.
const LIMITS: [&str; 4] = ["--client-output-buffer-limit", "pubsub 0 0 0", "--maxclients", "20000"];

/// Returns a pinned server. The name decides about its protocol.
fn system(name: &str, command: Vec<String>) -> SystemUnderTest {
    let protocol = if name.starts_with("nats") { Protocol::Nats } else { Protocol::Redis };
    SystemUnderTest {
        name: name.to_owned(),
        command,
        protocol,
        subprotocol: None,
        companion: None,
        is_baseline: false,
        is_pinned: true,
        tls: None,
    }
}

/// Returns a program of the folder, or else one that is installed on the machine, or `None`.
fn program(dir: &Path, name: &str, installed: Option<&'static str>) -> Option<String> {
    let fetched = dir.join(name);
    if fetched.is_file() {
        return Some(fetched.display().to_string());
    }
    installed.and_then(self::installed)
}

/// Returns the name of a program if it is installed on the machine.
fn installed(name: &str) -> Option<String> {
    let path = env::var_os("PATH")?;
    let is_installed = env::split_paths(&path).any(|dir| dir.join(name).is_file());
    is_installed.then(|| name.to_owned())
}

/// Returns the folder into which `cargo xtask peers` fetches other servers.
pub(crate) fn peers_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("peers/bin")
}

/// Returns the process of web servers whose backplanes use the server on this port. The tool starts
/// and measures it like a server.
pub(crate) fn cluster(server_port: u16) -> io::Result<SystemUnderTest> {
    let own = env::current_exe()?.display().to_string();
    let url = format!("redis://127.0.0.1:{server_port}");
    let command =
        [&own, "--cluster-port", "{port}", "--cluster-url", &url].map(str::to_owned).to_vec();
    Ok(SystemUnderTest { is_pinned: false, ..system("cluster", command) })
}

/// Parses the value of `--server`, `NAME=COMMAND`. A name that begins with `nats` is that of a NATS
/// server.
pub(crate) fn parse(text: &str) -> Result<SystemUnderTest, String> {
    let Some((name, command)) = text.split_once('=') else {
        return Err("expects NAME=COMMAND, as in valkey='valkey-server --port {port}'".to_owned());
    };
    let command: Vec<String> = command.split_ascii_whitespace().map(str::to_owned).collect();
    if !command.iter().any(|word| word.contains("{port}")) {
        return Err("expects {port} where the command takes the port to listen on".to_owned());
    }
    Ok(system(name, command))
}
