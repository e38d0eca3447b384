//! `MONITOR`: shows every command that runs, to whoever asks.
//!
//! A line travels like a message, in a space of its own. Passwords are hidden.

use std::io::Write;
use std::sync::atomic::Ordering;

use crate::commands::{Command, Entry};
use crate::observe::clock::since_1970;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::protocol::words;
use crate::pubsub::message::{ChannelKind, Name};
use crate::pubsub::subscribers::Context;
use crate::session::Session;
use crate::session::client_info::Flag;

/// The one channel of the space.
const CHANNEL: &[u8] = b"";

impl Session {
    /// `MONITOR`
    pub(crate) fn monitor(&mut self, context: &mut Context) {
        if !self.info.is(Flag::Monitor) {
            self.info.set(Flag::Monitor, true);
            self.server.monitors.fetch_add(1, Ordering::Relaxed);
            self.reply(context, &Reply::ok());
            self.server.broker.join(context, ChannelKind::Monitor, &self.output, CHANNEL);
        }
    }

    pub(crate) fn stop_monitoring(&self, context: &mut Context) {
        if self.info.is(Flag::Monitor) {
            self.info.set(Flag::Monitor, false);
            self.server.monitors.fetch_sub(1, Ordering::Relaxed);
            let name = Name::from(CHANNEL);
            self.server.broker.leave(context, ChannelKind::Monitor, &self.output, &name);
        }
    }

    /// Shows a command that has run.
    pub(crate) fn show_to_monitors(
        &self,
        entry: Entry,
        request: Request<'_>,
        context: &mut Context,
    ) {
        let now = since_1970();
        let database = self.info.counts.database.load(Ordering::Relaxed);
        let mut line = Vec::new();
        let (seconds, micros) = (now.as_secs(), now.subsec_micros());
        let _ = match self.script_caller {
            Some(_) => write!(line, "{seconds}.{micros:06} [{database} lua]"),
            None => write!(line, "{seconds}.{micros:06} [{database} {}]", self.info.peer),
        };
        for (index, argument) in request.arguments_from(0).enumerate() {
            let shown = match is_secret(entry, request, index) {
                true => "\"(redacted)\"".to_owned(),
                false => words::quote(argument),
            };
            let _ = write!(line, " {shown}");
        }
        self.server.broker.publish_from(context, ChannelKind::Monitor, CHANNEL, &line);
    }
}

/// Whether an argument is a user name or a password.
pub(crate) fn is_secret(entry: Entry, request: Request<'_>, index: usize) -> bool {
    match entry.spec.command {
        Command::Auth => index > 0,
        // HELLO 3 AUTH user password
        Command::Hello => {
            let is_auth = |at: usize| request.argument(at).eq_ignore_ascii_case(b"auth");
            index >= 3 && (is_auth(index - 1) || (index >= 4 && is_auth(index - 2)))
        }
        // ACL SETUSER user rules
        Command::AclSetUser => index >= 2,
        // CONFIG SET requirepass password
        Command::ConfigSet => {
            let is_password = |at: usize| {
                let name = request.argument(at).to_ascii_lowercase();
                matches!(
                    &*name,
                    b"requirepass"
                        | b"masterauth"
                        | b"tls-key-file-pass"
                        | b"tls-client-key-file-pass"
                )
            };
            index >= 3 && index % 2 == 1 && is_password(index - 1)
        }
        _ => false,
    }
}
