//! Shared code of the fuzz targets: a runtime that aborts on any panic, and a client.
//!
//! | target          | input                                      | claim                                |
//! |-----------------|--------------------------------------------|--------------------------------------|
//! | `classic`       | requests and frames of a SignalR 2 client  | another client can call a method     |
//! | `configuration` | a `redis.conf` and flags                   | the result is settings or an error   |
//! | `frames`        | bytes of a SignalR client in pieces        | messages do not depend on the pieces |
//! | `hub`           | the frames of a SignalR client             | another client can call a method     |
//! | `json`          | bytes of a SignalR client in JSON          | a message, written again, is equal   |
//! | `messagepack`   | bytes of a SignalR client in MessagePack   | each value is whole, or an error     |
//! | `server`        | bytes and commands of three broker clients | another client gets its reply        |
//! | `servers`       | a packet on the channels between servers   | the server answers a question        |
//! | `session`       | frames of a SignalR client, and times      | another client can call a method     |
//! | `stream`        | a payload on the channel of a backplane    | the next message arrives             |
//! | `token`         | tokens of SignalR clients                  | a changed token opens nothing        |
//! | `websocket`     | bytes of a WebSocket client in pieces      | the content is that of one piece     |

pub mod frames;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Once;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// The longest time for a required reply.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Starts the runtime of the code under test. From now on a panic of any thread aborts the process,
/// since a server would otherwise survive it and hide the fault.
pub fn runtime() -> Runtime {
    abort_on_panic();
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// Starts a runtime like [`runtime`] on this thread, with a clock that moves when nothing else is to
/// be done.
pub fn paused_runtime() -> Runtime {
    abort_on_panic();
    Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}

fn abort_on_panic() {
    static IS_SET: Once = Once::new();
    IS_SET.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            print(panic);
            std::process::abort();
        }));
    });
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
        loop {
            match self.0.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    bytes.truncate(read);
                    return Ok(bytes);
                }
                // libFuzzer has a timer, whose signal ends a read.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
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
