//! Commands on the state of a connection: `AUTH`, `HELLO`, `RESET`, `QUIT`, `PING` and `SELECT`.

use super::permissions::record_refusal;
use super::spec::Outcome;
use crate::observe::disconnect::Disconnect;
use crate::pubsub::client_output::Notices;
use crate::pubsub::order::OrderGuard;
use crate::session::replica_options::ReplicaOptions;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Answer;
use super::client::check_client_name;
use super::errors::{CommandError, SYNTAX_ERROR, shown};
use super::keys::small_integer;
use super::user_limits;
use crate::acl::{CallContext, DEFAULT_USER, Reason, User};
use crate::config::Config;
use crate::protocol::Protocol;
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::session::Session;
use crate::session::client_info::Flag;
use crate::session::context::Context;
use crate::version::REDIS_VERSION;

const WRONG_PASSWORD: &[u8] = b"WRONGPASS invalid username-password pair or user is disabled.";

impl Session {
    /// `AUTH [username] password`
    pub(crate) fn auth(&mut self, request: Request<'_>, context: &Context) -> Answer {
        match request.len() {
            2 if self.server.users.default_user().needs_no_password() => Err(b"ERR AUTH <password> called without any \
                password configured for the default user. Are you sure your configuration is correct?"
                .to_vec()),
            2 => self.authenticate(DEFAULT_USER, request.argument(1), request, context),
            3 => self.authenticate(request.argument(1), request.argument(2), request, context),
            _ => Err(SYNTAX_ERROR.to_vec()),
        }
        .map(|()| Reply::ok())
    }

    /// `HELLO [protover [AUTH username password] [SETNAME clientname]]`
    pub(crate) fn hello(&mut self, request: Request<'_>, context: &Context) -> Answer {
        let protocol = match (request.len() > 1).then(|| request::integer(request.argument(1))) {
            None => self.output.protocol.get(),
            Some(Some(2)) => Protocol::Resp2,
            Some(Some(3)) => Protocol::Resp3,
            Some(Some(_)) => return Err(b"NOPROTO unsupported protocol version".to_vec()),
            Some(None) => {
                return Err(b"ERR Protocol version is not an integer or out of range".to_vec());
            }
        };
        let name = self.hello_options(request, context)?;
        if self.must_log_in() {
            return Err(
                b"NOAUTH HELLO must be called with the client already authenticated, otherwise \
                the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the \
                client and select the RESP protocol version at the same time"
                    .to_vec(),
            );
        }
        if let Some(name) = name {
            self.client_setname(name)?;
        }
        self.set_protocol(protocol);
        Ok(self.hello_reply(protocol))
    }

