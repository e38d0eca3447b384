//! The connection of one client: messages of the backplane on one side, transports on the other.
//!
//! A connection outlives its transports. Between two of them it stays attached, so it follows
//! changes of its groups, and keeps messages up to a limit. A client that returns names the last
//! frame that it has received. If that is not the last one sent, the connection is attached again
//! at the client's place, and the backplane replays the rest.
//!
//! One task owns it all. It waits for nothing else than its next event, except at its end.

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use backplane::{Cursor, Received};
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::{
    select,
    sync::{mpsc, oneshot},
    time::{self, Instant},
};
use tracing::{debug, warn};

use super::{
    attachment::attach,
    outbox::{Item, Outbox},
    place::{Answer, Command, HandedOver, Opening, Place, Recipient, Resume},
    service::{Service, Users},
    times,
    transport::{self, Transport},
};
use crate::{
    disconnect::Disconnect,
    metrics::ActiveConnection,
    protocol::classic::{self, Frame},
};

/// Runs the connection of a place until it ends.
pub(super) async fn run(
    place: Arc<Place>,
    users: Users,
    cursor: Option<Cursor>,
    attached: Option<backplane::Connection>,
    commands: mpsc::Receiver<Command>,
) {
    // In every case, so that the client can get a new place.
    let leaving = Leaving(&place);
    let Some(attached) = attached else { return };
    // A shutdown of a hub waits for its connections.
    let tokens: Vec<_> = place.service.hubs().iter().map(|hub| hub.sessions().token()).collect();
    let mut connection = Connection::new(&place, users, cursor, attached, commands);
    let reason = connection.serve().await;
    debug!(%reason, "client disconnected");
    connection.active.iter_mut().for_each(|active| active.status = reason.status());
    connection.finish(&reason).await;
    if let Some(to) = connection.hand_over.take() {
        let (groups, cursor) = (connection.attached.groups(), connection.sent);
        let users = connection.users.clone();
        // The next server takes the client only after this one has let it go.
        drop(connection);
        drop(leaving);
        let _ = to.send(HandedOver { groups, cursor, users });
        return;
    }
    // Still attached, so that the hooks can change groups.
    place.end().await;
    drop(connection);
    drop(leaving);
    drop(tokens);
}

/// Leaves a place when it is dropped.
struct Leaving<'a>(&'a Place);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

struct Connection<'a> {
    place: &'a Place,
    service: &'a Service,
    users: Users,
    attached: backplane::Connection,
    commands: mpsc::Receiver<Command>,
    transport: Option<Transport>,
    outbox: Outbox,
    /// Whether messages were dropped since the last frame. The client gets them by its cursor.
    is_behind: bool,
    /// The cursor of the last frame.
    sent: Cursor,
    owes_init: bool,
    owes_groups: bool,
    /// The token of the groups that the client has, as far as this server knows.
    groups_token: Option<String>,
    /// Answers that wait for messages of their methods, in order.
    held: VecDeque<Held>,
    /// Answers after messages up to this place are due.
    reached: Option<Cursor>,
    is_closing: bool,
    /// Set if another server goes on with the client.
    hand_over: Option<oneshot::Sender<HandedOver>>,
    /// One for each hub, since the first transport.
    active: Vec<ActiveConnection>,
    times: Times,
}

struct Held {
    item: Item,
    after: Option<Cursor>,
    returned: Instant,
}

#[derive(Clone, Copy)]
struct Times {
    created: Instant,
    /// The last opening or end of a transport.
    changed: Instant,
    /// The last text to the transport.
    written: Instant,
    /// Since when the transport has not taken the next frame.
    stalled: Option<Instant>,
}

