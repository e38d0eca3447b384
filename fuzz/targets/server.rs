//! Any bytes of clients, and any commands with any arguments. Afterwards another client gets its
//! reply.

#![no_main]

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use broker::{Broker, ConfigFile, Server};
use fuzz::{Client, DEADLINE};
use libfuzzer_sys::fuzz_target;

/// Low limits, and all optional features.
const CONFIGURATION: &str = "
port any
bind 127.0.0.1
io-threads 2
busy-reply-threshold 50
client-query-buffer-limit 1mb
maxmemory 200mb
notify-keyspace-events KEA
proto-max-bulk-len 1mb
pubsub-replay * 100 100000 60
";

const CLIENTS: usize = 3;
const STEPS_MAX: usize = 60;

/// Commands that are excluded, since some of their forms stop the server, block all clients or change
/// permissions.
const LEFT_OUT: &[&str] = &["ACL", "CLIENT", "CONFIG", "DEBUG", "SHUTDOWN"];

/// Subcommands. The other commands come from the server.
const SUBCOMMANDS: &[&str] = &[
    "ACL CAT",
    "ACL DRYRUN",
    "ACL GETUSER",
    "ACL LOG",
    "ACL WHOAMI",
    "CLIENT CACHING",
    "CLIENT GETREDIR",
    "CLIENT INFO",
    "CLIENT KILL",
    "CLIENT LIST",
    "CLIENT NO-EVICT",
    "CLIENT REPLY",
    "CLIENT SETINFO",
    "CLIENT SETNAME",
    "CLIENT TRACKING",
    "CLIENT TRACKINGINFO",
    "CLIENT UNBLOCK",
    "COMMAND COUNT",
    "COMMAND DOCS",
    "COMMAND GETKEYS",
    "COMMAND GETKEYSANDFLAGS",
    "COMMAND INFO",
    "COMMAND LIST",
    "CONFIG GET",
    "HELLO 2",
    "HELLO 3",
    "LATENCY HISTORY",
    "LATENCY RESET",
    "MEMORY USAGE",
    "OBJECT ENCODING",
    "OBJECT FREQ",
    "OBJECT IDLETIME",
    "OBJECT REFCOUNT",
    "PUBSUB CHANNELS",
    "PUBSUB NUMSUB",
    "PUBSUB OFFSET",
    "PUBSUB REPLAY",
    "PUBSUB SHARDCHANNELS",
    "PUBSUB SHARDNUMSUB",
    "SCRIPT EXISTS",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "SCRIPT LOAD",
    "SLOWLOG GET",
    "SLOWLOG RESET",
];

const WORDS: &[&str] = &[
    "",
    "a",
    "b",
    "c",
    "channel",
    "p*",
    "[a-",
    "h?llo",
    "\\",
    "0",
    "1",
    "-1",
    "2",
    "10",
    "9223372036854775807",
    "-9223372036854775808",
    "3.5",
    "inf",
    "nan",
    "1e308",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "NX",
    "XX",
    "GT",
    "LT",
    "KEEPTTL",
    "PERSIST",
    "GET",
    "SET",
    "COUNT",
    "MATCH",
    "TYPE",
    "string",
    "REPLACE",
    "DB",
    "ON",
    "OFF",
    "BCAST",
    "PREFIX",
    "REDIRECT",
    "NOLOOP",
    "OPTIN",
    "OPTOUT",
    "YES",
    "NO",
    "SKIP",
    "ID",
    "ADDR",
    "LADDR",
    "USER",
    "MAXAGE",
    "ASYNC",
    "SYNC",
    "default",
    "EPOCH",
    "__keyevent@0__:*",
    "{\"a\":[1,2,{\"b\":null}]}",
    "%d %s %q %5.3f",
    "%b()",
    "(a*)+",
    "%f[%w]",
    ">I2s",
    "\u{0}\u{1}\u{ff}",
];

