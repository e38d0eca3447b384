//! Measures how soon many servers receive messages again after their broker restarts.

use std::time::Instant;

use backplane::{Backplane, Connection, Invocation, State, Target};
use futures_util::future::{join_all, try_join_all};
use tokio::runtime::{Builder, Runtime};

use super::APP;
use crate::Failure;

/// Servers with a connection each.
pub(super) struct Outage {
    runtime: Runtime,
    members: Vec<(Backplane, Connection)>,
}

impl Outage {
    /// Connects all servers before the outage.
    pub(super) fn before(url: &str, servers: usize) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread().enable_all().build()?;
        let joining = (0..servers).map(|number| async move {
            let backplane = Backplane::builder(APP).connect(url).await.map_err(Failure::cluster)?;
            let connection = backplane.attach(&number.to_string(), None);
            Ok::<_, Failure>((backplane, connection))
        });
        let members = runtime.block_on(try_join_all(joining))?;
        Ok(Self { runtime, members })
    }

    /// Waits until all servers have detected the loss of the broker.
    pub(super) fn noticed(&self) {
        let noticing = self.members.iter().map(|(backplane, _)| async {
            let mut states = backplane.state_changes();
            // The wait cannot fail, since the backplane outlives it.
            let _ = states.wait_for(|state| matches!(state, State::Disconnected { .. })).await;
        });
        self.runtime.block_on(join_all(noticing));
    }

    /// Returns for each server the nanoseconds until it receives a message of its own.
    pub(super) fn over(&mut self) -> Result<String, Failure> {
        let begun = Instant::now();
        let recovering = self.members.iter_mut().map(|(backplane, connection)| async move {
            let mut states = backplane.state_changes();
            let _ = states.wait_for(|state| *state == State::Connected).await;
            let invocation = Invocation::new("say", ["hi"]).map_err(Failure::cluster)?;
            let own = Target::connection(connection.id());
            backplane.send(own, invocation).await.map_err(Failure::cluster)?;
            connection.recv().await.map_err(Failure::cluster)?;
            Ok::<_, Failure>(begun.elapsed().as_nanos().to_string())
        });
        Ok(self.runtime.block_on(try_join_all(recovering))?.join(" "))
    }
}
