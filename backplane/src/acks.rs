//! Acknowledgements of commands that this server sent over the bus.
//!
//! Every server receives every acknowledgement, and ignores those of other servers' commands.

use std::collections::HashMap;
use std::sync::Arc;

use locks::Mutex;
use tokio::sync::oneshot;

#[derive(Debug, Default)]
pub(crate) struct Acks {
    waiting: Mutex<HashMap<String, oneshot::Sender<()>>>,
}

/// Waits for one acknowledgement. Dropping it ends the wait.
#[derive(Debug)]
pub(crate) struct Expected {
    command_id: String,
    acknowledged: oneshot::Receiver<()>,
    acks: Arc<Acks>,
}

impl Acks {
    /// Starts to wait. Call it before sending the command, or the acknowledgement may come first.
    pub(crate) fn expect(self: &Arc<Self>, command_id: &str) -> Expected {
        let (sender, acknowledged) = oneshot::channel();
        self.waiting.lock().insert(command_id.to_owned(), sender);
        Expected { command_id: command_id.to_owned(), acknowledged, acks: self.clone() }
    }

    pub(crate) fn acknowledge(&self, command_id: &str) {
        if let Some(sender) = self.waiting.lock().remove(command_id) {
            // The caller may have stopped waiting.
            let _ = sender.send(());
        }
    }
}

impl Expected {
    /// Waits for the acknowledgement.
    pub(crate) async fn acknowledged(&mut self) {
        if (&mut self.acknowledged).await.is_err() {
            // Unreachable: only an acknowledgement or our own drop removes the sender.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.acks.waiting.lock().remove(&self.command_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_acknowledgement_reaches_its_waiter() {
        let acks = Arc::new(Acks::default());
        let mut expected = acks.expect("one");
        let other = acks.expect("two");
        acks.acknowledge("of another server");
        acks.acknowledge("one");
        expected.acknowledged().await;
        drop((expected, other));
        assert!(acks.waiting.lock().is_empty());
    }
}
