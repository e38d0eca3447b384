//! One client of a floor: its socket, the bytes of an incomplete frame and those still to write.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::subprotocol::ECHO_PATH;
use crate::websocket::{self, HEAD_END};

pub(super) struct Peer {
    pub(super) stream: TcpStream,
    pub(super) mode: Mode,
    /// Bytes of an incomplete head or frame.
    partial: Vec<u8>,
    /// Bytes that the socket has not taken.
    queue: Vec<u8>,
    is_blocked: bool,
}

/// The destination of a client's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// None yet: the upgrade is not complete.
    Opening,
    /// All clients of this mode.
    Fan,
    /// The client itself.
    Echo,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> Self {
        let (partial, queue) = (Vec::new(), Vec::new());
        Self { stream, mode: Mode::Opening, partial, queue, is_blocked: false }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    /// Returns these bytes behind those kept before.
    pub(super) fn joined<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.partial.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut joined = std::mem::take(&mut self.partial);
        joined.extend_from_slice(bytes);
        Cow::Owned(joined)
    }

    /// Keeps the bytes of an incomplete frame.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
    }

    /// Takes the head of the upgrade from the input. Returns the response, or `None` if the head is
    /// not complete.
    pub(super) fn open(&mut self, input: &mut Cow<'_, [u8]>) -> io::Result<Option<String>> {
        let end = input.windows(HEAD_END.len()).position(|window| window == HEAD_END);
        let Some(end) = end else {
            self.keep(input);
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&input[..end]).into_owned();
        *input = Cow::Owned(input[end + HEAD_END.len()..].to_vec());
        let path = head.split(' ').nth(1).unwrap_or_default();
        self.mode = if path == ECHO_PATH { Mode::Echo } else { Mode::Fan };
        let response = websocket::accept(&head);
        response.map(Some).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Writes as much as the socket takes, behind the bytes that wait. Returns whether bytes wait, if
    /// that has changed.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<bool>> {
        if self.queue.is_empty() {
            // Written from the shared buffer, without a copy.
            let written = self.write_once(bytes)?;
            self.queue.extend_from_slice(&bytes[written..]);
        } else {
            self.queue.extend_from_slice(bytes);
        }
        while !self.queue.is_empty() {
            let queue = std::mem::take(&mut self.queue);
            let written = self.write_once(&queue);
            self.queue = queue;
            match written? {
                0 => break,
                written => drop(self.queue.drain(..written)),
            }
        }
        let is_blocked = !self.queue.is_empty();
        let has_changed = is_blocked != self.is_blocked;
        self.is_blocked = is_blocked;
        Ok(has_changed.then_some(is_blocked))
    }

    fn write_once(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Err(error) if is_for_later(&error) => Ok(0),
            written => written,
        }
    }
}

/// Returns whether the call has to be repeated after the next epoll event.
pub(super) fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn peer() -> (Peer, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let client = TcpStream::connect(listener.local_addr().expect("an address"));
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_nonblocking(true).expect("a mode");
        (Peer::new(stream), client.expect("a client"))
    }

    #[test]
    fn an_upgrade_may_arrive_in_two_parts_and_names_the_mode() {
        for (path, mode) in [("/", Mode::Fan), (ECHO_PATH, Mode::Echo)] {
            let (mut peer, _client) = peer();
            let request = [websocket::upgrade(path, 80).as_bytes(), b"frame"].concat();
            let (start, end) = request.split_at(30);
            let mut input = peer.joined(start);
            assert_eq!(peer.open(&mut input).expect("fine"), None);
            let mut input = peer.joined(end);
            assert!(peer.open(&mut input).expect("fine").is_some());
            assert_eq!((&*input, peer.mode), (&b"frame"[..], mode));
        }
    }

    #[test]
    fn bytes_that_a_socket_does_not_take_are_written_later() {
        let (mut peer, mut client) = peer();
        let bytes: Vec<u8> = (0..8_000_000_u32).map(|index| index.to_le_bytes()[1]).collect();
        assert_eq!(peer.write(&bytes).expect("fine"), Some(true));
        assert_eq!(peer.write(b"end").expect("fine"), None);
        let reader = std::thread::spawn(move || {
            let mut found = vec![0; bytes.len() + 3];
            client.read_exact(&mut found).map(|()| found == [&*bytes, b"end"].concat())
        });
        while peer.write(&[]).expect("fine") != Some(false) {
            std::thread::yield_now();
        }
        assert!(reader.join().expect("a thread").expect("all bytes"));
    }
}
