//! The limits of memory, and the ways to fill them: one row for each.
//!
//! A new limit or a new buffer needs a row here.

use harness::request;

use crate::filler::Reads;

/// One way to fill one limit.
pub(super) struct Way {
    pub(super) name: &'static str,
    /// The limit in bytes.
    pub(super) limit: usize,
    pub(super) settings: &'static [&'static str],
    /// The requests of an operator before the memory is measured.
    pub(super) prepare: fn() -> Vec<u8>,
    pub(super) clients: usize,
    /// The first bytes of each client.
    pub(super) opens: &'static [u8],
    /// The bytes that each client sends then; the function takes a running number.
    pub(super) sends: fn(usize) -> Vec<u8>,
    /// A script that each client runs, in place of these bytes.
    pub(super) script: &'static str,
    pub(super) times: usize,
    pub(super) reads: Reads,
    /// The bytes of another client, which reads its replies.
    pub(super) other: fn(usize) -> Vec<u8>,
    pub(super) other_times: usize,
    /// A request that empties a store that outlives its clients.
    pub(super) empties: &'static [&'static str],
}

/// The defaults of a row.
const WAY: Way = Way {
    name: "",
    limit: LIMIT,
    settings: &[],
    prepare: Vec::new,
    clients: 1,
    opens: b"",
    sends: |_| Vec::new(),
    script: "",
    times: 0,
    reads: Reads::Nothing,
    other: |_| Vec::new(),
    other_times: 0,
    empties: &["PING"],
};

const LIMIT: usize = 8 * MEGABYTE;
pub(super) const MEGABYTE: usize = 1024 * 1024;

const NORMAL: &[&str] = &["--client-output-buffer-limit", "normal 8mb 0 0"];
const PUBSUB: &[&str] = &["--client-output-buffer-limit", "pubsub 8mb 0 0"];
const QUERY: &[&str] = &["--client-query-buffer-limit", "8mb"];
const CLIENTS: &[&str] =
    &["--maxmemory-clients", "16mb", "--client-output-buffer-limit", "pubsub 0 0 0"];
const KEYS: &[&str] = &["--maxmemory", "24mb"];
/// The memory of all scripts together, which no directive changes.
const SCRIPTS: usize = 256 * MEGABYTE;

/// Replies to one client, `client-output-buffer-limit normal`.
pub(super) const OF_REPLIES: &[Way] = &[
    Way {
        name: "one huge reply",
        settings: NORMAL,
        prepare: big,
        sends: |_| request(&[&["MGET"][..], &["big"; 40]].concat()),
        times: 2,
        ..WAY
    },
    Way {
        name: "many small replies",
        settings: NORMAL,
        sends: |_| request(&["ECHO", &text(1_000)]).repeat(1_000),
        times: 80,
        ..WAY
    },
    Way {
        name: "replies of a transaction",
        settings: NORMAL,
        prepare: big,
        opens: b"MULTI\r\n",
        sends: |_| [b"GET big\r\n".repeat(40), b"EXEC\r\nMULTI\r\n".to_vec()].concat(),
        times: 2,
        ..WAY
    },
    Way {
        name: "lines of MONITOR",
        settings: NORMAL,
        opens: b"MONITOR\r\n",
        other: |_| request(&["ECHO", &text(MEGABYTE)]),
        other_times: 80,
        ..WAY
    },
    Way {
        name: "invalidated keys",
        settings: NORMAL,
        opens: b"HELLO 3\r\nCLIENT TRACKING ON BCAST\r\n",
        other: |number| request(&["DEL", &unique(number, 100_000)]).repeat(10),
        other_times: 1,
        ..WAY
    },
    Way {
        name: "errors",
        settings: NORMAL,
        sends: |_| format!("NOSUCH {}\r\n", text(100)).repeat(10_000).into_bytes(),
        times: 20,
        ..WAY
    },
    Way {
        name: "replies to INFO",
        settings: NORMAL,
        sends: |_| b"INFO everything\r\n".repeat(1_000),
        times: 10,
        ..WAY
    },
    Way {
        name: "replies to COMMAND DOCS",
        settings: NORMAL,
        sends: |_| b"COMMAND DOCS\r\nCOMMAND\r\n".repeat(200),
        times: 3,
        ..WAY
    },
    Way {
        name: "names of keys",
        settings: NORMAL,
        prepare: || (0..10_000).flat_map(|n| request(&["SET", &unique(n, 1_000), "v"])).collect(),
        sends: |_| b"KEYS *\r\nSCAN 0 COUNT 100000\r\n".repeat(4),
        times: 2,
        ..WAY
    },
    Way {
        name: "names of channels",
        settings: NORMAL,
        clients: 2,
        opens: b"HELLO 3\r\n",
        sends: |number| match number {
            0 => (0..2_000).flat_map(|n| request(&["SUBSCRIBE", &unique(n, 1_000)])).collect(),
            1 => Vec::new(),
            _ => b"PUBSUB CHANNELS\r\n".repeat(10),
        },
        times: 2,
        ..WAY
    },
    Way {
        name: "unread replies without a limit",
        limit: 64 * MEGABYTE,
        prepare: big,
        sends: |_| b"GET big\r\n".repeat(40),
        times: 1,
        ..WAY
    },
    Way {
        name: "unread small replies without a limit",
        limit: 64 * MEGABYTE,
        sends: |_| request(&["ECHO", &text(1_000)]).repeat(1_000),
        times: 150,
        ..WAY
    },
];

