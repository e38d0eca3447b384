//! The command table: names, arity, flags, keys, documentation. Categories stand in
//! [`crate::acl`], which knows commands that are not here as well.
//!
//! One row a command, in [`table`]; a container such as `CLIENT` has rows of its own for its
//! subcommands. The table says what a command is; what it does is said by [`crate::session`].

pub(crate) mod acl;
pub(crate) mod auth;
pub(crate) mod client;
pub(crate) mod client_list;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod counters;
pub(crate) mod debug;
pub(crate) mod expiry;
pub(crate) mod help;
pub(crate) mod info;
pub(crate) mod info_fields;
pub(crate) mod keys;
pub(crate) mod latency;
pub(crate) mod monitor;
pub(crate) mod pubsub;
pub(crate) mod replay;
pub(crate) mod scan;
pub(crate) mod script;
#[cfg(feature = "lua")]
pub(crate) mod script_client;
pub(crate) mod server;
pub(crate) mod slowlog;
pub(crate) mod strings;
mod table;

use std::sync::LazyLock;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

pub(crate) use self::table::COMMANDS;

/// A command that a session can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    AclCat,
    AclDelUser,
    AclDryRun,
    AclGenPass,
    AclGetUser,
    AclHelp,
    AclList,
    AclLoad,
    AclLog,
    AclSave,
    AclSetUser,
    AclUsers,
    AclWhoAmI,
    Append,
    Auth,
    ClientCaching,
    ClientGetName,
    ClientGetRedir,
    ClientHelp,
    ClientId,
    ClientInfo,
    ClientKill,
    ClientList,
    ClientNoEvict,
    ClientNoTouch,
    ClientPause,
    ClientReply,
    ClientSetInfo,
    ClientSetName,
    ClientTracking,
    ClientTrackingInfo,
    ClientUnblock,
    ClientUnpause,
    Cluster,
    ConfigGet,
    ConfigHelp,
    ConfigResetStat,
    ConfigRewrite,
    ConfigSet,
    /// A name that only groups its subcommands.
    Container,
    Copy,
    DbSize,
    Debug,
    Decr,
    DecrBy,
    Del,
    Discard,
    Echo,
    Eval,
    EvalRo,
    EvalSha,
    EvalShaRo,
    Exec,
    Exists,
    Expire,
    ExpireAt,
    ExpireTime,
    Failover,
    FlushAll,
    FlushDb,
    Get,
    GetDel,
    GetEx,
    GetRange,
    GetSet,
    Hello,
    Incr,
    IncrBy,
    IncrByFloat,
    Info,
    Keys,
    LatencyDoctor,
    LatencyGraph,
    LatencyHelp,
    LatencyHistogram,
    LatencyHistory,
    LatencyLatest,
    LatencyReset,
    Lolwut,
    MGet,
    MSet,
    MSetNx,
    MemoryDoctor,
    MemoryHelp,
    MemoryMallocStats,
    MemoryPurge,
    MemoryStats,
    MemoryUsage,
    Monitor,
    Move,
    Multi,
    Object,
    ObjectHelp,
    PExpire,
    PExpireAt,
    PExpireTime,
    PSetEx,
    PSubscribe,
    PTtl,
    PUnsubscribe,
    Persist,
    Ping,
    PubSubChannels,
    PubSubHelp,
    PubSubNumPat,
    PubSubNumSub,
    PubSubOffset,
    PubSubReplay,
    PubSubShardChannels,
    PubSubShardNumSub,
    Publish,
    Quit,
    RandomKey,
    Rename,
    RenameNx,
    ReplicaOf,
    Reset,
    Role,
    SPublish,
    SSubscribe,
    SUnsubscribe,
    Scan,
    ScriptDebug,
    ScriptExists,
    ScriptFlush,
    ScriptHelp,
    ScriptKill,
    ScriptLoad,
    Select,
    Set,
    SetEx,
    SetNx,
    SetRange,
    Shutdown,
    SlowlogGet,
    SlowlogHelp,
    SlowlogLen,
    SlowlogReset,
    StrLen,
    Subscribe,
    SwapDb,
    /// `COMMAND`; those that follow are its subcommands.
    Table,
    TableCount,
    TableDocs,
    TableGetKeys,
    TableGetKeysAndFlags,
    TableHelp,
    TableInfo,
    TableList,
    Time,
    Touch,
    Ttl,
    Type,
    Unlink,
    Unsubscribe,
    Unwatch,
    Wait,
    Watch,
}

/// What the table says of a command.
#[derive(Debug)]
pub(crate) struct Spec {
    /// In lower case; that of a subcommand in full is `client|id`.
    pub(crate) name: &'static str,
    pub(crate) command: Command,
    /// Arguments with the name; negative for "at least". Those of a subcommand count both names.
    pub(crate) arity: i32,
    pub(crate) flags: &'static [&'static str],
    pub(crate) keys: Keys,
    pub(crate) tips: &'static [&'static str],
    pub(crate) key_specs: &'static [Value],
    pub(crate) docs: &'static [(&'static str, Value)],
    pub(crate) subcommands: &'static [Spec],
}

