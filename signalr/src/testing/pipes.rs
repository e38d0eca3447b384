// A listener in memory.
//
// The tests of this crate and the examples in its documentation include this file, so it has no
// `//!` and names no other module.

use std::io;

use axum::serve::Listener;
use tokio::{io::DuplexStream, sync::mpsc};

/// The server's end of each pipe that a client opens.
pub(crate) struct Pipes(pub(crate) mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Pipes {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(pipe) => (pipe, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}