/// Messages to one subscriber, `client-output-buffer-limit pubsub`.
pub(super) const OF_MESSAGES: &[Way] = &[
    Way {
        name: "few huge messages",
        settings: PUBSUB,
        opens: b"SUBSCRIBE c\r\n",
        other: |_| request(&["PUBLISH", "c", &text(12 * MEGABYTE)]),
        other_times: 6,
        ..WAY
    },
    Way {
        name: "messages of a megabyte",
        settings: PUBSUB,
        opens: b"SUBSCRIBE c\r\n",
        other: |_| request(&["PUBLISH", "c", &text(MEGABYTE)]),
        other_times: 80,
        ..WAY
    },
    Way {
        name: "many small messages",
        settings: PUBSUB,
        opens: b"SUBSCRIBE c\r\n",
        other: |_| request(&["PUBLISH", "c", &text(1_000)]).repeat(1_000),
        other_times: 80,
        ..WAY
    },
    Way {
        name: "messages by many patterns",
        settings: PUBSUB,
        opens: b"PSUBSCRIBE c c* *c ?c *c* cc [c]c c[c] c? ??\r\n",
        other: |_| request(&["PUBLISH", "cc", &text(10_000)]).repeat(100),
        other_times: 20,
        ..WAY
    },
    Way {
        name: "sharded messages",
        settings: PUBSUB,
        opens: b"SSUBSCRIBE c\r\n",
        other: |_| request(&["SPUBLISH", "c", &text(10_000)]).repeat(100),
        other_times: 80,
        ..WAY
    },
    Way {
        name: "messages of a script to its own client",
        settings: PUBSUB,
        opens: b"HELLO 3\r\nSUBSCRIBE c\r\n",
        sends: |_| {
            let script = "for i = 1, 80 do redis.call('publish', 'c', ARGV[1]) end";
            request(&["EVAL", script, "0", &text(MEGABYTE)])
        },
        times: 2,
        ..WAY
    },
    Way {
        name: "small messages of a script to its own client",
        settings: PUBSUB,
        opens: b"HELLO 3\r\nSUBSCRIBE c\r\n",
        sends: |_| {
            let script = "for i = 1, 200000 do redis.call('publish', 'c', ARGV[1]) end";
            request(&["EVAL", script, "0", &text(500)])
        },
        times: 1,
        ..WAY
    },
    Way {
        name: "messages of a transaction to its own client",
        settings: PUBSUB,
        opens: b"HELLO 3\r\nPSUBSCRIBE c c* *c ?c *c* cc [c]c c[c] c? ??\r\nMULTI\r\n",
        sends: |_| {
            let publish = request(&["PUBLISH", "cc", &text(MEGABYTE)]).repeat(15);
            [publish, b"EXEC\r\nMULTI\r\n".to_vec()].concat()
        },
        times: 2,
        ..WAY
    },
    Way {
        name: "confirmations",
        settings: PUBSUB,
        sends: |_| request(&["SUBSCRIBE", &text(1_000)]).repeat(1_000),
        times: 100,
        ..WAY
    },
    Way {
        name: "keyspace events",
        settings: &[PUBSUB[0], PUBSUB[1], "--notify-keyspace-events", "KEA"],
        opens: b"PSUBSCRIBE __key*\r\n",
        other: |_| request(&["SET", &text(10_000), "v"]).repeat(100),
        other_times: 80,
        ..WAY
    },
    Way {
        name: "remembered messages",
        settings: &["--pubsub-replay", "* 1000000 8mb 2"],
        other: |_| request(&["PUBLISH", "c", &text(MEGABYTE)]),
        other_times: 80,
        ..WAY
    },
    Way {
        name: "remembered small messages",
        settings: &["--pubsub-replay", "* 1000000 8mb 2"],
        other: |_| request(&["PUBLISH", "c", &text(100)]).repeat(5_000),
        other_times: 30,
        ..WAY
    },
    Way {
        name: "remembered channels",
        settings: &["--pubsub-replay", "* 1000000 8mb 2"],
        other: |number| {
            let publish = |n| request(&["PUBLISH", &unique(number * 1_000 + n, 2_000), "m"]);
            (0..1_000).flat_map(publish).collect()
        },
        other_times: 20,
        ..WAY
    },
];

