//! What all targets need: a place to run what they try, and a panic anywhere that is seen.
//!
//! | target          | what a stranger controls                                     | what must hold afterwards            |
//! |-----------------|--------------------------------------------------------------|--------------------------------------|
//! | `server`        | the bytes of three clients of a broker, cut anywhere         | another client is answered           |
//! | `configuration` | a `redis.conf`, and flags                                    | settings, or an error                |
//! | `stream`        | the payloads on a backplane's channel                        | what is sent next arrives            |
//! | `hub`           | the frames of a SignalR client                               | another client's method is called    |

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// How long an answer that must come may take.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Starts what programs under test run on. A panic of any thread ends the process from now on:
/// servers would live on with it, and nobody would see.
pub fn runtime() -> Runtime {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
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

    /// Writes, and returns whether the server still took it.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Reads what is there within a time, at most so much.
    ///
    /// # Errors
    ///
    /// When the connection is over, or nothing comes in time.
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

    /// Reads on until these bytes have come.
    ///
    /// # Panics
    ///
    /// When they do not.
    pub fn read_until(&mut self, wanted: &[u8]) {
        let mut all = Vec::new();
        while !all.windows(wanted.len()).any(|window| window == wanted) {
            all.extend(self.read(DEADLINE).expect("the server answers"));
        }
    }

    /// Says that nothing more comes, and reads until the server is done with it or a time is over.
    pub fn finish(mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Write);
        while self.read(Duration::from_millis(200)).is_ok() {}
    }
}
