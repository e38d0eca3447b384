//! All commands of a server, each with arguments that it accepts: cases for other modules.
//!
//! The names come from the server, so a new command is covered without a change here. A command
//! without a row in [`ARGUMENTS`] gets as many placeholders as its arity demands. Most commands
//! accept those. The others return an error, which is a reply like any other.

use std::collections::BTreeMap;
use std::fmt;

use harness::{Client, Protocol, Value, free_port};

/// A request that runs one command or subcommand.
#[derive(Clone)]
pub(super) struct Call(Vec<String>);

impl Call {
    /// Returns the words of the request.
    pub(super) fn words(&self) -> &[String] {
        &self.0
    }

    /// Returns true when the request runs this command; a subcommand is named `script|kill`.
    pub(super) fn runs(&self, name: &str) -> bool {
        let mut words = self.0.iter();
        name.split('|').all(|part| words.next().is_some_and(|word| word == part))
    }
}

/// As a command line, for messages of failing tests.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Returns calls of all commands and subcommands that the server lists.
///
/// # Panics
///
/// When the replies to `COMMAND` do not have the form that Redis documents.
pub(super) async fn all_calls(client: &mut Client) -> Vec<Call> {
    let names = client.command(&["COMMAND", "LIST"]).await;
    let names = names.items().iter().map(Value::text);
    let request: Vec<&str> = ["COMMAND", "INFO"].into_iter().chain(names).collect();
    let commands = client.command(&request).await;
    let all = commands.items().iter().flat_map(|command| {
        let subcommands = command.items()[SUBCOMMANDS].items();
        [command].into_iter().chain(subcommands)
    });
    // The list may contain a subcommand both by itself and in its command.
    let arities: BTreeMap<&str, i64> =
        all.map(|command| (command.items()[0].text(), command.items()[1].integer())).collect();
    arities.into_iter().flat_map(|(name, arity)| calls(name, arity)).collect()
}

/// Returns false when our decoder cannot read the reply to this call.
pub(super) fn is_readable(call: &Call, protocol: Protocol) -> bool {
    // A copy of all keys follows, which is no reply of the protocol.
    let is_copy = call.runs("sync") || call.runs("psync");
    // In RESP3 the reply to a bare COMMAND contains maps in a set.
    !is_copy && (protocol == Protocol::Resp2 || call.0 != ["command"])
}

/// Returns the calls of one command or subcommand.
fn calls(name: &str, arity: i64) -> Vec<Call> {
    let named = ARGUMENTS.iter().filter(|(row, _)| *row == name).map(|(_, arguments)| *arguments);
    let mut lists: Vec<Vec<&str>> =
        named.map(|arguments| arguments.split_whitespace().collect()).collect();
    if lists.is_empty() {
        let words = usize::try_from(arity.abs()).expect("an arity is a small number");
        lists.push(vec![PLACEHOLDER; words.saturating_sub(name.split('|').count())]);
    }
    lists.into_iter().map(|arguments| call(name, &arguments)).collect()
}

fn call(name: &str, arguments: &[&str]) -> Call {
    let words = name.split('|').chain(arguments.iter().copied());
    Call(
        words
            .map(|word| if word == "PORT" { free_port().to_string() } else { word.into() })
            .collect(),
    )
}

/// Valid as a key, a channel, a pattern, a number, a database and a time.
const PLACEHOLDER: &str = "1";

/// The index of the subcommands in a row of `COMMAND INFO`.
const SUBCOMMANDS: usize = 9;

/// Arguments by command, where placeholders would be refused or too little would happen. `PORT`
/// stands for a free port. Each row is a call of its own, so a command may have several.
const ARGUMENTS: &[(&str, &str)] = &[
    ("acl|deluser", "nobody"),
    ("acl|dryrun", "default get k"),
    ("acl|getuser", "default"),
    ("acl|log", ""),
    ("acl|log", "reset"),
    ("acl|setuser", "ann on nopass +@all"),
    ("auth", "default x"),
    ("client|caching", "yes"),
    ("client|kill", "id 999999999"),
    ("client|no-evict", "on"),
    ("client|no-touch", "on"),
    // `OFF` and `SKIP` leave out replies, so there would be nothing to count.
    ("client|reply", "on"),
    ("client|setinfo", "lib-name tests"),
    ("client|tracking", "on"),
    ("client|tracking", "on bcast"),
    ("client|tracking", "off"),
    ("command", ""),
    ("command|docs", "get"),
    ("command|getkeys", "get k"),
    ("command|getkeysandflags", "get k"),
    // Without key specifications: in RESP3 these are maps in a set, which our decoder cannot read.
    ("command|info", "ping"),
    ("config|get", "port"),
    ("config|rewrite", ""),
    ("config|set", "maxclients 9000"),
    ("config|set", "port PORT"),
    ("copy", "k l"),
    ("debug", "flushall"),
    ("debug", "object k"),
    ("debug", "populate 3"),
    ("debug", "protocol attrib"),
    // Not `protocol push`: as in Redis, its sample of a push stands within the reply of EXEC.
    ("debug", "protocol string"),
    ("debug", "reload"),
    ("debug", "set-active-expire 1"),
    ("debug", "sleep 0"),
    ("eval", "return{redis.call('incr','k')} 0"),
    ("eval", "return{redis.call('publish','1','m')} 0"),
    ("eval_ro", "return{redis.call('get','k')} 0"),
    ("evalsha", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0"),
    ("evalsha_ro", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0"),
    ("flushall", ""),
    ("flushall", "async"),
    ("getex", "k ex 100"),
    ("hello", ""),
    ("info", ""),
    ("info", "everything"),
    ("mset", "k v l w"),
    ("pubsub|replay", "1 0123456789abcdef 0"),
    ("replicaof", "no one"),
    ("scan", "0"),
    ("script|debug", "no"),
    ("script|load", "return{1}"),
    ("set", "k v get ex 100"),
    ("shutdown", "nosave"),
    ("slaveof", "no one"),
    ("slowlog|get", "1"),
];