/// Where the keys of a request stand; all zero where it has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    pub(crate) first: i32,
    pub(crate) last: i32,
    pub(crate) step: i32,
}

/// A value in the documentation of a command.
#[derive(Debug)]
pub(crate) enum Value {
    Int(i64),
    Text(&'static str),
    List(&'static [Value]),
}

/// A row, and what every request needs to know of it at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) spec: &'static Spec,
    /// Its place among all rows, subcommands included.
    pub(crate) number: u16,
    /// Whether it may run before `AUTH`.
    pub(crate) runs_unauthenticated: bool,
    /// Whether a RESP2 client with subscriptions may run it.
    pub(crate) runs_while_subscribed: bool,
    /// Whether `MONITOR` shows it.
    pub(crate) is_monitored: bool,
    /// Whether it is sent so often that it is not timed without need.
    pub(crate) is_hot: bool,
    /// Whether it may run while a script takes long.
    pub(crate) runs_while_busy: bool,
    /// Whether it runs a script.
    pub(crate) runs_script: bool,
    /// Whether it is held back while writes are paused.
    pub(crate) pauses_with_writes: bool,
    /// Whether keys may take more memory by it.
    pub(crate) may_grow: bool,
}

/// What a request's name stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lookup {
    Found(Entry),
    Unknown,
    /// The container exists, the subcommand does not.
    UnknownSubcommand(&'static Spec),
}

/// The command that a worker looked up last, which nearly always is the one that comes next.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    name: [u8; RECENT_BYTES_MAX],
    length: usize,
    entry: Option<Entry>,
}

/// The names that are sent all day are not longer.
const RECENT_BYTES_MAX: usize = 8;
/// No name is longer; what is longer is unknown.
const NAME_BYTES_MAX: usize = 32;

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let rows = COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
    rows.enumerate().map(|(number, spec)| Entry::new(spec, number)).collect()
});

static NUMBERS: LazyLock<HashMap<&'static [u8], u16, FixedState>> = LazyLock::new(|| {
    ENTRIES.iter().map(|entry| (entry.spec.name.as_bytes(), entry.number)).collect()
});

impl Spec {
    /// Whether a request of `arguments` parts, its name included, has the right number.
    pub(crate) fn accepts(&self, arguments: usize) -> bool {
        let arguments = i32::try_from(arguments).unwrap_or(i32::MAX);
        if self.arity < 0 { arguments >= -self.arity } else { arguments == self.arity }
    }

    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }
}

impl Entry {
    fn new(spec: &'static Spec, number: usize) -> Self {
        use Command::{
            Eval, EvalRo, EvalSha, EvalShaRo, Get, Incr, PSubscribe, PUnsubscribe, Ping, Publish,
            Quit, Reset, SPublish, SSubscribe, SUnsubscribe, Set, Subscribe, Unsubscribe,
        };
        let subscriber = matches!(
            spec.command,
            PSubscribe
                | PUnsubscribe
                | Ping
                | Quit
                | Reset
                | SSubscribe
                | SUnsubscribe
                | Subscribe
                | Unsubscribe
        );
        Self {
            spec,
            number: u16::try_from(number).expect("the table is short"),
            runs_unauthenticated: spec.has_flag("no_auth"),
            runs_while_subscribed: subscriber,
            is_monitored: !spec.has_flag("admin") && !spec.has_flag("skip_monitor"),
            is_hot: matches!(spec.command, Publish | SPublish | Ping | Get | Set | Incr),
            may_grow: spec.has_flag("denyoom"),
            runs_while_busy: spec.has_flag("allow_busy"),
            runs_script: matches!(spec.command, Eval | EvalRo | EvalSha | EvalShaRo),
            pauses_with_writes: spec.has_flag("write")
                || matches!(spec.command, Publish | SPublish | Eval | EvalSha),
        }
    }
}

impl Recent {
    /// Returns the command, if `name` is spelled as it was.
    pub(crate) fn find(&self, name: &[u8]) -> Option<Entry> {
        self.entry.filter(|_| name == &self.name[..self.length])
    }

    /// Remembers what `name` stands for, unless that depends on the next argument.
    pub(crate) fn remember(&mut self, name: &[u8], entry: Entry) {
        let depends = !entry.spec.subcommands.is_empty() || entry.spec.name.contains('|');
        if let Some(to) = self.name.get_mut(..name.len())
            && !depends
        {
            to.copy_from_slice(name);
            self.length = name.len();
            self.entry = Some(entry);
        }
    }
}

/// Returns all rows, a container before its subcommands.
pub(crate) fn entries() -> &'static [Entry] {
    &ENTRIES
}

