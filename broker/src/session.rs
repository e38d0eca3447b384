//! One client's state and rules.
//!
//! A session takes whole requests and queues replies; it knows no socket, no task and no clock.
//! Checks come in Redis' order: does the command exist, is the number of arguments right, may it
//! run before authentication, may it run while subscribed.

mod config;
mod connection;
mod info;
mod pubsub;
mod table;

use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use foldhash::fast::RandomState;
use hashbrown::HashSet;

use crate::audience::{Audience, Member};
use crate::command::{self, Command, Lookup, Spec};
use crate::config::OutputLimit;
use crate::disconnect::Disconnect;
use crate::host::Host;
use crate::message::Name;
use crate::resp::Protocol;
use crate::resp::reply::Reply;
use crate::resp::request::{Limits, ProtocolError, Request};

/// One client.
#[derive(Debug)]
pub(crate) struct Session {
    host: Arc<Host>,
    member: Rc<Member>,
    channels: HashSet<Name, RandomState>,
    patterns: HashSet<Name, RandomState>,
    authenticated: bool,
    /// What the client calls itself.
    name: Vec<u8>,
    library: Library,
}

/// What a client library says of itself.
#[derive(Debug, Default)]
struct Library {
    name: Vec<u8>,
    version: Vec<u8>,
}

/// Why a request is refused. The text is the reply, in Redis' words.
type CommandError = Vec<u8>;

/// What a command answers, where one value is the whole answer.
type Answer = Result<Reply, CommandError>;

impl Session {
    pub(crate) fn new(host: Arc<Host>, member: Rc<Member>) -> Self {
        let authenticated = !host.requires_password();
        Self {
            host,
            member,
            channels: HashSet::with_hasher(RandomState::default()),
            patterns: HashSet::with_hasher(RandomState::default()),
            authenticated,
            name: Vec::new(),
            library: Library::default(),
        }
    }

