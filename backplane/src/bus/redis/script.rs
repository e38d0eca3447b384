//! The two scripts of SignalR 2's backplane, and the one that sends in a cluster.
//!
//! Without white space the first two are what SignalR sends, so that a broker that knows those by
//! their fingerprint knows these as well.

/// Counts, puts the id before the message, publishes. Lua writes an id in digits up to 10^14, where a
/// million messages a second come after three years; beyond that neither SignalR nor we can read it.
pub(super) const SEND: &str = "\
local newId = redis.call('INCR', KEYS[1])
local payload = newId .. ' ' .. ARGV[1]
redis.call('PUBLISH', KEYS[1], payload)
return {newId, ARGV[1], payload}";

/// The same, for those who listen to the shard's channel; nothing comes back but the id.
pub(super) const SEND_SHARDED: &str = "\
local id = redis.call('INCR', KEYS[1])
redis.call('SPUBLISH', KEYS[1], string.format('%.0f', id) .. ' ' .. ARGV[1])
return {id}";

/// What servers know the scripts by that count and publish: ours, then those of SignalR 2.2 and
/// later and of the versions before, each with the line ends of Windows and of Unix.
pub(super) const SENDERS: [&str; 6] = [
    "d1b3ac8393e17cff24665e70a146ec926e9da5ad",
    "dc1a6e1b9349f427929245e0c2fa05b74fb9dd71",
    "5b8e3b60e050400311bc8b6ef2cbba37bc0b9cb3",
    "edeb7a3b4fb872b8a76ae281cc47bd2c4d2da9b0",
    "4651c92606a1816e6dbcfbb0441ab3dd8fe51853",
    "f8359c657ac524a137c0f07150aa265aeb643b82",
];

/// Lifts the counter of a server that has lost its memory to the last id that is known.
pub(super) const RESTORE: &str = "\
local newvalue = tonumber(redis.call('GET', KEYS[1]))
if not newvalue or tonumber(newvalue) < tonumber(ARGV[1]) then
    return redis.call('SET', KEYS[1], ARGV[1])
else
    return nil
end";

#[cfg(test)]
mod tests {
    use sha1_smol::Sha1;

    use super::*;

    #[test]
    fn servers_know_ours_by_these_names() {
        let name = |script: &str| Sha1::from(script).digest().to_string();
        assert_eq!(SENDERS[..2], [name(SEND), name(SEND_SHARDED)]);
    }

    #[test]
    fn they_are_what_signalr_sends() {
        for (script, length, fingerprint) in [
            (SEND, 134, "340d1afb07148fcd402a53a4fb2027ef46a3f0a3"),
            (RESTORE, 159, "530572706466e9b561c3cec0269ab37d11fffb57"),
        ] {
            let bare: String = script.split([' ', '\t', '\r', '\n']).collect();
            assert_eq!(bare.len(), length);
            assert_eq!(Sha1::from(bare).digest().to_string(), fingerprint);
        }
    }
}
