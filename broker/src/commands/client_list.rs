//! `CLIENT LIST`, `CLIENT INFO` and `CLIENT KILL`.

use super::spec::Outcome;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{self, Poll, ready};
use std::time::Instant;

use super::Answer;
use super::errors::{CommandError, SYNTAX_ERROR, shown};
use crate::address::Address;
use crate::observe::disconnect::Disconnect;
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::pubsub::reply_blocks::BUFFER_BYTES;
use crate::session::client_info::{ClientInfo, Flag, READ_BYTES_MAX};
use crate::session::context::Context;
use crate::session::effect::Effect;
use crate::session::{AfterEnds, Session};

/// A kind of clients, for the option `TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    PubSub,
    Replica,
    /// The client that carries out the stream of the server's master.
    Master,
}

/// The clients that `CLIENT KILL` closes: those that match every field.
#[derive(Debug, Default)]
struct Filter {
    id: Option<u64>,
    address: Option<Vec<u8>>,
    local_address: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
    kind: Option<Kind>,
    spares_self: bool,
}

impl Session {
    /// `CLIENT INFO`
    pub(crate) fn client_info(&self, request: Request<'_>) -> Reply {
        let mut text = Vec::new();
        describe(&self.info, Instant::now(), Some(request), &mut text);
        Reply::Verbatim(text)
    }

    /// `CLIENT LIST [TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID client-id [client-id ...]]`
    pub(crate) fn client_list(&self, request: Request<'_>) -> Answer {
        let option = (request.len() > 3).then(|| request.argument(2).to_ascii_lowercase());
        let clients = match option.as_deref() {
            None if request.len() == 2 => self.server.clients.all(),
            Some(b"type") if request.len() == 4 => {
                let kind = Kind::parse(request.argument(3))?;
                self.server
                    .clients
                    .all()
                    .into_iter()
                    .filter(|info| Kind::of(info) == kind)
                    .collect()
            }
            Some(b"id") => self.clients_by_id(request)?,
            _ => return Err(SYNTAX_ERROR.to_vec()),
        };
        let mut text = Vec::new();
        let now = Instant::now();
        for info in &clients {
            // The buffer of this client still holds the current request.
            let answering = (info.id == self.info.id).then_some(request);
            describe(info, now, answering, &mut text);
        }
        Ok(Reply::Verbatim(text))
    }

    fn clients_by_id(&self, request: Request<'_>) -> Result<Vec<Arc<ClientInfo>>, CommandError> {
        let mut clients = Vec::new();
        for id in request.arguments_from(3) {
            let id = request::integer(id).ok_or(b"ERR Invalid client ID")?;
            clients.extend(u64::try_from(id).ok().and_then(|id| self.server.clients.get(id)));
        }
        Ok(clients)
    }

    /// `CLIENT KILL ip:port | [ID id] [TYPE type] [USER name] [ADDR addr] [LADDR addr] [SKIPME yes|no]`
    pub(crate) fn client_kill(&mut self, request: Request<'_>, context: &mut Context) -> Outcome {
        let is_old_form = request.len() == 3;
        let filter = match is_old_form {
            true => Ok(Filter { address: Some(request.argument(2).to_vec()), ..Filter::default() }),
            false => self.parse_filter(request),
        };
        let filter = match filter {
            Ok(filter) => filter,
            Err(error) => return Err(error).into(),
        };
        let clients = self.server.clients.all();
        let mut ids: Vec<u64> = clients
            .iter()
            .filter(|info| filter.means(info, self.info.id))
            .map(|info| info.id)
            .collect();
        let reply = match (is_old_form, ids.len()) {
            (true, 0) => return Err(b"ERR No such client".to_vec()).into(),
            (true, _) => Reply::ok(),
            (false, count) => Reply::integer(count),
        };
        // A client that kills itself receives its reply first.
        let own = ids.iter().position(|&id| id == self.info.id);
        if let Some(own) = own {
            ids.swap_remove(own);
            self.reply(context, &reply);
            context.flush_queue().disconnect(&self.output, Disconnect::Killed);
        }
        context.effects.push(Effect::Close(ids.clone()));
        if own.is_some() {
            return Outcome::Replied;
        }
        self.after_ends = Some(Box::new(AfterEnds { clients: ids, users: 0, reply }));
        Outcome::WaitForEnds
    }

    /// Returns ready once all clients are gone that [`Outcome::WaitForEnds`] waits for.
    pub(crate) fn poll_ends(&self, cx: &task::Context<'_>) -> Poll<()> {
        let Some(after) = &self.after_ends else { return Poll::Ready(()) };
        ready!(self.server.checks.poll_done(after.users, cx));
        self.server.clients.poll_gone(&after.clients, cx)
    }