/// Input of one client, `client-query-buffer-limit`.
pub(super) const OF_REQUESTS: &[Way] = &[
    Way {
        name: "an unfinished argument",
        settings: QUERY,
        opens: b"*2\r\n$4\r\nECHO\r\n$500000000\r\n",
        sends: |_| text(MEGABYTE).into(),
        times: 80,
        ..WAY
    },
    Way {
        name: "unfinished arguments",
        settings: QUERY,
        opens: b"*100000000\r\n",
        sends: |_| b"$10\r\n0123456789\r\n".repeat(60_000),
        times: 80,
        ..WAY
    },
    Way {
        name: "unfinished empty arguments",
        settings: QUERY,
        opens: b"*100000000\r\n",
        sends: |_| b"$0\r\n\r\n".repeat(170_000),
        times: 80,
        ..WAY
    },
    Way {
        name: "a transaction of long requests",
        settings: QUERY,
        opens: b"MULTI\r\n",
        sends: |_| request(&["SET", "k", &text(MEGABYTE)]),
        times: 80,
        ..WAY
    },
    Way {
        name: "a transaction of short requests",
        settings: QUERY,
        opens: b"MULTI\r\n",
        sends: |_| b"PING\r\n".repeat(170_000),
        times: 20,
        reads: Reads::All,
        ..WAY
    },
    Way {
        name: "requests behind WAIT",
        settings: QUERY,
        opens: b"WAIT 1 0\r\n",
        sends: |_| b"PING\r\n".repeat(170_000),
        times: 80,
        ..WAY
    },
    Way {
        name: "a long request behind WAIT",
        settings: QUERY,
        opens: b"WAIT 1 0\r\n*2\r\n$4\r\nECHO\r\n$500000000\r\n",
        sends: |_| text(MEGABYTE).into(),
        times: 80,
        ..WAY
    },
    Way {
        name: "requests behind CLIENT PAUSE",
        settings: QUERY,
        prepare: || b"CLIENT PAUSE 100000 WRITE\r\n".to_vec(),
        sends: |_| request(&["SET", "k", &text(1_000)]).repeat(1_000),
        times: 80,
        ..WAY
    },
    Way {
        name: "requests behind a script of the client",
        settings: QUERY,
        prepare: || b"CONFIG SET busy-reply-threshold 10\r\n".to_vec(),
        opens: b"EVAL \"while true do end\" 0\r\n",
        sends: |_| request(&["SET", "k", &text(1_000)]).repeat(1_000),
        times: 80,
        empties: &["SCRIPT", "KILL"],
        ..WAY
    },
    Way {
        name: "a line without an end",
        settings: QUERY,
        sends: |_| text(MEGABYTE).into(),
        times: 80,
        ..WAY
    },
    Way {
        name: "requests of clients without a login",
        limit: 50 * 160 * 1024,
        settings: &["--requirepass", "secret", "--maxclients", "50"],
        clients: 300,
        opens: b"*10\r\n$4\r\nAUTH\r\n",
        sends: |_| format!("$16384\r\n{}\r\n", text(16_384)).into(),
        times: 8,
        ..WAY
    },
];