impl<'a> Connection<'a> {
    fn new(
        place: &'a Place,
        users: Users,
        cursor: Option<Cursor>,
        attached: backplane::Connection,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let now = Instant::now();
        let groups = attached.groups();
        let groups_token = place.service.tokens.groups(&place.id, &groups);
        Self {
            place,
            service: &place.service,
            users,
            sent: cursor.unwrap_or_else(|| attached.cursor()),
            attached,
            commands,
            transport: None,
            outbox: Outbox::default(),
            is_behind: false,
            owes_init: false,
            owes_groups: false,
            groups_token: (!groups.is_empty()).then_some(groups_token),
            held: VecDeque::new(),
            reached: None,
            is_closing: false,
            hand_over: None,
            active: Vec::new(),
            times: Times { created: now, changed: now, written: now, stalled: None },
        }
    }

    /// Serves the client until its connection ends, and returns the reason.
    async fn serve(&mut self) -> Disconnect {
        let (place, service) = (self.place, self.service);
        let mut stopping = Box::pin(service.turn_to_end());
        loop {
            if let Some(reason) = self.settle() {
                return reason;
            }
            let has_news = self.has_news();
            self.note_waiting();
            if has_news && self.times.stalled.is_none() {
                self.times.stalled = Some(Instant::now());
            }
            let frames = self.transport.as_ref().map(|transport| transport.frames.clone());
            let deadline = self.deadline();
            // A client that calls and does not read has to wait with its next call.
            let takes_commands = self.held.len() + self.outbox.others() < ANSWERS_MAX;
            let takes_messages = frames.is_none() || self.outbox.has_room();
            select! {
                biased;
                reason = place.close_handle.closing(), if !self.is_closing => match reason {
                    Disconnect::Client => return reason,
                    other => self.close(other).await,
                },
                () = &mut stopping => return Disconnect::Shutdown,
                Some(command) = self.commands.recv(), if takes_commands => match command {
                    Command::HandOver(to) => {
                        self.hand_over = Some(to);
                        return Disconnect::Moved;
                    }
                    Command::Open(opening) => self.open(opening),
                    Command::Answer(answer) => self.take_answer(answer),
                },
                permit = transport::room(frames.as_ref()), if has_news => match permit {
                    Some(permit) => {
                        self.note_waiting();
                        let text = self.next_frame();
                        let bytes = text.len();
                        permit.send(text);
                        self.written(bytes);
                    }
                    None => self.park(),
                },
                () = transport::closed(frames.as_ref()) => self.park(),
                received = self.attached.recv_or_gap(), if takes_messages => {
                    let taken = match received {
                        Ok(received) => self.take(received),
                        Err(end) => Err(Disconnect::of(end, &self.attached)),
                    };
                    if let Err(reason) = taken {
                        return reason;
                    }
                }
                () = time::sleep_until(deadline) => {
                    if let Some(reason) = self.expire() {
                        return reason;
                    }
                }
            }
        }
    }

    /// Records the size of the messages that wait for the client, if some do.
    fn note_waiting(&self) {
        let in_transport = match &self.transport {
            Some(transport) => transport.waiting_bytes(),
            None => Some(0),
        };
        let Some(in_transport) = in_transport else { return };
        let bytes = in_transport + self.outbox.bytes() + self.attached.unread_bytes();
        for &hub in &self.place.hubs {
            self.service.hubs()[hub].metrics().waiting(bytes);
        }
    }

    /// Handles items that need no transport. Returns the reason if the connection is to end.
    fn settle(&mut self) -> Option<Disconnect> {
        let reached = self.reached;
        while let Some(held) = self.held.pop_front_if(|held| held.after <= reached) {
            match held.item {
                Item::Progress(entry) => self.queue(entry),
                item => self.outbox.push(item),
            }
        }
        let is_parked = self.transport.is_none();
        if is_parked {
            // Messages stay for the next transport. A request need not wait for it, and a result
            // for a lost WebSocket has no receiver.
            self.outbox.release_requests();
        }
        loop {
            match self.outbox.front() {
                Some(Item::Request(_)) => {
                    if let Some(Item::Request(request)) = self.outbox.take_other() {
                        // The request may have been dropped.
                        let _ = request.send(());
                    }
                }
                // A client between two polls learns of the end by the next one.
                Some(Item::End(_)) if !is_parked || !self.place.is_started() => {
                    let Some(Item::End(reason)) = self.outbox.take_other() else { return None };
                    return Some(reason);
                }
                _ => return None,
            }
        }
    }