    /// Ends [`Flow::WaitForEnds`](super::execute::Flow::WaitForEnds).
    pub(crate) fn reply_after_ends(&mut self, context: &mut Context) {
        if let Some(after) = self.after_ends.take() {
            self.reply(context, &after.reply);
        }
    }

    fn parse_filter(&self, request: Request<'_>) -> Result<Filter, CommandError> {
        let mut filter = Filter { spares_self: true, ..Filter::default() };
        let options: Vec<&[u8]> = request.arguments_from(2).collect();
        if !options.len().is_multiple_of(2) {
            return Err(SYNTAX_ERROR.to_vec());
        }
        for pair in options.chunks_exact(2) {
            let (option, value) = (pair[0].to_ascii_lowercase(), pair[1]);
            match &*option {
                b"id" => filter.id = Some(client_id(value)?),
                b"type" => filter.kind = Some(Kind::parse(value)?),
                b"addr" => filter.address = Some(value.to_vec()),
                b"laddr" => filter.local_address = Some(value.to_vec()),
                b"user" => filter.user = Some(self.known_user(value)?),
                b"skipme" => filter.spares_self = yes_or_no(value)?,
                _ => return Err(SYNTAX_ERROR.to_vec()),
            }
        }
        Ok(filter)
    }

    fn known_user(&self, name: &[u8]) -> Result<Vec<u8>, CommandError> {
        match self.server.users.get(name) {
            Some(_) => Ok(name.to_vec()),
            None => Err([b"ERR No such user '", shown(name, usize::MAX), b"'"].concat()),
        }
    }
}

impl Filter {
    fn means(&self, info: &ClientInfo, own: u64) -> bool {
        let is_address = |wanted: &Option<Vec<u8>>, address: &Address| {
            wanted.as_ref().is_none_or(|wanted| *wanted == address.to_string().into_bytes())
        };
        self.id.is_none_or(|id| id == info.id)
            && is_address(&self.address, &info.peer)
            && is_address(&self.local_address, &info.local)
            && self.user.as_ref().is_none_or(|user| *user == info.names.lock().user)
            && self.kind.is_none_or(|kind| kind == Kind::of(info))
            && !(self.spares_self && info.id == own)
    }
}

impl Kind {
    fn of(info: &ClientInfo) -> Self {
        match () {
            () if info.is(Flag::Master) => Self::Master,
            () if info.is(Flag::Replica) => Self::Replica,
            () if info.is_subscribed() => Self::PubSub,
            () => Self::Normal,
        }
    }

    fn parse(text: &[u8]) -> Result<Self, CommandError> {
        match &*text.to_ascii_lowercase() {
            b"normal" => Ok(Self::Normal),
            b"pubsub" => Ok(Self::PubSub),
            b"master" => Ok(Self::Master),
            b"slave" | b"replica" => Ok(Self::Replica),
            _ => Err([b"ERR Unknown client type '", shown(text, usize::MAX), b"'"].concat()),
        }
    }
}

fn client_id(value: &[u8]) -> Result<u64, CommandError> {
    match request::integer(value).map(u64::try_from) {
        Some(Ok(id)) if id > 0 => Ok(id),
        _ => Err(b"ERR client-id should be greater than 0".to_vec()),
    }
}

fn yes_or_no(value: &[u8]) -> Result<bool, CommandError> {
    match &*value.to_ascii_lowercase() {
        b"yes" => Ok(true),
        b"no" => Ok(false),
        _ => Err(SYNTAX_ERROR.to_vec()),
    }
}

