//! `SAVE` and its like: the counters file is all that this server keeps across a restart.
//!
//! Each change of a counter is in the file before its client receives the reply, and the disk has it
//! about a second later. So a save writes nothing new. It returns when the disk has the file.

use std::sync::Arc;
use std::thread;

use tracing::error;

use super::Answer;
use super::errors::{CommandError, SYNTAX_ERROR};
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::session::Session;
use crate::session::server_state::ServerState;

/// `LASTSAVE`
pub(crate) fn lastsave(session: &Session) -> Reply {
    Reply::integer(session.server.last_save().as_secs())
}

/// `SAVE`
pub(crate) fn save(session: &Session) -> Answer {
    let server = &session.server;
    begin(server)?;
    server.end_save().map(|()| Reply::ok()).map_err(|error| {
        format!("ERR cannot write the counters file: {error}; free space on its disk").into_bytes()
    })
}

/// `BGSAVE [SCHEDULE]`
pub(crate) fn bgsave(session: &Session, request: Request<'_>) -> Answer {
    match request.len() {
        1 => {}
        2 if request.argument(1).eq_ignore_ascii_case(b"schedule") => {}
        _ => return Err(SYNTAX_ERROR.to_vec()),
    }
    begin(&session.server)?;
    let server = Arc::clone(&session.server);
    let thread = thread::Builder::new().name("save".to_owned()).spawn(move || {
        if let Err(error) = server.end_save() {
            error!(%error, "cannot save the counters file");
        }
    });
    match thread {
        Ok(_) => Ok(Reply::Simple("Background saving started".into())),
        Err(error) => {
            session.server.cancel_save();
            Err(format!("ERR cannot start a thread: {error}; use SAVE").into_bytes())
        }
    }
}

/// `BGREWRITEAOF`
pub(crate) fn bgrewriteaof() -> Answer {
    Err(b"ERR there is no append-only file to rewrite; the counters file is rewritten when it has \
grown"
        .to_vec())
}

/// Begins a save, unless another one runs or nothing can be saved.
fn begin(server: &ServerState) -> Result<(), CommandError> {
    if !server.broker.keeps_counters() {
        return Err(b"ERR there is nothing to save; set counters-file to keep counters across a \
restart"
            .to_vec());
    }
    match server.begin_save() {
        true => Ok(()),
        false => Err(b"ERR Background save already in progress".to_vec()),
    }
}
