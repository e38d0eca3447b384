//! The two scripts of SignalR 2's backplane, and the scripts for several messages and for a cluster.
//!
//! Several messages are sent by one script, which runs whole or not at all. Separate requests can
//! fail one by one, and then a later message overtakes an earlier one.
//!
//! Without white space, the first two equal SignalR's. A broker that recognizes SignalR's scripts
//! by this fingerprint also recognizes ours.

/// Increments the counter, puts the id before the message, and publishes both. Lua formats ids as
/// digits up to 10^14, enough for a million messages a second for three years. Neither SignalR nor
/// this crate can parse larger ids.
pub(super) const SEND: &str = "\
local newId = redis.call('INCR', KEYS[1])
local payload = newId .. ' ' .. ARGV[1]
redis.call('PUBLISH', KEYS[1], payload)
return {newId, ARGV[1], payload}";

/// Publishes several messages with consecutive ids. Returns the first id. Our broker recognizes it
/// without white space, and runs it without Lua.
pub(super) const SEND_ALL: &str = "\
local last = redis.call('INCRBY', KEYS[1], #ARGV)
for i, body in ipairs(ARGV) do
    local id = string.format('%.0f', last - #ARGV + i)
    redis.call('PUBLISH', KEYS[1], id .. ' ' .. body)
end
return last - #ARGV + 1";

/// The same on a shard channel, also for a single message.
pub(super) const SEND_SHARDED: &str = "\
local last = redis.call('INCRBY', KEYS[1], #ARGV)
for i, body in ipairs(ARGV) do
    local id = string.format('%.0f', last - #ARGV + i)
    redis.call('SPUBLISH', KEYS[1], id .. ' ' .. body)
end
return last - #ARGV + 1";

/// SHA-1 names of the scripts that send: ours, then those of SignalR 2.2 and later, then those of
/// earlier versions. Each of SignalR's scripts has a variant with Windows and one with Unix line
/// ends.
pub(super) const SENDERS: [&str; 7] = [
    "d1b3ac8393e17cff24665e70a146ec926e9da5ad",
    "d44df094cc002c9fd1e8322e2495fbe4ca65e4bc",
    "2ecf7f739974c578921cf37dc20905edacbea988",
    "5b8e3b60e050400311bc8b6ef2cbba37bc0b9cb3",
    "edeb7a3b4fb872b8a76ae281cc47bd2c4d2da9b0",
    "4651c92606a1816e6dbcfbb0441ab3dd8fe51853",
    "f8359c657ac524a137c0f07150aa265aeb643b82",
];

/// Restores the counter to the last known id after a reset.
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
    fn the_names_of_our_scripts_are_listed() {
        let name = |script: &str| Sha1::from(script).digest().to_string();
        assert_eq!(SENDERS[..3], [name(SEND), name(SEND_ALL), name(SEND_SHARDED)]);
    }

    #[test]
    fn brokers_recognize_the_scripts() {
        for (script, length, fingerprint) in [
            (SEND, 134, "340d1afb07148fcd402a53a4fb2027ef46a3f0a3"),
            (RESTORE, 159, "530572706466e9b561c3cec0269ab37d11fffb57"),
            // The fingerprint in our broker.
            (SEND_ALL, 174, "06782417edb3c7a64c402d41f5d2610b7975bec9"),
        ] {
            let bare: String = script.split([' ', '\t', '\r', '\n']).collect();
            assert_eq!(bare.len(), length);
            assert_eq!(Sha1::from(bare).digest().to_string(), fingerprint);
        }
    }
}
