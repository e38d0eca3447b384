//! `CLIENT LIST`, `CLIENT INFO` and `CLIENT KILL`.

use super::spec::Outcome;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Answer;
use super::errors::{CommandError, SYNTAX_ERROR, shown};
use crate::address::Address;
use crate::config::OutputLimit;
use crate::observe::disconnect::Disconnect;
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::session::Session;
use crate::session::client_info::{ClientInfo, Flag};
use crate::session::context::Context;
use crate::session::effect::Effect;

/// A kind of clients, for the option `TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    PubSub,
    /// Masters and replicas, of which there are none.
    Replication,
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
        let mut text = String::new();
        describe(&self.info, Instant::now(), request.wire_bytes(), &mut text);
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
        let mut text = String::new();
        let now = Instant::now();
        for info in &clients {
            // The buffer of this client still holds the current request.
            let answering = if info.id == self.info.id { request.wire_bytes() } else { 0 };
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
        match (is_old_form, ids.len()) {
            (true, 0) => return Err(b"ERR No such client".to_vec()).into(),
            (true, _) => self.reply(context, &Reply::ok()),
            (false, count) => self.reply(context, &Reply::integer(count)),
        }
        // A client that kills itself receives its reply first.
        if let Some(own) = ids.iter().position(|&id| id == self.info.id) {
            ids.swap_remove(own);
            context.flush_queue().disconnect(&self.output, Disconnect::Killed);
        }
        context.effects.push(Effect::Close(ids));
        Outcome::Replied
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
        if info.is_subscribed() { Self::PubSub } else { Self::Normal }
    }

    fn parse(text: &[u8]) -> Result<Self, CommandError> {
        match &*text.to_ascii_lowercase() {
            b"normal" => Ok(Self::Normal),
            b"pubsub" => Ok(Self::PubSub),
            b"master" | b"slave" | b"replica" => Ok(Self::Replication),
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

/// Writes the line of one client, with the fields of Redis 7.2. `answering` is the size of the
/// client's current request, as a part of `qbuf`.
pub(crate) fn describe(info: &ClientInfo, now: Instant, answering: usize, text: &mut String) {
    let counts = &info.counts;
    let memory = info.bytes();
    let names = info.names.lock();
    let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let command = info.last_command().map(|id| super::lookup::spec(id).name);
    let input = counts.input_bytes.load(Ordering::Relaxed) + answering;
    let output = counts.output_bytes.load(Ordering::Relaxed);
    // Redis keeps the first replies in a buffer and the rest in a list. Its limits count the list.
    let beyond_first = output.saturating_sub(OutputLimit::FREE_BYTES);
    let _ = writeln!(
        text,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} \
         multi={} qbuf={input} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={} oll={} \
         omem={} tot-mem={} events={} cmd={} user={} redir={} resp={} lib-name={} lib-ver={}",
        info.id,
        info.peer,
        info.local,
        info.descriptor,
        read(&names.name),
        now.saturating_duration_since(info.connected).as_secs(),
        info.idle(now).as_secs(),
        flags(info),
        counts.database.load(Ordering::Relaxed),
        counts.channels.load(Ordering::Relaxed),
        counts.patterns.load(Ordering::Relaxed),
        counts.shards.load(Ordering::Relaxed),
        counts.queued.load(Ordering::Relaxed),
        output - beyond_first,
        usize::from(beyond_first > 0),
        beyond_first,
        memory,
        if output > 0 { "rw" } else { "r" },
        command.unwrap_or("NULL"),
        read(&names.user),
        counts.redirect.load(Ordering::Relaxed),
        counts.protocol.load(Ordering::Relaxed),
        read(&names.library_name),
        read(&names.library_version),
    );
}

/// Returns Redis' letters for the state of a client.
fn flags(info: &ClientInfo) -> String {
    let mut flags = String::new();
    let is = |mark| info.is(mark);
    for (letter, holds) in [
        ('O', is(Flag::Monitor)),
        ('P', info.is_subscribed()),
        ('x', is(Flag::InTransaction)),
        ('b', info.is_blocked()),
        ('t', is(Flag::Tracking)),
        ('B', is(Flag::Broadcast)),
        ('U', matches!(info.peer, Address::Unix(_))),
        ('e', is(Flag::NoEvict)),
        ('T', is(Flag::NoTouch)),
    ] {
        if holds {
            flags.push(letter);
        }
    }
    if flags.is_empty() { "N".to_owned() } else { flags }
}