const SCRIPTS: &[&str] = &[
    "return redis.call('SET', KEYS[1], ARGV[1])",
    "return redis.call(unpack(ARGV))",
    "return redis.pcall('PUBLISH', 'channel', ARGV[1])",
    "return {1, 2, {3, ARGV[1]}, false, {err = ARGV[2]}}",
    "return cjson.encode(cjson.decode(ARGV[1]))",
    "return {cmsgpack.unpack(ARGV[1])}",
    "return {struct.unpack(ARGV[1], ARGV[2])}",
    "return struct.pack(ARGV[1], ARGV[2], ARGV[3])",
    "return string.format(ARGV[1], ARGV[2])",
    "return {string.find(ARGV[1], ARGV[2])}",
    "return string.gsub(ARGV[1], ARGV[2], ARGV[3])",
    "return {bit.tohex(ARGV[1], ARGV[2])}",
    "return load(ARGV[1])",
];

struct Place {
    address: SocketAddr,
    /// Commands for the input to choose from.
    commands: Vec<String>,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let (started, address) = mpsc::channel();
    thread::spawn(move || {
        fuzz::runtime().block_on(async {
            let loaded = ConfigFile::from_text(CONFIGURATION).expect("it is valid");
            let server = Server::bind_loaded(Broker::new(), loaded).await.expect("a free port");
            let address = server.local_addr().expect("it has a TCP port");
            started.send(address).expect("the caller waits");
            server.stop_requested().await;
            panic!("no input stops a server");
        });
    });
    let address = address.recv_timeout(DEADLINE).expect("the server starts");
    Place { address, commands: commands(address) }
});

/// Asks the server for its commands.
fn commands(address: SocketAddr) -> Vec<String> {
    let mut client = Client::connect(address);
    client.send(b"COMMAND LIST\r\nPING\r\n");
    let mut reply = Vec::new();
    while !reply.ends_with(b"+PONG\r\n") {
        reply.extend(client.read(DEADLINE).expect("the server answers"));
    }
    let text = String::from_utf8_lossy(&reply).to_ascii_uppercase();
    let is_name = |line: &&str| line.starts_with(|first: char| first.is_ascii_alphabetic());
    let names = text.lines().filter(is_name).chain(SUBCOMMANDS.iter().copied());
    names.filter(|name| !LEFT_OUT.contains(name)).map(str::to_owned).collect()
}

fuzz_target!(|data: &[u8]| {
    let mut input = Unstructured::new(data);
    let mut clients = [const { None }; CLIENTS];
    for _ in 0..STEPS_MAX {
        if input.is_empty() || step(&mut input, &mut clients).is_err() {
            break;
        }
    }
    clients.into_iter().flatten().for_each(Client::finish);
    // One of the commands may have started a long script.
    let mut other = Client::connect(PLACE.address);
    other.send(b"SCRIPT KILL\r\nPING\r\n");
    other.read_until(b"+PONG\r\n");
});

/// Lets one client send or read.
fn step(input: &mut Unstructured<'_>, clients: &mut [Option<Client>]) -> arbitrary::Result<()> {
    let place = input.choose_index(clients.len())?;
    let client = clients[place].get_or_insert_with(|| Client::connect(PLACE.address));
    let bytes = match input.int_in_range(0..=19)? {
        0 => Vec::arbitrary(input)?,
        1 => {
            let _ = client.read(Duration::from_millis(1));
            return Ok(());
        }
        2..=4 => {
            let mut words = vec![b"EVAL".to_vec(), input.choose(SCRIPTS)?.as_bytes().to_vec()];
            arguments(input, &mut words)?;
            request(&words)
        }
        _ => {
            let name = input.choose(&PLACE.commands)?;
            let mut words = name.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            arguments(input, &mut words)?;
            request(&words)
        }
    };
    if !client.send(&bytes) {
        clients[place] = None;
    }
    Ok(())
}

fn arguments(input: &mut Unstructured<'_>, words: &mut Vec<Vec<u8>>) -> arbitrary::Result<()> {
    for _ in 0..input.int_in_range(0..=6)? {
        words.push(match input.int_in_range(0..=9)? {
            0 => Vec::arbitrary(input)?,
            1 => i64::arbitrary(input)?.to_string().into_bytes(),
            _ => input.choose(WORDS)?.as_bytes().to_vec(),
        });
    }
    Ok(())
}

fn request(words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    resp::request::encode(&mut bytes, words);
    bytes
}
