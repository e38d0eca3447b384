//! Who the client is: authentication, protocol version, and beginning anew.

use std::sync::atomic::Ordering;

use super::client::Silence;
use super::keys::small_integer;
use super::{Answer, CommandError, SYNTAX_ERROR, Session, shown};
use crate::acl::{Context, DEFAULT_USER, Reason};
use crate::audience::Audience;
use crate::card::Mark;
use crate::config::Config;
use crate::host::REDIS_VERSION;
use crate::resp::Protocol;
use crate::resp::reply::Reply;
use crate::resp::request::{self, Request};

const WRONG_PASSWORD: &[u8] = b"WRONGPASS invalid username-password pair or user is disabled.";

impl Session {
    /// `AUTH [username] password`
    pub(super) fn auth(&mut self, request: Request<'_>, audience: &Audience) -> Answer {
        match request.len() {
            2 if self.host.users.default_user().needs_no_password() => Err(b"ERR AUTH <password> called without any \
                password configured for the default user. Are you sure your configuration is correct?"
                .to_vec()),
            2 => self.authenticate(DEFAULT_USER, request.argument(1), "AUTH", audience),
            3 => self.authenticate(request.argument(1), request.argument(2), "AUTH", audience),
            _ => Err(SYNTAX_ERROR.to_vec()),
        }
        .map(|()| Reply::ok())
    }

    /// `HELLO [protover [AUTH username password] [SETNAME clientname]]`
    pub(super) fn hello(&mut self, request: Request<'_>, audience: &Audience) -> Answer {
        let protocol = match (request.len() > 1).then(|| request::integer(request.argument(1))) {
            None => self.member.protocol.get(),
            Some(Some(2)) => Protocol::Resp2,
            Some(Some(3)) => Protocol::Resp3,
            Some(Some(_)) => return Err(b"NOPROTO unsupported protocol version".to_vec()),
            Some(None) => {
                return Err(b"ERR Protocol version is not an integer or out of range".to_vec());
            }
        };
        self.hello_options(request, audience)?;
        if self.must_log_in() {
            return Err(
                b"NOAUTH HELLO must be called with the client already authenticated, otherwise \
                the HELLO AUTH <user> <pass> option can be used to authenticate the client and \
                select the RESP protocol version at the same time"
                    .to_vec(),
            );
        }
        self.set_protocol(protocol);
        Ok(self.hello_reply(protocol))
    }

    /// Does what the options say, one after the other, up to the first that is wrong.
    fn hello_options(
        &mut self,
        request: Request<'_>,
        audience: &Audience,
    ) -> Result<(), CommandError> {
        let mut at = 2;
        while at < request.len() {
            let option = request.argument(at);
            let left = request.len() - at - 1;
            if option.eq_ignore_ascii_case(b"auth") && left >= 2 {
                let (name, password) = (request.argument(at + 1), request.argument(at + 2));
                self.authenticate(name, password, "HELLO", audience)?;
                at += 3;
            } else if option.eq_ignore_ascii_case(b"setname") && left >= 1 {
                self.client_setname(request.argument(at + 1))?;
                at += 2;
            } else {
                let option = shown(option, usize::MAX);
                return Err([b"ERR Syntax error in HELLO option '", option, b"'"].concat());
            }
        }
        Ok(())
    }

    fn set_protocol(&self, protocol: Protocol) {
        self.member.protocol.set(protocol);
        self.card.counts.protocol.store(protocol.number(), Ordering::Relaxed);
    }

    fn hello_reply(&self, protocol: Protocol) -> Reply {
        let pairs = [
            ("server", Reply::bulk("redis")),
            ("version", Reply::bulk(REDIS_VERSION)),
            ("proto", Reply::Integer(protocol.number().into())),
            ("id", Reply::Integer(self.card.id.cast_signed())),
            ("mode", Reply::bulk("standalone")),
            ("role", Reply::bulk("master")),
            ("modules", Reply::Array(Vec::new())),
        ];
        Reply::Map(pairs.into_iter().map(|(key, value)| (Reply::bulk(key), value)).collect())
    }

    /// `RESET`
    pub(super) fn reset(&mut self, audience: &mut Audience) {
        self.leave_all(audience);
        self.stop_monitoring(audience);
        self.unwatch(audience);
        self.transaction = None;
        self.note_transaction();
        self.silence = Silence::default();
        self.member.silent.set(false);
        self.stop_tracking(audience);
        for mark in [Mark::NoEvict, Mark::NoTouch] {
            self.card.set(mark, false);
        }
        self.card.counts.database.store(0, Ordering::Relaxed);
        self.card.words.lock().name.clear();
        self.set_protocol(Protocol::Resp2);
        self.become_user(self.host.users.default_user());
        self.authenticated = self.host.users.is_open();
        self.reply(audience, &Reply::Simple("RESET".into()));
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
    pub(super) fn select(&self, index: &[u8], config: &Config) -> Answer {
        match u16::try_from(small_integer(index)?) {
            Ok(index) if index < config.databases => {
                self.card.counts.database.store(index, Ordering::Relaxed);
                Ok(Reply::ok())
            }
            _ => Err(b"ERR DB index is out of range".to_vec()),
        }
    }

    fn authenticate(
        &mut self,
        name: &[u8],
        password: &[u8],
        command: &str,
        audience: &Audience,
    ) -> Result<(), CommandError> {
        match self.host.users.authenticate(name, password) {
            Some(user) => {
                self.become_user(user);
                self.authenticated = true;
                Ok(())
            }
            None => {
                let object = command.as_bytes().to_vec();
                let context =
                    if self.transaction.is_some() { Context::Multi } else { Context::TopLevel };
                self.note_refusal(Reason::Auth, object, name, audience, context);
                Err(WRONG_PASSWORD.to_vec())
            }
        }
    }
}