/// Input and output of all clients, `maxmemory-clients`.
pub(super) const OF_CLIENTS: &[Way] = &[
    Way {
        name: "unfinished arguments of many clients",
        limit: 16 * MEGABYTE,
        settings: CLIENTS,
        clients: 40,
        opens: b"*2\r\n$4\r\nECHO\r\n$500000000\r\n",
        sends: |_| text(MEGABYTE).into(),
        times: 4,
        ..WAY
    },
    Way {
        name: "unread replies of many clients",
        limit: 16 * MEGABYTE,
        settings: CLIENTS,
        clients: 40,
        sends: |_| request(&["ECHO", &text(MEGABYTE)]),
        times: 8,
        ..WAY
    },
    Way {
        name: "transactions of many clients",
        limit: 16 * MEGABYTE,
        settings: CLIENTS,
        clients: 40,
        opens: b"MULTI\r\n",
        sends: |_| request(&["SET", "k", &text(MEGABYTE)]),
        times: 4,
        ..WAY
    },
    Way {
        name: "messages to many clients",
        limit: 16 * MEGABYTE,
        settings: CLIENTS,
        clients: 40,
        opens: b"SUBSCRIBE c\r\n",
        other: |_| request(&["PUBLISH", "c", &text(100_000)]).repeat(10),
        other_times: 16,
        ..WAY
    },
    Way {
        name: "channels of many clients",
        limit: 16 * MEGABYTE,
        settings: CLIENTS,
        clients: 40,
        sends: |number| {
            let subscribe = |n| request(&["SUBSCRIBE", &unique(number * 200 + n, 5_000)]);
            (0..200).flat_map(subscribe).collect()
        },
        times: 1,
        reads: Reads::All,
        ..WAY
    },
    Way {
        name: "watched keys of many clients",
        limit: 16 * MEGABYTE,
        settings: CLIENTS,
        clients: 40,
        sends: |number| {
            let watch = |n| request(&["WATCH", &unique(number * 200 + n, 5_000)]);
            (0..200).flat_map(watch).collect()
        },
        times: 1,
        reads: Reads::All,
        ..WAY
    },
    Way {
        name: "prefixes of many clients",
        limit: 16 * MEGABYTE,
        settings: CLIENTS,
        clients: 40,
        opens: b"HELLO 3\r\n",
        sends: |number| {
            let track = |n| {
                let prefix = unique(number * 20 + n, 50_000);
                request(&["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", &prefix])
            };
            (0..20).flat_map(track).collect()
        },
        times: 1,
        reads: Reads::All,
        ..WAY
    },
    Way {
        name: "names of many clients",
        limit: 16 * MEGABYTE,
        settings: CLIENTS,
        clients: 60,
        sends: |_| {
            let name = text(2 * MEGABYTE);
            let info = |field| request(&["CLIENT", "SETINFO", field, &name]);
            let set = request(&["CLIENT", "SETNAME", &name]);
            [set, info("lib-name"), info("lib-ver")].concat()
        },
        times: 1,
        reads: Reads::All,
        ..WAY
    },
];

