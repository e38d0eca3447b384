//! Who the client is: authentication, protocol version, name.

use crate::host::REDIS_VERSION;
use crate::resp::Protocol;
use crate::resp::reply::Reply;
use crate::resp::request::{self, Request};

use super::{Answer, CommandError, Session};

const WRONG_PASSWORD: &[u8] = b"WRONGPASS invalid username-password pair or user is disabled.";
const BAD_NAME: &[u8] = b"ERR Client names cannot contain spaces, newlines or special characters.";

/// Databases that `SELECT` accepts. They are all alike, since there are no keys.
const DATABASES: i64 = 16;

impl Session {
    /// `AUTH [username] password`
    pub(super) fn auth(&mut self, request: Request<'_>) -> Answer {
        match request.len() {
            2 if !self.host.requires_password() => {
                Err(b"ERR AUTH <password> called without any password \
                configured for the default user. Are you sure your configuration is correct?"
                    .to_vec())
            }
            2 => self.authenticate(b"default", request.argument(1)).map(|()| Reply::ok()),
            3 => self.authenticate(request.argument(1), request.argument(2)).map(|()| Reply::ok()),
            _ => Err(b"ERR syntax error".to_vec()),
        }
    }

    /// `HELLO [protover [AUTH username password] [SETNAME clientname]]`
    pub(super) fn hello(&mut self, request: Request<'_>) -> Answer {
        let protocol = match (request.len() > 1).then(|| request::integer(request.argument(1))) {
            None => self.member.protocol.get(),
            Some(Some(2)) => Protocol::Resp2,
            Some(Some(3)) => Protocol::Resp3,
            Some(Some(_)) => return Err(b"NOPROTO unsupported protocol version".to_vec()),
            Some(None) => {
                return Err(b"ERR Protocol version is not an integer or out of range".to_vec());
            }
        };
        let options = HelloOptions::parse(request)?;
        if let Some((user, password)) = options.auth {
            self.authenticate(user, password)?;
        }
        if !self.authenticated {
            return Err(
                b"NOAUTH HELLO must be called with the client already authenticated, otherwise \
                the HELLO AUTH <user> <pass> option can be used to authenticate the client and \
                select the RESP protocol version at the same time"
                    .to_vec(),
            );
        }
        if let Some(name) = options.name {
            self.client_setname(name)?;
        }
        self.member.protocol.set(protocol);
        Ok(self.hello_reply(protocol))
    }

    fn hello_reply(&self, protocol: Protocol) -> Reply {
        let version = if protocol == Protocol::Resp2 { 2 } else { 3 };
        let pairs = [
            ("server", Reply::bulk("redis")),
            ("version", Reply::bulk(REDIS_VERSION)),
            ("proto", Reply::Integer(version)),
            ("id", Reply::Integer(self.member.id().cast_signed())),
            ("mode", Reply::bulk("standalone")),
            ("role", Reply::bulk("master")),
            ("modules", Reply::Array(Vec::new())),
        ];
        Reply::Map(pairs.into_iter().map(|(key, value)| (Reply::bulk(key), value)).collect())
    }

    /// `PING [message]`
    pub(super) fn ping(&self, request: Request<'_>) -> Answer {
        let message = (request.len() > 1).then(|| request.argument(1));
        match message {
            _ if request.len() > 2 => {
                Err(b"ERR wrong number of arguments for 'ping' command".to_vec())
            }
            // A RESP2 subscriber tells replies from messages by their shape.
            message if self.is_subscribed() && self.member.protocol.get() == Protocol::Resp2 => {
                let message = message.unwrap_or_default();
                Ok(Reply::Array(vec![Reply::bulk("pong"), Reply::bulk(message)]))
            }
            Some(message) => Ok(Reply::bulk(message)),
            None => Ok(Reply::Simple("PONG".into())),
        }
    }

    /// `SELECT index`
    pub(super) fn select(index: &[u8]) -> Answer {
        match request::integer(index) {
            Some(0..DATABASES) => Ok(Reply::ok()),
            Some(_) => Err(b"ERR DB index is out of range".to_vec()),
            None => Err(b"ERR value is not an integer or out of range".to_vec()),
        }
    }

    /// `CLIENT GETNAME`
    pub(super) fn client_getname(&self) -> Reply {
        if self.name.is_empty() { Reply::Null } else { Reply::bulk(&self.name) }
    }

    /// `CLIENT SETNAME connection-name`
    pub(super) fn client_setname(&mut self, name: &[u8]) -> Answer {
        if !is_one_word(name) {
            return Err(BAD_NAME.to_vec());
        }
        self.name = name.to_vec();
        Ok(Reply::ok())
    }

    /// `CLIENT SETINFO LIB-NAME libname | LIB-VER libver`
    pub(super) fn client_setinfo(&mut self, request: Request<'_>) -> Answer {
        let (option, value) = (request.argument(2), request.argument(3));
        let (field, shown) = match &*option.to_ascii_lowercase() {
            b"lib-name" => (&mut self.library.name, "lib-name"),
            b"lib-ver" => (&mut self.library.version, "lib-ver"),
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

    fn authenticate(&mut self, user: &[u8], password: &[u8]) -> Result<(), CommandError> {
        // An unknown user costs as much as a known one, so the time tells nothing.
        let matches = self.host.is_password(password) || !self.host.requires_password();
        if user != b"default" || !matches {
            return Err(WRONG_PASSWORD.to_vec());
        }
        self.authenticated = true;
        Ok(())
    }
}

#[derive(Default)]
struct HelloOptions<'a> {
    auth: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

impl<'a> HelloOptions<'a> {
    fn parse(request: Request<'a>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut at = 2;
        while at < request.len() {
            let option = request.argument(at);
            let left = request.len() - at - 1;
            if option.eq_ignore_ascii_case(b"auth") && left >= 2 {
                options.auth = Some((request.argument(at + 1), request.argument(at + 2)));
                at += 3;
            } else if option.eq_ignore_ascii_case(b"setname") && left >= 1 {
                options.name = Some(request.argument(at + 1));
                at += 2;
            } else {
                return Err([b"ERR Syntax error in HELLO option '", option, b"'"].concat());
            }
        }
        if options.name.is_some_and(|name| !is_one_word(name)) {
            return Err(BAD_NAME.to_vec());
        }
        Ok(options)
    }
}

/// Whether `text` fits into a line of `CLIENT LIST` without being taken for two fields.
fn is_one_word(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}
