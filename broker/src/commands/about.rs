//! Redis' documentation of each command, as `COMMAND DOCS` and `COMMAND INFO` report it.
//!
//! `cargo xtask commands` writes this file from `broker/commands.json`.

use super::spec::About;
use super::spec::Value::{Int, List, Text};

#[rustfmt::skip]
pub(super) static PUBLISH: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Post a message to a channel")), ("since", Text("2.0.0")), ("group", Text("pubsub")), ("complexity", Text("O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of subscribed patterns (by any client).")), ("arguments", List(&[List(&[Text("name"), Text("channel"), Text("type"), Text("string")]), List(&[Text("name"), Text("message"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static SUBSCRIBE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Listen for messages published to the given channels")), ("since", Text("2.0.0")), ("group", Text("pubsub")), ("complexity", Text("O(N) where N is the number of channels to subscribe to.")), ("arguments", List(&[List(&[Text("name"), Text("channel"), Text("type"), Text("string"), Text("flags"), List(&[Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static UNSUBSCRIBE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Stop listening for messages posted to the given channels")), ("since", Text("2.0.0")), ("group", Text("pubsub")), ("complexity", Text("O(N) where N is the number of clients already subscribed to a channel.")), ("arguments", List(&[List(&[Text("name"), Text("channel"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static PSUBSCRIBE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Listen for messages published to channels matching the given patterns")), ("since", Text("2.0.0")), ("group", Text("pubsub")), ("complexity", Text("O(N) where N is the number of patterns the client is already subscribed to.")), ("arguments", List(&[List(&[Text("name"), Text("pattern"), Text("type"), Text("block"), Text("flags"), List(&[Text("multiple")]), Text("arguments"), List(&[List(&[Text("name"), Text("pattern"), Text("type"), Text("pattern")])])])]))],
};

#[rustfmt::skip]
pub(super) static PUNSUBSCRIBE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Stop listening for messages posted to channels matching the given patterns")), ("since", Text("2.0.0")), ("group", Text("pubsub")), ("complexity", Text("O(N+M) where N is the number of patterns the client is already subscribed and M is the number of total patterns subscribed in the system (by any client).")), ("arguments", List(&[List(&[Text("name"), Text("pattern"), Text("type"), Text("pattern"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static SSUBSCRIBE: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("not_key")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(-1), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Listen for messages published to the given shard channels")), ("since", Text("7.0.0")), ("group", Text("pubsub")), ("complexity", Text("O(N) where N is the number of shard channels to subscribe to.")), ("arguments", List(&[List(&[Text("name"), Text("shardchannel"), Text("type"), Text("string"), Text("flags"), List(&[Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static SUNSUBSCRIBE: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("not_key")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(-1), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Stop listening for messages posted to the given shard channels")), ("since", Text("7.0.0")), ("group", Text("pubsub")), ("complexity", Text("O(N) where N is the number of clients already subscribed to a shard channel.")), ("arguments", List(&[List(&[Text("name"), Text("shardchannel"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static SPUBLISH: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("not_key")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Post a message to a shard channel")), ("since", Text("7.0.0")), ("group", Text("pubsub")), ("complexity", Text("O(N) where N is the number of clients subscribed to the receiving shard channel.")), ("arguments", List(&[List(&[Text("name"), Text("shardchannel"), Text("type"), Text("string")]), List(&[Text("name"), Text("message"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static PUBSUB: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("A container for Pub/Sub commands")), ("since", Text("2.8.0")), ("group", Text("pubsub")), ("complexity", Text("Depends on subcommand."))],
};

#[rustfmt::skip]
pub(super) static PUBSUB_CHANNELS: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("List active channels")), ("since", Text("2.8.0")), ("group", Text("pubsub")), ("complexity", Text("O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)")), ("arguments", List(&[List(&[Text("name"), Text("pattern"), Text("type"), Text("pattern"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static PUBSUB_CLIENTS: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("List the subscribers of a channel, the slowest first (of this broker only)")), ("since", Text("7.2.0")), ("group", Text("pubsub")), ("complexity", Text("O(N*log(N)) where N is the number of subscribers of the channel")), ("arguments", List(&[List(&[Text("name"), Text("channel"), Text("type"), Text("string")]), List(&[Text("name"), Text("count"), Text("type"), Text("integer"), Text("token"), Text("LIMIT"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static PUBSUB_EXPLAIN: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Describe the receivers, the size and the permission of a message on a channel (of this broker only)")), ("since", Text("7.2.0")), ("group", Text("pubsub")), ("complexity", Text("O(N*log(N)) where N is the number of subscribers of the channel")), ("arguments", List(&[List(&[Text("name"), Text("channel"), Text("type"), Text("string")]), List(&[Text("name"), Text("username"), Text("type"), Text("string"), Text("token"), Text("USER"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("bytes"), Text("type"), Text("integer"), Text("token"), Text("BYTES"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static PUBSUB_HELP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Show helpful text about the different subcommands")), ("since", Text("6.2.0")), ("group", Text("pubsub")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static PUBSUB_NUMPAT: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Get the count of unique patterns pattern subscriptions")), ("since", Text("2.8.0")), ("group", Text("pubsub")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static PUBSUB_NUMSUB: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Get the count of subscribers for channels")), ("since", Text("2.8.0")), ("group", Text("pubsub")), ("complexity", Text("O(N) for the NUMSUB subcommand, where N is the number of requested channels")), ("arguments", List(&[List(&[Text("name"), Text("channel"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static PUBSUB_OFFSET: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Get where the memory of a channel ends (of this broker only)")), ("since", Text("7.2.0")), ("group", Text("pubsub")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("channel"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static PUBSUB_REPLAY: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Get the messages of a channel after an offset (of this broker only)")), ("since", Text("7.2.0")), ("group", Text("pubsub")), ("complexity", Text("O(N) where N is the number of returned messages")), ("arguments", List(&[List(&[Text("name"), Text("channel"), Text("type"), Text("string")]), List(&[Text("name"), Text("epoch"), Text("type"), Text("string")]), List(&[Text("name"), Text("offset"), Text("type"), Text("integer")]), List(&[Text("name"), Text("count"), Text("type"), Text("integer"), Text("token"), Text("COUNT"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static PUBSUB_SHARDCHANNELS: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("List active shard channels")), ("since", Text("7.0.0")), ("group", Text("pubsub")), ("complexity", Text("O(N) where N is the number of active shard channels, and assuming constant time pattern matching (relatively short shard channels).")), ("arguments", List(&[List(&[Text("name"), Text("pattern"), Text("type"), Text("pattern"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static PUBSUB_SHARDNUMSUB: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Get the count of subscribers for shard channels")), ("since", Text("7.0.0")), ("group", Text("pubsub")), ("complexity", Text("O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels")), ("arguments", List(&[List(&[Text("name"), Text("shardchannel"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static PUBSUB_STATS: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Get the rates of the busiest channels in the last second; counted from the first call to a minute after the last one (of this broker only)")), ("since", Text("7.2.0")), ("group", Text("pubsub")), ("complexity", Text("O(N*log(N)) where N is the number of counted channels, at most 1024")), ("arguments", List(&[List(&[Text("name"), Text("pattern"), Text("type"), Text("pattern"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("count"), Text("type"), Text("integer"), Text("token"), Text("TOP"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static AUTH: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Authenticate to the server")), ("since", Text("1.0.0")), ("group", Text("connection")), ("complexity", Text("O(N) where N is the number of passwords defined for the user")), ("history", List(&[List(&[Text("6.0.0"), Text("Added ACL style (username and password).")])])), ("arguments", List(&[List(&[Text("name"), Text("username"), Text("type"), Text("string"), Text("since"), Text("6.0.0"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("password"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static HELLO: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Handshake with Redis")), ("since", Text("6.0.0")), ("group", Text("connection")), ("complexity", Text("O(1)")), ("history", List(&[List(&[Text("6.2.0"), Text("`protover` made optional; when called without arguments the command reports the current connection's context.")])])), ("arguments", List(&[List(&[Text("name"), Text("arguments"), Text("type"), Text("block"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("protover"), Text("type"), Text("integer")]), List(&[Text("name"), Text("username_password"), Text("type"), Text("block"), Text("token"), Text("AUTH"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("username"), Text("type"), Text("string")]), List(&[Text("name"), Text("password"), Text("type"), Text("string")])])]), List(&[Text("name"), Text("clientname"), Text("type"), Text("string"), Text("token"), Text("SETNAME"), Text("flags"), List(&[Text("optional")])])])])]))],
};

#[rustfmt::skip]
pub(super) static PING: About = About {
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Ping the server")), ("since", Text("1.0.0")), ("group", Text("connection")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("message"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static ECHO: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Echo the given string")), ("since", Text("1.0.0")), ("group", Text("connection")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("message"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static QUIT: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Close the connection")), ("since", Text("1.0.0")), ("group", Text("connection")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static RESET: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Reset the connection")), ("since", Text("6.2.0")), ("group", Text("connection")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static SELECT: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Change the selected database for the current connection")), ("since", Text("1.0.0")), ("group", Text("connection")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("index"), Text("type"), Text("integer")])]))],
};

#[rustfmt::skip]
pub(super) static CLIENT: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("A container for client connection commands")), ("since", Text("2.4.0")), ("group", Text("connection")), ("complexity", Text("Depends on subcommand."))],
};

#[rustfmt::skip]
pub(super) static CLIENT_CACHING: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Instruct the server about tracking or not keys in the next request")), ("since", Text("6.0.0")), ("group", Text("connection")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("mode"), Text("type"), Text("oneof"), Text("arguments"), List(&[List(&[Text("name"), Text("yes"), Text("type"), Text("pure-token"), Text("token"), Text("YES")]), List(&[Text("name"), Text("no"), Text("type"), Text("pure-token"), Text("token"), Text("NO")])])])]))],
};

#[rustfmt::skip]
pub(super) static CLIENT_CAPA: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Announce the notices that the client understands: draining and pubsub-lost; unknown names are ignored (of this broker and Valkey only)")), ("since", Text("7.2.0")), ("group", Text("connection")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("capability"), Text("type"), Text("string"), Text("flags"), List(&[Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static CLIENT_GETNAME: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Get the current connection name")), ("since", Text("2.6.9")), ("group", Text("connection")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLIENT_GETREDIR: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Get tracking notifications redirection client ID if any")), ("since", Text("6.0.0")), ("group", Text("connection")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLIENT_HELP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Show helpful text about the different subcommands")), ("since", Text("5.0.0")), ("group", Text("connection")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLIENT_ID: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Returns the client ID for the current connection")), ("since", Text("5.0.0")), ("group", Text("connection")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLIENT_INFO: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Returns information about the current client connection.")), ("since", Text("6.2.0")), ("group", Text("connection")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLIENT_KILL: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Kill the connection of a client")), ("since", Text("2.4.0")), ("group", Text("connection")), ("complexity", Text("O(N) where N is the number of client connections")), ("history", List(&[List(&[Text("2.8.12"), Text("Added new filter format.")]), List(&[Text("2.8.12"), Text("`ID` option.")]), List(&[Text("3.2.0"), Text("Added `master` type in for `TYPE` option.")]), List(&[Text("5.0.0"), Text("Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward compatibility.")]), List(&[Text("6.2.0"), Text("`LADDR` option.")])])), ("arguments", List(&[List(&[Text("name"), Text("filter"), Text("type"), Text("oneof"), Text("arguments"), List(&[List(&[Text("name"), Text("ip:port"), Text("type"), Text("string"), Text("deprecated_since"), Text("2.8.12")]), List(&[Text("name"), Text("new-format"), Text("type"), Text("oneof"), Text("flags"), List(&[Text("multiple")]), Text("arguments"), List(&[List(&[Text("name"), Text("client-id"), Text("type"), Text("integer"), Text("token"), Text("ID"), Text("since"), Text("2.8.12"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("normal_master_slave_pubsub"), Text("type"), Text("oneof"), Text("token"), Text("TYPE"), Text("since"), Text("2.8.12"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("normal"), Text("type"), Text("pure-token"), Text("token"), Text("NORMAL")]), List(&[Text("name"), Text("master"), Text("type"), Text("pure-token"), Text("token"), Text("MASTER"), Text("since"), Text("3.2.0")]), List(&[Text("name"), Text("slave"), Text("type"), Text("pure-token"), Text("token"), Text("SLAVE")]), List(&[Text("name"), Text("replica"), Text("type"), Text("pure-token"), Text("token"), Text("REPLICA"), Text("since"), Text("5.0.0")]), List(&[Text("name"), Text("pubsub"), Text("type"), Text("pure-token"), Text("token"), Text("PUBSUB")])])]), List(&[Text("name"), Text("username"), Text("type"), Text("string"), Text("token"), Text("USER"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("ip:port"), Text("type"), Text("string"), Text("token"), Text("ADDR"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("ip:port"), Text("type"), Text("string"), Text("token"), Text("LADDR"), Text("since"), Text("6.2.0"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("yes/no"), Text("type"), Text("string"), Text("token"), Text("SKIPME"), Text("flags"), List(&[Text("optional")])])])])])])]))],
};

#[rustfmt::skip]
pub(super) static CLIENT_LIST: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Get the list of client connections")), ("since", Text("2.4.0")), ("group", Text("connection")), ("complexity", Text("O(N) where N is the number of client connections")), ("history", List(&[List(&[Text("2.8.12"), Text("Added unique client `id` field.")]), List(&[Text("5.0.0"), Text("Added optional `TYPE` filter.")]), List(&[Text("6.0.0"), Text("Added `user` field.")]), List(&[Text("6.2.0"), Text("Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` filter.")]), List(&[Text("7.0.0"), Text("Added `resp`, `multi-mem`, `rbs` and `rbp` fields.")]), List(&[Text("7.0.3"), Text("Added `ssub` field.")])])), ("arguments", List(&[List(&[Text("name"), Text("normal_master_replica_pubsub"), Text("type"), Text("oneof"), Text("token"), Text("TYPE"), Text("since"), Text("5.0.0"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("normal"), Text("type"), Text("pure-token"), Text("token"), Text("NORMAL")]), List(&[Text("name"), Text("master"), Text("type"), Text("pure-token"), Text("token"), Text("MASTER")]), List(&[Text("name"), Text("replica"), Text("type"), Text("pure-token"), Text("token"), Text("REPLICA")]), List(&[Text("name"), Text("pubsub"), Text("type"), Text("pure-token"), Text("token"), Text("PUBSUB")])])]), List(&[Text("name"), Text("id"), Text("type"), Text("block"), Text("token"), Text("ID"), Text("since"), Text("6.2.0"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("client-id"), Text("type"), Text("integer"), Text("flags"), List(&[Text("multiple")])])])])]))],
};

#[rustfmt::skip]
pub(super) static CLIENT_NO_EVICT: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Set client eviction mode for the current connection")), ("since", Text("7.0.0")), ("group", Text("connection")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("enabled"), Text("type"), Text("oneof"), Text("arguments"), List(&[List(&[Text("name"), Text("on"), Text("type"), Text("pure-token"), Text("token"), Text("ON")]), List(&[Text("name"), Text("off"), Text("type"), Text("pure-token"), Text("token"), Text("OFF")])])])]))],
};

#[rustfmt::skip]
pub(super) static CLIENT_NO_TOUCH: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Controls whether commands sent by the client affect the LRU/LFU of accessed keys.")), ("since", Text("7.2.0")), ("group", Text("connection")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLIENT_PAUSE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Stop processing commands from clients for some time")), ("since", Text("2.9.50")), ("group", Text("connection")), ("complexity", Text("O(1)")), ("history", List(&[List(&[Text("6.2.0"), Text("`CLIENT PAUSE WRITE` mode added along with the `mode` option.")])])), ("arguments", List(&[List(&[Text("name"), Text("timeout"), Text("type"), Text("integer")]), List(&[Text("name"), Text("mode"), Text("type"), Text("oneof"), Text("since"), Text("6.2.0"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("write"), Text("type"), Text("pure-token"), Text("token"), Text("WRITE")]), List(&[Text("name"), Text("all"), Text("type"), Text("pure-token"), Text("token"), Text("ALL")])])])]))],
};

#[rustfmt::skip]
pub(super) static CLIENT_REPLY: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Instruct the server whether to reply to commands")), ("since", Text("3.2.0")), ("group", Text("connection")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("on_off_skip"), Text("type"), Text("oneof"), Text("arguments"), List(&[List(&[Text("name"), Text("on"), Text("type"), Text("pure-token"), Text("token"), Text("ON")]), List(&[Text("name"), Text("off"), Text("type"), Text("pure-token"), Text("token"), Text("OFF")]), List(&[Text("name"), Text("skip"), Text("type"), Text("pure-token"), Text("token"), Text("SKIP")])])])]))],
};

#[rustfmt::skip]
pub(super) static CLIENT_SETINFO: About = About {
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Sets information specific to the client or connection")), ("since", Text("7.2.0")), ("group", Text("connection")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLIENT_SETNAME: About = About {
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Set the current connection name")), ("since", Text("2.6.9")), ("group", Text("connection")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("connection-name"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static CLIENT_TRACKING: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Enable or disable server assisted client side caching support")), ("since", Text("6.0.0")), ("group", Text("connection")), ("complexity", Text("O(1). Some options may introduce additional complexity.")), ("arguments", List(&[List(&[Text("name"), Text("status"), Text("type"), Text("oneof"), Text("arguments"), List(&[List(&[Text("name"), Text("on"), Text("type"), Text("pure-token"), Text("token"), Text("ON")]), List(&[Text("name"), Text("off"), Text("type"), Text("pure-token"), Text("token"), Text("OFF")])])]), List(&[Text("name"), Text("client-id"), Text("type"), Text("integer"), Text("token"), Text("REDIRECT"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("prefix"), Text("type"), Text("string"), Text("token"), Text("PREFIX"), Text("flags"), List(&[Text("optional"), Text("multiple"), Text("multiple_token")])]), List(&[Text("name"), Text("bcast"), Text("type"), Text("pure-token"), Text("token"), Text("BCAST"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("optin"), Text("type"), Text("pure-token"), Text("token"), Text("OPTIN"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("optout"), Text("type"), Text("pure-token"), Text("token"), Text("OPTOUT"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("noloop"), Text("type"), Text("pure-token"), Text("token"), Text("NOLOOP"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static CLIENT_TRACKINGINFO: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Return information about server assisted client side caching for the current connection")), ("since", Text("6.2.0")), ("group", Text("connection")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLIENT_UNBLOCK: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Unblock a client blocked in a blocking command from a different connection")), ("since", Text("5.0.0")), ("group", Text("connection")), ("complexity", Text("O(log N) where N is the number of client connections")), ("arguments", List(&[List(&[Text("name"), Text("client-id"), Text("type"), Text("integer")]), List(&[Text("name"), Text("timeout_error"), Text("type"), Text("oneof"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("timeout"), Text("type"), Text("pure-token"), Text("token"), Text("TIMEOUT")]), List(&[Text("name"), Text("error"), Text("type"), Text("pure-token"), Text("token"), Text("ERROR")])])])]))],
};

#[rustfmt::skip]
pub(super) static CLIENT_UNPAUSE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Resume processing of clients that were paused")), ("since", Text("6.2.0")), ("group", Text("connection")), ("complexity", Text("O(N) Where N is the number of paused clients"))],
};

#[rustfmt::skip]
pub(super) static MULTI: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Mark the start of a transaction block")), ("since", Text("1.2.0")), ("group", Text("transactions")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static EXEC: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Execute all commands issued after MULTI")), ("since", Text("1.2.0")), ("group", Text("transactions")), ("complexity", Text("Depends on commands in the transaction"))],
};

#[rustfmt::skip]
pub(super) static DISCARD: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Discard all commands issued after MULTI")), ("since", Text("2.0.0")), ("group", Text("transactions")), ("complexity", Text("O(N), when N is the number of queued commands"))],
};

#[rustfmt::skip]
pub(super) static WATCH: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(-1), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Watch the given keys to determine execution of the MULTI/EXEC block")), ("since", Text("2.2.0")), ("group", Text("transactions")), ("complexity", Text("O(1) for every key.")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0), Text("flags"), List(&[Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static UNWATCH: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Forget about all watched keys")), ("since", Text("2.2.0")), ("group", Text("transactions")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static GET: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO"), Text("access")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get the value of a key")), ("since", Text("1.0.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static SET: About = About {
    tips: &[],
    key_specs: &[List(&[Text("notes"), Text("RW and ACCESS due to the optional `GET` argument"), Text("flags"), List(&[Text("RW"), Text("access"), Text("update"), Text("variable_flags")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Set the string value of a key")), ("since", Text("1.0.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("history", List(&[List(&[Text("2.6.12"), Text("Added the `EX`, `PX`, `NX` and `XX` options.")]), List(&[Text("6.0.0"), Text("Added the `KEEPTTL` option.")]), List(&[Text("6.2.0"), Text("Added the `GET`, `EXAT` and `PXAT` option.")]), List(&[Text("7.0.0"), Text("Allowed the `NX` and `GET` options to be used together.")])])), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("value"), Text("type"), Text("string")]), List(&[Text("name"), Text("condition"), Text("type"), Text("oneof"), Text("since"), Text("2.6.12"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("nx"), Text("type"), Text("pure-token"), Text("token"), Text("NX")]), List(&[Text("name"), Text("xx"), Text("type"), Text("pure-token"), Text("token"), Text("XX")])])]), List(&[Text("name"), Text("get"), Text("type"), Text("pure-token"), Text("token"), Text("GET"), Text("since"), Text("6.2.0"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("expiration"), Text("type"), Text("oneof"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("seconds"), Text("type"), Text("integer"), Text("token"), Text("EX"), Text("since"), Text("2.6.12")]), List(&[Text("name"), Text("milliseconds"), Text("type"), Text("integer"), Text("token"), Text("PX"), Text("since"), Text("2.6.12")]), List(&[Text("name"), Text("unix-time-seconds"), Text("type"), Text("unix-time"), Text("token"), Text("EXAT"), Text("since"), Text("6.2.0")]), List(&[Text("name"), Text("unix-time-milliseconds"), Text("type"), Text("unix-time"), Text("token"), Text("PXAT"), Text("since"), Text("6.2.0")]), List(&[Text("name"), Text("keepttl"), Text("type"), Text("pure-token"), Text("token"), Text("KEEPTTL"), Text("since"), Text("6.0.0")])])])]))],
};

#[rustfmt::skip]
pub(super) static SETNX: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("OW"), Text("insert")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Set the value of a key, only if the key does not exist")), ("since", Text("1.0.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("value"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static SETEX: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("OW"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Set the value and expiration of a key")), ("since", Text("2.0.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("seconds"), Text("type"), Text("integer")]), List(&[Text("name"), Text("value"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static PSETEX: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("OW"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Set the value and expiration in milliseconds of a key")), ("since", Text("2.6.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("milliseconds"), Text("type"), Text("integer")]), List(&[Text("name"), Text("value"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static GETSET: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("access"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Set the string value of a key and return its old value")), ("since", Text("1.0.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("doc_flags", List(&[Text("deprecated")])), ("deprecated_since", Text("6.2.0")), ("replaced_by", Text("`SET` with the `!GET` argument")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("value"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static GETDEL: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("access"), Text("delete")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get the value of a key and delete the key")), ("since", Text("6.2.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static GETEX: About = About {
    tips: &[],
    key_specs: &[List(&[Text("notes"), Text("RW and UPDATE because it changes the TTL"), Text("flags"), List(&[Text("RW"), Text("access"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get the value of a key and optionally set its expiration")), ("since", Text("6.2.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("expiration"), Text("type"), Text("oneof"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("seconds"), Text("type"), Text("integer"), Text("token"), Text("EX")]), List(&[Text("name"), Text("milliseconds"), Text("type"), Text("integer"), Text("token"), Text("PX")]), List(&[Text("name"), Text("unix-time-seconds"), Text("type"), Text("unix-time"), Text("token"), Text("EXAT")]), List(&[Text("name"), Text("unix-time-milliseconds"), Text("type"), Text("unix-time"), Text("token"), Text("PXAT")]), List(&[Text("name"), Text("persist"), Text("type"), Text("pure-token"), Text("token"), Text("PERSIST")])])])]))],
};

#[rustfmt::skip]
pub(super) static MGET: About = About {
    tips: &["request_policy:multi_shard"],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO"), Text("access")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(-1), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get the values of all the given keys")), ("since", Text("1.0.0")), ("group", Text("string")), ("complexity", Text("O(N) where N is the number of keys to retrieve.")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0), Text("flags"), List(&[Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static MSET: About = About {
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    key_specs: &[List(&[Text("flags"), List(&[Text("OW"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(-1), Text("keystep"), Int(2), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Set multiple keys to multiple values")), ("since", Text("1.0.1")), ("group", Text("string")), ("complexity", Text("O(N) where N is the number of keys to set.")), ("arguments", List(&[List(&[Text("name"), Text("key_value"), Text("type"), Text("block"), Text("flags"), List(&[Text("multiple")]), Text("arguments"), List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("value"), Text("type"), Text("string")])])])]))],
};

#[rustfmt::skip]
pub(super) static MSETNX: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("OW"), Text("insert")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(-1), Text("keystep"), Int(2), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Set multiple keys to multiple values, only if none of the keys exist")), ("since", Text("1.0.1")), ("group", Text("string")), ("complexity", Text("O(N) where N is the number of keys to set.")), ("arguments", List(&[List(&[Text("name"), Text("key_value"), Text("type"), Text("block"), Text("flags"), List(&[Text("multiple")]), Text("arguments"), List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("value"), Text("type"), Text("string")])])])]))],
};

#[rustfmt::skip]
pub(super) static APPEND: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("insert")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Append a value to a key")), ("since", Text("2.0.0")), ("group", Text("string")), ("complexity", Text("O(1). The amortized time complexity is O(1) assuming the appended value is small and the already present value is of any size, since the dynamic string library used by Redis will double the free space available on every reallocation.")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("value"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static STRLEN: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get the length of the value stored in a key")), ("since", Text("2.2.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static GETRANGE: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO"), Text("access")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get a substring of the string stored at a key")), ("since", Text("2.4.0")), ("group", Text("string")), ("complexity", Text("O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("start"), Text("type"), Text("integer")]), List(&[Text("name"), Text("end"), Text("type"), Text("integer")])]))],
};

#[rustfmt::skip]
pub(super) static SUBSTR: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO"), Text("access")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get a substring of the string stored at a key")), ("since", Text("1.0.0")), ("group", Text("string")), ("complexity", Text("O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.")), ("doc_flags", List(&[Text("deprecated")])), ("deprecated_since", Text("2.0.0")), ("replaced_by", Text("`GETRANGE`")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("start"), Text("type"), Text("integer")]), List(&[Text("name"), Text("end"), Text("type"), Text("integer")])]))],
};

#[rustfmt::skip]
pub(super) static SETRANGE: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Overwrite part of a string at key starting at the specified offset")), ("since", Text("2.2.0")), ("group", Text("string")), ("complexity", Text("O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("offset"), Text("type"), Text("integer")]), List(&[Text("name"), Text("value"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static INCR: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("access"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Increment the integer value of a key by one")), ("since", Text("1.0.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static DECR: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("access"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Decrement the integer value of a key by one")), ("since", Text("1.0.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static INCRBY: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("access"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Increment the integer value of a key by the given amount")), ("since", Text("1.0.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("increment"), Text("type"), Text("integer")])]))],
};

#[rustfmt::skip]
pub(super) static DECRBY: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("access"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Decrement the integer value of a key by the given number")), ("since", Text("1.0.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("decrement"), Text("type"), Text("integer")])]))],
};

#[rustfmt::skip]
pub(super) static INCRBYFLOAT: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("access"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Increment the float value of a key by the given amount")), ("since", Text("2.6.0")), ("group", Text("string")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("increment"), Text("type"), Text("double")])]))],
};

#[rustfmt::skip]
pub(super) static DEL: About = About {
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    key_specs: &[List(&[Text("flags"), List(&[Text("RM"), Text("delete")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(-1), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Delete a key")), ("since", Text("1.0.0")), ("group", Text("generic")), ("complexity", Text("O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or hash. Removing a single key that holds a string value is O(1).")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0), Text("flags"), List(&[Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static UNLINK: About = About {
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    key_specs: &[List(&[Text("flags"), List(&[Text("RM"), Text("delete")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(-1), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Delete a key asynchronously in another thread. Otherwise it is just as DEL, but non blocking.")), ("since", Text("4.0.0")), ("group", Text("generic")), ("complexity", Text("O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order to reclaim memory, where N is the number of allocations the deleted objects where composed of.")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0), Text("flags"), List(&[Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static EXISTS: About = About {
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(-1), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Determine if a key exists")), ("since", Text("1.0.0")), ("group", Text("generic")), ("complexity", Text("O(N) where N is the number of keys to check.")), ("history", List(&[List(&[Text("3.0.3"), Text("Accepts multiple `key` arguments.")])])), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0), Text("flags"), List(&[Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static TOUCH: About = About {
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(-1), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Alters the last access time of a key(s). Returns the number of existing keys specified.")), ("since", Text("3.2.1")), ("group", Text("generic")), ("complexity", Text("O(N) where N is the number of keys that will be touched.")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0), Text("flags"), List(&[Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static TYPE: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Determine the type stored at key")), ("since", Text("1.0.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static EXPIRE: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Set a key's time to live in seconds")), ("since", Text("1.0.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("history", List(&[List(&[Text("7.0.0"), Text("Added options: `NX`, `XX`, `GT` and `LT`.")])])), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("seconds"), Text("type"), Text("integer")]), List(&[Text("name"), Text("condition"), Text("type"), Text("oneof"), Text("since"), Text("7.0.0"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("nx"), Text("type"), Text("pure-token"), Text("token"), Text("NX")]), List(&[Text("name"), Text("xx"), Text("type"), Text("pure-token"), Text("token"), Text("XX")]), List(&[Text("name"), Text("gt"), Text("type"), Text("pure-token"), Text("token"), Text("GT")]), List(&[Text("name"), Text("lt"), Text("type"), Text("pure-token"), Text("token"), Text("LT")])])])]))],
};

#[rustfmt::skip]
pub(super) static PEXPIRE: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Set a key's time to live in milliseconds")), ("since", Text("2.6.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("history", List(&[List(&[Text("7.0.0"), Text("Added options: `NX`, `XX`, `GT` and `LT`.")])])), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("milliseconds"), Text("type"), Text("integer")]), List(&[Text("name"), Text("condition"), Text("type"), Text("oneof"), Text("since"), Text("7.0.0"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("nx"), Text("type"), Text("pure-token"), Text("token"), Text("NX")]), List(&[Text("name"), Text("xx"), Text("type"), Text("pure-token"), Text("token"), Text("XX")]), List(&[Text("name"), Text("gt"), Text("type"), Text("pure-token"), Text("token"), Text("GT")]), List(&[Text("name"), Text("lt"), Text("type"), Text("pure-token"), Text("token"), Text("LT")])])])]))],
};

#[rustfmt::skip]
pub(super) static EXPIREAT: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Set the expiration for a key as a UNIX timestamp")), ("since", Text("1.2.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("history", List(&[List(&[Text("7.0.0"), Text("Added options: `NX`, `XX`, `GT` and `LT`.")])])), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("unix-time-seconds"), Text("type"), Text("unix-time")]), List(&[Text("name"), Text("condition"), Text("type"), Text("oneof"), Text("since"), Text("7.0.0"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("nx"), Text("type"), Text("pure-token"), Text("token"), Text("NX")]), List(&[Text("name"), Text("xx"), Text("type"), Text("pure-token"), Text("token"), Text("XX")]), List(&[Text("name"), Text("gt"), Text("type"), Text("pure-token"), Text("token"), Text("GT")]), List(&[Text("name"), Text("lt"), Text("type"), Text("pure-token"), Text("token"), Text("LT")])])])]))],
};

#[rustfmt::skip]
pub(super) static PEXPIREAT: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Set the expiration for a key as a UNIX timestamp specified in milliseconds")), ("since", Text("2.6.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("history", List(&[List(&[Text("7.0.0"), Text("Added options: `NX`, `XX`, `GT` and `LT`.")])])), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("unix-time-milliseconds"), Text("type"), Text("unix-time")]), List(&[Text("name"), Text("condition"), Text("type"), Text("oneof"), Text("since"), Text("7.0.0"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("nx"), Text("type"), Text("pure-token"), Text("token"), Text("NX")]), List(&[Text("name"), Text("xx"), Text("type"), Text("pure-token"), Text("token"), Text("XX")]), List(&[Text("name"), Text("gt"), Text("type"), Text("pure-token"), Text("token"), Text("GT")]), List(&[Text("name"), Text("lt"), Text("type"), Text("pure-token"), Text("token"), Text("LT")])])])]))],
};

#[rustfmt::skip]
pub(super) static TTL: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO"), Text("access")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get the time to live for a key in seconds")), ("since", Text("1.0.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("history", List(&[List(&[Text("2.8.0"), Text("Added the -2 reply.")])])), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static PTTL: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO"), Text("access")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get the time to live for a key in milliseconds")), ("since", Text("2.6.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("history", List(&[List(&[Text("2.8.0"), Text("Added the -2 reply.")])])), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static EXPIRETIME: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO"), Text("access")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get the expiration Unix timestamp for a key")), ("since", Text("7.0.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static PEXPIRETIME: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO"), Text("access")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get the expiration Unix timestamp for a key in milliseconds")), ("since", Text("7.0.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static PERSIST: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Remove the expiration from a key")), ("since", Text("2.2.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static RENAME: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("access"), Text("delete")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])]), List(&[Text("flags"), List(&[Text("OW"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(2)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Rename a key")), ("since", Text("1.0.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("newkey"), Text("type"), Text("key"), Text("key_spec_index"), Int(1)])]))],
};

#[rustfmt::skip]
pub(super) static RENAMENX: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("access"), Text("delete")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])]), List(&[Text("flags"), List(&[Text("OW"), Text("insert")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(2)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Rename a key, only if the new key does not exist")), ("since", Text("1.0.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("history", List(&[List(&[Text("3.2.0"), Text("The command no longer returns an error when source and destination names are the same.")])])), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("newkey"), Text("type"), Text("key"), Text("key_spec_index"), Int(1)])]))],
};

#[rustfmt::skip]
pub(super) static COPY: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO"), Text("access")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])]), List(&[Text("flags"), List(&[Text("OW"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(2)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Copy a key")), ("since", Text("6.2.0")), ("group", Text("generic")), ("complexity", Text("O(N) worst case for collections, where N is the number of nested items. O(1) for string values.")), ("arguments", List(&[List(&[Text("name"), Text("source"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("destination"), Text("type"), Text("key"), Text("key_spec_index"), Int(1)]), List(&[Text("name"), Text("destination-db"), Text("type"), Text("integer"), Text("token"), Text("DB"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("replace"), Text("type"), Text("pure-token"), Text("token"), Text("REPLACE"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static MOVE: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("access"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(1)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Move a key to another database")), ("since", Text("1.0.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("db"), Text("type"), Text("integer")])]))],
};

#[rustfmt::skip]
pub(super) static KEYS: About = About {
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    key_specs: &[],
    docs: &[("summary", Text("Find all keys matching the given pattern")), ("since", Text("1.0.0")), ("group", Text("generic")), ("complexity", Text("O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.")), ("arguments", List(&[List(&[Text("name"), Text("pattern"), Text("type"), Text("pattern")])]))],
};

#[rustfmt::skip]
pub(super) static SCAN: About = About {
    tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
    key_specs: &[],
    docs: &[("summary", Text("Incrementally iterate the keys space")), ("since", Text("2.8.0")), ("group", Text("generic")), ("complexity", Text("O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.")), ("history", List(&[List(&[Text("6.0.0"), Text("Added the `TYPE` subcommand.")])])), ("arguments", List(&[List(&[Text("name"), Text("cursor"), Text("type"), Text("integer")]), List(&[Text("name"), Text("pattern"), Text("type"), Text("pattern"), Text("token"), Text("MATCH"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("count"), Text("type"), Text("integer"), Text("token"), Text("COUNT"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("type"), Text("type"), Text("string"), Text("token"), Text("TYPE"), Text("since"), Text("6.0.0"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static RANDOMKEY: About = About {
    tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Return a random key from the keyspace")), ("since", Text("1.0.0")), ("group", Text("generic")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static COMMAND: About = About {
    tips: &["nondeterministic_output_order"],
    key_specs: &[],
    docs: &[("summary", Text("Get array of Redis command details")), ("since", Text("2.8.13")), ("group", Text("server")), ("complexity", Text("O(N) where N is the total number of Redis commands"))],
};

#[rustfmt::skip]
pub(super) static COMMAND_COUNT: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Get total number of Redis commands")), ("since", Text("2.8.13")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static COMMAND_DOCS: About = About {
    tips: &["nondeterministic_output_order"],
    key_specs: &[],
    docs: &[("summary", Text("Get array of specific Redis command documentation")), ("since", Text("7.0.0")), ("group", Text("server")), ("complexity", Text("O(N) where N is the number of commands to look up")), ("arguments", List(&[List(&[Text("name"), Text("command-name"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static COMMAND_GETKEYS: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Extract keys given a full Redis command")), ("since", Text("2.8.13")), ("group", Text("server")), ("complexity", Text("O(N) where N is the number of arguments to the command"))],
};

#[rustfmt::skip]
pub(super) static COMMAND_GETKEYSANDFLAGS: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Extract keys and access flags given a full Redis command")), ("since", Text("7.0.0")), ("group", Text("server")), ("complexity", Text("O(N) where N is the number of arguments to the command"))],
};

#[rustfmt::skip]
pub(super) static COMMAND_HELP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Show helpful text about the different subcommands")), ("since", Text("5.0.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static COMMAND_INFO: About = About {
    tips: &["nondeterministic_output_order"],
    key_specs: &[],
    docs: &[("summary", Text("Get array of specific Redis command details, or all when no argument is given.")), ("since", Text("2.8.13")), ("group", Text("server")), ("complexity", Text("O(N) where N is the number of commands to look up")), ("history", List(&[List(&[Text("7.0.0"), Text("Allowed to be called with no argument to get info on all commands.")])])), ("arguments", List(&[List(&[Text("name"), Text("command-name"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static COMMAND_LIST: About = About {
    tips: &["nondeterministic_output_order"],
    key_specs: &[],
    docs: &[("summary", Text("Get an array of Redis command names")), ("since", Text("7.0.0")), ("group", Text("server")), ("complexity", Text("O(N) where N is the total number of Redis commands")), ("arguments", List(&[List(&[Text("name"), Text("filterby"), Text("type"), Text("oneof"), Text("token"), Text("FILTERBY"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("module-name"), Text("type"), Text("string"), Text("token"), Text("MODULE")]), List(&[Text("name"), Text("category"), Text("type"), Text("string"), Text("token"), Text("ACLCAT")]), List(&[Text("name"), Text("pattern"), Text("type"), Text("pattern"), Text("token"), Text("PATTERN")])])])]))],
};

#[rustfmt::skip]
pub(super) static CONFIG: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("A container for server configuration commands")), ("since", Text("2.0.0")), ("group", Text("server")), ("complexity", Text("Depends on subcommand."))],
};

#[rustfmt::skip]
pub(super) static CONFIG_GET: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Get the values of configuration parameters")), ("since", Text("2.0.0")), ("group", Text("server")), ("complexity", Text("O(N) when N is the number of configuration parameters provided")), ("history", List(&[List(&[Text("7.0.0"), Text("Added the ability to pass multiple pattern parameters in one call")])])), ("arguments", List(&[List(&[Text("name"), Text("parameter"), Text("type"), Text("block"), Text("flags"), List(&[Text("multiple")]), Text("arguments"), List(&[List(&[Text("name"), Text("parameter"), Text("type"), Text("string")])])])]))],
};

#[rustfmt::skip]
pub(super) static CONFIG_HELP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Show helpful text about the different subcommands")), ("since", Text("5.0.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CONFIG_RELOAD: About = About {
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Read the configuration file again (of this broker only)")), ("since", Text("7.2.0")), ("group", Text("server")), ("complexity", Text("O(N) where N is the number of lines"))],
};

#[rustfmt::skip]
pub(super) static CONFIG_RESETSTAT: About = About {
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Reset the stats returned by INFO")), ("since", Text("2.0.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CONFIG_REWRITE: About = About {
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Rewrite the configuration file with the in memory configuration")), ("since", Text("2.8.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CONFIG_SET: About = About {
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Set configuration parameters to the given values")), ("since", Text("2.0.0")), ("group", Text("server")), ("complexity", Text("O(N) when N is the number of configuration parameters provided")), ("history", List(&[List(&[Text("7.0.0"), Text("Added the ability to set multiple parameters in one call.")])])), ("arguments", List(&[List(&[Text("name"), Text("parameter_value"), Text("type"), Text("block"), Text("flags"), List(&[Text("multiple")]), Text("arguments"), List(&[List(&[Text("name"), Text("parameter"), Text("type"), Text("string")]), List(&[Text("name"), Text("value"), Text("type"), Text("string")])])])]))],
};

#[rustfmt::skip]
pub(super) static INFO: About = About {
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    key_specs: &[],
    docs: &[("summary", Text("Get information and statistics about the server")), ("since", Text("1.0.0")), ("group", Text("server")), ("complexity", Text("O(1)")), ("history", List(&[List(&[Text("7.0.0"), Text("Added support for taking multiple section arguments.")])])), ("arguments", List(&[List(&[Text("name"), Text("section"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static MONITOR: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Listen for all requests received by the server in real time")), ("since", Text("1.0.0")), ("group", Text("server"))],
};

#[rustfmt::skip]
pub(super) static TIME: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Return the current server time")), ("since", Text("2.6.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static LASTSAVE: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Get the UNIX time stamp of the last successful save to disk")), ("since", Text("1.0.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static SAVE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Synchronously save the dataset to disk")), ("since", Text("1.0.0")), ("group", Text("server")), ("complexity", Text("O(N) where N is the total number of keys in all databases"))],
};

#[rustfmt::skip]
pub(super) static BGSAVE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Asynchronously save the dataset to disk")), ("since", Text("1.0.0")), ("group", Text("server")), ("complexity", Text("O(1)")), ("history", List(&[List(&[Text("3.2.2"), Text("Added the `SCHEDULE` option.")])])), ("arguments", List(&[List(&[Text("name"), Text("schedule"), Text("type"), Text("pure-token"), Text("token"), Text("SCHEDULE"), Text("since"), Text("3.2.2"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static BGREWRITEAOF: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Asynchronously rewrite the append-only file")), ("since", Text("1.0.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static DBSIZE: About = About {
    tips: &["request_policy:all_shards", "response_policy:agg_sum"],
    key_specs: &[],
    docs: &[("summary", Text("Return the number of keys in the selected database")), ("since", Text("1.0.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static ROLE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Return the role of the instance in the context of replication")), ("since", Text("2.8.12")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static REPLICAOF: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Make the server a replica of another instance, or promote it as master.")), ("since", Text("5.0.0")), ("group", Text("server")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("args"), Text("type"), Text("oneof"), Text("arguments"), List(&[List(&[Text("name"), Text("host-port"), Text("type"), Text("block"), Text("arguments"), List(&[List(&[Text("name"), Text("host"), Text("type"), Text("string")]), List(&[Text("name"), Text("port"), Text("type"), Text("integer")])])]), List(&[Text("name"), Text("no-one"), Text("type"), Text("block"), Text("arguments"), List(&[List(&[Text("name"), Text("no"), Text("type"), Text("pure-token"), Text("token"), Text("NO")]), List(&[Text("name"), Text("one"), Text("type"), Text("pure-token"), Text("token"), Text("ONE")])])])])])]))],
};

#[rustfmt::skip]
pub(super) static SLAVEOF: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Make the server a replica of another instance, or promote it as master.")), ("since", Text("1.0.0")), ("group", Text("server")), ("complexity", Text("O(1)")), ("doc_flags", List(&[Text("deprecated")])), ("deprecated_since", Text("5.0.0")), ("replaced_by", Text("`REPLICAOF`")), ("arguments", List(&[List(&[Text("name"), Text("args"), Text("type"), Text("oneof"), Text("arguments"), List(&[List(&[Text("name"), Text("host-port"), Text("type"), Text("block"), Text("arguments"), List(&[List(&[Text("name"), Text("host"), Text("type"), Text("string")]), List(&[Text("name"), Text("port"), Text("type"), Text("integer")])])]), List(&[Text("name"), Text("no-one"), Text("type"), Text("block"), Text("arguments"), List(&[List(&[Text("name"), Text("no"), Text("type"), Text("pure-token"), Text("token"), Text("NO")]), List(&[Text("name"), Text("one"), Text("type"), Text("pure-token"), Text("token"), Text("ONE")])])])])])]))],
};

#[rustfmt::skip]
pub(super) static SYNC: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Internal command used for replication")), ("since", Text("1.0.0")), ("group", Text("server"))],
};

#[rustfmt::skip]
pub(super) static PSYNC: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Internal command used for replication")), ("since", Text("2.8.0")), ("group", Text("server")), ("arguments", List(&[List(&[Text("name"), Text("replicationid"), Text("type"), Text("string")]), List(&[Text("name"), Text("offset"), Text("type"), Text("integer")])]))],
};

#[rustfmt::skip]
pub(super) static REPLCONF: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("An internal command for configuring the replication stream")), ("since", Text("3.0.0")), ("group", Text("server")), ("complexity", Text("O(1)")), ("doc_flags", List(&[Text("syscmd")]))],
};

#[rustfmt::skip]
pub(super) static WAIT: About = About {
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    key_specs: &[],
    docs: &[("summary", Text("Wait for the synchronous replication of all the write commands sent in the context of the current connection")), ("since", Text("3.0.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("numreplicas"), Text("type"), Text("integer")]), List(&[Text("name"), Text("timeout"), Text("type"), Text("integer")])]))],
};

#[rustfmt::skip]
pub(super) static WAITAOF: About = About {
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    key_specs: &[],
    docs: &[("summary", Text("Blocks until all of the preceding write commands sent by the connection are written to the append-only file of the master and/or replicas.")), ("since", Text("7.2.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("numlocal"), Text("type"), Text("integer"), Text("display_text"), Text("numlocal")]), List(&[Text("name"), Text("numreplicas"), Text("type"), Text("integer"), Text("display_text"), Text("numreplicas")]), List(&[Text("name"), Text("timeout"), Text("type"), Text("integer"), Text("display_text"), Text("timeout")])]))],
};

#[rustfmt::skip]
pub(super) static MODULE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("A container for module commands")), ("since", Text("4.0.0")), ("group", Text("server")), ("complexity", Text("Depends on subcommand."))],
};

#[rustfmt::skip]
pub(super) static MODULE_HELP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Show helpful text about the different subcommands")), ("since", Text("5.0.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static MODULE_LIST: About = About {
    tips: &["nondeterministic_output_order"],
    key_specs: &[],
    docs: &[("summary", Text("List all modules loaded by the server")), ("since", Text("4.0.0")), ("group", Text("server")), ("complexity", Text("O(N) where N is the number of loaded modules."))],
};

#[rustfmt::skip]
pub(super) static MODULE_LOAD: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Load a module")), ("since", Text("4.0.0")), ("group", Text("server")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("path"), Text("type"), Text("string")]), List(&[Text("name"), Text("arg"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static MODULE_LOADEX: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Load a module with extended parameters")), ("since", Text("7.0.0")), ("group", Text("server")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("path"), Text("type"), Text("string")]), List(&[Text("name"), Text("configs"), Text("type"), Text("block"), Text("token"), Text("CONFIG"), Text("flags"), List(&[Text("optional"), Text("multiple"), Text("multiple_token")]), Text("arguments"), List(&[List(&[Text("name"), Text("name"), Text("type"), Text("string")]), List(&[Text("name"), Text("value"), Text("type"), Text("string")])])]), List(&[Text("name"), Text("args"), Text("type"), Text("block"), Text("token"), Text("ARGS"), Text("flags"), List(&[Text("optional"), Text("multiple")]), Text("arguments"), List(&[List(&[Text("name"), Text("arg"), Text("type"), Text("string")])])])]))],
};

#[rustfmt::skip]
pub(super) static MODULE_UNLOAD: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Unload a module")), ("since", Text("4.0.0")), ("group", Text("server")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("name"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static LATENCY: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("A container for latency diagnostics commands")), ("since", Text("2.8.13")), ("group", Text("server")), ("complexity", Text("Depends on subcommand."))],
};

#[rustfmt::skip]
pub(super) static LATENCY_DOCTOR: About = About {
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    key_specs: &[],
    docs: &[("summary", Text("Return a human readable latency analysis report.")), ("since", Text("2.8.13")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static LATENCY_GRAPH: About = About {
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    key_specs: &[],
    docs: &[("summary", Text("Return a latency graph for the event.")), ("since", Text("2.8.13")), ("group", Text("server")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("event"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static LATENCY_HELP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Show helpful text about the different subcommands.")), ("since", Text("2.8.13")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static LATENCY_HISTOGRAM: About = About {
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    key_specs: &[],
    docs: &[("summary", Text("Return the cumulative distribution of latencies of a subset of commands or all.")), ("since", Text("7.0.0")), ("group", Text("server")), ("complexity", Text("O(N) where N is the number of commands with latency information being retrieved.")), ("arguments", List(&[List(&[Text("name"), Text("command"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static LATENCY_HISTORY: About = About {
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    key_specs: &[],
    docs: &[("summary", Text("Return timestamp-latency samples for the event.")), ("since", Text("2.8.13")), ("group", Text("server")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("event"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static LATENCY_LATEST: About = About {
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    key_specs: &[],
    docs: &[("summary", Text("Return the latest latency samples for all events.")), ("since", Text("2.8.13")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static LATENCY_RESET: About = About {
    tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
    key_specs: &[],
    docs: &[("summary", Text("Reset latency data for one or more events.")), ("since", Text("2.8.13")), ("group", Text("server")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("event"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static SLOWLOG: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("A container for slow log commands")), ("since", Text("2.2.12")), ("group", Text("server")), ("complexity", Text("Depends on subcommand."))],
};

#[rustfmt::skip]
pub(super) static SLOWLOG_GET: About = About {
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Get the slow log's entries")), ("since", Text("2.2.12")), ("group", Text("server")), ("complexity", Text("O(N) where N is the number of entries returned")), ("history", List(&[List(&[Text("4.0.0"), Text("Added client IP address, port and name to the reply.")])])), ("arguments", List(&[List(&[Text("name"), Text("count"), Text("type"), Text("integer"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static SLOWLOG_HELP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Show helpful text about the different subcommands")), ("since", Text("6.2.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static SLOWLOG_LEN: About = About {
    tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Get the slow log's length")), ("since", Text("2.2.12")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static SLOWLOG_RESET: About = About {
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Clear all entries from the slow log")), ("since", Text("2.2.12")), ("group", Text("server")), ("complexity", Text("O(N) where N is the number of entries in the slowlog"))],
};

#[rustfmt::skip]
pub(super) static MEMORY: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("A container for memory diagnostics commands")), ("since", Text("4.0.0")), ("group", Text("server")), ("complexity", Text("Depends on subcommand."))],
};

#[rustfmt::skip]
pub(super) static MEMORY_DOCTOR: About = About {
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    key_specs: &[],
    docs: &[("summary", Text("Outputs memory problems report")), ("since", Text("4.0.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static MEMORY_HELP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Show helpful text about the different subcommands")), ("since", Text("4.0.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static MEMORY_MALLOC_STATS: About = About {
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    key_specs: &[],
    docs: &[("summary", Text("Show allocator internal stats")), ("since", Text("4.0.0")), ("group", Text("server")), ("complexity", Text("Depends on how much memory is allocated, could be slow"))],
};

#[rustfmt::skip]
pub(super) static MEMORY_PURGE: About = About {
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Ask the allocator to release memory")), ("since", Text("4.0.0")), ("group", Text("server")), ("complexity", Text("Depends on how much memory is allocated, could be slow"))],
};

#[rustfmt::skip]
pub(super) static MEMORY_STATS: About = About {
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    key_specs: &[],
    docs: &[("summary", Text("Show memory usage details")), ("since", Text("4.0.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static MEMORY_USAGE: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(2)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Estimate the memory usage of a key")), ("since", Text("4.0.0")), ("group", Text("server")), ("complexity", Text("O(N) where N is the number of samples.")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)]), List(&[Text("name"), Text("count"), Text("type"), Text("integer"), Text("token"), Text("SAMPLES"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static OBJECT: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("A container for object introspection commands")), ("since", Text("2.2.3")), ("group", Text("generic")), ("complexity", Text("Depends on subcommand."))],
};

#[rustfmt::skip]
pub(super) static OBJECT_ENCODING: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(2)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Inspect the internal encoding of a Redis object")), ("since", Text("2.2.3")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static OBJECT_FREQ: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(2)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get the logarithmic access frequency counter of a Redis object")), ("since", Text("4.0.0")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static OBJECT_HELP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Show helpful text about the different subcommands")), ("since", Text("6.2.0")), ("group", Text("generic")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static OBJECT_IDLETIME: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(2)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get the time since a Redis object was last accessed")), ("since", Text("2.2.3")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static OBJECT_REFCOUNT: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(2)])]), Text("find_keys"), List(&[Text("type"), Text("range"), Text("spec"), List(&[Text("lastkey"), Int(0), Text("keystep"), Int(1), Text("limit"), Int(0)])])])],
    docs: &[("summary", Text("Get the number of references to the value of the key")), ("since", Text("2.2.3")), ("group", Text("generic")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0)])]))],
};

#[rustfmt::skip]
pub(super) static DEBUG: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("A container for debugging commands")), ("since", Text("1.0.0")), ("group", Text("server")), ("complexity", Text("Depends on subcommand.")), ("doc_flags", List(&[Text("syscmd")]))],
};

#[rustfmt::skip]
pub(super) static SHUTDOWN: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Synchronously save the dataset to disk and then shut down the server")), ("since", Text("1.0.0")), ("group", Text("server")), ("complexity", Text("O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)")), ("history", List(&[List(&[Text("7.0.0"), Text("Added the `NOW`, `FORCE` and `ABORT` modifiers.")])])), ("arguments", List(&[List(&[Text("name"), Text("nosave_save"), Text("type"), Text("oneof"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("nosave"), Text("type"), Text("pure-token"), Text("token"), Text("NOSAVE")]), List(&[Text("name"), Text("save"), Text("type"), Text("pure-token"), Text("token"), Text("SAVE")])])]), List(&[Text("name"), Text("now"), Text("type"), Text("pure-token"), Text("token"), Text("NOW"), Text("since"), Text("7.0.0"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("force"), Text("type"), Text("pure-token"), Text("token"), Text("FORCE"), Text("since"), Text("7.0.0"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("abort"), Text("type"), Text("pure-token"), Text("token"), Text("ABORT"), Text("since"), Text("7.0.0"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static LOLWUT: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Display some computer art and the Redis version")), ("since", Text("5.0.0")), ("group", Text("server")), ("arguments", List(&[List(&[Text("name"), Text("version"), Text("type"), Text("integer"), Text("token"), Text("VERSION"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static FAILOVER: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Start a coordinated failover between this server and one of its replicas.")), ("since", Text("6.2.0")), ("group", Text("server")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("target"), Text("type"), Text("block"), Text("token"), Text("TO"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("host"), Text("type"), Text("string")]), List(&[Text("name"), Text("port"), Text("type"), Text("integer")]), List(&[Text("name"), Text("force"), Text("type"), Text("pure-token"), Text("token"), Text("FORCE"), Text("flags"), List(&[Text("optional")])])])]), List(&[Text("name"), Text("abort"), Text("type"), Text("pure-token"), Text("token"), Text("ABORT"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("milliseconds"), Text("type"), Text("integer"), Text("token"), Text("TIMEOUT"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static ASKING: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Sent by cluster clients after an -ASK redirect")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static READONLY: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Enables read queries for a connection to a cluster replica node")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static READWRITE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Disables read queries for a connection to a cluster replica node")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLUSTER: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("A container for cluster commands")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("Depends on subcommand."))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_ADDSLOTS: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Assign new hash slots to receiving node")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(N) where N is the total number of hash slot arguments")), ("arguments", List(&[List(&[Text("name"), Text("slot"), Text("type"), Text("integer"), Text("flags"), List(&[Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_ADDSLOTSRANGE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Assign new hash slots to receiving node")), ("since", Text("7.0.0")), ("group", Text("cluster")), ("complexity", Text("O(N) where N is the total number of the slots between the start slot and end slot arguments.")), ("arguments", List(&[List(&[Text("name"), Text("start-slot_end-slot"), Text("type"), Text("block"), Text("flags"), List(&[Text("multiple")]), Text("arguments"), List(&[List(&[Text("name"), Text("start-slot"), Text("type"), Text("integer")]), List(&[Text("name"), Text("end-slot"), Text("type"), Text("integer")])])])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_BUMPEPOCH: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Advance the cluster config epoch")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_COUNT_FAILURE_REPORTS: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Return the number of failure reports active for a given node")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(N) where N is the number of failure reports")), ("arguments", List(&[List(&[Text("name"), Text("node-id"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_COUNTKEYSINSLOT: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Return the number of local keys in the specified hash slot")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("slot"), Text("type"), Text("integer")])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_DELSLOTS: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Set hash slots as unbound in receiving node")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(N) where N is the total number of hash slot arguments")), ("arguments", List(&[List(&[Text("name"), Text("slot"), Text("type"), Text("integer"), Text("flags"), List(&[Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_DELSLOTSRANGE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Set hash slots as unbound in receiving node")), ("since", Text("7.0.0")), ("group", Text("cluster")), ("complexity", Text("O(N) where N is the total number of the slots between the start slot and end slot arguments.")), ("arguments", List(&[List(&[Text("name"), Text("start-slot_end-slot"), Text("type"), Text("block"), Text("flags"), List(&[Text("multiple")]), Text("arguments"), List(&[List(&[Text("name"), Text("start-slot"), Text("type"), Text("integer")]), List(&[Text("name"), Text("end-slot"), Text("type"), Text("integer")])])])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_FAILOVER: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Forces a replica to perform a manual failover of its master.")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("options"), Text("type"), Text("oneof"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("force"), Text("type"), Text("pure-token"), Text("token"), Text("FORCE")]), List(&[Text("name"), Text("takeover"), Text("type"), Text("pure-token"), Text("token"), Text("TAKEOVER")])])])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_FLUSHSLOTS: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Delete a node's own slots information")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_FORGET: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Remove a node from the nodes table")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("node-id"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_GETKEYSINSLOT: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Return local key names in the specified hash slot")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(log(N)) where N is the number of requested keys")), ("arguments", List(&[List(&[Text("name"), Text("slot"), Text("type"), Text("integer")]), List(&[Text("name"), Text("count"), Text("type"), Text("integer")])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_HELP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Show helpful text about the different subcommands")), ("since", Text("5.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_INFO: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Provides info about Redis Cluster node state")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_KEYSLOT: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Returns the hash slot of the specified key")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(N) where N is the number of bytes in the key")), ("arguments", List(&[List(&[Text("name"), Text("key"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_LINKS: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Returns a list of all TCP links to and from peer nodes in cluster")), ("since", Text("7.0.0")), ("group", Text("cluster")), ("complexity", Text("O(N) where N is the total number of Cluster nodes"))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_MEET: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Force a node cluster to handshake with another node")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)")), ("history", List(&[List(&[Text("4.0.0"), Text("Added the optional `cluster_bus_port` argument.")])])), ("arguments", List(&[List(&[Text("name"), Text("ip"), Text("type"), Text("string")]), List(&[Text("name"), Text("port"), Text("type"), Text("integer")]), List(&[Text("name"), Text("cluster_bus_port"), Text("type"), Text("integer"), Text("since"), Text("4.0.0"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_MYID: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Return the node id")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_MYSHARDID: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Returns the shard ID of a node.")), ("since", Text("7.2.0")), ("group", Text("cluster")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_NODES: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Get Cluster config for the node")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(N) where N is the total number of Cluster nodes"))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_REPLICAS: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("List replica nodes of the specified master node")), ("since", Text("5.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("node-id"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_REPLICATE: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Reconfigure a node as a replica of the specified master node")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("node-id"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_RESET: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Reset a Redis Cluster node")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.")), ("arguments", List(&[List(&[Text("name"), Text("hard_soft"), Text("type"), Text("oneof"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("hard"), Text("type"), Text("pure-token"), Text("token"), Text("HARD")]), List(&[Text("name"), Text("soft"), Text("type"), Text("pure-token"), Text("token"), Text("SOFT")])])])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_SAVECONFIG: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Forces the node to save cluster state on disk")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_SET_CONFIG_EPOCH: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Set the configuration epoch in a new node")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("config-epoch"), Text("type"), Text("integer")])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_SETSLOT: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Bind a hash slot to a specific node")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("slot"), Text("type"), Text("integer")]), List(&[Text("name"), Text("subcommand"), Text("type"), Text("oneof"), Text("arguments"), List(&[List(&[Text("name"), Text("node-id"), Text("type"), Text("string"), Text("token"), Text("IMPORTING")]), List(&[Text("name"), Text("node-id"), Text("type"), Text("string"), Text("token"), Text("MIGRATING")]), List(&[Text("name"), Text("node-id"), Text("type"), Text("string"), Text("token"), Text("NODE")]), List(&[Text("name"), Text("stable"), Text("type"), Text("pure-token"), Text("token"), Text("STABLE")])])])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_SHARDS: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Get array of cluster slots to node mappings")), ("since", Text("7.0.0")), ("group", Text("cluster")), ("complexity", Text("O(N) where N is the total number of cluster nodes"))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_SLAVES: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("List replica nodes of the specified master node")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(1)")), ("doc_flags", List(&[Text("deprecated")])), ("deprecated_since", Text("5.0.0")), ("replaced_by", Text("`CLUSTER REPLICAS`")), ("arguments", List(&[List(&[Text("name"), Text("node-id"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static CLUSTER_SLOTS: About = About {
    tips: &["nondeterministic_output"],
    key_specs: &[],
    docs: &[("summary", Text("Get array of Cluster slot to node mappings")), ("since", Text("3.0.0")), ("group", Text("cluster")), ("complexity", Text("O(N) where N is the total number of Cluster nodes")), ("doc_flags", List(&[Text("deprecated")])), ("deprecated_since", Text("7.0.0")), ("replaced_by", Text("`CLUSTER SHARDS`")), ("history", List(&[List(&[Text("4.0.0"), Text("Added node IDs.")]), List(&[Text("7.0.0"), Text("Added additional networking metadata field.")])]))],
};

#[rustfmt::skip]
pub(super) static ACL: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("A container for Access List Control commands ")), ("since", Text("6.0.0")), ("group", Text("server")), ("complexity", Text("Depends on subcommand."))],
};

#[rustfmt::skip]
pub(super) static ACL_CAT: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("List the ACL categories or the commands inside a category")), ("since", Text("6.0.0")), ("group", Text("server")), ("complexity", Text("O(1) since the categories and commands are a fixed set.")), ("arguments", List(&[List(&[Text("name"), Text("categoryname"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static ACL_DELUSER: About = About {
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Remove the specified ACL users and the associated rules")), ("since", Text("6.0.0")), ("group", Text("server")), ("complexity", Text("O(1) amortized time considering the typical user.")), ("arguments", List(&[List(&[Text("name"), Text("username"), Text("type"), Text("string"), Text("flags"), List(&[Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static ACL_DRYRUN: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Returns whether the user can execute the given command without executing the command.")), ("since", Text("7.0.0")), ("group", Text("server")), ("complexity", Text("O(1).")), ("arguments", List(&[List(&[Text("name"), Text("username"), Text("type"), Text("string")]), List(&[Text("name"), Text("command"), Text("type"), Text("string")]), List(&[Text("name"), Text("arg"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static ACL_GENPASS: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Generate a pseudorandom secure password to use for ACL users")), ("since", Text("6.0.0")), ("group", Text("server")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("bits"), Text("type"), Text("integer"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static ACL_GETUSER: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Get the rules for a specific ACL user")), ("since", Text("6.0.0")), ("group", Text("server")), ("complexity", Text("O(N). Where N is the number of password, command and pattern rules that the user has.")), ("history", List(&[List(&[Text("6.2.0"), Text("Added Pub/Sub channel patterns.")]), List(&[Text("7.0.0"), Text("Added selectors and changed the format of key and channel patterns from a list to their rule representation.")])])), ("arguments", List(&[List(&[Text("name"), Text("username"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static ACL_HELP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Show helpful text about the different subcommands")), ("since", Text("6.0.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static ACL_LIST: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("List the current ACL rules in ACL config file format")), ("since", Text("6.0.0")), ("group", Text("server")), ("complexity", Text("O(N). Where N is the number of configured users."))],
};

#[rustfmt::skip]
pub(super) static ACL_LOAD: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Reload the ACLs from the configured ACL file")), ("since", Text("6.0.0")), ("group", Text("server")), ("complexity", Text("O(N). Where N is the number of configured users."))],
};

#[rustfmt::skip]
pub(super) static ACL_LOG: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("List latest events denied because of ACLs in place")), ("since", Text("6.0.0")), ("group", Text("server")), ("complexity", Text("O(N) with N being the number of entries shown.")), ("arguments", List(&[List(&[Text("name"), Text("operation"), Text("type"), Text("oneof"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("count"), Text("type"), Text("integer")]), List(&[Text("name"), Text("reset"), Text("type"), Text("pure-token"), Text("token"), Text("RESET")])])])]))],
};

#[rustfmt::skip]
pub(super) static ACL_SAVE: About = About {
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Save the current ACL rules in the configured ACL file")), ("since", Text("6.0.0")), ("group", Text("server")), ("complexity", Text("O(N). Where N is the number of configured users."))],
};

#[rustfmt::skip]
pub(super) static ACL_SETUSER: About = About {
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Modify or create the rules for a specific ACL user")), ("since", Text("6.0.0")), ("group", Text("server")), ("complexity", Text("O(N). Where N is the number of rules provided.")), ("history", List(&[List(&[Text("6.2.0"), Text("Added Pub/Sub channel patterns.")]), List(&[Text("7.0.0"), Text("Added selectors and key based permissions.")])])), ("arguments", List(&[List(&[Text("name"), Text("username"), Text("type"), Text("string")]), List(&[Text("name"), Text("rule"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static ACL_USERS: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("List the username of all the configured ACL rules")), ("since", Text("6.0.0")), ("group", Text("server")), ("complexity", Text("O(N). Where N is the number of configured users."))],
};

#[rustfmt::skip]
pub(super) static ACL_WHOAMI: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Return the name of the user associated to the current connection")), ("since", Text("6.0.0")), ("group", Text("server")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static FLUSHALL: About = About {
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Remove all keys from all databases")), ("since", Text("1.0.0")), ("group", Text("server")), ("complexity", Text("O(N) where N is the total number of keys in all databases")), ("history", List(&[List(&[Text("4.0.0"), Text("Added the `ASYNC` flushing mode modifier.")]), List(&[Text("6.2.0"), Text("Added the `SYNC` flushing mode modifier.")])])), ("arguments", List(&[List(&[Text("name"), Text("async"), Text("type"), Text("oneof"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("async"), Text("type"), Text("pure-token"), Text("token"), Text("ASYNC"), Text("since"), Text("4.0.0")]), List(&[Text("name"), Text("sync"), Text("type"), Text("pure-token"), Text("token"), Text("SYNC"), Text("since"), Text("6.2.0")])])])]))],
};

#[rustfmt::skip]
pub(super) static FLUSHDB: About = About {
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Remove all keys from the current database")), ("since", Text("1.0.0")), ("group", Text("server")), ("complexity", Text("O(N) where N is the number of keys in the selected database")), ("history", List(&[List(&[Text("4.0.0"), Text("Added the `ASYNC` flushing mode modifier.")]), List(&[Text("6.2.0"), Text("Added the `SYNC` flushing mode modifier.")])])), ("arguments", List(&[List(&[Text("name"), Text("async"), Text("type"), Text("oneof"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("async"), Text("type"), Text("pure-token"), Text("token"), Text("ASYNC"), Text("since"), Text("4.0.0")]), List(&[Text("name"), Text("sync"), Text("type"), Text("pure-token"), Text("token"), Text("SYNC"), Text("since"), Text("6.2.0")])])])]))],
};

#[rustfmt::skip]
pub(super) static SWAPDB: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Swaps two Redis databases")), ("since", Text("4.0.0")), ("group", Text("server")), ("complexity", Text("O(N) where N is the count of clients watching or blocking on keys from both databases.")), ("arguments", List(&[List(&[Text("name"), Text("index1"), Text("type"), Text("integer")]), List(&[Text("name"), Text("index2"), Text("type"), Text("integer")])]))],
};

#[rustfmt::skip]
pub(super) static SCRIPT: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("A container for Lua scripts management commands")), ("since", Text("2.6.0")), ("group", Text("scripting")), ("complexity", Text("Depends on subcommand."))],
};

#[rustfmt::skip]
pub(super) static SCRIPT_FLUSH: About = About {
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Remove all the scripts from the script cache.")), ("since", Text("2.6.0")), ("group", Text("scripting")), ("complexity", Text("O(N) with N being the number of scripts in cache")), ("history", List(&[List(&[Text("6.2.0"), Text("Added the `ASYNC` and `SYNC` flushing mode modifiers.")])])), ("arguments", List(&[List(&[Text("name"), Text("async"), Text("type"), Text("oneof"), Text("since"), Text("6.2.0"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("async"), Text("type"), Text("pure-token"), Text("token"), Text("ASYNC")]), List(&[Text("name"), Text("sync"), Text("type"), Text("pure-token"), Text("token"), Text("SYNC")])])])]))],
};

#[rustfmt::skip]
pub(super) static SCRIPT_DEBUG: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Set the debug mode for executed scripts.")), ("since", Text("3.2.0")), ("group", Text("scripting")), ("complexity", Text("O(1)")), ("arguments", List(&[List(&[Text("name"), Text("mode"), Text("type"), Text("oneof"), Text("arguments"), List(&[List(&[Text("name"), Text("yes"), Text("type"), Text("pure-token"), Text("token"), Text("YES")]), List(&[Text("name"), Text("sync"), Text("type"), Text("pure-token"), Text("token"), Text("SYNC")]), List(&[Text("name"), Text("no"), Text("type"), Text("pure-token"), Text("token"), Text("NO")])])])]))],
};

#[rustfmt::skip]
pub(super) static SCRIPT_EXISTS: About = About {
    tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
    key_specs: &[],
    docs: &[("summary", Text("Check existence of scripts in the script cache.")), ("since", Text("2.6.0")), ("group", Text("scripting")), ("complexity", Text("O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).")), ("arguments", List(&[List(&[Text("name"), Text("sha1"), Text("type"), Text("string"), Text("flags"), List(&[Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static SCRIPT_LOAD: About = About {
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Load the specified Lua script into the script cache.")), ("since", Text("2.6.0")), ("group", Text("scripting")), ("complexity", Text("O(N) with N being the length in bytes of the script body.")), ("arguments", List(&[List(&[Text("name"), Text("script"), Text("type"), Text("string")])]))],
};

#[rustfmt::skip]
pub(super) static SCRIPT_HELP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Show helpful text about the different subcommands")), ("since", Text("5.0.0")), ("group", Text("scripting")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static SCRIPT_KILL: About = About {
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Kill the script currently in execution.")), ("since", Text("2.6.0")), ("group", Text("scripting")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static EVAL: About = About {
    tips: &[],
    key_specs: &[List(&[Text("notes"), Text("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE"), Text("flags"), List(&[Text("RW"), Text("access"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(2)])]), Text("find_keys"), List(&[Text("type"), Text("keynum"), Text("spec"), List(&[Text("keynumidx"), Int(0), Text("firstkey"), Int(1), Text("keystep"), Int(1)])])])],
    docs: &[("summary", Text("Execute a Lua script server side")), ("since", Text("2.6.0")), ("group", Text("scripting")), ("complexity", Text("Depends on the script that is executed.")), ("arguments", List(&[List(&[Text("name"), Text("script"), Text("type"), Text("string")]), List(&[Text("name"), Text("numkeys"), Text("type"), Text("integer")]), List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0), Text("flags"), List(&[Text("optional"), Text("multiple")])]), List(&[Text("name"), Text("arg"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static EVALSHA: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RW"), Text("access"), Text("update")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(2)])]), Text("find_keys"), List(&[Text("type"), Text("keynum"), Text("spec"), List(&[Text("keynumidx"), Int(0), Text("firstkey"), Int(1), Text("keystep"), Int(1)])])])],
    docs: &[("summary", Text("Execute a Lua script server side")), ("since", Text("2.6.0")), ("group", Text("scripting")), ("complexity", Text("Depends on the script that is executed.")), ("arguments", List(&[List(&[Text("name"), Text("sha1"), Text("type"), Text("string")]), List(&[Text("name"), Text("numkeys"), Text("type"), Text("integer")]), List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0), Text("flags"), List(&[Text("optional"), Text("multiple")])]), List(&[Text("name"), Text("arg"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static EVAL_RO: About = About {
    tips: &[],
    key_specs: &[List(&[Text("notes"), Text("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS"), Text("flags"), List(&[Text("RO"), Text("access")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(2)])]), Text("find_keys"), List(&[Text("type"), Text("keynum"), Text("spec"), List(&[Text("keynumidx"), Int(0), Text("firstkey"), Int(1), Text("keystep"), Int(1)])])])],
    docs: &[("summary", Text("Execute a read-only Lua script server side")), ("since", Text("7.0.0")), ("group", Text("scripting")), ("complexity", Text("Depends on the script that is executed.")), ("arguments", List(&[List(&[Text("name"), Text("script"), Text("type"), Text("string")]), List(&[Text("name"), Text("numkeys"), Text("type"), Text("integer")]), List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0), Text("flags"), List(&[Text("optional"), Text("multiple")])]), List(&[Text("name"), Text("arg"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static EVALSHA_RO: About = About {
    tips: &[],
    key_specs: &[List(&[Text("flags"), List(&[Text("RO"), Text("access")]), Text("begin_search"), List(&[Text("type"), Text("index"), Text("spec"), List(&[Text("index"), Int(2)])]), Text("find_keys"), List(&[Text("type"), Text("keynum"), Text("spec"), List(&[Text("keynumidx"), Int(0), Text("firstkey"), Int(1), Text("keystep"), Int(1)])])])],
    docs: &[("summary", Text("Execute a read-only Lua script server side")), ("since", Text("7.0.0")), ("group", Text("scripting")), ("complexity", Text("Depends on the script that is executed.")), ("arguments", List(&[List(&[Text("name"), Text("sha1"), Text("type"), Text("string")]), List(&[Text("name"), Text("numkeys"), Text("type"), Text("integer")]), List(&[Text("name"), Text("key"), Text("type"), Text("key"), Text("key_spec_index"), Int(0), Text("flags"), List(&[Text("optional"), Text("multiple")])]), List(&[Text("name"), Text("arg"), Text("type"), Text("string"), Text("flags"), List(&[Text("optional"), Text("multiple")])])]))],
};

#[rustfmt::skip]
pub(super) static FUNCTION: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("A container for function commands")), ("since", Text("7.0.0")), ("group", Text("scripting")), ("complexity", Text("Depends on subcommand."))],
};

#[rustfmt::skip]
pub(super) static FUNCTION_DUMP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Dump all functions into a serialized binary payload")), ("since", Text("7.0.0")), ("group", Text("scripting")), ("complexity", Text("O(N) where N is the number of functions"))],
};

#[rustfmt::skip]
pub(super) static FUNCTION_FLUSH: About = About {
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Deleting all functions")), ("since", Text("7.0.0")), ("group", Text("scripting")), ("complexity", Text("O(N) where N is the number of functions deleted")), ("arguments", List(&[List(&[Text("name"), Text("async"), Text("type"), Text("oneof"), Text("flags"), List(&[Text("optional")]), Text("arguments"), List(&[List(&[Text("name"), Text("async"), Text("type"), Text("pure-token"), Text("token"), Text("ASYNC")]), List(&[Text("name"), Text("sync"), Text("type"), Text("pure-token"), Text("token"), Text("SYNC")])])])]))],
};

#[rustfmt::skip]
pub(super) static FUNCTION_HELP: About = About {
    tips: &[],
    key_specs: &[],
    docs: &[("summary", Text("Show helpful text about the different subcommands")), ("since", Text("7.0.0")), ("group", Text("scripting")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static FUNCTION_KILL: About = About {
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    key_specs: &[],
    docs: &[("summary", Text("Kill the function currently in execution.")), ("since", Text("7.0.0")), ("group", Text("scripting")), ("complexity", Text("O(1)"))],
};

#[rustfmt::skip]
pub(super) static FUNCTION_LIST: About = About {
    tips: &["nondeterministic_output_order"],
    key_specs: &[],
    docs: &[("summary", Text("List information about all the functions")), ("since", Text("7.0.0")), ("group", Text("scripting")), ("complexity", Text("O(N) where N is the number of functions")), ("arguments", List(&[List(&[Text("name"), Text("library-name-pattern"), Text("type"), Text("string"), Text("token"), Text("LIBRARYNAME"), Text("flags"), List(&[Text("optional")])]), List(&[Text("name"), Text("withcode"), Text("type"), Text("pure-token"), Text("token"), Text("WITHCODE"), Text("flags"), List(&[Text("optional")])])]))],
};

#[rustfmt::skip]
pub(super) static FUNCTION_STATS: About = About {
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    key_specs: &[],
    docs: &[("summary", Text("Return information about the function currently running (name, description, duration)")), ("since", Text("7.0.0")), ("group", Text("scripting")), ("complexity", Text("O(1)"))],
};
