//! Commands that were sent over the bus, and who waits for their acknowledgement.
//!
//! Every server sees every acknowledgement, and passes over those that nobody here waits for.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

#[derive(Debug, Default)]
pub(crate) struct Acks {
    waiting: Mutex<HashMap<String, oneshot::Sender<()>>>,
}

/// Waits for one acknowledgement. Dropping it waits no more.
#[derive(Debug)]
pub(crate) struct Expected {
    command_id: String,
    acknowledged: oneshot::Receiver<()>,
    acks: Arc<Acks>,
}

impl Acks {
    /// Begins to wait, which has to happen before the command is sent.
    pub(crate) fn expect(self: &Arc<Self>, command_id: &str) -> Expected {
        let (sender, acknowledged) = oneshot::channel();
        self.waiting.lock().insert(command_id.to_owned(), sender);
        Expected { command_id: command_id.to_owned(), acknowledged, acks: self.clone() }
    }

    pub(crate) fn acknowledge(&self, command_id: &str) {
        if let Some(sender) = self.waiting.lock().remove(command_id) {
            // Whoever does not wait any more does not need it.
            let _ = sender.send(());
        }
    }
}

impl Expected {
    /// Returns when it was acknowledged.
    pub(crate) async fn acknowledged(&mut self) {
        if (&mut self.acknowledged).await.is_err() {
            // Its sender goes away only with an acknowledgement or with us.
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
    async fn an_acknowledgement_reaches_who_waits_for_it() {
        let acks = Arc::new(Acks::default());
        let mut expected = acks.expect("one");
        let other = acks.expect("two");
        acks.acknowledge("of somebody else");
        acks.acknowledge("one");
        expected.acknowledged().await;
        drop((expected, other));
        assert!(acks.waiting.lock().is_empty());
    }
}
