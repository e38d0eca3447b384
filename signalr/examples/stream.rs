//! Streams in both directions.
//!
//! ```text
//! cargo run -p signalr --example stream
//! ```

use std::time::Duration;

use axum::Router;
use backplane::Backplane;
use broker::Broker;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use signalr::{Cancelled, Hub, HubError, Upload};
use tokio::{net::TcpListener, time};

/// Counts until the client cancels. A page reads it with `connection.stream("Count", 1000)`.
async fn count(
    Cancelled(cancelled): Cancelled,
    (pause_ms,): (u64,),
) -> Result<impl Stream<Item = Result<u64, HubError>>, HubError> {
    if pause_ms == 0 {
        return Err(HubError::new("the pause is at least 1 ms"));
    }
    let numbers = stream::unfold(0, move |number| async move {
        time::sleep(Duration::from_millis(pause_ms)).await;
        Some((Ok(number), number + 1))
    });
    Ok(numbers.take_until(cancelled.cancelled_owned()))
}

/// Adds the numbers that the client sends. A page sends a `signalR.Subject`.
async fn sum(numbers: Upload<f64>, (): ()) -> Result<f64, HubError> {
    numbers.try_fold(0.0, |sum, number| async move { Ok(sum + number) }).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backplane = Backplane::embedded(&Broker::new(), "Streams");
    let hub = Hub::new("StreamHub", backplane).stream("Count", count).method("Sum", sum);
    let listener = TcpListener::bind("127.0.0.1:5001").await?;
    println!("http://{}/streamHub", listener.local_addr()?);
    signalr::serve(listener, hub.mount(Router::new(), "/streamHub"), std::future::pending()).await;
    Ok(())
}
