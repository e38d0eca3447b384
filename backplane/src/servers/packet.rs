//! The messages between servers: JSON, so that `redis-cli` shows them.
//!
//! A kind that a later version adds is skipped by earlier ones.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::presence::Changed;
use super::roster::NAME_MAX;

/// One message between servers.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Packet<'a> {
    /// The id of the sender.
    #[serde(borrow)]
    pub(super) from: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) content: Content<'a>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content<'a> {
    /// A sign of life.
    Lease {
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        name: Option<Cow<'a, str>>,
        /// Milliseconds since its start. Unlike clocks, ages are comparable between servers.
        age: u64,
        /// Whether the sender wants the leases of the others at once.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        wants_reply: bool,
        /// The version of its members, if it knows the members of groups.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        presence: Option<u64>,
    },
    /// The sender shuts down.
    Leave {},
    /// Changes of the sender's members.
    Changes {
        version: u64,
        #[serde(borrow)]
        changes: Vec<Changed<'a>>,
    },
    /// The sender wants all members of one server.
    WantsMembers {},
    /// All members of the sender, or a part of them.
    Members {
        version: u64,
        /// The number of the part, from 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        part: u32,
        /// Whether another part follows.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        has_more: bool,
        #[serde(borrow)]
        members: Vec<Changed<'a>>,
    },
    Message {
        #[serde(borrow)]
        name: Cow<'a, str>,
        #[serde(borrow)]
        value: &'a RawValue,
        /// Whether it is for all servers but the sender.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_for_others: bool,
    },
    Question {
        /// Unique for its sender.
        number: u64,
        #[serde(borrow)]
        name: Cow<'a, str>,
        #[serde(borrow)]
        value: &'a RawValue,
        /// Whether it is for all servers but the sender.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_for_others: bool,
    },
    Answer {
        number: u64,
        #[serde(borrow)]
        value: &'a RawValue,
    },
    Refusal {
        number: u64,
        #[serde(borrow)]
        reason: Cow<'a, str>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl<'a> Packet<'a> {
    pub(super) fn read(payload: &'a [u8]) -> Result<Self, serde_json::Error> {
        let packet: Self = serde_json::from_slice(payload)?;
        if packet.from.len() > NAME_MAX {
            return Err(serde::de::Error::custom("the id of the sender is too long"));
        }
        Ok(packet)
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("strings and raw JSON can be written").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_reads_as_it_is_written() {
        for text in [
            r#"{"from":"a","content":{"lease":{"name":"web-1","age":5,"wants_reply":true}}}"#,
            r#"{"from":"a","content":{"lease":{"age":5}}}"#,
            r#"{"from":"a","content":{"lease":{"age":5,"presence":7}}}"#,
            r#"{"from":"a","content":{"changes":{"version":7,"changes":[{"g":"g","c":"c"}]}}}"#,
            r#"{"from":"a","content":{"wants_members":{}}}"#,
            r#"{"from":"a","content":{"members":{"version":7,"members":[{"g":"g","c":"c","u":"u","a":5}]}}}"#,
            r#"{"from":"a","content":{"members":{"version":7,"part":1,"has_more":true,"members":[]}}}"#,
            r#"{"from":"a","content":{"leave":{}}}"#,
            r#"{"from":"a","content":{"message":{"name":"config","value":{"x": 1.10}}}}"#,
            r#"{"from":"a\"b","content":{"question":{"number":7,"name":"l\"d","value":null}}}"#,
            r#"{"from":"a","content":{"message":{"name":"x","value":1,"is_for_others":true}}}"#,
            r#"{"from":"a","content":{"answer":{"number":7,"value":[1]}}}"#,
            r#"{"from":"a","content":{"refusal":{"number":7,"reason":"no"}}}"#,
        ] {
            let packet = Packet::read(text.as_bytes()).unwrap();
            assert_eq!(packet.to_bytes(), text);
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in ["", "{}", "1", r#"{"from":"a","content":{"later":{}}}"#] {
            assert!(Packet::read(text.as_bytes()).is_err(), "{text}");
        }
        let from =
            |length| format!(r#"{{"from":"{}","content":{{"leave":{{}}}}}}"#, "a".repeat(length));
        assert!(Packet::read(from(NAME_MAX).as_bytes()).is_ok());
        assert!(Packet::read(from(NAME_MAX + 1).as_bytes()).is_err());
    }
}
