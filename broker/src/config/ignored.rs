//! Directives of Redis and Valkey that the broker accepts and ignores.
//!
//! Files written for Redis must start the broker. The log lists the ignored directives once.
//! `CONFIG GET` returns the given value or the default of Redis 7.0, since clients read some of them.
//! `CONFIG SET` accepts the values that Redis accepts. [`super::promises`] lists the exceptions: values
//! that cause a warning or stop the start.

use super::parse::{self, Invalid};

/// One ignored directive.
pub(crate) struct Ignored {
    pub(crate) name: &'static str,
    /// The default in Redis 7.0; `None` if it lacks the directive.
    pub(crate) default: Option<&'static str>,
    pub(crate) change: Change,
    pub(crate) values: Values,
}

/// Changes of a directive while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Free,
    Immutable,
    /// Needs `enable-protected-configs`.
    Protected,
}

/// The values that Redis accepts for a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    Any,
    Flag,
    Integer(i64, i64),
    Memory,
    /// One of these words, in Redis' order.
    Choice(&'static str),
    /// Some of these words, in Redis' order. The first word stands for none of the others.
    Words(&'static str),
    /// Pairs of seconds and changes, or an empty value.
    Save,
    /// Three numbers: for masters, replicas and children.
    Scores,
}

impl Ignored {
    /// Checks a value.
    ///
    /// # Errors
    ///
    /// Redis would refuse it.
    pub(crate) fn check(&self, value: &[u8]) -> Result<(), Invalid> {
        match self.values {
            Values::Any => Ok(()),
            Values::Save => check_save(value),
            Values::Flag => parse::flag(value).map(|_| ()),
            Values::Integer(min, max) => parse::integer(value, min, max).map(|_| ()),
            Values::Memory => parse::memory(value).map(|_| ()).ok_or(Invalid::NotMemory),
            Values::Choice(words) => {
                let names: Vec<&str> = words.split(", ").collect();
                parse::choice(value, &names).map(|_| ())
            }
            Values::Words(words) => check_words(value, words),
            Values::Scores => check_scores(value),
        }
    }

    /// Returns a value in the form of `CONFIG GET`.
    pub(crate) fn normal(&self, value: &[u8]) -> Vec<u8> {
        match (self.values, parse::memory(value)) {
            (Values::Memory, Some(bytes)) => bytes.to_string().into_bytes(),
            (Values::Flag | Values::Choice(_), _) => value.to_ascii_lowercase(),
            (Values::Words(words), _) => ordered(value, words),
            _ => value.to_vec(),
        }
    }

    /// Returns the current name in Redis; an older name is an alias.
    pub(crate) fn canonical(&self) -> String {
        self.name.replace("slave", "replica").replace("ziplist", "listpack")
    }
}

/// Checks `shutdown-on-sigterm` and its like: known words without a contradiction.
fn check_words(value: &[u8], words: &str) -> Result<(), Invalid> {
    let names: Vec<&str> = words.split(", ").collect();
    for word in value.split(|&byte| byte == b' ') {
        parse::choice(word, &names)?;
    }
    let value = ordered(value, words);
    let has = |wanted: &[u8]| value.split(|&byte| byte == b' ').any(|word| word == wanted);
    if has(b"save") && has(b"nosave") { Err(Invalid::SaveAndNoSave) } else { Ok(()) }
}

/// Checks `oom-score-adj-values`: three scores.
fn check_scores(value: &[u8]) -> Result<(), Invalid> {
    let words: Vec<&[u8]> = value.split(|&byte| byte == b' ').collect();
    if words.len() != 3 {
        return Err(Invalid::ArgumentCount);
    }
    let is_score = |word: &&[u8]| parse::integer(word, -2000, 2000).is_ok();
    if words.iter().all(is_score) { Ok(()) } else { Err(Invalid::Scores) }
}

/// Returns the words of a value in Redis' order.
fn ordered(value: &[u8], words: &str) -> Vec<u8> {
    let value = value.to_ascii_lowercase();
    let given = |word: &&str| value.split(|&byte| byte == b' ').any(|one| one == word.as_bytes());
    let given: Vec<&str> = words.split(", ").skip(1).filter(given).collect();
    match given[..] {
        [] => words.split(", ").next().unwrap_or_default().into(),
        _ => given.join(" ").into(),
    }
}

/// Checks `save`: pairs of seconds and changes, or an empty value.
fn check_save(value: &[u8]) -> Result<(), Invalid> {
    let words: Vec<&[u8]> = value.split(|&byte| byte == b' ').collect();
    let is_pair = |pair: &[&[u8]]| {
        parse::integer(pair[0], 1, i64::MAX).is_ok() && parse::integer(pair[1], 0, i64::MAX).is_ok()
    };
    let holds =
        value.is_empty() || words.len().is_multiple_of(2) && words.chunks_exact(2).all(is_pair);
    if holds { Ok(()) } else { Err(Invalid::SaveParameters) }
}

/// Finds a directive by its name in any case.
pub(crate) fn find(name: &[u8]) -> Option<&'static Ignored> {
    IGNORED.iter().find(|other| other.name.as_bytes().eq_ignore_ascii_case(name))
}

