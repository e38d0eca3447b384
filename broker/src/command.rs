//! The command table: names, arity, flags, categories, summaries.
//!
//! One row a command; a container such as `CLIENT` has rows of its own for its subcommands. The
//! table says what a command is; what it does is said by [`crate::session`].

/// A command that a session can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Auth,
    ClientGetName,
    ClientId,
    ClientSetInfo,
    ClientSetName,
    ConfigGet,
    Echo,
    Hello,
    Info,
    PSubscribe,
    PUnsubscribe,
    Ping,
    Publish,
    PubSubChannels,
    PubSubNumPat,
    PubSubNumSub,
    Quit,
    Select,
    Subscribe,
    /// `COMMAND`, and its subcommands: the command table.
    Table,
    TableCount,
    TableDocs,
    TableInfo,
    TableList,
    Unsubscribe,
    /// A name that only groups its subcommands.
    Container,
}

/// What the table says of a command.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) command: Command,
    /// Arguments with the name; negative for "at least". Those of a subcommand count both names.
    pub(crate) arity: i32,
    pub(crate) flags: &'static [&'static str],
    pub(crate) categories: &'static [&'static str],
    pub(crate) group: &'static str,
    pub(crate) since: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) subcommands: &'static [Spec],
}

/// What a request's name stands for.
#[derive(Debug)]
pub(crate) enum Lookup {
    Found(&'static Spec),
    Unknown,
    /// The container exists, the subcommand does not.
    UnknownSubcommand(&'static Spec),
}

impl Spec {
    /// Whether it may run before `AUTH`.
    pub(crate) fn runs_unauthenticated(&self) -> bool {
        self.flags.contains(&"no_auth")
    }

    /// Whether a RESP2 client with subscriptions may run it.
    pub(crate) fn runs_while_subscribed(&self) -> bool {
        use Command::{PSubscribe, PUnsubscribe, Ping, Quit, Subscribe, Unsubscribe};
        matches!(self.command, PSubscribe | PUnsubscribe | Ping | Quit | Subscribe | Unsubscribe)
    }

    /// Whether a request of `arguments` parts, its name included, has the right number.
    pub(crate) fn accepts(&self, arguments: usize) -> bool {
        let arguments = i32::try_from(arguments).unwrap_or(i32::MAX);
        if self.arity < 0 { arguments >= -self.arity } else { arguments == self.arity }
    }
}

/// Finds the command that a request names.
pub(crate) fn find(name: &[u8], subcommand: Option<&[u8]>) -> Lookup {
    let Some(spec) = find_in(COMMANDS, name) else { return Lookup::Unknown };
    match subcommand {
        Some(subcommand) if !spec.subcommands.is_empty() => find_in(spec.subcommands, subcommand)
            .map_or(Lookup::UnknownSubcommand(spec), Lookup::Found),
        _ => Lookup::Found(spec),
    }
}

fn find_in(table: &'static [Spec], name: &[u8]) -> Option<&'static Spec> {
    table.iter().find(|spec| {
        // The name of a subcommand in full is `client|id`.
        let own = spec.name.rsplit('|').next().unwrap_or(spec.name);
        own.as_bytes().eq_ignore_ascii_case(name)
    })
}

macro_rules! spec {
    ($name:literal, $command:ident, $arity:literal, [$($flag:literal)*], [$($category:literal)*],
     $group:literal, $since:literal, $summary:literal $(, [$($subcommand:expr),* $(,)?])?) => {
        Spec {
            name: $name,
            command: Command::$command,
            arity: $arity,
            flags: &[$($flag),*],
            categories: &[$($category),*],
            group: $group,
            since: $since,
            summary: $summary,
            subcommands: &[$($($subcommand),*)?],
        }
    };
}

/// Those that are sent all day stand first, since the table is searched from the top.
#[rustfmt::skip]
pub(crate) const COMMANDS: &[Spec] = &[
    spec!("publish", Publish, 3, ["pubsub" "loading" "stale" "fast"], ["pubsub" "fast"], "pubsub", "2.0.0", "Post a message to a channel"),
    spec!("subscribe", Subscribe, -2, ["pubsub" "noscript" "loading" "stale"], ["pubsub" "slow"], "pubsub", "2.0.0", "Listen for messages published to the given channels"),
    spec!("unsubscribe", Unsubscribe, -1, ["pubsub" "noscript" "loading" "stale"], ["pubsub" "slow"], "pubsub", "2.0.0", "Stop listening for messages posted to the given channels"),
    spec!("psubscribe", PSubscribe, -2, ["pubsub" "noscript" "loading" "stale"], ["pubsub" "slow"], "pubsub", "2.0.0", "Listen for messages published to channels matching the given patterns"),
    spec!("punsubscribe", PUnsubscribe, -1, ["pubsub" "noscript" "loading" "stale"], ["pubsub" "slow"], "pubsub", "2.0.0", "Stop listening for messages posted to channels matching the given patterns"),
    spec!("ping", Ping, -1, ["fast"], ["fast" "connection"], "connection", "1.0.0", "Ping the server"),
    spec!("echo", Echo, 2, ["loading" "stale" "fast"], ["fast" "connection"], "connection", "1.0.0", "Echo the given string"),
    spec!("auth", Auth, -2, ["noscript" "loading" "stale" "fast" "no_auth" "allow_busy"], ["fast" "connection"], "connection", "1.0.0", "Authenticate to the server"),
    spec!("client", Container, -2, [], ["slow"], "connection", "2.4.0", "A container for client connection commands", [
        spec!("client|getname", ClientGetName, 2, ["noscript" "loading" "stale"], ["slow" "connection"], "connection", "2.6.9", "Get the current connection name"),
        spec!("client|id", ClientId, 2, ["noscript" "loading" "stale"], ["slow" "connection"], "connection", "5.0.0", "Returns the client ID for the current connection"),
        spec!("client|setinfo", ClientSetInfo, 4, ["noscript" "loading" "stale"], ["slow" "connection"], "connection", "7.2.0", "Sets information specific to the client or connection"),
        spec!("client|setname", ClientSetName, 3, ["noscript" "loading" "stale"], ["slow" "connection"], "connection", "2.6.9", "Set the current connection name"),
    ]),
    spec!("command", Table, -1, ["loading" "stale"], ["slow" "connection"], "server", "2.8.13", "Get array of Redis command details", [
        spec!("command|count", TableCount, 2, ["loading" "stale"], ["slow" "connection"], "server", "2.8.13", "Get total number of Redis commands"),
        spec!("command|docs", TableDocs, -2, ["loading" "stale"], ["slow" "connection"], "server", "7.0.0", "Get array of specific Redis command documentation"),
        spec!("command|info", TableInfo, -2, ["loading" "stale"], ["slow" "connection"], "server", "2.8.13", "Get array of specific Redis command details, or all when no argument is given."),
        spec!("command|list", TableList, 2, ["loading" "stale"], ["slow" "connection"], "server", "7.0.0", "Get an array of Redis command names"),
    ]),
    spec!("config", Container, -2, [], ["slow"], "server", "2.0.0", "A container for server configuration commands", [
        spec!("config|get", ConfigGet, -3, ["admin" "noscript" "loading" "stale"], ["admin" "slow" "dangerous"], "server", "2.0.0", "Get the values of configuration parameters"),
    ]),
    spec!("hello", Hello, -1, ["noscript" "loading" "stale" "fast" "no_auth" "allow_busy"], ["fast" "connection"], "connection", "6.0.0", "Handshake with Redis"),
    spec!("info", Info, -1, ["loading" "stale"], ["slow" "dangerous"], "server", "1.0.0", "Get information and statistics about the server"),
    spec!("pubsub", Container, -2, [], ["slow"], "pubsub", "2.8.0", "A container for Pub/Sub commands", [
        spec!("pubsub|channels", PubSubChannels, -2, ["pubsub" "loading" "stale"], ["pubsub" "slow"], "pubsub", "2.8.0", "List active channels"),
        spec!("pubsub|numpat", PubSubNumPat, 2, ["pubsub" "loading" "stale"], ["pubsub" "slow"], "pubsub", "2.8.0", "Get the count of unique patterns pattern subscriptions"),
        spec!("pubsub|numsub", PubSubNumSub, -2, ["pubsub" "loading" "stale"], ["pubsub" "slow"], "pubsub", "2.8.0", "Get the count of subscribers for channels"),
    ]),
    spec!("quit", Quit, -1, ["noscript" "loading" "stale" "fast" "no_auth" "allow_busy"], ["fast" "connection"], "connection", "1.0.0", "Close the connection"),
    spec!("select", Select, 2, ["loading" "stale" "fast"], ["fast" "connection"], "connection", "1.0.0", "Change the selected database for the current connection"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str, subcommand: Option<&str>) -> &'static str {
        match find(name.as_bytes(), subcommand.map(str::as_bytes)) {
            Lookup::Found(spec) => spec.name,
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
    }

    #[test]
    fn arity_counts_the_name() {
        let spec = |name: &str| COMMANDS.iter().find(|spec| spec.name == name).unwrap();
        for (command, arguments, expected) in [
            ("publish", 3, true),
            ("publish", 2, false),
            ("publish", 4, false),
            ("subscribe", 1, false),
            ("subscribe", 9, true),
        ] {
            assert_eq!(spec(command).accepts(arguments), expected, "{command} {arguments}");
        }
    }
}