/// Writes the line of one client, with the fields of Redis 7.2, three of Redis 8, and four of our
/// own. `answering` is
/// the request that the client waits for.
///
/// The buffers are ours, so a client has them only while it needs them: `qbuf-free` is the room
/// behind kept input, and `rbs` the memory of unread replies. The limits count blocks as Redis does,
/// so `obl`, `oll` and `omem` are those of Redis.
pub(crate) fn describe(
    info: &ClientInfo,
    now: Instant,
    answering: Option<Request<'_>>,
    text: &mut Vec<u8>,
) {
    let counts = &info.counts;
    let memory = info.bytes();
    let names = info.names.lock();
    let command = info.last_command().map(|id| super::lookup::spec(id).name);
    let get = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    let mut unparsed = get(&counts.unparsed_bytes);
    let mut room = get(&counts.unparsed_room);
    let mut arguments = get(&counts.argument_bytes);
    let mut lent = 0;
    if let Some(request) = answering {
        // The worker has lent its buffer to this client, which holds the request.
        let own = request.wire_bytes();
        lent = READ_BYTES_MAX.max(own);
        unparsed += own;
        room += lent - own;
        arguments += request.arguments_from(0).map(<[u8]>::len).sum::<usize>();
    }
    let output = get(&counts.output_bytes);
    let mut line = Line(text);
    line.number("id=", info.id);
    line.address(" addr=", &info.peer);
    line.address(" laddr=", &info.local);
    line.number(" fd=", info.descriptor);
    line.name(" name=", &names.name);
    line.number(" age=", now.saturating_duration_since(info.connected).as_secs());
    line.number(" idle=", info.idle(now).as_secs());
    line.text(" flags=", "");
    line.flags(info);
    line.number(" db=", counts.database.load(Ordering::Relaxed));
    line.number(" sub=", counts.channels.load(Ordering::Relaxed));
    line.number(" psub=", counts.patterns.load(Ordering::Relaxed));
    line.number(" ssub=", counts.shards.load(Ordering::Relaxed));
    line.number(" multi=", counts.queued.load(Ordering::Relaxed));
    line.number(" qbuf=", unparsed);
    line.number(" qbuf-free=", room);
    line.number(" argv-mem=", arguments);
    line.number(" multi-mem=", get(&counts.queued_bytes));
    line.number(" rbs=", get(&counts.reply_buffer));
    line.number(" rbp=", get(&counts.output_peak).min(BUFFER_BYTES));
    line.number(" obl=", output.saturating_sub(get(&counts.block_unwritten)));
    line.number(" oll=", get(&counts.reply_blocks));
    line.number(" omem=", get(&counts.block_bytes));
    line.number(" tot-mem=", memory + lent);
    line.text(" events=", if output > 0 { "rw" } else { "r" });
    line.text(" cmd=", command.unwrap_or("NULL"));
    line.name(" user=", &names.user);
    line.number(" redir=", counts.redirect.load(Ordering::Relaxed));
    line.number(" resp=", counts.protocol.load(Ordering::Relaxed));
    line.name(" lib-name=", &names.library_name);
    line.name(" lib-ver=", &names.library_version);
    line.number(" tot-net-in=", counts.bytes_read.get());
    line.number(" tot-net-out=", counts.bytes_written.get());
    line.number(" tot-cmds=", counts.commands.get());
    line.number(" tot-msgs-in=", counts.messages_in.get());
    line.number(" tot-msgs-out=", counts.messages_out.load(Ordering::Relaxed));
    line.number(" omem-peak=", get(&counts.block_peak));
    line.number(" lag=", info.lag(now).as_millis());
    line.text("\n", "");
}

/// Appends fields to a text. `write!` would need three times as long, which a list of many clients
/// shows.
struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    fn text(&mut self, field: &str, value: &str) {
        self.0.extend_from_slice(field.as_bytes());
        self.0.extend_from_slice(value.as_bytes());
    }

    fn number(&mut self, field: &str, value: impl itoa::Integer) {
        self.text(field, itoa::Buffer::new().format(value));
    }

    fn name(&mut self, field: &str, value: &[u8]) {
        self.text(field, "");
        self.0.extend_from_slice(value);
    }

    fn address(&mut self, field: &str, value: &Address) {
        let Address::Tcp(SocketAddr::V4(address)) = value else {
            self.text(field, "");
            let _ = write!(self.0, "{value}");
            return;
        };
        let mut before = field;
        for octet in address.ip().octets() {
            self.number(before, octet);
            before = ".";
        }
        self.number(":", address.port());
    }

    /// Appends Redis' letters for the state of a client.
    fn flags(&mut self, info: &ClientInfo) {
        let is = |mark| info.is(mark);
        let before = self.0.len();
        for (letter, holds) in [
            (b'O', is(Flag::Monitor)),
            (b'S', is(Flag::Replica)),
            (b'M', is(Flag::Master)),
            (b'P', info.is_subscribed()),
            (b'x', is(Flag::InTransaction)),
            (b'b', info.is_blocked()),
            (b't', is(Flag::Tracking)),
            (b'R', is(Flag::BrokenRedirect)),
            (b'B', is(Flag::Broadcast)),
            (b'd', info.has_watched_change()),
            (b'U', matches!(info.peer, Address::Unix(_))),
            (b'e', is(Flag::NoEvict)),
            (b'T', is(Flag::NoTouch)),
        ] {
            if holds {
                self.0.push(letter);
            }
        }
        if self.0.len() == before {
            self.0.push(b'N');
        }
    }
}
