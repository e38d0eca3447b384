//! One row of the command table: the facts that checks, documentation and execution need.

use std::time::Duration;

use super::Answer;
use super::script::ScriptCall;
use crate::ids::CommandId;
use crate::keyspace::{Keys, Report};
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::pubsub::message::ChannelKind;
use crate::pubsub::order::OrderGuard;
use crate::session::Session;
use crate::session::context::Context;

/// One command, or one subcommand of a container such as `CLIENT`.
#[derive(Debug)]
pub(crate) struct Spec {
    /// In lower case; the full name of a subcommand is `client|id`.
    pub(crate) name: &'static str,
    /// The index of the row.
    pub(crate) id: CommandId,
    /// The number of arguments with the name; negative for a minimum. Subcommands count both names.
    pub(crate) arity: i32,
    pub(crate) flags: Flags,
    pub(crate) keys: KeyPositions,
    pub(crate) channels: ChannelPositions,
    pub(crate) secrets: Secrets,
    pub(crate) about: &'static About,
    pub(crate) run: Run,
}

/// Redis' documentation of a command.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) tips: &'static [&'static str],
    pub(crate) key_specs: &'static [Value],
    pub(crate) docs: &'static [(&'static str, Value)],
}

/// A value in the documentation of a command.
#[derive(Debug)]
pub(crate) enum Value {
    Int(i64),
    Text(&'static str),
    List(&'static [Self]),
}

/// How a command is executed.
#[derive(Debug)]
pub(crate) enum Run {
    /// Uses only the state of its client, settings and statistics.
    Local(fn(&mut Session, &mut Context, Request<'_>) -> Answer),
    /// Like `Local`, for commands with outcomes other than one reply.
    Control(fn(&mut Session, &mut Context, Request<'_>) -> Outcome),
    /// Reads or changes keys of one database.
    Keys(fn(&mut Keys<'_>, Request<'_>) -> Answer),
    /// Reads or changes other state under the order. `early` runs first, without the order.
    Ordered { early: Option<Early>, run: Ordered },
    /// `PUBLISH` and `SPUBLISH`.
    Publish(ChannelKind),
    /// `EVAL` and its family.
    Script(ScriptCall),
    /// `EXEC`.
    Exec,
    /// A name that only groups subcommands.
    Container,
}

/// Runs a command without the order, or returns `None` if it needs the order.
pub(crate) type Early = fn(&mut Session, &mut Context, Request<'_>) -> Option<Outcome>;

/// Runs a command under the order.
pub(crate) type Ordered =
    fn(&mut Session, &mut Context, &mut OrderGuard<'_>, Request<'_>) -> Outcome;

/// The outcome of a command.
#[must_use = "each command of a transaction needs exactly one reply"]
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The command has queued its replies.
    Replied,
    /// The reply, not queued yet.
    Answered(Answer),
    /// A report, from which the function makes the reply after the release of the order.
    Reported(Box<Report>, fn(&Session, &Context, &Report, Request<'_>) -> Reply),
    /// `WAIT` or `WAITAOF` for this long, or without end if it is [`Duration::MAX`]. Within a
    /// transaction or a script the command returns immediately.
    Wait(Duration, Awaited),
    /// `CONFIG SET` that waits until the server has moved. It is refused within a transaction.
    WaitForMove,
    /// `CLIENT KILL` or a change of users that waits until the clients are gone. Within a transaction
    /// or a script it does not wait.
    WaitForEnds,
    /// A question about subscribers that waits until all workers have answered. It is refused within
    /// a transaction and a script.
    WaitForSurvey,
}

/// The copies of the data that `WAIT` or `WAITAOF` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// As many replicas as the session says.
    Replicas,
    /// There are none, neither here nor on a replica.
    AppendOnlyFiles,
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self::Answered(answer)
    }
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self::Answered(Ok(reply))
    }
}

/// A property of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    // Redis' flags, in the order of its source.
    Write,
    Readonly,
    Denyoom,
    Admin,
    Pubsub,
    Noscript,
    Loading,
    Stale,
    SkipMonitor,
    SkipSlowlog,
    Fast,
    NoAuth,
    NoAsyncLoading,
    NoMulti,
    Movablekeys,
    AllowBusy,
    NoMandatoryKeys,
    // Our own. Redis has these rules in its code.
    /// So frequent that only a sample of its calls is timed.
    Hot,
    /// Allowed to a RESP2 client with subscriptions.
    WhileSubscribed,
    /// Held back by `CLIENT PAUSE WRITE`, though it is no write.
    PausedAsWrite,
    /// Runs at once between `MULTI` and `EXEC`.
    NeverQueued,
    /// Refused by `EXEC`, since its reply would not be one value.
    NotInExec,
}

/// The properties of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    bits: u32,
    list: &'static [Flag],
}

/// Positions of the keys in a request; all zero if it has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyPositions {
    pub(crate) first: i32,
    pub(crate) last: i32,
    pub(crate) step: i32,
}

/// Positions of the channels in a request, for permissions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ChannelPositions {
    None,
    /// One channel.
    At(usize),
    /// Channels from here to the end.
    From(usize),
    /// Patterns from here to the end.
    Patterns(usize),
}

/// Arguments that `MONITOR` and the slow log hide.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Secrets {
    None,
    /// All arguments from here to the end.
    From(usize),
    /// The user and the password of `HELLO`.
    Hello,
    /// The values of passwords in `CONFIG SET`.
    Settings,
}

