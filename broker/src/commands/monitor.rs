//! `MONITOR`: sends each executed command to all monitors, except for administrative commands.
//!
//! A line is a message on the only channel of [`ChannelKind::Monitor`]. Passwords are hidden.

use std::io::Write;
use std::sync::atomic::Ordering;

use super::spec::{Outcome, Secrets, Spec};
use crate::observe::clock::since_1970;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::protocol::words;
use crate::pubsub::message::{ChannelKind, Content, Name};
use crate::pubsub::order::OrderGuard;
use crate::session::Session;
use crate::session::client_info::Flag;
use crate::session::context::Context;

/// The only channel of its kind.
const CHANNEL: &[u8] = b"";

impl Session {
    /// `MONITOR`
    pub(super) fn monitor(&mut self, context: &mut Context, order: &mut OrderGuard<'_>) -> Outcome {
        if !self.info.is(Flag::Monitor) {
            self.info.set(Flag::Monitor, true);
            self.server.monitors.fetch_add(1, Ordering::Relaxed);
            self.reply(context, &Reply::ok());
            order.join(&mut context.local, ChannelKind::Monitor, &self.output, CHANNEL);
        }
        Outcome::Replied
    }

    pub(super) fn stop_monitoring(&self, context: &mut Context, order: &mut OrderGuard<'_>) {
        if self.info.is(Flag::Monitor) {
            self.info.set(Flag::Monitor, false);
            self.server.monitors.fetch_sub(1, Ordering::Relaxed);
            let name = Name::from(CHANNEL);
            order.leave(&mut context.local, ChannelKind::Monitor, &self.output, &name);
        }
    }
}

/// Publishes a command to all monitors.
pub(super) fn show(
    session: &Session,
    context: &mut Context,
    order: &mut OrderGuard<'_>,
    spec: &Spec,
    request: Request<'_>,
) {
    let now = since_1970();
    let database = session.info.counts.database.load(Ordering::Relaxed);
    let mut line = Vec::new();
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    let _ = match session.script_caller {
        Some(_) => write!(line, "{seconds}.{micros:06} [{database} lua]"),
        None => write!(line, "{seconds}.{micros:06} [{database} {}]", session.info.peer),
    };
    for (index, argument) in request.arguments_from(0).enumerate() {
        let shown = match is_secret(spec, request, index) {
            true => "\"(redacted)\"".to_owned(),
            false => words::quote(argument),
        };
        let _ = write!(line, " {shown}");
    }
    let kind = ChannelKind::Monitor;
    let content = Content { kind, channel: CHANNEL, payload: &line, shared: None };
    let fanout = order.publish(&mut context.local, content, || None);
    context.local.deliver_own(content, fanout);
}

/// Returns whether an argument is a user name or a password.
pub(super) fn is_secret(spec: &Spec, request: Request<'_>, index: usize) -> bool {
    let is = |at: usize, names: &[&[u8]]| {
        names.iter().any(|name| request.argument(at).eq_ignore_ascii_case(name))
    };
    match spec.secrets {
        Secrets::None => false,
        Secrets::From(first) => index >= first,
        // HELLO 3 AUTH user password
        Secrets::Hello => {
            index >= 3 && (is(index - 1, &[b"auth"]) || index >= 4 && is(index - 2, &[b"auth"]))
        }
        // CONFIG SET requirepass password
        Secrets::Settings => index >= 3 && index % 2 == 1 && is(index - 1, &PASSWORDS),
    }
}

/// Directives that Redis hides: passwords, and the user name for replication. The last one is ours.
const PASSWORDS: [&[u8]; 6] = [
    b"requirepass",
    b"masterauth",
    b"masteruser",
    b"tls-key-file-pass",
    b"tls-client-key-file-pass",
    b"http-token",
];
