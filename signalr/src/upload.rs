//! A stream that a client sends with a call.
//!
//! The session puts the parts into a bounded channel. While it is full, the session stops reading,
//! so a client cannot fill the memory of the server.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::Stream;
use serde::de::DeserializeOwned;

use crate::{
    call::{CallContext, CallError, FromCall, Part, Parts},
    error::HubError,
};

/// A stream that the client sends with the call. A method may take several, in order.
///
/// An item is an error if the client ends the stream with an error, if the connection ends before
/// the stream, or if the item has another type than `T`. No item follows an error.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::TryStreamExt;
/// use signalr::{Hub, Upload};
///
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone()).method(
///     "Sum",
///     |numbers: Upload<u32>, (): ()| async move {
///         numbers.try_fold(0, |sum, number| async move { Ok(sum + number) }).await
///     },
/// );
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # client
/// #     .send(r#"{"type":1,"invocationId":"1","target":"Sum","arguments":[],"streamIds":["2"]}"#)
/// #     .await;
/// # client.send(r#"{"type":2,"invocationId":"2","item":3}"#).await;
/// # client.send(r#"{"type":2,"invocationId":"2","item":4}"#).await;
/// # client.send(r#"{"type":3,"invocationId":"2"}"#).await;
/// # assert_eq!(client.receive().await["result"], 7);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Upload<T> {
    parts: Parts,
    has_ended: bool,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + 'static> FromCall for Upload<T> {
    const STREAMS: usize = 1;

    fn from_call(call: &mut CallContext) -> Result<Self, CallError> {
        let parts = call.uploads.pop_front();
        let parts = parts.ok_or(CallError::Streams { found: 0, expected: 1 })?;
        Ok(Self { parts, has_ended: false, item: PhantomData })
    }
}

impl<T: DeserializeOwned> Stream for Upload<T> {
    type Item = Result<T, HubError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let item = match ready!(self.parts.poll_recv(cx)) {
            Some(Part::Item(item)) => match item.as_raw().read() {
                Some(item) => return Poll::Ready(Some(Ok(item))),
                None => Some(Err(HubError::new(NOT_BOUND))),
            },
            Some(Part::End(Ok(()))) => None,
            Some(Part::End(Err(error))) => Some(Err(HubError::new(error))),
            None => Some(Err(HubError::new(LOST))),
        };
        self.has_ended = true;
        Poll::Ready(item)
    }
}

const NOT_BOUND: &str = "Failed to bind Stream message.";
const LOST: &str = "The connection ended before the stream.";