    /// Returns what the client may send now.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            bulk_bytes_max: self.host.config.proto_max_bulk_len,
            authenticated: self.authenticated,
        }
    }

    /// Whether the client has a subscription, which makes it one of another class.
    pub(crate) fn is_subscribed(&self) -> bool {
        !self.channels.is_empty() || !self.patterns.is_empty()
    }

    /// Returns the limit of the client's class.
    pub(crate) fn output_limit(&self) -> OutputLimit {
        let limits = &self.host.config.client_output_buffer_limit;
        if self.is_subscribed() { limits.pubsub } else { limits.normal }
    }

    /// Runs one request, and queues its reply.
    pub(crate) fn execute(&mut self, request: Request<'_>, audience: &mut Audience) {
        self.host.broker.stats().commands_processed.add(1);
        match self.permitted(request) {
            Ok(Command::Publish) => self.publish(request, audience),
            Ok(Command::Subscribe) => self.subscribe(request, audience),
            Ok(Command::Unsubscribe) => self.unsubscribe(request, audience),
            Ok(Command::PSubscribe) => self.psubscribe(request, audience),
            Ok(Command::PUnsubscribe) => self.punsubscribe(request, audience),
            Ok(Command::Quit) => {
                self.reply(audience, &Reply::ok());
                audience.mail().disconnect(&self.member, Disconnect::Quit);
            }
            Ok(command) => {
                let reply = self.answer(command, request).unwrap_or_else(Reply::Error);
                self.reply(audience, &reply);
            }
            Err(error) => self.reply(audience, &Reply::Error(error)),
        }
    }

    /// Answers bytes that are no request, and ends the session.
    pub(crate) fn refuse(&self, error: ProtocolError, audience: &mut Audience) {
        self.reply(audience, &Reply::error(format!("ERR Protocol error: {error}")));
        audience.mail().disconnect(&self.member, Disconnect::Protocol);
    }

    /// Ends all subscriptions.
    pub(crate) fn end(&mut self, audience: &mut Audience) {
        for channel in std::mem::take(&mut self.channels) {
            self.host.broker.leave(audience, &self.member, &channel);
        }
        for pattern in std::mem::take(&mut self.patterns) {
            self.host.broker.leave_pattern(audience, &self.member, &pattern);
        }
    }

    /// Finds out which command is asked for, and whether it may run now.
    fn permitted(&self, request: Request<'_>) -> Result<Command, CommandError> {
        let name = request.argument(0);
        let subcommand = (request.len() > 1).then(|| request.argument(1));
        let spec = match command::find(name, subcommand) {
            Lookup::Found(spec) => spec,
            Lookup::Unknown => return Err(unknown_command(request)),
            Lookup::UnknownSubcommand(container) => {
                return Err(unknown_subcommand(container, request.argument(1)));
            }
        };
        if !spec.accepts(request.len()) {
            return Err(wrong_number_of_arguments(spec));
        }
        if !self.authenticated && !spec.runs_unauthenticated() {
            return Err(b"NOAUTH Authentication required.".to_vec());
        }
        if self.member.protocol.get() == Protocol::Resp2
            && self.is_subscribed()
            && !spec.runs_while_subscribed()
        {
            return Err(not_while_subscribed(spec));
        }
        Ok(spec.command)
    }

    /// Runs a command whose answer is one value.
    fn answer(&mut self, command: Command, request: Request<'_>) -> Answer {
        match command {
            Command::Auth => self.auth(request),
            Command::ClientGetName => Ok(self.client_getname()),
            Command::ClientId => Ok(Reply::Integer(self.member.id().cast_signed())),
            Command::ClientSetInfo => self.client_setinfo(request),
            Command::ClientSetName => self.client_setname(request.argument(2)),
            Command::ConfigGet => Ok(config::get(&self.host.config, request.arguments_from(2))),
            Command::Echo => Ok(Reply::bulk(request.argument(1))),
            Command::Hello => self.hello(request),
            Command::Info => Ok(info::info(&self.host, request.arguments_from(1))),
            Command::Ping => self.ping(request),
            Command::PubSubChannels => self.pubsub_channels(request),
            Command::PubSubNumPat => Ok(Reply::integer(self.host.broker.pattern_count())),
            Command::PubSubNumSub => Ok(self.pubsub_numsub(request)),
            Command::Select => Self::select(request.argument(1)),
            Command::Table => Ok(table::all()),
            Command::TableCount => Ok(table::count()),
            Command::TableDocs => Ok(table::docs(request.arguments_from(2))),
            Command::TableInfo => Ok(table::info(request.arguments_from(2))),
            Command::TableList => Ok(table::list()),
            Command::Publish
            | Command::Subscribe
            | Command::Unsubscribe
            | Command::PSubscribe
            | Command::PUnsubscribe
            | Command::Quit
            | Command::Container => {
                unreachable!("these answer by themselves, or have an arity that needs a subcommand")
            }
        }
    }

    /// Queues a reply.
    fn reply(&self, audience: &mut Audience, reply: &Reply) {
        let mut bytes = BytesMut::new();
        reply.encode(self.member.protocol.get(), &mut bytes);
        audience
            .mail()
            .reply(&self.member, self.output_limit(), |out| out.extend_from_slice(&bytes));
    }
}

/// Redis shows 128 bytes of the name, and arguments until 128 bytes are shown in all.
const SHOWN_BYTES_MAX: usize = 128;

fn unknown_command(request: Request<'_>) -> CommandError {
    let mut arguments = Vec::new();
    for argument in request.arguments_from(1) {
        if arguments.len() >= SHOWN_BYTES_MAX {
            break;
        }
        let room = SHOWN_BYTES_MAX - arguments.len();
        arguments.push(b'\'');
        arguments.extend_from_slice(shown(argument, room));
        arguments.extend_from_slice(b"' ");
    }
    let name = shown(request.argument(0), SHOWN_BYTES_MAX);
    [b"ERR unknown command '", name, b"', with args beginning with: ", &arguments].concat()
}

/// Returns what a message shows of `text`: its beginning, up to a NUL.
fn shown(text: &[u8], bytes_max: usize) -> &[u8] {
    let text = &text[..text.len().min(bytes_max)];
    memchr::memchr(0, text).map_or(text, |end| &text[..end])
}

fn unknown_subcommand(container: &Spec, subcommand: &[u8]) -> CommandError {
    let subcommand = shown(subcommand, SHOWN_BYTES_MAX);
    let container = container.name.to_ascii_uppercase();
    [b"ERR unknown subcommand '", subcommand, b"'. Try ", container.as_bytes(), b" HELP."].concat()
}

fn wrong_number_of_arguments(spec: &Spec) -> CommandError {
    format!("ERR wrong number of arguments for '{}' command", spec.name).into_bytes()
}

fn not_while_subscribed(spec: &Spec) -> CommandError {
    format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
        spec.name
    )
    .into_bytes()
}
