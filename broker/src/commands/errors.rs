//! Error replies in Redis' words.

use super::spec::Spec;
use crate::protocol::request::Request;

/// The text of an error reply.
pub(crate) type CommandError = Vec<u8>;

/// Of a change with fewer replicas than `min-replicas-to-write`.
pub(crate) const NO_REPLICAS: &[u8] = b"NOREPLICAS Not enough good replicas to write.";
/// Of a change on a replica.
pub(crate) const READ_ONLY: &[u8] = b"READONLY You can't write against a read only replica.";
/// Of a request on a replica that has lost its master, if it serves no old data.
pub(crate) const MASTER_DOWN: &[u8] =
    b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
pub(crate) const OUT_OF_MEMORY: &[u8] = b"OOM command not allowed when used memory > 'maxmemory'.";
pub(crate) const SYNTAX_ERROR: &[u8] = b"ERR syntax error";
pub(crate) const NOT_AN_INTEGER: &[u8] = b"ERR value is not an integer or out of range";
pub(crate) const BUSY: &[u8] = b"BUSY Redis is busy running a script. You can only call SCRIPT \
KILL or SHUTDOWN NOSAVE.";

/// The bytes of the name that Redis shows. It adds arguments until they take as many.
pub(super) const SHOWN_BYTES_MAX: usize = 128;

pub(super) const LOST_COUNTERS: &[u8] =
    b"MISCONF Errors writing to the counters file: the log has the cause. Changes are refused \
until it can be written again.";

/// Returns the error of an `EXEC` that is refused because of `error`.
pub(super) fn discarded_because(error: &[u8]) -> CommandError {
    let reason = error.strip_prefix(b"ERR ").unwrap_or(error);
    [b"EXECABORT Transaction discarded because of: ", reason].concat()
}

pub(super) fn unknown_command(request: Request<'_>) -> CommandError {
    let mut arguments = Vec::new();
    for argument in request.arguments_from(1) {
        if arguments.len() >= SHOWN_BYTES_MAX {
            break;
        }
        let room = SHOWN_BYTES_MAX - arguments.len();
        arguments.push(b'\'');
        arguments.extend_from_slice(shown(argument, room));
        arguments.extend_from_slice(b"' ");
    }
    let name = shown(request.argument(0), SHOWN_BYTES_MAX);
    [b"ERR unknown command '", name, b"', with args beginning with: ", &arguments].concat()
}

/// Returns the part of `text` that a message shows: its beginning, up to a NUL.
pub(super) fn shown(text: &[u8], bytes_max: usize) -> &[u8] {
    let text = &text[..text.len().min(bytes_max)];
    memchr::memchr(0, text).map_or(text, |end| &text[..end])
}

pub(super) fn unknown_subcommand(container: &Spec, subcommand: &[u8]) -> CommandError {
    let subcommand = shown(subcommand, SHOWN_BYTES_MAX);
    let container = container.name.to_ascii_uppercase();
    [b"ERR unknown subcommand '", subcommand, b"'. Try ", container.as_bytes(), b" HELP."].concat()
}

/// Returns Redis' error for a known subcommand with a wrong number of arguments.
pub(super) fn help_wanted(container: &str, subcommand: &[u8]) -> CommandError {
    let start = b"ERR unknown subcommand or wrong number of arguments for '";
    [start, shown(subcommand, SHOWN_BYTES_MAX), b"'. Try ", container.as_bytes(), b" HELP."]
        .concat()
}

pub(super) fn wrong_number_of_arguments(spec: &Spec) -> CommandError {
    format!("ERR wrong number of arguments for '{}' command", spec.name).into_bytes()
}

pub(super) fn not_while_subscribed(spec: &Spec) -> CommandError {
    format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context",
        spec.name
    )
    .into_bytes()
}