/// Stores that outlive their clients: logs, statistics, keys, scripts and tracked keys.
pub(super) const OF_STORES: &[Way] = &[
    Way {
        name: "ACL LOG",
        limit: MEGABYTE,
        prepare: || b"ACL SETUSER guest on nopass +ping\r\n".to_vec(),
        opens: b"AUTH guest x\r\n",
        sends: |number| request(&["GET", &unique(number, MEGABYTE)]),
        times: 150,
        reads: Reads::All,
        ..WAY
    },
    Way {
        name: "ACL LOG of wrong passwords",
        limit: MEGABYTE,
        sends: |number| request(&["AUTH", &unique(number, MEGABYTE), "x"]),
        times: 150,
        reads: Reads::All,
        ..WAY
    },
    Way {
        name: "SLOWLOG",
        limit: MEGABYTE,
        settings: &["--slowlog-log-slower-than", "0"],
        sends: |number| {
            let key = unique(number, 10_000);
            request(&[&["DEL"][..], &[key.as_str(); 40]].concat())
        },
        times: 150,
        reads: Reads::All,
        ..WAY
    },
    Way {
        name: "error statistics",
        limit: MEGABYTE,
        sends: |number| request(&["EVAL", "return {err=ARGV[1]}", "0", &unique(number, MEGABYTE)]),
        times: 80,
        reads: Reads::All,
        ..WAY
    },
    Way {
        name: "many error statistics",
        limit: MEGABYTE,
        sends: |number| {
            let error = |n| {
                let code = format!("E{}", number * 1_000 + n);
                request(&["EVAL", "return {err=ARGV[1]}", "0", &code])
            };
            (0..1_000).flat_map(error).collect()
        },
        times: 20,
        reads: Reads::All,
        ..WAY
    },
    Way {
        name: "tracked keys",
        limit: MEGABYTE,
        settings: &["--tracking-table-max-keys", "1000"],
        opens: b"CLIENT TRACKING ON\r\n",
        sends: |number| {
            let get = |n| request(&["GET", &unique(number * 1_000 + n, 1_000)]);
            (0..1_000).flat_map(get).collect()
        },
        times: 50,
        reads: Reads::All,
        ..WAY
    },
    Way {
        name: "keys of a megabyte",
        limit: 24 * MEGABYTE,
        settings: KEYS,
        sends: |number| request(&["SET", &number.to_string(), &text(MEGABYTE)]),
        times: 100,
        reads: Reads::All,
        empties: &["FLUSHALL"],
        ..WAY
    },
    Way {
        name: "small keys",
        limit: 24 * MEGABYTE,
        settings: KEYS,
        sends: |number| {
            let set = |n: usize| request(&["SET", &(number * 10_000 + n).to_string(), "v"]);
            (0..10_000).flat_map(set).collect()
        },
        times: 40,
        reads: Reads::All,
        empties: &["FLUSHALL"],
        ..WAY
    },
    Way {
        name: "keys with an expiry",
        limit: 24 * MEGABYTE,
        settings: KEYS,
        sends: |number| {
            let set = |n| request(&["SET", &unique(number * 1_000 + n, 100), "v", "EX", "1000"]);
            (0..1_000).flat_map(set).collect()
        },
        times: 120,
        reads: Reads::All,
        empties: &["FLUSHALL"],
        ..WAY
    },
    Way {
        name: "one key that grows",
        limit: 24 * MEGABYTE,
        settings: KEYS,
        sends: |_| request(&["APPEND", "k", &text(MEGABYTE)]),
        times: 100,
        reads: Reads::All,
        empties: &["FLUSHALL"],
        ..WAY
    },
    Way {
        name: "SETRANGE",
        limit: 24 * MEGABYTE,
        settings: KEYS,
        sends: |number| request(&["SETRANGE", &number.to_string(), "20000000", "x"]),
        times: 20,
        reads: Reads::All,
        empties: &["FLUSHALL"],
        ..WAY
    },
    Way {
        name: "copies of a key",
        limit: 24 * MEGABYTE,
        settings: KEYS,
        prepare: big,
        sends: |number| {
            let copy = format!("copy{number}");
            [request(&["COPY", "big", &copy]), request(&["APPEND", &copy, "x"])].concat()
        },
        times: 40,
        reads: Reads::All,
        empties: &["FLUSHALL"],
        ..WAY
    },
    Way {
        name: "a key with a limit of its size",
        limit: MEGABYTE,
        settings: &["--proto-max-bulk-len", "1mb"],
        sends: |_| request(&["APPEND", "k", &text(100_000)]),
        times: 1_000,
        reads: Reads::All,
        empties: &["FLUSHALL"],
        ..WAY
    },
];

