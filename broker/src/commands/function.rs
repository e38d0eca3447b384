//! `FUNCTION`: this server stores no functions, so lists are empty and no function runs.

use super::Answer;
use super::errors::BUSY;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::session::Session;

/// `FUNCTION DUMP` of a Redis 7.2 without functions: the version of the format and a checksum.
const EMPTY_DUMP: &[u8] = b"\x0b\x00\x34\x44\xe1\x33\xf2\xe0\x4b\x53";

/// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]`
pub(crate) fn list(request: Request<'_>) -> Answer {
    let (mut has_pattern, mut has_code) = (false, false);
    let mut arguments = request.arguments_from(2);
    while let Some(argument) = arguments.next() {
        if !has_code && argument.eq_ignore_ascii_case(b"withcode") {
            has_code = true;
        } else if !has_pattern && argument.eq_ignore_ascii_case(b"libraryname") {
            has_pattern = true;
            if arguments.next().is_none() {
                return Err(b"ERR library name argument was not given".to_vec());
            }
        } else {
            return Err([b"ERR Unknown argument ", argument].concat());
        }
    }
    Ok(Reply::Array(Vec::new()))
}

/// `FUNCTION STATS`
pub(crate) fn stats(session: &Session) -> Answer {
    check_idle(session)?;
    let field = |name: &str, value| (Reply::bulk(name), value);
    let engine = Reply::Map(vec![
        field("libraries_count", Reply::Integer(0)),
        field("functions_count", Reply::Integer(0)),
    ]);
    Ok(Reply::Map(vec![
        field("running_script", Reply::Null),
        field("engines", Reply::Map(vec![field("LUA", engine)])),
    ]))
}

/// `FUNCTION KILL`
pub(crate) fn kill(session: &Session) -> Answer {
    check_idle(session)?;
    Err(b"NOTBUSY No scripts in execution right now.".to_vec())
}

/// `FUNCTION DUMP`
pub(crate) fn dump() -> Reply {
    Reply::bulk(EMPTY_DUMP)
}

/// Returns Redis' error while a script of `EVAL` is late: only `SCRIPT KILL` concerns it.
fn check_idle(session: &Session) -> Result<(), Vec<u8>> {
    match session.server.broker.running_script() {
        Some(run) if run.is_late() => Err(BUSY.to_vec()),
        _ => Ok(()),
    }
}
