//! `CLIENT`: names, replies, pauses and unblocking. `client_list` and `tracking` have the rest.

use super::errors::{CommandError, NOT_AN_INTEGER};
use super::spec::Outcome;
use crate::acl::users::now_ms;
use crate::session::silence::Silence;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Answer;
use super::errors::{SYNTAX_ERROR, help_wanted};
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::session::Session;
use crate::session::client_info::{Flag, Signal};
use crate::session::context::Context;
use crate::session::effect::Effect;

const BAD_NAME: &[u8] = b"ERR Client names cannot contain spaces, newlines or special characters.";

impl Session {
    /// `CLIENT GETNAME`
    pub(crate) fn client_getname(&self) -> Reply {
        let names = self.info.names.lock();
        if names.name.is_empty() { Reply::Null } else { Reply::bulk(&names.name) }
    }

    /// `CLIENT ID`
    pub(super) fn client_id(&self) -> Reply {
        Reply::Integer(self.info.id.cast_signed())
    }

    /// `CLIENT SETNAME connection-name`
    pub(crate) fn client_setname(&self, name: &[u8]) -> Answer {
        check_client_name(name)?;
        self.info.names.lock().name = name.to_vec();
        Ok(Reply::ok())
    }

    /// `CLIENT SETINFO LIB-NAME libname | LIB-VER libver`
    pub(crate) fn client_setinfo(&self, request: Request<'_>) -> Answer {
        let (option, value) = (request.argument(2), request.argument(3));
        let mut names = self.info.names.lock();
        let (field, shown) = match &*option.to_ascii_lowercase() {
            b"lib-name" => (&mut names.library_name, "lib-name"),
            b"lib-ver" => (&mut names.library_version, "lib-ver"),
            _ => return Err([b"ERR Unrecognized option '", option, b"'"].concat()),
        };
        if !is_one_word(value) {
            let text =
                format!("ERR {shown} cannot contain spaces, newlines or special characters.");
            return Err(text.into_bytes());
        }
        *field = value.to_vec();
        Ok(Reply::ok())
    }

    /// `CLIENT REPLY ON|OFF|SKIP`
    pub(crate) fn client_reply(&mut self, request: Request<'_>, context: &mut Context) -> Outcome {
        match &*request.argument(2).to_ascii_lowercase() {
            b"on" => {
                self.silence = Silence::None;
                self.output.silent.set(false);
                self.reply(context, &Reply::ok());
            }
            b"off" => {
                self.silence = Silence::All;
                self.output.silent.set(true);
            }
            b"skip" if self.silence != Silence::All => self.silence = Silence::Next,
            b"skip" => {}
            _ => return Err(SYNTAX_ERROR.to_vec()).into(),
        }
        Outcome::Replied
    }

    /// `CLIENT NO-EVICT ON|OFF` and `CLIENT NO-TOUCH ON|OFF`
    pub(crate) fn client_flag(&self, flag: Flag, value: &[u8]) -> Answer {
        self.info.set(flag, on_or_off(value)?);
        Ok(Reply::ok())
    }

    /// `CLIENT CAPA capability [capability ...]`. As in Valkey, unknown ones are ignored, and none is taken
    /// back.
    pub(super) fn client_capa(&self, request: Request<'_>) -> Reply {
        let mut notices = self.output.notices.get();
        for name in request.arguments_from(2) {
            match &*name.to_ascii_lowercase() {
                b"draining" => notices.draining = true,
                b"pubsub-lost" => notices.lost = true,
                _ => {}
            }
        }
        self.output.notices.set(notices);
        Reply::ok()
    }

    /// `CLIENT PAUSE timeout [WRITE | ALL]`
    pub(crate) fn client_pause(&self, request: Request<'_>) -> Answer {
        if request.len() > 4 {
            return Err(help_wanted("CLIENT", request.argument(1)));
        }
        let all = match (request.len() > 3).then(|| request.argument(3).to_ascii_lowercase()) {
            None => true,
            Some(mode) if mode == b"all" => true,
            Some(mode) if mode == b"write" => false,
            Some(_) => return Err(b"ERR CLIENT PAUSE mode must be WRITE or ALL".to_vec()),
        };
        self.server.pause.begin(timeout(request.argument(2))?, all);
        Ok(Reply::ok())
    }

    /// `CLIENT UNPAUSE`
    pub(crate) fn client_unpause(&self, context: &mut Context) -> Reply {
        self.server.pause.end();
        context.effects.push(Effect::Resume);
        Reply::ok()
    }

    /// `CLIENT UNBLOCK client-id [TIMEOUT | ERROR]`
    pub(crate) fn client_unblock(&self, request: Request<'_>) -> Answer {
        if request.len() > 4 {
            return Err(help_wanted("CLIENT", request.argument(1)));
        }
        let signal = match (request.len() > 3).then(|| request.argument(3).to_ascii_lowercase()) {
            None => Signal::Unblock,
            Some(reason) if reason == b"timeout" => Signal::Unblock,
            Some(reason) if reason == b"error" => Signal::UnblockWithError,
            Some(_) => {
                return Err(b"ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".to_vec());
            }
        };
        let id = request::integer(request.argument(2)).ok_or(NOT_AN_INTEGER)?;
        let info = u64::try_from(id).ok().and_then(|id| self.server.clients.get(id));
        match info.filter(|info| info.blocked.swap(false, Ordering::AcqRel)) {
            Some(info) => {
                self.server.clients.count_states(&info);
                info.ask(signal);
                Ok(Reply::Integer(1))
            }
            None => Ok(Reply::Integer(0)),
        }
    }
}

/// Parses a time in milliseconds. Its end must be a time of Redis' clock.
pub(crate) fn timeout(value: &[u8]) -> Result<Duration, Vec<u8>> {
    match request::integer(value).map(u64::try_from) {
        Some(Ok(milliseconds)) if milliseconds > i64::MAX.unsigned_abs() - now_ms() => {
            Err(b"ERR timeout is out of range".to_vec())
        }
        Some(Ok(milliseconds)) => Ok(Duration::from_millis(milliseconds)),
        Some(Err(_)) => Err(b"ERR timeout is negative".to_vec()),
        None => Err(b"ERR timeout is not an integer or out of range".to_vec()),
    }
}

pub(crate) fn on_or_off(value: &[u8]) -> Result<bool, Vec<u8>> {
    match &*value.to_ascii_lowercase() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(SYNTAX_ERROR.to_vec()),
    }
}

/// Checks the name of a client.
pub(super) fn check_client_name(name: &[u8]) -> Result<(), CommandError> {
    if is_one_word(name) { Ok(()) } else { Err(BAD_NAME.to_vec()) }
}

/// Returns whether `text` is one field in a line of `CLIENT LIST`.
fn is_one_word(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}
