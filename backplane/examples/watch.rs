//! Joins an app as one connection. Prints the invocations that arrive, sends each line of standard
//! input to all connections, and reports changes of the state.
//!
//! `cargo run -p backplane --example watch -- redis://127.0.0.1:6379 ChatApp`

use backplane::{Backplane, Invocation, Target};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let app_name = arguments.next().unwrap_or_else(|| "ChatApp".to_owned());
    let backplane = Backplane::builder(&app_name).connect(&url).await?;
    let mut connection = backplane.attach(&format!("watch-{}", std::process::id()), None);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut changes = backplane.state_changes();
    loop {
        tokio::select! {
            invocation = connection.recv() => {
                let invocation = invocation?;
                println!("{}{}", invocation.method(), invocation.arguments());
            }
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                let invocation = Invocation::new("broadcastMessage", ("watch", line))?;
                if let Err(error) = backplane.send(Target::all(), invocation).await {
                    println!("{error}");
                }
            }
            Ok(()) = changes.changed() => println!("({})", *changes.borrow_and_update()),
        }
    }
}