/// Creates a row. The table sets its id.
pub(super) const fn row(
    name: &'static str,
    arity: i32,
    flags: &'static [Flag],
    about: &'static About,
    run: Run,
) -> Spec {
    Spec {
        name,
        id: CommandId::UNKNOWN,
        arity,
        flags: Flags::new(flags),
        keys: KeyPositions { first: 0, last: 0, step: 0 },
        channels: ChannelPositions::None,
        secrets: Secrets::None,
        about,
        run,
    }
}

impl Spec {
    pub(super) const fn keys(mut self, first: i32, last: i32, step: i32) -> Self {
        self.keys = KeyPositions { first, last, step };
        self
    }

    pub(super) const fn channels(mut self, channels: ChannelPositions) -> Self {
        self.channels = channels;
        self
    }

    pub(super) const fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// Returns whether a request may have this number of arguments, the name included.
    pub(crate) fn accepts(&self, arguments: usize) -> bool {
        let arguments = i32::try_from(arguments).unwrap_or(i32::MAX);
        if self.arity < 0 { arguments >= -self.arity } else { arguments == self.arity }
    }

    pub(crate) fn has(&self, flag: Flag) -> bool {
        self.flags.bits & (1 << flag as u32) != 0
    }

    /// Returns whether `MONITOR` shows the command.
    pub(crate) fn is_monitored(&self) -> bool {
        !self.has(Flag::Admin) && !self.has(Flag::SkipMonitor)
    }

    /// Returns whether the command runs a script.
    pub(crate) fn runs_script(&self) -> bool {
        matches!(self.run, Run::Script(_))
    }

    /// Returns whether the command is held back while writes are paused.
    pub(crate) fn pauses_with_writes(&self) -> bool {
        self.has(Flag::Write) || self.has(Flag::PausedAsWrite)
    }

    /// Returns the name of the container of a subcommand.
    pub(crate) fn container(&self) -> Option<&'static str> {
        self.name.split_once('|').map(|(container, _)| container)
    }

    pub(crate) fn is_container(&self) -> bool {
        !self.subcommands().is_empty()
    }

    /// Returns the rows of the subcommands, which follow the row of their container.
    pub(crate) fn subcommands(&self) -> &'static [Self] {
        let rows = &super::table::SPECS[self.id.index() + 1..];
        if self.container().is_some() {
            return &[];
        }
        let count = rows.iter().take_while(|row| row.container() == Some(self.name)).count();
        &rows[..count]
    }

    /// Returns a text of the documentation, or "" if there is none.
    #[cfg(test)]
    pub(crate) fn doc(&self, field: &str) -> &'static str {
        match self.about.docs.iter().find(|(known, _)| *known == field) {
            Some((_, Value::Text(text))) => text,
            _ => "",
        }
    }
}

impl Flags {
    const fn new(list: &'static [Flag]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < list.len() {
            bits |= 1 << list[at] as u32;
            at += 1;
        }
        Self { bits, list }
    }

    /// Returns the names of Redis' flags.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        self.list.iter().filter_map(|flag| flag.name())
    }
}

impl Flag {
    /// Returns Redis' name; `None` if the flag is ours.
    fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Write => "write",
            Self::Readonly => "readonly",
            Self::Denyoom => "denyoom",
            Self::Admin => "admin",
            Self::Pubsub => "pubsub",
            Self::Noscript => "noscript",
            Self::Loading => "loading",
            Self::Stale => "stale",
            Self::SkipMonitor => "skip_monitor",
            Self::SkipSlowlog => "skip_slowlog",
            Self::Fast => "fast",
            Self::NoAuth => "no_auth",
            Self::NoAsyncLoading => "no_async_loading",
            Self::NoMulti => "no_multi",
            Self::Movablekeys => "movablekeys",
            Self::AllowBusy => "allow_busy",
            Self::NoMandatoryKeys => "no_mandatory_keys",
            Self::Hot
            | Self::WhileSubscribed
            | Self::PausedAsWrite
            | Self::NeverQueued
            | Self::NotInExec => return None,
        })
    }
}