    /// Returns whether there is something to write.
    fn has_news(&self) -> bool {
        let has_item = matches!(self.outbox.front(), Some(Item::Message(..) | Item::Result(_)));
        self.transport.is_some() && (has_item || self.owes_init || self.owes_groups)
    }

    fn take_answer(&mut self, Answer { to, after }: Answer) {
        let item = match to {
            Recipient::WebSocket(result) => Item::Result(result),
            Recipient::Request(request) => Item::Request(request),
            Recipient::Progress(entry) => Item::Progress(entry),
        };
        self.hold(item, after);
    }

    /// Holds an item until the connection has received the messages before it.
    fn hold(&mut self, item: Item, after: Option<Cursor>) {
        if let Some(place) = after.filter(|_| after > self.reached) {
            self.attached.mark_after(place);
        }
        self.held.push_back(Held { item, after, returned: Instant::now() });
    }

    /// Ends the connection after the running method and its messages.
    async fn close(&mut self, reason: Disconnect) {
        self.is_closing = true;
        // A later call has no effect on the end.
        self.place.last_call().await;
        self.hold(Item::End(reason), self.place.last_sent());
    }

    fn open(&mut self, Opening { transport, resume }: Opening) {
        self.end_transport(false);
        match resume {
            None => {
                (self.owes_init, self.is_behind) = (true, false);
                self.owes_groups = self.groups_token.is_some();
            }
            Some(resume) => self.resume(resume),
        }
        if let Some(preamble) = transport.form.preamble() {
            // The queue of a new transport is empty.
            let _ = transport.frames.try_send(preamble);
        }
        let now = Instant::now();
        self.times = Times { changed: now, written: now, stalled: None, ..self.times };
        if self.active.is_empty() {
            let name = transport.form.metric_name();
            let hubs = self.place.hubs.iter().map(|&hub| self.service.hubs()[hub].metrics());
            self.active = hubs.map(|metrics| metrics.connected(name, "classic")).collect();
        }
        self.transport = Some(transport);
    }

    /// Goes on behind the last frame that the client has received.
    fn resume(&mut self, Resume { cursor, groups_token }: Resume) {
        self.owes_init = false;
        let is_elsewhere = cursor.is_some_and(|cursor| cursor != self.sent);
        if self.is_behind || is_elsewhere {
            self.attach_at(cursor.unwrap_or(self.sent));
        }
        // A client that has come from another server may have none, since that one still owed it.
        let has_come = self.place.has_come();
        let is_known = groups_token == self.groups_token || (groups_token.is_none() && !has_come);
        self.owes_groups |= !is_known && self.groups_token.is_some();
    }

    fn attach_at(&mut self, cursor: Cursor) {
        let groups = self.attached.groups();
        let Some(attached) = attach(self.place, &self.users, &groups, Some(cursor)) else { return };
        self.attached = attached;
        self.outbox.drop_messages();
        (self.is_behind, self.sent) = (false, cursor);
        for after in self.held.iter().filter_map(|held| held.after) {
            self.attached.mark_after(after);
        }
    }

    /// Takes a message of the backplane.
    fn take(&mut self, received: Received) -> Result<(), Disconnect> {
        match received {
            Received::Invocation(invocation) => self.queue(invocation.signalr2()),
            Received::Gap(gap) => {
                for &hub in &self.place.hubs {
                    let hub = &self.service.hubs()[hub];
                    hub.metrics().gap("report");
                    self.queue(classic::missed(hub.name(), gap));
                }
            }
            Received::Mark(place) => self.reached = self.reached.max(Some(place)),
            Received::Groups => return self.take_groups(),
            _ => {}
        }
        Ok(())
    }