/// Sorted by name.
#[rustfmt::skip]
pub(crate) const IGNORED: &[Ignored] = &[
    Ignored { name: "active-defrag-cycle-max", default: Some("25"), change: Change::Free, values: Values::Integer(1, 99) },
    Ignored { name: "active-defrag-cycle-min", default: Some("1"), change: Change::Free, values: Values::Integer(1, 99) },
    Ignored { name: "active-defrag-cycle-us", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "active-defrag-ignore-bytes", default: Some("104857600"), change: Change::Free, values: Values::Memory },
    Ignored { name: "active-defrag-max-scan-fields", default: Some("1000"), change: Change::Free, values: Values::Integer(1, i64::MAX) },
    Ignored { name: "active-defrag-threshold-lower", default: Some("10"), change: Change::Free, values: Values::Integer(0, 1000) },
    Ignored { name: "active-defrag-threshold-upper", default: Some("100"), change: Change::Free, values: Values::Integer(0, 1000) },
    Ignored { name: "active-expire-effort", default: Some("1"), change: Change::Free, values: Values::Integer(1, 10) },
    Ignored { name: "activedefrag", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "activerehashing", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "always-show-logo", default: Some("no"), change: Change::Immutable, values: Values::Flag },
    Ignored { name: "aof-disable-auto-gc", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "aof-load-truncated", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "aof-rewrite-incremental-fsync", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "aof-timestamp-enabled", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "aof-use-rdb-preamble", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "aof_rewrite_cpulist", default: Some(""), change: Change::Immutable, values: Values::Any },
    Ignored { name: "appenddirname", default: Some("appendonlydir"), change: Change::Immutable, values: Values::Any },
    Ignored { name: "appendfilename", default: Some("appendonly.aof"), change: Change::Immutable, values: Values::Any },
    Ignored { name: "appendfsync", default: Some("everysec"), change: Change::Free, values: Values::Choice("everysec, always, no") },
    Ignored { name: "appendonly", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "auto-aof-rewrite-min-size", default: Some("67108864"), change: Change::Free, values: Values::Memory },
    Ignored { name: "auto-aof-rewrite-percentage", default: Some("100"), change: Change::Free, values: Values::Integer(0, 2147483647) },
    Ignored { name: "auto-failover-on-shutdown", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "availability-zone", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "bgsave_cpulist", default: Some(""), change: Change::Immutable, values: Values::Any },
    Ignored { name: "bind-source-addr", default: Some(""), change: Change::Free, values: Values::Any },
    Ignored { name: "bio_cpulist", default: Some(""), change: Change::Immutable, values: Values::Any },
    Ignored { name: "client-default-resp", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-allow-pubsubshard-when-down", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "cluster-allow-reads-when-down", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "cluster-allow-replica-migration", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "cluster-announce-bus-port", default: Some("0"), change: Change::Free, values: Values::Integer(0, 65535) },
    Ignored { name: "cluster-announce-client-ipv4", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-announce-client-ipv6", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-announce-client-port", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-announce-client-tls-port", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-announce-hostname", default: Some(""), change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-announce-human-nodename", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-announce-ip", default: Some(""), change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-announce-port", default: Some("0"), change: Change::Free, values: Values::Integer(0, 65535) },
    Ignored { name: "cluster-announce-tls-port", default: Some("0"), change: Change::Free, values: Values::Integer(0, 65535) },
    Ignored { name: "cluster-blacklist-ttl", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-compatibility-sample-ratio", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-config-file", default: Some("nodes.conf"), change: Change::Immutable, values: Values::Any },
    Ignored { name: "cluster-config-save-behavior", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-databases", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-enabled", default: Some("no"), change: Change::Immutable, values: Values::Any },
    Ignored { name: "cluster-link-sendbuf-limit", default: Some("0"), change: Change::Free, values: Values::Memory },
    Ignored { name: "cluster-manual-failover-timeout", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-migration-barrier", default: Some("1"), change: Change::Free, values: Values::Integer(0, 2147483647) },
    Ignored { name: "cluster-node-timeout", default: Some("15000"), change: Change::Free, values: Values::Integer(0, i64::MAX) },
    Ignored { name: "cluster-ping-interval", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-port", default: Some("0"), change: Change::Immutable, values: Values::Any },
    Ignored { name: "cluster-preferred-endpoint-type", default: Some("ip"), change: Change::Free, values: Values::Choice("ip, hostname, unknown-endpoint") },
    Ignored { name: "cluster-replica-no-failover", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "cluster-replica-validity-factor", default: Some("10"), change: Change::Free, values: Values::Integer(0, 2147483647) },
    Ignored { name: "cluster-require-full-coverage", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "cluster-slave-no-failover", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "cluster-slave-validity-factor", default: Some("10"), change: Change::Free, values: Values::Integer(0, 2147483647) },
    Ignored { name: "cluster-slot-migration-handoff-max-lag-bytes", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-slot-migration-log-max-len", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-slot-migration-sync-buffer-drain-timeout", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-slot-migration-write-pause-timeout", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "cluster-slot-stats-enabled", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "commandlog-execution-slower-than", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "commandlog-large-reply-max-len", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "commandlog-large-request-max-len", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "commandlog-reply-larger-than", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "commandlog-request-larger-than", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "commandlog-slow-execution-max-len", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "crash-log-enabled", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "crash-memcheck-enabled", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "dbfilename", default: Some("dump.rdb"), change: Change::Protected, values: Values::Any },
    Ignored { name: "debug-context", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "decay-allow-fast", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "disable-thp", default: Some("yes"), change: Change::Immutable, values: Values::Any },
    Ignored { name: "dual-channel-replication-enabled", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "dynamic-hz", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "enable-debug-assert", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "enable-module-command", default: Some("no"), change: Change::Immutable, values: Values::Any },
    Ignored { name: "events-per-io-thread", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "extended-redis-compatibility", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "hash-max-listpack-entries", default: Some("512"), change: Change::Free, values: Values::Integer(0, i64::MAX) },
    Ignored { name: "hash-max-listpack-value", default: Some("64"), change: Change::Free, values: Values::Memory },
    Ignored { name: "hash-max-ziplist-entries", default: Some("512"), change: Change::Free, values: Values::Integer(0, i64::MAX) },
    Ignored { name: "hash-max-ziplist-value", default: Some("64"), change: Change::Free, values: Values::Memory },
    Ignored { name: "hash-seed", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "hide-user-data-from-log", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "hll-sparse-max-bytes", default: Some("3000"), change: Change::Free, values: Values::Memory },
    Ignored { name: "hz", default: Some("10"), change: Change::Free, values: Values::Integer(0, 2147483647) },
    Ignored { name: "ignore-warnings", default: Some(""), change: Change::Free, values: Values::Any },
    Ignored { name: "import-mode", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "io-threads-always-active", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "io-threads-do-reads", default: Some("no"), change: Change::Immutable, values: Values::Any },
    Ignored { name: "jemalloc-bg-thread", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "key-load-delay", default: Some("0"), change: Change::Free, values: Values::Integer(i32::MIN as i64, i32::MAX as i64) },
    Ignored { name: "lazyexpire-nested-arbitrary-keys", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "lazyfree-lazy-eviction", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "lazyfree-lazy-expire", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "lazyfree-lazy-server-del", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "lazyfree-lazy-user-del", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "lazyfree-lazy-user-flush", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "lfu-decay-time", default: Some("1"), change: Change::Free, values: Values::Integer(0, 2147483647) },
    Ignored { name: "lfu-log-factor", default: Some("10"), change: Change::Free, values: Values::Integer(0, 2147483647) },
    Ignored { name: "list-compress-depth", default: Some("0"), change: Change::Free, values: Values::Integer(0, 2147483647) },
    Ignored { name: "list-fill", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "list-max-listpack-size", default: Some("-2"), change: Change::Free, values: Values::Integer(-2147483648, 2147483647) },
    Ignored { name: "list-max-ziplist-entries", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "list-max-ziplist-size", default: Some("-2"), change: Change::Free, values: Values::Integer(-2147483648, 2147483647) },
    Ignored { name: "list-max-ziplist-value", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "loading-process-events-interval-bytes", default: Some("2097152"), change: Change::Free, values: Values::Integer(1024, i64::MAX) },
    Ignored { name: "loadmodule", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "locale-collate", default: Some(""), change: Change::Free, values: Values::Any },
    Ignored { name: "lookahead", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "lua-enable-deprecated-api", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "lua-enable-insecure-api", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "max-new-connections-per-cycle", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "max-new-tls-connections-per-cycle", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "maxmemory-eviction-tenacity", default: Some("10"), change: Change::Free, values: Values::Integer(0, 100) },
    Ignored { name: "maxmemory-policy", default: Some("noeviction"), change: Change::Free, values: Values::Choice("volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction") },
    Ignored { name: "maxmemory-samples", default: Some("5"), change: Change::Free, values: Values::Integer(1, 2147483647) },
    Ignored { name: "min-io-threads-avoid-copy-reply", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "min-string-size-avoid-copy-reply", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "min-string-size-avoid-copy-reply-threaded", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "mptcp", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "no-appendfsync-on-rewrite", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "oom-score-adj", default: Some("no"), change: Change::Free, values: Values::Choice("no, yes, relative, absolute") },
    Ignored { name: "oom-score-adj-values", default: Some("0 200 800"), change: Change::Free, values: Values::Scores },
    Ignored { name: "prefetch-batch-max-size", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "primary-announce", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "proc-title-template", default: Some("{title} {listen-addr} {server-mode}"), change: Change::Free, values: Values::Any },
    Ignored { name: "propagation-error-behavior", default: Some("ignore"), change: Change::Free, values: Values::Choice("ignore, panic, panic-on-replicas") },
    Ignored { name: "rdb-del-sync-files", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "rdb-key-save-delay", default: Some("0"), change: Change::Free, values: Values::Integer(i32::MIN as i64, i32::MAX as i64) },
    Ignored { name: "rdb-save-incremental-fsync", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "rdb-version-check", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "rdbchecksum", default: Some("yes"), change: Change::Immutable, values: Values::Any },
    Ignored { name: "rdbcompression", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "rdma-bind", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "rdma-completion-vector", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "rdma-port", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "rdma-rx-size", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "repl-disable-tcp-nodelay", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "repl-diskless-load", default: Some("disabled"), change: Change::Free, values: Values::Choice("disabled, on-empty-db, swapdb") },
    Ignored { name: "repl-diskless-load-reset-replicas", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "repl-diskless-sync", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "repl-diskless-sync-delay", default: Some("5"), change: Change::Free, values: Values::Integer(0, 2147483647) },
    Ignored { name: "repl-diskless-sync-max-replicas", default: Some("0"), change: Change::Free, values: Values::Integer(0, 2147483647) },
    Ignored { name: "repl-mptcp", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "replica-full-sync-buffer-limit", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "replica-ignore-disk-write-errors", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "replica-lazy-flush", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "req-res-logfile", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "sanitize-dump-payload", default: Some("no"), change: Change::Free, values: Values::Choice("no, yes, clients") },
    Ignored { name: "save", default: Some(""), change: Change::Free, values: Values::Save },
    Ignored { name: "server_cpulist", default: Some(""), change: Change::Immutable, values: Values::Any },
    Ignored { name: "set-max-intset-entries", default: Some("512"), change: Change::Free, values: Values::Integer(0, i64::MAX) },
    Ignored { name: "set-max-listpack-entries", default: Some("128"), change: Change::Free, values: Values::Any },
    Ignored { name: "set-max-listpack-value", default: Some("64"), change: Change::Free, values: Values::Any },
    Ignored { name: "shutdown-on-sigint", default: Some("default"), change: Change::Free, values: Values::Words("default, save, nosave, now, force") },
    Ignored { name: "shutdown-on-sigterm", default: Some("default"), change: Change::Free, values: Values::Words("default, save, nosave, now, force") },
    Ignored { name: "shutdown-timeout", default: Some("10"), change: Change::Free, values: Values::Integer(0, 2147483647) },
    Ignored { name: "slave-lazy-flush", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "slot-migration-max-failover-repl-bytes", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "socket-mark-id", default: Some("0"), change: Change::Immutable, values: Values::Any },
    Ignored { name: "stop-writes-on-bgsave-error", default: Some("yes"), change: Change::Free, values: Values::Flag },
    Ignored { name: "stream-idmp-duration", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "stream-idmp-maxsize", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "stream-node-max-bytes", default: Some("4096"), change: Change::Free, values: Values::Memory },
    Ignored { name: "stream-node-max-entries", default: Some("100"), change: Change::Free, values: Values::Integer(0, i64::MAX) },
    Ignored { name: "supervised", default: Some("no"), change: Change::Immutable, values: Values::Any },
    Ignored { name: "tls-client-key-file-pass", default: Some(""), change: Change::Free, values: Values::Any },
    Ignored { name: "tls-cluster", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "tls-dh-params-file", default: Some(""), change: Change::Free, values: Values::Any },
    Ignored { name: "tls-key-file-pass", default: Some(""), change: Change::Free, values: Values::Any },
    Ignored { name: "tls-session-cache-size", default: Some("20480"), change: Change::Free, values: Values::Integer(0, 2147483647) },
    Ignored { name: "unixsocketgroup", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "use-exit-on-panic", default: Some("no"), change: Change::Free, values: Values::Flag },
    Ignored { name: "vset-force-single-threaded-execution", default: None, change: Change::Free, values: Values::Any },
    Ignored { name: "watchdog-period", default: Some("0"), change: Change::Free, values: Values::Integer(0, i32::MAX as i64) },
    Ignored { name: "zset-max-listpack-entries", default: Some("128"), change: Change::Free, values: Values::Integer(0, i64::MAX) },
    Ignored { name: "zset-max-listpack-value", default: Some("64"), change: Change::Free, values: Values::Memory },
    Ignored { name: "zset-max-ziplist-entries", default: Some("128"), change: Change::Free, values: Values::Integer(0, i64::MAX) },
    Ignored { name: "zset-max-ziplist-value", default: Some("64"), change: Change::Free, values: Values::Memory },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::directive;

    #[test]
    fn names_are_sorted_and_have_no_meaning_elsewhere() {
        assert!(IGNORED.is_sorted_by_key(|other| other.name));
        for Ignored { name, .. } in IGNORED {
            assert!(directive::find(name.as_bytes()).is_none(), "{name} has a meaning");
        }
    }
}
