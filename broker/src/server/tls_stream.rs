//! A client's socket with TLS.
//!
//! Received records are decrypted at once, and sent ones exist one at a time: the next is encrypted
//! after the socket has taken the last. So a flush of many small messages is one record, and a slow
//! reader costs at most one record beside its outbox.
//!
//! The bytes of a record count as written once the socket has taken all of it.

use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::tls::Material;

/// A TCP socket, and the state of TLS around it.
#[derive(Debug)]
pub(crate) struct TlsStream {
    socket: TcpStream,
    tls: ServerConnection,
    /// Offered bytes in the record that is being written.
    in_record: usize,
    handshake: Option<Handshake>,
}

/// The state of a connection until TLS is established.
#[derive(Debug)]
struct Handshake {
    material: Arc<Material>,
    received: usize,
    /// Its place among the handshakes that may run at once.
    place: OwnedSemaphorePermit,
}

/// Maximum plaintext of a record.
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Maximum bytes that a client may send until TLS is established. Chains of certificates are much
/// shorter.
const HANDSHAKE_BYTES_MAX: usize = 64 * 1024;
/// Maximum slices in a record. Rustls copies them, so more gain nothing.
const SLICES_MAX: usize = 64;

impl TlsStream {
    /// Begins TLS on a new socket.
    pub(crate) fn new(
        socket: TcpStream,
        material: Arc<Material>,
        place: OwnedSemaphorePermit,
    ) -> io::Result<Self> {
        let tls = ServerConnection::new(material.config.clone()).map_err(io::Error::other)?;
        let handshake = Some(Handshake { material, received: 0, place });
        Ok(Self { socket, tls, in_record: 0, handshake })
    }

    /// Returns the socket and its place, for another runtime. Only before the first read.
    pub(crate) fn into_parts(self) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let handshake = self.handshake?;
        Some((self.socket, handshake.place))
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Pending until a step of the handshake can be made.
    pub(crate) fn poll_handshake_ready(&self, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        match self.tls.wants_write() {
            true => self.socket.poll_write_ready(cx),
            false => self.socket.poll_read_ready(cx),
        }
    }

    /// Establishes TLS, and returns the material that it began with. An error has been sent to the
    /// client if the socket takes it.
    pub(crate) fn poll_handshake(
        &mut self,
        cx: &mut task::Context<'_>,
    ) -> Poll<io::Result<Arc<Material>>> {
        loop {
            ready!(self.poll_send(cx))?;
            if !self.tls.is_handshaking() {
                let handshake = self.handshake.take();
                let handshake = handshake.ok_or(io::ErrorKind::NotConnected)?;
                return Poll::Ready(Ok(handshake.material));
            }
            let received = ready!(self.poll_receive(cx))?;
            if received == 0 {
                return Poll::Ready(Err(io::Error::other("the client closed the connection")));
            }
            if let Some(handshake) = &mut self.handshake {
                handshake.received += received;
                if handshake.received > HANDSHAKE_BYTES_MAX {
                    return Poll::Ready(Err(io::Error::other("the handshake is too long")));
                }
            }
        }
    }