    fn queue(&mut self, entry: Bytes) {
        if self.is_behind {
            return;
        }
        if self.transport.is_none() && !self.outbox.has_room() {
            self.outbox.drop_messages();
            self.is_behind = true;
            return;
        }
        self.outbox.push(Item::Message(entry, self.attached.cursor()));
    }

    fn take_groups(&mut self) -> Result<(), Disconnect> {
        let groups = self.attached.groups();
        let bytes: usize = groups.iter().map(String::len).sum();
        if groups.len() > GROUPS_MAX || bytes > GROUPS_BYTES_MAX {
            warn!(groups = groups.len(), bytes, "closed a connection with too many groups");
            return Err(Disconnect::Aborted);
        }
        let token = self.service.tokens.groups(&self.place.id, &groups);
        if self.groups_token.as_ref() != Some(&token) {
            (self.groups_token, self.owes_groups) = (Some(token), true);
        }
        Ok(())
    }

    /// Returns the next text for the transport, with further messages that are ready.
    fn next_frame(&mut self) -> Bytes {
        if let Some(Item::Result(_)) = self.outbox.front()
            && !self.owes_init
        {
            let Some(Item::Result(result)) = self.outbox.take_other() else {
                unreachable!("the front is a result")
            };
            return self.formed(result);
        }
        let is_poll = self.transport.as_ref().is_some_and(Transport::is_poll);
        let entries_max = if is_poll { POLL_ENTRIES_MAX } else { ENTRIES_MAX };
        self.gather(entries_max);
        let (entries, after) = self.outbox.take_messages(entries_max);
        let after = match after {
            Some(after) if self.outbox.has_messages() => after,
            _ if self.outbox.has_messages() => self.sent,
            _ => self.attached.cursor(),
        };
        self.frame(after, false, &entries)
    }

    /// Moves messages that are ready to the outbox.
    fn gather(&mut self, entries_max: usize) {
        for _ in 0..entries_max {
            if !self.outbox.has_room() {
                return;
            }
            // An end comes again with the next call.
            let Some(Ok(received)) = self.attached.recv_or_gap().now_or_never() else { return };
            if let Err(reason) = self.take(received) {
                self.place.close_handle.close(reason);
            }
            if !self.held.is_empty() {
                // A mark may have come: its result is next.
                return;
            }
        }
    }

    /// Writes a frame with everything that the client is owed.
    fn frame(&mut self, cursor: Cursor, is_reconnect: bool, entries: &[Bytes]) -> Bytes {
        let is_init = mem::take(&mut self.owes_init);
        let owes_groups = mem::take(&mut self.owes_groups);
        let groups = self.groups_token.as_deref().filter(|_| owes_groups);
        let delay = self.transport.as_ref().filter(|transport| transport.is_poll());
        let delay = delay.and_then(|_| self.service.settings.poll_delay());
        let frame = Frame { cursor, is_init, is_reconnect, groups, delay, entries };
        self.sent = cursor;
        let json = frame.write();
        self.formed(json)
    }

    fn formed(&self, json: Bytes) -> Bytes {
        match &self.transport {
            Some(transport) => transport.form.frame(json),
            None => json,
        }
    }

    /// Records that a text is on its way.
    fn written(&mut self, bytes: usize) {
        if let Some(transport) = &mut self.transport {
            transport.queued(bytes);
        }
        (self.times.written, self.times.stalled) = (Instant::now(), None);
        if self.transport.as_ref().is_some_and(Transport::is_poll) {
            self.park();
        }
    }

    /// Ends the transport of this side. A poll gets its reply, as SignalR 2 sends it.
    fn end_transport(&mut self, is_reconnect: bool) {
        if let Some(transport) = &self.transport
            && transport.is_poll()
            && let Ok(permit) = transport.frames.clone().try_reserve_owned()
        {
            let text = self.frame(self.sent, is_reconnect, &[]);
            permit.send(text);
        }
        self.park();
    }

