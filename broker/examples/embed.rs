//! A broker inside a process, without a socket: threads publish, a task receives.
//!
//! `cargo run -p broker --example embed`

use std::thread;

use broker::{Broker, Disconnect};

const MESSAGES: usize = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Disconnect> {
    let broker = Broker::new();
    let mut news = broker.subscribe("news");
    let mut everything = broker.psubscribe("*");

    // Publishing needs no runtime and never waits.
    let publisher = broker.clone();
    let thread = thread::spawn(move || {
        for number in 1..=MESSAGES {
            let receivers = publisher.publish("news", format!("message {number}"));
            println!("published message {number} to {receivers} receivers");
        }
    });

    for _ in 0..MESSAGES {
        let message = news.recv().await?;
        println!("received {} on news", message.payload().escape_ascii());
    }
    while let Some(message) = everything.try_recv() {
        println!(
            "received {} on {} by the pattern",
            message.payload().escape_ascii(),
            message.channel().escape_ascii()
        );
    }
    thread.join().expect("the publisher does not panic");
    Ok(())
}