/// Finds the command that a request names.
pub(crate) fn find(name: &[u8], subcommand: Option<&[u8]>) -> Lookup {
    let mut full = [0; NAME_BYTES_MAX];
    if name.len() > NAME_BYTES_MAX || name.contains(&b'|') {
        return Lookup::Unknown;
    }
    for (to, from) in full.iter_mut().zip(name) {
        *to = from.to_ascii_lowercase();
    }
    let Some(&number) = NUMBERS.get(&full[..name.len()]) else { return Lookup::Unknown };
    let entry = ENTRIES[usize::from(number)];
    match subcommand {
        Some(subcommand) if !entry.spec.subcommands.is_empty() => {
            find_in(entry, subcommand).map_or(Lookup::UnknownSubcommand(entry.spec), Lookup::Found)
        }
        _ => Lookup::Found(entry),
    }
}

/// Finds a subcommand. Its rows stand behind that of the container.
fn find_in(container: Entry, subcommand: &[u8]) -> Option<Entry> {
    let prefix = container.spec.name.len() + 1;
    let rows = &ENTRIES[usize::from(container.number) + 1..][..container.spec.subcommands.len()];
    rows.iter()
        .find(|row| row.spec.name.as_bytes()[prefix..].eq_ignore_ascii_case(subcommand))
        .copied()
}

/// Finds a row by its name in full, such as `ping` or `client|id`.
pub(crate) fn find_full(name: &[u8]) -> Option<Entry> {
    let number = NUMBERS.get(&*name.to_ascii_lowercase())?;
    Some(ENTRIES[usize::from(*number)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::categories_of;

    fn name(name: &str, subcommand: Option<&str>) -> &'static str {
        match find(name.as_bytes(), subcommand.map(str::as_bytes)) {
            Lookup::Found(entry) => entry.spec.name,
            Lookup::Unknown => "unknown",
            Lookup::UnknownSubcommand(_) => "unknown subcommand",
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(name("PUBLISH", Some("id")), "publish");
        assert_eq!(name("Client", Some("iD")), "client|id");
        assert_eq!(name("client", None), "client");
        assert_eq!(name("client", Some("nosuch")), "unknown subcommand");
        assert_eq!(name("client|id", None), "unknown");
        assert_eq!(name("", None), "unknown");
        assert_eq!(name(&"x".repeat(100), None), "unknown");
    }

    #[test]
    fn what_was_looked_up_last_is_found_by_the_same_spelling() {
        let mut recent = Recent::default();
        assert!(recent.find(b"").is_none());
        let entry = find_full(b"publish").unwrap();
        recent.remember(b"Publish", entry);
        assert_eq!(recent.find(b"Publish").unwrap().number, entry.number);
        for other in [&b"PUBLISH"[..], b"Publis", b"Publish ", b""] {
            assert!(recent.find(other).is_none());
        }
        recent.remember(b"CLIENT", find_full(b"client").unwrap());
        assert!(recent.find(b"CLIENT").is_none(), "it has subcommands");
    }

    #[test]
    fn every_row_is_found_by_its_full_name() {
        for entry in entries() {
            let found = find_full(entry.spec.name.as_bytes()).unwrap();
            assert!(std::ptr::eq(found.spec, entry.spec), "{}", entry.spec.name);
            assert!(entry.spec.name.len() <= NAME_BYTES_MAX);
            assert!(categories_of(entry.spec.name).next().is_some(), "{}", entry.spec.name);
        }
    }

    /// The page that tells users which commands there are.
    fn page() -> String {
        let mut text = String::from(include_str!("commands/compatibility.md"));
        let mut groups: Vec<&str> = COMMANDS.iter().map(group).collect();
        groups.sort_unstable();
        groups.dedup();
        for name in groups {
            text.push_str(&format!(
                "\n## {name}\n\n| command | since | what it does |\n|---|---|---|\n"
            ));
            let rows = COMMANDS.iter().filter(|spec| group(spec) == name);
            for spec in rows.flat_map(|spec| std::iter::once(spec).chain(spec.subcommands)) {
                let shown = spec.name.replace('|', " ").to_ascii_uppercase();
                let (since, summary) = (field(spec, "since"), field(spec, "summary"));
                text.push_str(&format!(
                    "| `{shown}` | {since} | {} |\n",
                    summary.trim_end_matches('.')
                ));
            }
        }
        text + &crate::config::compatibility::section()
    }

    fn group(spec: &Spec) -> &'static str {
        field(spec, "group")
    }

    fn field(spec: &Spec, name: &str) -> &'static str {
        let field = spec.docs.iter().find(|(known, _)| *known == name);
        match field {
            Some((_, Value::Text(text))) => text,
            _ => "",
        }
    }

    #[test]
    fn the_compatibility_page_is_made_from_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../COMPATIBILITY.md");
        if std::env::var_os("UPDATE_COMPATIBILITY").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            found,
            page(),
            "run this test with UPDATE_COMPATIBILITY=1 to write the page anew"
        );
    }

    #[test]
    fn arity_counts_the_name() {
        for (command, arguments, expected) in [
            ("publish", 3, true),
            ("publish", 2, false),
            ("publish", 4, false),
            ("subscribe", 1, false),
            ("subscribe", 9, true),
        ] {
            let entry = find_full(command.as_bytes()).unwrap();
            assert_eq!(entry.spec.accepts(arguments), expected, "{command} {arguments}");
        }
    }
}