    fn park(&mut self) {
        self.transport = None;
        (self.times.changed, self.times.stalled) = (Instant::now(), None);
    }

    /// Returns the time of the next action without another event.
    fn deadline(&self) -> Instant {
        let Times { created, changed, written, stalled } = self.times;
        let mut deadline = match &self.transport {
            None => changed + self.absence_max(),
            Some(transport) => {
                let poll = transport.is_poll().then_some(changed + times::POLL);
                let next = written + times::KEEP_ALIVE;
                let stalled = stalled.map(|since| since + self.write_timeout());
                [poll, stalled].into_iter().flatten().fold(next, Instant::min)
            }
        };
        if !self.place.is_started() {
            deadline = deadline.min(created + times::DISCONNECT);
        }
        if let Some(held) = self.held.front() {
            deadline = deadline.min(held.returned + self.write_timeout());
        }
        deadline
    }

    /// Does what is due. Returns the reason if the connection is to end.
    fn expire(&mut self) -> Option<Disconnect> {
        let now = Instant::now();
        let write_timeout = self.write_timeout();
        let Times { created, changed, written, stalled } = self.times;
        if let Some(held) = self.held.front()
            && now >= held.returned + write_timeout
        {
            debug!("a message of a method did not return in time");
            self.reached = self.reached.max(held.after);
        }
        if !self.place.is_started() && now >= created + times::DISCONNECT {
            return Some(Disconnect::ClientTimeout);
        }
        let Some(transport) = &self.transport else {
            return (now >= changed + self.absence_max()).then_some(Disconnect::ClientTimeout);
        };
        if stalled.is_some_and(|since| now >= since + write_timeout) {
            debug!("the client does not read");
            self.park();
        } else if transport.is_poll() && now >= changed + times::POLL {
            self.sent = self.attached.cursor();
            self.end_transport(false);
        } else if now >= written + times::KEEP_ALIVE {
            let keep_alive = transport.form.keep_alive();
            // A full queue needs none.
            let _ = transport.frames.try_send(keep_alive);
            self.times.written = now;
        }
        None
    }

    /// Returns the maximum time without a transport.
    fn absence_max(&self) -> Duration {
        match self.place.is_started() {
            true => times::DISCONNECT + self.service.settings.long_poll_delay,
            false => times::UNSTARTED,
        }
    }

    fn write_timeout(&self) -> Duration {
        let timeouts = self.service.hubs().iter().map(|hub| hub.options().write_timeout);
        timeouts.max().unwrap_or_default()
    }

    /// Sends the last frame and closes the transport.
    async fn finish(&mut self, reason: &Disconnect) {
        self.commands.close();
        while self.commands.try_recv().is_ok() {}
        match reason {
            // Without this frame, the client would reconnect.
            Disconnect::Aborted | Disconnect::AbortedWith(_) | Disconnect::Refused(_) => {
                if let Some(transport) = &self.transport {
                    let text = match reason {
                        Disconnect::AbortedWith(reason) => reason,
                        _ => STOPPED,
                    };
                    let text = transport.form.frame(classic::stop(text));
                    let room = time::timeout(self.write_timeout(), transport.frames.reserve());
                    if let Ok(Ok(permit)) = room.await {
                        permit.send(text);
                    }
                }
                self.park();
            }
            Disconnect::Shutdown => self.end_transport(true),
            _ => self.end_transport(false),
        }
    }
}

/// The error of clients that the application has sent away.
const STOPPED: &str = "The server has ended the connection.";
/// Maximum results that wait for their messages or for the client.
const ANSWERS_MAX: usize = 64;
/// Maximum messages in a frame, as with SignalR 2.
const ENTRIES_MAX: usize = 10;
const POLL_ENTRIES_MAX: usize = 1000;
/// Limits of the groups of a client, since it carries them in a token.
const GROUPS_MAX: usize = 1000;
const GROUPS_BYTES_MAX: usize = 32 * 1024;
