//! The systems under test: the servers that are measured.

use std::io;
use std::path::Path;

/// A server that the tool can start.
#[derive(Clone, Debug)]
pub(crate) struct SystemUnderTest {
    pub(crate) name: String,
    /// The words of the command; `{port}` and `{payload}` are replaced.
    pub(crate) command: Vec<String>,
    /// Whether this is the relay that parses nothing.
    pub(crate) is_baseline: bool,
    /// Whether its threads are pinned to one processor.
    pub(crate) is_pinned: bool,
}

/// Returns the servers, first the one that the others are compared with. `broker` is the path of
/// our program.
///
/// A server with two threads on two processors has more processor time, so it waits more often and
/// handles fewer messages per wake-up. The `full` measurement therefore adds the same server on one
/// processor, which shows the cost of the second thread alone.
pub(crate) fn all(broker: Option<&Path>, full: bool) -> io::Result<Vec<SystemUnderTest>> {
    let own = std::env::current_exe()?;
    let broker = broker.map_or_else(|| own.with_file_name("broker"), Path::to_path_buf);
    let (broker, own) = (broker.display().to_string(), own.display().to_string());
    // Output limits and client limits would end some scenarios early.
    let limits = ["--client-output-buffer-limit", "pubsub 0 0 0", "--maxclients", "20000"];
    let ours = |threads: &str| {
        let words = [&broker, "--port", "{port}", "--io-threads", threads, "--loglevel", "nothing"];
        words.into_iter().chain(limits).map(str::to_owned).collect()
    };
    let redis = ["redis-server", "--port", "{port}", "--save", "", "--appendonly", "no"];
    let baseline = [&own, "--baseline-port", "{port}", "--baseline-payload", "{payload}"];
    let system = |name: &str, command: Vec<String>| SystemUnderTest {
        name: name.to_owned(),
        command,
        is_baseline: false,
        is_pinned: true,
    };
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let mut all = vec![
        system("redis", words(&[&redis[..], &limits].concat())),
        system("ours", ours("1")),
        SystemUnderTest { is_pinned: false, ..system("ours-2", ours("2")) },
        SystemUnderTest {
            is_baseline: true,
            ..system("baseline", baseline.map(str::to_owned).to_vec())
        },
    ];
    if full {
        all.insert(2, system("ours-2-pinned", ours("2")));
    }
    Ok(all)
}

/// Returns the process of web servers whose backplanes use the server on this port. The tool starts
/// and measures it like a server.
pub(crate) fn cluster(server_port: u16) -> io::Result<SystemUnderTest> {
    let own = std::env::current_exe()?.display().to_string();
    let url = format!("redis://127.0.0.1:{server_port}");
    let command =
        [&own, "--cluster-port", "{port}", "--cluster-url", &url].map(str::to_owned).to_vec();
    Ok(SystemUnderTest {
        name: "cluster".to_owned(),
        command,
        is_baseline: false,
        is_pinned: false,
    })
}

/// Parses the value of `--server`, `NAME=COMMAND`.
pub(crate) fn parse(text: &str) -> Result<SystemUnderTest, String> {
    let Some((name, command)) = text.split_once('=') else {
        return Err("expects NAME=COMMAND, as in valkey='valkey-server --port {port}'".to_owned());
    };
    let command: Vec<String> = command.split_ascii_whitespace().map(str::to_owned).collect();
    if !command.iter().any(|word| word.contains("{port}")) {
        return Err("expects {port} where the command takes the port to listen on".to_owned());
    }
    Ok(SystemUnderTest { name: name.to_owned(), command, is_baseline: false, is_pinned: true })
}