    /// Returns the certificate of the client, which has been verified.
    pub(crate) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.tls.peer_certificates().and_then(<[_]>::first)
    }

    /// Reads decrypted bytes and returns their number. Zero is the end of the stream.
    pub(crate) fn poll_read(
        &mut self,
        bytes: &mut [u8],
        cx: &mut task::Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.tls.reader().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Requests have their own ends, so the end of the socket is as good as that of TLS.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(0));
                }
                read => return Poll::Ready(read),
            }
            // A socket that takes nothing must not keep the client's bytes from being read.
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
            ready!(self.poll_receive(cx))?;
        }
    }

    /// Pending if the socket takes nothing, or before TLS is established.
    pub(crate) fn poll_write_ready(&self, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        if self.handshake.is_some() {
            return Poll::Pending;
        }
        self.socket.poll_write_ready(cx)
    }

    /// Writes as many records as the socket takes. A call after a record that was not taken must
    /// begin with the same bytes.
    pub(crate) fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.handshake.is_some() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut written = 0;
        loop {
            match self.send() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && written > 0 => {
                    return Ok(written);
                }
                sent => sent?,
            }
            written += std::mem::take(&mut self.in_record);
            let mut record = [IoSlice::new(&[]); SLICES_MAX];
            let filled = fill_record(&mut record, slices, written);
            if filled == 0 {
                return Ok(written);
            }
            self.in_record = self.tls.writer().write_vectored(&record[..filled])?;
            if self.in_record == 0 {
                // The keys must not encrypt any more.
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
    }

    /// Announces the end. Without it, a client takes the end for one that a stranger has caused.
    pub(crate) fn close(&mut self) {
        if self.handshake.is_none() {
            self.tls.send_close_notify();
            let _ = self.send();
        }
    }

    /// Reads from the socket and decrypts. Returns the number of bytes read.
    fn poll_receive(&mut self, cx: &mut task::Context<'_>) -> Poll<io::Result<usize>> {
        let mut reader = Reader { socket: &mut self.socket, cx };
        let received = match self.tls.read_tls(&mut reader) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            received => received?,
        };
        if let Err(error) = self.tls.process_new_packets() {
            // The alert says why. A client that does not take it does without.
            let _ = self.send();
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(received))
    }

    fn poll_send(&mut self, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.send() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_write_ready(cx))?;
                }
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Writes all encrypted bytes.
    fn send(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut Writer(&self.socket))? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

/// Fills a record with the bytes behind the first `skip` ones. Returns the number of slices filled.
fn fill_record<'a>(
    record: &mut [IoSlice<'a>; SLICES_MAX],
    slices: &'a [IoSlice<'_>],
    mut skip: usize,
) -> usize {
    let mut room = RECORD_BYTES_MAX;
    let mut filled = 0;
    for slice in slices {
        if room == 0 || filled == SLICES_MAX {
            break;
        }
        let Some(bytes) = slice.get(skip..).filter(|bytes| !bytes.is_empty()) else {
            skip -= slice.len();
            continue;
        };
        skip = 0;
        let bytes = &bytes[..bytes.len().min(room)];
        room -= bytes.len();
        record[filled] = IoSlice::new(bytes);
        filled += 1;
    }
    filled
}

/// Reads from the socket, and wakes the task once there is more.
struct Reader<'a, 'c> {
    socket: &'a mut TcpStream,
    cx: &'a mut task::Context<'c>,
}

impl Read for Reader<'_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        match Pin::new(&mut *self.socket).poll_read(self.cx, &mut buffer) {
            Poll::Ready(read) => read.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

struct Writer<'a>(&'a TcpStream);

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [one] => self.0.try_write(one),
            several => self.0.try_write_vectored(several),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lengths of the records that hold all these slices.
    fn records(lengths: &[usize]) -> Vec<usize> {
        let bytes: Vec<Vec<u8>> = lengths.iter().map(|&length| vec![b'x'; length]).collect();
        let slices: Vec<IoSlice<'_>> = bytes.iter().map(|bytes| IoSlice::new(bytes)).collect();
        let mut written = 0;
        let next = || {
            let mut record = [IoSlice::new(&[]); SLICES_MAX];
            let filled = fill_record(&mut record, &slices, written);
            let length = record[..filled].iter().map(|slice| slice.len()).sum();
            written += length;
            (filled > 0).then_some(length)
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn slices_share_records_and_fill_them() {
        assert_eq!(records(&[]), [0; 0]);
        assert_eq!(records(&[0, 0]), [0; 0]);
        assert_eq!(records(&[1, 0, 2, 3]), [6]);
        assert_eq!(records(&[RECORD_BYTES_MAX]), [RECORD_BYTES_MAX]);
        assert_eq!(records(&[5, RECORD_BYTES_MAX, 7]), [RECORD_BYTES_MAX, 12]);
        assert_eq!(records(&[2 * RECORD_BYTES_MAX + 1]), [RECORD_BYTES_MAX, RECORD_BYTES_MAX, 1]);
        assert_eq!(records(&[1; SLICES_MAX + 1]), [SLICES_MAX, 1]);
    }
}
