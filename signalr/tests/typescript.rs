//! The TypeScript of a typed hub is that of the checked-in file.

#![cfg(feature = "typescript")]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(dead_code, reason = "no hub runs here")]

use serde::{Deserialize, Serialize};
use signalr::{Caller, HubError, HubStream, Upload, typescript, typescript::TS};

#[derive(Deserialize, Serialize, TS)]
struct Message {
    by: Author,
    text: String,
    sent_ms: u64,
    answers: Option<u32>,
}

#[derive(Deserialize, Serialize, TS)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum Author {
    Guest,
    User { name: String },
}

#[signalr::client(typescript)]
trait ChatClient {
    fn room_message(message: &Message);
    #[signalr(name = "typing")]
    fn is_typing(user_names: Vec<String>);
    async fn confirm(question: &str) -> bool;
}

#[signalr::hub(client = ChatClient, typescript)]
trait ChatHub {
    async fn join_room(&self, caller: &Caller<ChatClient>, room: String) -> Result<(), HubError>;
    async fn last_messages(&self, room: String, max: u32) -> Result<Vec<Message>, HubError>;
    fn counter(&self, end: u32) -> HubStream<u32>;
    async fn sum(&self, numbers: Upload<f64>) -> Result<f64, HubError>;
    async fn ping(&self) -> Result<(), HubError>;
}

/// To accept a change, run the test with `UPDATE_TYPESCRIPT=1`.
#[test]
fn the_checked_in_file_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/typescript.ts");
    let text = typescript::text::<ChatHubTypes>();
    if std::env::var_os("UPDATE_TYPESCRIPT").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap());
}