    /// Checks all options, then logs in. Returns the name of the client. As in Redis 7.2, the last
    /// `AUTH` and the last `SETNAME` count.
    fn hello_options<'r>(
        &mut self,
        request: Request<'r>,
        context: &Context,
    ) -> Result<Option<&'r [u8]>, CommandError> {
        let (mut login, mut client_name, mut at) = (None, None, 2);
        while at < request.len() {
            let option = request.argument(at);
            let left = request.len() - at - 1;
            if option.eq_ignore_ascii_case(b"auth") && left >= 2 {
                login = Some((request.argument(at + 1), request.argument(at + 2)));
                at += 3;
            } else if option.eq_ignore_ascii_case(b"setname") && left >= 1 {
                let name = request.argument(at + 1);
                check_client_name(name)?;
                client_name = Some(name);
                at += 2;
            } else {
                let option = shown(option, usize::MAX);
                return Err([b"ERR Syntax error in HELLO option '", option, b"'"].concat());
            }
        }
        if let Some((name, password)) = login {
            self.authenticate(name, password, request, context)?;
        }
        Ok(client_name)
    }

    fn set_protocol(&self, protocol: Protocol) {
        self.output.protocol.set(protocol);
        self.info.counts.protocol.store(protocol.number(), Ordering::Relaxed);
    }

    fn hello_reply(&self, protocol: Protocol) -> Reply {
        let pairs = [
            ("server", Reply::bulk("redis")),
            ("version", Reply::bulk(REDIS_VERSION)),
            ("proto", Reply::Integer(protocol.number().into())),
            ("id", Reply::Integer(self.info.id.cast_signed())),
            ("mode", Reply::bulk("standalone")),
            (
                "role",
                Reply::bulk(if self.server.replication.is_replica() {
                    "replica"
                } else {
                    "master"
                }),
            ),
            ("modules", Reply::Array(Vec::new())),
        ];
        Reply::Map(pairs.into_iter().map(|(key, value)| (Reply::bulk(key), value)).collect())
    }

    /// `RESET` without the order. Returns `None` if the client needs the order: it has
    /// subscriptions, watches keys, tracks keys or monitors commands.
    pub(super) fn reset_without_order(&mut self, context: &mut Context) -> Option<Outcome> {
        if self.info.is(Flag::Replica) || self.master.is_some() {
            return Some(Err(b"ERR can only reset normal client connections".to_vec()).into());
        }
        let needs_order = self.is_subscribed()
            || self.info.is(Flag::Monitor)
            || self.watch.is_some()
            || self.tracking.is_some();
        (!needs_order).then(|| self.reset_session(context))
    }

    /// `RESET`
    pub(super) fn reset(&mut self, context: &mut Context, order: &mut OrderGuard<'_>) -> Outcome {
        self.leave_all(context, order);
        self.stop_monitoring(context, order);
        self.unwatch(order);
        self.stop_tracking(order);
        self.reset_session(context)
    }

    fn reset_session(&mut self, context: &mut Context) -> Outcome {
        self.transaction = None;
        self.record_transaction();
        self.replica = ReplicaOptions::default();
        self.silence.reset(&self.output);
        self.output.notices.set(Notices::default());
        for flag in [Flag::NoEvict, Flag::NoTouch] {
            self.info.set(flag, false);
        }
        self.info.counts.database.store(0, Ordering::Relaxed);
        self.info.names.lock().name.clear();
        context.flush_queue().end_deferring(&self.output);
        self.set_protocol(Protocol::Resp2);
        self.become_user(self.server.users.default_user());
        self.authenticated = self.server.users.is_open();
        self.info.set(Flag::Stranger, self.must_log_in());
        Reply::Simple("RESET".into()).into()
    }

    /// `QUIT`
    pub(super) fn quit(&self, context: &mut Context) -> Outcome {
        self.reply(context, &Reply::ok());
        context.flush_queue().disconnect(&self.output, Disconnect::Quit);
        Outcome::Replied
    }

    /// `PING [message]`
    pub(crate) fn ping(&self, request: Request<'_>) -> Answer {
        let message = (request.len() > 1).then(|| request.argument(1));
        match message {
            _ if request.len() > 2 => {
                Err(b"ERR wrong number of arguments for 'ping' command".to_vec())
            }
            // RESP2 has no type for messages, so a subscriber receives the reply as an array.
            message if self.is_subscribed() && self.output.protocol.get() == Protocol::Resp2 => {
                let message = message.unwrap_or_default();
                Ok(Reply::Array(vec![Reply::bulk("pong"), Reply::bulk(message)]))
            }
            Some(message) => Ok(Reply::bulk(message)),
            None => Ok(Reply::Simple("PONG".into())),
        }
    }

    /// `SELECT index`
    pub(crate) fn select(&self, index: &[u8], config: &Config) -> Answer {
        match u16::try_from(small_integer(index)?) {
            Ok(index) if index < config.databases => {
                self.info.counts.database.store(index, Ordering::Relaxed);
                Ok(Reply::ok())
            }
            _ => Err(b"ERR DB index is out of range".to_vec()),
        }
    }

    /// Logs in the first enabled user of these names, which stand in the client's certificate.
    pub(crate) fn log_in_by_certificate(&mut self, names: &[Vec<u8>], context: &Context) {
        let users = &self.server.users;
        let mut found = names.iter().filter_map(|name| users.get(name));
        match found.find(|user| user.is_enabled()) {
            Some(user) => {
                let _ = self.log_in(user, context);
            }
            None => {
                let name = names.first().map_or(&b""[..], Vec::as_slice);
                let (reason, origin) = (Reason::Certificate, CallContext::TopLevel);
                record_refusal(self, context, reason, b"tls-cert".to_vec(), name, origin);
            }
        }
    }

    /// Logs in the user of `http-token`, for a client that has shown the token.
    ///
    /// # Errors
    ///
    /// Returns Redis' text if the user is off or gone by now, or has too many clients.
    #[cfg(feature = "http")]
    pub(crate) fn log_in_by_token(
        &mut self,
        name: &[u8],
        context: &Context,
    ) -> Result<(), CommandError> {
        match self.server.users.get(name).filter(|user| user.is_enabled()) {
            Some(user) => self.log_in(user, context),
            None => Err(WRONG_PASSWORD.to_vec()),
        }
    }

    /// Logs in a user, unless it has too many clients.
    fn log_in(&mut self, user: Arc<User>, context: &Context) -> Result<(), CommandError> {
        let server = self.server.clone();
        let _one_at_a_time =
            user_limits::check_login(&server, &context.config, user.name(), self.info.id)?;
        self.become_user(user);
        self.authenticated = true;
        self.info.set(Flag::Stranger, false);
        Ok(())
    }

    fn authenticate(
        &mut self,
        name: &[u8],
        password: &[u8],
        request: Request<'_>,
        context: &Context,
    ) -> Result<(), CommandError> {
        match self.server.users.authenticate(name, password) {
            Some(user) => self.log_in(user, context),
            None => {
                let object = request.argument(0).to_vec();
                let origin = if self.transaction.is_some() {
                    CallContext::Multi
                } else {
                    CallContext::TopLevel
                };
                record_refusal(self, context, Reason::Auth, object, name, origin);
                Err(WRONG_PASSWORD.to_vec())
            }
        }
    }
}
