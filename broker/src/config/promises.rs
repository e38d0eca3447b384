//! Settings of Redis and Valkey with a promise that the broker does not keep.
//!
//! Other ignored directives are harmless. Settings that promise security or other servers stop the
//! start; the rest cause a warning with the consequence. `CONFIG SET` refuses all of them, so that no
//! client receives `OK` for a setting without an effect.

/// A directive that may promise something, by its name of today.
#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) name: &'static str,
    /// Values that promise nothing, in lower case.
    pub(crate) harmless: &'static [&'static str],
    pub(crate) verdict: Verdict,
    /// The consequence for the operator, and a remedy if there is one.
    pub(crate) consequence: &'static str,
}

/// The reaction of the server at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It starts and logs a warning.
    Warn,
    /// It does not start.
    Refuse,
}

use Verdict::{Refuse, Warn};

impl Promise {
    /// Returns whether this value promises something.
    pub(crate) fn is_made_by(&self, value: &[u8]) -> bool {
        !self.harmless.iter().any(|harmless| value.eq_ignore_ascii_case(harmless.as_bytes()))
    }
}

/// Finds the promise that a directive makes with this value. The name is that of today.
pub(crate) fn find(name: &str, value: &[u8]) -> Option<&'static Promise> {
    PROMISES.iter().find(|promise| promise.name == name && promise.is_made_by(value))
}

/// Sorted by name.
#[rustfmt::skip]
pub(crate) const PROMISES: &[Promise] = &[
    Promise { name: "appendonly", harmless: &["no"], verdict: Warn, consequence: NOT_ON_DISK },
    Promise { name: "client-default-resp", harmless: &["2"], verdict: Warn, consequence: "connections start with RESP2; clients choose RESP3 with HELLO 3" },
    Promise { name: "cluster-enabled", harmless: &["no"], verdict: Refuse, consequence: "there is no cluster, so messages would not reach the other nodes; remove the line" },
    Promise { name: "commandlog-execution-slower-than", harmless: &[], verdict: Warn, consequence: "set slowlog-log-slower-than instead" },
    Promise { name: "commandlog-large-reply-max-len", harmless: &["0"], verdict: Warn, consequence: "large replies are not recorded" },
    Promise { name: "commandlog-large-request-max-len", harmless: &["0"], verdict: Warn, consequence: "large requests are not recorded" },
    Promise { name: "commandlog-slow-execution-max-len", harmless: &[], verdict: Warn, consequence: "set slowlog-max-len instead" },
    Promise { name: "loadmodule", harmless: &[], verdict: Refuse, consequence: "modules cannot be loaded; remove the line" },
    Promise { name: "lua-enable-deprecated-api", harmless: &["no"], verdict: Warn, consequence: "scripts do not find the deprecated functions" },
    Promise { name: "lua-enable-insecure-api", harmless: &["no"], verdict: Warn, consequence: "scripts do not find the insecure functions" },
    Promise { name: "max-new-tls-connections-per-cycle", harmless: &["1"], verdict: Warn, consequence: "each thread makes one step of a TLS handshake in a turn" },
    Promise { name: "maxmemory-policy", harmless: &["noeviction"], verdict: Warn, consequence: "no key is evicted: above maxmemory, writes fail with OOM" },
    Promise { name: "mptcp", harmless: &["no"], verdict: Warn, consequence: "connections use plain TCP" },
    Promise { name: "oom-score-adj", harmless: &["no"], verdict: Warn, consequence: "the OOM score of the process does not change; set OOMScoreAdjust= in its systemd unit" },
    Promise { name: "rdma-port", harmless: &["0"], verdict: Warn, consequence: "there is no RDMA listener" },
    Promise { name: "save", harmless: &[""], verdict: Warn, consequence: NOT_ON_DISK },
    Promise { name: "supervised", harmless: &["no", "auto", "systemd"], verdict: Warn, consequence: "only systemd is notified" },
    Promise { name: "tls-client-key-file-pass", harmless: &[""], verdict: Refuse, consequence: "keys with a password cannot be read; write the key without one by 'openssl pkey -in OLD -out NEW', and remove the line" },
    Promise { name: "tls-cluster", harmless: &["no"], verdict: Warn, consequence: "there is no cluster, so this protects nothing" },
    Promise { name: "tls-key-file-pass", harmless: &[""], verdict: Refuse, consequence: "keys with a password cannot be read; write the key without one by 'openssl pkey -in OLD -out NEW', and remove the line" },
    Promise { name: "unixsocketgroup", harmless: &[""], verdict: Warn, consequence: "the socket file keeps the group of the process" },
];

pub(super) const NOT_ON_DISK: &str =
    "nothing is written to disk: keys are lost at a restart; counters-file keeps counters";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ignored;

    #[test]
    fn each_promise_belongs_to_an_ignored_directive() {
        assert!(PROMISES.is_sorted_by_key(|promise| promise.name));
        for Promise { name, .. } in PROMISES {
            let directive = ignored::find(name.as_bytes());
            assert!(directive.is_some_and(|found| found.canonical() == *name), "{name}");
        }
    }

    #[test]
    fn defaults_promise_nothing() {
        for directive in ignored::IGNORED {
            let Some(default) = directive.default else { continue };
            let promise = find(&directive.canonical(), default.as_bytes());
            assert!(promise.is_none(), "{}", directive.name);
        }
    }
}
