//! One connected client of a test.

use std::{collections::VecDeque, fmt, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{io::DuplexStream, time};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::wire::{Call, Received, SEPARATOR, Wire};
use crate::typed::CallHub;

/// A connected client.
///
/// # Examples
///
/// See the [module](super).
pub struct TestConnection {
    socket: WebSocketStream<DuplexStream>,
    wire: Wire,
    /// Bytes of messages that are not read yet.
    unread: Vec<u8>,
    /// Invocations that arrived before a test expected them.
    invocations: VecDeque<Invocation>,
    last_id: u64,
}

#[derive(Debug)]
struct Invocation {
    id: Option<String>,
    method: String,
    arguments: Value,
}

impl TestConnection {
    /// Performs the handshake.
    pub(super) async fn begin(socket: WebSocketStream<DuplexStream>, wire: Wire) -> Self {
        let (unread, invocations) = (Vec::new(), VecDeque::new());
        let mut connection = Self { socket, wire, unread, invocations, last_id: 0 };
        let request = json!({"protocol": wire.name(), "version": 1});
        connection.send(Message::text(format!("{request}{}", char::from(SEPARATOR)))).await;
        loop {
            if let Some(end) = connection.unread.iter().position(|byte| *byte == SEPARATOR) {
                let reply: Vec<u8> = connection.unread.drain(..=end).collect();
                assert_eq!(&reply[..end], b"{}", "the server refused the handshake");
                return connection;
            }
            assert!(connection.fill().await, "the connection ended during the handshake");
        }
    }

    /// Calls a method of the hub, and waits for its result.
    ///
    /// # Errors
    ///
    /// Returns the error that the server sends.
    ///
    /// # Panics
    ///
    /// Panics if the connection ends, or if the result has another type.
    pub async fn invoke<R: DeserializeOwned>(
        &mut self,
        method: &str,
        arguments: impl Serialize,
    ) -> Result<R, TestError> {
        let id = self.next_id();
        self.call(Some(&id), method, arguments).await;
        let result = self.completion(&id, |_| {}).await?;
        Ok(serde_json::from_value(result).expect("a result of this type"))
    }

    /// Reads a stream of the hub to its end, and returns its items.
    ///
    /// # Errors
    ///
    /// Returns the error that the server sends, also behind items.
    ///
    /// # Panics
    ///
    /// Panics if the connection ends, or if an item has another type.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::stream;
    /// use signalr::{
    ///     Hub, HubError,
    ///     testing::{TestClient, TestFarm},
    /// };
    ///
    /// let farm = TestFarm::start(1, |backplane| {
    ///     Hub::new("Hub", backplane).stream("Count", |(end,): (u32,)| async move {
    ///         Ok(stream::iter((0..end).map(Ok::<_, HubError>)))
    ///     })
    /// });
    /// let mut ann = farm.server(0).connect(TestClient::json()).await;
    /// assert_eq!(ann.stream::<u32>("Count", (3,)).await?, [0, 1, 2]);
    /// # Ok(()) }
    /// ```
    pub async fn stream<T: DeserializeOwned>(
        &mut self,
        method: &str,
        arguments: impl Serialize,
    ) -> Result<Vec<T>, TestError> {
        let (id, arguments) = (self.next_id(), value(arguments));
        let call =
            Call { id: Some(&id), method, arguments: &arguments, is_stream: true, upload: None };
        self.send(self.wire.call(call)).await;
        let mut items = Vec::new();
        self.completion(&id, |item| {
            items.push(serde_json::from_value(item).expect("an item of this type"));
        })
        .await?;
        Ok(items)
    }

    /// Calls a method of the hub with a stream of this client, and waits for its result.
    ///
    /// # Errors
    ///
    /// Returns the error that the server sends.
    ///
    /// # Panics
    ///
    /// Panics if the connection ends, or if the result has another type.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::TryStreamExt;
    /// use signalr::{
    ///     Hub, Upload,
    ///     testing::{TestClient, TestFarm},
    /// };
    ///
    /// let farm = TestFarm::start(1, |backplane| {
    ///     Hub::new("Hub", backplane).method("Sum", |parts: Upload<u32>, ()| async move {
    ///         parts.try_fold(0, |sum, part| async move { Ok(sum + part) }).await
    ///     })
    /// });
    /// let mut ann = farm.server(0).connect(TestClient::json()).await;
    /// assert_eq!(ann.upload::<u32>("Sum", (), [1, 2, 3]).await?, 6);
    /// # Ok(()) }
    /// ```
    pub async fn upload<R: DeserializeOwned>(
        &mut self,
        method: &str,
        arguments: impl Serialize,
        items: impl IntoIterator<Item = impl Serialize>,
    ) -> Result<R, TestError> {
        let (id, stream, arguments) = (self.next_id(), self.next_id(), value(arguments));
        let upload = Some(&*stream);
        let call = Call { id: Some(&id), method, arguments: &arguments, is_stream: false, upload };
        self.send(self.wire.call(call)).await;
        for item in items {
            let item = serde_json::to_value(item).expect("an item that JSON has");
            self.send(self.wire.item(&stream, &item)).await;
        }
        self.send(self.wire.end(&stream)).await;
        let result = self.completion(&id, |_| {}).await?;
        Ok(serde_json::from_value(result).expect("a result of this type"))
    }

    /// Calls a method of the hub without waiting for it.
    ///
    /// # Panics
    ///
    /// Panics if the connection has ended.
    pub async fn send_call(&mut self, method: &str, arguments: impl Serialize) {
        self.call(None, method, arguments).await;
    }

    /// Waits for the next invocation of the hub.
    ///
    /// # Panics
    ///
    /// Panics if the invocation is of another method or has other arguments, if none arrives within
    /// a minute of tokio's clock, or if the connection ends.
    pub async fn expect(&mut self, method: &str, arguments: impl Serialize) {
        self.expect_next(method, &value(arguments)).await;
    }

    /// Waits for the next invocation of the hub, and returns a result.
    ///
    /// # Panics
    ///
    /// Panics as [`expect`](Self::expect), and if the hub expects no result.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use signalr::{
    ///     Caller, Hub,
    ///     testing::{TestClient, TestFarm},
    /// };
    ///
    /// let farm = TestFarm::start(1, |backplane| {
    ///     Hub::new("Hub", backplane).method("Delete", |caller: Caller, ()| async move {
    ///         let client = caller.clients().caller();
    ///         let is_sure: bool = client.invoke_with_result("confirm", ("Really?",)).await?;
    ///         caller.clients().caller().invoke("deleted", (is_sure,)).await?;
    ///         Ok(())
    ///     })
    /// });
    /// let mut ann = farm.server(0).connect(TestClient::json()).await;
    /// ann.send_call("Delete", ()).await;
    /// ann.expect_and_answer("confirm", ("Really?",), true).await;
    /// ann.expect("deleted", (true,)).await;
    /// # }
    /// ```
    pub async fn expect_and_answer(
        &mut self,
        method: &str,
        arguments: impl Serialize,
        result: impl Serialize,
    ) {
        let id = self.expect_next(method, &value(arguments)).await;
        let id = id.expect("an invocation that expects a result");
        let result = serde_json::to_value(result).expect("a value that JSON has");
        self.send(self.wire.completion(&id, &result)).await;
    }

    /// Breaks the connection without a Close message, as a lost network does.
    pub fn cut(self) {
        drop(self);
    }

    /// Waits until the server closes the connection, and returns the error of its Close message.
    ///
    /// # Panics
    ///
    /// Panics if the connection ends without a Close message, or goes on for a minute.
    pub async fn expect_close(mut self) -> Option<String> {
        within(async {
            loop {
                match self.next().await {
                    Some(Received::Close { error }) => return error,
                    Some(_) => {}
                    None => panic!("the connection ended without a Close message"),
                }
            }
        })
        .await
    }

    /// Waits until the connection ends without a Close message.
    ///
    /// # Panics
    ///
    /// Panics if the server sends a Close message, or if the connection goes on for a minute.
    pub async fn expect_lost(mut self) {
        within(async {
            while let Some(received) = self.next().await {
                if let Received::Close { error } = received {
                    panic!("the server closed the connection, error: {error:?}");
                }
            }
        })
        .await;
    }

    fn next_id(&mut self) -> String {
        self.last_id += 1;
        self.last_id.to_string()
    }

    async fn call(&mut self, id: Option<&str>, method: &str, arguments: impl Serialize) {
        let arguments = &value(arguments);
        let call = Call { id, method, arguments, is_stream: false, upload: None };
        self.send(self.wire.call(call)).await;
    }

    /// Waits for the end of a call. The items of its stream go to `take`.
    async fn completion(
        &mut self,
        call: &str,
        mut take: impl FnMut(Value),
    ) -> Result<Value, TestError> {
        loop {
            match self.receive().await {
                Received::Completion { id, result } if id == call => {
                    return result.map_err(TestError);
                }
                Received::Item { id, item } if id == call => take(item),
                other => self.keep(other),
            }
        }
    }

    async fn expect_next(&mut self, method: &str, arguments: &Value) -> Option<String> {
        while self.invocations.is_empty() {
            let received = self.receive().await;
            self.keep(received);
        }
        let next = self.invocations.pop_front().expect("the loop ends with an invocation");
        assert_eq!((&*next.method, &next.arguments), (method, arguments));
        next.id
    }

    fn keep(&mut self, received: Received) {
        if let Received::Invocation { id, method, arguments } = received {
            self.invocations.push_back(Invocation { id, method, arguments });
        }
    }

    async fn receive(&mut self) -> Received {
        // Pings would start a new minute, so the limit is on all messages together.
        within(async {
            loop {
                match self.next().await {
                    Some(Received::Other) => {}
                    Some(Received::Close { error }) => {
                        panic!("the server closed the connection, error: {error:?}")
                    }
                    Some(received) => return received,
                    None => panic!("the connection ended"),
                }
            }
        })
        .await
    }

    /// Returns the next message, or `None` at the end of the connection.
    async fn next(&mut self) -> Option<Received> {
        loop {
            if let Some(received) = self.wire.take(&mut self.unread) {
                return Some(received);
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Reads a frame. Returns false at the end of the connection.
    async fn fill(&mut self) -> bool {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => self.unread.extend(text.as_bytes()),
            Some(Ok(Message::Binary(bytes))) => self.unread.extend(&bytes[..]),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return false,
            Some(Ok(_)) => {}
        }
        true
    }

    async fn send(&mut self, message: Message) {
        within(self.socket.send(message)).await.expect("the connection is open");
    }
}

impl CallHub for TestConnection {
    type Error = TestError;

    async fn invoke<R: DeserializeOwned>(
        &mut self,
        method: &str,
        arguments: impl Serialize,
    ) -> Result<R, TestError> {
        self.invoke(method, arguments).await
    }

    async fn stream<T: DeserializeOwned>(
        &mut self,
        method: &str,
        arguments: impl Serialize,
    ) -> Result<Vec<T>, TestError> {
        self.stream(method, arguments).await
    }

    async fn upload<R: DeserializeOwned>(
        &mut self,
        method: &str,
        arguments: impl Serialize,
        items: impl IntoIterator<Item = impl Serialize>,
    ) -> Result<R, TestError> {
        self.upload(method, arguments, items).await
    }
}

impl fmt::Debug for TestConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wire, invocations, .. } = self;
        f.debug_struct("TestConnection")
            .field("wire", wire)
            .field("invocations", invocations)
            .finish_non_exhaustive()
    }
}

/// The error of a method, as the client reads it.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use signalr::{
///     Hub,
///     testing::{TestClient, TestFarm},
/// };
///
/// let farm = TestFarm::start(1, |backplane| Hub::new("Hub", backplane));
/// let mut ann = farm.server(0).connect(TestClient::json()).await;
/// let error = ann.invoke::<()>("Send", ()).await.unwrap_err();
/// assert!(error.to_string().ends_with("Method does not exist."));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TestError(String);

/// Returns arguments as an array. A method without arguments has an empty one.
fn value(arguments: impl Serialize) -> Value {
    match serde_json::to_value(arguments).expect("arguments that JSON has") {
        Value::Null => json!([]),
        array @ Value::Array(_) => array,
        other => panic!("expected a tuple of arguments, found {other}"),
    }
}

/// Waits for a future, at most a minute of tokio's clock.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    time::timeout(TIMEOUT, future).await.expect("the server does this within a minute")
}

/// Longer than each timeout of a server by default, except that of a long poll.
const TIMEOUT: Duration = Duration::from_secs(60);
