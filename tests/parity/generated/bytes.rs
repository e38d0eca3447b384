//! Every byte in every place of a request: as a separator, a quote, an escape, a type, a digit and
//! the end of a line.
//!
//! Each byte gets a connection of its own. It sends the request, a `PING` behind it, and leaves, so
//! a server that waits for more bytes does not delay the test.

use harness::Kind;

use super::{AFTER_LOGIN, BEFORE_LOGIN, compare, raw};
use crate::conversation::{Conversation, Step};

#[tokio::test]
async fn every_byte_in_every_place_of_a_request_has_the_same_replies() {
    compare(Kind::Ours, conversations()).await;
}

#[tokio::test]
async fn every_byte_in_every_place_has_the_same_replies_from_two_redis_servers() {
    compare(Kind::Redis, conversations()).await;
}

fn conversations() -> Vec<Conversation> {
    let of_login = |login: &'static [u8]| {
        PLACES.iter().map(move |(name, before, behind)| {
            let steps = (0..=u8::MAX).flat_map(|byte| {
                // `@` is a letter that no place contains.
                let with = |part: &[u8]| {
                    let bytes = part.iter().map(|&found| if found == b'@' { byte } else { found });
                    bytes.collect::<Vec<u8>>()
                };
                let request = [login, &with(before), &[byte], &with(behind), PING].concat();
                let client = char::from(byte);
                [raw(client, &request), Step::leave(client)]
            });
            let state = if login.is_empty() { "before" } else { "after" };
            Conversation {
                name: format!("every byte {name}, {state} login"),
                flags: ["--requirepass", "pw"].map(String::from).into(),
                independent: true,
                steps: steps.collect(),
                ..Conversation::default()
            }
        })
    };
    [BEFORE_LOGIN, AFTER_LOGIN].into_iter().flat_map(of_login).collect()
}

const PING: &[u8] = b"PING end\r\n";

/// The places: a name, and the bytes before and behind the byte. Each `@` in them is the byte, too.
const PLACES: &[(&str, &[u8], &[u8])] = &[
    ("between two words", b"PING", b"x\r\n"),
    ("among blanks between two words", b"PING ", b" x\r\n"),
    ("before the first word", b"", b"PING x\r\n"),
    ("before an argument", b"PING ", b"x\r\n"),
    ("behind the last word", b"PING x", b"\r\n"),
    ("alone in a line", b"", b"\r\n"),
    ("in place of CR", b"PING x", b"\n"),
    ("in place of LF", b"PING x\r", b"PING y\r\n"),
    ("behind a double quote", b"PING \"a\"", b"\r\n"),
    ("behind a double quote and before a word", b"PING \"a\"", b"b\r\n"),
    ("behind a single quote", b"PING 'a'", b"\r\n"),
    ("behind a single quote and before a word", b"PING 'a'", b"b\r\n"),
    ("before a quote", b"PING ", b"\"a\"\r\n"),
    ("as a quote", b"PING ", b"a b@\r\n"),
    ("as a quote within a word", b"PING a", b"b c@\r\n"),
    ("within double quotes", b"PING \"", b"\"\r\n"),
    ("within single quotes", b"PING '", b"'\r\n"),
    ("as an escape in double quotes", b"PING \"\\", b"\"\r\n"),
    ("as an escape in single quotes", b"PING '\\", b"'\r\n"),
    ("as an escape without quotes", b"PING \\", b"\r\n"),
    ("as the first hexadecimal digit", b"PING \"\\x", b"1\"\r\n"),
    ("as the second hexadecimal digit", b"PING \"\\x1", b"\"\r\n"),
    ("as the type of a request", b"", b"1\r\n$4\r\nPING\r\n"),
    ("as the type of an argument", b"*1\r\n", b"4\r\nPING\r\n"),
    ("as the type of a second argument", b"*2\r\n$4\r\nPING\r\n", b"1\r\nx\r\n"),
    ("as a count", b"*", b"\r\n$4\r\nPING\r\n"),
    ("before a count", b"*", b"1\r\n$4\r\nPING\r\n"),
    ("behind a count", b"*1", b"\r\n$4\r\nPING\r\n"),
    ("in place of CR behind a count", b"*1", b"\n$4\r\nPING\r\n"),
    ("in place of LF behind a count", b"*1\r", b"$4\r\nPING\r\n"),
    ("as a length", b"*1\r\n$", b"\r\nPING\r\n"),
    ("before a length", b"*1\r\n$", b"4\r\nPING\r\n"),
    ("behind a length", b"*1\r\n$4", b"\r\nPING\r\n"),
    ("in place of CR behind a length", b"*1\r\n$4", b"\nPING\r\n"),
    ("in place of LF behind a length", b"*1\r\n$4\r", b"PING\r\n"),
    ("in place of CR behind an argument", b"*1\r\n$4\r\nPING", b"\n"),
    ("in place of LF behind an argument", b"*1\r\n$4\r\nPING\r", b""),
    ("in an unknown command", b"*2\r\n$3\r\na", b"b\r\n$3\r\nc@d\r\n"),
    ("in an unknown subcommand", b"*2\r\n$6\r\nCLIENT\r\n$3\r\na", b"b\r\n"),
    ("in the name of a client", b"*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$3\r\na", b"b\r\n"),
    ("in a channel", b"*2\r\n$9\r\nSUBSCRIBE\r\n$3\r\na", b"b\r\n"),
    ("in a pattern", b"*2\r\n$10\r\nPSUBSCRIBE\r\n$3\r\na", b"b\r\n"),
    ("as a number", b"*2\r\n$6\r\nSELECT\r\n$1\r\n", b"\r\n"),
    ("before a number", b"*2\r\n$6\r\nSELECT\r\n$2\r\n", b"1\r\n"),
    ("behind a number", b"*2\r\n$6\r\nSELECT\r\n$2\r\n1", b"\r\n"),
    ("as a password", b"*2\r\n$4\r\nAUTH\r\n$1\r\n", b"\r\n"),
    ("behind a password", b"*2\r\n$4\r\nAUTH\r\n$3\r\npw", b"\r\n"),
    ("in the name of a user", b"*3\r\n$4\r\nAUTH\r\n$8\r\ndefault", b"\r\n$2\r\npw\r\n"),
    (
        "in an error of a script",
        b"*3\r\n$4\r\nEVAL\r\n$19\r\nreturn{err='E a",
        b"b'}\r\n$1\r\n0\r\n",
    ),
];
