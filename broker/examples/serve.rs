//! The same broker for this process and for any Redis client.
//!
//! Run `cargo run -p broker --example serve`, then with the port that it prints:
//! `redis-cli -p PORT PUBLISH news hello`

use std::error::Error;

use broker::{Broker, Config, Port, Server};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let broker = Broker::new();
    let mut news = broker.subscribe("news");

    let config = Config { port: Port::Any, ..Config::default() };
    let server = Server::bind(broker.clone(), &config).await?;
    let port = server.local_addr().ok_or("no TCP port")?.port();
    println!("redis-cli -p {port} PUBLISH news hello");
    println!("redis-cli -p {port} PUBLISH news bye    (ends this)");

    loop {
        let message = news.recv().await?;
        println!("received {}", message.payload().escape_ascii());
        if message.payload() == "bye" {
            break;
        }
    }
    server.shutdown().await;
    Ok(())
}
