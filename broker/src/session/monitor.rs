//! `MONITOR`: shows every command that runs, to whoever asks.
//!
//! A line travels like a message, in a space of its own. Passwords are hidden.

use std::io::Write;
use std::sync::atomic::Ordering;

use super::Session;
use crate::audience::Audience;
use crate::card::Mark;
use crate::clock::since_1970;
use crate::command::{Command, Entry};
use crate::message::{Name, Space};
use crate::resp::reply::Reply;
use crate::resp::request::Request;
use crate::resp::words;

/// The one channel of the space.
const CHANNEL: &[u8] = b"";

impl Session {
    /// `MONITOR`
    pub(super) fn monitor(&mut self, audience: &mut Audience) {
        if !self.card.is(Mark::Monitor) {
            self.card.set(Mark::Monitor, true);
            self.host.monitors.fetch_add(1, Ordering::Relaxed);
            self.reply(audience, &Reply::ok());
            self.host.broker.join(audience, Space::Monitor, &self.member, CHANNEL);
        }
    }

    pub(super) fn stop_monitoring(&self, audience: &mut Audience) {
        if self.card.is(Mark::Monitor) {
            self.card.set(Mark::Monitor, false);
            self.host.monitors.fetch_sub(1, Ordering::Relaxed);
            let name = Name::from(CHANNEL);
            self.host.broker.leave(audience, Space::Monitor, &self.member, &name);
        }
    }

    /// Shows a command that has run.
    pub(super) fn show_to_monitors(
        &self,
        entry: Entry,
        request: Request<'_>,
        audience: &mut Audience,
    ) {
        let now = since_1970();
        let database = self.card.counts.database.load(Ordering::Relaxed);
        let mut line = Vec::new();
        let (seconds, micros) = (now.as_secs(), now.subsec_micros());
        let _ = match self.script_caller {
            Some(_) => write!(line, "{seconds}.{micros:06} [{database} lua]"),
            None => write!(line, "{seconds}.{micros:06} [{database} {}]", self.card.peer),
        };
        for (index, argument) in request.arguments_from(0).enumerate() {
            let shown = match is_secret(entry, request, index) {
                true => "\"(redacted)\"".to_owned(),
                false => words::quote(argument),
            };
            let _ = write!(line, " {shown}");
        }
        self.host.broker.publish_from(audience, Space::Monitor, CHANNEL, &line);
    }
}

/// Whether an argument is a user name or a password.
pub(super) fn is_secret(entry: Entry, request: Request<'_>, index: usize) -> bool {
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