/// The memory of all scripts, which is not a setting.
pub(super) const OF_SCRIPTS: &[Way] = &[
    of_script(
        "results of commands",
        "local t = {} for i = 1, 100 do t[i] = redis.call('get', 'big') end return #t",
    ),
    of_script(
        "results of commands in the reply",
        "local t = {} for i = 1, 100 do t[i] = redis.call('get', 'big') end return t",
    ),
    of_script(
        "repeated text",
        "local t = {} for i = 1, 100 do t[i] = string.rep('x', 10000000) .. i end \
                 return #t",
    ),
    of_script("doubled text", "local s = 'x' for i = 1, 40 do s = s .. s end return #s"),
    of_script(
        "joined text",
        "local t = {} local s = string.rep('x', 10000000) for i = 1, 100 do t[i] = s \
                 end return #table.concat(t)",
    ),
    of_script(
        "replaced text",
        "return #string.gsub(string.rep('x', 10000000), 'x+', string.rep('%0', 60))",
    ),
    of_script(
        "replaced letters",
        "return #string.gsub(string.rep('x', 10000000), 'x', string.rep('y', 60))",
    ),
    of_script(
        "formatted text",
        "local s = string.rep('x', 10000000) local t = {} for i = 1, 60 do t[i] = s end \
                 return #string.format(string.rep('%s', 60), unpack(t))",
    ),
    of_script(
        "encoded JSON",
        "local s = string.rep('\\0', 10000000) local t = {} for i = 1, 60 do t[i] = s \
                 end return #cjson.encode(t)",
    ),
    of_script(
        "encoded MessagePack",
        "local s = string.rep('x', 10000000) local t = {} for i = 1, 60 do t[i] = s end \
                 return #cmsgpack.pack(t)",
    ),
    of_script(
        "decoded JSON",
        "local s = '[' .. string.rep('[],', 3000000) .. '1]' return #cjson.decode(s)",
    ),
    of_script(
        "a packed struct",
        "local s = string.rep('x', 10000000) local t = {} for i = 1, 60 do t[i] = s end \
                 return #struct.pack(string.rep('s', 60), unpack(t))",
    ),
    of_script(
        "arguments of commands",
        "local s = string.rep('x', 10000000) local t = {} for i = 1, 60 do t[i] = s end \
                 return redis.pcall('del', unpack(t))",
    ),
    of_script("error texts", "return redis.error_reply(string.rep('x', 200000000))"),
    of_script("a table that grows", "local t = {} for i = 1, 100000000 do t[i] = i end"),
];

const fn of_script(name: &'static str, script: &'static str) -> Way {
    Way { name, limit: SCRIPTS, prepare: big, script, times: 1, reads: Reads::All, ..WAY }
}

/// Sets a key `big` of 10 MB.
fn big() -> Vec<u8> {
    request(&["SET", "big", &text(10_000_000)])
}

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// Returns a text of this length that differs from those of other numbers at its start.
fn unique(number: usize, bytes: usize) -> String {
    let number = number.to_string();
    let rest = text(bytes.saturating_sub(number.len()));
    number + &rest
}
