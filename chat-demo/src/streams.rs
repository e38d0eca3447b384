//! A limit for the streams of one connection.
//!
//! A stream lasts until its client cancels it, so a limit of calls in a time does not bound them.

use std::{future, sync::Arc};

use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use signalr::{HubError, HubStream};
use tokio::sync::Semaphore;

/// The streams of one connection. A connection that goes to another server has none there at first.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Streams {
    #[serde(skip, default = "permits")]
    permits: Arc<Semaphore>,
}

impl Streams {
    /// Returns the stream, or one with an error if the connection has too many.
    pub(crate) fn limited<T, S>(&self, stream: S) -> HubStream<T>
    where
        T: Send + 'static,
        S: Stream<Item = Result<T, HubError>> + Send + 'static,
    {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            let error = HubError::new("too many streams; cancel one first");
            return stream::once(future::ready(Err(error))).boxed();
        };
        // Held as long as the stream.
        stream.inspect(move |_| _ = &permit).boxed()
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self { permits: permits() }
    }
}

fn permits() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(STREAMS_MAX))
}

/// Enough for a page in twenty rooms that enters them again.
const STREAMS_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_that_ends_makes_room_for_another_one() {
        let streams = Streams::default();
        let endless = || streams.limited(stream::repeat_with(|| Ok(1)));
        let mut open: Vec<HubStream<i32>> = (0..STREAMS_MAX).map(|_| endless()).collect();
        let refused = endless().next().await.unwrap();
        assert_eq!(refused.unwrap_err().to_string(), "too many streams; cancel one first");
        open.pop();
        assert_eq!(endless().next().await.unwrap().unwrap(), 1);
    }
}
