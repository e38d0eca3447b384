//! The servers that are measured.

use std::io;
use std::path::Path;

/// A server that can be started.
#[derive(Clone, Debug)]
pub(crate) struct SystemUnderTest {
    pub(crate) name: String,
    /// The words of the command; `{port}` and `{payload}` are replaced.
    pub(crate) command: Vec<String>,
    /// Whether it is the relay that cannot do more than relay.
    pub(crate) is_baseline: bool,
    /// Whether it is kept to one processor.
    pub(crate) is_pinned: bool,
}

/// Returns the servers, the one that others are compared with first. `broker` is ours.
///
/// A server with two threads has more processor time to itself than one that is kept to one
/// processor, so it waits more often, and takes less at a time. What the second thread itself costs
/// is shown by the same server on one processor, which belongs to the `full` measurement.
pub(crate) fn all(broker: Option<&Path>, full: bool) -> io::Result<Vec<SystemUnderTest>> {
    let own = std::env::current_exe()?;
    let broker = broker.map_or_else(|| own.with_file_name("broker"), Path::to_path_buf);
    let (broker, own) = (broker.display().to_string(), own.display().to_string());
    // Limits are not what is measured.
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

/// A cluster of backplanes on the server of this port. It is led like one more server.
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

/// Reads `NAME=COMMAND`.
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
