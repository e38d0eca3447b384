//! The baseline: a relay on one thread that parses nothing. It writes the messages of a turn with
//! one write per subscriber, so its cost is that of the system calls alone.
//!
//! All requests have one length, which the tool passes as a flag. A connection that starts with
//! `SUBSCRIBE` is a subscriber of that channel; any other is a publisher.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::{frames, wire};

/// Bytes read in one go.
const READ_BYTES: usize = 64 * 1024;

struct Peer {
    stream: TcpStream,
    /// Bytes of an incomplete request.
    partial: Vec<u8>,
    /// The channel of a subscriber; `None` for a publisher.
    channel: Option<usize>,
    queue: Vec<u8>,
    is_blocked: bool,
}

/// The relay's state.
struct Baseline {
    epoll: rustix::fd::OwnedFd,
    peers: HashMap<u64, Peer>,
    /// Subscribers by channel.
    listeners: HashMap<usize, Vec<u64>>,
    request_bytes: usize,
    /// The frames of this turn, by channel.
    turn: HashMap<usize, Vec<u8>>,
}

/// Relays messages until the process is killed.
pub(crate) fn run(port: u16, payload_bytes: usize) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    rustix::net::listen(&listener, 4096)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(0), EventFlags::IN)?;
    let mut baseline = Baseline {
        epoll,
        peers: HashMap::new(),
        listeners: HashMap::new(),
        request_bytes: wire::publish(0, &frames::payload(payload_bytes)).len(),
        turn: HashMap::new(),
    };
    let mut events = Vec::with_capacity(1024);
    let mut buffer = vec![0; READ_BYTES];
    let mut next = 1;
    loop {
        events.clear();
        match epoll::wait(&baseline.epoll, rustix::buffer::spare_capacity(&mut events), None) {
            // strace interrupts this call when it attaches.
            Err(rustix::io::Errno::INTR) => continue,
            waited => drop(waited?),
        }
        let mut replies = Vec::new();
        for event in &events {
            let (id, flags) = (event.data.u64(), event.flags);
            if id == 0 {
                baseline.accept(&listener, next)?;
                next += 1;
            } else if flags.contains(EventFlags::OUT) {
                baseline.flush(id);
            } else {
                baseline.read(id, &mut buffer, &mut replies);
            }
        }
        baseline.end_turn();
        for id in replies {
            baseline.flush(id);
        }
    }
}

impl Baseline {
    fn accept(&mut self, listener: &TcpListener, id: u64) -> io::Result<()> {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&self.epoll, stream.as_fd(), EventData::new_u64(id), EventFlags::IN)?;
        let (partial, queue) = (Vec::new(), Vec::new());
        let peer = Peer { stream, partial, channel: None, queue, is_blocked: false };
        self.peers.insert(id, peer);
        Ok(())
    }

    fn read(&mut self, id: u64, buffer: &mut [u8], replies: &mut Vec<u64>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let read = match peer.stream.read(buffer) {
            Ok(0) => return self.close(id),
            Ok(read) => read,
            Err(error) if is_for_later(&error) => return,
            Err(_) => return self.close(id),
        };
        let input = &buffer[..read];
        if peer.partial.is_empty() && input.starts_with(wire::SUBSCRIBE_START) {
            let channel = digits(&input[input.len() - 6..]);
            peer.channel = Some(channel);
            let name = wire::channel(channel);
            peer.queue.extend_from_slice(&wire::confirmation("subscribe", &name, 1));
            self.listeners.entry(channel).or_default().push(id);
            replies.push(id);
            return;
        }
        if peer.channel.is_some() {
            return;
        }
        let mut rest = input;
        let before = replies.len();
        while !rest.is_empty() {
            let wanted = self.request_bytes - peer.partial.len();
            let (piece, after) = rest.split_at(wanted.min(rest.len()));
            rest = after;
            let request = if piece.len() == self.request_bytes {
                piece
            } else {
                peer.partial.extend_from_slice(piece);
                &peer.partial
            };
            if request.len() < self.request_bytes {
                break;
            }
            // The channel has the same place in every request. A message has the same bytes after it.
            let channel = digits(&request[wire::PUBLISH_CHANNEL_AT..]);
            let frames = self.turn.entry(channel).or_default();
            frames.extend_from_slice(wire::MESSAGE_START);
            frames.extend_from_slice(&request[wire::PUBLISH_TAIL_AT..]);
            peer.partial.clear();
            let count = self.listeners.get(&channel).map_or(0, Vec::len);
            let _ = write!(peer.queue, ":{count}\r\n");
            if replies.len() == before {
                replies.push(id);
            }
        }
    }

    /// Writes the messages of this turn to their subscribers.
    fn end_turn(&mut self) {
        for (channel, frames) in std::mem::take(&mut self.turn) {
            for id in self.listeners.get(&channel).cloned().unwrap_or_default() {
                let Some(peer) = self.peers.get_mut(&id) else { continue };
                if peer.queue.is_empty() {
                    // Written from the shared buffer, without a copy.
                    let written = peer.stream.write(&frames).unwrap_or(0);
                    peer.queue.extend_from_slice(&frames[written..]);
                } else {
                    peer.queue.extend_from_slice(&frames);
                }
                if !peer.queue.is_empty() {
                    self.flush(id);
                }
            }
        }
    }

    fn flush(&mut self, id: u64) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        while !peer.queue.is_empty() {
            match peer.stream.write(&peer.queue) {
                Ok(written) => drop(peer.queue.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_for_later(&error) => break,
                Err(_) => return self.close(id),
            }
        }
        let is_blocked = !peer.queue.is_empty();
        if is_blocked != peer.is_blocked {
            peer.is_blocked = is_blocked;
            let flags = if is_blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            let _ = epoll::modify(&self.epoll, &peer.stream, EventData::new_u64(id), flags);
        }
    }

    fn close(&mut self, id: u64) {
        if let Some(Peer { channel: Some(channel), .. }) = self.peers.remove(&id)
            && let Some(ids) = self.listeners.get_mut(&channel)
        {
            ids.retain(|&listener| listener != id);
        }
    }
}

/// Returns whether the call has to be repeated after the next epoll event.
fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Reads the four digits of a channel.
fn digits(text: &[u8]) -> usize {
    text.iter().take(4).fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}
