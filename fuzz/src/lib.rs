//! Shared code of the fuzz targets: a runtime that aborts on any panic, and a client.
//!
//! | target          | input                                      | claim                                |
//! |-----------------|--------------------------------------------|--------------------------------------|
//! | `classic`       | requests and frames of a SignalR 2 client  | another client can call a method     |
//! | `configuration` | a `redis.conf` and flags                   | the result is settings or an error   |
//! | `hub`           | the frames of a SignalR client             | another client can call a method     |
//! | `messagepack`   | bytes of a SignalR client in MessagePack   | each value is whole, or an error     |
//! | `server`        | bytes and commands of three broker clients | another client gets its reply        |
//! | `servers`       | a packet on the channels between servers   | the server answers a question        |
//! | `stream`        | a payload on the channel of a backplane    | the next message arrives             |

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// The longest time for a required reply.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Starts the runtime of the code under test. From now on a panic of any thread aborts the process,
/// since a server would otherwise survive it and hide the fault.
pub fn runtime() -> Runtime {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::abort();
    }));
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// A client that writes and reads bytes.
pub struct Client(TcpStream);

impl Client {
    /// Connects to a server under test.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("it is a socket");
        stream.set_write_timeout(Some(Duration::from_millis(100))).expect("it is not zero");
        Self(stream)
    }

    /// Writes bytes. Returns false if the server did not accept them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Reads available bytes, at most 64 KiB.
    ///
    /// # Errors
    ///
    /// When the connection has ended, or no byte arrives within `time`.
    pub fn read(&mut self, time: Duration) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 64 * 1024];
        self.0.set_read_timeout(Some(time))?;
        match self.0.read(&mut bytes)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes.truncate(read);
                Ok(bytes)
            }
        }
    }

    /// Reads until these bytes have arrived.
    ///
    /// # Panics
    ///
    /// When they do not arrive before the deadline.
    pub fn read_until(&mut self, wanted: &[u8]) {
        let mut all = Vec::new();
        while !all.windows(wanted.len()).any(|window| window == wanted) {
            all.extend(self.read(DEADLINE).expect("the server answers"));
        }
    }

    /// Shuts down the write half, and reads until the server closes the connection or pauses.
    pub fn finish(mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Write);
        while self.read(Duration::from_millis(200)).is_ok() {}
    }
}
